//! The way through an HTTP proxy that answers as a test says.

use std::sync::Mutex;

use super::*;

/// A proxy with one answer to CONNECT, and what it heard.
#[derive(Clone)]
struct Middle {
    says: &'static [u8],
    heard: Arc<Mutex<String>>,
}

const PROXY: &str = "http://us%65r:p%40ss@proxy.test:3128";
const TUNNEL: &[u8] = b"HTTP/1.1 200 Connection established\r\nx: y\r\n\r\n";

// === impl Middle ===

impl Middle {
    fn new(says: &'static [u8]) -> Self {
        Self { says, heard: Arc::default() }
    }

    /// The way through it to an upstream. The proxy's name is the only one that can be reached.
    fn before(&self, upstream: &Scripted, config: &Arc<ServerConfig>) -> Wire {
        let (middle, upstream, config) = (self.clone(), upstream.clone(), Arc::clone(config));
        Wire::new(move |url| {
            assert_eq!(url.to_string(), "http://proxy.test:3128/");
            let (client, mut server) = pipe();
            let (middle, config) = (middle.clone(), Arc::clone(&config));
            let behind = upstream.clone();
            upstream.spawn(async move {
                let mut byte = [0];
                while !middle.heard.lock().unwrap().ends_with("\r\n\r\n") {
                    server.read_exact(&mut byte).await.unwrap();
                    middle.heard.lock().unwrap().push(byte[0].into());
                }
                server.write_all(middle.says).await.unwrap();
                if middle.says == TUNNEL {
                    behind.serve_tls(server, config).await;
                } else if middle.says.is_empty() {
                    std::future::pending::<()>().await;
                }
            });
            Ok(client)
        })
    }
}

/// Turned red by: a proxy that is passed by; a name that is resolved here; credentials that are
/// not sent, or not decoded.
#[tokio::test(start_paused = true)]
async fn a_call_goes_through_the_tunnel_of_a_proxy() {
    let authority = Authority::named("Ours");
    let config = authority.server("slack.com", BOTH);
    let machine = || Machine::trusting(&authority);
    for (machine, file) in [
        (machine().variable("HTTPS_PROXY", PROXY), OWN_CA),
        (machine().variable("https_proxy", PROXY).variable("HTTP_PROXY", "x"), HTTP2),
        (
            machine().variable("ALL_PROXY", PROXY).variable("NO_PROXY", "example.com, 10.0.0.0/8"),
            OWN_CA,
        ),
        (machine(), "proxy: 'http://user:p%40ss@proxy.test:3128'\ntls: { ca: ca.pem }"),
        (
            machine().variable("NO_PROXY", "*"),
            "proxy: user:p%40ss@proxy.test:3128\ntls: { ca: ca.pem }",
        ),
    ] {
        let (upstream, middle) = (ok(), Middle::new(TUNNEL));
        let proxy = Proxy::on(&machine, file, middle.before(&upstream, &config));
        let bot = proxy.bot();
        for _ in 0..2 {
            assert!(bot.call("auth.test").form("a=1").send().await.is_ok(), "{file}");
        }
        let heard = middle.heard.lock().unwrap();
        assert!(heard.starts_with("CONNECT slack.com:443 HTTP/1.1\r\n"), "{heard}");
        let heard = heard.to_lowercase();
        assert!(heard.contains("\r\nhost: slack.com:443\r\n"), "{heard}");
        // user:p@ss
        assert!(heard.contains("\r\nproxy-authorization: basic dxnlcjpwqhnz\r\n"), "{heard}");
        let seen = &upstream.seen();
        assert_eq!((seen.len(), &*seen[0].body), (2, &b"a=1"[..]));
        assert!(!seen[0].headers.contains_key("proxy-authorization"));
    }
}

/// Turned red by: a proxy that is asked although it need not be.
#[tokio::test(start_paused = true)]
async fn what_needs_no_proxy_goes_straight() {
    let authority = Authority::named("Ours");
    let config = authority.server("slack.com", BOTH);
    let plain = "upstreams: [{ prefix: /api/, url: http://127.0.0.1:9/api/, kind: web_api }]";
    for (name, value, file) in [
        ("NO_PROXY", "slack.com", OWN_CA),
        ("no_proxy", " .COM ,x", OWN_CA),
        ("NO_PROXY", "*", OWN_CA),
        ("NO_PROXY", "*.com", OWN_CA),
        ("ALL_PROXY", PROXY, "proxy: null\ntls: { ca: ca.pem }"),
        ("ALL_PROXY", PROXY, plain),
    ] {
        let machine =
            Machine::trusting(&authority).variable("HTTPS_PROXY", PROXY).variable(name, value);
        let upstream = ok();
        let wire = if file == plain { (&upstream).into() } else { tls(&upstream, &config).0 };
        let proxy = Proxy::on(&machine, file, wire);
        assert!(proxy.bot().call("auth.test").send().await.is_ok(), "{name}={value} {file}");
    }
}

/// A proxy that refuses is told from an upstream that is down, and nothing was sent.
///
/// Turned red by: an error without the proxy's name; a slot that stays taken.
#[tokio::test(start_paused = true)]
async fn a_proxy_that_makes_no_tunnel_is_named() {
    let authority = Authority::named("Ours");
    let config = authority.server("slack.com", BOTH);
    let hints: [(&[u8], &str); 8] = [
        (
            b"HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\n\r\n",
            "(407): put the right ones into its URL",
        ),
        (
            b"HTTP/1.1 403 Forbidden\r\ncontent-length: 3\r\n\r\nno!",
            "refused a tunnel to slack.com:443 with status 403",
        ),
        (b"HTTP/1.0 502 Bad Gateway\r\n\r\n", "refused a tunnel to slack.com:443 with status 502"),
        (b"HTTP/1.1 301 Moved\r\nlocation: http://login.test/\r\n\r\n", "with status 301"),
        (b"SSH-2.0-nonsense\r\n\r\n", "made no tunnel to slack.com:443"),
        (b"HTTP/1.1 200 OK\r\n\r\nHello", "it said more than it was asked"),
        (b"HTTP/1.1 2", "made no tunnel to slack.com:443"),
        (b"", "no connection within 5s through the proxy"),
    ];
    for (says, hint) in hints {
        let (upstream, middle) = (ok(), Middle::new(says));
        let machine = Machine::trusting(&authority).variable("HTTPS_PROXY", PROXY);
        let proxy = Proxy::on(&machine, OWN_CA, middle.before(&upstream, &config));
        let answer = proxy.bot().call(RARE).send().await;
        assert_eq!((answer.status, &answer.json()["error"]), (502, &"upstream_unreachable".into()));
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(
            message.contains(hint) && message.contains("the proxy http://proxy.test:3128"),
            "{message}"
        );
        for secret in ["p@ss", "p%40ss", "us%65r", "dXNlcjpwQHNz"] {
            assert!(!message.contains(secret), "{message}");
        }
        assert!(proxy.status().buckets.iter().all(|bucket| bucket.used == 0));
        assert_eq!(upstream.seen().len(), 0);
        if says.is_empty() {
            assert_near(answer.took, secs(8));
        }
    }
}

/// A proxy for http is told the whole URL, and who asks, with each request.
///
/// Turned red by: a path alone; credentials left out.
#[tokio::test(start_paused = true)]
async fn an_upstream_without_tls_is_asked_for_by_its_whole_url() {
    let upstream = ok();
    let file = "upstreams: [{ prefix: /api/, url: http://slack.test/api/, kind: web_api }]";
    let machine = Machine::default().variable("http_proxy", PROXY).variable("HTTPS_PROXY", "x");
    let proxy = Proxy::on(&machine, file, Wire::from(&upstream));
    let asked = proxy.bot().call("auth.test").header("proxy-authorization", "Basic forged");
    assert!(asked.send().await.is_ok());
    let seen = &upstream.seen()[0];
    assert_eq!(seen.path, "http://slack.test/api/auth.test");
    assert_eq!(seen.headers["proxy-authorization"], "Basic dXNlcjpwQHNz");
    assert_eq!(seen.headers["host"], "slack.test");
}
