//! Who is compared: a proxy is a command line and a port.

use std::{fs, net::SocketAddr, path::Path, process::Command, time::Duration};

use anyhow::Context as _;
use clap::ValueEnum as _;

use crate::{
    process::{Process, free_address, myself, pinned},
    shape::Shape,
};

/// How long a proxy may take until it accepts connections.
const PATIENCE: Duration = Duration::from_secs(2);
/// With `--pin`, the core of every proxy; the load and the upstream have the other.
const PROXY_CORE: usize = 1;

/// A proxy that takes part, or the way without one.
pub(crate) struct Candidate {
    pub(crate) name: String,
    pub(crate) target: SocketAddr,
    /// Nothing when calls go straight to the upstream.
    pub(crate) proxy: Option<Process>,
}

/// A proxy that could take part.
struct Plan {
    name: String,
    address: SocketAddr,
    command: Command,
    /// What to do when it cannot be started.
    hint: &'static str,
}

/// Starts every proxy whose name contains one of `only`; those that do not start are left out with
/// a note. The way without a proxy comes first.
#[expect(clippy::print_stderr, reason = "who is missing is told at once")]
pub(crate) fn start(
    upstream: SocketAddr,
    only: &[String],
    pin: bool,
    scratch: &Path,
) -> anyhow::Result<Vec<Candidate>> {
    let mut candidates =
        vec![Candidate { name: "direct".to_owned(), target: upstream, proxy: None }];
    let plans = [haproxy(upstream, 1, scratch), haproxy(upstream, 2, scratch)]
        .into_iter()
        .chain(Shape::value_variants().iter().map(|shape| bare(upstream, *shape)))
        .chain([false, true].map(|keeps| slackwater(upstream, keeps, scratch)));
    for plan in plans {
        let Plan { name, address, command, hint } = plan?;
        if !only.is_empty() && !only.iter().any(|part| name.contains(part.as_str())) {
            continue;
        }
        let command = if pin { pinned(&command, PROXY_CORE) } else { command };
        match Process::start(command, address, PATIENCE) {
            Ok(proxy) => candidates.push(Candidate { name, target: address, proxy: Some(proxy) }),
            Err(error) => eprintln!("{name} is left out: {error:#}{hint}"),
        }
    }
    Ok(candidates)
}

fn haproxy(upstream: SocketAddr, threads: u8, scratch: &Path) -> anyhow::Result<Plan> {
    let address = free_address()?;
    let file = scratch.join(format!("haproxy-{threads}.cfg"));
    let config = include_str!("haproxy.cfg")
        .replace("THREADS", &threads.to_string())
        .replace("PORT", &address.port().to_string())
        .replace("UPSTREAM", &upstream.port().to_string());
    fs::write(&file, config).context("cannot write HAProxy's configuration")?;
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-q").arg("-f").arg(file);
    let name = format!("haproxy, {threads} thread{}", if threads == 1 { "" } else { "s" });
    Ok(Plan { name, address, command, hint: " (Debian: apt-get install haproxy)" })
}

fn bare(upstream: SocketAddr, shape: Shape) -> anyhow::Result<Plan> {
    let address = free_address()?;
    let shape = shape.to_possible_value().context("a shape without a name")?;
    let mut command = myself("bare")?;
    command.arg(address.to_string()).arg(upstream.to_string()).arg(shape.get_name());
    Ok(Plan { name: format!("bare, {}", shape.get_name()), address, command, hint: "" })
}

/// With `keeps`, each call waits until its grant is in the state file.
fn slackwater(upstream: SocketAddr, keeps: bool, scratch: &Path) -> anyhow::Result<Plan> {
    let address = free_address()?;
    let name = if keeps { "slackwater, state_file" } else { "slackwater" };
    let file = scratch.join(format!("{name}.yaml"));
    let mut config = include_str!("slackwater.yaml")
        .replace("PORT", &address.port().to_string())
        .replace("ADMIN", &free_address()?.port().to_string())
        .replace("UPSTREAM", &upstream.port().to_string());
    if keeps {
        let state = scratch.join("state");
        config.push_str("state_file: ");
        config.push_str(&state.to_string_lossy());
        config.push('\n');
    }
    fs::write(&file, config).context("cannot write slackwater's configuration")?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_slackwater"));
    command.arg("run").arg("--config").arg(file);
    Ok(Plan { name: name.to_owned(), address, command, hint: "" })
}
