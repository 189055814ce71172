//! `slackwater limits [METHOD]`: which limits hold for which method.

mod clients;
mod learnt;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use config::{Shared, load};
use console::{
    NO, Place, Screen,
    limit::{as_json, in_words},
    table::{self, Align},
};
use limits::{Class, Dimension, Limit, Rule};
use serde_json::{Value, json};
use slack::{Catalogue, Kind, Method, OrderingArguments};
use yaml::{nearest, units::show_duration};

use super::check::part_in_words;

/// How many names are offered for one that is not known.
const OFFERED: usize = 3;

/// Show the limits of every method, or all about one, or the clients that are known
///
/// Exits with 0, with 1 if METHOD is not known, with 2 if the configuration is not right or the proxy
/// cannot be asked.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  slackwater limits
  slackwater limits conversations.close
  slackwater limits --json chat.postMessage
  slackwater limits --clients
  slackwater limits --learnt > learnt.yaml
  slackwater limits --forget conversations.list"
)]
pub struct Args {
    /// The method, as in conversations.close, or what is beside the Web API, as in webhook. Without
    /// it: all of them, a line each
    pub method: Option<String>,

    /// Show the clients that are known instead: how each is told from others, after how long it gives up,
    /// and what keeps it waiting. The first whose signs a call has counts
    #[arg(long, conflicts_with = "method")]
    pub clients: bool,

    /// The configuration whose rules hold. Without it: the file in `SLACKWATER_CONFIG`, else what
    /// is built in
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Show what the running proxy has learnt of limits instead, as a configuration: put it into the
    /// proxy's, and it is kept to from the first call on
    #[arg(long, conflicts_with_all = ["method", "clients"])]
    pub learnt: bool,

    /// Let the running proxy forget what it has learnt of the limits of a method; `other` is all that
    /// are not in the catalogue. The token of `admin.token`, if there is one, comes from the variable
    /// `SLACKWATER_ADMIN_TOKEN`
    #[arg(long, value_name = "METHOD", conflicts_with_all = ["method", "clients", "learnt", "json"])]
    pub forget: Option<String>,

    /// For these two: where the proxy's operators' listener is. Without it: what the configuration says
    #[arg(long, value_name = "URL")]
    pub admin: Option<String>,

    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Writes the limits that hold.
///
/// # Errors
/// If the configuration is not right or the answer not written.
pub fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let place = Place::new(args.admin.clone(), args.config.clone());
    if let Some(method) = &args.forget {
        return learnt::forget(method, &place, out);
    }
    let config = load(args.config.as_deref())?;
    if args.learnt {
        return learnt::show(&config, &place, args.json, out);
    }
    if args.clients {
        clients::show(&config, args.json, out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let known = show(&config.catalogue, args.method.as_deref(), args.json, out)?;
    if let Some(split) = config.shared.as_ref().and_then(Shared::split).filter(|_| !args.json) {
        writeln!(out, "\nThis replica is {}.", part_in_words(split))?;
    }
    Ok(if known { ExitCode::SUCCESS } else { ExitCode::from(NO) })
}

/// Writes one method or all, and answers whether the one is known.
fn show(
    catalogue: &Catalogue,
    name: Option<&str>,
    json: bool,
    out: &mut impl Write,
) -> io::Result<bool> {
    let Some(name) = name else {
        if json {
            let all: Vec<Value> = sorted(catalogue).into_iter().map(to_json).collect();
            writeln!(out, "{:#}", Value::from(all))?;
        } else {
            table(catalogue, out)?;
        }
        return Ok(true);
    };
    let known = catalogue.get(name);
    let method = known.unwrap_or_else(|| catalogue.unknown());
    let near = match known {
        Some(_) => Vec::new(),
        None => nearest(name, catalogue.methods().map(|method| &*method.name), OFFERED),
    };
    if json {
        let mut value = to_json(method);
        value["method"] = name.into();
        value["known"] = known.is_some().into();
        value["nearest"] = near.into();
        writeln!(out, "{value:#}")?;
        return Ok(known.is_some());
    }
    if known.is_none() {
        writeln!(out, "{name} is not in the catalogue.")?;
        if !near.is_empty() {
            writeln!(out, "Like it: {}", near.join(", "))?;
        }
        writeln!(out, "Methods that are not known get {}:\n", method.tier)?;
    }
    card(name, method, out)?;
    Ok(known.is_some())
}

/// The methods of the Web API, and then what is beside it.
fn sorted(catalogue: &Catalogue) -> Vec<&Method> {
    let (mut methods, beside): (Vec<&Method>, Vec<&Method>) =
        catalogue.methods().map(|method| &**method).partition(|method| method.kind == Kind::WebApi);
    methods.extend(beside);
    methods
}

/// A line for each method.
fn table(catalogue: &Catalogue, out: &mut impl Write) -> io::Result<()> {
    let rows = sorted(catalogue).into_iter().map(row);
    columns(["METHOD", "TIER", "", "FLAGS", "OTHER LIMITS"], rows, out)
}

/// Rows below a header.
fn columns<const N: usize>(
    header: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
    out: &mut impl Write,
) -> io::Result<()> {
    let rows: Vec<[String; N]> = std::iter::once(header.map(str::to_owned)).chain(rows).collect();
    for line in table::table([Align::Left; N], &rows, Screen::width()) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn row(method: &Method) -> [String; 5] {
    let (own, others): (Vec<_>, Vec<_>) =
        method.limits.iter().partition(|limit| *limit.name == *method.tier.as_str());
    let tier: Vec<String> = own.into_iter().map(|limit| figure(limit)).collect();
    let others: Vec<String> = others.into_iter().map(|limit| short(limit)).collect();
    let flags = [
        method.reads.then(|| "reads".to_owned()),
        method.in_order.as_ref().map(|order| format!("in_order={}", in_list(order))),
        method.saves.replaces.as_ref().map(|_| "edits".to_owned()),
        method.class.map(|class| class.to_string()),
        method.max_wait.map(|most| format!("max_wait={}", show_duration(most))),
        method.channel_arg.as_ref().map(|channel| format!("channel={channel}")),
        method.user_arg.as_ref().map(|user| format!("user={user}")),
    ];
    [
        method.name.to_string(),
        method.tier.to_string(),
        tier.concat(),
        flags.into_iter().flatten().collect::<Vec<_>>().join(" "),
        if method.limits.is_empty() { "none".to_owned() } else { others.join("; ") },
    ]
}

/// `channel,thread_ts`.
fn in_list(order: &OrderingArguments) -> String {
    order.words().collect::<Vec<_>>().join(",")
}

/// `20/1m by app+workspace+method`.
fn short(limit: &Limit) -> String {
    let scope: Vec<&str> = limit.scope.iter().map(Dimension::as_str).collect();
    format!("{} by {}", figure(limit), scope.join("+"))
}

/// `20/1m`.
fn figure(limit: &Limit) -> String {
    match limit.rule {
        Rule::Rate(rate) => format!("{}/{}", rate.limit, show_duration(rate.per)),
        Rule::Concurrency(at_once) => format!("{at_once} at once"),
        Rule::InOrder(_) => "one at a time".to_owned(),
        Rule::Open => "any number".to_owned(),
        Rule::Gate => "none".to_owned(),
    }
}

/// All about one method.
fn card(name: &str, method: &Method, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{name}")?;
    if method.kind != Kind::WebApi {
        writeln!(out, "  kind      {}", method.kind.as_str())?;
    }
    writeln!(out, "  tier      {}", method.tier)?;
    if method.limits.is_empty() {
        writeln!(out, "  limits    none")?;
    }
    let width = method.limits.iter().map(|limit| limit.name.len()).max().unwrap_or(0);
    for (i, limit) in method.limits.iter().enumerate() {
        let label = if i == 0 { "limits" } else { "" };
        writeln!(out, "  {label:8}  {:width$}  {}", limit.name, in_words(limit))?;
    }
    if let Some(channel) = &method.channel_arg {
        writeln!(out, "  channel   the argument {channel}")?;
    }
    if let Some(user) = &method.user_arg {
        writeln!(out, "  user      the argument {user}")?;
    }
    if method.reads {
        writeln!(
            out,
            "  reads     it changes nothing, so it is sent again after a 503 with Retry-After"
        )?;
    }
    if let Some(order) = &method.in_order {
        let order = order.words().collect::<Vec<_>>().join(", ");
        writeln!(out, "  in order  calls of one caller with the same {order} go one at a time")?;
    }
    if let Some(replaces) = &method.saves.replaces {
        let said: Vec<&str> =
            replaces.content.iter().chain(&replaces.fields).map(|it| &**it).collect();
        write!(
            out,
            "  edits     with `edits: latest`, a newer {} replaces a held one",
            said.join(", ")
        )?;
        match replaces.never_with.join(", ") {
            without if without.is_empty() => writeln!(out)?,
            without => writeln!(out, ", without {without}")?,
        }
    }
    for drops in &method.saves.drops {
        let reads = drops.reads.join(", ");
        let reads = if reads.is_empty() { "all methods" } else { &reads };
        writeln!(out, "  drops     remembered answers of {reads}")?;
    }
    if let Some(class) = method.class {
        writeln!(out, "  class     {class}, where the caller names none")?;
    }
    if let Some(most) = method.max_wait {
        writeln!(out, "  held      {} at most", show_duration(most))?;
    }
    Ok(())
}

fn to_json(method: &Method) -> Value {
    let limits: Vec<Value> = method.limits.iter().map(|limit| as_json(limit)).collect();
    json!({
        "method": &*method.name,
        "kind": method.kind.as_str(),
        "tier": method.tier.as_str(),
        "limits": limits,
        "channel": method.channel_arg.as_deref(),
        "user": method.user_arg.as_deref(),
        "reads": method.reads,
        "in_order": method.in_order.as_ref().map(|order| order.words().collect::<Vec<_>>()),
        "replaces": method.saves.replaces.as_ref().map(|it| {
            it.content.iter().chain(&it.fields).map(|name| &**name).collect::<Vec<&str>>()
        }),
        "class": method.class.map(Class::as_str),
        "max_wait_seconds": method.max_wait.map(|most| most.as_secs_f64()),
    })
}
