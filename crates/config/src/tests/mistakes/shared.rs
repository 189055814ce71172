//! `shared`: its two forms, and what is wrong with each.

use super::*;
use crate::shared;
use limits::Split;

/// What `shared` says, and what is wrong with it.
fn read(text: &str, ordinal: Option<&str>) -> (Option<Shared>, Vec<String>) {
    let env = |name: &str| match name {
        ORDINAL_ENV => ordinal.map(str::to_owned),
        name => env(name),
    };
    let mut report = yaml::Report::new(slack::instead_of_token);
    let tree = yaml::Tree::parse(&format!("shared: {text}"), &env, &mut report);
    yaml::shape::check(tree.root(), &keys::CONFIG, &mut report);
    let shared = shared::read(tree.root(), &env, &mut report);
    let problems = report.finish("f.yaml").map_err(|problems| problems.to_string());
    let problems = problems.err().unwrap_or_default();
    let problems = problems.lines().map(|line| line.strip_prefix("f.yaml:").unwrap_or(line));
    (shared, problems.map(str::to_owned).collect())
}

/// What `shared` says. Nothing is wrong with it.
fn said(text: &str) -> Shared {
    let (shared, problems) = read(text, None);
    assert_eq!(problems, [""; 0], "{text}");
    shared.unwrap()
}

fn redis(text: &str) -> Redis {
    match said(text) {
        Shared::Redis(redis) => redis,
        other @ Shared::Split(_) => panic!("{other:?}"),
    }
}

#[track_caller]
fn wrong(text: &str, ordinal: Option<&str>, expected: &[&str]) {
    assert_eq!(read(text, ordinal).1, expected, "{text}");
}

fn address(host: &str, port: u16) -> Address {
    Address { host: host.into(), port }
}

fn replica(ordinal: u32, of: u32, margin: u64) -> Shared {
    let replicas = NonZeroU32::new(of).unwrap();
    Shared::Split(Split::new(replicas, ordinal, Duration::from_millis(margin)).unwrap())
}

#[test]
fn a_replica_has_a_number_and_knows_how_many_there_are() {
    assert_eq!(read("null", None), (None, vec![]));
    assert_eq!(said("{ replicas: 3, ordinal: 0 }"), replica(0, 3, 200));
    assert_eq!(said("{ replicas: 3, ordinal: '${ORDINAL}', margin: 1s }"), replica(2, 3, 1000));
    let over = |text| read(text, Some(" 1\n"));
    assert_eq!(over("{ replicas: 3, ordinal: 0 }"), (Some(replica(1, 3, 200)), vec![]));
    assert_eq!(over("{ replicas: 3 }"), (Some(replica(1, 3, 200)), vec![]));
}

#[test]
fn a_replica_without_a_part_is_no_replica() {
    const NO_NUMBER: &str = "is no number of a replica; write 0 for the first, 1 for the second";
    wrong("{}", None, &["1:1: shared: says nothing; add replicas and ordinal, or delete the key"]);
    wrong("{ ordinal: 1 }", None, &["1:1: shared: has no replicas; add one, as in `replicas: 3`"]);
    wrong(
        "{ replicas: 3 }",
        None,
        &["1:1: shared: does not say which replica this is; add ordinal, 0 for the first, or set \
           SLACKWATER_SHARED_ORDINAL"],
    );
    wrong(
        "{ replicas: 0, ordinal: 0 }",
        None,
        &["1:21: shared.replicas: is 0, which would let nothing pass; write 1 or more"],
    );
    wrong(
        "{ replicas: 1001, ordinal: 0 }",
        None,
        &["1:21: shared.replicas: is more than there can be; write 1 to 1000"],
    );
    wrong(
        "{ replicas: 3, ordinal: 3 }",
        None,
        &["1:33: shared.ordinal: is no replica of 3; write 0 to 2, or raise shared.replicas"],
    );
    wrong(
        "{ replicas: 3, ordinal: bot-2 }",
        None,
        &[&format!("1:33: shared.ordinal: {NO_NUMBER}")],
    );
    wrong(
        "{ replicas: 3, ordinal: 0 }",
        Some("3"),
        &["SLACKWATER_SHARED_ORDINAL: is no replica of 3; write 0 to 2, or raise shared.replicas"],
    );
    wrong(
        "{ replicas: 3, ordinal: 0 }",
        Some("-1"),
        &[&format!("SLACKWATER_SHARED_ORDINAL: {NO_NUMBER}")],
    );
    wrong(
        "null",
        Some("1"),
        &[
            "SLACKWATER_SHARED_ORDINAL: is set, but the configuration does not say how many replicas \
           there are; add shared.replicas, or unset it",
        ],
    );
    wrong(
        "{ replicas: 3, ordinal: 0, margin: 20s }",
        None,
        &["1:44: shared.margin: \"20s\" is out of range; write 10ms to 10s"],
    );
    wrong(
        "{ replicas: 3, ordinal: 0, prefix: a }",
        None,
        &["1:44: shared.prefix: is for Redis, which is not named; add redis, or delete the key"],
    );
    wrong(
        "{ replica: 3, ordinal: 0 }",
        None,
        &[
            "1:1: shared: has no replicas; add one, as in `replicas: 3`",
            "1:11: shared.replica: is no key here; is it replicas?",
        ],
    );
}

#[test]
fn a_store_has_a_url() {
    let plain = redis("{ redis: redis://h }");
    let servers = RedisServers {
        tls: false,
        addresses: vec![address("h", 6379)],
        topology: Topology::Single,
        database: 0,
        user: None,
        password: None,
    };
    let defaults = Redis {
        servers,
        prefix: "slackwater".into(),
        timeout: Duration::from_millis(250),
        forget_after: Duration::from_secs(30),
        replicas: None,
    };
    assert_eq!(plain, defaults);
    let all = redis(
        "{ redis: 'rediss://us%40r:p%3Aw:@[::1]:7000/3', prefix: 'a-1_.:', timeout: 1s, \
         forget_after: 1m, replicas: 4 }",
    );
    assert!(all.servers.tls);
    assert_eq!(
        (&all.servers.addresses[..], all.servers.database),
        (&[address("::1", 7000)][..], 3)
    );
    assert_eq!(all.servers.user.as_deref(), Some("us@r"));
    assert_eq!(all.servers.password.as_ref().map(Password::reveal), Some("p:w:"));
    assert_eq!((&*all.prefix, all.replicas), ("a-1_.:", NonZeroU32::new(4)));
    assert_eq!((all.timeout.as_secs(), all.forget_after.as_secs()), (1, 60));
    for text in [
        "{ redis: 'redis://:${SECRET}@h' }",
        "{ redis: redis://h, password: '${SECRET}' }",
        "{ redis: redis://u@h, password: ' s3cr3t ' }",
    ] {
        let redis = redis(text);
        assert_eq!(redis.servers.password.as_ref().map(Password::reveal), Some("s3cr3t"), "{text}");
        assert!(!format!("{redis:?}").contains("s3cr3t"));
    }
    assert_ne!(redis("{ redis: redis://:a@h }"), redis("{ redis: redis://:b@h }"));
}

#[test]
fn what_is_wrong_with_a_store_is_said_without_its_password() {
    const NO_ORDINAL: &str = "is for replicas that share limits without Redis, where each has a fixed \
                              part; with redis all share the whole";
    const FORM: &str = "write it as in redis://redis.example:6379/0, or rediss:// for TLS; a \
                        character of a user or password that needs encoding, an @ for example, as \
                        in %40";
    for (url, expected) in [
        ("http://h", "is no URL of a Redis server"),
        ("h:6379", "is no URL of a Redis server"),
        ("redis://:%zz@h", "is no URL of a Redis server"),
        ("redis://:s3%2cr3t@h:none", "has no host, or a bad port"),
        ("redis://:s3@cr3t@h", "has an @ too many"),
        ("redis://h/a", "has a path that is no number of a database"),
        ("redis://h/0?protocol=3", "has a query or a fragment, which mean nothing here"),
    ] {
        let text = format!("{{ redis: '{url}' }}");
        wrong(&text, None, &[&format!("1:18: shared.redis: {expected}; {FORM}")]);
    }
    wrong(
        "{ redis: redis://h, ordinal: 1, margin: 1s }",
        Some("1"),
        &[
            &format!("SLACKWATER_SHARED_ORDINAL: {NO_ORDINAL}, so unset it, or delete redis"),
            &format!("1:38: shared.ordinal: {NO_ORDINAL}, so delete this key, or redis"),
            &format!("1:49: shared.margin: {NO_ORDINAL}, so delete this key, or redis"),
        ],
    );
    wrong(
        "{ redis: redis://s3cr3t@h }",
        None,
        &["1:18: shared.redis: names a user without a password; add one after a colon, as in \
           redis://user:password@redis.example, or in shared.password; one without a user stands \
           after a colon, too"],
    );
    wrong(
        "{ redis: redis://:a@h, password: b }",
        None,
        &["1:42: shared.password: stands beside a password in redis; delete one of the two"],
    );
    wrong(
        "{ redis: redis://h, password: ' ' }",
        None,
        &["1:39: shared.password: is empty; give it a value, or delete the key"],
    );
    wrong(
        "{ redis: redis://h, prefix: 'a b', timeout: 9s, forget_after: 1s, replicas: 0 }",
        None,
        &[
            "1:37: shared.prefix: \"a b\" is no prefix of keys; write 1 to 64 letters, digits and - _ . :",
            "1:53: shared.timeout: \"9s\" is out of range; write 10ms to 5s",
            "1:71: shared.forget_after: \"1s\" is out of range; write 10s to 10m",
            "1:85: shared.replicas: is 0, which would let nothing pass; write 1 or more",
        ],
    );
}

#[test]
fn sentinels_and_nodes_of_a_cluster_are_named_in_one_url() {
    let given = redis(
        "{ redis: 'rediss://u:p@s0,s1:7,[::1]/3', sentinel: { master: mymaster, user: w, password: '${SECRET}' } }",
    );
    let all = [address("s0", 26379), address("s1", 7), address("::1", 26379)];
    assert_eq!(given.servers.addresses, all);
    assert_eq!((given.servers.user.as_deref(), given.servers.database), (Some("u"), 3));
    let Topology::Sentinel(sentinel) = given.servers.topology else { panic!() };
    assert_eq!((&*sentinel.master, sentinel.user.as_deref()), ("mymaster", Some("w")));
    assert_eq!(sentinel.password.as_ref().map(Password::reveal), Some("s3cr3t"));
    let given = redis("{ redis: 'redis://n0,n1:7', cluster: true }");
    assert_eq!(given.servers.addresses, [address("n0", 6379), address("n1", 7)]);
    assert_eq!(given.servers.topology, Topology::Cluster);
    let alone = "{ redis: 'redis://h', cluster: false, sentinel: null }";
    assert_eq!(redis(alone), redis("{ redis: redis://h }"));
    assert_eq!(address("::1", 1).to_string(), "[::1]:1");
}

#[test]
fn what_is_wrong_with_sentinels_or_a_cluster_is_said() {
    wrong(
        "{ redis: 'redis://a,b' }",
        None,
        &[
            "1:18: shared.redis: names several servers, of which each would count for itself; name one, \
           or add cluster: true, or sentinel if these are sentinels",
        ],
    );
    wrong(
        "{ redis: 'redis://a/1', cluster: true }",
        None,
        &[
            "1:18: shared.redis: names a database, and a cluster has only number 0; delete its number",
        ],
    );
    wrong(
        "{ redis: 'redis://a', cluster: true, sentinel: { master: m } }",
        None,
        &[
            "1:40: shared.cluster: stands beside sentinel, and a cluster has none; delete one of the two",
        ],
    );
    wrong(
        "{ redis: 'redis://a', sentinel: { user: u } }",
        None,
        &[
            "1:31: shared.sentinel: has no master; add one, as in `master: mymaster`",
            "1:49: shared.sentinel.user: has no password; add sentinel.password, or delete the user",
        ],
    );
    wrong(
        "{ redis: 'redis://a', sentinel: { master: 'my master', password: ' ' } }",
        None,
        &[
            "1:51: shared.sentinel.master: is no name; write it as in the configuration of the sentinels",
            "1:74: shared.sentinel.password: is empty; give it a value, or delete the key",
        ],
    );
    wrong(
        "{ replicas: 2, ordinal: 0, cluster: true, sentinel: { master: m } }",
        None,
        &[
            "1:45: shared.cluster: is for Redis, which is not named; add redis, or delete the key",
            "1:51: shared.sentinel: is for Redis, which is not named; add redis, or delete the key",
        ],
    );
    let many = vec!["h"; 17].join(",");
    let problems = read(&format!("{{ redis: 'redis://{many}', cluster: true }}"), None).1;
    assert!(problems[0].contains("names more than 16 servers"), "{problems:?}");
    let problems = read("{ redis: 'redis://h,:7', cluster: true }", None).1;
    assert!(problems[0].contains("has no host, or a bad port"), "{problems:?}");
}
