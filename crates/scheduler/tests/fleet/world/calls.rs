//! A call, from the client to its end.

use super::*;

impl World {
    pub(super) fn comes(&mut self, ask: Ask) {
        let pods: Vec<_> = self.pods.iter().flatten().copied().collect();
        let on: Vec<_> = pods.into_iter().filter(|at| self.is_on(*at)).collect();
        let Some(&by) = on.get(
            ask.at.map_or_else(|| self.traffic.index(on.len().max(1)), |at| at % on.len().max(1)),
        ) else {
            return;
        };
        self.counts.calls += 1;
        self.numbers += 1;
        let number = self.numbers;
        let buckets = self.all.buckets(ask.method, ask.workspace, ask.channel, ask.poster);
        let is_order =
            |it: &u32| matches!(self.all.keys[*it as usize].limit.rule, limits::Rule::InOrder(_));
        let order = buckets.iter().copied().find(is_order);
        let deadline = self.now + ask.patience;
        let call = Call {
            ask,
            order,
            by,
            deadline,
            ticket: None,
            permit: None,
            sent: self.now,
            attempts: 0,
            result: Outcome::Answered,
            open: false,
            unheard: false,
            ended: false,
            buckets,
        };
        if ask.class == Class::Interactive {
            let now = self.now;
            self.people.extend(call.buckets.iter().map(|bucket| (*bucket, now)));
        }
        if let Some(order) = order {
            self.judge.waits(number, by, order);
        }
        let arriving = Arriving {
            buckets: self.keys_of(&call, by),
            class: ask.class,
            caller: Caller { id: CallerId(ask.caller), weight: Weight::ONE },
            deadline,
            max_depth: None,
            place: None,
            again: Duration::ZERO,
        };
        let line = (by, call.buckets[0]);
        self.calls.insert(number, call);
        let enqueue = |scheduler: &mut Scheduler, now| scheduler.enqueue(now, &arriving);
        if let Some(ticket) = self.asks(number, by, enqueue) {
            self.waits_till(number, ticket, line, deadline);
            if self.traffic.hits(5) {
                let time = self.traffic.millis(10, 20_000);
                self.after(time, Event::HangsUp(number));
            }
        }
    }

    pub(super) fn is_held(&mut self, number: u64, ticket: Ticket, line: (usize, u32)) {
        if let Some(call) = self.calls.get_mut(&number)
            && call.permit.is_none()
        {
            call.ticket = Some(ticket);
            self.lines.entry(line).or_default().push_back(number);
        }
    }

    pub(super) fn keys_of(&self, call: &Call, by: usize) -> Vec<BucketKey> {
        let all = self.processes[by].as_ref().map_or(&self.all, |process| &process.all);
        let keys = call.buckets.iter().map(|nth| all.keys[*nth as usize].clone());
        let is_paused = self.paused.contains(&(by, call.ask.workspace));
        keys.chain(is_paused.then(|| self.all.gate.clone())).collect()
    }

    pub(super) fn goes(&mut self, number: u64, permit: Permit) {
        let quiet = self.is_calm().then(|| self.calm_since + KNOWN);
        let now = self.now;
        let call = self.calls.get_mut(&number).unwrap();
        (call.permit, call.ticket, call.sent) = (Some(permit), None, now);
        (call.open, call.unheard) = (true, false);
        call.attempts += 1;
        let (attempt, by) = (call.attempts, call.by);
        if let Err(wrong) = self.judge.goes(now, (number, attempt), by, &call.buckets, quiet) {
            let call_buckets = call.buckets[..call.buckets.len() - 2].to_vec();
            let keys: Vec<_> =
                call.buckets.iter().map(|nth| self.all.keys[*nth as usize].to_string()).collect();
            let on_bucket =
                |it: &(&u64, &Call)| it.1.buckets.iter().any(|b| call_buckets.contains(b));
            let mut others: Vec<_> = self.calls.iter().filter(on_bucket).collect();
            others.sort_by_key(|it| it.0);
            let others: Vec<_> = others.iter().map(|(n, c)| format!("{n}: {c:?}")).collect();
            let wrong =
                format!("call {number} of {keys:?} goes at process {by}: {wrong}\n{others:#?}");
            self.wrong.get_or_insert(wrong);
        }
        let call = self.calls.get_mut(&number).unwrap();
        if attempt == 1 && self.paused.contains(&(by, call.ask.workspace)) {
            self.wrong.get_or_insert(format!("call {number} goes through a pause"));
        }
        let chance = &mut self.traffic;
        // Those who try are few, and what becomes of slow ones is to be seen.
        let often = if self.judge.is_trying(now, &call.buckets) { 300 } else { 3 };
        let latency =
            if chance.hits(often) { chance.millis(3_000, 30_000) } else { chance.millis(60, 400) };
        let is_shut = call.buckets.iter().any(|it| self.shut.get(it).is_some_and(|at| *at > now));
        let (result, heard) = if is_shut {
            (Outcome::Refused, latency)
        } else if chance.hits(2) {
            (Outcome::Unsent, latency)
        } else if chance.hits(1) {
            (Outcome::Lost, chance.millis(100, 20_000))
        } else {
            (Outcome::Answered, latency)
        };
        call.result = result;
        if result == Outcome::Lost {
            // Slack may count it later than the process gives it up.
            let counted = (heard + chance.seconds(0, 60)).min(FLIGHT);
            self.after(counted, Event::Counted(number, attempt));
        }
        self.after(heard, Event::Answer(number, attempt));
    }

    pub(super) fn is_counted(&mut self, number: u64, attempt: u32) {
        let Some(call) = self.calls.get_mut(&number) else { return };
        if call.attempts == attempt && std::mem::take(&mut call.open) {
            let counts = call.result != Outcome::Unsent;
            self.judge.counted(self.now, call.sent, &call.buckets, counts);
            if call.ended {
                self.calls.remove(&number);
            }
        }
    }

    pub(super) fn is_answered(&mut self, number: u64, attempt: u32) {
        let Some(call) = self.calls.get(&number) else { return };
        if call.attempts != attempt {
            return;
        }
        let (by, result) = (call.by, call.result);
        if result != Outcome::Lost {
            self.is_counted(number, attempt);
        }
        let Some(call) = self.calls.get_mut(&number) else { return };
        if self.processes[by].is_none() || call.ended {
            return;
        }
        call.unheard = true;
        if self.is_on(by) {
            self.is_heard(number);
        }
    }

    /// Its process hears how an attempt of a call has ended.
    pub(super) fn is_heard(&mut self, number: u64) {
        let Some(call) = self.calls.get_mut(&number) else { return };
        call.unheard = false;
        let (by, order, buckets) = (call.by, call.order, call.buckets.clone());
        let (result, attempts) = (call.result, call.attempts);
        self.judge.tried(self.now, number, &buckets, result == Outcome::Answered);
        let goes_on = match result {
            Outcome::Unsent => self.traffic.hits(500),
            Outcome::Refused => attempts < ATTEMPTS,
            Outcome::Answered | Outcome::Lost => false,
        };
        let Some(permit) = self.calls.get_mut(&number).and_then(|call| call.permit.take()) else {
            return;
        };
        if result == Outcome::Refused {
            self.counts.refused += 1;
            let until = buckets.iter().filter_map(|it| self.shut.get(it)).max();
            let retry_after = until.map_or(Duration::from_secs(1), |it| it.since(self.now));
            // In whole seconds, at least one.
            let retry_after = Duration::from_secs(retry_after.as_secs() + 1);
            let closes = self.lets_closes(by, &permit, retry_after);
            for (bucket, until) in closes {
                self.judge.closes(self.now, by, bucket, until);
            }
        }
        if goes_on && result == Outcome::Unsent {
            self.lets(by, |process, now, _| process.scheduler.end_attempt(now, &permit, result));
            self.calls.get_mut(&number).unwrap().permit = Some(permit);
            let pause = self.traffic.millis(10, 3_000);
            self.after(pause, Event::Again(number));
            return;
        }
        if goes_on {
            self.replays(number, permit);
            return;
        }
        match result {
            Outcome::Answered => self.counts.answered += 1,
            _ => self.counts.lost += 1,
        }
        if let Some(order) = order {
            self.judge.leaves_order(number, by, order);
        }
        self.ends(number);
        self.lets(by, |process, now, _| process.scheduler.settle(now, permit, result));
    }

    pub(super) fn lets_closes(
        &mut self,
        by: usize,
        permit: &Permit,
        retry_after: Duration,
    ) -> Vec<(u32, Instant)> {
        let freezes = self.lets(by, |process, now, _| {
            process.scheduler.refused(now, permit, retry_after).freezes
        });
        let freezes = freezes.into_iter();
        freezes.filter_map(|it| Some((self.all.number(&it.bucket)?, it.until))).collect()
    }

    /// A call asks to go. Returns its ticket if it is held.
    fn asks(
        &mut self,
        number: u64,
        by: usize,
        how: impl FnOnce(&mut Scheduler, Instant) -> Enqueued,
    ) -> Option<Ticket> {
        self.lets(by, |process, now, out| {
            let enqueued = how(&mut process.scheduler, now);
            let ticket = match &enqueued {
                Enqueued::Held(ticket) => Some(*ticket),
                _ => None,
            };
            process.enqueued(number, enqueued, out);
            ticket
        })
    }

    /// A call is held, and it is looked after its deadline what became of it.
    fn waits_till(&mut self, number: u64, ticket: Ticket, line: (usize, u32), deadline: Instant) {
        self.is_held(number, ticket, line);
        let late = deadline.since(self.now) + Duration::from_secs(1);
        self.after(late, Event::Deadline(number));
    }

    pub(super) fn goes_again(&mut self, number: u64) {
        let Some(call) = self.calls.get_mut(&number) else { return };
        let by = call.by;
        if call.ended || self.processes[by].is_none() {
            return;
        }
        if !self.is_on(by) {
            self.after(Duration::from_secs(1), Event::Again(number));
            return;
        }
        if let Some(permit) = self.calls.get_mut(&number).and_then(|call| call.permit.take()) {
            self.replays(number, permit);
        }
    }

    pub(super) fn replays(&mut self, number: u64, permit: Permit) {
        let call = &self.calls[&number];
        let (by, order, result) = (call.by, call.order, call.result);
        let (deadline, line) = (call.deadline, (by, call.buckets[0]));
        if let Some(order) = order {
            self.judge.waits_again(self.now, number, by, order);
        }
        let replay = |scheduler: &mut Scheduler, now| scheduler.replay(now, permit, result, &[]);
        if let Some(ticket) = self.asks(number, by, replay) {
            self.waits_till(number, ticket, line, deadline);
        }
    }

    pub(super) fn hangs_up(&mut self, number: u64) {
        let Some(call) = self.calls.get(&number) else { return };
        let Some(ticket) = call.ticket.filter(|_| self.is_on(call.by)) else { return };
        let by = call.by;
        self.counts.cancelled += 1;
        self.ends(number);
        self.lets(by, |process, now, _| {
            process.held.remove(&ticket.number());
            process.scheduler.cancel(now, ticket);
        });
    }

    pub(super) fn must_have_ended(&mut self, number: u64) {
        let Some(call) = self.calls.get(&number).filter(|call| call.ticket.is_some()) else {
            return;
        };
        if self.is_on(call.by) {
            let wrong = format!("call {number} of {:?} waits past its deadline", call.ask);
            self.wrong.get_or_insert(wrong);
        } else {
            self.after(Duration::from_secs(1), Event::Deadline(number));
        }
    }

    /// Nothing more becomes of a call, but that Slack may count it.
    pub(super) fn ends(&mut self, number: u64) {
        let Some(call) = self.calls.get_mut(&number) else { return };
        if let Some(order) = call.order {
            self.judge.leaves_order(number, call.by, order);
        }
        (call.ended, call.ticket) = (true, None);
        if !call.open {
            self.calls.remove(&number);
        }
    }
}
