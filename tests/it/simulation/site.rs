//! Where a proxy runs: its machine, on which it is killed and started again.
//!
//! A process cannot be killed that is a part of another one. Instead it is cut off: nothing that it says after
//! that reaches anybody, its disk takes nothing from it, and its connections are broken at both ends.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use slackwater::{app::wire::resume, state::Store};
use tokio::{io::DuplexStream, time::Instant};
use tokio_util::sync::CancellationToken;

use super::disk::MemoryDisk;
use crate::{
    harness::{Bot, Proxy, Wire, pipe, secs},
    mix::SplitMix,
};

/// A machine with a proxy on it, or without one. Clones are the same one.
#[derive(Clone)]
pub(super) struct Site(Arc<Inner>);

struct Inner {
    /// The way to Slack.
    slack: Wire,
    /// How long the disk takes for a write.
    latency: Duration,
    /// Whether a proxy here may end before the run does.
    may_end: bool,
    state: Mutex<State>,
}

struct State {
    /// Its configuration.
    file: String,
    running: Option<Running>,
    disk: Option<MemoryDisk>,
    chance: SplitMix,
    /// When there was none, since the start of the run.
    gaps: Vec<(Duration, Duration)>,
    start: Instant,
    /// What is wrong with how it has started.
    wrong: Vec<String>,
}

struct Running {
    proxy: Arc<Proxy>,
    /// Cancelled when it is cut off.
    cut_off: CancellationToken,
    store: Option<Store>,
}

/// How a proxy ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// As `kill -9` ends it.
    Killed,
    /// As its machine does when it loses its power.
    PowerLost,
    /// As SIGTERM does.
    Told,
    /// The same, and its machine is started anew.
    ToldAndRebooted,
}

/// Where its state is.
const STATE: &str = "/var/lib/slackwater/state";

// === impl Site ===

impl Site {
    /// Starts a proxy, whose state is kept on that disk, if there is one.
    pub(super) fn start(
        file: &str,
        slack: Wire,
        disk: Option<MemoryDisk>,
        (latency, may_end): (Duration, bool),
        seed: u64,
    ) -> Self {
        let state = State {
            file: file.to_owned(),
            running: None,
            disk,
            chance: SplitMix(seed),
            gaps: Vec::new(),
            start: Instant::now(),
            wrong: Vec::new(),
        };
        let site = Self(Arc::new(Inner { slack, latency, may_end, state: Mutex::new(state) }));
        let wrong = site.starts(false);
        assert_eq!(wrong, None);
        site
    }

    /// A program that calls whichever proxy is there.
    pub(super) fn bot(&self, h2: bool) -> Bot {
        let site = self.clone();
        Bot::new(Wire::new(move |_| site.connect()), h2)
    }

    /// The proxy, if it runs.
    pub(super) fn proxy(&self) -> Option<Arc<Proxy>> {
        self.state().running.as_ref().map(|running| Arc::clone(&running.proxy))
    }

    /// Its configuration is another one, now and after each start.
    pub(super) fn reload(&self, file: &str) {
        if let Some(proxy) = self.proxy() {
            proxy.reload(file).unwrap();
            file.clone_into(&mut self.state().file);
        }
    }

    /// Whether there was no proxy at some time between these, since the start of the run.
    pub(super) fn was_away(&self, from: Duration, until: Duration) -> bool {
        self.state().gaps.iter().any(|(at, end)| from <= *end && *at <= until)
    }

    /// What is wrong with how it has started.
    pub(super) fn wrong(&self) -> Vec<String> {
        self.state().wrong.clone()
    }

    /// The proxy ends like that, and another one takes its place some time later.
    pub(super) async fn ends(&self, how: How, away: Duration) {
        let Some(running) = self.state().running.take() else { return };
        let from = self.now();
        // Until it is back nobody can tell.
        self.state().gaps.push((from, Duration::MAX));
        match how {
            How::Killed | How::PowerLost => running.cut_off.cancel(),
            How::Told | How::ToldAndRebooted => {
                running.proxy.admission.close();
                // What is on its way has a minute.
                let _ = tokio::time::timeout(secs(70), running.proxy.stop()).await;
                if let Some(store) = &running.store {
                    store.close();
                    // It writes all and syncs it.
                    tokio::time::sleep(2 * self.0.latency).await;
                }
                running.cut_off.cancel();
            }
        }
        {
            let State { disk, chance, .. } = &mut *self.state();
            *disk = disk.as_ref().map(|disk| match how {
                How::Killed | How::Told => disk.is_killed(),
                How::PowerLost | How::ToldAndRebooted => disk.loses_power(chance),
            });
        }
        // What is left of it ends by itself, and nobody hears of it.
        drop(tokio::spawn(async move { running.proxy.stop().await }));
        tokio::time::sleep(away).await;
        let disk = self.state().disk.clone();
        while disk.as_ref().is_some_and(|disk| disk.fails().1) {
            tokio::time::sleep(secs(1)).await;
        }
        let wrong = self.starts(how == How::PowerLost);
        let now = self.now();
        let mut state = self.state();
        state.wrong.extend(wrong);
        if let Some(gap) = state.gaps.last_mut() {
            gap.1 = now;
        }
    }

    /// Starts a proxy with what the disk has. What is wrong with that, if anything is.
    fn starts(&self, power_was_lost: bool) -> Option<String> {
        let cut_off = CancellationToken::new();
        let (file, disk) = {
            let state = self.state();
            (state.file.clone(), state.disk.clone())
        };
        let (slack, fence) = (self.0.slack.clone(), cut_off.clone());
        let may_end = self.0.may_end;
        let slack = Wire::new(move |url| {
            if fence.is_cancelled() {
                return Err(io::ErrorKind::NetworkUnreachable.into());
            }
            slack.dial(url).map(|line| if may_end { until(&fence, line) } else { line })
        });
        let (mut wrong, mut store) = (None, None);
        let proxy = Proxy::prepared(&file, slack, |shared| {
            let Some(disk) = disk else { return };
            let may_fail = disk.fails().0;
            let opened = resume(disk, Path::new(STATE), shared).unwrap();
            // What could not be written is a doubt, too.
            let doubted = opened.doubt.is_some();
            if !may_fail && doubted != power_was_lost {
                wrong = Some(format!("after a start in doubt: {:?}", opened.doubt));
            }
            let (kept, mut turns) = opened.by_turns(shared.counters.store.clone());
            shared.admission.keep(kept.clone());
            store = Some(kept);
            let (latency, cut_off) = (self.0.latency, cut_off.clone());
            let writing = async move {
                while turns.turn() {
                    tokio::time::sleep(latency).await;
                }
            };
            drop(tokio::spawn(async move { cut_off.run_until_cancelled(writing).await }));
        });
        let running = Running { proxy: Arc::new(proxy), cut_off, store };
        self.state().running = Some(running);
        wrong
    }

    /// Nothing is written any more: nobody calls.
    pub(super) fn rests(&self) {
        if let Some(running) = &self.state().running
            && let Some(store) = &running.store
        {
            store.close();
        }
    }

    fn connect(&self) -> io::Result<DuplexStream> {
        let state = self.state();
        let running = state.running.as_ref().ok_or(io::ErrorKind::ConnectionRefused)?;
        let line = running.proxy.connect();
        Ok(if self.0.may_end { until(&running.cut_off, line) } else { line })
    }

    fn now(&self) -> Duration {
        Instant::now().duration_since(self.state().start)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }
}

/// The same connection, which breaks when its process is cut off.
fn until(cut_off: &CancellationToken, mut line: DuplexStream) -> DuplexStream {
    let (near, mut far) = pipe();
    let cut_off = cut_off.clone();
    tokio::spawn(async move {
        let both = tokio::io::copy_bidirectional(&mut far, &mut line);
        cut_off.run_until_cancelled(both).await
    });
    near
}
