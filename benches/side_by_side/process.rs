//! Processes of the bench: started, asked what they have used, killed when dropped.

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail};
use tokio::time::Instant;

/// A running child that listens on a port.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    /// How long after its start it accepted a connection.
    pub(crate) ready_after: Duration,
}

/// CPU time by thread, user and system.
pub(crate) struct Cpu(BTreeMap<String, Duration>);

/// An address that nobody listens on.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// This program in another of its modes.
pub(crate) fn myself(mode: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(mode);
    Ok(command)
}

/// The same command, bound to one core.
pub(crate) fn pinned(command: &Command, core: usize) -> Command {
    let mut taskset = Command::new("taskset");
    taskset.arg("-c").arg(core.to_string()).arg(command.get_program()).args(command.get_args());
    taskset
}

/// Ends this process when its parent is gone, however the parent ended: its end of the pipe that
/// is our standard input closes then.
pub(crate) fn die_with_parent() {
    thread::spawn(|| {
        let mut rest = Vec::new();
        let _ = std::io::stdin().read_to_end(&mut rest);
        std::process::exit(0);
    });
}

/// Sleeps outside any runtime.
#[expect(clippy::disallowed_methods, reason = "the bench's threads are plain ones")]
pub(crate) fn pause(duration: Duration) {
    thread::sleep(duration);
}

// === impl Process ===

impl Process {
    /// Starts a child and waits until its address accepts connections.
    pub(crate) fn start(
        mut command: Command,
        address: SocketAddr,
        patience: Duration,
    ) -> anyhow::Result<Self> {
        let start = Instant::now();
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let mut process = Self { child, address, ready_after: Duration::ZERO };
        while TcpStream::connect(address).is_err() {
            if let Some(status) = process.child.try_wait()? {
                bail!("ended before it was ready, with {status}");
            }
            if Instant::now() > start + patience {
                bail!("not ready within {patience:?}");
            }
            pause(Duration::from_millis(1));
        }
        process.ready_after = Instant::now() - start;
        Ok(process)
    }

    /// What its threads have used so far. Threads that have ended are not counted.
    pub(crate) fn cpu(&self) -> anyhow::Result<Cpu> {
        let mut threads = BTreeMap::new();
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let task = task?;
            let stat = fs::read_to_string(task.path().join("schedstat"))?;
            let nanos = stat.split_whitespace().next().context("an empty schedstat")?.parse()?;
            threads.insert(task.file_name().display().to_string(), Duration::from_nanos(nanos));
        }
        Ok(Cpu(threads))
    }

    /// Its resident memory in MiB.
    pub(crate) fn resident(&self) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()).context("no VmRSS")?;
        Ok(f64::from(kib.parse::<u32>()?) / 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// === impl Cpu ===

impl Cpu {
    /// What all threads used since, and the busiest one's part of it.
    pub(crate) fn since(&self, earlier: &Self) -> (Duration, f64) {
        let used: Vec<Duration> = self
            .0
            .iter()
            .map(|(thread, now)| {
                now.saturating_sub(earlier.0.get(thread).copied().unwrap_or_default())
            })
            .collect();
        let all: Duration = used.iter().sum();
        let busiest = used.into_iter().max().unwrap_or_default();
        (all, busiest.as_secs_f64() / all.as_secs_f64())
    }
}
