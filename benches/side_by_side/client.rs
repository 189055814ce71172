//! A bot's connection and what it sends: plain bytes, blocking, one call at a time.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, ensure};

/// A connection on which one call follows the other.
pub(crate) struct Client {
    target: SocketAddr,
    stream: TcpStream,
    answer: Vec<u8>,
}

/// A call as Slack's SDK for Node.js sends it.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) token: &'a str,
    pub(crate) form: &'a str,
    /// `keep-alive` or `close`.
    pub(crate) connection: &'a str,
    /// Further headers, each with its end of line.
    pub(crate) more: &'a str,
}

/// How long an answer may take: on a busy machine, a proxy under callgrind makes one wait.
const PATIENCE: Duration = Duration::from_secs(60);

// === impl Client ===

impl Client {
    pub(crate) fn connect(target: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self { target, stream: open(target)?, answer: Vec::with_capacity(4096) })
    }

    /// Goes on with a new connection.
    pub(crate) fn reconnect(&mut self) -> anyhow::Result<()> {
        self.stream = open(self.target)?;
        Ok(())
    }

    /// Sends a request and waits for its whole answer, which has to be a 200.
    pub(crate) fn call(&mut self, request: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(request)?;
        self.answer.clear();
        let mut piece = [0; 4096];
        let length = loop {
            let read = match self.stream.read(&mut piece) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read.context("no answer")?,
            };
            ensure!(read > 0, "the connection was closed before the answer was complete");
            self.answer.extend_from_slice(&piece[..read]);
            if let Some(length) = answer_length(&self.answer)? {
                break length;
            }
        };
        ensure!(self.answer.starts_with(b"HTTP/1.1 200 "), "not answered with 200");
        ensure!(self.answer.len() == length, "more bytes than one answer");
        Ok(())
    }
}

fn open(target: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(target)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// How many bytes the answer has, when all of them are there.
fn answer_length(answer: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let length = std::str::from_utf8(&answer[..head])?
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .context("an answer without Content-Length")?;
    let whole = head + 4 + length.1.trim().parse::<usize>()?;
    Ok((answer.len() >= whole).then_some(whole))
}

// === impl Request ===

impl Request<'_> {
    pub(crate) fn bytes(&self, target: SocketAddr) -> Vec<u8> {
        let Self { method, token, form, connection, more } = self;
        let length = form.len();
        let request = format!(
            "POST /api/{method} HTTP/1.1\r\n\
             Accept: application/json, text/plain, */*\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\
             User-Agent: @slack:web-api/7.9.1 node/22.14.0 linux/6.1.0\r\n\
             Authorization: Bearer {token}\r\n\
             Content-Length: {length}\r\n\
             Accept-Encoding: gzip, compress, deflate, br\r\n\
             Host: {target}\r\n\
             Connection: {connection}\r\n{more}\r\n{form}"
        );
        request.into_bytes()
    }
}
