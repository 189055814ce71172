//! Reads that need not be sent: equal ones share an answer, and some answers are remembered.

use http::Method;

use crate::harness::{
    Answer, Ask, Bot, Proxy, Scripted, all, assert_near, json, ms, secs, settled,
};

const HISTORY: &str = "conversations.history";
const USER: &str = "users.info";
const SET: &str = "users.profile.set";
const OTHER_TOKEN: &str = "Bearer xoxb-T1-A1-other";

/// One history a minute; equal reads are shared.
const SHARE: &str = "\
methods:
  conversations.history:
    tier: special
    limits: [{ name: mine, limit: 1, per: 1m, scope: [app, workspace] }]
reads: { share: true }
";

const CACHE: &str = "reads: { cache: { for: 30s } }";

/// A Slack whose answers differ, in a form that nobody else would write.
fn numbered() -> Scripted {
    Scripted::new(|seen| async move {
        tokio::time::sleep(ms(100)).await;
        json(200, &format!("{{ \"ok\" : true,  \"n\":{} }}\n", seen.number))
    })
}

fn history(bot: &Bot, channel: &str) -> Ask {
    bot.call(HISTORY).form(&format!("channel={channel}&limit=15")).patient()
}

fn user(bot: &Bot, user: &str) -> Ask {
    bot.call(USER).form(&format!("user={user}"))
}

fn from(answer: &Answer) -> &str {
    answer.header("slackwater-from")
}

/// The sample of a metric with these labels.
fn metric(proxy: &Proxy, sample: &str) -> String {
    let text = proxy.metrics.text(&proxy.status(), &proxy.catalogue()).unwrap();
    let text = String::from_utf8(text).unwrap();
    let found = text.lines().find_map(|line| line.strip_prefix(sample));
    found.unwrap_or_else(|| panic!("{sample}")).trim().to_owned()
}

/// Fifty bots ask for one history, at one call a minute, each in a form and an order of its own.
///
/// Turned red by: each read sent; an answer in other words; arguments that are compared as they are written.
#[tokio::test(start_paused = true)]
async fn fifty_bots_that_ask_the_same_get_one_answer() {
    for (share, sent) in [(true, 2), (false, 51)] {
        let slack = numbered();
        let file = if share { SHARE.to_owned() } else { SHARE.replace("true", "false") };
        let proxy = Proxy::configured(&file, &slack);
        let bot = proxy.bot();
        assert!(history(&bot, "C0").send().await.is_ok());
        let ask = |n: usize| {
            let ask = match n % 4 {
                0 => bot.call(HISTORY).form("channel=C1&limit=15"),
                1 => bot.call(HISTORY).form("limit=15&channel=C1"),
                2 => bot.call(HISTORY).body("application/json", r#"{"limit":15,"channel":"C1"}"#),
                _ => bot.at(Method::GET, &format!("/api/{HISTORY}?limit=15&channel=%431")),
            };
            let ask = ask.header("user-agent", &format!("bot/{n}"));
            ask.lane(&format!("bot{n};max-wait=1h"))
        };
        let answers = all((0..50).map(ask)).await;
        assert_eq!(slack.seen().len(), sent);
        if !share {
            continue;
        }
        for answer in &answers {
            assert_eq!(answer.body, "{ \"ok\" : true,  \"n\":2 }\n");
            assert_eq!(answer.header("content-type"), "application/json");
            assert_near(answer.took, ms(60_120));
        }
        let shared: Vec<_> = answers.iter().filter(|answer| from(answer) == "shared").collect();
        assert_eq!(shared.len(), 49);
        assert!(shared.iter().all(|answer| answer.header("slackwater-attempts") == "0"));
        for answer in shared {
            assert_near(ms(answer.header("slackwater-wait-ms").parse().unwrap()), ms(60_020));
        }
        let sample = format!("slackwater_saved_calls_total{{how=\"shared\",method=\"{HISTORY}\"}}");
        assert_eq!(metric(&proxy, &sample), "49");
        assert_eq!(proxy.reads().joinable, 0);
    }
}

/// Turned red by: a key without the token, the method, an argument, or a header that matters.
#[tokio::test(start_paused = true)]
async fn nobody_gets_the_answer_to_another_question() {
    let slack = numbered();
    let proxy = Proxy::configured("reads: { share: true }", &slack);
    let bot = proxy.bot();
    let base = || bot.call(USER).form("user=U1");
    let asks = [
        base(),
        base().header("authorization", OTHER_TOKEN),
        base().header("cookie", "d=xoxd-1"),
        // Then Slack does not see it, and nobody else's answer is that to no token.
        base().header("connection", "authorization"),
        base().header("accept-encoding", "gzip"),
        bot.call(USER).form("user=U2"),
        bot.call(USER).form("user=u1"),
        bot.call(USER).form("user=U1&include_locale=true"),
        bot.call(USER).form("user=U1&include_locale="),
        bot.call(USER).form("user=U1&user=U1"),
        bot.at(Method::GET, "/api/users.info").form("user=U1"),
        bot.at(Method::POST, "/api/users.info?x=1").body("application/json", r#"{"user":"U1"}"#),
        bot.call(USER).form("user=U1%26include_locale=true"),
        bot.call(USER).without_header("authorization").form("user=U1&token=xoxb-T1-A1-secret"),
        bot.call(USER).form("user=U1&token=xoxb-T1-A1-other"),
        bot.call("users.profile.get").form("user=U1"),
        bot.call(USER).body("application/json", r#"{"user":["U1"]}"#),
        bot.call(USER).body("text/plain", "user=U1"),
    ];
    let count = asks.len();
    let answers = all(asks).await;
    let mut bodies: Vec<_> = answers.iter().map(|answer| answer.body.clone()).collect();
    bodies.sort_unstable();
    bodies.dedup();
    assert_eq!((bodies.len(), slack.seen().len()), (count, count));
}

/// Turned red by: a write that is shared; a method that is only forwarded.
#[tokio::test(start_paused = true)]
async fn no_write_is_shared() {
    let slack = numbered();
    let proxy = Proxy::configured("reads: { share: true }", &slack);
    let bot = proxy.bot();
    for method in [SET, "chat.postMessage", "nobody.knowsThis"] {
        let before = slack.seen().len();
        all((0..3).map(|_| bot.call(method).form("channel=C1").lane("a;reads=share"))).await;
        assert_eq!(slack.seen().len(), before + 3, "{method}");
    }
}

/// Turned red by: a client that takes the call along when it leaves, held or sent; a call that goes on for
/// nobody.
#[tokio::test(start_paused = true)]
async fn who_leads_may_leave_and_a_call_for_nobody_costs_no_slot() {
    let slack = numbered();
    let proxy = Proxy::configured(SHARE, &slack);
    let bot = proxy.bot();
    assert!(history(&bot, "C0").send().await.is_ok());
    let leads = history(&bot, "C1").held();
    settled().await;
    let mut stays = history(&bot, "C1").held();
    settled().await;
    assert_eq!((proxy.admission.held(), proxy.reads().joinable), (1, 1));
    drop(leads);
    settled().await;
    assert_eq!(proxy.admission.held(), 1);
    proxy.until(ms(60_150)).await;
    // It is under way, and who waited for it leaves, too.
    let late = history(&bot, "C1").held();
    settled().await;
    drop(late);
    let answer = stays.join_next().await.unwrap().unwrap();
    assert_eq!((from(&answer), slack.seen().len()), ("shared", 2));
    let both = [history(&bot, "C2").held(), history(&bot, "C2").held()];
    settled().await;
    assert_eq!(proxy.admission.held(), 1);
    drop(both);
    settled().await;
    assert_eq!((proxy.admission.held(), proxy.reads().joinable), (0, 0));
    proxy.until(secs(300)).await;
    assert_eq!(slack.seen().len(), 2);
}

/// Turned red by: a class that stays that of the first.
#[tokio::test(start_paused = true)]
async fn a_read_is_as_urgent_as_the_most_urgent_of_those_who_wait() {
    let slack = numbered();
    let proxy = Proxy::configured(SHARE, &slack);
    let bot = proxy.bot();
    assert!(history(&bot, "C0").send().await.is_ok());
    let lane = |ask: Ask, class: &str| ask.lane(&format!("a;class={class};max-wait=1h"));
    let asks = [
        lane(history(&bot, "C1"), "background"),
        lane(history(&bot, "C2"), "normal").after(ms(1)),
        lane(history(&bot, "C1"), "interactive").after(ms(2)),
    ];
    let answers = all(asks).await;
    let took: Vec<_> = answers.iter().map(|answer| answer.took.as_secs()).collect();
    assert_eq!(took, [60, 120, 60]);
    assert_eq!(slack.seen().len(), 3);
}

/// The first goes and is refused for 100 s. Its client waits for 70.
///
/// Turned red by: a deadline that is that of the first; a client that is kept longer than it waits.
#[tokio::test(start_paused = true)]
async fn a_read_waits_as_long_as_the_most_patient_and_the_others_leave_in_time() {
    let slack = Scripted::new(|seen| async move {
        tokio::time::sleep(secs(1)).await;
        let mut response = json(200, r#"{"ok":true}"#)?;
        if seen.number == 1 {
            response = json(429, r#"{"ok":false,"error":"ratelimited"}"#)?;
            response.headers_mut().insert("retry-after", 100.into());
        }
        Ok(response)
    });
    let proxy = Proxy::configured(SHARE, &slack);
    let bot = proxy.bot();
    let asks = [
        history(&bot, "C1").lane("a;max-wait=70s"),
        history(&bot, "C1").lane("b;max-wait=1h").after(ms(500)),
    ];
    let answers = all(asks).await;
    let reason = answers[0].header("slackwater-reason");
    assert_eq!((answers[0].took.as_secs(), answers[0].status, reason), (70, 429, "deadline"));
    // The call that goes on is refused till then, and has the slot of a minute.
    assert_eq!(answers[0].header("retry-after"), "92");
    assert!(answers[1].is_ok());
    assert_eq!((answers[1].took.as_secs(), slack.seen().len()), (101, 2));
}

/// Turned red by: a failure, an error of the server's own, or a large answer that is given to all.
#[tokio::test(start_paused = true)]
async fn a_failure_is_for_the_first_and_the_others_ask_for_themselves() {
    for what in ["500", "fatal", "large", "break"] {
        let slack = Scripted::new(move |seen| async move {
            tokio::time::sleep(ms(100)).await;
            // A read is sent once more after a failure.
            match what {
                "500" if seen.number <= 2 => json(500, "{}"),
                "break" if seen.number <= 2 => Err(std::io::ErrorKind::ConnectionReset.into()),
                "fatal" if seen.number == 1 => json(200, r#"{"ok":false,"error":"fatal_error"}"#),
                "large" => {
                    let text = "x".repeat(3 << 20);
                    json(200, &format!(r#"{{"ok":true,"text":"{text}"}}"#))
                }
                _ => json(200, r#"{"ok":true}"#),
            }
        });
        let proxy = Proxy::configured("reads: { share: true }", &slack);
        let bot = proxy.bot();
        let answers = all((0..4).map(|n| user(&bot, "U1").after(ms(n)))).await;
        let status: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        let first = match what {
            "500" => 500,
            "break" => 502,
            _ => 200,
        };
        assert_eq!(status, [first, 200, 200, 200], "{what}");
        let seen = if matches!(what, "500" | "break") { 5 } else { 4 };
        assert_eq!(slack.seen().len(), seen, "{what}");
        assert!(answers.iter().all(|answer| from(answer).is_empty()), "{what}");
        if what == "large" {
            assert!(answers.iter().all(|answer| answer.body.len() > 3 << 20));
        }
    }
}

/// Turned red by: a refusal of the first that is everybody's.
#[tokio::test(start_paused = true)]
async fn a_refusal_is_for_the_first_and_the_others_are_held_by_themselves() {
    let slack = Scripted::new(|seen| async move {
        tokio::time::sleep(ms(100)).await;
        let mut response = json(200, r#"{"ok":true}"#)?;
        if seen.number == 1 {
            response = json(429, r#"{"ok":false,"error":"ratelimited"}"#)?;
            response.headers_mut().insert("retry-after", 5.into());
        }
        Ok(response)
    });
    let file = "on_429: { max_attempts: 1 }\nreads: { share: true }";
    let proxy = Proxy::configured(file, &slack);
    let bot = proxy.bot();
    let answers = all((0..3).map(|n| user(&bot, "U1").patient().after(ms(n)))).await;
    assert_eq!(answers[0].shed().1, "upstream");
    for answer in &answers[1..] {
        assert!(answer.is_ok() && answer.took > secs(5), "{answer:?}");
        assert_eq!((from(answer), answer.header("slackwater-attempts")), ("", "1"));
        // Its wait for the first is in it.
        assert!(answer.header("slackwater-wait-ms").parse::<u64>().unwrap() >= 5000, "{answer:?}");
    }
    assert_eq!(slack.seen().len(), 3);
}

/// What asks the same wrongly is told the same; what asks it in other words may not be wrong.
///
/// Turned red by: an error that is given to whom it may not concern, and one that each fetches.
#[tokio::test(start_paused = true)]
async fn an_error_is_for_all_who_ask_in_the_same_words() {
    let slack = Scripted::new(|seen| async move {
        tokio::time::sleep(ms(100)).await;
        // As methods do that take no JSON.
        match seen.headers[http::header::CONTENT_TYPE].to_str() {
            Ok("application/json") => json(200, r#"{"ok":false,"error":"user_not_found"}"#),
            _ => json(200, r#"{"ok":true}"#),
        }
    });
    let proxy = Proxy::configured("reads: { share: true }", &slack);
    let bot = proxy.bot();
    let in_json = || bot.call(USER).body("application/json", r#"{"user":"U1"}"#);
    let asks = [in_json(), in_json().after(ms(1)), user(&bot, "U1").after(ms(2))];
    let answers = all(asks).await;
    assert_eq!(answers.iter().map(from).collect::<Vec<_>>(), ["", "shared", ""]);
    assert!(answers[2].is_ok());
    assert_eq!(slack.seen().len(), 2);
}

/// Turned red by: a read that is joined though it was sent before a write ended.
#[tokio::test(start_paused = true)]
async fn a_read_after_a_write_knows_of_it() {
    for (writes, sent) in [(true, 3), (false, 1)] {
        let slack = Scripted::new(|seen| async move {
            tokio::time::sleep(if seen.path.contains(SET) { ms(100) } else { secs(1) }).await;
            json(200, r#"{"ok":true}"#)
        });
        let proxy = Proxy::configured("reads: { share: true }", &slack);
        let bot = proxy.bot();
        let mut before = user(&bot, "U1").held();
        settled().await;
        if writes {
            assert!(bot.call(SET).form("user=U9").send().await.is_ok());
        }
        let answer = user(&bot, "U1").send().await;
        assert_eq!(from(&answer), if writes { "" } else { "shared" });
        before.join_next().await.unwrap().unwrap();
        assert_eq!(slack.seen().len(), sent);
    }
}

/// A body that is not here as a whole is compared with none.
#[tokio::test(start_paused = true)]
async fn a_large_body_is_never_shared() {
    let slack = numbered();
    let proxy = Proxy::configured("reads: { share: true }", &slack);
    let bot = proxy.bot();
    let form = format!("user=U1&x={}", "x".repeat(1 << 20));
    all((0..2).map(|_| bot.call(USER).form(&form))).await;
    assert_eq!(slack.seen().len(), 2);
}

/// Turned red by: a call that is changed where it is only watched, or by what nobody has asked for.
#[tokio::test(start_paused = true)]
async fn nothing_is_shared_unless_it_is_asked_for() {
    for (file, lane, sent) in [
        ("", "a", 3),
        ("", "a;reads=share", 1),
        ("reads: { share: true }", "a;reads=each", 3),
        ("reads: { share: true }\nmode: shadow", "a", 3),
        ("methods: { users.info: { share_reads: true } }", "a", 1),
        ("callers: [{ name: a, share_reads: true }]", "a", 1),
    ] {
        let slack = numbered();
        let proxy = Proxy::configured(file, &slack);
        let bot = proxy.bot();
        all((0..3).map(|_| user(&bot, "U1").lane(lane))).await;
        assert_eq!(slack.seen().len(), sent, "{file} {lane}");
    }
}

/// Turned red by: an entry that outlives its call.
#[tokio::test(start_paused = true)]
async fn nothing_is_left_of_many_different_reads() {
    let slack = numbered();
    let file = "\
methods: { users.info: { tier: none } }
reads: { share: true, cache: { for: 30s, bytes: 1MiB } }
";
    let proxy = Proxy::configured(file, &slack);
    let bot = proxy.bot_h2();
    for part in 0..10 {
        all((0..1000).map(|n| user(&bot, &format!("U{part}-{n}")))).await;
        assert_eq!(proxy.reads().joinable, 0);
        assert!(proxy.reads().bytes <= 1 << 20);
    }
    assert!(proxy.reads().remembered > 500);
    tokio::time::sleep(secs(31)).await;
    let reads = proxy.reads();
    assert_eq!((reads.joinable, reads.remembered, reads.bytes), (0, 0, 0));
    assert_eq!(metric(&proxy, "slackwater_remembered_bytes "), "0");
}

/// Turned red by: an answer that is not remembered, for too long, of a method that is not named, or for a
/// client that wants another.
#[tokio::test(start_paused = true)]
async fn an_answer_is_remembered_for_as_long_as_the_file_says() {
    let slack = numbered();
    let proxy = Proxy::configured(CACHE, &slack);
    let bot = proxy.bot();
    let first = user(&bot, "U1").send().await;
    assert_eq!(from(&first), "");
    proxy.until(secs(10)).await;
    let again = user(&bot, "U1").send().await;
    assert_eq!((from(&again), again.header("age")), ("memory", "10"));
    assert_eq!((&again.body, again.took), (&first.body, ms(0)));
    assert_eq!(again.header("slackwater-attempts"), "0");
    let other = user(&bot, "U1").header("authorization", OTHER_TOKEN).send().await;
    assert_eq!(from(&other), "", "another token");
    let fresh = user(&bot, "U1").header("cache-control", "no-cache").send().await;
    assert_eq!(from(&fresh), "");
    let newest = user(&bot, "U1").send().await;
    assert_eq!((from(&newest), &newest.body), ("memory", &fresh.body));
    proxy.until(secs(41)).await;
    assert_eq!(from(&user(&bot, "U1").send().await), "");
    for _ in 0..2 {
        assert_eq!(from(&bot.call("users.list").send().await), "");
    }
    let sample = format!("slackwater_saved_calls_total{{how=\"remembered\",method=\"{USER}\"}}");
    assert_eq!(metric(&proxy, &sample), "2");
    assert_eq!(proxy.reload("reads: { share: true }"), Ok(()));
    assert_eq!(proxy.reads().remembered, 0);
}

/// Turned red by: an error that is remembered.
#[tokio::test(start_paused = true)]
async fn no_error_is_remembered() {
    let slack = Scripted::new(|_| async { json(200, r#"{"ok":false,"error":"user_not_found"}"#) });
    let proxy = Proxy::configured(CACHE, &slack);
    for _ in 0..2 {
        assert_eq!(from(&user(&proxy.bot(), "U1").send().await), "");
    }
    assert_eq!(slack.seen().len(), 2);
}

/// Turned red by: a write that drops nothing; one that drops what it does not change; a read that was sent
/// before it and is remembered after it.
#[tokio::test(start_paused = true)]
async fn a_write_drops_what_it_makes_old() {
    let slack = Scripted::new(|seen| async move {
        let is_slow = seen.headers.contains_key("x-slow");
        tokio::time::sleep(if is_slow { secs(5) } else { ms(100) }).await;
        json(200, r#"{"ok":true}"#)
    });
    let proxy = Proxy::configured(CACHE, &slack);
    let bot = proxy.bot();
    all([user(&bot, "U1"), user(&bot, "U2")]).await;
    let other = bot.call(SET).header("authorization", OTHER_TOKEN);
    assert!(other.form("user=U1&profile={}").send().await.is_ok());
    let answers = all([user(&bot, "U1"), user(&bot, "U2")]).await;
    assert_eq!(answers.iter().map(from).collect::<Vec<_>>(), ["", "memory"]);
    // Whose profile it is, this one does not say.
    assert!(bot.call(SET).form("profile={}").send().await.is_ok());
    assert_eq!(proxy.reads().remembered, 0);
    let mut slow = user(&bot, "U3").header("x-slow", "1").held();
    proxy.until(secs(2)).await;
    assert!(user(&bot, "U4").send().await.is_ok(), "so that something is remembered");
    assert!(bot.call(SET).form("user=U3&profile={}").send().await.is_ok());
    assert!(slow.join_next().await.unwrap().unwrap().is_ok());
    let again = user(&bot, "U3").header("x-slow", "1").send().await;
    assert_eq!(from(&again), "", "it was sent before the write");
}

/// Turned red by: a token that is told something after it was revoked; a write of something else that counts,
/// or one that was not sent.
#[tokio::test(start_paused = true)]
async fn only_what_was_sent_makes_something_old() {
    let slack = numbered();
    let limit = "[{ name: mine, limit: 1, per: 1m, scope: [app] }]";
    let file = format!("methods: {{ {SET}: {{ limits: {limit} }} }}\n{CACHE}");
    let proxy = Proxy::configured(&file, &slack);
    let bot = proxy.bot();
    let set = || bot.call(SET).form("user=U9&profile={}").patient();
    assert!(set().send().await.is_ok());
    settled().await;
    user(&bot, "U1").send().await;
    assert!(set().hang_up_after(secs(1)).await.is_none());
    user(&bot, "U2").send().await;
    assert!(bot.call("chat.postMessage").form("channel=C1&text=x").send().await.is_ok());
    let answers = all([user(&bot, "U1"), user(&bot, "U2")]).await;
    assert_eq!(answers.iter().map(from).collect::<Vec<_>>(), ["memory", "memory"]);
    assert!(bot.call("auth.revoke").send().await.is_ok());
    assert_eq!(proxy.reads().remembered, 0);
}

/// A client that hangs up may have had its write done.
///
/// Turned red by: a read that is remembered, or joined, though it was sent before such a write may end.
#[tokio::test(start_paused = true)]
async fn a_write_whose_client_has_left_may_still_be_done() {
    let slack = Scripted::new(|seen| async move {
        tokio::time::sleep(if seen.path.contains(SET) { secs(5) } else { secs(2) }).await;
        json(200, r#"{"ok":true}"#)
    });
    let file = "reads: { share: true, cache: { for: 30s } }";
    let proxy = Proxy::configured(file, &slack);
    let bot = proxy.bot_h2();
    let write = bot.call(SET).form("user=U1&profile={}");
    assert!(write.hang_up_after(secs(1)).await.is_none());
    user(&bot, "U1").send().await;
    let answers = all([user(&bot, "U1"), user(&bot, "U1").after(ms(1))]).await;
    assert_eq!(answers.iter().map(from).collect::<Vec<_>>(), ["", ""]);
    assert_eq!(slack.seen().len(), 4);
}

/// Turned red by: an answer that is given to a token that is dead by now.
#[tokio::test(start_paused = true)]
async fn nothing_is_remembered_for_a_dead_token() {
    let slack = Scripted::new(|seen| async move {
        let is_dead = seen.path.contains("conversations.list");
        json(
            200,
            if is_dead { r#"{"ok":false,"error":"token_revoked"}"# } else { r#"{"ok":true}"# },
        )
    });
    let proxy = Proxy::configured(CACHE, &slack);
    let bot = proxy.bot();
    user(&bot, "U1").send().await;
    assert_eq!(from(&user(&bot, "U1").send().await), "memory");
    bot.call("conversations.list").send().await;
    let answer = user(&bot, "U1").send().await;
    assert_eq!(answer.header("slackwater-fail-fast"), "token_revoked");
}

/// Turned red by: a read that ends with the stack that it began in.
#[tokio::test(start_paused = true)]
async fn what_is_shared_outlives_a_reload() {
    let slack = numbered();
    let proxy = Proxy::configured(SHARE, &slack);
    let bot = proxy.bot();
    assert!(history(&bot, "C0").send().await.is_ok());
    let before = history(&bot, "C1").held();
    settled().await;
    assert_eq!(proxy.reload(&format!("{SHARE}edits: latest\n")), Ok(()));
    let after = history(&bot, "C1").held();
    settled().await;
    for mut held in [before, after] {
        assert!(held.join_next().await.unwrap().unwrap().is_ok());
    }
    assert_eq!(slack.seen().len(), 2);
}

/// Turned red by: clients that are told nothing when the program stops.
#[tokio::test(start_paused = true)]
async fn all_who_wait_are_told_when_the_queue_closes() {
    let slack = numbered();
    let proxy = Proxy::configured(SHARE, &slack);
    let bot = proxy.bot();
    assert!(history(&bot, "C0").send().await.is_ok());
    let calls = (0..5).map(|_| history(&bot, "C1"));
    let (answers, ()) = tokio::join!(all(calls), async {
        proxy.until(secs(1)).await;
        proxy.admission.close();
    });
    for answer in answers {
        assert_eq!(answer.shed().1, "draining");
    }
}
