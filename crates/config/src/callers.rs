//! `callers`: whose calls are whose, and what each caller may have.

use std::{fmt, num::NonZeroU8, time::Duration};

use limits::{Class, Weight};
use slack::{
    Edits,
    read::{self, missing},
};
use yaml::{Cursor, Form, Report};

mod apply;

pub use self::apply::{CallerHints, CallerTerms, Callers};
use super::{Glob, clients, glob::read_glob};
use crate::CallerName;

/// What the operator says of a caller.
#[derive(Clone, Debug)]
pub struct CallerRule {
    /// The caller's name.
    pub name: CallerName,
    /// Which calls the rule is for.
    pub calls: Match,
    /// What they get.
    pub terms: Terms,
}

/// What the calls of a caller get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The class of calls that say none.
    pub class: Option<Class>,
    /// No call is more urgent, whatever it says.
    pub max_class: Option<Class>,
    /// How long its calls are held, where they say nothing.
    pub max_wait: Option<Duration>,
    /// How large the caller's part is.
    pub weight: Weight,
    /// How many calls of the caller are held at most.
    pub max_depth: Option<usize>,
    /// Whether its equal reads share one answer.
    pub share_reads: Option<bool>,
    /// Which of its edits of one thing are sent.
    pub edits: Option<Edits>,
    /// Its calls are refused, whatever room there is.
    pub disabled: bool,
}

/// Which calls a rule is for: those that match each part that is there. One is.
#[derive(Clone, Debug, Default)]
pub struct Match {
    /// The User-Agent; that of a call without one is empty.
    pub user_agent: Option<Glob>,
    /// The caller's name as the call gives it; `default` where it gives none.
    pub lane: Option<Glob>,
    /// The token.
    pub token: Option<TokenPrefix>,
}

/// The beginning of a token's SHA-256.
#[derive(Clone)]
pub struct TokenPrefix {
    /// Hexadecimal digits, as numbers.
    digits: Box<[u8]>,
}

/// How many digits of a hash tell one token from the others, and how many there are.
const DIGITS: std::ops::RangeInclusive<usize> = 8..=64;

/// The rules, in the file's order.
pub(super) fn read(root: Cursor<'_>, report: &mut Report) -> Vec<CallerRule> {
    let mut names: Vec<(Cursor<'_>, CallerName)> = Vec::new();
    let mut earlier: Vec<(Cursor<'_>, Match)> = Vec::new();
    let mut rules = Vec::new();
    for entry in root.get("callers").into_iter().flat_map(Cursor::items) {
        let name = match entry.get("name") {
            Some(it) => name(it, report).map(|name| (it, name)),
            None => missing(entry, "name", "cleanup", report),
        };
        let twin =
            name.as_ref().and_then(|(_, name)| names.iter().find(|(_, taken)| taken == name));
        if let (Some((it, _)), Some((first, _))) = (&name, twin) {
            let text = format!("is {} too; choose another, or delete one rule", first.path());
            report.add(*it, text);
        }
        let said = entry.get("match");
        let calls = match (said, &name) {
            (Some(it), _) => calls(it, report),
            (None, Some((_, name))) => {
                Some(Match { lane: Some(Glob::exactly(name)), ..Match::default() })
            }
            (None, None) => None,
        };
        let covered = |calls| earlier.iter().find(|(_, before): &&(_, Match)| before.cover(calls));
        // Of two rules with one name and no more it is said already.
        if (twin.is_none() || said.is_some())
            && let Some((before, _)) = calls.as_ref().and_then(covered)
        {
            let text = format!(
                "never counts, since {} before it matches the same calls; put the narrower rule \
                 first, or delete one",
                before.path()
            );
            report.add(said.unwrap_or(entry), text);
        }
        names.extend(name.clone());
        earlier.extend(calls.clone().map(|calls| (entry, calls)));
        let terms = terms(entry, report);
        if let (Some((_, name)), Some(calls)) = (name, calls) {
            rules.push(CallerRule { name, calls, terms });
        }
    }
    rules
}

fn terms(entry: Cursor<'_>, report: &mut Report) -> Terms {
    let words = Class::ALL.map(|class| (class.as_str(), class));
    let [class, max_class] = ["class", "max_class"]
        .map(|key| entry.get(key).and_then(|it| Some((it, it.read_word(&words, report)?))));
    if let (Some((it, class)), Some((_, most))) = (class, max_class)
        && class < most
    {
        let text = "class is more urgent than max_class, which is the ceiling; lower the one or \
                    raise the other";
        report.add(it, text);
    }
    let max_depth = entry.get("max_depth").and_then(|it| it.read_count(report));
    let max_wait = entry.get("max_wait").and_then(|it| {
        let wait = it.read_duration(report)?;
        clients::bounded(it, wait, report)
    });
    Terms {
        class: class.map(|(_, class)| class),
        max_class: max_class.map(|(_, class)| class),
        max_wait,
        weight: entry.get("weight").and_then(|it| weight(it, report)).unwrap_or_default(),
        max_depth: max_depth.map(|depth| depth.get() as usize),
        share_reads: entry.get("share_reads").and_then(|it| it.read_bool(report)),
        edits: entry.get("edits").and_then(|it| read::edits(it, report)),
        disabled: entry.get("enabled").and_then(|it| it.read_bool(report)) == Some(false),
    }
}

fn name(at: Cursor<'_>, report: &mut Report) -> Option<CallerName> {
    let wrong = match CallerName::new(at.text()?) {
        Err(_) => "is no caller's name; write 1 to 64 printable characters, and no token",
        Ok(name) if name.contains('*') => {
            "is a pattern; write a name, and the pattern as in `match: { lane: \"cleanup-*\" }`"
        }
        Ok(name) => return Some(name),
    };
    report.add(at, format!("{} {wrong}", at.quoted()));
    None
}

fn weight(at: Cursor<'_>, report: &mut Report) -> Option<Weight> {
    let weight = at.text()?.parse::<NonZeroU8>().ok();
    if weight.is_none() {
        let text = "is no weight; write a whole number from 1 to 255";
        report.add(at, format!("{} {text}", at.quoted()));
    }
    weight.map(Weight::new)
}

/// A `match`, if each of its parts is right. What has no part would match every call.
fn calls(at: Cursor<'_>, report: &mut Report) -> Option<Match> {
    if at.form() == Form::Null || (at.form() == Form::Map && at.entries().next().is_none()) {
        let text = "matches by nothing; name user_agent, lane or token_hash, or delete the key to \
                    match the lane by the rule's name";
        report.add(at, text);
        return None;
    }
    let [user_agent, lane, token] = ["user_agent", "lane", "token_hash"].map(|key| at.get(key));
    user_agent.or(lane).or(token)?;
    let user_agent = user_agent.map(|it| read_glob(it, report));
    let lane = lane.map(|it| {
        let pattern = read_glob(it, report);
        let text = it.text().unwrap_or_default();
        if pattern.is_some() && !text.contains('*') && CallerName::new(text).is_err() {
            let wrong =
                "is no caller's name, so it matches none; write 1 to 64 printable characters, and no token";
            report.add(it, format!("{} {wrong}", it.quoted()));
        }
        pattern
    });
    let token = token.map(|it| token_prefix(it, report));
    // A part that is there and wrong makes the whole one wrong.
    Some(Match {
        user_agent: user_agent.map_or(Some(None), |it| it.map(Some))?,
        lane: lane.map_or(Some(None), |it| it.map(Some))?,
        token: token.map_or(Some(None), |it| it.map(Some))?,
    })
}

/// Messages do not repeat the value: it may be a token.
fn token_prefix(at: Cursor<'_>, report: &mut Report) -> Option<TokenPrefix> {
    let prefix = TokenPrefix::parse(at.text()?);
    if prefix.is_none() {
        let text = "is no hash of a token; write 8 to 64 of the hexadecimal digits of its SHA-256, \
                    as /status shows it, never the token";
        report.add(at, text);
    }
    prefix
}

// === impl Match ===

impl Match {
    /// Whether it is for every call that the other is for.
    fn cover(&self, other: &Self) -> bool {
        let glob = |one: &Option<Glob>, other: &Option<Glob>| match (one, other) {
            (None, _) => true,
            (Some(one), None) => one.is_all(),
            (Some(one), Some(other)) => one.covers(other),
        };
        let token = match (&self.token, &other.token) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(one), Some(other)) => other.digits.starts_with(&one.digits),
        };
        token && glob(&self.user_agent, &other.user_agent) && glob(&self.lane, &other.lane)
    }
}

// === impl TokenPrefix ===

impl TokenPrefix {
    /// Also as a bucket's key has it: `token-0123456789ab`.
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix("token-").unwrap_or(text);
        let digit = |c: char| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let digits: Box<[u8]> = text.chars().map(digit).collect::<Option<_>>()?;
        DIGITS.contains(&digits.len()).then_some(Self { digits })
    }

    /// Whether a hash begins like this.
    pub fn matches(&self, hash: &[u8]) -> bool {
        let halves = hash.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        halves.take(self.digits.len()).eq(self.digits.iter().copied())
    }
}

impl fmt::Debug for TokenPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.digits.iter().try_for_each(|digit| write!(f, "{digit:x}"))
    }
}
