//! What becomes of a moment if from now on all goes well.
//!
//! That something good happens in the end cannot be seen in a tree that is cut off somewhere. So
//! each moment is played on: every message arrives at once, every replica beats and asks in each
//! tick, and every call is answered. Then everybody who waits has to be served within a bounded
//! time, and all slots are returned when nobody wants them any more.

use crate::{
    replica::{Link, Replica},
    rules::Rules,
    world::{Message, Slack, World},
};

/// Whether all is well some time after that moment, whoever waits.
pub fn settles(rules: &Rules, world: &World) -> bool {
    let mut calm = world.clone();
    calm.net.clear();
    for at in 0..calm.replicas.len() {
        if calm.replicas[at].stopped {
            calm.goes_on(rules, at);
        }
        calm.replicas[at].times_out();
    }
    let alive = |at: &usize| calm.replicas[*at].alive;
    let all: Vec<_> = (0..calm.replicas.len()).filter(alive).collect();
    all.is_empty()
        || serves(rules, calm.clone(), &all)
            && all.iter().all(|at| serves(rules, calm.clone(), &[*at]))
}

/// Whether those replicas are served, which wait, and all is returned after that.
fn serves(rules: &Rules, mut world: World, waiting: &[usize]) -> bool {
    let mut served = vec![false; world.replicas.len()];
    // What was forgotten or is not told yet has to end, and then each has its turn.
    let grace = rules.lease + rules.stale + 2 * rules.slowest();
    let turns = waiting.iter().map(|_| rules.longest()).sum::<u8>();
    for _ in 0..grace + turns {
        passes(rules, &mut world, waiting, &mut served);
    }
    // Whoever was forgotten when the model had no names left is not alive any more.
    let is_served = |at: &usize| served[*at] || !world.replicas[*at].alive;
    let all_are_served = waiting.iter().all(is_served);
    for _ in 0..grace {
        passes(rules, &mut world, &[], &mut served);
    }
    // What nobody has told the store drops when it is asked.
    if let Some(at) = waiting.iter().copied().find(|at| world.replicas[*at].is_on()) {
        let (name, ask) = world.ask(rules, at, 0);
        delivers(rules, &mut world, Message::Ask(name, 0, ask));
    }
    let held =
        |replica: &Replica| world.store.records[replica.name].is_some_and(|it| it.held() > 0);
    let all_is_returned = !world.replicas.iter().any(|replica| replica.alive && held(replica));
    all_are_served && all_is_returned && world.store.cold.is_none()
}

/// A tick passes, in which everybody speaks and is heard.
fn passes(rules: &Rules, world: &mut World, waiting: &[usize], served: &mut [bool]) {
    for at in 0..world.replicas.len() {
        for again in 0..3 {
            let replica = &world.replicas[at];
            if replica.is_on() && (again == 0 || replica.link != Link::Connected) {
                let message = world.beat(at);
                delivers(rules, world, message);
            }
        }
        let (used, wants) = (world.used(at), u8::from(waiting.contains(&at)));
        let replica = &world.replicas[at];
        let speaks = replica.is_on() && replica.link == Link::Connected;
        if speaks && replica.has_news(rules, used, wants) {
            let (name, ask) = world.ask(rules, at, wants);
            delivers(rules, world, Message::Ask(name, 0, ask));
        }
        for &at in waiting {
            while world.may_send(rules, at) {
                world.send(rules, at);
                served[at] = true;
            }
        }
    }
    for call in 0..world.calls.len() {
        if matches!(world.calls[call].slack, Slack::Flight(_)) {
            world.answer(rules, call);
        }
    }
    world.tick(rules);
}

fn delivers(rules: &Rules, world: &mut World, message: Message) {
    for answer in world.arrives(rules, message) {
        let hears = answer.to().and_then(|name| world.named(name));
        if hears.is_some_and(|at| world.replicas[at].is_on()) {
            world.arrives(rules, answer);
        }
    }
}
