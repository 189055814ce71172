//! Calls that go whether or not there is room: their limits are watched, and not kept.
//!
//! They take their slots as all others do, even where there are none, so a window holds what was
//! really sent. Whoever keeps to it waits until there are fewer than its quota.

use limits::{Class, Rule};

use super::{
    Call, Instant, Permit, Scheduler, Ticket, Why, call::Held, call_group::BucketId, hold::is_held,
};

impl Scheduler {
    /// A call arrives and goes. Tells whether one of its limits had no room for it, or was closed.
    pub fn force(&mut self, now: Instant, call: &Call) -> (Permit, bool) {
        self.advance(now);
        let buckets = self.resolve(now, &call.buckets);
        if call.class == Class::Interactive {
            for &id in &buckets {
                self.buckets[id].expect_people(now);
            }
        }
        let had_no_room = buckets.iter().any(|&id| self.has_no_room(now, id, call.class));
        let sequence = self.next_sequence();
        let held = Held::new(sequence, call.class, call.caller, call.deadline);
        self.charge(&buckets, call.class, call.caller);
        let permit = self.grant(now, &buckets, held);
        self.run(now);
        (permit, had_no_room)
    }

    /// A held call goes now. A ticket whose call is no longer held is ignored.
    pub fn force_held(&mut self, now: Instant, ticket: Ticket) {
        self.advance(now);
        if is_held(&self.held, ticket) {
            self.let_go(now, ticket.index);
            self.run(now);
        }
    }

    /// Whether Slack would refuse one call more, as far as is known.
    fn has_no_room(&mut self, now: Instant, id: BucketId, class: Class) -> bool {
        let bucket = &mut self.buckets[id];
        let is_rate = matches!(bucket.key.limit.rule, Rule::Rate(_));
        bucket.blocked(now, class, None).is_some_and(|block| match block.why {
            Why::Frozen | Why::Probing => true,
            Why::Full => is_rate,
            Why::Reserved | Why::Claimed | Why::Turn | Why::Paused => false,
        })
    }
}
