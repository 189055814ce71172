//! What Slack's documents say, as pure facts: methods, tiers, limits.
//!
//! Nothing in here knows a socket, a clock or a task.

mod catalogue;
mod draft;
mod endpoint;
mod kind;
mod limit;
mod mode;
mod own;
pub(crate) mod read;
mod tier;
mod token;

pub use catalogue::{Catalogue, Client, Method, OTHER};
pub(crate) use draft::{Draft, Flaw, Rules};
pub mod reply;

pub use endpoint::{Action, Endpoint, Resource};
pub use kind::Kind;
pub use limit::{AgeFrom, Dimension, Limit, Rate, Rule, Scope};
pub use mode::Mode;
pub use own::{OPEN, PAUSED, POSTS_IN_ORDER};
pub use tier::{AppKind, Tier};
pub use token::{TOKEN_LIKE, holds_token};

#[cfg(test)]
mod tests;
