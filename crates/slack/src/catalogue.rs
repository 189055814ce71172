//! The catalogue: every method with its tier and its special limits, every endpoint beside the Web
//! API with its own, and how they are looked up.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use http::HeaderMap;
use limits::{Class, Limit, Rate, Rule};
use yaml::Problems;

use super::{
    AppKind, Client, ClientTimeout, Endpoint, Kind, Mode, OrderingArguments, Savings, Tier,
    endpoint::is_read, read,
};

/// What methods are called that the catalogue does not know, in metrics and status: what callers
/// send must not choose the names.
pub const OTHER: &str = "other";

/// What the periods of Slack's documents are measured in.
const MINUTE: Duration = Duration::from_secs(60);

/// Slack's methods and endpoints, and the limits they are under.
#[derive(Clone, Debug)]
pub struct Catalogue {
    pub(super) tiers: BTreeMap<Tier, Rate>,
    /// By name.
    pub(super) methods: Vec<Arc<Method>>,
    /// The same, for the lookup that every call makes.
    pub(super) index: HashMap<Arc<str>, Arc<Method>>,
    pub(super) unknown: Arc<Method>,
    pub(super) clients: Vec<Client>,
    pub(super) holds: Holds,
}

/// How long calls are held by what is known, and not said, of their clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holds {
    /// A call that interim responses keep alive, of class normal: so long somebody still wants it.
    pub normal: Duration,
    /// A call to a URL that is a secret, whose client is not known. What sends those, an alert for
    /// example, seldom sends it again after a 429, and waits for half a minute more often than not.
    pub secret_url: Duration,
    /// The longest time between two interim responses.
    pub interim: Duration,
}

/// A Web API method, or an endpoint beside it, and the rules it is under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    /// The name as Slack documents it; [`OTHER`] for the entry of unknown methods.
    pub name: Arc<str>,
    /// What kind of calls these are.
    pub kind: Kind,
    /// Its tier.
    pub tier: Tier,
    /// Every limit a call of it counts against: the tier's first, if it has one, then its own.
    /// Limits of the same name are the same limit, in all methods.
    pub limits: Vec<Arc<Limit>>,
    /// The argument that names a channel.
    pub channel_arg: Option<Arc<str>>,
    /// The argument that names a user, where a limit counts by it.
    pub user_arg: Option<Arc<str>>,
    /// Whether it only reads, so that sending it twice does no harm.
    pub reads: bool,
    /// The arguments that are alike in calls of one caller that go one at a time, in their order.
    pub in_order: Option<OrderingArguments>,
    /// Its class where the caller names none.
    pub class: Option<Class>,
    /// The longest that holding a call of it makes sense.
    pub max_wait: Option<Duration>,
    /// Whether calls of it are let through at all.
    pub enabled: bool,
    /// Whether its limits are kept, where the operator says so of it.
    pub mode: Option<Mode>,
    /// Which of its calls need not be sent.
    pub saves: Savings,
}

// === impl Catalogue ===

impl Catalogue {
    /// The catalogue that is compiled in, `config/slack.yaml`, as it holds for this kind of app.
    ///
    /// # Errors
    /// Everything that is wrong with the file. A test sees to it that nothing is.
    pub fn built_in(app: AppKind) -> Result<Self, Problems> {
        read::built_in(app)
    }

    /// The Web API method of that name; the entry named [`OTHER`] for one that is not known. No document
    /// says whether Slack tells upper case from lower; if it does, it knows no method of the other name.
    pub fn method(&self, name: &str) -> &Arc<Method> {
        let is_api = |method: &&Arc<Method>| method.kind == Kind::WebApi;
        let alike = |method: &&Arc<Method>| method.name.eq_ignore_ascii_case(name);
        self.get(name)
            .filter(is_api)
            .or_else(|| self.methods.iter().filter(is_api).find(alike))
            .unwrap_or(&self.unknown)
    }

    /// The entry of an endpoint.
    pub fn endpoint(&self, endpoint: Endpoint) -> &Arc<Method> {
        // A test sees to it that the catalogue has all of them, and nobody can take one away.
        self.get(endpoint.as_str()).unwrap_or(&self.unknown)
    }

    /// The method or endpoint of that name; the entry named [`OTHER`] for one that is not known.
    pub fn entry(&self, name: &str) -> &Arc<Method> {
        self.get(name).unwrap_or(&self.unknown)
    }

    /// The method or endpoint of that name, if it is known.
    pub fn get(&self, name: &str) -> Option<&Arc<Method>> {
        self.index.get(name)
    }

    /// The rules of methods that are not known.
    pub fn unknown(&self) -> &Arc<Method> {
        &self.unknown
    }

    /// The methods and endpoints that are known, by name.
    pub fn methods(&self) -> impl ExactSizeIterator<Item = &Arc<Method>> {
        self.methods.iter()
    }

    /// Every limit of every method and endpoint; one that several are under comes several times.
    pub fn limits(&self) -> impl Iterator<Item = &Arc<Limit>> {
        self.methods.iter().chain([&self.unknown]).flat_map(|method| &method.limits)
    }

    /// What a tier allows; nothing for [`Tier::Special`] and [`Tier::None`].
    pub fn tier(&self, tier: Tier) -> Option<Rate> {
        self.tiers.get(&tier).copied()
    }

    /// The kinds of clients that are known, in the order in which they are tried.
    pub fn clients(&self) -> &[Client] {
        &self.clients
    }

    /// The kind of client with that User-Agent, empty without one, and these headers, if it is known.
    pub fn client(&self, user_agent: &str, headers: &HeaderMap) -> Option<&Client> {
        self.clients.iter().find(|client| client.signs.fit(user_agent, headers))
    }

    /// How long calls are held by what is known of their clients.
    pub fn holds(&self) -> Holds {
        self.holds
    }

    /// The same limits against a server whose minute is shorter or longer: every period is
    /// multiplied by `minute` / 60 s, and is at least a nanosecond. So is what is known of clients,
    /// and how long their calls are held by that. The longest that a method makes sense stays.
    ///
    /// For tests against a fake Slack.
    #[must_use]
    pub fn with_minute(self, minute: Duration) -> Self {
        let mut scaled = HashMap::new();
        let methods = self.methods.iter().map(|method| scale(method, minute, &mut scaled));
        let methods: Vec<Arc<Method>> = methods.collect();
        let unknown = scale(&self.unknown, minute, &mut scaled);
        let tiers = self.tiers.into_iter();
        let tiers = tiers
            .map(|(tier, rate)| (tier, Rate { per: scale_period(rate.per, minute), ..rate }))
            .collect();
        let clients = self.clients.into_iter().map(|client| scale_client(client, minute));
        let Holds { normal, secret_url, interim } = self.holds;
        let holds = Holds {
            normal: scale_period(normal, minute),
            secret_url: scale_period(secret_url, minute),
            interim: scale_period(interim, minute),
        };
        Self { tiers, index: index(&methods), methods, unknown, clients: clients.collect(), holds }
    }
}

// === impl Holds ===

impl Default for Holds {
    fn default() -> Self {
        Self {
            normal: Duration::from_secs(300),
            secret_url: Duration::from_secs(30),
            interim: Duration::from_secs(10),
        }
    }
}

// === impl Method ===

impl Method {
    /// Whether a call of it with that verb does no harm when it is made twice. The Web API takes
    /// every verb for every method; elsewhere the verb says what is done.
    pub fn may_be_repeated(&self, verb: &http::Method) -> bool {
        self.reads && (self.kind == Kind::WebApi || is_read(verb))
    }
}

/// The index of methods by name.
pub(super) fn index(methods: &[Arc<Method>]) -> HashMap<Arc<str>, Arc<Method>> {
    methods.iter().map(|method| (Arc::clone(&method.name), Arc::clone(method))).collect()
}

/// A method with scaled limits; those of one name stay one.
fn scale(
    method: &Method,
    minute: Duration,
    scaled: &mut HashMap<Arc<str>, Arc<Limit>>,
) -> Arc<Method> {
    let limits = method.limits.iter().map(|limit| {
        let scaled = scaled.entry(Arc::clone(&limit.name)).or_insert_with(|| {
            let rule = match limit.rule {
                Rule::Rate(rate) => {
                    Rule::Rate(Rate { per: scale_period(rate.per, minute), ..rate })
                }
                rule => rule,
            };
            Arc::new(Limit { rule, ..Limit::clone(limit) })
        });
        Arc::clone(scaled)
    });
    Arc::new(Method { limits: limits.collect(), ..method.clone() })
}

fn scale_client(client: Client, minute: Duration) -> Client {
    let timeout = client.timeout.map(|timeout| match timeout {
        ClientTimeout::Read(time) => ClientTimeout::Read(scale_period(time, minute)),
        ClientTimeout::Total(time) => ClientTimeout::Total(scale_period(time, minute)),
    });
    Client { timeout, max_wait: scale_period(client.max_wait, minute), ..client }
}

fn scale_period(period: Duration, minute: Duration) -> Duration {
    let nanos = period.as_nanos().saturating_mul(minute.as_nanos()) / MINUTE.as_nanos();
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX).max(1))
}
