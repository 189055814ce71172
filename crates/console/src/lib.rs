//! What commands share: where the operators' listener is, asking it, pages and tables on the terminal,
//! a limit in words.

mod ask;
pub mod limit;
pub mod place;
mod screen;
pub mod status;
pub mod table;

pub use self::{
    ask::{Ask, AskError},
    place::Place,
    screen::Screen,
};

/// The exit code of an answer that is a no: a configuration with problems, an unknown method.
pub const NO: u8 = 1;

/// The exit code of what could not be done; of arguments that make no sense too.
pub const FAILED: u8 = 2;

/// The exit code of what Ctrl-C has ended, as shells have it.
pub const INTERRUPTED: u8 = 130;
