//! Gates that let calls pass as there is room behind them.

use limits::Share;

use super::{
    super::{BlockReason, Enqueued, Event, Permit, Policy, RefusalReason, Scheduler, Ticket},
    *,
};

const NOW: Instant = Instant::from_nanos(1 << 40);

fn scheduler() -> Scheduler {
    let bounds = Bounds { per_bucket: 1000, total: 1000 };
    Scheduler::new(Policy { bounds, background: Share::default(), learning: crate::Learning::OFF })
}

fn gates() -> [BucketKey; 2] {
    ["hooks", "all"].map(|name| bucket(&gate("in_flight"), name))
}

fn call(buckets: &[BucketKey], class: Class, caller: u64) -> Call {
    Call {
        buckets: buckets.to_vec(),
        class,
        caller: Caller { id: super::super::CallerId(caller), weight: Weight::ONE },
        deadline: NOW + seconds(30),
        max_depth: None,
        place: None,
        again: Duration::ZERO,
    }
}

#[track_caller]
fn held(scheduler: &mut Scheduler, call: &Call) -> Ticket {
    match scheduler.enqueue(NOW, call) {
        Enqueued::Held(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn granted(scheduler: &mut Scheduler, call: &Call) -> Permit {
    match scheduler.enqueue(NOW, call) {
        Enqueued::Granted(permit) => permit,
        other => panic!("{other:?}"),
    }
}

/// Who goes, and who is sent away.
fn events(scheduler: &mut Scheduler, now: Instant) -> Vec<(Ticket, Option<RefusalReason>)> {
    let mut events = Vec::new();
    scheduler.poll(now, &mut events);
    let told = events.into_iter().map(|event| match event {
        Event::Granted { ticket, .. } => (ticket, None),
        Event::Expired { ticket, refusal } => (ticket, Some(refusal.reason)),
    });
    told.collect()
}

/// Red when a call that goes takes no pass, when passes are added to those that are left, and when a gate
/// that no call needs yet is dropped with them.
#[test]
fn as_many_pass_a_gate_as_may() {
    let mut scheduler = scheduler();
    let [hooks, _] = gates();
    let hook = call(std::slice::from_ref(&hooks), Class::Normal, 1);
    let _going = [2, 1].map(|passes| {
        scheduler.let_pass(NOW, &hooks, passes);
        granted(&mut scheduler, &hook)
    });
    scheduler.let_pass(NOW, &hooks, 0);
    let waiting = [(); 3].map(|()| held(&mut scheduler, &hook));
    assert_eq!(scheduler.waits_for(NOW, waiting[0]).unwrap().1.reason, BlockReason::InFlight);
    assert!(!scheduler.let_pass(NOW, &hooks, 0), "as before");
    assert!(scheduler.let_pass(NOW, &hooks, 1));
    assert_eq!(events(&mut scheduler, NOW), [(waiting[0], None)]);
    assert!(scheduler.let_pass(NOW, &hooks, 1));
    assert_eq!(events(&mut scheduler, NOW), [(waiting[1], None)]);
}

/// Red when calls that need only the wider gate wait behind one that waits for the narrower.
#[test]
fn a_gate_that_is_closed_holds_up_nobody_else() {
    let mut scheduler = scheduler();
    let [hooks, all] = gates();
    scheduler.let_pass(NOW, &hooks, 0);
    scheduler.let_pass(NOW, &all, 0);
    let hook = call(&[hooks.clone(), all.clone()], Class::Normal, 1);
    let api = call(std::slice::from_ref(&all), Class::Normal, 2);
    let hook = [(); 3].map(|()| held(&mut scheduler, &hook));
    let api = [(); 2].map(|()| held(&mut scheduler, &api));
    assert!(scheduler.let_pass(NOW, &all, 2));
    assert_eq!(events(&mut scheduler, NOW), [(api[0], None), (api[1], None)]);
    scheduler.let_pass(NOW, &all, 5);
    scheduler.let_pass(NOW, &hooks, 1);
    assert_eq!(events(&mut scheduler, NOW), [(hook[0], None)]);
}

/// Red when a gate has one line for all classes and callers.
#[test]
fn the_more_urgent_and_the_other_caller_pass_first() {
    let mut scheduler = scheduler();
    let [hooks, _] = gates();
    scheduler.let_pass(NOW, &hooks, 0);
    let hooks = std::slice::from_ref(&hooks);
    let flood = [(); 3].map(|()| held(&mut scheduler, &call(hooks, Class::Normal, 1)));
    let other = held(&mut scheduler, &call(hooks, Class::Normal, 2));
    let click = held(&mut scheduler, &call(hooks, Class::Interactive, 3));
    let mut went = Vec::new();
    for _ in 0..3 {
        scheduler.let_pass(NOW, &hooks[0], 1);
        went.extend(events(&mut scheduler, NOW));
    }
    assert_eq!(went, [(click, None), (flood[0], None), (other, None)]);
}

/// Red when it is told that the operator has paused something.
#[test]
fn who_is_sent_away_before_a_gate_is_told_so() {
    let mut scheduler = scheduler();
    let [hooks, _] = gates();
    scheduler.let_pass(NOW, &hooks, 0);
    let waits = held(&mut scheduler, &call(&[hooks], Class::Normal, 1));
    let late = NOW + seconds(31);
    assert_eq!(events(&mut scheduler, late), [(waits, Some(RefusalReason::InFlight))]);
}
