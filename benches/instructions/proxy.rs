//! A proxy whose instructions are counted.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use crate::{
    callgrind::{callgrind, counted},
    free_address,
    kind::Kind,
    pause,
};

/// A proxy under callgrind.
pub(crate) struct Proxy {
    child: Child,
    /// Where callgrind writes.
    out: String,
}

/// How long it may take until it accepts connections: under callgrind all is fifty times as slow, and the
/// machine may be busy.
const START: Duration = Duration::from_secs(300);
/// How long it may take until it has ended.
const END: Duration = Duration::from_secs(300);

const SCRATCH: &str = env!("CARGO_TARGET_TMPDIR");

// === impl Proxy ===

impl Proxy {
    pub(crate) fn slackwater(
        binary: &Path,
        kind: &Kind,
        listen: SocketAddr,
        upstream: SocketAddr,
    ) -> anyhow::Result<Self> {
        let name = kind.name.replace([' ', ','], "-");
        let file = format!("{SCRATCH}/instructions-{name}.yaml");
        let (listener, admin) = (listen, free_address()?);
        let mut config = format!(
            "listen: {listener}\n\
             admin: {{ listen: \"{admin}\" }}\n\
             upstreams:\n  \
               - {{ prefix: /api/, url: \"http://{upstream}/api/\", kind: web_api }}\n\
             identity: {{ resolve: false }}\n\
             log: {{ level: info }}\n"
        );
        config.push_str(kind.limits);
        if kind.keeps_state {
            let state = format!("{SCRATCH}/instructions-state");
            // A new one: what a run before has left has to be read.
            let _ = fs::remove_dir_all(&state);
            let _ = fs::remove_file(&state);
            config.extend(["state_file: ", &state, "\n"]);
        }
        fs::write(&file, config).context("cannot write slackwater's configuration")?;
        let args = ["run", "--config", &file];
        Self::start(binary, &args, format!("{SCRATCH}/instructions-{name}.callgrind"), listen)
    }

    pub(crate) fn bare(listen: SocketAddr, upstream: SocketAddr) -> anyhow::Result<Self> {
        let args = ["bare", &listen.to_string(), &upstream.to_string()];
        let out = format!("{SCRATCH}/instructions-bare.callgrind");
        Self::start(&std::env::current_exe()?, &args, out, listen)
    }

    fn start(
        binary: &Path,
        args: &[&str],
        out: String,
        listen: SocketAddr,
    ) -> anyhow::Result<Self> {
        let mut command: Command = callgrind(&out, &[]);
        command.arg(binary).args(args).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(Stdio::null()).spawn().context(crate::callgrind::HINT)?;
        let mut proxy = Self { child, out };
        let until = Instant::now() + START;
        while TcpStream::connect(listen).is_err() {
            if let Some(status) = proxy.child.try_wait()? {
                bail!("{} has ended before it listened, with {status}", binary.display());
            }
            if Instant::now() > until {
                bail!("{} does not listen after {START:?}", binary.display());
            }
            pause(Duration::from_millis(20));
        }
        Ok(proxy)
    }

    /// Ends it, and tells how many instructions it has taken.
    pub(crate) fn end(mut self) -> anyhow::Result<u64> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(id.context("a process without an id")?, Signal::TERM)?;
        let until = Instant::now() + END;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > until {
                bail!("it has not ended {END:?} after it was told to");
            }
            pause(Duration::from_millis(20));
        }
        Ok(counted(&self.out)?)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
