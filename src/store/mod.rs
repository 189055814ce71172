//! Several slackwaters share their limits through Redis or Valkey.
//!
//! The store counts how many slots of a bucket each replica holds on lease; what that means is told in
//! [`scheduler::Sharing`]'s module. Two [scripts](script) that run in the server are all that reads and
//! writes there: `beat.lua` says that a replica is here, and `step.lua` what it has taken, given back
//! and wants. They do what `scheduler::model::store` does, step for step.

mod keys;
mod script;

#[cfg(test)]
mod tests;
