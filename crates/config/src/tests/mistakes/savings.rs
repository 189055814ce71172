//! Mistakes in what need not be sent.

use super::*;

#[test]
fn reads_and_edits() {
    let mistakes = |text: &str| {
        let found = problems(text);
        assert!(!found.is_empty(), "{text}");
        found
    };
    for (text, said) in [
        ("reads: share", "1:8: reads: is a single value; write a mapping"),
        ("reads: { share: maybe }", "reads.share: \"maybe\" is"),
        ("reads: { cache: 30s }", "reads.cache: is a single value"),
        (
            "reads: { cache: { for: 2h } }",
            "is longer than an answer may be remembered; write 1h or less",
        ),
        ("reads: { cache: { for: 0s } }", "reads.cache.for"),
        ("reads: { cache: { bytes: 1KiB } }", "is too little for an answer; write 64KiB or more"),
        ("reads: { cache: { methods: [] } }", "names no method; name some, or delete `cache`"),
        ("reads: { cache: { methods: [chat.update] } }", "is no read of the Web API"),
        ("reads: { cache: { methods: [audit] } }", "is no read of the Web API"),
        ("reads: { cache: { methods: [user.info] } }", "is it users.info?"),
        ("edits: newest", "1:8: edits: \"newest\" is none of all, latest; write one of them"),
        ("edits: true", "edits: \"true\" is none of all, latest"),
        (
            "methods: { chat.postMessage: { edits: latest } }",
            "is only for methods whose calls replace",
        ),
        ("methods: { chat.postMessage: { edits: latest } }", "chat.update, conversations.mark"),
        ("methods: { chat.update: { share_reads: true } }", "is only for methods that read"),
        ("methods: { webhook: { edits: latest } }", "means nothing here"),
        ("callers: [{ name: a, edits: last }]", "callers[0].edits"),
        ("callers: [{ name: a, share_reads: 1 }]", "callers[0].share_reads"),
    ] {
        let found = mistakes(text);
        assert!(found.contains(said), "{text}: {found}");
    }
    // These ask for nothing.
    checked("methods: { chat.postMessage: { edits: all, share_reads: false } }");
}
