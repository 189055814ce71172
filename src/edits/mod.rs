//! Of edits of one thing that are held, only the newest is sent.
//!
//! With `edits: latest`, an edit is a [call for several](crate::joint). As long as it is held, a newer edit of
//! the same [thing] takes its place in the line: its text is sent, the older one's is not. All who wait for
//! the place get the answer to what was sent, those marked whose own text was not.
//!
//! - A newer edit replaces an older one only if nothing is lost by that, which [`Sets`] tell, and if no other
//!   call of the caller that changes the same thing came between them.
//! - Whoever leaves, or has no more time, takes nothing back: its text is the newest that anybody has sent, and
//!   goes as long as somebody waits.
//! - What becomes of the newest edit becomes of all, failures too: none of the older ones is sent after it.
//!
//! A call that is only watched, paused or switched off takes no part in it. One that has nothing to do with edits
//! costs a branch.

mod lines;
mod thing;

use std::sync::Arc;

use http::Response;
use slack::Edits as Sent;
use tokio::time::Instant;
use tower::Layer;

pub use self::lines::EditBook;
use self::{
    lines::Turn,
    thing::{Edit, Thing},
};
use crate::{
    call::{client_end::ClientEnded, response::ResponseBody},
    joint::{self, How, Joint, Outcome, SavedMetrics, Waited},
    queue::{Admission, QueueRequest, Shed},
    step::Step,
};

/// A failure that several callers hear of.
pub trait Again: Sized {
    /// The same, for one more of them.
    #[must_use]
    fn again(&self) -> Self;

    /// Whether the call was not sent because its time was up.
    fn was_late(&self) -> bool;

    /// The newest edit was sent, and what came of it cannot be told to all.
    fn not_told() -> Self;
}

/// Sends the newest of the edits that are held.
#[derive(Debug)]
pub struct EditsLayer<E> {
    known: Known<E>,
}

/// Sends the newest of the edits that are held.
#[derive(Debug)]
pub struct Edits<S, E> {
    inner: Arc<S>,
    known: Known<E>,
}

#[derive(Debug)]
struct Known<E> {
    book: EditBook<E>,
    admission: Admission,
    metrics: SavedMetrics,
}

/// Where an answer comes from that is to a newer edit.
const NEWER: &str = "newer_edit";

// === impl EditsLayer ===

impl<E> EditsLayer<E> {
    /// Knows edits by that book, and asks the queue whether they may be replaced.
    pub fn new(book: &EditBook<E>, admission: &Admission, metrics: &SavedMetrics) -> Self {
        let (book, admission, metrics) = (book.clone(), admission.clone(), metrics.clone());
        Self { known: Known { book, admission, metrics } }
    }
}

impl<S, E> Layer<S> for EditsLayer<E> {
    type Service = Edits<S, E>;

    fn layer(&self, inner: S) -> Edits<S, E> {
        Edits { inner: Arc::new(inner), known: self.known.clone() }
    }
}

impl<E> Clone for Known<E> {
    fn clone(&self) -> Self {
        let Self { book, admission, metrics } = self;
        let (book, admission, metrics) = (book.clone(), admission.clone(), metrics.clone());
        Self { book, admission, metrics }
    }
}

// === impl Edits ===

impl<S> Step<QueueRequest> for Edits<S, S::Error>
where
    S: Step<QueueRequest, Response = Response<ResponseBody>> + 'static,
    S::Error: Again + From<ClientEnded> + From<Shed> + Send + 'static,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;

    async fn call(&self, mut request: QueueRequest) -> Result<Response<ResponseBody>, S::Error> {
        let key = request.call.ordering_key.take();
        match key {
            Some(key) if request.call.saves.edits == Sent::Latest || self.known.book.is_used() => {
                // Boxed, because hardly any call needs it, and each would carry it about.
                Box::pin(self.edit(request, key)).await
            }
            _ => self.inner.call(request).await,
        }
    }
}

impl<S> Edits<S, S::Error>
where
    S: Step<QueueRequest, Response = Response<ResponseBody>> + 'static,
    S::Error: Again + From<ClientEnded> + From<Shed> + Send + 'static,
{
    async fn edit(
        &self,
        request: QueueRequest,
        key: String,
    ) -> Result<Response<ResponseBody>, S::Error> {
        let Known { book, admission, .. } = &self.known;
        let Some(thing) = Thing::of(&request.call, key) else {
            return self.inner.call(request).await;
        };
        let (call, since) = (&request.call, Instant::now());
        let edit = Edit::of(call).await.filter(|_| admission.may_join(&request));
        let (Some(edit), Some(method)) = (edit, &call.method) else {
            // It changes the same thing, and nothing that comes later may overtake it.
            book.close(&thing);
            return self.inner.call(request).await;
        };
        call.record.held_at_most(call.deadline.saturating_duration_since(call.arrived));
        let alone = || {
            let begin = Joint::of(&self.inner, &request)?;
            Some(book.begin(thing.clone(), &method.name, edit.clone(), begin))
        };
        let mut turn = if let Some(turn) = book.replace(&thing, call, &edit) {
            admission.raise(turn.joint.several(), call.class, call.deadline);
            turn
        } else if let Some(turn) = alone() {
            turn
        } else {
            book.close(&thing);
            return self.inner.call(request).await;
        };
        loop {
            let outcome = match turn.joint.clone().wait(call).await {
                Waited::Ended(outcome) => outcome,
                Waited::Left => return Err(ClientEnded.into()),
                Waited::Late => {
                    call.record.superseded(turn.superseded());
                    return Err(admission.late(turn.joint.several()).into());
                }
            };
            if turn.joined() {
                joint::tell_wait(turn.joint.several(), call, since);
            }
            let told = self.told(&request, &turn, outcome);
            let was_late = matches!(&told, Err(failure) if failure.was_late());
            let has_time =
                turn.joined() && turn.superseded() == 0 && Instant::now() < call.deadline;
            // The place was given up before it was known that this call has more time.
            if !was_late || !has_time || book.has(&thing) {
                return told;
            }
            match alone() {
                Some(own) => turn = own,
                None => return told,
            }
        }
    }

    /// What a call hears of what became of its place.
    fn told(
        &self,
        QueueRequest { call, .. }: &QueueRequest,
        turn: &Turn<S::Error>,
        outcome: Outcome<S::Error>,
    ) -> Result<Response<ResponseBody>, S::Error> {
        let by = turn.superseded();
        call.record.superseded(by);
        match outcome {
            Outcome::Answer(answer) if by == 0 => Ok(answer.response()),
            Outcome::Answer(answer) => {
                self.known.metrics.saved(call.record.method(), How::Superseded);
                Ok(answer.for_others(NEWER))
            }
            Outcome::Only(slot) if by == 0 => slot.take().ok_or_else(S::Error::not_told),
            Outcome::Failed(slot) => Err(slot.lend(|failure| {
                let again = failure.as_ref().map(S::Error::again);
                // The newest gets what came, and leaves a copy.
                let own = if by == 0 { failure.take() } else { None };
                *failure = failure.take().or_else(|| own.as_ref().map(S::Error::again));
                own.or(again).unwrap_or_else(S::Error::not_told)
            })),
            Outcome::Only(_) | Outcome::Panicked => Err(S::Error::not_told()),
        }
    }
}
