//! Makes metrics, and has each of them shown.

use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, core::Collector, proto::MetricFamily,
};

/// All metrics there are.
#[derive(Debug, Default)]
pub(super) struct Registry {
    all: prometheus::Registry,
}

// === impl Registry ===

impl Registry {
    pub(super) fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.shown(IntCounter::new(name, help)?)
    }

    pub(super) fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        self.shown(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.shown(IntGauge::new(name, help)?)
    }

    pub(super) fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntGaugeVec> {
        self.shown(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    /// A gauge of what is no whole number.
    pub(super) fn fraction(&self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        self.shown(Gauge::new(name, help)?)
    }

    /// Gauges of what is no whole number.
    pub(super) fn fractions(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<GaugeVec> {
        self.shown(GaugeVec::new(Opts::new(name, help), labels)?)
    }

    pub(super) fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> prometheus::Result<HistogramVec> {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.shown(HistogramVec::new(options, labels)?)
    }

    /// What every process tells by the names that Prometheus has for it.
    #[cfg(target_os = "linux")]
    pub(super) fn process(&self) -> prometheus::Result<()> {
        self.all.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
    }

    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        self.all.gather()
    }

    fn shown<M: Collector + Clone + 'static>(&self, metric: M) -> prometheus::Result<M> {
        self.all.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}
