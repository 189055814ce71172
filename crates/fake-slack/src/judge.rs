//! The judge: told the time and what a call is, it lets the call through or refuses it.
//!
//! It owns no clock, no task and no socket, and knows nothing of how a proxy would keep the
//! limits, because it judges whether one does. A call needs room in every window of its
//! limits; then it counts in all of them. Otherwise it counts in none, unless the options say
//! that refused calls count, and the refusal's `Retry-After` is the time until all of them
//! have room, in whole seconds. Until that has passed the penalty's scope is closed, too.

use std::{
    collections::HashMap,
    num::{NonZeroU32, NonZeroU64},
    sync::Arc,
    time::Duration,
};

use limits::{Rate, Rule};
use slack::{Kind, Method};

use super::{
    Call, Cause, Decision, Flight, LimitHit, Options, Penalty, Shape,
    call::Key,
    random::share_of,
    window::{Model, Window},
};

/// Counts calls and judges them.
#[derive(Debug)]
pub struct Judge {
    options: Options,
    latest: Duration,
    windows: HashMap<Key, Window>,
    closed: HashMap<Closed, (Duration, LimitHit)>,
    flying: HashMap<Key, u32>,
    era: u64,
    sweep_at: usize,
}

/// What a penalty closes: an app, with the workspace and method if it goes no further; a URL or an
/// organization with the method.
type Closed = (Arc<str>, Option<Arc<str>>, Option<Arc<str>>);

/// So many windows may be kept before the idle ones are looked for.
const SWEEP_FLOOR: usize = 1_024;

// === impl Judge ===

impl Judge {
    /// Has counted nothing.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            latest: Duration::ZERO,
            windows: HashMap::new(),
            closed: HashMap::new(),
            flying: HashMap::new(),
            era: 0,
            sweep_at: SWEEP_FLOOR,
        }
    }

    /// What holds for a method.
    pub fn method(&self, name: &str) -> Arc<Method> {
        self.options.rules.method(name)
    }

    /// Judges a call that arrives at `now`, a time since the start. Earlier than the call
    /// before means at the same time.
    pub fn handle(&mut self, now: Duration, call: &Call) -> Decision {
        self.latest = self.latest.max(now);
        let now = self.latest;
        self.sweep(now);
        let method = self.method(&call.method);

        let mut keys = Vec::new();
        let mut fullest: Option<(Duration, LimitHit)> = None;
        for limit in &method.limits {
            let Rule::Rate(rate) = limit.rule else { continue };
            let Some(key) = Key::of(limit, call) else { continue };
            for (key, model) in self.models(key, rate) {
                let window = self.windows.entry(key.clone()).or_insert_with(|| Window::new(model));
                let look = window.look(now);
                if fullest.as_ref().map_or(Duration::ZERO, |(wait, _)| *wait) < look.wait {
                    let refusal = key.refusal(look.used, window.limit(), Cause::Window);
                    fullest = Some((look.wait, refusal));
                }
                keys.push(key);
            }
        }

        let refusal = self.penalty(now, &method, call).or_else(|| {
            fullest.map(|(wait, refusal)| self.refuse(now, wait, refusal, &method, call))
        });
        let decision = match refusal {
            Some(refusal) => Decision::Refuse(refusal),
            None => self.take_off(&method, call),
        };
        if matches!(decision, Decision::Accept(_)) || self.options.count_refused {
            for key in keys {
                if let Some(window) = self.windows.get_mut(&key) {
                    window.take(now);
                }
            }
        }
        decision
    }

    /// The answer of an accepted call has been sent.
    pub fn land(&mut self, flight: Flight) {
        if flight.era != self.era {
            return;
        }
        for key in flight.keys {
            if let Some(flying) = self.flying.get_mut(&key) {
                *flying -= 1;
                if *flying == 0 {
                    self.flying.remove(&key);
                }
            }
        }
    }

    /// Forgets all calls, penalties and flights.
    pub fn reset(&mut self) {
        self.windows.clear();
        self.closed.clear();
        self.flying.clear();
        self.era += 1;
    }

    /// The windows in which a rate is counted.
    fn models(&self, key: Key, rate: Rate) -> Vec<(Key, Model)> {
        let Rate { limit, per, burst, tolerates } = rate;
        let per = self.options.scaled(per);
        let shape = self.options.shape;
        // Documented as letting short bursts pass, which only a bucket does.
        if let Some(capacity) = tolerates {
            return vec![(key, Model::Bucket { capacity, limit, per })];
        }
        if shape == Shape::Bucket {
            let capacity = burst.unwrap_or(limit);
            return vec![(key, Model::Bucket { capacity, limit, per })];
        }
        let seed = self.options.seed;
        let model = |key: &Key, limit: NonZeroU32, per| match shape {
            Shape::Sliding | Shape::Bucket => Model::Sliding { limit, per },
            Shape::Fixed => Model::Fixed { limit, per },
            Shape::FixedClock => Model::FixedClock { limit, per, offset: share_of(per, seed, key) },
        };
        let mut models = Vec::with_capacity(2);
        if let Some(burst) = burst {
            let key = key.of_burst();
            let model = model(&key, burst, (per * burst.get()) / limit.get());
            models.push((key, model));
        }
        let whole = model(&key, limit, per);
        models.push((key, whole));
        models
    }

    /// Accepts the call if not too many of its kind are under way.
    fn take_off(&mut self, method: &Method, call: &Call) -> Decision {
        let mut keys = Vec::new();
        for limit in &method.limits {
            let Rule::Concurrency(most) = limit.rule else { continue };
            let Some(key) = Key::of(limit, call) else { continue };
            let used = self.flying.get(&key).copied().unwrap_or(0);
            if used >= most.get() {
                return Decision::Refuse(key.refusal(used, most.get(), Cause::Concurrency));
            }
            keys.push(key);
        }
        for key in &keys {
            *self.flying.entry(key.clone()).or_insert(0) += 1;
        }
        Decision::Accept(Flight { era: self.era, keys })
    }

    /// The refusal that still closes the call's scope.
    fn penalty(&self, now: Duration, method: &Method, call: &Call) -> Option<LimitHit> {
        let (until, refusal) = self.closed.get(&self.scope(method, call)?)?;
        let left = until.saturating_sub(now);
        (!left.is_zero()).then(|| LimitHit {
            cause: Cause::Penalty,
            retry_after: Some(whole_seconds(left)),
            ..refusal.clone()
        })
    }

    /// Completes a refusal and closes its scope.
    fn refuse(
        &mut self,
        now: Duration,
        wait: Duration,
        refusal: LimitHit,
        method: &Method,
        call: &Call,
    ) -> LimitHit {
        let seconds = whole_seconds(wait);
        let refusal = LimitHit { retry_after: Some(seconds), ..refusal };
        if let Some(scope) = self.scope(method, call) {
            let until = now + Duration::from_secs(seconds.get());
            self.closed.insert(scope, (until, refusal.clone()));
        }
        refusal
    }

    fn scope(&self, method: &Method, call: &Call) -> Option<Closed> {
        let app = Arc::clone(&call.identity.app);
        let name = || Some(Arc::clone(&call.method));
        let workspace = || Some(Arc::clone(&call.identity.workspace));
        match self.options.penalty {
            Penalty::None => None,
            // Beside the Web API Slack counts by URL, or by organization for all apps together.
            _ if method.kind != Kind::WebApi => {
                Some((call.url.clone().or_else(workspace)?, None, name()))
            }
            Penalty::Method => Some((app, workspace(), name())),
            Penalty::Workspace => Some((app, workspace(), None)),
            Penalty::App => Some((app, None, None)),
        }
    }

    /// Drops what no longer decides anything, whenever there is twice as much as last time, so
    /// that memory follows live traffic.
    fn sweep(&mut self, now: Duration) {
        if self.windows.len() + self.closed.len() < self.sweep_at {
            return;
        }
        self.windows.retain(|_, window| !window.is_idle(now));
        self.closed.retain(|_, (until, _)| *until > now);
        self.sweep_at = SWEEP_FLOOR.max(2 * (self.windows.len() + self.closed.len()));
    }
}

/// Rounded up, and at least one: what `Retry-After` can say.
fn whole_seconds(wait: Duration) -> NonZeroU64 {
    let up = u64::from(wait.subsec_nanos() > 0);
    NonZeroU64::new(wait.as_secs() + up).unwrap_or(NonZeroU64::MIN)
}

#[cfg(test)]
mod tests;
