//! What metrics are made with. Each layer owns its metrics; nothing here knows a layer.
//!
//! Label values are bounded whatever callers send: a method that the catalogue does not know is
//! `other`, and names that callers choose are those of the [busiest].

mod busiest;
mod registry;
mod sums;

pub use busiest::Busy;
pub(crate) use busiest::{Busiest, LABELS};
pub(crate) use registry::Registry;
pub(crate) use sums::by_label;
