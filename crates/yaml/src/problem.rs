//! What is wrong with a file, all of it, sorted by place.

use std::fmt;

use super::Cursor;

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where. Nothing for a value that did not come from the file.
    pub place: Option<Place>,
    /// The key, as `queue.max_wait`, or the environment variable, unless it looks like a token. Empty
    /// for the whole file.
    pub path: String,
    /// What is wrong, a semicolon, what to do. Never holds a value from the environment.
    pub text: String,
}

/// Everything that is wrong with a file; at least one problem.
///
/// Shown as one line each: `file:line:column: key.path: what is wrong; what to do`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    file: String,
    list: Vec<Problem>,
}

/// What stands in a message instead of a text that is not to be repeated; nothing for any other.
pub type Hide = fn(&str) -> Option<&'static str>;

/// Collects problems while a file is read.
#[derive(Debug)]
pub struct Report {
    list: Vec<Problem>,
    hide: Hide,
    elsewhere: bool,
}

// === impl Problems ===

impl Problems {
    /// The name of the file, as the operator gave it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The problems, by place; those without one come first.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.list.iter()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.list.len()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Problem { place, path, text }) in self.list.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            if let Some(Place { line, column }) = place {
                write!(f, "{}:{line}:{column}: ", self.file)?;
            }
            if !path.is_empty() {
                write!(f, "{path}: ")?;
            }
            f.write_str(text)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

// === impl Report ===

impl Report {
    /// No problem yet. What `hide` knows is not repeated in any.
    pub fn new(hide: Hide) -> Self {
        Self { list: Vec::new(), hide, elsewhere: false }
    }

    pub(crate) fn hide(&self) -> Hide {
        self.hide
    }

    /// Adds a problem with the node at the cursor.
    pub fn add(&mut self, at: Cursor<'_>, text: impl Into<String>) {
        self.push(Some(at.place()), at.path(), text);
    }

    /// The file is for another machine: what is absent on this one is no problem.
    pub fn of_another_machine(&mut self) {
        self.elsewhere = true;
    }

    /// Adds a problem with what the node names and the machine has not, such as a file or a variable.
    pub fn add_absent(&mut self, at: Cursor<'_>, text: impl Into<String>) {
        if !self.elsewhere {
            self.add(at, text);
        }
    }

    /// Adds a problem of the file's text, where there is no node.
    pub fn add_at(&mut self, place: Place, path: String, text: impl Into<String>) {
        self.push(Some(place), path, text);
    }

    /// Adds a problem with something outside the file.
    pub fn add_outside(&mut self, name: &str, text: impl Into<String>) {
        self.push(None, name.to_owned(), text);
    }

    /// Whether nothing was wrong; else everything that was.
    ///
    /// # Errors
    /// The problems, if there are any.
    pub fn finish(self, file: &str) -> Result<(), Problems> {
        if self.list.is_empty() { Ok(()) } else { Err(self.into_problems(file)) }
    }

    /// Everything that was wrong.
    pub fn into_problems(mut self, file: &str) -> Problems {
        self.list.sort_by_key(|problem| problem.place);
        Problems { file: file.to_owned(), list: self.list }
    }

    fn push(&mut self, place: Option<Place>, path: String, text: impl Into<String>) {
        let path = (self.hide)(&path).map_or(path, str::to_owned);
        self.list.push(Problem { place, path, text: text.into() });
    }
}
