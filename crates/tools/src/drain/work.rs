//! The work: few calls at once, in the order of the file, each result on the disk before the next.

use std::{
    collections::BTreeMap,
    io::Write,
    mem,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{
    sync::mpsc,
    task::{JoinSet, spawn_blocking},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    backlog::{Backlog, Tally},
    call::BacklogCall,
    entry::{Entry, EntryResult, WINDOW, seconds},
    journal::Journal,
    pace::Pace,
    page::View,
    send::{Sender, Sent},
};
use crate::through::{Beat, Watch};

/// All that it takes.
pub(super) struct Work {
    /// None while it is read on another thread.
    pub(super) backlog: Option<Backlog>,
    pub(super) tally: Tally,
    pub(super) journal: Journal,
    pub(super) sender: Arc<Sender>,
    pub(super) pace: Option<Pace>,
    pub(super) notes: mpsc::Receiver<String>,
    pub(super) calls: u64,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Every call has its result.
    Finished,
    /// By a signal.
    Stopped,
    /// Nothing can be done, for that reason.
    Ended(String),
}

/// The calls under way.
struct Flight {
    set: JoinSet<(u64, Sent)>,
    /// By the order in which they began.
    calls: BTreeMap<u64, Arc<BacklogCall>>,
    begun: u64,
}

/// How far this run is.
struct Run {
    began: Instant,
    /// So many results it has seen.
    seen: u64,
    end: End,
    /// What it waits for.
    note: Option<String>,
}

/// What there is to do next.
enum Happening {
    Over(u64, Sent),
    Heard(Beat),
    Note(String),
    /// The cap lets another call go.
    Turn,
}

/// So many calls at once.
pub(crate) const AT_ONCE: usize = 4;
/// What is said to a signal.
const STOPPING: &str = "stopping: what is under way is finished first";

// === impl Work ===

impl Work {
    /// Works until all is done, or a signal says stop; then the calls under way are finished. A
    /// second one stops at once: what was under way is sent again the next time.
    ///
    /// # Errors
    /// If something cannot be read or written.
    pub(super) async fn run(
        &mut self,
        first: BacklogCall,
        out: &mut impl Write,
    ) -> anyhow::Result<End> {
        let mut watch = Watch::new()?;
        let end = self.go(first, &mut watch, out).await;
        watch.end(out)?;
        end
    }

    async fn go(
        &mut self,
        first: BacklogCall,
        watch: &mut Watch,
        out: &mut impl Write,
    ) -> anyhow::Result<End> {
        let stop = CancellationToken::new();
        let mut run = Run { began: Instant::now(), seen: 0, end: End::Finished, note: None };
        let mut flight = Flight { set: JoinSet::new(), calls: BTreeMap::new(), begun: 0 };
        let mut next = Some(first);
        loop {
            let mut wait = None;
            while !stop.is_cancelled()
                && wait.is_none()
                && let Some(call) = next.take_if(|call| flight.has_room_for(call))
            {
                wait = self.pace.as_ref().and_then(|pace| pace.wait(now()));
                if wait.is_some() {
                    next = Some(call);
                    continue;
                }
                if let Some(pace) = &mut self.pace {
                    let at = now();
                    pace.sent(at);
                    self.journal.append(&entry(&call, EntryResult::Sent, None, at)).await?;
                }
                flight.begin(call, &self.sender, &stop);
                next = self.next().await?;
            }
            if flight.calls.is_empty() && (next.is_none() || stop.is_cancelled()) {
                return Ok(run.end);
            }
            let happening = tokio::select! {
                Some(over) = flight.set.join_next() => {
                    let (number, sent) = over?;
                    Happening::Over(number, sent)
                }
                heard = watch.next() => Happening::Heard(heard),
                Some(text) = self.notes.recv() => Happening::Note(text),
                () = sleep(wait.unwrap_or_default()), if wait.is_some() => Happening::Turn,
            };
            match happening {
                Happening::Over(number, sent) => {
                    let call = flight.calls.remove(&number);
                    match (sent, call) {
                        (Sent::Over(outcome, error), Some(call)) => {
                            let entry = entry(&call, outcome, error, now());
                            self.journal.append(&entry).await?;
                            self.tally.add(&entry);
                            run.seen += 1;
                            run.note = None;
                        }
                        (Sent::Ended(why), _) => {
                            stop.cancel();
                            run.end = End::Ended(why);
                        }
                        (Sent::Over(..) | Sent::Stopped, _) => {}
                    }
                }
                Happening::Heard(Beat::Stop) if stop.is_cancelled() => return Ok(run.end),
                Happening::Heard(Beat::Stop) => {
                    stop.cancel();
                    run.end = End::Stopped;
                    run.note = Some(STOPPING.to_owned());
                    watch.say(out, STOPPING)?;
                }
                Happening::Note(text) => {
                    let text = format!("{text}; it is tried again");
                    if run.note.is_none() {
                        watch.say(out, &text)?;
                    }
                    run.note = Some(text);
                }
                Happening::Turn => {}
                Happening::Heard(Beat::Show) => watch.show(out, &self.view(&run).page())?,
            }
        }
    }

    /// The next call without a result, read where it blocks nobody.
    async fn next(&mut self) -> anyhow::Result<Option<BacklogCall>> {
        let Some(mut backlog) = self.backlog.take() else { return Ok(None) };
        let mut tally = mem::take(&mut self.tally);
        let read = spawn_blocking(move || {
            let next = backlog.next(&mut tally);
            (backlog, tally, next)
        });
        let (backlog, tally, next) = read.await?;
        (self.backlog, self.tally) = (Some(backlog), tally);
        next
    }

    fn view<'a>(&'a self, run: &'a Run) -> View<'a> {
        let left = self.calls.saturating_sub(self.tally.over());
        View {
            tally: &self.tally,
            calls: self.calls,
            seen: run.seen,
            took: Instant::now().duration_since(run.began),
            now: now() / 1000,
            at_least: self.pace.as_ref().map_or(Duration::ZERO, |pace| pace.takes(left)),
            note: run.note.as_deref(),
        }
    }
}

// === impl Flight ===

impl Flight {
    /// Whether it may begin now: in its order, beside few, and not too far before the oldest.
    fn has_room_for(&self, call: &BacklogCall) -> bool {
        let oldest = self.calls.keys().next().copied().unwrap_or(self.begun);
        self.calls.len() < AT_ONCE
            && self.begun - oldest < WINDOW
            && self.calls.values().all(|before| call.may_pass(before))
    }

    fn begin(&mut self, call: BacklogCall, sender: &Arc<Sender>, stop: &CancellationToken) {
        let (number, call) = (self.begun, Arc::new(call));
        self.begun += 1;
        self.calls.insert(number, Arc::clone(&call));
        let (sender, stop) = (Arc::clone(sender), stop.clone());
        self.set.spawn(async move { (number, sender.send(&call, &stop).await) });
    }
}

fn entry(call: &BacklogCall, result: EntryResult, error: Option<String>, at: u64) -> Entry {
    Entry { line: call.line, id: call.id.clone(), result, error, at: seconds(at) }
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
