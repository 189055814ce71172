//! Processes end, stop and go on.

use super::*;

impl World {
    /// A process ends. With its state file, Slack has counted its calls within a second.
    pub(crate) fn ends_process(
        &mut self,
        at: usize,
        says_so: bool,
        has_file: bool,
    ) -> Option<Process> {
        if says_so && self.is_on(at) {
            let mut out = Follows::default();
            if let Some(process) = &mut self.processes[at] {
                process.awakes(self.now);
                process.leaves(self.now, &mut out);
            }
            for (shard, payload) in out.messages {
                self.posts(&Message { of: at, shard, sent: self.now, payload });
            }
        }
        // Whoever does not reach the store cannot say so.
        self.counts.killed += u64::from(!says_so || self.cut[at] != 0 || self.troubles > 0);
        let mut process = self.processes[at].take()?;
        let mut notes = Vec::new();
        process.scheduler.notes(&mut notes);
        self.pods.iter_mut().filter(|pod| **pod == Some(at)).for_each(|pod| *pod = None);
        self.judge.is_gone(self.now, at);
        self.gone.push_back((at, self.now));
        let mut own: Vec<_> =
            self.calls.iter().filter(|(_, call)| call.by == at).map(|(it, _)| *it).collect();
        own.sort_unstable();
        for number in own {
            let call = &self.calls[&number];
            if !call.ended {
                self.counts.orphaned += 1;
            }
            if call.open && has_file {
                let (attempt, soon) = (call.attempts, self.chance.millis(0, 1_000));
                self.after(soon, Event::Counted(number, attempt));
            }
            self.ends(number);
        }
        self.lines.retain(|(by, _), _| *by != at);
        self.paused.retain(|(by, _)| *by != at);
        Some(process)
    }

    pub(crate) fn goes_on(&mut self, at: usize) {
        let Some(process) = &mut self.processes[at] else { return };
        process.stopped = false;
        let inbox = std::mem::take(&mut process.inbox);
        self.lets(at, |_, _, _| {});
        for message in inbox {
            self.is_told(at, message);
        }
        let own = self.calls.iter().filter(|(_, call)| call.by == at && call.unheard);
        let mut own: Vec<_> = own.map(|(number, _)| *number).collect();
        own.sort_unstable();
        for number in own {
            self.is_heard(number);
        }
    }

    /// Something goes wrong that does not last.
    pub(crate) fn is_troubled(&mut self) {
        self.calm_since = self.now;
        self.idle.clear();
        for bucket in std::mem::take(&mut self.busy).into_keys() {
            self.judge.is_troubled(bucket);
        }
    }
}
