//! Who may call, where not everybody may: by the certificate of the connection, or by a key in a
//! header. Whoever has proved who it is, is called so, whatever else the call says.

use std::sync::Arc;

use config::{Allowed, CallerName, Proof, Secret};
use http::{HeaderMap, HeaderName};
use tower::Layer;

use crate::{
    inbound::{listen::Peer, route::Arriving},
    step::Step,
};

/// Lets those in who may call.
#[derive(Clone, Debug)]
pub struct AccessLayer {
    allow: Arc<[Allowed]>,
}

/// Lets those in who may call.
#[derive(Debug)]
pub struct Access<S> {
    inner: S,
    allow: Arc<[Allowed]>,
}

/// A caller that may not call.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "the proxy does not let this caller in: it has no certificate and no Slackwater-Key that an \
     entry of `allow` in the proxy's configuration names"
)]
pub struct NotAllowed;

/// Where a caller says its key. It stays here, like all headers of ours.
pub const KEY: HeaderName = HeaderName::from_static("slackwater-key");

/// The longest name of a caller.
const LONGEST: usize = 64;

// === impl AccessLayer ===

impl AccessLayer {
    /// Lets these in; all, if there are none.
    pub fn new(allow: &[Allowed]) -> Self {
        Self { allow: allow.into() }
    }
}

impl<S> Layer<S> for AccessLayer {
    type Service = Access<S>;

    fn layer(&self, inner: S) -> Access<S> {
        Access { inner, allow: Arc::clone(&self.allow) }
    }
}

// === impl Access ===

impl<S, B> Step<Arriving<B>> for Access<S>
where
    S: Step<Arriving<B>>,
    S::Error: From<NotAllowed>,
    B: Send,
{
    type Response = S::Response;
    type Error = S::Error;

    async fn call(&self, arriving: Arriving<B>) -> Result<S::Response, S::Error> {
        let request = &arriving.request;
        let proved = prove(&self.allow, request.extensions().get(), request.headers())?;
        self.inner.call(Arriving { proved, ..arriving }).await
    }
}

/// How a caller is called that has proved who it is; none where nobody has to.
fn prove(
    allow: &[Allowed],
    peer: Option<&Peer>,
    headers: &HeaderMap,
) -> Result<Option<CallerName>, NotAllowed> {
    let names = peer.map_or(&[] as &[_], |peer| &peer.names);
    if allow.is_empty() {
        return Ok(names.first().and_then(|name| called(name)));
    }
    let key = headers.get(KEY).and_then(|key| key.to_str().ok()).map(Secret::of);
    let found = allow.iter().find_map(|Allowed { caller, proof }| match proof {
        Proof::Certificate(glob) => {
            let name = names.iter().find(|name| glob.matches(name))?;
            caller.clone().or_else(|| called(name))
        }
        Proof::Key(secret) => caller.clone().filter(|_| key.as_ref() == Some(secret)),
    });
    found.map(Some).ok_or(NotAllowed)
}

/// The name of a caller, made of one in a certificate, which is ASCII; none if no caller may have it.
fn called(name: &str) -> Option<CallerName> {
    CallerName::new(name.get(..LONGEST).unwrap_or(name)).ok()
}

#[cfg(test)]
mod tests {
    use config::Glob;

    use super::*;

    fn by_certificate(caller: Option<&str>, glob: &str) -> Allowed {
        let proof = Proof::Certificate(Glob::parse(glob).unwrap());
        Allowed { caller: caller.map(|name| name.try_into().unwrap()), proof }
    }

    fn by_key(caller: &str, key: &str) -> Allowed {
        Allowed { caller: Some(caller.try_into().unwrap()), proof: Proof::Key(Secret::of(key)) }
    }

    fn peer(names: &[&str]) -> Peer {
        Peer { names: names.iter().map(|name| Box::from(*name)).collect() }
    }

    fn header(key: &str) -> HeaderMap {
        HeaderMap::from_iter([(KEY, key.parse().unwrap())])
    }

    /// Red when somebody is let in who has proved nothing, or as somebody else.
    #[test]
    fn who_has_proved_it_is_let_in_under_its_name() {
        let allow = [
            by_certificate(Some("reports"), "reports.bots"),
            by_certificate(None, "*.bots"),
            by_key("cleanup", "0123456789abcdef"),
        ];
        let by = |peer: Option<&Peer>, headers| {
            prove(&allow, peer, &headers).map(|name| name.unwrap().to_string())
        };
        let none = HeaderMap::new;
        assert_eq!(by(Some(&peer(&["x.org", "reports.bots"])), none()), Ok("reports".into()));
        assert_eq!(by(Some(&peer(&["x.org", "sync.bots"])), none()), Ok("sync.bots".into()));
        assert_eq!(by(None, header("0123456789abcdef")), Ok("cleanup".into()));
        assert_eq!(by(Some(&peer(&["x.org"])), none()), Err(NotAllowed));
        assert_eq!(by(None, header("0123456789abcdeg")), Err(NotAllowed));
        assert_eq!(by(None, none()), Err(NotAllowed));
    }

    /// Red when a name is taken from nowhere, and when one is longer than a caller's may be.
    #[test]
    fn where_all_may_call_a_certificate_still_names_its_caller() {
        let long = format!("spiffe://cluster.local/ns/bots/sa/{}", "x".repeat(64));
        let by = |peer: Option<&Peer>| prove(&[], peer, &header("0123456789abcdef")).unwrap();
        assert_eq!(by(None), None);
        assert_eq!(by(Some(&peer(&["a.bots", "b.bots"]))).as_deref(), Some("a.bots"));
        assert_eq!(by(Some(&peer(&[&long]))).as_deref(), Some(&long[..64]));
    }
}
