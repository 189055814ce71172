//! A scenario file: limits, methods, callers, a server, and the bands that must hold.

mod read;

use std::{collections::BTreeMap, num::NonZeroU8};

use fake_slack::{Penalty, Shape};
use limits::{AgeFrom, Class, Dimension};
use serde::{Deserialize, Deserializer, de};
use serde_yaml::Value;

pub(super) use self::read::{Variant, parse, read};
use super::{
    arrivals::Arrivals,
    measures::Measure,
    text::{Figure, Range, Share, Span, Template},
};

/// What a file says.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    /// What decides everything that is left to chance.
    #[serde(default)]
    pub(super) seed: u64,
    /// When the simulation ends; what has not happened by then does not happen.
    pub(super) runs_for: Span,
    pub(super) limits: BTreeMap<String, LimitSpec>,
    /// The limits of each method.
    pub(super) methods: BTreeMap<String, Vec<String>>,
    pub(super) callers: BTreeMap<String, CallerSpec>,
    pub(super) server: ServerSpec,
    /// How many calls may be held; more than there are where it does not say.
    #[serde(default)]
    pub(super) bounds: BoundsSpec,
    /// Values to put in place of others, by their path: the scenario runs with each
    /// combination, and the bands hold for all.
    #[serde(default)]
    vary: BTreeMap<String, Vec<Value>>,
    pub(super) bands: Vec<Band>,
}

/// A limit as the proxy believes it; the server's is the same unless it surprises. One that
/// counts per caller is the proxy's own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitSpec {
    /// Calls per period.
    pub(super) limit: Option<u32>,
    pub(super) per: Option<Span>,
    pub(super) burst: Option<u32>,
    pub(super) tolerates: Option<u32>,
    /// Calls at once, in place of a rate.
    pub(super) concurrency: Option<u32>,
    /// Calls in order, in place of a rate: how long one without an answer holds up the next.
    pub(super) in_order: Option<Span>,
    #[serde(default)]
    pub(super) age_from: Named<AgeFrom>,
    pub(super) scope: Vec<Named<Dimension>>,
}

/// One caller, or several of a kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CallerSpec {
    /// How many there are. Periodic ones are spread over their period.
    #[serde(default = "one")]
    pub(super) count: u32,
    #[serde(default)]
    pub(super) class: Named<Class>,
    #[serde(default = "weight")]
    pub(super) weight: NonZeroU8,
    pub(super) method: String,
    #[serde(default = "app")]
    pub(super) app: Template,
    #[serde(default = "workspace")]
    pub(super) workspace: Template,
    pub(super) channel: Option<Template>,
    #[serde(with = "serde_yaml::with::singleton_map")]
    pub(super) arrivals: Arrivals,
    /// How long its calls may be held; for ever where it does not say.
    pub(super) patience: Option<Span>,
    /// What it does with a call that was shed; it gives it up where it does not say.
    pub(super) comes_back: Option<ComesBack>,
    /// How it leaves.
    pub(super) hangs_up: Option<HangsUp>,
}

/// How many calls may be held.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BoundsSpec {
    pub(super) per_bucket: usize,
    pub(super) total: usize,
}

/// A client that heeds `Retry-After`, as SDKs do, or one that asks again and again.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ComesBack {
    /// So often; without end where it does not say.
    pub(super) times: Option<u32>,
    /// It does not heed what it was told and comes after so long.
    pub(super) after: Option<Span>,
    /// It comes so much later than it was told.
    pub(super) late: Range,
}

/// A client that does not wait for its answer, be its call held or in flight.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HangsUp {
    /// So many of its calls.
    pub(super) share: Share,
    /// So long after it called.
    pub(super) after: Range,
}

/// Who answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerSpec {
    #[serde(default)]
    pub(super) shape: Named<Shape>,
    #[serde(default)]
    pub(super) penalty: Named<Penalty>,
    /// What a call takes until it is counted, and its answer from then.
    pub(super) one_way: Range,
    /// So many answers never come. Such a call is counted at any time until a minute after it
    /// was given up.
    #[serde(default)]
    pub(super) loses: Share,
    /// When a call without an answer is given up.
    #[serde(default = "timeout")]
    pub(super) timeout: Span,
    /// Limits that are lower than believed.
    #[serde(default)]
    pub(super) surprises: Vec<Surprise>,
    /// Methods that are refused whatever was counted.
    #[serde(default)]
    pub(super) closes: Vec<Closes>,
}

/// A limit that is lower than believed for a while.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Surprise {
    pub(super) limit: String,
    pub(super) to: u32,
    pub(super) from: Span,
    pub(super) until: Span,
}

/// A method that is refused for a while, with a `Retry-After` that is what is left of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Closes {
    pub(super) method: String,
    pub(super) from: Span,
    pub(super) until: Span,
}

/// Between what a measure must lie. Of several callers of a kind each must.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Band {
    pub(super) measure: Measure,
    /// A caller's name, or that of callers of a kind; all callers where it does not say.
    pub(super) of: Option<String>,
    /// The calls that count against this limit only.
    pub(super) limit: Option<String>,
    /// What happens from then on.
    pub(super) from: Option<Span>,
    /// What happens before.
    pub(super) until: Option<Span>,
    /// How long the measure looks.
    pub(super) within: Option<Span>,
    /// How much more it is than in a second run without this caller.
    pub(super) beside_without: Option<String>,
    pub(super) least: Option<Figure>,
    pub(super) most: Option<Figure>,
}

/// A value of the program's that is written as everywhere in it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Named<T>(pub(super) T);

/// Types whose values have names.
pub(super) trait HasNames: Sized {
    fn named(name: &str) -> Option<Self>;
}

fn one() -> u32 {
    1
}

fn weight() -> NonZeroU8 {
    NonZeroU8::MIN
}

fn app() -> Template {
    Template::plain("A1")
}

fn workspace() -> Template {
    Template::plain("T1")
}

/// Long enough that every answer that comes has come.
fn timeout() -> Span {
    Span(std::time::Duration::from_secs(30))
}

// === impl BoundsSpec ===

impl Default for BoundsSpec {
    fn default() -> Self {
        Self { per_bucket: 1_000_000, total: 1_000_000 }
    }
}

// === impl Named ===

impl<'de, T: HasNames> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        let value = T::named(&name);
        value.map(Self).ok_or_else(|| de::Error::custom(format!("`{name}` is not one")))
    }
}

impl HasNames for AgeFrom {
    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|value| value.as_str() == name)
    }
}

impl HasNames for Dimension {
    fn named(name: &str) -> Option<Self> {
        Self::parse(name)
    }
}

impl HasNames for Class {
    fn named(name: &str) -> Option<Self> {
        name.parse().ok()
    }
}

impl HasNames for Shape {
    fn named(name: &str) -> Option<Self> {
        name.parse().ok()
    }
}

impl HasNames for Penalty {
    fn named(name: &str) -> Option<Self> {
        name.parse().ok()
    }
}
