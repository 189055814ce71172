//! Every key that a configuration may have, as one table.
//!
//! A key of which the function is not built yet stands here as [`Shape::Unbuilt`] and is refused
//! unless it asks for nothing: who builds the function replaces its line.

use slack::read::{LIMIT, TIERS};
use yaml::shape::Shape::{self, List, Map, Named, Nullable, Value, ValueOrList};

/// The whole file.
pub(super) const CONFIG: Shape = Map(&[
    ("listen", Value),
    ("listen_tls", Map(&[("cert", Nullable), ("key", Nullable), ("client_ca", Nullable)])),
    ("allow", List(&Map(&[("caller", Value), ("certificate", Value), ("key", Value)]))),
    ("admin", Map(&[("listen", Value), ("token", Nullable), ("hosts", List(&Value))])),
    ("upstreams", List(&Map(&[("prefix", Value), ("url", Value), ("kind", Value)]))),
    ("govslack", Value),
    ("tls", Map(&[("roots", Value), ("ca", Nullable), ("http2", Value)])),
    ("proxy", Nullable),
    ("app", Value),
    ("tiers", TIERS),
    ("methods", Named(&METHOD)),
    ("unknown_method", Value),
    (
        "identity",
        Map(&[
            ("resolve", Value),
            ("app", Value),
            (
                "tokens",
                List(&Map(&[
                    ("token_env", Value),
                    ("app", Value),
                    ("workspace", Value),
                    ("org", Value),
                ])),
            ),
        ]),
    ),
    ("callers", List(&CALLER)),
    (
        "clients",
        List(&Map(&[
            ("name", Value),
            ("user_agent", Value),
            ("max_wait", Value),
            ("keep_alive", Value),
            ("stops_whole", Value),
            ("retries", Value),
        ])),
    ),
    ("background", Map(&[("share", Value)])),
    ("memory", Value),
    (
        "queue",
        Map(&[
            ("max_wait", Value),
            ("max_hold", Value),
            ("max_depth", Value),
            ("max_total", Value),
            ("max_bytes", Value),
            ("max_in_flight", Value),
            ("max_in_flight_per_server", Value),
        ]),
    ),
    ("timeouts", Map(&[("connect", Value), ("headers", Value), ("body_idle", Value)])),
    ("trust_callers", Value),
    ("shed_as", Value),
    ("on_429", Map(&[("max_attempts", Value), ("default_retry_after", Value)])),
    ("fail_fast", Value),
    (
        "reads",
        Map(&[
            ("share", Value),
            ("cache", Map(&[("for", Value), ("methods", List(&Value)), ("bytes", Value)])),
        ]),
    ),
    ("edits", Value),
    ("adaptive", Map(&[("down", Value), ("up", Value), ("ceiling", Value)])),
    (
        "shared",
        Map(&[
            ("replicas", Value),
            ("ordinal", Value),
            ("margin", Value),
            ("redis", Nullable),
            ("password", Nullable),
            ("sentinel", Map(&[("master", Value), ("user", Nullable), ("password", Nullable)])),
            ("cluster", Value),
            ("prefix", Value),
            ("timeout", Value),
            ("forget_after", Value),
        ]),
    ),
    ("state_file", Nullable),
    ("mode", Value),
    ("drain_timeout", Value),
    ("log", Map(&[("format", Value), ("level", Value)])),
    ("traces", Map(&[("endpoint", Nullable), ("sample", Value)])),
]);

/// A rule in `callers`.
const CALLER: Shape = Map(&[
    ("name", Value),
    ("match", Map(&[("user_agent", Value), ("lane", Value), ("token_hash", Value)])),
    ("class", Value),
    ("max_class", Value),
    ("max_wait", Value),
    ("weight", Value),
    ("max_depth", Value),
    ("share_reads", Value),
    ("edits", Value),
    ("enabled", Value),
]);

/// A method under `methods`.
const METHOD: Shape = Map(&[
    ("tier", Value),
    ("limits", List(&LIMIT)),
    ("class", Value),
    ("max_wait", Value),
    ("channel", Value),
    ("user", Value),
    ("reads", Value),
    ("in_order", ValueOrList),
    ("share_reads", Value),
    ("edits", Value),
    ("mode", Value),
    ("enabled", Value),
]);
