//! What came of a run's calls, at both ends, and what must be true of that.

use std::{collections::BTreeMap, time::Duration};

use fake_slack::{Entry, FakeSlack, RecordedAs};

use super::{
    plan::{Plan, Planned},
    site::Site,
};
use crate::harness::{Answer, secs};

/// What the client of a call saw.
#[derive(Debug)]
pub(super) enum End {
    Answered(Answer),
    /// Its connection broke.
    Broke,
    HungUp,
}

/// A run's calls with their ends, in the order in which they were made.
pub(super) struct Journal<'p> {
    pub(super) plan: &'p Plan,
    pub(super) site: &'p Site,
    pub(super) ends: Vec<Ended>,
}

/// When a call was made and when it ended, and how.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) at: Duration,
    pub(super) until: Duration,
    pub(super) end: End,
}

/// Besides what it is held: a broken attempt, ten seconds of tries to connect, and a time-out.
const ON_ITS_WAY: Duration = secs(60 + 60 + 10);

/// A call's text, by which it is found in the ledger.
pub(super) fn text(nth: usize) -> String {
    format!("call-{nth}.")
}

// === impl Journal ===

impl Journal<'_> {
    /// Holds both ends against each other. What is wrong.
    pub(super) fn faults(&self, slack: &FakeSlack) -> Vec<String> {
        let ledger = slack.ledger();
        let mut wrong: Vec<_> =
            ledger.violations.iter().map(|it| format!("Slack refused {it:?}")).collect();
        let mut done: BTreeMap<String, Vec<&Entry>> = BTreeMap::new();
        // A connection that broke before the call was read has none of it.
        for call in ledger.calls.iter().filter(|call| call.fault != Some("reset-early")) {
            done.entry(call.text.as_deref().unwrap_or("none").to_owned()).or_default().push(call);
        }
        for (nth, (planned, ended)) in self.plan.calls.iter().zip(&self.ends).enumerate() {
            let entries = done.remove(&text(nth)).unwrap_or_default();
            let what = self.wrong_with(planned, ended, &entries);
            wrong.extend(
                what.map(|what| format!("call {nth} {planned:?}: {what}: {ended:?}, {entries:?}")),
            );
        }
        wrong.extend(done.into_values().map(|calls| format!("nobody has made {calls:?}")));
        wrong.extend(self.out_of_order(&ledger.calls));
        wrong
    }

    fn wrong_with(
        &self,
        call: &Planned,
        ended: &Ended,
        entries: &[&Entry],
    ) -> Option<&'static str> {
        let counted = entries.iter().filter(|entry| was_done(entry)).count();
        if writes(call.method) && counted > 1 {
            return Some("a call that changes something was done twice");
        }
        // One that reads is sent once more after a failure, and again after each 503.
        if entries.len() > 12 {
            return Some("it was sent without end");
        }
        let End::Answered(answer) = &ended.end else {
            // None of these clients repeats a call whose connection breaks. Where an answer had begun, it
            // breaks off as Slack's did.
            let had_begun = entries.iter().any(|entry| entry.status == 200);
            let may_break = had_begun || self.site.was_away(ended.at, ended.until);
            return (matches!(ended.end, End::Broke) && !may_break).then_some("its line broke");
        };
        if answer.took > self.plan.callers[call.caller].patience + ON_ITS_WAY {
            return Some("it waited longer than its client does");
        }
        match answer.status {
            200 if answer.is_ok() && counted == 0 => Some("it is said to be done, and was not"),
            429 if answer.header("retry-after").is_empty() => {
                Some("it is not told when to come back")
            }
            429 if counted > 0 && writes(call.method) => {
                Some("it was done, and is told to come back")
            }
            429 if answer.header("slackwater-reason") == "upstream" => None,
            429 if !entries.is_empty()
                && answer.message().starts_with("[ERROR] slackwater: not sent: ") =>
            {
                Some("it was sent, and is told that it was not")
            }
            200 | 429 | 500..=504 => None,
            _ => Some("what is that"),
        }
    }

    /// Posts of one caller to one channel that were answered at the first attempt.
    fn out_of_order<'a>(&self, calls: impl IntoIterator<Item = &'a Entry>) -> Vec<String> {
        let mut last: BTreeMap<(usize, u64), (usize, Duration)> = BTreeMap::new();
        let mut wrong = Vec::new();
        let order = calls.into_iter().filter(|call| call.order.is_some());
        for entry in order {
            let nth = self.plan.calls.iter().enumerate().find_map(|(nth, _)| {
                (entry.text.as_deref() == Some(text(nth).as_str())).then_some(nth)
            });
            let Some(nth) = nth else { continue };
            // What was on its way when the proxy ended may arrive after what the next one sends.
            let Ended { at, until, .. } = self.ends[nth];
            if self.site.was_away(at, until) {
                continue;
            }
            let planned = &self.plan.calls[nth];
            let Some(channel) = planned.channel else { continue };
            let before = last.insert((planned.caller, channel), (nth, entry.at));
            if let Some((before, _)) = before.filter(|(before, _)| *before > nth) {
                wrong.push(format!("call {nth} was posted after {before}"));
            }
        }
        wrong
    }

    /// What tells two runs apart.
    pub(super) fn digest(&self) -> String {
        let line = |Ended { at, until, end }: &Ended| match end {
            End::Answered(answer) => format!("{at:?} {} {:?}\n", answer.status, answer.took),
            End::Broke => format!("{at:?} broke {until:?}\n"),
            End::HungUp => format!("{at:?} hung up\n"),
        };
        self.ends.iter().map(line).collect()
    }
}

fn writes(method: &str) -> bool {
    ["chat.", "conversations.close", "reactions."].iter().any(|start| method.starts_with(start))
}

/// Whether Slack did what it was asked for.
fn was_done(entry: &Entry) -> bool {
    let counted = ["reset", "hang", "500", "502", "503", "gzip", "chunked", "slow"];
    entry.outcome == RecordedAs::Ok || entry.fault.is_some_and(|fault| counted.contains(&fault))
}
