//! Single values as the types that the program uses, each mistake reported with what to write.
//!
//! Every reader answers nothing where the value is missing or not a single one: [`super::shape`]
//! has reported that.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use super::{Cursor, Report};
use crate::{nearest, units};

/// The longest piece of a value that a message repeats.
const SHOWN: usize = 60;

// === impl Cursor ===

impl Cursor<'_> {
    /// A text that is not empty.
    pub fn read_text(self, report: &mut Report) -> Option<Arc<str>> {
        let text = self.text()?;
        if text.is_empty() {
            report.add(self, "is empty; give it a value, or delete the key");
            return None;
        }
        Some(Arc::from(text))
    }

    /// `true` or `false`.
    pub fn read_bool(self, report: &mut Report) -> Option<bool> {
        self.read_word(&[("true", true), ("false", false)], report)
    }

    /// One of a few words.
    pub fn read_word<T: Copy>(self, words: &[(&'static str, T)], report: &mut Report) -> Option<T> {
        let text = self.text()?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let advice = match nearest(self.typed(), names.iter().copied(), 1).first() {
            Some(name) => format!("is it {name}?"),
            None => "write one of them".to_owned(),
        };
        report.add(self, format!("{} is none of {}; {advice}", self.quoted(), names.join(", ")));
        None
    }

    /// A whole number of at least 1.
    pub fn read_count(self, report: &mut Report) -> Option<NonZeroU32> {
        let text = self.text()?;
        match text.parse::<u32>().map(NonZeroU32::new) {
            Ok(Some(count)) => return Some(count),
            Ok(None) => report.add(self, "is 0, which would let nothing pass; write 1 or more"),
            Err(_) => {
                let quoted = self.quoted();
                report.add(self, format!("{quoted} is no whole number; write one from 1 up"));
            }
        }
        None
    }

    /// A time, `0s` included.
    pub fn read_duration(self, report: &mut Report) -> Option<Duration> {
        match units::parse_duration(self.text()?) {
            Ok(duration) => Some(duration),
            Err(error) => {
                report.add(self, format!("{} {error}", self.quoted()));
                None
            }
        }
    }

    /// A time longer than none.
    pub fn read_period(self, report: &mut Report) -> Option<Duration> {
        let period = self.read_duration(report)?;
        if period.is_zero() {
            report.add(self, "is no time at all; write more than 0s");
            return None;
        }
        Some(period)
    }

    /// A size in bytes.
    pub fn read_size(self, report: &mut Report) -> Option<usize> {
        match units::parse_size(self.text()?) {
            Ok(0) => report.add(self, "is 0, which would let nothing pass; write more"),
            Ok(size) => return Some(size),
            Err(error) => report.add(self, format!("{} {error}", self.quoted())),
        }
        None
    }

    /// The value as it stands in the file, in quotes and cut short, for a message. What is not
    /// to be repeated is not.
    pub fn quoted(self) -> String {
        let typed = self.typed();
        if let Some(instead) = (self.tree().hide)(typed) {
            return instead.to_owned();
        }
        match typed.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{:?}…", &typed[..end]),
            None => format!("{typed:?}"),
        }
    }
}
