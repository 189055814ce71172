//! Reads that need not be sent, because the answer to another call is theirs.
//!
//! - *Shared.* A read that [equals](key) one which is held or under way joins it and gets its answer. None of
//!   those who wait owns it ([`Joint`]): the first may leave as any other. One that was sent before a write
//!   in the same workspace ended may not know of that write, and is joined no more. A failure, an error of the
//!   server's own, or an answer that is too large is for the first; all others ask for themselves.
//! - *Remembered.* An answer may be [remembered](memory) for a short time, until a [write](writes) of the same
//!   thing passes.
//!
//! Both only where the operator says so, and only for methods that the catalogue knows to read. A call that
//! is only watched, paused or switched off, or whose token is dead, takes no part in it. What has not to do with
//! any of that costs a branch.

mod book;
mod key;
mod memory;
mod writes;

use std::{sync::Arc, time::Duration};

use config::{Config, ReadCache};
use http::{HeaderMap, Response, header};
use serde::Deserialize;
use tokio::time::Instant;
use tower::Layer;

pub use self::book::{ReadBook, ReadsSnapshot};
use self::{key::ReadKey, writes::Passing};
use crate::{
    call::{
        Call, body::WHOLE, client_end::ClientEnded, coding, response::ResponseBody,
        several::Several,
    },
    inbound::arguments::AllArguments,
    joint::{self, Answer, How, Joint, Outcome, SavedMetrics, Waited},
    queue::{Admission, QueueRequest},
    step::Step,
};

/// Answers reads that need not be sent.
#[derive(Debug)]
pub struct ReadsLayer<E> {
    known: Known<E>,
}

/// Answers reads that need not be sent.
#[derive(Debug)]
pub struct Reads<S, E> {
    inner: Arc<S>,
    known: Known<E>,
}

#[derive(Debug)]
struct Known<E> {
    book: ReadBook<E>,
    admission: Admission,
    metrics: SavedMetrics,
    cache: Option<ReadCache>,
    /// How long a call may be under way when its client leaves.
    lasts: Duration,
}

/// A read, and what it is known by.
struct Read<'r> {
    key: ReadKey,
    arguments: AllArguments,
    /// The rules by which its answer is remembered, if it is.
    cache: Option<&'r ReadCache>,
}

/// What an answer of the Web API says of its call.
#[derive(Deserialize)]
struct Said<'a> {
    ok: bool,
    #[serde(borrow, default)]
    error: Option<std::borrow::Cow<'a, str>>,
}

/// Errors that are the server's own, or of the moment, and say nothing of what was asked: the "common errors" on
/// the page of each method.
const OWN_ERRORS: [&str; 6] = [
    "fatal_error",
    "internal_error",
    "ratelimited",
    "request_timeout",
    "service_unavailable",
    "team_added_to_org",
];

const SHARED: &str = "shared";
const MEMORY: &str = "memory";

// === impl ReadsLayer ===

impl<E: Send + 'static> ReadsLayer<E> {
    /// Knows reads by that book, and asks the queue whether they may be joined.
    pub fn new(
        config: &Config,
        book: &ReadBook<E>,
        admission: &Admission,
        metrics: &SavedMetrics,
    ) -> Self {
        let cache = config.reads.cache.clone();
        if cache.is_none() {
            book.inner().memory.clear();
        }
        let known = Known {
            book: book.clone(),
            admission: admission.clone(),
            metrics: metrics.clone(),
            cache,
            lasts: config.timeouts.headers,
        };
        Self { known }
    }
}

impl<S, E> Layer<S> for ReadsLayer<E> {
    type Service = Reads<S, E>;

    fn layer(&self, inner: S) -> Reads<S, E> {
        Reads { inner: Arc::new(inner), known: self.known.clone() }
    }
}

impl<E> Clone for Known<E> {
    fn clone(&self) -> Self {
        let Self { book, admission, metrics, cache, lasts } = self;
        let (book, admission, metrics) = (book.clone(), admission.clone(), metrics.clone());
        Self { book, admission, metrics, cache: cache.clone(), lasts: *lasts }
    }
}

// === impl Reads ===

impl<S> Step<QueueRequest> for Reads<S, S::Error>
where
    S: Step<QueueRequest, Response = Response<ResponseBody>> + 'static,
    S::Error: From<ClientEnded> + Send + 'static,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;

    async fn call(&self, request: QueueRequest) -> Result<Response<ResponseBody>, S::Error> {
        let call = &request.call;
        let Some(method) = &call.method else { return self.inner.call(request).await };
        let cache = self.known.cache.as_ref().filter(|cache| cache.methods.contains(&method.name));
        // Boxed, because hardly any call needs it, and each would carry it about.
        if call.share_reads || cache.is_some() {
            Box::pin(self.read(request, cache)).await
        } else if method.reads {
            self.inner.call(request).await
        } else if self.known.must_know_of(method) {
            Box::pin(self.write(request)).await
        } else {
            let record = Arc::clone(&call.record);
            let answered = self.inner.call(request).await;
            // A read may have been sent meanwhile.
            if self.known.book.is_used() {
                self.known.book.inner().writes.ended(&record);
            }
            answered
        }
    }
}

impl<S> Reads<S, S::Error>
where
    S: Step<QueueRequest, Response = Response<ResponseBody>> + 'static,
    S::Error: From<ClientEnded> + Send + 'static,
{
    async fn write(&self, request: QueueRequest) -> Result<Response<ResponseBody>, S::Error> {
        let book = self.known.book.inner();
        let of = (&book.writes, &book.memory);
        let passing = Passing::begin(&request.call, of, self.known.lasts).await;
        let answered = self.inner.call(request).await;
        passing.ended();
        answered
    }

    async fn read(
        &self,
        request: QueueRequest,
        cache: Option<&ReadCache>,
    ) -> Result<Response<ResponseBody>, S::Error> {
        let call = &request.call;
        let Some((key, arguments)) = ReadKey::of(call).await else {
            return self.inner.call(request).await;
        };
        if !self.known.admission.may_join(&request) {
            return self.inner.call(request).await;
        }
        let read = Read { key, arguments, cache };
        if let Some(response) = self.known.recall(call, &read) {
            return Ok(response);
        }
        if call.share_reads {
            return self.share(request, &read).await;
        }
        let (sent, method) = (Instant::now(), call.method.clone());
        let response = self.inner.call(request).await?;
        match Answer::read(response).await {
            Ok(answer) => {
                let answer = Arc::new(answer);
                if let Some(method) = &method {
                    self.known.keep(&answer, sent, method, &read);
                }
                Ok(answer.response())
            }
            Err(response) => Ok(*response),
        }
    }

    /// Joins an equal read, or sends it so that others may join.
    async fn share(
        &self,
        request: QueueRequest,
        read: &Read<'_>,
    ) -> Result<Response<ResponseBody>, S::Error> {
        let (call, since) = (&request.call, Instant::now());
        let joinable = self.known.book.joinable(&read.key, call);
        let leads = joinable.is_none();
        let joint = if let Some(joint) = joinable {
            self.known.admission.raise(joint.several(), call.class, call.deadline);
            joint
        } else {
            let several = Arc::new(Several::new(call.class, call.deadline));
            let Some(copy) = joint::for_several(&request, &several) else {
                return self.inner.call(request).await;
            };
            let begin = |guard| Joint::new(&self.inner, copy, several, guard);
            self.known.book.lead(read.key, begin)
        };
        let several = Arc::clone(joint.several());
        let outcome = match joint.wait(call).await {
            Waited::Ended(outcome) => outcome,
            // Whether it may go by itself, the queue decides.
            Waited::Late => return self.inner.call(request).await,
            Waited::Left => return Err(ClientEnded.into()),
        };
        if let (Outcome::Answer(answer), Some(method)) = (&outcome, &call.method) {
            let sent = several.under_way().unwrap_or(since);
            self.known.keep(answer, sent, method, read);
        }
        match outcome {
            Outcome::Answer(answer) if leads => return Ok(answer.response()),
            Outcome::Answer(answer) if answers(&answer) => {
                joint::tell_wait(&several, call, since);
                self.known.metrics.saved(call.record.method(), How::Shared);
                return Ok(answer.for_others(SHARED));
            }
            Outcome::Only(slot) if leads && let Some(response) = slot.take() => {
                return Ok(response);
            }
            Outcome::Failed(slot) if leads && let Some(failure) = slot.take() => {
                return Err(failure);
            }
            _ => {}
        }
        self.inner.call(request).await
    }
}

// === impl Known ===

impl<E: Send + 'static> Known<E> {
    /// Whether a write of that method may make old what is remembered, or will be by the time it ends, or
    /// may be seen by nobody who joins a read.
    fn must_know_of(&self, method: &slack::Method) -> bool {
        let drops = self.cache.is_some() && !method.saves.drops.is_empty();
        drops || self.book.is_used()
    }

    /// The remembered answer to a read, unless its client wants another one.
    fn recall(&self, call: &Call, read: &Read<'_>) -> Option<Response<ResponseBody>> {
        let cache = read.cache.filter(|_| !wants_news(&call.head.headers))?;
        let memory = &self.book.inner().memory;
        let (answer, age) = memory.recall(&read.key, Instant::now(), cache)?;
        self.metrics.saved(call.record.method(), How::Remembered);
        let mut response = answer.for_others(MEMORY);
        response.headers_mut().insert(header::AGE, age.as_secs().into());
        Some(response)
    }

    /// An answer is remembered, if it may be.
    fn keep(
        &self,
        answer: &Arc<Answer>,
        sent: Instant,
        method: &Arc<slack::Method>,
        read: &Read<'_>,
    ) {
        if let Some(cache) = read.cache.filter(|_| says(answer).is_some_and(|it| it)) {
            let of = (&method.name, &read.arguments);
            self.book.inner().memory.keep(read.key, (answer, sent), of, cache);
        }
    }
}

/// Whether a client wants no answer that is remembered (RFC 9111, 5.2.1.4, and 5.4).
fn wants_news(headers: &HeaderMap) -> bool {
    let says = |name: &header::HeaderName| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let mut values = values.flat_map(|value| value.split(',')).map(str::trim);
        values.any(|it| {
            ["no-cache", "no-store", "max-age=0"].iter().any(|no| it.eq_ignore_ascii_case(no))
        })
    };
    says(&header::CACHE_CONTROL) || says(&header::PRAGMA)
}

/// Whether an answer is one to what was asked, so that it is everybody's who asks the same.
fn answers(answer: &Answer) -> bool {
    says(answer).is_some()
}

/// Whether an answer says that all is well; nothing if it says nothing of what was asked.
fn says(answer: &Answer) -> Option<bool> {
    if !answer.status.is_success() {
        return None;
    }
    let text = coding::unpacked(&answer.headers, &answer.body, 8 * WHOLE)?;
    let Said { ok, error } = serde_json::from_slice(&text).ok()?;
    let is_own = error.is_some_and(|error| OWN_ERRORS.contains(&&*error));
    (!is_own).then_some(ok)
}
