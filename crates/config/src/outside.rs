//! What a check asks of the machine it runs on. Tests answer for themselves.

use std::{io, path::Path};

use rustls::pki_types::CertificateDer;

/// Answers for the machine.
///
/// A closure answers for the environment alone: then there are no files and no roots.
pub trait Outside {
    /// A variable of the environment, if it is set.
    fn variable(&self, name: &str) -> Option<String>;

    /// What a file holds.
    ///
    /// # Errors
    /// If it cannot be read.
    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        Err(io::Error::new(io::ErrorKind::NotFound, path.display().to_string()))
    }

    /// Whether this is not the machine that the configuration is for: then what it has not is no problem.
    fn is_elsewhere(&self) -> bool {
        false
    }

    /// The certificates that the system trusts; without any, perhaps why.
    fn native_roots(&self) -> (Vec<CertificateDer<'static>>, Option<String>) {
        (Vec::new(), None)
    }
}

impl<F: Fn(&str) -> Option<String>> Outside for F {
    fn variable(&self, name: &str) -> Option<String> {
        self(name)
    }
}
