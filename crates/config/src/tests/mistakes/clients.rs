//! Mistakes in what is said of clients, and in how long callers wait.

use super::*;

#[test]
fn a_client_has_a_name_a_sign_and_a_wait() {
    expect(&[
        (
            "clients: [{}]",
            &[
                "1:11: clients[0]: has no name; add one, as in `name: importer`",
                "1:11: clients[0]: has no user_agent; add one, as in `user_agent: \"importer/*\"`",
                "1:11: clients[0]: has no max_wait; add one, as in `max_wait: 50s`",
            ],
        ),
        ("clients: { name: x }", &["1:1: clients: is a mapping; write a list, as in [a, b]"]),
        (
            "clients: [{ name: x, user_agent: 'x/*', max_wait: 1s, keep_alife: interim }]",
            &["1:55: clients[0].keep_alife: is no key here; is it keep_alive?"],
        ),
        (
            "clients: [{ name: x, user_agent: 'x/*', max_wait: 1s, keep_alive: interm, stops_whole: 1, retries: broken_conections }]",
            &[
                "1:67: clients[0].keep_alive: \"interm\" is none of interim, none; is it interim?",
                "1:88: clients[0].stops_whole: \"1\" is none of true, false; write one of them",
                "1:100: clients[0].retries: \"broken_conections\" is none of broken_connections, none; is it broken_connections?",
            ],
        ),
        (
            "clients: [{ name: '', user_agent: '', max_wait: 1s }]",
            &[
                "1:19: clients[0].name: is empty; give it a value, or delete the key",
                "1:35: clients[0].user_agent: \"\" is empty; write a text, with * for any part of it",
            ],
        ),
        (
            "clients:\n- { name: x, user_agent: 'x/*', max_wait: 1s }\n- { name: x, user_agent: 'x/1', max_wait: 1s }",
            &[
                "3:3: clients[1]: never counts, since clients[0] before it matches the same calls; put the narrower rule first, or delete one",
                "3:11: clients[1].name: is clients[0].name too; choose another, or delete one rule",
            ],
        ),
    ]);
}

#[test]
fn waits() {
    for (wait, said) in [
        ("8", "\"8\" has no unit; write ms, s, m or h after the number, as in 10s"),
        ("-8s", "\"-8s\" is not a duration; write a number and its unit, as in 10s, 1.5s or 1h30m"),
        ("24h1s", "\"24h1s\" is too long; the longest is 24h"),
        ("8761h", "\"8761h\" is too long; the longest is 8760h"),
        ("0s", "is no time at all; write more than 0s"),
    ] {
        let client = format!("clients: [{{ name: x, user_agent: 'x/*', max_wait: {wait} }}]");
        let said_of_it = format!("1:51: clients[0].max_wait: {said}");
        expect(&[(&client, &[&said_of_it])]);
        let caller = format!("callers: [{{ name: x, max_wait: {wait} }}]");
        let said_of_it = format!("1:32: callers[0].max_wait: {said}");
        // A caller whose calls are never held is one.
        let said_of_it: &[&str] = if wait == "0s" { &[] } else { &[&said_of_it] };
        expect(&[(&caller, said_of_it)]);
    }
}
