//! The configuration changes while calls wait: on SIGHUP, and when the file has other content.
//!
//! A new configuration is applied as a whole or not at all. A [watcher](watch) on a thread of its own
//! looks at the file, reads and checks it; what is right goes to the calls' thread, where a new stack
//! takes the place of the old one. Calls on their way go on in the old one. What both stacks share
//! stays: the queue with its windows, whose limits are [changed](scheduler), the
//! identities, and what is counted. Calls that wait are held by the limits that are new, as old as
//! they are.
//!
//! What cannot change while the process runs, its listeners for example, refuses the reload and is
//! named: a file of which only a part is true would mislead whoever reads it.

mod metrics;
mod watch;

use std::{
    future::Future,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use config::{Config, LoadError};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::Instant,
};

pub use self::{metrics::ReloadMetrics, watch::Source};
use crate::{causes::with_causes, shared::Shared};

/// The configuration of now, and what became of the last reload. Clones share it.
#[derive(Clone, Debug)]
pub struct Live {
    inner: Arc<Mutex<Inner>>,
    metrics: ReloadMetrics,
}

#[derive(Debug)]
struct Inner {
    config: Arc<Config>,
    last: Option<LastReload>,
}

/// What became of the last reload.
#[derive(Clone, Debug)]
pub struct LastReload {
    /// When it was.
    pub at: Instant,
    /// What is wrong with what was refused; none where it was applied.
    pub mistakes: Option<Box<[String]>>,
}

/// Why a new configuration is not applied.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It is wrong, or cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// What cannot change while the process runs.
    #[error("changes only with a restart: {0}; nothing of the new configuration is applied")]
    Restart(String),
    /// TLS cannot be set up with it.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
}

// === impl Live ===

impl Live {
    /// At first that one.
    pub fn new(config: Arc<Config>, metrics: ReloadMetrics) -> Self {
        Self { inner: Arc::new(Mutex::new(Inner { config, last: None })), metrics }
    }

    /// The configuration of now.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.lock().config)
    }

    /// That one from now on.
    pub fn applied(&self, config: Arc<Config>) {
        self.metrics.reloaded(true);
        let mut inner = self.lock();
        inner.config = config;
        inner.last = Some(LastReload { at: Instant::now(), mistakes: None });
    }

    /// A new one is not applied.
    pub fn refused(&self, why: &ReloadError) {
        self.metrics.reloaded(false);
        let last = LastReload { at: Instant::now(), mistakes: Some(why.mistakes()) };
        self.lock().last = Some(last);
    }

    /// What became of the last reload, if there was one.
    pub fn last(&self) -> Option<LastReload> {
        self.lock().last.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl ReloadError ===

impl ReloadError {
    /// Everything that is wrong, a line each.
    fn mistakes(&self) -> Box<[String]> {
        match self {
            Self::Load(LoadError::Problems(problems)) => {
                problems.to_string().lines().map(str::to_owned).collect()
            }
            other => [with_causes(other)].into(),
        }
    }
}

/// Follows the configuration for as long as what comes back is polled.
///
/// # Errors
/// If there can be no thread, or no handler of signals.
pub fn follow(
    source: Option<Source>,
    mut shared: Shared,
    live: Live,
    mut rebuild: impl FnMut(&Shared) -> Result<(), rustls::Error> + Send + 'static,
) -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut hang_up = signal(SignalKind::hangup())?;
    let (to, mut read) = mpsc::channel(1);
    let files = shared.config.files.clone();
    let watcher = source.map(|source| watch::watch(source, files, to)).transpose()?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = hang_up.recv() => watcher.iter().for_each(watch::Watcher::ask),
                Some(read) = read.recv() => reload(read, &mut shared, &live, &mut rebuild),
            }
        }
    })
}

/// Applies a new configuration, if it is right: `rebuild` lets what is shared be served by a stack of
/// its own.
pub fn reload(
    read: Result<Config, LoadError>,
    shared: &mut Shared,
    live: &Live,
    rebuild: impl FnOnce(&Shared) -> Result<(), rustls::Error>,
) {
    let before = live.config();
    let applied = read.map_err(ReloadError::from).and_then(|mut after| {
        keep_shares(&before, &mut after);
        may_replace(&before, &after)?;
        shared.config = Arc::new(after);
        rebuild(shared)?;
        Ok(())
    });
    if let Err(why) = applied {
        shared.config = before;
        for mistake in &why.mistakes() {
            tracing::error!(%mistake, "the new configuration is refused");
        }
        live.refused(&why);
        return;
    }
    for moved in shared.identities.rules(&shared.config.identity) {
        shared.admission.move_identity(&moved.from, &moved.to);
    }
    shared.admission.relimit(&before, &shared.config);
    live.applied(Arc::clone(&shared.config));
    tracing::info!("the new configuration is applied");
}

/// What the container allows is read anew, and may be something else by now. Shares that nobody has
/// configured stay as they are.
fn keep_shares(before: &Config, after: &mut Config) {
    let (Some(was), Some(is)) = (before.memory, after.memory) else { return };
    if !was.is_configured && !is.is_configured {
        after.memory = before.memory;
    }
    if was.gives_bytes && is.gives_bytes {
        after.queue.max_bytes = before.queue.max_bytes;
    }
}

/// The keys that differ and cannot change while the process runs.
///
/// # Errors
/// [`ReloadError::Restart`] with their names, if there are any.
pub fn may_replace(before: &Config, after: &Config) -> Result<(), ReloadError> {
    let fixed = [
        ("listen", before.listen == after.listen),
        ("admin", before.admin == after.admin),
        ("shared", before.shared == after.shared),
        ("state_file", before.state_file == after.state_file),
        ("memory", before.memory == after.memory),
        ("queue.max_bytes", before.queue.max_bytes == after.queue.max_bytes),
        ("log", before.log == after.log),
        ("traces", before.traces == after.traces),
    ];
    let changed: Vec<_> = fixed.iter().filter(|(_, same)| !same).map(|(key, _)| *key).collect();
    if changed.is_empty() { Ok(()) } else { Err(ReloadError::Restart(changed.join(", "))) }
}
