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
    identity::{Identities, bearer},
    patience::patience,
    record::Labels,
    route::{Routed, rest},
};
use crate::{
    admission::{Asking, Claim},
    config::{Config, Kind, TrustCallers},
    respond::Failure,
    scheduler::{BucketKey, CallerId, Class, Weight},
    slack::{Dimension, Method},
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
    memory: Memory,
    /// Whether a caller may say that its calls are more urgent than their method's default.
    may_raise: bool,
    /// Who calls that give no name are.
    default_caller: Arc<str>,
    /// Keyed, so that nobody can choose a name whose hash is another's.
    hasher: RandomState,
}

/// A method's name is not one.
#[derive(Debug, thiserror::Error)]
#[error("{name:?} is no method name; a call goes to /api/METHOD, as in /api/chat.postMessage")]
pub struct NoMethod {
    name: String,
}

const DEFAULT_CALLER: &str = "default";

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
                memory: Memory::new(config.queue.max_bytes),
                config: Arc::clone(config),
                may_raise,
                default_caller: DEFAULT_CALLER.into(),
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
        let caller = lane.caller.unwrap_or_else(|| Arc::clone(&self.default_caller));
        let class = self.class(lane.class, method);
        record.classified(Labels {
            method: method.map(Arc::clone),
            class,
            caller: Arc::clone(&caller),
        });
        let body = Body::read(incoming, &self.memory, self.config.timeouts.body_idle).await?;
        let buckets = match method {
            Some(method) => self.buckets(method, name, &caller, &parts, body.known()).await,
            None => Vec::new(),
        };
        let agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
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
            caller_id: CallerId(self.hasher.hash_one(&*caller)),
            weight: Weight::ONE,
            caller,
            arrived,
            deadline: arrived + wait,
            record,
        };
        Ok(Asking { call: Box::new(call), claim: Claim::First(buckets) })
    }

    fn method(&self, rest: &str) -> Result<&Arc<Method>, NoMethod> {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if rest.is_empty() || rest.len() > 100 || !rest.bytes().all(letter) {
            return Err(NoMethod { name: rest.chars().take(100).collect() });
        }
        Ok(self.config.catalogue.method(rest))
    }

    async fn buckets(
        &self,
        method: &Method,
        name: &str,
        caller: &str,
        parts: &http::request::Parts,
        body: &[u8],
    ) -> Vec<BucketKey> {
        let header = bearer(&parts.headers);
        let argument = |by: Dimension, name: &Option<Arc<str>>| {
            name.clone().filter(|_| buckets::counts_by(method, by))
        };
        let channel_arg = argument(Dimension::Channel, &method.channel_arg);
        let user_arg = argument(Dimension::User, &method.user_arg);
        // Nothing is read that nothing depends on.
        let wanted = header.is_none() || channel_arg.is_some() || user_arg.is_some();
        let [token, channel, user]: Values<3> = if wanted {
            let names = [
                "token",
                channel_arg.as_deref().unwrap_or_default(),
                user_arg.as_deref().unwrap_or_default(),
            ];
            arguments::find(names, parts.uri.query(), &parts.headers, body).await
        } else {
            [const { None }; 3]
        };
        let identity = self.identities.of(header.or(token.as_deref()));
        let dimensions = Dimensions {
            identity: &identity,
            method: name,
            channel: channel.as_deref(),
            user: user.as_deref(),
            caller,
        };
        buckets::of(method, dimensions)
    }

    /// What the call says, else the method's default. Where callers are not trusted they may
    /// only say that a call is less urgent than it would be.
    fn class(&self, said: Option<Class>, method: Option<&Arc<Method>>) -> Class {
        let default = method.and_then(|method| method.class).unwrap_or_default();
        match said {
            Some(said) if self.may_raise => said,
            Some(said) => said.max(default),
            None => default,
        }
    }
}
