//! What the calls of a queue have in common, and what keeps them waiting.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use limits::{AgeFrom, BucketKey, Dimension, Limit, Rate, Rule, Scope, Weight};
use slackwater_scheduler::{Caller, CallerId};

/// A shape of queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One bucket, one caller.
    OneCaller,
    /// One bucket, a thousand callers.
    ThousandCallers,
    /// Ten thousand channels below one workspace.
    Channels,
    /// `conversations.list` and its like, of a thousand workspaces with ten callers each.
    TierTwo,
    /// `chat.postMessage` of a hundred workspaces with a hundred channels each.
    Post,
    /// Half a million workspaces, so that a million buckets are alive.
    MillionBuckets,
}

/// A kind of call: what it counts against, and who sends it.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub(crate) buckets: Vec<BucketKey>,
    pub(crate) caller: Caller,
}

/// The calls of a shape.
#[derive(Debug)]
pub(crate) struct Calls {
    /// Those that are held, in turn.
    pub(crate) kinds: Vec<Kind>,
    /// What takes the slots for which they wait.
    pub(crate) fillers: Vec<Kind>,
    /// How many slots each filler has to take.
    pub(crate) quota: u32,
    /// Those that find room, in turn.
    pub(crate) spares: Vec<Kind>,
}

/// The period of every limit that keeps calls waiting.
pub(crate) const PERIOD: Duration = Duration::from_secs(60);

/// How many workspaces there are with room.
const SPARES: usize = 1_000;

/// The limits of all shapes.
struct Limits {
    posts_per_channel: Arc<Limit>,
    posts_per_workspace: Arc<Limit>,
    in_order: Arc<Limit>,
    whole_workspace: Arc<Limit>,
    whole_app: Arc<Limit>,
    tier2: Arc<Limit>,
    once: Arc<Limit>,
}

// === impl Shape ===

impl Shape {
    pub(crate) const ALL: [Self; 6] = [
        Self::OneCaller,
        Self::ThousandCallers,
        Self::Channels,
        Self::TierTwo,
        Self::Post,
        Self::MillionBuckets,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::OneCaller => "one_caller",
            Self::ThousandCallers => "thousand_callers",
            Self::Channels => "channels",
            Self::TierTwo => "tier2",
            Self::Post => "post",
            Self::MillionBuckets => "million_buckets",
        }
    }

    /// The shortest queue in which it is what it is.
    pub(crate) const fn least(self) -> usize {
        match self {
            Self::MillionBuckets => 1_000_000,
            _ => 1_000,
        }
    }

    /// Its calls, in as few workspaces that each has a queue.
    pub(crate) fn calls(self, held: usize) -> Calls {
        let mut calls = self.all_calls();
        let kinds = calls.kinds.len() / calls.fillers.len();
        calls.fillers.truncate((held / kinds).max(1));
        calls.kinds.truncate(calls.fillers.len() * kinds);
        calls
    }

    fn all_calls(self) -> Calls {
        let limits = Limits::new();
        let ceiling = |w: usize| limits.posts_per_workspace.at(&[w]);
        let (kinds, fillers, quota): (Vec<_>, Vec<_>, _) = match self {
            Self::OneCaller => {
                (vec![Kind::of(vec![ceiling(0)], 0)], vec![Kind::of(vec![ceiling(0)], 1)], 300)
            }
            Self::ThousandCallers => {
                let kinds = (0..1_000).map(|n| Kind::of(vec![ceiling(0)], n)).collect();
                (kinds, vec![Kind::of(vec![ceiling(0)], 1_000)], 300)
            }
            Self::Channels => {
                let kinds = (0..10_000).map(|c| {
                    Kind::of(vec![limits.posts_per_channel.at(&[0, c]), ceiling(0)], c % 10)
                });
                (kinds.collect(), vec![Kind::of(vec![ceiling(0)], 10)], 300)
            }
            Self::TierTwo => {
                let kinds = (0..10_000).map(|n| limits.listing(&limits.tier2, n / 10, n % 10));
                let fillers = (0..1_000).map(|w| limits.listing(&limits.tier2, w, 10));
                (kinds.collect(), fillers.collect(), 20)
            }
            Self::Post => {
                let kinds = (0..10_000).map(|n| limits.post(n / 100, n % 100, n % 10));
                let fillers = (0..100).map(|w| {
                    let mut open = limits.open(w);
                    open.push(ceiling(w));
                    Kind::of(open, 10)
                });
                (kinds.collect(), fillers.collect(), 300)
            }
            Self::MillionBuckets => {
                let kinds: Vec<_> =
                    (0..500_000).map(|w| limits.listing(&limits.once, w, w % 10)).collect();
                (kinds.clone(), kinds, 1)
            }
        };
        let spares = (0..SPARES).map(|n| n + 1_000_000);
        let spares = match self {
            Self::OneCaller | Self::ThousandCallers => {
                spares.map(|w| Kind::of(vec![ceiling(w)], 0)).collect()
            }
            Self::Channels => spares
                .map(|w| Kind::of(vec![limits.posts_per_channel.at(&[w, 0]), ceiling(w)], 0))
                .collect(),
            Self::TierTwo => spares.map(|w| limits.listing(&limits.tier2, w, 0)).collect(),
            Self::Post => spares.map(|w| limits.post(w, 0, 0)).collect(),
            // As many again, so that what they touch is in no cache.
            Self::MillionBuckets => (1_000_000..1_250_000)
                .map(|w| limits.listing(&limits.posts_per_workspace, w, 0))
                .collect(),
        };
        Calls { kinds, fillers, quota, spares }
    }
}

// === impl Kind ===

impl Kind {
    fn of(buckets: Vec<BucketKey>, caller: usize) -> Self {
        // Far apart, as hashes of names are.
        let id = CallerId((caller as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Self { buckets, caller: Caller { id, weight: Weight::ONE } }
    }
}

// === impl Limits ===

impl Limits {
    fn new() -> Self {
        use Dimension::{App, Caller, Channel, Workspace};
        let limit = |name: &str, rule, scope: &[Dimension], age_from| {
            Arc::new(Limit { name: name.into(), rule, scope: Scope::of(scope), age_from })
        };
        let rate = |limit, per, tolerates| {
            Rule::Rate(Rate {
                limit: NonZeroU32::new(limit).unwrap(),
                per,
                burst: None,
                tolerates: NonZeroU32::new(tolerates),
            })
        };
        let second = Duration::from_secs(1);
        let team = &[App, Workspace][..];
        Self {
            posts_per_channel: limit(
                "post_per_channel",
                rate(1, second, 3),
                &[App, Workspace, Channel],
                AgeFrom::Send,
            ),
            posts_per_workspace: limit(
                "post_per_workspace",
                rate(300, PERIOD, 0),
                team,
                AgeFrom::Answer,
            ),
            in_order: limit(
                "in_order",
                Rule::InOrder(Duration::from_secs(5)),
                &[App, Workspace, Channel, Caller],
                AgeFrom::Answer,
            ),
            whole_workspace: limit("whole_workspace", Rule::Open, team, AgeFrom::Answer),
            whole_app: limit("whole_app", Rule::Open, &[App], AgeFrom::Answer),
            tier2: limit("tier2", rate(20, PERIOD, 0), team, AgeFrom::Answer),
            once: limit("once", rate(1, PERIOD, 0), team, AgeFrom::Answer),
        }
    }

    /// What is shut only on evidence.
    fn open(&self, workspace: usize) -> Vec<BucketKey> {
        vec![self.whole_workspace.at(&[workspace]), self.whole_app.at(&[])]
    }

    /// A call under one limit of its method.
    fn listing(&self, limit: &Arc<Limit>, workspace: usize, caller: usize) -> Kind {
        let mut buckets = self.open(workspace);
        buckets.insert(0, limit.at(&[workspace]));
        Kind::of(buckets, caller)
    }

    fn post(&self, workspace: usize, channel: usize, caller: usize) -> Kind {
        let mut buckets = vec![
            self.posts_per_channel.at(&[workspace, channel]),
            self.posts_per_workspace.at(&[workspace]),
            self.in_order.at(&[workspace, channel, caller]),
        ];
        buckets.extend(self.open(workspace));
        Kind::of(buckets, caller)
    }
}

/// A limit's bucket at these values.
trait At {
    fn at(&self, values: &[usize]) -> BucketKey;
}

impl At for Arc<Limit> {
    fn at(&self, values: &[usize]) -> BucketKey {
        use std::fmt::Write as _;
        let mut key = String::from("A0123456789");
        for (sort, value) in ['T', 'C', 'b'].into_iter().zip(values) {
            write!(key, "/{sort}{value:010}").unwrap();
        }
        BucketKey { limit: Arc::clone(self), values: key.into() }
    }
}
