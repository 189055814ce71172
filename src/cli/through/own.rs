//! The way to Slack: through a proxy that runs, or through one of the command's own, for where none does.

use std::{io::Write, net::Ipv4Addr, thread};

use anyhow::anyhow;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::{
    app::{self, Addresses, StartError},
    config::Config,
    state::OpenError,
};

/// The way to Slack.
#[derive(Debug)]
pub(in crate::cli) struct Way {
    /// Where the proxy is, without a slash at its end.
    pub(in crate::cli) base: String,
    own: Option<Own>,
}

/// A proxy within this process, on loopback.
#[derive(Debug)]
struct Own {
    end: CancellationToken,
    thread: thread::JoinHandle<Result<(), StartError>>,
}

// === impl Way ===

impl Way {
    /// Through the proxy at that base URL, or through one that is started, which is said.
    ///
    /// # Errors
    /// If it cannot start.
    pub(in crate::cli) async fn open(
        via: Option<String>,
        config: Config,
        out: &mut impl Write,
    ) -> anyhow::Result<Self> {
        if let Some(base) = via {
            return Ok(Self { base, own: None });
        }
        let running = config.listen;
        let (own, addresses) = Own::start(config).await.map_err(|error| {
            match error.downcast_ref() {
                // Its own windows are of no use where another spends the same budget.
                Some(StartError::State(OpenError::InUse(path))) => anyhow!(
                    "a proxy that runs has the state file {}, and two would spend one budget twice; \
                     go through that one: --via http://{running}",
                    path.display()
                ),
                _ => error,
            }
        })?;
        writeln!(out, "no --via: through a proxy of its own, with a budget of its own")?;
        Ok(Self { base: format!("http://{}", addresses.bots), own: Some(own) })
    }

    /// Ends a proxy of its own, and waits until it has.
    ///
    /// # Errors
    /// If it failed.
    pub(in crate::cli) fn close(self) -> anyhow::Result<()> {
        self.own.map_or(Ok(()), Own::close)
    }
}

// === impl Own ===

impl Own {
    /// Starts it as `run` does, on ports that are free.
    async fn start(mut config: Config) -> anyhow::Result<(Self, Addresses)> {
        config.listen = (Ipv4Addr::LOCALHOST, 0).into();
        config.admin.listen = (Ipv4Addr::LOCALHOST, 0).into();
        let (end, (tell, told)) = (CancellationToken::new(), oneshot::channel());
        let thread = thread::Builder::new().name("proxy".into()).spawn({
            let end = end.clone();
            // Whoever asked is waiting.
            move || app::run_until(config, end, |addresses| tell.send(addresses).unwrap_or(()))
        })?;
        let Ok(addresses) = told.await else {
            thread.join().map_err(|_| anyhow!("the proxy panicked"))??;
            anyhow::bail!("the proxy ended before it began");
        };
        Ok((Self { end, thread }, addresses))
    }

    fn close(self) -> anyhow::Result<()> {
        self.end.cancel();
        self.thread.join().map_err(|_| anyhow!("the proxy panicked"))??;
        Ok(())
    }
}
