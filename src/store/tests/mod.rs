//! The scripts in a real server, and what a replica makes of their answers.

mod contract;
mod names;
mod replica;
mod server;
