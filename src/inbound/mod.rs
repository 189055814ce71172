//! The way in, in the order in which a request meets it.
//!
//! A connection is [accepted](listen). Its request gets an [id](request_id), is answered at once if it is
//! a [probe], is [let in](access) or not, is [routed](route) by its [path], and its [lane] is read. Then it is
//! [classified](classify): its method, [whose](crate::identity) token it carries (which may have to be
//! [asked](resolve)), what its [arguments] name, which buckets it counts against, and how
//! long its client [waits](patience).

pub mod listen;
pub mod probe;
pub mod request_id;

pub mod access;
mod path;
pub mod route;

pub mod lane;

pub mod arguments;
mod called;
pub mod classify;
pub mod patience;
mod place;
pub mod resolve;

pub use self::called::NoMethod;
