//! What is known of which token. Pure: time is an argument.

use std::{collections::HashMap, sync::Arc, time::Duration};

use config::IdentityRules;
use foldhash::fast::RandomState;
use lru::LruCache;
use slack::{Facts, Identity, TokenHash};
use tokio::time::Instant;

use super::Fact;

/// What is known of which token.
#[derive(Debug)]
pub(super) struct Book {
    /// The app of every token, where the operator says so.
    app: Option<Arc<str>>,
    configured: HashMap<TokenHash, Configured>,
    known: LruCache<TokenHash, Known, RandomState>,
    strangers: LruCache<TokenHash, Stranger, RandomState>,
    /// The app of a workspace's bot.
    bots: LruCache<(Arc<str>, Arc<str>), Arc<str>, RandomState>,
    /// What was learnt since it was last asked for.
    news: Vec<Learnt>,
    /// The tokens of people that have joined an app since.
    joined: Vec<(TokenHash, Arc<str>)>,
}

/// Something that was learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Learnt {
    /// All that is known of a token.
    Token(TokenHash, Facts),
    /// A workspace's bot is of that app.
    Bot {
        /// The workspace.
        workspace: Arc<str>,
        /// The bot.
        bot: Arc<str>,
        /// The app.
        app: Arc<str>,
    },
}

/// Whose a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whose {
    /// Whom its calls count for.
    pub identity: Arc<Identity>,
    /// Whether that is only its hash.
    pub stranger: bool,
    /// Whether to ask Slack.
    pub ask: bool,
}

/// Calls of one identity count for another from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// For whom they counted.
    pub from: Arc<Identity>,
    /// For whom they count.
    pub to: Arc<Identity>,
}

/// A token of which the operator told.
#[derive(Debug)]
struct Configured {
    identity: Arc<Identity>,
    /// Its bot is known, or Slack was asked.
    asked: bool,
}

#[derive(Debug)]
struct Known {
    facts: Facts,
    identity: Arc<Identity>,
}

#[derive(Debug)]
struct Stranger {
    identity: Arc<Identity>,
    seen: Instant,
    /// Until when Slack is not asked again.
    quiet_until: Option<Instant>,
}

/// So many tokens are known at once; of more, those that were used last.
const KNOWN: usize = 50_000;
/// So many unknown tokens have an identity of their own at once. Each makes buckets.
const STRANGERS: usize = 1024;
/// How long an unknown token keeps it: about as long as its buckets last.
const KEPT: Duration = Duration::from_secs(60);
/// So many identities are shared by all the unknown tokens beyond.
const CROWDS: usize = 16;

// === impl Book ===

impl Book {
    pub(super) fn new(rules: &IdentityRules) -> Self {
        let configured = rules.tokens.iter().map(|token| {
            let identity = Arc::new(Identity {
                app: Arc::clone(&token.app),
                workspace: Arc::clone(&token.workspace),
                org: Arc::clone(token.org.as_ref().unwrap_or(&token.workspace)),
                token: token.token.name(),
                org_wide: false,
            });
            (token.token, Configured { identity, asked: false })
        });
        Self {
            app: rules.app.clone(),
            configured: configured.collect(),
            known: LruCache::unbounded_with_hasher(RandomState::default()),
            strangers: LruCache::unbounded_with_hasher(RandomState::default()),
            bots: LruCache::unbounded_with_hasher(RandomState::default()),
            news: Vec::new(),
            joined: Vec::new(),
        }
    }

    /// Whose token it is.
    pub(super) fn whose(&mut self, now: Instant, token: &TokenHash) -> Whose {
        if let Some(Configured { identity, asked }) = self.configured.get(token) {
            return Whose { identity: Arc::clone(identity), stranger: false, ask: !asked };
        }
        if let Some(Known { identity, .. }) = self.known.get(token) {
            return Whose { identity: Arc::clone(identity), stranger: false, ask: false };
        }
        if let Some(stranger) = self.strangers.get_mut(token) {
            stranger.seen = now;
            let ask = stranger.quiet_until.is_none_or(|until| until <= now);
            return Whose { identity: Arc::clone(&stranger.identity), stranger: true, ask };
        }
        let identity = Arc::new(if self.has_room(now) {
            self.stranger(token.name())
        } else {
            let crowd = usize::from(token.as_bytes()[0]) % CROWDS;
            self.stranger(format!("tokens-{crowd}").into())
        });
        if identity.token == token.name() {
            let identity = Arc::clone(&identity);
            self.strangers.put(*token, Stranger { identity, seen: now, quiet_until: None });
        }
        Whose { identity, stranger: true, ask: true }
    }

    /// Whether one more unknown token may have an identity of its own.
    fn has_room(&mut self, now: Instant) -> bool {
        if self.strangers.len() < STRANGERS {
            return true;
        }
        let gone = self.strangers.peek_lru().is_some_and(|(_, oldest)| oldest.seen + KEPT <= now);
        if gone {
            self.strangers.pop_lru();
        }
        gone
    }

    fn stranger(&self, name: Arc<str>) -> Identity {
        let mut identity = Identity::only(name);
        if let Some(app) = &self.app {
            identity.app = Arc::clone(app);
        }
        identity
    }

    /// Slack is being asked, or did not tell: it is not asked again before `until`.
    pub(super) fn quiet(&mut self, token: &TokenHash, until: Instant) {
        if let Some(configured) = self.configured.get_mut(token) {
            configured.asked = true;
        } else if let Some(stranger) = self.strangers.peek_mut(token) {
            stranger.quiet_until = Some(until);
        }
    }

    /// Takes in what is told of a token. Tells whose calls count for somebody else now.
    pub(super) fn learn(&mut self, token: &TokenHash, told: Facts) -> Vec<Moved> {
        if let Some(configured) = self.configured.get_mut(token) {
            // The operator's word stands. It tells whose the bot is, and so its other tokens.
            configured.asked = true;
            let Identity { workspace, app, .. } = &*configured.identity;
            let (workspace, app) = (Arc::clone(workspace), Arc::clone(app));
            return match told.bot {
                Some(bot) => self.bot_is_of(workspace, bot, &app),
                None => Vec::new(),
            };
        }
        let before = self.known.peek(token);
        if before.is_some_and(|known| known.facts.clone().with(told.clone()) == known.facts) {
            return Vec::new();
        }
        let (from, facts) = match before {
            Some(Known { facts, identity }) => {
                (Some(Arc::clone(identity)), facts.clone().with(told))
            }
            None => (self.strangers.pop(token).map(|stranger| stranger.identity), told),
        };
        let identity = Arc::new(self.derive(token, &facts));
        let (workspace, bot, app) =
            (Arc::clone(&identity.workspace), facts.bot.clone(), facts.app.clone());
        if self.has_joined(&facts, &identity) {
            self.joined.push((*token, Arc::clone(&identity.app)));
        }
        self.remember(*token, Known { facts, identity: Arc::clone(&identity) });
        let mut moved: Vec<_> = from
            .filter(|from| *from != identity)
            .map(|from| Moved { from, to: identity })
            .into_iter()
            .collect();
        moved.extend(match (bot, app) {
            (Some(bot), Some(app)) => self.bot_is_of(workspace, bot, &app),
            _ => self.derive_anew(&workspace),
        });
        moved
    }

    /// The operator tells otherwise. What was learnt stays.
    pub(super) fn rules(&mut self, rules: &IdentityRules) -> Vec<Moved> {
        let of_all = self.app != rules.app;
        let Self { app, configured, .. } = Self::new(rules);
        let before = std::mem::replace(&mut self.configured, configured);
        self.app = app;
        let mut moved = Vec::new();
        let mut became = |from: &Arc<Identity>, to: &Arc<Identity>| {
            if from != to {
                moved.push(Moved { from: Arc::clone(from), to: Arc::clone(to) });
            }
        };
        for (token, Configured { identity, asked }) in &mut self.configured {
            let stranger = self.strangers.pop(token).map(|stranger| stranger.identity);
            let known = self.known.peek(token).map(|known| Arc::clone(&known.identity));
            let told = before.get(token);
            *asked = told.is_some_and(|told| told.asked);
            let from = told.map(|told| Arc::clone(&told.identity)).or(known).or(stranger);
            if let Some(from) = from {
                became(&from, identity);
            }
        }
        if of_all {
            let tokens: Vec<_> = self.known.iter().map(|(token, _)| *token).collect();
            for token in tokens {
                let Some(facts) = self.known.peek(&token).map(|known| known.facts.clone()) else {
                    continue;
                };
                let to = Arc::new(self.derive(&token, &facts));
                let Some(known) = self.known.peek_mut(&token) else { continue };
                became(&std::mem::replace(&mut known.identity, Arc::clone(&to)), &to);
            }
            // Those of whom nothing is known are new.
            self.strangers.clear();
        }
        moved
    }

    /// Whether a person's token counts for an app because no other is known in its workspace.
    fn has_joined(&self, facts: &Facts, identity: &Identity) -> bool {
        let is_person = facts.bot.is_none() && facts.app.is_none();
        is_person && self.app.is_none() && identity.known_app().is_some()
    }

    /// A person's token counts for that app: others say so, who knew it first.
    pub(super) fn join(&mut self, token: &TokenHash, app: &Arc<str>) -> Vec<Moved> {
        let Some(Known { facts, identity }) = self.known.peek(token) else { return Vec::new() };
        let bot = (Arc::clone(&identity.workspace), Arc::clone(app));
        let app = self.bots.peek(&bot).unwrap_or(app);
        let to = Arc::new(Identity { app: Arc::clone(app), ..(**identity).clone() });
        if identity.app == to.app || !self.has_joined(facts, &to) {
            return Vec::new();
        }
        let Some(known) = self.known.peek_mut(token) else { return Vec::new() };
        let from = std::mem::replace(&mut known.identity, Arc::clone(&to));
        vec![Moved { from, to }]
    }

    /// The tokens that have joined an app since the last time.
    pub(super) fn joined(&mut self) -> Vec<Fact> {
        let joined = std::mem::take(&mut self.joined).into_iter();
        joined.map(|(token, app)| Fact::Joined { token, app }).collect()
    }

    /// Whether a token has been used lately, or is known.
    pub(super) fn has_seen(&self, token: &TokenHash) -> bool {
        self.known.contains(token) || self.strangers.contains(token)
    }

    /// What was learnt since the last time.
    pub(super) fn news(&mut self) -> Vec<Learnt> {
        std::mem::take(&mut self.news)
    }

    /// Takes in what was learnt before.
    pub(super) fn restore(&mut self, learnt: Learnt) -> Vec<Moved> {
        match learnt {
            Learnt::Token(token, facts) => self.learn(&token, facts),
            Learnt::Bot { workspace, bot, app } => self.bot_is_of(workspace, bot, &app),
        }
    }

    fn remember(&mut self, token: TokenHash, known: Known) {
        self.news.push(Learnt::Token(token, known.facts.clone()));
        if self.known.len() >= KNOWN && !self.known.contains(&token) {
            self.known.pop_lru();
        }
        self.known.put(token, known);
    }

    /// A workspace's bot is of that app.
    pub(super) fn bot_is_of(
        &mut self,
        workspace: Arc<str>,
        bot: Arc<str>,
        app: &Arc<str>,
    ) -> Vec<Moved> {
        if self.bots.len() >= KNOWN {
            self.bots.pop_lru();
        }
        let name = (Arc::clone(&workspace), Arc::clone(&bot));
        if self.bots.put(name, Arc::clone(app)).as_ref() == Some(app) {
            return Vec::new();
        }
        let moved = self.derive_anew(&workspace);
        self.news.push(Learnt::Bot { workspace, bot, app: Arc::clone(app) });
        moved
    }

    /// For whom the calls of a token count, if that is known.
    pub(super) fn identity(&self, token: &TokenHash) -> Option<&Identity> {
        let known = self.known.peek(token).map(|known| &*known.identity);
        known.or_else(|| Some(&*self.configured.get(token)?.identity))
    }

    /// Whose a token with these facts is.
    fn derive(&self, token: &TokenHash, facts: &Facts) -> Identity {
        let name = token.name();
        // A token of a whole app has no workspace, and all such tokens of it count together.
        let no_workspace = facts.app.as_ref().unwrap_or(&name);
        let org = facts.org.as_ref().or(facts.workspace.as_ref()).unwrap_or(no_workspace);
        let workspace = facts.workspace.as_ref().unwrap_or(org);
        let by_bot = facts.bot.as_ref().map(|bot| {
            let key = (Arc::clone(workspace), Arc::clone(bot));
            Arc::clone(self.bots.peek(&key).unwrap_or(bot))
        });
        let app = self.app.clone().or_else(|| facts.app.clone()).or(by_bot);
        Identity {
            app: app.or_else(|| self.only_app(workspace)).unwrap_or_else(|| Arc::clone(&name)),
            workspace: Arc::clone(workspace),
            org: Arc::clone(org),
            token: name,
            org_wide: facts.org_wide,
        }
    }

    /// The app of the workspace, if only one is known.
    fn only_app(&self, workspace: &Arc<str>) -> Option<Arc<str>> {
        let known = self.known.iter().map(|(_, known)| known);
        let known = known.filter(|known| known.facts.bot.is_some() || known.facts.app.is_some());
        let configured = self.configured.values().map(|configured| &configured.identity);
        let mut apps = known
            .map(|known| &known.identity)
            .chain(configured)
            .filter(|identity| identity.workspace == *workspace)
            .map(|identity| &identity.app);
        let first = apps.next()?;
        apps.all(|app| app == first).then(|| Arc::clone(first))
    }

    /// Something of a workspace is new: whose its tokens are may be, too.
    fn derive_anew(&mut self, workspace: &Arc<str>) -> Vec<Moved> {
        // Bots first: a person's token that has joined an app stays there, whoever comes, and goes
        // along when the app gets its name.
        let mut tokens: Vec<_> = self
            .known
            .iter()
            .filter(|(_, known)| known.identity.workspace == *workspace)
            .map(|(token, known)| (known.facts.bot.is_none(), *token))
            .collect();
        tokens.sort_unstable_by_key(|(person, _)| *person);
        let mut moved = Vec::new();
        for (_, token) in tokens {
            let Some(known) = self.known.peek(&token) else { continue };
            let Known { facts, identity } = known;
            let joined =
                facts.bot.is_none() && facts.app.is_none() && identity.known_app().is_some();
            let to = if joined {
                let renamed = moved.iter().find(|moved: &&Moved| moved.from.app == identity.app);
                let Some(Moved { to, .. }) = renamed else { continue };
                Arc::new(Identity { app: Arc::clone(&to.app), ..(**identity).clone() })
            } else {
                Arc::new(self.derive(&token, facts))
            };
            let joins = !joined && self.has_joined(facts, &to);
            let Some(known) = self.known.peek_mut(&token) else { continue };
            if known.identity == to {
                continue;
            }
            if joins {
                self.joined.push((token, Arc::clone(&to.app)));
            }
            let from = std::mem::replace(&mut known.identity, Arc::clone(&to));
            moved.push(Moved { from, to });
        }
        moved
    }
}

#[cfg(test)]
mod tests;
