//! Takes in what Slack's answers tell of tokens: whose they are, where calls are moved that count for
//! somebody else since, and whether they are good for anything.

use http::response::Parts;
use slack::{Kind, Life, identity};

use crate::{call::Call, dead::Answer, identity::Identities, queue::Admission};

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

    /// Takes in what an answer, whose text is that if it was looked into, says of the call's token or
    /// webhook.
    pub(super) fn judge(&self, call: &Call, parts: &Parts, text: Option<&[u8]>) {
        let life = match call.upstream.kind {
            _ if call.method.is_none() => return,
            Kind::WebApi => Life::of_token(parts.status, text),
            Kind::Webhook => Life::of_webhook(parts.status, text),
            _ => return,
        };
        self.admission.judge(call, life, || {
            let Life::Dead(reason) = life else { return None };
            Answer::new(reason, parts.status, &parts.headers, text?)
        });
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
