//! Which node of a cluster keeps which group of buckets.
//!
//! The name of a group is the hash tag of all of its keys, so all of a group are in one slot, and no script
//! needs two nodes. Who has a slot the nodes tell, each as far as it knows: all of it when asked, and of one
//! slot when a message came to the wrong node. Neither is asked or believed too often.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use config::Address;
use redis::{RedisError, ServerErrorKind, Value};
use scheduler::Shard;
use tokio::time::{Instant, sleep_until};

use super::{
    connect::{Connector, Peer},
    keys::{self, SLOTS_USED},
    trouble::Trouble,
};

/// What is known of a cluster.
pub(super) struct Cluster {
    connector: Connector,
    /// The node of each group.
    keepers: Keepers,
    /// When each group was last said to have moved.
    moved: [Option<Instant>; SLOTS_USED],
    /// Nodes to ask, each time another one first.
    known: Vec<Address>,
    asking: Option<Asking>,
    /// When to ask next, if there is something to ask.
    due: Option<Instant>,
    /// When was asked last.
    asked: Option<Instant>,
}

/// What a node says of the slots.
#[derive(Debug)]
pub(super) struct Map {
    keepers: Keepers,
    /// All nodes, primaries first.
    nodes: Vec<Address>,
}

type Keepers = [Option<Address>; SLOTS_USED];
type Asking = Pin<Box<dyn Future<Output = Result<Map, Trouble>> + Send>>;

/// How far questions for the map are apart.
const BETWEEN: Duration = Duration::from_secs(1);

/// How far moves of one group are apart that nodes say. They may disagree for a moment.
pub(super) const SETTLES: Duration = Duration::from_millis(250);

/// How many nodes are asked at a time, one after the other, and how many are remembered.
const ASKED: usize = 4;
const KNOWN: usize = 32;

/// How many slots a cluster has.
const SLOTS: u16 = 16_384;

// === impl Cluster ===

impl Cluster {
    pub(super) fn new(connector: Connector, now: Instant) -> Self {
        let known = connector.addresses().to_vec();
        Self {
            connector,
            keepers: Keepers::default(),
            moved: Default::default(),
            known,
            asking: None,
            due: Some(now),
            asked: None,
        }
    }

    pub(super) fn keeper(&self, shard: Shard) -> Option<&Address> {
        self.keepers[usize::from(shard.0)].as_ref()
    }

    /// The nodes that keep groups.
    pub(super) fn keepers(&self) -> impl Iterator<Item = &Address> {
        self.keepers.iter().flatten()
    }

    /// Something is not as it was told: asks, but not too often.
    pub(super) fn asks(&mut self, now: Instant) {
        if self.asking.is_none() && self.due.is_none() {
            self.due = Some(self.asked.map_or(now, |asked| now.max(asked + BETWEEN)));
        }
    }

    /// Resolves when somebody has been asked.
    pub(super) async fn map(&mut self) -> Result<Map, Trouble> {
        loop {
            if let Some(asking) = &mut self.asking {
                let map = asking.await;
                self.asking = None;
                self.asked = Some(Instant::now());
                return map;
            }
            let Some(due) = self.due else { return std::future::pending().await };
            sleep_until(due).await;
            self.due = None;
            let some = self.known.iter().take(ASKED).cloned().collect();
            // Others the next time: what these say may be old.
            if !self.known.is_empty() {
                self.known.rotate_left(1);
            }
            self.asking = Some(Box::pin(ask(self.connector.clone(), some)));
        }
    }

    /// That is how it is now. Returns the groups that have moved.
    pub(super) fn is(&mut self, map: Map) -> Vec<Shard> {
        let before = std::mem::replace(&mut self.keepers, map.keepers);
        let Self { known, connector, .. } = self;
        known.retain(|node| map.nodes.contains(node));
        let seeds = connector.addresses().iter().cloned();
        for node in map.nodes.into_iter().chain(seeds) {
            if !known.contains(&node) && known.len() < KNOWN {
                known.push(node);
            }
        }
        let moved = |shard: &Shard| self.keeper(*shard) != before[usize::from(shard.0)].as_ref();
        keys::all().filter(moved).collect()
    }

    /// A node says that a group is elsewhere. Returns whether that is followed.
    pub(super) fn moves(&mut self, now: Instant, shard: Shard, to: Address) -> bool {
        self.asks(now);
        let at = usize::from(shard.0);
        if self.moved[at].is_some_and(|moved| now < moved + SETTLES) {
            return false;
        }
        self.moved[at] = Some(now);
        self.keepers[at] = Some(to);
        true
    }
}

/// The slot of a group, or of what is of none: that of the hash tag of its keys.
fn slot(shard: Shard) -> u16 {
    keys::tag(shard).bytes().fold(0, crc16) % SLOTS
}

/// CRC-16/XMODEM.
fn crc16(crc: u16, byte: u8) -> u16 {
    (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| {
        let more = if crc & 0x8000 == 0 { 0 } else { 0x1021 };
        crc << 1 ^ more
    })
}

/// Where a group is, by an error of the node that was asked, which may name itself by the port alone.
pub(super) fn moved(error: &RedisError, asked: &Address) -> Option<Address> {
    let is_moved = error.kind() == redis::ErrorKind::Server(ServerErrorKind::Moved);
    let (address, _) = error.redirect_node().filter(|_| is_moved)?;
    let (host, port) = address.rsplit_once(':')?;
    address_of(host, port.parse().ok()?, asked)
}

/// A node whose name is empty is at the host that was asked.
fn address_of(host: &str, port: u16, asked: &Address) -> Option<Address> {
    match host {
        "?" => None,
        "" => Some(Address { host: Arc::clone(&asked.host), port }),
        host => Some(Address { host: host.into(), port }),
    }
}

/// Asks one node after the other, until one knows of slots.
async fn ask(connector: Connector, nodes: Vec<Address>) -> Result<Map, Trouble> {
    let mut question = redis::cmd("CLUSTER");
    question.arg("SLOTS");
    let mut wrong = Trouble::NoMap;
    for node in nodes {
        match connector.ask::<Value>(&node, Peer::Server, &question).await {
            Ok(answer) => match map(answer, &node) {
                Some(map) if !map.nodes.is_empty() => return Ok(map),
                _ => wrong = Trouble::NoMap,
            },
            Err(Trouble::Other(error)) if error.to_string().contains("cluster support") => {
                wrong = Trouble::NoCluster;
            }
            Err(trouble) => wrong = trouble,
        }
    }
    Err(wrong)
}

/// What `CLUSTER SLOTS` says: of each range its first and last slot, and its nodes, the primary first.
fn map(answer: Value, asked: &Address) -> Option<Map> {
    let Value::Array(ranges) = answer else { return None };
    let (mut keepers, mut nodes, mut others) = (Keepers::default(), Vec::new(), Vec::new());
    for range in ranges {
        let Value::Array(range) = range else { return None };
        let mut parts = range.into_iter();
        let (first, last) = (number(&parts.next()?)?, number(&parts.next()?)?);
        let mut all = parts.map(|node| node_of(node, asked));
        let Some(primary) = all.next()? else { continue };
        for shard in keys::all() {
            if (first..=last).contains(&slot(shard)) {
                keepers[usize::from(shard.0)] = Some(primary.clone());
            }
        }
        nodes.push(primary);
        others.extend(all.flatten());
    }
    nodes.append(&mut others);
    let mut once = Vec::new();
    for node in nodes {
        if !once.contains(&node) && once.len() < KNOWN {
            once.push(node);
        }
    }
    Some(Map { keepers, nodes: once })
}

fn node_of(node: Value, asked: &Address) -> Option<Address> {
    let Value::Array(parts) = node else { return None };
    let mut parts = parts.into_iter();
    let host = match parts.next()? {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok()?,
        Value::Nil => String::new(),
        _ => return None,
    };
    address_of(&host, number(&parts.next()?)?, asked)
}

fn number(value: &Value) -> Option<u16> {
    match value {
        Value::Int(number) => u16::try_from(*number).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use config::{RedisServers, Tls, Topology};

    use super::*;

    fn address(port: u16) -> Address {
        Address { host: "h".into(), port }
    }

    fn node(host: Option<&str>, port: i64) -> Value {
        let host = host.map_or(Value::Nil, |host| Value::BulkString(host.into()));
        Value::Array(vec![host, Value::Int(port), Value::BulkString(b"id".to_vec())])
    }

    /// As `CLUSTER KEYSLOT 0` and so on say.
    #[test]
    fn a_group_has_its_slot() {
        let slots = [0, 1, 7, 10, 15].map(|group| slot(Shard(group)));
        assert_eq!(slots, [13_907, 9_842, 1_716, 247, 4_178]);
        assert_eq!(slot(keys::OF_ALL), 3_168);
    }

    /// Red when a node without a name is not where it was asked, when replicas are taken for primaries, and
    /// when what is nowhere is taken for something.
    #[test]
    fn a_map_says_who_keeps_each_group() {
        let range = |first, last, nodes: &[Value]| {
            Value::Array([&[Value::Int(first), Value::Int(last)], nodes].concat())
        };
        let answer = Value::Array(vec![
            range(0, 8_191, &[node(Some("h"), 1), node(Some("h"), 9)]),
            range(9_000, 14_000, &[node(None, 2)]),
            range(14_001, 16_383, &[node(Some("?"), 3)]),
        ]);
        let map = map(answer, &address(7)).unwrap();
        assert_eq!(map.nodes, [address(1), address(2), address(9)]);
        let keeper = |group: usize| map.keepers[group].as_ref().map(|it| it.port);
        // Slots 1716, 9842, 14171, 8373.
        assert_eq!([7, 1, 8, 12].map(keeper), [Some(1), Some(2), None, None]);
    }

    fn cluster(now: Instant) -> Cluster {
        let servers = RedisServers {
            tls: false,
            addresses: vec![address(1)],
            topology: Topology::Cluster,
            database: 0,
            user: None,
            password: None,
        };
        Cluster::new(Connector::new(&servers, &Tls::default()).unwrap(), now)
    }

    /// Red when two nodes that name each other are followed as fast as they answer.
    #[test]
    fn a_group_moves_once_in_a_while() {
        let now = Instant::now();
        let mut cluster = cluster(now);
        let group = Shard(3);
        assert!(cluster.moves(now, group, address(1)));
        assert!(!cluster.moves(now + SETTLES / 2, group, address(2)));
        assert_eq!(cluster.keeper(group), Some(&address(1)));
        assert!(cluster.moves(now + SETTLES / 2, Shard(4), address(2)));
        assert!(cluster.moves(now + SETTLES, group, address(2)));
        assert_eq!(cluster.keeper(group), Some(&address(2)));
    }

    /// Red when groups that stay where they are count as moved, and when who left the cluster is asked for ever.
    #[test]
    fn a_new_map_tells_what_has_moved() {
        let now = Instant::now();
        let mut cluster = cluster(now);
        let of = |ports: [u16; 2]| {
            let keepers = std::array::from_fn(|group| Some(address(ports[group % 2])));
            Map { keepers, nodes: ports.map(address).to_vec() }
        };
        assert_eq!(cluster.is(of([2, 3])).len(), SLOTS_USED);
        assert_eq!(cluster.is(of([2, 3])), []);
        let moved = cluster.is(of([2, 4]));
        assert!(moved.len() == 8 && moved.iter().all(|shard| shard.0 % 2 == 1), "{moved:?}");
        assert_eq!(cluster.known, [address(2), address(4), address(1)]);
    }

    /// Red when it asks as often as it is told to.
    #[tokio::test(start_paused = true)]
    async fn the_map_is_asked_for_once_a_second() {
        let mut cluster = cluster(Instant::now());
        // Nobody is there.
        cluster.known.clear();
        let began = Instant::now();
        for _ in 0..5 {
            assert!(matches!(cluster.map().await, Err(Trouble::NoMap)));
            cluster.asks(Instant::now());
            cluster.asks(Instant::now());
        }
        let took = Instant::now() - began;
        assert!(took >= BETWEEN * 4 && took < BETWEEN * 5, "{took:?}");
    }

    #[test]
    fn what_is_no_map_is_none() {
        for answer in [Value::Nil, Value::Array(vec![Value::Int(1)])] {
            assert!(map(answer, &address(7)).is_none());
        }
        assert!(map(Value::Array(vec![]), &address(7)).unwrap().nodes.is_empty());
    }
}
