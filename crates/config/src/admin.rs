//! `admin.token` and `admin.hosts`: who may change what while it runs, and by which names the
//! operators' listener is called.

use std::sync::Arc;

use yaml::{Cursor, Form, Report};

use super::Secret;

/// The token, if there is one.
pub(super) fn token(root: Cursor<'_>, report: &mut Report) -> Option<Secret> {
    let at = root.get("admin")?.get("token").filter(|at| at.form() == Form::Value)?;
    Secret::read(at, report)
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
