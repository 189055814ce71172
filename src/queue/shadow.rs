//! Lets calls go that are only watched, and counts what would have become of them.

use std::sync::Arc;

use limits::BucketKey;
use slack::{Method, Mode};

use super::{
    Admission, Granted, Inner, Permit, Said, ShedReason, State, ghosts::Ghosts, modes::Modes,
    servers::ServerId,
};
use crate::{
    call::Call,
    pauses::{Meets, Who},
};

// === impl Admission ===

impl Admission {
    /// What the file says of the whole proxy.
    pub fn configure_mode(&self, mode: Mode) {
        self.shared.lock().modes.configure(mode);
    }

    /// Says, while it runs, whether calls are only watched: all of them, or those of one method.
    /// Calls that are held and only watched from now on go at once. Whether that is new.
    pub fn say_mode(&self, mode: Mode, method: Option<&Arc<str>>) -> bool {
        let mut state = self.shared.lock();
        let now = self.shared.now();
        let before = state.modes.clone();
        state.modes.say(mode, method);
        state.to_say.say(Said::Mode(mode, method.cloned()));
        state.let_watched_go(now, Modes::is_shadow);
        let is_new = state.modes != before;
        state.pump(&self.shared, now);
        is_new
    }

    /// Which calls are only watched.
    pub fn modes(&self) -> Modes {
        self.shared.lock().modes.clone()
    }
}

// === impl State ===

impl State {
    /// Lets the held calls go that are `watched` only from now on.
    pub(super) fn let_watched_go(
        &mut self,
        now: scheduler::Instant,
        watched: impl Fn(&Modes, Option<&Method>) -> bool,
    ) {
        let go = self.waiting.in_queues(|queue| watched(&self.modes, queue.method.as_deref()));
        let go: Vec<_> = go.map(|(_, ticket)| ticket).collect();
        for ticket in go {
            self.scheduler.bypass_held(now, ticket);
        }
    }

    /// Lets a call go that is only watched.
    pub(super) fn pass(
        &mut self,
        shared: &Arc<Inner>,
        now: scheduler::Instant,
        (call, server): (&Call, ServerId),
        buckets: Vec<BucketKey>,
    ) -> Permit {
        let metrics = &shared.metrics;
        let method = call.method.as_ref().map(|method| &*method.name);
        let who = Who { method, caller: &call.caller, buckets: &buckets };
        let shed = match self.pauses.meet(who) {
            _ if call.disabled => Some(ShedReason::Disabled),
            Meets::Shed(_) => Some(ShedReason::Paused),
            // How long it would have waited, nobody knows.
            Meets::Gates(gates) => (!gates.is_empty()).then_some(ShedReason::Paused),
        };
        let asks = shared.asks(call, buckets);
        let ghost = if let Some(reason) = shed {
            metrics.would_shed(&call.record, reason.as_str());
            None
        } else {
            let (policy, replica) = (self.policy, self.replica);
            let most = self.scheduler.most_buckets();
            let new = || Box::new(Ghosts::new(policy, most, replica));
            let ghosts = self.ghosts.get_or_insert_with(new);
            ghosts.enter(now, &asks, &call.record, metrics)
        };
        let (permit, would_be_refused) = self.scheduler.bypass(now, &asks);
        if would_be_refused {
            metrics.would_be_refused(&call.record);
        }
        let in_flight = self.waiting.servers.begin(server);
        Permit::watched(Granted { permit, in_flight }, ghost, shared)
    }
}
