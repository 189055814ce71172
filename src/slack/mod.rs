//! What Slack's documents say, as pure facts: methods, tiers, limits.
//!
//! Nothing in here knows a socket, a clock or a task.

mod catalogue;
mod limit;

pub use catalogue::{Catalogue, Client, Method, Tier};
pub use limit::{AgeFrom, Dimension, Limit, Rate, Rule, Scope};
