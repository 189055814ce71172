//! What a replica makes of the store's answers to its beats.

use std::time::Duration;

use redis::Value;
use tokio::time::Instant;

use super::{
    super::{
        Degraded, SharedMetrics, keys,
        replica::{BEAT, Kind, Message, Replica},
    },
    connected,
};

/// A replica that has a connection.
struct Heard {
    replica: Replica,
    metrics: SharedMetrics,
    now: Instant,
    beats: Vec<Message>,
    /// How many replicas have another version.
    apart: i64,
}

const MINUTE: Duration = Duration::from_mins(1);
const FLIGHT: Duration = Duration::from_secs(1);

/// Nothing is waited for.
const GRANTS: i64 = -1;

// === impl Heard ===

impl Heard {
    fn new() -> Self {
        let now = Instant::now();
        let (replica, _, metrics) = connected(now, FLIGHT, MINUTE, &[]);
        Self { replica, metrics, now, beats: Vec::new(), apart: 0 }
    }

    /// It beats, and is answered in all groups: the store grants nothing from that period on, in milliseconds.
    fn beat(&mut self, cold: i64, members: &[&str]) {
        self.beats.clear();
        self.replica.act(self.now, &mut self.beats);
        self.beats.retain(|message| matches!(message.kind, Kind::Beat | Kind::Step));
        assert!(self.beats.iter().all(|message| message.kind == Kind::Beat));
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let members: Vec<_> = members.iter().map(|name| text(name)).collect();
        let (hot, apart) = (Value::Array(vec![]), Value::Int(self.apart));
        let answer = vec![text("7"), Value::Int(cold), Value::Array(members), hot, apart];
        for beat in &self.beats {
            assert!(self.replica.hear(self.now, beat, Value::Array(answer.clone())));
        }
        self.now += BEAT;
    }

    fn names(&self, name: &str) -> bool {
        self.beats.iter().all(|beat| format!("{:?}", beat.given).contains(name))
    }
}

/// Red when a beat names the members of the last one only, and when it names all for ever.
#[test]
fn a_member_that_was_forgotten_is_named_in_beats() {
    let mut heard = Heard::new();
    heard.beat(GRANTS, &["here.0", "gone.0"]);
    assert!(!heard.names("gone.0"));
    heard.beat(GRANTS, &["here.0"]);
    assert!(heard.names("gone.0"));
    let missed = heard.now - BEAT;
    heard.now = missed + MINUTE + FLIGHT;
    heard.beat(GRANTS, &["here.0"]);
    assert!(heard.names("gone.0"));
    heard.beat(GRANTS, &["here.0"]);
    assert!(heard.names("here.0") && !heard.names("gone.0"));
}

/// Red when a store that grants nothing counts as one that does.
#[test]
fn a_cold_store_is_told_from_one_that_grants() {
    let mut heard = Heard::new();
    let state = |heard: &Heard| heard.metrics.shown().unwrap().state;
    for (cold, is) in [(0, Degraded::Alone), (GRANTS, Degraded::No), (0, Degraded::Alone)] {
        heard.beat(cold, &["here.0"]);
        heard.beat(cold, &["here.0"]);
        assert_eq!(state(&heard), is);
    }
    // Of that nothing is used here.
    heard.beat(60_000, &["here.0"]);
    heard.beat(60_000, &["here.0"]);
    assert_eq!(state(&heard), Degraded::No);
}

/// One server of a cluster has what all are told, and no limits. Red when its absence is not shown: then operators
/// hear that a pause holds at all.
#[test]
fn a_server_of_what_all_are_told_is_missed() {
    let mut heard = Heard::new();
    let state = |heard: &Heard| heard.metrics.shown().unwrap().state;
    for (is_there, is) in [(true, Degraded::No), (false, Degraded::Alone), (true, Degraded::No)] {
        if is_there {
            heard.replica.connects(heard.now, keys::OF_ALL, "run");
        } else {
            heard.replica.disconnects(keys::OF_ALL);
        }
        (0..3).for_each(|_| heard.beat(GRANTS, &["here.0"]));
        assert_eq!(state(&heard), is);
    }
}

/// Red when replicas with another version are not counted as what is wrong, or for ever.
#[test]
fn replicas_with_another_version_are_noticed() {
    let mut heard = Heard::new();
    let count = |heard: &Heard| heard.metrics.errors.with_label_values(&["other_version"]).get();
    let state = |heard: &Heard| heard.metrics.shown().unwrap().state;
    for (apart, is) in [(0, Degraded::No), (2, Degraded::Alone), (0, Degraded::No)] {
        heard.apart = apart;
        let cold = if apart > 0 { 0 } else { GRANTS };
        let before = count(&heard);
        (0..5).for_each(|_| heard.beat(cold, &["here.0"]));
        assert_eq!(state(&heard), is);
        assert_eq!(count(&heard) > before + 1, apart > 0);
    }
}
