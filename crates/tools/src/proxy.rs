//! A proxy within this process, for a command that needs one. How it is run is the binary's, which has
//! it; these commands only say with which configuration, and when it ends.

use std::{io, net::SocketAddr, path::PathBuf, thread};

use anyhow::anyhow;
use config::Config;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Runs a proxy until the token is cancelled, and says where it listens as soon as it does.
pub type Launch = fn(Config, CancellationToken, Listening) -> Result<(), LaunchError>;

/// Is called once, when the proxy listens.
pub type Listening = Box<dyn FnOnce(Addresses) + Send>;

/// Where a proxy listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// For bots.
    pub bots: SocketAddr,
    /// For operators.
    pub operators: SocketAddr,
}

/// A proxy could not start, or failed.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// Its state file belongs to a proxy that runs.
    #[error("another proxy has the state file {}", .0.display())]
    StateInUse(PathBuf),
    /// Anything else.
    #[error("the proxy cannot run")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A proxy that runs within this process, on a thread of its own.
#[derive(Debug)]
pub(crate) struct Proxy {
    end: CancellationToken,
    thread: thread::JoinHandle<Result<(), LaunchError>>,
}

// === impl Proxy ===

impl Proxy {
    /// Starts one, and waits until it listens. It ends with the token.
    ///
    /// # Errors
    /// If it cannot start.
    pub(crate) async fn start(
        launch: Launch,
        config: Config,
        end: CancellationToken,
    ) -> anyhow::Result<(Self, Addresses)> {
        let (tell, told) = oneshot::channel();
        let thread = spawn(launch, config, end.clone(), tell)?;
        let Ok(addresses) = told.await else {
            ended(thread)?;
            anyhow::bail!("the proxy ended before it began");
        };
        Ok((Self { end, thread }, addresses))
    }

    /// Ends it, and waits until it has.
    ///
    /// # Errors
    /// If it failed.
    pub(crate) fn close(self) -> anyhow::Result<()> {
        self.end.cancel();
        ended(self.thread)
    }
}

fn spawn(
    launch: Launch,
    config: Config,
    end: CancellationToken,
    tell: oneshot::Sender<Addresses>,
) -> io::Result<thread::JoinHandle<Result<(), LaunchError>>> {
    // Whoever asked is waiting.
    let listening = Box::new(|addresses| tell.send(addresses).unwrap_or(()));
    thread::Builder::new().name("proxy".into()).spawn(move || launch(config, end, listening))
}

fn ended(thread: thread::JoinHandle<Result<(), LaunchError>>) -> anyhow::Result<()> {
    thread.join().map_err(|_| anyhow!("the proxy panicked"))??;
    Ok(())
}
