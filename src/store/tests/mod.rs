//! The store against a real server, and what a replica says to it.

mod contract;
mod names;
mod server;
