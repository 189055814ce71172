//! The catalogue: every method with its tier and its special limits.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{Limit, Rate};
use crate::scheduler::Class;

/// Slack's methods and the limits they are under.
#[derive(Clone, Debug)]
pub struct Catalogue {
    tiers: BTreeMap<Tier, Rate>,
    methods: BTreeMap<Arc<str>, Arc<Method>>,
    unknown: Arc<Method>,
    clients: Vec<Client>,
}

/// Slack's class of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// 1+ a minute.
    Tier1,
    /// 20+ a minute.
    Tier2,
    /// 50+ a minute.
    Tier3,
    /// 100+ a minute.
    Tier4,
    /// Under rules of its own.
    Special,
    /// Under no tier, by configuration.
    None,
}

/// A Web API method and the rules it is under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    /// The name as Slack documents it; `other` for the entry of unknown methods.
    pub name: Arc<str>,
    /// Its tier.
    pub tier: Tier,
    /// Every limit a call of it counts against: the tier's first, if it has one, then its own.
    pub limits: Vec<Arc<Limit>>,
    /// The argument that names a channel.
    pub channel_arg: Option<Arc<str>>,
    /// The argument that names a user, where a limit counts by it.
    pub user_arg: Option<Arc<str>>,
    /// Whether it only reads, so that sending it twice does no harm.
    pub reads: bool,
    /// Whether calls of one caller to one channel go one at a time, in their order.
    pub in_order: bool,
    /// Its class where the caller names none.
    pub class: Option<Class>,
    /// The longest that holding a call of it makes sense.
    pub max_wait: Option<Duration>,
}

/// How long a kind of client waits for an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// What it is called.
    pub name: Arc<str>,
    /// A substring of its User-Agent.
    pub user_agent: Arc<str>,
    /// How long a call of it may be held.
    pub max_wait: Duration,
}
