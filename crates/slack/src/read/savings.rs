//! Which calls of a method need not be sent, as the catalogue says it.

use std::sync::Arc;

use yaml::{Cursor, Report, shape::Shape};

use crate::{Drops, OrderingArgument, Replaces};

const NAMES: Shape = Shape::List(&Shape::Value);

/// The keys of `replaces`.
pub(super) const REPLACES: Shape = Shape::Map(&[
    ("content", NAMES),
    ("fields", NAMES),
    ("may_be_empty", NAMES),
    ("never_with", NAMES),
]);

/// The entries of `drops`.
pub(super) const DROPS: Shape = Shape::List(&Shape::Map(&[
    ("reads", NAMES),
    ("read_by", Shape::Value),
    ("write_by", Shape::Value),
]));

/// By what a newer call replaces an older one.
pub(super) fn replaces(at: Cursor<'_>, report: &mut Report) -> Option<Replaces> {
    let mut list = |key| at.get(key).map_or(Some(Box::default()), |it| names(it, report));
    let (content, fields) = (list("content")?, list("fields")?);
    let (may_be_empty, never_with) = (list("may_be_empty")?, list("never_with")?);
    Some(Replaces { content, fields, may_be_empty, never_with })
}

/// Which remembered answers a write makes old.
pub(super) fn drops(at: Cursor<'_>, report: &mut Report) -> Option<Box<[Drops]>> {
    let one = |it: Cursor<'_>| {
        let reads = it.get("reads").and_then(|it| names(it, report))?;
        let read_by = it.get("read_by").and_then(|it| it.read_text(report));
        let write_by = it.get("write_by").and_then(Cursor::text);
        Some(Drops { reads, read_by, write_by: write_by.and_then(OrderingArgument::parse) })
    };
    at.items().map(one).collect()
}

fn names(at: Cursor<'_>, report: &mut Report) -> Option<Box<[Arc<str>]>> {
    at.items().map(|it| it.read_text(report)).collect()
}
