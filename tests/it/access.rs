//! Who is let in: TLS on the listener, certificates of callers, keys.

use std::sync::Arc;

use http::{Request, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore, pki_types::PrivateKeyDer, pki_types::pem::PemObject as _,
};
use tokio_rustls::TlsConnector;
use tokio_util::task::TaskTracker;

use crate::harness::{Authority, Machine, Pair, Proxy, Scripted, Wire, json};

const NAME: &str = "slackwater.bots";
const KEY: &str = "0123456789abcdef";
/// Reports by certificate, cleanup by key.
const BOTH: &str = "
listen_tls: { cert: own.pem, key: own.key, client_ca: ca.pem }
allow:
  - { caller: reports, certificate: \"reports.bots\" }
  - { caller: cleanup, key: 0123456789abcdef }
";
/// Whoever has a certificate.
const CERTIFIED: &str = "listen_tls: { cert: own.pem, key: own.key, client_ca: ca.pem }";

struct Stand {
    bots: Authority,
    proxy: Proxy,
    upstream: Scripted,
}

/// A proxy of that name, which trusts callers whom its authority has signed.
fn stand(file: &str) -> Stand {
    let bots = Authority::named("bots");
    let own = bots.pair(NAME);
    let machine = Machine::trusting(&bots).file("own.pem", &own.pem).file("own.key", &own.key);
    let upstream = Scripted::new(|_| async { json(200, r#"{"ok":true}"#) });
    let config =
        config::check_on(&machine, &format!("identity: {{ resolve: false }}\n{file}"), "test");
    let proxy = Proxy::with(Arc::new(config.unwrap()), Wire::from(&upstream));
    Stand { bots, proxy, upstream }
}

impl Stand {
    /// The status of a call, or that there is none; and how its caller was called.
    async fn ask(
        &self,
        who: Option<&Pair>,
        key: Option<&str>,
        lane: &str,
    ) -> (Option<u16>, String) {
        let status = self.status(who, key, lane).await;
        let top = self.proxy.counters.answers.top().callers;
        (status, top.first().map_or_else(String::new, |busy| busy.name.to_string()))
    }

    async fn status(&self, who: Option<&Pair>, key: Option<&str>, lane: &str) -> Option<u16> {
        let mut roots = RootCertStore::empty();
        roots.add(self.bots.certificate()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let client = match who {
            None => client.with_no_client_auth(),
            Some(who) => {
                let key = PrivateKeyDer::from_pem_slice(who.key.as_bytes()).unwrap();
                client.with_client_auth_cert(vec![who.certificate()], key).unwrap()
            }
        };
        let connector = TlsConnector::from(Arc::new(client));
        let io = connector.connect(NAME.try_into().unwrap(), self.proxy.connect()).await.ok()?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await.ok()?;
        TaskTracker::new().spawn(connection);
        let mut ask = Request::post(format!("{lane}/api/auth.test"))
            .header(header::HOST, NAME)
            .header(header::AUTHORIZATION, "Bearer xoxb-T1-A1-secret");
        if let Some(key) = key {
            ask = ask.header("slackwater-key", key);
        }
        let answer = sender.send_request(ask.body(Empty::<Bytes>::new()).unwrap()).await.ok()?;
        let status = answer.status().as_u16();
        answer.into_body().collect().await.unwrap();
        Some(status)
    }
}

/// Turned red by: a handshake that asks for no certificate, or takes any.
#[tokio::test(start_paused = true)]
async fn only_who_has_a_certificate_of_the_authority_is_let_in() {
    let stand = stand(CERTIFIED);
    let reports = stand.bots.pair("reports.bots");
    assert_eq!(stand.ask(Some(&reports), None, "").await, (Some(200), "reports.bots".into()));
    assert_eq!(stand.status(None, None, "").await, None);
    let stranger = Authority::named("others").pair("reports.bots");
    assert_eq!(stand.status(Some(&stranger), None, "").await, None);
    assert_eq!(stand.upstream.seen().len(), 1);
}

/// Turned red by: a name that is taken from the lane although another was proved.
#[tokio::test(start_paused = true)]
async fn a_caller_is_called_as_it_has_proved() {
    let stand = stand(BOTH);
    let reports = stand.bots.pair("reports.bots");
    let told = stand.ask(Some(&reports), None, "/@cleanup").await;
    assert_eq!(told, (Some(200), "reports".into()));
    assert_eq!(stand.status(None, Some(KEY), "/@reports").await, Some(200));
    assert_eq!(stand.status(None, Some(KEY), "/@reports").await, Some(200));
    assert_eq!(stand.ask(None, Some(KEY), "/@reports").await, (Some(200), "cleanup".into()));
    assert!(!stand.proxy.counters.answers.knows_caller("@reports"));
}

/// Turned red by: a gate that is open where nothing was proved, and a key that goes on to Slack.
#[tokio::test(start_paused = true)]
async fn who_is_not_allowed_is_refused_before_anything_is_sent() {
    let stand = stand(BOTH);
    let other = stand.bots.pair("other.bots");
    assert_eq!(stand.status(Some(&other), None, "").await, Some(403));
    assert_eq!(stand.status(None, None, "").await, Some(403));
    assert_eq!(stand.status(None, Some("0123456789abcdeg"), "").await, Some(403));
    assert!(stand.upstream.seen().is_empty());
    assert_eq!(stand.status(None, Some(KEY), "").await, Some(200));
    assert!(!stand.upstream.seen()[0].headers.contains_key("slackwater-key"));
}

/// Turned red by: a connection that is served in the clear, too.
#[tokio::test(start_paused = true)]
async fn in_the_clear_nobody_is_heard() {
    let stand = stand(CERTIFIED);
    assert!(stand.proxy.bot().call("auth.test").try_send().await.is_err());
    assert!(stand.upstream.seen().is_empty());
}

/// Without TLS a key is enough, and what is refused says what is missing.
#[tokio::test(start_paused = true)]
async fn a_key_needs_no_certificate() {
    let upstream = Scripted::new(|_| async { json(200, r#"{"ok":true}"#) });
    let file = format!("allow: [ {{ caller: cleanup, key: {KEY} }} ]");
    let proxy = Proxy::configured(&file, &upstream);
    let answer = proxy.bot().call("auth.test").send().await;
    assert_eq!(answer.status, 403);
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(text.contains("caller_not_allowed") && text.contains("Slackwater-Key"), "{text}");
    let answer = proxy.bot().call("auth.test").header("slackwater-key", KEY).send().await;
    assert_eq!(answer.status, 200);
}

/// Turned red by: connections that are secured as they were at the start.
#[tokio::test(start_paused = true)]
async fn a_reload_changes_whose_certificates_are_taken() {
    let stand = stand(CERTIFIED);
    let others = Authority::named("others");
    let (before, after) = (stand.bots.pair("reports.bots"), others.pair("reports.bots"));
    assert_eq!(stand.status(Some(&before), None, "").await, Some(200));
    let own = stand.bots.pair(NAME);
    let machine = Machine::trusting(&others).file("own.pem", &own.pem).file("own.key", &own.key);
    stand.proxy.reload_on(&machine, CERTIFIED).unwrap();
    assert_eq!(stand.status(Some(&after), None, "").await, Some(200));
    assert_eq!(stand.status(Some(&before), None, "").await, None);
}

/// Turned red by: a gate that stays as it was at the start.
#[tokio::test(start_paused = true)]
async fn a_reload_changes_who_is_let_in() {
    let upstream = Scripted::new(|_| async { json(200, r#"{"ok":true}"#) });
    let proxy = Proxy::configured("", &upstream);
    assert_eq!(proxy.bot().call("auth.test").send().await.status, 200);
    proxy.reload(&format!("allow: [ {{ caller: cleanup, key: {KEY} }} ]")).unwrap();
    assert_eq!(proxy.bot().call("auth.test").send().await.status, 403);
}
