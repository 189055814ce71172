//! A line of the journal, and what a journal says when it is read beside its input.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io::{self, BufRead},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The first line: which input it is of.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) journal: String,
    pub(super) version: u32,
    /// The SHA-256 of the input and of how it is read.
    pub(super) input: String,
}

/// What happened to a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) line: u64,
    pub(super) id: Value,
    pub(super) result: EntryResult,
    /// Slack's error, or ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    /// Seconds since 1970.
    pub(super) at: f64,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum EntryResult {
    /// It is about to be sent. Only where a cap has to know.
    Sent,
    /// Done.
    Ok,
    /// Nothing was left to do.
    Already,
    Failed,
}

/// Reads a journal in step with its input: results come in the order of the input, but for few.
#[derive(Debug)]
pub(super) struct Walk<R> {
    from: R,
    number: u64,
    ahead: BTreeMap<u64, Entry>,
    /// Lines whose sending was noted and whose result was not yet.
    noted: BTreeSet<u64>,
    /// When the last calls were sent, as many as are asked for.
    sent: VecDeque<u64>,
    keeps: usize,
}

/// A journal that nobody here wrote.
#[derive(Debug, thiserror::Error)]
pub(super) enum WalkError {
    /// It cannot be read.
    #[error("the journal cannot be read")]
    Read(#[from] io::Error),
    /// Not an entry.
    #[error("line {line} of the journal is no entry of one")]
    Entry {
        line: u64,
        #[source]
        source: serde_json::Error,
    },
    /// More results than there can be before their turn.
    #[error("the journal is not of this input: it has results of lines that are no calls")]
    Order,
}

/// What the header's first key says.
pub(super) const JOURNAL: &str = "slackwater drain";
/// The version of the format.
pub(super) const VERSION: u32 = 1;
/// So many calls are begun at most from the oldest that is not finished.
pub(super) const WINDOW: u64 = 64;

// === impl Entry ===

impl Entry {
    /// When, in milliseconds.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a time out of range is as wrong as its end of the range"
    )]
    pub(super) fn millis(&self) -> u64 {
        (self.at * 1000.0).round() as u64
    }
}

/// As an entry has it.
#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 have 41 bits")]
pub(super) fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

// === impl Walk ===

impl<R: BufRead> Walk<R> {
    /// Reads what comes after the header, and keeps when so many of the last calls were sent.
    pub(super) fn new(from: R, keeps: usize) -> Self {
        let (ahead, noted) = (BTreeMap::new(), BTreeSet::new());
        Self { from, number: 1, ahead, noted, sent: VecDeque::new(), keeps }
    }

    /// What happened to the call of that line, if it is known. Lines are asked for in their order.
    ///
    /// # Errors
    /// [`WalkError`].
    pub(super) fn result(&mut self, line: u64) -> Result<Option<Entry>, WalkError> {
        loop {
            if let Some(entry) = self.ahead.remove(&line) {
                return Ok(Some(entry));
            }
            let Some(entry) = self.read()? else { return Ok(None) };
            if entry.result == EntryResult::Sent {
                self.sent_at(entry.millis());
                self.noted.insert(entry.line);
            } else {
                if !self.noted.remove(&entry.line) {
                    self.sent_at(entry.millis());
                }
                self.ahead.insert(entry.line, entry);
            }
            let most = usize::try_from(2 * WINDOW).unwrap_or(usize::MAX);
            if self.ahead.len() > most || self.noted.len() > most {
                return Err(WalkError::Order);
            }
        }
    }

    /// When the last calls were sent, as far as it has read.
    pub(super) fn sent(&self) -> impl Iterator<Item = u64> {
        self.sent.iter().copied()
    }

    fn sent_at(&mut self, at: u64) {
        self.sent.push_back(at);
        if self.sent.len() > self.keeps {
            self.sent.pop_front();
        }
    }

    fn read(&mut self) -> Result<Option<Entry>, WalkError> {
        let mut text = Vec::new();
        if self.from.read_until(b'\n', &mut text)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let line = self.number;
        let entry = serde_json::from_slice(&text);
        entry.map(Some).map_err(|source| WalkError::Entry { line, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(line: u64, result: EntryResult, at: f64) -> String {
        let entry = Entry { line, id: line.into(), result, error: None, at };
        serde_json::to_string(&entry).unwrap() + "\n"
    }

    #[test]
    fn results_are_found_in_the_order_of_the_input_whatever_theirs_is() {
        let text = [
            entry(1, EntryResult::Sent, 1.0),
            entry(2, EntryResult::Sent, 1.5),
            entry(5, EntryResult::Ok, 2.0),
            entry(2, EntryResult::Failed, 2.5),
            entry(1, EntryResult::Ok, 3.0),
        ]
        .concat();
        let mut walk = Walk::new(text.as_bytes(), 2);
        let mut result = |line| walk.result(line).unwrap().map(|entry| entry.result);
        assert_eq!(result(1), Some(EntryResult::Ok));
        assert_eq!(result(2), Some(EntryResult::Failed));
        assert_eq!(result(4), None);
        assert_eq!(result(5), Some(EntryResult::Ok));
        assert_eq!(result(6), None);
        // Of those that were noted as sent, and one that was not, the last.
        assert!(walk.sent().eq([1500, 2000]));
    }

    #[test]
    fn a_journal_of_something_else_does_not_fill_memory() {
        let text: String = (1000..3000).map(|line| entry(line, EntryResult::Ok, 0.0)).collect();
        assert!(matches!(Walk::new(text.as_bytes(), 0).result(1), Err(WalkError::Order)));
    }

    #[test]
    fn what_is_no_entry_is_named_by_its_line() {
        let error = Walk::new(&b"{}\n"[..], 0).result(1).unwrap_err();
        assert_eq!(error.to_string(), "line 2 of the journal is no entry of one");
    }
}
