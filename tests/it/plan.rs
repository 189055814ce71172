//! What `slackwater plan` says is what happens: the same loop through the whole path.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use clap::Parser as _;
use fake_slack::{FakeSlack, Latency};
use serde_json::Value;
use slackwater::cli::Cli;
use tokio::task::JoinSet;

use crate::harness::{Proxy, ms, slack};

/// So many calls are under way at once, as the plan assumes.
const AT_ONCE: u64 = 4;

fn plan(words: &[&str]) -> Value {
    let mut out = Vec::new();
    let words = ["slackwater", "plan", "--json"].iter().chain(words);
    Cli::try_parse_from(words).unwrap().run(&mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

/// A Slack whose answers take so many milliseconds.
fn far(trip: u64) -> FakeSlack {
    slack(|options| options.latency = Latency::always(ms(trip)))
}

/// The loop of a bot's author, through the proxy: few calls at once until all are made. How long it
/// takes, in seconds.
async fn run(
    fake: &FakeSlack,
    method: &'static str,
    count: u64,
    class: &str,
    channels: u64,
) -> f64 {
    let proxy = Proxy::start(fake);
    let (bot, next) = (proxy.bot(), Arc::new(AtomicU64::new(0)));
    let mut workers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (bot, next) = (bot.clone(), Arc::clone(&next));
        let lane = format!("loop;class={class};max-wait=1h");
        workers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return;
                }
                let form = format!("channel=C{}&text=it", number % channels);
                let answer = bot.call(method).form(&form).lane(&lane).send().await;
                assert_eq!(answer.status, 200, "{answer:?}");
            }
        });
    }
    workers.join_all().await;
    proxy.now().as_secs_f64()
}

/// Red where the plan keeps other shares, periods or orders than the proxy, or does not wait for
/// answers.
#[tokio::test(start_paused = true)]
async fn a_plan_says_how_long_the_loop_takes() {
    for (method, count, class, channels, trip) in [
        ("conversations.close", 50, "background", 50, 200),
        ("conversations.close", 70, "normal", 70, 200),
        ("users.info", 350, "normal", 350, 200),
        ("users.info", 200, "background", 200, 200),
        ("chat.postMessage", 40, "normal", 2, 200),
        ("chat.postMessage", 400, "normal", 400, 200),
        // A post waits for the answer to the one before it, longer than for its limit.
        ("chat.postMessage", 20, "normal", 1, 2000),
        ("bookmarks.add", 60, "interactive", 60, 200),
    ] {
        let fake = far(trip);
        let took = run(&fake, method, count, class, channels).await;
        assert_eq!(fake.totals().refused, 0);
        let (count, channels) = (count.to_string(), channels.to_string());
        let trip = format!("{trip}ms");
        let plan = plan(&[
            "--method",
            method,
            "--count",
            &count,
            "--class",
            class,
            "--channels",
            &channels,
            "--round-trip",
            &trip,
        ]);
        let said = plan["done"]["seconds"].as_f64().unwrap();
        println!("{method} {count} {class}: {took:.2} s, and the plan says {said:.2} s");
        assert!(
            (took - said).abs() <= 0.02 * said + 0.1,
            "{method} {class}: {took} s, not {said} s"
        );
    }
}
