//! One server of the store: the connection to it, or the attempt to have one, and what is on its way.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use config::Address;
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use redis::{ErrorKind, RedisError, ServerErrorKind, Value, aio::MultiplexedConnection};
use tokio::time::sleep;

use super::{
    backoff::Backoff,
    connect::Connected,
    replica::{Kind, Message},
    script::Scripts,
    trouble::Trouble,
};

/// A server, and what is said to it.
pub(super) struct Node {
    /// Where it is to be. A server that sentinels name is found anew with each attempt.
    address: Option<Address>,
    line: Line,
    backoff: Backoff,
    /// What is on its way.
    exchanges: FuturesUnordered<Exchange>,
}

/// What happens at a server.
pub(super) enum Event {
    /// There is a connection.
    Up,
    /// There is none, or none any more. Nothing happens until [`Node::again`].
    Lost(Trouble),
    /// It answers.
    Answered(Message, Result<Value, RedisError>),
}

enum Line {
    Connecting(Connecting),
    Up(Connected),
    Lost,
}

/// An attempt to connect.
pub(super) type Connecting = Pin<Box<dyn Future<Output = Result<Connected, Trouble>> + Send>>;

type Exchange = Pin<Box<dyn Future<Output = (Message, Result<Value, RedisError>)> + Send>>;

// === impl Node ===

impl Node {
    pub(super) fn new(address: Option<Address>, connecting: Connecting) -> Self {
        Self {
            address,
            line: Line::Connecting(connecting),
            backoff: Backoff::default(),
            exchanges: FuturesUnordered::new(),
        }
    }

    /// Where it is to be, or where the connection leads.
    pub(super) fn address(&self) -> Option<&Address> {
        match &self.line {
            Line::Up(connected) => Some(&connected.address),
            Line::Connecting(_) | Line::Lost => self.address.as_ref(),
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.run().is_some()
    }

    /// The run id of the process at the other end of the connection, if there is one.
    pub(super) fn run(&self) -> Option<&str> {
        match &self.line {
            Line::Up(connected) => Some(&connected.run),
            Line::Connecting(_) | Line::Lost => None,
        }
    }

    /// Whether it owes an answer.
    pub(super) fn owes(&self) -> bool {
        !self.exchanges.is_empty()
    }

    /// Sends a message. Returns it if there is no connection.
    pub(super) fn send(&mut self, scripts: &'static Scripts, message: Message) -> Option<Message> {
        let Line::Up(Connected { connection, .. }) = &self.line else { return Some(message) };
        self.exchanges.push(exchange(connection.clone(), scripts, message).boxed());
        None
    }

    /// Drops the connection, with all that is on its way, for another attempt.
    pub(super) fn again(&mut self, connecting: Connecting) {
        self.exchanges.clear();
        self.line = Line::Connecting(connecting);
    }

    /// How long to wait before the next attempt.
    pub(super) fn wait(&mut self) -> Duration {
        self.backoff.next()
    }

    /// Drives the connection, and tells what happens.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let lost = match &mut self.line {
            Line::Connecting(connecting) => match connecting.as_mut().poll(cx) {
                Poll::Ready(Ok(connected)) => {
                    self.line = Line::Up(connected);
                    return Poll::Ready(Event::Up);
                }
                Poll::Ready(Err(trouble)) => Some(trouble),
                Poll::Pending => None,
            },
            Line::Up(connected) => match connected.driver.as_mut().poll(cx) {
                Poll::Ready(()) => Some(Trouble::Lost(None)),
                Poll::Pending => None,
            },
            Line::Lost => None,
        };
        if let Some(trouble) = lost {
            self.exchanges.clear();
            self.line = Line::Lost;
            return Poll::Ready(Event::Lost(trouble));
        }
        match self.exchanges.poll_next_unpin(cx) {
            Poll::Ready(Some((message, answer))) => {
                // One that connects and refuses everything is not asked more often for that.
                if answer.is_ok() {
                    self.backoff.reset();
                }
                Poll::Ready(Event::Answered(message, answer))
            }
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

/// The next that happens at any of them, and at which.
pub(super) fn next(nodes: &mut [Node]) -> impl Future<Output = (usize, Event)> {
    poll_fn(move |cx| {
        for (at, node) in nodes.iter_mut().enumerate() {
            if let Poll::Ready(event) = node.poll(cx) {
                return Poll::Ready((at, event));
            }
        }
        Poll::Pending
    })
}

/// Connects after a while.
pub(super) fn connecting(
    wait: Duration,
    connect: impl Future<Output = Result<Connected, Trouble>> + Send + 'static,
) -> Connecting {
    let connecting = async move {
        sleep(wait).await;
        connect.await
    };
    Box::pin(connecting)
}

/// Sends a message and hears the answer. Dropped, what was sent may be done all the same.
async fn exchange(
    mut connection: MultiplexedConnection,
    scripts: &Scripts,
    message: Message,
) -> (Message, Result<Value, RedisError>) {
    let script = match message.kind {
        Kind::Beat => &scripts.beat,
        Kind::Step => &scripts.step,
        Kind::Freeze => &scripts.freeze,
        Kind::Said => &scripts.said,
        Kind::Whose => &scripts.whose,
    };
    let by_hash = connection.send_packed_command(&script.by_hash(&message.given)).await;
    let answer = match by_hash.and_then(Value::extract_error) {
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
            let whole = connection.send_packed_command(&script.whole(&message.given)).await;
            whole.and_then(Value::extract_error)
        }
        answer => answer,
    };
    (message, answer)
}
