//! A thread that looks at the file, and reads and checks it when there is reason to.
//!
//! It asks the file system each second, and does not wait to be told: that works on every file
//! system, and where a symlink is swapped, as Kubernetes does. It compares content, so a touch is no
//! change. An editor may write a file in several steps, and half a configuration may be right: a
//! change is read when the file has been the same for a second.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use tokio::sync::mpsc;

use crate::config::{Config, LoadError, load};

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
pub struct Watcher {
    ask: SyncSender<()>,
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
        let mut config = load(self.path.as_deref())?;
        if let Some(minute) = self.minute {
            let scaled = Arc::unwrap_or_clone(config.catalogue).with_minute(minute);
            config.catalogue = Arc::new(scaled);
        }
        Ok(config)
    }

    fn look(&self) -> Option<Look> {
        let found = fs::metadata(self.path.as_ref()?).ok()?;
        Some(Look {
            device: found.dev(),
            inode: found.ino(),
            length: found.len(),
            changed: (found.mtime(), found.mtime_nsec()),
        })
    }

    fn content(&self) -> Option<Vec<u8>> {
        fs::read(self.path.as_ref()?).ok()
    }
}

/// Watches the file. What is read, or why it cannot be, is sent to `to`.
///
/// # Errors
/// If there can be no thread.
pub fn watch(source: Source, to: mpsc::Sender<Result<Config, LoadError>>) -> io::Result<Watcher> {
    let (ask, asked) = sync_channel(1);
    let watching = move || watching(&source, &asked, &to);
    thread::Builder::new().name("reload".into()).spawn(watching)?;
    Ok(Watcher { ask })
}

fn watching(source: &Source, asked: &Receiver<()>, to: &mpsc::Sender<Result<Config, LoadError>>) {
    let (mut content, mut seen) = (source.content(), source.look());
    // What was seen when `content` was read.
    let mut read = seen;
    loop {
        let look = match asked.recv_timeout(EVERY) {
            Ok(()) => {
                (content, seen) = (source.content(), source.look());
                read = seen;
                if to.blocking_send(source.load()).is_err() {
                    return;
                }
                continue;
            }
            Err(RecvTimeoutError::Timeout) => source.look(),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let stands_still = look == seen;
        seen = look;
        // A file that is gone for a moment is about to be replaced.
        if !stands_still || look == read || look.is_none() {
            continue;
        }
        read = look;
        let new = source.content();
        if new == content {
            continue;
        }
        content = new;
        if to.blocking_send(source.load()).is_err() {
            return;
        }
    }
}

// === impl Watcher ===

impl Watcher {
    /// The file is to be read now, whether it has changed or not.
    pub fn ask(&self) {
        // One that was asked before and has not been heard yet does for both.
        let _ = self.ask.try_send(());
    }
}
