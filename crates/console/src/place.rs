//! Where the running proxy is: as typed, or as the configuration says.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use anyhow::{Context, bail};
use config::{Config, load};

/// Where the running proxy is.
#[derive(Debug, clap::Args)]
pub struct Place {
    /// Where the proxy's operators' listener is. Without it: what the configuration says
    #[arg(long, value_name = "URL")]
    admin: Option<String>,

    /// The configuration of the proxy. Without it: the file in `SLACKWATER_CONFIG`, else the
    /// defaults: <http://127.0.0.1:9090>
    #[arg(long, value_name = "FILE", conflicts_with = "admin")]
    config: Option<PathBuf>,
}

// === impl Place ===

impl Place {
    /// The proxy at that address, or where that configuration says.
    pub fn new(admin: Option<String>, config: Option<PathBuf>) -> Self {
        Self { admin, config }
    }

    /// Its operators' listener, as in `http://127.0.0.1:9090`.
    ///
    /// # Errors
    /// If neither what was typed nor the configuration says where that is.
    pub fn url(&self) -> anyhow::Result<String> {
        if let Some(url) = &self.admin {
            return base(url);
        }
        let config = load(self.config.as_deref());
        let config = config.context(
            "no address to ask: name it with --admin http://127.0.0.1:9090, or mend the configuration",
        )?;
        Ok(format!("http://{}", reach(config.admin.listen)))
    }
}

/// The URL as typed, or with the scheme that was left out.
///
/// # Errors
/// If it is none.
pub fn base(url: &str) -> anyhow::Result<String> {
    let url = match url.split_once("://") {
        None => format!("http://{url}"),
        Some(("http", _)) => url.to_owned(),
        Some(_) => {
            bail!("--admin {url}: the listener speaks plain HTTP, so it is http://HOST:PORT")
        }
    };
    let parsed: Result<http::Uri, _> = url.parse();
    let host = parsed.as_ref().ok().and_then(http::Uri::host);
    if host.is_none_or(str::is_empty) {
        bail!("--admin {url}: it is http://HOST:PORT, as in http://127.0.0.1:9090");
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// The operators' listener of the proxy whose bots connect to that base URL, if the configuration is
/// that proxy's.
pub fn of_bots_at(base: &str, config: &Config) -> Option<String> {
    let url: http::Uri = base.parse().ok()?;
    let listen = reach(config.listen);
    let host = url.host()?.trim_start_matches('[').trim_end_matches(']');
    let host: Option<IpAddr> = host.parse().ok();
    let is_it = match host {
        Some(ip) => ip == listen.ip() || (ip.is_loopback() && listen.ip().is_loopback()),
        None => url.host() == Some("localhost") && listen.ip().is_loopback(),
    };
    let is_it = is_it && url.port_u16().unwrap_or(80) == listen.port();
    is_it.then(|| format!("http://{}", reach(config.admin.listen)))
}

/// How this machine reaches a listener: one for every interface by the loopback.
fn reach(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red where another proxy's operators' listener is told.
    #[test]
    fn a_proxy_is_known_by_where_its_bots_connect_if_the_configuration_is_its_own() {
        let config = |file: &str| config::check(file, "test", |_| None).unwrap();
        let defaults = config("");
        for base in ["http://127.0.0.1:8080", "http://localhost:8080"] {
            assert_eq!(of_bots_at(base, &defaults).as_deref(), Some("http://127.0.0.1:9090"));
        }
        for base in ["http://127.0.0.1:8081", "http://10.0.0.1:8080", "http://bots:8080"] {
            assert_eq!(of_bots_at(base, &defaults), None, "{base}");
        }
        let six = config("listen: \"[::]:80\"\nadmin: { listen: \"[::]:9\" }");
        assert_eq!(of_bots_at("http://[::1]", &six).as_deref(), Some("http://[::1]:9"));
    }

    #[test]
    fn an_address_is_taken_as_people_type_it() {
        for typed in ["127.0.0.1:9090", "http://127.0.0.1:9090", "http://127.0.0.1:9090/"] {
            assert_eq!(base(typed).unwrap(), "http://127.0.0.1:9090");
        }
        for (typed, hint) in [
            ("https://127.0.0.1:9090", "plain HTTP"),
            ("", "http://HOST:PORT"),
            ("http://", "http://HOST:PORT"),
            ("a b", "http://HOST:PORT"),
        ] {
            let error = base(typed).unwrap_err().to_string();
            assert!(error.contains(hint) && error.contains("--admin"), "{error}");
        }
    }
}
