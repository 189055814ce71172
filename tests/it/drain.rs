//! The proxy ends while calls wait and calls are in flight.

use fake_slack::Latency;

use crate::harness::{Proxy, secs, settled, slack};

/// One call a minute.
const RARE: &str = "admin.apps.uninstall";

/// Whoever waits is told to come back, whoever is in flight has its answer, and a call that
/// need not wait still goes, since its bot may have no other proxy yet.
///
/// Turned red by: connections that are cut at the end; held calls that are left waiting.
#[tokio::test(start_paused = true)]
async fn held_calls_are_shed_and_calls_in_flight_finish() {
    for h2 in [false, true] {
        let fake = slack(|options| options.latency = Latency::always(secs(3)));
        let proxy = Proxy::start(&fake);
        let bot = if h2 { proxy.bot_h2() } else { proxy.bot() };
        let mut in_flight = bot.call(RARE).held();
        settled().await;
        let mut held = bot.call(RARE).patient().held();
        settled().await;
        assert_eq!(proxy.admission.held(), 1);

        proxy.admission.close();
        let answer = held.join_next().await.unwrap().unwrap();
        assert_eq!((answer.shed().0, answer.shed().1), (1, "draining"));
        assert_eq!(proxy.admission.held(), 0);
        let answer = bot.call(RARE).patient().send().await;
        assert_eq!(answer.shed().1, "draining");
        let mut new = bot.call("auth.test").held();
        settled().await;

        let (stopped, answer, new) =
            tokio::join!(proxy.stop(), in_flight.join_next(), new.join_next());
        let () = stopped;
        assert!(answer.unwrap().unwrap().is_ok());
        assert!(new.unwrap().unwrap().is_ok());
        assert!(proxy.now() < secs(4), "{:?}", proxy.now());
        assert_eq!(fake.totals().ok, 2);
    }
}

/// An exchange whose caller is gone is waited for as well.
#[tokio::test(start_paused = true)]
async fn an_exchange_that_nobody_waits_for_is_seen_through() {
    for h2 in [false, true] {
        let fake = slack(|options| options.latency = Latency::always(secs(3)));
        let proxy = Proxy::start(&fake);
        let bot = if h2 { proxy.bot_h2() } else { proxy.bot() };
        assert!(bot.call(RARE).hang_up_after(secs(1)).await.is_none());
        settled().await;
        assert_eq!(proxy.exchanges.len(), usize::from(h2), "else its connection waits for it");
        proxy.stop().await;
        assert!((secs(3)..secs(4)).contains(&proxy.now()), "{:?}", proxy.now());
        assert_eq!(proxy.exchanges.len(), 0);
    }
}
