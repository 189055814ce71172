//! `shared.redis`: which servers keep the shared limits, and how they are found.

use std::{fmt, sync::Arc};

use http::Uri;
use slack::read::missing;
use yaml::{Cursor, Form, Report};

use super::{
    shared::{Password, given},
    upstreams::has_bad_port,
};

/// Servers that speak Redis's protocol, and who the replica is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisServers {
    /// Whether connections are secured by TLS.
    pub tls: bool,
    /// The server; or the sentinels; or some nodes of the cluster. At least one.
    pub addresses: Vec<Address>,
    /// How the servers are found that keep the limits.
    pub topology: Topology,
    /// Which of their databases.
    pub database: u32,
    /// Who the replica is there, if it says so.
    pub user: Option<Arc<str>>,
    /// What it proves that with.
    pub password: Option<Password>,
}

/// How the servers are found that keep the limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// It is the one that is named.
    Single,
    /// The sentinels know which one is the primary.
    Sentinel(Sentinel),
    /// Each node of the cluster knows who keeps what.
    Cluster,
}

/// What the sentinels are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentinel {
    /// What they call the primary.
    pub master: Arc<str>,
    /// Who the replica is at a sentinel, if it says so.
    pub user: Option<Arc<str>>,
    /// What it proves that with.
    pub password: Option<Password>,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// A name or an IP address; an IPv6 address without brackets.
    pub host: Arc<str>,
    /// The port.
    pub port: u16,
}

/// What a URL says.
#[derive(Debug)]
struct Said {
    tls: bool,
    addresses: Vec<(Arc<str>, Option<u16>)>,
    database: u32,
    user: Option<Arc<str>>,
    password: Option<Password>,
}

/// The ports of servers and of sentinels that name none.
const PORT: u16 = 6379;
const SENTINELS_PORT: u16 = 26379;

/// More servers than anybody has to name for one of them to answer.
const MOST: usize = 16;

const FORM: &str = "write it as in redis://redis.example:6379/0, or rediss:// for TLS; a character of \
                    a user or password that needs encoding, an @ for example, as in %40";

/// Messages do not repeat the URL: it may hold a password.
pub(super) fn read(at: Cursor<'_>, url: Cursor<'_>, report: &mut Report) -> Option<RedisServers> {
    let topology = topology(at, report);
    let said = said(url, given(at, "password"), report)?;
    let topology = topology?;
    if said.addresses.len() > 1 && topology == Topology::Single {
        let text = "names several servers, of which each would count for itself; name one, or add \
                    cluster: true, or sentinel if these are sentinels";
        report.add(url, text);
        return None;
    }
    if said.database > 0 && topology == Topology::Cluster {
        report.add(url, "names a database, and a cluster has only number 0; delete its number");
        return None;
    }
    let usual = match topology {
        Topology::Sentinel(_) => SENTINELS_PORT,
        Topology::Single | Topology::Cluster => PORT,
    };
    let Said { tls, addresses, database, user, password } = said;
    let address = |(host, port): (_, Option<_>)| Address { host, port: port.unwrap_or(usual) };
    let addresses = addresses.into_iter().map(address).collect();
    Some(RedisServers { tls, addresses, topology, database, user, password })
}

fn topology(at: Cursor<'_>, report: &mut Report) -> Option<Topology> {
    let cluster = given(at, "cluster");
    let is_cluster = cluster.map_or(Some(false), |at| at.read_bool(report))?;
    match (given(at, "sentinel"), cluster.filter(|_| is_cluster)) {
        (Some(_), Some(at)) => {
            report.add(at, "stands beside sentinel, and a cluster has none; delete one of the two");
            None
        }
        (Some(at), None) => sentinel(at, report).map(Topology::Sentinel),
        (None, Some(_)) => Some(Topology::Cluster),
        (None, None) => Some(Topology::Single),
    }
}

fn sentinel(at: Cursor<'_>, report: &mut Report) -> Option<Sentinel> {
    if at.form() != Form::Map {
        return None;
    }
    let master = match given(at, "master") {
        Some(at) => name(at, report),
        None => missing(at, "master", "mymaster", report),
    };
    let user = given(at, "user").map(|at| name(at, report).map(|user| (at, user)));
    let password = given(at, "password").map(|at| secret(at, report));
    let user = user.map_or(Some(None), |user| user.map(Some))?;
    let password = password.map_or(Some(None), |password| password.map(Some))?;
    if let (Some((at, _)), None) = (&user, &password) {
        report.add(*at, "has no password; add sentinel.password, or delete the user");
        return None;
    }
    Some(Sentinel { master: master?, user: user.map(|(_, user)| user), password })
}

/// What the sentinels call something.
fn name(at: Cursor<'_>, report: &mut Report) -> Option<Arc<str>> {
    let text = at.text()?;
    if text.is_empty() || text.contains(char::is_whitespace) {
        report.add(at, "is no name; write it as in the configuration of the sentinels");
        return None;
    }
    Some(text.into())
}

fn secret(at: Cursor<'_>, report: &mut Report) -> Option<Password> {
    let text = at.text()?.trim();
    if text.is_empty() {
        report.add(at, "is empty; give it a value, or delete the key");
        return None;
    }
    Some(Password(text.into()))
}

fn said(at: Cursor<'_>, password: Option<Cursor<'_>>, report: &mut Report) -> Option<Said> {
    let said = match parse(at.text()?) {
        Ok(said) => said,
        Err(wrong) => {
            report.add(at, format!("{wrong}; {FORM}"));
            return None;
        }
    };
    let password = match (password, said.password) {
        (Some(at), Some(_)) => {
            report.add(at, "stands beside a password in redis; delete one of the two");
            return None;
        }
        (Some(at), None) => Some(secret(at, report)?),
        (None, password) => password,
    };
    if said.user.is_some() && password.is_none() {
        let text = "names a user without a password; add one after a colon, as in \
                    redis://user:password@redis.example, or in shared.password; one without a user \
                    stands after a colon, too";
        report.add(at, text);
        return None;
    }
    Some(Said { password, ..said })
}

/// What a URL says, or what is wrong with it. It may name several servers, with commas between them.
fn parse(text: &str) -> Result<Said, &'static str> {
    const NO_URL: &str = "is no URL of a Redis server";
    let (scheme, rest) = text.split_once("://").ok_or(NO_URL)?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (login, hosts) = match authority.rsplit_once('@') {
        Some((login, hosts)) => (format!("{login}@"), hosts),
        None => (String::new(), authority),
    };
    if hosts.matches(',').count() >= MOST {
        return Err("names more than 16 servers, and some are enough to find the others");
    }
    let mut hosts = hosts.split(',');
    let first = hosts.next().unwrap_or_default();
    let mut said = parse_one(&format!("{scheme}://{login}{first}{path}"))?;
    for host in hosts {
        said.addresses.extend(parse_one(&format!("{scheme}://{host}"))?.addresses);
    }
    Ok(said)
}

fn parse_one(text: &str) -> Result<Said, &'static str> {
    const NO_URL: &str = "is no URL of a Redis server";
    let uri: Uri = text.parse().map_err(|_| NO_URL)?;
    let tls = match uri.scheme_str() {
        Some("redis") => false,
        Some("rediss") => true,
        _ => return Err(NO_URL),
    };
    if uri.query().is_some() || text.contains('#') {
        return Err("has a query or a fragment, which mean nothing here");
    }
    let authority = uri.authority().ok_or(NO_URL)?;
    if authority.as_str().matches('@').count() > 1 {
        return Err("has an @ too many");
    }
    if authority.host().is_empty() || has_bad_port(authority) {
        return Err("has no host, or a bad port");
    }
    let (user, password) = match authority.as_str().split_once('@') {
        None => (None, None),
        Some((said, _)) => match said.split_once(':') {
            None => (Some(said), None),
            Some((user, password)) => (Some(user), Some(password)),
        },
    };
    let decoded = |said: Option<&str>| match said.filter(|said| !said.is_empty()) {
        None => Ok(None),
        Some(said) => decode(said).map(|text| Some(Arc::from(text))).ok_or(NO_URL),
    };
    let database = match uri.path() {
        "" | "/" => 0,
        path => path
            .strip_prefix('/')
            .and_then(|number| number.parse().ok())
            .ok_or("has a path that is no number of a database")?,
    };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    Ok(Said {
        tls,
        addresses: vec![(host.into(), authority.port_u16())],
        database,
        user: decoded(user)?,
        password: decoded(password)?.map(Password),
    })
}

/// A text without its percent-encoding.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digits = str::from_utf8(digits).ok()?;
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

// === impl Address ===

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}
