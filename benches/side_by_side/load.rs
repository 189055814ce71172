//! The load: small posts as a bot sends them, one thread a connection, blocking.
//!
//! Blocking threads measure latency to the microsecond, which a runtime's millisecond timer cannot,
//! and leave most of the machine to the proxy.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Barrier,
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum;
use tokio::time::Instant;

use crate::{process::pause, upstream::DELAY_HEADER};

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
    target: SocketAddr,
    request: Vec<u8>,
    stream: TcpStream,
    answer: Vec<u8>,
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
        let request = format!(
            "POST /api/chat.update HTTP/1.1\r\n\
             Accept: application/json, text/plain, */*\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\
             User-Agent: @slack:web-api/7.9.1 node/22.14.0 linux/6.1.0\r\n\
             Authorization: Bearer xoxb-bench-0000000000-not-a-token\r\n\
             Content-Length: {}\r\n\
             Accept-Encoding: gzip, compress, deflate, br\r\n\
             Host: {target}\r\n\
             Connection: {connection}\r\n{delay}\r\n{form}",
            form.len()
        );
        let stream = open(target)?;
        let mut caller = Self {
            target,
            request: request.into_bytes(),
            stream,
            answer: Vec::with_capacity(4096),
        };
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
                self.stream = open(self.target)?;
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
        self.stream.write_all(&self.request)?;
        self.answer.clear();
        let mut piece = [0; 4096];
        let length = loop {
            let read = match self.stream.read(&mut piece) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read.context("no answer")?,
            };
            ensure!(read > 0, "the connection was closed before the answer was complete");
            self.answer.extend_from_slice(&piece[..read]);
            if let Some(length) = answer_length(&self.answer)? {
                break length;
            }
        };
        ensure!(self.answer.starts_with(b"HTTP/1.1 200 "), "not answered with 200");
        ensure!(self.answer.len() == length, "more bytes than one answer");
        Ok(())
    }
}

fn open(target: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(target)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

/// How many bytes the answer has, when all of them are there.
fn answer_length(answer: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let length = std::str::from_utf8(&answer[..head])?
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .context("an answer without Content-Length")?;
    let whole = head + 4 + length.1.trim().parse::<usize>()?;
    Ok((answer.len() >= whole).then_some(whole))
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
