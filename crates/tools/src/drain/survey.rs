//! The look at the whole backlog before its first call: how much it is, and all that is wrong with it.

use std::{
    collections::BTreeMap,
    fs::File,
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
    /// If it cannot be read, or names more variables than anyone has.
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

// === impl Hashed ===

impl Read for Hashed<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(to)?;
        self.hash.update(&to[..read]);
        Ok(read)
    }
}
