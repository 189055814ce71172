//! What was typed, as a tree that knows where everything stands.

use std::{fmt::Write as _, iter};

use super::{Hide, Place};

/// A YAML document. Nodes lie in one vector and refer to each other by index; the root is the
/// first.
#[derive(Debug)]
pub struct Tree {
    pub(super) nodes: Vec<Node>,
    pub(super) hide: Hide,
}

/// A node of a [`Tree`]. Copied freely.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'t> {
    tree: &'t Tree,
    id: usize,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) parent: usize,
    pub(super) step: Step,
    pub(super) place: Place,
    pub(super) value: Value,
}

/// How a node is reached from its parent.
#[derive(Debug)]
pub(super) enum Step {
    Root,
    Key(String, Place),
    Index(usize),
}

#[derive(Debug)]
pub(super) enum Value {
    /// No value, or `null`.
    Null,
    Scalar(Scalar),
    List(Vec<usize>),
    Map(Vec<usize>),
    /// What stood here could not be used and has been reported.
    Broken,
}

/// A single value.
#[derive(Debug)]
pub(super) struct Scalar {
    /// As it stands in the file.
    pub(super) typed: String,
    /// With `${NAME}` replaced, where that changes anything.
    pub(super) expanded: Option<String>,
}

/// What kind of node it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Nothing, or `null`.
    Null,
    /// A single value.
    Value,
    /// A list.
    List,
    /// A mapping.
    Map,
    /// Reported already: say nothing.
    Broken,
}

// === impl Tree ===

impl Tree {
    /// The node that holds all others.
    pub fn root(&self) -> Cursor<'_> {
        self.cursor(0)
    }

    pub(super) fn cursor(&self, id: usize) -> Cursor<'_> {
        Cursor { tree: self, id }
    }
}

// === impl Cursor ===

impl<'t> Cursor<'t> {
    pub(super) fn tree(self) -> &'t Tree {
        self.tree
    }

    /// The value under a key, if the node is a mapping that has it.
    pub fn get(self, key: &str) -> Option<Self> {
        self.entries().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The entries of a mapping in their order; of anything else, none.
    pub fn entries(self) -> impl Iterator<Item = (&'t str, Self)> {
        let ids = match &self.node().value {
            Value::Map(ids) => ids.as_slice(),
            _ => &[],
        };
        ids.iter().filter_map(move |&id| match &self.tree.nodes[id].step {
            Step::Key(key, _) => Some((key.as_str(), Self { tree: self.tree, id })),
            _ => None,
        })
    }

    /// The items of a list; of anything else, none.
    pub fn items(self) -> impl Iterator<Item = Self> {
        let ids = match &self.node().value {
            Value::List(ids) => ids.as_slice(),
            _ => &[],
        };
        ids.iter().map(move |&id| Self { tree: self.tree, id })
    }

    /// What kind of node it is.
    pub fn form(self) -> Form {
        match self.node().value {
            Value::Null => Form::Null,
            Value::Scalar(_) => Form::Value,
            Value::List(_) => Form::List,
            Value::Map(_) => Form::Map,
            Value::Broken => Form::Broken,
        }
    }

    /// A single value's text, with `${NAME}` replaced. Not for messages.
    pub fn text(self) -> Option<&'t str> {
        match &self.node().value {
            Value::Scalar(scalar) => Some(scalar.expanded.as_ref().unwrap_or(&scalar.typed)),
            _ => None,
        }
    }

    /// A single value as it stands in the file, for messages: `${NAME}` is not replaced.
    pub fn typed(self) -> &'t str {
        match &self.node().value {
            Value::Scalar(scalar) => &scalar.typed,
            _ => "",
        }
    }

    /// Where a problem with the node is shown: a single value itself, else its key.
    pub fn place(self) -> Place {
        let node = self.node();
        match (&node.step, &node.value) {
            (Step::Key(_, place), Value::Null | Value::List(_) | Value::Map(_)) => *place,
            _ => node.place,
        }
    }

    /// Where the key stands under which the node is found.
    pub fn key_place(self) -> Place {
        match &self.node().step {
            Step::Key(_, place) => *place,
            _ => self.node().place,
        }
    }

    /// The way to the node: `upstreams[0].url`.
    pub fn path(self) -> String {
        let mut way: Vec<usize> =
            iter::successors(Some(self.id), |&id| (id != 0).then(|| self.tree.nodes[id].parent))
                .collect();
        way.reverse();
        let mut path = String::new();
        for id in way {
            // Writing to a string cannot fail.
            let _ = match &self.tree.nodes[id].step {
                Step::Root => Ok(()),
                Step::Key(key, _) if path.is_empty() => write!(path, "{key}"),
                Step::Key(key, _) => write!(path, ".{key}"),
                Step::Index(index) => write!(path, "[{index}]"),
            };
        }
        path
    }

    fn node(self) -> &'t Node {
        &self.tree.nodes[self.id]
    }
}
