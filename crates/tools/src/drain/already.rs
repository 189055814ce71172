//! What is done already, and what may be done twice: what is known of single methods.

/// Errors that say that what was asked for is so already, from the error lists of
/// <https://docs.slack.dev/reference/methods>. `conversations.close`, `.join` and `.leave` say so
/// with `ok: true`. Not `channel_not_found` and its like: a wrong token has these, too.
/// `pins.remove` has two: no such pin, and a pin that is not in this channel
/// (<https://docs.slack.dev/reference/methods/pins.remove>).
const ALREADY: [(&str, &str); 8] = [
    ("conversations.archive", "already_archived"),
    ("conversations.kick", "not_in_channel"),
    ("conversations.unarchive", "not_archived"),
    ("pins.add", "already_pinned"),
    ("pins.remove", "no_pin"),
    ("pins.remove", "not_pinned"),
    ("reactions.add", "already_reacted"),
    ("reactions.remove", "no_reaction"),
];

/// Methods that come to the same if they are called twice, beside those and those that read.
const REPEATABLE: [&str; 4] =
    ["conversations.close", "conversations.join", "conversations.leave", "conversations.mark"];

/// Whether the error says that there was nothing left to do.
pub(super) fn is_already(method: &str, error: &str) -> bool {
    ALREADY.contains(&(method, error))
}

/// Whether the method may be called twice without harm.
pub(super) fn is_repeatable(method: &str) -> bool {
    REPEATABLE.contains(&method) || ALREADY.iter().any(|(name, _)| *name == method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_so_for_its_method_only() {
        assert!(is_already("pins.remove", "no_pin") && is_already("pins.remove", "not_pinned"));
        assert!(!is_already("pins.add", "no_pin"));
        assert!(!is_already("conversations.archive", "channel_not_found"));
    }

    #[test]
    fn what_is_done_already_may_be_called_twice() {
        assert!(is_repeatable("conversations.close") && is_repeatable("reactions.add"));
        assert!(!is_repeatable("chat.postMessage"));
    }
}
