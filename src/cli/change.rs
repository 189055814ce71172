//! A change at the running proxy: one request to its operators' listener, and what it says.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::Value;
use tokio::{runtime, time::timeout};

use super::NO;
use crate::config::{environment, load};

/// Where the running proxy is.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// Where the proxy's operators' listener is. Without it: what the configuration says
    #[arg(long, value_name = "URL")]
    pub admin: Option<String>,

    /// The configuration of the proxy. Without it: the file in `SLACKWATER_CONFIG`, else the
    /// defaults: <http://127.0.0.1:9090>
    #[arg(long, value_name = "FILE", conflicts_with = "admin")]
    pub config: Option<PathBuf>,
}

/// The variable with the token of `admin.token`.
const TOKEN_ENV: &str = "SLACKWATER_ADMIN_TOKEN";
/// The longest wait for an answer.
const LIMIT: Duration = Duration::from_secs(10);
/// The longest answer.
const LONGEST: usize = 1 << 20;

/// Asks for a change, and writes what the proxy says of it: 0 if it did it, 1 if it refused.
///
/// # Errors
/// If nobody answers, or no slackwater.
pub(super) fn ask(
    place: &Place,
    path: &str,
    change: &Value,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let base = match &place.admin {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("http://{}", reach(load(place.config.as_deref())?.admin.listen)),
    };
    let mut request = Request::post(format!("{base}{path}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(change.to_string())))
        .with_context(|| format!("{base} is no URL"))?;
    if let Some(token) = environment(TOKEN_ENV) {
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.trim()))
            .with_context(|| format!("{TOKEN_ENV} has a character that no token has"))?;
        bearer.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
    }
    let exchange = async {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let answer = client.request(request).await;
        let answer = answer.with_context(|| format!("nothing answers at {base}"))?;
        let body = Limited::new(answer.into_body(), LONGEST).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("the answer of {base}: {error}"))?;
        anyhow::Ok(body.to_bytes())
    };
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let body = runtime.block_on(async { timeout(LIMIT, exchange).await });
    let body = body.with_context(|| format!("no answer from {base} within {LIMIT:?}"))??;
    let answer: Option<Value> = serde_json::from_slice(&body).ok();
    let message = answer.as_ref().and_then(|answer| answer["message"].as_str());
    let (Some(answer), Some(message)) = (&answer, message) else {
        bail!("what answers at {base} is no slackwater, or an older one");
    };
    writeln!(out, "{message}")?;
    if let Some(note) = answer["note"].as_str() {
        writeln!(out, "{note}")?;
    }
    Ok(if answer["ok"] == true { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}

/// How this machine reaches a listener: one for every interface by the loopback.
fn reach(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
