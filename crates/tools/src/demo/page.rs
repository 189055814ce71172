//! What the demo shows: both sides beside each other as a page, or in lines, and what came of it.

use std::{fmt, time::Duration};

use super::{
    bots::{AT_ONCE, TO_CLOSE},
    score::{Clicks, Counts},
    stage::MINUTE,
};

/// Both sides at one moment.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// The time since both began.
    pub(super) at: Duration,
    /// Straight to Slack.
    pub(super) straight: Side,
    /// Through the proxy.
    pub(super) through: Side,
    /// Calls that the proxy holds.
    pub(super) held: usize,
}

/// One side.
#[derive(Clone, Debug)]
pub(super) struct Side {
    /// What its bots counted.
    pub(super) counts: Counts,
    /// What its people waited.
    pub(super) clicks: Option<Clicks>,
    /// How often the whole app was shut.
    pub(super) shut: usize,
    /// For how long in all.
    pub(super) shut_for: Duration,
}

/// The columns: what a line tells, and the two sides.
const LABEL: usize = 23;
const COLUMN: usize = 27;
/// How long a bar is.
const BAR: usize = 20;
/// The columns that a page needs.
pub(super) const WIDTH: usize = LABEL + 2 * COLUMN;
/// The lines that a page needs.
pub(super) const HEIGHT: usize = 9;

/// What a cell says of its side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tone {
    Plain,
    Good,
    Bad,
}

/// The text of a cell, and its tone.
type Cell = (String, Tone);

/// What stands above it all.
pub(super) fn opening() -> String {
    format!(
        "\
A job closes {TO_CLOSE} stale group DMs, {AT_ONCE} at a time. The first 429 that it meets
shuts the whole app for as long as Retry-After says, as in an incident of March
2026. Meanwhile people click. The same twice, at the same time: straight to a
fake Slack, and through slackwater to another.

The bots are the same on both sides and do what slack_sdk does: a 429 raises.
The job then sleeps for its Retry-After and tries again what is left; people
click again. A minute lasts {} s here, and the shortest Retry-After, a second,
is {} s of Slack's. Nothing leaves this machine. Ctrl-C ends it.
",
        MINUTE.as_secs(),
        60 / MINUTE.as_secs(),
    )
}

// === impl View ===

impl View {
    /// The page.
    pub(super) fn page(&self, colours: bool) -> Vec<String> {
        let sides = [&self.straight, &self.through];
        let mut lines = Vec::with_capacity(HEIGHT);
        let mut row = |label: &str, cells: [Cell; 2]| {
            let mut line = format!("{label:LABEL$}");
            for (text, tone) in cells {
                let text = format!("{text:COLUMN$}");
                line.push_str(&if colours { tone.paint(&text) } else { text });
            }
            lines.push(line.trim_end().to_owned());
        };
        let head = format!("after {} s", Seconds(self.at, 0));
        row(&head, ["straight to Slack", "through slackwater"].map(plain));
        row("", ["-----------------", "------------------"].map(plain));
        row("group DMs closed", sides.map(|side| plain(side.closed())));
        row("", sides.map(|side| plain(bar(side.counts.closed, TO_CLOSE))));
        row("429s to the job", sides.map(|side| none_is_good(side.counts.job_refused)));
        row("429s to clicks", sides.map(|side| none_is_good(side.counts.people_refused)));
        row("the whole app was shut", sides.map(Side::shut));
        row("a click waited", sides.map(Side::clicks));
        let queue = format!("{} {}", bar(self.held, AT_ONCE), self.held);
        row("held in the queue", [plain("there is none"), plain(queue)]);
        lines
    }

    /// The same as two lines, for a pipe.
    pub(super) fn lines(&self) -> [String; 2] {
        let at = format!("{:>2} s", Seconds(self.at, 0));
        let tell = |name: &str, side: &Side, more: &str| {
            let counts = &side.counts;
            format!(
                "{at}  {name:10} {:>3} closed {:>5} 429s  clicks: {}{more}",
                counts.closed,
                counts.job_refused + counts.people_refused,
                side.waited(),
            )
        };
        [
            tell("straight", &self.straight, ""),
            tell("slackwater", &self.through, &format!(", {} held", self.held)),
        ]
    }

    /// Whether the job before the proxy is done.
    pub(super) fn is_done(&self) -> bool {
        self.through.counts.finished.is_some()
    }

    /// What came of it.
    pub(super) fn closing(&self) -> String {
        let Self { straight, through, .. } = self;
        let refused = through.counts.job_refused + through.counts.people_refused;
        let all = through.counts.closed;
        let at = through.counts.finished.unwrap_or(self.at);
        let slack = at.as_secs_f64() / MINUTE.as_secs_f64();
        let mut text = format!(
            "Through slackwater {all} of {TO_CLOSE} were closed in {} s ({slack:.1} of Slack's minutes),\n\
             with {refused} 429s. Straight it was {}, and the whole app was shut for {} of {} s.\n\
             The longest wait of a click was {} through slackwater, {} straight.\n",
            Seconds(at, 0),
            straight.counts.closed,
            Seconds(straight.shut_for, 0),
            Seconds(self.at, 0),
            Worst(through.clicks),
            Worst(straight.clicks),
        );
        for (side, name) in [(straight, "straight"), (through, "through slackwater")] {
            if side.counts.failed > 0 {
                let failed = side.counts.failed;
                text.push_str(&[&failed.to_string(), " calls failed ", name, ".\n"].concat());
            }
        }
        text
    }
}

// === impl Side ===

impl Side {
    fn closed(&self) -> String {
        let done = self.counts.finished.map(|after| format!(" in {} s", Seconds(after, 0)));
        format!("{} of {TO_CLOSE}{}", self.counts.closed, done.unwrap_or_default())
    }

    fn shut(&self) -> Cell {
        match self.shut {
            0 => ("never".to_owned(), Tone::Good),
            1 => (format!("once, for {} s", Seconds(self.shut_for, 0)), Tone::Bad),
            times => (format!("{times} times, {} s in all", Seconds(self.shut_for, 0)), Tone::Bad),
        }
    }

    fn clicks(&self) -> Cell {
        let tone = match self.clicks {
            // A person takes a second for at once.
            Some(clicks) if clicks.worst > Duration::from_secs(1) => Tone::Bad,
            Some(_) => Tone::Good,
            None => Tone::Plain,
        };
        (self.waited(), tone)
    }

    fn waited(&self) -> String {
        self.clicks.map_or_else(
            || "nobody yet".to_owned(),
            |Clicks { median, worst, .. }| {
                format!("{} s, worst {} s", Seconds(median, 2), Seconds(worst, 2))
            },
        )
    }
}

// === impl Tone ===

impl Tone {
    fn paint(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Good => format!("\x1b[32m{text}\x1b[0m"),
            Self::Bad => format!("\x1b[31m{text}\x1b[0m"),
        }
    }
}

fn plain(text: impl Into<String>) -> Cell {
    (text.into(), Tone::Plain)
}

fn none_is_good(count: u64) -> Cell {
    (count.to_string(), if count == 0 { Tone::Good } else { Tone::Bad })
}

/// So many of so many.
fn bar(count: usize, of: usize) -> String {
    // Something is never shown as nothing.
    let full = (count * BAR).div_ceil(of).min(BAR);
    format!("{}{}", "#".repeat(full), ".".repeat(BAR - full))
}

/// Seconds with so many decimals.
struct Seconds(Duration, usize);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.*}", self.1, self.0.as_secs_f64());
        f.pad(&text)
    }
}

/// The longest wait, if anybody waited.
struct Worst(Option<Clicks>);

impl fmt::Display for Worst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(Clicks { worst, waits_still: true, .. }) => {
                write!(f, "over {} s", Seconds(worst, 0))
            }
            Some(Clicks { worst, .. }) => write!(f, "{} s", Seconds(worst, 2)),
            None => f.write_str("unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(closed: usize, refused: u64, shut: usize) -> Side {
        let mut counts = Counts::default();
        (counts.closed, counts.job_refused) = (closed, refused);
        counts.finished = (closed == TO_CLOSE).then_some(Duration::from_secs(25));
        let seconds = Duration::from_secs;
        let clicks = Some(Clicks {
            median: seconds(11),
            worst: seconds(44),
            waits_still: closed < TO_CLOSE,
        });
        Side { counts, clicks, shut, shut_for: seconds(shut as u64) }
    }

    fn view() -> View {
        let at = Duration::from_millis(25_400);
        View { at, straight: side(31, 123_456, 24), through: side(TO_CLOSE, 0, 0), held: AT_ONCE }
    }

    #[test]
    fn it_fits_a_terminal_of_80_columns() {
        let page = view().page(false);
        assert_eq!(page.len(), HEIGHT);
        let lines = view().lines();
        let words = [opening(), view().closing()].join("\n");
        for line in page.iter().chain(&lines).map(String::as_str).chain(words.lines()) {
            assert!(line.chars().count() <= 80, "{line}");
            assert!(line.chars().all(|character| (' '..='~').contains(&character)), "{line}");
        }
        const { assert!(WIDTH < 80) };
    }

    #[test]
    fn colours_change_no_column() {
        let painted = view().page(true);
        assert_ne!(painted, view().page(false));
        let bare = painted.iter().map(|line| {
            let line = ["\x1b[32m", "\x1b[31m", "\x1b[0m"]
                .iter()
                .fold(line.clone(), |line, code| line.replace(code, ""));
            line.trim_end().to_owned()
        });
        assert_eq!(bare.collect::<Vec<_>>(), view().page(false));
    }

    #[test]
    fn a_bar_shows_something_as_soon_as_there_is_something() {
        assert_eq!(bar(0, TO_CLOSE), ".".repeat(BAR));
        assert_eq!(bar(1, TO_CLOSE), format!("#{}", ".".repeat(BAR - 1)));
        assert_eq!(bar(TO_CLOSE, TO_CLOSE), "#".repeat(BAR));
        assert_eq!(bar(TO_CLOSE * 2, TO_CLOSE), "#".repeat(BAR));
    }
}
