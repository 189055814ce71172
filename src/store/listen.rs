//! The connection on which this replica is told what it is granted meanwhile, and what all are told.
//!
//! What is lost there costs a second: with each beat, whoever waits asks again, and hears what has changed.

use config::Address;
use futures_util::StreamExt;
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};

use super::{
    backoff::Backoff,
    connect::{Connector, Peer},
};

/// Hands on what comes on the channels, at the server that is used, and connects anew when the connection
/// ends. It says nothing of its troubles: the connections for commands have them, too.
pub(super) async fn listen(
    connector: Connector,
    channels: [String; 2],
    tell: mpsc::Sender<String>,
    mut at: watch::Receiver<Option<Address>>,
) {
    let mut backoff = Backoff::default();
    loop {
        let address = at.borrow_and_update().clone();
        let hears = hears(&connector, address.as_ref(), &channels, &tell, &mut backoff);
        tokio::select! {
            () = hears => {}
            changed = at.changed() => match changed {
                Ok(()) => backoff.reset(),
                // Its sender ends together with it.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

/// Ends some time after the connection.
async fn hears(
    connector: &Connector,
    address: Option<&Address>,
    channels: &[String],
    tell: &mpsc::Sender<String>,
    backoff: &mut Backoff,
) {
    let Some(address) = address else { return std::future::pending().await };
    if let Ok(listens) = connector.channels(address, Peer::Server, channels).await {
        backoff.reset();
        let mut told = listens.into_on_message();
        while let Some(message) = told.next().await {
            // What finds no room is as good as lost.
            if let Ok(text) = message.get_payload() {
                let _ = tell.try_send(text);
            }
        }
    }
    sleep(backoff.next()).await;
}
