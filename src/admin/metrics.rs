//! The text that Prometheus scrapes: what the layers count, with the gauges brought up to date.

use prometheus::{Encoder, TextEncoder};
use slack::{Catalogue, OPEN};

use super::{Status, gauges::Gauges};
use crate::{queue::Modes, shared::Counters};

/// The media type of the text.
pub(super) const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// All metrics. Clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) counters: Counters,
    gauges: Gauges,
}

// === impl Metrics ===

impl Metrics {
    /// Registers the gauges beside what the layers count.
    ///
    /// # Errors
    /// If two metrics have one name, which a sound build never meets.
    pub fn new(counters: &Counters) -> prometheus::Result<Self> {
        Ok(Self { gauges: Gauges::register(&counters.registry)?, counters: counters.clone() })
    }

    /// Whether calls are welcome, and which are only watched; and how many clients are connected. To
    /// be said before each look.
    pub fn health(&self, ready: bool, connections: usize, modes: &Modes, catalogue: &Catalogue) {
        self.gauges.set_health(ready, connections, modes, catalogue);
        for name in self.counters.answers.requests_by("method").keys() {
            if modes.is_shadow(catalogue.get(name).map(|method| &**method)) {
                self.counters.queue.begin_watched(name);
            }
        }
    }

    /// Everything in Prometheus' text format, the queue as `status` has it. Methods that the
    /// catalogue does not know are `other`.
    ///
    /// # Errors
    /// If a metric cannot be written as text, which a sound build never meets.
    pub fn text(&self, status: &Status, catalogue: &Catalogue) -> prometheus::Result<Vec<u8>> {
        self.gauges.set_queue(status, catalogue);
        self.begin(status, catalogue);
        self.counters.logs.look();
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.counters.registry.gather(), &mut text)?;
        Ok(text)
    }

    /// Counters of what goes wrong are there with 0 before they count: Prometheus sees how much a
    /// series grows, and not where it begins. Each method has its own from its first call on, so they
    /// are as many as those that are called. Limits are known beforehand.
    fn begin(&self, status: &Status, catalogue: &Catalogue) {
        let Counters { queue, exchange, retries, answers, saved, .. } = &self.counters;
        queue.begin_freezes(catalogue.limits().chain(&*OPEN).map(|limit| limit.scope));
        let mut methods = answers.requests_by("method");
        methods.extend(status.queues.iter().map(|queue| (queue.method.to_string(), 0)));
        for method in methods.keys() {
            answers.begin(method);
            exchange.begin(method);
            retries.begin(method);
            saved.begin(method);
            queue.begin(method);
        }
    }
}
