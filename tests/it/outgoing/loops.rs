//! Connections that lead back to the proxy itself.

use slackwater::outbound::upstream::{connect, loops::LeadsBack};
use tokio::net::TcpListener;
use tower::ServiceExt as _;

use super::{moves::Resolver, *};

/// What a connector says of a connection that it does not make.
fn leads_back<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a LeadsBack {
    error.downcast_ref().unwrap_or_else(|| panic!("{error}"))
}

/// What listens at slack.com shows the proxy's own certificate, and the proxy trusts who signed it.
///
/// Turned red by: no look at the certificate; one at its names or issuer.
#[tokio::test(start_paused = true)]
async fn nothing_is_sent_to_who_shows_our_own_certificate() {
    let authority = Authority::named("Ours");
    let own = authority.pair("slack.com");
    let machine = Machine::trusting(&authority).file("own.pem", &own.pem).file("own.key", &own.key);
    let file = format!("listen_tls: {{ cert: own.pem, key: own.key }}\n{OWN_CA}");
    let config = config::check_on(&machine, &file, "test").unwrap();
    let itself = Arc::clone(&config.listen_tls.as_ref().unwrap().server);
    let reach = async |server: &Arc<ServerConfig>| {
        let (wire, _) = tls(&ok(), server);
        let connector = connect::over(wire, &config, ([127, 0, 0, 1], 8080).into()).unwrap();
        connector.oneshot("https://slack.com/api/auth.test".parse().unwrap()).await
    };
    let error = reach(&itself).await.err().unwrap();
    assert!(matches!(leads_back(&*error), LeadsBack::Certificate { host } if host == "slack.com"));
    // Another server of that name, by the same authority.
    assert!(reach(&authority.server("slack.com", BOTH)).await.is_ok());
}

/// What listens at slack.com is the proxy's own listener, by the address that the name has here.
///
/// Turned red by: no look at the address; one without the port.
#[tokio::test]
async fn nothing_is_sent_to_our_own_listener() {
    let [own, other] = [TcpListener::bind("127.0.0.1:0"), TcpListener::bind("127.0.0.1:0")];
    let (own, other) = (own.await.unwrap(), other.await.unwrap());
    let listen = own.local_addr().unwrap();
    let config = config::check("", "test", |_| None).unwrap();
    let reach = async |address| {
        let transport = connect::tcp(Resolver::of(address), secs(5));
        let connector = connect::over(transport, &config, listen).unwrap();
        connector.oneshot("http://slack.com/api/auth.test".parse().unwrap()).await
    };
    let error = reach(listen).await.err().unwrap();
    let said = leads_back(&*error).to_string();
    assert!(said.contains(&format!("slack.com is {listen} here")), "{said}");
    assert!(said.contains("docs/hosts-entry.md"), "{said}");
    assert!(reach(other.local_addr().unwrap()).await.is_ok());
}
