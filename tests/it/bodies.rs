//! Bodies of calls and of answers: what is read of them, and that nothing happens to them.

use bytes::Bytes;
use http::Method;

use crate::harness::{
    Answer, Ask, Bot, Proxy, Scripted, all, assert_near, fake, json, ms, settled, text,
};

/// So many bytes, no two stretches of them alike.
fn noise(length: usize) -> Bytes {
    (0..length as u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

/// A post, with its arguments where that encoding has them.
fn post(bot: &Bot, encoding: &str, channel: &str, text: &str) -> Ask {
    let path = "/api/chat.postMessage";
    match encoding {
        "query" => bot.at(Method::GET, &format!("{path}?text={text}&channel={channel}")),
        "form" => bot.at(Method::POST, path).form(&format!("text={text}&channel={channel}")),
        "json" => bot.at(Method::POST, path).body(
            "application/json; charset=utf-8",
            format!(r#"{{"text":"{text}","blocks":[{{"channel":"no"}}],"channel":"{channel}"}}"#),
        ),
        _ => {
            let part = |name, value| {
                format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
            };
            let body = part("text", text) + &part("channel", channel) + "--b--\r\n";
            bot.at(Method::POST, path).body("multipart/form-data; boundary=b", body)
        }
    }
}

/// The channel is read from wherever it stands: posts to one are a second apart and in order,
/// posts to another do not wait for them.
///
/// Turned red by: an encoding whose channel is not found.
#[tokio::test(start_paused = true)]
async fn a_channel_is_the_same_in_every_encoding() {
    let encodings = ["query", "form", "json", "multipart"];
    let fake = fake();
    let proxy = Proxy::start(&fake);
    let bot = proxy.bot();
    let to_one = (0..8_usize)
        .map(|n| post(&bot, encodings[n % 4], "C1", &n.to_string()).patient().after(ms(n as u64)));
    let elsewhere = encodings.map(|encoding| post(&bot, encoding, encoding, "x").after(ms(20)));
    let answers = all(to_one.chain(elsewhere)).await;
    assert!(answers.iter().all(Answer::is_ok), "{answers:?}");
    assert!(answers[8..].iter().all(|answer| answer.took <= ms(5)), "{answers:?}");
    let ledger = fake.ledger();
    assert_eq!(ledger.violations, []);
    let one: Vec<_> =
        ledger.calls.iter().filter(|call| call.channel.as_deref() == Some("C1")).collect();
    let texts: String = one.iter().filter_map(|call| call.text.as_deref()).collect();
    assert_eq!(texts, "01234567");
    assert!(one.windows(2).all(|two| two[1].at >= two[0].at + ms(1_000)), "{one:?}");
}

/// An upstream that refuses the first request for a second, and then does all.
fn refuses_first() -> Scripted {
    Scripted::new(|seen| async move {
        if seen.number > 1 {
            return json(200, r#"{"ok":true}"#);
        }
        let mut refusal = json(429, r#"{"ok":false,"error":"ratelimited"}"#)?;
        refusal.headers_mut().insert("retry-after", "1".parse().unwrap());
        Ok(refusal)
    })
}

/// Turned red by: a body of which only what was read of its arguments is sent again.
#[tokio::test(start_paused = true)]
async fn a_body_is_sent_again_byte_for_byte() {
    for h2 in [false, true] {
        let upstream = refuses_first();
        let proxy = Proxy::start(&upstream);
        let bot = if h2 { proxy.bot_h2() } else { proxy.bot() };
        let body = noise(900 << 10);
        let ask = bot.call("users.setPhoto").body("application/octet-stream", body.clone());
        assert!(ask.patient().send().await.is_ok());
        let seen = upstream.seen();
        assert_eq!(seen.len(), 2);
        for seen in seen {
            assert!(seen.body == body, "{} bytes", seen.body.len());
            assert_eq!(seen.headers["content-length"], (900 << 10).to_string());
            assert_eq!(seen.headers["content-type"], "application/octet-stream");
        }
    }
}

/// What is too large to be kept streams through once, and its 429 is the caller's.
#[tokio::test(start_paused = true)]
async fn a_large_body_streams_through_once() {
    for h2 in [false, true] {
        let upstream = refuses_first();
        let proxy = Proxy::start(&upstream);
        let bot = if h2 { proxy.bot_h2() } else { proxy.bot() };
        let body = noise(3 << 20);
        let ask = bot.call("users.setPhoto").body("application/octet-stream", body.clone());
        let answer = ask.patient().send().await;
        let (retry_after, reason, _) = answer.shed();
        assert_eq!((retry_after, reason), (1, "upstream"));
        assert_near(answer.took, ms(0));
        let seen = upstream.seen();
        assert_eq!(seen.len(), 1);
        assert!(seen[0].body == body, "{} bytes", seen[0].body.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_answer_streams_back_as_it_is() {
    for h2 in [false, true] {
        let body = noise(5 << 20);
        let upstream = Scripted::new({
            let body = body.clone();
            move |_| std::future::ready(text(200, body.clone()))
        });
        let proxy = Proxy::start(&upstream);
        let bot = if h2 { proxy.bot_h2() } else { proxy.bot() };
        let answer = bot.call("files.info").send().await;
        assert!(answer.status == 200 && answer.body == body, "{} bytes", answer.body.len());
        assert_eq!(answer.header("content-length"), (5 << 20).to_string());
    }
}

/// The bodies of held calls have a bound in all; who goes gives its bytes back.
///
/// Turned red by: bytes that are not given back at a hang-up, or not at an answer.
#[tokio::test(start_paused = true)]
async fn held_bodies_have_a_bound() {
    let fake = fake();
    let proxy = Proxy::configured("queue: { max_bytes: 1MiB }", &fake);
    let bot = proxy.bot();
    let ask = || bot.call("admin.apps.uninstall").body("text/plain", noise(600 << 10)).patient();
    for _ in 0..3 {
        // Each gives its bytes back with its answer, or when it is shed.
        let small = bot.call("auth.test").body("text/plain", noise(600 << 10));
        assert!(small.send().await.is_ok());
    }
    assert!(ask().send().await.is_ok());
    let held = ask().held();
    settled().await;
    assert_eq!(proxy.admission.held(), 1);
    let answer = ask().send().await;
    assert_eq!((answer.shed().0, answer.shed().1), (1, "memory"));
    assert!(bot.call("auth.test").send().await.is_ok(), "what has no body needs no memory");

    drop(held);
    settled().await;
    let mut held = ask().held();
    settled().await;
    assert_eq!(proxy.admission.held(), 1);
    assert!(held.join_next().await.unwrap().unwrap().is_ok());
}
