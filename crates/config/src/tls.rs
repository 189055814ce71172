//! `tls`: whom connections to upstreams trust, and which HTTP they offer to speak.

use std::{path::Path, sync::Arc};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use yaml::{Cursor, Report};

use super::outside::Outside;

/// How connections to upstreams are secured.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Where the roots come from.
    pub roots: Roots,
    /// How many certificates the operator added to them.
    pub own: usize,
    /// All certificates that are trusted, the operator's included.
    pub trusted: Arc<RootCertStore>,
    /// Whether HTTP/2 is offered.
    pub http2: bool,
}

/// Where roots come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roots {
    /// Mozilla's, compiled in.
    Bundled,
    /// The system's.
    Native,
}

/// What is said of `tls`, where anything is.
pub(super) fn read(root: Cursor<'_>, outside: &dyn Outside, report: &mut Report) -> Option<Tls> {
    let at = root.get("tls")?;
    let mut tls = Tls::default();
    let mut trusted = bundled();
    if let Some(at) = at.get("roots") {
        let words = [("bundled", Roots::Bundled), ("native", Roots::Native)];
        tls.roots = at.read_word(&words, report).unwrap_or(Roots::Bundled);
        if tls.roots == Roots::Native {
            trusted = native(at, outside, report);
        }
    }
    if let Some(at) = at.get("ca") {
        tls.own = trust(at, &mut trusted, outside, report).unwrap_or(0);
    }
    if let Some(http2) = at.get("http2").and_then(|at| at.read_bool(report)) {
        tls.http2 = http2;
    }
    tls.trusted = Arc::new(trusted);
    Some(tls)
}

fn bundled() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

fn native(at: Cursor<'_>, outside: &dyn Outside, report: &mut Report) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let (found, why) = outside.native_roots();
    // A system's store may hold what nobody can read any more.
    roots.add_parsable_certificates(found);
    if roots.is_empty() {
        let why = why.map_or_else(String::new, |why| format!(" ({why})"));
        let text = format!(
            "finds no certificates of the system's{why}; install them (on Debian the package \
             ca-certificates), name them in SSL_CERT_FILE or SSL_CERT_DIR, or write bundled"
        );
        report.add_absent(at, text);
    }
    roots
}

const ADVICE: &str = "name a PEM file with BEGIN CERTIFICATE in it";

/// Adds the certificates of a file, and tells how many.
pub(super) fn trust(
    at: Cursor<'_>,
    roots: &mut RootCertStore,
    outside: &dyn Outside,
    report: &mut Report,
) -> Option<usize> {
    let certificates = certificates(at, outside, report)?;
    let own = certificates.len();
    let added = certificates.into_iter().enumerate().try_for_each(|(before, it)| {
        roots.add(it).map_err(|error| {
            let number = before + 1;
            format!("has a certificate {number} that is none ({error}); {ADVICE}")
        })
    });
    added.map_err(|wrong| report.add(at, wrong)).ok().map(|()| own)
}

/// The certificates of a file.
pub(super) fn certificates(
    at: Cursor<'_>,
    outside: &dyn Outside,
    report: &mut Report,
) -> Option<Vec<CertificateDer<'static>>> {
    let wrong = match outside.file(Path::new(at.text()?)) {
        Err(error) => {
            report.add_absent(at, format!("cannot be read ({error}); {ADVICE}"));
            return None;
        }
        Ok(bytes) => match parse(&bytes) {
            Err(number) => format!("has damage in or after its certificate {number}; {ADVICE}"),
            Ok(certificates) if certificates.is_empty() => {
                format!("holds no certificate; {ADVICE}")
            }
            Ok(certificates) => return Some(certificates),
        },
    };
    report.add(at, wrong);
    None
}

/// The certificates of a PEM file, or the number of the one that cannot be read.
fn parse(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, usize> {
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        certificates.push(certificate.map_err(|_| certificates.len() + 1)?);
    }
    Ok(certificates)
}

// === impl Tls ===

impl Default for Tls {
    fn default() -> Self {
        Self { roots: Roots::Bundled, own: 0, trusted: Arc::new(bundled()), http2: false }
    }
}

// === impl Roots ===

impl Roots {
    /// The name in configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bundled => "bundled",
            Self::Native => "native",
        }
    }
}
