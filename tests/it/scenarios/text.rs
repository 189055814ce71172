//! The small texts of a scenario file: spans, ranges, shares, templates, figures.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};
use yaml::units::parse_duration;

/// A duration: `25s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span(pub(super) Duration);

/// From a shorter to a longer duration: `2ms..200ms`, or one: `100ms`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) least: Duration,
    pub(super) most: Duration,
}

/// A part of a whole: `5 %`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share(pub(super) f64);

/// A name that may count: `c{1..30}` is c1 for a caller's first call, c30 for its thirtieth,
/// and then c1 again.
#[derive(Clone, Debug)]
pub(super) struct Template {
    before: String,
    numbers: Option<(u64, u64)>,
    after: String,
}

/// One end of a band: `95 %`, `20ms`, `400`, or `3 slots of tier`.
#[derive(Clone, Debug)]
pub(super) enum Figure {
    /// A count, a share of one, or seconds.
    Plain(f64),
    /// So many times what a saturated bucket of that limit takes from one call to the next.
    Slots { times: f64, limit: String },
}

/// What a YAML scalar may be.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Number(f64),
    Text(String),
}

// === impl Span ===

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        span(&String::deserialize(from)?).map(Self)
    }
}

// === impl Range ===

impl Range {
    /// What two draws take on average.
    pub(super) fn mean_of_two(self) -> Duration {
        self.least + self.most
    }
}

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let (least, most) = text.split_once("..").unwrap_or((&text, &text));
        let (least, most) = (span(least)?, span(most)?);
        if least > most {
            return Err(de::Error::custom("a range goes from the lesser to the greater"));
        }
        Ok(Self { least, most })
    }
}

// === impl Share ===

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        percent(&text).map(Self).ok_or_else(|| de::Error::custom("a share is written `5 %`"))
    }
}

// === impl Template ===

impl Template {
    /// A name that does not count.
    pub(super) fn plain(name: &str) -> Self {
        Self { before: name.into(), numbers: None, after: String::new() }
    }

    /// The name that the caller's call of that number has, counted from zero.
    pub(super) fn of(&self, number: u64) -> String {
        match self.numbers {
            None => self.before.clone(),
            Some((first, last)) => {
                let turn = first + number % (last - first + 1);
                format!("{}{turn}{}", self.before, self.after)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let Some((before, rest)) = text.split_once('{') else {
            return Ok(Self::plain(&text));
        };
        let numbers = |inside: &str| {
            let (first, last) = inside.split_once("..")?;
            let numbers = (first.parse().ok()?, last.parse().ok()?);
            (numbers.0 <= numbers.1).then_some(numbers)
        };
        let parsed = rest.split_once('}').and_then(|(inside, after)| {
            let numbers = Some(numbers(inside)?);
            Some(Self { before: before.into(), numbers, after: after.into() })
        });
        parsed.ok_or_else(|| de::Error::custom("a name that counts is written `c{1..30}`"))
    }
}

// === impl Figure ===

impl Figure {
    fn parse(text: &str) -> Option<Self> {
        if let Some((times, limit)) = text.split_once(" slots of ") {
            return Some(Self::Slots { times: times.parse().ok()?, limit: limit.into() });
        }
        let plain = percent(text).or_else(|| text.parse().ok());
        plain.or_else(|| Some(parse_duration(text).ok()?.as_secs_f64())).map(Self::Plain)
    }
}

impl<'de> Deserialize<'de> for Figure {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Scalar::deserialize(from)? {
            Scalar::Number(number) => Ok(Self::Plain(number)),
            Scalar::Text(text) => Self::parse(&text).ok_or_else(|| {
                de::Error::custom("a figure is written `400`, `95 %`, `20ms` or `3 slots of tier`")
            }),
        }
    }
}

fn percent(text: &str) -> Option<f64> {
    Some(text.strip_suffix('%')?.trim_end().parse::<f64>().ok()? / 100.0)
}

fn span<E: de::Error>(text: &str) -> Result<Duration, E> {
    parse_duration(text).map_err(E::custom)
}
