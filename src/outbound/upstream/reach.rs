//! Whether upstreams can be reached, so that one that cannot be is not stormed.
//!
//! When a connection to a host fails, the host is *down*. The calls that want to be sent again wait for
//! it here, without slots. One of them leads: it connects every now and then, with pauses that double.
//! When that succeeds the host is up again, and all go on. While one leads, whoever else needs a
//! connection is told at once that there is none, and waits, too. So there is one attempt at a time,
//! however many calls there are. Where nobody waits, as in shadow mode, each call tries for itself.
//!
//! So many connections to a host are made at once, whatever comes: each is a handshake, and the calls' thread
//! does them all. Who waits for a place here may have another connection before, as soon as one is free.
//!
//! Only a connection that a call asked for makes the next pause short again: a host whose connections
//! fail as soon as many want one is soon left alone for longer.

use std::{
    collections::HashMap,
    error::Error,
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper::rt::{Read, Write};
use hyper_util::client::legacy::connect::Connection;
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, sleep_until, timeout_at},
};
use tower::Service;

use super::{connect::NotTrusted, loops::LeadsBack, metered::Metered, proxied::ProxyError};
use crate::{causes::with_causes, step::BoxError};

/// What makes connections.
pub trait Connects:
    Service<
        Uri,
        Response: Read + Write + Connection + Unpin + Send + 'static,
        Error: Into<BoxError>,
        Future: Send + 'static,
    > + Clone
    + Send
    + Sync
    + 'static
{
}

/// Makes connections, unless the host is known to be down. Clones know the same.
#[derive(Debug)]
pub struct Reach<C> {
    inner: C,
    hosts: Arc<Hosts>,
}

/// What is known of hosts. There are as many as upstreams.
#[derive(Debug, Default)]
struct Hosts(Mutex<HashMap<String, Arc<Host>>>);

#[derive(Debug)]
struct Host {
    state: watch::Sender<State>,
    /// Who may try to connect while it is down.
    lead: Semaphore,
    /// How many more connections may be made at once.
    places: Semaphore,
}

#[derive(Debug, Default)]
struct State {
    /// How often connecting has failed in a row.
    failures: u32,
    /// When it is tried next, and why it failed, while the host is down.
    down: Option<(Instant, Arc<str>)>,
}

/// The host is down, and another call tries to reach it.
#[derive(Debug, thiserror::Error)]
#[error("it could not be reached just now: {0}")]
struct Down(Arc<str>);

/// How many connections to a host are made at once. Within a second, at a round trip of 100 ms, that is more
/// than Slack allows calls of any method in a minute.
const AT_ONCE: usize = 256;
/// The pause after the first failure, …
const FIRST: Duration = Duration::from_millis(100);
/// … and after many.
const LONGEST: Duration = Duration::from_secs(2);

/// The pause after so many failures in a row.
pub fn pause(failures: u32) -> Duration {
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    FIRST.saturating_mul(doubled).min(LONGEST)
}

/// Whether it makes no sense to try again soon: somebody has to change something first.
pub fn is_lasting(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(at) = next {
        let refused = at.downcast_ref().is_some_and(|proxy| match proxy {
            ProxyError::Credentials { .. } => true,
            ProxyError::Refused { status, .. } => !status.is_server_error(),
            ProxyError::Unreachable { .. } | ProxyError::Broken { .. } => false,
        });
        if refused || at.is::<NotTrusted>() || at.is::<LeadsBack>() {
            return true;
        }
        // An I/O error that wraps another names that one's source as its own.
        let wrapped = at.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = wrapped.map(|it| it as &(dyn Error + 'static)).or_else(|| at.source());
    }
    false
}

// === impl Reach ===

impl<C> Reach<C> {
    /// Nothing is known of any host.
    pub fn new(inner: C) -> Self {
        Self { inner, hosts: Arc::default() }
    }
}

impl<C: Connects> Reach<C> {
    /// Waits until a URL's host is not known to be down, at most until then. Whether it is not.
    ///
    /// Dropping the future ends the wait, and the attempt to connect that it may be at.
    pub async fn wait(&self, url: &Uri, until: Instant) -> bool {
        let host = self.hosts.of(url);
        let mut changes = host.state.subscribe();
        let up = async {
            tokio::select! {
                // The sender is in `host`.
                _ = changes.wait_for(|state| state.down.is_none()) => {}
                () = self.lead(&host, url) => {}
            }
        };
        timeout_at(until, up).await.is_ok()
    }

    /// Connects every now and then, when nobody else does, until the host is up.
    async fn lead(&self, host: &Host, url: &Uri) {
        // The semaphore is never closed.
        let _lead = host.lead.acquire().await;
        while let Some(at) = host.next_attempt() {
            sleep_until(at).await;
            // Before, so that whoever leads next waits for as long if this one goes meanwhile.
            host.fails(None);
            match connect(self.inner.clone(), url).await {
                Ok(_) => host.is_up(false),
                Err(error) => host.fails(Some(&error)),
            }
        }
    }
}

/// A connection to a URL's host.
pub(super) async fn connect<C: Connects>(
    mut connector: C,
    url: &Uri,
) -> Result<C::Response, BoxError> {
    poll_fn(|cx| connector.poll_ready(cx)).await.map_err(Into::into)?;
    connector.call(origin(url)).await.map_err(Into::into)
}

/// What of a URL a connection is for.
fn origin(url: &Uri) -> Uri {
    let mut parts = url.clone().into_parts();
    parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
    Uri::from_parts(parts).unwrap_or_else(|_| url.clone())
}

impl<C: Clone> Clone for Reach<C> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), hosts: Arc::clone(&self.hosts) }
    }
}

impl<C: Connects> Service<Uri> for Reach<C> {
    type Response = Metered<C::Response>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Metered<C::Response>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let host = self.hosts.of(&url);
        if let Some(because) = host.is_down() {
            return Box::pin(async { Err(Down(because).into()) });
        }
        // The one that is ready.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        Box::pin(async move {
            // The semaphore is never closed.
            let _place = host.places.acquire().await;
            if let Some(because) = host.is_down() {
                // It was not, when this began to wait.
                return Err(Down(because).into());
            }
            match inner.call(url).await {
                Ok(io) => {
                    host.is_up(true);
                    Ok(Metered::new(io))
                }
                Err(error) => {
                    let error = error.into();
                    host.failed(&error);
                    Err(error)
                }
            }
        })
    }
}

impl<T> Connects for T where
    T: Service<
            Uri,
            Response: Read + Write + Connection + Unpin + Send + 'static,
            Error: Into<BoxError>,
            Future: Send + 'static,
        > + Clone
        + Send
        + Sync
        + 'static
{
}

// === impl Hosts ===

impl Hosts {
    fn of(&self, url: &Uri) -> Arc<Host> {
        let scheme = url.scheme_str().unwrap_or_default();
        let authority = url.authority().map_or("", http::uri::Authority::as_str);
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts.entry(format!("{scheme}://{authority}"));
        let host = host.or_insert_with(|| {
            let (lead, places) = (Semaphore::new(1), Semaphore::new(AT_ONCE));
            Arc::new(Host { state: watch::Sender::default(), lead, places })
        });
        Arc::clone(host)
    }
}

// === impl Host ===

impl Host {
    /// Why it is down, if it is and somebody tries to reach it.
    fn is_down(&self) -> Option<Arc<str>> {
        if self.lead.available_permits() > 0 {
            return None;
        }
        self.state.borrow().down.as_ref().map(|(_, because)| Arc::clone(because))
    }

    fn next_attempt(&self) -> Option<Instant> {
        self.state.borrow().down.as_ref().map(|(at, _)| *at)
    }

    /// A connection was made, which a call asked for or not.
    fn is_up(&self, for_a_call: bool) {
        self.state.send_if_modified(|state| {
            let was_down = state.down.take().is_some();
            if for_a_call {
                state.failures = 0;
            }
            if was_down {
                tracing::info!("the upstream can be reached again");
            }
            was_down
        });
    }

    /// A connection that a call asked for failed. Others that were begun before fail with it.
    fn failed(&self, error: &BoxError) {
        if is_lasting(&**error) {
            return;
        }
        self.state.send_if_modified(|state| {
            if let Some((at, _)) = &mut state.down {
                *at = Instant::now() + pause(state.failures);
                return false;
            }
            state.failures = state.failures.saturating_add(1);
            let because = with_causes(&**error);
            tracing::info!(
                error = because,
                "the upstream cannot be reached: it is tried in pauses"
            );
            state.down = Some((Instant::now() + pause(state.failures), because.into()));
            true
        });
    }

    /// Whoever leads is about to connect, or has failed.
    fn fails(&self, error: Option<&BoxError>) {
        self.state.send_if_modified(|state| {
            let Some((at, because)) = &mut state.down else { return false };
            match error {
                None => state.failures = state.failures.saturating_add(1),
                Some(error) => *because = with_causes(&**error).into(),
            }
            *at = Instant::now() + pause(state.failures);
            // Nobody waits for that.
            false
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound() {
        let pauses = [0, 1, 2, 3, 4, 5, 6, 100].map(|failures| pause(failures).as_millis());
        assert_eq!(pauses, [100, 100, 200, 400, 800, 1600, 2000, 2000]);
    }
}
