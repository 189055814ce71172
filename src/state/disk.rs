//! How a new file takes the place of the old one, so that a machine that goes down at any moment leaves one
//! of the two, whole.
//!
//! A file system may bring a new name to the disk before what is in the file: then it is empty after a
//! power loss. So the file is synced before it is renamed, and its folder after that.

use std::{
    fmt::Debug,
    fs::{self, File, Metadata, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::clock::{ClockReading, steady};

/// What there is to do with a disk, and the clocks of the machine that has it; in tests it is one that forgets.
#[expect(clippy::missing_errors_doc, reason = "each fails with what the system says")]
pub trait Disk: Clone + Debug + Send + 'static {
    /// An open file. A lock on it ends with it.
    type File: Debug + Send;

    /// Opens a file for adding to it, and makes it, for its owner only, if there is none. With `anew` it makes
    /// another one in any case.
    fn create(&self, path: &Path, anew: bool) -> io::Result<Self::File>;
    /// Opens a file that is there.
    fn open(&self, path: &Path) -> io::Result<Self::File>;
    /// Locks it, if nobody has.
    fn lock(&self, file: &Self::File) -> Result<(), TryLockError>;
    /// Which file is open.
    fn about(&self, file: &Self::File) -> io::Result<About>;
    /// Which file is at that path.
    fn look(&self, path: &Path) -> io::Result<About>;
    /// All that is in it.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Adds at its end.
    fn write(&self, file: &mut Self::File, text: &[u8]) -> io::Result<()>;
    /// Leaves so many bytes of it.
    fn cut(&self, file: &Self::File, length: u64) -> io::Result<()>;
    /// Brings its content to the disk.
    fn sync(&self, file: &Self::File) -> io::Result<()>;
    /// Gives it another name, which another one may have.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Syncs the names in the folder of that file.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// What all clocks say.
    fn clock(&self) -> ClockReading;
    /// What the one says that nobody sets, in microseconds.
    fn steady(&self) -> i64;
}

/// What is known of a file without reading it.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Its device and its number there: no other file has both.
    pub id: (u64, u64),
    /// Whether it is no folder and no device.
    pub is_file: bool,
    /// In bytes.
    pub length: u64,
    /// When anything of it was changed last, in microseconds of Unix time.
    pub changed: i64,
}

/// That of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Machine;

/// Writes a new file, which nobody else takes for a state file of its own, and lets it take the place of the one
/// at `path`, if there is one.
pub(super) fn replace<D: Disk>(disk: &D, path: &Path, text: &[u8]) -> io::Result<D::File> {
    let new = beside(path, ".new");
    let mut file = disk.create(&new, true)?;
    disk.lock(&file)?;
    disk.write(&mut file, text)?;
    disk.sync(&file)?;
    disk.rename(&new, path)?;
    // It is in place. Were its name lost, the one before it says what was so then.
    let _ = disk.sync_folder(path);
    Ok(file)
}

pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

// === impl About ===

impl From<&Metadata> for About {
    fn from(meta: &Metadata) -> Self {
        let changed =
            meta.ctime().saturating_mul(1_000_000).saturating_add(meta.ctime_nsec() / 1000);
        let id = (meta.dev(), meta.ino());
        Self { id, is_file: meta.is_file(), length: meta.len(), changed }
    }
}

// === impl Machine ===

impl Disk for Machine {
    type File = File;

    fn create(&self, path: &Path, anew: bool) -> io::Result<File> {
        if anew {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        OpenOptions::new().create(true).create_new(anew).append(true).mode(0o600).open(path)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        File::open(path)
    }

    fn lock(&self, file: &File) -> Result<(), TryLockError> {
        file.try_lock()
    }

    fn about(&self, file: &File) -> io::Result<About> {
        file.metadata().map(|meta| About::from(&meta))
    }

    fn look(&self, path: &Path) -> io::Result<About> {
        fs::metadata(path).map(|meta| About::from(&meta))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn write(&self, file: &mut File, text: &[u8]) -> io::Result<()> {
        file.write_all(text)
    }

    fn cut(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    }

    fn clock(&self) -> ClockReading {
        ClockReading::now()
    }

    fn steady(&self) -> i64 {
        steady()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        sync::{Arc, Mutex, MutexGuard},
    };

    use super::*;

    /// A disk that loses its power after so many steps, and with it what was not synced.
    #[derive(Clone, Debug, Default)]
    struct Forgetful(Arc<Mutex<Inner>>);

    #[derive(Clone, Debug, Default)]
    struct Inner {
        steps: usize,
        done: usize,
        /// What is in each file: as it is seen, and as it is on the disk.
        files: Vec<(Vec<u8>, Vec<u8>)>,
        /// Which file has that name: as it is seen, and on the disk.
        names: BTreeMap<PathBuf, usize>,
        names_kept: BTreeMap<PathBuf, usize>,
    }

    impl Forgetful {
        fn inner(&self) -> MutexGuard<'_, Inner> {
            self.0.lock().unwrap()
        }

        fn step<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> io::Result<T> {
            let mut inner = self.inner();
            inner.done += 1;
            if inner.done > inner.steps {
                return Err(io::Error::other("no power"));
            }
            Ok(act(&mut inner))
        }

        /// What is found at that path after the power was lost; the names may have come to the disk or not.
        fn found(&self, path: &Path) -> [Option<Vec<u8>>; 2] {
            let inner = self.inner();
            let content = |id: &usize| inner.files[*id].1.clone();
            [&inner.names_kept, &inner.names].map(|names| names.get(path).map(content))
        }
    }

    impl Disk for Forgetful {
        type File = usize;

        fn create(&self, path: &Path, _: bool) -> io::Result<usize> {
            self.step(|inner| {
                inner.files.push(Default::default());
                inner.names.insert(path.into(), inner.files.len() - 1);
                inner.files.len() - 1
            })
        }

        fn lock(&self, _: &usize) -> Result<(), TryLockError> {
            Ok(())
        }

        fn write(&self, file: &mut usize, text: &[u8]) -> io::Result<()> {
            self.step(|inner| inner.files[*file].0 = text.into())
        }

        fn sync(&self, file: &usize) -> io::Result<()> {
            self.step(|inner| inner.files[*file].1 = inner.files[*file].0.clone())
        }

        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.step(|inner| {
                let file = inner.names.remove(from).unwrap();
                inner.names.insert(to.into(), file);
            })
        }

        fn sync_folder(&self, _: &Path) -> io::Result<()> {
            self.step(|inner| inner.names_kept = inner.names.clone())
        }

        // Whoever replaces a file does none of that.

        fn open(&self, _: &Path) -> io::Result<usize> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn about(&self, _: &usize) -> io::Result<About> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn look(&self, _: &Path) -> io::Result<About> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn cut(&self, _: &usize, _: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn clock(&self) -> ClockReading {
            ClockReading { boot: String::new(), steady: 0, wall: 0 }
        }

        fn steady(&self) -> i64 {
            0
        }
    }

    /// Red when the file is not synced before it gets its name, and when its folder is not synced at all.
    #[test]
    fn a_power_loss_leaves_the_old_file_or_the_new_one() {
        let path = Path::new("/state");
        let disk = Forgetful::default();
        disk.inner().steps = usize::MAX;
        replace(&disk, path, b"old").unwrap();
        let before = disk.inner().clone();
        for steps in 0..6 {
            *disk.inner() = Inner { done: 0, steps, ..before.clone() };
            let _ = replace(&disk, path, b"new");
            for found in disk.found(path) {
                let found = found.unwrap();
                assert!(found == b"old" || found == b"new", "after {steps} steps: {found:?}");
            }
        }
        assert_eq!(disk.found(path), [Some(b"new".to_vec()), Some(b"new".to_vec())]);
    }
}
