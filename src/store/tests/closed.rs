//! The script of freezes against the reference of the scheduler's model, step for step.

use std::cell::RefCell;

use proptest::{prelude::*, sample::select, test_runner::TestRunner};
use redis::Value;
use scheduler::model::closed::{Closed, Is, Learnt, Notice, Push, Pushed, Standing, Tell, Told};

use super::{
    super::{
        keys::Keys,
        script::{Given, Script},
    },
    contract::Scripted,
};

#[derive(Clone, Debug)]
enum Happening {
    Tell {
        by: usize,
        knows: Knows,
        notices: Vec<Said>,
    },
    /// A message of before comes again.
    Again {
        back: usize,
    },
    Pass {
        ms: u64,
    },
    /// The server's clock is set back.
    Back {
        ms: u64,
    },
    Flush,
    Restart,
}

/// Which version is known.
#[derive(Clone, Copy, Debug)]
enum Knows {
    Now,
    Before,
    Nothing,
}

#[derive(Clone, Copy, Debug)]
enum Said {
    Closed { bucket: usize, left: u64 },
    Witnessed { above: usize, below: usize, left: u64 },
    Thawed { bucket: usize },
    Claimed { one: usize, other: usize },
    GivenUp { bucket: usize },
    Passed { bucket: usize },
    Learnt { bucket: usize, serial: Serial, is_news: bool, is_anew: bool, is_over: bool },
    Forgotten { bucket: usize },
}

/// From which record it goes on: from the one that was heard of last, or from another one.
#[derive(Clone, Copy, Debug)]
enum Serial {
    Known,
    Later(u64),
    Number(u64),
}

struct Both<'a> {
    server: &'a mut Scripted,
    closed: Closed,
    now: u64,
    number: u64,
    known: [(u64, u64); 3],
    /// The number of the last record of each bucket that anybody has heard of, and whether it is forgotten.
    serials: [(u64, bool); 4],
    messages: Vec<Tell>,
}

const BUCKETS: [&str; 4] =
    ["tier2:A1/T1/chat.update", "whole_workspace:A1/T1", "whole_app:A1", "odd:with space/and:@1"];
const KEPT: u64 = 10_000;
const STALE: u64 = 3_000;
const LONGEST: u64 = 5_000;

// === impl Both ===

impl<'a> Both<'a> {
    fn new(server: &'a mut Scripted) -> Self {
        Self {
            server,
            closed: Closed::default(),
            now: 1_000_000,
            number: 0,
            known: [(0, 0); 3],
            serials: [(0, true); 4],
            messages: Vec::new(),
        }
    }

    fn happens(&mut self, what: &Happening) {
        match what {
            Happening::Pass { ms } => self.now += ms,
            Happening::Back { ms } => self.now -= ms,
            Happening::Flush => {
                self.server.flush();
                self.closed.flush();
            }
            Happening::Restart => {
                self.server.process += 1;
                self.closed.restart();
            }
            Happening::Again { back } => {
                if let Some(at) = self.messages.len().checked_sub(back + 1) {
                    let message = self.messages[at].clone();
                    self.arrives(message);
                }
            }
            Happening::Tell { by, knows, notices } => {
                let known = match knows {
                    Knows::Now => self.known[*by],
                    Knows::Before => (self.known[*by].0, self.known[*by].1.saturating_sub(1)),
                    Knows::Nothing => (0, 0),
                };
                let notices = notices.iter().map(|it| self.said(*it)).collect();
                self.tells(*by, known, notices);
            }
        }
    }

    fn tells(&mut self, by: usize, (epoch, version): (u64, u64), notices: Vec<Notice>) {
        self.number += 1;
        self.arrives(Tell {
            name: u64::try_from(by).unwrap() + 1,
            number: self.number,
            epoch,
            version,
            new_epoch: 1_000_000 + self.number,
            notices,
        });
    }

    fn arrives(&mut self, tell: Tell) {
        self.server.lets_expire(self.now, false);
        let mut pushes = Vec::new();
        let expected = self.closed.tell(self.now, (STALE, LONGEST), tell.clone(), &mut pushes);
        // Another one's name is not told.
        let own = |prober: u64| if prober == tell.name { prober } else { 0 };
        let expected = expected.map(|told| Told {
            standings: told.standings.into_iter().map(|it| named(it, own)).collect(),
            all: told.all.map(|all| all.into_iter().map(|it| named(it, own)).collect()),
            ..told
        });
        let (mut told, said) = self.server.tell(&tell);
        if let Some(all) = told.as_mut().and_then(|told| told.all.as_mut()) {
            all.sort_unstable();
        }
        assert_eq!(told, expected, "{tell:?}");
        assert_eq!(said, pushes, "{tell:?}");
        if let Some(Told { epoch, version, learnt, .. }) = expected {
            for Learnt { bucket, serial, is } in learnt {
                if let Some(at) = BUCKETS.iter().position(|name| *name == bucket) {
                    self.serials[at] = (serial, is == Is::Gone);
                }
            }
            self.known[usize::try_from(tell.name - 1).unwrap()] = (epoch, version);
        }
        self.messages.push(tell);
    }

    fn said(&self, what: Said) -> Notice {
        let Said::Learnt { bucket, serial, is_news, is_anew, is_over } = what else {
            return said(what);
        };
        let serial = match serial {
            Serial::Known if self.serials[bucket].1 => 0,
            Serial::Known => self.serials[bucket].0,
            Serial::Later(more) => self.serials[bucket].0 + more,
            Serial::Number(serial) => serial,
        };
        let record = (!is_over).then(|| format!("1,{},{}", self.number, self.messages.len()));
        Notice::Learnt { bucket: BUCKETS[bucket].to_owned(), serial, is_news, is_anew, record }
    }
}

// === impl Scripted ===

impl Scripted {
    fn tell(&mut self, tell: &Tell) -> (Option<Told>, Vec<Push>) {
        let Tell { name, number, epoch, version, new_epoch, notices } = tell;
        let keys: &Keys = self.keys();
        let mut given = Given::plain(["v", "z", "w", "l"].map(|what| keys.of_all(what)));
        let channel = keys.channel_of_all();
        given.push([format!("{name:x}"), number.to_string()]);
        given.push([if *epoch == 0 { String::new() } else { epoch.to_string() }]);
        given.push([*version, *new_epoch, STALE, LONGEST, 10_000]);
        given.push([&self.process.to_string(), &channel]);
        for notice in notices {
            let words = match notice.clone() {
                Notice::Closed { bucket, left, kept } => {
                    vec!["closed".to_owned(), bucket, left.to_string(), kept.to_string()]
                }
                Notice::Witnessed { above, below, left, kept } => {
                    vec!["witnessed".to_owned(), above, below, left.to_string(), kept.to_string()]
                }
                Notice::Thawed { bucket, kept } => {
                    vec!["thawed".to_owned(), bucket, kept.to_string()]
                }
                Notice::Claimed(all) => {
                    [vec!["claimed".to_owned(), all.len().to_string()], all].concat()
                }
                Notice::GivenUp(bucket) => vec!["given_up".to_owned(), bucket],
                Notice::Passed(bucket) => vec!["passed".to_owned(), bucket],
                Notice::Learnt { bucket, serial, is_news, is_anew, record } => {
                    let record = record.unwrap_or_else(|| "-".to_owned());
                    let news = u8::from(is_news).to_string();
                    if is_anew {
                        vec!["knew".to_owned(), bucket, serial.to_string(), record]
                    } else {
                        vec!["learnt".to_owned(), bucket, serial.to_string(), news, record]
                    }
                }
                Notice::Forgotten(bucket) => vec!["forgot".to_owned(), bucket],
            };
            given.push(words);
        }
        let script: fn(&_) -> &Script = |scripts: &super::super::script::Scripts| &scripts.freeze;
        let answer = self.run(script, &given);
        let pushes = self.pushes().iter().map(|text| pushed(&channel, text)).collect();
        (told(*name, answer), pushes)
    }
}

fn said(said: Said) -> Notice {
    let name = |bucket: usize| BUCKETS[bucket].to_owned();
    match said {
        Said::Closed { bucket, left } => Notice::Closed { bucket: name(bucket), left, kept: KEPT },
        Said::Witnessed { above, below, left } => {
            Notice::Witnessed { above: name(above), below: name(below), left, kept: KEPT + 1 }
        }
        Said::Thawed { bucket } => Notice::Thawed { bucket: name(bucket), kept: KEPT + 2 },
        Said::Claimed { one, other } if one == other => Notice::Claimed(vec![name(one)]),
        Said::Claimed { one, other } => Notice::Claimed(vec![name(one), name(other)]),
        Said::GivenUp { bucket } => Notice::GivenUp(name(bucket)),
        Said::Passed { bucket } => Notice::Passed(name(bucket)),
        Said::Forgotten { bucket } | Said::Learnt { bucket, .. } => Notice::Forgotten(name(bucket)),
    }
}

fn named(standing: Standing, name: impl Fn(u64) -> u64) -> Standing {
    let shut = standing.shut.map(|(left, prober)| (left, prober.map(name)));
    Standing { shut, ..standing }
}

/// What a replica of that name makes of an answer. Another one's name is not told: it is 0.
fn told(own: u64, answer: Value) -> Option<Told> {
    let Value::Array(parts) = answer else { panic!("{answer:?}") };
    let [epoch, version, granted, standings, all, learnt, all_learnt] =
        <[Value; 7]>::try_from(parts).ok()?;
    let text = |value: &Value| redis::from_redis_value_ref::<String>(value).unwrap();
    let number = |value: &Value| redis::from_redis_value_ref::<i64>(value).unwrap();
    let list = |value: &Value| {
        let Value::Array(parts) = value else { panic!("{value:?}") };
        let all = parts.chunks(4).map(|parts| Standing {
            bucket: text(&parts[0]),
            version: number(&parts[1]).try_into().unwrap(),
            shut: u64::try_from(number(&parts[2])).ok().map(|left| {
                let prober = match number(&parts[3]) {
                    0 => None,
                    1 => Some(own),
                    _ => Some(0),
                };
                (left, prober)
            }),
        });
        all.collect::<Vec<_>>()
    };
    let lessons = |value: &Value| {
        let Value::Array(parts) = value else { panic!("{value:?}") };
        let all = parts.chunks(4).map(|parts| Learnt {
            bucket: text(&parts[0]),
            serial: number(&parts[1]).try_into().unwrap(),
            is: record(&text(&parts[3]), number(&parts[2])),
        });
        all.collect::<Vec<_>>()
    };
    let Value::Array(granted) = granted else { panic!("{granted:?}") };
    Some(Told {
        epoch: text(&epoch).parse().unwrap(),
        version: number(&version).try_into().unwrap(),
        granted: granted.iter().map(|it| number(it) == 1).collect(),
        standings: list(&standings),
        all: (all != Value::Nil).then(|| list(&all)),
        learnt: lessons(&learnt),
        all_learnt: (all_learnt != Value::Nil).then(|| lessons(&all_learnt)),
    })
}

fn record(text: &str, age: i64) -> Is {
    match text {
        "+" => Is::Kept,
        "-" => Is::Gone,
        "=" => Is::Same,
        text => Is::Record { text: text.to_owned(), age: age.try_into().unwrap() },
    }
}

fn pushed(channel: &str, text: &str) -> Push {
    let text = text.strip_prefix(channel).unwrap().trim_start();
    let words: Vec<_> = text.splitn(7, ' ').collect();
    let [kind, by, epoch, version, left, prober, bucket] = words[..] else { panic!("{text}") };
    let name = |text: &str| u64::from_str_radix(text, 16).ok();
    let (version, bucket) = (version.parse().unwrap(), bucket.to_owned());
    if kind == "learnt" {
        let is = record(prober, 0);
        let learnt = Learnt { bucket, serial: left.parse().unwrap(), is };
        let what = Pushed::Learnt(version, learnt);
        return Push { by: name(by).unwrap(), epoch: epoch.parse().unwrap(), what };
    }
    assert_eq!(kind, "closed");
    let left = left.parse::<i64>().unwrap();
    let shut = u64::try_from(left).ok().map(|left| (left, name(prober)));
    let standing = Standing { bucket, version, shut };
    let what = Pushed::Stands(standing);
    Push { by: name(by).unwrap(), epoch: epoch.parse().unwrap(), what }
}

fn notice() -> impl Strategy<Value = Said> {
    let bucket = || 0..BUCKETS.len();
    let left = || select(vec![1, 300, 1_500, 2_000, 60_000_u64]);
    let serial = prop_oneof![
        6 => Just(Serial::Known),
        2 => (0..3_u64).prop_map(Serial::Later),
        1 => (0..3_u64).prop_map(Serial::Number),
    ];
    prop_oneof![
        4 => (bucket(), left()).prop_map(|(bucket, left)| Said::Closed { bucket, left }),
        3 => (bucket(), bucket(), left())
            .prop_map(|(above, below, left)| Said::Witnessed { above, below, left }),
        2 => bucket().prop_map(|bucket| Said::Thawed { bucket }),
        6 => (bucket(), bucket()).prop_map(|(one, other)| Said::Claimed { one, other }),
        2 => bucket().prop_map(|bucket| Said::GivenUp { bucket }),
        2 => bucket().prop_map(|bucket| Said::Passed { bucket }),
        8 => (bucket(), serial, any::<bool>(), prop::bool::weighted(0.2), prop::bool::weighted(0.2))
            .prop_map(|(bucket, serial, is_news, is_anew, is_over)| Said::Learnt {
                bucket,
                serial,
                is_news,
                is_anew,
                is_over,
            }),
        1 => bucket().prop_map(|bucket| Said::Forgotten { bucket }),
    ]
}

fn happening() -> impl Strategy<Value = Happening> {
    let knows = prop_oneof![
        8 => Just(Knows::Now), 1 => Just(Knows::Before), 1 => Just(Knows::Nothing)
    ];
    let notices = prop::collection::vec(notice(), 0..4);
    let passes =
        select(vec![1, 100, 900, 1_000, 1_600, 3_001, 11_000, 40_000, 3_600_000, 80_000_000_u64]);
    prop_oneof![
        20 => (0..3_usize, knows, notices)
            .prop_map(|(by, knows, notices)| Happening::Tell { by, knows, notices }),
        10 => passes.prop_map(|ms| Happening::Pass { ms }),
        2 => (0..6_usize).prop_map(|back| Happening::Again { back }),
        1 => (0..2_000_u64).prop_map(|ms| Happening::Back { ms }),
        1 => Just(Happening::Flush),
        1 => Just(Happening::Restart),
    ]
}

#[test]
fn the_script_does_what_the_reference_does() {
    let server = RefCell::new(Scripted::start());
    let config = ProptestConfig { cases: 250, ..ProptestConfig::default() };
    let happenings = prop::collection::vec(happening(), 1..80);
    let outcome = TestRunner::new(config).run(&happenings, |happenings| {
        let mut server = server.borrow_mut();
        server.flush();
        let mut both = Both::new(&mut server);
        for what in &happenings {
            both.happens(what);
        }
        Ok(())
    });
    outcome.unwrap();
}

/// What is forgotten of too many lessons, and of those that nobody changes, the reference forgets, too.
///
/// Red when the server's memory grows with the number of buckets, or a record is kept for ever.
#[test]
fn the_script_keeps_so_many_lessons_and_so_long() {
    let mut server = Scripted::start();
    let mut both = Both::new(&mut server);
    let lesson = |bucket: String| Notice::Learnt {
        bucket,
        serial: 0,
        is_news: true,
        is_anew: false,
        record: Some("1,1".to_owned()),
    };
    for message in 0..17 {
        both.now += 1;
        let known = both.known[0];
        both.tells(0, known, (0..64).map(|n| lesson(format!("{message}:{n}"))).collect());
    }
    assert_eq!(both.closed.learnt(), 1024);
    both.tells(1, (0, 0), Vec::new());
    both.now += 86_400_000;
    let known = both.known[0];
    both.tells(0, known, vec![lesson("last".to_owned())]);
    both.now += 2 * 3_600_000;
    both.tells(1, (0, 0), Vec::new());
    assert_eq!(both.closed.learnt(), 1);
}
