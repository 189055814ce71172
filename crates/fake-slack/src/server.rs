//! Connections arrive, from a socket or from memory, and are served until told to stop.

use std::{future::Future, io, pin::pin, time::Duration};

use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::FakeSlack;

/// Where connections come from.
pub trait Accept: Send {
    /// A connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next one; none if no more will come.
    fn accept(&mut self) -> impl Future<Output = Option<Self::Io>> + Send;
}

/// How long a connection may idle: longer than any bot keeps its own alive.
const IDLE: Duration = Duration::from_secs(600);

/// How long answers may take that are under way at the end.
const DRAIN: Duration = Duration::from_secs(5);

/// How long to wait when there are no file descriptors left.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// How many bytes a pipe holds in each direction.
const PIPE: usize = 64 << 10;

/// Runs what hyper starts for a connection as tasks that somebody waits for.
#[derive(Clone)]
struct Tracked(TaskTracker);

// === impl FakeSlack ===

impl FakeSlack {
    /// Serves HTTP/1.1 and HTTP/2 without TLS until `stop`, or until no more connections come
    /// and the last one has ended. Answers under way are given five seconds.
    pub async fn serve<A: Accept>(&self, mut listener: A, stop: CancellationToken) {
        let connections = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => None,
                accepted = listener.accept() => accepted,
            };
            let Some(io) = accepted else { break };
            let (fake, stop, tasks) = (self.clone(), stop.clone(), connections.clone());
            connections.spawn(async move { fake.converse(io, tasks, &stop).await });
        }
        // New connections are refused while the old ones end.
        drop(listener);
        connections.close();
        connections.wait().await;
    }

    /// A connection to it in memory, for tests under a paused clock. It is served until it is
    /// closed.
    pub fn connect(&self) -> DuplexStream {
        let (client, server) = tokio::io::duplex(PIPE);
        let (fake, tasks) = (self.clone(), self.shared.tasks.clone());
        self.shared.tasks.spawn(async move {
            fake.converse(server, tasks, &CancellationToken::new()).await;
        });
        client
    }

    /// Serves one connection.
    async fn converse<I>(&self, io: I, tasks: TaskTracker, stop: &CancellationToken)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut http = auto::Builder::new(Tracked(tasks));
        http.http1().timer(TokioTimer::new()).header_read_timeout(IDLE);
        http.http2().timer(TokioTimer::new());
        let mut connection = pin!(http.serve_connection(TokioIo::new(io), self.clone()));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                match tokio::time::timeout(DRAIN, connection).await {
                    Ok(ended) => ended,
                    Err(_) => return,
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error, "a connection broke off");
        }
    }
}

// === impl Accept ===

impl Accept for TcpListener {
    type Io = TcpStream;

    async fn accept(&mut self) -> Option<TcpStream> {
        loop {
            match TcpListener::accept(self).await {
                Ok((stream, _)) => {
                    // Small answers must not wait for the client's acknowledgement.
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "a connection ended before it began");
                    }
                    return Some(stream);
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(EXHAUSTED).await;
                }
            }
        }
    }
}

impl<I> Accept for mpsc::Receiver<I>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Io = I;

    async fn accept(&mut self) -> Option<I> {
        self.recv().await
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

// === impl Tracked ===

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}
