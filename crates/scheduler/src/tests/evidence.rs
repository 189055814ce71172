//! Refusals close together shut what they have in common.

use super::{
    super::{Freeze, Learning, Note, Policy, Scheduler},
    *,
};

/// The buckets of a call to a method of a workspace, and to a channel.
fn call(workspace: &str, method: &str, channel: Option<&str>) -> Vec<BucketKey> {
    use Dimension::{App, Channel, Method, Workspace};
    let tier = per(&rate("tier", 20, 60_000, AgeFrom::Answer), &[Workspace, Method]);
    let slow = per(&rate("slow", 2, 60_000, AgeFrom::Answer), &[Workspace, Method, Channel]);
    let (all, app) = (open("workspace", &[App, Workspace]), open("app", &[App]));
    let method = format!("{workspace}/{method}");
    let mut buckets = vec![bucket(&tier, &method), bucket(&all, workspace), bucket(&app, "A")];
    if let Some(channel) = channel {
        buckets.push(bucket(&slow, &format!("{method}/{channel}")));
    }
    buckets
}

/// Two calls go, and the second is refused: its narrowest limit is the one most used.
fn refused(model: &mut Model, buckets: &[BucketKey], retry_after: u64) -> Vec<String> {
    let calls = flood(model, buckets, 1, 2);
    let freezes = model.refuse(calls[1], seconds(retry_after));
    for number in calls {
        model.settle(number, Outcome::Refused);
    }
    told(freezes, model)
}

/// What is closed, and for how many seconds.
fn told(freezes: Vec<Freeze>, model: &Model) -> Vec<String> {
    let told = |freeze: Freeze| {
        format!("{} for {}", freeze.bucket, freeze.until.since(model.now).as_secs())
    };
    freezes.into_iter().map(told).collect()
}

/// Red without evidence, and when the later pause counts.
#[test]
fn two_channels_close_their_method_until_the_earlier_pause_is_over() {
    let mut model = Model::new();
    let first = refused(&mut model, &call("T", "m", Some("C1")), 30);
    assert_eq!(first, ["slow:T/m/C1 for 30"]);
    model.pass(seconds(9));
    let second = refused(&mut model, &call("T", "m", Some("C2")), 60);
    assert_eq!(second, ["slow:T/m/C2 for 60", "tier:T/m for 21"]);
}

/// Red when evidence is kept for ever.
#[test]
fn refusals_eleven_seconds_apart_have_nothing_in_common() {
    let mut model = Model::new();
    refused(&mut model, &call("T", "m", Some("C1")), 30);
    model.pass(seconds(11));
    let second = refused(&mut model, &call("T", "m", Some("C2")), 60);
    assert_eq!(second, ["slow:T/m/C2 for 60"]);
}

/// Red when open buckets are not looked at.
#[test]
fn two_methods_close_their_workspace() {
    let mut model = Model::new();
    assert_eq!(refused(&mut model, &call("T", "m", None), 60), ["tier:T/m for 60"]);
    model.pass(seconds(5));
    let second = refused(&mut model, &call("T", "n", None), 30);
    assert_eq!(second, ["tier:T/n for 30", "workspace:T for 30"]);
}

/// Red when a level above has no evidence of its own.
#[test]
fn two_workspaces_close_the_app() {
    let mut model = Model::new();
    refused(&mut model, &call("T", "m", None), 30);
    let second = refused(&mut model, &call("U", "m", None), 30);
    assert_eq!(second, ["tier:U/m for 30", "app:A for 30"]);
}

/// Red when each refusal is evidence.
#[test]
fn a_refusal_of_a_call_that_was_on_its_way_is_no_evidence() {
    let mut model = Model::new();
    let first = call("T", "m", Some("C1"));
    let calls = flood(&mut model, &first, 1, 2);
    model.refuse(calls[0], seconds(60));
    model.pass(seconds(8));
    let again = model.refuse(calls[1], seconds(60));
    assert_eq!(told(again, &model), ["slow:T/m/C1 for 60"]);
    model.pass(seconds(7));
    let other = refused(&mut model, &call("T", "m", Some("C2")), 60);
    assert_eq!(other, ["slow:T/m/C2 for 60"], "the first surprise was fifteen seconds ago");
}

/// Red when a whole workspace is shut for as long as two answers say.
#[test]
fn what_is_shut_on_evidence_is_shut_for_ten_minutes_at_most() {
    let mut model = Model::new();
    assert_eq!(refused(&mut model, &call("T", "m", None), 3600), ["tier:T/m for 3600"]);
    let second = refused(&mut model, &call("T", "n", None), 3600);
    assert_eq!(second, ["tier:T/n for 3600", "workspace:T for 600"]);
}

/// Red when a freeze cannot be ended, when all of them end, when calls do not go before it would have ended
/// by itself, and when they go without a probe.
#[test]
fn a_freeze_that_is_ended_is_probed_at_once_and_forgotten() {
    let mut model = Model::new();
    refused(&mut model, &call("T", "m", None), 3600);
    model.pass(seconds(11));
    refused(&mut model, &call("T", "n", None), 3600);
    flood(&mut model, &call("T", "m", None), 1, 5);
    model.pass(seconds(100));
    assert_eq!((model.held.len(), model.in_flight.len()), (5, 0));
    assert_eq!(model.thaw(|key| key.to_string() == "tier:T/m"), ["tier:T/m"]);
    assert_eq!((model.held.len(), model.in_flight.len()), (4, 1), "one call probes");
    assert_eq!(model.thaw(|key| key.to_string() == "tier:T/m"), Vec::<String>::new(), "it is over");
    let probe = *model.in_flight.keys().next().unwrap();
    model.settle(probe, Outcome::Answered);
    assert_eq!(model.in_flight.len(), 2);
}

/// Red when a successor is told of a freeze that was ended, or of less than the longer of two.
#[test]
fn a_successor_is_told_when_a_freeze_ends() {
    let bounds = Bounds { per_bucket: 10, total: 10 };
    let learning = Learning::OFF;
    let mut scheduler =
        Scheduler::new(Policy { bounds, background: limits::Share::default(), learning });
    scheduler.take_notes();
    let (now, buckets) = (Instant::ZERO, call("T", "m", None));
    scheduler.freeze(now, buckets[0].clone(), now + seconds(3600));
    scheduler.freeze(now, buckets[0].clone(), now + seconds(60));
    scheduler.freeze(now, buckets[1].clone(), now + seconds(3600));
    scheduler.thaw(now + seconds(9), |key| *key == buckets[1]);
    let mut notes = Vec::new();
    scheduler.notes(&mut notes);
    let ends = notes.iter().map(|note| match note {
        Note::Frozen(freeze) => freeze.until.since(now).as_secs(),
        note => panic!("{note:?}"),
    });
    assert_eq!(ends.collect::<Vec<_>>(), [3600, 3600, 3600, 9]);
}

/// Red when a freeze ends without a probe.
#[test]
fn one_call_probes_a_workspace_that_was_shut() {
    let mut model = Model::new();
    refused(&mut model, &call("T", "m", None), 30);
    refused(&mut model, &call("T", "n", None), 30);
    flood(&mut model, &call("T", "o", None), 1, 10);
    model.pass(millis(29_999));
    assert_eq!(model.in_flight.len(), 0, "all of the workspace is shut");
    model.pass(millis(1));
    assert_eq!(model.in_flight.len(), 1, "one call probes");
    let probe = *model.in_flight.keys().next().unwrap();
    model.settle(probe, Outcome::Answered);
    assert_eq!(model.in_flight.len(), 2);
}

/// Red when what is open has a window.
#[test]
fn any_number_of_calls_goes_through_what_is_open() {
    let whole = [bucket(&open("workspace", &[Dimension::Workspace]), "T")];
    let mut model = Model::new();
    flood(&mut model, &whole, 1, 300);
    assert_eq!(model.in_flight.len(), 300);
}
