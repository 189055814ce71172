//! In what order a bucket serves those who wait for it.
//!
//! Classes come first: interactive before normal before background, with floors, so that
//! a flood of urgent calls slows the others down but never stops them. Within a class
//! callers take turns by start-time fair queueing: a caller's turn carries the tag
//! `max(virtual time, end of its last turn)`, the lowest tag is next, and a grant moves the
//! caller's end one step on. A caller with ten thousand calls and one with a single call
//! thus alternate until the single call is done. Within a caller the oldest call goes
//! first, whatever cells its calls are in. A caller of weight three moves on by a third of a
//! step and so has three turns where one of weight one has one.
//!
//! A turn is charged in every bucket that the call takes a slot of, also where the call did
//! not stand in the line: otherwise a caller spread over thirty channels would get thirty
//! turns in the bucket that the channels share. Tags matter only while somebody waits, so a
//! class in which nobody does forgets them all, but for who had the last turn: a caller whose
//! burst has just taken the last slot does not start the line as if it had had none.

use std::collections::{BTreeMap, BTreeSet};

use super::{Caller, CallerId, Class, Sequence, Weight, cell::CellId};

/// Who waits for a bucket.
#[derive(Debug, Default)]
pub(super) struct Lineup {
    /// Absent while nobody waits, which is most of a bucket's life.
    lines: Option<Box<[ClassLine; 3]>>,
    /// Who had the last turn.
    last: Option<(Class, CallerId)>,
}

#[derive(Debug, Default)]
struct ClassLine {
    virtual_time: Tag,
    /// Those who wait, and those whose last turn ends after the virtual time.
    turns: BTreeMap<CallerId, Turn>,
    /// The callers with cells parked here, the next one first.
    ready: BTreeSet<(Tag, Sequence, CallerId)>,
    /// The callers who don't wait, by the end of their last turn.
    resting: BTreeSet<(Tag, CallerId)>,
    /// Calls that wait for this bucket, parked here or elsewhere.
    waiting: u64,
    /// Callers that have such calls.
    callers: u64,
    /// Grants to other classes since the last one of this class, while it had cells here.
    passed_over: u32,
}

/// One caller's place among the others.
#[derive(Debug, Default)]
struct Turn {
    end: Tag,
    waiting: u64,
    /// Its cells that are parked here, each by its oldest call of this caller.
    cells: BTreeSet<(Sequence, CellId)>,
    /// Under which key it stands in [`ClassLine::ready`].
    key: Option<(Tag, Sequence)>,
}

/// Virtual time: [`STEP`] is one grant to a caller of weight one.
type Tag = u64;

/// Fine enough for every weight, and small enough for a million million grants.
const STEP: Tag = 1 << 24;

/// A class that has been passed over so often is served next. Of any ten grants one is
/// background's and, normal's turn being put off by at most one, two are normal's.
const FLOORS: [u32; 3] = [u32::MAX, 3, 9];

// === impl Lineup ===

impl Lineup {
    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_none()
    }

    /// How many calls wait for the bucket, here or elsewhere.
    pub(super) fn waiting(&self) -> u64 {
        self.lines.iter().flat_map(|lines| lines.iter()).map(|line| line.waiting).sum()
    }

    /// Whether somebody stands here.
    pub(super) fn has_parked(&self) -> bool {
        self.lines.iter().flat_map(|lines| lines.iter()).any(|line| !line.ready.is_empty())
    }

    /// Counts a held call.
    pub(super) fn join(&mut self, class: Class, caller: CallerId) {
        let line = &mut self.lines.get_or_insert_default()[class.index()];
        if line.waiting == 0 && self.last == Some((class, caller)) {
            line.turns.insert(caller, Turn { end: STEP, ..Turn::default() });
        }
        line.join(caller);
    }

    /// Uncounts a held call that goes: granted, cancelled or expired.
    pub(super) fn leave(&mut self, class: Class, caller: CallerId) {
        let Some(lines) = &mut self.lines else { return };
        lines[class.index()].leave(caller);
        if lines.iter().all(|line| line.waiting == 0) {
            self.lines = None;
        }
    }

    /// Lets the caller's calls in that cell stand here, the oldest being `head`.
    pub(super) fn park(&mut self, class: Class, caller: CallerId, head: Sequence, cell: CellId) {
        let line = &mut self.lines.get_or_insert_default()[class.index()];
        line.turns.entry(caller).or_default().cells.insert((head, cell));
        line.requeue(caller);
    }

    /// Takes back [`Self::park`].
    pub(super) fn unpark(&mut self, class: Class, caller: CallerId, head: Sequence, cell: CellId) {
        let Some(lines) = &mut self.lines else { return };
        let line = &mut lines[class.index()];
        if let Some(turn) = line.turns.get_mut(&caller) {
            turn.cells.remove(&(head, cell));
        }
        line.requeue(caller);
    }

    /// Whose call in which cell is next.
    pub(super) fn next(&self) -> Option<(Class, CallerId, CellId)> {
        let lines = self.lines.as_ref()?;
        let stands = |class: &Class| !lines[class.index()].ready.is_empty();
        let due = |class: &Class| lines[class.index()].passed_over >= FLOORS[class.index()];
        let class = Class::ALL
            .into_iter()
            .rev()
            .find(|class| stands(class) && due(class))
            .or_else(|| Class::ALL.into_iter().find(stands))?;
        let line = &lines[class.index()];
        let (_, _, caller) = line.ready.first()?;
        let (_, cell) = line.turns.get(caller)?.cells.first()?;
        Some((class, *caller, *cell))
    }

    /// Charges the caller's turn for a call that takes a slot of the bucket.
    pub(super) fn charge(&mut self, class: Class, caller: Caller) {
        self.last = Some((class, caller.id));
        let Some(lines) = &mut self.lines else { return };
        for other in Class::ALL {
            let line = &mut lines[other.index()];
            let waits = other != class && !line.ready.is_empty();
            line.passed_over = if waits { line.passed_over.saturating_add(1) } else { 0 };
        }
        lines[class.index()].charge(caller);
    }

    /// How many calls at least go before a new one of that class and caller, if nobody else
    /// comes: those more urgent, the caller's own, and one of each other caller.
    pub(super) fn ahead_of(&self, class: Class, caller: CallerId) -> u64 {
        let Some(lines) = &self.lines else { return 0 };
        let urgent: u64 = lines[..class.index()].iter().map(|line| line.waiting).sum();
        let line = &lines[class.index()];
        let own = line.turns.get(&caller).map_or(0, |turn| turn.waiting);
        let others = line.callers - u64::from(own > 0);
        // The floors give a lower class its part of the grants, so the urgent hold it up
        // by a multiple of its own line at most.
        let floor = match class {
            Class::Interactive | Class::Normal => u64::from(FLOORS[Class::Normal.index()]),
            Class::Background => u64::from(FLOORS[Class::Background.index()]),
        };
        let own_and_others = own + others;
        own_and_others + urgent.min(floor * (own_and_others + 1))
    }
}

// === impl ClassLine ===

impl ClassLine {
    fn join(&mut self, caller: CallerId) {
        let turn = self.turns.entry(caller).or_default();
        if turn.waiting == 0 {
            self.resting.remove(&(turn.end, caller));
            self.callers += 1;
        }
        turn.waiting += 1;
        self.waiting += 1;
    }

    fn leave(&mut self, caller: CallerId) {
        let Some(turn) = self.turns.get_mut(&caller) else { return };
        turn.waiting -= 1;
        self.waiting -= 1;
        if turn.waiting == 0 {
            self.callers -= 1;
            if turn.end > self.virtual_time {
                self.resting.insert((turn.end, caller));
            } else {
                self.turns.remove(&caller);
            }
        }
        if self.waiting == 0 {
            *self = Self::default();
        }
    }

    fn charge(&mut self, Caller { id: caller, weight }: Caller) {
        if self.waiting == 0 {
            return;
        }
        let turn = self.turns.entry(caller).or_default();
        let start = turn.end.max(self.virtual_time);
        if turn.waiting == 0 {
            self.resting.remove(&(turn.end, caller));
            self.resting.insert((start + step(weight), caller));
        }
        turn.end = start + step(weight);
        // The virtual time never passes somebody who stands here.
        let first = self.ready.first().map_or(start, |(tag, _, _)| *tag);
        self.virtual_time = self.virtual_time.max(start.min(first));
        while let Some((end, rested)) = self.resting.first().copied()
            && end <= self.virtual_time
        {
            self.resting.pop_first();
            self.turns.remove(&rested);
        }
        self.requeue(caller);
    }

    /// Puts the caller where its tag and its oldest parked call belong.
    fn requeue(&mut self, caller: CallerId) {
        let Some(turn) = self.turns.get_mut(&caller) else { return };
        let key = turn.cells.first().map(|(head, _)| (turn.end.max(self.virtual_time), *head));
        // Who stands here already keeps its tag: the virtual time moves on, its turn does not.
        let key = match (key, turn.key) {
            (Some((tag, head)), Some((before, _))) if before >= turn.end => {
                Some((tag.min(before), head))
            }
            (key, _) => key,
        };
        if key == turn.key {
            return;
        }
        if let Some((tag, head)) = turn.key {
            self.ready.remove(&(tag, head, caller));
        }
        if let Some((tag, head)) = key {
            self.ready.insert((tag, head, caller));
        }
        turn.key = key;
    }
}

fn step(weight: Weight) -> Tag {
    STEP / Tag::from(weight.get())
}
