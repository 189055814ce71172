//! What the fake knows at one instant: judge, ledger and scripts, told the time.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;

use super::{
    AuthError, Call, Decision, Fault, Flight, Identity, Judge, Ledger, Options, RecordedAs, Reply,
    answers,
    faults::Faults,
    hosts::{Asked, Host},
    random::Random,
};

/// Everything that changes.
#[derive(Debug)]
pub(super) struct State {
    pub(super) judge: Judge,
    pub(super) ledger: Ledger,
    pub(super) random: Random,
    pub(super) faults: Faults,
    scripts: HashMap<Box<str>, VecDeque<Reply>>,
    /// What is said to calls with these tokens and webhooks, by what stands for them in the ledger.
    pub(super) dead: HashMap<String, String>,
    /// Microseconds since 1970 of the latest message: no two have the same.
    latest_ts: u64,
    /// So many items have its lists.
    items: usize,
}

/// So much of a text is kept in the ledger, in characters.
const TEXT: usize = 256;

/// No method of Slack's has a longer name, in bytes.
const METHOD: usize = 80;

// === impl State ===

impl State {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            judge: Judge::new(options.clone()),
            ledger: Ledger::new(options.ledger),
            random: Random::new(options.seed),
            faults: Faults::new(&options.faults),
            scripts: HashMap::new(),
            dead: HashMap::new(),
            latest_ts: 0,
            items: options.items,
        }
    }

    pub(super) fn script(&mut self, method: &str, replies: impl IntoIterator<Item = Reply>) {
        self.scripts.entry(method.into()).or_default().extend(replies);
    }

    /// Judges a call and writes it down.
    pub(super) fn handle(&mut self, now: Duration, call: &Call) -> Decision {
        let decision = self.judge.handle(now, call);
        match &decision {
            Decision::Accept(_) => {
                self.ledger.record(now, call, 200, RecordedAs::Ok, posts(&call.method));
            }
            Decision::Refuse(refusal) => self.ledger.refuse(now, call, refusal),
        }
        decision
    }

    /// What goes wrong with a call of the method that begins to arrive at `now`. One that is not
    /// even read is written down now.
    pub(super) fn fault(&mut self, now: Duration, method: &str) -> Option<Fault> {
        let fault = self.faults.draw(method, &mut self.random);
        if fault == Some(Fault::ResetEarly) {
            self.ledger.record(now, &Call::new(method, "", ""), 0, RecordedAs::Faulted, false);
            self.ledger.spoil(Fault::ResetEarly, 0);
        }
        fault
    }

    /// Answers the call that arrives at `now`, `unix` after 1970: by its fault if there is one, by
    /// script if there is one, else as the limits have it. A flight lands when the answer is sent.
    pub(super) fn answer(
        &mut self,
        now: Duration,
        unix: Duration,
        asked: &Asked,
    ) -> (Reply, Option<Flight>) {
        let Some(fault) = asked.fault else { return self.judged(now, unix, asked) };
        let (reply, flight) = if let Some(reply) = fault.instead() {
            let (call, _) = self.read(asked);
            self.ledger.record(now, &call, reply.status.as_u16(), RecordedAs::Faulted, false);
            (reply, None)
        } else {
            let (reply, flight) = self.judged(now, unix, asked);
            (fault.spoil(reply), flight)
        };
        let status = if reply.is_delivered() { reply.status.as_u16() } else { 0 };
        self.ledger.spoil(fault, status);
        (reply, flight)
    }

    /// Answers a call with which nothing goes wrong.
    fn judged(&mut self, now: Duration, unix: Duration, asked: &Asked) -> (Reply, Option<Flight>) {
        let method = &*asked.name;
        let (call, auth) = self.read(asked);
        if let Some(reply) = self.next_scripted(method) {
            self.ledger.record(now, &call, reply.status.as_u16(), RecordedAs::Scripted, false);
            return (reply, None);
        }
        let secret = call.url.as_ref().unwrap_or(&call.identity.token);
        let failure = match auth {
            _ if self.dead.contains_key(&**secret) => self.dead.get(&**secret).cloned(),
            Err(error) => Some(error.to_string()),
            Ok(()) if !is_method(method) => Some("unknown_method".to_owned()),
            Ok(()) => None,
        };
        if let Some(error) = failure {
            let reply = asked.failed(&error);
            self.ledger.record(now, &call, reply.status.as_u16(), RecordedAs::Failed, false);
            return (reply, None);
        }
        match self.judge.handle(now, &call) {
            Decision::Refuse(refusal) => {
                self.ledger.refuse(now, &call, &refusal);
                (asked.refused(&refusal), None)
            }
            Decision::Accept(flight) if asked.host != Host::Api => {
                let reply = asked.answer();
                self.ledger.record(now, &call, reply.status.as_u16(), RecordedAs::Ok, false);
                (reply, Some(flight))
            }
            Decision::Accept(flight) => {
                let ts = self.next_ts(unix);
                let (identity, arguments) = (&call.identity, &asked.arguments);
                let body = answers::body(method, identity, arguments, &ts, self.items);
                let ok = body.get("ok").and_then(Value::as_bool) == Some(true);
                let outcome = if ok { RecordedAs::Ok } else { RecordedAs::Failed };
                self.ledger.record(now, &call, 200, outcome, posts(method));
                (Reply::json(http::StatusCode::OK, &body), Some(flight))
            }
        }
    }

    /// What the judge and the ledger want to know of a call, and whether it may be made.
    fn read(&self, asked: &Asked) -> (Call, Result<(), AuthError>) {
        let Asked { name: method, arguments, .. } = asked;
        let known = match asked.host {
            Host::Api => Identity::of_token(arguments.token()),
            Host::Hooks | Host::Scim | Host::Audit => asked.identity(),
        };
        let (identity, auth) = match known {
            Ok(identity) => (identity, Ok(())),
            Err(_) if answers::takes_no_token(method) => {
                // The only thing that tells one app from another before it has a token.
                (Identity::new(arguments.get("client_id").unwrap_or_default(), ""), Ok(()))
            }
            Err(error) => (Identity::new("", ""), Err(error)),
        };
        let rules = self.judge.method(method);
        let argument = |name: Option<&str>| name.and_then(|name| arguments.get(name));
        let call = Call {
            method: method.as_str().into(),
            identity,
            channel: argument(rules.channel_arg.as_deref()).map(beginning),
            user: argument(rules.user_arg.as_deref()).map(beginning),
            url: asked.url.as_deref().map(Arc::from),
            text: arguments.get("text").map(beginning),
        };
        (call, auth)
    }

    fn next_scripted(&mut self, method: &str) -> Option<Reply> {
        let replies = self.scripts.get_mut(method)?;
        let reply = replies.pop_front();
        if replies.is_empty() {
            self.scripts.remove(method);
        }
        reply
    }

    fn next_ts(&mut self, unix: Duration) -> String {
        let micros = u64::try_from(unix.as_micros()).unwrap_or(u64::MAX);
        self.latest_ts = micros.max(self.latest_ts.saturating_add(1));
        format!("{}.{:06}", self.latest_ts / 1_000_000, self.latest_ts % 1_000_000)
    }
}

/// Whether the name could be a method's: bounded, and harmless to print.
/// Whether a method puts words before people's eyes in a channel.
fn posts(method: &str) -> bool {
    const POSTS: [&str; 6] = [
        "chat.appendStream",
        "chat.meMessage",
        "chat.postEphemeral",
        "chat.postMessage",
        "chat.startStream",
        "chat.stopStream",
    ];
    POSTS.contains(&method)
}

fn is_method(name: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'_';
    !name.is_empty() && name.len() <= METHOD && name.bytes().all(is_plain)
}

fn beginning(text: &str) -> Arc<str> {
    let end = text.char_indices().nth(TEXT).map_or(text.len(), |(end, _)| end);
    text[..end].into()
}
