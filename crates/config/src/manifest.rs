//! Configurations inside `ConfigMap`s of Kubernetes, as manifests and rendered charts have them.

use std::ops::Range;

use yaml::{Cursor, Form, Report, Tree};

/// A configuration in a file of manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Embedded {
    /// The name of its `ConfigMap`; empty if that has none.
    pub(super) name: String,
    /// Its text.
    pub(super) text: String,
    /// Whether lines and columns of the text are those of the file.
    pub(super) in_place: bool,
}

/// What a document of a file is.
enum Document {
    /// A `ConfigMap`, with the configuration that it holds, if it holds one.
    ConfigMap(Option<Embedded>),
    /// Anything else.
    Other,
}

/// The key that holds a configuration.
const KEY: &str = "slackwater.yaml";

/// Stands in for `$`, so that no `${NAME}` of a configuration is replaced when its `ConfigMap` is read.
const DOLLAR: &str = "\u{e002}";

/// The configurations in a file of manifests; nothing if no document of it is a `ConfigMap`.
pub(super) fn embedded(text: &str) -> Option<Vec<Embedded>> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = None;
    for document in documents(&lines) {
        if lines[document.clone()].iter().any(|line| line.contains("ConfigMap"))
            && let Document::ConfigMap(configuration) = in_document(&lines, document)
        {
            found.get_or_insert_with(Vec::new).extend(configuration);
        }
    }
    found
}

/// The lines of each document.
fn documents(lines: &[&str]) -> Vec<Range<usize>> {
    let mut documents = Vec::new();
    let mut start = 0;
    for (at, line) in lines.iter().enumerate() {
        if line.trim_end() == "---" || line.starts_with("--- ") {
            documents.push(start..at);
            start = at + 1;
        }
    }
    documents.push(start..lines.len());
    documents
}

fn in_document(lines: &[&str], document: Range<usize>) -> Document {
    let text = lines[document.clone()].join("\n").replace('$', DOLLAR);
    // What is wrong with a manifest is for Kubernetes to say.
    let tree = Tree::parse(&text, &|_| None, &mut Report::new(|_| None));
    let root = tree.root();
    if root.get("kind").and_then(Cursor::text) != Some("ConfigMap") {
        return Document::Other;
    }
    let at = root.get("data").and_then(|data| data.get(KEY));
    Document::ConfigMap(at.filter(|at| at.form() == Form::Value).map(|at| {
        let name = root.get("metadata").and_then(|metadata| metadata.get("name")?.text());
        let key = document.start + at.key_place().line - 1;
        let literal = in_place(lines, key, document.end);
        Embedded {
            name: name.unwrap_or_default().to_owned(),
            in_place: literal.is_some(),
            text: literal.unwrap_or_else(|| at.typed().replace(DOLLAR, "$")),
        }
    }))
}

/// The lines of a literal text (`|`) below its key, each where it stands in the file; all others are empty.
fn in_place(lines: &[&str], key: usize, end: usize) -> Option<String> {
    let header = lines[key];
    let (_, after) = header.split_once(KEY)?;
    if !after.trim_start_matches(['"', '\'', ':', ' ']).starts_with('|') {
        return None;
    }
    let indent = |line: &str| line.len() - line.trim_start().len();
    let below = lines[key + 1..end].iter();
    let content = below.take_while(|line| line.trim().is_empty() || indent(line) > indent(header));
    let mut text = "\n".repeat(key + 1);
    for line in content {
        text.push_str(line);
        text.push('\n');
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFESTS: &str = r#"
apiVersion: v1
kind: Service
metadata: { name: other }
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: one
data:
  admin-port: "9090"
  slackwater.yaml: |
    # A comment.
    shared: { redis: "redis://r", password: ${PASSWORD} }

    log: { format: json }
  another: text
---
kind: ConfigMap
metadata: { name: two }
data: { slackwater.yaml: "app: internal\n" }
---
kind: ConfigMap
metadata: { name: none }
data: { other.yaml: "a: b" }
"#;

    #[test]
    fn a_literal_text_stays_where_it_is_and_any_other_is_taken_out() {
        let found = embedded(MANIFESTS).unwrap();
        assert_eq!(found.iter().map(|one| &*one.name).collect::<Vec<_>>(), ["one", "two"]);
        let [one, two] = [&found[0], &found[1]];
        assert!(one.in_place && !two.in_place);
        assert_eq!(two.text, "app: internal\n");
        for (number, line) in one.text.lines().enumerate() {
            let there = MANIFESTS.lines().nth(number).unwrap();
            assert!(line.is_empty() || line == there, "{line} in {number}");
        }
        let lines: Vec<&str> = one.text.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[1].contains("${PASSWORD}"), "nothing is replaced: {lines:?}");
    }

    #[test]
    fn a_configuration_is_no_manifest() {
        assert_eq!(embedded("listen: 127.0.0.1:1\n"), None);
        assert_eq!(embedded("kind: Service\ndata: { slackwater.yaml: ConfigMap }\n"), None);
        assert_eq!(embedded("kind: ConfigMap\ndata: { a: b }\n"), Some(Vec::new()));
        assert_eq!(embedded(""), None);
    }
}
