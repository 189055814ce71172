//! `slackwater check FILE`: is the configuration right, and what does it come to?

mod live;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::bail;
use config::{CONFIG_ENV, Config, Kind, Proxies, ReadCache, Shared, inspect};
use console::NO;
use limits::Split;
use slack::{Catalogue, Edits};
use tokio::runtime;
use yaml::units::show_duration;

/// Check a configuration: every problem at once, each with its place
///
/// Reads the environment as a start would: for `${NAME}`, for the tokens' variables, for proxies,
/// and for `SLACKWATER_LISTEN`, `SLACKWATER_ADMIN_LISTEN` and `SLACKWATER_SHARED_ORDINAL`. In manifests of
/// Kubernetes it checks the key `slackwater.yaml` of each `ConfigMap`, as for another machine. Exits with 0 if
/// all is well, with 1 if there are problems, with 2 if the file cannot be read.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  slackwater check slackwater.yaml
  slackwater check slackwater.yaml --live
  slackwater check deployment.yaml"
)]
pub struct Args {
    /// The configuration; else what the variable `SLACKWATER_CONFIG` names
    pub file: Option<PathBuf>,

    /// Also ask the upstreams: do they answer, and whose are the tokens of identity.tokens?
    #[arg(long)]
    pub live: bool,

    /// The configuration is for another machine: do not look for the files and variables that it names
    #[arg(long, conflicts_with = "live")]
    pub elsewhere: bool,
}

/// Writes every problem of the file, or a summary of what it sets up; of several in a file, for each.
///
/// # Errors
/// If the file cannot be read or the answer not written.
pub fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let Some(file) = config::file_of(args.file.as_deref()) else {
        bail!("no file to check: name one, or set {CONFIG_ENV}");
    };
    let found = inspect(&file, args.elsewhere)?;
    if found.is_empty() {
        bail!("no ConfigMap in {} has the key slackwater.yaml", file.display());
    }
    let mut right = true;
    for one in found {
        match one.config {
            Ok(config) => {
                writeln!(out, "{}: ok", one.name)?;
                summary(&config, out)?;
                if one.elsewhere {
                    writeln!(
                        out,
                        "  elsewhere  the files and variables that it names were not looked for"
                    )?;
                }
                right &= !args.live || look(&config, out)?;
            }
            Err(problems) => {
                writeln!(out, "{problems}")?;
                right = false;
            }
        }
    }
    Ok(if right { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}

/// Whether what the upstreams say is what the file says.
fn look(config: &Config, out: &mut impl Write) -> anyhow::Result<bool> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(live::look(config, out))
}

fn summary(config: &Config, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "  bots       http://{}", config.listen)?;
    writeln!(out, "  operators  http://{}", config.admin.listen)?;
    for upstream in &config.upstreams {
        let (prefix, url, kind) = (&upstream.prefix, &upstream.url, upstream.kind.as_str());
        write!(out, "  upstream   {prefix} -> {url} ({kind})")?;
        match config.proxies.of(url) {
            Some(proxy) => writeln!(out, ", through the proxy {}", Proxies::name(&proxy))?,
            None => writeln!(out)?,
        }
    }
    let (roots, own) = (config.tls.roots.as_str(), config.tls.own);
    let http = if config.tls.http2 { "HTTP/2 or HTTP/1.1" } else { "HTTP/1.1" };
    writeln!(out, "  tls        {roots} roots and {own} of your own; {http}")?;
    let methods = config.catalogue.methods().filter(|method| method.kind == Kind::WebApi).count();
    let app = config.app;
    writeln!(out, "  app        {app}")?;
    write!(out, "  methods    {methods}")?;
    match changed(config) {
        0 => writeln!(out, ", as Slack documents them")?,
        changed => writeln!(out, ", {changed} of them with rules of your own")?,
    }
    if let Some(split) = config.shared.as_ref().and_then(Shared::split) {
        writeln!(out, "  replica    {}", part_in_words(split))?;
    }
    let tokens = config.identity.tokens.len();
    let rest = if config.identity.resolve {
        "Slack is asked for the others"
    } else {
        "the others count by themselves"
    };
    writeln!(out, "  tokens     {tokens} known beforehand, {rest}")?;
    saved(config, out)?;
    let queue = &config.queue;
    let (wait, hold) = (show_duration(queue.max_wait), show_duration(queue.max_hold));
    writeln!(out, "  holding    {wait} if nothing tells the client's patience, {hold} at most")
}

/// Which calls need not be sent, where any need not.
fn saved(config: &Config, out: &mut impl Write) -> io::Result<()> {
    let share = |share: Option<bool>| share == Some(true);
    let latest = |edits: Option<Edits>| edits == Some(Edits::Latest);
    let methods = || config.catalogue.methods();
    let callers = || config.callers.iter().map(|rule| &rule.terms);
    if config.reads.share {
        writeln!(out, "  reads      equal ones share an answer, if nothing else is said of them")?;
    } else if methods().any(|it| share(it.saves.share_reads))
        || callers().any(|it| share(it.share_reads))
    {
        writeln!(out, "  reads      equal ones share an answer, of some methods or callers")?;
    }
    if let Some(ReadCache { max_age, methods, bytes }) = &config.reads.cache {
        let (age, kib) = (show_duration(*max_age), bytes >> 10);
        writeln!(
            out,
            "  remembers  answers of {} methods for {age}, {kib} KiB in all",
            methods.len()
        )?;
    }
    if config.edits == Edits::Latest {
        writeln!(
            out,
            "  edits      the newest replaces held ones, if nothing else is said of them"
        )?;
    } else if methods().any(|it| latest(it.saves.edits)) || callers().any(|it| latest(it.edits)) {
        writeln!(out, "  edits      the newest replaces held ones, of some methods or callers")?;
    }
    Ok(())
}

/// Which part of each limit is a replica's.
pub(super) fn part_in_words(split: Split) -> String {
    let (ordinal, replicas) = (split.ordinal(), split.replicas());
    format!("ordinal {ordinal} of {replicas}: it has its part of each limit")
}

/// How many methods the operator added or changed.
fn changed(config: &Config) -> usize {
    let Ok(built_in) = Catalogue::built_in(config.app) else { return 0 };
    let methods = config.catalogue.methods();
    methods.filter(|method| built_in.get(&method.name) != Some(*method)).count()
}
