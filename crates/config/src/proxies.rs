//! `proxy`: through which HTTP proxy an upstream is reached, by the file or by the environment.

use std::sync::Arc;

use http::{HeaderValue, Uri, uri::Scheme};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use yaml::{Cursor, Form, Report};

use super::{Upstream, outside::Outside, upstreams::has_bad_port};

/// Which URLs are reached through a proxy. Credentials of a proxy are not shown.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// None where nothing goes through a proxy.
    matcher: Option<Arc<Matcher>>,
}

/// What no proxy could reach as we do: this machine.
const HERE: &str = "localhost,127.0.0.0/8,::1";

const FORM: &str = "write it as in http://proxy.example:3128";

/// What is said of `proxy`; where nothing is, the environment's word counts.
pub(super) fn read(
    root: Cursor<'_>,
    upstreams: &[Upstream],
    outside: &dyn Outside,
    report: &mut Report,
) -> Proxies {
    let Some(at) = root.get("proxy") else { return environment(upstreams, outside, report) };
    match (at.form(), at.text()) {
        (Form::Value, Some("auto")) => environment(upstreams, outside, report),
        (Form::Value, Some(url)) => match usable(url) {
            Ok(url) => Proxies::new(Matcher::builder().all(url).no(HERE.to_owned()).build()),
            Err(wrong) => {
                report.add(at, format!("{wrong}; {FORM}, or auto, or null"));
                Proxies::default()
            }
        },
        _ => Proxies::default(),
    }
}

/// The variables that most programs read. What no upstream needs is not judged: the variables
/// are often those of the whole machine.
fn environment(upstreams: &[Upstream], outside: &dyn Outside, report: &mut Report) -> Proxies {
    let set = |name: &&'static str| {
        let value = outside.variable(name)?;
        (!value.trim().is_empty()).then_some((*name, value))
    };
    let first = |names: &[&'static str]| names.iter().find_map(set);
    let listed = first(&["NO_PROXY", "no_proxy"]);
    let Some(no) = no_proxy(listed.as_ref().map(|(_, list)| list.as_str())) else {
        return Proxies::default();
    };
    let any = Matcher::builder().all("http://any".to_owned()).no(&no).build();
    let mut through = |scheme: &str, names: &[&'static str]| {
        let needs =
            |it: &Upstream| it.url.scheme_str() == Some(scheme) && any.intercept(&it.url).is_some();
        let upstream = upstreams.iter().find(|it| needs(it))?;
        let (name, value) = first(names)?;
        let checked = usable(&value);
        if let Err(wrong) = checked {
            let host = upstream.url.host().unwrap_or_default();
            let text = format!("{wrong}; {FORM}, put {host} into NO_PROXY, or set proxy to null");
            report.add_outside(name, text);
        }
        checked.ok()
    };
    let https = through("https", &["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]);
    let http = through("http", &["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]);
    if https.is_none() && http.is_none() {
        return Proxies::default();
    }
    let matcher =
        Matcher::builder().https(https.unwrap_or_default()).http(http.unwrap_or_default()).no(no);
    Proxies::new(matcher.build())
}

/// The list of what is reached without a proxy; none where that is everything.
fn no_proxy(listed: Option<&str>) -> Option<String> {
    let mut no = HERE.to_owned();
    for entry in listed.unwrap_or_default().split(',').map(str::trim) {
        if entry == "*" {
            return None;
        }
        no.push(',');
        // People write *.example.com for what the matcher knows as .example.com.
        no.push_str(entry.strip_prefix('*').filter(|it| it.starts_with('.')).unwrap_or(entry));
    }
    Some(no)
}

/// A proxy's URL as the matcher takes it, or what is wrong. The text is not repeated: it may hold
/// a password.
fn usable(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let wrong = "is no URL of a proxy, or has a character that needs encoding, as %40 for an @";
    let uri: Uri = url.parse().map_err(|_| wrong)?;
    if uri.scheme_str() != Some("http") {
        return Err("names a proxy of a kind that is not spoken here, which is http only");
    }
    let authority = uri.authority().ok_or(wrong)?;
    let ats = authority.as_str().matches('@').count();
    if authority.host().is_empty() || ats > 1 || has_bad_port(authority) {
        return Err(wrong);
    }
    Ok(url)
}

// === impl Proxies ===

impl Proxies {
    fn new(matcher: Matcher) -> Self {
        Self { matcher: Some(Arc::new(matcher)) }
    }

    /// The proxy through which a URL is reached.
    pub fn of(&self, url: &Uri) -> Option<Intercept> {
        self.matcher.as_ref()?.intercept(url)
    }

    /// The proxy's address without credentials, for messages.
    pub fn name(proxy: &Intercept) -> String {
        let uri = proxy.uri().to_string();
        uri.strip_suffix('/').unwrap_or(&uri).to_owned()
    }

    /// What a request for this URL has to tell the proxy on its way, if there is one. A tunnel
    /// was told when it was made.
    pub fn credentials(&self, url: &Uri) -> Option<HeaderValue> {
        if url.scheme() != Some(&Scheme::HTTP) {
            return None;
        }
        self.of(url)?.basic_auth().cloned()
    }
}
