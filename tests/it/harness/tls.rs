//! Certificates, and a machine that holds them.

use std::{collections::HashMap, io, path::Path, sync::Arc};

use config::Outside;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use super::Scripted;

/// Signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate.
    pub(crate) pem: String,
}

/// A certificate and its key, as files have them.
pub(crate) struct Pair {
    pub(crate) pem: String,
    pub(crate) key: String,
}

/// A machine with these variables and files.
#[derive(Default)]
pub(crate) struct Machine {
    variables: HashMap<&'static str, String>,
    files: HashMap<&'static str, String>,
}

// === impl Authority ===

impl Authority {
    /// One of that name.
    pub(crate) fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Its own certificate.
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()
    }

    /// One that it has signed, for somebody of that name.
    pub(crate) fn pair(&self, name: &str) -> Pair {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair { pem: certificate.pem(), key: key.serialize_pem() }
    }

    /// What a server of that name is, if it offers these protocols.
    pub(crate) fn server(&self, name: &str, protocols: &[&str]) -> Arc<ServerConfig> {
        self.server_with(name, protocols, |_| {})
    }

    /// The same, with a change to its certificate.
    pub(crate) fn server_with(
        &self,
        name: &str,
        protocols: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Arc<ServerConfig> {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

// === impl Pair ===

impl Pair {
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()
    }
}

// === impl Machine ===

impl Machine {
    /// One that has the authority's certificate in the file `ca.pem`.
    pub(crate) fn trusting(authority: &Authority) -> Self {
        let files = HashMap::from([("ca.pem", authority.pem.clone())]);
        Self { files, ..Self::default() }
    }

    /// With that file.
    pub(crate) fn file(mut self, name: &'static str, text: &str) -> Self {
        self.files.insert(name, text.to_owned());
        self
    }

    /// With that variable.
    pub(crate) fn variable(mut self, name: &'static str, value: &str) -> Self {
        self.variables.insert(name, value.to_owned());
        self
    }
}

impl Outside for Machine {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = path.to_str().and_then(|path| self.files.get(path));
        file.map(|text| text.clone().into_bytes()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

// === impl Scripted ===

impl Scripted {
    /// Serves a connection by TLS, and on it what both sides speak.
    pub(crate) async fn serve_tls<I>(self, io: I, config: Arc<ServerConfig>)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // A client that does not trust us is no failure.
        if let Ok(tls) = TlsAcceptor::from(config).accept(io).await {
            let h2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
            self.serve(tls, h2).await;
        }
    }
}
