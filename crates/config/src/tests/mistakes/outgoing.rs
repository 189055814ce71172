//! `tls` and `proxy`: files of certificates, and variables that name proxies.

use std::{io, path::Path};

use super::*;
use crate::Outside;

/// A machine with one file and these variables.
struct Machine<'a>(&'a str, &'a [(&'a str, &'a str)]);

impl Outside for Machine<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.1.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let there = path == Path::new("ca.pem");
        there.then(|| self.0.as_bytes().to_vec()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn on(machine: &Machine<'_>, text: &str) -> Result<Config, String> {
    check_on(machine, text, "f.yaml").map_err(|problems| problems.to_string())
}

fn certificate() -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    rcgen::CertificateParams::default().self_signed(&key).unwrap().pem()
}

#[test]
fn a_file_of_certificates() {
    const ADVICE: &str = "name a PEM file with BEGIN CERTIFICATE in it";
    let good = certificate();
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let cut = good.replace("-----END CERTIFICATE-----", "");
    let not_one = good.lines().next().unwrap().to_owned() + "\nAAAA\n-----END CERTIFICATE-----\n";
    for (file, text, wrong) in [
        ("", "tls: { ca: other.pem }", "1:12: tls.ca: cannot be read (entity not found)"),
        ("", "tls: { ca: ca.pem }", "1:12: tls.ca: holds no certificate"),
        ("garbage", "tls: { ca: ca.pem }", "1:12: tls.ca: holds no certificate"),
        (&*key, "tls: { ca: ca.pem }", "1:12: tls.ca: holds no certificate"),
        (
            &*format!("{good}{cut}"),
            "tls: { ca: ca.pem }",
            "1:12: tls.ca: has damage in or after its certificate 2",
        ),
        (
            &*not_one,
            "tls: { ca: ca.pem }",
            "1:12: tls.ca: has a certificate 1 that is none (invalid peer certificate: BadEncoding)",
        ),
    ] {
        let said = on(&Machine(file, &[]), text).unwrap_err();
        assert_eq!(said, format!("f.yaml:{wrong}; {ADVICE}"), "{file}");
    }
    let both = format!("a comment\n{good}{good}");
    let tls = on(&Machine(&both, &[]), "tls: { ca: ca.pem, http2: true }").unwrap().tls;
    assert_eq!((tls.own, tls.http2, tls.roots), (2, true, Roots::Bundled));
    let bundled = webpki_roots::TLS_SERVER_ROOTS.len();
    assert_eq!(tls.trusted.len(), bundled + 2);
    assert_eq!(checked("tls: { ca: null, roots: bundled }").tls.trusted.len(), bundled);
    expect(&[
        (
            "tls: { roots: native }",
            &[
                "1:15: tls.roots: finds no certificates of the system's; install them (on Debian the package ca-certificates), name them in SSL_CERT_FILE or SSL_CERT_DIR, or write bundled",
            ],
        ),
        (
            "tls: { roots: mozilla, http2: yes }",
            &[
                "1:15: tls.roots: \"mozilla\" is none of bundled, native; write one of them",
                "1:31: tls.http2: \"yes\" is none of true, false; write one of them",
            ],
        ),
        ("tls: { ca: [a.pem] }", &["1:8: tls.ca: is a list; write a single value"]),
    ]);
}

#[test]
fn a_proxy_that_cannot_be_used() {
    const URL: &str =
        "is no URL of a proxy, or has a character that needs encoding, as %40 for an @";
    const KIND: &str = "names a proxy of a kind that is not spoken here, which is http only";
    const FORM: &str = "write it as in http://proxy.example:3128";
    for (value, wrong) in [
        ("socks5://proxy:1080", KIND),
        ("https://user:s3cr3t@proxy:443", KIND),
        ("http://user:s3cr3t@x@proxy:3128", URL),
        ("http://user:s3c r3t@proxy", URL),
        ("http://user:s3#cr3t@proxy:3128", URL),
        ("http://proxy:port", URL),
        ("http://proxy:99999", URL),
        ("http://", URL),
        ("http:///x", URL),
        ("auto ", URL),
        ("''", URL),
    ] {
        let said = problems(&format!("proxy: {value}"));
        if value == "auto " {
            assert_eq!(said, "");
            continue;
        }
        assert_eq!(
            said,
            format!("f.yaml:1:8: proxy: {wrong}; {FORM}, or auto, or null"),
            "{value}"
        );
        if value == "''" {
            continue;
        }
        let said = on(&Machine("", &[("HTTPS_PROXY", value)]), "").unwrap_err();
        let remedy = format!("{FORM}, put slack.com into NO_PROXY, or set proxy to null");
        assert_eq!(said, format!("HTTPS_PROXY: {wrong}; {remedy}"), "{value}");
        // Nobody needs it, so nobody minds.
        for quiet in [
            [("HTTPS_PROXY", value), ("NO_PROXY", "x, slack.com")],
            [("HTTP_PROXY", value), ("ALL_PROXY", "")],
            [("ALL_PROXY", value), ("https_proxy", "proxy")],
        ] {
            assert!(on(&Machine("", &quiet), "").is_ok(), "{quiet:?}");
        }
        assert!(on(&Machine("", &[("HTTPS_PROXY", value)]), "proxy: null").is_ok());
    }
}

#[test]
fn a_proxys_password_is_not_shown() {
    let machine = Machine("", &[("HTTPS_PROXY", "http://user:s3cr3t@proxy:3128")]);
    let config = on(&machine, "").unwrap();
    let proxy = config.proxies.of(&config.upstreams[0].url).unwrap();
    assert_eq!(Proxies::name(&proxy), "http://proxy:3128");
    let shown = format!("{config:?} {proxy:?}");
    assert!(shown.contains("proxy:3128") && !shown.contains("s3cr3t"), "{shown}");
    assert!(!shown.contains("dXNlcjpzM2NyM3Q"), "{shown}");
    let explicit = checked("proxy: 'http://user:${SECRET}@proxy'");
    assert!(!format!("{explicit:?}").contains("s3cr3t"));
    assert_eq!(problems("proxy: 'ftp://user:${SECRET}@proxy'").matches("s3cr3t").count(), 0);
}
