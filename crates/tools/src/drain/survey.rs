//! The look at the whole backlog before its first call: how much it is, and all that is wrong with it.

use std::{
    collections::{BTreeMap, HashMap, HashSet, hash_map::Entry},
    fs::File,
    hash::{BuildHasher as _, RandomState},
    io::{self, Read},
};

use aws_lc_rs::digest::{Context, SHA256};
use slack::push_hex;

use super::{
    call::BacklogCall,
    input::{BadLine, Form, Input, open},
};

/// What is in a backlog.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) calls: u64,
    pub(super) bad: u64,
    /// The first of the bad lines.
    pub(super) shown: Vec<BadLine>,
    /// How many calls of which method; of too many, the rest is `other`.
    pub(super) methods: BTreeMap<String, u64>,
    /// The variables that lines name for their tokens.
    pub(super) variables: BTreeMap<String, u64>,
    /// Whether calls go without a variable of their own.
    pub(super) default_token: bool,
    /// What the ids that the file gives hash to: each is to be the only one of its kind.
    ids: Vec<u64>,
    hasher: RandomState,
    /// The first calls.
    pub(super) first: Vec<BacklogCall>,
    /// What a journal knows it by.
    pub(super) fingerprint: String,
}

/// A reader that hashes what it reads.
struct Hashed<'a> {
    file: File,
    hash: &'a mut Context,
}

/// So many bad lines are shown.
const SHOWN: usize = 20;
/// So many calls are shown by a dry run.
const FIRST: usize = 5;
/// So many methods are told apart, and so many variables taken.
const KINDS: usize = 256;
/// What the rest of the methods goes by.
const OTHER: &str = "other";

// === impl Survey ===

impl Survey {
    /// Reads all of it once.
    ///
    /// # Errors
    /// If it cannot be read, names more variables than anyone has, or gives one id to two calls.
    pub(super) fn of(input: &Input) -> anyhow::Result<Self> {
        let mut hash = Context::new(&SHA256);
        let mut survey = Self::default();
        let file = Hashed { file: open(&input.path)?, hash: &mut hash };
        let mut calls = input.read(file)?;
        while let Some(next) = calls.next()? {
            match next {
                Ok(call) => survey.call(call)?,
                Err(bad) => {
                    survey.bad += 1;
                    if survey.shown.len() < SHOWN {
                        survey.shown.push(bad);
                    }
                }
            }
        }
        drop(calls);
        survey.ids_differ(input)?;
        let form = match &input.form {
            Form::Ndjson { method } => format!("ndjson {method:?}"),
            Form::Csv { method, args } => format!("csv {method} {args:?}"),
        };
        hash.update(form.as_bytes());
        survey.fingerprint.push_str("sha256:");
        push_hex(&mut survey.fingerprint, hash.finish().as_ref());
        Ok(survey)
    }

    fn call(&mut self, call: BacklogCall) -> anyhow::Result<()> {
        self.calls += 1;
        if call.named {
            self.ids.push(self.hash(&call));
        }
        if let Some(calls) = self.methods.get_mut(&call.method) {
            *calls += 1;
        } else {
            let room = self.methods.len() < KINDS;
            let name = if room { call.method.clone() } else { OTHER.to_owned() };
            *self.methods.entry(name).or_default() += 1;
        }
        match &call.token_env {
            None => self.default_token = true,
            Some(name) if !self.variables.contains_key(name) => {
                if self.variables.len() == KINDS {
                    anyhow::bail!("more than {KINDS} variables for tokens are named");
                }
                self.variables.insert(name.clone(), call.line);
            }
            Some(_) => {}
        }
        if self.first.len() < FIRST {
            self.first.push(call);
        }
        Ok(())
    }
}

// === impl Survey, ids ===

impl Survey {
    fn hash(&self, call: &BacklogCall) -> u64 {
        self.hasher.hash_one(call.id.to_string())
    }

    /// Sees that no two calls have one id: nobody could tell which of them a result is of.
    ///
    /// Only where two hashes are alike the file is read again, so that not all ids need be kept.
    fn ids_differ(&mut self, input: &Input) -> anyhow::Result<()> {
        let mut ids = std::mem::take(&mut self.ids);
        ids.sort_unstable();
        let twice = ids.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
        let twice: HashSet<u64> = twice.collect();
        drop(ids);
        if twice.is_empty() {
            return Ok(());
        }
        let mut lines = HashMap::new();
        let mut calls = input.calls()?;
        while let Some(next) = calls.next()? {
            let Ok(call) = next else { continue };
            if !call.named || !twice.contains(&self.hash(&call)) {
                continue;
            }
            match lines.entry(call.id.to_string()) {
                Entry::Vacant(place) => _ = place.insert(call.line),
                Entry::Occupied(place) => anyhow::bail!(
                    "{}: lines {} and {} have the same id; give each call its own, or none",
                    input.path.display(),
                    place.get(),
                    call.line
                ),
            }
        }
        Ok(())
    }
}

// === impl Hashed ===

impl Read for Hashed<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(to)?;
        self.hash.update(&to[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::tempdir;

    use super::*;

    fn survey(lines: &[&str]) -> anyhow::Result<Survey> {
        let directory = tempdir()?;
        let path = directory.path().join("it");
        fs::write(&path, lines.join("\n"))?;
        Survey::of(&Input { path, form: Form::Ndjson { method: Some("a.b".to_owned()) } })
    }

    /// Red when two calls of one id are drained, when the later two of three are named, and when a number
    /// is the same as the text of its digits.
    #[test]
    fn an_id_is_of_one_call() {
        let two = [r#"{"id":"a"}"#, "{}", "[]", r#"{"id":1.5}"#, r#"{"id":"a"}"#, r#"{"id":"a"}"#];
        let error = survey(&two).unwrap_err().to_string();
        assert!(error.contains("lines 1 and 5 have the same id"), "{error}");
        let error = survey(&[r#"{"id":7}"#, r#"{"id":7}"#]).unwrap_err().to_string();
        assert!(error.contains("lines 1 and 2"), "{error}");
        let many: Vec<_> = (0..3000).map(|n| format!("{{\"id\":{n}}}")).collect();
        assert_eq!(
            survey(&many.iter().map(String::as_str).collect::<Vec<_>>()).unwrap().calls,
            3000
        );
        let differ = [r#"{"id":1}"#, r#"{"id":"1"}"#, r#"{"id":"a"}"#, "{}", r#"{"id":"A"}"#];
        assert_eq!(survey(&differ).unwrap().calls, 5);
    }
}
