//! A replica: what it may use, what it says to the store, and what it hears.

use crate::{
    rules::{Mutation, NAMES, Name, Rules},
    store::{Ask, Beat, Beaten, Told},
};

/// What a replica knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is true or not by itself")]
pub struct Replica {
    /// Its name.
    pub name: Name,
    /// Whether its process lives.
    pub alive: bool,
    /// Whether its process is suspended.
    pub stopped: bool,
    /// The epoch of the store; 0 if it knows none.
    pub epoch: u8,
    /// Whether the store answers.
    pub link: Link,
    /// Whether the store was found silent while the lease lasted.
    pub noticed: bool,
    /// When the last message that was answered was sent: ticks ago.
    pub confirmed: u8,
    /// How many replicas there were when that was heard last; 0 if it never was.
    pub count: u8,
    /// Whether more than a part of the bucket was used when that was heard last.
    pub hot: bool,
    /// Whether the store does not know what is held of all limits.
    pub unsure: bool,
    /// Whether it grants no slot of the bucket for that.
    pub cold: bool,
    /// Since when it has known of replicas with another version: ticks ago.
    pub apart: Option<u8>,
    /// The members of the last beat (0), and who is no longer one, ticks ago.
    pub others: [Option<u8>; NAMES],
    /// The names that it has taken over from.
    pub ended: [bool; NAMES],
    /// The last number that was given to a message or a life.
    pub number: u8,
    /// The beat whose answer is waited for.
    pub beating: Option<u8>,
    /// The ask whose answer is waited for.
    pub asking: Option<u8>,
    /// Whether it has to ask, whatever has changed.
    pub again: bool,
    /// Whether the store has been told, in its epoch, what is held.
    pub told: bool,
    /// What is left of the wants that were said last.
    pub said_wants: u8,
    /// How many slots others held when the store answered last.
    pub others_held: u8,
    /// The life of the bucket.
    pub life: u8,
    /// GRANTED.
    pub granted: u8,
    /// TAKEN.
    pub taken: u8,
    /// TAKEN, as the store has confirmed it.
    pub known: u8,
    /// RETURNED.
    pub returned: u8,
    /// How many of the slots that are held were in use when a lease was over: they may be others'.
    pub claimed: u8,
    /// How many of the slots that are held were granted lately, and may be used.
    pub fresh: u8,
}

/// Whether the store answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// It never did.
    Unheard,
    /// It does.
    Connected,
    /// It does not, for a short time.
    Alone,
    /// It may have forgotten the replica, for so long.
    Over(u8),
}

/// Replicas have sent messages before a case begins.
pub const FIRST: u8 = 60;

// === impl Replica ===

impl Replica {
    /// One that has just been started.
    pub fn new(name: Name) -> Self {
        Self {
            name,
            alive: true,
            stopped: false,
            epoch: 0,
            link: Link::Unheard,
            noticed: false,
            confirmed: 0,
            count: 0,
            hot: false,
            unsure: false,
            cold: false,
            apart: None,
            others: [None; NAMES],
            ended: [false; NAMES],
            number: FIRST,
            beating: None,
            asking: None,
            again: false,
            told: true,
            said_wants: 0,
            others_held: 0,
            life: 1,
            granted: 0,
            taken: 0,
            known: 0,
            returned: 0,
            claimed: 0,
            fresh: 0,
        }
    }

    /// Whether it can do anything now.
    pub fn is_on(&self) -> bool {
        self.alive && !self.stopped
    }

    /// How many slots it holds.
    pub fn held(&self) -> u8 {
        (self.granted + self.taken).saturating_sub(self.returned)
    }

    /// How many of the slots that it holds it may use again: those that the store knows of, or waits
    /// to be told.
    pub fn reusable(&self, rules: &Rules) -> u8 {
        if rules.breaks(Mutation::UntoldReused) {
            self.held()
        } else if self.told || self.cold {
            (self.granted + self.known).saturating_sub(self.returned + self.claimed)
        } else {
            0
        }
    }

    /// How many slots it may use.
    pub fn cap(&self, rules: &Rules, used: u8) -> u8 {
        let part = rules.part(self.count);
        // What was taken as a part may come on top of what was granted.
        let reusable = self.reusable(rules).min(rules.quota);
        match self.link {
            Link::Connected if !self.keeps(rules) => used + self.fresh,
            Link::Connected | Link::Alone if self.apart.is_some() => {
                let waits = self.apart.is_some_and(|since| since < rules.parting());
                if waits { reusable.min(part) } else { part }
            }
            Link::Alone if self.is_quiet(rules) && rules.breaks(Mutation::PartBesideHeld) => {
                reusable + part
            }
            Link::Alone if self.is_quiet(rules) => reusable.max(part),
            Link::Connected | Link::Alone => reusable,
            Link::Over(since) if since < rules.longest() => self.after_the_lease(rules, part),
            Link::Unheard | Link::Over(_) => part,
        }
    }

    /// How many slots it may use as long as those of others may be in use that they held under a lease.
    fn after_the_lease(&self, rules: &Rules, part: u8) -> u8 {
        let knows = self.noticed || rules.breaks(Mutation::PartAfterSuspension);
        if self.is_quiet(rules) && knows || rules.breaks(Mutation::PartOfAHotBucket) {
            part
        } else {
            self.reusable(rules).min(part)
        }
    }

    /// Whether no more than a part of the bucket was used when the store was heard last, by all it knows.
    fn is_quiet(&self, rules: &Rules) -> bool {
        let used = self.held() + self.others_held;
        !self.hot && !self.unsure && used <= rules.part(self.count)
    }

    /// Whether it uses slots again that have aged, although the store answers.
    pub fn keeps(&self, rules: &Rules) -> bool {
        self.cold || rules.breaks(Mutation::AgedSlotKept)
    }

    /// A tick passes.
    pub fn tick(&mut self, rules: &Rules) {
        self.confirmed = (self.confirmed + 1).min(rules.latest());
        if let Link::Over(since) = &mut self.link {
            *since = (*since + 1).min(rules.longest());
        }
        self.apart = self.apart.map(|since| (since + 1).min(rules.parting()));
        for other in &mut self.others {
            *other = other.map(|since| if since == 0 { 0 } else { since + 1 });
            *other = other.filter(|since| *since <= rules.longest() + 1);
        }
    }

    /// Whether its lease is over and it has not noticed yet.
    pub fn is_overdue(&self, rules: &Rules) -> bool {
        let leased = matches!(self.link, Link::Connected | Link::Alone);
        let checks = !rules.breaks(Mutation::LeaseUnchecked);
        leased && checks && self.confirmed > rules.lease
    }

    /// Its lease is over, for so long.
    pub fn lease_is_over(&mut self, rules: &Rules, since: u8) {
        self.gives_up_asking();
        self.noticed = self.link == Link::Alone;
        if !rules.breaks(Mutation::VersionKnownForLong) {
            // The others may not have heard of it for long, either.
            self.apart = None;
        }
        self.link = Link::Over(since);
    }

    /// An answer is waited for no longer.
    pub fn times_out(&mut self) {
        self.beating = None;
        self.gives_up_asking();
        if self.link == Link::Connected {
            self.link = Link::Alone;
        }
    }

    fn gives_up_asking(&mut self) {
        self.again |= self.asking.take().is_some();
    }

    fn next_number(&mut self) -> u8 {
        self.number += 1;
        self.number
    }

    /// What is used is told as taken, and what is not is returned: before that is said.
    fn settle(&mut self, used: u8, returns: bool) {
        let held = self.held();
        self.taken += used.saturating_sub(held);
        if returns {
            let idle = held.saturating_sub(used);
            self.returned += idle;
            self.claimed = self.claimed.saturating_sub(idle);
            self.fresh = 0;
        }
        self.again |= self.held() != held;
    }

    /// Whether it has something to say.
    pub fn has_news(&self, rules: &Rules, used: u8, wants: u8) -> bool {
        let differs = used > self.held() || used < self.held() && !self.keeps(rules);
        self.again || !self.told || differs || wants > 0 || self.said_wants > 0
    }

    /// Says what it has, and wants.
    pub fn ask(&mut self, rules: &Rules, used: u8, wants: u8) -> Ask {
        let returns = !self.keeps(rules) || rules.breaks(Mutation::AgedSlotKept) && wants == 0;
        self.settle(used, returns);
        let number = self.next_number();
        (self.asking, self.again, self.said_wants) = (Some(number), false, wants);
        let Self { epoch, life, granted, taken, returned, .. } = *self;
        Ask { epoch, life, number, seen: granted, taken, returned, wants }
    }

    /// Says that it is here.
    pub fn beat(&mut self) -> Beat {
        let number = self.next_number();
        self.beating = Some(number);
        let told_all = self.epoch != 0 && self.told;
        let others = self.others.map(|known| known.is_some());
        Beat { epoch: self.epoch, number, told_all, others, ended: self.ended }
    }

    /// The store says something of the bucket.
    pub fn hear(&mut self, rules: &Rules, told: &Told) {
        if told.epoch != self.epoch && !rules.breaks(Mutation::OldEpochCounts) {
            return;
        }
        // Only a beat tells of replicas with another version.
        if let Some(answer) = told.answer.filter(|_| rules.breaks(Mutation::LeaseByAnyAnswer)) {
            self.confirmed = self.confirmed.min(answer.age);
        }
        if told.life != self.life {
            return;
        }
        let new = told.granted.saturating_sub(self.granted);
        self.granted += new;
        self.fresh += new;
        self.said_wants = self.said_wants.saturating_sub(new);
        if let Some(answer) = told.answer
            && self.asking == Some(answer.number)
        {
            (self.asking, self.told, self.known) = (None, true, self.taken);
            self.others_held = answer.used.saturating_sub(self.held());
        }
    }

    /// The store answers a beat.
    pub fn beaten(&mut self, rules: &Rules, used: u8, beaten: &Beaten) {
        if self.beating != Some(beaten.number) {
            return;
        }
        let was = self.link;
        let is_new = beaten.epoch != self.epoch;
        (self.beating, self.link) = (None, Link::Connected);
        self.confirmed = self.confirmed.min(beaten.age);
        self.names(rules, beaten);
        let believes = rules.breaks(Mutation::PartOfAnUnsureStore);
        (self.unsure, self.cold) = (beaten.unsure && !believes, beaten.cold && !believes);
        let count = beaten.members.iter().filter(|known| **known).count();
        let count = u8::try_from(count).unwrap_or(u8::MAX);
        if !self.unsure {
            (self.count, self.hot) = (count, beaten.hot);
        } else if beaten.apart {
            self.count = self.count.max(count);
        }
        self.apart = beaten.apart.then_some(self.apart.unwrap_or(0));
        let is_over = !matches!(was, Link::Connected | Link::Alone);
        if is_new || was != Link::Connected {
            // Before a call goes: what is idle may have been forgotten.
            let returns = (is_over && !rules.breaks(Mutation::StaleClaim)) || !self.keeps(rules);
            self.settle(used, returns);
        }
        if is_over {
            self.claims(rules);
        }
        if is_new {
            self.epoch = beaten.epoch;
            (self.asking, self.said_wants) = (None, 0);
            self.told = self.held() == 0;
            self.again |= !self.told;
        }
    }

    fn names(&mut self, rules: &Rules, beaten: &Beaten) {
        for (other, is_member) in self.others.iter_mut().zip(beaten.members) {
            *other = match (is_member, *other) {
                (true, _) => Some(0),
                (false, Some(0)) => Some(1),
                (false, since) => since,
            };
            if rules.breaks(Mutation::ForgottenUnnamed) {
                *other = other.filter(|since| *since == 0);
            }
        }
    }

    /// The store has forgotten it: it goes on by another name, with what it uses.
    pub fn forgotten(&mut self, rules: &Rules, name: Name, used: u8) {
        // Under its next name it tells what it uses: nobody has to wait for this one.
        self.others[self.name] = None;
        self.ended[self.name] = true;
        self.name = name;
        (self.epoch, self.link, self.noticed) = (0, Link::Over(0), false);
        self.apart = None;
        (self.beating, self.asking, self.said_wants) = (None, None, 0);
        (self.again, self.told) = (false, true);
        (self.granted, self.taken, self.returned, self.fresh) = (0, used, 0, 0);
        self.known = 0;
        self.claims(rules);
        self.life = self.next_number();
    }

    /// What is held was so under a lease that is over.
    fn claims(&mut self, rules: &Rules) {
        let reuses = [Mutation::ClaimedReused, Mutation::StaleClaim];
        let reuses = reuses.into_iter().any(|mutation| rules.breaks(mutation));
        self.claimed = if reuses { 0 } else { self.held() };
    }

    /// Whether the store owes nothing to it, and it owes nothing to the store.
    pub fn is_settled(&self) -> bool {
        let says_nothing = self.asking.is_none() && !self.again && self.said_wants == 0;
        self.held() == 0 && says_nothing
    }

    /// Nothing is left of the bucket, and it is dropped. The next one of that name is new.
    pub fn drops(&mut self, rules: &Rules) {
        let life = self.next_number();
        if !rules.breaks(Mutation::OneLife) {
            self.life = life;
        }
        (self.granted, self.taken, self.returned, self.fresh) = (0, 0, 0, 0);
        (self.known, self.claimed) = (0, 0);
        (self.told, self.others_held) = (true, 0);
    }

    /// Only what it may use matters.
    pub fn forgets_what_it_would_say(&mut self) {
        let Self { alive, stopped, link, noticed, confirmed, count, .. } = *self;
        let Self { hot, unsure, cold, apart, fresh, .. } = *self;
        let (held, others_held) = (self.held(), self.others_held);
        let reusable = self.granted + self.known;
        let known = reusable.saturating_sub(self.returned + self.claimed).min(held);
        let new = Self { told: self.told, confirmed, count, ..Self::new(self.name) };
        *self = Self { alive, stopped, link, noticed, hot, unsure, cold, apart, fresh, ..new };
        (self.taken, self.known, self.others_held) = (held, known, others_held);
    }

    /// Another process goes on with its state file, by another name.
    pub fn restarts(&mut self, name: Name) {
        let mut ended = self.ended;
        ended[self.name] = true;
        *self = Self { ended, ..Self::new(name) };
    }
}
