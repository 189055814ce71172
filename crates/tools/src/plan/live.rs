//! What the running proxy says of itself, as far as a plan needs it.

use std::collections::BTreeMap;

use limits::Values;
use serde::{Deserialize, Deserializer};
use tokio::runtime;

use console::{Ask, status};

/// A proxy that runs.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    /// Its operators' listener.
    pub(super) admin: String,
    pub(super) page: Page,
}

/// What `/status` answers, as far as it is read.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Page {
    pub(super) queues: Vec<QueueRow>,
    pub(super) buckets: Vec<Bucket>,
    /// An older proxy tells all.
    #[serde(default)]
    pub(super) left_out: LeftOut,
    pub(super) mode: Mode,
    pub(super) paused: Vec<Pause>,
}

/// How many of each are not told of.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct LeftOut {
    pub(super) queues: usize,
    pub(super) buckets: usize,
}

/// Which calls are only watched.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Mode {
    pub(super) proxy: String,
    pub(super) methods: BTreeMap<String, String>,
}

/// One of the three it is.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Pause {
    pub(super) method: Option<String>,
    pub(super) caller: Option<String>,
    pub(super) workspace: Option<String>,
    pub(super) shed: bool,
}

/// Calls that are held.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct QueueRow {
    pub(super) method: String,
    pub(super) class: String,
    pub(super) caller: String,
    pub(super) depth: u64,
    pub(super) waits_for: Option<String>,
}

/// A limit at one value of its dimensions.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Bucket {
    pub(super) limit: String,
    #[serde(deserialize_with = "values")]
    pub(super) key: Values,
    pub(super) used: u32,
    pub(super) quota: Option<u32>,
    pub(super) waiting: u64,
    pub(super) frozen_for_ms: u64,
}

fn values<'de, D: Deserializer<'de>>(from: D) -> Result<Values, D::Error> {
    String::deserialize(from).map(Values::from)
}

// === impl Live ===

impl Live {
    /// Asks the operators' listener.
    ///
    /// # Errors
    /// If there is no answer, or none of a slackwater.
    pub(crate) fn ask(admin: &str) -> anyhow::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let text = runtime.block_on(status::fetch(&Ask::new(admin), admin))?;
        Ok(Self { admin: admin.to_owned(), page: status::read(&text, admin)? })
    }
}
