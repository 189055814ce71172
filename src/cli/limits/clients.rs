//! `slackwater limits --clients`: which clients are known, and how long each waits.

use std::io::{self, Write};

use config::Config;
use serde_json::{Value, json};
use slack::{Client, ClientTimeout};
use yaml::units::show_duration;

use super::columns;

/// Writes the operator's clients and then the catalogue's, in the order in which they are tried.
pub(super) fn show(config: &Config, json: bool, out: &mut impl Write) -> io::Result<()> {
    let own = config.clients.iter().map(|rule| &rule.client);
    let clients = own.chain(config.catalogue.clients());
    if json {
        let all: Vec<Value> = clients.map(to_json).collect();
        return writeln!(out, "{:#}", Value::from(all));
    }
    let header = ["CLIENT", "SIGNS", "TIME-OUT", "HELD", "KEPT ALIVE", "RETRIES", "SOURCE"];
    columns(header, clients.map(row), out)
}

fn row(client: &Client) -> [String; 7] {
    let agent = client.signs.user_agent.iter().map(|agent| format!("user-agent~{agent}"));
    let headers = client.signs.headers.iter();
    let headers = headers.map(|(name, sign)| format!("{name}={}", sign.as_str()));
    let timeout = match client.timeout {
        Some(ClientTimeout::Read(time)) => format!("{} per read", show_duration(time)),
        Some(ClientTimeout::Total(time)) => format!("{} in all", show_duration(time)),
        None => "none known".to_owned(),
    };
    [
        client.name.to_string(),
        agent.chain(headers).collect::<Vec<_>>().join(" "),
        timeout,
        show_duration(client.max_wait),
        client.keep_alive.as_str().to_owned(),
        client.retries.as_str().to_owned(),
        client.source.to_string(),
    ]
}

fn to_json(client: &Client) -> Value {
    let headers = client.signs.headers.iter();
    let headers = headers.map(|(name, sign)| (name.to_string(), Value::from(sign.as_str())));
    let (per_read, in_all) = match client.timeout {
        Some(ClientTimeout::Read(time)) => (Some(time.as_secs_f64()), None),
        Some(ClientTimeout::Total(time)) => (None, Some(time.as_secs_f64())),
        None => (None, None),
    };
    json!({
        "name": &*client.name,
        "user_agent": client.signs.user_agent.as_deref(),
        "headers": headers.collect::<serde_json::Map<_, _>>(),
        "read_timeout_seconds": per_read,
        "total_timeout_seconds": in_all,
        "max_wait_seconds": client.max_wait.as_secs_f64(),
        "keep_alive": client.keep_alive.as_str(),
        "stops_whole": client.stops_whole,
        "retries": client.retries.as_str(),
        "source": &*client.source,
    })
}
