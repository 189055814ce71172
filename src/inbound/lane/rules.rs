//! Who a call's caller is, and how urgent it is, by rules as an operator writes them.

use config::{
    callers::{CallerHints, Callers},
    check,
};
use http::HeaderMap;
use slack::{AppKind, Catalogue, Method, TokenHash};

use super::*;

fn callers(rules: &str, may_raise: bool) -> Callers {
    let config = check(&format!("callers: {rules}"), "f.yaml", |_| None);
    Callers::new(&config.unwrap_or_else(|problems| panic!("{problems}")).callers, may_raise)
}

/// What becomes of a call with that lane and User-Agent, as its caller and class.
fn of(callers: &Callers, lane: &str, user_agent: &str) -> (String, Class) {
    let path = format!("{lane}/api/x");
    let (lane, _) = Lane::split(&path).unwrap();
    let terms = callers.of(
        CallerHints {
            proved: None,
            caller: lane.caller.as_ref(),
            class: lane.class,
            user_agent,
            token: None,
            app: None,
        },
        None,
    );
    (terms.caller.to_string(), terms.class)
}

/// Turned red by: the ceiling before the default; the method's default over the rule's.
#[test]
fn the_stronger_says_whose_call_it_is_and_how_urgent() {
    let callers = callers(
        "[{ name: job, match: { user_agent: 'job/*' }, class: background, max_class: normal },
          { name: rest, match: { user_agent: '*' } }]",
        true,
    );
    let catalogue = Catalogue::built_in(AppKind::Internal).unwrap();
    let mut method = Method::clone(catalogue.method("chat.update"));
    method.class = Some(Class::Interactive);
    let terms = |lane: &str, header: Option<(&'static str, &str)>, user_agent| {
        let mut headers = HeaderMap::new();
        if let Some((name, value)) = header {
            headers.insert(name, value.parse().unwrap());
        }
        let path = format!("{lane}/api/x");
        let lane = Lane::split(&path).unwrap().0.with_headers(&headers).unwrap();
        let terms = callers.of(
            CallerHints {
                proved: None,
                caller: lane.caller.as_ref(),
                class: lane.class,
                user_agent,
                token: None,
                app: None,
            },
            Some(&method),
        );
        (terms.caller.to_string(), terms.class)
    };
    let (class, caller) = ("slackwater-class", "slackwater-caller");
    let is = |name: &str, class| (name.to_owned(), class);
    // The method's default, where nothing else is.
    assert_eq!(terms("", None, ""), is("rest", Class::Interactive));
    // The rule over the method.
    assert_eq!(terms("", None, "job/1"), is("job", Class::Background));
    // The lane over the rule.
    assert_eq!(terms("/@me;class=normal", None, "job/1"), is("me", Class::Normal));
    // A header over the lane.
    let header = Some((class, "background"));
    assert_eq!(terms("/@me;class=normal", header, "job/1"), is("me", Class::Background));
    assert_eq!(terms("/@me", Some((caller, "you")), ""), is("you", Class::Interactive));
    // The ceiling over all.
    assert_eq!(terms("/@me;class=interactive", None, "job/1"), is("me", Class::Normal));
    assert_eq!(terms("", Some((class, "interactive")), "job/1"), is("job", Class::Normal));
}

#[test]
fn without_rules_a_call_is_what_it_says() {
    let callers = callers("[]", true);
    assert_eq!(of(&callers, "", "job/1"), ("default".to_owned(), Class::Normal));
    let said = of(&callers, "/@me;class=interactive", "job/1");
    assert_eq!(said, ("me".to_owned(), Class::Interactive));
}

#[test]
fn a_ceiling_holds_for_the_methods_default_too() {
    let callers = callers("[{ name: job, max_class: background }]", true);
    assert_eq!(of(&callers, "/@job", "").1, Class::Background);
    assert_eq!(of(&callers, "/@job;class=interactive", "").1, Class::Background);
    assert_eq!(of(&callers, "/@other;class=interactive", "").1, Class::Interactive);
}

#[test]
fn who_is_not_trusted_may_only_be_less_urgent_than_the_rule_says() {
    let callers = callers("[{ name: ui, class: interactive }, { name: bot }]", false);
    assert_eq!(of(&callers, "/@ui", "").1, Class::Interactive);
    assert_eq!(of(&callers, "/@ui;class=background", "").1, Class::Background);
    assert_eq!(of(&callers, "/@bot;class=interactive", "").1, Class::Normal);
}

#[test]
fn a_rule_without_match_is_for_the_lane_of_its_name() {
    let callers =
        callers("[{ name: job, weight: 3, max_depth: 7 }, { name: default, weight: 2 }]", true);
    let terms = |path: &str| {
        let (lane, _) = Lane::split(path).unwrap();
        callers.of(
            CallerHints {
                proved: None,
                caller: lane.caller.as_ref(),
                class: lane.class,
                user_agent: "",
                token: None,
                app: None,
            },
            None,
        )
    };
    let job = terms("/@job/");
    assert_eq!((job.weight.get(), job.max_depth), (3, Some(7)));
    let jobs = terms("/@jobs/");
    assert_eq!((jobs.weight.get(), jobs.max_depth), (1, None));
    // Who gives no name is called so.
    assert_eq!(terms("/").weight.get(), 2);
}

/// Turned red by: a rule that matches by User-Agent and renames whoever gives a name.
#[test]
fn a_given_name_stays_unless_the_rule_matches_by_it() {
    let callers = callers(
        "[{ name: shards, match: { lane: 'shard-*' } },
          { name: py, match: { user_agent: 'py*' }, max_class: background }]",
        true,
    );
    let is = |name: &str, class| (name.to_owned(), class);
    assert_eq!(of(&callers, "/@shard-3", "py/1"), is("shards", Class::Normal));
    assert_eq!(of(&callers, "", "py/1"), is("py", Class::Background));
    assert_eq!(of(&callers, "/@mine;class=normal", "py/1"), is("mine", Class::Background));
}

#[test]
fn every_part_of_a_match_has_to_match() {
    // printf xoxb-1 | sha256sum
    let digits = "4cf3463fc5d89e904a3918be2cae6e2bc407103d12088414b133b4ee53b82fe0";
    let (short, long) = (&digits[..8], digits.to_uppercase());
    let rules = format!(
        "[{{ name: both, match: {{ token_hash: '{long}', lane: 'a*', user_agent: 'py*' }} }},
          {{ name: token, match: {{ token_hash: 'token-{short}' }} }}]"
    );
    let callers = callers(&rules, true);
    assert!(callers.by_token());
    let name = |lane: &str, user_agent, token: Option<&str>| {
        let path = format!("{lane}/api/x");
        let (lane, _) = Lane::split(&path).unwrap();
        let token = token.map(TokenHash::of);
        callers
            .of(
                CallerHints {
                    proved: None,
                    caller: lane.caller.as_ref(),
                    class: lane.class,
                    user_agent,
                    token: token.as_ref(),
                    app: None,
                },
                None,
            )
            .caller
            .to_string()
    };
    assert_eq!(name("/@ab", "py/1", Some("xoxb-1")), "both");
    assert_eq!(name("/@ab", "py/1", Some("xoxb-2")), "ab");
    assert_eq!(name("/@ab", "py/1", None), "ab");
    assert_eq!(name("/@b", "py/1", Some("xoxb-1")), "b");
    assert_eq!(name("", "", Some("xoxb-1")), "token");
    assert_eq!(name("", "", Some("xoxb-2")), "default");
}
