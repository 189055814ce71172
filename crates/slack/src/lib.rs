//! What Slack's documents say, as pure facts: methods, tiers, limits.
//!
//! Nothing in here knows a socket, a clock or a task.

pub mod buckets;
mod catalogue;
mod client;
mod dead;
mod draft;
mod endpoint;
pub mod identity;
mod kind;
mod mode;
mod ordering;
mod own;
pub mod read;
mod refused_as;
mod replaces;
mod savings;
mod tier;
mod token;
mod token_hash;

pub use catalogue::{Catalogue, Holds, Method, OTHER};
pub use client::{Client, ClientSigns, ClientTimeout, HeaderSign, KeepAlive, Retries};
pub use dead::{Dead, Life};
pub use draft::{Draft, Flaw, InOrder, Rules};
pub mod reply;

pub use endpoint::{Action, Endpoint, Resource, is_call};
pub use identity::{Called, Facts, Identity, Told};
pub use kind::Kind;
pub use mode::Mode;
pub use ordering::{OrderingArgument, OrderingArguments};
pub use own::{IN_FLIGHT, IN_ORDER, OPEN, PAUSED};
pub use refused_as::RefusedAs;
pub use replaces::{Replaces, Sets};
pub use savings::{Drops, Edits, Savings};
pub use tier::{AppKind, Tier};
pub use token::{TOKEN_LIKE, holds_token, instead_of_token, needs_cookie};
pub use token_hash::{TokenHash, push_hex, shown};

#[cfg(test)]
mod tests;
