//! Sums over the series of a counter.

use std::collections::BTreeMap;

use prometheus::{IntCounterVec, core::Collector as _};

/// The sums of a counter's series by the value of one label; all in one where it has none such.
pub(crate) fn by_label(counters: &IntCounterVec, label: &str) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for family in counters.collect() {
        for series in family.get_metric() {
            let pair = series.get_label().iter().find(|pair| pair.name() == label);
            let value = pair.map_or("", |pair| pair.value()).to_owned();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a counter of whole events, which the library hands out as a float"
            )]
            let count = series.get_counter().get_value() as u64;
            *sums.entry(value).or_default() += count;
        }
    }
    sums
}
