//! The whole proxy under a seed: virtual time, a network and a disk in memory, and a Slack that limits. The
//! seed draws the clients and their calls, what goes wrong at Slack, on the way to it and on the disk, what
//! operators do meanwhile, new configurations, and when the proxy is killed and started again. Whatever it
//! draws: Slack refuses nothing, also after a restart; each call is answered once or its client knows that it
//! was not, nothing that changes something is done twice, posts keep their order, what calls hold stays within
//! its account, and nothing is left in memory.
//!
//! ```text
//! cargo test --release --test it simulation                                      a hundred seeds
//! SLACKWATER_SEEDS=0..20000 cargo test --release --test it simulation            a night's worth
//! SLACKWATER_SEEDS=4711 cargo test --release --test it simulation -- --nocapture     one, again
//! ```

#![expect(
    clippy::disallowed_methods,
    reason = "the seeds are asked for by a variable, and the network of a test has no owner"
)]

mod disk;
mod journal;
mod memory;
mod plan;
mod site;

use std::{
    env, io,
    ops::Range,
    panic::catch_unwind,
    sync::{Arc, Mutex},
    thread,
};

use fake_slack::FakeSlack;
use slackwater::pauses::Target;
use tokio::{runtime, task::JoinSet, time::Instant};

use self::{
    disk::MemoryDisk,
    journal::{End, Ended, Journal, text},
    memory::Account,
    plan::{Event, Plan},
    site::Site,
};
use crate::{
    harness::{Wire, ms, pipe, secs, slack},
    mix::SplitMix,
};

/// The seeds of each run of all tests.
const ALWAYS: Range<u64> = 0..100;

/// Whatever the seed draws.
#[test]
fn whatever_happens_each_call_ends_once_and_no_limit_is_exceeded() {
    let seeds = env::var("SLACKWATER_SEEDS").map_or(ALWAYS, |text| seeds(&text));
    let next = Mutex::new(seeds);
    let play = || {
        while let Some(seed) = { next.lock().unwrap().next() } {
            let (wrong, _) =
                catch_unwind(|| run(seed)).unwrap_or_else(|_| panic!("{}", again(seed)));
            assert!(wrong.is_empty(), "{}\n{}", again(seed), wrong.join("\n"));
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().unwrap().get() {
            scope.spawn(play);
        }
    });
}

fn again(seed: u64) -> String {
    format!("seed {seed}: play it again with SLACKWATER_SEEDS={seed}")
}

/// A seed that fails would be of no use if it did not fail again.
#[test]
fn a_seed_plays_the_same_run_each_time() {
    for seed in 0..5 {
        let (_, first) = run(seed);
        let (_, again) = run(seed);
        assert_eq!(first, again, "seed {seed}");
    }
}

/// `7`, or `0..1000`.
fn seeds(text: &str) -> Range<u64> {
    let (first, end) = text.split_once("..").unwrap_or((text, ""));
    let first = first.parse().unwrap();
    first..if end.is_empty() { first + 1 } else { end.parse().unwrap() }
}

/// What is wrong with a run, and what came of each call.
fn run(seed: u64) -> (Vec<String>, String) {
    let runtime = runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.unwrap().block_on(play(seed))
}

async fn play(seed: u64) -> (Vec<String>, String) {
    let fake = slack(|options| *options = Plan::of(seed, options.clone()).slack);
    let plan = Plan::of(seed, fake.options().clone());
    let disk = plan.disk.clone().map(|(latency, full)| (MemoryDisk::new(full), latency));
    let (disk, latency) = disk.unzip();
    let of_disk = (latency.unwrap_or_default(), !plan.ends.is_empty());
    let site = Site::start(&plan.config, line(seed, &plan, &fake), disk, of_disk, seed);
    let start = Instant::now();
    let bots: Vec<_> = plan.callers.iter().map(|caller| site.bot(caller.h2)).collect();
    let mut account = Account::new(plan.bounds);
    let mut open = JoinSet::new();
    let mut events = plan.events.clone();
    events.extend(plan.ends.iter().map(|&(at, how, away)| (at, Event::Ends(how, away))));
    events.sort_by_key(|(at, _)| *at);
    let mut events = events.into_iter().peekable();
    let mut later = JoinSet::new();
    for (nth, call) in plan.calls.iter().enumerate() {
        while let Some((at, event)) = events.next_if(|(at, _)| *at <= call.at) {
            tokio::time::sleep_until(start + at).await;
            befalls(&site, event, &mut later);
        }
        // Calls of one moment arrive in their order.
        tokio::time::sleep_until(start + call.at).await;
        tokio::time::sleep(ms(1)).await;
        account.look(&site).await;
        let caller = &plan.callers[call.caller];
        let mut form = format!("text={}&user=U1&timestamp=1.1&name=x", text(nth));
        form +=
            &call.channel.map_or_else(|| "&channel=C9".to_owned(), |n| format!("&channel=C{n}"));
        form += "&padding=";
        form += &"x".repeat(call.padding);
        let ask = bots[call.caller].call(call.method).lane(&caller.lane).form(&form);
        let ask = ask.header("authorization", &format!("Bearer {}", caller.token));
        let (at, hangs_up) = (Instant::now(), call.hangs_up);
        let here = account.comes(form.len());
        open.spawn(async move {
            let end = async { ask.try_send().await.map_or(End::Broke, End::Answered) };
            let end = match hangs_up {
                Some(after) => tokio::time::timeout(after, end).await.unwrap_or(End::HungUp),
                None => end.await,
            };
            drop(here);
            (nth, at, Instant::now(), end)
        });
    }
    let mut ends = open.join_all().await;
    ends.sort_by_key(|(nth, ..)| *nth);
    let since = |at: Instant| at.duration_since(start);
    let ends = ends.into_iter();
    let ends = ends.map(|(_, at, until, end)| Ended { at: since(at), until: since(until), end });
    let ends = ends.collect();
    while later.join_next().await.is_some() {}
    let journal = Journal { plan: &plan, site: &site, ends };
    let mut wrong = journal.faults(&fake);
    wrong.extend(site.wrong());
    site.rests();
    // The longest period, and what is remembered of refusals.
    tokio::time::sleep(secs(3 * 60 * 60)).await;
    account.look(&site).await;
    wrong.extend(account.wrong());
    let proxy = site.proxy().unwrap();
    let status = proxy.status();
    if proxy.admission.held() > 0 || status.places > 0 || proxy.memory.held() != (0, 0) {
        let (held, places, memory) = (proxy.admission.held(), status.places, proxy.memory.held());
        wrong.push(format!("{held} held, {places} places, {memory:?} in memory"));
    }
    wrong.extend(
        status.buckets.iter().filter(|it| it.learnt.is_none()).map(|it| format!("left: {it:?}")),
    );
    proxy.stop().await;
    (wrong, journal.digest())
}

fn befalls(site: &Site, event: Event, later: &mut JoinSet<()>) {
    let proxy = site.proxy();
    match (event, proxy) {
        (Event::Ends(how, away), _) => {
            let site = site.clone();
            later.spawn(async move { site.ends(how, away).await });
        }
        (Event::Reload(file), _) => site.reload(&file),
        (Event::Mistake, Some(proxy)) => assert!(proxy.reload("queue: { max_dept: 1 }").is_err()),
        (Event::Pause(kind, name, time), Some(proxy)) => {
            let target = Target::of(kind, &name).unwrap();
            proxy.admission.pause(&target, 0, false).unwrap();
            let site = site.clone();
            later.spawn(async move {
                tokio::time::sleep(time).await;
                // A pause outlives the process.
                while site.proxy().is_none() {
                    tokio::time::sleep(secs(1)).await;
                }
                if let Some(proxy) = site.proxy() {
                    proxy.admission.resume(&target);
                }
            });
        }
        (Event::Mistake | Event::Pause(..), None) => {}
    }
}

/// The way to Slack, with its outages and breaks.
fn line(seed: u64, plan: &Plan, fake: &FakeSlack) -> Wire {
    let chance = Arc::new(Mutex::new(SplitMix(!seed)));
    let (fake, outages, breaks) = (fake.clone(), plan.outages.clone(), plan.breaks);
    let start = Instant::now();
    Wire::new(move |_| {
        let now = Instant::now().duration_since(start);
        if outages.iter().any(|(at, time)| (*at..*at + *time).contains(&now)) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let mut chance = chance.lock().unwrap();
        if chance.next() % 100 >= breaks {
            return Ok(fake.connect());
        }
        let (near, mut far) = pipe();
        let (mut slack, time) = (fake.connect(), ms(chance.next() % 30_000));
        tokio::spawn(async move {
            let both = tokio::io::copy_bidirectional(&mut far, &mut slack);
            let _ = tokio::time::timeout(time, both).await;
        });
        Ok(near)
    })
}
