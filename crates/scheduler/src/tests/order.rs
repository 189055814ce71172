//! Who goes before whom.

use super::*;

/// Red with: first in, first out.
#[test]
fn one_call_does_not_wait_behind_ten_thousand_of_another_caller() {
    let tier = rate("tier", 1, 1000, AgeFrom::Answer);
    let mut model = Model::new();
    for _ in 0..1000 {
        model.arrive(&[bucket(&tier, "w")], Class::Normal, 1, PATIENT);
    }
    let one = model.arrive(&[bucket(&tier, "w")], Class::Normal, 2, PATIENT);
    let mut order = Vec::new();
    while order.len() < 3 {
        let number = *model.in_flight.keys().next().unwrap();
        order.push(number);
        model.settle(number, Outcome::Answered);
        model.pass(millis(1020));
    }
    assert_eq!(order, [1, one, 2]);
}

/// Red with: a turn charged only in the bucket where the call stood.
#[test]
fn a_turn_taken_from_one_line_counts_in_the_others() {
    let workspace = rate("workspace", 1, 1000, AgeFrom::Answer);
    let channel = rate("channel", 1, 10_000, AgeFrom::Answer);
    let (both, one) = ([bucket(&workspace, "w"), bucket(&channel, "c")], [bucket(&workspace, "w")]);
    let mut model = Model::new();
    for (keys, caller) in [(&both[..], 1), (&one[..], 2)] {
        let number = model.arrive(keys, Class::Normal, caller, PATIENT);
        model.settle(number, Outcome::Answered);
        model.pass(seconds(2));
    }
    let from_channel = model.arrive(&both, Class::Normal, 1, PATIENT);
    model.pass(seconds(7));
    assert!(model.in_flight.contains_key(&from_channel));
    model.arrive(&one, Class::Normal, 1, PATIENT);
    let next = model.arrive(&one, Class::Normal, 2, PATIENT);
    model.settle(from_channel, Outcome::Answered);
    model.pass(seconds(2));
    assert_eq!(model.in_flight.keys().copied().collect::<Vec<_>>(), [next]);
}

/// Red with: first in, first out.
#[test]
fn thirty_channels_do_not_buy_thirty_turns() {
    let shared = rate("workspace", 2, 1000, AgeFrom::Answer);
    let channel = rate("channel", 1, 1, AgeFrom::Send);
    let mut model = Model::new();
    let mut sent = [0_u32; 3];
    for round in 0..60 {
        for name in 0..30 {
            let keys = [bucket(&shared, "w"), bucket(&channel, &format!("c{name}"))];
            if round % 5 == 0 {
                model.arrive(&keys, Class::Normal, 1, PATIENT);
            }
        }
        let keys = [bucket(&shared, "w"), bucket(&channel, "one")];
        model.arrive(&keys, Class::Normal, 2, PATIENT);
        model.arrive(&keys, Class::Normal, 2, PATIENT);
        for number in model.in_flight.keys().copied().collect::<Vec<_>>() {
            sent[usize::try_from(model.in_flight[&number].1.caller).unwrap()] += 1;
            model.settle(number, Outcome::Answered);
        }
        model.pass(millis(1020));
    }
    assert!(sent[1].abs_diff(sent[2]) <= 4, "{sent:?}");
}

/// Red where a caller saves up the turns that it could not use.
#[test]
fn who_was_held_up_elsewhere_comes_back_one_turn_behind_at_most() {
    let tier = bucket(&rate("tier", 1, 980, AgeFrom::Answer), "w");
    let other = bucket(&at_once("other", 1), "w");
    let mut model = Model::new();
    let holds_up = model.arrive(std::slice::from_ref(&other), Class::Normal, 3, PATIENT);
    let held_up = flood(&mut model, &[tier.clone(), other], 1, 20);
    flood(&mut model, &[tier], 2, 60);
    for second in 0..60 {
        for number in model.in_flight.keys().copied().collect::<Vec<_>>() {
            if number != holds_up || second == 30 {
                model.settle(number, Outcome::Answered);
            }
        }
        model.pass(seconds(1));
    }
    let is_held_up = |number: &u64| held_up.contains(number);
    let turns: Vec<_> = sent(&model, 1).iter().map(is_held_up).collect();
    assert!(!turns[..30].contains(&true));
    for four in turns[33..50].windows(4) {
        assert_eq!(four.iter().filter(|own| **own).count(), 2, "{turns:?}");
    }
}

/// Red when the place of a call in memory decides, which another one had before it.
#[test]
fn the_oldest_of_a_caller_s_calls_goes_first_whatever_channel_it_is_for() {
    let tier = rate("tier", 1, 980, AgeFrom::Answer);
    let channel = rate("channel", 100, 1000, AgeFrom::Answer);
    let to = |name: &str| [bucket(&tier, "w"), bucket(&channel, name)];
    let mut model = Model::new();
    let first = ["1", "2", "3"].map(|name| flood(&mut model, &to(name), 1, 1)[0]);
    model.pass_answering(seconds(1));
    let second = ["4", "5"].map(|name| flood(&mut model, &to(name), 1, 1)[0]);
    model.pass_answering(seconds(5));
    assert_eq!(sent(&model, 0), [&first[..], &second[..]].concat());
}

#[test]
fn a_busy_channel_holds_up_no_other() {
    let workspace = rate("workspace", 100, 60_000, AgeFrom::Answer);
    let channel = rate("channel", 1, 1000, AgeFrom::Answer);
    let mut model = Model::new();
    for _ in 0..50 {
        let keys = [bucket(&workspace, "w"), bucket(&channel, "busy")];
        model.arrive(&keys, Class::Interactive, 1, PATIENT);
    }
    let keys = [bucket(&workspace, "w"), bucket(&channel, "quiet")];
    let quiet = model.arrive(&keys, Class::Background, 1, PATIENT);
    assert!(model.in_flight.contains_key(&quiet));
}

/// Of ten grants one is background's and two are normal's. Red without floors.
#[test]
fn a_flood_of_urgent_calls_starves_nobody() {
    let tier = rate("tier", 1, 1000, AgeFrom::Answer);
    let mut model = Model::new();
    for class in Class::ALL {
        for _ in 0..200 {
            model.arrive(&[bucket(&tier, "w")], class, 1, PATIENT);
        }
    }
    let mut classes = Vec::new();
    for _ in 0..200 {
        let number = *model.in_flight.keys().next().unwrap();
        classes.push(model.in_flight[&number].1.class);
        model.settle(number, Outcome::Answered);
        model.pass(millis(1020));
    }
    for ten in classes[1..].windows(10) {
        let count = |class| ten.iter().filter(|other| **other == class).count();
        assert!(count(Class::Background) >= 1, "{ten:?}");
        assert!(count(Class::Normal) >= 2, "{ten:?}");
        assert!(count(Class::Interactive) >= 6, "{ten:?}");
    }
}

/// Red when every turn is a whole step.
#[test]
fn a_caller_of_weight_three_has_three_turns_where_one_of_weight_one_has_one() {
    let tier = [bucket(&rate("tier", 1, 980, AgeFrom::Answer), "w")];
    let mut model = Model::new();
    for _ in 0..40 {
        model.offer(&tier, |call| call.caller = Caller { weight: weight(3), ..of(1) });
    }
    let light = flood(&mut model, &tier, 2, 40);
    model.pass_answering(seconds(40));
    for eight in sent(&model, 1)[..32].chunks(8) {
        let turns = eight.iter().filter(|number| light.contains(number)).count();
        assert_eq!(turns, 2, "of {eight:?}");
    }
}
