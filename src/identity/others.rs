//! What other replicas know of tokens: before Slack is asked of one, they are.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use slack::TokenHash;
use tokio::{
    sync::{Notify, oneshot},
    time::timeout,
};

use super::Learnt;

/// The others. Clones ask the same ones.
#[derive(Clone, Debug, Default)]
pub struct Others {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    /// There is something to ask or to tell.
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Whether they are heard.
    heard: bool,
    questions: Vec<Question>,
    learnt: Vec<Fact>,
    /// Of which tokens another one asks Slack, and who waits for that.
    waited: HashMap<TokenHash, Arc<Notify>>,
}

/// What is told to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// That was learnt of Slack.
    Learnt(Learnt),
    /// A person's token counts for that app, because no other was known in its workspace. It depends on
    /// who is asked when; the first one who says so is right.
    Joined {
        /// Which.
        token: TokenHash,
        /// The app.
        app: Arc<str>,
    },
}

/// What do they know of a token?
#[derive(Debug)]
pub struct Question {
    /// By its hash.
    pub token: TokenHash,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Heard>,
}

/// What others say to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Whose it is; it is known here, too, by now.
    Known,
    /// Nothing: Slack is to be asked.
    Ask,
    /// One of them asks Slack.
    Wait,
}

/// How long they may take to answer. Calls wait for it, as for Slack's answer.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long Slack's answer to another one may take.
const ANOTHER: Duration = Duration::from_millis(600);
/// So much waits to be asked, and to be told, at most.
const MOST: usize = 1024;

// === impl Others ===

impl Others {
    /// Whether it is known whose a token is because others know it. Else Slack is to be asked.
    pub async fn know(&self, token: &TokenHash) -> bool {
        let (answer, heard) = oneshot::channel();
        let another = {
            let mut state = self.lock();
            if !state.heard || state.questions.len() >= MOST {
                return false;
            }
            state.questions.push(Question { token: *token, answer });
            // From now on: it may be told before the answer is here.
            Arc::clone(state.waited.entry(*token).or_default())
        };
        let told = another.notified();
        tokio::pin!(told);
        told.as_mut().enable();
        self.inner.news.notify_one();
        let known = match timeout(PATIENCE, heard).await {
            Ok(Ok(Heard::Known)) => true,
            Ok(Ok(Heard::Wait)) => timeout(ANOTHER, told).await.is_ok(),
            Ok(Ok(Heard::Ask) | Err(_)) | Err(_) => false,
        };
        let mut state = self.lock();
        if state.waited.get(token).is_some_and(|waited| Arc::strong_count(waited) <= 2) {
            state.waited.remove(token);
        }
        known
    }

    /// What was learnt here is told to them.
    pub fn tell(&self, learnt: &[Fact]) {
        let mut state = self.lock();
        let room = MOST.saturating_sub(state.learnt.len());
        state.learnt.extend(learnt.iter().take(room).cloned());
        drop(state);
        if !learnt.is_empty() {
            self.inner.news.notify_one();
        }
    }

    /// Resolves when there is something to ask or to tell.
    pub async fn has_news(&self) {
        self.inner.news.notified().await;
    }

    /// What there is to ask and to tell.
    pub fn news(&self) -> (Vec<Question>, Vec<Fact>) {
        let mut state = self.lock();
        state.heard = true;
        (std::mem::take(&mut state.questions), std::mem::take(&mut state.learnt))
    }

    /// They are not heard: nothing is asked, and what could not be told is kept.
    pub fn are_silent(&self, mut learnt: Vec<Fact>) {
        let mut state = self.lock();
        (state.heard, state.questions) = (false, Vec::new());
        learnt.append(&mut state.learnt);
        learnt.truncate(MOST);
        state.learnt = learnt;
    }

    /// It is known by now whose that token is: another one has told.
    pub fn have_told(&self, token: &TokenHash) {
        if let Some(waited) = self.lock().waited.get(token) {
            waited.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
