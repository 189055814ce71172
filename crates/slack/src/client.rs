//! Kinds of clients: how they are told apart, how long each waits for a response, and what keeps it
//! waiting.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName};

/// What a kind of client does with a response that is late, or a 429.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// What it is called.
    pub name: Arc<str>,
    /// How it is told from others.
    pub signs: ClientSigns,
    /// After how long it gives up, where that is known; it never does without.
    pub timeout: Option<ClientTimeout>,
    /// How long a call of it may be held, where nothing keeps it waiting.
    pub max_wait: Duration,
    /// What keeps it waiting.
    pub keep_alive: KeepAlive,
    /// Whether a 429 to one of its calls stops them all.
    pub stops_whole: bool,
    /// What it retries by itself.
    pub retries: Retries,
    /// Where that is known from.
    pub source: Arc<str>,
}

/// How a kind of client is told from others: by everything that is here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientSigns {
    /// A substring of its User-Agent.
    pub user_agent: Option<Arc<str>>,
    /// What else its requests have in their headers.
    pub headers: Box<[(HeaderName, HeaderSign)]>,
}

/// What tells a client by a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderSign {
    /// It sends it.
    Present,
    /// It does not send it.
    Absent,
    /// It sends this, in capitals or not.
    Equal(Arc<str>),
}

/// After how long a client gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientTimeout {
    /// When it has read nothing for so long.
    Read(Duration),
    /// When it has not read all in so long.
    Total(Duration),
}

/// What keeps a client waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepAlive {
    /// Interim responses (RFC 9110, 15.2): it bears any number up to a hundred.
    Interim,
    /// Nothing, or nothing is known of it.
    #[default]
    None,
}

/// What a client retries by itself, by default, that it does not retry after an error status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retries {
    /// A call whose connection broke before an answer, whatever the call does.
    BrokenConnections,
    /// Nothing, or an error status too, or nothing is known of it.
    #[default]
    None,
}

/// How many interim responses come in each time-out of a client: if one is late, another is not.
const PER_TIMEOUT: u32 = 3;

// === impl Client ===

impl Client {
    /// The time between two interim responses, at most `most`, if they keep it waiting.
    pub fn interim_every(&self, most: Duration) -> Option<Duration> {
        let patience = match self.timeout {
            Some(ClientTimeout::Read(timeout)) => timeout,
            _ => self.max_wait,
        };
        let every = (patience / PER_TIMEOUT).min(most);
        (self.keep_alive == KeepAlive::Interim).then_some(every)
    }
}

// === impl ClientSigns ===

impl ClientSigns {
    /// Whether a request with these headers is from such a client.
    pub fn fit(&self, user_agent: &str, headers: &HeaderMap) -> bool {
        let agent = self.user_agent.as_deref();
        agent.is_none_or(|part| user_agent.contains(part))
            && self.headers.iter().all(|(name, sign)| sign.fits(name, headers))
    }
}

// === impl HeaderSign ===

impl HeaderSign {
    /// As the catalogue writes it.
    pub fn parse(text: &str) -> Self {
        match text {
            "present" => Self::Present,
            "absent" => Self::Absent,
            value => Self::Equal(Arc::from(value)),
        }
    }

    /// As the catalogue writes it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Present => "present",
            Self::Absent => "absent",
            Self::Equal(value) => value,
        }
    }

    fn fits(&self, name: &HeaderName, headers: &HeaderMap) -> bool {
        match self {
            Self::Present => headers.contains_key(name),
            Self::Absent => !headers.contains_key(name),
            Self::Equal(value) => headers
                .get(name)
                .is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(value.as_bytes())),
        }
    }
}

// === impl KeepAlive ===

impl KeepAlive {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Interim, Self::None];

    /// As the catalogue and a configuration write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Interim => "interim",
            Self::None => "none",
        }
    }
}

// === impl Retries ===

impl Retries {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::BrokenConnections, Self::None];

    /// As the catalogue and a configuration write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BrokenConnections => "broken_connections",
            Self::None => "none",
        }
    }
}
