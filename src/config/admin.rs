//! `admin.token` and `admin.hosts`: who may change what while it runs, and by which names the
//! operators' listener is called.

use std::{fmt, sync::Arc};

use aws_lc_rs::{constant_time, digest};

use crate::yaml::{Cursor, Form, Report};

/// What a change is proved with. Only a hash of it is kept.
#[derive(Clone)]
pub struct AdminToken {
    hash: Arc<[u8]>,
}

/// So many characters a token has at least: fewer are guessed.
const SHORTEST: usize = 16;

/// The token, if there is one.
pub(super) fn token(root: Cursor<'_>, report: &mut Report) -> Option<AdminToken> {
    let at = root.get("admin")?.get("token").filter(|at| at.form() == Form::Value)?;
    let text = at.text()?;
    // Messages do not repeat it.
    let wrong = if text.len() < SHORTEST {
        "is too short; write 16 characters or more, as `openssl rand -hex 16` makes them"
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        "has a character that no header can have; write printable ASCII without spaces"
    } else {
        return Some(AdminToken::of(text));
    };
    report.add(at, wrong);
    None
}

/// The names.
pub(super) fn hosts(root: Cursor<'_>, report: &mut Report) -> Vec<Arc<str>> {
    let list = root.get("admin").and_then(|admin| admin.get("hosts"));
    let mut hosts = Vec::new();
    for at in list.into_iter().flat_map(Cursor::items) {
        let Some(name) = at.text() else { continue };
        if is_name(name) {
            hosts.push(Arc::from(name));
        } else {
            let text = "is no name of a host; write one as in slackwater.example, without scheme \
                        and port";
            report.add(at, format!("{} {text}", at.quoted()));
        }
    }
    hosts
}

fn is_name(name: &str) -> bool {
    let fits = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    name.len() <= 253 && name.split('.').all(fits)
}

// === impl AdminToken ===

impl AdminToken {
    /// That token.
    pub fn of(text: &str) -> Self {
        Self { hash: digest::digest(&digest::SHA256, text.as_bytes()).as_ref().into() }
    }

    /// Whether it is that one.
    pub fn is(&self, text: &str) -> bool {
        *self == Self::of(text)
    }
}

/// Takes as long whatever is right of it.
impl PartialEq for AdminToken {
    fn eq(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.hash, &other.hash).is_ok()
    }
}

impl Eq for AdminToken {}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken")
    }
}
