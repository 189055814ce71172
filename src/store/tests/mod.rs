//! The store against a real server.

mod contract;
mod server;
