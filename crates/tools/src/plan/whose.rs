//! Whose calls a plan is taken for.
//!
//! The state of a proxy has no token, so nobody knows which of its workspaces a job is for. It is planned
//! for those in which there is most to wait for.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use config::Config;
use limits::{Dimension, Limit};
use slack::{Identity, OPEN};

use super::{
    job::Planned,
    live::{Bucket, Live},
};

/// Whose calls they are taken for: the app and workspaces with most to wait for, and as many that
/// the proxy has not heard of as there are more.
pub(crate) fn identities(
    live: Option<&Live>,
    methods: &[Planned],
    workspaces: usize,
    config: &Config,
) -> Vec<Identity> {
    let buckets = live.map_or(&[] as &[Bucket], |live| &live.page.buckets);
    let known: HashMap<&str, &Arc<Limit>> =
        config.catalogue.limits().chain(&*OPEN).map(|limit| (&*limit.name, limit)).collect();
    let own = |limit: &Limit| methods.iter().any(|planned| has(planned, limit));
    let (mut found, mut apps, mut orgs) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for bucket in buckets {
        let Some(limit) = known.get(&*bucket.limit) else { continue };
        let of = |by| bucket.key.get(limit.scope, by);
        let is_own = own(limit)
            && of(Dimension::Method)
                .is_none_or(|name| methods.iter().any(|planned| &*planned.name == name));
        let load =
            (bucket.frozen_for_ms > 0 || (is_own && bucket.waiting > 0), is_own, bucket.used);
        for (values, key) in
            [(&mut apps, of(Dimension::App)), (&mut orgs, of(Dimension::Org).filter(|_| is_own))]
        {
            if let Some(key) = key {
                let most = values.entry(key).or_insert(load);
                *most = load.max(*most);
            }
        }
        if let (Some(app), Some(workspace)) = (of(Dimension::App), of(Dimension::Workspace)) {
            let most = found.entry((app, workspace)).or_insert(load);
            *most = load.max(*most);
        }
    }
    let mut found: Vec<_> = found.into_iter().collect();
    found.sort_by_key(|(_, load)| Reverse(*load));
    let busiest = |of: BTreeMap<&str, _>| {
        of.into_iter().max_by_key(|(_, load)| *load).map(|(name, _)| name.to_owned())
    };
    let (app, org) = (busiest(apps).unwrap_or_else(|| "app".to_owned()), busiest(orgs));
    let known = found.into_iter().map(|(key, _)| key);
    (0..workspaces)
        .zip(known.map(Some).chain(std::iter::repeat(None)))
        .map(|(number, known)| {
            let new = format!("workspace-{}", number + 1);
            let (app, workspace) = known.unwrap_or((&app, &new));
            Identity {
                app: app.into(),
                workspace: workspace.into(),
                org: org.as_deref().unwrap_or(workspace).into(),
                token: format!("token-{}", number + 1).into(),
                org_wide: false,
            }
        })
        .collect()
}

/// Whether a method is under that limit.
fn has(planned: &Planned, limit: &Limit) -> bool {
    planned.entry.limits.iter().any(|own| own.name == limit.name)
}
