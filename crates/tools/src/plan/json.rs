//! A plan as JSON.

use serde_json::{Value, json};

use super::{
    Outlook,
    estimate::{Holds, Plan},
    straight::Straight,
};
use console::limit;

// === impl Outlook ===

impl Outlook {
    /// All of it. Times are in seconds, those of day since 1970.
    pub(super) fn json(&self) -> Value {
        let job = &self.job;
        let methods: Vec<_> = job
            .methods
            .iter()
            .map(|planned| {
                json!({
                    "method": &*planned.name,
                    "calls": planned.calls,
                    "class": planned.terms.class.as_str(),
                    "caller": &*planned.terms.caller,
                })
            })
            .collect();
        let (waiting, _) = self.before.waiting();
        let mut all = json!({
            "methods": methods,
            "never": self.stuck,
            "warnings": self.before.notes,
            "proxy": self.before.admin.as_ref().map(|admin| json!({
                "admin": admin,
                "waiting_before": waiting,
                "workspaces": job
                    .identities
                    .iter()
                    .map(|identity| format!("{}/{}", identity.app, identity.workspace))
                    .collect::<Vec<_>>(),
            })),
            "assumed": {
                "round_trip_seconds": job.round_trip.as_secs_f64(),
                "at_once": job.at_once,
                "workspaces": job.identities.len(),
            },
        });
        if let (Some(plan), Some(all)) = (&self.plan, all.as_object_mut()) {
            all.extend(plan.json(self.now));
        }
        all
    }
}

// === impl Plan ===

impl Plan {
    fn json(&self, now: u64) -> serde_json::Map<String, Value> {
        let waits: Vec<_> = self
            .waits
            .iter()
            .map(|waited| {
                let (kind, limit) = match &waited.what {
                    Holds::Limit(limit) => ("limit", limit::as_json(limit)),
                    Holds::Other(name) => ("limit", json!({ "name": &**name })),
                    Holds::Cap => ("per_cycle", Value::Null),
                    Holds::Answers => ("answers", Value::Null),
                };
                json!({
                    "for": kind, "limit": limit, "part": waited.part, "for_people": waited.for_people,
                })
            })
            .collect();
        let [heeds, not] = &self.straight;
        let all = json!({
            "done": self.took.map(|took| json!({
                "seconds": took.as_secs_f64(),
                "at": now.saturating_add(took.as_secs()),
                "about": self.about,
            })),
            "per_minute": self.per_minute,
            "held_by": waits,
            "left": self.left.as_ref().map(|left| json!({
                "limit": &*left.limit.name,
                "free_per_minute": left.free,
                "interactive_per_minute": left.interactive,
                "normal_per_minute": left.normal,
            })),
            "straight": { "heeding_retry_after": heeds.json(), "not_heeding": not.json() },
        });
        match all {
            Value::Object(all) => all,
            _ => serde_json::Map::new(),
        }
    }
}

// === impl Straight ===

impl Straight {
    fn json(&self) -> Value {
        json!({
            "refused": self.refused,
            "lost": self.lost,
            "shut_seconds": self.shut.as_secs_f64(),
            "seconds": self.took.as_secs_f64(),
        })
    }
}
