//! From the parser's events to a tree: bounded, with duplicates and YAML's rarer parts reported.

use std::collections::{HashMap, hash_map::Entry};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};

use super::{
    Place, Report, Tree,
    expand::{self, ExpandError, expand, mask, unmask},
    tree::{Node, Scalar, Step, Value},
};

/// The longest file that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// How many items a list may have. Some are compared with each other, and some looked through for each
/// call.
const MAX_ITEMS: usize = 1000;

/// How deep mappings and lists may be nested.
const MAX_DEPTH: usize = 16;

/// The builder's state between two events.
struct Build<'r> {
    tree: Tree,
    open: Vec<Open>,
    env: &'r dyn Fn(&str) -> Option<String>,
    /// How many bytes may still come from there.
    room: usize,
    report: &'r mut Report,
}

/// A mapping or list whose end has not come yet.
struct Open {
    id: usize,
    /// A mapping's key that waits for its value.
    key: Option<(String, Place)>,
    /// A mapping's keys so far.
    seen: HashMap<String, Place>,
}

/// The rest of the file makes no sense; why has been reported.
struct Stop;

// === impl Tree ===

impl Tree {
    /// Reads a document, replacing `${NAME}` in its values from `env`.
    ///
    /// What is wrong goes to the report. The tree holds what could be read before.
    pub fn parse(text: &str, env: &dyn Fn(&str) -> Option<String>, report: &mut Report) -> Self {
        let root = Node {
            parent: 0,
            step: Step::Root,
            place: Place { line: 1, column: 1 },
            value: Value::Null,
        };
        let tree = Self { nodes: vec![root], hide: report.hide() };
        let mut build = Build { tree, open: Vec::new(), env, room: MAX_BYTES, report };
        // Whoever stops has reported why.
        let _ = build.document(text.strip_prefix('\u{feff}').unwrap_or(text));
        build.tree
    }
}

// === impl Build ===

impl Build<'_> {
    fn document(&mut self, text: &str) -> Result<(), Stop> {
        let start = Place { line: 1, column: 1 };
        if text.len() > MAX_BYTES {
            return self.stop(start, "the file is longer than 1 MiB; nothing in it was read");
        }
        if let Some(at) = expand::reserved(text) {
            let before = &text[..at];
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            return self.stop(
                Place { line, column },
                "holds a character for private use (U+E000 or U+E001); delete it",
            );
        }
        let masked = mask(text);
        let mut documents = 0;
        for event in Parser::new_from_str(&masked) {
            let (event, span) = match event {
                Ok(event) => event,
                Err(error) => {
                    let what = format!("not YAML: {}", error.info());
                    return self.stop(place_of(*error.marker()), &what);
                }
            };
            if matches!(event, Event::DocumentStart(_)) {
                documents += 1;
                if documents > 1 {
                    let what = "a second document; one file is one document, so delete the `---`";
                    return self.stop(place_of(span.start), what);
                }
            }
            self.event(event, span)?;
        }
        Ok(())
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        let place = place_of(span.start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let text = unmask(&text);
                if self.takes_key() {
                    return self.key(text, place, anchor > 0 || tag.is_some());
                }
                let id = self.scalar(text, style, place)?;
                self.refuse(id, anchor, tag.is_some());
            }
            Event::SequenceStart(anchor, tag) => {
                let id = self.start(Value::List(Vec::new()), place)?;
                self.refuse(id, anchor, tag.is_some());
            }
            Event::MappingStart(anchor, tag) => {
                let id = self.start(Value::Map(Vec::new()), place)?;
                self.refuse(id, anchor, tag.is_some());
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.open.pop();
            }
            Event::Alias(_) => {
                let what = "an alias (*name) is not read here; write the value out";
                if self.takes_key() {
                    return self.stop(place, what);
                }
                let id = self.node(Value::Broken, place)?;
                self.report.add(self.tree.cursor(id), what);
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => {}
        }
        Ok(())
    }

    /// Whether the next node is the key of a mapping.
    fn takes_key(&self) -> bool {
        self.open.last().is_some_and(|open| {
            open.key.is_none() && matches!(self.tree.nodes[open.id].value, Value::Map(_))
        })
    }

    fn key(&mut self, key: String, place: Place, decorated: bool) -> Result<(), Stop> {
        if key == "<<" {
            return self.stop(place, "merge keys (<<) are not read here; write the keys out");
        }
        if decorated {
            return self.stop(place, "a key with an anchor or a tag is not read here; delete it");
        }
        if let Some(open) = self.open.last_mut() {
            open.key = Some((key, place));
        }
        Ok(())
    }

    fn scalar(&mut self, typed: String, style: ScalarStyle, place: Place) -> Result<usize, Stop> {
        let null = matches!(typed.as_str(), "" | "~" | "null" | "Null" | "NULL");
        if null && style == ScalarStyle::Plain {
            return self.node(Value::Null, place);
        }
        match expand(&typed, self.env, &mut self.room) {
            Ok(expanded) => self.node(Value::Scalar(Scalar { typed, expanded }), place),
            Err(error) => {
                let id = self.node(Value::Broken, place)?;
                let (at, text) = (self.tree.cursor(id), error.to_string());
                match error {
                    ExpandError::Unset(_) => self.report.add_absent(at, text),
                    ExpandError::Malformed | ExpandError::TooLong => self.report.add(at, text),
                }
                if error == ExpandError::TooLong { Err(Stop) } else { Ok(id) }
            }
        }
    }

    fn start(&mut self, value: Value, place: Place) -> Result<usize, Stop> {
        if self.takes_key() {
            self.stop(place, "a key is a mapping or a list; write a name")?;
        }
        if self.open.len() == MAX_DEPTH {
            self.stop(place, "nested more than 16 deep; nothing here goes so deep")?;
        }
        let id = self.node(value, place)?;
        self.open.push(Open { id, key: None, seen: HashMap::new() });
        Ok(id)
    }

    /// Adds a node to the container that is open, or as the root.
    fn node(&mut self, value: Value, place: Place) -> Result<usize, Stop> {
        let is_full = self.open.last().is_some_and(|open| {
            matches!(&self.tree.nodes[open.id].value, Value::List(items) if items.len() == MAX_ITEMS)
        });
        if is_full {
            self.stop(place, "a list of more than 1000 items; nothing after these was read")?;
        }
        let Some(open) = self.open.last_mut() else {
            self.tree.nodes[0].value = value;
            self.tree.nodes[0].place = place;
            return Ok(0);
        };
        let (id, parent) = (self.tree.nodes.len(), open.id);
        let mut first = None;
        let step = match (open.key.take(), &self.tree.nodes[parent].value) {
            (Some((key, at)), _) => {
                match open.seen.entry(key.clone()) {
                    Entry::Occupied(entry) => first = Some(*entry.get()),
                    Entry::Vacant(free) => {
                        free.insert(at);
                    }
                }
                Step::Key(key, at)
            }
            (None, Value::List(items)) => Step::Index(items.len()),
            (None, _) => Step::Index(0),
        };
        self.tree.nodes.push(Node { parent, step, place, value });
        if let Some(first) = first {
            // The second knows its parent, but its parent does not know it: nobody reads it.
            let at = self.tree.cursor(id);
            let what = format!("is there twice, first on line {}; delete one of them", first.line);
            self.report.add_at(at.key_place(), at.path(), what);
        } else if let Value::Map(ids) | Value::List(ids) = &mut self.tree.nodes[parent].value {
            ids.push(id);
        }
        Ok(id)
    }

    /// Anchors and tags would change nothing here, so that they are mistakes.
    fn refuse(&mut self, id: usize, anchor: usize, tagged: bool) {
        let at = self.tree.cursor(id);
        if anchor > 0 {
            self.report.add(at, "an anchor (&name) is not read here; delete it");
        }
        if tagged {
            self.report.add(at, "a tag (!name) is not read here; delete it");
        }
    }

    fn stop(&mut self, place: Place, what: &str) -> Result<(), Stop> {
        self.report.add_at(place, String::new(), what);
        Err(Stop)
    }
}

/// The parser counts columns from 0.
fn place_of(marker: Marker) -> Place {
    Place { line: marker.line(), column: marker.col() + 1 }
}
