//! The limits of the fleet, as Slack has them, and every bucket of its workspaces.

use std::{collections::HashMap, num::NonZeroU32, sync::Arc, time::Duration};

use limits::{AgeFrom, BucketKey, Dimension, Limit, Rate, Rule, Scope};

/// What calls are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Method {
    /// Tier 2: 20 a minute.
    List,
    /// Tier 3: 50 a minute.
    Info,
    /// One a minute.
    History,
    /// Tier 2, and one a second for all workspaces of the app.
    Close,
    /// One a second in a channel, in short bursts, and 300 a minute in the workspace; in order.
    Post,
    /// Tier 3, in the order of the posts.
    Update,
    /// Tier 2, one at a time.
    Bookmark,
}

/// All buckets that there can be, by number, with the limits that a replica is configured with.
#[derive(Debug)]
pub(super) struct Catalogue {
    pub(super) keys: Vec<BucketKey>,
    by_name: HashMap<String, u32>,
    /// Those of a call, by method and workspace; the channel's and the order's follow.
    workspaces: Vec<Vec<u32>>,
    /// The first of the channels, and of the orders, of each workspace.
    channels: Vec<u32>,
    app_wide: u32,
    app: u32,
    pub(super) gate: BucketKey,
    pub(super) one_of_each_limit: Vec<BucketKey>,
}

pub(super) const METHODS: [Method; 7] = [
    Method::List,
    Method::Info,
    Method::History,
    Method::Close,
    Method::Post,
    Method::Update,
    Method::Bookmark,
];
pub(super) const CHANNELS: usize = 4;
/// Callers whose posts go in order, of a channel.
pub(super) const POSTERS: usize = 2;

// === impl Catalogue ===

impl Catalogue {
    /// Those of Slack, or, if an operator is `careful`, lower ones.
    pub(super) fn of(workspaces: usize, careful: bool) -> Self {
        let workspace = [Dimension::App, Dimension::Workspace];
        let tier = |name, quota: u32| {
            let scope = [Dimension::App, Dimension::Workspace, Dimension::Method];
            let (quota, seconds) = match name {
                "list" | "update" if careful => (quota, 90),
                "info" | "bookmark" if careful => (quota * 3 / 4, 60),
                _ => (quota, 60),
            };
            limit(name, rate(quota, seconds, None), &scope)
        };
        let of_method: Vec<Arc<Limit>> = vec![
            tier("list", 20),
            tier("info", 50),
            tier("history", 1),
            tier("close", 20),
            tier("post", 300),
            tier("update", 50),
            tier("bookmark", 20),
        ];
        let app_wide = limit("app_wide", rate(1, 1, None), &[Dimension::App]);
        let channel = [workspace[0], workspace[1], Dimension::Channel];
        let channel = Limit::clone(&limit("channel", rate(1, 1, Some(3)), &channel));
        let channel = Arc::new(Limit { age_from: AgeFrom::Send, ..channel });
        let order = Rule::InOrder(Duration::from_secs(5));
        let order = limit("order", order, &[Dimension::Channel, Dimension::Caller]);
        let at_work = limit("at_work", Rule::Concurrency(NonZeroU32::MIN), &workspace);
        let workspace = limit("workspace", Rule::Open, &workspace);
        let app = limit("app", Rule::Open, &[Dimension::App]);
        let mut all = Self {
            keys: vec![bucket(&app_wide, "A"), bucket(&app, "A")],
            by_name: HashMap::new(),
            workspaces: Vec::new(),
            channels: Vec::new(),
            app_wide: 0,
            app: 1,
            gate: bucket(&limit("paused", Rule::Gate, &[]), "all"),
            one_of_each_limit: Vec::new(),
        };
        for nth in 0..workspaces {
            let mut own = Vec::new();
            for limit in &of_method {
                own.push(all.add(bucket(limit, &format!("A/T{nth}/{}", limit.name))));
            }
            own.push(all.add(bucket(&at_work, &format!("A/T{nth}"))));
            own.push(all.add(bucket(&workspace, &format!("A/T{nth}"))));
            all.workspaces.push(own);
            all.channels.push(u32::try_from(all.keys.len()).unwrap());
            for at in 0..CHANNELS {
                all.add(bucket(&channel, &format!("A/T{nth}/C{nth}-{at}")));
            }
            for at in 0..CHANNELS * POSTERS {
                all.add(bucket(&order, &format!("C{nth}-{}/{}", at / POSTERS, at % POSTERS)));
            }
        }
        let names = all.keys.iter().zip(0..).map(|(key, nth)| (key.to_string(), nth));
        all.by_name = names.collect();
        let limits = of_method.iter().chain([&app_wide, &channel, &at_work]);
        all.one_of_each_limit = limits.map(|limit| bucket(limit, "")).collect();
        all
    }

    fn add(&mut self, key: BucketKey) -> u32 {
        self.keys.push(key);
        u32::try_from(self.keys.len() - 1).unwrap()
    }

    pub(super) fn key(&self, name: &str) -> &BucketKey {
        &self.keys[self.by_name[name] as usize]
    }

    pub(super) fn number(&self, key: &BucketKey) -> Option<u32> {
        self.by_name.get(&key.to_string()).copied()
    }

    /// The order that a post or an update is in.
    pub(super) fn order(&self, workspace: usize, channel: usize, poster: usize) -> u32 {
        self.channels[workspace] + u32::try_from(CHANNELS + channel * POSTERS + poster).unwrap()
    }

    pub(super) fn method(&self, method: Method, workspace: usize) -> u32 {
        self.workspaces[workspace][method as usize]
    }

    pub(super) fn workspace(&self, workspace: usize) -> u32 {
        self.workspaces[workspace][METHODS.len() + 1]
    }

    pub(super) fn app(&self) -> u32 {
        self.app
    }

    /// What a call counts against; the first one is its method's.
    pub(super) fn buckets(
        &self,
        method: Method,
        workspace: usize,
        channel: usize,
        poster: usize,
    ) -> Vec<u32> {
        let mut all = vec![self.method(method, workspace)];
        match method {
            Method::Close => all.push(self.app_wide),
            Method::Post => {
                all.push(self.channels[workspace] + u32::try_from(channel).unwrap());
                all.push(self.order(workspace, channel, poster));
            }
            Method::Update => all.push(self.order(workspace, channel, poster)),
            Method::Bookmark => all.push(self.workspaces[workspace][METHODS.len()]),
            Method::List | Method::Info | Method::History => {}
        }
        all.extend([self.workspace(workspace), self.app]);
        all
    }
}

fn limit(name: &str, rule: Rule, scope: &[Dimension]) -> Arc<Limit> {
    let (scope, age_from) = (Scope::of(scope), AgeFrom::Answer);
    Arc::new(Limit { name: name.into(), rule, scope, age_from })
}

/// So many calls in so many seconds.
fn rate(quota: u32, seconds: u64, tolerates: Option<u32>) -> Rule {
    let tolerates = tolerates.and_then(NonZeroU32::new);
    let (limit, per) = (quota.try_into().unwrap(), Duration::from_secs(seconds));
    Rule::Rate(Rate { limit, per, burst: None, tolerates })
}

fn bucket(limit: &Arc<Limit>, values: &str) -> BucketKey {
    BucketKey { limit: Arc::clone(limit), values: values.into() }
}

/// How many calls in which period; nothing for what has no limit.
pub(super) fn quota_of(key: &BucketKey) -> Option<(u32, Duration)> {
    match key.limit.rule {
        Rule::Rate(rate) => Some((rate.limit.get(), rate.per)),
        Rule::Concurrency(quota) => Some((quota.get(), Duration::ZERO)),
        Rule::InOrder(_) | Rule::Open | Rule::Gate => None,
    }
}
