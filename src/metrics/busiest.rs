//! Who calls most, whoever comes: the busiest names of a stream of names, in bounded memory.
//!
//! The counting is that of Space-Saving (Metwally, Agrawal, El Abbadi: "Efficient computation of
//! frequent and top-k elements in data streams", 2005): of so many counters, a name that has none
//! takes over the smallest and its count, so whoever calls more often than a part of all calls has
//! one, however many names came before it. Counts are of this minute and the one before, so that a
//! flood of yesterday is forgotten.
//!
//! Fifty of the names are labels in metrics. A label is lost only to a name that is twice as busy, so
//! that a counter seldom begins anew. Of the same names it is counted how many calls were shed.

use std::{collections::HashMap, sync::Arc, time::Duration};

use foldhash::fast::RandomState;
use prometheus::{IntCounter, IntCounterVec};
use slack::OTHER;
use tokio::time::Instant;

/// The busiest names of a stream.
#[derive(Debug)]
pub(crate) struct Busiest {
    /// Few, so names that are chosen to collide cost little.
    names: HashMap<Arc<str>, Count, RandomState>,
    /// By name.
    counters: Counters,
    /// Of all that are not counted by name.
    others: Label,
    labels: usize,
    /// No name with a label has been counted less often, in these two minutes.
    least: u64,
    minute: Instant,
}

/// What is exported, by name.
#[derive(Debug)]
struct Counters {
    requests: IntCounterVec,
    /// Those that were shed, where that is exported.
    sheds: Option<IntCounterVec>,
}

/// What is exported of one name.
#[derive(Debug)]
struct Label {
    requests: IntCounter,
    sheds: Option<IntCounter>,
}

#[derive(Debug, Default)]
struct Count {
    /// This minute.
    now: u64,
    /// The minute before.
    before: u64,
    /// What it took over, at most too much.
    inherited: u64,
    /// Shed calls of this minute, and of the minute before.
    shed: [u64; 2],
    /// Of its own, where it is a label.
    label: Option<Label>,
}

/// A name, and how busy it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Busy {
    /// Which.
    pub name: Arc<str>,
    /// Calls that were answered in this minute and the one before, the shed ones too.
    pub requests: u64,
    /// Those of them that were shed.
    pub sheds: u64,
}

/// So many names are counted.
const COUNTED: usize = 512;
/// So many are labels.
pub(crate) const LABELS: usize = 50;

const MINUTE: Duration = Duration::from_secs(60);

// === impl Busiest ===

impl Busiest {
    /// Counts with these counters, which have one label, the name: all calls, and those that were
    /// shed, where that is to be exported.
    pub(crate) fn new(now: Instant, requests: IntCounterVec, sheds: Option<IntCounterVec>) -> Self {
        let counters = Counters { requests, sheds };
        let others = counters.label(OTHER);
        Self { names: HashMap::default(), counters, others, labels: 0, least: 0, minute: now }
    }

    /// Counts a call of that name.
    pub(crate) fn count(&mut self, now: Instant, name: &Arc<str>, shed: bool) {
        self.turn(now);
        let sure = if let Some(count) = self.names.get_mut(name) {
            count.now += 1;
            count.shed[0] += u64::from(shed);
            if let Some(label) = &count.label {
                return label.count(shed);
            }
            count.sure()
        } else {
            let inherited = if self.names.len() < COUNTED { 0 } else { self.take_smallest() };
            let shed = [u64::from(shed), 0];
            let count = Count { now: 1, inherited, shed, ..Count::default() };
            self.names.insert(Arc::clone(name), count);
            1
        };
        // Whoever is called like the others is one of them.
        if **name == *OTHER || !self.has_label_for(sure) {
            return self.others.count(shed);
        }
        let label = self.counters.label(name);
        label.count(shed);
        if let Some(count) = self.names.get_mut(name) {
            count.label = Some(label);
        }
    }

    /// Whether a name that was counted so often becomes a label. The quietest of them may have to
    /// go for it.
    fn has_label_for(&mut self, sure: u64) -> bool {
        if self.labels < LABELS {
            self.labels += 1;
            return true;
        }
        if sure <= self.least.saturating_mul(2) {
            return false;
        }
        let labels = self.names.iter_mut().filter(|(_, count)| count.label.is_some());
        let Some((name, quiet)) = labels.min_by_key(|(_, count)| count.sure()) else {
            return false;
        };
        self.least = quiet.sure();
        if sure <= self.least.saturating_mul(2) {
            return false;
        }
        quiet.label = None;
        self.counters.forget(name);
        true
    }

    /// Whether that name is among those that are counted.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// The busiest, in order.
    pub(crate) fn top(&mut self, now: Instant) -> Vec<Busy> {
        self.turn(now);
        let mut all: Vec<Busy> = self
            .names
            .iter()
            .map(|(name, count)| Busy {
                name: Arc::clone(name),
                requests: count.sure(),
                sheds: count.shed.iter().sum(),
            })
            .filter(|busy| busy.requests > 0)
            .collect();
        all.sort_by(|one, other| (other.requests, &one.name).cmp(&(one.requests, &other.name)));
        all.truncate(LABELS);
        all
    }

    /// Frees the smallest counter that is no label's, and tells its count.
    fn take_smallest(&mut self) -> u64 {
        let others = self.names.iter().filter(|(_, count)| count.label.is_none());
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
            count.shed = [0, if over < 2 * MINUTE { count.shed[0] } else { 0 }];
        }
        self.names.retain(|_, count| count.label.is_some() || count.sure() > 0);
    }
}

// === impl Counters ===

impl Counters {
    fn label(&self, name: &str) -> Label {
        Label {
            requests: self.requests.with_label_values(&[name]),
            sheds: self.sheds.as_ref().map(|sheds| sheds.with_label_values(&[name])),
        }
    }

    fn forget(&self, name: &str) {
        // Its counters are there: it has been counted.
        let _ = self.requests.remove_label_values(&[name]);
        let _ = self.sheds.as_ref().map(|sheds| sheds.remove_label_values(&[name]));
    }
}

// === impl Label ===

impl Label {
    fn count(&self, shed: bool) {
        self.requests.inc();
        if let Some(sheds) = self.sheds.as_ref().filter(|_| shed) {
            sheds.inc();
        }
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

    fn busiest(now: Instant) -> Busiest {
        let counters =
            |name| IntCounterVec::new(prometheus::Opts::new(name, "of a test"), &["name"]).unwrap();
        Busiest::new(now, counters("requests_total"), Some(counters("sheds_total")))
    }

    /// What is counted under a name; nothing where it is no label.
    fn counted(busiest: &Busiest, name: &str) -> u64 {
        let label = busiest.names.get(name).and_then(|count| count.label.as_ref());
        label.map_or(0, |label| label.requests.get())
    }

    /// Red when the first fifty keep their labels for good, and when the first so many keep their
    /// counters.
    #[test]
    fn whoever_floods_is_named_even_if_ten_thousand_others_came_first() {
        let start = Instant::now();
        let mut busiest = busiest(start);
        for n in 0..10_000 {
            busiest.count(start, &name(&format!("other-{n}")), false);
        }
        let flood = name("flood");
        for n in 0..1_000 {
            busiest.count(start, &flood, false);
            busiest.count(start, &name(&format!("more-{n}")), false);
        }
        assert!(counted(&busiest, "flood") > 900, "{}", counted(&busiest, "flood"));
        assert_eq!(busiest.top(start)[0].name, flood);
        assert!(busiest.names.len() <= COUNTED);
        let labels = busiest.names.values().filter(|count| count.label.is_some());
        assert_eq!(labels.count(), LABELS);
    }

    /// Red when it gets a label like any name, which goes with the others' counter.
    #[test]
    fn a_name_that_the_others_have_is_one_of_them() {
        let start = Instant::now();
        let mut busiest = busiest(start);
        for _ in 0..3 {
            busiest.count(start, &name(OTHER), false);
        }
        assert_eq!((counted(&busiest, OTHER), busiest.others.requests.get()), (0, 3));
    }

    /// Red when nothing is forgotten, and when a label is lost by silence alone.
    #[test]
    fn what_was_busy_before_the_last_minute_is_not_busy() {
        let start = Instant::now();
        let mut busiest = busiest(start);
        for _ in 0..100 {
            busiest.count(start, &name("once"), false);
        }
        let later = start + MINUTE;
        busiest.count(later, &name("now"), false);
        let requests = |busiest: &mut Busiest, at| {
            let top = busiest.top(at).into_iter();
            top.map(|busy| (busy.name.to_string(), busy.requests)).collect::<Vec<_>>()
        };
        assert_eq!(requests(&mut busiest, later), [("once".into(), 100), ("now".into(), 1)]);
        assert_eq!(requests(&mut busiest, later + MINUTE), [("now".into(), 1)]);
        assert_eq!(requests(&mut busiest, later + 4 * MINUTE), []);
        assert_eq!(counted(&busiest, "once"), 100);
    }

    /// Red when every busier name takes a label: two that are as busy would take it from each other
    /// in turns. And when a counter is lost: each call is counted, by a name or as another's, but for
    /// those of a label that has gone.
    #[test]
    fn a_label_goes_only_to_a_name_that_is_twice_as_busy() {
        let start = Instant::now();
        let mut busiest = busiest(start);
        for n in 0..LABELS {
            for _ in 0..10 {
                busiest.count(start, &name(&n.to_string()), false);
            }
        }
        let by_name = (0..25).map(|_| {
            busiest.count(start, &name("new"), false);
            counted(&busiest, "new") > 0
        });
        assert_eq!(
            by_name.collect::<Vec<_>>().iter().position(|by| *by),
            Some(20),
            "the 21st call"
        );
        assert_eq!((counted(&busiest, "new"), busiest.others.requests.get()), (5, 20));
        let left: u64 = (0..LABELS).map(|n| counted(&busiest, &n.to_string())).sum();
        assert_eq!(left, 10 * (LABELS as u64 - 1));
    }
    /// Red when they outlive their minutes, when those of a name without a label are lost, and when
    /// a label that goes leaves a series behind.
    #[test]
    fn what_was_shed_is_counted_by_the_same_names() {
        let start = Instant::now();
        let mut busiest = busiest(start);
        for n in 0..LABELS {
            for shed in [true, false] {
                busiest.count(start, &name(&n.to_string()), shed);
            }
        }
        let by_name = |busiest: &Busiest| {
            let mut sheds =
                crate::metrics::by_label(busiest.counters.sheds.as_ref().unwrap(), "name");
            (sheds.len(), sheds.remove(OTHER), sheds.remove("new"))
        };
        for _ in 0..4 {
            busiest.count(start, &name("new"), true);
        }
        assert_eq!(by_name(&busiest), (LABELS + 1, Some(4), None));
        busiest.count(start, &name("new"), true);
        assert_eq!(by_name(&busiest), (LABELS + 1, Some(4), Some(1)));
        let sheds = |busiest: &mut Busiest, at| {
            let top = busiest.top(at);
            top.first().map_or((0, 0), |busy| (busy.requests, busy.sheds))
        };
        assert_eq!(sheds(&mut busiest, start), (5, 5));
        busiest.count(start + MINUTE, &name("new"), false);
        assert_eq!(sheds(&mut busiest, start + MINUTE), (6, 5));
        assert_eq!(sheds(&mut busiest, start + 2 * MINUTE), (1, 0));
        assert_eq!(by_name(&busiest).2, Some(1), "a counter never falls");
    }
}
