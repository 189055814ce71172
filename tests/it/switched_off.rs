//! What the operator has switched off is refused, whatever room there is.

use crate::harness::{Proxy, fake};

/// Turned red by: a key that is read and not applied; a rule that is for its name alone.
#[tokio::test(start_paused = true)]
async fn a_method_and_a_caller_are_switched_off() {
    let fake = fake();
    let file = "methods: { chat.delete: { enabled: false }, chat.update: { enabled: true } }
callers: [{ name: old, match: { user_agent: 'old/*' }, enabled: false }, { name: new, enabled: true }]";
    let proxy = Proxy::configured(file, &fake);
    let bot = proxy.bot();
    let delete = bot.call("chat.delete").form("channel=C1&ts=1.2");
    let answer = delete.clone().patient().send().await;
    assert_eq!(answer.shed(), (30, "disabled", ""));
    assert_eq!(answer.took.as_millis(), 0, "at once, however long its client waits");
    // As each client takes it best.
    let node = delete.header("user-agent", "@slack:web-api/7.0.0").send().await;
    assert_eq!(node.shed_as(200).1, "disabled");
    let by_agent = |agent: &str| bot.call("team.info").header("user-agent", agent);
    assert_eq!(by_agent("old/1").send().await.shed().1, "disabled");
    assert_eq!(by_agent("old/1").lane("named").send().await.shed().1, "disabled");
    assert_eq!(fake.totals().calls, 0);
    assert!(by_agent("new/1").lane("new").send().await.is_ok());
    assert!(by_agent("another/1").send().await.is_ok());
}
