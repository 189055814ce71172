//! The scheduler.

mod class;

pub use class::Class;
