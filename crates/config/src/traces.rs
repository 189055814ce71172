//! `traces`: where traces of calls go, and of how many.

use http::Uri;
use yaml::{Cursor, Report};

use super::upstreams::has_bad_port;

/// Where traces of calls go, and of how many.
#[derive(Clone, Debug, PartialEq)]
pub struct Traces {
    /// Where they are posted to: the endpoint, with OTLP's path for traces.
    pub url: Uri,
    /// Of which part of the calls that are part of no trace yet: above 0, up to 1.
    pub sample: f64,
}

/// What OTLP adds to an endpoint for traces over HTTP.
/// <https://opentelemetry.io/docs/specs/otlp/#otlphttp-request>
const PATH: &str = "v1/traces";

/// What the file says of it; nothing where no traces are made.
pub(super) fn read(root: Cursor<'_>, report: &mut Report) -> Option<Traces> {
    let at = root.get("traces")?;
    let sample = at.get("sample").map_or(Some(1.0), |at| sample(at, report));
    let url = at.get("endpoint").and_then(|at| endpoint(at, report));
    url.zip(sample).map(|(url, sample)| Traces { url, sample })
}

fn sample(at: Cursor<'_>, report: &mut Report) -> Option<f64> {
    let part: Option<f64> = at.text()?.parse().ok();
    let part = part.filter(|part| *part > 0.0 && *part <= 1.0);
    if part.is_none() {
        let text = "is no part of the calls; write a number above 0 and up to 1, as in 0.1, or set \
                    traces.endpoint to null for no traces";
        report.add(at, format!("{} {text}", at.quoted()));
    }
    part
}

/// Messages do not repeat the URL: it may hold a password.
fn endpoint(at: Cursor<'_>, report: &mut Report) -> Option<Uri> {
    let text = at.text()?;
    let uri: Uri = text.parse().unwrap_or_default();
    let authority = uri.authority();
    let wrong = if !matches!(uri.scheme_str(), Some("http" | "https")) {
        "is no http or https URL; write that of a collector, as in http://127.0.0.1:4318"
    } else if authority.is_some_and(|it| it.as_str().contains('@')) {
        "holds a user name or a password, which are not sent; delete them"
    } else if authority.is_none_or(|it| it.host().is_empty() || has_bad_port(it)) {
        "has no host, or a bad port; write it as in http://127.0.0.1:4318"
    } else if uri.query().is_some() || text.contains('#') {
        "has a query or a fragment, which would be lost; delete it"
    } else if uri.path().trim_end_matches('/').ends_with("/v1/traces") {
        "ends with /v1/traces, which is added to it; delete that"
    } else if authority.and_then(http::uri::Authority::port_u16) == Some(4317) {
        "has the port of OTLP over gRPC, which is not spoken here; write that of OTLP over HTTP, which is \
         4318 by default"
    } else {
        let url = format!("{}/{PATH}", text.trim_end_matches('/'));
        // It is one, since it was before.
        return url.parse().ok();
    };
    report.add(at, wrong);
    None
}
