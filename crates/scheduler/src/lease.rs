//! The lease of one bucket: how many slots are held, by three numbers that only grow, and what has
//! been said and heard of it. What the numbers mean is told in [`shared`](super::shared).

use core::time::Duration;

use limits::{BucketKey, Class};

use super::{
    Instant,
    shared::{Answer, Ask, Epoch, Hint, Shard, Told},
};

/// The lease of one bucket.
#[expect(clippy::struct_excessive_bools, reason = "each is true or not by itself")]
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) shard: Shard,
    life: u64,
    granted: u64,
    taken: u64,
    /// TAKEN, as the store has confirmed it.
    known: u64,
    returned: u64,
    /// How many of the slots that are held may be others' by now: they were in use when the lease was
    /// over, and are held for as long as they age only.
    claimed: u32,
    /// How many of the slots that are held were granted lately and may be taken. Any other one that
    /// is not taken is given back, or others would have to wait for what is used here again.
    fresh: u32,
    /// Whether an ask is on its way.
    pub(super) asking: bool,
    /// Whether it is to ask whatever has changed.
    pub(super) again: bool,
    /// When it is to ask again.
    pub(super) again_at: Option<Instant>,
    /// Whether it is among those that have something to say.
    pub(super) queued: bool,
    /// Whether the store has been told, in its life of now, what is held.
    pub(super) is_told: bool,
    /// Whether an interactive call has come since the last ask.
    pub(super) people: bool,
    /// Whether the store can be heard.
    pub(super) is_connected: bool,
    /// Whether it grants nothing as yet.
    pub(super) is_cold: bool,
    /// How many slots are used at most, as long as others may go by a name that it had before.
    pub(super) most: Option<u32>,
    /// Where the limit that is kept to was learnt: how far apart all calls go.
    spacing: Option<Duration>,
    /// Whether that is forgotten, and the store is still to hear so.
    forgets: bool,
    /// How many calls of each class are parked here.
    pub(super) parked: [u32; 3],
    /// How many of them can use a slot now.
    wants: [u32; 3],
    said: Said,
    heard: Heard,
}

/// What the store was told last.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    number: u64,
    taken: u64,
    returned: u64,
    /// What is left of the wants, as far as is known.
    wants: [u32; 3],
    callers: u32,
    spacing: Option<Duration>,
}

/// What the store said last.
#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    number: u64,
    /// How many slots others hold.
    others: u32,
    /// The weight of the others who wait.
    weight: u64,
}

// === impl Lease ===

impl Lease {
    pub(super) fn new(shard: Shard, life: u64) -> Self {
        Self {
            shard,
            life,
            granted: 0,
            taken: 0,
            known: 0,
            returned: 0,
            claimed: 0,
            fresh: 0,
            asking: false,
            again: false,
            again_at: None,
            queued: false,
            is_told: true,
            people: false,
            is_connected: false,
            is_cold: false,
            most: None,
            spacing: None,
            forgets: false,
            parked: [0; 3],
            wants: [0; 3],
            said: Said::default(),
            heard: Heard::default(),
        }
    }

    /// How many slots are held.
    pub(super) fn held(&self) -> u32 {
        let held = (self.granted + self.taken).saturating_sub(self.returned);
        u32::try_from(held).unwrap_or(u32::MAX)
    }

    /// How many of the slots that are held may be used again without the store: those that it knows of.
    /// It may grant the others to somebody else meanwhile, and what was not told in its life of now it
    /// may have forgotten altogether. A cold one grants nothing until it is told.
    pub(super) fn reusable(&self, is_cold: bool) -> u32 {
        if !self.is_told && !is_cold {
            return 0;
        }
        let known = (self.granted + self.known).saturating_sub(self.returned);
        u32::try_from(known).unwrap_or(u32::MAX).saturating_sub(self.claimed)
    }

    /// How many of the slots that are held and not taken may be taken.
    pub(super) fn fresh(&self) -> u32 {
        self.fresh
    }

    /// A slot is taken.
    pub(super) fn take(&mut self) {
        self.fresh = self.fresh.saturating_sub(1);
    }

    /// How many slots others held when the store was heard last.
    pub(super) fn others(&self) -> u32 {
        self.heard.others
    }

    /// Whether the store owes nothing to it, and it owes nothing to the store.
    pub(super) fn is_settled(&self) -> bool {
        self.held() == 0 && !self.asking && !self.has_news() && self.said.wants == [0; 3]
    }

    /// Whether what has aged is given back: the store is heard, and grants it to whoever waits.
    pub(super) fn returns(&self) -> bool {
        self.is_connected && !self.is_cold
    }

    /// What is used is told as taken: before that is said.
    pub(super) fn take_used(&mut self, used: u32) {
        self.taken += u64::from(used.saturating_sub(self.held()));
    }

    /// And what is not used is given back.
    pub(super) fn settle(&mut self, used: u32) {
        self.take_used(used);
        let idle = self.held().saturating_sub(used);
        self.returned += u64::from(idle);
        self.claimed = self.claimed.saturating_sub(idle);
        self.fresh = 0;
    }

    /// What is held was so under a lease that is over.
    pub(super) fn claim(&mut self) {
        self.claimed = self.held();
    }

    /// The parked calls want slots: no more of each class than there are in all, and than can be
    /// used now.
    pub(super) fn want(&mut self, now: Instant, quota: u32, room: u32) {
        self.wants = self.parked.map(|parked| parked.min(quota).min(room));
        if self.again_at.is_some_and(|at| at <= now) {
            self.again_at = None;
            self.again |= self.wants_any();
        }
    }

    pub(super) fn wants_any(&self) -> bool {
        self.wants != [0; 3]
    }

    /// Whether there is something to say that the store does not know.
    pub(super) fn has_news(&self) -> bool {
        let Said { taken, returned, wants, .. } = self.said;
        let changed = |(now, said): (u32, u32)| now > said || (now == 0 && said > 0);
        self.again
            || (self.taken, self.returned) != (taken, returned)
            || self.wants.into_iter().zip(wants).any(changed)
    }

    /// All calls go so far apart, by what was learnt; with nothing, nothing is learnt any more, and whom they
    /// were kept apart for is told so once. Says it at once if that matters to anybody.
    pub(super) fn space(&mut self, spacing: Option<Duration>) {
        let was_said = self.said.spacing.is_some_and(|said| !said.is_zero());
        self.forgets = spacing.is_none() && (self.forgets || was_said);
        let spacing = if self.forgets { Some(Duration::ZERO) } else { spacing };
        let is_other = core::mem::replace(&mut self.spacing, spacing) != spacing;
        self.again |= is_other && (self.forgets || self.matters());
    }

    /// Whether it has slots, or wants some.
    pub(super) fn matters(&self) -> bool {
        self.held() > 0 || self.wants_any()
    }

    /// What is to be said.
    pub(super) fn ask(
        &mut self,
        bucket: BucketKey,
        epoch: Epoch,
        number: u64,
        callers: u32,
        quota: u32,
        period: Duration,
    ) -> Ask {
        let Self { shard, life, granted, taken, returned, wants, people, spacing, .. } = *self;
        self.said = Said { number, taken, returned, wants, callers, spacing };
        (self.asking, self.again, self.people) = (true, false, false);
        Ask {
            bucket,
            shard,
            epoch,
            life,
            number,
            seen: granted,
            taken,
            returned,
            wants,
            callers,
            quota,
            period,
            spacing,
            people,
        }
    }

    /// The store is heard, in its life of now. Returns whether that is of this life of the bucket.
    pub(super) fn hear(&mut self, now: Instant, told: Told) -> bool {
        if told.life != self.life {
            return false;
        }
        let mut new = told.granted.saturating_sub(self.granted);
        self.granted += new;
        self.fresh += u32::try_from(new).unwrap_or(0);
        // Which class a slot was granted for is not told. If it was another one, that class's
        // wants are more than the store knows of, and are said again.
        for class in Class::ALL {
            let wants = &mut self.said.wants[class.index()];
            let less = u32::try_from(new).unwrap_or(u32::MAX).min(*wants);
            *wants -= less;
            new -= u64::from(less);
        }
        if let Some(answer) = told.answer {
            self.answered(now, told.granted, answer);
        }
        true
    }

    fn answered(&mut self, now: Instant, granted: u64, answer: Answer) {
        let Answer { number, used, weight, hint } = answer;
        let Said { taken, returned, wants, callers, .. } = self.said;
        if number == self.said.number {
            (self.asking, self.is_told) = (false, true);
            self.known = self.known.max(taken);
            if self.forgets && self.said.spacing == Some(Duration::ZERO) {
                (self.forgets, self.spacing) = (false, None);
            }
        }
        if number < self.heard.number || number != self.said.number {
            return;
        }
        let own = (granted + taken).saturating_sub(returned);
        let own_weight = if wants == [0; 3] { 0 } else { u64::from(callers) };
        self.heard = Heard {
            number,
            others: used.saturating_sub(u32::try_from(own).unwrap_or(u32::MAX)),
            weight: weight.saturating_sub(own_weight),
        };
        self.again_at = match hint {
            Hint::AskAgain(wait) | Hint::Frozen(wait) => Some(now + wait),
            Hint::Open | Hint::Probed => None,
        };
    }

    /// Nothing that is on its way is waited for any more.
    pub(super) fn give_up_asking(&mut self) {
        self.again |= core::mem::take(&mut self.asking);
    }

    /// The store lives another life, in which it knows nothing yet.
    pub(super) fn tell_anew(&mut self) {
        self.asking = false;
        self.most = None;
        self.said = Said::default();
        self.is_told = self.held() == 0;
        self.again |= !self.is_told;
    }

    /// What is held, to be given back: nothing of it is wanted any more.
    pub(super) fn to_give_back(&self) -> Self {
        let Self { shard, life, granted, taken, returned, spacing, said, .. } = *self;
        let new = Self { spacing, ..Self::new(shard, life) };
        Self { granted, taken, returned, said, again: true, ..new }
    }

    /// Begins a new life, in which `used` slots are taken.
    pub(super) fn begin_anew(&mut self, shard: Shard, life: u64, used: u32) {
        let Self { is_connected, is_cold, spacing, parked, queued, people, .. } = *self;
        let new = Self { is_connected, is_cold, spacing, ..Self::new(shard, life) };
        *self = Self { parked, queued, people, taken: used.into(), ..new };
    }

    /// When a call of this scheduler with `ahead` others before it can have a slot at the earliest,
    /// if slots of the limit become free at the pace of `each` and all who wait have their turns;
    /// `callers` of this scheduler wait. `None` if nobody else does.
    pub(super) fn forecast(
        &self,
        now: Instant,
        ahead: u64,
        callers: u64,
        free: u32,
        each: Duration,
    ) -> Option<Instant> {
        if self.heard.weight == 0 {
            return None;
        }
        let own = callers.max(1);
        let all = own + self.heard.weight;
        let turns = (ahead + 1).saturating_mul(all).div_ceil(own);
        Some(now.after(each, turns.saturating_sub(free.into())))
    }
}
