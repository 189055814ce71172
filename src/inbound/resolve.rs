//! Asks Slack whose a token is, by an `auth.test` of the proxy's own.
//!
//! It asks as the call would that brought the token: of the same upstream, with the call's headers,
//! and with the token where the call has it. A token of a browser is one only with its cookie, an
//! upstream may want a header of its own, and some of Slack's checks compare the User-Agent. Of a
//! token that cannot be told of, nothing is asked.
//!
//! The first calls of an unknown token wait for the answer, a second at most; then they count by
//! the token's hash, and are moved when the answer is here. The question is a call like others:
//! it waits for its limits, and a pause that Slack asks for holds it, too. So that made-up tokens
//! make no flood of questions, four are on the way at once, ten go in a second, and what Slack said
//! no to is not asked again for a minute.

mod brought;

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use config::{CallerName, Config, Upstream};
use http::Response;
use http_body_util::{BodyExt, Limited};
use limits::{Class, Weight};
use scheduler::{CallerId, PlaceId};
use slack::{
    Identity, Kind, TokenHash,
    buckets::{self, Dimensions},
};
use tokio::{
    sync::{Notify, Semaphore},
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tokio_util::task::TaskTracker;

pub use self::brought::Brought;
use crate::{
    call::{
        Call, Saves,
        body::{Body, Memory},
        client_end::ClientEnd,
        record::Record,
        response::ResponseBody,
    },
    identity::{Identities, Whose},
    queue::{Attempt, QueueRequest},
    step::Step,
};

/// Asks Slack whose a token is.
#[derive(Debug)]
pub struct IdentityResolver<S> {
    questions: Arc<Questions<S>>,
    tasks: TaskTracker,
}

/// What the questions share.
#[derive(Debug)]
struct Questions<S> {
    way: Arc<S>,
    config: Arc<Config>,
    identities: Identities,
    memory: Memory,
    caller: CallerName,
    turns: Semaphore,
    open: Mutex<Open>,
}

/// The questions that are open.
#[derive(Debug)]
struct Open {
    by_token: HashMap<TokenHash, Question>,
    /// When the next one may go.
    next: Instant,
}

/// An open question.
#[derive(Clone, Debug)]
enum Question {
    /// Calls wait for the answer. All are told at once, in the order in which they came: a call's
    /// own timer would let those of one instant pass in any order, and posts have one.
    Waited(Arc<Notify>),
    /// They wait no longer.
    Late,
}

/// The method that tells.
pub(super) const METHOD: &str = "auth.test";
/// How long calls wait for the answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the question itself may take.
const TAKES: Duration = Duration::from_secs(10);
/// So many questions are on the way at once.
const AT_ONCE: usize = 4;
/// And one goes in that time, after the first four.
const PACE: Duration = Duration::from_millis(100);
/// So many questions are open; for more tokens Slack is not asked now.
const OPEN: usize = 64;
/// When Slack said no, it is not asked again so soon.
const AFTER_NO: Duration = Duration::from_secs(60);
/// Nor when it did not answer.
const AFTER_SILENCE: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const ANSWER: usize = 16 << 10;

// === impl IdentityResolver ===

impl<S> IdentityResolver<S>
where
    S: Step<QueueRequest, Response = Response<ResponseBody>> + 'static,
{
    /// Asks by the way that the callers' calls take. Questions that outlive their call are tracked
    /// by `tasks`.
    pub fn new(
        way: &Arc<S>,
        config: &Arc<Config>,
        identities: &Identities,
        memory: &Memory,
        tasks: &TaskTracker,
    ) -> Self {
        let questions = Questions {
            way: Arc::clone(way),
            config: Arc::clone(config),
            identities: identities.clone(),
            memory: memory.clone(),
            caller: CallerName::of_the_proxy(),
            turns: Semaphore::new(AT_ONCE),
            open: Mutex::new(Open { by_token: HashMap::new(), next: Instant::now() }),
        };
        Self { questions: Arc::new(questions), tasks: tasks.clone() }
    }

    /// Whose a token is of which so much is known; waits until `deadline` at most.
    ///
    /// Dropping the future ends the wait, not the question.
    pub async fn ask(
        &self,
        known: Whose,
        brought: Brought<'_>,
        deadline: Instant,
    ) -> Arc<Identity> {
        let Questions { config, identities, .. } = &*self.questions;
        let Whose { identity, stranger, ask } = known;
        if !ask || !config.identity.resolve || !brought.can_be_told_of() {
            return identity;
        }
        let question = self.question(&identity, brought);
        let Some(Question::Waited(told)) = question.filter(|_| stranger) else { return identity };
        // Whose time is up goes as a stranger.
        let _ = timeout_at(deadline, told.notified()).await;
        identities.whose(Instant::now(), brought.hash).identity
    }

    /// The question for a token, asked if it is not yet, and if it may be.
    fn question(&self, known: &Identity, brought: Brought<'_>) -> Option<Question> {
        let hash = brought.hash;
        let now = Instant::now();
        let mut open = self.questions.open();
        let most = open.by_token.len() < OPEN;
        let turn = open.next.max(now);
        let entry = match open.by_token.entry(*hash) {
            Entry::Occupied(entry) => return Some(entry.get().clone()),
            Entry::Vacant(entry) => entry,
        };
        // The first four may go at once.
        let at = turn.checked_sub(PACE * 3).unwrap_or(now).max(now);
        // It has to come back in time, too.
        if !most || at > now + PATIENCE / 2 {
            return None;
        }
        let call = self.questions.call(known, brought)?;
        let told = Arc::new(Notify::new());
        let question = Question::Waited(Arc::clone(&told));
        entry.insert(question.clone());
        open.next = turn + PACE;
        let (questions, hash) = (Arc::clone(&self.questions), *hash);
        self.tasks.spawn(async move {
            let asking = async {
                // Another replica may know, or be asking.
                let others = questions.identities.others();
                let known = match others {
                    Some(others) => others.know(&hash).await,
                    None => false,
                };
                if !known {
                    sleep_until(at).await;
                    questions.ask(call, &hash).await;
                }
            };
            tokio::pin!(asking);
            if timeout_at(now + PATIENCE, &mut asking).await.is_err() {
                questions.open().by_token.insert(hash, Question::Late);
                told.notify_waiters();
                asking.await;
            }
            questions.open().by_token.remove(&hash);
            told.notify_waiters();
        });
        Some(question)
    }
}

// === impl Questions ===

impl<S> Questions<S> {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The question as a call of whom it is taken for so far; none if no upstream has Slack's Web API, or
    /// there is no memory for it.
    fn call(&self, identity: &Identity, brought: Brought<'_>) -> Option<QueueRequest> {
        let is_api = |upstream: &&Upstream| upstream.kind == Kind::WebApi;
        let upstream = match brought.upstream.kind {
            Kind::WebApi => Arc::clone(brought.upstream),
            _ => Arc::new(self.config.upstreams.iter().find(is_api)?.clone()),
        };
        let hash = brought.hash;
        let method = Arc::clone(self.config.catalogue.method(METHOD));
        let now = Instant::now();
        let buckets = buckets::of(
            &method,
            Dimensions {
                identity,
                method: METHOD,
                channel: None,
                user: None,
                url: None,
                ordering_key: None,
                caller: &self.caller,
            },
        );
        let call = Call {
            head: brought.head(&upstream)?,
            body: Body::of(brought.form(), &self.memory).ok()?,
            upstream,
            method: Some(method),
            token: Some(*hash),
            class: Class::Interactive,
            place: PlaceId::of(u64::from_ne_bytes(hash.as_bytes()[..8].try_into().ok()?)),
            caller_id: CallerId(0),
            weight: Weight::default(),
            max_depth: None,
            disabled: false,
            saves: Saves::default(),
            ordering_key: None,
            caller: self.caller.clone(),
            arrived: now,
            deadline: now + TAKES,
            client_end: ClientEnd::default(),
            // A question costs little: it is asked once.
            repeated: true,
            own_connection: false,
            again: Duration::ZERO,
            record: Arc::new(Record::default()),
            several: None,
        };
        Some(QueueRequest { call: Box::new(call), attempt: Attempt::First(buckets), refusal: None })
    }
}

impl<S> Questions<S>
where
    S: Step<QueueRequest, Response = Response<ResponseBody>>,
{
    /// What the answer tells is taken in on its way, as from every answer.
    async fn ask(&self, call: QueueRequest, token: &TokenHash) {
        let asking = async {
            // The semaphore is never closed.
            let _turn = self.turns.acquire().await.ok()?;
            let response = self.way.call(call).await.ok()?;
            let (parts, body) = response.into_parts();
            Limited::new(body, ANSWER).collect().await.ok()?;
            parts.status.is_success().then_some(())
        };
        let answered = matches!(timeout(TAKES, asking).await, Ok(Some(())));
        let pause = if answered { AFTER_NO } else { AFTER_SILENCE };
        self.identities.quiet(token, Instant::now() + pause);
    }
}
