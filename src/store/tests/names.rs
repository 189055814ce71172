//! By which names a replica speaks, and from which it says that it has taken over.

use std::time::Duration;

use redis::Value;
use tokio::time::Instant;

use super::{
    super::{
        keys::SHARDS,
        replica::{Kind, Message, Replica},
    },
    connected,
};

const FLIGHT: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(1800);

/// A replica and what it has said.
struct Talk {
    replica: Replica,
    now: Instant,
    said: Vec<Message>,
}

// === impl Talk ===

impl Talk {
    /// With what processes used that are known by these names.
    fn new(ended: &[&str]) -> Self {
        let now = Instant::now();
        let (replica, ..) = connected(now, FLIGHT, LONGEST, ended);
        let mut talk = Self { replica, now, said: Vec::new() };
        talk.passes(Duration::ZERO);
        talk
    }

    /// Time passes, and then it says what is to be said.
    fn passes(&mut self, time: Duration) {
        self.now += time;
        self.said.clear();
        self.replica.act(self.now, &mut self.said);
        self.said.retain(|message| matches!(message.kind, Kind::Beat | Kind::Step));
    }

    /// The store answers the first beats of so many groups.
    fn hears(&mut self, groups: usize, answer: &Value) {
        for message in self.said.drain(..groups) {
            assert_eq!(message.kind, Kind::Beat);
            assert!(self.replica.hear(self.now, &message, answer.clone()));
        }
    }

    fn channel(&self) -> String {
        let [channel, _] = self.replica.channels();
        channel.rsplit(':').next().unwrap().to_owned()
    }

    fn says(&self, at: usize, name: &str) -> bool {
        format!("{:?}", self.said[at].given).contains(&format!("{name:?}"))
    }
}

/// It is a member, and the store grants slots.
fn member() -> Value {
    let texts = |texts: &[&str]| {
        Value::Array(texts.iter().map(|text| Value::BulkString(text.as_bytes().to_vec())).collect())
    };
    Value::Array(vec![
        Value::BulkString(b"7".to_vec()),
        Value::Int(-1),
        texts(&["1.0"]),
        texts(&[]),
        Value::Int(0),
    ])
}

fn gone() -> Value {
    Value::Array(vec![Value::BulkString(b"gone".to_vec())])
}

/// Red when what it used is kept under the old name for long, and when it is told of for ever.
#[test]
fn a_name_that_was_forgotten_has_ended() {
    let mut talk = Talk::new(&[]);
    let (old, new) = (format!("{}.0", talk.channel()), format!("{}.1", talk.channel()));
    assert!(talk.says(0, &old));
    talk.hears(1, &member());
    talk.passes(Duration::from_secs(1));
    talk.hears(1, &gone());
    talk.passes(Duration::ZERO);
    assert!(talk.says(0, &new));
    talk.hears(1, &member());
    talk.passes(Duration::from_secs(1));
    assert!(talk.says(0, &new) && talk.says(0, &old));
    assert!(!talk.says(1, &new), "the other groups know it as before");
    talk.passes(LONGEST + FLIGHT);
    let beat = talk.said.iter().position(|it| it.kind == Kind::Beat).unwrap();
    assert!(!talk.says(beat, &old), "nothing is kept for it any more");
}

/// Red when the names of the state file are not told of, and when they are for ever.
#[test]
fn processes_of_the_state_file_have_ended() {
    let mut talk = Talk::new(&["former.0", "former.1"]);
    assert!((0..16).all(|at| talk.says(at, "former.0") && talk.says(at, "former.1")));
    talk.passes(LONGEST + FLIGHT);
    assert!((0..16).all(|at| talk.says(at, "former.0")));
    talk.passes(Duration::from_secs(1));
    assert!((0..16).all(|at| !talk.says(at, "former.0")));
}

/// Red when it says goodbye to a group that does not answer, and when its name stays.
#[test]
fn it_leaves_where_it_is_heard() {
    let mut talk = Talk::new(&[]);
    talk.hears(usize::from(SHARDS) - 1, &member());
    let said = talk.replica.leave(talk.now);
    assert_eq!(said.len(), usize::from(SHARDS) - 1);
    let all: Vec<_> = said.iter().map(|message| format!("{:?}", message.given)).collect();
    assert!(said.iter().all(|message| message.kind == Kind::Step));
    // The length of a bucket's key before its name, and that nothing more is to be said.
    assert!(all.iter().all(|given| given.ends_with(r#""1", "run"] }"#)), "{all:?}");
}
