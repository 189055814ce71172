//! What was kept becomes what the scheduler and the identities know.

use std::{collections::HashMap, sync::Arc};

use limits::{BucketKey, Limit};
use slack::{Catalogue, OPEN};

use crate::{
    identity::Identities,
    queue::Admission,
    state::{Disk, Kept, Opened},
};

/// Tells both what the file knows. A limit that is counted otherwise now, or no more, has nothing
/// to remember.
pub(super) fn restore(
    opened: &Opened<impl Disk>,
    catalogue: &Catalogue,
    admission: &Admission,
    identities: &Identities,
) {
    for moved in identities.restore(opened.learnt()) {
        admission.move_identity(&moved.from, &moved.to);
    }
    admission.restore_pauses(opened.paused().iter().cloned());
    let limits: HashMap<&str, &Arc<Limit>> =
        catalogue.limits().chain(&*OPEN).map(|limit| (&*limit.name, limit)).collect();
    let mut knows_all = true;
    let buckets = opened.buckets().filter_map(|Kept { limit, scope, values, memory }| {
        let limit = limits.get(&*limit).filter(|limit| limit.scope == scope);
        knows_all &= limit.is_some();
        Some((BucketKey { limit: Arc::clone(limit?), values }, memory))
    });
    admission.restore(buckets, opened.cautious_since());
    if knows_all {
        admission.take_over(opened.ended());
    }
}
