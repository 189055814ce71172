//! What is left of the input: each call of which the journal says nothing, and the count of the rest.

use std::{collections::BTreeMap, fs::File};

use super::{
    call::BacklogCall,
    entry::{Entry, EntryResult},
    input::Calls,
    journal::Past,
};

/// The input and its journal, read side by side.
pub(super) struct Backlog {
    calls: Calls<File>,
    past: Past,
}

/// How calls came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Done, those included of which nothing was left to do.
    pub(super) done: u64,
    pub(super) already: u64,
    pub(super) failed: u64,
    /// Why they failed; of too many reasons, the rest is `other`.
    pub(super) kinds: BTreeMap<String, u64>,
}

/// So many reasons are told apart.
const KINDS: usize = 64;

// === impl Backlog ===

impl Backlog {
    pub(super) fn new(calls: Calls<File>, past: Past) -> Self {
        Self { calls, past }
    }

    /// The next call without a result; the results on the way there are added up.
    ///
    /// # Errors
    /// If the input or the journal cannot be read.
    pub(super) fn next(&mut self, tally: &mut Tally) -> anyhow::Result<Option<BacklogCall>> {
        while let Some(next) = self.calls.next()? {
            // What is no call was counted when all was looked at.
            let Ok(call) = next else { continue };
            match self.past.result(call.line)? {
                Some(entry) => tally.add(&entry),
                None => return Ok(Some(call)),
            }
        }
        Ok(None)
    }

    /// When the last calls were sent before, as far as the journal was read. All of it was, once a
    /// call had no result.
    pub(super) fn sent(&self) -> impl Iterator<Item = u64> {
        self.past.sent()
    }
}

// === impl Tally ===

impl Tally {
    pub(super) fn add(&mut self, entry: &Entry) {
        match entry.result {
            EntryResult::Sent => {}
            EntryResult::Ok => self.done += 1,
            EntryResult::Already => {
                self.done += 1;
                self.already += 1;
            }
            EntryResult::Failed => {
                self.failed += 1;
                let kind = entry.error.as_deref().unwrap_or("unknown");
                let known = self.kinds.contains_key(kind) || self.kinds.len() < KINDS;
                let kind = if known { kind } else { "other" };
                *self.kinds.entry(kind.to_owned()).or_default() += 1;
            }
        }
    }

    /// What is over.
    pub(super) fn over(&self) -> u64 {
        self.done + self.failed
    }
}
