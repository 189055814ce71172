//! Every mistake that a configuration can have, and what is said of it.

use super::*;

mod access;
mod callers;
mod clients;
mod outgoing;
mod savings;
mod shared;
mod traces;

/// A text, and all that is wrong with it, without the file's name.
fn expect(table: &[(&str, &[&str])]) {
    for (text, expected) in table {
        let found = problems(text);
        let found: Vec<&str> =
            found.lines().map(|line| line.strip_prefix("f.yaml:").unwrap_or(line)).collect();
        assert_eq!(found, *expected, "{text}");
    }
}

#[test]
fn keys_and_forms() {
    expect(&[
        ("lisen: 127.0.0.1:1", &["1:1: lisen: is no key here; is it listen?"]),
        ("queue: { max_wate: 1s }", &["1:10: queue.max_wate: is no key here; is it max_wait?"]),
        (
            "queue: { zzz: 1s }",
            &[
                "1:10: queue.zzz: is no key here; the keys here are max_wait, max_hold, max_depth, max_total, max_bytes, max_in_flight, max_in_flight_per_server",
            ],
        ),
        (
            "app: internal\napp: unlisted",
            &["2:1: app: is there twice, first on line 1; delete one of them"],
        ),
        (
            "methods:\n  chat.update: {}\n  chat.update: {}",
            &["3:3: methods.chat.update: is there twice, first on line 2; delete one of them"],
        ),
        ("listen:", &["1:1: listen: has no value; give it one, or delete the key"]),
        ("listen: [a]", &["1:1: listen: is a list; write a single value"]),
        ("queue: 8s", &["1:8: queue: is a single value; write a mapping, `key: value` each"]),
        ("upstreams: { a: b }", &["1:1: upstreams: is a mapping; write a list, as in [a, b]"]),
        ("- a", &["1:1: is a list; write a mapping, `key: value` each"]),
        ("nonsense", &["1:1: is a single value; write a mapping, `key: value` each"]),
        (
            "app: ''",
            &["1:6: app: \"\" is none of internal, marketplace, unlisted; write one of them"],
        ),
        (
            "ap: 1\n---\nb: 2",
            &[
                "1:1: ap: is no key here; is it app?",
                "2:1: a second document; one file is one document, so delete the `---`",
            ],
        ),
    ]);
}

#[test]
fn values() {
    expect(&[
        (
            "drain_timeout: 10",
            &[
                "1:16: drain_timeout: \"10\" has no unit; write ms, s, m or h after the number, as in 10s",
            ],
        ),
        (
            "drain_timeout: 1d",
            &[
                "1:16: drain_timeout: \"1d\" has an unknown unit; the units are ms, s, m and h, as in 1h30m",
            ],
        ),
        (
            "drain_timeout: soon",
            &[
                "1:16: drain_timeout: \"soon\" is not a duration; write a number and its unit, as in 10s, 1.5s or 1h30m",
            ],
        ),
        (
            "timeouts: { connect: 0s }",
            &["1:22: timeouts.connect: is no time at all; write more than 0s"],
        ),
        ("memory: 16MiB", &["1:9: memory: is less than slackwater needs; write 32MiB or more"]),
        (
            "queue: { max_bytes: 10 }",
            &[
                "1:21: queue.max_bytes: \"10\" has no unit; write B, KiB, MiB or GiB after the number, as in 32MiB",
            ],
        ),
        (
            "queue: { max_bytes: 10MB }",
            &[
                "1:21: queue.max_bytes: \"10MB\" has an unknown unit; the units are B, KiB, MiB and GiB, each 1024 of the one before",
            ],
        ),
        (
            "queue: { max_in_flight: 4, max_in_flight_per_server: 5 }",
            &[
                "1:54: queue.max_in_flight_per_server: is more than max_in_flight, which is the most to all servers together; lower the one or raise the other",
            ],
        ),
        (
            "queue: { max_bytes: 0B }",
            &["1:21: queue.max_bytes: is 0, which would let nothing pass; write more"],
        ),
        (
            "queue: { max_depth: 0 }",
            &["1:21: queue.max_depth: is 0, which would let nothing pass; write 1 or more"],
        ),
        (
            "queue: { max_depth: -1 }",
            &["1:21: queue.max_depth: \"-1\" is no whole number; write one from 1 up"],
        ),
        (
            "queue: { max_depth: 1e3 }",
            &["1:21: queue.max_depth: \"1e3\" is no whole number; write one from 1 up"],
        ),
        (
            "queue: { max_wait: 2h }",
            &[
                "1:20: queue.max_wait: max_wait is longer than max_hold, which is the longest any call is held; lower the one or raise the other",
            ],
        ),
        (
            "queue: { max_hold: 1s }",
            &[
                "1:20: queue.max_hold: max_wait is longer than max_hold, which is the longest any call is held; lower the one or raise the other",
            ],
        ),
        (
            "trust_callers: yes",
            &["1:16: trust_callers: \"yes\" is none of auto, always, never; write one of them"],
        ),
        (
            "log: { level: wran }",
            &["1:15: log.level: \"wran\" is none of error, warn, info, debug, trace; is it warn?"],
        ),
        (
            "on_429: { max_attempts: ten }",
            &["1:25: on_429.max_attempts: \"ten\" is no whole number; write one from 1 up"],
        ),
    ]);
}

#[test]
fn addresses() {
    const ADVICE: &str = "write an IP address and a port, as in 127.0.0.1:8080 (or 0.0.0.0:8080 for every interface)";
    for address in ["localhost:8080", "':8080'", "8080", "127.0.0.1", "127.0.0.1:99999", "::1:80"] {
        let bare = address.trim_matches('\'');
        let expected = format!("f.yaml:1:9: listen: {bare:?} is not an address; {ADVICE}");
        assert_eq!(problems(&format!("listen: {address}")), expected);
    }
    expect(&[
        (
            "listen: 127.0.0.1:9090",
            &["1:9: listen: is the address of admin.listen too; give the two different ports"],
        ),
        (
            "admin: { listen: 127.0.0.1:8080 }",
            &["1:18: admin.listen: is the address of listen too; give the two different ports"],
        ),
        (
            "admin: { listen: 0.0.0.0:8080 }",
            &["1:18: admin.listen: is the address of listen too; give the two different ports"],
        ),
        ("listen: 127.0.0.1:0\nadmin: { listen: 127.0.0.1:0 }", &[]),
        ("listen: 127.0.0.1:9090\nadmin: { listen: 127.0.0.2:9090 }", &[]),
    ]);
}

#[test]
fn upstreams() {
    const ROOT: &str = "upstreams: [{ kind: plain, url: 'http://h/', prefix: ";
    for (prefix, wrong) in [
        ("''", "is empty; write / for every path"),
        ("api/", "does not begin and end with a slash; write it as in /api/"),
        ("/api", "does not begin and end with a slash; write it as in /api/"),
        ("/@x/", "begins with /@, which names a caller; choose another"),
        (
            "/a b/",
            "holds a character that no prefix needs; write letters, digits, - _ . ~ and slashes",
        ),
        (
            "/a%2f/",
            "holds a character that no prefix needs; write letters, digits, - _ . ~ and slashes",
        ),
        ("/a//b/", "has an empty part or a part of dots; write it as in /api/"),
        ("/a/../", "has an empty part or a part of dots; write it as in /api/"),
    ] {
        let expected = format!("f.yaml:1:54: upstreams[0].prefix: {wrong}");
        assert_eq!(problems(&format!("{ROOT}{prefix} }}]")), expected, "{prefix}");
    }
    for (url, wrong) in [
        ("slack.com/api/", "is no http or https URL; write one as in https://slack.com/api/"),
        ("ftp://h/", "is no http or https URL; write one as in https://slack.com/api/"),
        ("'http:// h/'", "is no http or https URL; write one as in https://slack.com/api/"),
        ("/api/", "is no http or https URL; write one as in https://slack.com/api/"),
        ("https://u:s3cr3t@h/", "holds a user name or a password, which are not sent; delete them"),
        ("https://h:99999/", "has no host, or a bad port; write it as in https://slack.com/api/"),
        ("https://:80/", "has no host, or a bad port; write it as in https://slack.com/api/"),
        ("https://h/?a=b", "has a query or a fragment, which would be lost; delete it"),
        ("'https://h/#a'", "has a query or a fragment, which would be lost; delete it"),
        (
            "https://h/api",
            "does not end with a slash; add one, since the prefix that it replaces has one",
        ),
    ] {
        let text = format!("upstreams: [{{ kind: plain, prefix: /, url: {url} }}]");
        assert_eq!(problems(&text), format!("f.yaml:1:44: upstreams[0].url: {wrong}"), "{url}");
    }
    for url in ["https://h", "http://127.0.0.1:80/", "http://[::1]/", "http://[::1]:80/a/"] {
        assert_eq!(
            problems(&format!("upstreams: [{{ kind: plain, prefix: /, url: '{url}' }}]")),
            ""
        );
    }
    expect(&[
        (
            "upstreams: []",
            &[
                "1:1: upstreams: is empty, so that no call goes anywhere; list one, or delete the key",
            ],
        ),
        (
            "upstreams: [{}]",
            &[
                "1:13: upstreams[0]: has no prefix; add one, as in `prefix: /api/`",
                "1:13: upstreams[0]: has no url; add one, as in `url: https://slack.com/api/`",
                "1:13: upstreams[0]: has no kind; add one, as in `kind: web_api`",
            ],
        ),
        (
            "upstreams:\n- { prefix: /a/, url: 'http://h/', kind: plain }\n- { prefix: /a/b/, url: 'http://h/', kind: plain }",
            &[
                "3:13: upstreams[1].prefix: is never reached, since upstreams[0].prefix takes its paths; put the longer prefix first",
            ],
        ),
        (
            "upstreams: [{ prefix: /s/, url: 'http://h/', kind: webapi }]",
            &[
                "1:52: upstreams[0].kind: \"webapi\" is none of web_api, webhook, response_url, trigger, scim, audit, plain; is it web_api?",
            ],
        ),
        (
            "govslack: true\nupstreams: [{ prefix: /, url: 'http://h/', kind: plain }]",
            &[
                "1:11: govslack: stands for the default upstreams, and `upstreams` replaces them; delete this key and write slack-gov.com into the URLs, or delete `upstreams`",
            ],
        ),
        ("govslack: yes", &["1:11: govslack: \"yes\" is none of true, false; write one of them"]),
    ]);
}

#[test]
fn methods() {
    expect(&[
        (
            "methods: { conversation.close: { class: background } }",
            &[
                "1:12: methods.conversation.close: is no method of the catalogue; is it conversations.close? For a method that is new, name its tier",
            ],
        ),
        (
            "methods: { zzz: {} }",
            &[
                "1:12: methods.zzz: is no method of the catalogue; for a method that is new, name its tier",
            ],
        ),
        (
            "methods: { other: { tier: tier1 } }",
            &[
                "1:12: methods.other: stands for all methods that are not known; set unknown_method instead",
            ],
        ),
        (
            "methods: { 'a b': { tier: tier1 } }",
            &["1:12: methods.a b: is no name of a method; write one as in conversations.close"],
        ),
        (
            "methods: { chat.update: { class: urgent } }",
            &[
                "1:34: methods.chat.update.class: \"urgent\" is none of interactive, normal, background; write one of them",
            ],
        ),
        (
            "methods: { chat.update: { reads: yes } }",
            &["1:34: methods.chat.update.reads: \"yes\" is none of true, false; write one of them"],
        ),
        (
            "methods: { chat.postMessage: { limits: [] } }",
            &[
                "1:12: methods.chat.postMessage: tier special has no limit of its own; list the method's limits, or name another tier (none for no limit)",
            ],
        ),
        (
            "unknown_method: special",
            &[
                "1:17: unknown_method: \"special\" is none of tier1, tier2, tier3, tier4, none; write one of them",
            ],
        ),
        (
            "tiers: { tier2: { limit: 0 } }",
            &["1:26: tiers.tier2.limit: is 0, which would let nothing pass; write 1 or more"],
        ),
        ("tiers: { tier5: { limit: 1 } }", &["1:10: tiers.tier5: is no key here; is it tier1?"]),
        (
            "methods:\n  chat.delete:\n    limits: [{ name: close_app_wide, limit: 9, per: 1s, scope: [app] }]",
            &[
                "2:3: methods.chat.delete: limits of one name in conversations.close and in chat.delete differ; they would be one limit, so choose another name",
            ],
        ),
    ]);
}

#[test]
fn limits() {
    for (limit, problems_of_it) in [
        (
            "{}",
            &[
                "{}: has no name; add one, as in `name: close_app_wide`",
                "{}: has no limit; add one, as in `limit: 20`",
                "{}: has no per; add one, as in `per: 1m`",
                "{}: has no scope; add one, as in `scope: [app, workspace]`",
            ] as &[&str],
        ),
        ("text", &["{}: is a single value; write a mapping, `key: value` each"]),
        (
            "{ name: x, limit: 0, per: 1s, scope: [app] }",
            &["{}.limit: is 0, which would let nothing pass; write 1 or more"],
        ),
        (
            "{ name: x, limit: 1, per: 0s, scope: [app] }",
            &["{}.per: is no time at all; write more than 0s"],
        ),
        (
            "{ name: x, limit: 5, per: 1s, scope: [app], burst: 5 }",
            &["{}.burst: is not below limit, so it would change nothing; lower or delete it"],
        ),
        (
            "{ name: x, limit: 5, per: 1s, scope: [app], burst: 2, tolerates: 3 }",
            &[
                "{}.tolerates: contradicts burst, which is for servers that refuse bursts; delete one",
            ],
        ),
        (
            "{ name: x, limit: 1, per: 1s, scope: [app], age_from: send }",
            &[
                "{}.age_from: send is only for limits whose documentation allows short bursts; add `tolerates: N`, or delete age_from",
            ],
        ),
        (
            "{ name: x, limit: 1, per: 1s, scope: [app], age_from: sent }",
            &["{}.age_from: \"sent\" is none of answer, send; is it send?"],
        ),
        (
            "{ name: x, limit: 1, per: 1s, scope: [team] }",
            &[
                "{}.scope[0]: \"team\" is none of org, app, workspace, token, method, channel, user, url, caller; write one of them",
            ],
        ),
        (
            "{ name: x, limit: 1, per: 1s, scope: [] }",
            &["{}.scope: counts by nothing; name what the limit is counted per, as in [app]"],
        ),
        (
            "{ name: x, limit: 1, per: 1s, scope: app }",
            &["{}.scope: is a single value; write a list, as in [a, b]"],
        ),
        (
            "{ name: x, limit: 1, per: 1s, scope: [app, app] }",
            &["{}.scope[1]: is there twice; delete one"],
        ),
        (
            "{ name: X Y, limit: 1, per: 1s, scope: [app] }",
            &[
                "{}.name: \"X Y\" is no name of a limit; write up to 64 lower-case letters, digits and _",
            ],
        ),
        (
            "{ name: x, concurrency: 0, scope: [app] }",
            &["{}.concurrency: is 0, which would let nothing pass; write 1 or more"],
        ),
        (
            "{ name: x, concurrency: 1, limit: 2, scope: [app] }",
            &["{}.limit: means nothing beside concurrency; delete one of the two"],
        ),
    ] {
        let found = problems(&format!("methods: {{ api.test: {{ limits: [{limit}] }} }}"));
        let found: Vec<&str> =
            found.lines().map(|line| line.splitn(4, ':').nth(3).unwrap()).collect();
        let path = " methods.api.test.limits[0]";
        let expected: Vec<String> =
            problems_of_it.iter().map(|it| it.replace("{}", path)).collect();
        assert_eq!(found, expected, "{limit}");
    }
}

#[test]
fn endpoints() {
    expect(&[
        (
            "methods: { webhook: { channel: c, user: u, in_order: true, tier: tier2 } }",
            &[
                "1:32: methods.webhook.channel: means nothing here: only calls of the Web API have arguments; delete it",
                "1:41: methods.webhook.user: means nothing here: only calls of the Web API have arguments; delete it",
                "1:54: methods.webhook.in_order: means nothing here: only calls of the Web API have arguments; delete it",
                "1:66: methods.webhook.tier: is for methods of the Web API; list `limits`, or write none for no limit",
            ],
        ),
        (
            "methods: { chat.update: { in_order: channel } }",
            &[
                "1:37: methods.chat.update.in_order: \"channel\" is none of true, false; write one of them",
            ],
        ),
        (
            "methods: { chat.update: { in_order: [Channel, a b] } }",
            &[
                "1:38: methods.chat.update.in_order[0]: is no name of an argument; write one as in thread_ts, or several as in view_id|external_id",
            ],
        ),
        (
            "methods: { chat.update: { in_order: [a, b, c, d, e, f, g] } }",
            &["1:27: methods.chat.update.in_order: names too many arguments; write up to six"],
        ),
        (
            "methods: { chat.update: { in_order: { a: b } } }",
            &[
                "1:27: methods.chat.update.in_order: is a mapping; write a single value, or a list, as in [a, b]",
            ],
        ),
        (
            "methods: { chat.update: { limits: [{ name: x, limit: 1, per: 1s, scope: [ordering_key] }] } }",
            &[
                "1:74: methods.chat.update.limits[0].scope[0]: \"ordering_key\" is none of org, app, workspace, token, method, channel, user, url, caller; is it org?",
            ],
        ),
        (
            "methods: { scim.user.read: {} }",
            &[
                "1:12: methods.scim.user.read: is no method of the catalogue; is it scim.users.read? For a method that is new, name its tier",
            ],
        ),
    ]);
}

#[test]
fn tokens() {
    expect(&[
        (
            "identity: { tokens: [{}] }",
            &[
                "1:22: identity.tokens[0]: has no token_env; add one, as in `token_env: SLACK_BOT_TOKEN`",
                "1:22: identity.tokens[0]: has no app; add one, as in `app: A0123456789`",
                "1:22: identity.tokens[0]: has no workspace; add one, as in `workspace: T0123456789`",
            ],
        ),
        (
            "identity: { tokens: [{ token_env: UNSET, app: A1, workspace: T1 }] }",
            &[
                "1:35: identity.tokens[0].token_env: the environment variable it names is not set; set it to the token",
            ],
        ),
        (
            "identity: { tokens: [{ token_env: BLANK, app: A1, workspace: T1 }] }",
            &[
                "1:35: identity.tokens[0].token_env: the environment variable it names is not set; set it to the token",
            ],
        ),
        (
            "identity: { tokens: [{ token_env: xoxb-1, app: A1, workspace: T1 }] }",
            &[
                "1:35: identity.tokens[0].token_env: is no name of an environment variable; name the one that holds the token, never the token",
            ],
        ),
        (
            "identity:\n  tokens:\n  - { token_env: TOKEN, app: A1, workspace: T1 }\n  - { token_env: SAME_TOKEN, app: A 2, workspace: T2 }\n  - { token_env: SAME_TOKEN, app: A2, workspace: T2 }",
            &[
                "4:35: identity.tokens[1].app: is no id; write one as Slack shows it, as in A0123456789",
                "5:18: identity.tokens[2].token_env: holds a token that an entry before it has too; delete one",
            ],
        ),
        (
            "identity: { app: xoxb-s3cr3t }",
            &["1:18: identity.app: is no id; write one as Slack shows it, as in A0123456789"],
        ),
        (
            "background: { xoxb-s3cr3t: 1 }\nqueue: { max_wait: xoxb-s3cr3t }",
            &[
                "1:15: what looks like a token: is no key here; the keys here are share",
                "2:20: queue.max_wait: what looks like a token is not a duration; write a number and its unit, as in 10s, 1.5s or 1h30m",
            ],
        ),
    ]);
}

#[test]
fn background() {
    for share in ["0", "1.5", "-0.5", "75%", "nan", "inf", "1e-999", "''", "most"] {
        let bare = share.trim_matches('\'');
        let expected = format!(
            "f.yaml:1:22: background.share: {bare:?} is no share; write a number above 0 and up to 1, as in 0.75"
        );
        assert_eq!(problems(&format!("background: {{ share: {share} }}")), expected);
    }
    expect(&[
        (
            "background: 0.5",
            &["1:13: background: is a single value; write a mapping, `key: value` each"],
        ),
        ("background: { shares: 0.5 }", &["1:15: background.shares: is no key here; is it share?"]),
    ]);
}

#[test]
fn admin() {
    let name = |name: &str, at: usize| {
        format!(
            "1:{at}: admin.hosts[0]: {name:?} is no name of a host; write one as in \
             slackwater.example, without scheme and port"
        )
    };
    expect(&[
        (
            "admin: { token: s3cr3t }",
            &[
                "1:17: admin.token: is too short; write 16 characters or more, as `openssl rand -hex 16` makes them",
            ],
        ),
        (
            "admin: { token: 's3cr3t s3cr3t s3cr3t' }",
            &[
                "1:17: admin.token: has a character that no header can have; write printable ASCII without spaces",
            ],
        ),
        ("admin: { token: 0123456789abcdef, hosts: [ops.example, a-b] }", &[]),
        ("admin: { hosts: ['http://ops.example'] }", &[&name("http://ops.example", 18)]),
        ("admin: { hosts: ['ops.example:9090'] }", &[&name("ops.example:9090", 18)]),
        ("admin: { hosts: [ops..example] }", &[&name("ops..example", 18)]),
        (
            "admin: { hosts: ops.example }",
            &["1:17: admin.hosts: is a single value; write a list, as in [a, b]"],
        ),
    ]);
}

#[test]
fn what_is_not_built_is_refused() {
    expect(&[
        (
            "shed_as: 503",
            &["1:10: shed_as: \"503\" is none of auto, 429, ok_false; write one of them"],
        ),
        (
            "adaptive: { down: no, up: true, ceiling: 11 }",
            &[
                "1:19: adaptive.down: \"no\" is none of true, false; write one of them",
                "1:42: adaptive.ceiling: \"11\" is no ceiling; write by how much the limit may be multiplied, from 1 to 10, as in 2.0",
            ],
        ),
        (
            "adaptive: { down: false, up: true }",
            &[
                "1:30: adaptive.up: needs adaptive.down, which finds back from a limit that is too high",
            ],
        ),
        (
            "state_file: /var/x/",
            &[
                "1:13: state_file: \"/var/x/\" names no file; write the path of a file, as in /var/lib/slackwater/state; its directory has to be there",
            ],
        ),
        (
            "mode: shade\nmethods: { chat.update: { mode: on } }",
            &[
                "1:7: mode: \"shade\" is none of enforce, shadow; is it shadow?",
                "2:33: methods.chat.update.mode: \"on\" is none of enforce, shadow; write one of them",
            ],
        ),
    ]);
}

#[test]
fn every_mistake_is_found_at_once_and_sorted_by_place() {
    expect(&[(
        "log: { level: loud }
methods:
  chat.updat: {}
  chat.delete: { limits: [{ name: x, limit: 1, per: 1, scope: [ap] }] }
listen: nowhere
drain_timeout: ${UNSET}
queue: { max_wait: 2h, max_wait: 3h, depth: 1 }
",
        &[
            "1:15: log.level: \"loud\" is none of error, warn, info, debug, trace; write one of them",
            "3:3: methods.chat.updat: is no method of the catalogue; is it chat.update? For a method that is new, name its tier",
            "4:53: methods.chat.delete.limits[0].per: \"1\" has no unit; write ms, s, m or h after the number, as in 10s",
            "4:64: methods.chat.delete.limits[0].scope[0]: \"ap\" is none of org, app, workspace, token, method, channel, user, url, caller; is it app?",
            "5:9: listen: \"nowhere\" is not an address; write an IP address and a port, as in 127.0.0.1:8080 (or 0.0.0.0:8080 for every interface)",
            "6:16: drain_timeout: the environment variable UNSET is not set; set it, or write $${UNSET} for the text itself",
            "7:20: queue.max_wait: max_wait is longer than max_hold, which is the longest any call is held; lower the one or raise the other",
            "7:24: queue.max_wait: is there twice, first on line 7; delete one of them",
            "7:38: queue.depth: is no key here; is it max_depth?",
        ],
    )]);
}

/// Mutation that turns it red: show the expanded text in `Cursor::quoted`.
#[test]
fn a_value_from_the_environment_is_never_shown() {
    let keys = [
        "listen: X",
        "admin: { token: X }",
        "admin: { hosts: ['X/'] }",
        "admin: { listen: X }",
        "app: X",
        "unknown_method: X",
        "shared: { redis: X, password: X, prefix: 'X/', timeout: X, forget_after: X, replicas: X, margin: X }",
        "shared: { redis: 'redis://X:X@h/X', ordinal: X }",
        "shared: { redis: 'redis://X@h' }",
        "shared: { redis: 'redis://X:X@h,X:X', sentinel: { master: 'X X', user: X, password: X } }",
        "shared: { redis: 'redis://X:X@h', cluster: X }",
        "shared: { replicas: 2, ordinal: X, margin: X }",
        "trust_callers: X",
        "drain_timeout: X",
        "mode: X",
        "shed_as: X",
        "state_file: X/",
        "queue: { max_bytes: X }",
        "queue: { max_depth: X }",
        "log: { level: X }",
        "tiers: { tier1: { per: X } }",
        "upstreams: [{ prefix: X, url: X, kind: X }]",
        "callers: [{ name: 'X*', class: X, max_class: X, weight: X, max_depth: X, enabled: X, match: { user_agent: 'X?', lane: 'X ', token_hash: X } }]",
        "callers: [{ name: X }, { name: X, match: { lane: '*X*' } }, { name: Y, match: { lane: 'X' } }]",
        "background: { share: X }",
        "identity: { tokens: [{ token_env: X, app: 'a X', workspace: 'a X' }] }",
        "methods: { chat.update: { tier: X, class: X, reads: X, max_wait: X } }",
        "methods: { api.test: { limits: [{ name: 'X X', limit: X, per: X, scope: [X], age_from: X }] } }",
        "methods: { api.test: { limits: [{ name: X, limit: 1, per: 1s, scope: [app] }, { name: X, limit: 1, per: 1s, scope: [app] }] } }",
        "methods: { api.test: { limits: [{ name: X, limit: 1, per: 1s, scope: [app] }] }, chat.update: { limits: [{ name: X, limit: 2, per: 1s, scope: [app] }] } }",
    ];
    for text in keys {
        let text = text.replace('X', "${SECRET}");
        let found = problems(&text);
        assert!(!found.is_empty() && !found.contains("s3cr3t"), "{text}: {found}");
    }
}
