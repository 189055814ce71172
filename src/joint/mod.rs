//! One call for several clients, of whom none owns it.
//!
//! A [`Joint`] is a call on its way, and clones of it are waited for by its clients. It goes on as long as
//! somebody waits. When the last one leaves, it leaves the queue and costs no slot; if it was sent by then, its
//! exchange goes on by itself, as that of any call. While it is held it is as urgent as the most urgent of its
//! clients, and may be held as long as the most patient waits; one who waits shorter leaves it in time.
//!
//! What comes of it is for all: an answer that is small is read to its end and given to each. What cannot be
//! given twice, a failure or a large answer, is for the first who takes it. Who may take it, and what the others
//! do, is for those to say who share calls.

mod answer;
mod hash;
mod metrics;

use std::{
    fmt,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use futures_util::{
    FutureExt,
    future::{Shared, WeakShared},
};
use http::Response;
use tokio::time::{Instant, sleep_until};

pub use self::{
    answer::Answer,
    hash::{Hash, Hashing},
    metrics::{How, SavedMetrics},
};
use crate::{
    call::{
        Call,
        response::ResponseBody,
        several::Several,
        trace::{Met, WaitedFor},
    },
    queue::{Attempt, QueueRequest},
    step::Step,
};

/// One call for several clients. Each holds a clone; it goes on as long as there is one.
pub struct Joint<E> {
    running: Shared<Running<E>>,
    several: Arc<Several>,
}

/// The same, as those know it who keep it for others to join: it does not go on for their sake.
pub struct WeakJoint<E> {
    running: WeakShared<Running<E>>,
    several: Weak<Several>,
}

/// What came of a call that several waited for.
#[derive(Debug)]
pub enum Outcome<E> {
    /// An answer, for all of them.
    Answer(Arc<Answer>),
    /// An answer that is too large to be kept, or that broke off, for one of them.
    Only(Slot<Response<ResponseBody>>),
    /// No answer, for one of them. It may have been sent.
    Failed(Slot<E>),
    /// A bug ended it. It may have been sent.
    Panicked,
}

/// What only one can have: the first who takes it.
#[derive(Debug)]
pub struct Slot<T>(Arc<Mutex<Option<T>>>);

/// How a client's wait ended.
#[derive(Debug)]
pub enum Waited<E> {
    /// With the call.
    Ended(Outcome<E>),
    /// Its time is up, and the call is held, because others have more.
    Late,
    /// The client has ended its side of the connection, and the call is held.
    Left,
}

type Running<E> = Pin<Box<dyn Future<Output = Outcome<E>> + Send>>;

/// A client that joined a call has waited for it since then: for its slot, and not for its answer.
pub fn tell_wait(several: &Several, call: &Call, since: Instant) {
    let now = Instant::now().max(since);
    let to = several.under_way().unwrap_or(now).clamp(since, now);
    call.record.waited(to.duration_since(since));
    call.record.met(|| Met::Wait { from: since, to, what: WaitedFor::Joint, bucket: None });
}

// === impl Joint ===

impl<E: Send + 'static> Joint<E> {
    /// A call for several that says what `request` does, and which nobody waits for yet: it is made with a guard,
    /// which is dropped when it has ended, before anybody hears of it, or when all have left. None if it cannot be
    /// sent twice.
    pub fn of<'s, S>(
        below: &'s Arc<S>,
        request: &QueueRequest,
    ) -> Option<impl FnOnce(Box<dyn Send>) -> Self + use<'s, S, E>>
    where
        S: Step<QueueRequest, Response = Response<ResponseBody>, Error = E> + 'static,
    {
        let QueueRequest { call, attempt: Attempt::First(buckets), .. } = request else {
            return None;
        };
        let several = Arc::new(Several::new(call.class, call.deadline));
        let call = Box::new(call.for_several(&several)?);
        let attempt = Attempt::First(buckets.clone());
        let request = QueueRequest { call, attempt, refusal: None };
        Some(|guard| Self::begin(below, request, several, guard))
    }

    fn begin<S>(
        below: &Arc<S>,
        request: QueueRequest,
        several: Arc<Several>,
        guard: Box<dyn Send>,
    ) -> Self
    where
        S: Step<QueueRequest, Response = Response<ResponseBody>, Error = E> + 'static,
    {
        let below = Arc::clone(below);
        let account = request.call.body.beside();
        let run = async move {
            let outcome = match (below.call(request).await, account) {
                (Ok(response), Some(account)) => match Answer::read(response, account).await {
                    Ok(answer) => Outcome::Answer(Arc::new(answer)),
                    Err(response) => Outcome::Only(Slot::of(*response)),
                },
                // What streams is made by nobody.
                (Ok(response), None) => Outcome::Only(Slot::of(response)),
                (Err(failure), _) => Outcome::Failed(Slot::of(failure)),
            };
            drop(guard);
            outcome
        };
        // A bug in one call costs that call, and not those that wait for it.
        let run = AssertUnwindSafe(run).catch_unwind();
        let run: Running<E> = Box::pin(run.map(|ended| ended.unwrap_or(Outcome::Panicked)));
        Self { running: run.shared(), several }
    }

    /// What its clients have in common.
    pub fn several(&self) -> &Arc<Several> {
        &self.several
    }

    /// For those who keep it for others to join; none if it has ended.
    pub fn downgrade(&self) -> Option<WeakJoint<E>> {
        let several = Arc::downgrade(&self.several);
        Some(WeakJoint { running: self.running.downgrade()?, several })
    }

    /// Waits for what comes of it, as long as the client of `call` does, which stays out of the queue
    /// meanwhile. Dropping the future, and all clones, leaves it.
    pub async fn wait(mut self, call: &Call) -> Waited<E> {
        let mut time_is_up = std::pin::pin!(sleep_until(call.deadline));
        let (mut is_late, mut has_left) = (false, false);
        let several = Arc::clone(&self.several);
        loop {
            tokio::select! {
                biased;
                outcome = &mut self.running => return Waited::Ended(outcome),
                () = call.client_end.comes(), if !has_left => has_left = true,
                () = &mut time_is_up, if !is_late => is_late = true,
                () = several.held(), if has_left => return Waited::Left,
                // If nobody has more time, the queue ends it.
                () = several.held_beyond(call.deadline), if is_late => return Waited::Late,
            }
        }
    }
}

impl<E> Clone for Joint<E> {
    fn clone(&self) -> Self {
        Self { running: self.running.clone(), several: Arc::clone(&self.several) }
    }
}

impl<E> fmt::Debug for Joint<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joint").field("several", &self.several).finish_non_exhaustive()
    }
}

// === impl WeakJoint ===

impl<E> WeakJoint<E> {
    /// The call, if somebody waits for it. It is dropped outside of any lock that those take who end it: it may
    /// be the last one that waits.
    pub fn upgrade(&self) -> Option<Joint<E>> {
        Some(Joint { running: self.running.upgrade()?, several: self.several.upgrade()? })
    }

    /// What its clients have in common, if there are some.
    pub fn several(&self) -> Option<Arc<Several>> {
        self.several.upgrade()
    }
}

impl<E> Clone for WeakJoint<E> {
    fn clone(&self) -> Self {
        Self { running: self.running.clone(), several: Weak::clone(&self.several) }
    }
}

impl<E> fmt::Debug for WeakJoint<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakJoint").finish_non_exhaustive()
    }
}

// === impl Outcome ===

impl<E> Clone for Outcome<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Answer(answer) => Self::Answer(Arc::clone(answer)),
            Self::Only(slot) => Self::Only(slot.clone()),
            Self::Failed(slot) => Self::Failed(slot.clone()),
            Self::Panicked => Self::Panicked,
        }
    }
}

// === impl Slot ===

impl<T> Slot<T> {
    fn of(it: T) -> Self {
        Self(Arc::new(Mutex::new(Some(it))))
    }

    /// Looks at it, for as long as nobody has taken it.
    pub fn lend<R>(&self, look: impl FnOnce(&mut Option<T>) -> R) -> R {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// It, for the first who asks.
    pub fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
