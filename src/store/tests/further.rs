//! What is asked of a token's app when it is known whose the token is.

use std::time::Duration;

use config::{Adaptive, IdentityRules, QueueBounds};
use limits::Share;
use redis::Value;
use slack::TokenHash;
use tokio::{task::JoinSet, time::Instant};

use super::super::{keys::Keys, whose::Whose};
use crate::{
    identity::{Identities, Others},
    metrics::Registry,
    queue::{Admission, QueueMetrics},
};

/// What the store tells of a bot's token whose app is not known.
const OF_A_BOT: &str = r#"{"workspace":"T1","bot":"B1"}"#;

/// A message that has no answer is asked again, and all at once are no more than a message has.
///
/// Turned red by: a question that is dropped when its message fails; one beyond the bound of a message that is
/// dropped.
#[tokio::test(start_paused = true)]
async fn a_question_that_was_not_heard_is_asked_again() {
    let queue = QueueMetrics::register(&Registry::default()).unwrap();
    let (bounds, share) = (QueueBounds::default(), Share::default());
    let admission = Admission::new(&bounds, share, Adaptive::default(), queue);
    let rules = IdentityRules { resolve: true, app: None, tokens: Vec::new() };
    let (others, now) = (Others::default(), Instant::now());
    let known = (Identities::new(&rules), others.clone());
    let mut whose = Whose::new(admission, known, "r1".into(), Duration::from_millis(250), now);
    let keys = Keys::new("sw");
    whose.connects(now);
    assert!(whose.act(now, 1, &keys).is_none());
    let mut asking = JoinSet::new();
    for n in 0..200 {
        let others = others.clone();
        asking.spawn(async move { others.know(&TokenHash::of(&format!("xoxb-{n}"))).await });
    }
    tokio::task::yield_now().await;
    let first = whose.act(now + Duration::from_secs(2), 2, &keys).unwrap();
    let questions = first.args().iter().filter(|word| *word == "whose").count();
    let answers = (0..questions).map(|n| OF_A_BOT.replace("B1", &format!("B{n}")));
    let answers = answers.map(|it| Value::BulkString(it.into_bytes())).collect();
    assert!(whose.hear(2, Value::Array(answers)));
    for number in [3, 4] {
        let at = now + Duration::from_secs(number);
        let given = whose.act(at, number, &keys).unwrap();
        let further = given.args().iter().filter(|word| *word == "known").count();
        assert_eq!(further, questions);
        whose.fails(number);
    }
}
