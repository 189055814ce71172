//! Messages between processes and the store, and the store.

use super::*;

impl World {
    pub(super) fn server(&self, shard: u8) -> usize {
        if self.down.len() == 1 || shard == OF_ALL { 0 } else { shard.into() }
    }

    pub(super) fn posts(&mut self, message: &Message) {
        self.counts.messages += 1;
        let server = self.server(message.shard);
        let is_beat = matches!(message.payload, Payload::Beat(..) | Payload::Beaten(..));
        let to_store =
            matches!(message.payload, Payload::Beat(..) | Payload::Step(..) | Payload::Tell(..));
        if self.cut[message.of] & (1 << server) != 0 || self.down[server] {
            return;
        }
        let Net { lost, doubled, delay } = self.net;
        if self.chance.hits(lost) {
            return;
        }
        let copies = 1 + u64::from(self.chance.hits(doubled));
        for _ in 0..copies {
            let mut at = self.now + self.chance.millis(0, 1 + delay) + Duration::from_micros(200);
            if is_beat {
                let last = self.beats.entry((message.of, message.shard, to_store)).or_default();
                at = at.max(*last + Duration::from_nanos(1));
                *last = at;
            }
            self.after(at.since(self.now), Event::Wire(message.clone()));
        }
    }

    pub(super) fn arrives(&mut self, message: Message) {
        let Message { of, shard, sent, payload } = message;
        let (server, version) = (self.server(shard), self.versions[of]);
        let at = version.store(shard);
        let now = self.store_time(server);
        let answers = |payload| Message { of, shard, sent, payload };
        match payload {
            Payload::Beat(..) | Payload::Step(..) | Payload::Tell(..) if self.down[server] => {}
            Payload::Beat(number, beat) => {
                let name = beat.name;
                let beaten = self.stores[at].beat(now, TIMES, beat);
                if let Beaten::Member { count, .. } = beaten {
                    let other = version.other().store(shard);
                    self.stores[other].is_used_by(now, version.number(), count);
                }
                self.posts(&answers(Payload::Beaten(number, name, beaten)));
            }
            Payload::Step(number, step) => {
                let (name, epoch, asks) = (step.name, step.epoch, step.asks.clone());
                let mut pushes = Vec::new();
                let stepped = self.stores[at].step(now, TIMES, step, &mut pushes);
                self.posts(&answers(Payload::Stepped(number, name, epoch, asks, stepped)));
                for push in pushes {
                    let named = |pod: &Option<usize>| {
                        let process = pod.and_then(|pod| self.processes[pod].as_ref());
                        process.is_some_and(|process| process.name(shard.into()) == push.to)
                    };
                    if let Some(of) = self.pods.iter().find(|pod| named(pod)).copied().flatten() {
                        let payload = Payload::Push(push);
                        self.posts(&Message { of, shard, sent: self.now, payload });
                    }
                }
            }
            Payload::Tell(number, tell) => {
                let times = (TIMES.stale, TIMES.flight + 1_000);
                let mut pushes = Vec::new();
                let told = self.closed[version as usize].tell(now, times, tell, &mut pushes);
                for push in pushes {
                    let others = self.pods.iter().flatten().copied();
                    let is_told = |it: &usize| *it != of && self.versions[*it] == version;
                    for other in others.filter(is_told).collect::<Vec<_>>() {
                        let payload = Payload::Tells(push.clone());
                        self.posts(&Message { of: other, shard, sent: self.now, payload });
                    }
                }
                if let Some(told) = told {
                    self.posts(&answers(Payload::Told(number, told)));
                }
            }
            payload => {
                let message = Message { of, shard, sent, payload };
                let Some(process) = &mut self.processes[of] else { return };
                if process.stopped {
                    process.inbox.push(message);
                    return;
                }
                self.is_told(of, message);
            }
        }
    }

    pub(super) fn is_told(&mut self, at: usize, message: Message) {
        let mut names = self.names;
        self.lets(at, |process, now, _| process.hears(now, message, &mut names));
        self.names = names;
    }

    pub(crate) fn store_time(&self, server: usize) -> u64 {
        self.now.as_nanos() / 1_000_000 + self.ahead[server]
    }

    pub(super) fn used(&self, key: &BucketKey) -> u32 {
        let shard = process::shard(key).0;
        let now = self.store_time(self.server(shard));
        let stores = Version::BOTH.map(|version| &self.stores[version.store(shard)]);
        stores.map(|store| store.used(now, &key.to_string())).iter().sum()
    }

    /// Whether whoever is heard by a server would name all to it that may have calls that count.
    pub(crate) fn all_are_known(&self, server: usize) -> bool {
        let pods = || self.pods.iter().flatten().copied();
        let hears = |at: &usize| self.is_on(*at) && self.cut[*at] & (1 << server) == 0;
        let process = |at: usize| self.processes[at].as_ref();
        Version::BOTH.into_iter().all(|version| {
            let pods = || pods().filter(move |at| self.versions[*at] == version);
            let are_known = |shard: usize| {
                let names = pods().filter_map(process).map(|it| it.name(shard));
                let names: Vec<_> = names.collect();
                let mut knowing = pods().filter(hears).filter_map(process);
                knowing.all(|process| names.iter().all(|name| process.knows(shard, *name)))
            };
            pods().next().is_none()
                || pods().any(|at| hears(&at)) && (0..usize::from(SHARDS)).all(are_known)
        })
    }
}
