//! The commands, from their arguments to what they write.

use clap::{CommandFactory as _, Parser as _};
use tempfile::{NamedTempFile, tempdir};

use super::*;

/// What a command writes, and whether it exits with 0.
fn run(args: &[&str]) -> (String, bool) {
    let mut out = Vec::new();
    let cli = Cli::try_parse_from([&["slackwater"], args].concat()).unwrap();
    let code = cli.run(&mut out).unwrap();
    (String::from_utf8(out).unwrap(), code == ExitCode::SUCCESS)
}

/// A file that is gone when the test is.
struct File(NamedTempFile);

impl File {
    fn new(text: &str) -> Self {
        let file = NamedTempFile::new().unwrap();
        std::fs::write(&file, text).unwrap();
        Self(file)
    }

    fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }
}

#[test]
fn check_says_what_a_configuration_comes_to() {
    let file = File::new("methods: { chat.update: { class: background } }\n");
    let (out, yes) = run(&["check", file.path()]);
    let out = out.replace(file.path(), "FILE");
    assert!(yes);
    assert!(out.starts_with("FILE: ok\n  bots       http://127.0.0.1:8080\n"), "{out}");
    assert!(out.contains("  upstream   /api/ -> https://slack.com/api/ (web_api)\n"), "{out}");
    assert!(out.contains(", 1 of them with rules of your own\n"), "{out}");
    assert!(out.ends_with("  holding    8s if nothing tells the client's patience, 1h at most\n"));
}

/// Red when the built-in catalogue, which looks like a configuration, is answered with what is wrong in
/// each of its lines.
#[test]
fn check_knows_the_catalogue() {
    let (out, yes) = run(&["check", "config/slack.yaml"]);
    assert!(!yes);
    assert_eq!(out.lines().count(), 1, "{out}");
    assert!(out.contains(": endpoints: this file is a catalogue of Slack's limits"), "{out}");
}

#[test]
fn without_a_command_it_runs_and_takes_its_arguments() {
    let cli =
        Cli::try_parse_from(["slackwater", "--config", "/no/such/file", "--minute", "6s"]).unwrap();
    assert!(cli.command.is_none());
    let error = cli.run(&mut Vec::new()).unwrap_err();
    assert!(format!("{error:#}").starts_with("cannot read /no/such/file: "), "{error:#}");
    assert!(Cli::try_parse_from(["slackwater", "--config", "a", "limits"]).is_err());
}

/// Red when a minute may last nothing: then there is no limit at all.
#[test]
fn a_minute_that_lasts_nothing_is_refused() {
    for words in
        [&["slackwater", "run", "--minute", "0s"], &["slackwater", "run", "--minute", "0ms"]]
    {
        let error = Cli::try_parse_from(words).unwrap_err().to_string();
        assert!(error.contains("--minute") && error.contains("more than 0"), "{error}");
    }
    assert!(Cli::try_parse_from(["slackwater", "run", "--minute", "1ms"]).is_ok());
}

#[test]
fn check_says_everything_that_is_wrong() {
    let file = File::new("ap: 1\nqueue: { max_wait: 1 }\n");
    let (out, yes) = run(&["check", file.path()]);
    assert!(!yes);
    let lines: Vec<String> = out.lines().map(|line| line.replace(file.path(), "FILE")).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0], "FILE:1:1: ap: is no key here; is it app?");
    assert!(lines[1].starts_with("FILE:2:20: queue.max_wait: "), "{}", lines[1]);
}

/// Red when a place is that in the text of the `ConfigMap`, and when files of the pod are looked for here.
#[test]
fn check_reads_the_configuration_of_a_config_map_where_it_stands() {
    let manifests = "kind: Service
---
kind: ConfigMap
metadata: { name: bots }
data:
  slackwater.yaml: |
    listen_tls: { cert: /no/such.crt, key: /no/such.key, client_ca: /no/such.ca }
    allow: [{ caller: cleanup, key: '${NO_SUCH_KEY}' }]
    identity: { tokens: [{ token_env: NO_SUCH_TOKEN, app: A1, workspace: T1 }] }
    shared: { replicas: 3 }
";
    let file = File::new(manifests);
    let (out, yes) = run(&["check", file.path()]);
    assert!(yes, "{out}");
    assert!(out.contains("\n  elsewhere  the files and variables"), "{out}");
    let file = File::new(&format!("{manifests}    queue: {{ max_wait: 1 }}\n    ap: 1\n"));
    let (out, yes) = run(&["check", file.path()]);
    assert!(!yes);
    let lines: Vec<String> = out.lines().map(|line| line.replace(file.path(), "FILE")).collect();
    assert_eq!(lines.len(), 2, "{out}");
    assert!(lines[0].starts_with("FILE:11:24: queue.max_wait: "), "{out}");
    assert_eq!(lines[1], "FILE:12:5: ap: is no key here; is it app?");
    let file = File::new("kind: ConfigMap\ndata: { other: text }\n");
    let cli = Cli::try_parse_from(["slackwater", "check", file.path()]).unwrap();
    let error = cli.run(&mut Vec::new()).unwrap_err().to_string();
    assert!(error.ends_with("has the key slackwater.yaml"), "{error}");
}

/// The same file is wrong here and right for another machine; what is wrong everywhere is wrong there as well.
#[test]
fn check_does_not_look_for_what_another_machine_has() {
    let text = "listen_tls: { cert: /no/such.crt, key: /no/such.key }\ntls: { ca: /no/such.ca }
admin: { token: '${NO_SUCH_TOKEN}' }\nshared: { replicas: 3 }\n";
    let file = File::new(text);
    let (out, yes) = run(&["check", file.path()]);
    assert!(!yes);
    assert_eq!(out.lines().count(), 5, "{out}");
    let (out, yes) = run(&["check", "--elsewhere", file.path()]);
    assert!(yes, "{out}");
    let file = File::new(&format!("{text}queue: {{ max_total: ${{ }}\n"));
    let (out, yes) = run(&["check", "--elsewhere", file.path()]);
    assert!(!yes, "{out}");
}

#[test]
fn a_file_that_is_not_there_is_no_answer() {
    let cli = Cli::try_parse_from(["slackwater", "check", "/no/such/file"]).unwrap();
    let error = cli.run(&mut Vec::new()).unwrap_err();
    assert!(format!("{error:#}").starts_with("cannot read /no/such/file: "), "{error:#}");
}

#[test]
fn limits_shows_a_line_for_each_method() {
    let (out, yes) = run(&["limits"]);
    assert!(yes);
    assert!(out.starts_with("METHOD "));
    assert!(out.lines().count() > 400);
    let line = out.lines().find(|line| line.starts_with("conversations.close ")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words.join(" "), "conversations.close tier2 20/1m channel=channel 1/1s by app");
    assert!(out.lines().any(|line| {
        line.starts_with("views.open ") && line.ends_with("interactive max_wait=1.5s")
    }));
}

#[test]
fn limits_shows_all_about_a_method() {
    let (out, yes) = run(&["limits", "chat.postMessage"]);
    assert!(yes);
    assert_eq!(
        out,
        "chat.postMessage
  tier      special
  limits    post_per_channel    1 per 1s, per app, workspace and channel; counted from the send, since Slack tolerates short bursts
            post_per_workspace  300 per 1m, per app and workspace
  channel   the argument channel
  in order  calls of one caller with the same channel, thread_ts go one at a time
  drops     remembered answers of conversations.history, conversations.replies
"
    );
}

#[test]
fn limits_shows_the_clients_in_their_order() {
    let file = File::new(
        "clients: [{ name: mine, user_agent: 'mine/*', max_wait: 50s, keep_alive: interim }]\n",
    );
    let (out, yes) = run(&["limits", "--clients", "--config", file.path()]);
    assert!(yes);
    let mut lines =
        out.lines().map(|line| line.split_whitespace().take(10).collect::<Vec<_>>().join(" "));
    assert_eq!(lines.next().unwrap(), "CLIENT SIGNS TIME-OUT HELD KEPT ALIVE RETRIES SOURCE");
    let mine = "mine user-agent~mine/* none known 50s interim none the configuration";
    assert_eq!(lines.next().unwrap(), mine);
    let python = lines.next().unwrap();
    let signs = "python user-agent~slackclient/ accept-encoding=identity connection=close";
    assert_eq!(python, format!("{signs} 30s per read 25s interim broken_connections"));
    assert!(out.contains("https://github.com/slackapi/python-slack-sdk/"), "{out}");

    let (out, _) = run(&["limits", "--clients", "--json", "--config", file.path()]);
    let all: Vec<serde_json::Value> = serde_json::from_str(&out).unwrap();
    let node = all.iter().find(|client| client["name"] == "node").unwrap();
    assert_eq!(node["headers"], serde_json::json!({ "sec-fetch-mode": "absent" }));
    assert_eq!((&node["read_timeout_seconds"], &node["stops_whole"]), (&().into(), &true.into()));
    assert_eq!((&node["keep_alive"], &node["max_wait_seconds"]), (&"none".into(), &3_600.0.into()));
    assert_eq!(all[0]["name"], "mine");
    assert!(Cli::try_parse_from(["slackwater", "limits", "--clients", "api.test"]).is_err());
}

#[test]
fn limits_shows_what_is_beside_the_web_api() {
    let (out, yes) = run(&["limits", "scim.users.create"]);
    assert!(yes);
    assert_eq!(
        out,
        "scim.users.create
  kind      scim
  tier      special
  limits    scim_writes     600 per 1m, per org; bursts of 180 at most
            scim_write_one  180 per 1m, per org and method; bursts of 20 at most
"
    );
    let (out, _) = run(&["limits"]);
    let last = out.lines().last().unwrap();
    assert!(last.starts_with("webhook  ") && last.contains("1/1s by url"), "{last}");
}

#[test]
fn limits_of_an_unknown_method_are_those_of_the_unknown() {
    let (out, yes) = run(&["limits", "conversation.close"]);
    assert!(!yes);
    assert!(out.starts_with(
        "conversation.close is not in the catalogue.\nLike it: conversations.close, "
    ));
    assert!(out.contains("Methods that are not known get tier2:\n\nconversation.close\n"), "{out}");
    assert!(out.contains("20 per 1m, per app, workspace and method"), "{out}");
}

#[test]
fn limits_are_those_of_the_configuration() {
    let file = File::new("tiers: { tier2: { limit: 7 } }\nunknown_method: none\n");
    let (out, yes) = run(&["limits", "conversations.close", "--config", file.path()]);
    assert!(yes);
    assert!(out.contains("7 per 1m"), "{out}");
    let (out, yes) = run(&["limits", "zzz", "--config", file.path()]);
    assert!(!yes && out.contains("  limits    none\n"), "{out}");
}

#[test]
fn a_replica_says_which_one_it_is() {
    let file = File::new("shared: { replicas: 3, ordinal: 2 }\n");
    let (out, _) = run(&["check", file.path()]);
    assert!(
        out.contains("\n  replica    ordinal 2 of 3: it has its part of each limit\n"),
        "{out}"
    );
    let (out, _) = run(&["limits", "chat.update", "--config", file.path()]);
    assert!(
        out.ends_with("\nThis replica is ordinal 2 of 3: it has its part of each limit.\n"),
        "{out}"
    );
    let (out, _) = run(&["limits", "--json", "--config", file.path()]);
    serde_json::from_str::<serde_json::Value>(&out).unwrap();
}

#[test]
fn limits_speaks_json() {
    let (out, _) = run(&["limits", "--json"]);
    let all: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(all.as_array().unwrap().len() > 400);
    let (out, yes) = run(&["limits", "--json", "bookmarks.add"]);
    let one: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(yes);
    assert_eq!(one["known"], true);
    assert_eq!(one["limits"][0]["per_seconds"], 60.0);
    assert_eq!(one["limits"][0]["age_from"], "answer");
    assert_eq!(one["limits"][1]["concurrency"], 1);
    let (out, yes) = run(&["limits", "--json", "nosuch"]);
    let one: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(!yes);
    assert_eq!((&one["method"], &one["known"]), (&"nosuch".into(), &false.into()));
}

/// In the background one of each method goes in 10.22 s, and while those of the one wait the other's go:
/// the third of both at 20.44 s. Red where one method waits for the other, or the calls are no background.
#[test]
fn a_dry_run_of_a_drain_plans_its_file() {
    let limited = |name: &str| {
        format!(
            "{name}.it: {{ tier: none, limits: [{{ name: {name}, limit: 2, per: 10s, scope: [app] }}] }}"
        )
    };
    let (one, two) = (limited("one"), limited("two"));
    let rules = File::new(&format!("methods: {{ {one}, {two} }}\n"));
    let line = |name: &str| format!("{{\"method\": \"{name}.it\"}}\n").repeat(3);
    let calls = File::new(&(line("one") + &line("two")));
    let command = ["drain", calls.path(), "--dry-run", "--config", rules.path()];
    let (out, yes) = run(&command);
    assert!(yes && out.contains("\n  done      in 21s, at "), "{out}");
    assert!(out.contains("\n  held by   "), "{out}");
    assert!(out.contains("\n  straight  a loop that sleeps as Retry-After says: "), "{out}");
    // What waits elsewhere is not known, and that is no reason not to tell the rest.
    let (out, yes) = run(&[&command[..], &["--via", "http://127.0.0.1:1"]].concat());
    assert!(yes && out.contains("What waits in the proxy is not known: by the conf"), "{out}");
    assert!(out.contains("\n  done      in 21s, at "), "{out}");
}

/// Each command with its name, as often as commands have commands.
fn commands(of: &clap::Command, name: &str, found: &mut Vec<(String, clap::Command)>) {
    found.push((name.to_owned(), of.clone()));
    for below in of.get_subcommands() {
        commands(below, &format!("{name} {}", below.get_name()), found);
    }
}

#[test]
fn every_command_has_help_with_examples_that_can_be_typed() {
    let mut all = Vec::new();
    commands(&Cli::command(), "slackwater", &mut all);
    assert!(all.len() >= 8, "{}", all.len());
    for (name, mut command) in all {
        let short = command.render_help().to_string();
        let long = command.render_long_help().to_string();
        for help in [&short, &long] {
            let wide = help.lines().find(|line| line.chars().count() > 100);
            assert!(wide.is_none(), "{name}: {wide:?}");
        }
        let (_, examples) =
            long.split_once("Examples:\n").unwrap_or_else(|| panic!("{name}: {long}"));
        let examples = examples.lines().map_while(|line| line.strip_prefix("  "));
        let mut count = 0;
        for example in examples {
            // As a shell would split them: none is quoted.
            let typed = example.split(['|', '>']).next().unwrap_or_default();
            let cli = Cli::try_parse_from(typed.split_whitespace());
            assert!(cli.is_ok(), "{example}: {cli:?}");
            assert!(example.starts_with(&name), "{example} is no example of {name}");
            count += 1;
        }
        assert!(count > 0, "{name}");
        // What an argument does is said of each.
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{name} {argument}");
        }
    }
}

#[test]
fn the_demo_ends_with_commands_that_there_are() {
    for (command, _) in tools::demo::NEXT {
        let words = std::iter::once("slackwater").chain(command.split(' '));
        Cli::try_parse_from(words).unwrap();
    }
}

#[test]
fn every_shell_has_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (out, yes) = run(&["completions", shell]);
        assert!(yes && out.contains("fake-slack"), "{shell}: {out}");
    }
    let error = Cli::try_parse_from(["slackwater", "completions", "tcsh"]).unwrap_err();
    assert!(error.to_string().contains("possible values: bash, elvish, fish, powershell, zsh"));
}

#[test]
fn every_command_has_a_manual_page() {
    let gone = tempdir().unwrap();
    let dir = gone.path().join("share/man1");
    let (_, yes) = run(&["man", dir.to_str().unwrap()]);
    assert!(yes);
    for command in Cli::command().get_subcommands() {
        let page = format!("slackwater-{}.1", command.get_name());
        let text = std::fs::read_to_string(dir.join(&page)).unwrap();
        assert!(text.contains(".SH NAME") && text.contains("Examples:"), "{page}: {text}");
    }
    let text = std::fs::read_to_string(dir.join("slackwater.1")).unwrap();
    assert!(text.contains("slackwater\\-drain(1)") && text.contains("Exit codes:"), "{text}");

    let cli = Cli::try_parse_from(["slackwater", "man", "/dev/null/man1"]).unwrap();
    let error = format!("{:#}", cli.run(&mut Vec::new()).unwrap_err());
    assert!(error.starts_with("the manual pages cannot be written to /dev/null/man1: "), "{error}");
}

#[test]
fn a_status_that_nobody_answers_says_what_was_tried_and_what_to_change() {
    // Nothing listens on port 1.
    let cli = Cli::try_parse_from(["slackwater", "status", "--admin", "127.0.0.1:1"]).unwrap();
    let error = format!("{:#}", cli.run(&mut Vec::new()).unwrap_err());
    for part in ["http://127.0.0.1:1", "slackwater run", "--admin URL", "refused"] {
        assert!(error.contains(part), "{error}");
    }
    let (out, yes) = run(&["status", "--ready", "--admin", "127.0.0.1:1"]);
    assert!(!yes && out.starts_with("unreachable: "), "{out}");
}
