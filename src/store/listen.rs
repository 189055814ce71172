//! The connection on which this replica is told what it is granted meanwhile, and what all are told.
//!
//! What is lost there costs a second: with each beat, whoever waits asks again, and hears what has changed.

use futures_util::StreamExt;
use tokio::{sync::mpsc, time::sleep};

use super::{backoff::Backoff, connect::Connector};

/// Hands on what comes on the channels, and connects anew when the connection ends. It says nothing of
/// its troubles: the other connection has them, too.
pub(super) async fn listen(
    connector: Connector,
    channels: [String; 2],
    tell: mpsc::Sender<String>,
) {
    let mut backoff = Backoff::default();
    loop {
        if let Ok(listens) = connector.channels(&channels).await {
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
}
