//! What operators say at one replica holds at all, and what each replica tells of itself: one message at a
//! time, at once where there is something to tell, and once a second.
//!
//! The store has the order in which things are said: the last word counts. What was said while it was not
//! heard is told when it is heard again, and is the last word then. A store that has lost its memory is told
//! by each what it knows, unless another one has told it of that before.

use std::time::Duration;

use redis::{FromRedisValue, Value};
use scheduler::Epoch;
use slack::Mode;
use tokio::time::Instant;

use super::{
    fleet::{Fleet, Member, Own},
    keys::Keys,
    outbox::Outbox,
    script::Given,
};
use crate::{
    pauses::Target,
    queue::{Admission, AllSaid, Said},
};

/// What is said and heard.
#[derive(Debug)]
pub(super) struct Saying {
    admission: Admission,
    fleet: Fleet,
    own: Own,
    /// How the others know this replica.
    name: String,
    epoch: Option<Epoch>,
    version: u64,
    /// Whether it has lost its memory, and is to be told what is known here.
    tells_all: bool,
    /// When it tells of itself.
    tells_own: Instant,
    outbox: Outbox<Sent>,
}

/// What the message that is on its way says, and whether it asks what others tell of themselves.
#[derive(Debug)]
struct Sent {
    said: Vec<Said>,
    asks: bool,
}

/// The script.
pub(super) const SAID: &str = include_str!("said.lua");

/// How often a replica tells of itself.
const OWN: Duration = Duration::from_secs(3);
/// Who is silent for so long, in milliseconds, is not told of any more.
const SILENT: u64 = 10_000;
/// What comes first where all are told that something is said.
const PUSHED: &str = "said ";
/// The beginnings of the names of what is paused, and of modes.
const PAUSE: char = 'p';
const MODE: char = 'm';

// === impl Saying ===

impl Saying {
    pub(super) fn new(
        admission: Admission,
        fleet: Fleet,
        name: String,
        time_out: Duration,
        now: Instant,
    ) -> Self {
        Self {
            admission,
            fleet,
            own: Own::new(now),
            name,
            epoch: None,
            version: 0,
            tells_all: false,
            tells_own: now,
            outbox: Outbox::new(time_out, now),
        }
    }

    /// When it does something next by itself.
    pub(super) fn next(&self, connected: bool) -> Option<Instant> {
        self.outbox.next(connected)
    }

    /// There is a connection.
    pub(super) fn connects(&mut self, now: Instant) {
        self.tells_own = now;
        self.outbox.connects(now);
    }

    /// Nothing that is on its way is answered.
    pub(super) fn is_alone(&mut self) {
        if let Some(Sent { said, .. }) = self.outbox.is_alone() {
            self.admission.say_again(said);
        }
        self.fleet.is_alone();
    }

    /// What is to be said by the message of that number, if anything.
    pub(super) fn act(
        &mut self,
        now: Instant,
        number: u64,
        (keys, run): (&Keys, &str),
        new: Epoch,
    ) -> Option<Given> {
        if self.outbox.is_late(now) {
            self.is_alone();
        }
        if !self.outbox.opens(now, || self.fleet.is_asked() || self.admission.has_said()) {
            return None;
        }
        let mut given = Given::plain(["s", "r"].map(|what| keys.of_all(what)));
        given.push([&self.name]);
        given.push([self.epoch.map_or_else(String::new, |epoch| epoch.0.to_string())]);
        given.push([self.version, new.0]);
        given.push([keys.channel_of_all()]);
        given.push([SILENT]);
        let tells_own = self.tells_own <= now;
        let own = if tells_own { self.own.tell(&self.admission, now) } else { String::new() };
        given.push([&own, run]);
        if tells_own {
            self.tells_own = now + OWN;
        }
        if self.tells_all {
            tell_all(&mut given, &self.admission.all_said());
        }
        let mut said = Vec::new();
        self.admission.move_said(&mut said);
        for said in &said {
            tell(&mut given, said);
        }
        let asks = self.fleet.is_asked();
        if asks {
            given.push(["all"]);
        }
        self.outbox.sends(now, number, Sent { said, asks });
        Some(given)
    }

    /// The message of that number has an answer. Returns whether that is something it ever answers.
    pub(super) fn hear(&mut self, now: Instant, number: u64, answer: Value) -> bool {
        if !self.outbox.awaits(number) {
            return true;
        }
        let Some((epoch, version, said, all)) = answered(answer) else { return false };
        let Some(Sent { asks, .. }) = self.outbox.is_answered() else { return true };
        if asks {
            self.fleet.hears(all.unwrap_or_default());
        }
        let before = self.epoch.replace(epoch);
        let is_lost = before != Some(epoch) && (before.is_some() || version == 0);
        if is_lost && !self.tells_all && self.admission.all_said() != AllSaid::default() {
            // What it has is not all that was said. It is told, and has the same for all then.
            (self.epoch, self.version) = (Some(epoch), u64::MAX);
            self.tells_all = true;
            self.outbox.is_due(now);
            return true;
        }
        (self.tells_all, self.version) = (false, version);
        if let Some(said) = said
            && self.admission.hold_to(said)
        {
            tracing::info!("what an operator said at another replica holds here");
        }
        true
    }

    /// The message of that number has none.
    pub(super) fn fails(&mut self, number: u64) {
        if self.outbox.awaits(number) {
            self.is_alone();
        }
    }

    /// All are told that something is said. Returns whether it is that what is told.
    pub(super) fn hear_push(&mut self, now: Instant, text: &str) -> bool {
        let Some(text) = text.strip_prefix(PUSHED) else { return false };
        let of_now = format!("{} {}", self.epoch.map_or(0, |epoch| epoch.0), self.version);
        if text != of_now {
            self.outbox.is_due(now);
        }
        true
    }
}

/// Writes what is said as the script reads it.
fn tell(given: &mut Given, said: &Said) {
    match said {
        Said::Paused(paused) => {
            // It can always be written as JSON.
            let value = serde_json::to_string(paused).unwrap_or_default();
            given.push(["set".to_owned(), name(&paused.target), value]);
        }
        Said::Resumed(target) => given.push(["unset".to_owned(), name(target)]),
        Said::Mode(mode, None) => {
            let all = MODE.to_string();
            given.push(["clear", &all, "set", &all, mode.as_str()]);
        }
        Said::Mode(mode, Some(method)) => {
            given.push(["set", &format!("{MODE} {method}"), mode.as_str()]);
        }
    }
}

/// Writes all that is said, for a store that knows nothing of it.
fn tell_all(given: &mut Given, all: &AllSaid) {
    for paused in &all.paused {
        let value = serde_json::to_string(paused).unwrap_or_default();
        given.push(["new".to_owned(), name(&paused.target), value]);
    }
    if let Some(mode) = all.mode {
        given.push(["new", &MODE.to_string(), mode.as_str()]);
    }
    for (method, mode) in &all.methods {
        given.push(["new", &format!("{MODE} {method}"), mode.as_str()]);
    }
}

fn name(target: &Target) -> String {
    format!("{PAUSE}{target}")
}

type Answered = (Epoch, u64, Option<AllSaid>, Option<Vec<Member>>);

/// What the script answers; `None` for what it never does. What another version says and this one does not
/// understand is passed over.
fn answered(answer: Value) -> Option<Answered> {
    let Value::Array(parts) = answer else { return None };
    let [epoch, version, said, all] = <[Value; 4]>::try_from(parts).ok()?;
    let epoch = Epoch(FromRedisValue::from_redis_value(epoch).ok()?);
    let version = FromRedisValue::from_redis_value(version).ok()?;
    let said: Option<Vec<String>> = FromRedisValue::from_redis_value(said).ok()?;
    let all: Option<Vec<String>> = FromRedisValue::from_redis_value(all).ok()?;
    let said = said.map(|said| {
        let mut all = AllSaid::default();
        for [name, value] in said.as_chunks().0 {
            read(&mut all, name, value);
        }
        all
    });
    let all = all.map(|all| {
        let (all, _) = all.as_chunks();
        all.iter().filter_map(|[id, ms, text]| Member::of(id, ms, text)).collect()
    });
    Some((epoch, version, said, all))
}

fn read(all: &mut AllSaid, name: &str, value: &str) {
    match name.strip_prefix(MODE) {
        Some("") => all.mode = Mode::parse(value),
        Some(method) => {
            let method = method.trim_start();
            all.methods.extend(Mode::parse(value).map(|mode| (method.into(), mode)));
        }
        None if name.starts_with(PAUSE) => all.paused.extend(serde_json::from_str(value)),
        None => {}
    }
}
