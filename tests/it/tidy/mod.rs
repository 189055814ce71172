//! What can be read from the source: who may use whom, what must not be in it, and that what is in it
//! is documented.
//!
//! `scripts/mutate-tidy` plays the mistakes that these tests are there for, and sees each of them red.

mod floors;
mod pure;
mod source;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use self::source::code;

/// The repository; another copy of it where the variable says so.
static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    #[expect(clippy::disallowed_methods, reason = "a test is told where to look, and nothing else")]
    let other = std::env::var_os("SLACKWATER_TIDY_ROOT");
    other.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
});

fn root() -> &'static Path {
    &ROOT
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files at or below a path whose names end so, as paths from the root.
fn files(at: &str, end: &str) -> Vec<PathBuf> {
    let mut left = vec![root().join(at)];
    let mut found = Vec::new();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.to_string_lossy().ends_with(end) {
            found.push(path.strip_prefix(root()).unwrap().to_owned());
        }
    }
    assert!(!found.is_empty(), "{at}: nothing there ends with {end}");
    found.sort();
    found
}

/// What stands between quotes or backticks and consists of such characters.
fn words(text: &str, quote: char, of: impl Fn(char) -> bool + Copy) -> BTreeSet<&str> {
    text.split(quote).filter(|word| !word.is_empty() && word.chars().all(of)).collect()
}

fn is_in_name(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
}

fn metric_names(text: &str) -> BTreeSet<String> {
    let parts = text.split("slackwater_").skip(1);
    let names = parts.map(|part| part.split(|it: char| !is_in_name(it)));
    names.filter_map(|mut name| name.next()).map(str::to_owned).collect()
}

#[test]
fn every_file_says_first_what_it_is_for() {
    for path in ["src", "crates", "tests", "benches"].into_iter().flat_map(|at| files(at, ".rs")) {
        let text = read(&path);
        let first = text.lines().next().unwrap_or_default();
        assert!(first.starts_with("//! "), "{} begins with {first:?}", path.display());
    }
}

#[test]
fn the_code_map_is_true() {
    let text = read("ARCHITECTURE.md");
    let (_, map) = text.split_once("## Code map").unwrap();
    let (map, _) = map.split_once("\n## ").unwrap();
    let named = words(map, '`', |it| it.is_ascii_alphanumeric() || "/._-".contains(it));
    // A path; not one of a page.
    for path in named.iter().filter(|path| path.contains('/') && !path.starts_with('/')) {
        assert!(root().join(path).exists(), "the code map has {path}, which there is not");
    }
    let listed = |path: &str| named.iter().any(|it| it.trim_end_matches('/') == path);
    for folder in ["src", "crates"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name();
            let path = format!("{folder}/{}", name.to_string_lossy());
            // Not the list of modules; the parts of a listed file are with it.
            let is_known = path == "src/lib.rs" || listed(&path) || listed(&format!("{path}.rs"));
            assert!(is_known, "the code map does not have {path}");
        }
    }
}

#[test]
fn every_metric_is_documented_and_no_other() {
    let documented = metric_names(&read("docs/watching.md"));
    let mut registered = BTreeSet::new();
    for path in files("src", ".rs") {
        let code = source::shipped(&read(path));
        registered.extend(code.split('"').filter_map(|text| {
            let name = text.strip_prefix("slackwater_")?;
            name.chars().all(is_in_name).then(|| name.to_owned())
        }));
    }
    assert_eq!(registered, documented);
}

#[test]
fn every_key_of_a_configuration_is_documented() {
    let documented = read("config/slackwater.yaml");
    for path in ["crates/config/src/keys.rs", "crates/slack/src/read/limit.rs"] {
        let code = source::shipped(&read(path));
        for part in code.split("(\"").skip(1) {
            let Some((key, rest)) = part.split_once('"') else { continue };
            // `("key", Shape)`, on one line or two. What is not built is refused, and need not be told.
            let shape = rest.trim_start_matches(',').trim_start();
            let is_key =
                rest.starts_with(',') && shape.starts_with(|it: char| it.is_ascii_uppercase());
            if is_key && !shape.starts_with("Unbuilt") {
                let is_told = documented.contains(&format!("{key}:"));
                assert!(is_told, "{path} has the key {key}, and config/slackwater.yaml has not");
            }
        }
    }
}

/// As a forge makes an anchor of a heading.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|it| it.is_alphanumeric() || " -_".contains(*it));
    kept.map(|it| if it == ' ' { '-' } else { it }).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let pages = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"];
    let pages = pages.map(PathBuf::from);
    let pages = pages.into_iter().chain(files("docs", ".md")).chain(files("deploy", ".md"));
    let more = ["tests/README.md", "benches/RESULTS.md"].map(PathBuf::from);
    for page in pages.chain(more) {
        let text = read(&page);
        for part in text.split("](").skip(1) {
            let Some((link, _)) = part.split_once(')') else { continue };
            if link.contains("://") || link.contains(char::is_whitespace) {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            assert!(root().join(&target).exists(), "{}: {link}", page.display());
            if !heading.is_empty() {
                let text = read(&target);
                let mut headings = text.lines().filter(|line| line.starts_with('#')).map(anchor);
                assert!(headings.any(|it| it == heading), "{}: {link}", page.display());
            }
        }
    }
}
