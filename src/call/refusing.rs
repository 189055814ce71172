//! How a call is told that it is refused for a limit.
//!
//! For most clients that is a 429. Slack's Node SDK pauses its whole client at one, clicks included,
//! until the `Retry-After` is over, and then sends the call again by itself; a refusal with status 200
//! it hands to its program, which loses the call. So for such a client the one is weighed against the
//! other, by what its pause costs whom.

use std::time::Duration;

use config::{Kind, ShedAs};
use limits::Class;
use slack::RefusedAs;

use crate::clicks::ClientId;

/// How a call is told that it is refused for a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusing {
    /// In that form.
    As(RefusedAs),
    /// With a 429, at which its client stops as a whole and comes back by itself.
    Stops,
    /// As it costs least the client that does so.
    Weighed {
        /// Which.
        client: ClientId,
        /// Nobody waits for what it does.
        background: bool,
    },
}

/// Whoever waits no longer than that for a call wants to hear of it now, and not after a pause. It is as
/// long as the `trigger_id` of a click is good: <https://docs.slack.dev/surfaces/modals>.
const BRIEF: Duration = Duration::from_secs(3);

/// Such a pause hurts nobody; it is the shortest that a Retry-After can say.
pub const SHORT: Duration = Duration::from_secs(1);

// === impl Refusing ===

impl Refusing {
    /// As a call of that kind and class is told, which waits so long, by what was decided of its form.
    /// `stops` is its client, if that stops as a whole at a 429. Beside the Web API status 200 would say
    /// that it is done.
    pub fn of(
        shed_as: ShedAs,
        kind: Kind,
        stops: Option<ClientId>,
        class: Class,
        waits: Duration,
    ) -> Self {
        let background = class == Class::Background;
        match (shed_as, stops) {
            _ if kind.has_secret_url() => Self::As(RefusedAs::Hook),
            _ if kind != Kind::WebApi => Self::As(RefusedAs::Status429),
            (ShedAs::Always(RefusedAs::Status429), Some(_)) => Self::Stops,
            (ShedAs::Always(form), _) => Self::As(form),
            (ShedAs::Auto, None) => Self::As(RefusedAs::Status429),
            (ShedAs::Auto, Some(client)) if background || waits > BRIEF => {
                Self::Weighed { client, background }
            }
            (ShedAs::Auto, Some(_)) => Self::As(RefusedAs::OkFalse),
        }
    }

    /// Whether its client may be told to come back, and does so by itself.
    pub fn comes_back(self) -> bool {
        matches!(self, Self::Stops | Self::Weighed { .. })
    }

    /// The form of a refusal in Slack's own words, which say no reason.
    pub fn words(self) -> RefusedAs {
        match self {
            Self::As(form) => form,
            Self::Stops | Self::Weighed { .. } => RefusedAs::Status429,
        }
    }

    /// The form of a refusal at which a client that stops as a whole would pause so long, if one has it.
    /// `clicks` tells whether that client has had any lately.
    pub fn form(self, pause: Option<Duration>, clicks: impl FnOnce(ClientId) -> bool) -> RefusedAs {
        match (self, pause) {
            (Self::As(form), _) => form,
            (Self::Stops, _) => RefusedAs::Status429,
            // To come back is of no use.
            (Self::Weighed { .. }, None) => RefusedAs::OkFalse,
            (Self::Weighed { client, background }, Some(pause)) => {
                if background || pause <= SHORT || !clicks(client) {
                    RefusedAs::Status429
                } else {
                    RefusedAs::OkFalse
                }
            }
        }
    }
}
