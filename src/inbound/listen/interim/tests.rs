//! What hyper makes of a connection with interim responses, byte for byte.

use std::{
    convert::Infallible,
    sync::{
        LazyLock, Mutex,
        atomic::{AtomicBool, AtomicUsize},
    },
};

use bytes::Bytes;
use futures_util::stream;
use http::Response;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_util::task::TaskTracker;

use super::*;

/// What a test starts ends with its runtime.
static TASKS: LazyLock<TaskTracker> = LazyLock::new(TaskTracker::new);

const C: &str = "HTTP/1.1 100 Continue\r\n\r\n";
/// Each is told to wait every two seconds, if it says that it bears it.
const EVERY: Duration = Duration::from_secs(2);

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;
type Served = JoinHandle<hyper::Result<()>>;

/// Reads the body, then holds the request for as many seconds as the path says.
async fn hold(request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    body.collect().await.expect("a body");
    if let Some(interim) = head.extensions.get::<Interim>()
        && head.headers.contains_key("bears")
    {
        interim.start(EVERY);
    }
    sleep(seconds(&head.uri)).await;
    answer(head.uri.path().to_owned())
}

fn seconds(uri: &http::Uri) -> Duration {
    Duration::from_secs(uri.path()[1..].parse().expect("a number"))
}

fn answer(body: String) -> Answer {
    Response::new(Full::from(body).boxed_unsync())
}

/// Serves a connection with `size` bytes of room each way.
fn served<F>(
    size: usize,
    http: &http1::Builder,
    service: fn(Request<Incoming>) -> F,
) -> (DuplexStream, Served)
where
    F: Future<Output = Answer> + Send + 'static,
{
    let (client, server) = duplex(size);
    (client, served_on(server, http, service))
}

fn served_on<I, F>(
    io: I,
    http: &http1::Builder,
    service: impl Fn(Request<Incoming>) -> F + Send + 'static,
) -> Served
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let (io, interims) = InterimIo::new(io);
    let service = service_fn(move |mut request| {
        interims.attach(&mut request);
        let answer = service(request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    TASKS.spawn(http.serve_connection(TokioIo::new(io), service))
}

fn http() -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).auto_date_header(false).header_read_timeout(None);
    http
}

fn get(path: u64, headers: &str) -> String {
    format!("GET /{path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n")
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// What comes in the next `for_` seconds, with the second of each piece.
async fn heard(client: &mut DuplexStream, for_: u64) -> Vec<(u64, String)> {
    let begin = Instant::now();
    let mut heard = Vec::new();
    let reading = async {
        let mut buf = [0; 4096];
        loop {
            let read = client.read(&mut buf).await.unwrap_or(0);
            if read == 0 {
                return;
            }
            let text = String::from_utf8_lossy(&buf[..read]).into_owned();
            heard.push((Instant::now().duration_since(begin).as_secs(), text));
        }
    };
    let _ = timeout(Duration::from_secs(for_), reading).await;
    heard
}

async fn text(client: &mut DuplexStream, for_: u64) -> String {
    heard(client, for_).await.into_iter().map(|(_, text)| text).collect()
}

fn at(second: u64, text: &str) -> (u64, String) {
    (second, text.to_owned())
}

async fn say(client: &mut DuplexStream, text: &str) {
    client.write_all(text.as_bytes()).await.expect("a connection");
}

#[tokio::test(start_paused = true)]
async fn a_held_client_is_told_until_its_answer_begins() {
    let (mut client, _served) = served(4096, &http(), hold);
    say(&mut client, &get(7, "bears: it\r\n")).await;
    let told = [at(2, C), at(4, C), at(6, C), at(7, &ok("/7"))];
    assert_eq!(heard(&mut client, 60).await, told);
}

#[tokio::test(start_paused = true)]
async fn a_client_is_told_no_more_often_than_clients_bear() {
    let (mut client, _served) = served(4096, &http(), hold);
    for _ in 0..2 {
        say(&mut client, &get(600, "bears: it\r\n")).await;
        assert_eq!(text(&mut client, 700).await, C.repeat(90) + &ok("/600"));
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_bear_it_is_not_told() {
    let (mut client, _served) = served(4096, &http(), hold);
    say(&mut client, &get(7, "")).await;
    assert_eq!(heard(&mut client, 60).await, [at(7, &ok("/7"))]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_told_before_the_request_is_complete() {
    let (mut client, _served) = served(4096, &http(), hold);
    let post = "POST /3 HTTP/1.1\r\nhost: x\r\nbears: it\r\ncontent-length: 6\r\n\r\nabc";
    say(&mut client, post).await;
    assert_eq!(heard(&mut client, 60).await, []);
    say(&mut client, "def").await;
    assert_eq!(heard(&mut client, 60).await, [at(2, C), at(3, &ok("/3"))]);

    let post = "POST /3 HTTP/1.1\r\nhost: x\r\nbears: it\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n";
    say(&mut client, post).await;
    assert_eq!(heard(&mut client, 60).await, []);
    say(&mut client, "0\r\n\r\n").await;
    assert_eq!(heard(&mut client, 60).await, [at(2, C), at(3, &ok("/3"))]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_told_once_the_answer_has_begun() {
    /// Answers a piece each three seconds, and asks to be told all along.
    async fn slowly(request: Request<Incoming>) -> Answer {
        let interim = request.extensions().get::<Interim>().cloned().expect("one");
        interim.start(EVERY);
        sleep(Duration::from_secs(3)).await;
        let pieces = stream::unfold(0, move |piece| {
            interim.start(EVERY);
            let interim = interim.clone();
            async move {
                sleep(Duration::from_millis(500)).await;
                interim.start(EVERY);
                sleep(Duration::from_millis(2500)).await;
                (piece < 3).then(|| (Ok(Frame::data(Bytes::from(piece.to_string()))), piece + 1))
            }
        });
        Response::new(StreamBody::new(pieces).boxed_unsync())
    }
    let (mut client, _served) = served(4096, &http(), slowly);
    say(&mut client, &get(0, "")).await;
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let told = [
        at(2, C),
        at(3, head),
        at(6, "1\r\n0\r\n"),
        at(9, "1\r\n1\r\n"),
        at(12, "1\r\n2\r\n"),
        at(15, "0\r\n\r\n"),
    ];
    assert_eq!(heard(&mut client, 60).await, told);
}

#[tokio::test(start_paused = true)]
async fn pipelined_requests_have_their_turns() {
    let three = get(5, "bears: it\r\n") + &get(3, "") + &get(5, "bears: it\r\n");
    let told = [
        at(2, C),
        at(4, C),
        at(5, &ok("/5")),
        at(8, &ok("/3")),
        at(10, C),
        at(12, C),
        at(13, &ok("/5")),
    ];
    for vectored in [true, false] {
        let (mut client, _served) = served(4096, http().writev(vectored), hold);
        say(&mut client, &three).await;
        assert_eq!(heard(&mut client, 60).await, told);
    }
    // Then hyper writes nothing before it has taken all that it has read, and the answers before
    // come in the last one's turn, and end it.
    let (mut client, _served) = served(4096, http().pipeline_flush(true), hold);
    say(&mut client, &three).await;
    let told = [at(8, &(ok("/5") + &ok("/3"))), at(13, &ok("/5"))];
    assert_eq!(heard(&mut client, 60).await, told);
}

#[tokio::test(start_paused = true)]
async fn a_further_request_is_not_told_what_the_one_before_asked_for() {
    static FIRST: Mutex<Option<Interim>> = Mutex::new(None);
    async fn late(request: Request<Incoming>) -> Answer {
        let mut interim = request.extensions().get::<Interim>().cloned();
        // The first request's, in the second's turn.
        if let Some(first) = FIRST.lock().expect("it").clone() {
            interim = Some(first);
        }
        interim.as_ref().expect("one").start(EVERY);
        *FIRST.lock().expect("it") = interim;
        hold(request).await
    }
    let (mut client, _served) = served(4096, &http(), late);
    say(&mut client, &get(3, "")).await;
    assert_eq!(heard(&mut client, 60).await, [at(2, C), at(3, &ok("/3"))]);
    say(&mut client, &get(9, "")).await;
    assert_eq!(heard(&mut client, 60).await, [at(9, &ok("/9"))]);
    say(&mut client, &get(3, "bears: it\r\n")).await;
    assert_eq!(heard(&mut client, 60).await, [at(2, C), at(3, &ok("/3"))]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_costs_one() {
    let (mut client, _served) = served(100, &http(), hold);
    say(&mut client, &get(3600, "bears: it\r\n")).await;
    sleep(Duration::from_secs(3000)).await;
    // Four were in the pipe, and one waited for room; the next was due by then.
    let told = heard(&mut client, 3).await;
    assert_eq!(joined(&told), C.repeat(7));
    assert!(told[..2].iter().all(|(second, _)| *second == 0), "{told:?}");
    // An answer waits behind what is left of one.
    let (mut client, served) = self::served(60, &http(), hold);
    say(&mut client, &get(99, "bears: it\r\n")).await;
    sleep(Duration::from_secs(100)).await;
    assert_eq!(text(&mut client, 60).await, C.repeat(3) + &ok("/99"));
    drop(client);
    served.await.expect("no panic").expect("an orderly end");
}

#[tokio::test(start_paused = true)]
async fn pieces_of_any_size_come_whole_and_in_order() {
    for vectored in [true, false] {
        for size in 1..60 {
            let http = http().writev(vectored).clone();
            let (mut client, _served) = served(size, &http, hold);
            let post = "POST /5 HTTP/1.1\r\nhost: x\r\nbears: it\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\nabc";
            say(&mut client, post).await;
            assert_eq!(text(&mut client, 60).await, C.repeat(3) + &ok("/5"), "{size}");
            say(&mut client, &get(5, "bears: it\r\n")).await;
            assert_eq!(text(&mut client, 60).await, C.repeat(2) + &ok("/5"), "{size}");
            say(&mut client, post).await;
            sleep(Duration::from_secs(30)).await;
            let told = text(&mut client, 60).await;
            let interims = told.matches(C).count();
            assert_eq!(told, C.repeat(interims) + &ok("/5"), "{size}");
            assert!(interims <= 3, "{size}: {told}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_old_and_the_new_protocol_are_left_alone() {
    async fn has(request: Request<Incoming>) -> Answer {
        let has = request.extensions().get::<Interim>().is_some();
        hold(request).await;
        answer(has.to_string())
    }
    let (mut client, _served) = served(4096, &http(), has);
    say(&mut client, "GET /9 HTTP/1.0\r\nhost: x\r\nbears: it\r\n\r\n").await;
    let told = [at(9, "HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nfalse")];
    assert_eq!(heard(&mut client, 60).await, told);

    let (client, server) = duplex(4096);
    let (io, interims) = InterimIo::new(server);
    let service = service_fn(move |mut request| {
        interims.attach(&mut request);
        async { Ok::<_, Infallible>(has(request).await) }
    });
    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    let serving = async move { server.serve_connection(TokioIo::new(io), service).await.ok() };
    let _served = TASKS.spawn(serving);
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(client))
            .await
            .expect("a handshake");
    let _connected = TASKS.spawn(connection);
    let request = Request::get("http://x/9").header("bears", "it").body(Full::<Bytes>::default());
    let answer = client.send_request(request.expect("a request")).await.expect("an answer");
    let body = answer.into_body().collect().await.expect("a body");
    assert_eq!(body.to_bytes(), "false");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_to_be_asked_for_its_body_is_asked_once() {
    let post = "POST /5 HTTP/1.1\r\nhost: x\r\nbears: it\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n";
    let (mut client, _served) = served(4096, &http(), hold);
    say(&mut client, post).await;
    assert_eq!(heard(&mut client, 60).await, [at(0, C)]);
    say(&mut client, "abc").await;
    assert_eq!(heard(&mut client, 60).await, [at(2, C), at(4, C), at(5, &ok("/5"))]);
    // And so is one that did not wait: hyper's own comes after the turn was asked for.
    say(&mut client, &format!("{post}abc")).await;
    assert_eq!(heard(&mut client, 60).await, [at(0, C), at(2, C), at(4, C), at(5, &ok("/5"))]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_before_the_end_of_its_request_keeps_the_next_one_whole() {
    async fn early(request: Request<Incoming>) -> Answer {
        if request.method() == "POST" {
            let (head, mut body) = request.into_parts();
            // Reads on until the answer is out.
            TASKS.spawn(async move { while let Some(Ok(_)) = body.frame().await {} });
            return answer(head.uri.path().to_owned());
        }
        hold(request).await
    }
    for size in [40, 60, 4096] {
        let (client, _served) = served(size, &http(), early);
        let (mut reading, mut writing) = tokio::io::split(client);
        let _written = TASKS.spawn(async move {
            let post = "POST /1 HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\n\r\nabc";
            writing.write_all(post.as_bytes()).await.expect("a connection");
            sleep(Duration::from_secs(1)).await;
            let rest = format!("def{}", get(5, "bears: it\r\n"));
            writing.write_all(rest.as_bytes()).await.expect("a connection");
            sleep(Duration::from_secs(99)).await;
        });
        sleep(Duration::from_secs(2)).await;
        let mut told = Vec::new();
        let _ = timeout(Duration::from_secs(60), reading.read_to_end(&mut told)).await;
        let told = String::from_utf8(told).expect("a text");
        assert_eq!(told, ok("/1") + &C.repeat(2) + &ok("/5"), "{size}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_interval_may_be_asked_for() {
    async fn twice(request: Request<Incoming>) -> Answer {
        let interim = request.extensions().get::<Interim>().expect("one");
        interim.start(Duration::from_secs(20));
        sleep(Duration::from_secs(1)).await;
        interim.start(EVERY);
        hold(request).await
    }
    let (mut client, _served) = served(4096, &http(), twice);
    say(&mut client, &get(5, "")).await;
    assert_eq!(heard(&mut client, 60).await, [at(3, C), at(5, C), at(6, &ok("/5"))]);
}

#[tokio::test(start_paused = true)]
async fn asking_again_does_not_get_more() {
    async fn again(request: Request<Incoming>) -> Answer {
        let interim = request.extensions().get::<Interim>().expect("one");
        for call in 0..100 {
            interim.start(EVERY + Duration::from_millis(call % 2));
            sleep(Duration::from_secs(3)).await;
        }
        hold(request).await
    }
    let (mut client, _served) = served(4096, &http(), again);
    say(&mut client, &get(5, "")).await;
    assert_eq!(text(&mut client, 400).await, C.repeat(90) + &ok("/5"));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_flushed_is_not_added_to() {
    let (mut client, server) = duplex(4096);
    let writes = Arc::<AtomicUsize>::default();
    let _served = served_on(Counted(server, Arc::clone(&writes), true), &http(), hold);
    say(&mut client, &get(600, "bears: it\r\n")).await;
    sleep(Duration::from_secs(100)).await;
    assert_eq!(writes.load(Relaxed), 1);
}

/// Counts what is written. Flushes none of it, if so told.
struct Counted(DuplexStream, Arc<AtomicUsize>, bool);

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.1.fetch_add(1, Relaxed);
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.2 && self.1.load(Relaxed) > 0 {
            return Poll::Pending;
        }
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_dropped_when_its_client_goes() {
    // Told by the end of what it says; or, where that says nothing, by the next interim response.
    for (half_close, pipelined, writes) in [(false, "", 1), (true, "", 2), (false, "GET", 2)] {
        let (mut client, server) = duplex(4096);
        let (writes_made, dropped) = <(Arc<AtomicUsize>, Arc<AtomicBool>)>::default();
        let http = http().half_close(half_close).clone();
        let guarded = Arc::clone(&dropped);
        let serving =
            served_on(Counted(server, Arc::clone(&writes_made), false), &http, move |request| {
                let guard = Dropped(Arc::clone(&guarded));
                async move {
                    let _guard = guard;
                    hold(request).await
                }
            });
        say(&mut client, &(get(60, "bears: it\r\n") + pipelined)).await;
        assert_eq!(heard(&mut client, 3).await, [at(2, C)]);
        assert!(!dropped.load(Relaxed));
        drop(client);
        sleep(EVERY).await;
        assert!(dropped.load(Relaxed));
        assert!(serving.is_finished());
        serving.await.expect("no panic").expect_err("a broken connection");
        assert_eq!(writes_made.load(Relaxed), writes);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_said_all_is_still_told() {
    let (mut client, _served) = served(4096, http().half_close(true), hold);
    say(&mut client, &get(5, "bears: it\r\n")).await;
    client.shutdown().await.expect("half an end");
    let told = [at(2, C), at(4, C), at(5, &ok("/5"))];
    let heard = heard(&mut client, 60).await;
    assert_eq!(heard.iter().map(|(second, _)| *second).collect::<Vec<_>>(), [2, 4, 5]);
    assert_eq!(heard[..2], told[..2]);
}

fn joined(told: &[(u64, String)]) -> String {
    told.iter().map(|(_, text)| text.as_str()).collect()
}
