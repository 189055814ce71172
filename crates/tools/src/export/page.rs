//! What an export says of itself, as text.

use std::{fmt::Write as _, time::Duration};

use super::output::State;

/// How far it is.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) state: &'a State,
    /// How many pages this run has written, and in what time.
    pub(super) seen: u64,
    pub(super) took: Duration,
    /// What it waits for.
    pub(super) note: Option<&'a str>,
}

// === impl View ===

impl View<'_> {
    /// How far it is, in a line.
    pub(super) fn line(&self) -> String {
        let mut text = amount(self.state);
        let _ = write!(text, "; {:.1} pages a minute", self.rate());
        if let Some(note) = self.note {
            let _ = write!(text, "; {note}");
        }
        text
    }

    #[expect(clippy::cast_precision_loss, reason = "nobody exports 2^53 pages")]
    fn rate(&self) -> f64 {
        let minutes = self.took.as_secs_f64() / 60.0;
        if minutes > 0.0 { self.seen as f64 / minutes } else { 0.0 }
    }
}

/// What is done: `2 pages, 400 items`, or with conditions `2 pages, 31 of 400 items`.
pub(super) fn amount(state: &State) -> String {
    let (pages, items) = (counted(state.pages, "page"), counted(state.items, "item"));
    if state.request.wheres.is_empty() {
        format!("{pages}, {items}")
    } else {
        format!("{pages}, {} of {items}", state.lines)
    }
}

fn counted(count: u64, what: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} {what}{end}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn state(wheres: &[(&str, &str)]) -> State {
        let request = json!({ "method": "a.list", "args": {}, "token_env": "T", "where": wheres });
        serde_json::from_value(json!({
            "of": "slackwater export", "version": 1, "request": request, "pages": 1,
            "items": 400, "lines": 31, "length": 9, "key": "list", "next": null, "finished": true,
        }))
        .unwrap()
    }

    #[test]
    fn the_rate_is_of_this_run() {
        let (all, some) = (state(&[]), state(&[("is_mpim", "true")]));
        let view = View { state: &all, seen: 3, took: Duration::from_secs(12), note: None };
        assert_eq!(view.line(), "1 page, 400 items; 15.0 pages a minute");
        let view = View { state: &some, seen: 0, took: Duration::ZERO, note: Some("it waits") };
        assert_eq!(view.line(), "1 page, 31 of 400 items; 0.0 pages a minute; it waits");
    }
}
