//! Makes a call of a request: reads its body and everything that decides when it goes.

use std::{
    hash::{BuildHasher, RandomState},
    net::SocketAddr,
    sync::Arc,
};

use http::header;
use hyper::body::Incoming;
use tokio::time::Instant;
use tower::Layer;

use super::{
    Call, Head,
    arguments::{self, Values},
    body::{Body, Memory},
    buckets::{self, Dimensions},
    callers::{Callers, Signs, Standing},
    identity::{Identities, bearer, hash},
    patience::patience,
    record::Labels,
    route::{Routed, rest},
};
use crate::{
    admission::{Asking, Attempt},
    config::{Config, Kind, TrustCallers},
    respond::Failure,
    scheduler::{CallerId, PlaceId},
    slack::{Dimension, Method, holds_token},
    step::Step,
    upstream::headers,
};

/// Makes a [`Call`] of a routed request.
#[derive(Clone, Debug)]
pub struct ClassifyLayer {
    knowledge: Arc<Knowledge>,
}

/// Makes a [`Call`] of a routed request.
#[derive(Debug)]
pub struct Classify<S> {
    inner: S,
    knowledge: Arc<Knowledge>,
}

/// What a call is judged by.
#[derive(Debug)]
struct Knowledge {
    config: Arc<Config>,
    identities: Identities,
    callers: Callers,
    memory: Memory,
    /// Keyed, so that nobody can choose a name whose hash is another's.
    hasher: RandomState,
}

/// A method's name is not one.
#[derive(Debug, thiserror::Error)]
#[error("{name:?} is no method name; a call goes to /api/METHOD, as in /api/chat.postMessage")]
pub struct NoMethod {
    name: String,
}

/// So much of a body tells one call from another.
const TELLING: usize = 4096;

// === impl ClassifyLayer ===

impl ClassifyLayer {
    /// Classifies for a listener bound to `listen`.
    pub fn new(config: &Arc<Config>, listen: SocketAddr) -> Self {
        let may_raise = match config.trust_callers {
            TrustCallers::Auto => listen.ip().is_loopback(),
            TrustCallers::Always => true,
            TrustCallers::Never => false,
        };
        Self {
            knowledge: Arc::new(Knowledge {
                identities: Identities::new(&config.tokens),
                callers: Callers::new(&config.callers, may_raise),
                memory: Memory::new(config.queue.max_bytes),
                config: Arc::clone(config),
                hasher: RandomState::new(),
            }),
        }
    }
}

impl<S> Layer<S> for ClassifyLayer {
    type Service = Classify<S>;

    fn layer(&self, inner: S) -> Classify<S> {
        Classify { inner, knowledge: Arc::clone(&self.knowledge) }
    }
}

// === impl Classify ===

impl<S> Step<Routed<Incoming>> for Classify<S>
where
    S: Step<Asking, Error = Failure>,
{
    type Response = S::Response;
    type Error = Failure;

    async fn call(&self, routed: Routed<Incoming>) -> Result<S::Response, Failure> {
        let asking = self.knowledge.classify(routed).await?;
        self.inner.call(asking).await
    }
}

// === impl Knowledge ===

impl Knowledge {
    async fn classify(&self, routed: Routed<Incoming>) -> Result<Asking, Failure> {
        let Routed { request, upstream, url, lane, record } = routed;
        let (mut parts, incoming) = request.into_parts();
        let name = rest(&url, &upstream);
        let method = match upstream.kind {
            Kind::WebApi => Some(self.method(name)?),
            Kind::Plain => None,
        };
        let body = Body::read(incoming, &self.memory, self.config.timeouts.body_idle).await;
        // Also a call whose body cannot be read is somebody's.
        let known = body.as_ref().map_or(&[] as &[u8], Body::known);
        let [token, channel, user] = match method {
            Some(method) => arguments_of(method, &parts, known).await,
            None => Values::default(),
        };
        let (channel, user) = (self.unshown(channel), self.unshown(user));
        let token = bearer(&parts.headers).or(token.as_deref());
        // Hashing is a good part of what a call costs.
        let token = token.filter(|_| method.is_some() || self.callers.by_token()).map(hash);
        let agent = parts.headers.get(header::USER_AGENT);
        let agent = agent.and_then(|agent| str::from_utf8(agent.as_bytes()).ok());
        let signs = Signs {
            lane: &lane,
            user_agent: agent.unwrap_or_default(),
            token: token.as_ref().map(AsRef::as_ref),
        };
        let Standing { caller, class, weight, max_depth } =
            self.callers.of(signs, method.map(|method| &**method));
        record.classified(Labels {
            method: method.map(Arc::clone),
            class,
            caller: Arc::clone(&caller),
        });
        let body = body?;
        let buckets = method.map_or_else(Vec::new, |method| {
            let dimensions = Dimensions {
                identity: &self.identities.of(token.as_ref()),
                method: name,
                channel: channel.as_deref(),
                user: user.as_deref(),
                caller: &caller,
            };
            buckets::of(method, dimensions)
        });
        let caller_id = CallerId(self.hasher.hash_one(&*caller));
        let token = token.as_ref().map(AsRef::as_ref);
        let place = self.place(caller_id, token, name, &parts.uri, body.known());
        let method = method.map(Arc::clone);
        let Config { catalogue, queue, .. } = &*self.config;
        let wait = patience(lane.max_wait, agent, method.as_deref(), catalogue, queue);
        headers::forward_request(&mut parts.headers);
        // The client's patience began before its body was read, but only the exchange with us
        // took time till here.
        let arrived = Instant::now();
        let call = Call {
            head: Head { verb: parts.method, url, headers: parts.headers },
            body,
            upstream,
            method,
            class,
            place,
            caller_id,
            weight,
            max_depth,
            caller,
            arrived,
            deadline: arrived + wait,
            record,
        };
        Ok(Asking { call: Box::new(call), attempt: Attempt::First(buckets) })
    }

    /// What tells a call that returns: whose it is and what it asks for. Of two long bodies the
    /// beginning tells.
    fn place(
        &self,
        caller: CallerId,
        token: Option<&[u8]>,
        rest: &str,
        uri: &http::Uri,
        body: &[u8],
    ) -> PlaceId {
        let beginning = &body[..body.len().min(TELLING)];
        let asks = (rest, uri.query(), body.len(), beginning);
        PlaceId(self.hasher.hash_one((caller, token, asks)))
    }

    /// A value that is shown, as it is but for a token that stands there by mistake.
    fn unshown(&self, value: Option<String>) -> Option<String> {
        value.map(|value| match holds_token(&value) {
            true => self.identities.of(Some(&hash(&value))).token.to_string(),
            false => value,
        })
    }

    fn method(&self, rest: &str) -> Result<&Arc<Method>, NoMethod> {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if holds_token(rest) {
            return Err(NoMethod { name: "what looks like a token".to_owned() });
        }
        if rest.is_empty() || rest.len() > 100 || !rest.bytes().all(letter) {
            return Err(NoMethod { name: rest.chars().take(100).collect() });
        }
        Ok(self.config.catalogue.method(rest))
    }
}

/// The token, the channel and the user that a call names. Nothing is read that nothing depends
/// on.
async fn arguments_of(method: &Method, parts: &http::request::Parts, body: &[u8]) -> Values<3> {
    let argument = |by: Dimension, name: &Option<Arc<str>>| {
        name.clone().filter(|_| buckets::counts_by(method, by))
    };
    let channel_arg = argument(Dimension::Channel, &method.channel_arg);
    let user_arg = argument(Dimension::User, &method.user_arg);
    if bearer(&parts.headers).is_some() && channel_arg.is_none() && user_arg.is_none() {
        return Values::default();
    }
    let names = [
        "token",
        channel_arg.as_deref().unwrap_or_default(),
        user_arg.as_deref().unwrap_or_default(),
    ];
    arguments::find(names, parts.uri.query(), &parts.headers, body).await
}
