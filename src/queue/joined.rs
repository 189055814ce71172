//! Calls that serve several clients: whether a call may be one, and what becomes of one that is held when
//! another client joins it.

use limits::Class;
use tokio::time::Instant;

use super::{Admission, Attempt, QueueRequest, Shed};
use crate::{
    call::several::Several,
    pauses::{Meets, Who},
};

// === impl Admission ===

impl Admission {
    /// Whether a call may be served together with others. Not one that is only watched, since what is
    /// watched is not changed, nor one that is paused or switched off, or has a dead token: the others are
    /// not, or have none.
    pub fn may_join(&self, QueueRequest { call, attempt, .. }: &QueueRequest) -> bool {
        let Attempt::First(buckets) = attempt else { return false };
        if call.disabled || call.client_end.has_come() || !call.body.may_wait() {
            return false;
        }
        let state = self.shared.lock();
        let method = call.method.as_deref();
        if state.closed || state.modes.is_shadow(method) || state.graves.knows(call) {
            return false;
        }
        let method = method.map(|method| &*method.name);
        let who = Who { method, caller: &call.caller, buckets };
        state.pauses.is_empty()
            || matches!(state.pauses.meet(who), Meets::Gates(gates) if gates.is_empty())
    }

    /// A client of that class joins a call, who waits until then: the call becomes as urgent as that,
    /// and may be held for as long.
    pub fn raise(&self, several: &Several, class: Class, deadline: Instant) {
        let mut state = self.shared.lock();
        let Some((ticket, class, until)) = several.raise(class, deadline) else { return };
        let now = self.shared.now();
        state.scheduler.raise(now, ticket, class, self.shared.at(until));
        state.waiting.raise(ticket, class, until);
        state.pump(&self.shared, now);
    }

    /// What a client hears whose time is up while the call that it joined is held for others.
    pub fn late(&self, several: &Several) -> Shed {
        let mut state = self.shared.lock();
        let now = self.shared.now();
        let waits = several.ticket().and_then(|ticket| state.scheduler.waits_for(now, ticket));
        let (bucket, until) = waits.map(|(bucket, block)| (bucket, block.until)).unzip();
        Shed::late(bucket, until.flatten().map(|until| until.since(now)).unwrap_or_default())
    }
}
