//! A thread that looks at the file and at the certificates that it names, and reads and checks all
//! of it when there is reason to.
//!
//! It asks the file system each second, and does not wait to be told: that works on every file
//! system, and where a symlink is swapped, as Kubernetes does. It compares content, so a touch is no
//! change. An editor may write a file in several steps, and half a configuration may be right: a
//! change is read when the file has been the same for a second.

use std::{
    fs,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use config::{Config, LoadError, MAX_CERTIFICATES, load, load_again};
use tokio::sync::mpsc;

/// Where the configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The file; without one the defaults.
    pub path: Option<PathBuf>,
    /// How long a minute lasts at the upstream, where that is not a minute.
    pub minute: Option<Duration>,
}

/// How the thread is asked to read the file now. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Watcher {
    ask: SyncSender<()>,
}

/// What is looked at.
struct Watched {
    source: Source,
    /// What the newest configuration that is right names.
    files: Vec<PathBuf>,
}

/// What a file system says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    device: u64,
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

/// How often it looks.
const EVERY: Duration = Duration::from_secs(1);

// === impl Source ===

impl Source {
    /// Reads and checks it.
    ///
    /// # Errors
    /// As [`load`].
    pub fn load(&self) -> Result<Config, LoadError> {
        load(self.path.as_deref()).map(|config| self.scaled(config))
    }

    /// The same for one that has been read before.
    fn load_again(&self) -> Result<Config, LoadError> {
        load_again(self.path.as_deref()).map(|config| self.scaled(config))
    }

    fn scaled(&self, mut config: Config) -> Config {
        if let Some(minute) = self.minute {
            let scaled = Arc::unwrap_or_clone(config.catalogue).with_minute(minute);
            config.catalogue = Arc::new(scaled);
            config.fail_fast.probe_after = minute;
        }
        config
    }
}

/// Watches the file, and `files`, which the configuration of now names. What is read, or why it
/// cannot be, is sent to `to`.
pub(super) fn watch(
    source: Source,
    files: Vec<PathBuf>,
    to: mpsc::Sender<Result<Config, LoadError>>,
) -> io::Result<Watcher> {
    let (ask, asked) = sync_channel(1);
    let mut watched = Watched { source, files };
    let watching = move || watching(&mut watched, &asked, &to);
    thread::Builder::new().name("reload".into()).spawn(watching)?;
    Ok(Watcher { ask })
}

fn watching(
    watched: &mut Watched,
    asked: &Receiver<()>,
    to: &mpsc::Sender<Result<Config, LoadError>>,
) {
    let (mut content, mut seen) = (watched.content(), watched.look());
    // What was seen when `content` was read.
    let mut read = seen.clone();
    loop {
        match asked.recv_timeout(EVERY) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => {
                let look = watched.look();
                let stands_still = look == seen;
                seen.clone_from(&look);
                // A file that is gone for a moment is about to be replaced.
                if !stands_still || look == read || look.first().is_none_or(Option::is_none) {
                    continue;
                }
                read = look;
                if watched.content() == content {
                    continue;
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
        // Before it is read: what changes after that is seen the next time.
        (content, seen) = (watched.content(), watched.look());
        let named = watched.files.clone();
        let mut loaded = watched.load();
        if watched.files != named {
            (content, seen) = (watched.content(), watched.look());
            loaded = watched.load();
        }
        read.clone_from(&seen);
        if to.blocking_send(loaded).is_err() {
            return;
        }
    }
}

// === impl Watched ===

impl Watched {
    /// From now on the files that it names are watched.
    fn load(&mut self) -> Result<Config, LoadError> {
        let config = self.source.load_again()?;
        self.files.clone_from(&config.files);
        Ok(config)
    }

    /// The configuration first, if it is a file.
    fn all(&self) -> impl Iterator<Item = &PathBuf> {
        self.source.path.iter().chain(&self.files)
    }

    fn look(&self) -> Vec<Option<Look>> {
        self.all().map(|path| Look::at(path).ok()).collect()
    }

    /// Hashes: one of the files is a private key.
    fn content(&self) -> Vec<Option<Vec<u8>>> {
        self.all().map(|path| hash(path).ok()).collect()
    }
}

/// The hash of a file, as far as any file is read. What is no file has none: reading a pipe ends when
/// somebody writes, which may be never.
fn hash(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_CERTIFICATES + 1).read_to_end(&mut bytes)?;
    Ok(digest(&SHA256, &bytes).as_ref().to_vec())
}

// === impl Look ===

impl Look {
    fn at(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        Ok(Self {
            device: found.dev(),
            inode: found.ino(),
            length: found.len(),
            changed: (found.mtime(), found.mtime_nsec()),
        })
    }
}

// === impl Watcher ===

impl Watcher {
    /// The file is to be read now, whether it has changed or not.
    pub(super) fn ask(&self) {
        // One that was asked before and has not been heard yet does for both.
        let _ = self.ask.try_send(());
    }
}
