//! The thin part: reads the file and the environment, and hands both to the check.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::{Config, check};
use crate::yaml::{MAX_BYTES, Problems};

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

/// Loads the file at `path`, else the one that [`CONFIG_ENV`] names, else the defaults.
///
/// # Errors
/// [`LoadError`]: the file cannot be read, or everything that is wrong with it.
pub fn load(path: Option<&Path>) -> Result<Config, LoadError> {
    let from_env = environment(CONFIG_ENV).filter(|path| !path.is_empty());
    let Some(path) = path.map(Path::to_owned).or(from_env.map(PathBuf::from)) else {
        return check("", "defaults", environment).map_err(LoadError::Problems);
    };
    let text = read(&path).map_err(|source| LoadError::Read { path: path.clone(), source })?;
    check(&text, &path.to_string_lossy(), environment).map_err(LoadError::Problems)
}

/// A variable of the process's environment, if it is set and Unicode.
#[expect(clippy::disallowed_methods, reason = "this is the place that reads the environment")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
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
