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
use tokio::time::Instant;
use tower::Layer;

pub use self::book::{ReadBook, ReadsSnapshot};
use self::{book::Part, key::Known, writes::Passing};
use crate::{
    call::{Call, client_end::ClientEnded, response::ResponseBody},
    joint::{self, Answer, How, Joint, Outcome, SavedMetrics, Waited},
    queue::{Admission, QueueRequest},
    step::Step,
};

/// Answers reads that need not be sent.
#[derive(Debug)]
pub struct ReadsLayer<E> {
    desk: Desk<E>,
}

/// Answers reads that need not be sent.
#[derive(Debug)]
pub struct Reads<S, E> {
    inner: Arc<S>,
    desk: Desk<E>,
}

/// What it takes to answer them.
#[derive(Debug)]
struct Desk<E> {
    book: ReadBook<E>,
    admission: Admission,
    metrics: SavedMetrics,
    cache: Option<ReadCache>,
    /// How long a call may be under way when its client leaves.
    lasts: Duration,
}

/// A read, and the rules by which its answer is remembered, if it is.
struct Read<'r> {
    known: Known,
    cache: Option<&'r ReadCache>,
}

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
        // What is remembered was kept, and spared, by other rules.
        book.inner().memory.clear();
        let desk = Desk {
            book: book.clone(),
            admission: admission.clone(),
            metrics: metrics.clone(),
            cache: config.reads.cache.clone(),
            lasts: config.timeouts.headers,
        };
        Self { desk }
    }
}

impl<S, E> Layer<S> for ReadsLayer<E> {
    type Service = Reads<S, E>;

    fn layer(&self, inner: S) -> Reads<S, E> {
        Reads { inner: Arc::new(inner), desk: self.desk.clone() }
    }
}

impl<E> Clone for Desk<E> {
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
        let (call, desk) = (&request.call, &self.desk);
        let Some(method) = &call.method else { return self.inner.call(request).await };
        let cache = desk.cache.as_ref().filter(|cache| cache.methods.contains(&method.name));
        // Boxed, because hardly any call needs it, and each would carry it about.
        if call.saves.share_reads || cache.is_some() {
            return Box::pin(self.read(request, cache)).await;
        }
        let writes = !method.reads;
        if writes && desk.must_know_of(method) {
            return Box::pin(self.write(request)).await;
        }
        let answered = self.inner.call(request).await;
        // A read may have been sent meanwhile.
        if writes && desk.book.is_used() {
            desk.book.inner().writes.ended_somewhere();
        }
        answered
    }
}

impl<S> Reads<S, S::Error>
where
    S: Step<QueueRequest, Response = Response<ResponseBody>> + 'static,
    S::Error: From<ClientEnded> + Send + 'static,
{
    async fn write(&self, request: QueueRequest) -> Result<Response<ResponseBody>, S::Error> {
        let Desk { book, cache, lasts, .. } = &self.desk;
        let of = (&book.inner().writes, &book.inner().memory);
        let passing = Passing::begin(&request.call, cache.as_ref(), of, *lasts).await;
        let answered = self.inner.call(request).await;
        passing.ended();
        answered
    }

    async fn read(
        &self,
        request: QueueRequest,
        cache: Option<&ReadCache>,
    ) -> Result<Response<ResponseBody>, S::Error> {
        let Some(known) = Known::of(&request.call).await else {
            return self.inner.call(request).await;
        };
        if !self.desk.admission.may_join(&request) {
            return self.inner.call(request).await;
        }
        let read = Read { known, cache };
        if let Some(response) = self.desk.recall(&request.call, &read) {
            return Ok(response);
        }
        let Some((joint, part)) = self.joint(&request, &read) else {
            return self.inner.call(request).await;
        };
        let (call, since, several) = (&request.call, Instant::now(), Arc::clone(joint.several()));
        let waited = joint.wait(call).await;
        if part != Part::Leads {
            joint::tell_wait(&several, call, since);
        }
        let told = match waited {
            Waited::Ended(outcome) => {
                if let Outcome::Answer(answer) = &outcome {
                    let sent = several.under_way().unwrap_or(since);
                    self.desk.keep(answer, sent, call, &read);
                }
                self.desk.told(outcome, part, call)
            }
            // Whether it may go by itself, the queue decides.
            Waited::Late => None,
            Waited::Left => return Err(ClientEnded.into()),
        };
        match told {
            Some(told) => told,
            None => self.inner.call(request).await,
        }
    }

    /// An equal read that is under way, or this one, so that others may join it where that is wanted; none if
    /// it cannot be sent for others.
    fn joint(&self, request: &QueueRequest, read: &Read<'_>) -> Option<(Joint<S::Error>, Part)> {
        let (call, Desk { book, admission, .. }) = (&request.call, &self.desk);
        let lead = || {
            let begin = Joint::of(&self.inner, request)?;
            if call.saves.share_reads {
                Some(book.join_or_lead(&read.known, call, begin))
            } else {
                Some((begin(Box::new(())), Part::Leads))
            }
        };
        let joinable = || book.joinable(&read.known, call);
        let (joint, part) = call.saves.share_reads.then(joinable).flatten().or_else(lead)?;
        if part != Part::Leads {
            admission.raise(joint.several(), call.class, call.deadline);
        }
        Some((joint, part))
    }
}

// === impl Desk ===

impl<E: Send + 'static> Desk<E> {
    /// Whether a write of that method may make old what is remembered, or will be by the time it ends, or
    /// may be seen by nobody who joins a read.
    fn must_know_of(&self, method: &slack::Method) -> bool {
        self.book.is_used() || writes::drops(method, self.cache.as_ref()).next().is_some()
    }

    /// The remembered answer to a read, unless its client wants another one.
    fn recall(&self, call: &Call, read: &Read<'_>) -> Option<Response<ResponseBody>> {
        let cache = read.cache.filter(|_| !wants_news(&call.head.headers))?;
        let memory = &self.book.inner().memory;
        let (answer, age) = memory.recall(&read.known.key, Instant::now(), cache)?;
        self.metrics.saved(call.record.method(), How::Remembered);
        let mut response = answer.for_others(MEMORY);
        response.headers_mut().insert(header::AGE, age.as_secs().into());
        Some(response)
    }

    /// An answer is remembered, if it may be.
    fn keep(&self, answer: &Answer, sent: Instant, call: &Call, read: &Read<'_>) {
        if let (Some(cache), Some(method)) = (read.cache, &call.method)
            && answer.says_ok() == Some(true)
        {
            let Known { key, arguments, .. } = &read.known;
            let of = (&method.name, arguments);
            self.book.inner().memory.keep(*key, (answer, sent), of, cache);
        }
    }

    /// What a read hears of what became of the call that it has waited for; nothing if it is to ask for itself.
    fn told(
        &self,
        outcome: Outcome<E>,
        part: Part,
        call: &Call,
    ) -> Option<Result<Response<ResponseBody>, E>> {
        match outcome {
            Outcome::Answer(answer) if part == Part::Leads => Some(Ok(answer.response())),
            // That something was wrong may be so of the words alone.
            Outcome::Answer(answer)
                if answer.says_ok().is_some_and(|ok| ok || part == Part::Same) =>
            {
                self.metrics.saved(call.record.method(), How::Shared);
                Some(Ok(answer.for_others(SHARED)))
            }
            Outcome::Only(slot) if part == Part::Leads => slot.take().map(Ok),
            Outcome::Failed(slot) if part == Part::Leads => slot.take().map(Err),
            _ => None,
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
