//! The task that talks to the store: sends what the [`Replica`] says, and tells it what comes back.
//!
//! Nothing in it waits for one answer: whatever is on its way is waited for together, so a bucket whose
//! answer is late holds up no other. An answer that comes after the time-out is heard all the same, as
//! long as the connection lives; a connection that owes an answer for long is given up.

use std::{future::Future, pin::Pin, time::Duration};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use redis::{ErrorKind, RedisError, ServerErrorKind, Value, aio::MultiplexedConnection};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    backoff::Backoff,
    connect::{Connected, Connector},
    fleet::Fleet,
    listen::listen,
    metrics::SharedMetrics,
    replica::{Kind, Message, Replica},
    script::Scripts,
    trouble::Trouble,
};
use crate::{causes::with_causes, queue::Admission};

/// The task and what it has.
pub(super) struct Client {
    replica: Replica,
    admission: Admission,
    fleet: Fleet,
    connector: Connector,
    scripts: &'static Scripts,
    metrics: SharedMetrics,
    /// How long a connection may owe an answer.
    patience: Duration,
    /// What was said last, so that nothing is said twice.
    said: Option<String>,
    backoff: Backoff,
    /// The connection, or the attempt to have one.
    line: Line,
    /// What is on its way.
    exchanges: FuturesUnordered<Exchange>,
}

enum Line {
    Connecting(Connecting),
    Up(Connected),
}

type Exchange = Pin<Box<dyn Future<Output = Exchanged> + Send>>;
type Exchanged = (Message, Result<Value, RedisError>);
type Connecting = Pin<Box<dyn Future<Output = Result<Connected, Trouble>> + Send>>;

/// How long a connection may owe an answer at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many answers are taken in before what follows from them is said.
const AT_ONCE: usize = 64;

/// How many messages of the channel wait.
const PUSHES: usize = 1024;

/// How long an end waits for the store.
const GOODBYE: Duration = Duration::from_secs(1);

// === impl Client ===

impl Client {
    pub(super) fn new(
        replica: Replica,
        (admission, fleet): (Admission, Fleet),
        connector: Connector,
        scripts: &'static Scripts,
        metrics: SharedMetrics,
        settings: &config::Redis,
    ) -> Self {
        // Long before the lease is over, so that another connection may save it.
        let patience = PATIENCE.min(settings.forget_after / 4).max(settings.timeout);
        let line = Line::Connecting(connecting(connector.clone(), patience, Duration::ZERO));
        Self {
            replica,
            admission,
            fleet,
            connector,
            scripts,
            metrics,
            patience,
            said: None,
            backoff: Backoff::default(),
            line,
            exchanges: FuturesUnordered::new(),
        }
    }

    /// Talks to the store until the end, and then says goodbye.
    pub(super) async fn run(mut self, end: CancellationToken) {
        let (tell, mut pushes) = mpsc::channel(PUSHES);
        let listening = listen(self.connector.clone(), self.replica.channels(), tell);
        tokio::pin!(listening);
        loop {
            let next = self.replica.next();
            tokio::select! {
                () = end.cancelled() => break,
                () = &mut listening => {}
                () = self.admission.has_asks() => {}
                () = self.fleet.asked() => {}
                () = sleep_until(next) => {}
                Some(push) = pushes.recv() => {
                    let now = Instant::now();
                    self.replica.hear_push(now, &push);
                    for _ in 1..AT_ONCE {
                        let Ok(push) = pushes.try_recv() else { break };
                        self.replica.hear_push(now, &push);
                    }
                }
                changed = self.line.changes() => match changed {
                    Ok(connected) => self.is_connected(connected),
                    Err(trouble) => self.is_lost(&trouble),
                },
                Some(exchanged) = self.exchanges.next(), if !self.exchanges.is_empty() => {
                    self.hear(exchanged);
                    for _ in 1..AT_ONCE {
                        match self.exchanges.next().now_or_never() {
                            Some(Some(exchanged)) => self.hear(exchanged),
                            _ => break,
                        }
                    }
                }
            }
            self.act();
        }
        self.goodbye().await;
    }

    /// Sends what is to be said.
    fn act(&mut self) {
        let mut out = Vec::new();
        self.replica.act(Instant::now(), &mut out);
        let Line::Up(Connected { connection, .. }) = &self.line else { return };
        for message in out {
            self.exchanges.push(exchange(connection.clone(), self.scripts, message).boxed());
        }
    }

    fn hear(&mut self, (message, answer): Exchanged) {
        match answer {
            Ok(answer) => {
                if self.replica.hear(Instant::now(), &message, answer) {
                    if self.said.take().is_some() {
                        tracing::info!("the shared store answers");
                    }
                } else {
                    self.replica.fails(&message);
                    self.says(&Trouble::Odd);
                }
            }
            Err(error) => {
                self.replica.fails(&message);
                match Trouble::from(error) {
                    // Another server may be the primary by now.
                    trouble @ (Trouble::Lost(_) | Trouble::ReadOnly | Trouble::Password) => {
                        self.is_lost(&trouble);
                    }
                    trouble => self.says(&trouble),
                }
            }
        }
    }

    fn is_connected(&mut self, connected: Connected) {
        self.backoff.reset();
        self.replica.connects(Instant::now(), connected.run.clone());
        self.line = Line::Up(connected);
    }

    /// There is no connection, or none any more.
    fn is_lost(&mut self, trouble: &Trouble) {
        self.says(trouble);
        self.exchanges.clear();
        self.replica.disconnects();
        let wait = self.backoff.next();
        self.line = Line::Connecting(connecting(self.connector.clone(), self.patience, wait));
    }

    /// Says what is wrong, once.
    fn says(&mut self, trouble: &Trouble) {
        self.metrics.errors.with_label_values(&[trouble.reason()]).inc();
        let text = with_causes(trouble);
        if self.said.as_ref() != Some(&text) {
            tracing::warn!(reason = trouble.reason(), "the shared store cannot be used: {text}");
            self.said = Some(text);
        }
    }

    /// Gives back what is not used, and says for how long the rest counts.
    async fn goodbye(mut self) {
        let farewells = self.replica.leave(Instant::now());
        let Line::Up(Connected { connection, mut driver, .. }) = self.line else { return };
        let says = farewells.into_iter().map(|it| exchange(connection.clone(), self.scripts, it));
        let mut says: FuturesUnordered<_> = says.collect();
        let says = async { while says.next().await.is_some() {} };
        let says = async {
            tokio::select! {
                () = says => {}
                () = &mut driver => {}
            }
        };
        // Whatever cannot be said in time the store finds out.
        let _ = timeout(GOODBYE, says).await;
    }
}

// === impl Line ===

impl Line {
    /// Resolves when there is a connection, or none any more. What drives the connection is driven here.
    async fn changes(&mut self) -> Result<Connected, Trouble> {
        match self {
            Self::Connecting(connecting) => connecting.await,
            Self::Up(Connected { driver, .. }) => {
                driver.await;
                Err(Trouble::Lost(None))
            }
        }
    }
}

fn connecting(connector: Connector, patience: Duration, wait: Duration) -> Connecting {
    let connecting = async move {
        sleep(wait).await;
        connector.commands(patience).await
    };
    Box::pin(connecting)
}

/// Sends a message and hears the answer. Dropped, what was sent may be done all the same.
async fn exchange(
    mut connection: MultiplexedConnection,
    scripts: &Scripts,
    message: Message,
) -> Exchanged {
    let script = match message.kind {
        Kind::Beat => &scripts.beat,
        Kind::Step => &scripts.step,
        Kind::Freeze => &scripts.freeze,
        Kind::Said => &scripts.said,
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
