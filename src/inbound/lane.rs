//! The base-URL lane: `/@cleanup;class=background;max-wait=30s;shed=429/api/…`.
//!
//! Every SDK can change its base URL, so every bot can say who it is and how urgent its calls
//! are, without a header. The same things can be said in `Slackwater-*` headers, which
//! are stronger.

use std::{borrow::Cow, time::Duration};

use config::{CallerName, ShedAs};
use http::{HeaderMap, HeaderName};
use limits::Class;
use percent_encoding::percent_decode_str;
use slack::{Edits, instead_of_token};
use yaml::units;

use crate::call::headers::OWN;

/// What a call says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lane {
    /// Who sends it.
    pub caller: Option<CallerName>,
    /// How urgent it is.
    pub class: Option<Class>,
    /// How long its client waits.
    pub max_wait: Option<Duration>,
    /// In which form its client is told that it is refused. Whoever says it may: it concerns nobody
    /// else's calls.
    pub shed_as: Option<ShedAs>,
    /// Whether its equal reads share one answer.
    pub share_reads: Option<bool>,
    /// Which of its edits of one thing are sent.
    pub edits: Option<Edits>,
}

/// A lane or a header that says something else than it may.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LaneError {
    /// A caller's name is too long, empty or not printable.
    #[error("{place}: a caller's name is 1 to 64 printable characters, and no token")]
    Caller {
        /// Where it was said.
        place: &'static str,
    },
    /// There is no such class.
    #[error("{place}: no class {value:?}; a class is interactive, normal or background")]
    Class {
        /// Where it was said.
        place: &'static str,
        /// What was said.
        value: String,
    },
    /// That is no duration.
    #[error("{place}: {value:?} is no waiting time; write 500ms, 30s or 2m")]
    MaxWait {
        /// Where it was said.
        place: &'static str,
        /// What was said.
        value: String,
    },
    /// There is no such form.
    #[error("{place}: no form {value:?} of a refusal; it is auto, 429 or ok_false")]
    ShedAs {
        /// Where it was said.
        place: &'static str,
        /// What was said.
        value: String,
    },
    /// Reads are shared or not.
    #[error("{place}: no way {value:?} to read; it is share or each")]
    Reads {
        /// Where it was said.
        place: &'static str,
        /// What was said.
        value: String,
    },
    /// All edits are sent, or the latest.
    #[error("{place}: no edits {value:?}; they are all or latest")]
    Edits {
        /// Where it was said.
        place: &'static str,
        /// What was said.
        value: String,
    },
    /// Who reads it next might take the other.
    #[error("{place}: {what} is said twice")]
    Twice {
        /// Where it was said.
        place: &'static str,
        /// What was said.
        what: &'static str,
    },
    /// A lane has no such part.
    #[error(
        "the lane in the path: no part {part:?}; a lane is @caller;class=…;max-wait=…;shed=…;reads=…;edits=…"
    )]
    Part {
        /// What was said.
        part: String,
    },
}

const IN_PATH: &str = "the lane in the path";
const CALLER_HEADER: HeaderName = HeaderName::from_static("slackwater-caller");
const CLASS_HEADER: HeaderName = HeaderName::from_static("slackwater-class");
const MAX_WAIT_HEADER: HeaderName = HeaderName::from_static("slackwater-max-wait");
const SHED_HEADER: HeaderName = HeaderName::from_static("slackwater-shed");
const READS_HEADER: HeaderName = HeaderName::from_static("slackwater-reads");
const EDITS_HEADER: HeaderName = HeaderName::from_static("slackwater-edits");

/// What an error repeats of what was said.
const SHOWN: usize = 40;

// === impl Lane ===

impl Lane {
    /// Splits a path into its lane and the rest, which starts with a slash. A path without
    /// a lane is the rest.
    ///
    /// # Errors
    /// If the lane says something that it may not.
    pub fn split(path: &str) -> Result<(Self, &str), LaneError> {
        let Some(lane) = path.strip_prefix("/@").or_else(|| path.strip_prefix("/%40")) else {
            return Ok((Self::default(), path));
        };
        let end = lane.find('/').unwrap_or(lane.len());
        let (lane, rest) = lane.split_at(end);
        Ok((Self::parse(lane)?, if rest.is_empty() { "/" } else { rest }))
    }

    /// Reads the text between `/@` and the next slash.
    fn parse(text: &str) -> Result<Self, LaneError> {
        // An encoded semicolon separates as well: some clients encode it.
        let text = text.replace("%3B", ";").replace("%3b", ";");
        let mut parts = text.split(';');
        let caller = caller(parts.next().unwrap_or_default(), IN_PATH)?;
        let mut lane = Self { caller: Some(caller), ..Self::default() };
        for part in parts {
            let decoded = decode(part);
            match decoded.split_once('=') {
                Some(("class", value)) => {
                    once(&mut lane.class, class(value, IN_PATH)?, IN_PATH, "class")?;
                }
                Some(("max-wait", value)) => {
                    once(&mut lane.max_wait, max_wait(value, IN_PATH)?, IN_PATH, "max-wait")?;
                }
                Some(("shed", value)) => {
                    once(&mut lane.shed_as, shed_as(value, IN_PATH)?, IN_PATH, "shed")?;
                }
                Some(("reads", value)) => {
                    once(&mut lane.share_reads, reads(value, IN_PATH)?, IN_PATH, "reads")?;
                }
                Some(("edits", value)) => {
                    once(&mut lane.edits, edits(value, IN_PATH)?, IN_PATH, "edits")?;
                }
                _ => return Err(LaneError::Part { part: shown(&decoded) }),
            }
        }
        Ok(lane)
    }

    /// Takes what the `Slackwater-*` headers say over what the lane said.
    ///
    /// # Errors
    /// If a header says something that it may not.
    pub fn with_headers(mut self, headers: &HeaderMap) -> Result<Self, LaneError> {
        // Nearly no call has any of them, which is seen sooner than that each is missing.
        if !headers.keys().any(|name| name.as_str().starts_with(OWN)) {
            return Ok(self);
        }
        let text = |name: HeaderName, what: &'static str| {
            let mut values = headers.get_all(name).iter();
            let text = values.next().map(|value| String::from_utf8_lossy(value.as_bytes()));
            match values.next() {
                Some(_) => Err(LaneError::Twice { place: "the headers", what }),
                None => Ok(text),
            }
        };
        if let Some(value) = text(CALLER_HEADER, "Slackwater-Caller")? {
            self.caller = Some(caller(&value, "the header Slackwater-Caller")?);
        }
        if let Some(value) = text(CLASS_HEADER, "Slackwater-Class")? {
            self.class = Some(class(value.trim(), "the header Slackwater-Class")?);
        }
        if let Some(value) = text(MAX_WAIT_HEADER, "Slackwater-Max-Wait")? {
            self.max_wait = Some(max_wait(value.trim(), "the header Slackwater-Max-Wait")?);
        }
        if let Some(value) = text(SHED_HEADER, "Slackwater-Shed")? {
            self.shed_as = Some(shed_as(value.trim(), "the header Slackwater-Shed")?);
        }
        if let Some(value) = text(READS_HEADER, "Slackwater-Reads")? {
            self.share_reads = Some(reads(value.trim(), "the header Slackwater-Reads")?);
        }
        if let Some(value) = text(EDITS_HEADER, "Slackwater-Edits")? {
            self.edits = Some(edits(value.trim(), "the header Slackwater-Edits")?);
        }
        Ok(self)
    }
}

/// Sets what is not set yet.
fn once<T>(
    slot: &mut Option<T>,
    value: T,
    place: &'static str,
    what: &'static str,
) -> Result<(), LaneError> {
    match slot.replace(value) {
        Some(_) => Err(LaneError::Twice { place, what }),
        None => Ok(()),
    }
}

fn caller(text: &str, place: &'static str) -> Result<CallerName, LaneError> {
    CallerName::new(decode(text)).map_err(|_| LaneError::Caller { place })
}

fn class(value: &str, place: &'static str) -> Result<Class, LaneError> {
    value.parse().map_err(|_| LaneError::Class { place, value: shown(value) })
}

fn max_wait(value: &str, place: &'static str) -> Result<Duration, LaneError> {
    units::parse_duration(value).map_err(|_| LaneError::MaxWait { place, value: shown(value) })
}

fn shed_as(value: &str, place: &'static str) -> Result<ShedAs, LaneError> {
    let form = ShedAs::WORDS.iter().find(|(word, _)| *word == value).map(|(_, form)| *form);
    form.ok_or_else(|| LaneError::ShedAs { place, value: shown(value) })
}

fn reads(value: &str, place: &'static str) -> Result<bool, LaneError> {
    match value {
        "share" => Ok(true),
        "each" => Ok(false),
        _ => Err(LaneError::Reads { place, value: shown(value) }),
    }
}

fn edits(value: &str, place: &'static str) -> Result<Edits, LaneError> {
    Edits::parse(value).ok_or_else(|| LaneError::Edits { place, value: shown(value) })
}

fn decode(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

fn shown(text: &str) -> String {
    let repeated = || text.chars().take(SHOWN).collect();
    instead_of_token(text).map_or_else(repeated, str::to_owned)
}

#[cfg(test)]
mod rules;
#[cfg(test)]
mod tests {
    use slack::RefusedAs;

    use super::*;

    #[test]
    fn a_lane_names_caller_class_and_patience() {
        let (lane, rest) =
            Lane::split("/@cleanup;class=background;max-wait=30s;shed=429/api/auth.test").unwrap();
        assert_eq!(rest, "/api/auth.test");
        assert_eq!(lane.caller.as_deref(), Some("cleanup"));
        assert_eq!(lane.class, Some(Class::Background));
        assert_eq!(lane.max_wait, Some(Duration::from_secs(30)));
        assert_eq!(lane.shed_as, Some(ShedAs::Always(RefusedAs::Status429)));
    }

    #[test]
    fn a_lane_and_a_header_choose_the_form_of_a_refusal() {
        for (word, form) in ShedAs::WORDS {
            let path = format!("/@a;shed={word}/api/x");
            let (lane, _) = Lane::split(&path).unwrap();
            assert_eq!(lane.shed_as, Some(form));
            let mut headers = HeaderMap::new();
            headers.insert(SHED_HEADER, word.parse().unwrap());
            let (lane, _) = Lane::split("/@a;shed=auto/api/x").unwrap();
            assert_eq!(lane.with_headers(&headers).unwrap().shed_as, Some(form));
        }
    }

    #[test]
    fn a_lane_and_a_header_say_what_need_not_be_sent() {
        let (lane, _) = Lane::split("/@a;reads=share;edits=latest/api/x").unwrap();
        assert_eq!((lane.share_reads, lane.edits), (Some(true), Some(Edits::Latest)));
        let mut headers = HeaderMap::new();
        headers.insert(READS_HEADER, "each".parse().unwrap());
        headers.insert(EDITS_HEADER, " all ".parse().unwrap());
        let lane = lane.with_headers(&headers).unwrap();
        assert_eq!((lane.share_reads, lane.edits), (Some(false), Some(Edits::All)));
        headers.insert(EDITS_HEADER, "newest".parse().unwrap());
        let error = lane.with_headers(&headers).unwrap_err().to_string();
        assert_eq!(
            error,
            "the header Slackwater-Edits: no edits \"newest\"; they are all or latest"
        );
    }

    #[test]
    fn a_lane_may_be_percent_encoded() {
        let plain = Lane::split("/@night job;class=background/api/x").unwrap();
        let encoded = Lane::split("/%40night%20job%3Bclass%3Dbackground/api/x").unwrap();
        assert_eq!(plain, encoded);
    }

    #[test]
    fn without_a_lane_the_path_is_the_path() {
        assert_eq!(Lane::split("/api/x").unwrap(), (Lane::default(), "/api/x"));
        assert_eq!(Lane::split("/").unwrap(), (Lane::default(), "/"));
    }

    #[test]
    fn a_bad_lane_says_what_is_allowed() {
        for (path, word) in [
            ("/@/api/x", "1 to 64"),
            ("/@%00/api/x", "printable"),
            ("/@a;class=urgent/api/x", "interactive, normal or background"),
            ("/@a;max-wait=soon/api/x", "500ms"),
            ("/@a;weight=3/api/x", "max-wait"),
            ("/@a;shed=503/api/x", "it is auto, 429 or ok_false"),
            ("/@a;shed=/api/x", "it is auto, 429 or ok_false"),
            ("/@a;shed=429;shed=429/api/x", "shed is said twice"),
            ("/@a;reads=yes/api/x", "no way \"yes\" to read; it is share or each"),
            ("/@a;edits=last/api/x", "no edits \"last\"; they are all or latest"),
            ("/@a;edits=all;edits=all/api/x", "edits is said twice"),
            ("/@a;reads=each;reads=each/api/x", "reads is said twice"),
            ("/@a;reads=xoxb-1-secret/api/x", "\"what looks like a token\""),
            ("/@a;edits=xoxb-1-secret/api/x", "\"what looks like a token\""),
            ("/@a;shed=xoxb-1-secret/api/x", "\"what looks like a token\""),
            ("/@a;class=normal;class=background/api/x", "class is said twice"),
            ("/@a;max-wait=1s;max-wait=1s/api/x", "max-wait is said twice"),
            ("/@xoxb-1-secret/api/x", "no token"),
            ("/@a;class=xoxb-1-secret/api/x", "\"what looks like a token\""),
            ("/@a;max-wait=xoxb-1-secret/api/x", "\"what looks like a token\""),
            ("/@a;xoxb-1-secret/api/x", "\"what looks like a token\""),
        ] {
            let error = Lane::split(path).unwrap_err().to_string();
            assert!(error.contains(word) && !error.contains("secret"), "{path}: {error}");
        }
        let long = format!("/@{}/api/x", "a".repeat(65));
        assert!(Lane::split(&long).is_err());
    }

    #[test]
    fn a_header_is_stronger_than_the_lane() {
        let (lane, _) = Lane::split("/@a;class=normal/api/x").unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(CLASS_HEADER, "background".parse().unwrap());
        let lane = lane.with_headers(&headers).unwrap();
        assert_eq!((lane.caller.as_deref(), lane.class), (Some("a"), Some(Class::Background)));
        headers.append(CLASS_HEADER, "background".parse().unwrap());
        let error = Lane::default().with_headers(&headers).unwrap_err();
        assert_eq!(error.to_string(), "the headers: Slackwater-Class is said twice");
        headers.remove(CLASS_HEADER);
        headers.insert(MAX_WAIT_HEADER, "never".parse().unwrap());
        let error = Lane::default().with_headers(&headers).unwrap_err();
        assert!(error.to_string().starts_with("the header Slackwater-Max-Wait"), "{error}");
        headers.remove(MAX_WAIT_HEADER);
        headers.insert(SHED_HEADER, "200".parse().unwrap());
        let error = Lane::default().with_headers(&headers).unwrap_err();
        assert!(error.to_string().starts_with("the header Slackwater-Shed: no form"), "{error}");
    }
}
