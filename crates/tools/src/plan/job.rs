//! What is planned: which calls, whose they are, how urgent, and how many of them are made at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU64,
    sync::Arc,
    time::Duration,
};

use config::{
    CallerName, Config,
    callers::{CallerHints, CallerTerms, Callers},
};
use limits::{BucketKey, Class, Dimension, Limit, Rule, Share};
use slack::{
    Edits, Identity, Kind, Method,
    buckets::{self, Dimensions},
};

use crate::drain::pace::Pace;

/// The calls that are planned, and how they are made.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// How many there are.
    pub(crate) count: u64,
    /// Their methods.
    pub(crate) methods: Vec<Planned>,
    /// What they name.
    pub(crate) calls: Calls,
    /// Whose they are, by workspace.
    pub(crate) identities: Vec<Identity>,
    /// How many are under way at once, those that wait included.
    pub(crate) at_once: usize,
    /// How long an answer takes.
    pub(crate) round_trip: Duration,
    /// At most so many calls in any such span, whatever Slack allows.
    pub(crate) cap: Option<(u32, Duration)>,
    /// The most that background calls take of a window.
    pub(crate) background: Share,
}

/// A method of the job, and how its calls are seen.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    /// As it is called.
    pub(crate) name: Arc<str>,
    /// What is known of it.
    pub(crate) entry: Arc<Method>,
    /// How many of the calls are of it.
    pub(crate) calls: u64,
    /// Who calls, and how urgent it is.
    pub(crate) terms: CallerTerms,
    /// Why no call of it would ever go.
    pub(crate) stuck: Option<String>,
}

/// What calls say of themselves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said<'s> {
    /// Who they are.
    pub(crate) caller: Option<&'s CallerName>,
    /// How urgent they are.
    pub(crate) class: Option<Class>,
    /// Which client sends them.
    pub(crate) user_agent: &'s str,
}

/// What the calls name.
#[derive(Clone, Debug)]
pub(crate) enum Calls {
    /// All of the first method: workspaces in turn, and in each so many channels in turn, or another
    /// one each time.
    Alike { workspaces: u32, channels: Option<NonZeroU64> },
    /// These. Of more than these are known, they come again.
    Listed(Vec<Ask>),
}

/// What one call names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// Which of the job's methods.
    pub(crate) method: usize,
    /// Which of its identities.
    pub(crate) workspace: usize,
    /// Which channel, or URL.
    pub(crate) channel: Option<u64>,
    /// Which user.
    pub(crate) user: Option<u64>,
}

// === impl Job ===

impl Job {
    /// What a call of that number names. None for a job without calls.
    pub(super) fn ask(&self, number: u64) -> Option<Ask> {
        match &self.calls {
            Calls::Alike { workspaces, channels } => {
                let workspaces = u64::from(*workspaces).max(1);
                let (turn, workspace) = (number / workspaces, number % workspaces);
                let channel = channels.map_or(turn, |channels| turn % channels);
                // Those of another workspace are others.
                let channel = channel.saturating_mul(workspaces).saturating_add(workspace);
                Some(Ask {
                    method: 0,
                    workspace: usize::try_from(workspace).unwrap_or(0),
                    channel: Some(channel),
                    user: Some(channel),
                })
            }
            Calls::Listed(asks) => {
                let at = number.checked_rem(u64::try_from(asks.len()).ok()?)?;
                asks.get(usize::try_from(at).ok()?).copied()
            }
        }
    }

    /// What a call counts against, as the proxy sees it; of that caller, or the job's own.
    pub(super) fn buckets(&self, ask: Ask, caller: Option<&str>) -> Vec<BucketKey> {
        let (Some(planned), Some(identity)) =
            (self.methods.get(ask.method), self.identities.get(ask.workspace))
        else {
            return Vec::new();
        };
        let [channel, user, url] = planned.values(ask);
        buckets::of(
            &planned.entry,
            Dimensions {
                identity,
                method: &planned.name,
                channel: channel.as_deref(),
                user: user.as_deref(),
                url: url.as_deref(),
                // Calls of a job are about different things, as a rule.
                ordering_key: None,
                caller: caller.unwrap_or(&planned.terms.caller),
            },
        )
    }

    /// The same call as Slack sees it.
    pub(super) fn call(&self, ask: Ask) -> Option<fake_slack::Call> {
        let (planned, identity) =
            (self.methods.get(ask.method)?, self.identities.get(ask.workspace)?);
        let [channel, user, url] = planned.values(ask).map(|value| value.map(Arc::from));
        let call = fake_slack::Call::new(&planned.name, &identity.app, &identity.workspace);
        Some(fake_slack::Call { channel, user, url, ..call })
    }

    /// The limits with a rate that its methods are under, each once.
    pub(super) fn limits(&self) -> Vec<&Arc<Limit>> {
        let all = self.methods.iter().flat_map(|planned| &planned.entry.limits);
        let mut seen = BTreeSet::new();
        all.filter(|limit| matches!(limit.rule, Rule::Rate(_)) && seen.insert(&limit.name))
            .collect()
    }

    /// How many calls each limit lets go at once, and how often, by its name, as far as it can be told
    /// beforehand.
    pub(super) fn lots(&self) -> BTreeMap<Arc<str>, (u64, Duration)> {
        let workspaces = u64::try_from(self.identities.len()).unwrap_or(1);
        let channels = match &self.calls {
            Calls::Alike { channels: Some(channels), .. } => Some(channels.get()),
            _ => None,
        };
        let lot = |limit: &Arc<Limit>| {
            let Rule::Rate(rate) = limit.rule else { return None };
            let mut lot = u64::from(rate.limit.get());
            let has = |by| limit.scope.contains(by);
            if has(Dimension::Workspace) || has(Dimension::Token) || has(Dimension::Org) {
                lot = lot.saturating_mul(workspaces);
            }
            if has(Dimension::Channel) || has(Dimension::User) || has(Dimension::Url) {
                lot = lot.saturating_mul(channels?);
            }
            Some((Arc::clone(&limit.name), (lot, rate.per)))
        };
        self.limits().into_iter().filter_map(lot).collect()
    }

    /// The cap, as it is kept.
    pub(super) fn pace(&self) -> Option<Pace> {
        self.cap.map(|(most, every)| Pace::new(most, every))
    }

    /// Where more calls are made at once than are held of their caller, a line for each. The plan
    /// holds them all.
    pub(super) fn crowded(&self) -> Vec<String> {
        let callers: BTreeMap<_, _> = self
            .methods
            .iter()
            .filter_map(|planned| Some((&planned.terms.caller, planned.terms.max_depth?)))
            .filter(|(_, most)| *most < self.at_once)
            .collect();
        let line = |(caller, most)| {
            format!(
                "of the caller {caller} at most {most} calls are held (max_depth), and {} are under way \
                 at once: the others are sent away and have to come back, which is not in this plan",
                self.at_once
            )
        };
        callers.into_iter().map(line).collect()
    }

    /// Leaves out the calls that would never go, and tells why, a line for each method.
    pub(super) fn leave_out(&mut self) -> Vec<String> {
        let mut why = Vec::new();
        for planned in self.methods.iter().filter(|planned| planned.stuck.is_some()) {
            self.count -= planned.calls.min(self.count);
            why.extend(planned.stuck.clone());
        }
        if let Calls::Listed(asks) = &mut self.calls {
            let goes =
                |ask: &Ask| self.methods.get(ask.method).is_some_and(|it| it.stuck.is_none());
            asks.retain(goes);
        }
        why
    }
}

// === impl Planned ===

impl Planned {
    /// A method by its name, as a proxy with that configuration sees calls that say this.
    pub(crate) fn new(name: &str, calls: u64, said: Said<'_>, config: &Config) -> Self {
        let entry = Arc::clone(config.catalogue.entry(name));
        let may_raise = config.trust_callers.may_raise(config.listen.ip());
        let hints = CallerHints {
            proved: None,
            caller: said.caller,
            class: said.class,
            user_agent: said.user_agent,
            token: None,
            app: None,
        };
        let terms = Callers::new(&config.callers, may_raise).of(hints, Some(&entry));
        let what =
            if entry.enabled { format!("the caller {}", terms.caller) } else { name.to_owned() };
        let stuck = terms.disabled.then(|| {
            format!(
                "{name} never goes: {what} is switched off in the configuration (enabled: false)"
            )
        });
        Self { name: name.into(), entry, calls, terms, stuck }
    }

    /// That some of its calls may not have to be sent, which depends on what they say. A plan counts all.
    pub(crate) fn saves(&self, config: &Config) -> Option<String> {
        let Self { name, entry, terms, .. } = self;
        let shared = entry.reads && terms.share_reads.unwrap_or(config.reads.share);
        let cache = config.reads.cache.as_ref();
        let cached = cache.is_some_and(|cache| cache.methods.contains(&entry.name));
        let replaced =
            entry.saves.replaces.is_some() && terms.edits.unwrap_or(config.edits) == Edits::Latest;
        (shared || cached || replaced).then(|| {
            let what = if replaced { "replaced edits" } else { "equal reads" };
            format!(
                "the plan takes every call of {name} as sent: it does not know of {what}, which need no slot"
            )
        })
    }

    /// The channel, the user and the URL that a call names, where the method has such.
    fn values(&self, ask: Ask) -> [Option<String>; 3] {
        let named = |has: bool, what: &str, number: Option<u64>| {
            number.filter(|_| has).map(|number| format!("{what}-{number}"))
        };
        let Method { kind, channel_arg, user_arg, .. } = &*self.entry;
        [
            named(channel_arg.is_some(), "channel", ask.channel),
            named(user_arg.is_some(), "user", ask.user),
            named(*kind != Kind::WebApi, "url", ask.channel),
        ]
    }
}
