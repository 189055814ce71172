//! `listen_tls` and `allow`: how the connections of bots are secured, and who may call.

use std::{fmt, path::Path, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use slack::read::missing;
use yaml::{Cursor, Form, Report};

use super::{Glob, Secret, outside::Outside, tls};
use crate::CallerName;

/// How the connections of bots are secured. Prints nothing: it has the private key.
#[derive(Clone)]
pub struct ListenTls {
    /// What the listener is.
    pub server: Arc<ServerConfig>,
    /// The certificate that it shows.
    pub certificate: CertificateDer<'static>,
}

/// Who may call.
#[derive(Clone, Debug)]
pub struct Allowed {
    /// How it is called, whatever it says; else by the name in its certificate.
    pub caller: Option<CallerName>,
    /// What it proves that with.
    pub proof: Proof,
}

/// What a caller proves with who it is.
#[derive(Clone, Debug)]
pub enum Proof {
    /// A certificate with a name like this.
    Certificate(Glob),
    /// A key in a header.
    Key(Secret),
}

/// What the listener offers to speak.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What is said of `listen_tls` and `allow`.
pub(super) fn read(
    root: Cursor<'_>,
    outside: &dyn Outside,
    report: &mut Report,
) -> (Option<ListenTls>, Vec<Allowed>) {
    let at = root.get("listen_tls");
    let said = |key| at.and_then(|at| at.get(key)).filter(|at| at.form() == Form::Value);
    let [cert, key, client_ca] = ["cert", "key", "client_ca"].map(said);
    let at = at.filter(|_| cert.or(key).or(client_ca).is_some());
    let allow: Vec<_> = root
        .get("allow")
        .into_iter()
        .flat_map(Cursor::items)
        .filter_map(|entry| allowed(entry, client_ca.is_some(), report))
        .collect();
    let by_key = allow.iter().any(|allowed| matches!(allowed.proof, Proof::Key(_)));
    let listen_tls = at.and_then(|at| {
        let cert = cert.or_else(|| missing(at, "cert", "/etc/slackwater/tls.crt", report));
        let key = key.or_else(|| missing(at, "key", "/etc/slackwater/tls.key", report));
        let chain = cert.and_then(|at| tls::certificates(at, outside, report));
        let secret = key.and_then(|at| private_key(at, outside, report));
        let clients = client_ca.map(|at| verifier(at, by_key, outside, report));
        // Whoever has to show a certificate must not be let in without.
        let clients = clients.map_or(Some(None), |clients| clients.map(Some))?;
        let (chain, secret) = (chain?, secret?);
        let certificate = chain.first()?.clone();
        let made = server(chain, secret, clients);
        let server = made.map_err(|wrong| report.add(key.unwrap_or(at), wrong)).ok()?;
        Some(ListenTls { server: Arc::new(server), certificate })
    });
    (listen_tls, allow)
}

fn allowed(entry: Cursor<'_>, asks: bool, report: &mut Report) -> Option<Allowed> {
    let caller = entry.get("caller").map(|at| {
        let name = at.text().and_then(|name| CallerName::new(name).ok());
        if name.is_none() {
            let text = "is no caller's name; write 1 to 64 printable characters, and no token";
            report.add(at, format!("{} {text}", at.quoted()));
        }
        name
    });
    let proof = match (entry.get("certificate"), entry.get("key")) {
        (Some(at), None) => {
            if !asks {
                let text = "no caller is asked for a certificate; name in listen_tls.client_ca who \
                            signs theirs";
                report.add(at, text);
            }
            let glob = Glob::parse(at.text()?);
            let glob = glob.map_err(|error| report.add(at, format!("{} {error}", at.quoted())));
            Proof::Certificate(glob.ok()?)
        }
        (None, Some(at)) => {
            if caller.is_none() {
                missing::<()>(entry, "caller", "cleanup", report);
            }
            Proof::Key(Secret::read(at, report)?)
        }
        (Some(_), Some(at)) => {
            report.add(at, "stands beside a certificate; make two entries of them");
            return None;
        }
        (None, None) => {
            let text = "lets nobody in; add certificate, a name in the caller's certificate, or \
                        key, what it sends in Slackwater-Key";
            report.add(entry, text);
            return None;
        }
    };
    // A name that is there and wrong makes all of it wrong.
    Some(Allowed { caller: caller.map_or(Some(None), |name| name.map(Some))?, proof })
}

/// What the listener is, or what is wrong with the key.
fn server(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<ServerConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let made = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            let builder = match clients {
                Some(clients) => builder.with_client_cert_verifier(clients),
                None => builder.with_no_client_auth(),
            };
            builder.with_single_cert(chain, key)
        });
    let mut server = made.map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            "is not the key of the first certificate in listen_tls.cert".to_owned()
        }
        error => format!("makes no server with listen_tls.cert ({error})"),
    })?;
    server.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
    Ok(server)
}

/// Messages do not repeat what stands in the file.
fn private_key(
    at: Cursor<'_>,
    outside: &dyn Outside,
    report: &mut Report,
) -> Option<PrivateKeyDer<'static>> {
    let wrong: String = match outside.file(Path::new(at.text()?)) {
        Ok(bytes) => match PrivateKeyDer::from_pem_slice(&bytes) {
            Ok(key) => return Some(key),
            Err(_) => "holds no private key; name a PEM file with BEGIN PRIVATE KEY in it".into(),
        },
        Err(error) => {
            let text = format!("cannot be read ({error}); name the PEM file of the private key");
            report.add_absent(at, text);
            return None;
        }
    };
    report.add(at, wrong);
    None
}

/// Callers that prove themselves by a key have no certificate.
fn verifier(
    at: Cursor<'_>,
    by_key: bool,
    outside: &dyn Outside,
    report: &mut Report,
) -> Option<Arc<dyn ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    tls::trust(at, &mut roots, outside, report)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = if by_key { builder.allow_unauthenticated() } else { builder };
    let built = builder.build();
    built.map_err(|error| report.add(at, format!("signs no certificates ({error})"))).ok()
}

// === impl ListenTls ===

impl fmt::Debug for ListenTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenTls").finish_non_exhaustive()
    }
}
