//! A catalogue in the making: what documents and the operator say of each method, one over the
//! other, and the check that it all fits together.

use std::{
    collections::{BTreeMap, HashMap, btree_map},
    sync::Arc,
    time::Duration,
};

use limits::{AgeFrom, Class, Dimension, Limit, Rate, Rule, Scope};

use super::{
    Catalogue, Client, Drops, Edits, Endpoint, Holds, Kind, Method, Mode, OrderingArgument,
    OrderingArguments, Replaces, Savings, Tier,
    catalogue::{OTHER, index},
};

/// What tiers count by.
const TIER_SCOPE: Scope = Scope::of(&[Dimension::App, Dimension::Workspace, Dimension::Method]);

/// A catalogue in the making.
#[derive(Clone, Debug)]
pub struct Draft {
    pub(super) tiers: BTreeMap<Tier, Rate>,
    pub(super) unknown: Tier,
    pub(super) clients: Vec<Client>,
    pub(super) methods: BTreeMap<Arc<str>, Rules>,
}

/// What is said of a method. What is not said stays as it was.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Its tier.
    pub tier: Option<Tier>,
    /// Its own limits, all of them.
    pub limits: Option<Vec<Limit>>,
    /// The argument that names a channel.
    pub channel: Option<Arc<str>>,
    /// The argument that names a user.
    pub user: Option<Arc<str>>,
    /// Whether it only reads.
    pub reads: Option<bool>,
    /// Which of its calls go in order.
    pub in_order: Option<InOrder>,
    /// The class of calls that say none.
    pub class: Option<Class>,
    /// The longest that a call makes sense.
    pub max_wait: Option<Duration>,
    /// Whether it is called at all.
    pub enabled: Option<bool>,
    /// Whether its limits are kept.
    pub mode: Option<Mode>,
    /// Which of its calls a newer one replaces.
    pub replaces: Option<Replaces>,
    /// Which remembered answers its calls make old.
    pub drops: Option<Box<[Drops]>>,
    /// Which edits are sent.
    pub edits: Option<Edits>,
    /// Whether equal reads share one answer.
    pub share_reads: Option<bool>,
}

/// Which calls of a caller go in order.
#[derive(Clone, Debug)]
pub enum InOrder {
    /// None.
    No,
    /// Those that name one channel.
    PerChannel,
    /// Those that are alike in these arguments.
    By(OrderingArguments),
}

/// Why the rules of a method cannot hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// The method.
    pub method: Arc<str>,
    /// Another method that has part in it.
    pub other: Option<Arc<str>>,
    /// The limit's place among the method's own, if it is about one.
    pub limit: Option<usize>,
    /// What is wrong; what to do. Without the limit's name, which may come from the environment.
    pub text: String,
}

// === impl Draft ===

impl Draft {
    /// Whether the method is known.
    pub fn knows(&self, method: &str) -> bool {
        self.methods.contains_key(method)
    }

    /// Whether the method only reads.
    pub fn reads(&self, method: &str) -> bool {
        self.methods.get(method).is_some_and(|rules| rules.reads == Some(true))
    }

    /// Whether a call of the method replaces another.
    pub fn replaces(&self, method: &str) -> bool {
        self.methods.get(method).is_some_and(|rules| rules.replaces.is_some())
    }

    /// The names of all methods that are known.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.methods.keys().map(|name| &**name)
    }

    /// What a tier allows so far.
    pub fn tier(&self, tier: Tier) -> Option<Rate> {
        self.tiers.get(&tier).copied()
    }

    /// Sets what a tier allows.
    pub fn set_tier(&mut self, tier: Tier, rate: Rate) {
        self.tiers.insert(tier, rate);
    }

    /// Sets the tier of methods that are not known.
    pub fn set_unknown(&mut self, tier: Tier) {
        self.unknown = tier;
    }

    /// Lays rules over those of a method.
    pub fn change(&mut self, method: &str, rules: Rules) {
        match self.methods.entry(Arc::from(method)) {
            btree_map::Entry::Vacant(free) => {
                free.insert(rules);
            }
            btree_map::Entry::Occupied(mut known) => known.get_mut().lay(rules),
        }
    }

    /// The finished catalogue, and everything in it that does not fit together: it may be used
    /// only where nothing is.
    pub fn build(self) -> (Catalogue, Vec<Flaw>) {
        let mut limits = Limits::default();
        let tiers: HashMap<Tier, Arc<Limit>> =
            self.tiers.iter().map(|(tier, rate)| (*tier, limits.of_tier(*tier, *rate))).collect();
        let mut methods = Vec::with_capacity(self.methods.len());
        for (name, rules) in self.methods {
            let tier = rules.tier.unwrap_or(self.unknown);
            let tier_limit = tiers.get(&tier).map(Arc::clone);
            methods.push(Arc::new(limits.method(name, tier, tier_limit, rules)));
        }
        let unknown = Arc::new(Method {
            name: Arc::from(OTHER),
            kind: Kind::WebApi,
            tier: self.unknown,
            limits: tiers.get(&self.unknown).map(Arc::clone).into_iter().collect(),
            channel_arg: None,
            user_arg: None,
            reads: false,
            in_order: None,
            class: None,
            max_wait: None,
            enabled: true,
            mode: None,
            saves: Savings::default(),
        });
        let catalogue = Catalogue {
            tiers: self.tiers,
            index: index(&methods),
            methods,
            unknown,
            clients: self.clients,
            holds: Holds::default(),
        };
        (catalogue, limits.flaws)
    }
}

// === impl Rules ===

impl Rules {
    fn lay(&mut self, over: Self) {
        self.tier = over.tier.or(self.tier);
        self.limits = over.limits.or(self.limits.take());
        self.channel = over.channel.or(self.channel.take());
        self.user = over.user.or(self.user.take());
        self.reads = over.reads.or(self.reads);
        self.in_order = over.in_order.or(self.in_order.take());
        self.class = over.class.or(self.class);
        self.max_wait = over.max_wait.or(self.max_wait);
        self.enabled = over.enabled.or(self.enabled);
        self.mode = over.mode.or(self.mode);
        self.replaces = over.replaces.or(self.replaces.take());
        self.drops = over.drops.or(self.drops.take());
        self.edits = over.edits.or(self.edits);
        self.share_reads = over.share_reads.or(self.share_reads);
    }
}

/// Every limit by its name, while a catalogue is built.
#[derive(Default)]
struct Limits {
    by_name: HashMap<Arc<str>, Defined>,
    flaws: Vec<Flaw>,
}

/// A limit, and the method that defined it first; none for a tier's.
struct Defined {
    limit: Arc<Limit>,
    by: Option<Arc<str>>,
}

// === impl Limits ===

impl Limits {
    fn of_tier(&mut self, tier: Tier, rate: Rate) -> Arc<Limit> {
        let limit = Arc::new(Limit {
            name: Arc::from(tier.as_str()),
            rule: Rule::Rate(rate),
            scope: TIER_SCOPE,
            age_from: AgeFrom::Answer,
        });
        let defined = Defined { limit: Arc::clone(&limit), by: None };
        self.by_name.insert(Arc::clone(&limit.name), defined);
        limit
    }

    fn method(
        &mut self,
        name: Arc<str>,
        tier: Tier,
        tier_limit: Option<Arc<Limit>>,
        rules: Rules,
    ) -> Method {
        let own = rules.limits.unwrap_or_default();
        if tier == Tier::Special && own.is_empty() {
            let text = "tier special has no limit of its own; list the method's limits, or name \
                        another tier (none for no limit)";
            self.flaw(&name, None, None, text.to_owned());
        }
        let mut limits: Vec<Arc<Limit>> = tier_limit.into_iter().collect();
        for (i, limit) in own.into_iter().enumerate() {
            // Whom a call does not name is the token's own user; there is no such channel.
            if limit.scope.contains(Dimension::Channel) && rules.channel.is_none() {
                let text = "counts by channel, but which argument of the method names it is not \
                            known; add `channel: ARGUMENT` to the method";
                self.flaw(&name, None, Some(i), text.to_owned());
            }
            if limits.iter().any(|known| known.name == limit.name) {
                let text = "has the name of another limit of the method; delete one".to_owned();
                self.flaw(&name, None, Some(i), text);
            } else {
                limits.push(self.shared(&name, i, limit));
            }
        }
        let in_order = match rules.in_order {
            None | Some(InOrder::No) => None,
            Some(InOrder::By(arguments)) => Some(arguments),
            Some(InOrder::PerChannel) => {
                let channel = rules.channel.iter().map(Arc::clone).map(OrderingArgument::from);
                OrderingArguments::new(channel.collect())
            }
        };
        Method {
            kind: Endpoint::named(&name).map_or(Kind::WebApi, Endpoint::kind),
            name,
            tier,
            limits,
            channel_arg: rules.channel,
            user_arg: rules.user,
            reads: rules.reads.unwrap_or(false),
            in_order,
            class: rules.class,
            max_wait: rules.max_wait,
            enabled: rules.enabled.unwrap_or(true),
            mode: rules.mode,
            saves: Savings {
                replaces: rules.replaces,
                drops: rules.drops.unwrap_or_default(),
                edits: rules.edits,
                share_reads: rules.share_reads,
            },
        }
    }

    /// The one limit of that name.
    fn shared(&mut self, method: &Arc<str>, i: usize, limit: Limit) -> Arc<Limit> {
        if let Some(Defined { limit: known, by }) = self.by_name.get(&limit.name) {
            let (known, by) = (Arc::clone(known), by.clone());
            if *known != limit {
                let text = format!(
                    "limits of one name in {method} and in {} differ; they would be one limit, so \
                     choose another name",
                    by.as_deref().unwrap_or("tiers"),
                );
                self.flaw(method, by, Some(i), text);
            }
            return known;
        }
        let limit = Arc::new(limit);
        let defined = Defined { limit: Arc::clone(&limit), by: Some(Arc::clone(method)) };
        self.by_name.insert(Arc::clone(&limit.name), defined);
        limit
    }

    fn flaw(
        &mut self,
        method: &Arc<str>,
        other: Option<Arc<str>>,
        limit: Option<usize>,
        text: String,
    ) {
        self.flaws.push(Flaw { method: Arc::clone(method), other, limit, text });
    }
}
