//! What each replica tells of itself, for operators who ask at any of them.
//!
//! It is small, whatever a replica has to do: the sums, and the limits and methods where most is. It is
//! read only when somebody asks.

use std::{
    cmp::Reverse,
    fs,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use slack::instead_of_token;
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, timeout},
};

use crate::queue::Admission;

/// Who asks of the fleet. Clones ask together.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    asks: Mutex<Vec<oneshot::Sender<Vec<Member>>>>,
    asked: Notify,
}

/// A replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// By which the others know it: another one with each process.
    pub id: String,
    /// How long ago it told that, in milliseconds.
    pub told_ms_ago: u64,
    /// What it told.
    #[serde(flatten)]
    pub tells: Tells,
}

/// What a replica tells of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tells {
    /// The name of its machine or pod.
    pub name: String,
    /// Its version.
    pub version: String,
    /// For how long it has run, in milliseconds.
    pub up_ms: u64,
    /// How many slots it holds, of all shared limits.
    pub held: u64,
    /// How many calls wait at it.
    pub waiting: u64,
    /// Of which limits it holds most.
    pub holds: Vec<(String, u64)>,
    /// Calls of which methods wait, most of them first.
    pub waits: Vec<(String, u64)>,
}

/// This replica.
#[derive(Debug)]
pub(super) struct Own {
    name: String,
    since: Instant,
}

/// So many limits and methods a replica tells of.
const MOST: usize = 10;
/// The longest that it tells, in bytes.
const LONGEST: usize = 4096;
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// So many may ask at once.
const ASKS: usize = 64;

// === impl Fleet ===

impl Fleet {
    /// What all tell of themselves; nothing if the store does not answer.
    pub async fn ask(&self) -> Option<Vec<Member>> {
        let (answer, told) = oneshot::channel();
        {
            let mut asks = self.lock();
            asks.retain(|ask| !ask.is_closed());
            if asks.len() >= ASKS {
                return None;
            }
            asks.push(answer);
        }
        self.inner.asked.notify_one();
        timeout(PATIENCE, told).await.ok()?.ok()
    }

    /// Resolves when somebody has asked.
    pub(super) async fn asked(&self) {
        self.inner.asked.notified().await;
    }

    pub(super) fn is_asked(&self) -> bool {
        self.lock().iter().any(|ask| !ask.is_closed())
    }

    /// All that asked are told.
    pub(super) fn hears(&self, mut members: Vec<Member>) {
        members
            .sort_by(|one, other| (&one.tells.name, &one.id).cmp(&(&other.tells.name, &other.id)));
        for ask in self.lock().drain(..) {
            // Whoever is gone needs no answer.
            let _ = ask.send(members.clone());
        }
    }

    /// Nobody answers.
    pub(super) fn is_alone(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<oneshot::Sender<Vec<Member>>>> {
        self.inner.asks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Member ===

impl Member {
    /// What the store has of a replica. What another version tells otherwise is left out.
    pub(super) fn of(id: &str, ms: &str, text: &str) -> Option<Self> {
        let (id, told_ms_ago) = (id.to_owned(), ms.parse().ok()?);
        Some(Self { id, told_ms_ago, tells: serde_json::from_str(text).ok()? })
    }
}

// === impl Own ===

impl Own {
    pub(super) fn new(since: Instant) -> Self {
        let name = fs::read_to_string("/proc/sys/kernel/hostname");
        let name = name.unwrap_or_default().trim().chars().take(64).collect::<String>();
        let name = if instead_of_token(&name).is_some() { String::new() } else { name };
        Self { name, since }
    }

    /// What it tells of itself now.
    pub(super) fn tell(&self, admission: &Admission, now: Instant) -> String {
        let (held, holds) = admission.most_held_on_lease(MOST);
        let waiting = admission.held_by_method();
        let holds = holds.into_iter().map(|(key, held)| (key.to_string(), held.into()));
        let waits = waiting.iter().map(|(method, depth)| (method.to_string(), *depth));
        let mut tells = Tells {
            name: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            up_ms: u64::try_from(now.duration_since(self.since).as_millis()).unwrap_or(u64::MAX),
            held,
            waiting: waiting.values().sum(),
            holds: holds.collect(),
            waits: most(waits),
        };
        let mut text = serde_json::to_string(&tells).unwrap_or_default();
        if text.len() > LONGEST {
            (tells.holds, tells.waits) = (Vec::new(), Vec::new());
            text = serde_json::to_string(&tells).unwrap_or_default();
        }
        text
    }
}

/// Those of which there is most.
fn most(all: impl Iterator<Item = (String, u64)>) -> Vec<(String, u64)> {
    let mut all: Vec<_> = all.collect();
    all.sort_by(|one, other| (Reverse(one.1), &one.0).cmp(&(Reverse(other.1), &other.0)));
    all.truncate(MOST);
    all
}
