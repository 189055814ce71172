//! A plan in words.

use std::{
    num::NonZeroU64,
    time::{Duration, UNIX_EPOCH},
};

use yaml::units::show_duration;

use super::{
    Outlook,
    before::Before,
    estimate::{Holds, Left, Plan, Waited},
    job::{Calls, Job},
    straight::Straight,
};
use console::limit;

use crate::drain::page::span;

/// The end of the years that have a date here.
const LAST: u64 = 253_402_300_799;
/// Less of the waiting is not told of what is not the first.
const WORTH: f64 = 0.05;

// === impl Outlook ===

impl Outlook {
    /// What is to be said before all else.
    pub(crate) fn notes(&self) -> Vec<String> {
        let notes = self.before.notes.iter().map(|note| format!("warning: {note}"));
        notes.chain(self.stuck.iter().cloned()).collect()
    }

    /// What is planned.
    pub(super) fn title(&self) -> String {
        let Some(planned) = self.job.methods.first() else { return String::new() };
        let (caller, class) = (&planned.terms.caller, planned.terms.class);
        let (count, name) = (planned.calls, &planned.name);
        format!("{} of {name}, class {class}, caller {caller}", calls(count))
    }

    /// What is to be expected of it; nothing if it never goes.
    pub(crate) fn lines(&self) -> Vec<String> {
        let Some(plan) = &self.plan else { return Vec::new() };
        let mut lines = vec![("done", self.done(plan))];
        let waits = plan.waits.iter().any(|waited| !matches!(waited.what, Holds::Answers));
        if waits {
            lines.push(("pace", rate(plan.per_minute)));
        }
        lines.push(("held by", held_by(plan, &self.job)));
        if let Some(left) = &plan.left {
            lines.push(("left", left.text()));
        }
        let [heeds, not] = &plan.straight;
        let what = match self.job.methods.as_slice() {
            [only] => &*only.name,
            _ => "a method",
        };
        if heeds.refused == 0 && not.refused == 0 {
            lines.push(("straight", "no 429 either, in a loop of one call at a time".to_owned()));
        } else {
            let text = format!("a loop that sleeps as Retry-After says: {}", heeds.text(what));
            lines.push(("straight", text));
            let lost = format!("{}, {} lost", not.text(what), calls(not.lost));
            lines.push(("", format!("one that does not: {lost}")));
        }
        lines.extend(self.before.text(&self.job).map(|text| ("proxy", text)));
        lines.push(("assumed", assumed(&self.job, &self.before)));
        lines.into_iter().map(|(label, text)| format!("  {label:8}  {text}")).collect()
    }

    fn done(&self, plan: &Plan) -> String {
        let Some(took) = plan.took else { return "later than anyone can wait".to_owned() };
        let about = if plan.about { "about " } else { "" };
        let at = self.now.saturating_add(took.as_secs());
        let at = date(at).map_or_else(String::new, |at| format!(", at {at} if begun now"));
        format!("in {about}{}{at}", span(took))
    }
}

/// A date and a time of day: `Sun, 22 Nov 2026 20:58 GMT`.
fn date(unix: u64) -> Option<String> {
    let at = UNIX_EPOCH + Duration::from_secs(Some(unix).filter(|unix| *unix <= LAST)?);
    let text = httpdate::fmt_http_date(at);
    // Without its seconds.
    Some(format!("{} GMT", text.get(..22)?))
}

fn calls(count: u64) -> String {
    if count == 1 { "1 call".to_owned() } else { format!("{count} calls") }
}

/// `15.0 a minute`, or what is not too small to be read.
fn rate(per_minute: f64) -> String {
    match per_minute {
        few if few * 60.0 * 24.0 < 0.05 => "none".to_owned(),
        few if few < 1.0 / 60.0 => format!("{:.1} a day", few * 60.0 * 24.0),
        few if few < 1.0 => format!("{:.1} an hour", few * 60.0),
        many => format!("{many:.1} a minute"),
    }
}

fn held_by(plan: &Plan, job: &Job) -> String {
    let Some(first) = plan.waits.first() else { return "nothing".to_owned() };
    let others = plan.waits.iter().skip(1).filter(|waited| waited.part >= WORTH);
    let others = others.filter_map(|waited| {
        let name = match &waited.what {
            Holds::Limit(limit) => &*limit.name,
            Holds::Other(name) => &**name,
            Holds::Cap => "--per-cycle",
            Holds::Answers => return None,
        };
        Some(format!("{:.0} % of the time by {name}", waited.part * 100.0))
    });
    std::iter::once(first.text(job)).chain(others).collect::<Vec<_>>().join("; ")
}

fn assumed(job: &Job, before: &Before) -> String {
    let trip = show_duration(job.round_trip);
    let at_once = calls(job.at_once as u64);
    let mut parts = vec![format!("answers after {trip}"), format!("{at_once} under way at once")];
    let named = job.methods.iter().any(|planned| planned.entry.channel_arg.is_some());
    if let (Calls::Alike { channels, .. }, true) = (&job.calls, named) {
        parts.push(match channels.map_or(0, NonZeroU64::get) {
            0 => "each for another channel".to_owned(),
            1 => "all for one channel".to_owned(),
            some => format!("for {some} channels in turn"),
        });
    }
    if job.identities.len() > 1 {
        parts.push(format!("in {} workspaces in turn", job.identities.len()));
    }
    let others = match before.waiting() {
        (0, _) => "nobody else calls",
        _ => "nobody else comes",
    };
    format!("{}; {others}", parts.join(", "))
}

// === impl Waited ===

impl Waited {
    fn text(&self, job: &Job) -> String {
        match &self.what {
            Holds::Limit(limit) => {
                let kept = if self.for_people { "; a part of it is kept for people" } else { "" };
                format!("{}: {}{kept}", limit.name, limit::in_words(limit))
            }
            Holds::Other(name) => format!("{name}: Slack wants a pause"),
            Holds::Cap => {
                let (most, every) = job.cap.unwrap_or_default();
                format!("--per-cycle: {most} in {}", show_duration(every))
            }
            Holds::Answers if job.limits().is_empty() => {
                "nothing: no limit is known; only answers are waited for".to_owned()
            }
            Holds::Answers => "nothing for long: only answers are waited for".to_owned(),
        }
    }
}

// === impl Left ===

impl Left {
    fn text(&self) -> String {
        let [free, interactive, normal] = [self.free, self.interactive, self.normal].map(rate);
        let name = &self.limit.name;
        format!(
            "{free} of {name} that nobody takes; another caller gets up to {interactive} if \
             interactive, {normal} if normal"
        )
    }
}

// === impl Straight ===

impl Straight {
    fn text(&self, what: &str) -> String {
        let (shut, took) = (span(self.shut), span(self.took));
        format!("{} 429s, {what} shut for {shut} of {took}", self.refused)
    }
}

// === impl Before ===

impl Before {
    /// What the proxy that was asked has to say.
    fn text(&self, job: &Job) -> Option<String> {
        let admin = self.admin.as_ref()?;
        let (waiting, callers) = self.waiting();
        let identity = job.identities.first();
        let whose = identity.map(|of| format!(", as in {}/{}", of.app, of.workspace));
        let mut parts = vec![match (waiting, callers) {
            (0, _) => "nobody waits before it".to_owned(),
            (waiting, 1) => format!("{} of one caller wait before it", calls(waiting)),
            (waiting, callers) => format!("{} of {callers} callers wait before it", calls(waiting)),
        }];
        let taken: u64 = self.slots.iter().map(|slots| u64::from(slots.used)).sum();
        if taken > 0 {
            parts.push(format!("{taken} slots are taken"));
        }
        if let Some(shut) = self.shut() {
            let (name, time) = (&shut.bucket.limit.name, span(shut.frozen_for));
            parts.push(format!("{name} is shut for {time}"));
        }
        Some(format!("{admin}{}: {}", whose.unwrap_or_default(), parts.join(", ")))
    }
}
