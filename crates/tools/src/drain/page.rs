//! What a drain says of itself, as text.

use std::{fmt::Write as _, time::Duration};

use yaml::units::show_duration;

use super::backlog::Tally;

/// How far it is.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) tally: &'a Tally,
    pub(super) calls: u64,
    /// How many this run has seen the end of, and in what time.
    pub(super) seen: u64,
    pub(super) took: Duration,
    /// Seconds since 1970.
    pub(super) now: u64,
    /// How long the rest takes at least, by its cap.
    pub(super) at_least: Duration,
    /// What it waits for.
    pub(super) note: Option<&'a str>,
}

/// The length of the bar.
const BAR: u64 = 40;
/// A time of so many seconds is told in minutes.
const LONG: u64 = 2 * 3600;

// === impl View ===

impl View<'_> {
    /// How far it is, in a line.
    pub(super) fn line(&self) -> String {
        let Tally { done, failed, .. } = self.tally;
        let mut text = format!("{done} of {} done", self.calls);
        let _ = match failed {
            0 => Ok(()),
            failed => write!(text, ", {failed} failed"),
        };
        let _ = write!(text, "; {:.1} a minute", self.rate());
        if let Some(left) = self.left() {
            let (span, end) = (span(left), clock(self.now + left.as_secs()));
            let _ = write!(text, "; the rest takes about {span}, till {end}");
        }
        if let Some(note) = self.note {
            let _ = write!(text, "; {note}");
        }
        text
    }

    /// The same with a bar.
    pub(super) fn page(&self) -> Vec<String> {
        let full = (self.tally.over() * BAR).checked_div(self.calls).unwrap_or(BAR).min(BAR);
        let bar =
            |character: &str, times: u64| character.repeat(usize::try_from(times).unwrap_or(0));
        vec![format!("[{}{}]", bar("#", full), bar(".", BAR - full)), self.line()]
    }

    /// Calls a minute, in this run.
    #[expect(clippy::cast_precision_loss, reason = "nobody drains 2^53 calls")]
    fn rate(&self) -> f64 {
        let minutes = self.took.as_secs_f64() / 60.0;
        if minutes > 0.0 { self.seen as f64 / minutes } else { 0.0 }
    }

    /// How long the rest takes at this pace; none if there is none yet.
    #[expect(clippy::cast_precision_loss, reason = "nobody drains 2^53 calls")]
    fn left(&self) -> Option<Duration> {
        let rate = self.rate();
        let left = self.calls.saturating_sub(self.tally.over()) as f64;
        let by_rate = (rate > 0.0).then(|| Duration::try_from_secs_f64(left / rate * 60.0).ok());
        by_rate.flatten().map(|by_rate| by_rate.max(self.at_least))
    }
}

/// How it came out.
pub(super) fn summary(tally: &Tally, calls: u64, skipped: u64) -> String {
    let mut text = format!("{} of {calls} done", tally.done);
    if tally.already > 0 {
        let _ = write!(text, " ({} of them were so already)", tally.already);
    }
    if tally.failed > 0 {
        let _ = write!(text, ", {} failed", tally.failed);
    }
    if skipped > 0 {
        let _ = write!(text, "; {skipped} lines were no calls and were skipped");
    }
    let mut kinds: Vec<_> = tally.kinds.iter().collect();
    kinds.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    for (kind, count) in kinds {
        let _ = write!(text, "\n{count:>8}  {kind}");
    }
    text
}

/// A time that is not told finer than anyone wants it.
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    let fine = if seconds < LONG { 1 } else { 60 };
    show_duration(Duration::from_secs(seconds.next_multiple_of(fine)))
}

/// The time of day: `18:22 UTC`.
fn clock(unix: u64) -> String {
    let minutes = unix / 60 % (24 * 60);
    format!("{:02}:{:02} UTC", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(done: u64, failed: u64) -> Tally {
        let kinds = [("channel_not_found".to_owned(), failed)].into();
        Tally { done, already: 2, failed, kinds }
    }

    fn view(tally: &Tally) -> View<'_> {
        View {
            tally,
            calls: 4812,
            seen: 30,
            took: Duration::from_secs(120),
            now: 1_774_000_000,
            at_least: Duration::ZERO,
            note: None,
        }
    }

    #[test]
    fn the_rate_is_of_this_run_and_the_end_follows_from_it() {
        let tally = tally(4780, 2);
        assert_eq!(
            view(&tally).line(),
            "4780 of 4812 done, 2 failed; 15.0 a minute; the rest takes about 2m, till 09:48 UTC"
        );
        let capped = View { at_least: Duration::from_secs(9001), ..view(&tally) };
        assert!(capped.line().ends_with("takes about 2h31m, till 12:16 UTC"), "{}", capped.line());
        assert_eq!(capped.page()[0], format!("[{}.]", "#".repeat(39)));
    }

    #[test]
    fn before_anything_is_known_nothing_is_foretold() {
        let tally = Tally::default();
        let view = View { seen: 0, note: Some("nothing answers"), ..view(&tally) };
        assert_eq!(view.line(), "0 of 4812 done; 0.0 a minute; nothing answers");
    }

    #[test]
    fn the_end_says_how_many_and_why_not() {
        assert_eq!(
            summary(&tally(4801, 11), 4812, 1),
            "4801 of 4812 done (2 of them were so already), 11 failed; 1 lines were no calls and \
             were skipped\n      11  channel_not_found"
        );
    }
}
