//! A call on its way: through the proxy, again after each pause that it asks for, until it is done,
//! is refused for good, or is given up.

use std::{fmt::Write as _, io, time::Duration};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::verdict::{Verdict, verdict};

/// Sends calls through one proxy.
#[derive(Debug)]
pub(crate) struct Sender {
    client: Client<HttpConnector, Full<Bytes>>,
    /// Without a slash at its end.
    base: String,
    caller: HeaderValue,
    agent: HeaderValue,
    notes: mpsc::Sender<String>,
}

/// A call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) method: &'a str,
    /// Its arguments.
    pub(crate) form: &'a str,
    /// The header with its token.
    pub(crate) token: Option<&'a HeaderValue>,
    /// Whether it does no harm if it is done twice.
    pub(crate) repeatable: bool,
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum CallResult {
    /// It is done, and this is what Slack says.
    Done(Bytes),
    /// It was not done, with this error of Slack's.
    Refused(String),
    /// Nobody knows whether it was done, for this reason.
    Unsure(String),
    /// It was not done, and no call with that token will be: Slack's error.
    Token(String),
    /// It waited when all was to stop, and is not done.
    Stopped,
    /// No call can be made, for that reason, and this one was not.
    Ended(String),
}

/// Why there is no answer.
enum Silence {
    /// The call never left.
    NoConnection(String),
    /// It did, and nobody knows.
    Lost,
    /// There is one, and it is too long.
    TooLong,
}

/// How long the proxy may hold a call. What waits longer comes back at its time and keeps its
/// place, so that nothing is held long when all is to stop.
const MAX_WAIT: &str = "30s";
/// How long an answer may take: the wait, and what the proxy gives Slack.
const ANSWERED: Duration = Duration::from_secs(180);
/// How long nothing may be reached.
const PATIENCE: Duration = Duration::from_secs(600);
/// The pause after nothing was reached, and before what may have been done is repeated.
const BREATH: Duration = Duration::from_secs(3);
/// So often is repeated what may have been done.
const REPEATS: u32 = 5;
/// The longest answer that is read.
const LONGEST: usize = 16 << 20;
/// How long it takes to see that there is a proxy.
const PROBE: Duration = Duration::from_secs(10);

const CALLER: HeaderName = HeaderName::from_static("slackwater-caller");
const CLASS: HeaderName = HeaderName::from_static("slackwater-class");
const WAIT: HeaderName = HeaderName::from_static("slackwater-max-wait");
/// Says that it is no call, so that the proxy warns of none that goes nowhere.
const PROBE_HEADER: HeaderName = HeaderName::from_static("slackwater-probe");
/// Every answer of a slackwater has it.
const ATTEMPTS: HeaderName = HeaderName::from_static("slackwater-attempts");

/// What a command says as its User-Agent.
pub(crate) fn agent(command: &str) -> String {
    format!("slackwater-{command}/{}", env!("CARGO_PKG_VERSION"))
}

// === impl Sender ===

impl Sender {
    /// Sends to the proxy at `base` for a command, and tells what it waits for.
    ///
    /// # Errors
    /// If the name of the caller is none.
    pub(crate) fn new(
        base: &str,
        command: &str,
        caller: &str,
        notes: mpsc::Sender<String>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            base: base.to_owned(),
            caller: HeaderValue::try_from(caller).context("--caller is no name of one")?,
            agent: HeaderValue::try_from(agent(command))?,
            notes,
        })
    }

    /// Whether a slackwater answers there; before any token is sent.
    ///
    /// # Errors
    /// If nobody does, or somebody else.
    pub(crate) async fn probe(&self) -> anyhow::Result<()> {
        let base = &self.base;
        let request = Request::get(format!("{base}/"))
            .header(header::USER_AGENT, &self.agent)
            .header(PROBE_HEADER, "1")
            .body(Full::default())?;
        let answer = timeout(PROBE, self.client.request(request)).await;
        let Ok(answer) = answer else { bail!("no answer from {base} within {PROBE:?}") };
        let answer = answer.map_err(io::Error::other).with_context(|| {
            format!("nothing answers at {base}; start `slackwater run`, or correct --via")
        })?;
        if !answer.headers().contains_key(ATTEMPTS) {
            bail!("what answers at {base} is no slackwater; --via is where its bots connect to");
        }
        Ok(())
    }

    /// Sends it until it is over. What waits for its turn ends with `stop`, what is under way does
    /// not.
    ///
    /// Dropping the future gives the call up; it may have been done.
    pub(crate) async fn send(&self, call: Outgoing<'_>, stop: &CancellationToken) -> CallResult {
        let (mut repeats, mut reached) = (0, Instant::now());
        loop {
            let answer = self.once(call).await;
            let now = Instant::now();
            if !matches!(answer, Err(Silence::NoConnection(_)) | Ok((Verdict::Unreachable, _))) {
                reached = now;
            }
            let unsure = match answer {
                Ok((Verdict::Done, body)) => return CallResult::Done(body),
                Ok((Verdict::Refused(error), _)) => return CallResult::Refused(error),
                Ok((Verdict::Token(error), _)) => return CallResult::Token(error),
                Err(Silence::TooLong) => return CallResult::Unsure("answer_too_long".to_owned()),
                Ok((Verdict::Again(pause), _)) => Err(pause),
                Ok((Verdict::Unreachable, _)) => {
                    self.note("the proxy does not reach Slack");
                    Err(BREATH)
                }
                Err(Silence::NoConnection(error)) => {
                    self.note(&format!("nothing answers at {}: {error}", self.base));
                    Err(BREATH)
                }
                Ok((Verdict::Unsure(error), _)) => Ok(error),
                Err(Silence::Lost) => Ok("answer_lost".to_owned()),
            };
            let pause = match unsure {
                Ok(error) if repeats == REPEATS || !call.repeatable => {
                    return CallResult::Unsure(error);
                }
                Ok(_) => {
                    repeats += 1;
                    BREATH
                }
                Err(pause) => pause,
            };
            if now.duration_since(reached) > PATIENCE {
                let base = &self.base;
                return CallResult::Ended(format!(
                    "for {PATIENCE:?} nothing was reached through {base}"
                ));
            }
            if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                return CallResult::Stopped;
            }
        }
    }

    /// Where nobody reads the last ones, this one is not news.
    fn note(&self, text: &str) {
        let _ = self.notes.try_send(text.to_owned());
    }

    async fn once(&self, call: Outgoing<'_>) -> Result<(Verdict, Bytes), Silence> {
        let request = Request::post(format!("{}/api/{}", self.base, call.method))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8")
            .header(header::USER_AGENT, &self.agent)
            .header(CALLER, &self.caller)
            .header(CLASS, "background")
            .header(WAIT, MAX_WAIT);
        let request = match call.token {
            Some(token) => request.header(header::AUTHORIZATION, token),
            None => request,
        };
        // Its parts were all looked at before.
        let request = request
            .body(Full::new(Bytes::copy_from_slice(call.form.as_bytes())))
            .map_err(|_| Silence::Lost)?;
        let exchange = async {
            let answer = self.client.request(request).await.map_err(|error| {
                if error.is_connect() {
                    Silence::NoConnection(cause(&error))
                } else {
                    Silence::Lost
                }
            })?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, LONGEST).collect().await.map_err(|error| {
                if error.is::<LengthLimitError>() { Silence::TooLong } else { Silence::Lost }
            })?;
            let body = body.to_bytes();
            Ok((verdict(head.status, &head.headers, &body), body))
        };
        timeout(ANSWERED, exchange).await.unwrap_or(Err(Silence::Lost))
    }
}

/// Where the proxy is, as typed with or without the scheme and `/api/`.
///
/// # Errors
/// If it is none that is spoken to.
pub(crate) fn base(url: &str) -> anyhow::Result<String> {
    let url = match url.split_once("://") {
        None => format!("http://{url}"),
        Some(("http", _)) => url.to_owned(),
        Some(_) => bail!("--via {url}: the proxy speaks plain HTTP, so it is http://HOST:PORT"),
    };
    let parsed: Uri = url.parse().with_context(|| format!("--via {url} is no URL"))?;
    let url = url.trim_end_matches('/');
    let url = url.strip_suffix("/api").unwrap_or(url);
    if parsed.host().is_none_or(str::is_empty) || parsed.query().is_some() {
        bail!("--via {url} is not the base URL of a proxy, as in http://127.0.0.1:8080");
    }
    Ok(url.to_owned())
}

/// The last of an error's causes, which says most.
fn cause(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let mut next = error.source();
    while let Some(source) = next {
        text.clear();
        // Writing to a string does not fail.
        let _ = write!(text, "{source}");
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_may_be_typed_in_every_usual_way() {
        for url in ["127.0.0.1:8080", "http://127.0.0.1:8080", "http://127.0.0.1:8080/api/"] {
            assert_eq!(base(url).unwrap(), "http://127.0.0.1:8080");
        }
        for url in ["https://slack.com/api/", "http://", "http://x/?y", "http://a b"] {
            assert!(base(url).is_err(), "{url}");
        }
    }
}
