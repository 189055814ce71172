//! What a running proxy says of itself: `/status`.

use anyhow::{Context, bail};
use http::StatusCode;
use serde::de::DeserializeOwned;

use crate::Ask;

/// What `/status` answers, as it came.
///
/// # Errors
/// If there is no answer, or none of a slackwater.
pub async fn fetch(ask: &Ask, admin: &str) -> anyhow::Result<Vec<u8>> {
    let (status, body) = ask.get("/status").await.with_context(|| {
        format!("cannot ask {admin}; is `slackwater run` up, and is this its admin.listen? --admin URL names another")
    })?;
    if status != StatusCode::OK {
        bail!("{admin}/status answers {status}: that is no slackwater; --admin URL names another");
    }
    Ok(body.into())
}

/// What it says, as far as it is wanted.
///
/// # Errors
/// If it cannot be read.
pub fn read<T: DeserializeOwned>(text: &[u8], admin: &str) -> anyhow::Result<T> {
    serde_json::from_slice(text).with_context(|| {
        format!("what {admin}/status answers is not slackwater's, or of another version; --admin URL names another")
    })
}
