//! Which keys a file may have, as a table, and the check of a tree against it.

use super::{Cursor, Report, tree::Form};
use crate::nearest;

/// What may stand in a place.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// A single value.
    Value,
    /// A single value, or null for none.
    Nullable,
    /// A mapping with these keys, each at most once.
    Map(&'static [(&'static str, Shape)]),
    /// A mapping with names of the operator's choosing.
    Named(&'static Shape),
    /// A list.
    List(&'static Shape),
    /// A single value, or a list of such.
    ValueOrList,
    /// Anything, but what the key does is not built.
    Unbuilt {
        /// What the key would do, as the beginning of a sentence: `shadow mode is`.
        what: &'static str,
        /// The values that ask for nothing; the first is the one to advise.
        inert: &'static [&'static str],
    },
}

/// Reports every key that the shape does not know, every value of another form, and every key
/// that asks for what is not built.
pub fn check(at: Cursor<'_>, shape: &Shape, report: &mut Report) {
    match (shape, at.form()) {
        (_, Form::Broken)
        | (Shape::Value | Shape::Nullable | Shape::ValueOrList, Form::Value)
        | (Shape::Nullable | Shape::Map(_) | Shape::Named(_) | Shape::List(_), Form::Null) => {}
        (Shape::Map(keys), Form::Map) => {
            for (key, value) in at.entries() {
                match keys.iter().find(|(name, _)| *name == key) {
                    Some((_, shape)) => check(value, shape, report),
                    None => unknown(value, key, keys, report),
                }
            }
        }
        (Shape::Named(shape), Form::Map) => {
            for (_, value) in at.entries() {
                check(value, shape, report);
            }
        }
        (Shape::List(shape), Form::List) => {
            for item in at.items() {
                check(item, shape, report);
            }
        }
        (Shape::ValueOrList, Form::List) => {
            for item in at.items() {
                check(item, &Shape::Value, report);
            }
        }
        (Shape::Unbuilt { what, inert }, _) => {
            if !inert.contains(&written(at)) {
                let advised = inert[0];
                let text = format!("{what} not built yet; delete the key or set it to {advised}");
                report.add(at, text);
            }
        }
        (Shape::Value | Shape::ValueOrList, Form::Null) => {
            report.add(at, "has no value; give it one, or delete the key");
        }
        (Shape::Value | Shape::Nullable, Form::List | Form::Map) => {
            report.add(at, format!("is a {}; write a single value", form(at)));
        }
        (Shape::ValueOrList, Form::Map) => {
            report.add(at, "is a mapping; write a single value, or a list, as in [a, b]");
        }
        (Shape::Map(_) | Shape::Named(_), Form::Value | Form::List) => {
            report.add(at, format!("is a {}; write a mapping, `key: value` each", form(at)));
        }
        (Shape::List(_), Form::Value | Form::Map) => {
            report.add(at, format!("is a {}; write a list, as in [a, b]", form(at)));
        }
    }
}

fn unknown(value: Cursor<'_>, key: &str, keys: &[(&'static str, Shape)], report: &mut Report) {
    let names = keys.iter().map(|(name, _)| *name);
    let advice = match nearest(key, names.clone(), 1).first() {
        Some(name) => format!("is it {name}?"),
        None => format!("the keys here are {}", names.collect::<Vec<_>>().join(", ")),
    };
    let text = format!("is no key here; {advice}");
    report.add_at(value.key_place(), value.path(), text);
}

fn form(at: Cursor<'_>) -> &'static str {
    match at.form() {
        Form::List => "list",
        Form::Map => "mapping",
        Form::Null | Form::Value | Form::Broken => "single value",
    }
}

/// A value as a table of inert ones writes it; empty for what such a table never holds.
fn written(at: Cursor<'_>) -> &str {
    match at.form() {
        Form::Null => "null",
        Form::Value => at.text().unwrap_or(""),
        Form::List if at.items().next().is_none() => "[]",
        Form::Map if at.entries().next().is_none() => "{}",
        Form::List | Form::Map | Form::Broken => "",
    }
}
