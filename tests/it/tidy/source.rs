//! Source text without what the compiler does not read, and paths as they are meant.

use std::collections::BTreeSet;

/// The text without comments. Strings stay: what is looked for does not stand in them.
pub(super) fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    for line in text.lines() {
        let end = line.find("//").filter(|at| !line[..*at].ends_with(':')).unwrap_or(line.len());
        code.push_str(&line[..end]);
        code.push('\n');
    }
    code
}

/// The code without what is compiled for tests only: items after `#[cfg(test)]`, wherever they stand.
pub(super) fn shipped(text: &str) -> String {
    const TEST: &str = "#[cfg(test)]";
    let mut left = code(text);
    while let Some(at) = left.find(TEST) {
        let after = at + TEST.len();
        let end = item_end(&left[after..]).map_or(left.len(), |end| after + end);
        left.replace_range(at..end, "");
    }
    left
}

/// Where an item ends: at its closing brace, or at a semicolon before any.
fn item_end(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth <= 1 => return Some(at + 1),
            '}' => depth -= 1,
            ';' if depth == 0 => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Every path that a code names: those of `use`, each written out, and those amid the code.
pub(super) fn paths(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut rest = code;
    while let Some(at) = rest.find("use ") {
        let is_start = rest[..at].ends_with(|c: char| c.is_whitespace() || c == ')') || at == 0;
        rest = &rest[at + "use ".len()..];
        let Some(end) = rest.find(';') else { break };
        if is_start {
            // Without the white space within it, but for that around `as`.
            let tree = rest[..end].split_whitespace().collect::<Vec<_>>().join(" ");
            write_out(String::new(), &tree, &mut found);
        }
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    found.extend(code.split(|c| !is_part(c)).filter(|it| it.contains("::")).map(str::to_owned));
    found
}

fn write_out(before: String, tree: &str, found: &mut BTreeSet<String>) {
    let Some((path, group)) = tree.split_once('{') else {
        let path = tree.trim();
        found.insert(before + path.split(' ').next().unwrap_or_default());
        return;
    };
    let before = before + path.trim();
    let (mut depth, mut from) = (0_usize, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                if from < at {
                    write_out(before.clone(), &group[from..at], found);
                }
                from = at + 1;
            }
            _ => {}
        }
    }
}

#[test]
fn paths_are_written_out() {
    let code = "use std::{fs, sync::{Arc, Mutex as Lock}};\nfn f() { tokio::spawn(g()); }";
    let paths = paths(code);
    for path in ["std::fs", "std::sync::Arc", "std::sync::Mutex", "tokio::spawn"] {
        assert!(paths.contains(path), "{path}: {paths:?}");
    }
}

#[test]
fn only_what_is_shipped_is_left() {
    let text =
        "a();\n#[cfg(test)]\nmod tests { fn b() { c(); } }\n#[cfg(test)]\nmod more;\nd(); // e()";
    assert_eq!(shipped(text).split_whitespace().collect::<Vec<_>>(), ["a();", "d();"]);
}
