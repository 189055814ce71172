//! Calls that a command makes itself, through a proxy that runs or through one of its own.

mod names;
mod own;
mod route;
mod send;
mod verdict;
mod watch;

pub(crate) use self::{
    names::{is_method, is_variable, unknown},
    own::{Means, Way},
    route::{Route, token},
    send::{CallResult, Outgoing, Sender, agent, base},
    watch::{Beat, Watch},
};
