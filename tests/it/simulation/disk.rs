//! A disk in memory, that outlives the processes which use it: what was written survives a kill, and what was
//! not synced is lost with the power.

use std::{
    collections::BTreeMap,
    fs::TryLockError,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use slackwater::state::{About, ClockReading, Disk};
use tokio::time::Instant;

use crate::{harness::secs, mix::SplitMix};

/// The disk as one process sees it. Clones are of the same process.
#[derive(Clone, Debug)]
pub(super) struct MemoryDisk {
    shared: Arc<Mutex<Platter>>,
    process: u64,
}

#[derive(Debug)]
struct Platter {
    begun: Instant,
    /// The process that may write, and how often the machine has started.
    process: u64,
    boot: u64,
    booted: Instant,
    files: Vec<Content>,
    /// Which file has that name: as it is seen, and on the disk.
    names: BTreeMap<PathBuf, usize>,
    names_kept: BTreeMap<PathBuf, usize>,
    /// When it has no room, by the time since its start.
    full: Vec<(Duration, Duration)>,
}

#[derive(Debug, Default)]
struct Content {
    seen: Vec<u8>,
    /// Its beginning that is on the disk for sure.
    kept: usize,
    locked: bool,
}

/// An open file.
#[derive(Debug)]
pub(super) struct Open {
    shared: Arc<Mutex<Platter>>,
    number: usize,
    process: u64,
    locks: Mutex<bool>,
}

/// The wall clock at first.
const WALL: Duration = secs(1_800_000_000);

// === impl MemoryDisk ===

impl MemoryDisk {
    pub(super) fn new(full: Vec<(Duration, Duration)>) -> Self {
        let now = Instant::now();
        let platter = Platter {
            begun: now,
            process: 0,
            boot: 1,
            booted: now,
            files: Vec::new(),
            names: BTreeMap::new(),
            names_kept: BTreeMap::new(),
            full,
        };
        Self { shared: Arc::new(Mutex::new(platter)), process: 0 }
    }

    /// The process is gone, and with it its locks. What the next one sees.
    pub(super) fn is_killed(&self) -> Self {
        let mut platter = self.platter();
        platter.process += 1;
        platter.files.iter_mut().for_each(|file| file.locked = false);
        Self { shared: Arc::clone(&self.shared), process: platter.process }
    }

    /// The same, and the machine has lost its power: of what was not synced a part may be there, or nothing.
    pub(super) fn loses_power(&self, chance: &mut SplitMix) -> Self {
        let next = self.is_killed();
        let mut platter = next.platter();
        platter.boot += 1;
        platter.booted = Instant::now();
        if chance.next().is_multiple_of(2) {
            platter.names = platter.names_kept.clone();
        }
        for file in &mut platter.files {
            let left = file.seen.len() - file.kept;
            let more = usize::try_from(chance.next()).unwrap_or(usize::MAX) % (left + 1);
            file.seen.truncate(file.kept + more);
        }
        drop(platter);
        next
    }

    /// Whether it has no room at times, or now.
    pub(super) fn fails(&self) -> (bool, bool) {
        let platter = self.platter();
        (!platter.full.is_empty(), platter.has_room().is_err())
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.shared.lock().unwrap()
    }

    /// What the process does, if it lives.
    fn acts<T>(&self, act: impl FnOnce(&mut Platter) -> io::Result<T>) -> io::Result<T> {
        let mut platter = self.platter();
        if platter.process != self.process {
            return Err(io::Error::other("the process is gone"));
        }
        act(&mut platter)
    }

    fn opens(&self, number: usize) -> Open {
        let (shared, process) = (Arc::clone(&self.shared), self.process);
        Open { shared, number, process, locks: Mutex::new(false) }
    }
}

impl Disk for MemoryDisk {
    type File = Open;

    fn create(&self, path: &Path, anew: bool) -> io::Result<Open> {
        let number = self.acts(|platter| {
            platter.has_room()?;
            if let Some(number) = platter.names.get(path).filter(|_| !anew) {
                return Ok(*number);
            }
            platter.files.push(Content::default());
            let number = platter.files.len() - 1;
            platter.names.insert(path.to_owned(), number);
            Ok(number)
        });
        number.map(|number| self.opens(number))
    }

    fn open(&self, path: &Path) -> io::Result<Open> {
        self.acts(|platter| platter.at(path)).map(|number| self.opens(number))
    }

    fn lock(&self, file: &Open) -> Result<(), TryLockError> {
        let mut platter = self.platter();
        let content = &mut platter.files[file.number];
        let mut locks = file.locks.lock().unwrap();
        if content.locked && !*locks {
            return Err(TryLockError::WouldBlock);
        }
        (content.locked, *locks) = (true, true);
        Ok(())
    }

    fn about(&self, file: &Open) -> io::Result<About> {
        self.acts(|platter| Ok(platter.about(file.number)))
    }

    fn look(&self, path: &Path) -> io::Result<About> {
        self.acts(|platter| platter.at(path).map(|number| platter.about(number)))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.acts(|platter| platter.at(path).map(|number| platter.files[number].seen.clone()))
    }

    fn write(&self, file: &mut Open, text: &[u8]) -> io::Result<()> {
        self.acts(|platter| {
            platter.has_room()?;
            platter.files[file.number].seen.extend_from_slice(text);
            Ok(())
        })
    }

    fn cut(&self, file: &Open, length: u64) -> io::Result<()> {
        self.acts(|platter| {
            let content = &mut platter.files[file.number];
            content.seen.truncate(usize::try_from(length).unwrap());
            content.kept = content.kept.min(content.seen.len());
            Ok(())
        })
    }

    fn sync(&self, file: &Open) -> io::Result<()> {
        self.acts(|platter| {
            let content = &mut platter.files[file.number];
            content.kept = content.seen.len();
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.acts(|platter| {
            let number = platter.at(from)?;
            platter.names.remove(from);
            platter.names.insert(to.to_owned(), number);
            Ok(())
        })
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        self.acts(|platter| {
            platter.names_kept = platter.names.clone();
            Ok(())
        })
    }

    fn clock(&self) -> ClockReading {
        let platter = self.platter();
        let boot = format!("boot {}", platter.boot);
        let wall = micros(WALL + Instant::now().duration_since(platter.begun));
        ClockReading { boot, steady: platter.steady(), wall }
    }

    fn steady(&self) -> i64 {
        self.platter().steady()
    }
}

// === impl Platter ===

impl Platter {
    fn has_room(&self) -> io::Result<()> {
        let now = Instant::now().duration_since(self.begun);
        let is_full = self.full.iter().any(|(at, time)| (*at..*at + *time).contains(&now));
        if is_full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn at(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn about(&self, number: usize) -> About {
        let length = self.files[number].seen.len() as u64;
        let changed = micros(WALL + Instant::now().duration_since(self.begun));
        About { id: (1, number as u64), is_file: true, length, changed }
    }

    fn steady(&self) -> i64 {
        micros(Instant::now().duration_since(self.booted))
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap()
}

// === impl Open ===

impl Drop for Open {
    fn drop(&mut self) {
        let mut platter = self.shared.lock().unwrap();
        if *self.locks.get_mut().unwrap() && platter.process == self.process {
            platter.files[self.number].locked = false;
        }
    }
}
