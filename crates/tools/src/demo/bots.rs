//! The job and the people. They are the same on both sides and do what is usual: a call that is
//! refused raises, the job sleeps as it was told and tries again what is left, people click again.
//!
//! `slack_sdk` raises at a 429: of its retry handlers only the one for broken connections is on by
//! default, as `async_default_handlers` on
//! <https://docs.slack.dev/tools/python-slack-sdk/reference/http_retry/builtin_async_handlers.html>
//! has it.

use std::{collections::VecDeque, mem, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::score::Score;

/// So many people click.
pub(super) const PEOPLE: usize = 4;
/// The app is in so many workspaces.
pub(super) const WORKSPACES: usize = 2;
/// So many conversations are to be closed.
pub(super) const TO_CLOSE: usize = 240;
/// So many of them at once. Each is a connection with two ends in this process, on either side, and
/// some machines let a process open 256 files.
pub(super) const AT_ONCE: usize = 40;

/// How long a person looks at what came before the next click.
const LOOKS: Duration = Duration::from_millis(900);
/// The pause after a call that failed in another way than at a limit.
const AFTER_FAILURE: Duration = Duration::from_millis(200);
/// The longest answer that is read.
const ANSWER: usize = 64 << 10;

/// Sends the app's calls to one base URL.
#[derive(Clone, Debug)]
pub(super) struct Bot {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
    score: Score,
}

/// How a call comes out.
enum BotCall {
    Ok,
    /// With the `Retry-After`.
    Refused(Duration),
    Failed,
}

// === impl Bot ===

impl Bot {
    /// Its base URL ends with a slash.
    pub(super) fn new(base: String, score: &Score) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { client, base, score: score.clone() }
    }

    /// Calls for all, some at once; for what was refused again after the pause that the answers ask
    /// for, until all are closed.
    pub(super) async fn job(self, end: CancellationToken) {
        let began = Instant::now();
        let mut left: VecDeque<usize> = (0..TO_CLOSE).collect();
        while !left.is_empty() {
            let mut todo = mem::take(&mut left);
            let mut calls = JoinSet::new();
            let mut pause = Duration::ZERO;
            loop {
                while calls.len() < AT_ONCE
                    && let Some(conversation) = todo.pop_front()
                {
                    let bot = self.clone();
                    calls.spawn(async move {
                        let form = format!("channel=G{conversation:08}");
                        (conversation, bot.call("conversations.close", conversation, form).await)
                    });
                }
                let Some(called) = calls.join_next().await else { break };
                let Ok((conversation, outcome)) = called else { continue };
                let mut counts = self.score.counts();
                match outcome {
                    BotCall::Ok => counts.closed += 1,
                    BotCall::Refused(told) => {
                        counts.job_refused += 1;
                        pause = pause.max(told);
                        left.push_back(conversation);
                    }
                    BotCall::Failed => {
                        counts.failed += 1;
                        pause = pause.max(AFTER_FAILURE);
                        left.push_back(conversation);
                    }
                }
            }
            if !left.is_empty() && end.run_until_cancelled(sleep(pause)).await.is_none() {
                return;
            }
        }
        self.score.counts().finished = Some(Instant::now().duration_since(began));
    }

    /// Clicks, again where nothing comes, looks at what came, and clicks on.
    pub(super) async fn person(self, person: usize) {
        // Not all in step.
        sleep(LOOKS * u32::try_from(person + 1).unwrap_or(1) / 4).await;
        for patience in (0..).map(|n: u64| Duration::from_millis(350 + (n * 137) % 300)) {
            self.score.counts().clicked(person, Instant::now());
            loop {
                // A click's trigger_id lasts 3 s, so it is not kept for later.
                let form = "trigger_id=1.2.3&view={}".to_owned();
                match self.call("views.open", person, form).await {
                    BotCall::Ok => break,
                    BotCall::Refused(_) => self.score.counts().people_refused += 1,
                    BotCall::Failed => self.score.counts().failed += 1,
                }
                sleep(patience).await;
            }
            self.score.counts().served(person, Instant::now());
            sleep(LOOKS).await;
        }
    }

    /// A call of the app, in one of its workspaces.
    async fn call(&self, method: &str, nth: usize, form: String) -> BotCall {
        let workspace = nth % WORKSPACES + 1;
        let request = Request::post(format!("{}{method}", self.base))
            .header(header::AUTHORIZATION, format!("Bearer xoxb-T{workspace}-A1-demo"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from(form)));
        let Ok(request) = request else { return BotCall::Failed };
        let Ok(answer) = self.client.request(request).await else { return BotCall::Failed };
        let (head, body) = answer.into_parts();
        let Ok(body) = Limited::new(body, ANSWER).collect().await else { return BotCall::Failed };
        if head.status == StatusCode::TOO_MANY_REQUESTS {
            let told = head.headers.get(header::RETRY_AFTER).and_then(|it| it.to_str().ok());
            let seconds = told.and_then(|it| it.parse().ok()).unwrap_or(1);
            return BotCall::Refused(Duration::from_secs(seconds));
        }
        let body: Option<serde_json::Value> = serde_json::from_slice(&body.to_bytes()).ok();
        if body.is_some_and(|body| body["ok"] == true) { BotCall::Ok } else { BotCall::Failed }
    }
}
