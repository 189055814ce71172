//! The walk: one page after the other, each on the disk before the next.

use std::{io::Write, pin::pin, time::Duration};

use anyhow::Context as _;
use bytes::Bytes;
use http::HeaderValue;
use tokio::{sync::mpsc, task::spawn_blocking, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    answer::ListPage,
    output::{Output, Page, State},
    page::View,
    shape,
};
use crate::through::{self, Beat, Outgoing, Sender, Watch};

/// All that it takes.
pub(super) struct Walk {
    /// None while it is written on another thread.
    pub(super) output: Option<Output>,
    pub(super) sender: Sender,
    pub(super) token: HeaderValue,
    pub(super) notes: mpsc::Receiver<String>,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All pages are there.
    Finished,
    /// By a signal.
    Stopped,
    /// Nothing can be done, for that reason.
    Ended(String),
}

/// How far this run is.
struct Run {
    began: Instant,
    /// So many pages it has written.
    seen: u64,
    stop: CancellationToken,
    /// What it waits for.
    note: Option<String>,
}

/// What there is to do next.
enum Happening {
    Answer(through::CallResult),
    Heard(Beat),
    Note(String),
}

/// What Slack says of a cursor that it no longer knows.
const OLD: &str = "invalid_cursor";
/// What is said to a signal.
const STOPPING: &str = "stopping: the page that is under way is finished first";
/// What is said where it can go on later.
const GOES_ON: &str = "The same command goes on from here when it is mended";

// === impl Walk ===

impl Walk {
    /// Walks until all is there, or a signal says stop; then the page under way is finished. A second
    /// one stops at once.
    ///
    /// # Errors
    /// If an answer cannot be understood, or something not be written.
    pub(super) async fn run(&mut self, out: &mut impl Write) -> anyhow::Result<End> {
        let mut watch = Watch::new()?;
        let end = self.go(&mut watch, out).await;
        watch.end(out)?;
        end
    }

    async fn go(&mut self, watch: &mut Watch, out: &mut impl Write) -> anyhow::Result<End> {
        let (began, stop) = (Instant::now(), CancellationToken::new());
        let mut run = Run { began, seen: 0, stop, note: None };
        while let Some(output) = &self.output {
            if output.state.finished {
                return Ok(End::Finished);
            }
            if run.stop.is_cancelled() {
                return Ok(End::Stopped);
            }
            let state = output.state.clone();
            let page = state.pages + 1;
            let end = match self.ask(&state, &mut run, watch, out).await? {
                None | Some(through::CallResult::Stopped) => End::Stopped,
                Some(through::CallResult::Done(body)) => {
                    let taken = self.take(body).await;
                    taken.with_context(|| format!("page {page} of {}", state.request.method))?;
                    run.seen += 1;
                    run.note = run.stop.is_cancelled().then(|| STOPPING.to_owned());
                    continue;
                }
                Some(through::CallResult::Refused(error))
                    if error == OLD && state.next.is_some() =>
                {
                    End::Ended(format!(
                        "Slack says {OLD} to page {page}: where the export was is too old for it to \
                         go on there; begin anew with --again"
                    ))
                }
                Some(through::CallResult::Refused(error)) => {
                    End::Ended(format!("Slack says {error} to page {page}. {GOES_ON}"))
                }
                Some(through::CallResult::Token(error)) => {
                    let name = &state.request.token_env;
                    End::Ended(format!("Slack says {error} of the token in {name}. {GOES_ON}"))
                }
                Some(through::CallResult::Unsure(error)) => End::Ended(format!(
                    "page {page} did not come ({error}); where it is too long, ask for less with \
                     --arg limit=. {GOES_ON}"
                )),
                Some(through::CallResult::Ended(why)) => End::Ended(format!("{why}. {GOES_ON}")),
            };
            return Ok(end);
        }
        Ok(End::Stopped)
    }

    /// Asks for the next page; none after a second signal.
    async fn ask(
        &mut self,
        state: &State,
        run: &mut Run,
        watch: &mut Watch,
        out: &mut impl Write,
    ) -> anyhow::Result<Option<through::CallResult>> {
        let form = state.request.form(state.next.as_ref());
        let stop = run.stop.clone();
        let outgoing = Outgoing {
            method: &state.request.method,
            form: &form,
            token: Some(&self.token),
            repeatable: true,
        };
        let mut sending = pin!(self.sender.send(outgoing, &stop));
        loop {
            let happening = tokio::select! {
                answer = &mut sending => Happening::Answer(answer),
                heard = watch.next() => Happening::Heard(heard),
                Some(text) = self.notes.recv() => Happening::Note(text),
            };
            match happening {
                Happening::Answer(answer) => return Ok(Some(answer)),
                Happening::Heard(Beat::Stop) if run.stop.is_cancelled() => return Ok(None),
                Happening::Heard(Beat::Stop) => {
                    run.stop.cancel();
                    run.note = Some(STOPPING.to_owned());
                    watch.say(out, STOPPING)?;
                }
                Happening::Heard(Beat::Show) => {
                    let took = Instant::now().duration_since(run.began);
                    watch.show(out, &[run.view(state, took).line()])?;
                }
                Happening::Note(text) => {
                    let text = format!("{text}; it is tried again");
                    if run.note.is_none() {
                        watch.say(out, &text)?;
                    }
                    run.note = Some(text);
                }
            }
        }
    }

    /// Shapes and writes a page where it blocks nobody.
    async fn take(&mut self, body: Bytes) -> anyhow::Result<()> {
        let Some(mut output) = self.output.take() else { return Ok(()) };
        let taken = spawn_blocking(move || {
            let page = shaped(&body, &output.state);
            let taken = page.and_then(|page| output.take(page));
            (output, taken)
        });
        let (output, taken) = taken.await?;
        self.output = Some(output);
        taken
    }
}

// === impl Run ===

impl Run {
    fn view<'a>(&'a self, state: &'a State, took: Duration) -> View<'a> {
        View { state, seen: self.seen, took, note: self.note.as_deref() }
    }
}

/// The page that an answer has, in lines.
fn shaped(body: &[u8], state: &State) -> anyhow::Result<Page> {
    let request = &state.request;
    let key = state.key.as_deref().or(request.items.as_deref());
    let answer = ListPage::read(&request.method, key, body)?;
    if state.next.is_some() && answer.next == state.next {
        anyhow::bail!("Slack says that it is the next page itself, so there is no end");
    }
    let mut page = Page { key: answer.key, next: answer.next, ..Page::default() };
    for item in answer.items {
        page.items += 1;
        let has_line = shape::line(item, request, &mut page.text);
        let has_line = has_line.with_context(|| format!("item {}", page.items))?;
        page.lines += u64::from(has_line);
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn state(next: &serde_json::Value) -> State {
        let request = json!({
            "method": "a.list", "args": {}, "token_env": "T", "where": [["n", "1"]],
        });
        serde_json::from_value(json!({
            "of": "slackwater export", "version": 1, "request": request, "pages": 1, "items": 1,
            "lines": 1, "length": 9, "key": "list", "next": next, "finished": false,
        }))
        .unwrap()
    }

    #[test]
    fn a_page_is_its_lines_and_their_count() {
        let body = br#"{"list":[{"n":1},{"n":2},{"n":1}],"other":[],"next_cursor":"b"}"#;
        let page = shaped(body, &state(&json!({ "cursor": "a" }))).unwrap();
        assert_eq!((page.items, page.lines, &*page.key), (3, 2, "list"));
        assert_eq!(page.text, b"{\"n\":1}\n{\"n\":1}\n");
    }

    #[test]
    fn a_page_that_is_its_own_next_is_no_endless_loop() {
        let body = br#"{"list":[],"next_cursor":"a"}"#;
        assert!(shaped(body, &state(&json!({ "cursor": "a" }))).is_err());
        assert!(shaped(body, &state(&json!(null))).is_ok());
    }
}
