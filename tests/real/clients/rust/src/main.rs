//! Drives slack-morphism as the runner's lines on stdin ask for.
//!
//! The lines are those of ../../python/driver.py; so are the answers. The client is set up with the line of README.md.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use slack_morphism::errors::SlackClientError;
use slack_morphism::prelude::*;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::watch;

type Client = SlackClient<SlackClientHyperConnector<HttpConnector>>;

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

async fn send(
    client: &Client,
    token: &SlackApiToken,
    origin: &str,
    call: &Value,
) -> ClientResult<()> {
    let session = client.open_session(token);
    let args = &call["args"];
    let text = |name: &str| args[name].as_str().unwrap_or_default().to_string();
    match call["method"].as_str().unwrap_or_default() {
        "conversations.list" => {
            session
                .conversations_list(&SlackApiConversationsListRequest::new().with_limit(200))
                .await?;
        }
        "chat.postMessage" => {
            let content = SlackMessageContent::new().with_text(text("text"));
            session
                .chat_post_message(&SlackApiChatPostMessageRequest::new(
                    text("channel").into(),
                    content,
                ))
                .await?;
        }
        "webhook" => {
            let content = SlackMessageContent::new().with_text(text("text"));
            let url = format!("{origin}{}", text("path")).parse().expect("a URL");
            client
                .post_webhook_message(&url, &SlackApiPostWebhookMessageRequest::new(content))
                .await?;
        }
        // The fake Slack's answer lacks what the typed one has.
        method => {
            session.http_session_api.http_post::<_, Value>(method, args, None).await?;
        }
    }
    Ok(())
}

fn outcome(came: ClientResult<()>) -> Value {
    match came {
        Ok(()) => json!({ "ok": true, "error": null, "status": 200 }),
        Err(error) => {
            let (kind, code, status) = match &error {
                SlackClientError::RateLimitError(limited) => {
                    ("RateLimitError", limited.code.clone(), Some(429))
                }
                SlackClientError::ApiError(refused) => {
                    ("ApiError", Some(refused.code.clone()), Some(200))
                }
                SlackClientError::HttpError(http) => {
                    ("HttpError", None, Some(http.status_code.as_u16()))
                }
                SlackClientError::ProtocolError(_) => ("ProtocolError", None, None),
                _ => ("other", None, None),
            };
            json!({ "ok": false, "error": code, "status": status, "kind": kind, "detail": error.to_string() })
        }
    }
}

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().collect();
    let option =
        |name: &str| words.windows(2).find(|pair| pair[0] == name).map(|pair| pair[1].clone());
    let base_url = option("--base-url").expect("--base-url");
    let url = base_url.trim_end_matches('/');
    let client = SlackClient::new(
        SlackClientHyperConnector::with_connector(HttpConnector::new()).with_slack_api_url(url),
    );
    let token = SlackApiToken::new(option("--token").expect("--token").into());
    let shared = Arc::new((client, token, url.trim_end_matches("/api").to_string()));
    println!("{}", json!({ "ready": "slack-morphism 2.31.1" }));

    let mut answered: HashMap<u64, watch::Receiver<bool>> = HashMap::new();
    let mut tasks = Vec::new();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let call: Value = serde_json::from_str(&line).expect("a line of JSON");
        let before = call["after"].as_u64().and_then(|number| answered.get(&number).cloned());
        let (done, answer) = watch::channel(false);
        answered.insert(call["id"].as_u64().expect("a number"), answer);
        let shared = Arc::clone(&shared);
        tasks.push(tokio::spawn(async move {
            if let Some(mut before) = before {
                let _ = before.wait_for(|done| *done).await;
            }
            let start = now_ms();
            let mut came = outcome(send(&shared.0, &shared.1, &shared.2, &call).await);
            for name in ["id", "method", "args"] {
                came[name] = call[name].clone();
            }
            came["start_ms"] = start.into();
            came["end_ms"] = now_ms().into();
            println!("{came}");
            let _ = done.send(true);
        }));
    }
    for task in tasks {
        let _ = task.await;
    }
}
