//! How a new file takes the place of the old one, so that a machine that goes down at any moment leaves one
//! of the two, whole.
//!
//! A file system may bring a new name to the disk before what is in the file: then it is empty after a
//! power loss. So the file is synced before it is renamed, and its folder after that.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// What there is to do with a disk; in tests it is one that forgets.
pub(super) trait Disk {
    /// An open file.
    type File;

    /// Makes a new file, which nobody else takes for a state file of its own.
    fn create(&self, path: &Path) -> io::Result<Self::File>;
    fn write(&self, file: &mut Self::File, text: &[u8]) -> io::Result<()>;
    fn sync(&self, file: &Self::File) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Syncs the names in the folder of that file.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// That of the machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine;

/// Writes a new file and lets it take the place of the one at `path`, if there is one.
pub(super) fn replace<D: Disk>(disk: &D, path: &Path, text: &[u8]) -> io::Result<D::File> {
    let new = beside(path, ".new");
    let mut file = disk.create(&new)?;
    disk.write(&mut file, text)?;
    disk.sync(&file)?;
    disk.rename(&new, path)?;
    // It is in place. Were its name lost, the one before it says what was so then.
    let _ = disk.sync_folder(path);
    Ok(file)
}

/// Opens a file for adding to it, and makes it, for its owner only, if there is none.
pub(super) fn create(path: &Path, anew: bool) -> io::Result<File> {
    if anew {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    OpenOptions::new().create(true).create_new(anew).append(true).mode(0o600).open(path)
}

pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

// === impl Machine ===

impl Disk for Machine {
    type File = File;

    fn create(&self, path: &Path) -> io::Result<File> {
        let file = create(path, true)?;
        file.try_lock()?;
        Ok(file)
    }

    fn write(&self, file: &mut File, text: &[u8]) -> io::Result<()> {
        file.write_all(text)
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
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::BTreeMap};

    use super::*;

    /// A disk that loses its power after so many steps, and with it what was not synced.
    #[derive(Default)]
    struct Forgetful {
        steps: usize,
        inner: RefCell<Inner>,
    }

    #[derive(Clone, Default)]
    struct Inner {
        done: usize,
        /// What is in each file: as it is seen, and as it is on the disk.
        files: Vec<(Vec<u8>, Vec<u8>)>,
        /// Which file has that name: as it is seen, and on the disk.
        names: BTreeMap<PathBuf, usize>,
        names_kept: BTreeMap<PathBuf, usize>,
    }

    impl Forgetful {
        fn step<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> io::Result<T> {
            let mut inner = self.inner.borrow_mut();
            inner.done += 1;
            if inner.done > self.steps {
                return Err(io::Error::other("no power"));
            }
            Ok(act(&mut inner))
        }

        /// What is found at that path after the power was lost; the names may have come to the disk or not.
        fn found(&self, path: &Path) -> [Option<Vec<u8>>; 2] {
            let inner = self.inner.borrow();
            let content = |id: &usize| inner.files[*id].1.clone();
            [&inner.names_kept, &inner.names].map(|names| names.get(path).map(content))
        }
    }

    impl Disk for Forgetful {
        type File = usize;

        fn create(&self, path: &Path) -> io::Result<usize> {
            self.step(|inner| {
                inner.files.push(Default::default());
                inner.names.insert(path.into(), inner.files.len() - 1);
                inner.files.len() - 1
            })
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
    }

    /// Red when the file is not synced before it gets its name, and when its folder is not synced at all.
    #[test]
    fn a_power_loss_leaves_the_old_file_or_the_new_one() {
        let path = Path::new("/state");
        let mut disk = Forgetful { steps: usize::MAX, ..Forgetful::default() };
        replace(&disk, path, b"old").unwrap();
        let before = disk.inner.borrow().clone();
        for steps in 0..6 {
            *disk.inner.borrow_mut() = Inner { done: 0, ..before.clone() };
            disk.steps = steps;
            let _ = replace(&disk, path, b"new");
            for found in disk.found(path) {
                let found = found.unwrap();
                assert!(found == b"old" || found == b"new", "after {steps} steps: {found:?}");
            }
        }
        assert_eq!(disk.found(path), [Some(b"new".to_vec()), Some(b"new".to_vec())]);
    }
}
