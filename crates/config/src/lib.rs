//! What the operator decided, as the program may rely on it.
//!
//! A file comes in as [`load`] finds it and is, as [`yaml`] reads it, what was typed;
//! [`check`] makes a [`Config`] of it, or says everything that is wrong. A bad value never becomes
//! a default.

mod access;
mod adaptive;
mod admin;
mod background;
pub mod callers;
mod check;
mod clients;
mod glob;
mod identity;
mod keys;
mod load;
mod manifest;
mod memory;
mod methods;
mod name;
mod outside;
mod proxies;
mod reads;
mod secret;
mod servers;
mod shared;
mod tls;
mod traces;
mod upstreams;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use http::HeaderMap;
use limits::Share;
use slack::{AppKind, Catalogue, Client, Edits, Mode, RefusedAs, TokenHash};

pub use access::{Allowed, ListenTls, Proof};
pub use adaptive::Adaptive;
pub use callers::{CallerRule, Match, Terms, TokenPrefix};
pub use check::{ADMIN_LISTEN_ENV, LISTEN_ENV, check, check_on};
pub use clients::ClientRule;
pub use glob::{Glob, GlobError};
pub use load::{
    CONFIG_ENV, Inspected, LoadError, MAX_CERTIFICATES, environment, file_of, inspect, load,
    load_again,
};
pub use memory::Memory;
pub use name::{CallerName, NotAName};
pub use outside::Outside;
pub use proxies::Proxies;
pub use reads::{ReadCache, Reads};
pub use secret::Secret;
pub use servers::{Address, RedisServers, Sentinel, Topology};
pub use shared::{ORDINAL_ENV, Password, Redis, Shared};
pub use tls::{Roots, Tls};
pub use traces::Traces;

use self::upstreams::Slack;
pub use slack::Kind;
pub use yaml::{Place, Problem, Problems};

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where bots connect.
    pub listen: SocketAddr,
    /// How their connections are secured; not at all without.
    pub listen_tls: Option<ListenTls>,
    /// Who may call; everybody, if nobody is named.
    pub allow: Vec<Allowed>,
    /// The operators' listener.
    pub admin: Admin,
    /// Where calls go, by path prefix; the first match counts.
    pub upstreams: Vec<Upstream>,
    /// How connections to upstreams are secured.
    pub tls: Tls,
    /// Which upstreams are reached through a proxy.
    pub proxies: Proxies,
    /// How the app is distributed; the catalogue is made for it.
    pub app: AppKind,
    /// Slack's methods as the catalogue has them, with the operator's changes.
    pub catalogue: Arc<Catalogue>,
    /// Tokens whose app and workspace are known beforehand.
    pub identity: IdentityRules,
    /// Whose calls are whose, and what each caller may have; the first match counts.
    pub callers: Vec<CallerRule>,
    /// What is known of clients before what the catalogue knows; the first match counts.
    pub clients: Vec<ClientRule>,
    /// How limits are learnt from refusals.
    pub adaptive: Adaptive,
    /// What calls of class background take at most of each window, which always leaves one
    /// slot to the others.
    pub background_share: Share,
    /// How much memory the process may take, where the operator or its container says so. The bounds of
    /// the queue are parts of it.
    pub memory: Option<Memory>,
    /// How long and how many calls are held.
    pub queue: QueueBounds,
    /// How long the upstream may take.
    pub timeouts: Timeouts,
    /// Whether callers may raise their own class.
    pub trust_callers: TrustCallers,
    /// How calls are told that they are refused for a limit.
    pub shed_as: ShedAs,
    /// What happens when Slack refuses a call.
    pub on_429: On429,
    /// Whether calls are answered at once whose token or webhook Slack has called good for nothing.
    pub fail_fast: FailFast,
    /// Which reads need not be sent.
    pub reads: Reads,
    /// Which edits of one thing are sent, where nothing else is said of a method or a caller.
    pub edits: Edits,
    /// Whether limits are kept, or calls are only watched, where nothing else is said of a method.
    pub mode: Mode,
    /// How several replicas share their limits; this is the only one, if nothing is said.
    pub shared: Option<Shared>,
    /// Where windows, freezes and identities are kept over a restart.
    pub state_file: Option<PathBuf>,
    /// How long held calls go on after SIGTERM.
    pub drain_timeout: Duration,
    /// What is logged, and how.
    pub log: Log,
    /// Where traces of calls go; nowhere, if nothing is said.
    pub traces: Option<Traces>,
    /// Files that it names and that were read: certificates and keys.
    pub files: Vec<PathBuf>,
}

/// The operators' listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What a change is proved with.
    pub token: Option<Secret>,
    /// Names by which it is called besides IP addresses and localhost.
    pub hosts: Vec<Arc<str>>,
}

/// A server that calls go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// What the path of a call starts with; starts and ends with a slash.
    pub prefix: Arc<str>,
    /// What the prefix is replaced by; ends with a slash.
    pub url: http::Uri,
    /// What kind of calls go there.
    pub kind: Kind,
}

/// How it is found out whose a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityRules {
    /// Whether Slack is asked whose an unknown token is.
    pub resolve: bool,
    /// The app of every token of which nothing else is told.
    pub app: Option<Arc<str>>,
    /// What the operator tells.
    pub tokens: Vec<KnownToken>,
}

/// A token whose app and workspace the operator told.
#[derive(Clone, PartialEq, Eq)]
pub struct KnownToken {
    /// Its hash.
    pub token: TokenHash,
    /// The environment variable that holds it.
    pub env: Arc<str>,
    /// Its app.
    pub app: Arc<str>,
    /// Its workspace.
    pub workspace: Arc<str>,
    /// Its Enterprise organization.
    pub org: Option<Arc<str>>,
}

/// How long and how many calls are held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueBounds {
    /// How long a call is held when nothing tells its client's patience.
    pub max_wait: Duration,
    /// The longest any call is held, whatever its client says.
    pub max_hold: Duration,
    /// Calls held per bucket.
    pub max_depth: usize,
    /// Calls held in all.
    pub max_total: usize,
    /// Calls and connections beyond those that may be held: for what is read, in flight or idle.
    pub spare: usize,
    /// Bytes of headers and bodies of calls in all.
    pub max_bytes: usize,
    /// Buckets, before names without one share some.
    pub max_buckets: usize,
    /// Calls in flight in all, where the operator says so.
    pub max_in_flight: Option<usize>,
    /// Calls in flight to one server, where the operator says so.
    pub max_in_flight_per_server: Option<usize>,
}

/// How long the upstream may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To accept a connection, TLS included.
    pub connect: Duration,
    /// From the request to the answer's headers.
    pub headers: Duration,
    /// Between two pieces of a body.
    pub body_idle: Duration,
}

/// Whether callers may raise their own class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustCallers {
    /// On a loopback listener only.
    Auto,
    /// Always.
    Always,
    /// They may only lower it.
    Never,
}

/// How calls are told that they are refused for a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShedAs {
    /// As their client takes it best.
    Auto,
    /// All in the same way.
    Always(RefusedAs),
}

/// What happens when Slack refuses a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct On429 {
    /// How often a call is sent, the first time included.
    pub max_attempts: NonZeroU32,
    /// For a 429 without a readable Retry-After.
    pub default_retry_after: Duration,
}

/// Whether calls are answered at once whose token or webhook Slack has called good for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailFast {
    /// Whether they are.
    pub on: bool,
    /// After how long a call passes and decides whether it is still so.
    pub probe_after: Duration,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// As lines of text or of JSON.
    pub format: LogFormat,
    /// The least severe level.
    pub level: tracing::Level,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

// === impl Config ===

impl Config {
    /// What holds where the operator decided nothing.
    fn new(app: AppKind, catalogue: Catalogue) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            listen_tls: None,
            allow: Vec::new(),
            admin: Admin::default(),
            upstreams: upstreams::defaults(Slack::Public),
            tls: Tls::default(),
            proxies: Proxies::default(),
            app,
            catalogue: Arc::new(catalogue),
            identity: IdentityRules::default(),
            callers: Vec::new(),
            clients: Vec::new(),
            adaptive: Adaptive::default(),
            background_share: Share::default(),
            memory: None,
            queue: QueueBounds::default(),
            timeouts: Timeouts::default(),
            trust_callers: TrustCallers::Auto,
            shed_as: ShedAs::Auto,
            on_429: On429::default(),
            fail_fast: FailFast::default(),
            reads: Reads::default(),
            edits: Edits::default(),
            mode: Mode::default(),
            shared: None,
            state_file: None,
            drain_timeout: Duration::from_secs(25),
            log: Log::default(),
            traces: None,
            files: Vec::new(),
        }
    }

    /// The kind of client with that User-Agent, empty without one, and these headers, if it is known:
    /// by the operator's rules, else by the catalogue.
    pub fn client(&self, user_agent: &str, headers: &HeaderMap) -> Option<&Client> {
        let rule = self.clients.iter().find(|rule| rule.user_agent.matches(user_agent));
        rule.map(|rule| &rule.client).or_else(|| self.catalogue.client(user_agent, headers))
    }
}

// === impl Admin ===

impl Default for Admin {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 9090));
        Self { listen, token: None, hosts: Vec::new() }
    }
}

// === impl QueueBounds ===

impl QueueBounds {
    /// How long a call is held when nothing tells its client's patience, and the operator says nothing
    /// else. Many clients give up after 10 s.
    pub const MAX_WAIT: Duration = Duration::from_secs(8);

    /// [`Self::spare`], where memory is no reason to have fewer.
    pub(crate) const SPARE: usize = 1024;

    /// How many connections of clients there may be at once, and how many calls: of HTTP/2 a connection has
    /// many.
    pub fn at_once(&self) -> usize {
        self.max_total.saturating_add(self.spare)
    }
}

impl Default for QueueBounds {
    fn default() -> Self {
        Self {
            max_wait: Self::MAX_WAIT,
            max_hold: Duration::from_secs(3600),
            max_depth: 10_000,
            max_total: 100_000,
            spare: Self::SPARE,
            max_bytes: 32 << 20,
            max_buckets: 100_000,
            max_in_flight: None,
            max_in_flight_per_server: None,
        }
    }
}

// === impl Timeouts ===

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            headers: Duration::from_secs(60),
            body_idle: Duration::from_secs(60),
        }
    }
}

// === impl TrustCallers ===

impl TrustCallers {
    /// Whether callers of a listener at that address may raise their own class.
    pub const fn may_raise(self, listen: IpAddr) -> bool {
        match self {
            Self::Auto => listen.is_loopback(),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

// === impl ShedAs ===

impl ShedAs {
    /// How each is written.
    pub const WORDS: [(&str, Self); 3] = [
        ("auto", Self::Auto),
        ("429", Self::Always(RefusedAs::Status429)),
        ("ok_false", Self::Always(RefusedAs::OkFalse)),
    ];
}

// === impl On429 ===

impl Default for On429 {
    fn default() -> Self {
        const MAX_ATTEMPTS: NonZeroU32 = NonZeroU32::new(10).unwrap();
        Self { max_attempts: MAX_ATTEMPTS, default_retry_after: Duration::from_secs(30) }
    }
}

// === impl FailFast ===

impl Default for FailFast {
    fn default() -> Self {
        Self { on: true, probe_after: Duration::from_secs(60) }
    }
}

// === impl Log ===

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: tracing::Level::INFO }
    }
}

// === impl IdentityRules ===

impl Default for IdentityRules {
    fn default() -> Self {
        Self { resolve: true, app: None, tokens: Vec::new() }
    }
}

// === impl KnownToken ===

impl fmt::Debug for KnownToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownToken")
            .field("app", &self.app)
            .field("workspace", &self.workspace)
            .field("org", &self.org)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
