//! What a replica tells the store of its buckets, and what it makes of answers that are late, lost or of another
//! time.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use limits::{AgeFrom, BucketKey, Dimension, Limit, Rate, Rule, Scope};
use redis::Value;
use scheduler::Memory;
use tokio::time::Instant;

use super::{
    super::{
        Degraded, SharedMetrics,
        keys::{self, SHARDS},
        replica::{BEAT, Kind, Message, Replica},
    },
    connected,
};
use crate::queue::Admission;

/// A replica that has a connection, and what it has said.
struct Spoken {
    replica: Replica,
    admission: Admission,
    metrics: SharedMetrics,
    now: Instant,
    said: Vec<Message>,
}

const MINUTE: Duration = Duration::from_mins(1);
/// Longer than the time-out.
const LATE: Duration = Duration::from_millis(300);

// === impl Spoken ===

impl Spoken {
    /// It has used so many buckets before, two slots of each.
    fn new(buckets: usize) -> Self {
        let now = Instant::now();
        let (replica, admission, metrics) = connected(now, Duration::from_secs(1), MINUTE, &[]);
        let used = vec![admission.now(); 2];
        let memory = || Memory { ages_from: used.clone(), frozen_until: None, learnt: None };
        admission.restore((0..buckets).map(|n| (bucket(n, MINUTE), memory())), None);
        Self { replica, admission, metrics, now, said: Vec::new() }
    }

    /// Time passes. Returns what it says then.
    fn says(&mut self, after: Duration) -> usize {
        self.now += after;
        self.said.clear();
        self.replica.act(self.now, &mut self.said);
        // What is of no group is tested with real processes.
        self.said.retain(|it| matches!(it.kind, Kind::Beat | Kind::Step));
        self.said.len()
    }

    /// All that it has said is answered; its buckets are as it says.
    fn is_answered(&mut self, epoch: &str) {
        for message in std::mem::take(&mut self.said) {
            let answer = match message.kind {
                Kind::Beat => member(epoch),
                _ => told(&message),
            };
            assert!(self.replica.hear(self.now, &message, answer));
        }
    }

    fn beats(&self) -> impl Iterator<Item = &[String]> {
        self.said.iter().filter(|it| it.kind == Kind::Beat).map(|it| it.given.args())
    }

    fn steps(&self) -> impl Iterator<Item = &Message> {
        self.said.iter().filter(|it| it.kind == Kind::Step)
    }

    fn state(&self) -> Degraded {
        self.metrics.shown().unwrap().state
    }
}

fn bucket(n: usize, per: Duration) -> BucketKey {
    let rate = Rate { limit: NonZeroU32::new(20).unwrap(), per, burst: None, tolerates: None };
    let limit = Limit {
        name: "tier2".into(),
        rule: Rule::Rate(rate),
        scope: Scope::of(&[Dimension::Workspace]),
        age_from: AgeFrom::Answer,
    };
    BucketKey { limit: Arc::new(limit), values: format!("T{n}").as_str().into() }
}

fn text(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

fn member(epoch: &str) -> Value {
    member_beside(epoch, "1.0")
}

fn member_beside(epoch: &str, other: &str) -> Value {
    let (members, hot) = (Value::Array(vec![text(other)]), Value::Array(Vec::new()));
    Value::Array(vec![text(epoch), Value::Int(-1), members, hot, Value::Int(0)])
}

/// It has been granted nothing, and nobody waits.
fn told(step: &Message) -> Value {
    let mut told = vec![text("ok")];
    for ask in step.given.args()[9..].chunks(13) {
        told.push(Value::Int(ask[0].parse().unwrap()));
        told.extend([0, 2, 0, 0, 0, 0].map(Value::Int));
    }
    Value::Array(told)
}

/// What a beat says: the epoch, and whether all is told in it.
fn knows(beat: &[String]) -> (&str, &str) {
    (&beat[1], &beat[7])
}

/// Red when a store is believed to know what only the one before was told.
#[test]
fn all_is_told_to_each_store_anew() {
    let mut spoken = Spoken::new(1);
    let of_bucket = usize::from(keys::shard(&bucket(0, MINUTE)).0);
    for (epoch, before) in [("7", ""), ("8", "7")] {
        spoken.says(BEAT);
        assert!(spoken.beats().all(|beat| knows(beat).0 == before), "{epoch}");
        spoken.is_answered(epoch);
        spoken.says(Duration::ZERO);
        let steps: Vec<_> = spoken.steps().map(|it| it.given.args()).collect();
        assert_eq!((steps.len(), &*steps[0][1], &*steps[0][12]), (1, epoch, "2"), "TAKEN");
        let step = spoken.said.pop().unwrap();
        // A quarter of a beat later it would say that all is told.
        spoken.says(BEAT / 4);
        assert_eq!(spoken.beats().count(), usize::from(SHARDS));
        for (shard, beat) in spoken.beats().enumerate() {
            let all = if shard == of_bucket { "0" } else { "1" };
            assert_eq!(knows(beat), (epoch, all), "{shard}");
        }
        assert!(spoken.replica.hear(spoken.now, &step, told(&step)));
        spoken.is_answered(epoch);
        spoken.says(BEAT);
        assert!(spoken.beats().all(|beat| knows(beat) == (epoch, "1")));
        spoken.is_answered(epoch);
    }
}

/// Red when a replica takes a store for heard that does not answer, fails, or lives another life.
#[test]
fn who_gets_no_answer_is_alone() {
    for how in ["late", "error", "cold"] {
        let mut spoken = Spoken::new(1);
        spoken.says(BEAT);
        spoken.is_answered("7");
        spoken.says(Duration::ZERO);
        assert_eq!(spoken.state(), Degraded::No, "{how}");
        let step = spoken.said.pop().unwrap();
        assert_eq!(step.kind, Kind::Step);
        match how {
            "late" => {}
            "error" => spoken.replica.fails(&step),
            _ => {
                let cold = Value::Array(vec![text("cold"), text("9")]);
                assert!(spoken.replica.hear(spoken.now, &step, cold));
                spoken.says(Duration::ZERO);
                assert_eq!(spoken.beats().count(), 1, "it beats at once");
            }
        }
        // The other beats are due.
        spoken.says(if how == "late" { LATE } else { Duration::ZERO });
        assert_eq!(spoken.state(), Degraded::Alone, "{how}");
        spoken.says(BEAT);
        spoken.is_answered("7");
        spoken.says(Duration::ZERO);
        assert_eq!(spoken.state(), Degraded::No, "{how}");
    }
}

/// Red when a beat that was overtaken, or one by a name of before, tells what is so now.
#[test]
fn of_two_beats_the_later_one_knows_more() {
    let mut spoken = Spoken::new(0);
    spoken.says(BEAT);
    let first = std::mem::take(&mut spoken.said);
    spoken.says(BEAT);
    spoken.is_answered("8");
    for beat in &first {
        assert!(spoken.replica.hear(spoken.now, beat, member("7")));
    }
    spoken.says(BEAT);
    assert!(spoken.beats().all(|beat| knows(beat).0 == "8"));
    // All know its name by now.
    let own = spoken.beats().next().unwrap()[0].clone();
    for beat in std::mem::take(&mut spoken.said) {
        assert!(spoken.replica.hear(spoken.now, &beat, member_beside("8", &own)));
    }
    spoken.says(BEAT);
    let late = std::mem::take(&mut spoken.said);
    spoken.says(BEAT);
    for beat in std::mem::take(&mut spoken.said) {
        let gone = Value::Array(vec![text("gone")]);
        assert!(spoken.replica.hear(spoken.now, &beat, gone));
    }
    for beat in &late {
        assert!(spoken.replica.hear(spoken.now, beat, member("8")));
    }
    assert_eq!(spoken.says(Duration::ZERO), usize::from(SHARDS));
    assert!(spoken.beats().all(|beat| knows(beat).0.is_empty() && beat[0].ends_with(".1")));
    let names = |beat: &[String]| beat.iter().filter(|arg| **arg == own).count();
    assert!(spoken.beats().all(|beat| names(beat) == 1), "it has ended, and nobody waits for it");
}

/// Red when a replica uses what another one was granted, or not what it was granted itself.
#[test]
fn what_is_granted_meanwhile_is_for_one_of_that_name() {
    let mut spoken = Spoken::new(1);
    spoken.says(BEAT);
    spoken.is_answered("7");
    spoken.says(Duration::ZERO);
    let (name, life) = {
        let step = spoken.steps().next().unwrap().given.args();
        (step[0].clone(), step[9].clone())
    };
    spoken.is_answered("7");
    let of = keys::name(&bucket(0, MINUTE));
    for (to, epoch, hears) in [("other.0", "7", false), (&*name, "6", false), (&*name, "7", true)] {
        spoken.replica.hear_push(spoken.now, &format!("{to} {epoch} {life} 1 {of}"));
        spoken.says(Duration::ZERO);
        // Nobody waits for it any more, so it is given back.
        let step = spoken.steps().next().map(|it| &it.given.args()[11..14]);
        assert_eq!(
            step.is_some_and(|step| step == ["1", "2", "1"]),
            hears,
            "{to} {epoch}: {step:?}"
        );
    }
}

/// Red when one message keeps the server from others for long, and when some buckets are not told of.
#[test]
fn many_buckets_are_told_of_in_several_steps() {
    let buckets = 1_600;
    let mut spoken = Spoken::new(buckets);
    spoken.says(BEAT);
    spoken.is_answered("7");
    spoken.says(Duration::ZERO);
    let counts: Vec<_> = spoken.steps().map(|it| (it.given.args().len() - 9) / 13).collect();
    assert_eq!(counts.iter().sum::<usize>(), buckets);
    assert!(counts.iter().all(|count| *count <= 64), "{counts:?}");
}

/// Red when a limit that a reload has made longer is not waited for.
#[test]
fn the_longest_period_is_that_of_any_limit_that_is_used() {
    let mut spoken = Spoken::new(0);
    let used = vec![spoken.admission.now()];
    let memory = Memory { ages_from: used, frozen_until: None, learnt: None };
    spoken.admission.restore([(bucket(0, 10 * MINUTE), memory)].into_iter(), None);
    spoken.says(BEAT);
    assert!(spoken.beats().all(|beat| beat[4] == "60000"));
    spoken.is_answered("7");
    spoken.says(Duration::ZERO);
    spoken.says(BEAT);
    let longest: u64 = spoken.beats().next().unwrap()[4].parse().unwrap();
    assert!(longest >= 600_000, "{longest}");
}

/// Red when what is said over a connection does not name the process at its other end.
#[test]
fn each_connection_leads_to_a_process_of_its_own() {
    let mut spoken = Spoken::new(0);
    for run in ["run", "another"] {
        assert_eq!(spoken.says(BEAT), usize::from(SHARDS));
        assert!(spoken.beats().all(|beat| beat[12] == run));
        keys::all().for_each(|shard| spoken.replica.disconnects(shard));
        assert_eq!(spoken.says(BEAT), 0);
        keys::all().for_each(|shard| spoken.replica.connects(spoken.now, shard, "another"));
    }
}

/// Red when an answer is believed that no script gives.
#[test]
fn an_answer_that_makes_no_sense_is_none() {
    let mut spoken = Spoken::new(1);
    spoken.says(BEAT);
    spoken.is_answered("7");
    spoken.says(Duration::ZERO);
    let step = spoken.said.pop().unwrap();
    for odd in [vec![text("ok")], vec![text("ok"), Value::Int(1)], vec![text("well")], vec![]] {
        assert!(!spoken.replica.hear(spoken.now, &step, Value::Array(odd)));
    }
    assert!(!spoken.replica.hear(spoken.now, &step, Value::Int(1)));
}
