//! A call as the judge sees it, and the keys under which limits count it.

use std::{fmt, sync::Arc};

use limits::{Dimension, Limit};

use super::{Cause, Identity, LimitHit};

/// What the judge is told of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The method it names, whether Slack knows it or not.
    pub method: Arc<str>,
    /// Whose call it is.
    pub identity: Identity,
    /// The channel it names.
    pub channel: Option<Arc<str>>,
    /// The user it names.
    pub user: Option<Arc<str>>,
    /// What stands for its URL, if whoever knows it may call it.
    pub url: Option<Arc<str>>,
    /// The text it would post.
    pub text: Option<Arc<str>>,
}

/// A limit at one value of its dimensions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    limit: Arc<str>,
    /// Whether it is the shorter window that a limit with a burst has.
    burst: bool,
    /// The names of its dimensions, each with the call's value.
    values: Vec<(&'static str, Arc<str>)>,
}

// === impl Call ===

impl Call {
    /// A call of an app in a workspace, with no arguments.
    pub fn new(method: &str, app: &str, workspace: &str) -> Self {
        Self {
            method: method.into(),
            identity: Identity::new(app, workspace),
            channel: None,
            user: None,
            url: None,
            text: None,
        }
    }

    /// The same call, to a channel.
    #[must_use]
    pub fn to_channel(mut self, channel: &str) -> Self {
        self.channel = Some(channel.into());
        self
    }

    /// The value by which a limit counts the call, which is empty where an argument is
    /// missing. None for a dimension that Slack does not see.
    fn value(&self, dimension: Dimension) -> Option<Arc<str>> {
        let identity = &self.identity;
        Some(match dimension {
            // The fake's workspaces are in no organization but their own.
            Dimension::Org | Dimension::Workspace => Arc::clone(&identity.workspace),
            Dimension::App => Arc::clone(&identity.app),
            Dimension::Token => Arc::clone(&identity.token),
            Dimension::Method => Arc::clone(&self.method),
            Dimension::Url => self.url.clone().unwrap_or_default(),
            Dimension::Channel => self.channel.clone().unwrap_or_default(),
            // Who names nobody means the token's own.
            Dimension::User => self.user.clone().unwrap_or_else(|| identity.user_id().into()),
            Dimension::OrderingKey | Dimension::Caller => return None,
        })
    }
}

// === impl Key ===

impl Key {
    /// Under what the limit counts the call. None if it counts by something that Slack does not see, such as the proxy's
    /// callers: then it is not one of Slack's.
    pub(super) fn of(limit: &Limit, call: &Call) -> Option<Self> {
        let value = |dimension: Dimension| Some((dimension.as_str(), call.value(dimension)?));
        let values = limit.scope.iter().map(value).collect::<Option<_>>()?;
        Some(Self { limit: Arc::clone(&limit.name), burst: false, values })
    }

    /// The key of the limit's shorter window.
    pub(super) fn of_burst(&self) -> Self {
        Self { burst: true, ..self.clone() }
    }

    /// A refusal that does not say yet when to come back.
    pub(super) fn refusal(&self, used: u32, n: u32, cause: Cause) -> LimitHit {
        let limit = Arc::clone(&self.limit);
        LimitHit { limit, key: self.to_string().into(), used, n, cause, retry_after: None }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (dimension, value)) in self.values.iter().enumerate() {
            let space = if i == 0 { "" } else { " " };
            write!(f, "{space}{dimension}={value}")?;
        }
        f.write_str(if self.burst { " burst" } else { "" })
    }
}
