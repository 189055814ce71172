//! What goes wrong on purpose: by chance that a seed repeats, or with the next calls of a method.

use std::{
    collections::{HashMap, VecDeque},
    io::Write,
    num::NonZeroU32,
    str::FromStr,
    time::Duration,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_ENCODING, RETRY_AFTER},
};

use super::{OptionError, Reply, options::by_name, random::Random};

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The connection breaks before the call is read. It is not counted.
    ResetEarly,
    /// The connection breaks when the call has been counted.
    Reset,
    /// The call is counted and never answered.
    Hang,
    /// The call is counted, and fails with that status.
    Status500,
    /// The call is counted, and fails with that status.
    Status502,
    /// The call is counted, and fails with that status and a `Retry-After` of a second.
    Status503,
    /// A 429 without a `Retry-After`. It is not counted.
    TooManyWithoutHeader,
    /// A 429 with a `Retry-After` of a second and without a body. It is not counted.
    TooManyWithoutBody,
    /// `ratelimited` with status 200. It is not counted.
    RateLimitedOk,
    /// The usual answer, packed, where the client takes that.
    Gzip,
    /// The usual answer, without its length and in pieces.
    Chunked,
    /// The usual answer, whose body takes two seconds.
    Slow,
}

/// How often something goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultRule {
    /// With the calls of this method; with all calls without it.
    pub method: Option<Box<str>>,
    /// What.
    pub fault: Fault,
    /// With which part of the calls: 0 to 1.
    pub part: f64,
}

/// How an answer is delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Delivery {
    /// As it is.
    #[default]
    Whole,
    /// In so many pieces, each so much after the one before.
    Pieces(usize, Duration),
    /// The connection breaks instead.
    Broken,
    /// Not at all.
    Never,
}

/// What goes wrong next.
#[derive(Debug)]
pub(super) struct Faults {
    rules: Vec<FaultRule>,
    /// What goes wrong with the next calls of a method, whatever chance says.
    next: HashMap<Box<str>, VecDeque<(Fault, u32)>>,
}

/// So many entries may wait for their calls.
const WAITING: usize = 1_000;

// === impl Fault ===

impl Fault {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::ResetEarly,
        Self::Reset,
        Self::Hang,
        Self::Status500,
        Self::Status502,
        Self::Status503,
        Self::TooManyWithoutHeader,
        Self::TooManyWithoutBody,
        Self::RateLimitedOk,
        Self::Gzip,
        Self::Chunked,
        Self::Slow,
    ];

    /// The name on the command line and in the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ResetEarly => "reset-early",
            Self::Reset => "reset",
            Self::Hang => "hang",
            Self::Status500 => "500",
            Self::Status502 => "502",
            Self::Status503 => "503",
            Self::TooManyWithoutHeader => "429-no-header",
            Self::TooManyWithoutBody => "429-no-body",
            Self::RateLimitedOk => "200-ratelimited",
            Self::Gzip => "gzip",
            Self::Chunked => "chunked",
            Self::Slow => "slow",
        }
    }

    /// What is answered to a call that is not counted.
    pub(super) fn instead(self) -> Option<Reply> {
        let refused = || Reply::failed(StatusCode::TOO_MANY_REQUESTS, "ratelimited");
        Some(match self {
            Self::TooManyWithoutHeader => refused(),
            Self::TooManyWithoutBody => Reply::new(StatusCode::TOO_MANY_REQUESTS)
                .header(RETRY_AFTER, HeaderValue::from_static("1")),
            Self::RateLimitedOk => Reply::error("ratelimited"),
            _ => return None,
        })
    }

    /// What becomes of the usual answer of a call that is counted.
    pub(super) fn spoil(self, mut reply: Reply) -> Reply {
        match self {
            Self::Reset => reply.delivery = Delivery::Broken,
            Self::Hang => reply.delivery = Delivery::Never,
            Self::Status500 => return Reply::new(StatusCode::INTERNAL_SERVER_ERROR),
            Self::Status502 => return Reply::new(StatusCode::BAD_GATEWAY),
            Self::Status503 => {
                let second = HeaderValue::from_static("1");
                return Reply::new(StatusCode::SERVICE_UNAVAILABLE).header(RETRY_AFTER, second);
            }
            Self::Gzip => {
                reply.body = packed(&reply.body);
                reply = reply.header(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            Self::Chunked => reply.delivery = Delivery::Pieces(5, Duration::ZERO),
            Self::Slow => reply.delivery = Delivery::Pieces(4, Duration::from_millis(500)),
            Self::ResetEarly
            | Self::TooManyWithoutHeader
            | Self::TooManyWithoutBody
            | Self::RateLimitedOk => {}
        }
        reply
    }

    /// Whether the caller gets the usual answer all the same.
    pub(super) const fn is_harmless(self) -> bool {
        matches!(self, Self::Gzip | Self::Chunked | Self::Slow)
    }
}

fn packed(body: &[u8]) -> Bytes {
    let mut to = GzEncoder::new(Vec::new(), Compression::default());
    // Memory takes all that is written.
    let done = to.write_all(body).and_then(|()| to.finish());
    done.unwrap_or_default().into()
}

by_name!(Fault, OptionError::Fault);

// === impl FaultRule ===

impl FromStr for FaultRule {
    type Err = OptionError;

    /// `KIND=PART`, or `METHOD:KIND=PART`.
    fn from_str(text: &str) -> Result<Self, OptionError> {
        let (what, part) = text.split_once('=').ok_or(OptionError::Part)?;
        let (method, fault) = match what.split_once(':') {
            Some((method, fault)) => (Some(method.into()), fault),
            None => (None, what),
        };
        let part: f64 = part.parse().map_err(|_| OptionError::Part)?;
        if !(0.0..=1.0).contains(&part) {
            return Err(OptionError::Part);
        }
        Ok(Self { method, fault: fault.parse()?, part })
    }
}

// === impl Faults ===

impl Faults {
    pub(super) fn new(rules: &[FaultRule]) -> Self {
        Self { rules: rules.to_vec(), next: HashMap::new() }
    }

    /// Something goes wrong with the next so many calls of a method, after all that was said of
    /// it before. Whether there is room for one thing more.
    pub(super) fn add(&mut self, method: &str, fault: Fault, calls: NonZeroU32) -> bool {
        let waiting: usize = self.next.values().map(VecDeque::len).sum();
        if waiting < WAITING {
            self.next.entry(method.into()).or_default().push_back((fault, calls.get()));
        }
        waiting < WAITING
    }

    /// Nothing goes wrong any more but by chance.
    pub(super) fn clear(&mut self) {
        self.next.clear();
    }

    /// What goes wrong with a call of the method.
    pub(super) fn draw(&mut self, method: &str, random: &mut Random) -> Option<Fault> {
        if let Some(next) = self.next.get_mut(method)
            && let Some((fault, calls)) = next.front_mut()
        {
            let fault = *fault;
            *calls -= 1;
            if *calls == 0 {
                next.pop_front();
            }
            if next.is_empty() {
                self.next.remove(method);
            }
            return Some(fault);
        }
        let concerns = |rule: &&FaultRule| rule.method.as_deref().is_none_or(|it| it == method);
        // Each draws, whether or not one before it hit: a rule more changes no other.
        let mut hits = self.rules.iter().filter(concerns).filter(|rule| random.hits(rule.part));
        let first = hits.next().map(|rule| rule.fault);
        hits.for_each(drop);
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_read_back() {
        for fault in Fault::ALL {
            let rule = FaultRule { method: None, fault, part: 0.25 };
            assert_eq!(format!("{fault}=0.25").parse(), Ok(rule.clone()));
            let rule = FaultRule { method: Some("chat.update".into()), ..rule };
            assert_eq!(format!("chat.update:{fault}=0.25").parse(), Ok(rule));
        }
        for (text, error) in [
            ("reset", OptionError::Part),
            ("reset=2", OptionError::Part),
            ("reset=-0.1", OptionError::Part),
            ("reset=NaN", OptionError::Part),
            ("reset=", OptionError::Part),
            ("rest=0.1", OptionError::Fault),
        ] {
            assert_eq!(text.parse::<FaultRule>(), Err(error), "{text}");
        }
    }

    #[test]
    fn chance_keeps_to_the_part_and_a_seed_repeats_it() {
        let rules = ["reset=0.1".parse().unwrap(), "chat.update:hang=1".parse().unwrap()];
        let draw = |seed| {
            let (mut faults, mut random) = (Faults::new(&rules), Random::new(seed));
            (0..10_000).map(|_| faults.draw("auth.test", &mut random)).collect::<Vec<_>>()
        };
        let drawn = draw(7);
        assert_eq!(drawn, draw(7));
        assert_ne!(drawn, draw(8));
        let hits = drawn.iter().filter(|fault| **fault == Some(Fault::Reset)).count();
        assert!((900..1_100).contains(&hits), "{hits}");
        assert!(drawn.iter().all(|fault| *fault != Some(Fault::Hang)));
        let (mut faults, mut random) = (Faults::new(&rules[1..]), Random::new(7));
        assert_eq!(faults.draw("chat.update", &mut random), Some(Fault::Hang));
    }

    #[test]
    fn the_next_calls_of_a_method_have_what_was_said() {
        let (mut faults, mut random) = (Faults::new(&[]), Random::new(7));
        let n = |n| NonZeroU32::new(n).unwrap();
        assert!(faults.add("a", Fault::Gzip, n(2)) && faults.add("a", Fault::Hang, n(1)));
        let drawn = [(); 4].map(|()| faults.draw("a", &mut random));
        assert_eq!(drawn, [Some(Fault::Gzip), Some(Fault::Gzip), Some(Fault::Hang), None]);
        assert_eq!(faults.draw("b", &mut random), None);
        for _ in 0..WAITING {
            assert!(faults.add("c", Fault::Slow, n(u32::MAX)));
        }
        assert!(!faults.add("d", Fault::Slow, n(1)), "memory is bounded");
        faults.clear();
        assert_eq!(faults.draw("c", &mut random), None);
    }
}
