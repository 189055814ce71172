//! Plans whose figures are worked out by hand, and plans against longer ones.

use config::check;
use limits::Class;
use proptest::prelude::*;
use serde_json::json;

use super::{
    estimate::{Holds, plan_of},
    straight::{Straight, straight},
    *,
};

const TRIP: Duration = Duration::from_millis(100);

fn config(file: &str) -> Config {
    check(file, "test", |_| None).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A method under these limits alone.
fn limited(limits: &str) -> Config {
    config(&format!(
        "methods: {{ test.it: {{ tier: none, channel: channel, limits: [{limits}] }} }}"
    ))
}

/// Two in ten seconds.
fn two(scope: &str) -> Config {
    limited(&format!("{{ name: two, limit: 2, per: 10s, scope: [{scope}] }}"))
}

fn of(method: &str, count: u64, class: Class, config: &Config) -> Job {
    job(method, count, class, 1, None, config)
}

fn job(
    method: &str,
    count: u64,
    class: Class,
    workspaces: u32,
    live: Option<&Live>,
    config: &Config,
) -> Job {
    let said = Said { caller: None, class: Some(class), user_agent: "" };
    let methods = vec![Planned::new(method, count, said, config)];
    Job {
        count,
        identities: identities(live, &methods, workspaces as usize, config),
        methods,
        calls: Calls::Alike { workspaces, channels: None },
        at_once: 4,
        round_trip: TRIP,
        cap: None,
        background: config.background_share,
    }
}

/// Red where a plan is silent about calls that need not be sent, or speaks of some that all are.
#[test]
fn a_plan_says_that_it_counts_calls_that_need_not_be_sent() {
    let saves = |method: &str, file: &str| {
        let said = Said { caller: None, class: None, user_agent: "" };
        let config = config(file);
        Planned::new(method, 1, said, &config).saves(&config).unwrap_or_default()
    };
    assert!(saves("users.info", "{ reads: { share: true } }").contains("equal reads"));
    assert!(saves("users.info", "{ reads: { cache: { for: 30s } } }").contains("equal reads"));
    assert!(saves("chat.update", "{ edits: latest }").contains("replaced edits"));
    assert_eq!(saves("users.info", "{ edits: latest }"), "");
    assert_eq!(saves("chat.update", "{ reads: { share: true, cache: {} } }"), "");
    assert_eq!(saves("users.info", "{}"), "");
}

fn outlook(job: Job, config: &Config) -> Plan {
    Outlook::of(job, None, config).plan.unwrap()
}

fn took(job: Job, config: &Config) -> f64 {
    outlook(job, config).took.unwrap().as_secs_f64()
}

#[track_caller]
fn assert_near(is: f64, expected: f64) {
    assert!((is - expected).abs() < 0.001 * expected.abs().max(1.0), "{is} instead of {expected}");
}

/// Two go at once and have their answers after 0.1 s, from when they count for 10.02 s: the third goes
/// at 10.12, the fifth at 20.24. Red where slots age from the send, or nobody waits for answers.
#[test]
fn a_window_is_waited_for_from_its_answers() {
    let config = two("app");
    let plan = outlook(of("test.it", 5, Class::Normal, &config), &config);
    assert_near(plan.took.unwrap().as_secs_f64(), 20.34);
    assert!(!plan.about);
    assert_near(plan.per_minute, 2.0 / 10.12 * 60.0);
    assert!(matches!(&plan.waits[0].what, Holds::Limit(limit) if &*limit.name == "two"));
    assert!(plan.waits[0].part > 0.9 && !plan.waits[0].for_people);
}

/// Red where workspaces share what is theirs, or do not share what is the app's.
#[test]
fn each_workspace_has_its_own_windows_and_the_app_has_one() {
    let took = |config: &Config| {
        let job = job("test.it", 15, Class::Normal, 3, None, config);
        took(Job { at_once: 15, ..job }, config)
    };
    assert_near(took(&two("app, workspace")), 20.34);
    assert_near(took(&two("app")), 7.0 * 10.12 + 0.1);
}

/// One a second for each channel: ten channels need three rounds of four calls; one channel needs
/// nine times the period and an answer. Red where calls name no channels, or all the same.
#[test]
fn calls_name_another_channel_each_time_or_so_many_in_turn() {
    let config = limited("{ name: one, limit: 1, per: 1s, scope: [app, channel] }");
    let others = of("test.it", 10, Class::Normal, &config);
    assert_near(took(others.clone(), &config), 0.3);
    let one = Calls::Alike { workspaces: 1, channels: NonZeroU64::new(1) };
    assert_near(took(Job { calls: one, ..others }, &config), 9.0 * 1.12 + 0.1);
}

/// Ten in half an hour: of 4812 the last two are begun after 481 half hours. Red where the cap is not
/// kept.
#[test]
fn a_cap_holds_whatever_the_limits_allow() {
    let config = config("");
    let capped = Job {
        cap: Some((10, Duration::from_secs(1800))),
        ..of("conversations.close", 4812, Class::Background, &config)
    };
    let plan = outlook(capped, &config);
    let hours = plan.took.unwrap().as_secs_f64() / 3600.0;
    assert!((240.5..240.6).contains(&hours), "{hours}");
    assert!(matches!(plan.waits[0].what, Holds::Cap) && plan.waits[0].part > 0.9);
    assert_near(plan.per_minute * 60.0, 20.0);
}

/// Of twenty a minute background calls take fifteen, evenly spaced: a period of 60.02 s and an answer
/// for each fifteen. Somebody else gets nine of ten of all twenty. Red where the class or the share is
/// not kept, or what is left is what nobody takes.
#[test]
fn a_job_in_the_background_leaves_room() {
    let config = config("");
    let plan = outlook(of("conversations.close", 4812, Class::Background, &config), &config);
    assert_near(plan.per_minute, 15.0 / 60.12 * 60.0);
    let hours = plan.took.unwrap().as_secs_f64() / 3600.0;
    assert!((hours - 4811.0 / 15.0 * 60.12 / 3600.0).abs() < 0.02, "{hours}");
    assert!(plan.waits[0].for_people, "{:?}", plan.waits);
    let left = plan.left.unwrap();
    assert_eq!(&*left.limit.name, "tier2");
    assert!((4.9..5.1).contains(&left.free), "{left:?}");
    assert!((17.5..18.5).contains(&left.interactive), "{left:?}");
    assert!((17.5..18.5).contains(&left.normal), "{left:?}");
    // Another normal job would have its turns, and so half.
    let normal = outlook(of("conversations.close", 4812, Class::Normal, &config), &config);
    let left = normal.left.unwrap();
    assert!(left.free < 0.5 && (9.5..10.5).contains(&left.normal), "{left:?}");
}

/// A million calls are told within a second or two, and as if all of them had been simulated.
#[test]
fn a_million_calls_are_about_as_long_as_their_pace_says() {
    let config = config("");
    let plan = outlook(of("users.info", 1_000_000, Class::Normal, &config), &config);
    assert!(plan.about);
    let hours = plan.took.unwrap().as_secs_f64() / 3600.0;
    assert!((hours - 1e6 / 100.0 * 60.12 / 3600.0).abs() < 0.2, "{hours}");
}

#[test]
fn what_has_no_limit_is_held_by_nothing() {
    let config = limited("");
    let plan = outlook(of("test.it", 8, Class::Normal, &config), &config);
    assert_near(plan.took.unwrap().as_secs_f64(), 0.2);
    assert!(matches!(plan.waits[0].what, Holds::Answers) && plan.left.is_none());
    assert!(plan.straight.iter().all(|straight| straight.refused == 0));
}

/// A job of so many calls under that limit and cap, a part of it simulated and all of it: how long
/// each says that it takes, and by how much they may differ.
fn begun_and_whole(
    (quota, seconds): (u32, u32),
    class: Class,
    count: u64,
    cap: Option<(u32, u64)>,
) -> (f64, f64, f64) {
    let config = limited(&format!("{{ name: it, limit: {quota}, per: {seconds}s, scope: [app] }}"));
    let cap = cap.map(|(most, every)| (most, Duration::from_secs(every)));
    let job = Job { cap, ..of("test.it", count, class, &config) };
    let took = |simulated| {
        let plan = plan_of(&job, &Before::default(), &config.catalogue, simulated);
        plan.took.unwrap().as_secs_f64()
    };
    let (begun, whole) = (took(200), took(u64::MAX));
    let slack =
        0.02 * whole + f64::from(seconds) + cap.map_or(0.0, |(_, every)| every.as_secs_f64());
    (begun, whole, slack)
}

/// Of 45 calls in each 94 s, 37 go at once, and the others wait longer for the limit than all for the
/// cap. Red where the pace is measured in windows of what is waited for most.
#[test]
fn a_job_keeps_the_pace_of_its_cap_where_that_is_slower_than_its_limit() {
    let (begun, whole, slack) = begun_and_whole((37, 48), Class::Normal, 679, Some((45, 94)));
    assert!((begun - whole).abs() <= slack, "{begun} instead of {whole}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// What is only begun comes to the same as what is simulated to its end. Red where a pace is
    /// measured over a part of a window, or from the start.
    #[test]
    fn a_long_job_goes_on_as_it_has_gone(
        limit in (1..40_u32, 1..90_u32),
        class in prop_oneof![Just(Class::Normal), Just(Class::Background)],
        count in 500..2_500_u64,
        cap in prop::option::of((1..50_u32, 1..100_u64)),
    ) {
        let (begun, whole, slack) = begun_and_whole(limit, class, count, cap);
        prop_assert!((begun - whole).abs() <= slack, "{begun} instead of {whole}");
    }
}

/// By hand: a call each 0.1 s, so the third arrives at 0.25 s, when the first was counted at 0.05: there
/// is room at 10.05, which is 9.8 s and so 10 s to wait. At 10.35 s both old ones are forgotten.
/// Red where `Retry-After` is not slept, or what is shut is counted twice.
#[test]
fn a_loop_without_the_proxy_is_judged_by_the_fake_slack() {
    let config = two("app");
    let of = |count| of("test.it", count, Class::Normal, &config);
    let sleeps = straight(&of(3), &config.catalogue, true);
    let (ms, s) = (Duration::from_millis, Duration::from_secs);
    assert_eq!(sleeps, Straight { refused: 1, lost: 0, shut: s(10), took: ms(10_400) });
    let goes_on = straight(&of(5), &config.catalogue, false);
    assert_eq!(goes_on, Straight { refused: 3, lost: 3, shut: ms(250), took: ms(500) });
    assert_eq!(straight(&of(2), &config.catalogue, true).refused, 0);
    // It is open again at 10.25 s, though whoever asks shortly before has to wait a whole second.
    let cycle = straight(&of(104), &config.catalogue, false);
    assert_eq!(cycle, Straight { refused: 100, lost: 100, shut: s(10), took: ms(10_400) });
    // Two workspaces are refused one after the other: shut from 0.25 s on is shut once.
    let both = job("test.it", 6, Class::Normal, 2, None, &config);
    let both = straight(&both, &config.catalogue, false);
    assert_eq!(both, Straight { refused: 4, lost: 4, shut: ms(350), took: ms(600) });
    // Beyond what is judged it goes on alike: of ten seconds' hundred calls two pass.
    let long = straight(&of(1_000_000), &config.catalogue, false);
    assert!((970_000..990_000).contains(&long.lost) && long.lost == long.refused, "{long:?}");
}

fn live(page: &serde_json::Value) -> Live {
    let mut all = json!({
        "queues": [], "buckets": [], "mode": { "proxy": "enforce", "methods": {} }, "paused": [],
    });
    for (key, value) in page.as_object().unwrap() {
        all[key] = value.clone();
    }
    Live { admin: "http://127.0.0.1:9090".to_owned(), page: serde_json::from_value(all).unwrap() }
}

fn bucket(limit: &str, key: &str, used: u32, waiting: u64, frozen: u64) -> serde_json::Value {
    json!({ "limit": limit, "key": key, "used": used, "quota": 2, "waiting": waiting,
            "frozen_for_ms": frozen })
}

/// Both slots are taken and count as just taken: the next go at 10.02. Four normal calls of another
/// caller wait: a background call goes after them, at 30.26; a normal one takes turns, and goes with the
/// first of them. Red where nobody is before it, or slots are free.
#[test]
fn who_waits_in_a_running_proxy_is_before_it() {
    let config = two("app, workspace, method");
    let live = live(&json!({
        "queues": [{ "method": "test.it", "class": "normal", "caller": "other", "depth": 4,
                     "waits_for": "two:A1/T1/test.it" }],
        "buckets": [bucket("two", "A1/T1/test.it", 2, 4, 0), bucket("two", "A1/T2/test.it", 1, 0, 0)],
    }));
    let took = |class| {
        let job = job("test.it", 1, class, 1, Some(&live), &config);
        assert_eq!(
            (&*job.identities[0].app, &*job.identities[0].workspace),
            ("A1", "T1"),
            "the busiest"
        );
        Outlook::of(job, Some(&live), &config).plan.unwrap().took.unwrap().as_secs_f64()
    };
    assert_near(took(Class::Background), 10.02 + 2.0 * 10.12 + 0.1);
    assert_near(took(Class::Normal), 10.02 + 0.1);
    // A second workspace has one slot taken, a third is new.
    let three = job("test.it", 3, Class::Interactive, 3, Some(&live), &config);
    let names: Vec<_> = three.identities.iter().map(|one| &*one.workspace).collect();
    assert_eq!(names, ["T1", "T2", "workspace-3"]);
}

#[test]
fn what_slack_has_shut_is_waited_for() {
    let config = two("app, workspace, method");
    let live = live(&json!({ "buckets": [bucket("whole_app", "A1", 0, 0, 12_000)] }));
    let job = job("test.it", 1, Class::Normal, 1, Some(&live), &config);
    let outlook = Outlook::of(job, Some(&live), &config);
    assert_near(outlook.plan.as_ref().unwrap().took.unwrap().as_secs_f64(), 12.1);
    assert!(outlook.lines().iter().any(|line| line.contains("whole_app is shut for 12s")));
    assert!(outlook.lines().iter().any(|line| line.contains("whole_app: Slack wants a pause")));
}

/// Red where a pause or a switch is not seen.
#[test]
fn what_never_goes_is_said_with_what_keeps_it() {
    let off = config("methods: { chat.update: { enabled: false } }");
    let outlook = Outlook::of(of("chat.update", 3, Class::Normal, &off), None, &off);
    assert!(outlook.plan.is_none() && outlook.notes()[0].contains("(enabled: false)"));
    let rule = config("callers: [{ name: default, enabled: false }]");
    let outlook = Outlook::of(of("chat.update", 3, Class::Normal, &rule), None, &rule);
    assert!(outlook.notes()[0].contains("the caller default is switched off"));
    let config = config("");
    let pause = |target: &str, name: &str, shed: bool| {
        let mut pause = json!({ "shed": shed, "paused_for_ms": 1, "waiting": 0 });
        pause[target] = name.into();
        let live = live(&json!({ "paused": [pause] }));
        Outlook::of(of("chat.update", 3, Class::Normal, &config), Some(&live), &config)
    };
    let held = pause("method", "chat.update", false);
    assert!(held.plan.is_none());
    assert!(held.notes()[0].contains("wait until `slackwater resume --method chat.update`"));
    let shed = pause("caller", "default", true);
    assert!(shed.plan.is_none() && shed.notes()[0].contains("all its calls are refused"));
    assert_eq!(shed.json()["never"].as_array().unwrap().len(), 1);
    let elsewhere = pause("workspace", "T9", false);
    assert!(
        elsewhere.plan.is_some() && elsewhere.notes()[0].contains("the workspace T9 is paused")
    );
    assert!(pause("method", "chat.delete", false).plan.is_some());
}

/// Red where a few calls are told what a long job would leave, or a job that waits is not.
#[test]
fn what_is_over_before_anything_holds_it_says_nothing_of_what_is_left() {
    let config = config("");
    let left = |count| {
        let job = of("users.info", count, Class::Normal, &config);
        Outlook::of(job, None, &config).lines().iter().any(|line| line.starts_with("  left "))
    };
    assert_eq!([10, 300].map(left), [false, true]);
}

/// Red where the plan keeps quiet about what it does not count.
#[test]
fn a_depth_that_the_job_exceeds_is_warned_of() {
    let notes = |depth: u32| {
        let config = config(&format!("callers: [{{ name: default, max_depth: {depth} }}]"));
        Outlook::of(of("chat.update", 9, Class::Normal, &config), None, &config).notes()
    };
    assert!(notes(3)[0].contains("of the caller default at most 3 calls are held"));
    assert_eq!(notes(4), Vec::<String>::new());
}

#[test]
fn a_proxy_with_other_limits_or_in_shadow_mode_is_warned_of() {
    let config = two("app, workspace, method");
    let mut other = bucket("two", "A1/T1/test.it", 1, 0, 0);
    other["quota"] = 7.into();
    let live = live(&json!({ "buckets": [other], "mode": { "proxy": "shadow", "methods": {} } }));
    let job = job("test.it", 1, Class::Normal, 1, Some(&live), &config);
    let notes = Outlook::of(job, Some(&live), &config).notes();
    assert!(notes[0].contains("test.it is only watched"), "{notes:?}");
    assert!(
        notes[1].contains("the proxy has two at 7, and the configuration here at 2"),
        "{notes:?}"
    );
}

#[test]
fn it_reads_as_people_do() {
    let config = config("");
    let job = Job {
        round_trip: ROUND_TRIP,
        ..of("conversations.close", 4812, Class::Background, &config)
    };
    let mut outlook = Outlook::of(job, None, &config);
    outlook.now = 1_774_000_000;
    assert_eq!(
        outlook.title(),
        "4812 calls of conversations.close, class background, caller default"
    );
    let lines = outlook.lines();
    let (left, lines): (Vec<&String>, Vec<_>) =
        lines.iter().partition(|line| line.starts_with("  left "));
    let expected = [
        "  done      in 5h22m, at Fri, 20 Mar 2026 15:08 GMT if begun now",
        "  pace      14.9 a minute",
        "  held by   tier2: 20 per 1m, per app, workspace and method; a part of it is kept for people",
        "  straight  a loop that sleeps as Retry-After says: 4811 429s, conversations.close shut for \
         3h33m of 4h5m",
        "            one that does not: 4490 429s, conversations.close shut for 14m58s of 16m3s, 4490 \
         calls lost",
        "  assumed   answers after 200ms, 4 calls under way at once, each for another channel; nobody \
         else calls",
    ];
    assert_eq!(lines, expected);
    let [left] = left.as_slice() else { panic!("{left:?}") };
    assert!(
        left.starts_with("  left      5.0 a minute of tier2 that nobody takes; another"),
        "{left}"
    );
}
