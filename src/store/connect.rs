//! Connections to the store's servers: TCP, TLS where it is asked for, and what has to be so before one is
//! used.

use std::{future::Future, io, pin::Pin, sync::Arc, time::Duration};

use config::{Address, Password, RedisServers, Tls, Topology};
use redis::{
    AsyncConnectionConfig, Cmd, FromRedisValue, RedisConnectionInfo,
    aio::{MultiplexedConnection, PubSub},
};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::trouble::Trouble;

/// Connects to the servers of the store, and to those that know where they are.
#[derive(Clone)]
pub(super) struct Connector {
    servers: Arc<RedisServers>,
    tls: Option<TlsConnector>,
}

/// Who is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// A server that keeps limits.
    Server,
    /// A sentinel, at which the replica has a user and a password of its own.
    Sentinel,
}

/// A connection, and what keeps it going.
pub(super) struct Connected {
    /// Where it leads.
    pub(super) address: Address,
    /// The run id of the process at its other end, as far as it was asked: whatever is sent over it comes there.
    pub(super) run: String,
    pub(super) connection: MultiplexedConnection,
    pub(super) driver: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// What bytes come and go over.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

/// How long a connection may take until it can be used.
const CONNECTING: Duration = Duration::from_secs(2);

/// How long somebody may take who is asked where the servers are. There are others to ask.
const ASKING: Duration = Duration::from_millis(500);

/// The oldest version that has all that the scripts use: ZRANDMEMBER.
const OLDEST: (u32, u32) = (6, 2);

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

// === impl Connector ===

impl Connector {
    pub(super) fn new(servers: &RedisServers, tls: &Tls) -> Result<Self, rustls::Error> {
        let secured = || {
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let client = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()?
                .with_root_certificates(Arc::clone(&tls.trusted))
                .with_no_client_auth();
            Ok::<_, rustls::Error>(TlsConnector::from(Arc::new(client)))
        };
        let tls = servers.tls.then(secured).transpose()?;
        Ok(Self { servers: Arc::new(servers.clone()), tls })
    }

    /// The addresses that are configured.
    pub(super) fn addresses(&self) -> &[Address] {
        &self.servers.addresses
    }

    pub(super) fn topology(&self) -> &Topology {
        &self.servers.topology
    }

    /// A connection for commands. An answer that takes longer than `patience` is not waited for.
    pub(super) async fn commands(
        &self,
        address: Address,
        patience: Duration,
    ) -> Result<Connected, Trouble> {
        let connecting = async {
            let mut connected = self.connect(&address, Peer::Server, patience).await?;
            let info = connected.ask::<String>(&redis::cmd("INFO")).await?;
            check(&info, &self.servers.topology)?;
            let run = field(&info, "run_id").filter(|run| !run.is_empty());
            connected.run = run.ok_or(Trouble::Odd)?.to_owned();
            // So that whoever looks at the server knows whose it is. A user may not be allowed to.
            let mut name = redis::cmd("CLIENT");
            name.arg("SETNAME").arg("slackwater");
            match connected.ask::<()>(&name).await {
                Err(trouble @ Trouble::Lost(_)) => Err(trouble),
                _ => Ok(connected),
            }
        };
        in_time(&address, CONNECTING, connecting).await
    }

    /// A connection that listens to these channels.
    pub(super) async fn channels(
        &self,
        address: &Address,
        peer: Peer,
        channels: &[String],
    ) -> Result<PubSub, Trouble> {
        let connecting = async {
            let stream = self.stream(address).await?;
            let mut listens = PubSub::new(&self.info(peer), stream).await?;
            listens.subscribe(channels).await?;
            Ok(listens)
        };
        in_time(address, CONNECTING, connecting).await
    }

    /// The answer to one question, on a connection of its own.
    pub(super) async fn ask<T: FromRedisValue>(
        &self,
        address: &Address,
        peer: Peer,
        question: &Cmd,
    ) -> Result<T, Trouble> {
        let asking = async {
            let mut connected = self.connect(address, peer, ASKING).await?;
            connected.ask(question).await
        };
        in_time(address, ASKING, asking).await
    }

    async fn connect(
        &self,
        address: &Address,
        peer: Peer,
        patience: Duration,
    ) -> Result<Connected, Trouble> {
        let stream = self.stream(address).await?;
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(patience));
        let (connection, driver) =
            MultiplexedConnection::new_with_config(&self.info(peer), stream, config).await?;
        let (address, run, driver) = (address.clone(), String::new(), Box::pin(driver));
        Ok(Connected { address, run, connection, driver })
    }

    fn info(&self, peer: Peer) -> RedisConnectionInfo {
        let RedisServers { topology, database, user, password, .. } = &*self.servers;
        let (database, user, password) = match (peer, topology) {
            (Peer::Sentinel, Topology::Sentinel(it)) => (0, &it.user, &it.password),
            _ => (*database, user, password),
        };
        let mut info = RedisConnectionInfo::default()
            .set_db(i64::from(database))
            .set_lib_name("slackwater", env!("CARGO_PKG_VERSION"));
        if let Some(user) = user {
            info = info.set_username(user);
        }
        if let Some(password) = password.as_ref().map(Password::reveal) {
            info = info.set_password(password);
        }
        info
    }

    async fn stream(&self, address: &Address) -> Result<Box<dyn Stream>, Trouble> {
        let Address { host, port } = address;
        let unreachable = |error| Trouble::Unreachable(address.clone(), error);
        let tcp = TcpStream::connect((&**host, *port)).await.map_err(unreachable)?;
        tcp.set_nodelay(true).map_err(unreachable)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(tcp)) };
        let name = ServerName::try_from(host.to_string()).map_err(io::Error::other);
        let name = name.map_err(Trouble::Tls)?;
        Ok(Box::new(tls.connect(name, tcp).await.map_err(Trouble::Tls)?))
    }
}

// === impl Connected ===

impl Connected {
    /// The answer to a question, before anything else is sent.
    async fn ask<T: FromRedisValue>(&mut self, question: &Cmd) -> Result<T, Trouble> {
        let answer = question.query_async::<T>(&mut self.connection);
        tokio::select! {
            answer = answer => Ok(answer?),
            () = &mut self.driver => Err(Trouble::Lost(None)),
        }
    }
}

async fn in_time<T>(
    address: &Address,
    time: Duration,
    connecting: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    let late = |_| Trouble::Silent(address.clone(), time);
    timeout(time, connecting).await.map_err(late)?
}

/// What a server says of itself.
fn field<'t>(info: &'t str, name: &str) -> Option<&'t str> {
    let mut lines = info.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(field, _)| *field == name).map(|(_, value)| value.trim())
}

/// What a server says of itself speaks against using it.
fn check(info: &str, topology: &Topology) -> Result<(), Trouble> {
    let field = |name| field(info, name);
    if let Some(version) = field("redis_version") {
        let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
        let is = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        if is < OLDEST {
            return Err(Trouble::TooOld(version.to_owned()));
        }
    }
    if field("role") == Some("slave") {
        return Err(Trouble::ReadOnly);
    }
    match (field("cluster_enabled") == Some("1"), topology) {
        (true, Topology::Single | Topology::Sentinel(_)) => return Err(Trouble::Cluster),
        (false, Topology::Cluster) => return Err(Trouble::NoCluster),
        _ => {}
    }
    let evicts = field("maxmemory_policy").filter(|policy| *policy != "noeviction");
    if let Some(policy) = evicts.filter(|_| field("maxmemory").is_some_and(|most| most != "0")) {
        return Err(Trouble::Evicts(policy.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red when a check is left out.
    #[test]
    fn a_server_that_cannot_be_used_is_refused() {
        let of = |text: &str| {
            let text = text.replace(' ', "\r\n");
            check(&text, &Topology::Single).err().map(|it| it.reason())
        };
        assert_eq!(
            of("redis_version:7.2.4 role:master maxmemory:0 maxmemory_policy:allkeys-lru"),
            None
        );
        assert_eq!(of("redis_version:6.2.14 maxmemory:9 maxmemory_policy:noeviction"), None);
        assert_eq!(of("redis_version:6.0.16"), Some("too_old"));
        assert_eq!(of("redis_version:10.0.1"), None);
        assert_eq!(of("redis_version:7.0.15 role:slave"), Some("read_only"));
        assert_eq!(of("cluster_enabled:1"), Some("cluster"));
        assert_eq!(of("maxmemory:9 maxmemory_policy:volatile-lru"), Some("evicts"));
        let of_cluster = |text| check(text, &Topology::Cluster).err().map(|it| it.reason());
        assert_eq!(of_cluster("cluster_enabled:1"), None);
        assert_eq!(of_cluster("cluster_enabled:0"), Some("no_cluster"));
    }
}
