//! What was kept becomes what the scheduler and the identities know.

use std::{collections::HashMap, sync::Arc};

use limits::{BucketKey, Limit};
use scheduler::Memory;
use slack::{Catalogue, OPEN};

use super::Opened;
use crate::{admission::Admission, identity::Identities};

/// Tells both what the file knows. A limit that is counted otherwise now, or no more, has nothing
/// to remember.
pub fn restore(
    opened: &Opened,
    catalogue: &Catalogue,
    admission: &Admission,
    identities: &Identities,
) {
    let (ledger, clock) = (&opened.ledger, opened.clock());
    for moved in identities.restore(ledger.learnt()) {
        admission.move_identity(&moved.from, &moved.to);
    }
    admission.restore_pauses(ledger.paused.iter().cloned());
    let limits: HashMap<&str, &Arc<Limit>> =
        catalogue.limits().chain(&*OPEN).map(|limit| (&*limit.name, limit)).collect();
    let buckets = ledger.buckets.values().filter_map(|entry| {
        let limit = limits.get(&*entry.limit).filter(|limit| limit.scope == entry.by)?;
        let key = BucketKey { limit: Arc::clone(limit), values: Arc::clone(&entry.values) };
        let ages_from = entry.slots.iter().map(|at| clock.instant(*at)).collect();
        let frozen_until = entry.frozen_until.map(|at| clock.instant(at));
        Some((key, Memory { ages_from, frozen_until }))
    });
    admission.restore(buckets, ledger.doubt.map(|since| clock.instant(since)));
}
