//! Files that outlive a crash: their names beside another's, and what it takes for them to be on the disk.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// The path with that end.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(end);
    path.into()
}

/// Puts a file with that text in the place of the one that is there, if one is. Whatever happens, it is
/// whole or as it was.
///
/// # Errors
/// If it cannot be written.
pub(super) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let unfinished = beside(path, ".part");
    let mut file = File::create(&unfinished)?;
    file.write_all(text)?;
    put(&file, &unfinished, path)
}

/// Puts a file that is written in the place of another.
///
/// # Errors
/// If it cannot be.
pub(super) fn put(file: &File, unfinished: &Path, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    fs::rename(unfinished, path)?;
    sync_directory(path)
}

/// The file's name is on the disk, too.
///
/// # Errors
/// If its directory cannot be written.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}
