//! Where the primary is: the sentinels know.

use std::sync::Arc;

use config::Address;
use futures_util::{StreamExt, future::join_all};
use tokio::{sync::mpsc, time::sleep};

use super::{
    backoff::Backoff,
    connect::{Connector, Peer},
    trouble::Trouble,
};

/// The sentinels, and what they are asked for.
#[derive(Clone)]
pub(super) struct Sentinels {
    connector: Connector,
    master: Arc<str>,
}

/// The channel on which a sentinel says that a primary is another one now.
const SWITCHED: &str = "+switch-master";

// === impl Sentinels ===

impl Sentinels {
    pub(super) fn new(connector: Connector, master: Arc<str>) -> Self {
        Self { connector, master }
    }

    /// Where the primary is, by the first sentinel that knows. The server itself has to say that it is one.
    pub(super) async fn primary(&self) -> Result<Address, Trouble> {
        let mut question = redis::cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(&*self.master);
        let mut wrong = None;
        for sentinel in self.connector.addresses() {
            let answer = self.connector.ask(sentinel, Peer::Sentinel, &question).await;
            match answer {
                Ok(Some((host, port))) => return Ok(address(host, port)),
                Ok(None) => {
                    wrong = Some(Trouble::NoMaster(sentinel.clone(), Arc::clone(&self.master)));
                }
                Err(trouble) => {
                    let says_more = matches!(wrong, Some(Trouble::NoMaster(..)));
                    if !says_more {
                        wrong = Some(Trouble::Sentinel(sentinel.clone(), Box::new(trouble)));
                    }
                }
            }
        }
        Err(wrong.unwrap_or(Trouble::Lost(None)))
    }

    /// Tells where the primary is when it is another one. All sentinels are listened to, since one that is
    /// cut off hears of nothing.
    pub(super) async fn watch(self, tell: mpsc::Sender<Address>) {
        let sentinels = self.connector.addresses().iter();
        join_all(sentinels.map(|sentinel| self.watch_one(sentinel, &tell))).await;
    }

    async fn watch_one(&self, sentinel: &Address, tell: &mpsc::Sender<Address>) {
        let mut backoff = Backoff::default();
        loop {
            if let Ok(listens) =
                self.connector.channels(sentinel, Peer::Sentinel, &[SWITCHED.into()]).await
            {
                backoff.reset();
                let mut told = listens.into_on_message();
                while let Some(message) = told.next().await {
                    let text = message.get_payload::<String>().unwrap_or_default();
                    if let Some(address) = switched(&text, &self.master) {
                        // Whoever misses it finds that the server is gone, or a primary no more.
                        let _ = tell.try_send(address);
                    }
                }
            }
            sleep(backoff.next()).await;
        }
    }
}

fn address(host: String, port: u16) -> Address {
    Address { host: host.into(), port }
}

/// Where the primary of that name is now: `<name> <old host> <old port> <host> <port>`.
fn switched(text: &str, master: &str) -> Option<Address> {
    let mut words = text.split(' ');
    words.next().filter(|name| *name == master)?;
    let (host, port) = (words.nth(2)?, words.next()?.parse().ok()?);
    Some(address(host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red when the primary of another name, or the one of before, is taken.
    #[test]
    fn a_switch_is_that_of_its_primary() {
        let text = "mymaster 10.0.0.1 6379 10.0.0.2 6380";
        let address = Address { host: "10.0.0.2".into(), port: 6380 };
        assert_eq!(switched(text, "mymaster"), Some(address));
        assert_eq!(switched(text, "other"), None);
        assert_eq!(switched("mymaster 10.0.0.1 6379", "mymaster"), None);
    }
}
