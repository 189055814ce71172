//! Connections to the store: TCP, TLS where it is asked for, and what has to be so before it is used.

use std::{future::Future, io, pin::Pin, sync::Arc, time::Duration};

use config::{RedisServer, Tls};
use redis::{
    AsyncConnectionConfig, RedisConnectionInfo,
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

/// Connects to the store.
#[derive(Clone)]
pub(super) struct Connector {
    server: RedisServer,
    tls: Option<TlsConnector>,
}

/// A connection, and what keeps it going.
pub(super) struct Connected {
    pub(super) connection: MultiplexedConnection,
    /// The run id of the process at its other end: whatever is sent over it comes there.
    pub(super) run: String,
    pub(super) driver: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// What bytes come and go over.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

/// How long a connection may take until it can be used.
const CONNECTING: Duration = Duration::from_secs(2);

/// The oldest version that has all that the scripts use: ZRANDMEMBER.
const OLDEST: (u32, u32) = (6, 2);

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

// === impl Connector ===

impl Connector {
    pub(super) fn new(server: &RedisServer, tls: &Tls) -> Result<Self, rustls::Error> {
        let secured = || {
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let client = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()?
                .with_root_certificates(Arc::clone(&tls.trusted))
                .with_no_client_auth();
            Ok::<_, rustls::Error>(TlsConnector::from(Arc::new(client)))
        };
        let tls = server.tls.then(secured).transpose()?;
        Ok(Self { server: server.clone(), tls })
    }

    /// A connection for commands. An answer that takes longer than `patience` is not waited for.
    pub(super) async fn commands(&self, patience: Duration) -> Result<Connected, Trouble> {
        let connecting = async {
            let stream = self.stream().await?;
            let config = AsyncConnectionConfig::new().set_response_timeout(Some(patience));
            let info = self.info();
            let (mut connection, driver) =
                MultiplexedConnection::new_with_config(&info, stream, config).await?;
            let mut driver: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(driver);
            let ask = redis::cmd("INFO");
            let info = ask.query_async::<String>(&mut connection);
            let info = tokio::select! {
                info = info => info?,
                () = &mut driver => return Err(Trouble::Lost(None)),
            };
            check(&info)?;
            let run = field(&info, "run_id").unwrap_or_default().to_owned();
            // So that whoever looks at the server knows whose it is. A user may not be allowed to.
            let mut name = redis::cmd("CLIENT");
            name.arg("SETNAME").arg("slackwater");
            let named = name.exec_async(&mut connection);
            tokio::select! {
                _ = named => {}
                () = &mut driver => return Err(Trouble::Lost(None)),
            }
            Ok(Connected { connection, run, driver })
        };
        self.in_time(connecting).await
    }

    /// A connection that listens to these channels.
    pub(super) async fn channels(&self, channels: &[String]) -> Result<PubSub, Trouble> {
        let connecting = async {
            let mut listens = PubSub::new(&self.info(), self.stream().await?).await?;
            listens.subscribe(channels).await?;
            Ok(listens)
        };
        self.in_time(connecting).await
    }

    async fn in_time<T>(
        &self,
        connecting: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        let late = |_| Trouble::Silent(self.address(), CONNECTING);
        timeout(CONNECTING, connecting).await.map_err(late)?
    }

    fn address(&self) -> String {
        format!("{}:{}", self.server.host, self.server.port)
    }

    fn info(&self) -> RedisConnectionInfo {
        let RedisServer { database, user, password, .. } = &self.server;
        let mut info = RedisConnectionInfo::default()
            .set_db(i64::from(*database))
            .set_lib_name("slackwater", env!("CARGO_PKG_VERSION"));
        if let Some(user) = user {
            info = info.set_username(user);
        }
        if let Some(password) = password {
            info = info.set_password(password.reveal());
        }
        info
    }

    async fn stream(&self) -> Result<Box<dyn Stream>, Trouble> {
        let RedisServer { host, port, .. } = &self.server;
        let unreachable = |error| Trouble::Unreachable(self.address(), error);
        let tcp = TcpStream::connect((&**host, *port)).await.map_err(unreachable)?;
        tcp.set_nodelay(true).map_err(unreachable)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(tcp)) };
        let name = ServerName::try_from(host.to_string()).map_err(io::Error::other);
        let name = name.map_err(Trouble::Tls)?;
        Ok(Box::new(tls.connect(name, tcp).await.map_err(Trouble::Tls)?))
    }
}

/// What a server says of itself speaks against using it.
fn check(info: &str) -> Result<(), Trouble> {
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
    if field("cluster_enabled") == Some("1") {
        return Err(Trouble::Cluster);
    }
    let evicts = field("maxmemory_policy").filter(|policy| *policy != "noeviction");
    if let Some(policy) = evicts.filter(|_| field("maxmemory").is_some_and(|most| most != "0")) {
        return Err(Trouble::Evicts(policy.to_owned()));
    }
    Ok(())
}

/// A field of what a server says of itself.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = info.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(field, _)| *field == name).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red when a check is left out.
    #[test]
    fn a_server_that_cannot_be_used_is_refused() {
        let of = |text: &str| check(&text.replace(' ', "\r\n")).err().map(|it| it.reason());
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
    }
}
