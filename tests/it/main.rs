//! The whole path in virtual time: real layers, real HTTP over in-memory pipes, no socket.
//!
//! The clock is paused: it moves on only when everything waits, straight to the next timer, so
//! a test that lasts minutes takes milliseconds and runs the same way every time.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where it cannot go on")]

mod harness;

mod abuse;
mod access;
mod answers;
mod bad_input;
mod bodies;
mod budgets;
mod catalogue;
mod day;
mod dead;
mod drain;
mod edits;
mod fairness;
mod faults;
mod fuzz;
mod hang_up;
mod headers;
mod identity;
mod in_flight;
mod keep_alive;
mod kinds;
mod limits;
mod mix;
mod node;
mod order;
mod outgoing;
mod patience;
mod pausing;
mod plan;
mod preflight;
mod questions;
mod reads;
mod refusals;
mod reload;
mod replicas;
mod retries;
mod scenarios;
mod secrets;
mod shadow;
mod shedding;
mod simulation;
mod spellings;
mod switched_off;
mod tidy;
mod top;
mod uploads;
mod upstream_down;
mod views;
mod warnings;
