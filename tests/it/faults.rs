//! Everything that can go wrong at Slack: the caller hears of it or does not, it costs one slot
//! at most, and nobody beside is hurt.

use std::{num::NonZeroU32, time::Duration};

use fake_slack::{Fault, Latency};

use crate::harness::{Answer, Proxy, all, assert_near, ms, secs, slack};

/// What the caller of a method that reads is told, and when.
fn expected(fault: Fault) -> (u16, Option<&'static str>, Duration) {
    match fault {
        // These are sent once more, as after a reset.
        Fault::Status500 | Fault::Status502 => (200, None, ms(520)),
        Fault::Hang => (504, Some("upstream_timeout"), secs(60)),
        Fault::Status503 | Fault::TooManyWithoutBody | Fault::RateLimitedOk => {
            (200, None, ms(1_020))
        }
        Fault::TooManyWithoutHeader => (200, None, ms(30_020)),
        Fault::ResetEarly | Fault::Reset | Fault::Gzip | Fault::Chunked => (200, None, ms(10)),
        Fault::Slow => (200, None, ms(2_010)),
    }
}

/// Turned red by: a fault that is retried when it should not be, or that costs its neighbours.
#[tokio::test(start_paused = true)]
async fn each_costs_one_slot_at_most_and_hurts_nobody_beside() {
    for fault in Fault::ALL {
        let fake = slack(|options| options.latency = Latency::always(ms(10)));
        let proxy = Proxy::start(&fake);
        let bot = proxy.bot();
        assert!(fake.fault("users.info", fault, NonZeroU32::MIN));
        let ask =
            || bot.call("users.info").header("accept-encoding", "gzip").form("user=U1").patient();
        let beside = |n| bot.call("auth.test").patient().after(ms(n));
        let answers = all([ask(), beside(0), beside(20), beside(500)]).await;
        for answer in &answers[1..] {
            assert!(answer.is_ok() && answer.took <= ms(515), "{fault}: {answer:?}");
        }
        let (status, error, took) = expected(fault);
        let answer = &answers[0];
        assert_eq!(answer.status, status, "{fault}: {answer:?}");
        if let Some(error) = error {
            assert_eq!(answer.json()["error"], error, "{fault}");
        } else if status == 200 && fault != Fault::Gzip {
            assert!(answer.is_ok(), "{fault}: {answer:?}");
        }
        if fault == Fault::ResetEarly || fault == Fault::Reset {
            assert!(answer.took <= ms(22), "{fault}: {:?}", answer.took);
        } else {
            assert_near(answer.took, took);
        }

        // A hundred a minute: one for the fault, one for the call, and these.
        let more = all((0..98).map(|_| ask())).await;
        assert!(more.iter().all(Answer::is_ok), "{fault}");
        assert!(more.iter().all(|answer| answer.took <= ms(200)), "{fault}: one slot at most");
        let ledger = fake.ledger();
        assert_eq!(ledger.violations, [], "{fault}");
        let faults: Vec<_> = ledger.calls.iter().filter_map(|call| call.fault).collect();
        assert_eq!(faults, [fault.as_str()], "the ledger names it");
    }
}

/// A post is sent again only when it is certain that nothing was done.
#[tokio::test(start_paused = true)]
async fn a_post_is_never_done_twice() {
    for fault in Fault::ALL {
        let fake = slack(|options| options.latency = Latency::always(ms(10)));
        let proxy = Proxy::start(&fake);
        let bot = proxy.bot();
        assert!(fake.fault("chat.postMessage", fault, NonZeroU32::MIN));
        let ask = bot.post("C1", "once").header("accept-encoding", "gzip");
        ask.patient().send().await;
        let done = fake.ledger().calls.iter().filter(|call| call.order.is_some()).count();
        assert_eq!(done, usize::from(fault != Fault::ResetEarly), "{fault}");
        assert!(bot.post("C1", "next").patient().send().await.is_ok(), "{fault}");
        assert_eq!(fake.ledger().violations, [], "{fault}");
    }
}

/// Faults by chance, many at a time: every call is answered once, and Slack's limits hold.
#[tokio::test(start_paused = true)]
async fn a_flood_with_faults_breaks_no_limit() {
    let rules = [
        "reset=0.03",
        "hang=0.01",
        "503=0.05",
        "429-no-body=0.03",
        "200-ratelimited=0.03",
        "slow=0.05",
        "chunked=0.1",
    ];
    let fake = slack(|options| {
        options.latency = "5ms..40ms".parse().unwrap();
        options.faults = rules.map(|rule| rule.parse().unwrap()).to_vec();
    });
    // A server that refuses at random teaches a slow pace, at which a flood is not done in time.
    let proxy = Proxy::configured("adaptive: { down: false }", &fake);
    let bot = proxy.bot();
    let answers =
        all((0..400).map(|n| bot.call("users.info").form(&format!("user=U{n}")).patient())).await;
    let done = answers.iter().filter(|answer| answer.is_ok()).count();
    let failed = answers.iter().filter(|answer| matches!(answer.status, 502 | 504)).count();
    assert_eq!(done + failed, 400);
    let totals = fake.totals();
    assert!(totals.faulted > 20, "{totals:?}");
    assert_eq!(totals.ok, done as u64, "what was done was answered, once");
    assert_eq!(fake.ledger().violations, []);
}
