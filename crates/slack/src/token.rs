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

/// Whether a token is that of a browser's session, which is one only together with the cookie `d`, as in
/// <https://github.com/korotovsky/slack-mcp-server/blob/master/docs/01-authentication-setup.md>: the client
/// of Slack's own pages sends both, and without the cookie every method says `invalid_auth`.
pub fn needs_cookie(token: &str) -> bool {
    token.get(..5).is_some_and(|kind| kind.eq_ignore_ascii_case("xoxc-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_a_token_and_a_cookie() {
        for token in ["xoxc-1-2", "XOXC-1"] {
            assert!(needs_cookie(token), "{token}");
        }
        for token in ["xoxb-1", "xoxp-1", "xoxe.xoxp-1", "xapp-1", "xoxc", "a xoxc-1", ""] {
            assert!(!needs_cookie(token), "{token}");
        }
    }

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
