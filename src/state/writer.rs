//! The thread that writes.

use std::{io, path::Path, sync::Arc, thread, time::Duration};

use limits::{Scope, Values};
use scheduler::{Instant, Memory};

use super::{
    ClockReading, Doubt, Ledger, OpenError, Store, StoreMetrics,
    clock::Clock,
    disk::{Disk, Machine},
    file::{Found, StateFile, identity, read, whole},
    mailbox::{Mailbox, Pending},
    record::Record,
};
use crate::{identity::Learnt, pauses::Paused};

/// A state file that has been read and not been written yet.
#[derive(Debug)]
pub struct Opened<D: Disk = Machine> {
    ledger: Ledger,
    /// Why it is not to be believed, if so.
    pub doubt: Option<Doubt>,
    clock: Clock,
    file: StateFile<D>,
}

/// Writes when it is told to, for whoever has no thread for that.
#[derive(Debug)]
pub struct Turns<D: Disk>(Writer<D>);

/// What a bucket remembers.
#[derive(Debug)]
pub struct Kept {
    /// The name of its limit.
    pub limit: Arc<str>,
    /// What that was counted by.
    pub scope: Scope,
    /// The values.
    pub values: Values,
    /// Its slots, and its freeze.
    pub memory: Memory,
}

/// What the thread has.
#[derive(Debug)]
struct Writer<D: Disk> {
    shared: Arc<Mailbox>,
    file: StateFile<D>,
    ledger: Ledger,
    clock: Clock,
    /// Something could not be written, and when that was tried last.
    failed: Option<i64>,
    /// When it was looked whether the file is there.
    looked: i64,
    text: Vec<u8>,
}

/// How long after a failure it is tried again, in microseconds.
const AGAIN: i64 = 5_000_000;
/// How often it is looked whether the file is there still.
const LOOK: Duration = Duration::from_secs(1);

/// Opens the file, which is locked from now on, and takes it over. `at` is the scheduler's time at
/// that moment.
///
/// # Errors
/// [`OpenError`]: it is somebody else's, or cannot be read or written.
pub fn open(path: &Path, at: Instant, now: &ClockReading) -> Result<Opened, OpenError> {
    open_on(Machine, path, at, now)
}

/// The same on that disk.
///
/// # Errors
/// As [`open`].
pub fn open_on<D: Disk>(
    disk: D,
    path: &Path,
    at: Instant,
    now: &ClockReading,
) -> Result<Opened<D>, OpenError> {
    let (lock, found) = read(&disk, path)?;
    let own = identity(&disk, &lock);
    let (mut ledger, doubt) = if let Some(Found { mut ledger, damaged, changed }) = found {
        let changed = changed.saturating_sub(now.wall).saturating_add(now.steady);
        ledger.names.are_of(own, changed);
        let doubt = ledger.resume(now, damaged);
        (ledger, doubt)
    } else {
        let mut ledger = Ledger::new();
        // There is nothing that speaks against it.
        let _ = ledger.apply(Record::Clock(now.clone()));
        (ledger, None)
    };
    ledger.names.lock = own;
    let text = whole(&mut ledger, now.steady);
    let file = StateFile::begin(disk, path, lock, &text)?;
    Ok(Opened { ledger, doubt, clock: Clock::new(at, now), file })
}

// === impl Opened ===

impl<D: Disk> Opened<D> {
    /// What was learnt of tokens.
    pub fn learnt(&self) -> impl Iterator<Item = Learnt> {
        self.ledger.learnt()
    }

    /// What the operator had paused.
    pub fn paused(&self) -> &[Paused] {
        &self.ledger.paused
    }

    /// The names by which the store of shared limits may know processes that have ended, and of which
    /// the file has all that they used.
    pub fn ended(&self) -> Vec<String> {
        self.ledger.names.ended()
    }

    /// What each bucket remembers.
    pub fn buckets(&self) -> impl Iterator<Item = Kept> {
        self.ledger.buckets.values().map(|entry| Kept {
            limit: Arc::clone(&entry.limit),
            scope: entry.by,
            values: entry.values.clone(),
            memory: Memory {
                ages_from: entry.slots.iter().map(|at| self.clock.instant(*at)).collect(),
                frozen_until: entry.frozen_until.map(|at| self.clock.instant(at)),
                learnt: entry.learnt.map(|lesson| lesson.kept(self.clock)),
            },
        })
    }

    /// Before when nobody knows what was taken, if so.
    pub fn cautious_since(&self) -> Option<Instant> {
        self.ledger.doubt.map(|since| self.clock.instant(since))
    }

    /// Starts the thread. It ends when the store is [closed](Store::close).
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn start(self, metrics: StoreMetrics) -> io::Result<(Store, thread::JoinHandle<()>)> {
        let (store, Turns(writer)) = self.by_turns(metrics);
        let thread = thread::Builder::new().name("state".into()).spawn(move || writer.run())?;
        Ok((store, thread))
    }

    /// Starts no thread: all is written when [it is told](Turns::turn).
    pub fn by_turns(self, metrics: StoreMetrics) -> (Store, Turns<D>) {
        let Self { ledger, clock, file, .. } = self;
        let store = Store::new(metrics);
        let shared = Arc::clone(&store.shared);
        let writer =
            Writer { shared, file, ledger, clock, failed: None, looked: 0, text: Vec::new() };
        (store, Turns(writer))
    }
}

// === impl Turns ===

impl<D: Disk> Turns<D> {
    /// Writes what has come, and tells those who wait for it. Returns whether more may come.
    pub fn turn(&mut self) -> bool {
        let pending = self.0.shared.take();
        let more = self.0.turn(pending);
        self.0.shared.tell();
        more
    }
}

// === impl Writer ===

impl<D: Disk> Writer<D> {
    fn run(mut self) {
        while {
            let pending = self.shared.next(LOOK);
            self.turn(pending)
        } {}
    }

    /// Writes what has come. Returns whether more may come.
    fn turn(&mut self, pending: Pending) -> bool {
        let Pending { notes, learnt, paused, names, told, gap, closed, .. } = pending;
        if gap {
            self.ledger.lose(self.file.steady());
            self.fail(&io::Error::other("the disk was too slow for too long"));
        }
        self.look(closed);
        self.text.clear();
        for note in notes {
            self.ledger.note(note, self.clock, &mut self.text);
        }
        for learnt in learnt {
            self.ledger.say(Record::learnt(&learnt), &mut self.text);
        }
        if let Some(all) = paused {
            self.ledger.say(Record::Paused(all), &mut self.text);
        }
        for name in names {
            if let Some((device, number)) = self.ledger.names.lock {
                self.ledger.say(Record::Lock(device, number), &mut self.text);
            }
            self.ledger.say(Record::Name(name, None), &mut self.text);
        }
        let now = self.file.steady();
        if !self.text.is_empty() && self.ledger.names.are_due(now) {
            self.ledger.say(Record::Written(now), &mut self.text);
        }
        if closed {
            self.ledger.say(Record::Closed(self.file.clock()), &mut self.text);
        }
        self.write();
        self.shared.is_written(told);
        if closed && let Err(error) = self.file.sync() {
            self.fail(&error);
        }
        !closed
    }

    /// Writes the file anew if it is not where it was. What another process has taken is left alone.
    fn look(&mut self, at_once: bool) {
        let now = self.file.steady();
        let since = u64::try_from(now.saturating_sub(self.looked)).unwrap_or(u64::MAX);
        if self.failed.is_some() || !at_once && Duration::from_micros(since) < LOOK {
            return;
        }
        self.looked = now;
        match self.file.is_in_place() {
            Ok(true) => {}
            Ok(false) => {
                self.shared.metrics.store_failed();
                tracing::error!("the state file was removed or replaced: it is written anew");
                self.failed = Some(now);
                self.mend(now);
            }
            Err(error) => self.fail(&error),
        }
    }

    fn write(&mut self) {
        if let Some(since) = self.failed {
            let now = self.file.steady();
            if now.saturating_sub(since) >= AGAIN || self.shared.is_closed() {
                self.failed = Some(now);
                self.mend(now);
            }
            return;
        }
        if let Err(error) = self.file.append(&self.text) {
            self.fail(&error);
        } else if self.file.has_grown() {
            let text = whole(&mut self.ledger, self.file.steady());
            if let Err(error) = self.file.replace(&text) {
                // The longer one says the same.
                self.shared.metrics.store_failed();
                tracing::warn!(%error, "the state file cannot be made shorter");
            }
        }
    }

    /// Something could not be written: the file says so from now on.
    fn fail(&mut self, error: &io::Error) {
        self.shared.metrics.store_failed();
        self.shared.metrics.store_degraded(true);
        tracing::error!(
            %error,
            "the state file cannot be written: calls go on, and after a restart every limit counts \
             as used up"
        );
        if let Err(error) = self.file.spoil() {
            tracing::error!(%error, "nor can it be marked: after a restart limits may be overrun");
        }
        self.failed = Some(self.file.steady());
    }

    /// Tries to write all of it anew.
    fn mend(&mut self, now: i64) {
        let text = whole(&mut self.ledger, now);
        match self.file.is_in_place().and_then(|_| self.file.replace(&text)) {
            Ok(()) => {
                self.failed = None;
                self.shared.metrics.store_degraded(false);
                tracing::info!("the state file is written again");
            }
            Err(_) => self.shared.metrics.store_failed(),
        }
    }
}
