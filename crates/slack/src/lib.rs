//! What Slack's documents say, as pure facts: methods, tiers, limits.
//!
//! Nothing in here knows a socket, a clock or a task.

mod catalogue;
mod draft;
mod endpoint;
mod kind;
mod mode;
mod own;
pub mod read;
mod tier;
mod token;

pub use catalogue::{Catalogue, Client, Method, OTHER};
pub use draft::{Draft, Flaw, Rules};
pub mod reply;

pub use endpoint::{Action, Endpoint, Resource};
pub use kind::Kind;
pub use mode::Mode;
pub use own::{OPEN, PAUSED, POSTS_IN_ORDER};
pub use tier::{AppKind, Tier};
pub use token::{TOKEN_LIKE, holds_token, instead_of_token};

#[cfg(test)]
mod tests;
