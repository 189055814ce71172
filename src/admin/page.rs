//! `GET /`: the live page, its files compiled in, and what a browser may do with any answer of this
//! listener. Nothing of it comes from another host.

use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};

use super::RouterState;

/// A file of the page: its path, its type, and what is in it.
type File = (&'static str, &'static str, &'static str);

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

const FILES: [File; 15] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/page/page.css", STYLE, include_str!("page/page.css")),
    ("/page/page.js", SCRIPT, include_str!("page/page.js")),
    ("/page/bucketlist.js", SCRIPT, include_str!("page/bucketlist.js")),
    ("/page/change.js", SCRIPT, include_str!("page/change.js")),
    ("/page/fleet.js", SCRIPT, include_str!("page/fleet.js")),
    ("/page/line.js", SCRIPT, include_str!("page/line.js")),
    ("/page/plot.js", SCRIPT, include_str!("page/plot.js")),
    ("/page/rows.js", SCRIPT, include_str!("page/rows.js")),
    ("/page/tables.js", SCRIPT, include_str!("page/tables.js")),
    ("/page/words.js", SCRIPT, include_str!("page/words.js")),
    ("/page/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
    // MIT; its licence is beside it, and goes with it.
    ("/page/uPlot.iife.min.js", SCRIPT, include_str!("page/uPlot.iife.min.js")),
    ("/page/uPlot.min.css", STYLE, include_str!("page/uPlot.min.css")),
    ("/page/uPlot.LICENSE", "text/plain; charset=utf-8", include_str!("page/uPlot.LICENSE")),
];

/// Scripts, styles and answers are this listener's own, nothing stands inline, nobody frames it, and no
/// script makes markup of a text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

/// For every answer: a browser keeps none, guesses no type, and tells nobody where it was.
const STRICT: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

/// The routes of the page's files.
pub(super) fn routes() -> Router<RouterState> {
    FILES.into_iter().fold(Router::new(), |router, (path, kind, text)| {
        let answer = move || async move { ([(header::CONTENT_TYPE, kind)], text).into_response() };
        router.route(path, get(answer))
    })
}

/// Puts the rules for browsers on an answer.
pub(super) async fn strict(mut answer: Response) -> Response {
    for (name, value) in STRICT {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red when the page names what is not served, and when something stands inline, which the policy
    /// forbids.
    #[test]
    fn the_page_is_whole_and_has_nothing_inline() {
        let (_, _, index) = FILES[0];
        let linked = |text: &'static str, before: &str| {
            let parts = text.split(before).skip(1);
            parts.filter_map(|part| part.split('"').next()).collect::<Vec<_>>()
        };
        let mut named = linked(index, "src=\"");
        named.extend(linked(index, "<link rel=\"stylesheet\" href=\""));
        assert!(named.len() > 3, "{named:?}");
        for name in named {
            assert!(FILES.iter().any(|(path, ..)| path.strip_prefix('/') == Some(name)), "{name}");
        }
        for (path, kind, text) in FILES {
            if kind == SCRIPT {
                for name in linked(text, " from \"./") {
                    let whole = format!("/page/{name}");
                    assert!(FILES.iter().any(|(path, ..)| *path == whole), "{path} has {name}");
                }
            }
        }
        for inline in [" style=", "<style", "<script>", " onclick="] {
            assert!(!index.contains(inline), "{inline}");
        }
    }
}
