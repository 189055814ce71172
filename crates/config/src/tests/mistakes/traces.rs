//! `traces`: where they go, and of which part of the calls.

use super::*;

/// Turned red by: an endpoint that is taken and cannot be right, a part that is none, or a message that repeats
/// a password.
#[test]
fn an_endpoint_or_a_part_that_cannot_be() {
    const CURE: &str = "write a number above 0 and up to 1, as in 0.1, or set traces.endpoint to null for no traces";
    for (text, wrong) in [
        (
            "endpoint: collector",
            "1:21: traces.endpoint: is no http or https URL; write that of a collector, as in http://127.0.0.1:4318",
        ),
        (
            "endpoint: \"grpc://c:4317\"",
            "1:21: traces.endpoint: is no http or https URL; write that of a collector, as in http://127.0.0.1:4318",
        ),
        (
            "endpoint: \"http://u:p@c\"",
            "1:21: traces.endpoint: holds a user name or a password, which are not sent; delete them",
        ),
        ("endpoint: \"http://c:x\"", "1:21: traces.endpoint: "),
        (
            "endpoint: \"http://c?key=1\"",
            "1:21: traces.endpoint: has a query or a fragment, which would be lost; delete it",
        ),
        (
            "endpoint: \"http://c:4318/v1/traces\"",
            "1:21: traces.endpoint: ends with /v1/traces, which is added to it; delete that",
        ),
        (
            "endpoint: \"http://c:4317\"",
            "1:21: traces.endpoint: has the port of OTLP over gRPC, which is not spoken here; write that of OTLP over HTTP, which is 4318 by default",
        ),
    ] {
        let said = problems(&format!("traces: {{ {text} }}"));
        assert!(said.contains(wrong), "{text}: {said}");
        assert!(!said.contains("u:p"), "{said}");
    }
    for part in ["0", "-1", "1.1", "nan", "all", "10%"] {
        let said = problems(&format!("traces: {{ endpoint: null, sample: {part} }}"));
        assert!(said.contains("traces.sample: ") && said.contains(CURE), "{said}");
    }
}

#[test]
fn where_traces_go() {
    for (endpoint, url) in [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
        ("https://c.example/otlp/", "https://c.example/otlp/v1/traces"),
    ] {
        let config = checked(&format!("traces: {{ endpoint: \"{endpoint}\", sample: 0.25 }}"));
        let traces = config.traces.unwrap();
        assert_eq!((traces.url.to_string().as_str(), traces.sample), (url, 0.25));
    }
    let whole = checked("traces: { endpoint: \"http://c\" }").traces.unwrap();
    assert!(whole.sample >= 1.0, "all");
    assert_eq!(checked("traces: { endpoint: null, sample: 0.5 }").traces, None);
}
