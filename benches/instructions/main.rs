//! How many instructions a call takes, of each kind of call, beside a bare proxy.
//!
//! Unlike its time, that is hardly another one on a busy machine: two runs differ by less than one in a
//! hundred, those of a connection per call by less than one in twelve. So a change is seen that costs eight in
//! a hundred. Each figure is what a longer run of a
//! proxy takes more than a shorter one, by the number of calls that it has more: its start and its
//! end are not counted. Only what the proxy does in user space is.

#[path = "../side_by_side/bare.rs"]
mod bare;
#[path = "../callgrind.rs"]
mod callgrind;
#[path = "../side_by_side/client.rs"]
mod client;
mod kind;
mod proxy;
#[path = "../side_by_side/upstream.rs"]
mod upstream;

use std::{
    iter,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use clap::{Parser, Subcommand};

use crate::{
    client::Client,
    kind::{Bound, KINDS, Kind},
    proxy::Proxy,
};

/// Counts the instructions of a call.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    mode: Option<Mode>,
    /// Fewer calls, without the bare proxy; fails where a call takes more than its bound.
    #[arg(long)]
    short: bool,
    /// Only kinds of calls whose name contains this; may be given several times.
    #[arg(long)]
    only: Vec<String>,
    /// The program that is measured.
    #[arg(long, env = "SLACKWATER_BIN", default_value = env!("CARGO_BIN_EXE_slackwater"))]
    binary: PathBuf,
    /// What `cargo bench` adds and `cargo test` does not.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What a child of the bench is.
#[derive(Subcommand)]
enum Mode {
    #[command(hide = true)]
    Bare { listen: SocketAddr, upstream: SocketAddr },
}

/// The part of all calls by which a short run is shorter.
const SHORT: u32 = 4;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match args.mode {
        Some(Mode::Bare { listen, upstream }) => serve_bare(listen, upstream),
        None if args.bench || args.short => measure(&args),
        // `cargo test --all-targets` starts benches too, and is not the moment to measure.
        None => Ok(()),
    }
}

#[expect(clippy::print_stdout, reason = "the bench's result")]
fn measure(args: &Args) -> anyhow::Result<()> {
    ensure!(Command::new("valgrind").arg("--version").output().is_ok(), callgrind::HINT);
    let upstream = start_upstream()?;
    println!("| instructions of a call       | slackwater | bare proxy | ratio |  bound |");
    println!("|------------------------------|-----------:|-----------:|------:|-------:|");
    let mut dear = Vec::new();
    let chosen = |kind: &&Kind| {
        args.only.is_empty() || args.only.iter().any(|part| kind.name.contains(part.as_str()))
    };
    for kind in KINDS.iter().filter(chosen) {
        if args.short && kind.bound == Bound::None {
            continue;
        }
        let calls = if args.short { kind.calls.map(|calls| calls / SHORT) } else { kind.calls };
        let ours =
            count(kind, calls, |listen| Proxy::slackwater(&args.binary, kind, listen, upstream))?;
        let bare = kind.has_bare && !args.short;
        let bare = bare.then(|| count(kind, calls, |listen| Proxy::bare(listen, upstream)));
        let bare = bare.transpose()?;
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        #[expect(clippy::cast_precision_loss, reason = "a ratio of small numbers")]
        let ratio = bare.map(|bare| format!("{:.2}", ours as f64 / bare as f64));
        let (bare, ratio) = (or_dash(bare.map(|bare| bare.to_string())), or_dash(ratio));
        let bound = match kind.bound {
            // Another processor has other instructions.
            Bound::AtMost(bound) if cfg!(target_arch = "x86_64") => Some(bound),
            _ => None,
        };
        let shown = or_dash(bound.map(|bound| bound.to_string()));
        println!("| {:28} | {ours:>10} | {bare:>10} | {ratio:>5} | {shown:>6} |", kind.name);
        if bound.is_some_and(|bound| ours > bound) {
            dear.push(format!("{}: {ours} instructions, and {shown} are its bound", kind.name));
        }
    }
    if args.short && !dear.is_empty() {
        bail!(
            "a call has become dearer: {}. See benches/RESULTS.md, Instructions per call",
            dear.join("; ")
        );
    }
    Ok(())
}

/// What one call more takes.
fn count(
    kind: &Kind,
    calls: [u32; 2],
    start: impl Fn(SocketAddr) -> anyhow::Result<Proxy>,
) -> anyhow::Result<u64> {
    let [fewer, more] = calls;
    let run = |calls: u32| {
        let listen = free_address()?;
        let proxy = start(listen)?;
        call(kind, listen, calls).with_context(|| format!("the calls of {:?}", kind.name))?;
        proxy.end()
    };
    let (short, long) = (run(fewer)?, run(more)?);
    Ok(long.saturating_sub(short) / u64::from(more - fewer))
}

/// Calls one after the other.
fn call(kind: &Kind, target: SocketAddr, calls: u32) -> anyhow::Result<()> {
    let mut client = Client::connect(target)?;
    for number in 0..calls {
        if number > 0 && kind.connects() {
            client.reconnect()?;
        }
        client.call(&kind.request(number, target))?;
    }
    Ok(())
}

/// An address that nobody listens on, and that no connection gets by chance till it is used: the kernel gives
/// those only higher ports.
fn free_address() -> anyhow::Result<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 8_000)?;
    let port =
        iter::repeat_with(|| 20_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 8_000);
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let port = port.take(8_000).find(free).context("no port is free")?;
    Ok((Ipv4Addr::LOCALHOST, port).into())
}

/// Starts the upstream beside this, till this ends.
fn start_upstream() -> anyhow::Result<SocketAddr> {
    let address = free_address()?;
    thread::spawn(move || upstream::run(address));
    while TcpStream::connect(address).is_err() {
        pause(Duration::from_millis(1));
    }
    Ok(address)
}

/// Is a bare proxy until the process ends.
fn serve_bare(listen: SocketAddr, upstream: SocketAddr) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let bare = bare::Bare::new(upstream)?;
        let listener = tokio::net::TcpListener::bind(listen).await?;
        loop {
            bare.serve(listener.accept().await?.0)?;
        }
    })
}

/// Sleeps outside any runtime.
#[expect(clippy::disallowed_methods, reason = "the bench's threads are plain ones")]
fn pause(duration: Duration) {
    thread::sleep(duration);
}
