//! A call of the backlog on its way, and what becomes of it.

use std::{collections::BTreeMap, sync::Arc};

use http::HeaderValue;
use slack::Catalogue;
use tokio_util::sync::CancellationToken;

use super::{
    already::{is_already, is_repeatable},
    call::BacklogCall,
    entry::EntryResult,
};
use crate::through::{self, CallResult, Outgoing};

/// Sends the calls of a backlog.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) through: through::Sender,
    pub(super) tokens: Tokens,
    /// The variable with the token of calls that name none.
    pub(super) token_env: String,
    /// Errors that count as done for any method.
    pub(super) done_on: Vec<String>,
    pub(super) catalogue: Arc<Catalogue>,
}

/// The header with the token, by the variable that has it; none is that of calls that name none.
pub(super) type Tokens = BTreeMap<Option<String>, HeaderValue>;

/// What became of it.
#[derive(Debug)]
pub(super) enum Sent {
    /// It is over, perhaps with an error.
    Over(EntryResult, Option<String>),
    /// It waited when all was to stop, and is not done.
    Stopped,
    /// No call can be made, for that reason, and this one was not.
    Ended(String),
}

// === impl Sender ===

impl Sender {
    /// Sends it until it is over. What waits for its turn ends with `stop`, what is under way does
    /// not.
    ///
    /// Dropping the future gives the call up; it may have been done.
    pub(super) async fn send(&self, call: &BacklogCall, stop: &CancellationToken) -> Sent {
        let method = &*call.method;
        let outgoing = Outgoing {
            method,
            form: &call.form(),
            token: self.tokens.get(&call.token_env),
            repeatable: is_repeatable(method) || self.catalogue.entry(method).reads,
        };
        match self.through.send(outgoing, stop).await {
            CallResult::Done(_) => Sent::Over(EntryResult::Ok, None),
            CallResult::Refused(error)
                if is_already(method, &error) || self.done_on.contains(&error) =>
            {
                Sent::Over(EntryResult::Already, Some(error))
            }
            CallResult::Refused(error) | CallResult::Unsure(error) => {
                Sent::Over(EntryResult::Failed, Some(error))
            }
            CallResult::Token(error) => {
                let name = call.token_env.as_deref().unwrap_or(&self.token_env);
                let line = call.line;
                Sent::Ended(format!(
                    "line {line}: Slack says {error} of the token in {name}; no call with it can be \
                     made"
                ))
            }
            CallResult::Stopped => Sent::Stopped,
            CallResult::Ended(why) => Sent::Ended(why),
        }
    }
}
