//! A call that was sent: the server counts it, and its answer comes back, or does not.

use std::{rc::Rc, time::Duration};

use fake_slack::Flight;
use scheduler::{Freeze, Outcome, Permit};

use super::{Driver, Happening, Stage};
use crate::scenarios::{
    record::{End, Frozen, Judged, Send},
    server::Verdict,
    text::Range,
};

/// A lost call may be counted so long after it was given up.
const STRAY: Duration = Duration::from_secs(60);

// === impl Driver ===

impl Driver<'_> {
    pub(super) fn send(&mut self, call: usize, permit: Permit) {
        let now = self.now;
        let member_id = self.record.calls[call].member;
        let member = &self.world.members[member_id];
        let buckets =
            member.buckets(&self.calls[call].call, &self.world.methods[&member.spec.method]);
        let buckets: Rc<[usize]> = buckets.into_iter().map(|key| self.bucket(key)).collect();
        let send = self.record.sends.len();
        self.record.sends.push(Send {
            call,
            member: member_id,
            at: now,
            buckets,
            landed: None,
            judged: Judged::NotYet,
            lost: false,
        });
        self.record.calls[call].sent = Some(now);
        let server = &self.world.scenario.server;
        let live = &mut self.calls[call];
        live.stage = Stage::Sent(permit, send, None);
        let way = live.chance.within(server.one_way);
        if live.chance.happens(server.loses) {
            let timeout = server.timeout.0;
            let stray = Range { least: way.min(timeout), most: timeout + STRAY };
            let lands = now + live.chance.within(stray);
            self.at(now + timeout, Happening::GiveUp { call });
            self.at(lands, Happening::Land { call, send, lost: true });
        } else {
            self.at(now + way, Happening::Land { call, send, lost: false });
        }
    }

    /// The server counts a call, and its answer is on its way, unless it is one that gets lost.
    pub(super) fn land(&mut self, call: usize, send: usize, lost: bool) {
        let live = &mut self.calls[call];
        let (judged, flight, refused) = match self.server.count(self.now, &live.call) {
            Verdict::Accepted(flight) => (Judged::Accepted, Some(flight), None),
            Verdict::Violation { retry_after } => (Judged::Violation, None, Some(retry_after)),
            Verdict::Refused { retry_after } => (Judged::Refused, None, Some(retry_after)),
        };
        let entry = &mut self.record.sends[send];
        entry.landed = Some(self.now);
        entry.judged = judged;
        entry.lost = lost;
        match &mut live.stage {
            Stage::Sent(_, current, place) if *current == send => *place = flight,
            _ => self.over(flight),
        }
        if lost {
            return;
        }
        let back = self.calls[call].chance.within(self.world.scenario.server.one_way);
        self.at(self.now + back, Happening::Answer { call, refused });
    }

    pub(super) fn answered(&mut self, call: usize) {
        let Stage::Sent(permit, _, flight) = self.take(call) else { return };
        self.over(flight);
        self.scheduler.settle(self.now, permit, Outcome::Answered);
        self.end(call, End::Answered);
    }

    /// A refused call goes again when the bucket opens, unless nobody waits for it any more.
    pub(super) fn refused(&mut self, call: usize, retry_after: Duration) {
        let Stage::Sent(permit, ..) = self.take(call) else { return };
        let freezes = self.scheduler.refused(self.now, &permit, retry_after).freezes;
        let closed = !freezes.is_empty();
        for Freeze { bucket, until } in freezes {
            let bucket = self.bucket(bucket);
            self.record.freezes.push(Frozen { bucket, at: self.now, until });
        }
        if closed && !self.calls[call].left {
            let enqueued = self.scheduler.replay(self.now, permit, Outcome::Refused, &[]);
            self.enqueued(call, enqueued);
        } else {
            self.scheduler.settle(self.now, permit, Outcome::Refused);
            self.comes_back(call, retry_after);
        }
    }

    /// The server has done with a call.
    pub(super) fn over(&mut self, flight: Option<Flight>) {
        if let Some(flight) = flight {
            self.server.land(flight);
        }
    }
}
