//! Limits that replicas have been given differently: said once, counted, and shown.

use std::{fmt, sync::Arc, time::Duration};

use limits::{BucketKey, Dimension, Rule};
use scheduler::Ask;
use tokio::time::Instant;

/// So many calls in any period, or at once where that is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Calls.
    pub quota: u32,
    /// The period.
    pub period: Duration,
}

/// A limit that another replica has been given with other figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its name.
    pub limit: Arc<str>,
    /// The method of the call with which that was found, if the limit counts by it.
    pub method: Option<Arc<str>>,
    /// What this replica has been given.
    pub here: Figures,
    /// What the other one has.
    pub elsewhere: Figures,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Differences {
    /// With when each was heard of last.
    all: Vec<(Difference, Instant)>,
}

/// How long a difference counts after it was heard of last: both replicas have to have calls of a limit
/// for that.
const LASTS: Duration = Duration::from_secs(60);

/// How many are remembered. The catalogue has fewer limits.
const MOST: usize = 64;

// === impl Differences ===

impl Differences {
    /// What the store said of another replica with calls in a bucket: its figures, or the same as here if
    /// all that have some agree. `None` if none has.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        bucket: &BucketKey,
        here: Figures,
        elsewhere: Option<Figures>,
    ) {
        let Some(elsewhere) = elsewhere else { return };
        let agrees = elsewhere == here;
        // A slot ages for a little longer than the limit says.
        let per = match bucket.limit.rule {
            Rule::Rate(rate) => rate.per,
            _ => here.period,
        };
        let more = here.period.saturating_sub(per);
        let [here, elsewhere] = [here, elsewhere].map(|it| it.less(more));
        if agrees {
            self.agrees(now, bucket, here);
            return;
        }
        let limit = &bucket.limit.name;
        // What this one was given before is no difference any more.
        self.all.retain(|(it, _)| it.limit != *limit || it.here == here);
        let same = |it: &Difference| it.limit == *limit && it.elsewhere == elsewhere;
        if let Some((_, heard)) = self.all.iter_mut().find(|(it, _)| same(it)) {
            *heard = now;
            return;
        }
        if self.all.len() == MOST {
            self.all.remove(0);
        }
        let method = bucket.value(Dimension::Method).map(Arc::from);
        let difference = Difference { limit: Arc::clone(limit), method, here, elsewhere };
        tracing::warn!(reason = REASON, "{difference}");
        self.all.push((difference, now));
    }

    fn agrees(&mut self, now: Instant, bucket: &BucketKey, here: Figures) {
        if self.all.is_empty() {
            return;
        }
        let limit = &bucket.limit.name;
        // This one has been given what the others have.
        self.all.retain(|(it, _)| it.limit != *limit || it.here == here);
        let of = |(it, _): &&(Difference, Instant)| it.limit == *limit;
        let last = self.all.iter().filter(of).map(|(_, heard)| *heard).max();
        // Replicas that agree may be others than those that do not.
        if last.is_some_and(|last| now - last > LASTS) {
            self.all.retain(|(it, _)| it.limit != *limit);
            tracing::info!("all replicas have {here} for {limit} again");
        }
    }

    /// Those that are heard of.
    pub(super) fn shown(&self, now: Instant) -> Vec<Difference> {
        let heard = self.all.iter().filter(|(_, heard)| now - *heard <= LASTS);
        heard.map(|(difference, _)| difference.clone()).collect()
    }

    /// How many were heard of since then.
    pub(super) fn heard_since(&self, since: Instant) -> usize {
        self.all.iter().filter(|(_, heard)| *heard >= since).count()
    }
}

/// What it is counted as.
pub(super) const REASON: &str = "limits_differ";

// === impl Difference ===

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, method, here, elsewhere } = self;
        write!(f, "the limit {limit}")?;
        if let Some(method) = method {
            write!(f, " of {method}")?;
        }
        write!(
            f,
            " is {here} here and {elsewhere} at another replica: the smaller one holds for both, until all \
             replicas have the same tiers and methods in their configuration"
        )
    }
}

// === impl Figures ===

impl Figures {
    /// Those that this replica has said.
    pub(super) fn of(ask: &Ask) -> Self {
        Self { quota: ask.quota, period: whole(ask.period) }
    }

    /// Those that the store has said: its periods are in milliseconds.
    pub(super) fn told((quota, period): (u32, u64)) -> Self {
        Self { quota, period: Duration::from_millis(period) }
    }

    fn less(self, more: Duration) -> Self {
        Self { period: self.period.saturating_sub(more), ..self }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self { quota, period: Duration::ZERO } => write!(f, "{quota} at once"),
            Self { quota, period } => write!(f, "{quota} per {period:?}"),
        }
    }
}

/// In whole milliseconds, as the store is told.
fn whole(time: Duration) -> Duration {
    Duration::from_millis(super::replica::millis(time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::keys;

    const FEW: Figures = Figures { quota: 20, period: Duration::from_mins(1) };
    const MANY: Figures = Figures { quota: 50, period: Duration::from_mins(1) };

    fn bucket(name: &str) -> BucketKey {
        keys::bucket(name).unwrap()
    }

    /// Red when a difference is a new one with each answer, when it is shown for ever, and when one that
    /// is mended is not a new one if it comes back.
    #[test]
    fn a_difference_is_there_until_the_replicas_agree() {
        let now = Instant::now();
        let (mut all, one) = (Differences::default(), bucket("tier2:A1/T1/users.list"));
        let is = |all: &Differences, now| {
            let shown = all.shown(now);
            shown.iter().map(|it| format!("{}, {}", it.here, it.elsewhere)).collect::<Vec<_>>()
        };
        all.hear(now, &one, FEW, None);
        all.hear(now, &one, FEW, Some(FEW));
        assert_eq!(is(&all, now), [""; 0]);
        all.hear(now, &one, FEW, Some(MANY));
        all.hear(now, &bucket("tier2:A1/T2/users.info"), FEW, Some(MANY));
        // Others agree meanwhile.
        all.hear(now + LASTS, &one, FEW, Some(FEW));
        assert_eq!(is(&all, now + LASTS), ["20 per 60s, 50 per 60s"]);
        assert_eq!((all.heard_since(now), all.heard_since(now + LASTS)), (1, 0));
        let later = now + LASTS + LASTS;
        assert_eq!(is(&all, later), [""; 0]);
        assert_eq!(all.all.len(), 1, "it is no new one if it comes again");
        all.hear(later, &one, FEW, Some(FEW));
        assert_eq!(all.all.len(), 0);
        // Given other figures, it differs from another one.
        all.hear(later, &one, FEW, Some(MANY));
        all.hear(later, &one, MANY, Some(FEW));
        assert_eq!(is(&all, later), ["50 per 60s, 20 per 60s"]);
        all.hear(later, &one, FEW, Some(FEW));
        assert_eq!(is(&all, later), [""; 0]);
    }

    /// Red when what is said does not name the limit and both figures.
    #[test]
    fn what_is_said_has_both_figures() {
        let difference = Difference {
            limit: "at_once".into(),
            method: Some("chat.postMessage".into()),
            here: Figures { quota: 5, period: Duration::ZERO },
            elsewhere: MANY,
        };
        let said = difference.to_string();
        let figures =
            "the limit at_once of chat.postMessage is 5 at once here and 50 per 60s at another";
        assert!(said.starts_with(figures), "{said}");
    }

    /// Red when they are kept without a bound.
    #[test]
    fn not_all_are_remembered() {
        let (now, mut all) = (Instant::now(), Differences::default());
        for n in 0..1_000 {
            all.hear(now, &bucket(&format!("l{n}:A1")), FEW, Some(MANY));
        }
        assert_eq!(all.shown(now).len(), MOST);
    }
}
