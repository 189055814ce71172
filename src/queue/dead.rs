//! Answers calls at once whose token or webhook Slack has called good for nothing, those that are held
//! too.

use std::sync::{Arc, atomic::Ordering};

use config::FailFast;
use slack::Life;
use tokio::time::Instant;

use super::{Admission, Inner, State, Turned};
use crate::{
    call::Call,
    dead::{Answer, Change, Credential, FailedFast},
};

// === impl Admission ===

impl Admission {
    /// What the file says of it.
    pub fn configure_fail_fast(&self, rules: FailFast) {
        self.shared.lock().set_fail_fast(&self.shared, rules);
    }

    /// Takes in what an answer says of the token or the webhook of its call; `answer` is what further calls
    /// get, if it can be kept. Calls that are held with it are answered, too.
    pub fn judge(&self, call: &Call, life: Life, answer: impl FnOnce() -> Option<Answer>) {
        match life {
            Life::Unknown => {}
            // Nearly all calls end here.
            Life::Alive if !self.shared.some_are_dead.load(Ordering::Relaxed) => {}
            Life::Alive => {
                let mut state = self.shared.lock();
                let credential = state.graves.credential(call);
                let revived = credential.as_ref().and_then(|which| state.graves.lives(call, which));
                state.look_at_graves(&self.shared);
                drop(state);
                if let Some((which, _)) = credential.zip(revived) {
                    tell_of_life(&which);
                }
            }
            Life::Dead(_) => {
                if let Some(answer) = answer() {
                    self.bury(call, answer);
                }
            }
        }
    }

    fn bury(&self, call: &Call, answer: Answer) {
        let reason = answer.reason;
        let mut state = self.shared.lock();
        // Calls that are only watched are not answered by the proxy.
        if state.modes.is_shadow(call.method.as_deref()) {
            return;
        }
        let Some(credential) = state.graves.credential(call).map(Arc::new) else { return };
        let change = state.graves.died(Instant::now(), call, &credential, answer);
        state.look_at_graves(&self.shared);
        state.answer_held(&self.shared, &credential);
        drop(state);
        if change == (Change::Died { tell: true }) {
            tracing::warn!(
                credential = ?credential,
                reason = reason.as_str(),
                method = call.record.method(),
                // A question of the proxy's own is nobody's.
                caller = call.record.labels().map(|_| &*call.caller),
                cure = "give its program a token or a webhook that is good, or stop it; a call a minute \
                        asks whether it is good again",
                request_id = call.record.ids().request(),
                trace_id = call.record.ids().trace(),
                "Slack says that a token or a webhook is good for nothing: its calls are answered at once"
            );
        }
    }
}

fn tell_of_life(credential: &Credential) {
    tracing::info!(?credential, "a token or a webhook is good again");
}

// === impl State ===

impl State {
    pub(super) fn set_fail_fast(&mut self, shared: &Inner, rules: FailFast) {
        self.graves.configure(rules);
        self.look_at_graves(shared);
    }

    /// What a call is answered at once, if it is.
    pub(super) fn meet_grave(&mut self, shared: &Inner, call: &Call) -> Option<FailedFast> {
        if self.graves.is_empty() {
            return None;
        }
        let answer = self.graves.meet(Instant::now(), call);
        self.look_at_graves(shared);
        if let Some(answer) = &answer {
            shared.metrics.failed_fast(answer.0.reason);
        }
        answer
    }

    fn look_at_graves(&self, shared: &Inner) {
        shared.some_are_dead.store(!self.graves.is_empty(), Ordering::Relaxed);
    }

    /// Answers the calls that are held with that credential.
    fn answer_held(&mut self, shared: &Inner, credential: &Credential) {
        let now = shared.now();
        for (method, ticket) in self.waiting.with(credential) {
            let Some(answer) = self.graves.of_held(credential, &method) else { continue };
            self.scheduler.cancel(now, ticket);
            if let Some(waiter) = self.waiting.remove(ticket) {
                shared.metrics.failed_fast(answer.0.reason);
                // Whoever is gone needs no answer.
                let _ = waiter.verdict.send(Err(Turned::Dead(answer)));
            }
        }
        self.pump(shared, now);
    }
}
