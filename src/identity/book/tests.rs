//! Who is behind which token, by all the ways in which it can be learnt.

use config::KnownToken;

use super::*;

fn book(app: Option<&str>, tokens: &[(&str, &str, &str)]) -> Book {
    let known = tokens.iter().map(|(token, app, workspace)| KnownToken {
        token: TokenHash::of(token),
        env: "TOKEN".into(),
        app: (*app).into(),
        workspace: (*workspace).into(),
        org: None,
    });
    let (app, tokens) = (app.map(Into::into), known.collect());
    Book::new(&IdentityRules { resolve: true, app, tokens })
}

fn bot(workspace: &str, bot: &str) -> Facts {
    Facts { bot: Some(bot.into()), ..person(workspace) }
}

fn person(workspace: &str) -> Facts {
    Facts { workspace: Some(workspace.into()), ..Facts::default() }
}

/// App, workspace and organization of a token.
fn whose(book: &mut Book, token: &str) -> [String; 3] {
    let Whose { identity, .. } = book.whose(Instant::now(), &TokenHash::of(token));
    [&identity.app, &identity.workspace, &identity.org].map(ToString::to_string)
}

fn learn(book: &mut Book, token: &str, facts: Facts) -> Vec<[String; 4]> {
    shown(book.learn(&TokenHash::of(token), facts))
}

/// From which app and workspace to which.
fn shown(moved: Vec<Moved>) -> Vec<[String; 4]> {
    let parts = |moved: Moved| {
        [&moved.from.app, &moved.from.workspace, &moved.to.app, &moved.to.workspace]
            .map(ToString::to_string)
    };
    moved.into_iter().map(parts).collect()
}

fn name(token: &str) -> String {
    TokenHash::of(token).name().to_string()
}

#[tokio::test(start_paused = true)]
async fn an_unknown_token_counts_by_its_hash_and_moves_when_it_is_known() {
    let mut book = book(None, &[]);
    let hash = name("xoxb-1");
    assert_eq!(whose(&mut book, "xoxb-1"), [&*hash, &hash, &hash]);
    let moved = learn(&mut book, "xoxb-1", bot("T1", "B1"));
    assert_eq!(moved, [[&*hash, &hash, "B1", "T1"]]);
    assert_eq!(whose(&mut book, "xoxb-1"), ["B1", "T1", "T1"]);
    assert!(learn(&mut book, "xoxb-1", bot("T1", "B1")).is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_tokens_of_a_rotation_are_one() {
    let mut book = book(None, &[]);
    for token in ["xoxe.xoxb-1", "xoxe.xoxb-2"] {
        learn(&mut book, token, bot("T1", "B1"));
        assert_eq!(whose(&mut book, token), ["B1", "T1", "T1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_bot_stands_for_its_app_until_the_app_is_known() {
    let mut book = book(None, &[]);
    learn(&mut book, "xoxb-1", bot("T1", "B1"));
    learn(&mut book, "xoxb-2", bot("T2", "B2"));
    let moved = shown(book.bot_is_of("T1".into(), "B1".into(), &"A1".into()));
    assert_eq!(moved, [["B1", "T1", "A1", "T1"]]);
    // The same id in another workspace would be another bot.
    assert_eq!(whose(&mut book, "xoxb-2"), ["B2", "T2", "T2"]);
    assert_eq!(whose(&mut book, "xoxb-1"), ["A1", "T1", "T1"]);
    learn(&mut book, "xoxb-new", bot("T1", "B1"));
    assert_eq!(whose(&mut book, "xoxb-new"), ["A1", "T1", "T1"]);
}

#[tokio::test(start_paused = true)]
async fn an_installation_and_auth_test_of_one_token_tell_whose_the_bot_is() {
    let mut book = book(None, &[]);
    learn(&mut book, "xoxb-old", bot("T1", "B1"));
    let installed = Facts { app: Some("A1".into()), ..person("T1") };
    learn(&mut book, "xoxb-1", installed);
    assert_eq!(whose(&mut book, "xoxb-1"), ["A1", "T1", "T1"]);
    assert_eq!(whose(&mut book, "xoxb-old"), ["B1", "T1", "T1"]);
    let moved = learn(&mut book, "xoxb-1", bot("T1", "B1"));
    assert_eq!(moved, [["B1", "T1", "A1", "T1"]]);
}

#[tokio::test(start_paused = true)]
async fn a_persons_token_joins_the_only_app_of_its_workspace() {
    let mut book = book(None, &[]);
    learn(&mut book, "xoxp-1", person("T1"));
    let hash = name("xoxp-1");
    assert_eq!(whose(&mut book, "xoxp-1"), [&*hash, "T1", "T1"]);
    let moved = learn(&mut book, "xoxb-1", bot("T1", "B1"));
    assert_eq!(moved, [[&*hash, "T1", "B1", "T1"]]);
    assert_eq!(whose(&mut book, "xoxp-1"), ["B1", "T1", "T1"]);
    // It stays, also when another app comes, and goes along when its app gets a name.
    assert!(learn(&mut book, "xoxb-2", bot("T1", "B2")).is_empty());
    assert_eq!(whose(&mut book, "xoxp-1"), ["B1", "T1", "T1"]);
    learn(&mut book, "xoxp-2", person("T1"));
    assert_eq!(whose(&mut book, "xoxp-2")[0], name("xoxp-2"));
}

#[tokio::test(start_paused = true)]
async fn a_persons_token_goes_along_when_its_app_gets_a_name() {
    let mut book = book(None, &[]);
    learn(&mut book, "xoxp-1", person("T1"));
    learn(&mut book, "xoxb-1", bot("T1", "B1"));
    let moved = shown(book.bot_is_of("T1".into(), "B1".into(), &"A1".into()));
    assert!(moved.iter().all(|moved| *moved == ["B1", "T1", "A1", "T1"]), "{moved:?}");
    assert_eq!(whose(&mut book, "xoxp-1"), ["A1", "T1", "T1"]);
}

#[tokio::test(start_paused = true)]
async fn the_operators_word_stands() {
    let mut configured = book(None, &[("xoxb-1", "A1", "T1")]);
    let ask = configured.whose(Instant::now(), &TokenHash::of("xoxb-1")).ask;
    assert!(ask, "its bot is still unknown");
    assert!(learn(&mut configured, "xoxb-1", bot("T9", "B1")).is_empty());
    assert_eq!(whose(&mut configured, "xoxb-1"), ["A1", "T1", "T1"]);
    assert!(!configured.whose(Instant::now(), &TokenHash::of("xoxb-1")).ask);
    // What it rotates to is the same bot, and a person's token joins.
    learn(&mut configured, "xoxb-2", bot("T1", "B1"));
    assert_eq!(whose(&mut configured, "xoxb-2"), ["A1", "T1", "T1"]);
    learn(&mut configured, "xoxp-1", person("T1"));
    assert_eq!(whose(&mut configured, "xoxp-1"), ["A1", "T1", "T1"]);

    let mut one_app = book(Some("A0"), &[]);
    let hash = name("xoxb-1");
    assert_eq!(whose(&mut one_app, "xoxb-1"), ["A0", &*hash, &hash]);
    learn(&mut one_app, "xoxb-1", bot("T1", "B1"));
    assert_eq!(whose(&mut one_app, "xoxb-1"), ["A0", "T1", "T1"]);
}

#[tokio::test(start_paused = true)]
async fn a_token_for_an_organization_has_the_workspace_that_a_call_names() {
    let mut book = book(None, &[]);
    let facts = Facts {
        app: Some("A1".into()),
        org: Some("E1".into()),
        org_wide: true,
        ..Facts::default()
    };
    learn(&mut book, "xoxb-1", facts);
    let Whose { identity, .. } = book.whose(Instant::now(), &TokenHash::of("xoxb-1"));
    assert!(identity.org_wide);
    assert_eq!((&*identity.workspace, &*identity.within("T7").workspace), ("E1", "T7"));
}

#[tokio::test(start_paused = true)]
async fn slack_is_not_asked_again_for_a_while() {
    let mut book = book(None, &[]);
    let token = TokenHash::of("xoxb-1");
    assert!(book.whose(Instant::now(), &token).ask);
    book.quiet(&token, Instant::now() + KEPT);
    assert!(!book.whose(Instant::now(), &token).ask);
    tokio::time::advance(KEPT).await;
    assert!(book.whose(Instant::now(), &token).ask);
}

#[tokio::test(start_paused = true)]
async fn made_up_tokens_share_a_few_identities() {
    let mut book = book(None, &[]);
    let mut apps = std::collections::HashSet::new();
    for token in 0..10_000 {
        apps.insert(whose(&mut book, &format!("xoxb-{token}"))[0].clone());
    }
    assert_eq!(apps.len(), STRANGERS + CROWDS);
    assert_eq!(book.strangers.len(), STRANGERS);
    // A real one of the crowd is known as soon as Slack tells; nobody else moves.
    assert!(learn(&mut book, "xoxb-9999", bot("T1", "B1")).is_empty());
    assert_eq!(whose(&mut book, "xoxb-9999")[0], "B1");
    // Later there is room again.
    tokio::time::advance(KEPT).await;
    assert_eq!(whose(&mut book, "xoxb-new")[0], name("xoxb-new"));
    assert_eq!(book.strangers.len(), STRANGERS);
}

#[test]
fn of_too_many_tokens_those_used_last_are_known() {
    let mut book = book(None, &[]);
    let token = |n: usize| TokenHash::of(&n.to_string());
    let identity = Arc::new(Identity::only("x".into()));
    let known = || Known { facts: person("T1"), identity: Arc::clone(&identity) };
    for n in 0..KNOWN {
        book.remember(token(n), known());
    }
    assert!(book.known.get(&token(0)).is_some());
    book.remember(token(KNOWN), known());
    assert_eq!(book.known.len(), KNOWN);
    assert!(book.known.contains(&token(0)) && !book.known.contains(&token(1)));
}
