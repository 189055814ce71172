//! What a running proxy's state means for a job: which slots are taken, who waits before it, and what
//! would keep it for good.
//!
//! When slots were taken the state does not tell: each counts as just taken, so what comes of it is a
//! window late at most.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use config::Config;
use limits::{BucketKey, Class, Dimension, Limit, Rule, Values};
use scheduler::{Caller, CallerId};
use slack::{
    Identity, Mode, OPEN,
    buckets::{self, Dimensions},
};

use super::{
    job::Job,
    live::{LeftOut, Live, QueueRow},
    simulate::{FIRST_BEFORE, OWN},
};

/// What is before a job. By default nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Before {
    /// Who was asked.
    pub(super) admin: Option<String>,
    /// The slots that are taken, and what is shut.
    pub(super) slots: Vec<Slots>,
    /// Those who wait.
    pub(super) queues: Vec<Waiting>,
    /// What else there is to say.
    pub(super) notes: Vec<String>,
}

/// A bucket that has something to remember.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    pub(super) bucket: BucketKey,
    pub(super) used: u32,
    pub(super) frozen_for: Duration,
}

/// Calls that wait for the same.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) buckets: Vec<BucketKey>,
    pub(super) class: Class,
    pub(super) caller: Caller,
    pub(super) name: String,
    pub(super) calls: u64,
}

/// So many calls that wait are simulated.
const WAITING: u64 = 20_000;
/// More slots than any limit has.
const SLOTS: u32 = 100_000;

// === impl Before ===

impl Before {
    /// Where no proxy is asked.
    pub(super) fn nothing(job: &Job, config: &Config) -> Self {
        let shadow = |mode: Option<Mode>| mode.unwrap_or(config.mode) == Mode::Shadow;
        let watched = job
            .methods
            .iter()
            .filter(|planned| shadow(planned.entry.mode))
            .map(|planned| watched(&planned.name));
        Self { notes: watched.collect(), ..Self::default() }
    }

    /// How many calls wait before the job, and of how many callers.
    pub(super) fn waiting(&self) -> (u64, usize) {
        let callers: BTreeSet<_> = self.queues.iter().map(|queue| &queue.name).collect();
        (self.queues.iter().map(|queue| queue.calls).sum(), callers.len())
    }

    /// How long the last of what is shut stays so.
    pub(super) fn shut(&self) -> Option<&Slots> {
        let shut = self.slots.iter().filter(|slots| !slots.frozen_for.is_zero());
        shut.max_by_key(|slots| slots.frozen_for)
    }
}

fn watched(method: &str) -> String {
    format!(
        "{method} is only watched (shadow mode): it goes straight, and this is what would be otherwise"
    )
}

// === impl Live ===

impl Live {
    /// What is before the job. Methods that are paused are stuck from now on.
    pub(super) fn before(&self, job: &mut Job, config: &Config) -> Before {
        let mut before = Before { admin: Some(self.admin.clone()), ..Before::default() };
        self.pauses(job, &mut before.notes);
        self.modes(job, &mut before.notes);
        let limits: HashMap<&str, &Arc<Limit>> = job
            .methods
            .iter()
            .flat_map(|planned| &planned.entry.limits)
            .chain(&*OPEN)
            .map(|limit| (&*limit.name, limit))
            .collect();
        let mut other = BTreeMap::new();
        for bucket in &self.page.buckets {
            let Some(limit) = limits.get(&*bucket.limit) else { continue };
            if let Rule::Rate(rate) = limit.rule
                && let Some(quota) = bucket.quota
                && rate.limit.get() != quota
            {
                other.insert(&limit.name, (quota, rate.limit));
            }
            before.slots.push(Slots {
                bucket: BucketKey { limit: Arc::clone(limit), values: bucket.key.clone() },
                used: bucket.used.min(SLOTS),
                frozen_for: Duration::from_millis(bucket.frozen_for_ms),
            });
        }
        for (name, (theirs, ours)) in other {
            before.notes.push(format!(
                "the proxy has {name} at {theirs}, and the configuration here at {ours}: name its own \
                 with --config"
            ));
        }
        let mut room = WAITING;
        let mut callers = Vec::new();
        for queue in &self.page.queues {
            let waiting = self.waiting(queue, job, config, &limits, &mut callers);
            for mut waiting in waiting {
                waiting.calls = waiting.calls.min(room);
                room -= waiting.calls;
                before.queues.push(waiting);
            }
        }
        if room == 0 {
            before.notes.push(format!("of those who wait only {WAITING} are counted"));
        }
        let LeftOut { queues, buckets } = self.page.left_out;
        if queues + buckets > 0 {
            before.notes.push(format!(
                "the proxy does not tell of {queues} more queues and {buckets} more limits in use"
            ));
        }
        before
    }

    /// The calls of a queue that share a limit with the job, by workspace.
    fn waiting(
        &self,
        queue: &QueueRow,
        job: &Job,
        config: &Config,
        limits: &HashMap<&str, &Arc<Limit>>,
        callers: &mut Vec<String>,
    ) -> Vec<Waiting> {
        let entry = config.catalogue.entry(&queue.method);
        let shares = entry.limits.iter().any(|limit| limits.contains_key(&*limit.name));
        let Ok(class) = queue.class.parse() else { return Vec::new() };
        let Some(first) = job.identities.first().filter(|_| shares) else { return Vec::new() };
        let is_own = job.methods.iter().any(|it| *it.terms.caller == *queue.caller);
        let id = if is_own {
            OWN
        } else {
            let at = callers.iter().position(|name| *name == queue.caller).unwrap_or_else(|| {
                callers.push(queue.caller.clone());
                callers.len() - 1
            });
            CallerId(FIRST_BEFORE + u64::try_from(at).unwrap_or(u64::MAX))
        };
        let rule = config.callers.iter().find(|rule| *rule.name == *queue.caller);
        let weight = rule.map(|rule| rule.terms.weight).unwrap_or_default();
        // Where they wait: in proportion to what waits in the workspaces' buckets of this method.
        let mut wheres: Vec<(&str, &str, u64)> = Vec::new();
        for bucket in &self.page.buckets {
            let limit = entry.limits.iter().find(|limit| *limit.name == *bucket.limit);
            let Some(limit) = limit else { continue };
            let [app, workspace, method] =
                [Dimension::App, Dimension::Workspace, Dimension::Method]
                    .map(|by| bucket.key.get(limit.scope, by));
            if let (Some(app), Some(workspace), true) =
                (app, workspace, method == Some(&*queue.method) && bucket.waiting > 0)
            {
                wheres.push((app, workspace, bucket.waiting));
            }
        }
        let key = queue.waits_for.as_deref().and_then(|text| text.split_once(':'));
        let limit = key.and_then(|(name, _)| entry.limits.iter().find(|it| *it.name == *name));
        let waits_for = key.zip(limit).map(|((_, key), limit)| (Values::from(key), limit));
        if wheres.is_empty() {
            let of =
                |by| waits_for.as_ref().and_then(|(values, limit)| values.get(limit.scope, by));
            let app = of(Dimension::App).unwrap_or(&first.app);
            wheres.push((app, of(Dimension::Workspace).unwrap_or(&first.workspace), 1));
        }
        let all: u64 = wheres.iter().map(|(.., waiting)| waiting).sum();
        let mut left = queue.depth;
        let wheres = wheres.into_iter().map(|(app, workspace, waiting)| {
            let part = u128::from(queue.depth) * u128::from(waiting);
            let part = u64::try_from(part.div_ceil(u128::from(all.max(1)))).unwrap_or(left);
            let calls = part.min(left);
            left -= calls;
            let identity =
                Identity { app: app.into(), workspace: workspace.into(), ..first.clone() };
            let dimensions = Dimensions {
                identity: &identity,
                method: &queue.method,
                channel: None,
                user: None,
                url: None,
                ordering_key: None,
                caller: &queue.caller,
            };
            Waiting {
                buckets: buckets::of(entry, dimensions),
                class,
                caller: Caller { id, weight },
                name: queue.caller.clone(),
                calls,
            }
        });
        wheres.filter(|waiting| waiting.calls > 0).collect()
    }

    fn pauses(&self, job: &mut Job, notes: &mut Vec<String>) {
        for pause in &self.page.paused {
            let does = if pause.shed { "all its calls are refused" } else { "all its calls wait" };
            for planned in &mut job.methods {
                let (kind, name) = match (&pause.method, &pause.caller) {
                    (Some(name), _) if **name == *planned.entry.name => ("method", name),
                    (_, Some(name)) if **name == *planned.terms.caller => ("caller", name),
                    _ => continue,
                };
                planned.stuck.get_or_insert_with(|| {
                    format!(
                        "{} never goes: the {kind} {name} is paused, and {does} until `slackwater \
                         resume --{kind} {name}`",
                        planned.name
                    )
                });
            }
            if let Some(name) = &pause.workspace {
                notes.push(format!(
                    "the workspace {name} is paused, and {does}: of its own none goes before it is \
                     resumed"
                ));
            }
        }
    }

    fn modes(&self, job: &Job, notes: &mut Vec<String>) {
        let modes = &self.page.mode;
        for planned in &job.methods {
            let said = modes.methods.get(&*planned.entry.name).map(String::as_str);
            let said = said.or(planned.entry.mode.map(Mode::as_str)).unwrap_or(&modes.proxy);
            if said == Mode::Shadow.as_str() {
                notes.push(watched(&planned.name));
            }
        }
    }
}
