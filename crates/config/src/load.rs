//! The thin part: reads the file and the environment, and hands both to the check.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use rustls::pki_types::CertificateDer;
use yaml::{MAX_BYTES, Problems};

use super::{Config, Outside, check_on, manifest};

/// The path of the file, where none is given.
pub const CONFIG_ENV: &str = "SLACKWATER_CONFIG";

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is read and wrong.
    #[error("the configuration is not right\n{0}")]
    Problems(Problems),
}

/// A configuration that was looked at, and not for this process.
#[derive(Debug)]
pub struct Inspected {
    /// The file, and the `ConfigMap` in it unless places are those of the file.
    pub name: String,
    /// Whether it is for another machine, so that the files and variables that it names were not looked for.
    pub elsewhere: bool,
    /// What it says, or everything that is wrong with it. One for another machine lacks what that has.
    pub config: Result<Config, Problems>,
}

/// The machine itself.
struct Machine;

/// Another one, of which nothing is known.
struct Elsewhere;

/// The longest file of certificates.
pub const MAX_CERTIFICATES: u64 = 16 << 20;

/// Loads the file again, which must be one: a pipe would keep whoever reads it for as long as nobody writes.
///
/// # Errors
/// As [`load`].
pub fn load_again(path: Option<&Path>) -> Result<Config, LoadError> {
    if let Some(path) = file_of(path) {
        is_file(&path).map_err(|source| LoadError::Read { path, source })?;
    }
    load(path)
}

/// Loads the file at `path`, else the one that [`CONFIG_ENV`] names, else the defaults.
///
/// # Errors
/// [`LoadError`]: the file cannot be read, or everything that is wrong with it.
pub fn load(path: Option<&Path>) -> Result<Config, LoadError> {
    let Some(path) = file_of(path) else {
        return check_on(&Machine, "", "defaults").map_err(LoadError::Problems);
    };
    let text = read(&path).map_err(|source| LoadError::Read { path: path.clone(), source })?;
    check_on(&Machine, &text, &path.to_string_lossy()).map_err(LoadError::Problems)
}

/// Looks at the file at `path`, or at each configuration that its `ConfigMap`s hold; at none if they hold none.
/// Those are for another machine, and so is the file if it is `elsewhere`.
///
/// # Errors
/// If the file cannot be read.
pub fn inspect(path: &Path, elsewhere: bool) -> Result<Vec<Inspected>, LoadError> {
    let text = read(path).map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
    let file = path.to_string_lossy();
    let inspected = |name: String, text: &str, elsewhere: bool| {
        let machine: &dyn Outside = if elsewhere { &Elsewhere } else { &Machine };
        Inspected { config: check_on(machine, text, &name), name, elsewhere }
    };
    let Some(found) = manifest::embedded(&text) else {
        return Ok(vec![inspected(file.into_owned(), &text, elsewhere)]);
    };
    let in_manifests = found.into_iter().map(|found| {
        let name =
            if found.in_place { file.to_string() } else { format!("{file} ({})", found.name) };
        inspected(name, &found.text, true)
    });
    Ok(in_manifests.collect())
}

/// The file at `path`, else the one that [`CONFIG_ENV`] names, if there is one.
pub fn file_of(path: Option<&Path>) -> Option<PathBuf> {
    let from_env = || environment(CONFIG_ENV).filter(|path| !path.is_empty()).map(PathBuf::from);
    path.map(Path::to_owned).or_else(from_env)
}

/// A variable of the process's environment, if it is set and Unicode.
#[expect(clippy::disallowed_methods, reason = "this is the place that reads the environment")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// An error for what is no regular file.
fn is_file(path: &Path) -> io::Result<()> {
    let text = "it is no regular file";
    let is_file = fs::metadata(path)?.is_file();
    is_file.then_some(()).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, text))
}

/// The file's text, as far as the check needs it to see that it is too long.
fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    let most = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_BYTES {
        // Cut, perhaps within a character; nobody reads it.
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        io::Error::new(io::ErrorKind::InvalidData, format!("line {line} is not UTF-8"))
    })
}

// === impl Machine ===

impl Outside for Machine {
    fn variable(&self, name: &str) -> Option<String> {
        environment(name)
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        is_file(path)?;
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_CERTIFICATES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_CERTIFICATES {
            let text = "it is longer than 16 MiB";
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        Ok(bytes)
    }

    /// Honours `SSL_CERT_FILE` and `SSL_CERT_DIR`, as OpenSSL does.
    fn native_roots(&self) -> (Vec<CertificateDer<'static>>, Option<String>) {
        let found = rustls_native_certs::load_native_certs();
        (found.certs, found.errors.first().map(ToString::to_string))
    }
}

// === impl Elsewhere ===

impl Outside for Elsewhere {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn is_elsewhere(&self) -> bool {
        true
    }
}
