//! The task that talks to the store: sends what the [`Replica`] says, and tells it what comes back.
//!
//! Nothing in it waits for one answer: whatever is on its way is waited for together, so a bucket whose
//! answer is late holds up no other, and a server that is away none of the others. An answer that comes
//! after the time-out is heard all the same, as long as the connection lives; a connection that owes an
//! answer for long is given up.
//!
//! There is one connection to each server that keeps something: one in all, or one to each node of a
//! [cluster](Cluster). What was said to a server about a group that another one keeps by now is not heard.

use std::{future::pending, sync::Arc, time::Duration};

use config::{Address, Topology};
use futures_util::FutureExt;
use redis::{RedisError, Value};
use scheduler::Shard;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    cluster::{Cluster, Map, SETTLES, moved},
    connect::Connector,
    fleet::Fleet,
    keys::{self, SLOTS_USED},
    listen::listen,
    metrics::SharedMetrics,
    node::{self, Connecting, Event, Node, connecting},
    replica::{Message, Replica},
    script::Scripts,
    sentinel::Sentinels,
    trouble::Trouble,
};
use crate::{causes::with_causes, identity::Others, queue::Admission};

/// The task and what it has.
pub(super) struct Client {
    replica: Replica,
    admission: Admission,
    fleet: Fleet,
    others: Others,
    connector: Connector,
    scripts: &'static Scripts,
    metrics: SharedMetrics,
    /// How long a connection may owe an answer.
    patience: Duration,
    /// What was said last of each group, so that nothing is said twice.
    said: [Option<String>; SLOTS_USED],
    /// Who knows the primary, if it is not named.
    sentinels: Option<Sentinels>,
    /// Who keeps what, if it is not one server that keeps all.
    cluster: Option<Cluster>,
    /// The servers that keep something.
    nodes: Vec<Node>,
    /// At which of them this replica listens.
    listens_at: watch::Sender<Option<Address>>,
}

/// How long a connection may owe an answer at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many answers are taken in before what follows from them is said.
const AT_ONCE: usize = 64;

/// How many messages of the channel wait.
const PUSHES: usize = 1024;

/// How many primaries that sentinels tell of wait.
const SWITCHES: usize = 16;

/// How long an end waits for the store.
const GOODBYE: Duration = Duration::from_secs(1);

// === impl Client ===

impl Client {
    pub(super) fn new(
        replica: Replica,
        (admission, fleet, others): (Admission, Fleet, Others),
        connector: Connector,
        scripts: &'static Scripts,
        metrics: SharedMetrics,
        settings: &config::Redis,
    ) -> Self {
        // Long before the lease is over, so that another connection may save it.
        let patience = PATIENCE.min(settings.forget_after / 4).max(settings.timeout);
        let (mut sentinels, mut cluster) = (None, None);
        let first = match connector.topology() {
            Topology::Single => connector.addresses().first().cloned(),
            Topology::Sentinel(it) => {
                sentinels = Some(Sentinels::new(connector.clone(), Arc::clone(&it.master)));
                None
            }
            Topology::Cluster => {
                cluster = Some(Cluster::new(connector.clone(), Instant::now()));
                None
            }
        };
        let mut client = Self {
            replica,
            admission,
            fleet,
            others,
            connector,
            scripts,
            metrics,
            patience,
            said: Default::default(),
            sentinels,
            cluster,
            nodes: Vec::new(),
            listens_at: watch::Sender::new(first.clone()),
        };
        if client.cluster.is_none() {
            let connecting = client.connecting(Duration::ZERO, first.clone());
            client.nodes.push(Node::new(first, connecting));
        }
        client
    }

    /// Talks to the store until the end, and then says goodbye.
    pub(super) async fn run(mut self, end: CancellationToken) {
        let (tell, mut pushes) = mpsc::channel(PUSHES);
        let (at, channels) = (self.listens_at.subscribe(), self.replica.channels());
        let listening = listen(self.connector.clone(), channels, tell, at);
        let (tell, mut switches) = mpsc::channel(SWITCHES);
        let watching = watching(self.sentinels.clone(), tell);
        tokio::pin!(listening, watching);
        loop {
            let next = self.replica.next();
            tokio::select! {
                () = end.cancelled() => break,
                () = &mut listening => {}
                () = &mut watching => {}
                () = self.admission.has_asks() => {}
                () = self.fleet.asked() => {}
                () = self.others.has_news() => {}
                () = sleep_until(next) => {}
                Some(push) = pushes.recv() => {
                    let now = Instant::now();
                    self.replica.hear_push(now, &push);
                    for _ in 1..AT_ONCE {
                        let Ok(push) = pushes.try_recv() else { break };
                        self.replica.hear_push(now, &push);
                    }
                }
                Some(primary) = switches.recv() => self.is_switched(primary),
                map = mapping(self.cluster.as_mut()) => self.is_mapped(map),
                (at, event) = node::next(&mut self.nodes) => {
                    self.happens(at, event);
                    for _ in 1..AT_ONCE {
                        let next = node::next(&mut self.nodes).now_or_never();
                        let Some((at, event)) = next else { break };
                        self.happens(at, event);
                    }
                }
            }
            self.act();
        }
        self.goodbye().await;
    }

    /// Sends what is to be said.
    fn act(&mut self) {
        let now = Instant::now();
        let mut out = Vec::new();
        self.replica.act(now, &mut out);
        for message in out {
            if let Some(message) = self.send(message) {
                self.replica.fails(&message);
            }
        }
        if let Some(cluster) = &mut self.cluster
            && (cluster.keepers().count() < SLOTS_USED || !self.nodes.iter().all(Node::is_up))
        {
            cluster.asks(now);
        }
        // None is always looked at first.
        if self.nodes.len() > 1 {
            self.nodes.rotate_left(1);
        }
    }

    /// Sends a message to who keeps its group. Returns it if that is nobody.
    fn send(&mut self, message: Message) -> Option<Message> {
        match (0..self.nodes.len()).find(|at| self.keeps(*at, message.shard)) {
            Some(at) => self.nodes[at].send(self.scripts, message),
            None => Some(message),
        }
    }

    /// Whether a server keeps a group.
    fn keeps(&self, at: usize, shard: Shard) -> bool {
        let keeper = |cluster: &Cluster| cluster.keeper(shard) == self.nodes[at].address();
        self.cluster.as_ref().is_none_or(keeper)
    }

    /// The groups that a server keeps.
    fn kept(&self, at: usize) -> Vec<Shard> {
        keys::all().filter(|shard| self.keeps(at, *shard)).collect()
    }

    fn happens(&mut self, at: usize, event: Event) {
        match event {
            Event::Up => {
                let now = Instant::now();
                for shard in self.kept(at) {
                    self.connects(now, at, shard);
                }
                self.uses();
            }
            Event::Lost(trouble) => self.is_lost(at, &trouble),
            Event::Answered(message, answer) => {
                if self.keeps(at, message.shard) {
                    self.hear(at, &message, answer);
                }
            }
        }
    }

    fn hear(&mut self, at: usize, message: &Message, answer: Result<Value, RedisError>) {
        let (now, shard) = (Instant::now(), message.shard);
        match answer {
            Ok(answer) => {
                if self.replica.hear(now, message, answer) {
                    self.is_well(shard);
                } else {
                    self.replica.fails(message);
                    self.says(&Trouble::Odd, &[shard]);
                }
            }
            Err(error) => {
                self.replica.fails(message);
                let to = self.nodes[at].address().and_then(|asked| moved(&error, asked));
                if let (Some(to), Some(cluster)) = (to, &mut self.cluster) {
                    if cluster.moves(now, shard, to) {
                        self.is_kept_elsewhere(now, &[shard]);
                    } else {
                        self.replica.beats_at(shard, now + SETTLES);
                    }
                    return;
                }
                match Trouble::from(error) {
                    // Another server may be the primary by now.
                    trouble @ (Trouble::Lost(_) | Trouble::ReadOnly | Trouble::Password) => {
                        self.is_lost(at, &trouble);
                    }
                    trouble @ Trouble::NoReplicas if self.sentinels.is_some() => {
                        self.is_lost(at, &trouble);
                    }
                    trouble => {
                        match (&trouble, &mut self.cluster) {
                            (Trouble::Moving, _) => self.replica.beats_at(shard, now + SETTLES),
                            (Trouble::ClusterDown, Some(cluster)) => cluster.asks(now),
                            _ => {}
                        }
                        self.says(&trouble, &[shard]);
                    }
                }
            }
        }
    }

    /// A server keeps a group. If there is a connection, the replica is told.
    fn connects(&mut self, now: Instant, at: usize, shard: Shard) {
        if let Some(run) = self.nodes[at].run() {
            self.replica.connects(now, shard, run);
        }
    }

    /// There is no connection to a server, or none any more.
    fn is_lost(&mut self, at: usize, trouble: &Trouble) {
        let kept = self.kept(at);
        self.says(trouble, &kept);
        for shard in kept {
            self.replica.disconnects(shard);
        }
        let wait = self.nodes[at].wait();
        self.connect(at, wait);
    }

    /// Sentinels say where the primary is now.
    fn is_switched(&mut self, primary: Address) {
        let Some(node) = self.nodes.first_mut() else { return };
        if node.is_up() && node.address() == Some(&primary) {
            return;
        }
        tracing::info!("the primary of the shared store is {primary} now");
        for shard in self.kept(0) {
            self.replica.disconnects(shard);
        }
        // Other sentinels may not have heard of it yet, so nobody is asked.
        let connecting = self.connecting(Duration::ZERO, Some(primary));
        self.nodes[0].again(connecting);
        self.uses();
    }

    /// A node of the cluster says who keeps what.
    fn is_mapped(&mut self, map: Result<Map, Trouble>) {
        let Some(cluster) = &mut self.cluster else { return };
        let all = keys::all();
        match map {
            Ok(map) => {
                let changed = cluster.is(map);
                let nobodys: Vec<_> = all.filter(|it| cluster.keeper(*it).is_none()).collect();
                self.is_kept_elsewhere(Instant::now(), &changed);
                if !nobodys.is_empty() {
                    self.says(&Trouble::ClusterDown, &nobodys);
                }
            }
            Err(trouble) => {
                let nobodys: Vec<_> = all.filter(|it| cluster.keeper(*it).is_none()).collect();
                // Of the others it is said what is wrong with their nodes.
                if !nobodys.is_empty() {
                    self.says(&trouble, &nobodys);
                }
            }
        }
    }

    /// Other nodes keep these groups from now on.
    fn is_kept_elsewhere(&mut self, now: Instant, groups: &[Shard]) {
        let Some(cluster) = &self.cluster else { return };
        for shard in groups {
            self.replica.disconnects(*shard);
        }
        self.nodes.retain(|node| cluster.keepers().any(|keeper| Some(keeper) == node.address()));
        let mut new: Vec<Address> = Vec::new();
        for keeper in cluster.keepers() {
            let is_there = self.nodes.iter().any(|node| node.address() == Some(keeper));
            if !is_there && !new.contains(keeper) {
                new.push(keeper.clone());
            }
        }
        for address in new {
            let connecting = self.connecting(Duration::ZERO, Some(address.clone()));
            self.nodes.push(Node::new(Some(address), connecting));
        }
        for shard in groups {
            if let Some(at) = (0..self.nodes.len()).find(|at| self.keeps(*at, *shard)) {
                self.connects(now, at, *shard);
            }
        }
        self.uses();
    }

    fn connect(&mut self, at: usize, wait: Duration) {
        let address = match &self.sentinels {
            Some(_) => None,
            None => self.nodes[at].address().cloned(),
        };
        let connecting = self.connecting(wait, address);
        self.nodes[at].again(connecting);
        self.uses();
    }

    /// Connects to that server, or to the one that sentinels name.
    fn connecting(&self, wait: Duration, address: Option<Address>) -> Connecting {
        let (connector, sentinels) = (self.connector.clone(), self.sentinels.clone());
        let patience = self.patience;
        connecting(wait, async move {
            let address = match (address, sentinels) {
                (Some(address), _) => address,
                (None, Some(sentinels)) => sentinels.primary().await?,
                (None, None) => return Err(Trouble::Lost(None)),
            };
            connector.commands(address, patience).await
        })
    }

    /// The servers that are connected to have changed.
    fn uses(&mut self) {
        let up = self.nodes.iter().filter(|node| node.is_up());
        let up: Vec<_> = up.filter_map(Node::address).cloned().collect();
        // All nodes of a cluster hand on what is published at one.
        if let Some(first) = up.first()
            && !self.listens_at.borrow().as_ref().is_some_and(|at| up.contains(at))
        {
            self.listens_at.send_replace(Some(first.clone()));
        }
        self.metrics.uses(up);
    }

    /// Says what is wrong with these groups, once.
    fn says(&mut self, trouble: &Trouble, groups: &[Shard]) {
        self.metrics.errors.with_label_values(&[trouble.reason()]).inc();
        let text = with_causes(trouble);
        if !self.said.iter().flatten().any(|said| *said == text) {
            tracing::warn!(reason = trouble.reason(), "the shared store cannot be used: {text}");
        }
        for shard in groups {
            self.said[usize::from(shard.0)] = Some(text.clone());
        }
    }

    fn is_well(&mut self, shard: Shard) {
        let said = self.said[usize::from(shard.0)].take();
        if said.is_some() && self.said.iter().all(Option::is_none) {
            tracing::info!("the shared store answers");
        }
    }

    /// Gives back what is not used, and says for how long the rest counts.
    async fn goodbye(mut self) {
        for message in self.replica.leave(Instant::now()) {
            // Whatever cannot be said the store finds out.
            let _ = self.send(message);
        }
        let nodes = &mut self.nodes;
        let says = async {
            while nodes.iter().any(Node::owes) {
                if let (at, Event::Lost(_)) = node::next(nodes).await {
                    nodes.swap_remove(at);
                }
            }
        };
        let _ = timeout(GOODBYE, says).await;
    }
}

async fn watching(sentinels: Option<Sentinels>, tell: mpsc::Sender<Address>) {
    match sentinels {
        Some(sentinels) => sentinels.watch(tell).await,
        None => pending().await,
    }
}

async fn mapping(cluster: Option<&mut Cluster>) -> Result<Map, Trouble> {
    match cluster {
        Some(cluster) => cluster.map().await,
        None => pending().await,
    }
}
