//! Posts spans to a collector: OTLP over HTTP, with protobuf.
//!
//! A batch is tried once. What fails is dropped and counted: a collector that is down must not fill the memory,
//! and traces are no accounting. After a failure the next batch waits, up to half a minute.

use std::{pin::pin, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Ended, TraceMetrics, spans::Batch};
use crate::{causes::with_causes, outbound::upstream::reach::Connects, step::BoxError};

/// Posts spans to a collector.
pub(super) struct Exporter<C> {
    client: Client<C, Full<Bytes>>,
    url: Uri,
    metrics: TraceMetrics,
    batch: Batch,
    /// Failures since the last success.
    failures: u32,
}

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error("the collector cannot be reached")]
    Client(#[from] hyper_util::client::legacy::Error),
    #[error("the collector answered {0}")]
    Status(StatusCode),
    #[error("the collector's answer cannot be read")]
    Answer(#[source] BoxError),
    #[error("the collector did not answer within {TAKES:?}")]
    Slow,
}

/// So many calls go in one request.
const CALLS: usize = 512;
/// How long spans wait for others.
const DELAY: Duration = Duration::from_secs(1);
/// How long a request may take.
const TAKES: Duration = Duration::from_secs(10);
/// And how long the last one, at the end.
const LAST: Duration = Duration::from_secs(2);
/// The longest pause after a failure.
const PAUSE: Duration = Duration::from_secs(30);
/// The longest answer that is read.
const ANSWER: usize = 64 << 10;

// === impl Exporter ===

impl<C> Exporter<C>
where
    C: Connects,
    C::Future: Unpin,
{
    pub(super) fn new(url: Uri, metrics: TraceMetrics, connector: C) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self { client, url, metrics, batch: Batch::new(), failures: 0 }
    }

    /// Posts what comes until `end`, and then what is left.
    pub(super) async fn run(mut self, mut ended: mpsc::Receiver<Ended>, end: CancellationToken) {
        let mut calls = Vec::new();
        loop {
            let over = {
                let gather = gather(&mut ended, &mut calls);
                end.run_until_cancelled(pin!(gather)).await.is_none()
            };
            if over {
                while let Ok(call) = ended.try_recv() {
                    calls.push(call);
                }
            }
            if !calls.is_empty() {
                let takes = if over { LAST } else { TAKES };
                let last = async {
                    end.cancelled().await;
                    sleep(LAST).await;
                };
                tokio::select! {
                    () = self.export(calls.drain(..), takes) => {}
                    () = last, if !over => {}
                }
            }
            if over {
                return;
            }
            if self.failures > 0 {
                let pause = Duration::from_secs(1 << self.failures.min(5)).min(PAUSE);
                // At the end the rest is tried all the same.
                end.run_until_cancelled(sleep(pause)).await;
            }
        }
    }

    async fn export(&mut self, calls: impl Iterator<Item = Ended>, takes: Duration) {
        let (request, spans) = self.batch.of(calls);
        let body = request.encode_to_vec();
        let posted = timeout(takes, self.post(body)).await.unwrap_or(Err(ExportError::Slow));
        match posted {
            Ok(rejected) => {
                let rejected = rejected.min(spans);
                self.metrics.sent(spans - rejected);
                self.metrics.rejected(rejected);
                if self.failures > 0 {
                    tracing::info!("the collector takes traces again");
                }
                self.failures = 0;
            }
            Err(error) => {
                self.metrics.failed(spans);
                // Once for each time that it fails: what goes on is counted.
                if self.failures == 0 {
                    tracing::warn!(
                        host = self.url.host(),
                        error = with_causes(&error),
                        spans,
                        cure = "see that the collector at traces.endpoint receives OTLP over HTTP; no call is \
                                affected",
                        "traces are dropped"
                    );
                }
                self.failures = self.failures.saturating_add(1);
            }
        }
    }

    /// How many spans were not taken of those that were posted.
    async fn post(&self, body: Vec<u8>) -> Result<u64, ExportError> {
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.url.clone();
        let headers = request.headers_mut();
        let kind = header::HeaderValue::from_static("application/x-protobuf");
        headers.insert(header::CONTENT_TYPE, kind);
        let agent = concat!("slackwater/", env!("CARGO_PKG_VERSION"));
        headers.insert(header::USER_AGENT, header::HeaderValue::from_static(agent));
        let response = self.client.request(request).await?;
        let status = response.status();
        let answer = Limited::new(response.into_body(), ANSWER).collect().await;
        if !status.is_success() {
            return Err(ExportError::Status(status));
        }
        let answer = answer.map_err(ExportError::Answer)?.to_bytes();
        // A collector that says nothing of it took all.
        let answer = ExportTraceServiceResponse::decode(answer).unwrap_or_default();
        let rejected = answer.partial_success.map_or(0, |part| part.rejected_spans);
        Ok(u64::try_from(rejected).unwrap_or(0))
    }
}

/// Waits for calls: till there are many, or the first has waited long enough. Dropping the future loses none.
async fn gather(ended: &mut mpsc::Receiver<Ended>, calls: &mut Vec<Ended>) {
    if ended.recv_many(calls, CALLS).await == 0 {
        // Nobody can send any more.
        return std::future::pending().await;
    }
    let mut delay = pin!(sleep(DELAY));
    while calls.len() < CALLS {
        tokio::select! {
            () = &mut delay => return,
            more = ended.recv_many(calls, CALLS) => if more == 0 { return },
        }
    }
}
