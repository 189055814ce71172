//! A call as spans: one for all of it, with one below it for each wait, attempt and freeze that it met.
//!
//! Names and attributes are those of OpenTelemetry's conventions for HTTP
//! (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>). Of the URL only what is no secret is told,
//! so `url.full` and `url.query` are missing. What is ours begins with `slackwater.`.

use aws_lc_rs::rand;
use http::{Method, StatusCode};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{
        ResourceSpans, ScopeSpans, Span, SpanFlags, Status, span::SpanKind,
        status::StatusCode as SpanStatus,
    },
};
use slack::push_hex;

use super::Ended;
use crate::call::trace::{Met, Trace, WaitedFor};

/// Makes requests of calls.
#[derive(Debug)]
pub(super) struct Batch {
    resource: Resource,
}

/// The conventions that names and attributes follow.
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.37.0";

// === impl Batch ===

impl Batch {
    pub(super) fn new() -> Self {
        let mut instance = String::new();
        push_hex(&mut instance, &id::<16>());
        let attributes = vec![
            text("service.name", "slackwater"),
            text("service.version", env!("CARGO_PKG_VERSION")),
            text("service.instance.id", &instance),
        ];
        Self { resource: Resource { attributes, ..Resource::default() } }
    }

    /// What is posted of these calls, and how many spans that are.
    pub(super) fn of(
        &self,
        calls: impl Iterator<Item = Ended>,
    ) -> (ExportTraceServiceRequest, u64) {
        let spans: Vec<_> = calls.flat_map(|ended| spans(&ended)).collect();
        let count = spans.len() as u64;
        let scope = InstrumentationScope {
            name: "slackwater".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let scope_spans =
            vec![ScopeSpans { scope: Some(scope), spans, schema_url: SCHEMA.to_owned() }];
        let resource = Some(self.resource.clone());
        let of_us = ResourceSpans { resource, scope_spans, schema_url: SCHEMA.to_owned() };
        (ExportTraceServiceRequest { resource_spans: vec![of_us] }, count)
    }
}

/// How many spans a call makes that is not told of.
pub(super) fn count(ended: &Ended) -> u64 {
    ended.record.trace().map_or(0, |trace| 1 + trace.take().len() as u64)
}

/// The spans of a call, its own first.
fn spans(ended: &Ended) -> Vec<Span> {
    let Some(trace) = ended.record.trace() else { return Vec::new() };
    let of_call = call(ended, trace);
    let parent = of_call.span_id.clone();
    let method = ended.record.method().to_owned();
    let mut attempts = 0;
    let mut all = vec![of_call];
    for met in trace.take() {
        let mut span = part(ended, trace, met, &method, &mut attempts);
        span.parent_span_id.clone_from(&parent);
        all.push(span);
    }
    all
}

/// The verb, as the conventions have it: any other text may be anything, also a secret.
fn shown_verb(verb: &Method) -> &str {
    match *verb {
        Method::GET
        | Method::POST
        | Method::PUT
        | Method::DELETE
        | Method::HEAD
        | Method::OPTIONS
        | Method::PATCH
        | Method::CONNECT
        | Method::TRACE => verb.as_str(),
        _ => "_OTHER",
    }
}

fn call(ended: &Ended, trace: &Trace) -> Span {
    let Ended { record, verb, path, status, why, at } = ended;
    let mut attributes = vec![
        text("http.request.method", shown_verb(verb)),
        text("url.path", path),
        text("slackwater.method", record.method()),
        text("slackwater.class", record.class()),
        number("slackwater.wait_ms", u64::try_from(record.wait().as_millis()).unwrap_or(u64::MAX)),
        number("slackwater.attempts", record.attempts().into()),
    ];
    if let Some(labels) = record.labels() {
        attributes.push(text("slackwater.caller", &labels.caller));
        attributes.extend(labels.workspace.as_deref().map(|it| text("slackwater.workspace", it)));
    }
    attributes.extend(record.ids().request().map(|it| text("slackwater.request_id", it)));
    attributes.extend(why.map(|why| text("slackwater.reason", why)));
    // Of a server's span a status from 500 on is an error, and none at all.
    let error = match status {
        Some(status) if !status.is_server_error() => None,
        Some(status) => Some(status.as_str().to_owned()),
        None => Some("no_answer".to_owned()),
    };
    outcome(&mut attributes, *status, error.as_deref());
    Span {
        name: format!("{} {}", shown_verb(verb), record.method()),
        kind: SpanKind::Server.into(),
        parent_span_id: trace.parent.map_or_else(Vec::new, |parent| parent.span.to_vec()),
        end_time_unix_nano: trace.nanos(*at),
        status: failed(error.is_some()),
        attributes,
        ..span(trace, trace.nanos(trace.begun), trace.parent.is_some())
    }
}

fn part(ended: &Ended, trace: &Trace, met: Met, method: &str, attempts: &mut u64) -> Span {
    match met {
        Met::Wait { from, to, what, bucket } => {
            let mut attributes = vec![text("slackwater.wait.for", what.as_str())];
            if let Some((bucket, why)) = bucket {
                attributes.push(text("slackwater.bucket", &bucket.to_string()));
                attributes.push(text("slackwater.wait.why", why));
            }
            let name = match what {
                WaitedFor::Queue => "wait for a slot",
                WaitedFor::Identity => "wait for the token's identity",
                WaitedFor::Host => "wait for the host",
                WaitedFor::Joint => "wait for a shared call",
                WaitedFor::Breath => "wait before a retry",
            };
            Span {
                name: name.to_owned(),
                end_time_unix_nano: trace.nanos(to),
                attributes,
                ..span(trace, trace.nanos(from), false)
            }
        }
        Met::Attempt { from, to, server, outcome: came } => {
            let mut attributes = vec![text("http.request.method", shown_verb(&ended.verb))];
            if let Some((host, port)) = server {
                attributes.push(text("server.address", &host));
                attributes.push(number("server.port", port.into()));
            }
            if *attempts > 0 {
                attributes.push(number("http.request.resend_count", *attempts));
            }
            *attempts += 1;
            let error = match came {
                Ok(status) if status.is_client_error() || status.is_server_error() => {
                    Some(status.as_str().to_owned())
                }
                Ok(_) => None,
                Err(error) => Some(error.to_owned()),
            };
            outcome(&mut attributes, came.ok(), error.as_deref());
            Span {
                name: format!("{} {method}", shown_verb(&ended.verb)),
                kind: SpanKind::Client.into(),
                end_time_unix_nano: trace.nanos(to),
                status: failed(error.is_some()),
                attributes,
                ..span(trace, trace.nanos(from), false)
            }
        }
        Met::Freeze { from, pause, bucket } => {
            let attributes = vec![
                text("slackwater.bucket", &bucket.to_string()),
                number("slackwater.pause_ms", u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)),
            ];
            // It may last longer than the call, whose span is over then.
            let end = ended.at.min(from + pause);
            Span {
                name: "freeze".to_owned(),
                end_time_unix_nano: trace.nanos(end),
                attributes,
                ..span(trace, trace.nanos(from), false)
            }
        }
    }
}

/// A span of that trace, from then on, with what all have.
fn span(trace: &Trace, start: u64, parent_is_remote: bool) -> Span {
    let mut flags = 1 | SpanFlags::ContextHasIsRemoteMask as u32;
    if parent_is_remote {
        flags |= SpanFlags::ContextIsRemoteMask as u32;
    }
    Span {
        trace_id: trace.id.to_vec(),
        span_id: id::<8>().to_vec(),
        flags,
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: start,
        ..Span::default()
    }
}

fn outcome(attributes: &mut Vec<KeyValue>, status: Option<StatusCode>, error: Option<&str>) {
    let status = status.map(|status| status.as_u16().into());
    attributes.extend(status.map(|status| number("http.response.status_code", status)));
    attributes.extend(error.map(|error| text("error.type", error)));
}

fn failed(is_error: bool) -> Option<Status> {
    is_error.then(|| Status { code: SpanStatus::Error.into(), message: String::new() })
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn number(key: &str, value: u64) -> KeyValue {
    attribute(key, Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// An id that nobody else has, as far as chance goes.
fn id<const N: usize>() -> [u8; N] {
    let mut id = [0; N];
    // Without randomness there would be no TLS either.
    let _ = rand::fill(&mut id);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_that_is_none_is_not_shown() {
        assert_eq!(shown_verb(&Method::POST), "POST");
        let token = Method::from_bytes(b"xoxb-1-2-secret").unwrap();
        assert_eq!(shown_verb(&token), "_OTHER");
    }
}
