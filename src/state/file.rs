//! The file itself: whose it is, how it is read, and how it grows and shrinks.
//!
//! A lock beside it, `PATH.lock`, is held as long as the process lives: the file itself changes
//! when a shorter one takes its place.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::{ledger::Ledger, record::Record};

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
pub(super) struct StateFile {
    path: PathBuf,
    file: File,
    length: u64,
    /// Its length when it was last as short as could be.
    shortest: u64,
    /// Held, not used.
    _lock: File,
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
pub(super) fn read(path: &Path) -> Result<(File, Option<Found>), OpenError> {
    let io = |what: &'static str, path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Io { what, path, source }
    };
    let lock_path = beside(path, ".lock");
    let lock = create(&lock_path, false).map_err(io("open", &lock_path))?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => OpenError::InUse(path.to_owned()),
        TryLockError::Error(source) => io("lock", &lock_path)(source),
    })?;
    let meta = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((lock, None)),
        Ok(meta) if !meta.is_file() || meta.len() > LARGEST => {
            return Err(OpenError::Foreign(path.to_owned()));
        }
        meta => meta.map_err(io("read", path))?,
    };
    let text = fs::read(path).map_err(io("read", path))?;
    let (ledger, damaged) = parse(path, &text)?;
    let changed = meta.ctime().saturating_mul(1_000_000).saturating_add(meta.ctime_nsec() / 1000);
    Ok((lock, Some(Found { ledger, damaged, changed })))
}

/// Which lock it is: its device and its number there. A copy is another one.
pub(super) fn identity(lock: &File) -> Option<(u64, u64)> {
    lock.metadata().ok().map(|meta| (meta.dev(), meta.ino()))
}

/// What the lines of a text come to, and whether some of it could not be read.
pub(super) fn parse(path: &Path, text: &[u8]) -> Result<(Ledger, bool), OpenError> {
    let mut ledger = Ledger::new();
    let mut lines = text.split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let Some(version) = first.strip_prefix(MAGIC.as_bytes()) else {
        // Cut off before its end, it is still ours.
        let ours = text.len() < MAGIC.len() && MAGIC.as_bytes().starts_with(text);
        return if ours { Ok((ledger, true)) } else { Err(OpenError::Foreign(path.to_owned())) };
    };
    let whole = first.len() < text.len();
    if whole && version != VERSION.as_bytes() {
        if version.is_empty() || version.len() > 8 || !version.iter().all(u8::is_ascii_digit) {
            return Err(OpenError::Foreign(path.to_owned()));
        }
        let version = String::from_utf8_lossy(version).into_owned();
        return Err(OpenError::Newer { path: path.to_owned(), version });
    }
    let mut damaged = !whole || !text.ends_with(b"\n");
    for line in lines.filter(|line| !line.is_empty()) {
        let taken_in = Record::read(line).map(|record| ledger.apply(record));
        damaged |= !matches!(taken_in, Some(Ok(())));
    }
    Ok((ledger, damaged))
}

/// The text of a file that says all that the ledger knows.
pub(super) fn whole(ledger: &mut Ledger, now: i64) -> Vec<u8> {
    let mut text = format!("{MAGIC}{VERSION}\n").into_bytes();
    ledger.write(now, &mut text);
    text
}

// === impl StateFile ===

impl StateFile {
    /// Begins the file with that text.
    pub(super) fn begin(path: &Path, lock: File, text: &[u8]) -> Result<Self, OpenError> {
        let file = replace(path, text).map_err(|source| OpenError::Io {
            what: "write",
            path: path.to_owned(),
            source,
        })?;
        let length = text.len() as u64;
        Ok(Self { path: path.to_owned(), file, length, shortest: length, _lock: lock })
    }

    /// Adds lines at its end.
    pub(super) fn append(&mut self, text: &[u8]) -> io::Result<()> {
        self.file.write_all(text)?;
        self.length += text.len() as u64;
        Ok(())
    }

    /// Whether it is worth to write it anew.
    pub(super) fn has_grown(&self) -> bool {
        self.length > SMALL.max(self.shortest.saturating_mul(GROWTH))
    }

    /// A file with that text takes its place. If it cannot, the old one stays.
    pub(super) fn replace(&mut self, text: &[u8]) -> io::Result<()> {
        self.file = replace(&self.path, text)?;
        self.length = text.len() as u64;
        self.shortest = self.length;
        Ok(())
    }

    /// Cuts it short in its first line: whoever reads it sees that it does not tell everything.
    /// That takes no room on the disk.
    pub(super) fn spoil(&self) -> io::Result<()> {
        OpenOptions::new().write(true).open(&self.path)?.set_len(MAGIC.len() as u64)
    }

    /// Brings it to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()?;
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    }
}

/// Writes a new file and lets it take the place of the one at `path`, if there is one.
fn replace(path: &Path, text: &[u8]) -> io::Result<File> {
    let new = beside(path, ".new");
    let mut file = create(&new, true)?;
    file.write_all(text)?;
    fs::rename(&new, path)?;
    Ok(file)
}

/// Opens a file for adding to it, and makes it, for its owner only, if there is none.
fn create(path: &Path, anew: bool) -> io::Result<File> {
    if anew {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    OpenOptions::new().create(true).create_new(anew).append(true).mode(0o600).open(path)
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}
