//! The way to Slack: through a proxy that runs, or through one of the command's own, for where none does.

use std::{io::Write, net::Ipv4Addr};

use anyhow::anyhow;
use config::Config;
use tokio_util::sync::CancellationToken;

use crate::proxy::{Launch, LaunchError, Proxy};

/// The way to Slack.
#[derive(Debug)]
pub(crate) struct Way {
    /// Where the proxy is, without a slash at its end.
    pub(crate) base: String,
    own: Option<Proxy>,
}

/// What the way is made of.
#[derive(Debug)]
pub(crate) struct Means {
    /// The base URL of a proxy that runs, if there is one.
    pub(crate) via: Option<String>,
    /// The configuration of one that is started.
    pub(crate) config: Config,
    /// How it is started.
    pub(crate) launch: Launch,
}

// === impl Way ===

impl Way {
    /// Through the proxy that runs, or through one that is started, which is said.
    ///
    /// # Errors
    /// If it cannot start.
    pub(crate) async fn open(
        Means { via, mut config, launch }: Means,
        out: &mut impl Write,
    ) -> anyhow::Result<Self> {
        if let Some(base) = via {
            return Ok(Self { base, own: None });
        }
        let running = config.listen;
        // As `run` does, on ports that are free.
        config.listen = (Ipv4Addr::LOCALHOST, 0).into();
        config.admin.listen = (Ipv4Addr::LOCALHOST, 0).into();
        let started = Proxy::start(launch, config, CancellationToken::new()).await;
        let (own, addresses) = started.map_err(|error| {
            match error.downcast_ref() {
                // Its own windows are of no use where another spends the same budget.
                Some(LaunchError::StateInUse(path)) => anyhow!(
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
    pub(crate) fn close(self) -> anyhow::Result<()> {
        self.own.map_or(Ok(()), Proxy::close)
    }
}
