//! What a request calls, and what of its arguments decides when it goes.

use std::{borrow::Cow, sync::Arc};

use config::Upstream;
use http::{Uri, request::Parts};
use limits::{BucketKey, Dimension};
use slack::{
    Catalogue, Endpoint, Identity, Kind, Method, OTHER, OrderingArguments, TokenHash,
    buckets::{self, Dimensions},
    holds_token, is_call,
};

use super::{
    arguments::{self, Arguments},
    route::rest,
};
use crate::call::token::bearer;

/// What a request calls.
#[derive(Clone, Copy)]
pub(super) struct Called<'k, 'c> {
    pub(super) endpoint: Option<Endpoint>,
    /// The rules that it is under.
    pub(super) method: Option<&'k Arc<Method>>,
    /// The method's name: of one that is known the one that it has, however it is written.
    pub(super) name: &'c str,
    /// The whole path at the upstream, and what of it follows the prefix.
    path: &'c str,
    rest: &'c str,
}

/// A method's name is not one.
#[derive(Debug, thiserror::Error)]
#[error("{name:?} is no method name; a call goes to /api/METHOD, as in /api/chat.postMessage")]
pub struct NoMethod {
    name: String,
}

// === impl Called ===

impl<'k: 'c, 'c> Called<'k, 'c> {
    /// What a request calls there.
    pub(super) fn of(
        catalogue: &'k Catalogue,
        upstream: &Upstream,
        verb: &http::Method,
        url: &'c Uri,
    ) -> Result<Self, NoMethod> {
        let (path, rest) = (url.path(), rest(url, upstream).trim_end_matches('/'));
        let endpoint = Endpoint::of(upstream.kind, verb, path);
        let method = match endpoint {
            Some(endpoint) => Some(catalogue.endpoint(endpoint)),
            // Also what only asks how to call has to ask it of a method.
            None if upstream.kind == Kind::WebApi => {
                Some(method(catalogue, rest)?).filter(|_| is_call(verb))
            }
            None => None,
        };
        let name = method.map(|method| &*method.name).filter(|name| *name != OTHER);
        Ok(Self { endpoint, method, name: name.unwrap_or(rest), path, rest })
    }

    /// What it asks for. The rest of a webhook's path tells it from others, and is its secret.
    pub(super) fn asks(&self) -> &'c str {
        if self.endpoint.is_some() { self.rest } else { self.name }
    }

    /// The token that it names, and what its limits and its order depend on. Nothing is read that
    /// nothing depends on.
    pub(super) async fn arguments(&self, parts: &Parts, body: &[u8]) -> Arguments<'k> {
        // Beside the Web API no argument is read.
        let Some(method) = self.method.filter(|_| self.endpoint.is_none()) else {
            return Arguments::default();
        };
        let limited = |by: Dimension, name: &'k Option<Arc<str>>| {
            name.as_deref().filter(|_| buckets::counts_by(method, by))
        };
        let token = bearer(&parts.headers).is_none().then_some("token");
        let channel = limited(Dimension::Channel, &method.channel_arg);
        let user = limited(Dimension::User, &method.user_arg);
        let ordering = method.in_order.iter().flat_map(OrderingArguments::names);
        let names: Vec<_> = [token, channel, user].into_iter().flatten().chain(ordering).collect();
        if names.is_empty() {
            return Arguments::default();
        }
        arguments::find(&names, parts.uri.query(), &parts.headers, body).await
    }

    /// What it counts against, with these arguments, and what it changes.
    pub(super) fn buckets(
        &self,
        arguments: &Arguments<'_>,
        identity: &Identity,
        caller: &str,
    ) -> (Vec<BucketKey>, Option<String>) {
        let Some(method) = self.method else { return (Vec::new(), None) };
        let by_url = buckets::counts_by(method, Dimension::Url);
        let url = by_url.then(|| buckets::url_key(self.path));
        let argument = |name: &str| {
            let value = arguments.get(name)?;
            let is_channel = method.channel_arg.as_deref() == Some(name);
            Some(if is_channel { channel_of(value) } else { value })
        };
        let value = |name: &Option<Arc<str>>| Some(shown(argument(name.as_deref()?)?));
        let (channel, user) = (value(&method.channel_arg), value(&method.user_arg));
        let order = method.in_order.as_ref();
        let key = order.and_then(|order| order.key(&method.name, &identity.token, argument));
        let dimensions = Dimensions {
            identity,
            method: self.name,
            channel: channel.as_deref(),
            user: user.as_deref(),
            url: url.as_deref(),
            ordering_key: key.as_deref(),
            caller,
        };
        (buckets::of(method, dimensions), key)
    }
}

/// The rules of a method that a path names.
fn method<'c>(catalogue: &'c Catalogue, rest: &str) -> Result<&'c Arc<Method>, NoMethod> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if holds_token(rest) {
        return Err(NoMethod { name: "what looks like a token".to_owned() });
    }
    if rest.is_empty() || rest.len() > 100 || !rest.bytes().all(letter) {
        return Err(NoMethod { name: rest.chars().take(100).collect() });
    }
    Ok(catalogue.method(rest))
}

/// A value that is shown, as it is but for a token that stands there by mistake.
fn shown(value: &str) -> Cow<'_, str> {
    if holds_token(value) { TokenHash::of(value).name().to_string().into() } else { value.into() }
}

/// A channel in one spelling: `#general` is no other channel than `general`.
fn channel_of(value: &str) -> &str {
    let value = value.trim();
    value.strip_prefix('#').unwrap_or(value)
}
