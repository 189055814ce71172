//! The kinds of calls that Slack takes: its Web API, and what stands beside it.

/// What kind of calls an upstream takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The Web API: limited by method.
    WebApi,
    /// Incoming webhooks: limited by URL.
    Webhook,
    /// The `response_url` of commands and actions: limited by URL.
    ResponseUrl,
    /// Triggers of workflows: limited by URL.
    Trigger,
    /// The SCIM API: limited by organization, over all apps.
    Scim,
    /// The Audit Logs API: limited by organization, over all apps.
    Audit,
    /// Forwarded, not limited.
    Plain,
}

// === impl Kind ===

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::WebApi,
        Self::Webhook,
        Self::ResponseUrl,
        Self::Trigger,
        Self::Scim,
        Self::Audit,
        Self::Plain,
    ];

    /// The name in configuration and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WebApi => "web_api",
            Self::Webhook => "webhook",
            Self::ResponseUrl => "response_url",
            Self::Trigger => "trigger",
            Self::Scim => "scim",
            Self::Audit => "audit",
            Self::Plain => "plain",
        }
    }

    /// Whether whoever knows the URL may call it: there is no token then, and the URL is a
    /// secret as a token is.
    pub const fn has_secret_url(self) -> bool {
        matches!(self, Self::Webhook | Self::ResponseUrl | Self::Trigger)
    }
}
