//! Mistakes in rules for callers.

use super::*;

/// A rule, and all that is wrong with it; `{}` stands for the way to it.
fn expect_of_rule(table: &[(&str, &[&str])]) {
    for (rule, problems_of_it) in table {
        let found = problems(&format!("callers: [{rule}]"));
        let found: Vec<&str> =
            found.lines().map(|line| line.splitn(4, ':').nth(3).unwrap()).collect();
        let expected: Vec<String> =
            problems_of_it.iter().map(|it| it.replace("{}", " callers[0]")).collect();
        assert_eq!(found, expected, "{rule}");
    }
}

#[test]
fn rules() {
    expect_of_rule(&[
        ("{}", &["{}: has no name; add one, as in `name: cleanup`"]),
        ("cleanup", &["{}: is a single value; write a mapping, `key: value` each"]),
        ("{ name: x, depth: 1 }", &["{}.depth: is no key here; is it max_depth?"]),
        (
            "{ name: x, match: cleanup }",
            &["{}.match: is a single value; write a mapping, `key: value` each"],
        ),
        (
            "{ name: x, match: { agent: 'x*' } }",
            &["{}.match.agent: is no key here; is it user_agent?"],
        ),
        (
            "{ name: '' }",
            &[
                "{}.name: \"\" is no caller's name; write 1 to 64 printable characters, and no token",
            ],
        ),
        (
            "{ name: ' x' }",
            &[
                "{}.name: \" x\" is no caller's name; write 1 to 64 printable characters, and no token",
            ],
        ),
        (
            "{ name: xoxb-s3cr3t }",
            &[
                "{}.name: what looks like a token is no caller's name; write 1 to 64 printable characters, and no token",
            ],
        ),
        (
            "{ name: 'clean*' }",
            &[
                "{}.name: \"clean*\" is a pattern; write a name, and the pattern as in `match: { lane: \"cleanup-*\" }`",
            ],
        ),
        (
            "{ name: x, class: urgent }",
            &["{}.class: \"urgent\" is none of interactive, normal, background; write one of them"],
        ),
        (
            "{ name: x, class: normal, max_class: background }",
            &[
                "{}.class: class is more urgent than max_class, which is the ceiling; lower the one or raise the other",
            ],
        ),
        (
            "{ name: x, weight: 0 }",
            &["{}.weight: \"0\" is no weight; write a whole number from 1 to 255"],
        ),
        (
            "{ name: x, weight: 256 }",
            &["{}.weight: \"256\" is no weight; write a whole number from 1 to 255"],
        ),
        (
            "{ name: x, max_depth: 0 }",
            &["{}.max_depth: is 0, which would let nothing pass; write 1 or more"],
        ),
    ]);
    expect(&[
        (
            "callers: { cleanup: { weight: 3 } }",
            &["1:1: callers: is a mapping; write a list, as in [a, b]"],
        ),
        (
            "callers:\n- { name: x }\n- { name: x, weight: 0 }",
            &[
                "3:11: callers[1].name: is callers[0].name too; choose another, or delete one rule",
                "3:22: callers[1].weight: \"0\" is no weight; write a whole number from 1 to 255",
            ],
        ),
    ]);
}

#[test]
fn matches() {
    expect_of_rule(&[
        (
            "{ name: x, match: {} }",
            &[
                "{}.match: matches by nothing; name user_agent, lane or token_hash, or delete the key to match the lane by the rule's name",
            ],
        ),
        (
            "{ name: x, match: null }",
            &[
                "{}.match: matches by nothing; name user_agent, lane or token_hash, or delete the key to match the lane by the rule's name",
            ],
        ),
        (
            "{ name: x, match: { user_agent: '' } }",
            &["{}.match.user_agent: \"\" is empty; write a text, with * for any part of it"],
        ),
        (
            "{ name: x, match: { user_agent: 'a**' } }",
            &[
                "{}.match.user_agent: \"a**\" has two stars in a row, which mean no more than one; write one",
            ],
        ),
        (
            "{ name: x, match: { lane: 'shard-[0-9]' } }",
            &[
                "{}.match.lane: \"shard-[0-9]\" has a ? or a [, which stand for nothing here; write * in its place",
            ],
        ),
        (
            "{ name: x, match: { user_agent: \"a\\tb\" } }",
            &[
                "{}.match.user_agent: \"a\\tb\" holds a control character, which nothing that is matched has; delete it",
            ],
        ),
        (
            "{ name: x, match: { lane: 'x ' } }",
            &[
                "{}.match.lane: \"x \" is no caller's name, so it matches none; write 1 to 64 printable characters, and no token",
            ],
        ),
        (
            "{ name: x, match: { token_hash: xoxb-s3cr3t } }",
            &[
                "{}.match.token_hash: is no hash of a token; write 8 to 64 of the hexadecimal digits of its SHA-256, as /status shows it, never the token",
            ],
        ),
        (
            "{ name: x, match: { token_hash: 0123abc } }",
            &[
                "{}.match.token_hash: is no hash of a token; write 8 to 64 of the hexadecimal digits of its SHA-256, as /status shows it, never the token",
            ],
        ),
    ]);
}

/// Turned red by: looking at the rule just before only; comparing texts instead of patterns.
#[test]
fn rules_that_never_count() {
    for (first, second, never) in [
        ("", "lane: a", true),
        ("", "lane: b", false),
        ("", "lane: a, user_agent: x", true),
        ("", "lane: '*'", false),
        ("lane: '*'", "lane: b", true),
        ("lane: 'a*'", "lane: 'ab*c'", true),
        ("lane: 'ab*'", "lane: 'a*'", false),
        ("lane: '*'", "user_agent: x", true),
        ("lane: 'a*'", "user_agent: x", false),
        ("user_agent: x", "user_agent: x, lane: b", true),
        ("user_agent: x, lane: b", "user_agent: x", false),
        ("user_agent: x", "lane: b", false),
        ("token_hash: '0123abcd'", "token_hash: '0123ABCDE'", true),
        ("token_hash: '0123abcde'", "token_hash: '0123abcd'", false),
        ("token_hash: '0123abcd'", "lane: b", false),
    ] {
        let first =
            if first.is_empty() { String::new() } else { format!(", match: {{ {first} }}") };
        let text = format!(
            "callers:\n- {{ name: a{first} }}\n- {{ name: m, match: {{ lane: mm, user_agent: m }} }}\n- {{ name: b, match: {{ {second} }} }}",
        );
        let found = problems(&text);
        let found = found.lines().filter(|line| line.contains("callers[2]")).collect::<Vec<_>>();
        let expected = "f.yaml:4:14: callers[2].match: never counts, since callers[0] before it matches the same calls; put the narrower rule first, or delete one";
        assert_eq!(found, if never { vec![expected] } else { vec![] }, "{text}");
    }
    expect(&[(
        "callers: [{ name: x, match: { lane: '*' } }, { name: y }]",
        &[
            "1:46: callers[1]: never counts, since callers[0] before it matches the same calls; put the narrower rule first, or delete one",
        ],
    )]);
}
