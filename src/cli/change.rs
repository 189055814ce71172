//! A change at the running proxy: one request to its operators' listener, and what it says.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::{Context, bail};
use config::environment;
use console::{Ask, NO, Place};
use http::HeaderValue;
use serde_json::Value;
use tokio::runtime;

/// The variable with the token of `admin.token`.
const TOKEN_ENV: &str = "SLACKWATER_ADMIN_TOKEN";

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
    let base = place.url()?;
    let bearer = environment(TOKEN_ENV).map(|token| {
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.trim()))
            .with_context(|| format!("{TOKEN_ENV} has a character that no token has"))?;
        bearer.set_sensitive(true);
        anyhow::Ok(bearer)
    });
    let bearer = bearer.transpose()?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let body = runtime.block_on(async { Ask::new(&base).post(path, change, bearer).await })?;
    let answer: Option<Value> = serde_json::from_slice(&body).ok();
    let message = answer.as_ref().and_then(|answer| answer["message"].as_str());
    let (Some(answer), Some(message)) = (&answer, message) else {
        bail!("what answers at {base} is no slackwater, or an older one");
    };
    if answer["ok"] != true {
        // Where standard error is closed, the exit code tells.
        let _ = writeln!(io::stderr(), "error: {message}");
        return Ok(ExitCode::from(NO));
    }
    writeln!(out, "{message}")?;
    if let Some(note) = answer["note"].as_str() {
        writeln!(out, "{note}")?;
    }
    Ok(ExitCode::SUCCESS)
}
