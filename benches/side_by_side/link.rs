//! Ways to the upstream without hyper-util's pool: what the pool and its tasks cost.

use std::{
    future::{Future as _, poll_fn},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use anyhow::Context as _;
use bytes::Bytes;
use http::{Request, Response, header::CONNECTION};
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    client::conn::http1::{Connection, SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Idle links to one upstream. `Spawned` links live in tasks of their own; `Inline` ones are driven
/// by the task that uses them, and by nobody while they are idle.
pub(crate) struct Links<L>(Arc<Mutex<Vec<L>>>, SocketAddr);

/// A link whose connection is a task.
pub(crate) struct Spawned(SendRequest<Incoming>);

/// A link whose connection is polled together with the exchange.
pub(crate) struct Inline {
    sender: SendRequest<Incoming>,
    connection: Pin<Box<Connection<TokioIo<TcpStream>, Incoming>>>,
}

/// What the two kinds of link differ in.
pub(crate) trait Link: Send + Unpin + Sized + 'static {
    /// A new link over a fresh connection.
    async fn over(stream: TcpStream) -> anyhow::Result<Self>;
    /// Moves its connection on.
    fn drive(&mut self, cx: &mut Context<'_>);
    /// Whether it takes a request.
    fn sender(&mut self) -> &mut SendRequest<Incoming>;
}

/// An answer's body, which gives its link back when it has been read to its end.
pub(crate) struct Returning<L: Link> {
    body: Incoming,
    link: Option<L>,
    links: Links<L>,
}

// === impl Links ===

impl<L> Clone for Links<L> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0), self.1)
    }
}

impl<L: Link> Links<L> {
    pub(crate) fn new(upstream: SocketAddr) -> Self {
        Self(Arc::default(), upstream)
    }

    pub(crate) async fn forward(
        self,
        mut request: Request<Incoming>,
    ) -> anyhow::Result<Response<Returning<L>>> {
        request.headers_mut().remove(CONNECTION);
        let mut link = self.take().await?;
        let mut answer = Box::pin(link.sender().send_request(request));
        let response = poll_fn(|cx| {
            if let Poll::Ready(response) = answer.as_mut().poll(cx) {
                return Poll::Ready(response);
            }
            link.drive(cx);
            answer.as_mut().poll(cx)
        })
        .await?;
        Ok(response.map(|body| Returning { body, link: Some(link), links: self }))
    }

    async fn take(&self) -> anyhow::Result<L> {
        loop {
            let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut link) = idle else {
                let stream = TcpStream::connect(self.1).await.context("the upstream")?;
                stream.set_nodelay(true)?;
                return L::over(stream).await;
            };
            let alive = poll_fn(|cx| {
                link.drive(cx);
                link.sender().poll_ready(cx)
            });
            if alive.await.is_ok() {
                return Ok(link);
            }
        }
    }
}

// === impl Link ===

impl Link for Spawned {
    async fn over(stream: TcpStream) -> anyhow::Result<Self> {
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        #[expect(clippy::disallowed_methods, reason = "the process owns it")]
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    fn drive(&mut self, _: &mut Context<'_>) {}

    fn sender(&mut self) -> &mut SendRequest<Incoming> {
        &mut self.0
    }
}

impl Link for Inline {
    async fn over(stream: TcpStream) -> anyhow::Result<Self> {
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, connection: Box::pin(connection) })
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        // Its end shows in the sender.
        let _ = self.connection.as_mut().poll(cx);
    }

    fn sender(&mut self) -> &mut SendRequest<Incoming> {
        &mut self.sender
    }
}

// === impl Returning ===

impl<L: Link> Body for Returning<L> {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        if let Some(link) = &mut self.link {
            link.drive(cx);
        }
        Poll::Ready(ready!(Pin::new(&mut self.body).poll_frame(cx)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<L: Link> Drop for Returning<L> {
    fn drop(&mut self) {
        if self.body.is_end_stream()
            && let Some(link) = self.link.take()
        {
            self.links.0.lock().unwrap_or_else(PoisonError::into_inner).push(link);
        }
    }
}
