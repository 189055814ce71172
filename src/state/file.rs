//! The file itself: whose it is, how it is read, and how it grows and shrinks.
//!
//! A lock beside it, `PATH.lock`, is held as long as the process lives: the file itself changes
//! when a shorter one takes its place. Each file is locked, too: should somebody remove the lock, no second
//! process takes the file.

use std::{
    fs::TryLockError,
    io,
    path::{Path, PathBuf},
};

use super::{
    clock::ClockReading,
    disk::{Disk, beside, replace},
    ledger::Ledger,
    record::Record,
};

/// The state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "the state file {} is in use by another process; give each its own `state_file`",
        .0.display()
    )]
    InUse(PathBuf),
    /// It is no state file.
    #[error(
        "{} is not a state file of slackwater's; it is left as it is: let `state_file` name another \
         path, or move the file away",
        .0.display()
    )]
    Foreign(PathBuf),
    /// A newer version wrote it.
    #[error(
        "the state file {} is of version {version}, and this slackwater reads version {VERSION}: run \
         the newer one, or move the file away to start without it",
        .path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: String,
    },
    /// It cannot be read or written.
    #[error("cannot {what} {} (the key `state_file`)", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The file, open and locked.
#[derive(Debug)]
pub(super) struct StateFile<D: Disk> {
    disk: D,
    path: PathBuf,
    file: D::File,
    length: u64,
    /// Its length when it was last as short as could be.
    shortest: u64,
    /// Held, not used.
    lock: D::File,
}

/// What the first line begins with.
const MAGIC: &str = "slackwater-state ";
/// What this program writes after it.
const VERSION: &str = "1";
/// It is written anew when it has grown to so many times its shortest length, and to this at least.
const GROWTH: u64 = 4;
const SMALL: u64 = 1 << 20;
/// More is no state file.
const LARGEST: u64 = 1 << 30;

/// What a file comes to.
pub(super) struct Found {
    pub(super) ledger: Ledger,
    /// Whether there is more in it that cannot be read.
    pub(super) damaged: bool,
    /// When anything of it was changed last, in microseconds of Unix time.
    pub(super) changed: i64,
}

/// Locks the file and reads it; there may be none yet.
pub(super) fn read<D: Disk>(disk: &D, path: &Path) -> Result<(D::File, Option<Found>), OpenError> {
    let io = |what: &'static str, path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Io { what, path, source }
    };
    let lock_path = beside(path, ".lock");
    let lock = disk.create(&lock_path, false).map_err(io("open", &lock_path))?;
    disk.lock(&lock).map_err(|error| match error {
        TryLockError::WouldBlock => OpenError::InUse(path.to_owned()),
        TryLockError::Error(source) => io("lock", &lock_path)(source),
    })?;
    let about = match disk.look(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((lock, None)),
        Ok(about) if !about.is_file || about.length > LARGEST => {
            return Err(OpenError::Foreign(path.to_owned()));
        }
        about => about.map_err(io("read", path))?,
    };
    // Whoever has the file has it locked, whatever became of the lock beside it.
    let file = disk.open(path).map_err(io("read", path))?;
    if let Err(TryLockError::WouldBlock) = disk.lock(&file) {
        return Err(OpenError::InUse(path.to_owned()));
    }
    let text = disk.read(path).map_err(io("read", path))?;
    let (ledger, damaged) = parse(path, &text)?;
    Ok((lock, Some(Found { ledger, damaged, changed: about.changed })))
}

/// Which lock it is: its device and its number there. A copy is another one.
pub(super) fn identity<D: Disk>(disk: &D, lock: &D::File) -> Option<(u64, u64)> {
    disk.about(lock).ok().map(|about| about.id)
}

/// What the lines of a text come to, and whether some of it could not be read.
pub(super) fn parse(path: &Path, text: &[u8]) -> Result<(Ledger, bool), OpenError> {
    let mut ledger = Ledger::new();
    let mut lines = text.split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let version = first.strip_prefix(MAGIC.as_bytes());
    let whole = first.len() < text.len();
    let sound = whole && version == Some(VERSION.as_bytes());
    let is_number = |version: &&[u8]| {
        (1..=8).contains(&version.len()) && version.iter().all(u8::is_ascii_digit)
    };
    if let Some(version) = version.filter(|_| whole && !sound).filter(is_number) {
        let version = String::from_utf8_lossy(version).into_owned();
        return Err(OpenError::Newer { path: path.to_owned(), version });
    }
    if !sound && !is_damaged_one(text) {
        return Err(OpenError::Foreign(path.to_owned()));
    }
    let mut damaged = !sound || !text.ends_with(b"\n");
    for line in lines.filter(|line| !line.is_empty()) {
        let taken_in = Record::read(line).map(|record| ledger.apply(record));
        damaged |= !matches!(taken_in, Some(Ok(())));
    }
    Ok((ledger, damaged))
}

/// Whether a text whose head is not as it was written is a state file all the same: cut off, zeros as a file
/// system leaves them, or with a line that has the checksum of ours. No file of somebody else's is.
fn is_damaged_one(text: &[u8]) -> bool {
    let head = &text[..text.len().min(MAGIC.len())];
    MAGIC.as_bytes().starts_with(head)
        || text.iter().all(|byte| *byte == 0)
        || text.split(|byte| *byte == b'\n').any(|line| Record::read(line).is_some())
}

/// The text of a file that says all that the ledger knows.
pub(super) fn whole(ledger: &mut Ledger, now: i64) -> Vec<u8> {
    let mut text = format!("{MAGIC}{VERSION}\n").into_bytes();
    ledger.write(now, &mut text);
    text
}

// === impl StateFile ===

impl<D: Disk> StateFile<D> {
    /// Begins the file with that text.
    pub(super) fn begin(
        disk: D,
        path: &Path,
        lock: D::File,
        text: &[u8],
    ) -> Result<Self, OpenError> {
        let file = replace(&disk, path, text).map_err(|source| OpenError::Io {
            what: "write",
            path: path.to_owned(),
            source,
        })?;
        let length = text.len() as u64;
        Ok(Self { disk, path: path.to_owned(), file, length, shortest: length, lock })
    }

    /// What all clocks of its machine say.
    pub(super) fn clock(&self) -> ClockReading {
        self.disk.clock()
    }

    /// What the one says that nobody sets.
    pub(super) fn steady(&self) -> i64 {
        self.disk.steady()
    }

    /// Adds lines at its end.
    pub(super) fn append(&mut self, text: &[u8]) -> io::Result<()> {
        self.disk.write(&mut self.file, text)?;
        self.length += text.len() as u64;
        Ok(())
    }

    /// Whether it is worth to write it anew.
    pub(super) fn has_grown(&self) -> bool {
        self.length > SMALL.max(self.shortest.saturating_mul(GROWTH))
    }

    /// A file with that text takes its place. If it cannot, the old one stays.
    pub(super) fn replace(&mut self, text: &[u8]) -> io::Result<()> {
        self.file = replace(&self.disk, &self.path, text)?;
        self.length = text.len() as u64;
        self.shortest = self.length;
        Ok(())
    }

    /// Cuts it short in its first line: whoever reads it sees that it does not tell everything.
    /// That takes no room on the disk.
    pub(super) fn spoil(&self) -> io::Result<()> {
        self.disk.cut(&self.file, MAGIC.len() as u64)
    }

    /// Whether it is at its path still: it may have been removed, or another may have come in its place. The lock
    /// is put back if it is gone.
    ///
    /// # Errors
    /// If another process has taken either.
    pub(super) fn is_in_place(&mut self) -> io::Result<bool> {
        let lock_path = beside(&self.path, ".lock");
        if !self.is_at(&self.lock, &lock_path)? {
            let lock = self.disk.create(&lock_path, false)?;
            self.disk.lock(&lock).map_err(taken)?;
            self.lock = lock;
        }
        if self.is_at(&self.file, &self.path)? {
            return Ok(true);
        }
        if let Ok(other) = self.disk.open(&self.path) {
            self.disk.lock(&other).map_err(taken)?;
        }
        Ok(false)
    }

    /// Brings it to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.disk.sync(&self.file)?;
        self.disk.sync_folder(&self.path)
    }

    fn is_at(&self, file: &D::File, path: &Path) -> io::Result<bool> {
        let own = self.disk.about(file)?;
        match self.disk.look(path) {
            Ok(found) => Ok(found.id == own.id),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn taken(error: TryLockError) -> io::Error {
    match error {
        TryLockError::WouldBlock => io::Error::other("another process has taken it"),
        TryLockError::Error(error) => error,
    }
}
