//! Wires a proxy: the stack on what its reloads share, the listener before it, the timer of its queue, and
//! what outlives the process. The program and the tests, which have pipes instead of sockets, wire theirs here.

use std::{net::SocketAddr, path::Path, sync::Arc};

use config::{Config, ListenTls};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{StartError, restore};
use crate::{
    admin::Metrics,
    inbound::listen::{self, Accept, HttpService, Swap},
    outbound::upstream::reach::Connects,
    reload::{Live, ReloadMetrics},
    shared::Shared,
    stack::stack,
    state::{self, Disk, OpenError, Opened},
};

/// A proxy that is wired and does not serve yet.
pub struct Wired<S> {
    /// The configuration in use.
    pub live: Live,
    /// All that is counted.
    pub metrics: Metrics,
    /// Makes the stack anew for what is shared.
    pub rebuild: Rebuild,
    shared: Shared,
    service: Swap<S>,
    secured: watch::Receiver<Option<ListenTls>>,
}

/// Makes a stack anew for what is shared: its configuration may be another one.
pub type Rebuild = Box<dyn FnMut(&Shared) -> Result<(), rustls::Error> + Send>;

/// Wires a proxy that listens at that address and connects to its upstreams by what `connector` makes
/// of a configuration and that address.
///
/// # Errors
/// If no TLS connector can be made, or no metrics, which a sound build never meets.
pub fn wire<C, F>(
    shared: &Shared,
    listen: SocketAddr,
    connector: F,
) -> Result<Wired<impl HttpService + use<C, F>>, StartError>
where
    F: Fn(&Config, SocketAddr) -> Result<C, rustls::Error> + Send + 'static,
    C: Connects,
{
    let service = Swap::new(stack(shared, listen, connector(&shared.config, listen)?));
    let (secure, secured) = watch::channel(shared.config.listen_tls.clone());
    let swap = service.clone();
    let rebuild = move |shared: &Shared| {
        swap.replace(stack(shared, listen, connector(&shared.config, listen)?));
        secure.send_replace(shared.config.listen_tls.clone());
        Ok(())
    };
    let reloads = ReloadMetrics::register(&shared.counters.registry)?;
    let live = Live::new(Arc::clone(&shared.config), reloads);
    let (metrics, shared) = (Metrics::new(&shared.counters)?, shared.clone());
    Ok(Wired { live, metrics, rebuild: Box::new(rebuild), shared, service, secured })
}

/// Goes on where the process before ended that kept its state at that path of that disk. Whoever calls keeps
/// what happens from now on.
///
/// # Errors
/// If the file cannot be used.
pub fn resume<D: Disk>(disk: D, path: &Path, shared: &Shared) -> Result<Opened<D>, OpenError> {
    let Shared { config, admission, identities, .. } = shared;
    let now = disk.clock();
    let opened = state::open_on(disk, path, admission.now(), &now)?;
    if let Some(doubt) = opened.doubt {
        tracing::warn!(
            file = %path.display(),
            %doubt,
            "the state file is not to be believed: every limit counts as used up at first"
        );
    }
    restore::restore(&opened, &config.catalogue, admission, identities);
    Ok(opened)
}

// === impl Wired ===

impl<S: HttpService> Wired<S> {
    /// Serves the connections that `accept` brings, so many at once, until `end`. The queue's timer
    /// goes on until `end_timer`: calls are held while a drain waits for them. Tells what a reload
    /// needs.
    pub fn serve(
        self,
        accept: impl Accept + Send + 'static,
        most: usize,
        end: CancellationToken,
        end_timer: CancellationToken,
        connections: TaskTracker,
        tasks: &TaskTracker,
    ) -> (Live, Rebuild) {
        let Self { live, rebuild, shared, service, secured, .. } = self;
        let (reads, end_memory) = (shared.reads.clone(), end_timer.clone());
        tasks.spawn(async move { reads.keep_time(end_memory).await });
        tasks.spawn(async move { shared.admission.keep_time(end_timer).await });
        tasks.spawn(listen::serve(accept, service, secured, most, end, connections));
        (live, rebuild)
    }
}
