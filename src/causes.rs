//! An error with all that led to it, as a line of a log or an answer tells it.

use std::error::Error;

/// The error and what it came from, in one line. What already says it is not said again.
pub(crate) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read it: {source}")]
    struct Repeats {
        source: io::Error,
    }

    #[derive(Debug, thiserror::Error)]
    #[error("cannot start")]
    struct Outer(#[source] Repeats);

    #[test]
    fn nothing_is_said_twice() {
        let error = Outer(Repeats { source: io::Error::other("it is not there") });
        assert_eq!(with_causes(&error), "cannot start: cannot read it: it is not there");
    }
}
