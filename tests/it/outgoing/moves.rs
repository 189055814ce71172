//! A name whose address changes, over real sockets.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    iter,
    net::SocketAddr,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use hyper_util::client::legacy::connect::dns::Name;
use slackwater::outbound::upstream::connect;
use tokio::{net::TcpListener, task::JoinSet};

use super::*;

/// Knows one address at a time.
#[derive(Clone)]
pub(super) struct Resolver(Arc<Mutex<SocketAddr>>);

impl Resolver {
    /// Knows this address.
    pub(super) fn of(address: SocketAddr) -> Self {
        Self(Arc::new(Mutex::new(address)))
    }
}

impl tower::Service<Name> for Resolver {
    type Response = iter::Once<SocketAddr>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        ready(Ok(iter::once(*self.0.lock().unwrap())))
    }
}

/// A server on an address of its own. It is gone when the set is dropped, connections and all.
async fn server(upstream: &Scripted) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (upstream, mut serving) = (upstream.clone(), JoinSet::new());
    serving.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((io, _)) = listener.accept().await {
            connections.spawn(upstream.clone().serve(io, false));
        }
    });
    (address, serving)
}

/// Turned red by: a connector that resolves a name once.
#[tokio::test]
async fn a_new_connection_goes_where_the_name_points_now() {
    let (old, new) = (ok(), ok());
    let ((was, serving), (is, _serving)) = (server(&old).await, server(&new).await);
    let resolver = Resolver::of(was);
    let transport = connect::tcp(resolver.clone(), secs(5));
    let file = "upstreams: [{ prefix: /api/, url: http://moves.test/api/, kind: web_api }]";
    let proxy = Proxy::on(&Machine::default(), file, transport);
    let bot = proxy.bot();
    assert!(bot.call("auth.test").send().await.is_ok());
    *resolver.0.lock().unwrap() = is;
    // What stands is used as long as it stands.
    assert!(bot.call("auth.test").send().await.is_ok());
    assert_eq!((old.seen().len(), new.seen().len()), (2, 0));
    drop(serving);
    // The proxy may or may not have seen yet that its idle connection is closed.
    tokio::time::timeout(secs(5), async { while !bot.call("auth.test").send().await.is_ok() {} })
        .await
        .unwrap();
    assert_eq!((old.seen().len(), new.seen().len()), (2, 1));
    assert_eq!(new.seen()[0].headers["host"], "moves.test");
}
