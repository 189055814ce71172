//! `listen_tls` and `allow`: files of certificates and keys, and who is named by what.

use std::{collections::HashMap, io, path::Path};

use rcgen::{CertificateParams, KeyPair};

use super::*;
use crate::Outside;

/// A machine with these files.
struct Machine(HashMap<&'static str, String>);

impl Outside for Machine {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = path.to_str().and_then(|path| self.0.get(path));
        file.map(|text| text.clone().into_bytes()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// What is wrong with `listen_tls` and `allow`, without the file's name.
fn wrong(machine: &Machine, text: &str) -> Vec<String> {
    let found = check_on(machine, text, "f.yaml").map_err(|problems| problems.to_string());
    let found = found.err().unwrap_or_default();
    found.lines().map(|line| line.strip_prefix("f.yaml:").unwrap_or(line).to_owned()).collect()
}

fn machine() -> Machine {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["a.bots".to_owned()]).unwrap().self_signed(&key);
    Machine(HashMap::from([
        ("crt", certificate.unwrap().pem()),
        ("key", key.serialize_pem()),
        ("other.key", KeyPair::generate().unwrap().serialize_pem()),
        ("empty", String::new()),
    ]))
}

#[test]
fn a_listener_needs_a_certificate_and_its_key() {
    const PEM: &str = "name a PEM file with BEGIN CERTIFICATE in it";
    let machine = machine();
    for (tls, expected) in [
        ("{ cert: crt, key: key }", &[] as &[&str]),
        ("{ cert: crt, key: key, client_ca: crt }", &[]),
        ("{ cert: null, key: null, client_ca: null }", &[]),
        (
            "{ cert: crt }",
            &["1:1: listen_tls: has no key; add one, as in `key: /etc/slackwater/tls.key`"],
        ),
        (
            "{ key: key }",
            &["1:1: listen_tls: has no cert; add one, as in `cert: /etc/slackwater/tls.crt`"],
        ),
        (
            "{ cert: none, key: none }",
            &[
                &format!("1:21: listen_tls.cert: cannot be read (entity not found); {PEM}"),
                "1:32: listen_tls.key: cannot be read (entity not found); name the PEM file of the private key",
            ],
        ),
        (
            "{ cert: crt, key: crt }",
            &[
                "1:31: listen_tls.key: holds no private key; name a PEM file with BEGIN PRIVATE KEY in it",
            ],
        ),
        (
            "{ cert: crt, key: other.key }",
            &["1:31: listen_tls.key: is not the key of the first certificate in listen_tls.cert"],
        ),
        (
            "{ cert: crt, key: key, client_ca: empty }",
            &[&format!("1:47: listen_tls.client_ca: holds no certificate; {PEM}")],
        ),
    ] {
        assert_eq!(wrong(&machine, &format!("listen_tls: {tls}")), expected, "{tls}");
    }
}

#[test]
fn who_is_let_in_has_one_proof_and_a_name() {
    let machine = machine();
    let secured = "listen_tls: { cert: crt, key: key, client_ca: crt }\n";
    for (before, entry, expected) in [
        (secured, "certificate: '*.bots'", &[] as &[&str]),
        ("", "caller: a, key: 0123456789abcdef", &[]),
        (
            "",
            "certificate: a.bots",
            &["allow[0].certificate: no caller is asked for a certificate; name in \
               listen_tls.client_ca who signs theirs"],
        ),
        (
            "",
            "key: 0123456789abcdef",
            &["allow[0]: has no caller; add one, as in `caller: cleanup`"],
        ),
        (
            "",
            "caller: a, key: short",
            &[
                "allow[0].key: is too short; write 16 characters or more, as `openssl rand -hex 16` \
               makes them",
            ],
        ),
        (
            "",
            "caller: a",
            &[
                "allow[0]: lets nobody in; add certificate, a name in the caller's certificate, or key, \
               what it sends in Slackwater-Key",
            ],
        ),
        (
            secured,
            "caller: a, certificate: a.bots, key: 0123456789abcdef",
            &["allow[0].key: stands beside a certificate; make two entries of them"],
        ),
        (
            secured,
            "caller: '', certificate: a.bots",
            &[
                "allow[0].caller: \"\" is no caller's name; write 1 to 64 printable characters, and no token",
            ],
        ),
        (
            secured,
            "caller: xoxb-s3cr3t, certificate: a.bots",
            &[
                "allow[0].caller: what looks like a token is no caller's name; write 1 to 64 printable characters, and no token",
            ],
        ),
    ] {
        let found = wrong(&machine, &format!("{before}allow: [ {{ {entry} }} ]"));
        // Without the place.
        let found: Vec<_> = found.iter().filter_map(|line| line.splitn(3, ':').nth(2)).collect();
        let found: Vec<_> = found.iter().map(|line| line.trim_start()).collect();
        assert_eq!(found, expected, "{entry}");
    }
}
