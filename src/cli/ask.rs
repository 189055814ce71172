//! Questions to a listener on this machine or near: a request without a body, an answer that is
//! bounded in size and time.

use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::time::timeout;

use crate::stack::BoxError;

/// Asks one server, over plain HTTP.
#[derive(Debug)]
pub(super) struct Ask {
    client: Client<HttpConnector, Empty<Bytes>>,
    base: String,
}

/// There is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// No connection, or one that broke.
    #[error("nothing answers at {0}")]
    Unreachable(String, #[source] hyper_util::client::legacy::Error),
    /// Not in time.
    #[error("no answer from {0} within {LIMIT:?}")]
    Slow(String),
    /// Longer than anything of ours, or broken off.
    #[error("the answer of {0} cannot be read")]
    Body(String, #[source] BoxError),
    /// The base and the path make no URL.
    #[error("{0} is no URL")]
    Url(String, #[source] http::uri::InvalidUri),
}

/// The longest wait for an answer.
const LIMIT: Duration = Duration::from_secs(5);
/// The longest answer.
const LONGEST: usize = 64 << 20;

// === impl Ask ===

impl Ask {
    /// Asks the server at `base`, as in `http://127.0.0.1:9090`.
    pub(super) fn new(base: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { client, base: base.trim_end_matches('/').to_owned() }
    }

    /// What the server answers at that path.
    ///
    /// # Errors
    /// [`AskError`], if it does not.
    pub(super) async fn get(&self, path: &str) -> Result<(StatusCode, Bytes), AskError> {
        let place = || self.base.clone();
        let url = format!("{}{path}", self.base);
        let url: Uri = url.parse().map_err(|error| AskError::Url(url, error))?;
        let exchange = async {
            let answer = self.client.get(url).await;
            let answer = answer.map_err(|error| AskError::Unreachable(place(), error))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), LONGEST).collect().await;
            let body = body.map_err(|error| AskError::Body(place(), error))?;
            Ok((status, body.to_bytes()))
        };
        timeout(LIMIT, exchange).await.unwrap_or_else(|_| Err(AskError::Slow(place())))
    }
}
