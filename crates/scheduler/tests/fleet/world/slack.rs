//! What Slack refuses, and what operators pause.

use super::*;

impl World {
    /// Slack refuses calls of a method, a workspace, or the app for a while.
    pub(super) fn slack_shuts(&mut self) {
        let chance = &mut self.traffic;
        let workspace = chance.ranked(self.size.workspaces);
        let bucket = match chance.below(10) {
            0 => self.all.app(),
            1 | 2 => self.all.workspace(workspace),
            _ => {
                let method = METHODS[chance.index(7)];
                self.all.method(method, workspace)
            }
        };
        let until = self.now + chance.seconds(3, 40);
        let next = chance.after(Duration::from_secs(60));
        self.shut.retain(|_, until| *until > self.now);
        if !self.is_ending() {
            self.shut.insert(bucket, until);
            self.after(next, Event::Shuts);
        }
    }

    /// An operator pauses a workspace for a while. All know within a second.
    pub(super) fn operator_pauses(&mut self) {
        if self.is_ending() {
            return;
        }
        let workspace = self.traffic.ranked(self.size.workspaces);
        let ends = self.traffic.seconds(10, 300);
        let pods: Vec<_> = self.pods.iter().flatten().copied().collect();
        for at in pods {
            let heard = self.traffic.millis(0, 1_000);
            self.after(heard, Event::Paused(at, workspace, true));
            let heard = self.traffic.millis(0, 1_000);
            self.after(ends + heard, Event::Paused(at, workspace, false));
        }
        let next = self.traffic.after(Duration::from_secs(1_800));
        self.after(next, Event::Pauses);
    }

    pub(super) fn is_paused(&mut self, at: usize, workspace: usize, is_paused: bool) {
        if self.processes[at].is_none() {
            return;
        }
        if !self.is_on(at) {
            self.after(Duration::from_secs(1), Event::Paused(at, workspace, is_paused));
            return;
        }
        if is_paused {
            self.paused.insert((at, workspace));
        } else {
            self.paused.remove(&(at, workspace));
        }
        let is_meant = |call: &&Call| call.by == at && call.ask.workspace == workspace;
        let meant = self.calls.values().filter(is_meant);
        let changes = meant.filter_map(|call| Some((call.ticket?, self.keys_of(call, at))));
        let mut changes: Vec<_> = changes.collect();
        changes.sort_by_key(|(ticket, _)| *ticket);
        self.lets(at, |process, now, _| process.scheduler.rebucket(now, changes));
    }
}
