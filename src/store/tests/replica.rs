//! What a replica makes of the store's answers to its beats.

use std::time::Duration;

use redis::Value;
use tokio::time::Instant;

use super::{
    super::{
        Degraded, SharedMetrics,
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
}

const MINUTE: Duration = Duration::from_mins(1);
const FLIGHT: Duration = Duration::from_secs(1);

/// Nothing is waited for.
const GRANTS: i64 = -1;

// === impl Heard ===

impl Heard {
    fn new() -> Self {
        let now = Instant::now();
        let (replica, metrics) = connected(now, FLIGHT, MINUTE, &[]);
        Self { replica, metrics, now, beats: Vec::new() }
    }

    /// It beats, and is answered in all groups: the store grants nothing from that period on, in milliseconds.
    fn beat(&mut self, cold: i64, members: &[&str]) {
        self.beats.clear();
        self.replica.act(self.now, &mut self.beats);
        assert!(self.beats.iter().all(|message| message.kind == Kind::Beat));
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let members: Vec<_> = members.iter().map(|name| text(name)).collect();
        let answer = vec![text("7"), Value::Int(cold), Value::Array(members), Value::Array(vec![])];
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
