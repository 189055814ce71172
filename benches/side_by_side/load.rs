//! The load: small posts as a bot sends them, one thread a connection, blocking.
//!
//! Blocking threads measure latency to the microsecond, which a runtime's millisecond timer cannot,
//! and leave most of the machine to the proxy.

use std::{net::SocketAddr, sync::Barrier, thread, time::Duration};

use anyhow::{bail, ensure};
use clap::ValueEnum;
use tokio::time::Instant;

use crate::{
    client::{Client, Request},
    process::pause,
    upstream::DELAY_HEADER,
};

/// How calls follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pattern {
    /// As fast as answers come, on connections that stay.
    KeepAlive,
    /// At a fixed rate, on connections that stay.
    Paced,
    /// As fast as answers come, on a connection for each call, as Python's SDK does.
    Close,
    /// All at once, one call a connection, to an upstream that takes its time.
    Burst,
}

/// Calls of a burst.
pub(crate) const BURST: u32 = 100;
/// What the upstream waits before it answers one.
pub(crate) const DELAY: Duration = Duration::from_millis(100);

/// What one run of the load saw.
pub(crate) struct Seen {
    /// Calls answered.
    pub(crate) calls: u32,
    /// Calls answered in a second.
    pub(crate) rate: f64,
    /// Median latency in microseconds.
    pub(crate) p50: f64,
    /// Latency in microseconds that one call in a hundred exceeds.
    pub(crate) p99: f64,
}

/// One thread's connection.
struct Caller {
    request: Vec<u8>,
    client: Client,
}

/// Runs in the load's own process and prints what [`Seen::parse`] reads.
#[expect(clippy::print_stdout, reason = "this is how it reports to its parent")]
pub(crate) fn run(
    target: SocketAddr,
    pattern: Pattern,
    connections: u32,
    rate: u32,
    seconds: f64,
) -> anyhow::Result<()> {
    let together = Barrier::new(usize::try_from(connections)?);
    let period = Duration::from_secs(1) * connections / rate;
    let duration = Duration::from_secs_f64(seconds);
    let latencies: anyhow::Result<Vec<Vec<Duration>>> = thread::scope(|scope| {
        let together = &together;
        let callers: Vec<_> = (0..connections)
            .map(|index| {
                scope.spawn(move || {
                    let caller = Caller::connect(target, pattern, index);
                    // All have to arrive, or the others wait for ever.
                    together.wait();
                    let start = Instant::now() + period * index / connections;
                    match pattern {
                        Pattern::Paced => caller?.paced(start, period, duration),
                        Pattern::KeepAlive => caller?.closed_loop(duration, false),
                        Pattern::Close => caller?.closed_loop(duration, true),
                        Pattern::Burst => caller?.closed_loop(DELAY / 2, false),
                    }
                })
            })
            .collect();
        callers
            .into_iter()
            .map(|caller| caller.join().unwrap_or_else(|_| bail!("a caller's thread panicked")))
            .collect()
    });
    let mut latencies = latencies?.concat();
    latencies.sort_unstable();
    let percentile = |percent: usize| {
        let index = (latencies.len() * percent / 100).min(latencies.len() - 1);
        latencies[index].as_secs_f64() * 1e6
    };
    ensure!(!latencies.is_empty(), "no call was answered");
    println!("{} {seconds} {} {}", latencies.len(), percentile(50), percentile(99));
    Ok(())
}

// === impl Caller ===

impl Caller {
    /// Connects. But for a burst it also makes one call, so that what follows finds every
    /// connection warm.
    fn connect(target: SocketAddr, pattern: Pattern, index: u32) -> anyhow::Result<Self> {
        let form = format!(
            "channel=C{index:010}&ts=1700000000.000100&text=Deploy+of+backend+to+production%3A+\
             step+7+of+12+is+done%2C+2+minutes+left&as_user=true"
        );
        let connection = if pattern == Pattern::Close { "close" } else { "keep-alive" };
        let delay = if pattern == Pattern::Burst {
            format!("{DELAY_HEADER}: {}\r\n", DELAY.as_millis())
        } else {
            String::new()
        };
        let request = Request {
            method: "chat.update",
            token: "xoxb-bench-0000000000-not-a-token",
            form: &form,
            connection,
            more: &delay,
        };
        let client = Client::connect(target)?;
        let mut caller = Self { request: request.bytes(target), client };
        if pattern != Pattern::Burst {
            caller.call()?;
        }
        Ok(caller)
    }

    fn closed_loop(mut self, duration: Duration, reconnect: bool) -> anyhow::Result<Vec<Duration>> {
        let mut latencies = Vec::new();
        let mut sent = Instant::now();
        let end = sent + duration;
        while sent < end {
            if reconnect {
                self.client.reconnect()?;
            }
            self.call()?;
            let answered = Instant::now();
            latencies.push(answered - sent);
            sent = answered;
        }
        Ok(latencies)
    }

    /// One call a period. What is late because the call before it took long counts as latency; what
    /// is late because the kernel woke the thread late does not.
    fn paced(
        mut self,
        start: Instant,
        period: Duration,
        duration: Duration,
    ) -> anyhow::Result<Vec<Duration>> {
        let mut latencies = Vec::new();
        let mut due = start;
        while due < start + duration {
            let now = Instant::now();
            let counted_from = if due > now {
                pause(due - now);
                Instant::now()
            } else {
                due
            };
            self.call()?;
            latencies.push(Instant::now() - counted_from);
            due += period;
        }
        Ok(latencies)
    }

    fn call(&mut self) -> anyhow::Result<()> {
        self.client.call(&self.request)
    }
}

// === impl Seen ===

impl Seen {
    /// Reads what [`run`] prints.
    pub(crate) fn parse(printed: &str) -> anyhow::Result<Self> {
        let fields: Vec<f64> =
            printed.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let &[calls, seconds, p50, p99] = fields.as_slice() else {
            bail!("the load printed {printed:?}");
        };
        let count = printed.split_whitespace().next().unwrap_or_default().parse()?;
        Ok(Self { calls: count, rate: calls / seconds, p50, p99 })
    }
}
