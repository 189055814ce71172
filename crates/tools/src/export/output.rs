//! The file with the items, and the state beside it that says where the export is.
//!
//! A page's lines are appended and on the disk before a state that counts them takes the place of the
//! one before. What the file has beyond the length that its state knows is of a page that was not
//! finished; it is taken away, and the page is asked for again. So a kill at any moment loses no item
//! and has none there twice. To begin anew the state says so first, and then the file is emptied.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use super::request::{Next, Request};
use crate::files::{beside, replace};

/// The file, which is this export's alone.
#[derive(Debug)]
pub(super) struct Output {
    path: PathBuf,
    file: File,
    pub(super) state: State,
    /// So many bytes of a page that was not finished were taken away.
    pub(super) mended: u64,
    /// Whether there was no file before.
    is_new: bool,
}

/// Where an export is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// What this is the state of.
    of: String,
    version: u32,
    pub(super) request: Request,
    /// So many pages are done, with so many items, of which so many have a line.
    pub(super) pages: u64,
    pub(super) items: u64,
    pub(super) lines: u64,
    /// The file's length.
    length: u64,
    /// The key of the list, once it is found.
    pub(super) key: Option<String>,
    /// None before the first page and after the last.
    pub(super) next: Option<Next>,
    pub(super) finished: bool,
}

/// A page that is shaped.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) text: Vec<u8>,
    pub(super) items: u64,
    pub(super) lines: u64,
    pub(super) key: String,
    pub(super) next: Option<Next>,
}

/// What the state's first key says.
const EXPORT: &str = "slackwater export";
/// The version of the format.
const VERSION: u32 = 1;
/// The longest state; a cursor has some hundred bytes.
const LONGEST: u64 = 1 << 20;

// === impl Output ===

impl Output {
    /// Opens the file of that request, where it stands or, if asked for, at its beginning.
    ///
    /// # Errors
    /// If it cannot be written, another export has it, or it is of something else.
    pub(super) fn open(path: &Path, request: &Request, again: bool) -> anyhow::Result<Self> {
        let name = path.display();
        if fs::metadata(path).is_ok_and(|it| !it.is_file()) {
            bail!("{name} is no file, and an export goes on in the one that it has begun");
        }
        let is_new = !path.exists();
        let file = OpenOptions::new().append(true).create(true).open(path);
        let file = file.with_context(|| format!("cannot write {name}"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!("another export is at work with {name}; wait for it, or end it")
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {name}"));
            }
        }
        let length = file.metadata()?.len();
        let state_path = beside(path, ".cursor");
        let cursor = state_path.display();
        let known = read(&state_path)?;
        if known.is_none() && length > 0 {
            bail!(
                "{name} has something in it and there is no {cursor}, so no export has begun it; it \
                 is left as it is: name another --out"
            );
        }
        let state = known.filter(|state| state.pages > 0 && !again);
        let mut output = Self {
            path: path.to_owned(),
            file,
            state: state.unwrap_or_else(|| State::new(request)),
            mended: 0,
            is_new,
        };
        let state = &output.state;
        if let Some(what) = state.request.differs(request) {
            bail!(
                "{name} is of another export: {what} was not the same (see {cursor}); name another \
                 --out, or begin anew with --again"
            );
        }
        if length < state.length {
            bail!(
                "{name} is gone or was changed: it has {length} bytes, and by {cursor} there were \
                 {}; begin anew with --again, or name another --out",
                state.length
            );
        }
        output.mended = if state.pages == 0 { 0 } else { length - state.length };
        output.prepare(length).with_context(|| format!("cannot write {name}"))?;
        Ok(output)
    }

    fn prepare(&mut self, length: u64) -> io::Result<()> {
        // Nothing of a finished one is touched: what was added to it since is not of a page.
        if self.state.finished {
            self.mended = 0;
            return Ok(());
        }
        if self.state.pages == 0 {
            self.store()?;
        }
        if length > self.state.length {
            self.file.set_len(self.state.length)?;
            self.file.sync_all()?;
        }
        Ok(())
    }

    /// Takes a page, and returns when it is on the disk.
    ///
    /// # Errors
    /// If it cannot be written. Then it was not taken.
    pub(super) fn take(&mut self, page: Page) -> anyhow::Result<()> {
        let name = self.path.display();
        let mut write = || -> io::Result<()> {
            self.file.write_all(&page.text)?;
            self.file.sync_data()
        };
        write().with_context(|| format!("cannot write {name}"))?;
        let state = &mut self.state;
        state.pages += 1;
        state.items += page.items;
        state.lines += page.lines;
        state.length += page.text.len() as u64;
        state.finished = page.next.is_none();
        (state.key, state.next) = (Some(page.key), page.next);
        self.store().with_context(|| format!("cannot write {}.cursor", self.path.display()))
    }

    fn store(&self) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(&self.state)?;
        text.push(b'\n');
        replace(&beside(&self.path, ".cursor"), &text)
    }
}

/// Leaves nothing behind where no page came.
impl Drop for Output {
    fn drop(&mut self) {
        if self.is_new && self.state.pages == 0 {
            // What cannot be removed is an empty export, which the same command goes on with.
            let _ = fs::remove_file(&self.path);
            let _ = fs::remove_file(beside(&self.path, ".cursor"));
        }
    }
}

// === impl State ===

impl State {
    fn new(request: &Request) -> Self {
        Self {
            of: EXPORT.to_owned(),
            version: VERSION,
            request: request.clone(),
            pages: 0,
            items: 0,
            lines: 0,
            length: 0,
            key: None,
            next: None,
            finished: false,
        }
    }
}

/// The state at that path, if there is one.
fn read(path: &Path) -> anyhow::Result<Option<State>> {
    let name = path.display();
    let text = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Ok(meta) if meta.is_file() && meta.len() <= LONGEST => fs::read(path),
        Ok(_) => bail!("{name} is not the state of an export; move it away, or name another --out"),
        Err(error) => Err(error),
    };
    let text = text.with_context(|| format!("cannot read {name}"))?;
    match serde_json::from_slice::<State>(&text) {
        Ok(state) if state.of == EXPORT && state.version == VERSION => Ok(Some(state)),
        Ok(_) | Err(_) => bail!(
            "{name} is not the state of an export of this version; move it away, or name another \
             --out"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tempfile::{TempDir, tempdir};

    use super::*;

    /// The file and the state beside it.
    fn paths(directory: &TempDir) -> (PathBuf, PathBuf) {
        let out = directory.path().join("out");
        (out.clone(), beside(&out, ".cursor"))
    }

    fn request(method: &str) -> Request {
        Request {
            method: method.to_owned(),
            args: BTreeMap::new(),
            token_env: "T".to_owned(),
            items: None,
            wheres: Vec::new(),
            call: None,
        }
    }

    fn page(text: &str, next: Option<&str>) -> Page {
        let next = next.map(|cursor| Next::Cursor(cursor.to_owned()));
        let (text, key) = (text.as_bytes().to_vec(), "list".to_owned());
        Page { text, items: 2, lines: 1, key, next }
    }

    fn error(path: &Path, method: &str, again: bool) -> String {
        format!("{:#}", Output::open(path, &request(method), again).unwrap_err())
    }

    #[test]
    fn wherever_a_page_broke_off_the_next_start_is_before_it() {
        let directory = tempdir().unwrap();
        let (out, cursor) = paths(&directory);
        let mut output = Output::open(&out, &request("a.list"), false).unwrap();
        output.take(page("1\n", Some("x"))).unwrap();
        let before = (fs::read(&out).unwrap(), fs::read(&cursor).unwrap());
        output.take(page("22\n333\n", Some("y"))).unwrap();
        let after = (fs::read(&out).unwrap(), fs::read(&cursor).unwrap());
        drop(output);
        for length in before.0.len()..=after.0.len() {
            // Some of the page, and a state that was being written.
            fs::write(&out, &after.0[..length]).unwrap();
            fs::write(&cursor, &before.1).unwrap();
            fs::write(beside(&cursor, ".part"), &after.1[..length]).unwrap();
            let output = Output::open(&out, &request("a.list"), false).unwrap();
            assert_eq!(output.mended, (length - before.0.len()) as u64);
            assert_eq!(output.state.next, Some(Next::Cursor("x".to_owned())));
            assert_eq!(fs::read(&out).unwrap(), before.0);
        }
        // And once the state was in its place, after it.
        fs::write(&out, &after.0).unwrap();
        fs::write(&cursor, &after.1).unwrap();
        let output = Output::open(&out, &request("a.list"), false).unwrap();
        assert_eq!((output.mended, output.state.pages, output.state.items), (0, 2, 4));
        assert_eq!(fs::read(&out).unwrap(), after.0);
    }

    /// Red when a failed start leaves an empty file that looks like an export.
    #[test]
    fn an_export_without_a_page_leaves_nothing() {
        let directory = tempdir().unwrap();
        let (out, cursor) = paths(&directory);
        drop(Output::open(&out, &request("a.list"), false).unwrap());
        assert!(!out.exists() && !cursor.exists());
        // A file of the user's stays.
        fs::write(&out, "").unwrap();
        drop(Output::open(&out, &request("a.list"), false).unwrap());
        assert!(out.exists() && cursor.exists());
        let mut output = Output::open(&out, &request("a.list"), false).unwrap();
        output.take(page("1\n", Some("x"))).unwrap();
        drop(output);
        assert!(out.exists() && cursor.exists());
    }

    #[test]
    fn a_file_is_of_one_export_and_for_one_at_a_time() {
        let directory = tempdir().unwrap();
        let (out, _) = paths(&directory);
        let first = Output::open(&out, &request("a.list"), false).unwrap();
        assert!(error(&out, "a.list", false).contains("another export is at work"));
        drop(first);
        // Nothing was fetched, so nothing is lost.
        let mut second = Output::open(&out, &request("b.list"), false).unwrap();
        second.take(page("1\n", Some("x"))).unwrap();
        drop(second);
        assert!(error(&out, "a.list", false).contains("of another export: METHOD was not"));
        let again = Output::open(&out, &request("a.list"), true).unwrap();
        assert_eq!((again.state.pages, fs::read(&out).unwrap().len()), (0, 0));
    }

    #[test]
    fn what_no_export_wrote_is_left_as_it_is() {
        let directory = tempdir().unwrap();
        let (out, cursor) = paths(&directory);
        fs::write(&out, "mine").unwrap();
        for again in [false, true] {
            assert!(error(&out, "a.list", again).contains("no export has begun it"));
        }
        fs::write(&cursor, "mine").unwrap();
        assert!(error(&out, "a.list", true).contains("is not the state of an export"));
        assert_eq!(fs::read(&out).unwrap(), b"mine");
        assert!(error(directory.path(), "a.list", false).contains("is no file"));
    }

    #[test]
    fn a_finished_one_is_not_touched_and_a_shorter_one_is_told() {
        let directory = tempdir().unwrap();
        let (out, _) = paths(&directory);
        let mut output = Output::open(&out, &request("a.list"), false).unwrap();
        output.take(page("1\n", None)).unwrap();
        drop(output);
        fs::write(&out, "1\nadded by hand\n").unwrap();
        let output = Output::open(&out, &request("a.list"), false).unwrap();
        assert!(output.state.finished && output.mended == 0);
        drop(output);
        assert_eq!(fs::read(&out).unwrap(), b"1\nadded by hand\n");
        fs::write(&out, "1").unwrap();
        assert!(error(&out, "a.list", false).contains("is gone or was changed"));
    }
}
