//! `slackwater fake-slack`: its arguments, what it prints, and its end.

use std::{
    fmt::{self, Write as _},
    io::{self, Write},
    net::SocketAddr,
    num::NonZeroU32,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use fake_slack::{
    FakeSlack, FaultRule, Latency, Ledger, OptionError, Options, Penalty, Rules, Shape,
};
use slack::{AppKind, Catalogue};
use tokio::{
    net::TcpListener,
    runtime,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use yaml::{Problems, units};

/// Run a Slack that limits like Slack, for tests and demos
///
/// Ends on SIGTERM or Ctrl-C, and says what it saw.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  slackwater fake-slack --minute 6s
  slackwater fake-slack --penalty app --window fixed --latency 10ms..200ms
  slackwater fake-slack --limit conversations.list=10 --fault reset=0.01
  slackwater fake-slack --items 5000")]
pub struct Args {
    /// Where to listen. Port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    listen: SocketAddr,

    /// How a limit is counted: Slack does not say which it is
    #[arg(long, default_value = "sliding", value_parser = names::<Shape>(Shape::ALL.map(Shape::as_str)))]
    window: Shape,

    /// What else is refused until a Retry-After has passed
    #[arg(long, default_value = "method", value_parser = names::<Penalty>(Penalty::ALL.map(Penalty::as_str)))]
    penalty: Penalty,

    /// How long a round trip takes: 20ms, or 10ms..200ms
    #[arg(long, default_value = "0ms")]
    latency: Latency,

    /// How long a minute lasts: 6s makes everything ten times as fast
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = units::parse_some_duration)]
    minute: Duration,

    /// What decides everything that is left to chance
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,

    /// Count refused calls, too
    #[arg(long)]
    count_refused: bool,

    /// Set the true limit of a method, whatever is documented: conversations.list=10
    #[arg(long = "limit", value_name = "METHOD=N", value_parser = parse_limit)]
    limits: Vec<(String, NonZeroU32)>,

    /// What goes wrong, and with which part of the calls: reset=0.01, or for one method
    /// chat.update:reset=0.01. May be given more than once. Kinds: reset-early, reset, hang, 500,
    /// 502, 503, 429-no-header, 429-no-body, 200-ratelimited, gzip, chunked, slow.
    /// POST /faults?method=METHOD&fault=KIND&calls=N has it happen to the next N calls
    #[arg(long = "fault", value_name = "[METHOD:]KIND=PART")]
    faults: Vec<FaultRule>,

    /// How many calls the ledger keeps
    #[arg(long, value_name = "CALLS", default_value_t = 10_000)]
    ledger: usize,

    /// How many items have the lists that go by pages: those of conversations.list,
    /// conversations.members, users.conversations, users.list (with cursors) and files.list (by the
    /// page's number)
    #[arg(long, value_name = "ITEMS", default_value_t = 250, value_parser = parse_items)]
    items: usize,
}

/// The longest lists.
const MOST_ITEMS: usize = 10_000_000;
/// So many violations are shown at the end.
const SHOWN: usize = 10;

/// Serves until SIGINT or SIGTERM, then prints what it saw.
///
/// # Errors
///
/// If the address cannot be listened on or the output cannot be written.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(args))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(args: Args) -> anyhow::Result<()> {
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    let address = listener.local_addr()?;
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);

    let fake = FakeSlack::new(args.into_options()?);
    say(&banner(address, fake.options()))?;

    let stop = CancellationToken::new();
    let signalled = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stop.cancel();
    };
    tokio::join!(signalled, fake.serve(listener, stop.clone()));
    say(&summary(&fake.ledger()))?;
    Ok(())
}

/// The documented limits.
pub(super) fn documented() -> Result<Rules, Problems> {
    let catalogue = Catalogue::built_in(AppKind::Internal)?;
    Ok(Rules::new(move |name| Arc::clone(catalogue.entry(name))))
}

// === impl Args ===

impl Args {
    fn into_options(self) -> Result<Options, Problems> {
        let rules = self
            .limits
            .iter()
            .fold(documented()?, |rules, (method, limit)| rules.with_hidden(method, *limit));
        Ok(Options {
            shape: self.window,
            penalty: self.penalty,
            count_refused: self.count_refused,
            latency: self.latency,
            minute: self.minute,
            faults: self.faults,
            seed: self.seed,
            ledger: self.ledger,
            items: self.items,
            ..Options::new(rules)
        })
    }
}

/// Takes these names, and lists them where another is given.
fn names<T>(names: impl Into<PossibleValuesParser>) -> impl TypedValueParser<Value = T>
where
    T: std::str::FromStr<Err = OptionError> + Clone + Send + Sync + 'static,
{
    names.into().try_map(|name| name.parse::<T>())
}

fn parse_items(text: &str) -> Result<usize, String> {
    let items = text.parse().ok().filter(|items| *items <= MOST_ITEMS);
    items.ok_or_else(|| format!("a number of up to {MOST_ITEMS}"))
}

fn parse_limit(text: &str) -> Result<(String, NonZeroU32), String> {
    text.split_once('=')
        .filter(|(method, _)| !method.is_empty())
        .and_then(|(method, limit)| Some((method.to_owned(), limit.parse().ok()?)))
        .ok_or_else(|| "a limit is METHOD=N with N of at least 1: conversations.list=10".to_owned())
}

fn banner(address: SocketAddr, options: &Options) -> String {
    format!(
        "fake Slack on http://{address}/api/ (a minute lasts {}, window {}, penalty {})\n\
         ledger: http://{address}/ledger\n",
        Seconds(options.minute),
        options.shape,
        options.penalty,
    )
}

fn summary(ledger: &Ledger) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _infallible = write_summary(&mut text, ledger);
    text
}

fn write_summary(text: &mut String, ledger: &Ledger) -> fmt::Result {
    let totals = &ledger.totals;
    write!(text, "{} calls: {} ok, {} refused", totals.calls, totals.ok, totals.refused)?;
    match totals.faulted {
        0 => writeln!(text)?,
        faulted => writeln!(text, ", {faulted} with a fault")?,
    }
    let width = totals.by_method.keys().map(|method| method.len()).max().unwrap_or(0);
    for (method, sums) in &totals.by_method {
        writeln!(text, "  {method:width$} {:>8} calls {:>8} refused", sums.calls, sums.refused)?;
    }
    if totals.refused > 0 {
        writeln!(text, "the latest violations:")?;
    }
    let skipped = ledger.violations.len().saturating_sub(SHOWN);
    for violation in ledger.violations.iter().skip(skipped) {
        let refusal = &violation.refusal;
        writeln!(
            text,
            "  {:>10.3} s  {} {}: {} of {} used ({}, {})",
            violation.at.as_secs_f64(),
            violation.method,
            refusal.limit,
            refusal.used,
            refusal.n,
            refusal.cause,
            refusal.key,
        )?;
    }
    Ok(())
}

/// Writes to standard output at once: whoever waits for the address reads it from a pipe.
fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// `6 s`, `0.5 s`.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use fake_slack::{Call, Decision};

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Result<Args, String> {
        let words = std::iter::once("fake-slack").chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.args).map_err(|error| error.to_string())
    }

    #[test]
    fn the_arguments_become_options() {
        let args = parse(
            "--window fixed-clock --penalty app --latency 10ms..20ms --minute 6s --seed 9 \
             --count-refused --limit conversations.list=10 --limit users.list=3 --ledger 5 --fault hang=0.5 --items 7",
        );
        let options = args.unwrap().into_options().unwrap();
        assert_eq!((options.shape, options.penalty), (Shape::FixedClock, Penalty::App));
        assert_eq!(Ok(options.latency), "10ms..20ms".parse());
        assert_eq!((options.minute, options.seed), (Duration::from_secs(6), 9));
        assert_eq!((options.count_refused, options.ledger, options.items), (true, 5, 7));
        assert_eq!(options.faults, ["hang=0.5".parse().unwrap()]);
        let fake = FakeSlack::new(options);
        let list = Call::new("users.list", "A1", "T1");
        let accepted =
            (0..9).filter(|_| matches!(fake.handle(Duration::ZERO, &list), Decision::Accept(_)));
        assert_eq!(accepted.count(), 3);
    }

    #[test]
    fn a_bad_argument_says_what_is_good() {
        for (line, hint) in [
            ("--window tumbling", "possible values: sliding, fixed, fixed-clock, bucket"),
            ("--penalty all", "possible values: none, method, workspace, app"),
            ("--latency 20", "unit"),
            ("--latency 2s..1s", "from the lesser to the greater"),
            ("--minute 0s", "--minute"),
            ("--limit conversations.list=0", "conversations.list=10"),
            ("--limit 10", "METHOD=N"),
            ("--fault rest=0.1", "reset-early, reset, hang"),
            ("--fault reset", "chat.update:reset=0.01"),
            ("--fault reset=2", "from 0 to 1"),
            ("--items many", "up to 10000000"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(hint), "{error}");
        }
    }

    #[test]
    fn the_banner_says_where_and_how() {
        let options = parse("--minute 6s").unwrap().into_options().unwrap();
        assert_eq!(
            banner(SocketAddr::from(([127, 0, 0, 1], 8081)), &options),
            "fake Slack on http://127.0.0.1:8081/api/ \
             (a minute lasts 6 s, window sliding, penalty method)\n\
             ledger: http://127.0.0.1:8081/ledger\n"
        );
    }

    #[test]
    fn the_summary_counts_calls_and_shows_the_latest_violations() {
        let fake =
            FakeSlack::new(parse("--limit conversations.list=2").unwrap().into_options().unwrap());
        for n in 0..20 {
            let call = Call::new("conversations.list", "A1", "T1");
            let _ = fake.handle(Duration::from_millis(n), &call);
        }
        let text = summary(&fake.ledger());
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "20 calls: 2 ok, 18 refused");
        assert_eq!(lines[1], "  conversations.list       20 calls       18 refused");
        assert_eq!(lines.len(), 3 + SHOWN);
        assert_eq!(
            lines[12],
            "       0.019 s  conversations.list tier2: 2 of 2 used \
             (penalty, app=A1 workspace=T1 method=conversations.list)"
        );
    }
}
