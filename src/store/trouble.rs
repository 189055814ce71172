//! What can be wrong with the store, and what to do about it.

use std::{io, sync::Arc, time::Duration};

use config::Address;
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Something is wrong. What it says holds no password.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("no connection to {0}: look whether the server runs and shared.redis names it")]
    Unreachable(Address, #[source] io::Error),
    #[error(
        "{0} does not answer within {1:?}: look whether the server runs, and whether it has TLS, for which \
         shared.redis begins with rediss://"
    )]
    Silent(Address, Duration),
    #[error("the connection ended: look whether the server runs and shared.redis names it")]
    Lost(#[source] Option<RedisError>),
    #[error("the server refuses user or password: see shared.redis")]
    Password,
    #[error(
        "the server does not allow its user what slackwater does: see docs/replicas.md for the ACL"
    )]
    NotAllowed(#[source] RedisError),
    #[error(
        "the server's version is {0}, and slackwater needs Redis 6.2 or Valkey: upgrade the server"
    )]
    TooOld(String),
    #[error(
        "the server is a read-only replica: shared.redis has to name the primary, or a failover is under way"
    )]
    ReadOnly,
    #[error(
        "the server has too few replicas to write (min-replicas-to-write): look whether it was cut off from \
         them, and whether they run"
    )]
    NoReplicas,
    #[error(
        "the server may evict keys (maxmemory-policy {0}), and then slackwater would exceed limits: \
         set maxmemory-policy noeviction"
    )]
    Evicts(String),
    #[error("the server is out of memory: give it more, or let others have a server of their own")]
    Full,
    #[error("the server is loading its data")]
    Loading,
    #[error("the server is part of a cluster: add shared.cluster: true, or name another server")]
    Cluster,
    #[error("the server is not part of a cluster: delete shared.cluster, or name a node of one")]
    NoCluster,
    #[error("the cluster is down, or has no node for some limits: see CLUSTER INFO there")]
    ClusterDown,
    #[error(
        "the cluster moves a slot with limits from one node to another, which wait meanwhile: if that lasts, \
         see redis-cli --cluster check"
    )]
    Moving,
    #[error("no node of the cluster says where its slots are: see CLUSTER SLOTS there")]
    NoMap,
    #[error("the sentinel {0} knows no primary called {1}: see shared.sentinel.master")]
    NoMaster(Address, Arc<str>),
    #[error(
        "no sentinel says where the primary is; the last one asked was {0}, and user and password there are \
         those of shared.sentinel"
    )]
    Sentinel(Address, #[source] Box<Self>),
    #[error(
        "no TLS: look whether the server has it, for which shared.redis begins with rediss://, and whether \
         tls.ca names the authority of its certificate"
    )]
    Tls(#[source] io::Error),
    #[error("the server answers with an error")]
    Other(#[source] RedisError),
    #[error("the server's answer makes no sense: does anything else write below shared.prefix?")]
    Odd,
}

// === impl Trouble ===

impl Trouble {
    /// What it is counted as.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(..) => "unreachable",
            Self::Silent(..) => "silent",
            Self::Lost(_) => "lost",
            Self::Password => "password",
            Self::NotAllowed(_) => "not_allowed",
            Self::TooOld(_) => "too_old",
            Self::ReadOnly => "read_only",
            Self::Evicts(_) => "evicts",
            Self::Full => "full",
            Self::Loading => "loading",
            Self::NoReplicas => "no_replicas",
            Self::Cluster => "cluster",
            Self::NoCluster => "no_cluster",
            Self::ClusterDown => "cluster_down",
            Self::Moving => "moving",
            Self::NoMap => "no_map",
            Self::NoMaster(..) => "no_master",
            Self::Sentinel(_, trouble) => trouble.reason(),
            Self::Tls(_) => "tls",
            Self::Other(_) => "other",
            Self::Odd => "odd",
        }
    }

    /// What it can be counted as, for all to be exported from the start.
    pub(super) const REASONS: [&str; 20] = [
        "unreachable",
        "silent",
        "lost",
        "password",
        "not_allowed",
        "too_old",
        "read_only",
        "evicts",
        "full",
        "loading",
        "no_replicas",
        "cluster",
        "no_cluster",
        "cluster_down",
        "moving",
        "no_map",
        "no_master",
        "tls",
        "other",
        "odd",
    ];
}

impl From<RedisError> for Trouble {
    fn from(error: RedisError) -> Self {
        match (error.kind(), error.code()) {
            (_, Some("WRONGPASS" | "NOAUTH")) | (ErrorKind::AuthenticationFailed, _) => {
                Self::Password
            }
            (ErrorKind::Server(ServerErrorKind::NoPerm), _) => Self::NotAllowed(error),
            (ErrorKind::Server(ServerErrorKind::ReadOnly), _) => Self::ReadOnly,
            (ErrorKind::Server(ServerErrorKind::BusyLoading), _) => Self::Loading,
            (ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::CrossSlot), _) => {
                Self::Cluster
            }
            (ErrorKind::Server(ServerErrorKind::Ask | ServerErrorKind::TryAgain), _) => {
                Self::Moving
            }
            (ErrorKind::Server(ServerErrorKind::ClusterDown), _) => Self::ClusterDown,
            (_, Some("NOREPLICAS")) => Self::NoReplicas,
            (_, Some("OOM")) => Self::Full,
            (ErrorKind::Io, _) => Self::Lost(Some(error)),
            // Redis 6.2 says what a script has met within another error.
            (_, Some("ERR")) if says(&error, "-READONLY ") => Self::ReadOnly,
            (_, Some("ERR")) if says(&error, "-NOREPLICAS ") => Self::NoReplicas,
            // A server of before 6.0 knows neither HELLO nor users.
            (ErrorKind::RESP3NotSupported, _) => Self::TooOld("older than 6.0".to_owned()),
            _ => Self::Other(error),
        }
    }
}

fn says(error: &RedisError, what: &str) -> bool {
    error.detail().is_some_and(|detail| detail.contains(what))
}
