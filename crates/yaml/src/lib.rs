//! YAML with positions: what was typed as a tree, and every problem in it at once.
//!
//! A reader of a file goes three steps, each adding to one [`Report`] and none stopping at the
//! first mistake:
//!
//! 1. [`Tree::parse`]: syntax, duplicate keys, `${NAME}`;
//! 2. [`shape::check`]: which keys there are, and which hold mappings, lists or single values;
//! 3. the methods of [`Cursor`]: what the values mean.
//!
//! A later step stays silent about what an earlier one reported. Whoever gets a value from the
//! last step uses it only after [`Report::finish`] found nothing.

mod build;
mod expand;
mod nearest;
mod problem;
mod read;
pub mod shape;
mod tree;
pub mod units;

pub use build::MAX_BYTES;
pub use nearest::nearest;
pub use problem::{Hide, Place, Problem, Problems, Report};
pub use tree::{Cursor, Form, Tree};

#[cfg(test)]
mod tests;
