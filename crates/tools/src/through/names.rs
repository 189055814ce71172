//! What can be a method's name, and what a variable's.

use slack::Catalogue;
use yaml::nearest;

/// The longest name.
const LONGEST: usize = 80;
/// How many names are offered for a method that is not known.
const OFFERED: usize = 3;

/// Whether it can be a method's name.
pub(crate) fn is_method(name: &str) -> bool {
    let fits = |it: u8| it.is_ascii_alphanumeric() || it == b'.' || it == b'_';
    !name.is_empty() && name.len() <= LONGEST && name.bytes().all(fits) && !name.contains("..")
}

/// Whether it can be a variable's name. A token is none, so that it is not taken for one and shown.
pub(crate) fn is_variable(name: &str) -> bool {
    let fits = |it: u8| it.is_ascii_alphanumeric() || it == b'_';
    let begins = name.bytes().next().is_some_and(|it| !it.is_ascii_digit());
    begins && name.len() <= LONGEST && name.bytes().all(fits)
}

/// What is said of a method that is not in the catalogue.
pub(crate) fn unknown(method: &str, catalogue: &Catalogue) -> Option<String> {
    if catalogue.get(method).is_some() {
        return None;
    }
    let near = nearest(method, catalogue.methods().map(|method| &*method.name), OFFERED);
    let like =
        if near.is_empty() { String::new() } else { format!("; like it: {}", near.join(", ")) };
    Some(format!("{method} is not in the catalogue, so it has the limit of unknown methods{like}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_no_method_and_a_token_no_variable() {
        assert!(is_method("conversations.close") && is_method("files.completeUploadExternal"));
        for name in ["", "../a", "a b", "a/b", "a..b", &"a".repeat(81)] {
            assert!(!is_method(name), "{name}");
        }
        assert!(is_variable("SLACK_BOT_TOKEN") && is_variable("_T2"));
        for name in ["", "xoxb-secret", "2T", "A.B", &"A".repeat(81)] {
            assert!(!is_variable(name), "{name}");
        }
    }
}
