//! What a rate limit is: how many calls, per how long, counted per what, and how urgent a call is.
//!
//! These are the words that everything else shares: the catalogue of Slack's limits says them, the
//! scheduler keeps to them, the fake Slack judges by them. Nothing in here knows a clock, a socket or
//! Slack.

#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod class;
mod key;
mod limit;
mod share;
mod split;
mod values;

pub use class::{Class, UnknownClass};
pub use key::BucketKey;
pub use limit::{AgeFrom, Dimension, Limit, Rate, Rule, Scope};
pub use share::{Share, Weight};
pub use split::{Part, Split, Turns};
pub use values::{Joiner, Values};
