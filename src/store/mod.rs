//! Several slackwaters share their limits through Redis or Valkey.
//!
//! The store counts how many slots of a bucket each replica holds on lease; what that means is told in
//! [`scheduler::Sharing`]'s module. Two [scripts](script) that run in the server are all that reads and
//! writes there: `beat.lua` says that a replica is here, and `step.lua` what it has taken, given back
//! and wants. They do what `scheduler::model::store` does, step for step. A third one, `freeze.lua`, has what
//! Slack has refused one of them, so that [all know](freezes); `scheduler::model::closed` does the same. What operators [say](said), and what
//! each replica tells [of itself](fleet), is in a fourth one, and [whose tokens are](whose) in a fifth.
//!
//! # Here
//!
//! The [`replica`] decides what is said and what comes of an answer, and knows no socket. The [`client`]
//! is the task that carries it, on the calls' thread: all that it does there is to write and to read. It
//! has one [connection](connect) for commands to each [server](node) that keeps something, and [one](listen)
//! on which it is told what it is granted meanwhile. Which servers these are the configuration says, or
//! [sentinels](sentinel), or the nodes of a [cluster]. What is [wrong](trouble) is said once, and the next attempt [waits](backoff) longer. So is it
//! once said where replicas have been given limits that [differ](differences).
//!
//! Without the store nothing fails: [`scheduler`] knows what may be used then.

mod backoff;
mod client;
mod cluster;
mod connect;
mod differences;
mod fleet;
mod freezes;
mod keys;
mod listen;
mod members;
mod metrics;
mod node;
mod outbox;
mod replica;
mod said;
mod script;
mod sentinel;
mod trouble;
mod versions;
mod whose;

#[cfg(test)]
mod tests;

use std::{sync::LazyLock, time::Duration};

use config::Config;
use limits::Rule;
use scheduler::Sharing;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::{client::Client, connect::Connector, keys::Keys, replica::Replica, script::Scripts};
pub use self::{
    differences::{Difference, Figures},
    fleet::{Fleet, Member, Tells},
    metrics::{Degraded, SharedMetrics, Shown},
};
use crate::{
    identity::{Identities, Others},
    queue::Admission,
};

/// Shares all limits from now on, and talks to the store until `end`. No call may have come before.
///
/// # Errors
/// If TLS cannot be set up, which a sound build never meets.
pub fn share(
    settings: &config::Redis,
    config: &Config,
    (admission, fleet, identities): (&Admission, &Fleet, &Identities),
    metrics: &SharedMetrics,
    end: CancellationToken,
) -> Result<impl Future<Output = ()> + Send + use<>, rustls::Error> {
    static SCRIPTS: LazyLock<Scripts> = LazyLock::new(|| {
        Scripts::of([script::BEAT, script::STEP, freezes::FREEZE, said::SAID, whose::WHOSE])
    });
    let connector = Connector::new(&settings.servers, &config.tls)?;
    let flight = config.timeouts.headers;
    let replicas = settings.replicas;
    let lease = settings.forget_after;
    admission.share(Sharing { shard: keys::shared, replicas, flight, lease });
    admission.know_limits(&config.catalogue);
    let others = Others::default();
    identities.share(others.clone());
    let periods = config.catalogue.limits().filter_map(|limit| match limit.rule {
        Rule::Rate(rate) => Some(rate.per),
        _ => None,
    });
    let longest = periods.fold(Duration::ZERO, Duration::max);
    let keys = Keys::new(&settings.prefix);
    let (admission, metrics) = (admission.clone(), metrics.clone());
    let replica = Replica::new(
        (admission.clone(), fleet.clone(), (identities.clone(), others.clone())),
        keys,
        settings,
        flight,
        longest,
        metrics.clone(),
        Instant::now(),
    );
    let client = Client::new(
        replica,
        (admission, fleet.clone(), others),
        connector,
        &SCRIPTS,
        metrics,
        settings,
    );
    Ok(client.run(end))
}
