//! Trees from texts: places, paths, and everything that YAML has and a configuration has not.

use super::*;

fn env(name: &str) -> Option<String> {
    match name {
        "PORT" => Some("8080".to_owned()),
        "NASTY" => Some("a: [b\n${PORT}".to_owned()),
        _ => None,
    }
}

fn problems(text: &str) -> String {
    let mut report = Report::new(|_| None);
    Tree::parse(text, &env, &mut report);
    report.finish("f").err().map_or_else(String::new, |problems| problems.to_string())
}

fn value(text: &str, path: &[&str]) -> Option<String> {
    let mut report = Report::new(|_| None);
    let tree = Tree::parse(text, &env, &mut report);
    report.finish("f").unwrap();
    let mut at = tree.root();
    for key in path {
        at = at.get(key)?;
    }
    at.text().map(str::to_owned)
}

#[test]
fn values_are_found_under_their_keys() {
    let text = "a: { b: 'x y', c: [1, 2] }\nd: |\n  two\n  lines\n";
    assert_eq!(value(text, &["a", "b"]).as_deref(), Some("x y"));
    assert_eq!(value(text, &["d"]).as_deref(), Some("two\nlines\n"));
    assert_eq!(value(text, &["a", "c"]), None);
    assert_eq!(value(text, &["e"]), None);
}

#[test]
fn variables_are_replaced_in_every_kind_of_value() {
    for text in [
        "a: ${PORT}",
        "a: '${PORT}'",
        "a: \"${PORT}\"",
        "{ a: ${PORT} }",
        "{ a: ${PORT}, b: [${PORT}] } # ${UNSET}",
        "a: >-\n  ${PORT}",
    ] {
        assert_eq!(value(text, &["a"]).as_deref(), Some("8080"), "{text}");
    }
    assert_eq!(value("a: :${PORT}/", &["a"]).as_deref(), Some(":8080/"));
    assert_eq!(value("{ a: $${PORT} }", &["a"]).as_deref(), Some("${PORT}"));
    assert_eq!(value("a: ${NASTY}", &["a"]).as_deref(), Some("a: [b\n${PORT}"));
}

#[test]
fn nothing_and_null_are_no_value_and_quoted_they_are_text() {
    for text in ["a:", "a: ~", "a: null"] {
        assert_eq!(value(text, &["a"]), None, "{text}");
    }
    assert_eq!(value("a: 'null'", &["a"]).as_deref(), Some("null"));
    for text in ["", "# nothing\n", "---\n", "\u{feff}a: b"] {
        assert_eq!(problems(text), "", "{text}");
    }
}

#[test]
fn what_is_no_tree_is_reported_with_its_place() {
    for (text, problem) in [
        (
            "a: 1\nb:\n  a: 1\n  a: 2\n",
            "f:4:3: b.a: is there twice, first on line 3; delete one of them",
        ),
        ("a: 1\n'a': 2\n", "f:2:1: a: is there twice, first on line 1; delete one of them"),
        (
            "a: [{b: 1, b: {}}]",
            "f:1:12: a[0].b: is there twice, first on line 1; delete one of them",
        ),
        ("a: &x 1", "f:1:4: a: an anchor (&name) is not read here; delete it"),
        ("a: !!str 1", "f:1:4: a: a tag (!name) is not read here; delete it"),
        ("<<: { a: 1 }", "f:1:1: merge keys (<<) are not read here; write the keys out"),
        ("? [a]\n: b", "f:1:3: a key is a mapping or a list; write a name"),
        (
            "a: 1\n---\nb: 2",
            "f:2:1: a second document; one file is one document, so delete the `---`",
        ),
        ("a: \u{e000}", "f:1:4: holds a character for private use (U+E000 or U+E001); delete it"),
        (
            "a: ${UNSET}",
            "f:1:4: a: the environment variable UNSET is not set; set it, or write $${UNSET} for the text itself",
        ),
        (
            "[1, '${']",
            "f:1:5: [1]: holds a ${ without a name and a closing brace; write ${NAME}, or $${ for the text itself",
        ),
    ] {
        assert_eq!(problems(text), problem, "{text}");
    }
}

#[test]
fn an_alias_is_reported_and_the_rest_is_read() {
    assert_eq!(
        problems("a: &x 1\nb: *x\nc: ${UNSET}\n").lines().count(),
        3,
        "{}",
        problems("a: &x 1\nb: *x\nc: ${UNSET}\n")
    );
}

#[test]
fn syntax_errors_have_a_line() {
    for (text, start) in [
        ("a: 1\nb: [1, 2\nc: 3\n", "f:3:"),
        ("a: 1\n b: 2\n", "f:2:"),
        ("a: 'x\n", "f:1:"),
        ("a:\n\t- b\n", "f:2:"),
        ("a: @b", "f:1:"),
    ] {
        let problems = problems(text);
        assert!(problems.starts_with(start), "{text}: {problems}");
        assert!(problems.contains("not YAML: "), "{text}: {problems}");
    }
}

#[test]
fn deep_and_long_files_are_refused() {
    let deep = "[".repeat(17);
    assert_eq!(problems(&deep), "f:1:17: nested more than 16 deep; nothing here goes so deep");
    let deep = "- ".repeat(100_000);
    assert!(problems(&deep).contains("nested more than 16 deep"));
    let long = "#".repeat(MAX_BYTES + 1);
    assert_eq!(problems(&long), "f:1:1: the file is longer than 1 MiB; nothing in it was read");
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[a-c:{}\\[\\], \\n#&*!|>'\"$~?-]{0,80}") {
        problems(&text);
    }
}
