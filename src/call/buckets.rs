//! Which buckets a call counts against.

use std::sync::Arc;

use crate::{
    identity::{Identity, token::push_hex},
    scheduler::BucketKey,
    slack::{Dimension, Method, OPEN, POSTS_IN_ORDER, Scope},
};

/// The values of a call's dimensions.
#[derive(Clone, Copy, Debug)]
pub struct Dimensions<'c> {
    /// Whose call it is.
    pub identity: &'c Identity,
    /// The method's name as it was called.
    pub method: &'c str,
    /// The channel that it names.
    pub channel: Option<&'c str>,
    /// The user that it names.
    pub user: Option<&'c str>,
    /// Who sent it.
    pub caller: &'c str,
}

/// The longest value that is part of a key as it is.
const LONGEST: usize = 80;

/// The buckets of a call: one for each limit of its method whose dimensions it has, and those
/// of its workspace and app. A call that names no channel is not under a limit per channel.
pub fn of(method: &Method, call: Dimensions<'_>) -> Vec<BucketKey> {
    let mut buckets = Vec::with_capacity(method.limits.len() + 3);
    let mut key = String::with_capacity(128);
    let in_order = method.in_order.then(|| &*POSTS_IN_ORDER);
    for limit in method.limits.iter().chain(in_order).chain(&*OPEN) {
        key.clear();
        if write(&mut key, limit.scope, call).is_some() {
            buckets.push(BucketKey { limit: Arc::clone(limit), values: key.as_str().into() });
        }
    }
    buckets
}

/// Whether the buckets of a method depend on this argument.
pub fn counts_by(method: &Method, dimension: Dimension) -> bool {
    (method.in_order && dimension == Dimension::Channel)
        || method.limits.iter().any(|limit| limit.scope.contains(dimension))
}

/// Writes the call's values of these dimensions, if it has all of them.
fn write(key: &mut String, scope: Scope, call: Dimensions<'_>) -> Option<()> {
    for dimension in scope.iter() {
        let value = match dimension {
            Dimension::App => &call.identity.app,
            Dimension::Workspace => &call.identity.workspace,
            Dimension::Org => &call.identity.org,
            Dimension::Token => &call.identity.token,
            // No kind of call that is taken yet is counted by its URL.
            Dimension::Method | Dimension::Url => call.method,
            Dimension::Channel => call.channel?,
            Dimension::User => call.user?,
            Dimension::Caller => call.caller,
        };
        if !key.is_empty() {
            key.push('/');
        }
        push(key, value);
    }
    Some(())
}

/// Appends a value so that no two lists of values make the same key, and none is long.
fn push(key: &mut String, value: &str) {
    if value.len() > LONGEST {
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, value.as_bytes());
        key.push('~');
        push_hex(key, hash.as_ref().get(..12).unwrap_or_default());
    } else if value.contains(['/', '~', '%']) {
        let value = value.replace('%', "%25").replace('/', "%2F").replace('~', "%7E");
        key.push_str(&value);
    } else {
        key.push_str(value);
    }
}
