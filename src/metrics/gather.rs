//! The text that Prometheus scrapes, with the gauges brought up to date.

use std::time::Duration;

use prometheus::{Encoder, TextEncoder};

use super::Metrics;
use crate::admission::Status;

/// The media type of the text.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

impl Metrics {
    /// Everything in Prometheus' text format, the queue as `status` has it.
    ///
    /// # Errors
    /// If a metric cannot be written as text, which a sound build never meets.
    pub fn text(&self, status: &Status) -> prometheus::Result<Vec<u8>> {
        self.show(status);
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.all.registry.gather(), &mut text)?;
        Ok(text)
    }

    fn show(&self, status: &Status) {
        let all = &*self.all;
        // Scrapes are rare and what is gone must not linger, so the gauges are made anew.
        all.queue_depth.reset();
        all.oldest_wait.reset();
        for queue in &status.queues {
            let depth = i64::try_from(queue.depth).unwrap_or(i64::MAX);
            let labels = [&*queue.method, queue.tier, queue.class];
            all.queue_depth.with_label_values(&labels).add(depth);
            let oldest = all.oldest_wait.with_label_values(&[&*queue.method]);
            let wait = Duration::from_millis(queue.oldest_wait_ms).as_secs_f64();
            oldest.set(oldest.get().max(wait));
        }
        let frozen = status.buckets.iter().filter(|bucket| bucket.frozen_for_ms > 0).count();
        all.frozen.set(i64::try_from(frozen).unwrap_or(i64::MAX));
    }
}
