//! Whose call it is: the app, the workspace and the organization behind a token.
//!
//! Limits count by app and workspace, never by a token's text, because tokens rotate and an app
//! has several. Who is behind a token is learnt, strongest first,
//!
//! - from the configuration;
//! - from [answers](slack::identity::read) that pass through: an installation, `auth.test`, `bots.info`;
//! - from an `auth.test` of the proxy's own, for which a token's first call waits a moment
//!   ([`ask`](crate::inbound::resolve)).
//!
//! Until then the token's hash stands for all of it. `auth.test` names no app, but a bot's token
//! has a `bot_id`, and an app has one bot in each workspace: the bot stands for the app until
//! `bots.info` or an installation tells which it is. A person's token has no bot; it joins the
//! workspace's app if only one is known there.
//!
//! What is learnt later than a token's first call makes two identities one: the calls of the one
//! have [moved](Moved) to the other, and with them the buckets in which they count.
//!
//! A token's text is never kept. Unknown tokens are many if somebody makes them up: 1,024 of them
//! have an identity of their own at a time, the others share sixteen.

mod book;
mod names;
mod others;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use config::IdentityRules;
use slack::{Called, Identity, TokenHash, Told};
use tokio::time::Instant;

use self::book::Book;
pub use self::{
    book::{Learnt, Moved, Whose},
    names::Names,
    others::{Fact, Heard, Others, Question},
};

/// What is known of which token. Clones share it.
#[derive(Clone, Debug)]
pub struct Identities {
    book: Arc<Mutex<Book>>,
    nobody: Arc<Identity>,
    names: Names,
    /// Other replicas, if what is learnt is shared with some.
    others: Arc<OnceLock<Others>>,
}

// === impl Identities ===

impl Identities {
    /// At first only what the operator told is known.
    pub fn new(rules: &IdentityRules) -> Self {
        Self {
            book: Arc::new(Mutex::new(Book::new(rules))),
            nobody: Arc::new(Identity::only("none".into())),
            names: Names::default(),
            others: Arc::default(),
        }
    }

    /// From now on others are asked and told.
    pub fn share(&self, others: Others) {
        // There are the same all the time.
        let _ = self.others.set(others);
    }

    /// The others that are asked and told, if there are some.
    pub fn others(&self) -> Option<&Others> {
        self.others.get()
    }

    /// Whether a token has been used here lately.
    pub fn has_seen(&self, token: &TokenHash) -> bool {
        self.lock().has_seen(token)
    }

    /// Takes in what others have learnt. The calls that count for somebody else now are to be moved, and
    /// what was learnt may be kept for later.
    #[must_use]
    pub fn hear(&self, fact: Fact) -> (Vec<Moved>, Vec<Learnt>) {
        let mut book = self.lock();
        let moved = match fact {
            Fact::Learnt(learnt) => book.restore(learnt),
            Fact::Joined { token, app } => book.join(&token, &app),
        };
        let (news, joined) = (book.news(), book.joined());
        drop(book);
        if let Some(others) = self.others.get() {
            others.tell(&joined);
        }
        (moved, news)
    }

    /// Whose call it is that has no token: all of these count for one app, `none`.
    pub fn nobody(&self) -> Arc<Identity> {
        Arc::clone(&self.nobody)
    }

    /// What people call workspaces and bots.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Whose token it is that has this hash.
    pub fn whose(&self, now: Instant, token: &TokenHash) -> Whose {
        self.lock().whose(now, token)
    }

    /// Slack is not asked again for this token before `until`.
    pub fn quiet(&self, token: &TokenHash, until: Instant) {
        self.lock().quiet(token, until);
    }

    /// Takes in what an answer to a call with that token tells. The calls that count for somebody
    /// else now are to be moved, and what was learnt may be kept for later.
    #[must_use]
    pub fn learn(&self, caller: Option<&TokenHash>, told: Told) -> (Vec<Moved>, Vec<Learnt>) {
        let mut book = self.lock();
        let moved = match (told, caller) {
            (Told::Caller(facts, names), Some(token)) => {
                let is_bot = facts.bot.is_some();
                let moved = book.learn(token, facts);
                if let Some(identity) = book.identity(token) {
                    self.call_by_name(identity, &names, is_bot);
                }
                moved
            }
            (Told::Tokens(tokens), _) => {
                tokens.into_iter().flat_map(|(token, facts)| book.learn(&token, facts)).collect()
            }
            (Told::Bot { bot, app }, Some(token)) => {
                match book.identity(token).map(|identity| Arc::clone(&identity.workspace)) {
                    Some(workspace) => book.bot_is_of(workspace, bot, &app),
                    None => Vec::new(),
                }
            }
            (Told::Caller(..) | Told::Bot { .. }, None) => Vec::new(),
        };
        for Moved { from, to } in moved.iter().filter(|moved| moved.from.app != moved.to.app) {
            self.names.moved(&from.app, &to.app);
        }
        let (news, joined) = (book.news(), book.joined());
        drop(book);
        if let Some(others) = self.others.get() {
            let learnt = news.iter().cloned().map(Fact::Learnt);
            others.tell(&learnt.chain(joined).collect::<Vec<_>>());
        }
        (moved, news)
    }

    fn call_by_name(&self, identity: &Identity, called: &Called, is_bot: bool) {
        let Called { workspace, user } = called;
        if let Some(name) = workspace {
            self.names.tell(&identity.workspace, name);
        }
        // A person is no app.
        if let Some(name) = user.as_ref().filter(|_| is_bot) {
            self.names.tell(&identity.app, name);
        }
    }

    /// The operator tells otherwise from now on. The calls that count for somebody else now are to be
    /// moved.
    #[must_use]
    pub fn rules(&self, rules: &IdentityRules) -> Vec<Moved> {
        self.lock().rules(rules)
    }

    /// Takes in what was learnt before. The calls that count for somebody else now are to be
    /// moved.
    #[must_use]
    pub fn restore(&self, learnt: impl Iterator<Item = Learnt>) -> Vec<Moved> {
        let mut book = self.lock();
        let moved = learnt.flat_map(|learnt| book.restore(learnt)).collect();
        let (news, joined) = (book.news(), book.joined());
        drop(book);
        if let Some(others) = self.others.get() {
            let learnt = news.into_iter().map(Fact::Learnt);
            others.tell(&learnt.chain(joined).collect::<Vec<_>>());
        }
        moved
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
