//! Which connection a call goes on.

use super::*;
use crate::harness::Answer;

/// Answers a click at once, and everything else after so long.
fn takes(long: std::time::Duration) -> Scripted {
    Scripted::new(move |seen| async move {
        if !seen.path.ends_with("views.open") {
            tokio::time::sleep(long).await;
        }
        json(200, r#"{"ok":true}"#)
    })
}

/// Red when nobody is told of a connection that is free, and when what was begun meanwhile is for nothing.
#[tokio::test(start_paused = true)]
async fn a_call_takes_a_connection_that_comes_free_before_its_own_is_made() {
    let authority = Authority::named("Ours");
    let upstream = takes(secs(1));
    let (config, dials) = (authority.server("slack.com", &[]), Arc::new(AtomicUsize::new(0)));
    let (server, count) = (upstream.clone(), Arc::clone(&dials));
    let wire = Wire::new(move |_| {
        let slow = count.fetch_add(1, Ordering::Relaxed) > 0;
        let (client, io) = pipe();
        let (upstream, config) = (server.clone(), Arc::clone(&config));
        server.spawn(async move {
            if slow {
                tokio::time::sleep(secs(3)).await;
            }
            upstream.serve_tls(io, config).await;
        });
        Ok(client)
    });
    let proxy = Proxy::on(&Machine::trusting(&authority), OWN_CA, wire);
    let bot = proxy.bot();
    assert!(bot.call("auth.test").send().await.is_ok());
    let first = bot.call("pins.list").patient().send();
    let second = async {
        tokio::time::sleep(ms(500)).await;
        bot.call("views.open").patient().send().await
    };
    let (first, second) = tokio::join!(first, second);
    assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
    assert_near(second.took, ms(500));
    assert_eq!(dials.load(Ordering::Relaxed), 2);
    // The other one is there for the next two.
    proxy.until(secs(10)).await;
    let answers = all((0..2).map(|_| bot.call("pins.list").patient())).await;
    assert!(answers.iter().all(|answer| answer.is_ok() && answer.took < secs(2)), "{answers:?}");
    assert_eq!(dials.load(Ordering::Relaxed), 2);
}

/// Red when connections age together.
#[tokio::test(start_paused = true)]
async fn each_connection_ages_by_itself() {
    let authority = Authority::named("Ours");
    let upstream = takes(secs(1));
    let (wire, dials) = tls(&upstream, &authority.server("slack.com", &[]));
    let proxy = Proxy::on(&Machine::trusting(&authority), OWN_CA, wire);
    let bot = proxy.bot();
    for (at, calls, dialled) in
        [(0, 1, 1), (40, 1, 1), (80, 2, 2), (120, 2, 2), (160, 2, 2), (200, 2, 2), (240, 2, 2)]
            .into_iter()
            .chain([(280, 2, 2), (320, 2, 3), (360, 2, 3), (400, 2, 4)])
    {
        proxy.until(secs(at)).await;
        let answers = all((0..calls).map(|_| bot.call("pins.list").patient())).await;
        assert!(answers.iter().all(Answer::is_ok), "{answers:?}");
        assert_eq!(dials.load(Ordering::Relaxed), dialled, "at {at} s");
    }
}

/// Red when what is idle ends only when somebody calls.
#[tokio::test(start_paused = true)]
async fn an_idle_connection_ends_without_a_further_call() {
    let authority = Authority::named("Ours");
    for file in [OWN_CA, HTTP2] {
        let (upstream, config) = (takes(secs(1)), authority.server("slack.com", BOTH));
        let open = Arc::new(AtomicUsize::new(0));
        let (server, count) = (upstream.clone(), Arc::clone(&open));
        let wire = Wire::new(move |_| {
            let (client, io) = pipe();
            let (upstream, config) = (server.clone(), Arc::clone(&config));
            let open = Arc::clone(&count);
            open.fetch_add(1, Ordering::Relaxed);
            server.spawn(async move {
                upstream.serve_tls(io, config).await;
                open.fetch_sub(1, Ordering::Relaxed);
            });
            Ok(client)
        });
        let proxy = Proxy::on(&Machine::trusting(&authority), file, wire);
        let bot = proxy.bot();
        let answers = all((0..3).map(|_| bot.call("pins.list").patient())).await;
        assert!(answers.iter().all(Answer::is_ok), "{answers:?}");
        for (at, few, many) in [(45, 1, 3), (60, 0, 0)] {
            proxy.until(secs(at)).await;
            let open = open.load(Ordering::Relaxed);
            assert!((few..=many).contains(&open), "{file} at {at} s: {open}");
        }
    }
}
