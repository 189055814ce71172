//! The way out: a refused call is [sent again](retry), an attempt is an [exchange] with the
//! [upstream].

pub mod retry;

pub mod exchange;

pub mod upstream;
