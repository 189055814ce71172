//! What is shown of a path that goes nowhere: enough to see the mistake in a base URL, and nothing
//! that could be secret.
//!
//! The path of a webhook is its secret, and a token may stand anywhere by mistake. So only the
//! beginning is shown, up to the first segment that is no plain word.

use slack::holds_token;

/// So many segments are shown.
const SEGMENTS: usize = 3;
/// So long is a word at most. The shortest secret in a path has 24 characters.
const WORD: usize = 16;
/// So long is a method's name at most, whose words are joined by dots.
const METHOD: usize = 60;

/// The beginning of a path, without the lane, as far as it is no secret.
pub(super) fn shown(path: &str) -> String {
    let mut shown = String::new();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    if segments.peek().is_some_and(|first| first.starts_with(['@', '%'])) {
        // The caller's name is told elsewhere.
        segments.next();
        shown.push_str("/@…");
    }
    for (n, segment) in segments.enumerate() {
        shown.push('/');
        if n >= SEGMENTS || !is_plain(segment) {
            shown.push('…');
            break;
        }
        shown.push_str(segment);
    }
    shown
}

/// Whether a segment is a word that anybody might write, or a method's name.
fn is_plain(segment: &str) -> bool {
    let is_word = |word: &str| {
        word.len() <= WORD && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let is_name = |word: &str| {
        let begins = word.starts_with(|letter: char| letter.is_ascii_lowercase());
        begins && word.len() <= 2 * WORD && word.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    let is_method = || {
        let named = segment.len() <= METHOD && segment.contains('.');
        named && segment.split('.').all(is_name) && !holds_token(segment)
    };
    is_word(segment) || matches!(segment, "v1" | "v2") || is_method()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red when more than the beginning is shown, or less than what shows the mistake.
    #[test]
    fn the_mistake_is_shown_and_no_secret() {
        for (path, told) in [
            ("/", "/"),
            ("/chat.postMessage", "/chat.postMessage"),
            ("/slack/api/chat.postMessage", "/slack/api/chat.postMessage"),
            ("/api/api/auth.test", "/api/api/auth.test"),
            ("/api//auth.test", "/api//auth.test"),
            ("/slack.com/api/v1/auth.test", "/slack.com/api/v1/…"),
            ("/@job;class=background/apis/auth.test", "/@…/apis/auth.test"),
            ("/%40job/auth.test", "/@…/auth.test"),
            ("/services/T01/B01/abcdefabcdefabcdefabcdef", "/services/…"),
            ("/api/services/T01/B01/abcdefabcdefabcdefabcdef", "/api/services/…"),
            ("/T01/B01/abcdefabcdefabcdefabcdef", "/…"),
            ("/abcdefabcdefabcdefabcdef", "/…"),
            ("/hooks/abcdefabcdef0", "/hooks/…"),
            ("/a.ABcdEF", "/…"),
            ("/api/xoxb-1-secret", "/api/…"),
            ("/xoxe.xoxp-secret", "/…"),
            ("/xoxe.secret", "/…"),
            ("/é/x", "/…"),
        ] {
            assert_eq!(shown(path), told, "{path}");
        }
        let long = format!("/chat.{}", "a".repeat(33));
        assert_eq!(shown(&long), "/…");
    }
}
