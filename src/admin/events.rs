//! `GET /events`: tells whoever watches the live page what goes on, as server-sent events.
//!
//! A snapshot is made once a second, for all who watch, and none while nobody does. They share its
//! bytes. Whoever is slow is told the newest snapshot when it can take one, and misses those between:
//! nothing is queued for it. So many may watch; a seat whose watcher has taken nothing for long goes to
//! the next who comes. A newcomer is told the history first.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use serde::Serialize;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    AdminState, answer,
    history::{self, History},
    snapshot::Snapshot,
};
use crate::state::unix_millis;

/// Tells all who watch. Clones tell the same.
#[derive(Clone, Debug)]
pub(super) struct Events {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// The newest snapshot, as an event; none while nobody watches.
    newest: watch::Sender<Option<Bytes>>,
    /// A newcomer has no snapshot yet.
    asked: Notify,
    history: Mutex<History>,
    seats: Mutex<Seats>,
}

/// Who watches.
#[derive(Debug, Default)]
struct Seats {
    all: Vec<Seat>,
    last: u64,
}

#[derive(Debug)]
struct Seat {
    id: u64,
    /// When its watcher was last ready to take something.
    ready: Instant,
}

/// One who watches. Dropped, the seat is free.
struct Watcher {
    events: Events,
    seat: u64,
    /// What it is told first.
    greeting: Option<Bytes>,
    newest: watch::Receiver<Option<Bytes>>,
}

/// All seats are taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MOST} live pages are open already, and more cannot be; close one")]
struct Full;

/// Where the watchers are told.
pub(super) const PATH: &str = "/events";
/// How often a snapshot is made.
const EVERY: Duration = Duration::from_secs(1);
/// So many may watch.
const MOST: usize = 16;
/// Whoever has taken nothing for so long gives its seat to the next who comes.
const STUCK: Duration = Duration::from_secs(30);
/// How soon a browser comes back by itself, in milliseconds.
const RETRY: u64 = 1000;

/// Watches until either side ends it.
pub(super) async fn events(State(events): State<Events>) -> Response {
    let watcher = match events.watch() {
        Ok(watcher) => watcher,
        Err(full) => {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return answer::refusal(status, "too_many_watchers", &full.to_string());
        }
    };
    let told = stream::unfold(watcher, |mut watcher| async {
        let event = watcher.next().await?;
        Some((Ok::<_, Infallible>(event), watcher))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(told)).into_response()
}

/// An event, as it is sent. JSON has no line break.
fn event(name: &str, data: &impl Serialize) -> Bytes {
    match serde_json::to_string(data) {
        Ok(data) => format!("event: {name}\ndata: {data}\n\n").into(),
        // What is written here can always be written as JSON; were it not, it is a comment.
        Err(error) => format!(": {error}\n\n").into(),
    }
}

// === impl Events ===

impl Events {
    pub(super) fn new() -> Self {
        Self {
            inner: Arc::new(Inner {
                newest: watch::Sender::new(None),
                asked: Notify::new(),
                history: Mutex::default(),
                seats: Mutex::default(),
            }),
        }
    }

    /// Takes samples and makes snapshots, until it is dropped.
    pub(super) async fn keep(&self, state: &AdminState) {
        let sample = || {
            let held = state.admission.held_by_method();
            self.history().take(unix_millis(), &held, state.metrics.counts());
        };
        let snapshot = || {
            let newest = self.history().newest();
            event("picture", &Snapshot::of(state, newest.as_deref()))
        };
        self.go_on(sample, snapshot).await;
    }

    async fn go_on(&self, mut sample: impl FnMut(), mut snapshot: impl FnMut() -> Bytes) {
        let mut samples = interval(history::EVERY);
        let mut snapshots = interval(EVERY);
        samples.set_missed_tick_behavior(MissedTickBehavior::Delay);
        snapshots.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let inner = &*self.inner;
        loop {
            // What was asked while there was a snapshot is not asked any more.
            let asked = async {
                inner.asked.notified().await;
                inner.newest.borrow().is_none()
            };
            tokio::select! {
                // A snapshot has the newest sample in it.
                biased;
                _ = samples.tick() => {
                    sample();
                    continue;
                }
                _ = snapshots.tick() => {}
                is_first = asked => {
                    if !is_first {
                        continue;
                    }
                    snapshots.reset();
                }
            }
            let newest = if self.seats().all.is_empty() { None } else { Some(snapshot()) };
            inner.newest.send_replace(newest);
        }
    }

    fn watch(&self) -> Result<Watcher, Full> {
        let seat = self.seats().take(Instant::now())?;
        // From here on the seat is given back.
        let newest = self.inner.newest.subscribe();
        let mut watcher = Watcher { events: self.clone(), seat, greeting: None, newest };
        let history = self.history();
        let told = event("history", &history.samples().collect::<Vec<_>>());
        drop(history);
        watcher.greeting = Some([format!("retry: {RETRY}\n").as_bytes(), &told].concat().into());
        if watcher.newest.borrow().is_some() {
            watcher.newest.mark_changed();
        } else {
            self.inner.asked.notify_one();
        }
        Ok(watcher)
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.inner.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.inner.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Seats ===

impl Seats {
    fn take(&mut self, now: Instant) -> Result<u64, Full> {
        if self.all.len() >= MOST {
            self.all.retain(|seat| now.saturating_duration_since(seat.ready) < STUCK);
        }
        if self.all.len() >= MOST {
            return Err(Full);
        }
        self.last += 1;
        self.all.push(Seat { id: self.last, ready: now });
        Ok(self.last)
    }

    /// Its watcher can take something now; false if the seat is no longer its own.
    fn is_ready(&mut self, id: u64, now: Instant) -> bool {
        let seat = self.all.iter_mut().find(|seat| seat.id == id);
        seat.map(|seat| seat.ready = now).is_some()
    }
}

// === impl Watcher ===

impl Watcher {
    /// What it is told next; nothing once its seat is another's.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if !self.events.seats().is_ready(self.seat, Instant::now()) {
                return None;
            }
            if let Some(greeting) = self.greeting.take() {
                return Some(greeting);
            }
            self.newest.changed().await.ok()?;
            let newest = self.newest.borrow_and_update().clone();
            if newest.is_some() {
                return newest;
            }
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.events.seats().all.retain(|seat| seat.id != self.seat);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Runs what makes snapshots beside a test, and counts samples and snapshots.
    async fn beside<T>(
        events: &Events,
        test: impl AsyncFnOnce(&Cell<usize>, &Cell<usize>) -> T,
    ) -> T {
        let (samples, snapshots) = (Cell::new(0), Cell::new(0));
        let going = events.go_on(
            || samples.set(samples.get() + 1),
            || {
                snapshots.set(snapshots.get() + 1);
                format!("snapshot {}", snapshots.get()).into()
            },
        );
        tokio::select! {
            biased;
            told = test(&samples, &snapshots) => told,
            () = going => unreachable!("it goes on"),
        }
    }

    async fn sleep(seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    async fn told(watcher: &mut Watcher) -> String {
        String::from_utf8(watcher.next().await.unwrap().to_vec()).unwrap()
    }

    /// Red when a snapshot is made for nobody, one for each watcher, or when no sample is taken while
    /// nobody watches.
    #[tokio::test(start_paused = true)]
    async fn a_snapshot_a_second_is_made_for_all_and_none_for_nobody() {
        let events = Events::new();
        beside(&events, async |samples, snapshots| {
            sleep(61).await;
            assert_eq!((samples.get(), snapshots.get()), (31, 0));
            let mut watchers: Vec<_> = (0..MOST).map(|_| events.watch().unwrap()).collect();
            for watcher in &mut watchers {
                assert!(told(watcher).await.starts_with("retry: 1000\nevent: history\ndata: []"));
                assert_eq!(told(watcher).await, "snapshot 1");
            }
            sleep(10).await;
            assert!((10..=11).contains(&snapshots.get()), "{}", snapshots.get());
            drop(watchers);
            sleep(1).await;
            let made = snapshots.get();
            sleep(10).await;
            assert_eq!(snapshots.get(), made);
            assert!(events.inner.newest.borrow().is_none(), "none is kept either");
        })
        .await;
    }

    /// Red when snapshots are queued for whoever is slow.
    #[tokio::test(start_paused = true)]
    async fn who_is_slow_misses_snapshots() {
        let events = Events::new();
        beside(&events, async |_, snapshots| {
            let mut slow = events.watch().unwrap();
            told(&mut slow).await;
            assert_eq!(told(&mut slow).await, "snapshot 1");
            sleep(20).await;
            assert_eq!(told(&mut slow).await, format!("snapshot {}", snapshots.get()));
            assert!(snapshots.get() >= 19);
        })
        .await;
    }

    /// Red when there is no bound, and when one who is gone or takes nothing keeps the seat.
    #[tokio::test(start_paused = true)]
    async fn so_many_watch_and_one_that_is_stuck_gives_way() {
        let events = Events::new();
        beside(&events, async |_, _| {
            let mut watchers: Vec<_> = (0..MOST).map(|_| events.watch().unwrap()).collect();
            assert_eq!(events.watch().err(), Some(Full));
            drop(watchers.pop());
            watchers.push(events.watch().unwrap());
            assert_eq!(events.watch().err(), Some(Full));
            sleep(31).await;
            for watcher in &mut watchers[1..] {
                told(watcher).await;
            }
            let mut newcomer = events.watch().unwrap();
            assert_eq!(events.watch().err(), Some(Full));
            assert!(told(&mut newcomer).await.contains("event: history"));
            assert_eq!(watchers[0].next().await, None, "its seat is another's");
            assert_eq!(events.seats().all.len(), MOST);
        })
        .await;
    }
}
