//! `slackwater check FILE --live`: do the upstreams answer, and whose are the configured tokens?

use std::{io::Write, time::Duration};

use bytes::Bytes;
use config::{Config, KnownToken, environment};
use http::{HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::Value;
use slack::{Facts, Kind, Told, identity};
use tokio::time::{Instant, timeout};

use crate::{
    causes::with_causes,
    outbound::upstream::connect::{Connector, connector},
};

/// Asks the upstreams.
struct Live {
    client: Client<Connector, Full<Bytes>>,
    limit: Duration,
}

/// An answer.
struct HttpReply {
    status: u16,
    took: Duration,
    body: Bytes,
}

/// No answer, or one that helps nobody: told in words.
type Failure = String;

/// The longest answer that is read.
const ANSWER: usize = 64 << 10;

/// Tells of each upstream whether it answers, and of each configured token whose it is. Whether all
/// is as the file says.
///
/// # Errors
/// If TLS cannot be set up, or the answer not be written.
pub(super) async fn look(config: &Config, out: &mut impl Write) -> anyhow::Result<bool> {
    let client = Client::builder(TokioExecutor::new()).build(connector(config, config.listen)?);
    let limit = config.timeouts.connect + Duration::from_secs(10);
    let live = Live { client, limit };
    let mut well = true;
    let mut seen = Vec::new();
    for upstream in &config.upstreams {
        let place = (upstream.kind == Kind::WebApi, upstream.url.authority());
        if seen.contains(&place) {
            continue;
        }
        seen.push(place);
        let url = &upstream.url;
        match live.reach(url, upstream.kind).await {
            Ok(took) => writeln!(out, "  reached    {url} in {} ms", took.as_millis())?,
            Err(why) => {
                well = false;
                writeln!(out, "  NOT REACHED {url}: {why}")?;
            }
        }
    }
    let api = config.upstreams.iter().find(|upstream| upstream.kind == Kind::WebApi);
    for token in &config.identity.tokens {
        let told = match api {
            Some(api) => live.token(&api.url, token).await,
            None => {
                Err("no upstream is of kind web_api, so nobody can tell whose it is".to_owned())
            }
        };
        match told {
            Ok(whose) => writeln!(out, "  token      {}: {whose}", token.env)?,
            Err(why) => {
                well = false;
                writeln!(out, "  WRONG TOKEN {}: {why}", token.env)?;
            }
        }
    }
    Ok(well)
}

// === impl Live ===

impl Live {
    /// How long the upstream takes to answer. The Web API has a method for it; elsewhere every
    /// answer will do.
    async fn reach(&self, url: &Uri, kind: Kind) -> Result<Duration, Failure> {
        if kind != Kind::WebApi {
            return Ok(self.ask(Method::GET, url.to_string(), None).await?.took);
        }
        let HttpReply { status, took, body } =
            self.ask(Method::POST, format!("{url}api.test"), None).await?;
        if json(&body).is_some_and(|body| body["ok"] == true) {
            return Ok(took);
        }
        Err(format!(
            "api.test is answered with {status}, and not as Slack does; look whether it is Slack's \
             Web API, or the fake, that is there"
        ))
    }

    /// Whose a token is, or what is wrong with it.
    async fn token(&self, api: &Uri, known: &KnownToken) -> Result<String, Failure> {
        let text = environment(&known.env).unwrap_or_default();
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", text.trim()))
            .map_err(|_| "it has a character that no token has; look at the variable".to_owned())?;
        bearer.set_sensitive(true);
        let answer = self.ask(Method::POST, format!("{api}auth.test"), Some(&bearer)).await?;
        let Some(Told::Caller(told, _)) = identity::read("auth.test", &answer.body) else {
            let said = json(&answer.body).and_then(|body| Some(body["error"].as_str()?.to_owned()));
            return Err(match said {
                Some(error) => format!(
                    "Slack says {error}; set the variable to a token that is installed, or delete the \
                     entry"
                ),
                None => {
                    format!("auth.test is answered with {}, and not as Slack does", answer.status)
                }
            });
        };
        let app = match &told.bot {
            Some(bot) => {
                let url = format!("{api}bots.info?bot={bot}");
                let answer = self.ask(Method::GET, url, Some(&bearer)).await;
                answer.ok().and_then(|answer| identity::read("bots.info", &answer.body))
            }
            None => None,
        };
        let app = app.and_then(|told| match told {
            Told::Bot { app, .. } => Some(app),
            Told::Caller(..) | Told::Tokens(_) => None,
        });
        let name = json(&answer.body).and_then(|body| Some(body["team"].as_str()?.to_owned()));
        compare(known, &Facts { app, ..told }, name.as_deref())
    }

    async fn ask(
        &self,
        verb: Method,
        url: String,
        bearer: Option<&HeaderValue>,
    ) -> Result<HttpReply, Failure> {
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.method_mut() = verb;
        *request.uri_mut() = url.parse().map_err(|_| "its URL is none".to_owned())?;
        if let Some(bearer) = bearer {
            request.headers_mut().insert(header::AUTHORIZATION, bearer.clone());
        }
        let sent = Instant::now();
        let exchange = async {
            let response =
                self.client.request(request).await.map_err(|error| with_causes(&error))?;
            let took = Instant::now().duration_since(sent);
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), ANSWER).collect().await;
            let body = body.map_err(|error| with_causes(&*error))?.to_bytes();
            Ok(HttpReply { status, took, body })
        };
        match timeout(self.limit, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {:?}", self.limit)),
        }
    }
}

/// What Slack tells beside what the file says.
fn compare(known: &KnownToken, told: &Facts, name: Option<&str>) -> Result<String, Failure> {
    let differs = |key: &str, said: &str, told: Option<&str>| {
        let told = told.filter(|told| *told != said)?;
        Some(format!("its {key} is {told}, and the file says {said}"))
    };
    let wrong: Vec<_> = [
        differs("app", &known.app, told.app.as_deref()),
        differs(
            "workspace",
            &known.workspace,
            told.workspace.as_deref().filter(|_| !told.org_wide),
        ),
        known.org.as_deref().and_then(|org| differs("org", org, told.org.as_deref())),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !wrong.is_empty() {
        return Err(format!("{}; correct its entry in identity.tokens", wrong.join("; ")));
    }
    let bot = told.bot.as_ref().map_or_else(|| "a person's".to_owned(), |bot| format!("bot {bot}"));
    let app = match &told.app {
        Some(app) => format!(" of app {app}"),
        None => format!(" (Slack does not tell of which app; the file says {})", known.app),
    };
    let workspace = told.workspace.as_ref().unwrap_or(&known.workspace);
    let name = name.map(|name| format!(" ({})", name.escape_debug())).unwrap_or_default();
    let org = told.org.as_ref().map(|org| format!(", organization {org}")).unwrap_or_default();
    Ok(format!("{bot}{app}, workspace {workspace}{name}{org}"))
}

fn json(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body).ok()
}
