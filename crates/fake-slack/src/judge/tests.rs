//! What the judge makes of calls, in cases worked out by hand.

use super::{
    super::{Rules, testing},
    *,
};

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn options() -> Options {
    Options::new(testing::rules())
}

fn judge(options: Options) -> Judge {
    Judge::new(options)
}

fn list(app: &str, workspace: &str) -> Call {
    Call::new("conversations.list", app, workspace)
}

fn post(channel: &str) -> Call {
    Call::new("chat.postMessage", "A1", "T1").to_channel(channel)
}

fn refusal(decision: Decision) -> LimitHit {
    match decision {
        Decision::Accept(_) => panic!("accepted"),
        Decision::Refuse(refusal) => refusal,
    }
}

fn accepted(decision: &Decision) -> bool {
    matches!(decision, Decision::Accept(_))
}

/// How many of so many calls at once are accepted.
fn burst(judge: &mut Judge, now: Duration, call: &Call, calls: usize) -> usize {
    (0..calls).filter(|_| accepted(&judge.handle(now, call))).count()
}

#[test]
fn a_refusal_says_which_limit_and_when_to_come_back() {
    let mut judge = judge(options());
    assert_eq!(burst(&mut judge, ms(500), &list("A1", "T1"), 20), 20);
    let refused = refusal(judge.handle(secs(10), &list("A1", "T1")));
    assert_eq!(
        refused,
        LimitHit {
            limit: "tier2".into(),
            key: "app=A1 workspace=T1 method=conversations.list".into(),
            used: 20,
            n: 20,
            cause: Cause::Window,
            // Room at 60.5 s, which is 50.5 s away.
            retry_after: NonZeroU64::new(51),
        }
    );
    assert_eq!(refused.status(), 429);
    assert!(!accepted(&judge.handle(ms(60_999), &list("A1", "T1"))));
    assert!(accepted(&judge.handle(secs(61), &list("A1", "T1"))));
}

#[test]
fn apps_workspaces_and_methods_are_counted_apart() {
    let mut judge = judge(options());
    for (app, workspace) in [("A1", "T1"), ("A2", "T1"), ("A1", "T2")] {
        assert_eq!(burst(&mut judge, secs(0), &list(app, workspace), 30), 20);
        let users = Call::new("users.list", app, workspace);
        assert_eq!(burst(&mut judge, secs(0), &users, 30), 20);
    }
}

#[test]
fn a_call_needs_room_in_all_its_limits_and_else_counts_in_none() {
    let options = Options { penalty: Penalty::None, ..options() };
    let mut judge = judge(options);
    let close = |workspace| Call::new("conversations.close", "A1", workspace);
    // One a second for the app, whatever the workspace.
    assert!(accepted(&judge.handle(secs(0), &close("T1"))));
    for _ in 0..100 {
        assert_eq!(
            &*refusal(judge.handle(ms(1), &close("T2"))).limit,
            "close_app_wide",
            "the refused calls count in T2's tier 2 (mutation: take before all have room)"
        );
    }
    let went = (1..=20).filter(|n| accepted(&judge.handle(secs(*n), &close("T2")))).count();
    assert_eq!(went, 20);
    assert_eq!(&*refusal(judge.handle(secs(21), &close("T2"))).limit, "tier2");
    assert!(accepted(&judge.handle(secs(21), &close("T1"))));
}

#[test]
fn the_longest_wait_of_the_full_limits_is_told() {
    let mut judge = judge(options());
    let close = Call::new("conversations.close", "A1", "T1");
    for n in 0..20 {
        assert!(accepted(&judge.handle(secs(n), &close)));
    }
    // The app's second has half of it left, tier 2's minute 40.5 s.
    let refused = refusal(judge.handle(ms(19_500), &close));
    assert_eq!((&*refused.limit, refused.retry_after), ("tier2", NonZeroU64::new(41)));
}

#[test]
fn short_bursts_to_a_channel_are_tolerated_in_every_shape() {
    for shape in Shape::ALL {
        let mut judge = judge(Options { shape, penalty: Penalty::None, ..options() });
        assert_eq!(burst(&mut judge, secs(0), &post("C1"), 5), 3, "{shape}");
        assert_eq!(burst(&mut judge, ms(999), &post("C1"), 1), 0, "{shape}");
        assert_eq!(burst(&mut judge, secs(1), &post("C1"), 2), 1, "{shape}");
        // Five a minute for the workspace.
        assert_eq!(burst(&mut judge, secs(1), &post("C2"), 5), 1, "{shape}");
    }
}

#[test]
fn a_burst_limit_is_a_second_shorter_window() {
    // 600 a minute with a burst of 180: 180 per 18 s, and 600 per minute all the same.
    let write = Call::new("scim.write", "A1", "T1");
    let mut sliding = judge(Options { penalty: Penalty::None, ..options() });
    for (at, room) in [(0, 180), (17, 0), (18, 180), (36, 180), (54, 60), (60, 120), (71, 0)] {
        assert_eq!(burst(&mut sliding, secs(at), &write, 1_000), room, "at {at} s");
    }
    let refused = refusal(sliding.handle(secs(71), &write));
    assert_eq!(&*refused.key, "app=A1 burst");
    // As a bucket: 180 at once, then ten a second.
    let mut bucket = judge(Options { shape: Shape::Bucket, penalty: Penalty::None, ..options() });
    assert_eq!(burst(&mut bucket, secs(0), &write, 1_000), 180);
    assert_eq!(burst(&mut bucket, secs(3), &write, 1_000), 30);
}

#[test]
fn a_penalty_closes_its_scope_until_the_retry_after_has_passed() {
    // What is closed by the refusal of (A1, T1, conversations.list), by penalty.
    let others = [
        (Call::new("users.list", "A1", "T1"), [Penalty::Workspace, Penalty::App].as_slice()),
        (list("A1", "T2"), [Penalty::App].as_slice()),
        (list("A2", "T1"), [].as_slice()),
    ];
    for penalty in Penalty::ALL {
        let mut judge = judge(Options { penalty, ..options() });
        burst(&mut judge, secs(0), &list("A1", "T1"), 20);
        assert_eq!(refusal(judge.handle(ms(30_500), &list("A1", "T1"))).cause, Cause::Window);
        for (other, closed_by) in &others {
            let decision = judge.handle(secs(60), other);
            if closed_by.contains(&penalty) {
                let refused = refusal(decision);
                assert_eq!(refused.cause, Cause::Penalty, "{penalty} {other:?}");
                assert_eq!(refused.retry_after, NonZeroU64::new(1));
                assert_eq!(&*refused.limit, "tier2");
            } else {
                assert!(accepted(&decision), "{penalty} {other:?}");
            }
        }
        // The window has room at 60 s, but 30 s were told at 30.5 s.
        let early = judge.handle(ms(60_499), &list("A1", "T1"));
        assert_eq!(accepted(&early), penalty == Penalty::None);
        assert!(accepted(&judge.handle(ms(60_500), &list("A1", "T1"))), "{penalty}");
    }
}

#[test]
fn refused_calls_count_only_if_asked() {
    for (count_refused, room) in [(false, true), (true, false)] {
        let mut judge = judge(Options { count_refused, penalty: Penalty::None, ..options() });
        assert_eq!(burst(&mut judge, secs(0), &list("A1", "T1"), 20), 20);
        assert_eq!(burst(&mut judge, secs(59), &list("A1", "T1"), 20), 0);
        assert_eq!(accepted(&judge.handle(secs(60), &list("A1", "T1"))), room);
    }
}

#[test]
fn too_many_calls_at_once_are_refused_with_status_200() {
    let mut judge = judge(options());
    let add = Call::new("bookmarks.add", "A1", "T1");
    let Decision::Accept(first) = judge.handle(secs(0), &add) else { panic!("refused") };
    let refused = refusal(judge.handle(secs(1), &add));
    assert_eq!((refused.cause, refused.status(), refused.used), (Cause::Concurrency, 200, 1));
    assert!(accepted(&judge.handle(secs(1), &Call::new("bookmarks.add", "A1", "T2"))));
    judge.land(first);
    let Decision::Accept(old) = judge.handle(secs(1), &add) else { panic!("refused") };
    // One from before a reset lands on nobody else's account.
    judge.reset();
    let Decision::Accept(_new) = judge.handle(secs(2), &add) else { panic!("refused") };
    judge.land(old);
    assert!(!accepted(&judge.handle(secs(2), &add)));
}

#[test]
fn a_shorter_minute_scales_every_period_but_not_the_seconds_told() {
    let mut judge = judge(Options { minute: secs(6), ..options() });
    assert_eq!(burst(&mut judge, secs(0), &list("A1", "T1"), 21), 20);
    assert!(accepted(&judge.handle(secs(6), &list("A1", "T1"))));
    // A tenth of a second per post once the burst is spent; one second is the least to be told.
    assert_eq!(burst(&mut judge, secs(6), &post("C1"), 3), 3);
    assert!(accepted(&judge.handle(ms(6_100), &post("C1"))));
    let refused = refusal(judge.handle(ms(6_150), &post("C1")));
    assert_eq!(refused.retry_after, NonZeroU64::new(1));
}

#[test]
fn a_hidden_limit_is_the_one_that_counts() {
    let ten = NonZeroU32::new(10).unwrap();
    let rules = testing::rules().with_hidden("conversations.list", ten);
    let mut judge = judge(Options::new(rules));
    assert_eq!(burst(&mut judge, secs(0), &list("A1", "T1"), 30), 10);
    assert_eq!(burst(&mut judge, secs(0), &Call::new("users.list", "A1", "T1"), 30), 20);
}

#[test]
fn what_slack_cannot_see_does_not_limit() {
    let mut judge = judge(options());
    assert_eq!(burst(&mut judge, secs(0), &Call::new("caller.limited", "A1", "T1"), 50), 50);
}

#[test]
fn a_clock_is_set_by_the_seed_for_every_key_apart() {
    let edge = |seed, workspace| {
        let mut judge = judge(Options { seed, shape: Shape::FixedClock, ..options() });
        burst(&mut judge, secs(0), &list("A1", workspace), 20);
        refusal(judge.handle(secs(0), &list("A1", workspace))).retry_after
    };
    assert_eq!(edge(1, "T1"), edge(1, "T1"));
    let edges: std::collections::HashSet<_> =
        (0..8).flat_map(|seed| [edge(seed, "T1"), edge(seed, "T2")]).collect();
    assert!(edges.len() > 8, "{edges:?}");
}

#[test]
fn a_clock_that_goes_back_stands_still() {
    let mut judge = judge(options());
    burst(&mut judge, secs(100), &list("A1", "T1"), 20);
    assert!(!accepted(&judge.handle(secs(1), &list("A1", "T1"))));
    assert!(accepted(&judge.handle(secs(160), &list("A1", "T1"))));
}

#[test]
fn memory_follows_live_traffic() {
    let mut judge = judge(options());
    for n in 0..100_000_u64 {
        // A new workspace every 100 ms, refused now and then.
        let call = list("A1", &format!("T{n}"));
        burst(&mut judge, ms(100 * n), &call, if n % 10 == 0 { 21 } else { 1 });
    }
    assert!(judge.windows.len() < 3_000, "{}", judge.windows.len());
    assert!(judge.closed.len() < 3_000, "{}", judge.closed.len());
}

#[test]
fn rules_can_be_any() {
    let rules = Rules::new(|name| testing::rules().method(name));
    assert!(accepted(&judge(Options::new(rules)).handle(secs(0), &post("C1"))));
}
