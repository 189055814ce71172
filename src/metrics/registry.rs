//! Makes metrics, and exports each of them.

use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, core::Collector, proto::MetricFamily,
};

/// All metrics there are. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registry {
    all: prometheus::Registry,
}

// === impl Registry ===

impl Registry {
    pub(crate) fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.registered(IntCounter::new(name, help)?)
    }

    pub(crate) fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        self.registered(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    pub(crate) fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.registered(IntGauge::new(name, help)?)
    }

    pub(crate) fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntGaugeVec> {
        self.registered(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    /// A gauge of what is no whole number.
    pub(crate) fn fraction(&self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        self.registered(Gauge::new(name, help)?)
    }

    /// Gauges of what is no whole number.
    pub(crate) fn fractions(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<GaugeVec> {
        self.registered(GaugeVec::new(Opts::new(name, help), labels)?)
    }

    pub(crate) fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> prometheus::Result<HistogramVec> {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.registered(HistogramVec::new(options, labels)?)
    }

    /// What every process exports, by the names that Prometheus has for it.
    #[cfg(target_os = "linux")]
    pub(crate) fn process(&self) -> prometheus::Result<()> {
        self.all.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
    }

    pub(crate) fn gather(&self) -> Vec<MetricFamily> {
        self.all.gather()
    }

    fn registered<M: Collector + Clone + 'static>(&self, metric: M) -> prometheus::Result<M> {
        self.all.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}
