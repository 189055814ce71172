//! Takes in what Slack's answers tell of tokens, and moves the calls that count for somebody else
//! since.

use slack::identity;

use crate::{call::Call, identity::Identities, queue::Admission};

/// Takes in what answers tell.
#[derive(Clone, Debug)]
pub struct Learner {
    identities: Identities,
    admission: Admission,
}

// === impl Learner ===

impl Learner {
    /// Learns for these identities; calls count in that queue.
    pub fn new(identities: &Identities, admission: &Admission) -> Self {
        Self { identities: identities.clone(), admission: admission.clone() }
    }

    /// Takes in the answer to a call.
    pub(super) fn hear(&self, call: &Call, answer: &[u8]) {
        let Some(method) = call.method.as_ref().map(|method| &*method.name) else { return };
        let Some(told) = identity::read(method, answer) else { return };
        let (moved, learnt) = self.identities.learn(call.token.as_ref(), told);
        self.admission.keep_learnt(learnt);
        for moved in moved {
            self.admission.move_identity(&moved.from, &moved.to);
            let to = &moved.to;
            tracing::debug!(token = %to.token, app = %to.app, workspace = %to.workspace, "whose a token is");
            if to.known_app().is_none() {
                tracing::warn!(
                    token = %to.token,
                    workspace = %to.workspace,
                    "a person's token, and Slack does not tell of which app: it counts by itself; \
                     name the app in identity.app or identity.tokens",
                );
            }
        }
    }
}
