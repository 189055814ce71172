//! Who may use whom: modules of the proxy stand on floors, crates point at what they depend on.

use std::collections::BTreeSet;

use super::{code, files, read};

/// The modules of the proxy, lowest floor first. A module uses only what is below it; those of one
/// floor do not use each other.
const FLOORS: [&[&str]; 17] = [
    &["causes", "clicks", "step"],
    &["metrics"],
    &["call", "telemetry"],
    &["dead", "identity", "pauses"],
    &["state"],
    &["queue"],
    &["joint"],
    &["inbound", "outbound", "store"],
    &["edits", "reads"],
    &["traces"],
    &["respond"],
    &["shared"],
    &["stack"],
    &["reload"],
    &["admin"],
    &["app"],
    &["cli"],
];

/// The crates of this workspace that each crate depends on, also for its tests. What is not in a
/// manifest the compiler refuses.
const ARROWS: [(&str, &[&str]); 11] = [
    ("limits", &[]),
    ("yaml", &[]),
    ("heap", &[]),
    ("slack", &["limits", "yaml"]),
    ("scheduler", &["limits"]),
    // Nothing depends on it, and it shares no code with what it is a model of.
    ("lease-model", &[]),
    ("fake-slack", &["limits", "slack", "yaml"]),
    ("config", &["limits", "slack", "yaml"]),
    ("console", &["config", "limits", "yaml"]),
    ("tools", &["config", "console", "fake-slack", "limits", "scheduler", "slack", "yaml"]),
    (
        "",
        &[
            "config",
            "console",
            "fake-slack",
            "heap",
            "limits",
            "scheduler",
            "slack",
            "tools",
            "yaml",
        ],
    ),
];

/// The crates that the standard library, and so every clock, lock, file and socket, is kept from.
const NO_STD: [&str; 2] = ["crates/limits/src/lib.rs", "crates/scheduler/src/lib.rs"];

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|modules| modules.contains(&module))
}

/// The top-level modules that a file uses: in `use`, at any depth, and in paths amid the code, its
/// test modules included. `depth` is how many modules the file itself is deep.
fn used(code: &str, depth: usize) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(first_names(group)),
            None => found.extend(name(rest)),
        }
    }
    // The crate's root may be reached from below, too.
    for (at, _) in code.match_indices("super::") {
        if code[..at].ends_with("super::") {
            continue;
        }
        let mut rest = &code[at..];
        let mut up = 0;
        while let Some(further) = rest.strip_prefix("super::") {
            (rest, up) = (further, up + 1);
        }
        if up >= depth {
            let names = match rest.strip_prefix('{') {
                Some(group) => first_names(group),
                None => name(rest).into_iter().collect(),
            };
            found.extend(names.into_iter().filter(|name| floor(name).is_some()));
        }
    }
    found
}

fn name(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    Some(text[..end].to_owned()).filter(|name| !name.is_empty())
}

/// The first name of each path in a group, up to its closing brace.
fn first_names(group: &str) -> Vec<String> {
    let (mut depth, mut begins, mut found) = (0_usize, true, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            c if c.is_whitespace() => {}
            _ => {
                if begins {
                    found.extend(name(&group[at..]));
                }
                begins = false;
            }
        }
    }
    found
}

#[test]
fn no_module_uses_what_is_above_it() {
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for path in files("src", ".rs") {
        let place = path.strip_prefix("src").unwrap().with_extension("");
        let parts: Vec<_> = place.iter().map(|part| part.to_string_lossy()).collect();
        let module = &*parts[0];
        if ["lib", "main"].contains(&module) {
            continue;
        }
        let own = floor(module).unwrap_or_else(|| panic!("src/{module} stands on no floor"));
        seen.insert(module.to_owned());
        let depth = parts.len() - usize::from(parts.last().is_some_and(|last| last == "mod"));
        for other in used(&code(&read(&path)), depth) {
            let Some(other_floor) = floor(&other) else { continue };
            if other != module && other_floor >= own {
                wrong.push(format!("{}: {module} uses {other}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows upward:\n{}", wrong.join("\n"));
    let all: BTreeSet<_> = FLOORS.iter().flat_map(|floor| floor.iter().copied()).collect();
    let gone: Vec<_> = all.iter().filter(|module| !seen.contains(**module)).collect();
    assert!(gone.is_empty(), "no such modules: {gone:?}");
}

/// The crates of the workspace that a manifest names, also for tests.
fn depends_on(manifest: &str) -> BTreeSet<String> {
    let names: BTreeSet<_> = ARROWS.iter().map(|(name, _)| *name).collect();
    let mut within = false;
    let mut found = BTreeSet::new();
    for line in manifest.lines() {
        if let Some(section) = line.strip_prefix('[') {
            within = section.contains("dependencies") && !section.starts_with("workspace");
        }
        let key = line.split(['.', ' ', '=']).next().unwrap_or_default();
        let package = line.split("slackwater-").nth(1).and_then(|rest| rest.split('"').next());
        for name in [Some(key), package].into_iter().flatten() {
            if within && !name.is_empty() && names.contains(name) {
                found.insert(name.to_owned());
            }
        }
    }
    found
}

#[test]
fn crates_depend_on_what_they_may_and_on_no_other() {
    for (name, may) in ARROWS {
        let manifest = match name {
            "" => "Cargo.toml".to_owned(),
            name => format!("crates/{name}/Cargo.toml"),
        };
        let found = depends_on(&read(&manifest));
        let may = may.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(found, may, "{manifest}");
    }
    let crates = files("crates", "Cargo.toml");
    assert_eq!(crates.len() + 1, ARROWS.len(), "a crate is not in the list: {crates:?}");
}

#[test]
fn what_knows_no_clock_is_built_without_the_standard_library() {
    for path in NO_STD {
        let text = read(path);
        assert!(
            text.lines()
                .any(|line| line.starts_with("#![cfg_attr(not(") && line.ends_with("), no_std)]")),
            "{path} is not no_std"
        );
        for file in files(path.trim_end_matches("/lib.rs"), ".rs") {
            let brought_back = code(&read(&file)).contains("extern crate std");
            assert!(!brought_back, "{} brings the standard library back", file.display());
        }
    }
}
