//! A bot: an HTTP client whose base URL is the proxy.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use tokio::{task::JoinSet, time::Instant};

use super::Wire;

/// A bot.
#[derive(Clone)]
pub(crate) struct Bot {
    client: Client<Wire, Full<Bytes>>,
}

/// A request that can be sent.
#[derive(Clone)]
pub(crate) struct Ask {
    bot: Bot,
    verb: Method,
    lane: String,
    path: String,
    headers: HeaderMap,
    body: Bytes,
    wait: Duration,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// From the sending to the last byte.
    pub(crate) took: Duration,
}

/// The text names app and workspace to the fake Slack.
const TOKEN: &str = "Bearer xoxb-T1-A1-secret";

/// Sends all at once, in this order. The answers come in the order of the asks.
pub(crate) async fn all(asks: impl IntoIterator<Item = Ask>) -> Vec<Answer> {
    let mut sending = JoinSet::new();
    for (n, ask) in asks.into_iter().enumerate() {
        sending.spawn(async move { (n, ask.send().await) });
    }
    let mut answers = sending.join_all().await;
    answers.sort_by_key(|(n, _)| *n);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

// === impl Bot ===

impl Bot {
    /// One that calls over that wire.
    pub(crate) fn new(wire: Wire, h2: bool) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .http2_only(h2)
            .build(wire);
        Self { client }
    }

    /// A call of a method, a POST without arguments.
    pub(crate) fn call(&self, method: &str) -> Ask {
        self.at(Method::POST, &format!("/api/{method}"))
    }

    /// A request to a path.
    pub(crate) fn at(&self, verb: Method, path: &str) -> Ask {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static(TOKEN));
        Ask {
            bot: self.clone(),
            verb,
            lane: String::new(),
            path: path.to_owned(),
            headers,
            body: Bytes::new(),
            wait: Duration::ZERO,
        }
    }

    /// A post.
    pub(crate) fn post(&self, channel: &str, text: &str) -> Ask {
        self.call("chat.postMessage").form(&format!("channel={channel}&text={text}"))
    }
}

// === impl Ask ===

impl Ask {
    /// Says who asks, in the path.
    pub(crate) fn lane(mut self, lane: &str) -> Self {
        self.lane = format!("/@{lane}");
        self
    }

    /// Waits as long as any call may be held.
    pub(crate) fn patient(self) -> Self {
        self.lane("job;max-wait=1h")
    }

    /// With that header.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(HeaderName::from_static(name), value.parse().unwrap());
        self
    }

    /// Without that header.
    pub(crate) fn without_header(mut self, name: &'static str) -> Self {
        self.headers.remove(name);
        self
    }

    /// With these arguments.
    pub(crate) fn form(self, form: &str) -> Self {
        self.body("application/x-www-form-urlencoded", form.to_owned())
    }

    /// With a body of that content type.
    pub(crate) fn body(mut self, kind: &str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header("content-type", kind)
    }

    /// Sends it so much later.
    pub(crate) fn after(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Sends it, and reads the answer to its end. Dropping the future hangs up.
    pub(crate) async fn send(self) -> Answer {
        self.try_send().await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// As [`Self::send`], where the answer may break off.
    pub(crate) async fn try_send(self) -> Result<Answer, String> {
        if !self.wait.is_zero() {
            tokio::time::sleep(self.wait).await;
        }
        let sent = Instant::now();
        let mut request = Request::new(Full::new(self.body));
        *request.method_mut() = self.verb;
        *request.uri_mut() = format!("http://proxy{}{}", self.lane, self.path).parse().unwrap();
        *request.headers_mut() = self.headers;
        let response = self.bot.client.request(request).await.map_err(|e| format!("{e:?}"))?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| format!("{error:?}"))?.to_bytes();
        let took = Instant::now().duration_since(sent);
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body, took })
    }

    /// Sends it in a task of its own. Aborting the task, or dropping the set, hangs up.
    pub(crate) fn held(self) -> JoinSet<Answer> {
        let mut set = JoinSet::new();
        set.spawn(self.send());
        set
    }

    /// Sends it and hangs up after that time, unless the answer is here before.
    pub(crate) async fn hang_up_after(self, time: Duration) -> Option<Answer> {
        tokio::time::timeout(time, self.send()).await.ok()
    }
}

// === impl Answer ===

impl Answer {
    /// A header's text; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Whether Slack said that it did it.
    pub(crate) fn is_ok(&self) -> bool {
        self.status == 200 && self.json()["ok"] == true
    }

    /// What a shed or refused call says: when to come back, why, and for which bucket.
    #[track_caller]
    pub(crate) fn shed(&self) -> (u64, &str, &str) {
        self.shed_as(429)
    }

    /// The same, where that is said with another status.
    #[track_caller]
    pub(crate) fn shed_as(&self, status: u16) -> (u64, &str, &str) {
        let (json, told) = (self.json(), self.told(status));
        if told.1 == "upstream" {
            assert_eq!(json, serde_json::json!({ "ok": false, "error": "ratelimited" }));
        } else {
            let message = self.message();
            let body = serde_json::json!({
                "ok": false, "error": "ratelimited", "response_metadata": { "messages": [message] }
            });
            assert_eq!(json, body);
            assert!(message.starts_with("[ERROR] slackwater: not sent: "), "{message}");
        }
        told
    }

    /// What a shed call is told in words.
    pub(crate) fn message(&self) -> String {
        self.json()["response_metadata"]["messages"][0].as_str().unwrap().to_owned()
    }

    /// The same of what goes to hooks.slack.com.
    #[track_caller]
    pub(crate) fn hook_shed(&self) -> (u64, &str, &str) {
        let told = self.told(429);
        let body =
            serde_json::json!({ "retry_after": told.0, "ok": false, "error": "rate_limited" });
        assert_eq!(self.json(), body);
        told
    }

    #[track_caller]
    fn told(&self, status: u16) -> (u64, &str, &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.header("content-type").starts_with("application/json"), "{self:?}");
        let retry_after = self.header("retry-after").parse().unwrap();
        (retry_after, self.header("slackwater-reason"), self.header("slackwater-bucket"))
    }
}
