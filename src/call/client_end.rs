//! The end of what a call's client says. It has left, or it reads on: nothing tells which, until
//! something is written to it.

use http::Extensions;
use tokio_util::sync::CancellationToken;

/// Whether a call's client has ended its side of the connection.
#[derive(Clone, Debug, Default)]
pub struct ClientEnd(Option<CancellationToken>);

/// A call is not held, because its client has ended its side of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the call was not sent: its client ended its side of the connection while the call was held, as \
     one does that leaves; keep both sides open until the answer has come"
)]
pub struct ClientEnded;

// === impl ClientEnd ===

impl ClientEnd {
    /// It has come when that is cancelled.
    pub fn new(ended: CancellationToken) -> Self {
        Self(Some(ended))
    }

    /// That of a request, as far as it can be told.
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get().cloned().unwrap_or_default()
    }

    /// Whether it has come.
    pub fn has_come(&self) -> bool {
        self.0.as_ref().is_some_and(CancellationToken::is_cancelled)
    }

    /// What comes of something that the call waits for.
    ///
    /// # Errors
    /// If its client ends its side of the connection before: it may have left.
    pub async fn unless<T>(&self, work: impl Future<Output = T>) -> Result<T, ClientEnded> {
        tokio::select! {
            done = work => Ok(done),
            () = self.comes() => Err(ClientEnded),
        }
    }

    /// Waits for it. Dropping the future ends the wait.
    pub async fn comes(&self) {
        match &self.0 {
            Some(ended) => ended.cancelled().await,
            None => std::future::pending().await,
        }
    }
}
