//! Makes a call of a request: reads its body and everything that decides when it goes.

use std::{
    borrow::Cow,
    hash::{BuildHasher, RandomState},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use config::{
    CallerName, Config, ShedAs, Upstream,
    callers::{CallerHints, CallerTerms, Callers},
};
use http::{HeaderMap, Response, header, request::Parts};
use hyper::body::Incoming;
use limits::Class;
use scheduler::{CallerId, PlaceId};
use slack::{Identity, Method, TokenHash, identity::is_id};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tower::Layer;

use crate::{
    call::{
        Call, Head, Saves,
        body::{Body, BodyError, Memory, Owner, WHOLE},
        client_end::{ClientEnd, ClientEnded},
        coding, headers,
        record::Labels,
        refusing::Refusing,
        response::ResponseBody,
        token::bearer,
        trace::{Met, WaitedFor},
    },
    clicks::{Clicks, ClientId},
    identity::Identities,
    inbound::{
        arguments,
        called::{Called, NoMethod},
        lane::Lane,
        patience::Known,
        place::Asks,
        resolve::{self, Brought, IdentityResolver},
        route::Routed,
    },
    queue::{Attempt, QueueRequest},
    step::Step,
};

/// Makes a [`Call`] of a routed request.
#[derive(Clone, Debug)]
pub struct ClassifyLayer {
    knowledge: Arc<Knowledge>,
    exchanges: TaskTracker,
}

/// Makes a [`Call`] of a routed request.
#[derive(Debug)]
pub struct Classify<S> {
    inner: Arc<S>,
    resolver: IdentityResolver<S>,
    knowledge: Arc<Knowledge>,
}

/// What a call is judged by.
#[derive(Debug)]
struct Knowledge {
    config: Arc<Config>,
    identities: Identities,
    callers: Callers,
    /// Bots of several apps may share the listener.
    gateway: bool,
    memory: Memory,
    clicks: Clicks,
    /// Keyed, so that nobody can choose a name whose hash is another's.
    hasher: RandomState,
}

// === impl ClassifyLayer ===

impl ClassifyLayer {
    /// Classifies for a listener bound to `listen`. `hasher` tells callers and returning calls apart;
    /// `exchanges` tracks what is asked of Slack for a call; clicks are told to `clicks`; what calls hold
    /// counts in `memory`.
    pub fn new(
        config: &Arc<Config>,
        identities: &Identities,
        clicks: &Clicks,
        hasher: &RandomState,
        exchanges: &TaskTracker,
        memory: &Memory,
        listen: SocketAddr,
    ) -> Self {
        let may_raise = config.trust_callers.may_raise(listen.ip());
        Self {
            knowledge: Arc::new(Knowledge {
                identities: identities.clone(),
                gateway: !listen.ip().is_loopback(),
                callers: Callers::new(&config.callers, may_raise),
                memory: memory.clone(),
                clicks: clicks.clone(),
                config: Arc::clone(config),
                hasher: hasher.clone(),
            }),
            exchanges: exchanges.clone(),
        }
    }
}

impl<S> Layer<S> for ClassifyLayer
where
    S: Step<QueueRequest, Response = Response<ResponseBody>> + 'static,
    S::Error: From<NoMethod> + From<BodyError> + From<ClientEnded>,
{
    type Service = Classify<S>;

    fn layer(&self, inner: S) -> Classify<S> {
        let Self { knowledge, exchanges } = self;
        let Knowledge { config, identities, memory, .. } = &**knowledge;
        let inner = Arc::new(inner);
        let resolver = IdentityResolver::new(&inner, config, identities, memory, exchanges);
        Classify { inner, resolver, knowledge: Arc::clone(knowledge) }
    }
}

// === impl Classify ===

impl<S> Step<Routed<Incoming>> for Classify<S>
where
    S: Step<QueueRequest, Response = Response<ResponseBody>> + 'static,
    S::Error: From<NoMethod> + From<BodyError> + From<ClientEnded>,
{
    type Response = Response<ResponseBody>;
    type Error = S::Error;

    async fn call(&self, routed: Routed<Incoming>) -> Result<Response<ResponseBody>, S::Error> {
        let request = self.classify(routed).await?;
        self.inner.call(request).await
    }
}

impl<S> Classify<S>
where
    S: Step<QueueRequest, Response = Response<ResponseBody>> + 'static,
    S::Error: From<NoMethod> + From<BodyError> + From<ClientEnded>,
{
    async fn classify(&self, routed: Routed<Incoming>) -> Result<QueueRequest, S::Error> {
        let Routed { request, upstream, url, lane, proved, record } = routed;
        let knowledge = &*self.knowledge;
        let (mut parts, incoming) = request.into_parts();
        let catalogue = &knowledge.config.catalogue;
        let called = Called::of(catalogue, &upstream, &parts.method, &url)?;
        let Called { endpoint, method, name, .. } = called;
        let owner = || knowledge.owner(&parts, &upstream, method, (&lane, proved.as_ref()));
        let body = knowledge.body(incoming, (head_bytes(&parts), owner)).await;
        // The client's patience began before its body was read, but only the exchange with us
        // took time till here.
        let arrived = Instant::now();
        // Also a call whose body cannot be read is somebody's.
        let known = &*unpacked(&parts, body.as_ref().ok());
        let arguments = called.arguments(&parts, known).await;
        // What a client has read from a file may end with its line.
        let text = bearer(&parts.headers).or(arguments.get("token").map(str::trim));
        // Whoever knows the URL may call it; no token decides anything.
        let text = text.filter(|_| !upstream.kind.has_secret_url());
        // Hashing is a good part of what a call costs.
        let text = text.filter(|_| method.is_some() || knowledge.callers.by_token());
        let token = text.map(TokenHash::of);
        let agent = user_agent(&parts.headers);
        let mut patience = Known::of(&knowledge.config, &parts, upstream.kind, method);
        patience.keep_waiting(&parts, body.as_ref().ok());
        patience.said = lane.max_wait;
        let identity = match (text, &token, method) {
            (Some(text), Some(token), Some(_)) if body.is_ok() && !is_own_question(name) => {
                let mut whose = knowledge.identities.whose(arrived, token);
                if whose.ask {
                    // A second at most, so the caller's rule, which is not known yet, matters little.
                    let deadline = arrived + patience.of_class(Class::Interactive);
                    // Boxed, because hardly any call asks, and each would carry it about.
                    let (headers, upstream) = (&parts.headers, &upstream);
                    let brought = Brought { token: text, hash: token, headers, upstream };
                    let asking = self.resolver.ask(whose.clone(), brought, deadline);
                    let end = ClientEnd::of(&parts.extensions);
                    whose.identity = end.unless(Box::pin(asking)).await?;
                    let (to, what) = (Instant::now(), WaitedFor::Identity);
                    record.waited(to.duration_since(arrived));
                    record.met(|| Met::Wait { from: arrived, to, what, bucket: None });
                }
                // Beside the Web API no argument is read.
                if whose.identity.org_wide && endpoint.is_none() {
                    whose.identity = within(&whose.identity, &parts, known).await;
                }
                whose.identity
            }
            (_, Some(token), Some(_)) => knowledge.identities.whose(arrived, token).identity,
            _ => knowledge.identities.nobody(),
        };
        let whose = (proved.as_ref(), token.as_ref(), &*identity);
        let hints = knowledge.hints(&lane, agent, whose);
        let terms = knowledge.callers.of(hints, method.map(|method| &**method));
        let saves = knowledge.saves(&lane, &terms, method);
        let CallerTerms { caller, class, max_wait, weight, max_depth, disabled, .. } = terms;
        patience.said = patience.said.or(max_wait);
        let waits = patience.of_class(class);
        let deadline = arrived + waits;
        let caller_id = CallerId(knowledge.hasher.hash_one(&*caller));
        let client = (caller_id, token.as_ref());
        let refusing = knowledge.refusing(&patience, client, lane.shed_as, class, waits);
        let again = if refusing.comes_back() { waits } else { Duration::ZERO };
        record.classified(Labels {
            method: method.map(Arc::clone),
            class,
            caller: caller.clone(),
            workspace: token.as_ref().and(method).map(|_| Arc::clone(&identity.workspace)),
            refusing,
            again,
            retries: patience.client.map(|client| client.retries).unwrap_or_default(),
        });
        let mut body = body?;
        body.belongs_to(Owner::of(caller_id, class));
        let (buckets, ordering_key) = called.buckets(&arguments, &identity, &caller);
        let place =
            knowledge.place(client, called.asks(), (&upstream.prefix, &parts, body.known()));
        headers::forward_request(&mut parts.headers);
        let call = Call {
            head: Head { verb: parts.method, url, headers: parts.headers },
            body,
            upstream,
            method: method.map(Arc::clone),
            token,
            class,
            place,
            caller_id,
            weight,
            max_depth,
            disabled,
            saves,
            ordering_key,
            caller,
            arrived,
            deadline,
            client_end: ClientEnd::of(&parts.extensions),
            repeated: false,
            own_connection: false,
            again,
            record,
            several: None,
        };
        Ok(QueueRequest { call: Box::new(call), attempt: Attempt::First(buckets), refusal: None })
    }
}

// === impl Knowledge ===

impl Knowledge {
    /// By what the caller of a call is known.
    fn hints<'h>(
        &self,
        lane: &'h Lane,
        agent: Option<&'h str>,
        (proved, token, identity): (Option<&'h CallerName>, Option<&'h TokenHash>, &'h Identity),
    ) -> CallerHints<'h> {
        CallerHints {
            proved,
            caller: lane.caller.as_ref(),
            class: lane.class,
            user_agent: agent.unwrap_or_default(),
            token,
            app: Some(identity).filter(|_| self.gateway).and_then(Identity::known_app),
        }
    }

    /// What of a call need not be sent: as the call says, else as its caller's
    /// terms or its method's, else as all.
    fn saves(&self, lane: &Lane, terms: &CallerTerms, method: Option<&Arc<Method>>) -> Saves {
        let Config { reads, edits, .. } = &*self.config;
        let share = lane.share_reads.or(terms.share_reads).unwrap_or(reads.share);
        let edits = lane.edits.or(terms.edits).unwrap_or(*edits);
        Saves { share_reads: share && method.is_some_and(|method| method.reads), edits }
    }

    /// The place that a call may have left, by all that it asks.
    fn place(
        &self,
        (caller, token): (CallerId, Option<&TokenHash>),
        path: &str,
        (prefix, parts, body): (&str, &Parts, &[u8]),
    ) -> PlaceId {
        let (verb, query, headers) = (&parts.method, parts.uri.query(), &parts.headers);
        let asks = Asks { caller, token, verb, prefix, path, query, headers, body };
        asks.place(&self.hasher)
    }

    /// How a call that waits so long is told that it is refused. If it is a click of a client that stops as a
    /// whole, that is remembered.
    fn refusing(
        &self,
        patience: &Known<'_>,
        client: (CallerId, Option<&TokenHash>),
        shed_as: Option<ShedAs>,
        class: Class,
        waits: Duration,
    ) -> Refusing {
        let stops = patience.client.is_some_and(|client| client.stops_whole);
        let client = stops.then(|| ClientId(self.hasher.hash_one(client)));
        if let Some(client) = client.filter(|_| class == Class::Interactive) {
            self.clicks.click(client);
        }
        let shed_as = shed_as.unwrap_or(self.config.shed_as);
        Refusing::of(shed_as, patience.kind, client, class, waits)
    }

    /// Whose the body of a call is, as far as its headers say. Asked only when memory is scarce.
    #[cold]
    fn owner(
        &self,
        parts: &Parts,
        upstream: &Upstream,
        method: Option<&Arc<Method>>,
        (lane, proved): (&Lane, Option<&CallerName>),
    ) -> Owner {
        let text = bearer(&parts.headers).filter(|_| !upstream.kind.has_secret_url());
        let token = text.map(TokenHash::of);
        let identity = match token.as_ref().filter(|_| method.is_some()) {
            Some(token) => self.identities.whose(Instant::now(), token).identity,
            None => self.identities.nobody(),
        };
        let agent = user_agent(&parts.headers);
        let hints = self.hints(lane, agent, (proved, token.as_ref(), &identity));
        let terms = self.callers.of(hints, method.map(|method| &**method));
        Owner::of(CallerId(self.hasher.hash_one(&*terms.caller)), terms.class)
    }

    async fn body(
        &self,
        incoming: Incoming,
        head: (usize, impl Fn() -> Owner),
    ) -> Result<Body, BodyError> {
        Body::read(incoming, &self.memory, head, self.config.timeouts.body_idle).await
    }
}

/// How many bytes a call's headers and URL take: with what is around them, twice as many as they are.
fn head_bytes(parts: &Parts) -> usize {
    let url = parts.uri.path_and_query().map_or(0, |it| it.as_str().len());
    let headers = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
    2 * (url + headers.sum::<usize>())
}

/// A call's User-Agent, if it is text.
pub(super) fn user_agent(headers: &HeaderMap) -> Option<&str> {
    let agent = headers.get(header::USER_AGENT)?;
    str::from_utf8(agent.as_bytes()).ok()
}

/// What is known of a call's body. One that is packed in a way that nobody knows says nothing here.
fn unpacked<'b>(parts: &Parts, body: Option<&'b Body>) -> Cow<'b, [u8]> {
    let known = body.map_or(&[] as &[u8], Body::known);
    coding::unpacked(&parts.headers, known, WHOLE).unwrap_or_default()
}

/// Whether the call itself asks what would be asked.
fn is_own_question(method: &str) -> bool {
    method == resolve::METHOD
}

/// The identity in the workspace that the call names, of a token that is one for several.
async fn within(identity: &Arc<Identity>, parts: &Parts, body: &[u8]) -> Arc<Identity> {
    let found = arguments::find(&["team_id"], parts.uri.query(), &parts.headers, body).await;
    match found.get("team_id").filter(|team| is_id(team)) {
        Some(team) => Arc::new(identity.within(team)),
        None => Arc::clone(identity),
    }
}
