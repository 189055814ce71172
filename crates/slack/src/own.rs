//! Limits of the proxy's own, which calls are under whatever is configured.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use limits::{AgeFrom, Dimension, Limit, Rule, Scope};

/// How long a call in order holds up the next while its answer does not come. Slack answers much
/// sooner, and a client that is held for eight seconds still has its turn behind a lost call.
const PATIENCE: Duration = Duration::from_secs(5);

/// Calls of one caller that have one ordering key go one at a time, so that they arrive in the
/// order in which they were sent.
pub static IN_ORDER: LazyLock<Arc<Limit>> = LazyLock::new(|| {
    let by = [Dimension::App, Dimension::Workspace, Dimension::OrderingKey, Dimension::Caller];
    own("in_order", Rule::InOrder(PATIENCE), &by)
});

/// What is shut only on evidence: whole workspaces and apps, narrowest first.
pub static OPEN: LazyLock<[Arc<Limit>; 2]> = LazyLock::new(|| {
    let open = |name, by: &[Dimension]| own(name, Rule::Open, by);
    [
        open("whole_workspace", &[Dimension::App, Dimension::Workspace]),
        open("whole_app", &[Dimension::App]),
    ]
});

/// What the operator has paused: calls of it wait until the pause is over.
pub static PAUSED: LazyLock<[Arc<Limit>; 3]> = LazyLock::new(|| {
    ["paused_method", "paused_caller", "paused_workspace"].map(|name| own(name, Rule::Gate, &[]))
});

/// How many calls are in flight to a server: beyond that, they wait before a gate.
pub static IN_FLIGHT: LazyLock<Arc<Limit>> = LazyLock::new(|| own("in_flight", Rule::Gate, &[]));

/// Whether a limit of the proxy's own has that name. One name has one definition.
pub(super) fn is_own(name: &str) -> bool {
    let all = [&*IN_ORDER, &*IN_FLIGHT].into_iter().chain(&*OPEN).chain(&*PAUSED);
    all.into_iter().any(|limit| &*limit.name == name)
}

fn own(name: &str, rule: Rule, by: &[Dimension]) -> Arc<Limit> {
    Arc::new(Limit { name: name.into(), rule, scope: Scope::of(by), age_from: AgeFrom::Answer })
}
