//! CPU and latency of an unthrottled call, side by side with other proxies.
//!
//! Every round visits every proxy under every load, so that noise on the machine meets all of them,
//! and ratios are taken within a round. A second is one of load; CPU time is the proxy's alone.

mod bare;
mod candidate;
mod client;
mod load;
mod process;
mod shape;
mod table;
mod upstream;

use std::{net::SocketAddr, path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, ensure};
use clap::{Parser, Subcommand, ValueEnum as _};

use crate::{
    candidate::Candidate,
    load::{BURST, DELAY, Pattern, Seen},
    process::{Process, free_address, myself, pinned},
    shape::Shape,
    table::{Row, Sample},
};

/// What the others are compared with.
const REFERENCES: [&str; 2] = ["haproxy, 1 thread", "bare, single"];
/// With `--pin`, the core of the load and the upstream.
const OTHER_CORE: usize = 0;

/// Compares the cost of a call through several proxies.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    mode: Option<Mode>,
    /// How often every proxy is visited.
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// How long each load lasts.
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
    /// Connections of the load.
    #[arg(long, default_value_t = 16)]
    connections: u32,
    /// Calls a second of the paced load.
    #[arg(long, default_value_t = 2000)]
    rate: u32,
    /// Only proxies whose name contains this; may be given several times.
    #[arg(long)]
    only: Vec<String>,
    /// Only this load; may be given several times.
    #[arg(long)]
    load: Vec<Pattern>,
    /// Binds proxies to one core and everything else to the other: less noise, but unfair to
    /// proxies with several threads where there are only two cores.
    #[arg(long)]
    pin: bool,
    /// What `cargo bench` adds and `cargo test` does not.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What a child of the bench is.
#[derive(Subcommand)]
enum Mode {
    #[command(hide = true)]
    Upstream { listen: SocketAddr },
    #[command(hide = true)]
    Bare { listen: SocketAddr, upstream: SocketAddr, shape: Shape },
    #[command(hide = true)]
    Load { target: SocketAddr, pattern: Pattern, connections: u32, rate: u32, seconds: f64 },
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if args.mode.is_some() {
        process::die_with_parent();
    }
    match args.mode {
        Some(Mode::Upstream { listen }) => upstream::run(listen),
        Some(Mode::Bare { listen, upstream, shape }) => shape::run(listen, upstream, shape),
        Some(Mode::Load { target, pattern, connections, rate, seconds }) => {
            load::run(target, pattern, connections, rate, seconds)
        }
        None if args.bench => compare(&args),
        // `cargo test --all-targets` starts benches too, and is not the moment to measure.
        None => Ok(()),
    }
}

#[expect(clippy::print_stdout, reason = "the bench's result")]
fn compare(args: &Args) -> anyhow::Result<()> {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let upstream = start_upstream(args)?;
    let candidates = candidate::start(upstream.address, &args.only, args.pin, scratch)?;

    println!("From start to the first connection, and resident before the first call:");
    print_at_rest(&candidates)?;

    let chosen = |pattern: &&Pattern| args.load.is_empty() || args.load.contains(pattern);
    for pattern in Pattern::value_variants().iter().filter(chosen) {
        let mut rows: Vec<Row> = candidates
            .iter()
            .map(|candidate| Row { name: candidate.name.clone(), samples: Vec::new() })
            .collect();
        for round in 0..args.rounds {
            for turn in 0..candidates.len() {
                // Each round starts with another one, so that nobody always follows the same.
                let index = (turn + round) % candidates.len();
                rows[index].samples.push(measure(args, &candidates[index], *pattern)?);
            }
        }
        let title = match pattern {
            Pattern::KeepAlive => "As fast as answers come, on connections that stay",
            Pattern::Paced => &format!("{} calls a second, on connections that stay", args.rate),
            Pattern::Close => "As fast as answers come, a connection for each call",
            Pattern::Burst => &format!("{BURST} calls at once, answered after {DELAY:?}"),
        };
        table::print(title, &rows, &REFERENCES);
    }

    println!("\nThe same after the last call:");
    print_at_rest(&candidates)
}

fn start_upstream(args: &Args) -> anyhow::Result<Process> {
    let listen = free_address()?;
    let mut command = myself("upstream")?;
    command.arg(listen.to_string());
    let command = if args.pin { pinned(&command, OTHER_CORE) } else { command };
    Process::start(command, listen, Duration::from_secs(2)).context("the upstream")
}

fn measure(args: &Args, candidate: &Candidate, pattern: Pattern) -> anyhow::Result<Sample> {
    let pattern_name = pattern.to_possible_value().context("a pattern without a name")?;
    let mut command = myself("load")?;
    let connections = if pattern == Pattern::Burst { BURST } else { args.connections };
    command.arg(candidate.target.to_string()).arg(pattern_name.get_name()).args([
        connections.to_string(),
        args.rate.to_string(),
        args.seconds.to_string(),
    ]);
    let mut command = if args.pin { pinned(&command, OTHER_CORE) } else { command };
    let before = candidate.proxy.as_ref().map(Process::cpu).transpose()?;
    let mut load = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    // Held open while it runs: the load takes its closing for our end.
    let alive = load.stdin.take();
    let load = load.wait_with_output().context("the load")?;
    drop(alive);
    let after = candidate.proxy.as_ref().map(Process::cpu).transpose()?;
    ensure!(load.status.success(), "the load on {} failed", candidate.name);
    Ok(Sample {
        seen: Seen::parse(&String::from_utf8(load.stdout)?)?,
        cpu: before.zip(after).map(|(before, after)| after.since(&before)),
    })
}

#[expect(clippy::print_stdout, reason = "the bench's result")]
fn print_at_rest(candidates: &[Candidate]) -> anyhow::Result<()> {
    for candidate in candidates {
        if let Some(proxy) = &candidate.proxy {
            let (ready, resident) = (proxy.ready_after.as_millis(), proxy.resident()?);
            println!("  {:24} {ready:>4} ms {resident:>6.1} MiB", candidate.name);
        }
    }
    Ok(())
}
