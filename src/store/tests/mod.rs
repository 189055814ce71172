//! The scripts in a real server, and what a replica makes of their answers.

mod answers;
mod closed;
mod contract;
mod further;
mod lessons;
mod names;
mod replica;
mod server;

use std::time::Duration;

use config::{Adaptive, Address, IdentityRules, QueueBounds, RedisServers, Topology};
use limits::Share;
use tokio::time::Instant;

use super::{
    Sharing,
    fleet::Fleet,
    keys::{self, Keys},
    metrics::SharedMetrics,
    replica::{BEAT, Replica},
};
use crate::{
    identity::{Identities, Others},
    metrics::Registry,
    queue::{Admission, QueueMetrics},
};

/// A replica that has a connection to a store which is played by hand, and what it decides by, and its metrics. It knows
/// what processes used by these names that have ended.
fn connected(
    now: Instant,
    flight: Duration,
    longest: Duration,
    ended: &[&str],
) -> (Replica, Admission, SharedMetrics) {
    let registry = Registry::default();
    let metrics = SharedMetrics::register(&registry).unwrap();
    let queue = QueueMetrics::register(&registry).unwrap();
    let (bounds, share) = (QueueBounds::default(), Share::default());
    let admission = Admission::new(&bounds, share, Adaptive::default(), queue);
    let lease = BEAT * 30;
    admission.share(Sharing { shard: keys::shared, replicas: None, flight, lease });
    admission.take_over(ended.iter().map(|&name| name.to_owned()).collect());
    let servers = RedisServers {
        tls: false,
        addresses: vec![Address { host: "redis.test".into(), port: 6379 }],
        topology: Topology::Single,
        database: 0,
        user: None,
        password: None,
    };
    let settings = config::Redis {
        servers,
        prefix: "sw".into(),
        timeout: BEAT / 4,
        forget_after: lease,
        replicas: None,
    };
    let keys = Keys::new("sw");
    let rules = IdentityRules { resolve: true, app: None, tokens: Vec::new() };
    let known = (Identities::new(&rules), Others::default());
    let mut replica = Replica::new(
        (admission.clone(), Fleet::default(), known),
        keys,
        &settings,
        flight,
        longest,
        metrics.clone(),
        now,
    );
    keys::all().for_each(|shard| replica.connects(now, shard, "run"));
    (replica, admission, metrics)
}
