//! Who calls most, whoever comes: the busiest names of a stream of names, in bounded memory.
//!
//! The counting is that of Space-Saving (Metwally, Agrawal, El Abbadi: "Efficient computation of
//! frequent and top-k elements in data streams", 2005): of so many counters, a name that has none
//! takes over the smallest and its count, so whoever calls more often than a part of all calls has
//! one, however many names came before it. Counts are of this minute and the one before, so that a
//! flood of yesterday is forgotten.
//!
//! Fifty of the names are labels in metrics. A label is lost only to a name that is twice as busy, so
//! that a counter seldom begins anew.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde::Serialize;
use tokio::time::Instant;

/// The busiest names of a stream.
#[derive(Debug)]
pub(super) struct Busiest {
    names: HashMap<Arc<str>, Count>,
    labels: usize,
    /// No name with a label has been counted less often, in these two minutes.
    least: u64,
    minute: Instant,
}

#[derive(Debug, Default)]
struct Count {
    /// This minute.
    now: u64,
    /// The minute before.
    before: u64,
    /// What it took over, at most too much.
    inherited: u64,
    label: bool,
}

/// How a name is counted in metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    /// By its name, and not as one of the others.
    pub(super) by_name: bool,
    /// This one is a label no longer.
    pub(super) no_longer: Option<Arc<str>>,
}

/// A name, and how busy it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Busy {
    /// Which.
    pub name: Arc<str>,
    /// Calls that were answered in this minute and the one before.
    pub requests: u64,
}

/// So many names are counted.
const COUNTED: usize = 512;
/// So many are labels.
pub(super) const LABELS: usize = 50;

const MINUTE: Duration = Duration::from_secs(60);

// === impl Busiest ===

impl Busiest {
    pub(super) fn new(now: Instant) -> Self {
        Self { names: HashMap::new(), labels: 0, least: 0, minute: now }
    }

    /// Counts a call of that name.
    pub(super) fn count(&mut self, now: Instant, name: &Arc<str>) -> Counted {
        self.turn(now);
        if !self.names.contains_key(name) {
            let inherited = if self.names.len() < COUNTED { 0 } else { self.take_smallest() };
            self.names.insert(Arc::clone(name), Count { inherited, ..Count::default() });
        }
        let Some(count) = self.names.get_mut(name) else {
            return Counted { by_name: false, no_longer: None };
        };
        count.now += 1;
        let sure = count.sure();
        if count.label {
            return Counted { by_name: true, no_longer: None };
        }
        let no_longer = if self.labels < LABELS {
            self.labels += 1;
            None
        } else if sure > self.least.saturating_mul(2) {
            let labels = self.names.iter_mut().filter(|(_, count)| count.label);
            let Some((least, quiet)) = labels.min_by_key(|(_, count)| count.sure()) else {
                return Counted { by_name: false, no_longer: None };
            };
            self.least = quiet.sure();
            if sure <= self.least.saturating_mul(2) {
                return Counted { by_name: false, no_longer: None };
            }
            quiet.label = false;
            Some(Arc::clone(least))
        } else {
            return Counted { by_name: false, no_longer: None };
        };
        if let Some(count) = self.names.get_mut(name) {
            count.label = true;
        }
        Counted { by_name: true, no_longer }
    }

    /// Whether that name is among those that are counted.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// Whether it is a label.
    #[cfg(test)]
    fn is_label(&self, name: &str) -> bool {
        self.names.get(name).is_some_and(|count| count.label)
    }

    /// The busiest, in order.
    pub(super) fn top(&mut self, now: Instant) -> Vec<Busy> {
        self.turn(now);
        let mut all: Vec<Busy> = self
            .names
            .iter()
            .map(|(name, count)| Busy { name: Arc::clone(name), requests: count.sure() })
            .filter(|busy| busy.requests > 0)
            .collect();
        all.sort_by(|one, other| (other.requests, &one.name).cmp(&(one.requests, &other.name)));
        all.truncate(LABELS);
        all
    }

    /// Frees the smallest counter that is no label's, and tells its count.
    fn take_smallest(&mut self) -> u64 {
        let others = self.names.iter().filter(|(_, count)| !count.label);
        let smallest =
            others.min_by_key(|(_, count)| count.at_most()).map(|(name, _)| Arc::clone(name));
        smallest.and_then(|name| self.names.remove(&name)).map_or(0, |count| count.at_most())
    }

    /// A minute may be over.
    fn turn(&mut self, now: Instant) {
        let over = now.saturating_duration_since(self.minute);
        if over < MINUTE {
            return;
        }
        self.minute = now;
        self.least = 0;
        for count in self.names.values_mut() {
            count.before = if over < 2 * MINUTE { count.now } else { 0 };
            count.now = 0;
            count.inherited = 0;
        }
        self.names.retain(|_, count| count.label || count.sure() > 0);
    }
}

// === impl Count ===

impl Count {
    fn sure(&self) -> u64 {
        self.now + self.before
    }

    fn at_most(&self) -> u64 {
        self.sure() + self.inherited
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Arc<str> {
        Arc::from(text)
    }

    /// Red when the first fifty keep their labels for good, and when the first so many keep their
    /// counters.
    #[test]
    fn whoever_floods_is_named_even_if_ten_thousand_others_came_first() {
        let start = Instant::now();
        let mut busiest = Busiest::new(start);
        for n in 0..10_000 {
            busiest.count(start, &name(&format!("other-{n}")));
        }
        let flood = name("flood");
        let mut named = 0;
        for n in 0..1_000 {
            named += u32::from(busiest.count(start, &flood).by_name);
            busiest.count(start, &name(&format!("more-{n}")));
        }
        assert!(named > 900, "{named}");
        assert!(busiest.is_label("flood"));
        assert_eq!(busiest.top(start)[0].name, flood);
        assert!(busiest.names.len() <= COUNTED);
        assert_eq!(busiest.names.values().filter(|count| count.label).count(), LABELS);
    }

    /// Red when nothing is forgotten, and when a label is lost by silence alone.
    #[test]
    fn what_was_busy_before_the_last_minute_is_not_busy() {
        let start = Instant::now();
        let mut busiest = Busiest::new(start);
        for _ in 0..100 {
            busiest.count(start, &name("once"));
        }
        let later = start + MINUTE;
        busiest.count(later, &name("now"));
        let requests = |busiest: &mut Busiest, at| {
            let top = busiest.top(at).into_iter();
            top.map(|busy| (busy.name.to_string(), busy.requests)).collect::<Vec<_>>()
        };
        assert_eq!(requests(&mut busiest, later), [("once".into(), 100), ("now".into(), 1)]);
        assert_eq!(requests(&mut busiest, later + MINUTE), [("now".into(), 1)]);
        assert_eq!(requests(&mut busiest, later + 4 * MINUTE), []);
        assert!(busiest.is_label("once"));
    }

    /// Red when every busier name takes a label: two that are as busy would take it from each other
    /// in turns.
    #[test]
    fn a_label_goes_only_to_a_name_that_is_twice_as_busy() {
        let start = Instant::now();
        let mut busiest = Busiest::new(start);
        for n in 0..LABELS {
            for _ in 0..10 {
                busiest.count(start, &name(&n.to_string()));
            }
        }
        let counted: Vec<_> = (0..25).map(|_| busiest.count(start, &name("new"))).collect();
        let first = counted.iter().position(|counted| counted.by_name);
        assert_eq!(first, Some(20), "the twenty-first call");
        assert!(counted[20].no_longer.is_some());
    }
}
