//! What the tests stand on: a proxy between a bot and a Slack, joined by pipes in memory.

mod bot;
mod log;
mod tls;
mod upstream;
mod wire;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use config::{self, Config, LoadError};
use slack::Catalogue;
use slackwater::{
    admin::{Metrics, Status},
    app::wire::{Rebuild, wire},
    call::body::Memory,
    inbound::listen,
    outbound::upstream::{
        connect::{self, Over},
        reach::Connects,
    },
    queue::Admission,
    reads::ReadsSnapshot,
    reload::{self, Live},
    shared::{Counters, Shared},
};
use tokio::{io::DuplexStream, sync::mpsc, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use self::{
    bot::{Answer, Ask, Bot, all},
    log::Log,
    tls::{Authority, Machine, Pair},
    upstream::{Scripted, Seen, Stream, fake, json, slack, text},
    wire::{Wire, pipe},
};

/// A proxy that runs.
pub(crate) struct Proxy {
    /// Its queue.
    pub(crate) admission: Admission,
    /// What its calls hold.
    pub(crate) memory: Memory,
    /// All metrics, as operators see them.
    pub(crate) metrics: Metrics,
    /// What its layers count.
    pub(crate) counters: Counters,
    /// Exchanges that outlive their callers.
    pub(crate) exchanges: TaskTracker,
    reloading: Mutex<(Shared, Rebuild)>,
    live: Live,
    start: Instant,
    pipes: mpsc::Sender<DuplexStream>,
    end: CancellationToken,
    connections: TaskTracker,
    tasks: TaskTracker,
}

/// A listener without a socket.
struct Listener(mpsc::Receiver<DuplexStream>);

/// Where it would listen if it had a socket.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// More connections than any test opens at once.
const BACKLOG: usize = 4096;

/// Read once: it takes longer than most tests.
static DEFAULTS: LazyLock<Arc<Config>> = LazyLock::new(|| checked("", |_| None));

fn checked(file: &str, env: impl Fn(&str) -> Option<String>) -> Arc<Config> {
    Arc::new(config::check(&unasked(file), "test", env).unwrap_or_else(|e| panic!("{e}")))
}

/// The file, with which Slack is not asked whose a token is, unless the test is about that.
fn unasked(file: &str) -> String {
    let identity = if file.contains("identity:") { "" } else { "identity: { resolve: false }\n" };
    format!("{identity}{file}")
}

/// Milliseconds.
pub(crate) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Seconds.
pub(crate) const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Lets everything happen that happens without a wait.
pub(crate) async fn settled() {
    tokio::time::sleep(ms(1)).await;
}

/// It happened when it should have, but for the grain of timers and [`settled`].
#[track_caller]
pub(crate) fn assert_near(at: Duration, expected: Duration) {
    let late = at.saturating_sub(expected);
    assert!(at >= expected && late <= ms(12), "{at:?} instead of {expected:?}");
}

// === impl Proxy ===

impl Proxy {
    /// Starts one with the defaults, before this upstream.
    pub(crate) fn start(upstream: impl Into<Wire>) -> Self {
        Self::with(Arc::clone(&DEFAULTS), upstream.into())
    }

    /// Starts one with this configuration file.
    pub(crate) fn configured(file: &str, upstream: impl Into<Wire>) -> Self {
        Self::with_environment(file, |_| None, upstream)
    }

    /// Starts one with this configuration file, in this environment.
    pub(crate) fn with_environment(
        file: &str,
        env: impl Fn(&str) -> Option<String>,
        upstream: impl Into<Wire>,
    ) -> Self {
        Self::with(checked(file, env), upstream.into())
    }

    /// Starts one with this configuration file on that machine, with the program's own way to
    /// connect, over this transport.
    pub(crate) fn on<T>(machine: &Machine, file: &str, transport: T) -> Self
    where
        Over<T>: Connects,
    {
        let config =
            config::check_on(machine, &unasked(file), "test").unwrap_or_else(|e| panic!("{e}"));
        let connector = connect::over(transport, &config, LISTEN).unwrap();
        Self::with(Arc::new(config), connector)
    }

    /// Starts one with this configuration file, after something was done with what it begins with.
    pub(crate) fn prepared(file: &str, upstream: Wire, prepare: impl FnOnce(&Shared)) -> Self {
        Self::serving(checked(file, |_| None), upstream, BACKLOG, prepare)
    }

    /// Starts one that serves so many connections at once.
    pub(crate) fn with_places(upstream: impl Into<Wire>, places: usize) -> Self {
        Self::serving(Arc::clone(&DEFAULTS), upstream.into(), places, |_| {})
    }

    pub(crate) fn with<C>(config: Arc<Config>, upstream: C) -> Self
    where
        C: Connects,
    {
        Self::serving(config, upstream, BACKLOG, |_| {})
    }

    fn serving<C>(
        config: Arc<Config>,
        upstream: C,
        places: usize,
        prepare: impl FnOnce(&Shared),
    ) -> Self
    where
        C: Connects,
    {
        let shared = Shared::new(config).unwrap();
        prepare(&shared);
        let wired = wire(&shared, LISTEN, move |_, _| Ok(upstream.clone())).unwrap();
        let metrics = wired.metrics.clone();
        let (pipes, accept) = mpsc::channel(BACKLOG);
        let (end, connections, tasks) =
            (CancellationToken::new(), TaskTracker::new(), TaskTracker::new());
        let (live, rebuild) = wired.serve(
            Listener(accept),
            places,
            end.clone(),
            end.clone(),
            connections.clone(),
            &tasks,
        );
        let reloading = Mutex::new((shared.clone(), rebuild));
        let Shared { admission, memory, exchanges, counters, .. } = shared;
        Self {
            admission,
            memory,
            metrics,
            counters,
            exchanges,
            reloading,
            live,
            start: Instant::now(),
            pipes,
            end,
            connections,
            tasks,
        }
    }

    /// Its configuration file is another one now. The first mistake, if it is refused. The variables
    /// `ONE` and `TWO` have the tokens `xoxb-1` and `xoxb-2`.
    pub(crate) fn reload(&self, file: &str) -> Result<(), String> {
        let env = |name: &str| match name {
            "ONE" => Some("xoxb-1".to_owned()),
            "TWO" => Some("xoxb-2".to_owned()),
            _ => None,
        };
        self.reloaded(config::check(&unasked(file), "test", env))
    }

    /// The same on that machine.
    pub(crate) fn reload_on(&self, machine: &Machine, file: &str) -> Result<(), String> {
        self.reloaded(config::check_on(machine, &unasked(file), "test"))
    }

    fn reloaded(&self, read: Result<Config, yaml::Problems>) -> Result<(), String> {
        let (shared, rebuild) = &mut *self.reloading.lock().unwrap();
        reload::reload(read.map_err(LoadError::Problems), shared, &self.live, rebuild);
        self.live.last().unwrap().mistakes.map_or(Ok(()), |mistakes| Err(mistakes[0].clone()))
    }

    /// How its queue stands, as operators see it.
    pub(crate) fn status(&self) -> Status {
        let (shared, _) = &*self.reloading.lock().unwrap();
        Status::of(&self.admission, &shared.identities.names().all())
    }

    /// How many edits are on their way that may be replaced.
    pub(crate) fn open_edits(&self) -> usize {
        self.reloading.lock().unwrap().0.edits.open()
    }

    /// The reads that may be joined, and what is remembered.
    pub(crate) fn reads(&self) -> ReadsSnapshot {
        self.reloading.lock().unwrap().0.reads.snapshot()
    }

    /// The limits of now.
    pub(crate) fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.live.config().catalogue)
    }

    /// The time since the start.
    pub(crate) fn now(&self) -> Duration {
        Instant::now().duration_since(self.start)
    }

    /// Waits until that time since the start.
    pub(crate) async fn until(&self, at: Duration) {
        tokio::time::sleep_until(self.start + at).await;
    }

    /// A bot that speaks HTTP/1.1, one call a connection at a time, as SDKs do.
    pub(crate) fn bot(&self) -> Bot {
        Bot::new(self.wire(), false)
    }

    /// A bot that speaks HTTP/2 without TLS, all calls on one connection.
    pub(crate) fn bot_h2(&self) -> Bot {
        Bot::new(self.wire(), true)
    }

    /// A connection to it, for those who speak for themselves.
    pub(crate) fn connect(&self) -> DuplexStream {
        connect(&self.pipes).unwrap()
    }

    /// What a client of the program's SIGTERM meets: connections end when their calls have.
    pub(crate) async fn stop(&self) {
        self.end.cancel();
        self.connections.close();
        self.connections.wait().await;
        self.exchanges.close();
        self.exchanges.wait().await;
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn wire(&self) -> Wire {
        let pipes = self.pipes.clone();
        Wire::new(move |_| connect(&pipes))
    }
}

fn connect(pipes: &mpsc::Sender<DuplexStream>) -> io::Result<DuplexStream> {
    let (client, server) = wire::pipe();
    pipes.try_send(server).map_err(|_| io::ErrorKind::ConnectionRefused)?;
    Ok(client)
}

// === impl Listener ===

impl listen::Accept for Listener {
    type Io = DuplexStream;

    async fn accept(&mut self) -> io::Result<DuplexStream> {
        match self.0.recv().await {
            Some(pipe) => Ok(pipe),
            None => std::future::pending().await,
        }
    }
}
