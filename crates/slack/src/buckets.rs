//! Which buckets a call counts against.

use std::sync::Arc;

use crate::{Catalogue, IN_ORDER, Identity, Kind, Method, OPEN, push_hex, shown};
use aws_lc_rs::digest;
use limits::{BucketKey, Dimension, Joiner, Rule, Scope, Values};

/// The values of a call's dimensions.
#[derive(Clone, Copy, Debug)]
pub struct Dimensions<'c> {
    /// Whose call it is.
    pub identity: &'c Identity,
    /// The method's name as it was called; an endpoint's as the catalogue has it.
    pub method: &'c str,
    /// The channel that it names.
    pub channel: Option<&'c str>,
    /// The user that it names.
    pub user: Option<&'c str>,
    /// What stands for its URL.
    pub url: Option<&'c str>,
    /// What it is in order with.
    pub ordering_key: Option<&'c str>,
    /// Who sent it.
    pub caller: &'c str,
}

/// The longest value that is part of a key as it is.
const LONGEST: usize = 80;

/// The buckets of a call: one for each limit of its method whose dimensions it has, and those
/// of its workspace and app. A call that names no channel is not under a limit per channel; one that
/// names no user is about the token's own.
///
/// What is beside the Web API says nothing of a whole workspace or app: a webhook has neither, and
/// SCIM and Audit Logs count for all apps of an organization together.
pub fn of(method: &Method, call: Dimensions<'_>) -> Vec<BucketKey> {
    let mut buckets = Vec::with_capacity(method.limits.len() + 3);
    let mut joiner = Joiner::default();
    let in_order = method.in_order.as_ref().map(|_| &*IN_ORDER);
    let open = (method.kind == Kind::WebApi).then_some(&*OPEN);
    for limit in method.limits.iter().chain(in_order).chain(open.into_iter().flatten()) {
        joiner.clear();
        if join(&mut joiner, limit.scope, call).is_some() {
            buckets.push(BucketKey { limit: Arc::clone(limit), values: joiner.values() });
        }
    }
    buckets
}

/// The buckets of a call that waits, by its method as it is in another catalogue. `held` are those
/// that it has: they tell what it names. A limit by something that none of them counts by is none
/// of it, since its arguments were not read for that. Where one that it has is shared by a crowd, nobody knows
/// what it names there: a limit that counts by the same is the crowd's, too.
pub fn again(catalogue: &Catalogue, method: &Method, held: &[BucketKey]) -> Vec<BucketKey> {
    let mut values: [Option<&str>; Dimension::ALL.len()] = Default::default();
    for key in held.iter().filter(|key| !key.values.is_crowd()) {
        // A token's own user has its token for a value.
        for (by, value) in key.values.iter(key.limit.scope) {
            values[by as usize] = Some(value);
        }
    }
    let name = values[Dimension::Method as usize].unwrap_or(&method.name);
    let method = match method.kind {
        Kind::WebApi => catalogue.method(name),
        _ => catalogue.entry(&method.name),
    };
    let in_order = method.in_order.as_ref().map(|_| &*IN_ORDER);
    let mut joiner = Joiner::default();
    let limits = method.limits.iter().chain(in_order).filter_map(|limit| {
        let alike = || held.iter().filter(|key| key.limit.scope == limit.scope);
        let same = alike().find(|key| key.limit.name == limit.name);
        let crowd = || alike().find(|key| key.values.is_crowd());
        joiner.clear();
        let is_known = limit
            .scope
            .iter()
            .all(|by| values[by as usize].map(|value| joiner.push_joined(value)).is_some());
        let values = match same {
            Some(same) => same.values.clone(),
            None if is_known => joiner.values(),
            None => crowd()?.values.clone(),
        };
        Some(BucketKey { limit: Arc::clone(limit), values })
    });
    // Whole workspaces and apps, and what else is not in a catalogue, stay.
    let open = held.iter().filter(|key| matches!(key.limit.rule, Rule::Open | Rule::Gate)).cloned();
    limits.chain(open).collect()
}

/// Under which names the buckets of calls that have moved were kept, and are kept from now on: for
/// each way in which a limit can count by whom a call counts for.
pub fn renamed(from: &Identity, to: &Identity) -> impl Iterator<Item = (Scope, Values, Values)> {
    use Dimension::{App, Org, Workspace};
    const BY: [&[Dimension]; 7] = [
        &[Org],
        &[App],
        &[Workspace],
        &[Org, App],
        &[Org, Workspace],
        &[App, Workspace],
        &[Org, App, Workspace],
    ];
    let name = |identity: &Identity, by: &[Dimension]| {
        let mut name = Joiner::default();
        let call = Dimensions {
            identity,
            method: "",
            channel: None,
            user: None,
            url: None,
            ordering_key: None,
            caller: "",
        };
        join(&mut name, Scope::of(by), call).map(|()| name.values())
    };
    BY.into_iter().filter_map(move |by| {
        let (from, to) = (name(from, by)?, name(to, by)?);
        (from != to).then_some((Scope::of(by), from, to))
    })
}

/// Whether a limit of a method counts by this.
pub fn counts_by(method: &Method, dimension: Dimension) -> bool {
    method.limits.iter().any(|limit| limit.scope.contains(dimension))
}

/// Joins the call's values of these dimensions, if it has all of them.
fn join(joiner: &mut Joiner, scope: Scope, call: Dimensions<'_>) -> Option<()> {
    for dimension in scope.iter() {
        let value = match dimension {
            Dimension::App => &call.identity.app,
            Dimension::Org => &call.identity.org,
            Dimension::Workspace => &call.identity.workspace,
            Dimension::Token => &call.identity.token,
            Dimension::Method => call.method,
            Dimension::Channel => call.channel?,
            Dimension::User => call.user.unwrap_or(&call.identity.token),
            Dimension::Url => call.url?,
            Dimension::OrderingKey => call.ordering_key?,
            Dimension::Caller => call.caller,
        };
        match dimension {
            // Its parts are short already.
            Dimension::OrderingKey => joiner.push(value),
            _ => push(joiner, value),
        }
    }
    Some(())
}

/// What stands for a URL: the beginning of its path's SHA-256. The path of a webhook is a secret. A slash
/// at its end makes no other webhook of it.
pub fn url_key(path: &str) -> String {
    let path = path.trim_end_matches('/');
    shown("url-", digest::digest(&digest::SHA256, path.as_bytes()).as_ref())
}

/// Adds a value, of which none is long.
fn push(joiner: &mut Joiner, value: &str) {
    if value.len() > LONGEST {
        let hash = digest::digest(&digest::SHA256, value.as_bytes());
        let mut hex = String::with_capacity(24);
        push_hex(&mut hex, hash.as_ref().get(..12).unwrap_or_default());
        joiner.push_digest(&hex);
    } else {
        joiner.push(value);
    }
}
