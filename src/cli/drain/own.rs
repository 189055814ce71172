//! A proxy of a drain's own, for where none runs.

use std::{net::Ipv4Addr, thread};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::{
    app::{self, Addresses, StartError},
    config::Config,
};

/// A proxy within this process, on loopback.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) base: String,
    end: CancellationToken,
    thread: thread::JoinHandle<Result<(), StartError>>,
}

// === impl Own ===

impl Own {
    /// Starts it as `run` does, on ports that are free.
    ///
    /// # Errors
    /// If it cannot start.
    pub(super) async fn start(mut config: Config) -> anyhow::Result<Self> {
        config.listen = (Ipv4Addr::LOCALHOST, 0).into();
        config.admin.listen = (Ipv4Addr::LOCALHOST, 0).into();
        let (end, (tell, told)) = (CancellationToken::new(), oneshot::channel());
        let thread = thread::Builder::new().name("proxy".into()).spawn({
            let end = end.clone();
            // Whoever asked is waiting.
            move || app::run_until(config, end, |addresses| tell.send(addresses).unwrap_or(()))
        })?;
        let Ok(Addresses { bots, .. }) = told.await else {
            thread.join().map_err(|_| anyhow::anyhow!("the proxy panicked"))??;
            anyhow::bail!("the proxy ended before it began");
        };
        Ok(Self { base: format!("http://{bots}"), end, thread })
    }

    /// Ends it, and waits until it has.
    ///
    /// # Errors
    /// If it failed.
    pub(super) fn close(self) -> anyhow::Result<()> {
        self.end.cancel();
        self.thread.join().map_err(|_| anyhow::anyhow!("the proxy panicked"))??;
        Ok(())
    }
}
