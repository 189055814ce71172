//! The upstream cannot be reached, says nothing, or breaks off.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use crate::harness::{Proxy, Scripted, Wire, assert_near, fake, json, ms, secs};

/// One call a minute.
const RARE: &str = "admin.apps.uninstall";

/// What was never sent costs no slot.
///
/// Turned red by: counting a failed connection as a sent call.
#[tokio::test(start_paused = true)]
async fn a_refused_connection_costs_no_slot() {
    let (up, fake) = (Arc::new(AtomicBool::new(false)), fake());
    let wire = Wire::new({
        let (up, fake) = (Arc::clone(&up), fake.clone());
        move |_| {
            let up = up.load(Ordering::Relaxed);
            up.then(|| fake.connect()).ok_or_else(|| io::ErrorKind::ConnectionRefused.into())
        }
    });
    let proxy = Proxy::start(wire);
    let bot = proxy.bot();
    let answer = bot.call(RARE).send().await;
    assert_eq!((answer.status, &answer.json()["error"]), (502, &"upstream_unreachable".into()));
    assert_eq!(answer.json()["ok"], false);
    assert_eq!(proxy.status().buckets.first().map_or(0, |bucket| bucket.used), 0);
    up.store(true, Ordering::Relaxed);
    let answer = bot.call(RARE).send().await;
    assert!(answer.is_ok() && answer.took <= ms(12), "{answer:?}");
}

/// A call that was sent and has no answer may have been counted, or may be yet: its slot is
/// taken for a period and a minute. Others go on meanwhile.
///
/// Turned red by: giving the slot back; a period only.
#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_keeps_its_slot_for_a_period_and_a_minute() {
    for (silent, status, error, known_after) in
        [(true, 504, "upstream_timeout", secs(5)), (false, 502, "upstream_broken", secs(2))]
    {
        let upstream = Scripted::new(move |seen| async move {
            if seen.number > 1 {
                return json(200, r#"{"ok":true}"#);
            }
            if silent {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(secs(2)).await;
            Err(io::ErrorKind::ConnectionReset.into())
        });
        let proxy = Proxy::configured("timeouts: { headers: 5s }", &upstream);
        let bot = proxy.bot();
        let mut first = bot.call(RARE).held();
        let other = bot.call("auth.test").after(secs(1)).send().await;
        assert!(other.is_ok() && other.took <= ms(12), "{other:?}");

        let answer = first.join_next().await.unwrap().unwrap();
        assert_eq!((answer.status, &answer.json()["error"]), (status, &error.into()));
        assert_near(proxy.now(), known_after);
        assert!(bot.call(RARE).patient().send().await.is_ok());
        assert_near(proxy.now(), known_after + secs(60) + ms(60_020));
        assert_eq!(upstream.seen().len(), 3);
    }
}

/// An answer whose body stalls is cut, so that its caller is not left hanging.
#[tokio::test(start_paused = true)]
async fn an_answer_that_stalls_is_cut() {
    let upstream = Scripted::new(|seen| async move {
        if seen.path.ends_with("auth.test") {
            return json(200, r#"{"ok":true}"#);
        }
        let half = stream::iter([Ok(Frame::data(Bytes::from_static(b"half")))]);
        Ok(Response::new(StreamBody::new(half.chain(stream::pending())).boxed_unsync()))
    });
    let proxy = Proxy::configured("timeouts: { body_idle: 5s }", &upstream);
    let bot = proxy.bot();
    let stalled = bot.call("users.info").try_send();
    let other = bot.call("auth.test").after(secs(1)).send();
    let (stalled, other) = tokio::join!(stalled, other);
    assert!(stalled.is_err(), "{stalled:?}");
    assert!(other.is_ok() && other.took <= ms(12), "{other:?}");
    assert_near(proxy.now(), secs(5));
}

/// A bug costs one call: its caller learns so, and all others go on.
///
/// Turned red by: a stack without its panic guard.
#[tokio::test(start_paused = true)]
async fn a_panic_costs_one_call() {
    let (bug, fake) = (Arc::new(AtomicBool::new(true)), fake());
    let wire = Wire::new({
        let fake = fake.clone();
        move |_| {
            assert!(!bug.swap(false, Ordering::Relaxed), "a bug, as the test wants it");
            Ok(fake.connect())
        }
    });
    let proxy = Proxy::start(wire);
    let bot = proxy.bot();
    let answer = bot.call("auth.test").send().await;
    assert_eq!((answer.status, &answer.json()["error"]), (500, &"internal_error".into()));
    assert!(bot.call("auth.test").send().await.is_ok());
    assert_eq!(proxy.admission.held(), 0);
}
