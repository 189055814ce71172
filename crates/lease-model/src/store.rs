//! The store: who its members are, and how many slots of the bucket each of them holds.

use crate::rules::{Mutation, NAMES, Name, Rules};

/// What the store knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Store {
    /// Its epoch; 0 if it has none.
    pub epoch: u8,
    /// It is another process than the one that began the epoch.
    pub restarted: bool,
    /// For how long it has granted nothing because it does not know what is held.
    pub cold: Option<u8>,
    /// For how long it has heard nobody.
    pub quiet: u8,
    /// For how long slots may still be in use that a member held who was forgotten last.
    pub missed: u8,
    /// How long ago a replica with another version was heard, as the last beat has found.
    pub apart: Option<u8>,
    /// The members.
    pub members: [Option<Member>; NAMES],
    /// What they hold.
    pub records: [Option<Record>; NAMES],
    /// The slots of those who were forgotten or have left: whose each was, and for how long it is
    /// still kept.
    pub orphans: Vec<(Name, u8)>,
    /// Names that others have taken over from.
    pub ended: [bool; NAMES],
    /// Who was granted a slot last. Another one comes first.
    pub last: Name,
}

/// A member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// For how long it has been silent.
    pub silent: u8,
    /// Whether it has told, in this epoch, all that it holds.
    pub told: bool,
}

/// What a member has of the bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record {
    /// Whether it was told in this epoch.
    pub told: bool,
    /// The life of the bucket.
    pub life: u8,
    /// The number of the last ask whose wants counted.
    pub number: u8,
    /// GRANTED.
    pub granted: u8,
    /// TAKEN.
    pub taken: u8,
    /// RETURNED.
    pub returned: u8,
    /// Slots that are waited for.
    pub wants: u8,
}

/// What a replica says of the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "they are those of a record")]
pub struct Ask {
    pub epoch: u8,
    pub life: u8,
    pub number: u8,
    pub seen: u8,
    pub taken: u8,
    pub returned: u8,
    pub wants: u8,
}

/// What the store says of the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Told {
    /// The epoch.
    pub epoch: u8,
    /// The life of the bucket.
    pub life: u8,
    /// GRANTED.
    pub granted: u8,
    /// The rest, if it is an answer.
    pub answer: Option<Answer>,
}

/// What only an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Answer {
    /// The ask that it answers.
    pub number: u8,
    /// How many slots are held in all.
    pub used: u8,
    /// For how long it has been on its way, the ask included.
    pub age: u8,
}

/// A replica says that it is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Beat {
    /// The epoch, as it knows it.
    pub epoch: u8,
    /// Its number.
    pub number: u8,
    /// Whether the replica has told, in that epoch, all that it holds.
    pub told_all: bool,
    /// The others that it knows of.
    pub others: [bool; NAMES],
    /// The names that it has taken over from.
    pub ended: [bool; NAMES],
}

/// A replica leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Leave {
    /// The epoch, as it knows it.
    pub epoch: u8,
    /// For how long each slot still counts that it has used; 0 for none.
    pub left: [u8; MOST],
}

/// Slots that a replica can have used that leaves.
pub const MOST: usize = 4;

/// The answer to a beat.
#[expect(clippy::struct_excessive_bools, reason = "each is true or not by itself")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Beaten {
    /// The epoch.
    pub epoch: u8,
    /// The number of the beat.
    pub number: u8,
    /// For how long it has been on its way, the beat included.
    pub age: u8,
    /// The members.
    pub members: [bool; NAMES],
    /// Whether it does not know yet what is held of all limits.
    pub unsure: bool,
    /// Whether it grants no slot of the bucket for that.
    pub cold: bool,
    /// Whether that is because of replicas with another version.
    pub apart: bool,
    /// Whether more than a replica's part of the bucket is used.
    pub hot: bool,
}

/// What the store does with a message.
#[derive(Clone, Copy, Debug)]
pub enum Reply<T> {
    /// It answers.
    Ok(T),
    /// It has forgotten the replica.
    Forgotten,
    /// It lives in another epoch. Without an answer the replica beats, too, so there is none.
    Nothing,
}

// === impl Store ===

impl Store {
    /// A tick passes.
    pub fn tick(&mut self, rules: &Rules) {
        self.quiet = (self.quiet + 1).min(rules.stale + 1);
        self.missed = self.missed.saturating_sub(1);
        self.cold = self.cold.map(|cold| (cold + 1).min(rules.stale));
        self.apart = self.apart.map(|since| since + 1).filter(|since| *since < rules.versions());
        for member in self.members.iter_mut().flatten() {
            // Nothing changes later.
            let most = rules.lease + if member.told { 0 } else { rules.slowest() };
            member.silent = (member.silent + 1).min(most);
        }
        self.orphans.iter_mut().for_each(|(_, left)| *left -= 1);
        self.orphans.retain(|(_, left)| *left > 0);
    }

    /// How many slots are held.
    pub fn total(&self) -> usize {
        let held = self.records.iter().flatten().map(|record| usize::from(record.held()));
        held.sum::<usize>() + self.orphans.len()
    }

    /// Whether it grants no slot of the bucket, because somebody may use some who has not told so. Whoever
    /// is not heard for a while after the loss has no lease any more, and then no call that counts.
    pub fn is_cold(&self, rules: &Rules) -> bool {
        self.apart.is_some() || self.waits_for_members(rules)
    }

    fn waits_for_members(&self, rules: &Rules) -> bool {
        let is_missed = |it: &Member| !it.told && it.silent < rules.missing();
        let waits = self.members.iter().flatten().any(is_missed);
        let by_time = rules.breaks(Mutation::ColdEndsByTime);
        self.cold.is_some_and(|since| since < rules.stale || waits && !by_time)
    }

    /// Whether somebody may have slots who is not a member: then the parts of all members are too
    /// many. Which slots a member held that was forgotten lately is not looked up: a store with many
    /// buckets could not. So any slots may be its.
    fn is_held_by_others(&self) -> bool {
        !self.orphans.is_empty() || self.missed > 0 && self.total() > 0
    }

    /// A replica says that it is here. `new_epoch` is the one that begins if one has to.
    pub fn beat(
        &mut self,
        rules: &Rules,
        name: Name,
        beat: &Beat,
        age: u8,
        new_epoch: u8,
    ) -> Reply<Beaten> {
        if self.ended[name] {
            return Reply::Forgotten;
        }
        if self.epoch == 0 || self.restarted || self.quiet > rules.stale {
            self.begin(new_epoch);
        } else if beat.epoch == self.epoch
            && self.members[name].is_none()
            && !rules.breaks(Mutation::ForgottenComesBack)
        {
            return Reply::Forgotten;
        }
        // Who says this in the store's own epoch has heard of the others from it.
        let names = beat.epoch != self.epoch || rules.breaks(Mutation::AnyBeatNames);
        if self.cold.is_some() && names {
            let others =
                beat.others.iter().enumerate().filter(|(of, known)| **known && !self.ended[*of]);
            for (other, _) in others {
                self.members[other].get_or_insert(Member { silent: 0, told: false });
            }
        }
        self.hears(name);
        if let Some(member) = &mut self.members[name]
            && beat.epoch == self.epoch
        {
            member.told |= beat.told_all;
            if beat.told_all || rules.breaks(Mutation::EndedUntold) {
                self.ends(beat.ended);
            }
        }
        for member in &mut self.members {
            let waits = |it: &Member| rules.forget() + if it.told { 0 } else { rules.slowest() };
            if member.is_some_and(|it| it.silent >= waits(&it)) {
                (*member, self.missed) = (None, rules.missed());
            }
        }
        let pending = self.members.iter().flatten().any(|member| !member.told);
        let ends = match self.cold {
            _ if rules.breaks(Mutation::NeverCold) => true,
            Some(cold) => {
                cold >= rules.stale && (!pending || rules.breaks(Mutation::ColdEndsByTime))
            }
            None => false,
        };
        if ends {
            self.cold = None;
        }
        let members = self.members.map(|member| member.is_some());
        let count = members.iter().filter(|known| **known).count();
        let part = if rules.breaks(Mutation::HalfIsCold) {
            rules.quota / 2
        } else {
            rules.part(u8::try_from(count).unwrap_or(u8::MAX))
        };
        Reply::Ok(Beaten {
            epoch: self.epoch,
            number: beat.number,
            age,
            members,
            unsure: self.cold.is_some() || self.apart.is_some(),
            apart: self.apart.is_some(),
            cold: self.is_cold(rules),
            hot: self.total() > usize::from(part)
                || (self.is_held_by_others() && !rules.breaks(Mutation::OrphansAreCold)),
        })
    }

    fn begin(&mut self, epoch: u8) {
        (self.epoch, self.restarted, self.cold) = (epoch, false, Some(0));
        for member in self.members.iter_mut().flatten() {
            *member = Member { silent: 0, told: false };
        }
        self.records.iter_mut().flatten().for_each(|record| record.told = false);
    }

    fn hears(&mut self, name: Name) {
        self.members[name].get_or_insert(Member { silent: 0, told: false }).silent = 0;
        self.quiet = 0;
    }

    /// A replica says what it has, and wants. Whoever else is granted a slot is in `pushes`.
    pub fn ask(
        &mut self,
        rules: &Rules,
        name: Name,
        ask: Ask,
        age: u8,
        pushes: &mut Vec<(Name, Told)>,
    ) -> Reply<Told> {
        if ask.epoch != self.epoch {
            return Reply::Nothing;
        }
        if self.restarted || self.quiet > rules.stale {
            // It has heard nobody for a while, and cannot tell who has used what since.
            self.epoch = 0;
            return Reply::Nothing;
        }
        if self.members[name].is_none() && !rules.breaks(Mutation::ForgottenComesBack) {
            return Reply::Forgotten;
        }
        self.hears(name);
        self.records[name].get_or_insert_default().hear(rules, ask);
        self.serves(rules, name, pushes);
        let own = self.records[name].unwrap_or_default();
        let used = u8::try_from(self.total()).unwrap_or(u8::MAX);
        Reply::Ok(own.says(self.epoch, Some(Answer { number: ask.number, used, age })))
    }

    /// A replica leaves. Whoever is granted a slot is in `pushes`.
    pub fn leave(
        &mut self,
        rules: &Rules,
        name: Name,
        leave: &Leave,
        pushes: &mut Vec<(Name, Told)>,
    ) {
        let is_lost = self.restarted || self.quiet > rules.stale;
        if leave.epoch != self.epoch || is_lost || self.members[name].is_none() {
            return;
        }
        // Whatever it held beyond that, it uses no more.
        self.records[name] = None;
        if !rules.breaks(Mutation::LeftAtOnce) {
            let left = leave.left.iter().filter(|left| **left > 0);
            self.orphans.extend(left.map(|left| (name, *left)));
        }
        self.serves(rules, name, pushes);
        self.members[name] = None;
    }

    /// Another one has told all that was used under these names.
    fn ends(&mut self, names: [bool; NAMES]) {
        for (name, _) in names.iter().enumerate().filter(|(_, ended)| **ended) {
            (self.members[name], self.ended[name]) = (None, true);
        }
    }

    /// After that one has spoken, free slots are granted. Whoever else has one is in `pushes`.
    fn serves(&mut self, rules: &Rules, name: Name, pushes: &mut Vec<(Name, Told)>) {
        let ended = self.ended;
        self.orphans.retain(|(of, _)| !ended[*of]);
        let is_cold = self.is_cold(rules);
        if !is_cold {
            self.drops_untold(rules);
        }
        self.forgets(rules, name);
        let mut granted = [false; NAMES];
        if !is_cold {
            self.grants(rules, &mut granted);
        }
        for (other, record) in self.records.iter().enumerate().filter(|(to, _)| granted[*to]) {
            if let Some(record) = record.filter(|_| other != name) {
                pushes.push((other, record.says(self.epoch, None)));
            }
        }
    }

    /// Whoever has told all and says nothing of the bucket has nothing of it.
    fn drops_untold(&mut self, rules: &Rules) {
        if rules.breaks(Mutation::UntoldKept) {
            return;
        }
        for (record, member) in self.records.iter_mut().zip(&self.members) {
            let has_told = member.is_some_and(|member| member.told);
            *record = record.filter(|record| record.told || !has_told);
        }
    }

    /// Who has been silent for too long is gone, as soon as its slots are missed: they age as if
    /// they had been used just now.
    fn forgets(&mut self, rules: &Rules, asker: Name) {
        let waits = |record: &Option<Record>| record.is_some_and(|record| record.wants > 0);
        let others = self.records.iter().enumerate().any(|(of, it)| of != asker && waits(it));
        let is_full = self.total() >= usize::from(rules.quota);
        if !(others || is_full && self.records.iter().any(waits)) {
            return;
        }
        for of in (0..NAMES).filter(|of| *of != asker) {
            if self.ended[of] {
                self.records[of] = None;
            }
            let member = self.members[of];
            if member.is_some_and(|it| !it.told) && !rules.breaks(Mutation::MissingForgotten) {
                // What it held of other buckets nobody knows, so it stays a member.
                if member.is_some_and(|it| it.silent >= rules.missing()) {
                    self.records[of] = None;
                }
                continue;
            }
            let is_silent = member.is_none_or(|it| it.silent >= rules.forget());
            if let Some(record) = self.records[of].filter(|_| is_silent) {
                let orphans = core::iter::repeat_n((of, rules.orphaned()), record.held().into());
                self.orphans.extend(orphans);
                if member.is_some() {
                    self.missed = rules.missed();
                }
                // For good: its name never comes back.
                (self.records[of], self.members[of]) = (None, None);
            }
        }
        self.orphans.sort_unstable();
    }

    fn grants(&mut self, rules: &Rules, granted: &mut [bool; NAMES]) {
        while self.total() < usize::from(rules.quota) {
            let may = |name: &Name| {
                let waits = self.records[*name].is_some_and(|record| record.wants > 0);
                waits && self.members[*name].is_some_and(|it| it.silent <= rules.stale)
            };
            let turns = (1..=NAMES).map(|after| (self.last + after) % NAMES);
            let Some(next) = turns.into_iter().find(may) else { return };
            if let Some(record) = &mut self.records[next] {
                record.granted += 1;
                record.wants -= 1;
            }
            (self.last, granted[next]) = (next, true);
        }
    }
}

// === impl Record ===

impl Record {
    /// How many slots are held.
    pub fn held(&self) -> u8 {
        (self.granted + self.taken).saturating_sub(self.returned)
    }

    fn hear(&mut self, rules: &Rules, ask: Ask) {
        if ask.life > self.life {
            // What was held in an earlier life was returned.
            *self = Self { life: ask.life, ..Self::default() };
        }
        if ask.life == self.life && !self.told && !rules.breaks(Mutation::UnheardGrantKept) {
            // What it was granted in an earlier epoch and had not heard of it never will.
            self.granted = self.granted.min(ask.seen);
        }
        self.told = true;
        if ask.life < self.life {
            return;
        }
        // Those that are on their way are for what is still waited for.
        let unseen = self.granted.saturating_sub(ask.seen);
        if rules.breaks(Mutation::LastMessageCounts) {
            (self.granted, self.taken, self.returned) = (ask.seen, ask.taken, ask.returned);
        } else {
            self.granted = self.granted.max(ask.seen);
            self.taken = self.taken.max(ask.taken);
            self.returned = self.returned.max(ask.returned);
        }
        if ask.number > self.number || rules.breaks(Mutation::LateWantsCount) {
            (self.number, self.wants) = (ask.number, ask.wants.saturating_sub(unseen));
        }
    }

    fn says(self, epoch: u8, answer: Option<Answer>) -> Told {
        Told { epoch, life: self.life, granted: self.granted, answer }
    }
}
