//! The operators' connections: so many at once, each with time-outs, and files kept for them.
//!
//! Health checks have to be answered while somebody else takes every connection that there is. So a
//! newcomer never waits for a place: it takes that of the connection that has been idle longest, or, where
//! none is idle, that of the one whose answer was asked for first. The live page's are left alone: they
//! are few, and [told](super::events) when to go.
//!
//! When the process is out of files no connection can be accepted. So files are kept open here for nothing
//! else, and one is given up for each connection that needs it.

use std::{
    fs::File,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{Request, Response},
};
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::events;
use crate::inbound::listen::{IdleTimeout, Told};

/// How long a head may take, how long a connection may be idle, and how long the beginning of either or an
/// answer may stay where it is.
const STUCK: Duration = Duration::from_secs(30);
/// The most bytes and headers of a head.
const HEAD: usize = 64 << 10;
const HEADERS: usize = 100;
/// How long to wait when no connection can be accepted all the same.
const BREATH: Duration = Duration::from_millis(100);
/// How often it is told that connections end for others, or cannot be accepted.
const TOLD: Duration = Duration::from_secs(60);

/// Who is connected.
#[derive(Clone, Debug)]
struct Places {
    most: usize,
    all: Arc<Mutex<Vec<Place>>>,
    last: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Place {
    id: u64,
    doing: Doing,
    /// The order in which that began.
    since: u64,
    end: CancellationToken,
}

/// What a connection is at; those that go first come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Doing {
    /// It waits for a request, or takes an answer that has been made.
    Idle,
    /// Its request is being answered.
    Answer,
    /// It shows the live page.
    Watch,
}

/// One who has a place. Dropped, the place is free.
#[derive(Debug)]
struct Seated {
    places: Places,
    id: u64,
}

/// Files that are open so that as many connections can be.
#[derive(Debug)]
struct Spare {
    most: usize,
    files: Vec<File>,
}

pin_project! {
    /// The body of an answer: when it has been taken, its connection is idle.
    struct Answering {
        #[pin]
        body: Body,
        seated: Arc<Seated>,
    }

    impl PinnedDrop for Answering {
        fn drop(this: Pin<&mut Self>) {
            this.seated.does(Doing::Idle);
        }
    }
}

/// Serves at most `most` connections at once.
pub(super) async fn serve(listener: TcpListener, router: Router, most: usize) {
    let places = Places::new(most);
    let mut spare = Spare::new(most);
    let (mut full, mut failed) = (Told::every(TOLD), Told::every(TOLD));
    // They end with this.
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &mut spare) => accepted,
            Some(_) = connections.join_next() => {
                spare.refill(most.saturating_sub(connections.len()));
                continue;
            }
        };
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                if failed.is_due() {
                    tracing::warn!(%error, "connections of operators cannot be accepted");
                }
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        let (seated, end, was_full) = places.take();
        if was_full && full.is_due() {
            tracing::warn!(
                connections = most,
                "as many operators are connected as may be: who was idle longest is sent away"
            );
        }
        let connection = connection(stream, router.clone(), Arc::new(seated));
        connections.spawn(async move {
            end.run_until_cancelled(connection).await;
        });
    }
}

/// The next connection; a spare file is given up for it if there is no other.
async fn accept(listener: &TcpListener, spare: &mut Spare) -> io::Result<TcpStream> {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Ok(stream),
            // Out of files, whether the process or the machine.
            Err(error) if is_out_of_files(&error) && spare.files.pop().is_some() => {}
            Err(error) => return Err(error),
        }
    }
}

fn is_out_of_files(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    matches!(errno, Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE))
}

async fn connection<I>(io: I, router: Router, seated: Arc<Seated>)
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(|request: Request<Incoming>| {
        let seated = Arc::clone(&seated);
        let watches = request.uri().path() == events::PATH;
        seated.does(if watches { Doing::Watch } else { Doing::Answer });
        let answer = router.clone().oneshot(request);
        async move {
            answer.await.map(|answer: Response<Body>| answer.map(|body| Answering { body, seated }))
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(STUCK)
        .max_buf_size(HEAD)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(IdleTimeout::new(io, STUCK)), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection of an operator broke");
    }
}

// === impl Places ===

impl Places {
    fn new(most: usize) -> Self {
        Self { most, all: Arc::default(), last: Arc::default() }
    }

    /// A place, what ends whoever has it, and whether another had to go for it.
    fn take(&self) -> (Seated, CancellationToken, bool) {
        let (id, end) = (self.next(), CancellationToken::new());
        let mut all = self.lock();
        let is_full = all.len() >= self.most;
        if is_full {
            let first = (0..all.len()).min_by_key(|at| (all[*at].doing, all[*at].since));
            if let Some(first) = first {
                all.swap_remove(first).end.cancel();
            }
        }
        all.push(Place { id, doing: Doing::Idle, since: id, end: end.clone() });
        drop(all);
        (Seated { places: self.clone(), id }, end, is_full)
    }

    fn next(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Place>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Seated ===

impl Seated {
    fn does(&self, doing: Doing) {
        let since = self.places.next();
        let mut all = self.places.lock();
        // Nothing of one that was sent away.
        if let Some(place) = all.iter_mut().find(|place| place.id == self.id) {
            (place.doing, place.since) = (doing, since);
        }
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        self.places.lock().retain(|place| place.id != self.id);
    }
}

// === impl Spare ===

impl Spare {
    fn new(most: usize) -> Self {
        let mut spare = Self { most, files: Vec::new() };
        spare.refill(most);
        spare
    }

    /// Keeps so many files, if there are any left.
    fn refill(&mut self, wanted: usize) {
        while self.files.len() < wanted.min(self.most) {
            let Ok(file) = File::open("/dev/null") else { return };
            self.files.push(file);
        }
    }
}

// === impl Answering ===

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::{get, post};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
        time::Instant,
    };

    use super::*;

    /// What is answered to these bytes until the connection ends, and after how many seconds that is. Nothing
    /// is read for the first hour if `reads` is false.
    async fn answer(says: &[u8], reads: bool) -> (String, u64) {
        let router = Router::new()
            .route("/", get(|| async { "x".repeat(1 << 20) }))
            .route("/change", post(|body: Bytes| async move { body }))
            .layer(axum::middleware::from_fn(super::super::in_time));
        let (mut client, io) = duplex(4096);
        let (seated, _, _) = Places::new(1).take();
        let began = Instant::now();
        let client = async {
            // It may be told no before it has said all.
            let _ = client.write_all(says).await;
            if !reads {
                tokio::time::sleep(Duration::from_secs(3600)).await;
            }
            let mut said = Vec::new();
            // It may end amid an answer.
            let _ = client.read_to_end(&mut said).await;
            String::from_utf8(said).unwrap()
        };
        let served = async {
            connection(io, router, Arc::new(seated)).await;
            Instant::now().duration_since(began).as_secs()
        };
        let both = async { tokio::join!(client, served) };
        tokio::time::timeout(Duration::from_secs(24 * 3600), both).await.expect("it ends")
    }

    /// Red when a head, a body, an idle connection or an answer that nobody reads has no time-out, or a head
    /// no bound.
    #[tokio::test(start_paused = true)]
    async fn whatever_stands_still_ends() {
        assert_eq!(answer(b"", true).await, (String::new(), 30));
        assert_eq!(answer(b"GET / HTTP/1.1\r\nHost: a\r\n", true).await.1, 30);
        let (whole, seconds) = answer(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", true).await;
        assert_eq!((whole.len() > 1 << 20, seconds), (true, 30));
        let (part, seconds) = answer(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", false).await;
        assert_eq!((part.len() <= 4096, seconds), (true, 30));
        let change = b"POST /change HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab";
        let (refused, seconds) = answer(change, true).await;
        assert!(refused.starts_with("HTTP/1.1 408 ") && seconds <= 10, "{refused} {seconds}");
        let head = [b"GET / HTTP/1.1\r\nHost: a\r\nX: ".as_slice(), &vec![b'x'; HEAD]].concat();
        let (refused, seconds) = answer(&head, true).await;
        assert!(refused.starts_with("HTTP/1.1 431 ") && seconds == 0, "{refused} {seconds}");
    }

    fn gone(ends: &[CancellationToken]) -> Vec<usize> {
        (0..ends.len()).filter(|at| ends[*at].is_cancelled()).collect()
    }

    /// Red when a newcomer waits, when who is being answered goes before who is idle, and when a live page
    /// goes before either.
    #[test]
    fn a_newcomer_takes_the_place_of_who_was_idle_longest() {
        let places = Places::new(4);
        let (seats, mut ends): (Vec<_>, Vec<_>) =
            (0..4).map(|_| places.take()).map(|(seat, end, _)| (seat, end)).unzip();
        seats[0].does(Doing::Watch);
        seats[1].does(Doing::Answer);
        // Of the two that are idle this is the one that was lately not.
        seats[2].does(Doing::Answer);
        seats[2].does(Doing::Idle);
        for wanted in [vec![3], vec![2, 3]] {
            let (seat, end, was_full) = places.take();
            seat.does(Doing::Answer);
            assert!(was_full);
            ends.push(end);
            std::mem::forget(seat);
            assert_eq!(gone(&ends), wanted);
        }
        // All are being answered or watch: who asked first goes.
        ends.push(places.take().1);
        assert_eq!(gone(&ends), [1, 2, 3]);
        // What one that was sent away does changes nothing.
        drop(seats);
        assert_eq!(places.lock().len(), 2);
    }
}
