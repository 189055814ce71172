//! What is counted of the store that replicas share, and what is shown of it.

use std::sync::{Arc, Mutex, PoisonError};

use config::Address;
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};
use tokio::time::Instant;

use super::{
    differences::{self, Difference},
    trouble::Trouble,
    versions,
};
use crate::metrics::Registry;

/// Handles to its metrics. Clones count together.
#[derive(Clone, Debug)]
pub struct SharedMetrics {
    pub(super) errors: IntCounterVec,
    degraded: IntGauge,
    pub(super) step: Histogram,
    held: IntGauge,
    members: IntGauge,
    servers: IntGauge,
    pub(super) epochs: IntCounter,
    shown: Arc<Mutex<Option<Shown>>>,
}

/// What operators see of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// How it stands.
    pub state: Degraded,
    /// How many replicas share the limits, as far as is known.
    pub members: usize,
    /// Since when.
    pub since: Instant,
    /// The limits that others have been given with other figures.
    pub differences: Vec<Difference>,
    /// The servers that are connected to.
    pub servers: Vec<Address>,
}

/// How far the store can be heard: by the part of it that is worst off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Degraded {
    /// It grants slots.
    No,
    /// It does not, and what is held is used.
    Alone,
    /// It does not for so long that it may have forgotten this replica.
    LeaseOver,
}

/// Of a step, in seconds: a server near by answers in less than a millisecond.
const STEP: [f64; 10] = [0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0];

// === impl SharedMetrics ===

impl SharedMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let step = registry.histograms(
            "slackwater_shared_step_seconds",
            "How long the shared store takes to answer what this replica says of its buckets.",
            &[],
            &STEP,
        )?;
        let errors = registry.counters(
            "slackwater_shared_errors_total",
            "What went wrong between this replica and the shared store.",
            &["reason"],
        )?;
        for reason in Trouble::REASONS.into_iter().chain([differences::REASON, versions::REASON]) {
            errors.with_label_values(&[reason]);
        }
        Ok(Self {
            errors,
            degraded: registry.gauge(
                "slackwater_shared_degraded",
                "0 if the shared store grants slots, 1 if it does not and this replica uses what \
                 it holds, 2 if it may have forgotten this replica.",
            )?,
            step: step.with_label_values::<&str>(&[]),
            held: registry.gauge(
                "slackwater_shared_held_slots",
                "Slots of shared limits that this replica holds.",
            )?,
            members: registry.gauge(
                "slackwater_shared_members",
                "Replicas that share the limits, as this one knows.",
            )?,
            servers: registry.gauge(
                "slackwater_shared_servers",
                "Servers of the shared store that this replica is connected to.",
            )?,
            epochs: registry.counter(
                "slackwater_shared_epoch_changes_total",
                "How often a part of the shared store had lost its memory.",
            )?,
            shown: Arc::default(),
        })
    }

    /// What operators see, if limits are shared.
    pub fn shown(&self) -> Option<Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// So many limits were heard of lately of which others have other figures; and those to be shown.
    pub(super) fn differ(&self, heard: usize, differences: Vec<Difference>) {
        let heard = u64::try_from(heard).unwrap_or(u64::MAX);
        self.errors.with_label_values(&[differences::REASON]).inc_by(heard);
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shown) = &mut *shown {
            shown.differences = differences;
        }
    }

    /// Replicas with another version of the scripts are heard.
    pub(super) fn meet_other_versions(&self) {
        self.errors.with_label_values(&[versions::REASON]).inc();
    }

    /// These are the servers that are connected to.
    pub(super) fn uses(&self, servers: Vec<Address>) {
        self.servers.set(i64::try_from(servers.len()).unwrap_or(i64::MAX));
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shown) = &mut *shown {
            shown.servers = servers;
        }
    }

    pub(super) fn hold(&self, slots: u64) {
        self.held.set(i64::try_from(slots).unwrap_or(i64::MAX));
    }

    pub(super) fn set(&self, now: Instant, state: Degraded, members: usize) {
        self.degraded.set(state as i64);
        self.members.set(i64::try_from(members).unwrap_or(i64::MAX));
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *shown {
            Some(shown) if shown.state == state => shown.members = members,
            _ => {
                let before = shown.take().map(|shown| (shown.differences, shown.servers));
                let (differences, servers) = before.unwrap_or_default();
                *shown = Some(Shown { state, members, since: now, differences, servers });
            }
        }
    }
}

// === impl Degraded ===

impl Degraded {
    /// Its name in the status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::No => "connected",
            Self::Alone => "alone",
            Self::LeaseOver => "lease_over",
        }
    }
}
