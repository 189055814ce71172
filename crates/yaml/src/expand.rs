//! `${NAME}` in values: found, kept from YAML's flow syntax, replaced from the environment.
//!
//! Inside `{ }` and `[ ]` YAML takes the braces of `{ token: ${NAME} }` for its own. So before
//! the parser sees the text, the braces of every `${NAME}` are swapped for two characters of
//! Unicode's private use area, one for one, which keeps every column; [`unmask`] swaps them back
//! in each scalar that comes out.

const OPEN: char = '\u{e000}';
const CLOSE: char = '\u{e001}';

/// Why a `${NAME}` could not be replaced. Says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ExpandError {
    /// The environment has no such variable.
    #[error(
        "the environment variable {0} is not set; set it, or write $${{{0}}} for the text itself"
    )]
    Unset(String),
    /// A `${` that does not begin a name in braces.
    #[error(
        "holds a ${{ without a name and a closing brace; write ${{NAME}}, or $${{ for the text itself"
    )]
    Malformed,
    /// There is too much of it.
    #[error("what variables are replaced by comes to more than 1 MiB; nothing after this was read")]
    TooLong,
}

/// Whether the text holds one of the two characters that stand in for braces.
pub(super) fn reserved(text: &str) -> Option<usize> {
    text.find([OPEN, CLOSE])
}

/// Hides the braces of each `${NAME}` from the parser, character by character.
pub(super) fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, after) = (&rest[..=start], &rest[start + 2..]);
        masked.push_str(before);
        if let Some(name) = name_of(after) {
            masked.push(OPEN);
            masked.push_str(name);
            masked.push(CLOSE);
            rest = &after[name.len() + 1..];
        } else {
            masked.push('{');
            rest = after;
        }
    }
    masked.push_str(rest);
    masked
}

/// Undoes [`mask`].
pub(super) fn unmask(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            OPEN => '{',
            CLOSE => '}',
            c => c,
        })
        .collect()
}

/// Replaces each `${NAME}`; `$${` stands for `${` itself. Nothing where that changes nothing. What comes from
/// the environment is taken from `room`.
pub(super) fn expand(
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    room: &mut usize,
) -> Result<Option<String>, ExpandError> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, after) = (&rest[..start], &rest[start + 2..]);
        if let Some(before) = before.strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = after;
            continue;
        }
        let name = name_of(after).ok_or(ExpandError::Malformed)?;
        expanded.push_str(before);
        let value = env(name).ok_or_else(|| ExpandError::Unset(name.to_owned()))?;
        *room = room.checked_sub(value.len()).ok_or(ExpandError::TooLong)?;
        expanded.push_str(&value);
        rest = &after[name.len() + 1..];
    }
    expanded.push_str(rest);
    Ok(Some(expanded))
}

/// The name that a closing brace ends, if the text begins with one. What is no name is not looked at to
/// its end: a file may have a quarter of a million of them.
fn name_of(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    let name = &text[..end];
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (starts && text[end..].starts_with('}')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "ONE" => Some("1".to_owned()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${ONE}".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn names_are_replaced_once() {
        for (text, expanded) in [
            ("plain $1 {x}", None),
            ("${ONE}", Some("1")),
            ("a${ONE}b${ONE}", Some("a1b1")),
            ("x${EMPTY}y", Some("xy")),
            ("$${ONE}", Some("${ONE}")),
            ("$$${ONE}", Some("$${ONE}")),
            ("${NESTED}", Some("${ONE}")),
        ] {
            assert_eq!(expand(text, &env, &mut 100), Ok(expanded.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_replaced_is_an_error() {
        assert_eq!(expand("${TWO}", &env, &mut 100), Err(ExpandError::Unset("TWO".to_owned())));
        for text in ["${", "${ONE", "${}", "${1X}", "${A B}", "${A-B}"] {
            assert_eq!(expand(text, &env, &mut 100), Err(ExpandError::Malformed), "{text}");
        }
    }

    #[test]
    fn masking_keeps_every_column_and_is_undone() {
        for text in ["{ a: ${ONE}, b: [${ONE}] }", "$${ONE}", "${", "${${ONE}}", "ü ${ONE} ${"] {
            let masked = mask(text);
            assert_eq!(masked.chars().count(), text.chars().count());
            assert_eq!(unmask(&masked), text);
        }
        assert!(!mask("{ a: ${ONE} }").contains("${"));
    }

    /// Red when what is replaced has no bound.
    #[test]
    fn what_variables_come_to_is_bounded() {
        let env = |_: &str| Some("12345".to_owned());
        let mut room = 10;
        assert!(expand("${A} and ${A}", &env, &mut room).is_ok());
        assert_eq!(expand("${A}", &env, &mut room), Err(ExpandError::TooLong));
    }
}
