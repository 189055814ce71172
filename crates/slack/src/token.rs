//! What looks like a token, wherever it stands by mistake: it is not to be shown.

/// What is shown in the place of a text that holds one.
pub const TOKEN_LIKE: &str = "what looks like a token";

/// Whether a text holds what looks like a token of Slack's: `xoxb-`, `xoxp-`, `xoxe.`, `xapp-`,
/// `xwfp-` and their kin ([Tokens](https://docs.slack.dev/authentication/tokens)).
pub fn holds_token(text: &str) -> bool {
    text.as_bytes().windows(5).any(|at| match at {
        [b'x' | b'X', b'o' | b'O', b'x' | b'X', kind, b'-' | b'.'] => kind.is_ascii_alphabetic(),
        _ => at.eq_ignore_ascii_case(b"xapp-") || at.eq_ignore_ascii_case(b"xwfp-"),
    })
}

/// What is shown in the place of a text that holds what looks like a token; nothing for any other.
pub fn instead_of_token(text: &str) -> Option<&'static str> {
    holds_token(text).then_some(TOKEN_LIKE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_known_by_their_beginning() {
        for text in
            ["xoxb-1-2", "a xoxp-1", "xoxe.xoxp-1", "XOXC-1", "d=xoxd-x", "xapp-1-A", "xwfp-1"]
        {
            assert!(holds_token(text), "{text}");
        }
        for text in
            ["", "xox", "xoxb", "xoxo hugs", "xox-1", "chat.postMessage", "é".repeat(9).as_str()]
        {
            assert!(!holds_token(text), "{text}");
        }
    }
}
