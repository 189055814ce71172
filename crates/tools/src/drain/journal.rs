//! The journal's file: one drain at a time, each line on the disk before the next.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use serde::Serialize;
use tokio::task::spawn_blocking;

use super::entry::{Entry, Header, JOURNAL, VERSION, Walk};
use crate::files::sync_directory;

/// A journal that is written to.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: Arc<File>,
    /// So many bytes of a line that broke off were taken away.
    pub(super) mended: u64,
}

/// What a journal said when it was opened.
pub(super) type Past = Walk<BufReader<io::Take<File>>>;

/// The longest first line.
const HEADER: u64 = 1024;

// === impl Journal ===

impl Journal {
    /// Opens the journal of the input with that fingerprint, or begins it.
    ///
    /// # Errors
    /// If it cannot be written, another drain has it, or it is of another input.
    pub(super) fn open(path: &Path, fingerprint: &str) -> anyhow::Result<Self> {
        let name = path.display();
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).open(path);
        let file = file.with_context(|| format!("cannot write the journal {name}"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!("another drain is at work with the journal {name}; wait for it, or end it")
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock the journal {name}"));
            }
        }
        let mut journal = Self { path: path.to_owned(), file: Arc::new(file), mended: 0 };
        journal.begin(fingerprint).with_context(|| format!("the journal {name}"))?;
        Ok(journal)
    }

    /// Sees that the header is right and the last line whole.
    fn begin(&mut self, fingerprint: &str) -> anyhow::Result<()> {
        let ours = line(&Header {
            journal: JOURNAL.to_owned(),
            version: VERSION,
            input: fingerprint.to_owned(),
        })?;
        let mut first = Vec::new();
        (&*self.file).take(HEADER).read_to_end(&mut first)?;
        // Killed while it wrote the header, or before; or nothing came of an input that is changed.
        let torn = first.len() < ours.len() && ours.starts_with(&first);
        if torn || is_header_alone(&first) {
            self.file.set_len(0)?;
            (&*self.file).write_all(&ours)?;
            self.file.sync_all()?;
            sync_directory(&self.path)?;
            return Ok(());
        }
        check(&first, &ours)?;
        let length = self.file.metadata()?.len();
        let whole = end_of_last_line(&self.file, length)?;
        self.mended = length - whole;
        if self.mended > 0 {
            self.file.set_len(whole)?;
            self.file.sync_all()?;
        }
        Ok(())
    }

    /// What it says now, and when so many of the last calls were sent. What is written from here on is
    /// not part of it.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn past(&self, keeps: usize) -> anyhow::Result<Past> {
        past(&self.path, keeps)
    }

    /// Appends an entry, and returns when it is on the disk.
    ///
    /// Dropping the future does not take it back.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) async fn append(&self, entry: &Entry) -> anyhow::Result<()> {
        let (file, line) = (Arc::clone(&self.file), line(entry)?);
        let written = spawn_blocking(move || {
            (&*file).write_all(&line)?;
            file.sync_data()
        });
        let name = self.path.display();
        written.await?.with_context(|| format!("cannot write the journal {name}"))
    }
}

/// What the journal at a path says, whoever is at work with it.
///
/// # Errors
/// If it cannot be read.
pub(super) fn past(path: &Path, keeps: usize) -> anyhow::Result<Past> {
    let name = path.display();
    let read = || -> io::Result<Past> {
        let file = File::open(path)?;
        let whole = end_of_last_line(&file, file.metadata()?.len())?;
        (&file).seek(SeekFrom::Start(0))?;
        let mut from = BufReader::new(file.take(whole));
        io::BufRead::skip_until(&mut from, b'\n')?;
        Ok(Walk::new(from, keeps))
    };
    read().with_context(|| format!("cannot read the journal {name}"))
}

/// Whether it is a header of this version, and nothing else.
fn is_header_alone(text: &[u8]) -> bool {
    let header = text.strip_suffix(b"\n").filter(|line| !line.contains(&b'\n'));
    let header = header.and_then(|line| serde_json::from_slice::<Header>(line).ok());
    header.is_some_and(|header| header.journal == JOURNAL && header.version == VERSION)
}

/// Whether the first line is the one that is ours.
fn check(first: &[u8], ours: &[u8]) -> anyhow::Result<()> {
    if first.starts_with(ours) {
        return Ok(());
    }
    let line = first.split(|byte| *byte == b'\n').next().unwrap_or_default();
    match serde_json::from_slice::<Header>(line) {
        Ok(header) if header.journal == JOURNAL && header.version != VERSION => {
            bail!("is of another version of slackwater; drain with that, or name another --journal")
        }
        Ok(header) if header.journal == JOURNAL => bail!(
            "is of another input: the file has changed since, or is read with another --method or \
             --arg; name another --journal to begin anew"
        ),
        _ => {
            bail!("is a file that no drain has begun, and is left as it is; name another --journal")
        }
    }
}

fn line(of: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(of)?;
    line.push(b'\n');
    Ok(line)
}

/// Where the last whole line of so many bytes ends.
fn end_of_last_line(mut file: &File, length: u64) -> io::Result<u64> {
    const PIECE: u64 = 4096;
    let mut end = length;
    while end > 0 {
        let begin = end.saturating_sub(PIECE);
        file.seek(SeekFrom::Start(begin))?;
        let mut piece = Vec::new();
        file.take(end - begin).read_to_end(&mut piece)?;
        if let Some(at) = piece.iter().rposition(|byte| *byte == b'\n') {
            return Ok(begin + u64::try_from(at).unwrap_or(0) + 1);
        }
        end = begin;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::tempdir;

    use super::{super::entry::EntryResult, *};

    fn entry(line: u64) -> Entry {
        Entry { line, id: line.into(), result: EntryResult::Ok, error: None, at: 1.5 }
    }

    #[tokio::test]
    async fn a_line_that_broke_off_is_taken_away_wherever_it_broke() {
        let directory = tempdir().unwrap();
        let path = directory.path().join("journal");
        let journal = Journal::open(&path, "f").unwrap();
        journal.append(&entry(1)).await.unwrap();
        journal.append(&entry(2)).await.unwrap();
        drop(journal);
        let whole = fs::read(&path).unwrap();
        let ends: Vec<usize> =
            (0..whole.len()).filter(|at| whole[*at] == b'\n').map(|at| at + 1).collect();
        for length in 0..=whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let journal = Journal::open(&path, "f").unwrap();
            let kept = ends.iter().rev().find(|end| **end <= length).copied();
            // The header stands at least.
            assert_eq!(fs::read(&path).unwrap(), whole[..kept.unwrap_or(ends[0])], "{length}");
            let mut past = journal.past(0).unwrap();
            let known = [1, 2].map(|line| past.result(line).unwrap().is_some());
            assert_eq!(known, [length >= ends[1], length >= ends[2]], "{length}");
        }
    }

    #[tokio::test]
    async fn a_journal_is_of_one_input_and_for_one_drain() {
        let directory = tempdir().unwrap();
        let path = directory.path().join("journal");
        let journal = Journal::open(&path, "f").unwrap();
        let error = format!("{:#}", Journal::open(&path, "f").unwrap_err());
        assert!(error.contains("another drain is at work"), "{error}");
        drop(journal);
        // Nothing was recorded, so nothing is lost.
        let journal = Journal::open(&path, "g").unwrap();
        journal.append(&entry(1)).await.unwrap();
        drop(journal);
        let error = format!("{:#}", Journal::open(&path, "f").unwrap_err());
        assert!(error.contains("is of another input"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_journal_is_left_as_it_is() {
        let directory = tempdir().unwrap();
        let path = directory.path().join("journal");
        for text in ["id,name\nG1,x", "{\"journal\"", "x".repeat(5000).as_str()] {
            fs::write(&path, text).unwrap();
            if text.starts_with("{\"journal") {
                // So far it could be a header.
                assert!(Journal::open(&path, "f").is_ok());
                continue;
            }
            let error = format!("{:#}", Journal::open(&path, "f").unwrap_err());
            assert!(error.contains("no drain has begun"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
