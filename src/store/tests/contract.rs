//! The scripts against the reference of the scheduler's model, step for step.
//!
//! What the scripts ask of the server's clock is replaced in their text by what the test
//! says. So the time is that of the test, and what expires does so by it.

use std::{cell::RefCell, time::Duration};

use proptest::{prelude::*, sample::select, test_runner::TestRunner};
use redis::{Connection, Value};
use scheduler::{
    Ask, Epoch, Shard,
    model::store::{self, Answered, Asked, Beat, Beaten, Name, Push, Step, Stepped, Store, Times},
};

use super::{
    super::{
        freezes::FREEZE,
        keys::{self, Keys},
        said,
        script::{self, Given, Script, Scripts},
        whose,
    },
    server::Server,
};

/// What happens to the store.
#[derive(Clone, Debug)]
enum Happening {
    Beat {
        by: usize,
        knows: Knows,
        told_all: bool,
        others: Vec<usize>,
    },
    /// A replica goes on by another name.
    IsRenamed {
        by: usize,
    },
    /// A replica leaves: for how long so many slots of buckets still count.
    Leaves {
        by: usize,
        knows: Knows,
        left: Vec<(usize, Vec<(u32, u64)>)>,
        leaves: bool,
    },
    Step {
        by: usize,
        knows: Knows,
        asks: Vec<Said>,
    },
    /// Some beat for a while, and the others are silent.
    Alive {
        some: Vec<usize>,
        beats: u64,
    },
    /// A message of before comes again, or late.
    Again {
        back: usize,
    },
    Pass {
        ms: u64,
    },
    /// Its clock is set back.
    Back {
        ms: u64,
    },
    /// So many replicas say that they have another version of the scripts, or are those of the one before.
    OtherVersion {
        before: bool,
        members: u32,
    },
    Flush,
    /// Another process with the same data.
    Restart,
}

/// Which epoch a replica knows.
#[derive(Clone, Copy, Debug)]
enum Knows {
    Now,
    Before,
    None,
}

/// What is said of a bucket: how much more of everything than before.
#[derive(Clone, Debug)]
struct Said {
    bucket: usize,
    new_life: bool,
    hears: bool,
    taken: u64,
    returns: u64,
    wants: [u32; 3],
    callers: u32,
    people: bool,
    /// By how much the limit is another one than that of the others: their quota and period by so much.
    less: (u32, u64),
    /// How far apart calls go, if it has learnt the limit.
    spacing: Option<u64>,
}

#[derive(Clone, Debug)]
enum Message {
    Beat(Beat),
    Step(Step),
}

/// What a replica knows of a bucket.
#[derive(Clone, Copy, Debug, Default)]
struct Numbers {
    life: u64,
    number: u64,
    seen: u64,
    granted: u64,
    taken: u64,
    returned: u64,
}

/// The reference and the server, side by side.
struct Both<'a> {
    server: &'a mut Scripted,
    store: Store,
    now: u64,
    /// What has become free at a time that comes again is not taken back before the bucket's next step.
    went_back: bool,
    /// How many buckets the last beat said that are hot.
    hot: usize,
    epochs: Vec<u64>,
    names: Vec<Name>,
    /// The names of before, by replica.
    ended: Vec<Vec<Name>>,
    numbers: Vec<[Numbers; BUCKETS.len()]>,
    messages: Vec<Message>,
}

/// A server and the scripts.
pub(super) struct Scripted {
    /// Ended with the process.
    _server: Server,
    connection: Connection,
    keys: Keys,
    scripts: Scripts,
    expire: redis::Script,
    /// The process that it plays.
    pub(super) process: u64,
}

const TIMES: Times = Times { forget: 1_500, flight: 1_000, stale: 300, longest: 1_200 };

/// The same for the scripts.
const SAID: script::Times = {
    let Times { forget, flight, stale, longest } = TIMES;
    script::Times { forget, flight, stale, longest }
};

/// Names, quotas and periods.
const BUCKETS: [(&str, u32, u64); 5] = [
    ("tier2:A1/T1/chat.update", 5, 1_000),
    ("post:A1/T1/C1", 1, 100),
    ("bookmarks:T1", 2, 0),
    ("tier3:A1/T1/users.list", 12, 700),
    ("odd:with space/and:colon@1", 7, 900),
];

const SHARD: Shard = Shard(3);

/// In front of the scripts.
const FAKES: &str = "
local function fake(key) return tonumber(redis.call('GET', 'fake:' .. key)) end
local function time()
  local now = fake('now')
  return {string.format('%.0f', math.floor(now / 1000)), string.format('%.0f', now % 1000 * 1000)}
end
local function publish(channel, text) redis.call('RPUSH', 'fake:pushes', channel .. ' ' .. text) end
local function expire(key, ms) redis.call('ZADD', 'fake:expires', fake('now') + ms, key) end
";

/// Deletes what has expired.
const EXPIRE: &str = "
redis.call('SET', 'fake:now', ARGV[1])
redis.call('DEL', 'fake:pushes')
if ARGV[2] == '0' then return end
for _, key in ipairs(redis.call('ZRANGEBYSCORE', 'fake:expires', '-inf', ARGV[1])) do
  redis.call('DEL', key)
  redis.call('ZREM', 'fake:expires', key)
end
";

// === impl Scripted ===

impl Scripted {
    pub(super) fn start() -> Self {
        let server = Server::start();
        let connection = server.connect();
        let scripts =
            Scripts::of([script::BEAT, script::STEP, FREEZE, said::SAID, whose::WHOSE].map(faked));
        let (keys, expire) = (Keys::new("sw"), redis::Script::new(EXPIRE));
        Self { _server: server, connection, keys, scripts, expire, process: 1 }
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Tells the time, and lets expire what does so by then.
    pub(super) fn lets_expire(&mut self, now: u64, expires: bool) {
        let mut expire = self.expire.prepare_invoke();
        expire.arg(now).arg(u8::from(expires));
        expire.invoke::<()>(&mut self.connection).unwrap();
    }

    /// What was published since the time was told.
    pub(super) fn pushes(&mut self) -> Vec<String> {
        let mut pushes = redis::cmd("LRANGE");
        pushes.arg("fake:pushes").arg(0).arg(-1);
        pushes.query(&mut self.connection).unwrap()
    }

    pub(super) fn flush(&mut self) {
        redis::cmd("FLUSHALL").exec(&mut self.connection).unwrap();
    }

    fn other_version(&mut self, now: u64, before: bool, members: u32) {
        let mut says = redis::cmd("HSET");
        if before {
            let key = self.keys.members_of_before(SHARD).next().unwrap();
            redis::cmd("DEL").arg(&key).exec(&mut self.connection).unwrap();
            says.arg(key).arg("l").arg(now);
            let named = |of: u32| ["m", "p"].map(|kind| format!("{kind}{of:x}.0"));
            for field in (0..members).flat_map(named) {
                says.arg(field).arg(now);
            }
        } else {
            says.arg(self.keys.versions(SHARD)).arg("77").arg(format!("{now} {members}"));
        }
        says.exec(&mut self.connection).unwrap();
    }

    fn beat(&mut self, beat: &Beat) -> Beaten {
        let names = |names: &[Name]| names.iter().map(|it| name(*it)).collect::<Vec<_>>();
        let (others, ended) = (names(&beat.others), names(&beat.ended));
        let said = script::Beat {
            name: &name(beat.name),
            run: &self.process.to_string(),
            epoch: epoch(beat.epoch),
            new_epoch: Epoch(beat.new_epoch),
            told_all: beat.told_all,
            others: &others.iter().map(String::as_str).collect::<Vec<_>>(),
            ended: &ended.iter().map(String::as_str).collect::<Vec<_>>(),
        };
        let given = Given::beat(&self.keys, SHARD, SAID, &said);
        match script::Beaten::of(self.run(|it| &it.beat, &given)).unwrap() {
            script::Beaten::Gone => Beaten::Gone,
            script::Beaten::Member { epoch, cold, members, hot, apart } => {
                let members: Vec<_> = members.iter().map(|member| named(member)).collect();
                let mut hot = hot.unwrap();
                hot.sort_unstable();
                let count = u32::try_from(members.len()).unwrap();
                Beaten::Member { epoch: epoch.0, cold, members, count, hot, apart }
            }
        }
    }

    fn step(&mut self, step: &Step) -> (Stepped, Vec<Push>) {
        let says = |asked: &Asked| {
            let left = asked.left.as_ref().map(|left| {
                let left = left.iter().map(|(slots, ms)| (*slots, Duration::from_millis(*ms)));
                left.collect::<Vec<_>>()
            });
            (ask(step.epoch, asked), left)
        };
        let asks: Vec<_> = step.asks.iter().map(says).collect();
        let said = script::Step {
            name: &name(step.name),
            run: &self.process.to_string(),
            epoch: epoch(step.epoch),
            asks: asks.iter().map(|(ask, left)| (ask, left.as_deref())).collect(),
            leaves: step.leaves,
        };
        let given = Given::step(&self.keys, SHARD, SAID, &said);
        let answer = self.run(|it| &it.step, &given);
        let stepped = match script::Stepped::of(answer).unwrap() {
            script::Stepped::Gone => Stepped::Gone,
            // Which epoch it lives in is for those who read what was said.
            script::Stepped::Cold => Stepped::Cold(0),
            script::Stepped::Told(told) => {
                let told = told.into_iter().map(|told| {
                    let script::Answered { life, granted, used, weight, again, other } = told;
                    Answered { life, granted, used, weight, again, other }
                });
                Stepped::Told(told.collect())
            }
        };
        let pushes = self.pushes();
        (stepped, pushes.iter().map(|push| pushed(push)).collect())
    }

    pub(super) fn run(&mut self, script: impl Fn(&Scripts) -> &Script, given: &Given) -> Value {
        let script = script(&self.scripts);
        match script.by_hash(given).query(&mut self.connection) {
            Err(error) if error.code() == Some("NOSCRIPT") => {
                script.whole(given).query(&mut self.connection).unwrap()
            }
            answer => answer.unwrap(),
        }
    }
}

fn ask(epoch: u64, asked: &Asked) -> Ask {
    let Asked { life, number, seen, taken, returned, wants, callers, quota, people, .. } = *asked;
    Ask {
        bucket: keys::bucket(&asked.bucket).unwrap(),
        shard: SHARD,
        epoch: Epoch(epoch),
        life,
        number,
        seen,
        taken,
        returned,
        wants,
        callers,
        quota,
        period: Duration::from_millis(asked.period),
        spacing: asked.spacing.map(Duration::from_millis),
        people,
    }
}

fn pushed(text: &str) -> Push {
    let (channel, text) = text.split_once(' ').unwrap();
    let script::Push { to, epoch, life, granted, bucket } = script::Push::of(text).unwrap();
    let to = named(to);
    assert_eq!(channel, format!("sw:2:i:{to:x}"));
    Push { to, epoch: epoch.0, bucket: bucket.to_owned(), life, granted }
}

/// The script with another clock.
fn faked(text: &str) -> &'static str {
    let mut faked = format!("{FAKES}{text}");
    for (what, with) in [
        ("redis.call('TIME')", "time()"),
        ("redis.call('PEXPIRE', ", "expire("),
        ("redis.call('PUBLISH', ", "publish("),
    ] {
        faked = faked.replace(what, with);
    }
    String::leak(faked)
}

fn name(name: Name) -> String {
    format!("{name:x}.0")
}

fn named(text: &str) -> Name {
    Name::from_str_radix(text.strip_suffix(".0").unwrap(), 16).unwrap()
}

fn epoch(epoch: u64) -> Option<Epoch> {
    Some(Epoch(epoch)).filter(|_| epoch != 0)
}

// === impl Both ===

impl<'a> Both<'a> {
    fn new(server: &'a mut Scripted) -> Self {
        server.flush();
        Self {
            server,
            store: Store::default(),
            now: 1_000_000,
            went_back: false,
            hot: 0,
            epochs: vec![0, 0],
            names: vec![1, 2, 3, 4],
            ended: vec![Vec::new(); 4],
            numbers: vec![Default::default(); 4],
            messages: Vec::new(),
        }
    }

    fn happens(&mut self, what: Happening) {
        match what {
            Happening::Pass { ms } => self.now += ms,
            Happening::Back { ms } => {
                self.now -= ms;
                self.went_back = true;
            }
            Happening::OtherVersion { before, members } => {
                self.server.other_version(self.now, before, members);
                let version = if before { store::SILENT } else { 77 };
                self.store.is_used_by(self.now, version, members);
            }
            Happening::Flush => {
                self.server.flush();
                self.store.flush();
            }
            Happening::Restart => {
                self.server.process += 1;
                self.store.restart();
            }
            Happening::Beat { by, knows, told_all, others } => {
                let beat = Beat {
                    name: self.names[by],
                    epoch: self.epoch(knows),
                    new_epoch: self.epochs.last().unwrap() + 1_000_000_000_000_007,
                    told_all,
                    others: others.into_iter().map(|other| self.names[other]).collect(),
                    ended: self.ended[by].clone(),
                };
                self.arrives(Message::Beat(beat));
            }
            Happening::Alive { some, beats } => {
                for _ in 0..beats {
                    self.now += TIMES.stale - 50;
                    for by in &some {
                        let (by, knows) = (*by, Knows::Now);
                        self.happens(Happening::Beat { by, knows, told_all: true, others: vec![] });
                    }
                }
            }
            Happening::Step { by, knows, asks } => {
                let asks = asks.iter().map(|said| self.asks(by, said)).collect();
                let (name, epoch) = (self.names[by], self.epoch(knows));
                let step = Step { name, epoch, asks, leaves: false };
                self.arrives(Message::Step(step));
            }
            Happening::IsRenamed { by } => self.is_gone(self.names[by]),
            Happening::Leaves { by, knows, left, leaves } => {
                let asks = left.into_iter().map(|(bucket, left)| {
                    let said = wants(bucket, 0);
                    Asked { left: Some(left), ..self.asks(by, &said) }
                });
                let asks = asks.collect();
                let (name, epoch) = (self.names[by], self.epoch(knows));
                self.arrives(Message::Step(Step { name, epoch, asks, leaves }));
                if leaves {
                    self.is_gone(name);
                }
            }
            Happening::Again { back } => {
                if let Some(at) = self.messages.len().checked_sub(back + 1) {
                    let message = self.messages[at].clone();
                    self.arrives(message);
                }
            }
        }
    }

    fn epoch(&self, knows: Knows) -> u64 {
        match knows {
            Knows::Now => self.epochs[self.epochs.len() - 1],
            Knows::Before => self.epochs[self.epochs.len() - 2],
            Knows::None => 0,
        }
    }

    fn asks(&mut self, by: usize, said: &Said) -> Asked {
        let (bucket, quota, period) = BUCKETS[said.bucket];
        let of = &mut self.numbers[by][said.bucket];
        if said.new_life || of.life == 0 {
            *of = Numbers { life: of.life + 1, number: of.number, ..Numbers::default() };
        }
        if said.hears {
            of.seen = of.granted;
        }
        of.number += 1;
        of.taken += said.taken;
        of.returned = (of.returned + said.returns).min(of.seen + of.taken);
        let Numbers { life, number, seen, taken, returned, .. } = *of;
        let Said { wants, callers, people, less, spacing, .. } = *said;
        let (quota, period) = (quota.div_ceil(less.0), period / less.1);
        let bucket = bucket.to_owned();
        let left = None;
        Asked {
            bucket,
            life,
            number,
            seen,
            taken,
            returned,
            wants,
            callers,
            quota,
            period,
            spacing,
            people,
            left,
        }
    }

    /// Both get the message, and say the same.
    fn arrives(&mut self, message: Message) {
        match &message {
            Message::Beat(beat) => {
                let expected = self.store.beat(self.now, TIMES, beat.clone());
                self.lets_expire(expected != Beaten::Gone);
                let mut beaten = self.server.beat(beat);
                if let (Beaten::Member { hot, .. }, Beaten::Member { hot: expected, .. }) =
                    (&mut beaten, &expected)
                    && self.went_back
                    && hot.iter().all(|bucket| expected.contains(bucket))
                {
                    hot.clone_from(expected);
                }
                assert_eq!(beaten, expected);
                if let Beaten::Member { hot, .. } = &expected {
                    self.hot = hot.len();
                }
                match expected {
                    Beaten::Member { epoch, .. } if self.epochs.last() != Some(&epoch) => {
                        self.epochs.push(epoch);
                    }
                    Beaten::Member { .. } => {}
                    // It goes on by another name.
                    Beaten::Gone => self.is_gone(beat.name),
                }
            }
            Message::Step(step) => {
                let mut pushes = Vec::new();
                let expected = self.store.step(self.now, TIMES, step.clone(), &mut pushes);
                self.lets_expire(matches!(expected, Stepped::Told(_)));
                let expected = match expected {
                    Stepped::Cold(_) => Stepped::Cold(0),
                    told => told,
                };
                assert_eq!(self.server.step(step), (expected.clone(), pushes));
                match expected {
                    Stepped::Gone => self.is_gone(step.name),
                    Stepped::Cold(_) => {}
                    Stepped::Told(told) => {
                        let by = self.names.iter().position(|name| *name == step.name);
                        for (ask, told) in step.asks.iter().zip(told) {
                            let at = BUCKETS.iter().position(|(name, ..)| *name == ask.bucket);
                            if let Some(by) = by
                                && self.numbers[by][at.unwrap()].life == told.life
                            {
                                let granted = &mut self.numbers[by][at.unwrap()].granted;
                                *granted = told.granted.max(*granted);
                            }
                        }
                    }
                }
            }
        }
        self.messages.push(message);
    }

    /// Tells the server the time. The reference forgets what has expired only with a message that it
    /// takes, and its clock may go back in between.
    fn lets_expire(&mut self, takes: bool) {
        self.server.lets_expire(self.now, takes);
    }

    fn is_gone(&mut self, name: Name) {
        if let Some(by) = self.names.iter().position(|of| *of == name) {
            self.ended[by].push(name);
            self.names[by] += 16;
            self.numbers[by] = Default::default();
        }
    }
}

fn said() -> impl Strategy<Value = Said> {
    let wants = prop_oneof![
        2 => Just([0, 0, 0]),
        3 => [0..2_u32, 0..3_u32, 0..3_u32],
        1 => [0..9_u32, 0..9_u32, 0..9_u32],
    ];
    let spacing = prop_oneof![
        8 => Just(None), 1 => Just(Some(0)), 2 => select(vec![Some(40), Some(300)])
    ];
    let less = prop_oneof![8 => Just((1, 1)), 2 => Just((2, 1)), 4 => (1..4_u32, 1..9_u64)];
    (
        (0..BUCKETS.len(), prop::bool::weighted(0.05), prop::bool::weighted(0.8)),
        (prop_oneof![8 => Just(0), 1 => 0..4_u64], prop_oneof![1 => Just(0), 1 => 0..3_u64]),
        (wants, 0..5_u32, prop::bool::weighted(0.1), less, spacing),
    )
        .prop_map(
            |(
                (bucket, new_life, hears),
                (taken, returns),
                (wants, callers, people, less, spacing),
            )| Said {
                bucket,
                new_life,
                hears,
                taken,
                returns,
                wants,
                callers,
                people,
                less,
                spacing,
            },
        )
}

fn happening() -> impl Strategy<Value = Happening> {
    let knows =
        || prop_oneof![20 => Just(Knows::Now), 1 => Just(Knows::Before), 1 => Just(Knows::None)];
    let others = prop::collection::btree_set(0..4_usize, 0..3);
    let asks = prop::collection::vec(said(), 1..4);
    let ages = select(vec![0, 1, 90, 700, 1_900, 90_000_u64]);
    let left = prop::collection::vec((1..4_u32, ages), 0..4);
    let left = prop::collection::btree_map(0..BUCKETS.len(), left, 0..3);
    let passes = select(vec![1, 5, 20, 50, 100, 200, 200, 310, 1_600, 90_000]);
    prop_oneof![
        30 => (0..4_usize, knows(), prop::bool::weighted(0.8), others).prop_map(
            |(by, knows, told_all, others)| {
                Happening::Beat { by, knows, told_all, others: others.into_iter().collect() }
            }
        ),
        90 => (0..4_usize, knows(), asks).prop_map(|(by, knows, mut asks)| {
            asks.sort_by_key(|said| said.bucket);
            asks.dedup_by_key(|said| said.bucket);
            Happening::Step { by, knows, asks }
        }),
        15 => (prop::collection::btree_set(0..4_usize, 1..4), 1..20_u64).prop_map(|(some, beats)| {
            Happening::Alive { some: some.into_iter().collect(), beats }
        }),
        12 => (0..12_usize).prop_map(|back| Happening::Again { back }),
        4 => (0..4_usize).prop_map(|by| Happening::IsRenamed { by }),
        6 => (0..4_usize, knows(), left, any::<bool>()).prop_map(|(by, knows, left, leaves)| {
            let left = left.into_iter().collect();
            Happening::Leaves { by, knows, left, leaves }
        }),
        36 => passes.prop_map(|ms| Happening::Pass { ms }),
        1 => (0..2_000_u64).prop_map(|ms| Happening::Back { ms }),
        2 => Just(Happening::Flush),
        2 => Just(Happening::Restart),
        1 => (any::<bool>(), 1..3_u32).prop_map(|(before, members)| {
            Happening::OtherVersion { before, members }
        }),
    ]
}

#[test]
fn the_scripts_do_what_the_reference_does() {
    let server = RefCell::new(Scripted::start());
    let config = ProptestConfig { cases: 250, ..ProptestConfig::default() };
    let happenings = prop::collection::vec(happening(), 1..150);
    let outcome = TestRunner::new(config).run(&happenings, |happenings| {
        let mut server = server.borrow_mut();
        let mut both = Both::new(&mut server);
        for what in happenings {
            both.happens(what);
        }
        Ok(())
    });
    outcome.unwrap();
}

/// Of two replicas the first has taken all of three buckets, and says nothing more for so long. The other
/// one wants some of them then, and uses a part of another one.
fn silent(both: &mut Both<'_>, beats: u64) {
    let buckets = [0, 3, 4];
    for by in [0, 1] {
        both.happens(Happening::Beat { by, knows: Knows::None, told_all: false, others: vec![] });
    }
    both.happens(Happening::Alive { some: vec![0, 1], beats: 3 });
    let asks = buckets.map(|bucket| Said { taken: BUCKETS[bucket].1.into(), ..wants(bucket, 0) });
    both.happens(Happening::Step { by: 0, knows: Knows::Now, asks: asks.to_vec() });
    both.happens(Happening::Alive { some: vec![1], beats });
    both.happens(Happening::Pass { ms: 1 });
    let mut asks = buckets.map(|bucket| wants(bucket, 1)).to_vec();
    asks.push(Said { taken: 1, ..wants(2, 0) });
    both.happens(Happening::Step { by: 1, knows: Knows::Now, asks });
}

fn wants(bucket: usize, wants: u32) -> Said {
    Said {
        bucket,
        new_life: false,
        hears: true,
        taken: 0,
        returns: 0,
        wants: [wants, 0, 0],
        callers: 1,
        people: false,
        less: (1, 1),
        spacing: None,
    }
}

/// Chance hardly finds a clock that goes back to just before a bucket has expired.
#[test]
fn what_has_expired_is_not_there_again_when_the_clock_goes_back() {
    let mut server = Scripted::start();
    for beats in 1..8 {
        let mut both = Both::new(&mut server);
        for others in [vec![3], vec![]] {
            both.happens(Happening::Beat { by: 0, knows: Knows::Now, told_all: false, others });
        }
        let asks = vec![wants(1, 1)];
        both.happens(Happening::Step { by: 3, knows: Knows::Now, asks });
        both.happens(Happening::Pass { ms: 1_600 });
        both.happens(Happening::Alive { some: vec![0], beats });
        both.happens(Happening::Back { ms: 1 });
        let asks = vec![wants(1, 0)];
        both.happens(Happening::Step { by: 0, knows: Knows::Now, asks });
    }
}

/// Chance finds neither the last millisecond nor several buckets with slots of others than members.
#[test]
fn the_scripts_do_so_when_a_replica_is_forgotten() {
    let mut server = Scripted::start();
    // By a step, and by a beat long before it.
    for beats in [6, 30] {
        let mut both = Both::new(&mut server);
        silent(&mut both, beats);
        // Until the slots end, and until no bucket counts as hot any more for who was forgotten.
        let mut hot = std::collections::BTreeSet::new();
        for _ in 0..92 {
            for ms in [48, 1, 1] {
                both.happens(Happening::Pass { ms });
                let (knows, others) = (Knows::Now, Vec::new());
                both.happens(Happening::Beat { by: 1, knows, told_all: true, others });
                hot.insert(both.hot);
            }
        }
        let all = hot.iter().copied().collect::<Vec<_>>();
        assert!(all.len() > 3 && all[0] == 0, "one after the other is no longer hot: {all:?}");
    }
}

/// What the server has lost of a bucket is not told of, and of too many that are hot no more than tell
/// that.
#[test]
fn a_beat_tells_of_buckets_that_are_there_and_not_of_all() {
    const MANY: &str = "
        for at, kind in ipairs({'used:', 'kept:'}) do
          for i = 1, ARGV[at] do
            redis.call('ZADD', KEYS[at], 1e15 + i, kind .. i)
            if i > tonumber(ARGV[3]) then redis.call('HSET', KEYS[3] .. kind .. i, 'q', 1, 'p', 1) end
          end
        end
        redis.call('SET', 'fake:now', 1000)";
    let mut server = Scripted::start();
    let keys = [server.keys.used(SHARD), server.keys.orphans(SHARD), server.keys.buckets(SHARD)];
    for (used, kept, lost) in [(10_001, 0, 0), (0, 10_001, 0), (10_002, 10_002, 1)] {
        server.flush();
        let mut many = redis::cmd("EVAL");
        many.arg(MANY).arg(keys.len()).arg(&keys).arg(used).arg(kept).arg(lost);
        many.exec(&mut server.connection).unwrap();
        let said = script::Beat {
            name: "1.0",
            run: "1",
            epoch: None,
            new_epoch: Epoch(7),
            told_all: false,
            others: &[],
            ended: &[],
        };
        let given = Given::beat(&server.keys, SHARD, SAID, &said);
        let Value::Array(answer) = server.run(|it| &it.beat, &given) else { panic!("an answer") };
        let Value::Array(hot) = &answer[3] else { panic!("the hot buckets") };
        assert_eq!(hot.len(), 10_001);
        for (set, count) in keys.iter().zip([used, kept]) {
            let mut size = redis::cmd("ZCARD");
            let size: i32 = size.arg(set).query(&mut server.connection).unwrap();
            assert_eq!(size, count - lost, "what is lost is forgotten");
        }
    }
}

/// Chance hardly finds until when each bucket waits for a replica that is not heard after a loss, whether the
/// server was emptied or has older data.
#[test]
fn the_scripts_do_so_when_a_replica_is_not_heard_after_a_loss() {
    let mut server = Scripted::start();
    for lost in [Happening::Flush, Happening::Restart] {
        let mut both = Both::new(&mut server);
        silent(&mut both, 1);
        both.happens(lost);
        let (by, others) = (1, vec![0]);
        both.happens(Happening::Beat { by, knows: Knows::Now, told_all: false, others });
        for _ in 0..75 {
            for ms in [49, 1] {
                both.happens(Happening::Pass { ms });
                for (by, knows) in [(1, Knows::Now), (0, Knows::Before)] {
                    let asks = (0..BUCKETS.len()).map(|bucket| wants(bucket, 1)).collect();
                    both.happens(Happening::Step { by, knows, asks });
                }
                let others = Vec::new();
                both.happens(Happening::Beat { by, knows: Knows::Now, told_all: true, others });
            }
        }
    }
}

/// Chance hardly finds until when each bucket keeps to parts for replicas with another version.
#[test]
fn the_scripts_do_so_beside_another_version() {
    let mut server = Scripted::start();
    for before in [false, true] {
        let mut both = Both::new(&mut server);
        silent(&mut both, 1);
        both.happens(Happening::OtherVersion { before, members: 2 });
        let (mut apart, mut cold) = (0, 0);
        for _ in 0..80 {
            for ms in [49, 1] {
                both.happens(Happening::Pass { ms });
                let asks = (0..BUCKETS.len()).map(|bucket| wants(bucket, 1)).collect();
                both.happens(Happening::Step { by: 1, knows: Knows::Now, asks });
                let (knows, others) = (Knows::Now, Vec::new());
                both.happens(Happening::Beat { by: 1, knows, told_all: true, others });
                let Some(Message::Beat(beat)) = both.messages.last().cloned() else { continue };
                if let Beaten::Member { apart: now, cold: from, .. } = both.server.beat(&beat) {
                    (apart, cold) = (apart + now, cold + u32::from(from.is_some()));
                }
            }
        }
        assert!(apart > 0 && cold > 0, "it is noticed: {apart} {cold}");
    }
}
