//! Several schedulers that each have a part of every limit: what they send together never exceeds it,
//! in any window, and uses it.

use limits::{Limit, Rate, Rule, Split};

use super::*;
use crate::{Enqueued, Event, Learning, Permit, Policy, Scheduler};

/// Several replicas, and a server that counts.
struct Replicas {
    schedulers: Vec<Scheduler>,
    /// Calls in flight: when they are answered, by whom they were sent.
    flying: Vec<(Instant, usize, Permit)>,
    /// When each call was counted.
    counted: Vec<Instant>,
    way: Box<dyn FnMut() -> (Duration, Duration)>,
    sent: Vec<u32>,
}

/// What the wall clock says when the schedulers' time begins.
const WALL: Duration = Duration::from_secs(1_800_000_000);
const START: Instant = Instant::from_nanos(1 << 62);
const MARGIN: Duration = Split::MARGIN;

impl Replicas {
    /// So many, whose clocks are ahead by so much. Each call has a way of its own: how long it takes
    /// to be counted, and to be answered.
    fn new(ahead: &[Duration], way: impl FnMut() -> (Duration, Duration) + 'static) -> Self {
        let replicas = u32::try_from(ahead.len()).unwrap().try_into().unwrap();
        let bounds = Bounds { per_bucket: 1_000_000, total: 1_000_000 };
        let schedulers = ahead.iter().zip(0..).map(|(ahead, ordinal)| {
            let policy = Policy {
                bounds,
                background: limits::Share::default(),
                learning: Learning::default(),
            };
            let mut scheduler = Scheduler::new(policy);
            let split = Split::new(replicas, ordinal, MARGIN).unwrap();
            scheduler.split(START, split, WALL + *ahead);
            scheduler
        });
        Self {
            schedulers: schedulers.collect(),
            flying: Vec::new(),
            counted: Vec::new(),
            way: Box::new(way),
            sent: vec![0; ahead.len()],
        }
    }

    /// A call comes to one of them.
    fn arrive(&mut self, now: Instant, at: usize, bucket: &BucketKey, class: Class) {
        let call = Call { class, ..asks(bucket, Instant::FAR) };
        match self.schedulers[at].enqueue(now, &call) {
            Enqueued::Granted(permit) => self.send(now, at, permit),
            Enqueued::Held(_) => {}
            Enqueued::Refused(refusal) => panic!("{refusal:?}"),
        }
    }

    fn send(&mut self, now: Instant, at: usize, permit: Permit) {
        let (counted, answered) = (self.way)();
        self.counted.push(now + counted);
        self.flying.push((now + answered, at, permit));
        self.sent[at] += 1;
    }

    /// Lets time pass until then.
    fn pass(&mut self, mut now: Instant, until: Instant) {
        loop {
            let mut next = until;
            for at in 0..self.schedulers.len() {
                let mut events = Vec::new();
                let polled = self.schedulers[at].poll(now, &mut events);
                next = polled.map_or(next, |polled| next.min(polled));
                for event in events {
                    let Event::Granted { permit, .. } = event else { panic!("{event:?}") };
                    self.send(now, at, permit);
                }
            }
            let answers = self.flying.iter().map(|(at, ..)| *at);
            let next = answers.min().map_or(next, |answer| next.min(answer));
            if next >= until {
                return;
            }
            now = next.max(now);
            while let Some(at) = self.flying.iter().position(|(at, ..)| *at <= now) {
                let (_, replica, permit) = self.flying.swap_remove(at);
                self.schedulers[replica].settle(now, permit, Outcome::Answered);
            }
        }
    }

    /// Whether the server has counted no more than so many in any period.
    fn holds(&mut self, rate: Rate) -> Result<(), String> {
        self.counted.sort_unstable();
        let check = |most: u32, per: Duration| {
            let windows = self.counted.windows(most as usize + 1);
            let mut all = windows.map(|window| window[most as usize].since(window[0]));
            let short = all.find(|time| *time < per);
            short.map_or(Ok(()), |time| Err(format!("{} calls in {time:?}", most + 1)))
        };
        // The server's bucket of tokens, full at first.
        if let Some(bursts) = rate.tolerates {
            let pace = (rate.per / rate.limit.get()).as_secs_f64();
            let (mut tokens, mut last) = (f64::from(bursts.get()), START);
            for at in &self.counted {
                let gained = at.since(last).as_secs_f64() / pace;
                tokens = (tokens + gained).min(f64::from(bursts.get())) - 1.0;
                last = *at;
                if tokens < -1e-6 {
                    return Err(format!("{tokens} tokens at {at:?}"));
                }
            }
            return Ok(());
        }
        check(rate.limit.get(), rate.per)?;
        rate.burst_window().map_or(Ok(()), |(most, per)| check(most.get(), per))
    }
}

fn limit(rate: Rate) -> BucketKey {
    let age_from = if rate.tolerates.is_some() { AgeFrom::Send } else { AgeFrom::Answer };
    bucket(&of_rule(Rule::Rate(rate), age_from), "w")
}

fn of_rule(rule: Rule, age_from: AgeFrom) -> std::sync::Arc<Limit> {
    let limit = rate("l", 1, 1, age_from);
    std::sync::Arc::new(Limit { rule, ..Limit::clone(&limit) })
}

fn of(limit: u32, per: Duration) -> Rate {
    Rate { limit: limit.try_into().unwrap(), per, burst: None, tolerates: None }
}

fn at(millis: u64) -> Instant {
    START + Duration::from_millis(millis)
}

/// Any rate: plain, with a window for bursts, or one that tolerates them.
fn rates() -> impl Strategy<Value = Rate> {
    let plain = (1..9_u32, 300..4000_u64).prop_map(|(limit, per)| of(limit, millis(per)));
    (plain, 0..3_u8, 1..6_u32).prop_map(|(rate, kind, more)| {
        match kind {
            0 => rate,
            1 => Rate { burst: more.try_into().ok().filter(|burst| *burst < rate.limit), ..rate },
            // Calls may be counted closer than they were sent, but by less than one call.
            _ => Rate { tolerates: Some(rate.limit.saturating_add(more)), per: seconds(3), ..rate },
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Red with each of: turns that are a margin closer; one call per replica and as many periods
    /// where no burst is tolerated; a turn that is used twice, or after it; a slot more than the part;
    /// a window for bursts that is not split.
    #[test]
    fn what_replicas_send_together_is_within_the_limit(
        rate in rates(),
        ahead in proptest::collection::vec(0..100_u64, 1..7),
        ways in proptest::collection::vec((0..100_u64, 0..1500_u64), 16),
        arrivals in proptest::collection::vec((0..600_u64, 0..7_usize, 0..3_usize, 1..8_u32), 1..60),
    ) {
        let ahead: Vec<_> = ahead.into_iter().map(millis).collect();
        let mut ways = ways.into_iter().cycle();
        // Bursts are tolerated only where slots age from the send; then the way is all that moves them.
        let mut replicas = Replicas::new(&ahead, move || {
            let (counted, more) = ways.next().unwrap();
            (millis(counted), millis(counted + more))
        });
        let limit = limit(rate);
        let mut now = at(0);
        for (after, replica, class, calls) in arrivals {
            let next = now + millis(after);
            replicas.pass(now, next);
            now = next;
            for _ in 0..calls {
                replicas.arrive(now, replica % ahead.len(), &limit, Class::ALL[class]);
            }
        }
        replicas.pass(now, now + seconds(60));
        let holds = replicas.holds(rate);
        prop_assert!(holds.is_ok(), "{rate:?} {ahead:?}: {}", holds.unwrap_err());
    }
}

/// The first of three replicas.
fn first_of_three() -> Scheduler {
    let bounds = Bounds { per_bucket: 1_000_000, total: 1_000_000 };
    let mut scheduler = Scheduler::new(Policy {
        bounds,
        background: limits::Share::default(),
        learning: Learning::default(),
    });
    scheduler.split(START, Split::new(3.try_into().unwrap(), 0, MARGIN).unwrap(), WALL);
    scheduler
}

fn asks(bucket: &BucketKey, deadline: Instant) -> Call {
    Call {
        buckets: vec![bucket.clone()],
        class: Class::Normal,
        caller: Caller { id: crate::CallerId(1), weight: weight(1) },
        deadline,
        max_depth: None,
        place: None,
        again: Duration::ZERO,
    }
}

/// Red where only the name is another.
#[test]
fn a_renamed_bucket_has_the_part_of_its_new_name() {
    let limit = rate("tier", 20, 60_000, AgeFrom::Answer);
    let scope = limits::Scope::of(&[Dimension::Workspace]);
    let mut parts = std::collections::BTreeSet::new();
    for it in 0..10 {
        let mut scheduler = first_of_three();
        let (from, to) = (format!("a{it}"), format!("b{it}"));
        let enqueued = scheduler.enqueue(START, &asks(&bucket(&limit, &from), Instant::FAR));
        assert!(matches!(enqueued, Enqueued::Granted(_)));
        scheduler.rename(START, scope, &from, &to);
        let renamed = scheduler.buckets(START).next().unwrap();
        let mut fresh = first_of_three();
        let _ = fresh.enqueue(START, &asks(&bucket(&limit, &to), Instant::FAR));
        let fresh = fresh.buckets(START).next().unwrap();
        assert_eq!((renamed.used, renamed.quota), (1, fresh.quota));
        parts.insert(fresh.quota);
    }
    assert_eq!(Vec::from_iter(parts), [6, 7]);
}

/// Red where a bucket between two turns remembers them; where a turn that was used is forgotten.
#[test]
fn a_bucket_is_forgotten_when_its_turn_does_not_matter() {
    let limit = limit(of(1, seconds(60)));
    let mut scheduler = first_of_three();
    let turn = match scheduler.enqueue(START, &asks(&limit, START)) {
        Enqueued::Refused(refusal) => refusal.retry_at,
        other => panic!("{other:?}"),
    };
    let mut events = Vec::new();
    scheduler.poll(START, &mut events);
    assert_eq!(scheduler.buckets(START).count(), 0);
    let cycle = (seconds(63) + MARGIN) * 3;
    let Enqueued::Granted(permit) = scheduler.enqueue(turn, &asks(&limit, turn)) else { panic!() };
    scheduler.settle(turn + millis(100), permit, Outcome::Answered);
    match scheduler.enqueue(turn + seconds(1), &asks(&limit, turn)) {
        Enqueued::Refused(refusal) => {
            let late = refusal.retry_at.since(turn + cycle);
            assert!(late < millis(1) && refusal.retry_at >= turn + cycle, "{late:?}");
        }
        other => panic!("{other:?}"),
    }
    scheduler.poll(turn + cycle * 2, &mut events);
    assert_eq!(scheduler.buckets(turn + cycle * 2).count(), 0);
}

/// Red where who waits is not looked at again.
#[test]
fn a_clock_that_is_set_moves_the_turns_of_those_who_wait() {
    let limit = limit(of(1, seconds(60)));
    let mut scheduler = first_of_three();
    assert!(matches!(scheduler.enqueue(START, &asks(&limit, Instant::FAR)), Enqueued::Held(_)));
    let mut events = Vec::new();
    let turn = scheduler.poll(START, &mut events).unwrap();
    assert!(turn > at(20_000), "the test needs another name");
    let split = Split::new(3.try_into().unwrap(), 0, MARGIN).unwrap();
    scheduler.split(START, split, WALL + seconds(10));
    let moved = scheduler.poll(START, &mut events).unwrap();
    assert_eq!(moved, turn.minus(10_000_000_000));
    scheduler.poll(moved, &mut events);
    assert!(matches!(events[..], [Event::Granted { .. }]));
}
