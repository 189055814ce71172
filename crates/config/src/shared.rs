//! `shared`: how several replicas share their limits, through Redis or by fixed parts.

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use aws_lc_rs::constant_time;
use limits::Split;
use slack::read::missing;
use yaml::{Cursor, Form, Report};

use super::servers::{self, RedisServers};

/// Which replica this is, over the file.
pub const ORDINAL_ENV: &str = "SLACKWATER_SHARED_ORDINAL";

/// How several replicas share their limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shared {
    /// Each has a fixed part of every limit.
    Split(Split),
    /// Redis or Valkey counts the slots that each of them holds.
    Redis(Redis),
}

/// A store, and how it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// Which servers.
    pub servers: RedisServers,
    /// What all of its keys begin with.
    pub prefix: Arc<str>,
    /// How long the server may take for an answer.
    pub timeout: Duration,
    /// How long a replica is silent before the others count on it no more. Longer than `timeout`.
    pub forget_after: Duration,
    /// How many replicas there are at least, whatever the server says.
    pub replicas: Option<NonZeroU32>,
}

/// A password. Prints nothing.
#[derive(Clone)]
pub struct Password(pub(super) Arc<str>);

/// The prefix where none is given, and the longest.
const PREFIX: &str = "slackwater";
const LONGEST_PREFIX: usize = 64;

/// `timeout` and `forget_after` where nothing is said.
const TIMEOUT: Duration = Duration::from_millis(250);
const FORGET_AFTER: Duration = Duration::from_secs(30);

/// Within these both are of use: a server answers in less than a millisecond, and a replica tells it
/// every second that it is there.
const TIMEOUTS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(5));
const FORGETTING: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));

/// Less than the first no clocks and no network keep to; a margin longer than the second would
/// leave little of a limit per second.
const MARGINS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(10));

/// More replicas than anybody runs in front of one app.
const MOST_REPLICAS: u32 = 1000;

/// What is said of `shared`: one form or the other.
pub(super) fn read(
    root: Cursor<'_>,
    env: &dyn Fn(&str) -> Option<String>,
    report: &mut Report,
) -> Option<Shared> {
    let over = env(ORDINAL_ENV).filter(|over| !over.trim().is_empty());
    let Some(at) = root.get("shared").filter(|at| at.form() != Form::Null) else {
        if over.is_some() {
            let text = "is set, but the configuration does not say how many replicas there are; add \
                        shared.replicas, or unset it";
            report.add_outside(ORDINAL_ENV, text);
        }
        return None;
    };
    if at.form() != Form::Map {
        return None;
    }
    match given(at, "redis") {
        Some(url) => redis(at, url, over.is_some(), report).map(Shared::Redis),
        None => split(at, over.as_deref(), report).map(Shared::Split),
    }
}

/// A key that has a value, or something that was reported.
pub(super) fn given<'t>(at: Cursor<'t>, key: &str) -> Option<Cursor<'t>> {
    at.get(key).filter(|at| at.form() != Form::Null)
}

fn split(at: Cursor<'_>, over: Option<&str>, report: &mut Report) -> Option<Split> {
    for key in ["sentinel", "cluster", "password", "prefix", "timeout", "forget_after"] {
        if let Some(at) = given(at, key) {
            report.add(at, "is for Redis, which is not named; add redis, or delete the key");
        }
    }
    let margin = match given(at, "margin") {
        Some(at) => within(at, MARGINS, report),
        None => Some(Split::MARGIN),
    };
    if at.entries().next().is_none() {
        report.add(at, "says nothing; add replicas and ordinal, or delete the key");
        return None;
    }
    let replicas = match at.get("replicas") {
        Some(at) => replicas(at, report),
        None => missing(at, "replicas", "3", report),
    };
    let ordinal = at.get("ordinal");
    let said = over.or_else(|| ordinal.and_then(Cursor::text));
    let Some(said) = said else {
        if ordinal.is_none() {
            let text = format!(
                "does not say which replica this is; add ordinal, 0 for the first, or set \
                 {ORDINAL_ENV}"
            );
            report.add_absent(at, text);
        }
        return None;
    };
    let mut wrong = |text: String| match ordinal.filter(|_| over.is_none()) {
        Some(at) => report.add(at, text),
        None => report.add_outside(ORDINAL_ENV, text),
    };
    let Ok(number) = said.trim().parse() else {
        wrong("is no number of a replica; write 0 for the first, 1 for the second".into());
        return None;
    };
    let replicas = replicas?;
    let split = Split::new(replicas, number, margin?);
    if split.is_none() {
        let last = replicas.get() - 1;
        wrong(format!("is no replica of {replicas}; write 0 to {last}, or raise shared.replicas"));
    }
    split
}

fn redis(at: Cursor<'_>, url: Cursor<'_>, has_ordinal: bool, report: &mut Report) -> Option<Redis> {
    const NO_ORDINAL: &str = "is for replicas that share limits without Redis, where each has a fixed \
                              part; with redis all share the whole";
    for key in ["ordinal", "margin"] {
        if let Some(at) = given(at, key) {
            report.add(at, format!("{NO_ORDINAL}, so delete this key, or redis"));
        }
    }
    if has_ordinal {
        report.add_outside(ORDINAL_ENV, format!("{NO_ORDINAL}, so unset it, or delete redis"));
    }
    let servers = servers::read(at, url, report);
    let prefix = match given(at, "prefix") {
        Some(at) => prefix(at, report),
        None => Some(PREFIX.into()),
    };
    let timeout = match given(at, "timeout") {
        Some(at) => within(at, TIMEOUTS, report),
        None => Some(TIMEOUT),
    };
    let forget_after = match given(at, "forget_after") {
        Some(at) => within(at, FORGETTING, report),
        None => Some(FORGET_AFTER),
    };
    // A number that is there and wrong makes all of it wrong.
    let replicas = given(at, "replicas").map(|at| replicas(at, report));
    let replicas = replicas.map_or(Some(None), |replicas| replicas.map(Some));
    Some(Redis {
        servers: servers?,
        prefix: prefix?,
        timeout: timeout?,
        forget_after: forget_after?,
        replicas: replicas?,
    })
}

fn replicas(at: Cursor<'_>, report: &mut Report) -> Option<NonZeroU32> {
    let replicas = at.read_count(report)?;
    if replicas.get() > MOST_REPLICAS {
        report.add(at, format!("is more than there can be; write 1 to {MOST_REPLICAS}"));
        return None;
    }
    Some(replicas)
}

/// A time between two others.
fn within(
    at: Cursor<'_>,
    (least, most): (Duration, Duration),
    report: &mut Report,
) -> Option<Duration> {
    let time = at.read_duration(report)?;
    if (least..=most).contains(&time) {
        return Some(time);
    }
    let [least, most] = [least, most].map(yaml::units::show_duration);
    report.add(at, format!("{} is out of range; write {least} to {most}", at.quoted()));
    None
}

fn prefix(at: Cursor<'_>, report: &mut Report) -> Option<Arc<str>> {
    let text = at.text()?;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    if (1..=LONGEST_PREFIX).contains(&text.len()) && text.chars().all(fits) {
        return Some(text.into());
    }
    let quoted = at.quoted();
    let text = "is no prefix of keys; write 1 to 64 letters, digits and - _ . :";
    report.add(at, format!("{quoted} {text}"));
    None
}

// === impl Shared ===

impl Shared {
    /// The part of every limit that is this replica's, if it has a fixed one.
    pub const fn split(&self) -> Option<Split> {
        match self {
            Self::Split(split) => Some(*split),
            Self::Redis(_) => None,
        }
    }
}

// === impl Password ===

impl Password {
    /// Its text. For the server alone.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Takes as long whatever is right of it.
impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(self.0.as_bytes(), other.0.as_bytes()).is_ok()
    }
}

impl Eq for Password {}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}
