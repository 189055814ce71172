//! Questions to a listener on this machine or near: a small request, an answer that is bounded in
//! size and time.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use tokio::time::timeout;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Asks one server, over plain HTTP.
#[derive(Debug)]
pub struct Ask {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
}

/// There is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No connection, or one that broke.
    #[error("nothing answers at {0}")]
    Unreachable(String, #[source] hyper_util::client::legacy::Error),
    /// Not in time.
    #[error("no answer from {0} within {1:?}")]
    Slow(String, Duration),
    /// Longer than anything of ours, or broken off.
    #[error("the answer of {0} cannot be read")]
    Body(String, #[source] BoxError),
    /// The base and the path make no URL.
    #[error("{0} is no URL")]
    Url(String, #[source] http::uri::InvalidUri),
}

/// The most that is waited for and read of an answer.
struct Most {
    time: Duration,
    bytes: usize,
}

/// Of a page.
const PAGE: Most = Most { time: Duration::from_secs(5), bytes: 64 << 20 };
/// Of what is said to a change.
const SAID: Most = Most { time: Duration::from_secs(10), bytes: 1 << 20 };

// === impl Ask ===

impl Ask {
    /// Asks the server at `base`, as in `http://127.0.0.1:9090`.
    pub fn new(base: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { client, base: base.trim_end_matches('/').to_owned() }
    }

    /// What the server answers at that path.
    ///
    /// # Errors
    /// [`AskError`], if it does not.
    pub async fn get(&self, path: &str) -> Result<(StatusCode, Bytes), AskError> {
        self.exchange(path, Request::default(), PAGE).await
    }

    /// What the server says to a change, which `bearer` proves.
    ///
    /// # Errors
    /// [`AskError`], if it says nothing.
    pub async fn post(
        &self,
        path: &str,
        change: &Value,
        bearer: Option<HeaderValue>,
    ) -> Result<Bytes, AskError> {
        let mut request = Request::new(Full::from(change.to_string()));
        *request.method_mut() = http::Method::POST;
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, json);
        if let Some(bearer) = bearer {
            request.headers_mut().insert(header::AUTHORIZATION, bearer);
        }
        self.exchange(path, request, SAID).await.map(|(_, body)| body)
    }

    async fn exchange(
        &self,
        path: &str,
        mut request: Request<Full<Bytes>>,
        most: Most,
    ) -> Result<(StatusCode, Bytes), AskError> {
        let place = || self.base.clone();
        let url = format!("{}{path}", self.base);
        let url: Uri = url.parse().map_err(|error| AskError::Url(url, error))?;
        *request.uri_mut() = url;
        let exchange = async {
            let answer = self.client.request(request).await;
            let answer = answer.map_err(|error| AskError::Unreachable(place(), error))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), most.bytes).collect().await;
            let body = body.map_err(|error| AskError::Body(place(), error))?;
            Ok((status, body.to_bytes()))
        };
        let answer = timeout(most.time, exchange).await;
        answer.unwrap_or_else(|_| Err(AskError::Slow(place(), most.time)))
    }
}
