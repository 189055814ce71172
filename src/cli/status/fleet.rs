//! All replicas in words, where limits are shared.

use std::time::Duration;

use console::{
    Ask,
    table::{
        Align::{Left, Right},
        table,
    },
};
use http::StatusCode;
use serde::Deserialize;

/// What `/fleet` answers, as far as it is shown.
#[derive(Debug, Deserialize)]
struct Fleet {
    held: u64,
    waiting: u64,
    replicas: Vec<Replica>,
}

#[derive(Debug, Deserialize)]
struct Replica {
    id: String,
    name: String,
    version: String,
    up_ms: u64,
    held: u64,
    waiting: u64,
    waits: Vec<(String, u64)>,
}

/// So many replicas are shown, and so many methods of each.
const MOST: usize = 50;
const METHODS: usize = 3;

/// The lines that are shown of them; none where limits are not shared, or an older proxy does not tell.
pub(super) async fn lines(ask: &Ask, width: Option<usize>) -> Vec<String> {
    match ask.get("/fleet").await {
        Ok((StatusCode::OK, text)) => match serde_json::from_slice::<Fleet>(&text) {
            Ok(fleet) => fleet.lines(width),
            Err(_) => Vec::new(),
        },
        Ok((StatusCode::SERVICE_UNAVAILABLE, _)) => {
            vec![String::new(), "replicas: unknown, the shared store does not answer".to_owned()]
        }
        Ok(_) | Err(_) => Vec::new(),
    }
}

// === impl Fleet ===

impl Fleet {
    fn lines(self, width: Option<usize>) -> Vec<String> {
        let Self { held, waiting, replicas } = self;
        let all = replicas.len();
        let word = if all == 1 { "replica" } else { "replicas" };
        let mut lines = vec![
            String::new(),
            format!("{all} {word}: {held} slots of shared limits held, {waiting} calls waiting"),
        ];
        let rows = replicas.into_iter().take(MOST).map(|replica| {
            let Replica { id, name, version, up_ms, held, waiting, waits } = replica;
            let waits = waits.iter().take(METHODS);
            let waits = waits.map(|(method, count)| format!("{method} {count}"));
            let up = format!("{:?}", Duration::from_secs(up_ms / 1000));
            let waits = waits.collect::<Vec<_>>().join(", ");
            [name, id, version, up, held.to_string(), waiting.to_string(), waits]
        });
        let head = ["REPLICA", "ID", "VERSION", "UP FOR", "HELD", "WAITING", "WAITING FOR"];
        let rows: Vec<_> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
        lines.extend(table([Left, Left, Left, Right, Right, Right, Left], &rows, width));
        lines
    }
}
