//! Messages that are of no group: one at a time, when there is something to say, and with each beat.

use std::time::Duration;

use tokio::time::Instant;

use super::replica::BEAT;

/// When the next message is sent, and the one that is on its way, with what its answer is needed for.
#[derive(Debug)]
pub(super) struct Outbox<T> {
    time_out: Duration,
    /// Whether the last message was answered. If it was not, the next one waits for the beat, whatever there
    /// is to say.
    heard: bool,
    due: Instant,
    sent: Option<Sent<T>>,
}

#[derive(Debug)]
struct Sent<T> {
    number: u64,
    until: Instant,
    of: T,
}

// === impl Outbox ===

impl<T> Outbox<T> {
    pub(super) fn new(time_out: Duration, now: Instant) -> Self {
        Self { time_out, heard: true, due: now, sent: None }
    }

    /// When something is to be done, if nothing happens before.
    pub(super) fn next(&self, connected: bool) -> Option<Instant> {
        match &self.sent {
            Some(sent) => Some(sent.until),
            None => Some(self.due).filter(|_| connected),
        }
    }

    /// There is a connection.
    pub(super) fn connects(&mut self, now: Instant) {
        (self.due, self.heard) = (now, true);
    }

    /// The next message is due.
    pub(super) fn is_due(&mut self, now: Instant) {
        self.due = now;
    }

    /// Whether the answer to the last message is late.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.sent.as_ref().is_some_and(|sent| sent.until <= now)
    }

    /// Whether a message may be sent, if there `is` something to say or it is due. Then the next one is due
    /// a beat later.
    pub(super) fn opens(&mut self, now: Instant, is: impl FnOnce() -> bool) -> bool {
        let opens = self.sent.is_none() && (self.due <= now || self.heard && is());
        if opens {
            self.due = now + BEAT;
        }
        opens
    }

    pub(super) fn sends(&mut self, now: Instant, number: u64, of: T) {
        self.sent = Some(Sent { number, until: now + self.time_out, of });
    }

    /// Whether that message is on its way.
    pub(super) fn awaits(&self, number: u64) -> bool {
        self.sent.as_ref().is_some_and(|sent| sent.number == number)
    }

    /// The message is answered.
    pub(super) fn is_answered(&mut self) -> Option<T> {
        self.heard = true;
        self.sent.take().map(|sent| sent.of)
    }

    /// The message is not answered.
    pub(super) fn is_alone(&mut self) -> Option<T> {
        self.heard = false;
        self.sent.take().map(|sent| sent.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red when somebody who is not heard says the same again and again, and when somebody who is heard
    /// waits for a beat.
    #[test]
    fn who_is_not_heard_waits_for_the_next_beat() {
        let now = Instant::now();
        let mut outbox = Outbox::new(BEAT / 4, now);
        assert!(outbox.opens(now, || false), "the first is due");
        outbox.sends(now, 1, ());
        assert!(!outbox.opens(now, || true), "one at a time");
        assert!(outbox.awaits(1) && outbox.is_late(now + BEAT / 4));
        assert!(outbox.is_answered().is_some());
        assert!(outbox.opens(now, || true), "at once");
        outbox.sends(now, 2, ());
        assert!(outbox.is_alone().is_some());
        assert!(!outbox.opens(now + BEAT / 2, || true));
        assert_eq!((outbox.next(true), outbox.next(false)), (Some(now + BEAT), None));
        assert!(outbox.opens(now + BEAT, || true));
        outbox.connects(now + BEAT);
        assert!(outbox.opens(now + BEAT, || false) && outbox.opens(now + BEAT, || true));
    }
}
