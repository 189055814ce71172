//! The program: builds everything once from the checked configuration, starts it, and lets it
//! drain.
//!
//! Calls are served by one thread with a runtime of its own; the admin listener has another,
//! so that looking at the queue delays nobody. ARCHITECTURE.md has the measurements behind it.

mod ebb;
mod restore;
pub mod wire;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use config::{ADMIN_LISTEN_ENV, Config, LISTEN_ENV};
use limits::Split;
use rustix::process::Signal as Number;
use tokio::{
    net::TcpListener,
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    admin::{self, AdminState, Guard},
    inbound::listen,
    outbound::upstream::connect,
    queue::Admission,
    reload::{self, Source},
    shared::Shared,
    state::{self, Store},
    store::{self, Fleet},
    traces,
};

/// The program could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener's address cannot be had.
    #[error("cannot listen on {address} (the key `{key}` or the variable {variable} sets another)")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// The configuration's name of it.
        key: &'static str,
        /// The variable that overrides it.
        variable: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The runtime, a thread, or a signal handler.
    #[error("cannot start")]
    System(#[from] io::Error),
    /// The state file.
    #[error(transparent)]
    State(#[from] state::OpenError),
    /// TLS.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// Metrics.
    #[error("cannot set up metrics")]
    Metrics(#[from] prometheus::Error),
}

/// Where it listens, once it does.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// For bots.
    pub bots: SocketAddr,
    /// For operators.
    pub operators: SocketAddr,
}

/// What ends it.
enum Stop {
    /// SIGTERM and SIGINT.
    Signals { terminate: Signal, interrupt: Signal },
    /// Who started it within the program.
    Token(CancellationToken),
}

/// How often the drain looks whether all is done.
const LOOK: Duration = Duration::from_millis(20);
/// How often the wall clock is read, if calls go by it.
const CLOCK: Duration = Duration::from_secs(1);
/// How long after the last answer its bytes may take to leave.
const GOODBYE: Duration = Duration::from_secs(5);

/// Runs until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// If it cannot start.
pub fn run(config: Config, source: Source) -> Result<(), StartError> {
    let serving = async { serve(Arc::new(config), Some(source), Stop::signals()?, |_| ()).await };
    block_on(serving)
}

/// Runs until the token is cancelled, which ends it as two signals do: at once. Tells where it
/// listens as soon as it does. Its configuration stays.
///
/// # Errors
/// If it cannot start.
pub fn run_until(
    config: Config,
    end: CancellationToken,
    listening: impl FnOnce(Addresses),
) -> Result<(), StartError> {
    block_on(serve(Arc::new(config), None, Stop::Token(end), listening))
}

fn block_on(serving: impl Future<Output = Result<(), StartError>>) -> Result<(), StartError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(serving);
    // Whatever is left at the end is not waited for.
    runtime.shutdown_background();
    outcome
}

async fn serve(
    config: Arc<Config>,
    source: Option<Source>,
    mut stop: Stop,
    listening: impl FnOnce(Addresses),
) -> Result<(), StartError> {
    let files = listen::files::open_as_many_as_allowed();
    let listener = bind(config.listen, "listen", LISTEN_ENV).await?;
    let admin_listener = bind(config.admin.listen, "admin.listen", ADMIN_LISTEN_ENV).await?;
    let (listen, admin_listen) = (listener.local_addr()?, admin_listener.local_addr()?);

    tell_memory(&config);
    let mut shared = Shared::new(Arc::clone(&config))?;
    let end_traces = CancellationToken::new();
    let traces = trace_calls(&config, &mut shared, listen, end_traces.clone())?;
    let room = listen::files::shares(files);
    if config.queue.max_in_flight.is_some_and(|most| most > room.in_flight) {
        tracing::warn!(
            files,
            max_in_flight = room.in_flight,
            "queue.max_in_flight is more than the limit on open files allows"
        );
    }
    shared.admission.allow_in_flight(room.in_flight, &config.queue);
    let (tasks, end_timer) = (TaskTracker::new(), CancellationToken::new());
    // Before anything is known of a bucket.
    let fleet = share_limits(&config, &shared, &tasks, end_timer.clone())?;
    let store = keep_state(&config, &shared)?;
    if let Some((store, _)) = &store {
        let (store, end) = (store.clone(), end_timer.clone());
        tasks.spawn(async move { store.attend(end).await });
    }
    let wired = wire::wire(&shared, listen, connect::connector)?;
    let ready = Arc::new(AtomicBool::new(true));
    let connections = TaskTracker::new();
    let admin_state = AdminState {
        admission: shared.admission.clone(),
        names: shared.identities.names().clone(),
        metrics: wired.metrics.clone(),
        listen,
        live: wired.live.clone(),
        ready: Arc::clone(&ready),
        connections: connections.clone(),
        fleet,
        guard: Guard::new(&config.admin, admin::is_local(admin_listen.ip())),
    };
    let end = CancellationToken::new();
    let ebb = ebb::give_back(shared.memory.clone(), connections.clone());
    let admin = admin_thread(admin_listener, admin_state, room.operators, ebb, end.clone())?;

    // One for each call that may be held, and some for those that go at once.
    let most = config.queue.at_once().min(room.connections);
    let (live, rebuild) =
        wired.serve(listener, most, end.clone(), end_timer.clone(), connections.clone(), &tasks);
    let following = reload::follow(source, shared.clone(), live.clone(), rebuild)?;
    tasks.spawn({
        let end = end.clone();
        async move {
            end.run_until_cancelled(following).await;
        }
    });
    if let Some(split) = config.shared.as_ref().and_then(config::Shared::split) {
        let following = follow_clock(split, shared.admission.clone());
        let end = end.clone();
        tasks.spawn(async move {
            end.run_until_cancelled(following).await;
        });
    }
    if !listen.ip().is_loopback() && config.listen_tls.is_none() {
        tracing::warn!("tokens come over the network in the clear: see listen_tls");
    }
    tracing::info!(%listen, admin = %admin_listen, "listening");
    listening(Addresses { bots: listen, operators: admin_listen });

    stop.next().await;
    ready.store(false, Ordering::Relaxed);
    let (held, config) = (shared.admission.held(), live.config());
    tracing::info!(held, "draining; a second signal stops at once");
    let goodbye = async {
        drain(&shared, config.drain_timeout).await;
        end.cancel();
        connections.close();
        shared.exchanges.close();
        let answers = async {
            connections.wait().await;
            shared.exchanges.wait().await;
        };
        tokio::time::timeout(config.timeouts.headers + GOODBYE, answers).await.is_ok()
    };
    let in_time = tokio::select! {
        in_time = goodbye => in_time,
        () = stop.next() => false,
    };
    end.cancel();
    end_timer.cancel();
    tasks.close();
    tasks.wait().await;
    if let Some((store, thread)) = store {
        store.close();
        // It has little left to do, and a panic in it is in the log.
        let _ = thread.join();
    }
    end_traces.cancel();
    if let Some(thread) = traces {
        // It has two seconds for what is left to tell, and a panic in it is in the log.
        let _ = thread.join();
    }
    // The admin thread ends with the token; its last answer is nobody's loss.
    let _ = admin.join();
    tracing::info!(in_time, "stopped");
    Ok(())
}

/// Tells how the memory is shared out, and whether the container may have too little of it.
fn tell_memory(config: &Config) {
    let (Some(memory), queue) = (config.memory, &config.queue) else { return };
    tracing::info!(
        mib = memory.bytes >> 20,
        connections = queue.at_once(),
        max_total = queue.max_total,
        max_bytes = queue.max_bytes,
        buckets = queue.max_buckets,
        "memory is shared out"
    );
    if let Some(why) = memory.does_not_fit(config) {
        tracing::warn!(%why, "the memory of the container may be too little");
    }
}

/// Goes on where the process before ended, and keeps what happens, if the operator says so.
fn keep_state(
    config: &Config,
    shared: &Shared,
) -> Result<Option<(Store, thread::JoinHandle<()>)>, StartError> {
    let Some(path) = &config.state_file else { return Ok(None) };
    let opened = wire::resume(state::Machine, path, shared)?;
    let (store, thread) = opened.start(shared.counters.store.clone())?;
    shared.admission.keep(store.clone());
    Ok(Some((store, thread)))
}

/// Tells the queue what the wall clock says, which may be set at any time.
async fn follow_clock(split: Split, admission: Admission) {
    loop {
        admission.split(split, state::wall_clock());
        tokio::time::sleep(CLOCK).await;
    }
}

/// Shares all limits with other replicas, if the operator says so.
fn share_limits(
    config: &Config,
    shared: &Shared,
    tasks: &TaskTracker,
    end: CancellationToken,
) -> Result<Option<Fleet>, StartError> {
    let Some(config::Shared::Redis(settings)) = &config.shared else { return Ok(None) };
    let (fleet, metrics) = (Fleet::default(), &shared.counters.shared);
    let known = (&shared.admission, &fleet, &shared.identities);
    tasks.spawn(store::share(settings, config, known, metrics, end)?);
    Ok(Some(fleet))
}

/// Traces calls, if the operator says so.
fn trace_calls(
    config: &Config,
    shared: &mut Shared,
    listen: SocketAddr,
    end: CancellationToken,
) -> Result<Option<thread::JoinHandle<()>>, StartError> {
    let Some(settings) = &config.traces else { return Ok(None) };
    let connector = connect::connector(config, listen)?;
    let (tracer, thread) = traces::start(settings, &shared.counters.traces, connector, end)?;
    shared.tracer = tracer;
    Ok(Some(thread))
}

/// Held calls go on, and calls in flight, until there are none; what is still held after
/// `limit` is shed.
async fn drain(shared: &Shared, limit: Duration) {
    let end = Instant::now() + limit;
    while Instant::now() < end && shared.admission.held() > 0 {
        tokio::time::sleep(LOOK).await;
    }
    shared.admission.close();
}

async fn bind(
    address: SocketAddr,
    key: &'static str,
    variable: &'static str,
) -> Result<TcpListener, StartError> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| StartError::Bind { address, key, variable, source })
}

fn admin_thread(
    listener: TcpListener,
    admin_state: AdminState,
    most: usize,
    ebb: impl Future<Output = ()> + Send + 'static,
    end: CancellationToken,
) -> Result<thread::JoinHandle<()>, StartError> {
    // The socket moves to the thread's own runtime.
    let listener = listener.into_std()?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = thread::Builder::new().name("admin".into()).spawn(move || {
        let served = runtime.block_on(async move {
            let listener = TcpListener::from_std(listener)?;
            let serving = async { tokio::join!(admin::serve(listener, admin_state, most), ebb) };
            end.run_until_cancelled(serving).await;
            io::Result::Ok(())
        });
        if let Err(error) = served {
            tracing::error!(%error, "the admin listener failed");
        }
        runtime.shutdown_background();
    })?;
    Ok(thread)
}

// === impl Stop ===

impl Stop {
    fn signals() -> io::Result<Self> {
        // A file that may not grow is an error of its write, not the end of the process: whoever listens to
        // the signal once is never killed by it.
        drop(signal(SignalKind::from_raw(Number::XFSZ.as_raw()))?);
        Ok(Self::Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        match self {
            Self::Signals { terminate, interrupt } => tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            },
            Self::Token(end) => end.cancelled().await,
        }
    }
}
