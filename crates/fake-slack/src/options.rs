//! How the fake behaves, as its user chooses it.

use std::{str::FromStr, time::Duration};

use yaml::units;

use super::{FaultRule, Rules};

/// How the fake behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which limits it enforces.
    pub rules: Rules,
    /// How it counts a rate.
    pub shape: Shape,
    /// What else it refuses after it refused a call.
    pub penalty: Penalty,
    /// Whether a refused call counts as well. Slack does not say; by default it does not.
    pub count_refused: bool,
    /// How long a round trip takes.
    pub latency: Latency,
    /// How long a minute lasts: every period is scaled by it. `Retry-After` is in real seconds.
    pub minute: Duration,
    /// What goes wrong by chance.
    pub faults: Vec<FaultRule>,
    /// What decides everything that is left to chance.
    pub seed: u64,
    /// How many calls and how many violations the ledger keeps in full.
    pub ledger: usize,
    /// How many items its lists have.
    pub items: usize,
}

/// How a rate of N per period P is counted. Slack does not publish which of these it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Shape {
    /// At most N in any period.
    #[default]
    Sliding,
    /// At most N in a window that opens with the first call after the last one closed.
    Fixed,
    /// At most N in each window of a clock, which a seed sets for every key apart.
    FixedClock,
    /// A bucket of N tokens that fills up at N per P.
    Bucket,
}

/// What is refused, beside the windows that are full, until a `Retry-After` has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Penalty {
    /// Nothing: the windows alone decide.
    None,
    /// The app's calls of the method in the workspace, as Slack documents it.
    #[default]
    Method,
    /// All of the app's calls in the workspace.
    Workspace,
    /// All of the app's calls.
    App,
}

/// How long a round trip takes. Each is drawn between the two, and so is the instant in it at
/// which the call is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    least: Duration,
    most: Duration,
}

/// The text is not what the option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// Not a window shape.
    #[error("a window is sliding, fixed, fixed-clock or bucket")]
    Shape,
    /// Not a penalty.
    #[error("a penalty is none, method, workspace or app")]
    Penalty,
    /// Not a fault.
    #[error(
        "a fault is reset-early, reset, hang, 500, 502, 503, 429-no-header, 429-no-body, \
         200-ratelimited, gzip, chunked or slow"
    )]
    Fault,
    /// Not how often one happens.
    #[error("say with which part of the calls, from 0 to 1: reset=0.01, or chat.update:reset=0.01")]
    Part,
    /// Not a duration.
    #[error(transparent)]
    Duration(#[from] units::DurationError),
    /// A range whose end is below its start.
    #[error("a range goes from the lesser to the greater: 10ms..200ms")]
    Range,
}

/// Shows one of `ALL` by its `as_str`, and reads it back. A trait of ours cannot: these two are the
/// standard library's.
macro_rules! by_name {
    ($choice:ty, $unknown:expr) => {
        impl std::fmt::Display for $choice {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $choice {
            type Err = OptionError;

            fn from_str(text: &str) -> Result<Self, OptionError> {
                Self::ALL.into_iter().find(|one| one.as_str() == text).ok_or($unknown)
            }
        }
    };
}
pub(super) use by_name;

/// A duration as everywhere in the program.
fn duration(text: &str) -> Result<Duration, OptionError> {
    units::parse_duration(text).map_err(OptionError::Duration)
}

// === impl Options ===

impl Options {
    /// These rules, and for the rest what Slack documents: a minute is a minute, a refusal
    /// closes the method in its workspace, answers come at once.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            shape: Shape::default(),
            penalty: Penalty::default(),
            count_refused: false,
            latency: Latency::default(),
            minute: Duration::from_secs(60),
            faults: Vec::new(),
            seed: 0,
            ledger: 10_000,
            items: 250,
        }
    }

    /// How long a documented period lasts here; never zero.
    pub(super) fn scaled(&self, period: Duration) -> Duration {
        let minute = Duration::from_secs(60).as_nanos();
        let nanos = period.as_nanos().saturating_mul(self.minute.as_nanos()) / minute;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX).max(1))
    }
}

// === impl Shape ===

impl Shape {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Sliding, Self::Fixed, Self::FixedClock, Self::Bucket];

    /// The name on the command line and in the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sliding => "sliding",
            Self::Fixed => "fixed",
            Self::FixedClock => "fixed-clock",
            Self::Bucket => "bucket",
        }
    }
}

by_name!(Shape, OptionError::Shape);

// === impl Penalty ===

impl Penalty {
    /// All of them, narrowest first.
    pub const ALL: [Self; 4] = [Self::None, Self::Method, Self::Workspace, Self::App];

    /// The name on the command line and in the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Method => "method",
            Self::Workspace => "workspace",
            Self::App => "app",
        }
    }
}

by_name!(Penalty, OptionError::Penalty);

// === impl Latency ===

impl Latency {
    /// A round trip always takes this long.
    pub const fn always(round_trip: Duration) -> Self {
        Self { least: round_trip, most: round_trip }
    }

    /// A round trip takes a time between these, all of them as likely.
    ///
    /// # Errors
    ///
    /// If the second is the lesser.
    pub fn between(least: Duration, most: Duration) -> Result<Self, OptionError> {
        if least > most {
            return Err(OptionError::Range);
        }
        Ok(Self { least, most })
    }

    /// Draws a round trip: how long until the call is counted, how long from then to its answer.
    pub(super) fn draw(self, random: &mut super::random::Random) -> (Duration, Duration) {
        let round_trip = self.least + random.up_to(self.most.saturating_sub(self.least));
        let before = random.up_to(round_trip);
        (before, round_trip.saturating_sub(before))
    }
}

impl FromStr for Latency {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        match text.split_once("..") {
            Some((least, most)) => Self::between(duration(least)?, duration(most)?),
            None => duration(text).map(Self::always),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::random::Random, *};

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_latency_is_one_figure_or_a_range() {
        assert_eq!("20ms".parse(), Ok(Latency::always(ms(20))));
        assert_eq!("10ms..200ms".parse::<Latency>(), Latency::between(ms(10), ms(200)));
        assert_eq!("200ms..10ms".parse::<Latency>(), Err(OptionError::Range));
        assert!(matches!("10ms..".parse::<Latency>(), Err(OptionError::Duration(_))));
    }

    #[test]
    fn a_round_trip_stays_in_its_range_and_a_seed_repeats_it() {
        let latency = Latency::between(ms(10), ms(200)).unwrap();
        let (mut one, mut two) = (Random::new(7), Random::new(7));
        for _ in 0..1_000 {
            let (before, after) = latency.draw(&mut one);
            assert!((ms(10)..=ms(200)).contains(&(before + after)));
            assert_eq!(latency.draw(&mut two), (before, after));
        }
    }

    #[test]
    fn every_name_is_read_back() {
        for shape in Shape::ALL {
            assert_eq!(shape.to_string().parse(), Ok(shape));
        }
        for penalty in Penalty::ALL {
            assert_eq!(penalty.to_string().parse(), Ok(penalty));
        }
    }
}
