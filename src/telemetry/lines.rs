//! Log lines on their way to standard error: whoever logs leaves them here and goes on, and a thread of its own
//! writes them.
//!
//! A pipe that nobody reads takes 64 KiB and then nothing more: a thread that writes to it waits for ever.
//! So the threads that serve never do. What waits to be written is bounded in bytes; a line that finds no
//! room is dropped and counted, and the log says how many once it is written again.

use std::{
    io::{self, Write},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

/// Takes lines. Clones take them for the same thread.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    waiting: Mutex<Waiting>,
    /// There is something to write.
    filled: Condvar,
    /// All is written.
    emptied: Condvar,
    dropped: &'static AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Whole lines.
    text: Vec<u8>,
    /// Lines that found no room since that was told last.
    dropped: u64,
    /// The thread is at what it took before.
    is_writing: bool,
}

/// So many bytes wait, and as many more are being written.
const MOST: usize = 1 << 20;

// === impl Lines ===

impl Lines {
    /// Starts the thread, which writes to `to` for as long as the process lives. What finds no room is
    /// counted by `dropped`, and `tell` says how many lines that were since it said so last.
    ///
    /// # Errors
    /// If there can be no thread.
    pub(super) fn to<W: Write + Send + 'static>(
        to: W,
        dropped: &'static AtomicU64,
        tell: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Self> {
        let inner = Arc::new(Inner {
            waiting: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            dropped,
        });
        let lines = Self { inner: Arc::clone(&inner) };
        thread::Builder::new().name("log".into()).spawn(move || inner.write(to, tell))?;
        Ok(lines)
    }

    /// Waits until all lines are written, for so long at most.
    pub(super) fn flush(&self, patience: Duration) {
        let busy = |waiting: &mut Waiting| waiting.is_writing || !waiting.text.is_empty();
        // A reader that is gone gets no more.
        let _ = self.inner.emptied.wait_timeout_while(self.inner.lock(), patience, busy);
    }
}

impl<'l> MakeWriter<'l> for Lines {
    type Writer = &'l Self;

    fn make_writer(&'l self) -> &'l Self {
        self
    }
}

impl Write for &Lines {
    /// The subscriber writes each event at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.inner.take(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// === impl Inner ===

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, line: &[u8]) {
        let mut waiting = self.lock();
        if waiting.text.len() + line.len() > MOST {
            waiting.dropped += 1;
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.text.extend_from_slice(line);
        drop(waiting);
        self.filled.notify_one();
    }

    fn write(&self, mut to: impl Write, tell: impl Fn(u64)) {
        let mut text = Vec::new();
        loop {
            let waiting = self.filled.wait_while(self.lock(), |waiting| waiting.text.is_empty());
            let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut text, &mut waiting.text);
            let dropped = std::mem::take(&mut waiting.dropped);
            waiting.is_writing = true;
            drop(waiting);
            if to.write_all(&text).and_then(|()| to.flush()).is_err() {
                // Nobody reads them any more: as good as dropped.
                let lines = text.split(|byte| *byte == b'\n').count().saturating_sub(1);
                self.dropped.fetch_add(lines as u64, Ordering::Relaxed);
            }
            text.clear();
            // Whoever fills the queue once need not hold its memory for ever.
            text.shrink_to(MOST / 16);
            if dropped > 0 {
                tell(dropped);
            }
            let mut waiting = self.lock();
            waiting.is_writing = false;
            if waiting.text.is_empty() {
                self.emptied.notify_all();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// Takes what it is allowed to, one write for each permission, and hands it on.
    struct Gate {
        permits: Receiver<()>,
        written: SyncSender<Vec<u8>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.permits.recv().map_err(io::Error::other)?;
            self.written.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const PATIENCE: Duration = Duration::from_secs(10);

    /// Red when a line waits for the one before to be written, when what waits has no bound, when a line
    /// that does not fit is cut, and when the loss is not counted or told.
    #[test]
    fn what_finds_no_room_is_dropped_whole_counted_and_told() {
        static COUNTED: AtomicU64 = AtomicU64::new(0);
        let ((permit, permits), (written, read)) = (sync_channel(8), sync_channel(8));
        let (tell, told) = sync_channel(8);
        let tell = move |lines| tell.send(lines).unwrap();
        let lines = Lines::to(Gate { permits, written }, &COUNTED, tell).unwrap();
        let line = [vec![b'x'; 999], vec![b'\n']].concat();
        (&lines).write_all(&line).unwrap();
        // The thread is at the first line, and not done: the queue is free for all that fits.
        while !lines.inner.lock().is_writing {
            thread::yield_now();
        }
        for _ in 0..MOST / 1000 + 7 {
            (&lines).write_all(&line).unwrap();
        }
        assert_eq!(COUNTED.load(Ordering::Relaxed), 7);
        lines.flush(Duration::from_millis(1));
        permit.send(()).unwrap();
        assert_eq!(read.recv_timeout(PATIENCE).unwrap(), line);
        permit.send(()).unwrap();
        assert_eq!(read.recv_timeout(PATIENCE).unwrap(), line.repeat(MOST / 1000));
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), 7);
        lines.flush(PATIENCE);
        assert!(lines.inner.lock().text.capacity() <= MOST / 16, "the memory is given back");
        // Nobody reads any more.
        drop(permit);
        (&lines).write_all(b"one\ntwo\n").unwrap();
        lines.flush(PATIENCE);
        assert_eq!(COUNTED.load(Ordering::Relaxed), 9);
    }
}
