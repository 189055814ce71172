//! Jobs through Slack's Node SDK: it pauses its whole client at a 429, and hands a refusal with status 200 to
//! its program, which has lost the call.

use std::sync::{Arc, Mutex};

use slackwater::pauses::Target;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::harness::{Ask, Bot, Proxy, Scripted, assert_near, fake, json, ms, secs, settled};

const NODE: &str = "@slack:web-api/8.2.0 node/22.11.0 linux/6.1";
const NODE_7: &str = "@slack:web-api/7.19.0 node/20.20.2";
const LIST: &str = "conversations.list";
/// One call a minute.
const RARE: &str = "admin.apps.uninstall";

/// A client of the SDK, with its defaults: what `makeRequest` of
/// <https://github.com/slackapi/node-slack-sdk/blob/main/packages/web-api/src/WebClient.ts> does.
struct Sdk {
    bot: Bot,
    agent: &'static str,
    lane: Option<&'static str>,
    /// Its `maxRequestConcurrency`. Whoever waits goes in turn.
    slots: Semaphore,
    paused: watch::Sender<bool>,
    /// Of all pauses, how long each was.
    pauses: Mutex<Vec<u64>>,
    /// Calls that have been retried so often.
    retries: Mutex<Vec<u32>>,
}

impl Sdk {
    fn new(proxy: &Proxy, agent: &'static str, lane: Option<&'static str>) -> Self {
        Self {
            bot: proxy.bot(),
            agent,
            lane,
            slots: Semaphore::new(100),
            paused: watch::channel(false).0,
            pauses: Mutex::default(),
            retries: Mutex::default(),
        }
    }

    fn ask(&self, method: &str, nth: usize) -> Ask {
        let ask = self.bot.call(method).header("user-agent", self.agent);
        let ask = ask.form(&format!("limit={nth}"));
        let ask = if self.agent == NODE { ask.header("sec-fetch-mode", "cors") } else { ask };
        match self.lane {
            Some(lane) => ask.lane(lane),
            None => ask,
        }
    }

    /// Whether the call comes through.
    async fn call(&self, method: &str, nth: usize) -> bool {
        // Of p-retry: from 1.5 s on, on average, and twice as long each time.
        let mut backoff = secs(1) + ms(500);
        for retry in 0..=10 {
            let slot = self.slots.acquire().await.unwrap();
            self.paused.subscribe().wait_for(|paused| !paused).await.unwrap();
            let answer = self.ask(method, nth).send();
            // It is fetch's.
            let patience = if self.agent == NODE { secs(300) } else { secs(100_000) };
            let answer = timeout(patience, answer).await.unwrap();
            if answer.status != 429 {
                self.retries.lock().unwrap().push(retry);
                return answer.is_ok();
            }
            let pause = answer.header("retry-after").parse().unwrap();
            self.pauses.lock().unwrap().push(pause);
            self.paused.send_replace(true);
            sleep(secs(pause)).await;
            self.paused.send_replace(false);
            drop(slot);
            sleep(backoff).await;
            backoff = backoff.mul_f64(1.968_21);
        }
        false
    }
}

/// `Promise.all` of so many calls: how many come through.
async fn all_of(sdk: &Arc<Sdk>, method: &'static str, calls: usize) -> usize {
    let mut sending = JoinSet::new();
    for nth in 0..calls {
        let sdk = Arc::clone(sdk);
        sending.spawn(async move { sdk.call(method, nth).await });
    }
    sending.join_all().await.into_iter().filter(|ok| *ok).count()
}

/// 100 calls in flight take 5 min at 20 a minute, and more in a background lane, which has three quarters of
/// a window; fetch gives up after 5 min.
///
/// Turned red by: status 200 for those that are shed; a 429 that is told at once, and so a long pause; a
/// place that is not taken before its turn.
#[tokio::test(start_paused = true)]
async fn every_call_of_a_flood_comes_through() {
    let job = Some("job;class=background");
    for (agent, lane, minutes, is_shed) in
        [(NODE, None, 14, true), (NODE, job, 20, true), (NODE_7, job, 20, false)]
    {
        let fake = fake();
        let proxy = Proxy::start(&fake);
        let sdk = Arc::new(Sdk::new(&proxy, agent, lane));
        assert_eq!(all_of(&sdk, LIST, 300).await, 300, "{agent} {lane:?}");
        let took = proxy.now();
        assert!(took < secs(60 * minutes + 60), "{agent} {lane:?}: {took:?}");
        let ledger = fake.ledger();
        assert_eq!((ledger.totals.ok, ledger.violations.len()), (300, 0));
        let (pauses, retries) = (sdk.pauses.lock().unwrap(), sdk.retries.lock().unwrap());
        assert_eq!(pauses.is_empty(), !is_shed, "{agent} {lane:?}: {pauses:?}");
        assert!(pauses.iter().all(|pause| *pause == 1), "{agent} {lane:?}: {pauses:?}");
        assert!(retries.iter().all(|retries| *retries <= 3), "{agent} {lane:?}: {retries:?}");
    }
}

/// Two hours of one call a minute are far more than a client waits, even twice.
///
/// Turned red by: a short pause where the call's turn is hours away, which uses up its retries.
#[tokio::test(start_paused = true)]
async fn a_line_of_hours_uses_up_no_retries() {
    for agent in [NODE, NODE_7] {
        let fake = fake();
        let proxy = Proxy::start(&fake);
        let sdk = Arc::new(Sdk::new(&proxy, agent, None));
        assert_eq!(all_of(&sdk, RARE, 90).await, 90, "{agent}");
        assert!(sdk.retries.lock().unwrap().iter().all(|retries| *retries <= 5), "{agent}");
        assert_eq!(fake.ledger().violations, []);
    }
}

/// A click, or another call that looks like one.
async fn click(bot: &Bot, lane: &str, agent: &str) {
    let ask = bot.call("views.open").header("user-agent", agent).form("trigger_id=1");
    assert!(ask.lane(lane).send().await.is_ok());
}

/// A minute's call is taken.
async fn taken(proxy: &Proxy) -> Bot {
    let bot = proxy.bot();
    assert!(bot.call(RARE).send().await.is_ok());
    bot
}

/// How a call of the SDK is told that it is not held, so long after a click of that client, and when to come
/// back. It could go in 61 s.
async fn told(lane: &str, clicked: Option<(&str, &str, u64)>) -> (u16, u64) {
    let proxy = Proxy::start(&fake());
    if let Some((lane, agent, ago)) = clicked {
        click(&proxy.bot(), lane, agent).await;
        sleep(secs(ago)).await;
    }
    let ask = taken(&proxy).await.call(RARE).header("user-agent", NODE).lane(lane);
    let answer = ask.send().await;
    assert_near(answer.took, ms(0));
    assert_eq!(answer.header("slackwater-reason"), "deadline");
    (answer.status, answer.header("retry-after").parse().unwrap())
}

/// Turned red by: each of its conditions, taken away or the other way around; a pause till the call's turn,
/// though it is held for its maximum wait when it comes back.
#[tokio::test(start_paused = true)]
async fn a_long_pause_is_for_clients_without_clicks() {
    let clicked = |lane, ago| Some((lane, NODE, ago));
    for (lane, click, as_told) in [
        ("bot;max-wait=10s", None, (429, 51)),
        ("bot;max-wait=10s", clicked("bot", 599), (200, 61)),
        ("bot;max-wait=10s", clicked("bot", 600), (429, 51)),
        // Another client has a queue of its own.
        ("bot;max-wait=10s", clicked("other", 0), (429, 51)),
        // That is no click.
        ("bot;max-wait=10s", clicked("bot;class=normal", 0), (429, 51)),
        // Nor does it stop with the SDK.
        ("bot;max-wait=10s", Some(("bot", "curl/8", 0)), (429, 51)),
        // Nobody waits for what a job does.
        ("bot;class=background;max-wait=10s", clicked("bot", 0), (429, 51)),
        ("bot;class=background;max-wait=1s", clicked("bot", 0), (429, 60)),
        // Somebody does who wants it at once.
        ("bot;max-wait=3s", None, (200, 61)),
        ("bot;max-wait=3001ms", None, (429, 58)),
    ] {
        assert_eq!(told(lane, click).await, as_told, "{lane} {click:?}");
    }
}

/// Turned red by: status 200 for a pause that hurts nobody.
#[tokio::test(start_paused = true)]
async fn a_short_pause_is_for_every_client() {
    let proxy = Proxy::start(&fake());
    let bot = taken(&proxy).await;
    click(&bot, "bot", NODE).await;
    let ask = || bot.call(RARE).header("user-agent", NODE).lane("bot;max-wait=40s");
    let answer = ask().send().await;
    assert_near(answer.took, secs(40));
    assert_eq!(answer.shed_as(429).0, 1, "two waits are enough");
    sleep(secs(1)).await;
    assert!(ask().send().await.is_ok());
    // Its place is before those that came while it was away.
    let mut first = ask().held();
    settled().await;
    sleep(secs(1)).await;
    let mut second = bot.call(RARE).form("a=1").lane("bot;max-wait=1h").held();
    assert_eq!(first.join_next().await.unwrap().unwrap().shed_as(429).0, 1);
    sleep(secs(2)).await;
    let again = ask().send().await;
    assert!(again.is_ok(), "{again:?}");
    assert!(second.join_next().await.unwrap().unwrap().took > secs(118));
}

/// What the operator does not let pass, and when: on hold, so that it is held again; never; or at once.
///
/// Turned red by: a 429 to who is switched off; a pause of a second where the call would be shed at once again.
#[tokio::test(start_paused = true)]
async fn what_the_operator_stops_does_not_stop_the_client_for_nothing() {
    let fake = fake();
    let file = "methods: { auth.test: { enabled: false } }";
    let proxy = Proxy::configured(file, &fake);
    let bot = proxy.bot();
    let ask = |method: &str| {
        bot.call(method).header("user-agent", NODE).lane("job;class=background;max-wait=1m")
    };
    assert_eq!(ask("auth.test").send().await.shed_as(200).1, "disabled");
    for (shed, took, told) in [(false, 60, 1), (true, 0, 30)] {
        let target = Target::of("method", LIST).unwrap();
        proxy.admission.pause(&target, 0, shed).unwrap();
        let answer = ask(LIST).send().await;
        assert_near(answer.took, secs(took));
        let (seconds, reason, _) = answer.shed_as(429);
        assert_eq!((seconds, reason), (told, "paused"));
        proxy.admission.resume(&target).unwrap();
    }
}

/// Turned red by: forwarding Slack's 429 to who has clicks; a shorter pause than Slack's.
#[tokio::test(start_paused = true)]
async fn a_429_of_slacks_is_weighed_like_ours() {
    for (clicked, class, seconds, status) in [
        (false, "normal", 30, 429),
        (true, "normal", 30, 200),
        (true, "normal", 1, 429),
        (true, "background", 30, 429),
    ] {
        let upstream = Scripted::new(move |seen| async move {
            let is_click = seen.path.ends_with("views.open");
            let mut answer = json(if is_click { 200 } else { 429 }, r#"{"ok":true}"#)?;
            answer.headers_mut().insert("retry-after", seconds.to_string().parse().unwrap());
            Ok(answer)
        });
        let proxy = Proxy::configured("on_429: { max_attempts: 1 }", &upstream);
        let bot = proxy.bot();
        if clicked {
            click(&bot, "job", NODE).await;
        }
        let ask = bot.call(RARE).header("user-agent", NODE);
        let answer = ask.lane(&format!("job;class={class};max-wait=10s")).send().await;
        assert_eq!(answer.status, status, "{clicked} {class} {seconds}: {answer:?}");
        assert_eq!(answer.header("retry-after"), seconds.to_string());
        assert_eq!(answer.header("slackwater-reason"), "upstream");
    }
}
