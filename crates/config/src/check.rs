//! From a configuration's text to what the program relies on, or every problem at once.
//!
//! Pure: what it asks of the machine is an argument.

use std::{net::SocketAddr, path::PathBuf};

use slack::{AppKind, instead_of_token, read};
use tracing::Level;
use yaml::{Cursor, Problems, Report, Tree, shape};

use super::{
    Config, LogFormat, Outside, ShedAs, TrustCallers, access, adaptive, admin, background, callers,
    clients, identity, keys, memory, methods, proxies, reads, shared, tls, traces, upstreams,
};

/// Where bots connect, over the file.
pub const LISTEN_ENV: &str = "SLACKWATER_LISTEN";

/// Where operators connect, over the file.
pub const ADMIN_LISTEN_ENV: &str = "SLACKWATER_ADMIN_LISTEN";

/// A key that only the built-in catalogue has.
const CATALOGUE_ONLY: &str = "endpoints";

/// What is said of a file that has it.
const IS_CATALOGUE: &str = "this file is a catalogue of Slack's limits, which is built in, and no \
                            configuration; write what you want to change in a file of your own, under \
                            tiers and methods, as config/slackwater.yaml shows";

/// Checks a configuration, as [`check_on`] does, on a machine that has nothing but variables.
///
/// # Errors
/// As [`check_on`].
pub fn check(
    text: &str,
    file: &str,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Config, Problems> {
    check_on(&env, text, file)
}

/// Checks a configuration. `machine` answers for `${NAME}` in it, for the tokens' variables, for
/// those that name a proxy, for [`LISTEN_ENV`], [`ADMIN_LISTEN_ENV`] and
/// [`ORDINAL_ENV`](super::ORDINAL_ENV), which count more than the file, and for certificates. An
/// empty text is a configuration: the defaults.
///
/// # Errors
/// Every problem, by place. `file` is the name they give the file.
pub fn check_on(machine: &dyn Outside, text: &str, file: &str) -> Result<Config, Problems> {
    let env = |name: &str| machine.variable(name);
    let mut report = Report::new(instead_of_token);
    if machine.is_elsewhere() {
        report.of_another_machine();
    }
    let tree = Tree::parse(text, &env, &mut report);
    let nothing = Tree::parse("", &env, &mut report);
    let mut root = tree.root();
    if let Some(at) = root.get(CATALOGUE_ONLY) {
        // All else that is wrong with it is no news.
        report.add(at, IS_CATALOGUE);
        root = nothing.root();
    }
    shape::check(root, &keys::CONFIG, &mut report);
    let app = app_kind(root, &mut report).unwrap_or_default();
    let mut draft = read::built_in_draft(app)?;
    methods::change(root, &mut draft, &mut report);
    let (catalogue, flaws) = draft.build();
    read::flaws(root, &flaws, &mut report);
    let mut config = Config::new(app, catalogue);
    addresses(&mut config, root, &env, &mut report);
    if let Some(list) = upstreams::read(root, &mut report) {
        config.upstreams = list;
    }
    set(&mut config.tls, tls::read(root, machine, &mut report));
    (config.listen_tls, config.allow) = access::read(root, machine, &mut report);
    config.files = files(root);
    config.proxies = proxies::read(root, &config.upstreams, machine, &mut report);
    config.identity = identity::read(root, &env, &mut report);
    config.callers = callers::read(root, &mut report);
    config.clients = clients::read(root, &mut report);
    config.adaptive = adaptive::read(root, &mut report);
    config.reads = reads::read(root, &config.catalogue, &mut report);
    set(&mut config.edits, root.get("edits").and_then(|at| read::edits(at, &mut report)));
    set(&mut config.background_share, background::read(root, &mut report));
    config.admin.token = admin::token(root, &mut report);
    config.admin.hosts = admin::hosts(root, &mut report);
    queue(&mut config, root, &mut report);
    memory::read(&mut config, root, machine, &mut report);
    config.shared = shared::read(root, &env, &mut report);
    config.traces = traces::read(root, &mut report);
    rest(&mut config, root, &mut report);
    report.finish(file).map(|()| config)
}

/// The files that are read with it.
fn files(root: Cursor<'_>) -> Vec<PathBuf> {
    let keys =
        [("tls", "ca"), ("listen_tls", "cert"), ("listen_tls", "key"), ("listen_tls", "client_ca")];
    let named = keys.iter().filter_map(|(map, key)| root.get(map)?.get(key)?.text());
    named.map(PathBuf::from).collect()
}

fn app_kind(root: Cursor<'_>, report: &mut Report) -> Option<AppKind> {
    root.get("app")?.read_word(&AppKind::ALL.map(|kind| (kind.as_str(), kind)), report)
}

fn addresses(
    config: &mut Config,
    root: Cursor<'_>,
    env: &dyn Fn(&str) -> Option<String>,
    report: &mut Report,
) {
    let in_file = root.get("listen");
    let admin_in_file = root.get("admin").and_then(|admin| admin.get("listen"));
    let (from_env, admin_from_env) = (env(LISTEN_ENV), env(ADMIN_LISTEN_ENV));
    let listen = address(in_file, LISTEN_ENV, from_env.as_deref(), report);
    let admin = address(admin_in_file, ADMIN_LISTEN_ENV, admin_from_env.as_deref(), report);
    set(&mut config.listen, listen);
    set(&mut config.admin.listen, admin);
    if collide(config.listen, config.admin.listen) {
        let other = |key| format!("is the address of {key} too; give the two different ports");
        match (admin_from_env, admin_in_file, from_env, in_file) {
            (Some(_), ..) => report.add_outside(ADMIN_LISTEN_ENV, other("listen")),
            (None, Some(at), ..) => report.add(at, other("listen")),
            (None, None, Some(_), _) => report.add_outside(LISTEN_ENV, other("admin.listen")),
            (None, None, None, at) => report.add(at.unwrap_or(root), other("admin.listen")),
        }
    }
}

/// An address from the file and over it from the environment; both must be right.
fn address(
    at: Option<Cursor<'_>>,
    name: &str,
    over: Option<&str>,
    report: &mut Report,
) -> Option<SocketAddr> {
    const ADVICE: &str = "write an IP address and a port, as in 127.0.0.1:8080 (or 0.0.0.0:8080 \
                          for every interface)";
    let in_file = at.and_then(|at| {
        let address = at.text()?.parse().ok();
        if address.is_none() {
            report.add(at, format!("{} is not an address; {ADVICE}", at.quoted()));
        }
        address
    });
    let Some(over) = over else { return in_file };
    let address = over.parse().ok();
    if address.is_none() {
        report.add_outside(name, format!("is not an address; {ADVICE}"));
    }
    address
}

/// Whether two listeners cannot both have what they ask for.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let same_ip = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && same_ip
}

fn queue(config: &mut Config, root: Cursor<'_>, report: &mut Report) {
    let Some(at) = root.get("queue") else { return };
    let queue = &mut config.queue;
    let max_wait = at.get("max_wait");
    set(&mut queue.max_wait, max_wait.and_then(|it| it.read_duration(report)));
    let max_hold = at.get("max_hold");
    set(&mut queue.max_hold, max_hold.and_then(|it| it.read_duration(report)));
    if queue.max_wait > queue.max_hold {
        let text = "max_wait is longer than max_hold, which is the longest any call is held; \
                    lower the one or raise the other";
        report.add(max_wait.or(max_hold).unwrap_or(at), text);
    }
    for (key, bound) in [("max_depth", &mut queue.max_depth), ("max_total", &mut queue.max_total)] {
        let count = at.get(key).and_then(|it| it.read_count(report));
        set(bound, count.map(|count| count.get() as usize));
    }
    set(&mut queue.max_bytes, at.get("max_bytes").and_then(|it| it.read_size(report)));
    let [all, one] = ["max_in_flight", "max_in_flight_per_server"]
        .map(|key| at.get(key).and_then(|it| Some((it, it.read_count(report)?.get() as usize))));
    if let (Some((_, all)), Some((it, one))) = (all, one)
        && one > all
    {
        let text = "is more than max_in_flight, which is the most to all servers together; lower \
                    the one or raise the other";
        report.add(it, text);
    }
    queue.max_in_flight = all.map(|(_, all)| all);
    queue.max_in_flight_per_server = one.map(|(_, one)| one);
}

fn rest(config: &mut Config, root: Cursor<'_>, report: &mut Report) {
    if let Some(at) = root.get("timeouts") {
        let timeouts = &mut config.timeouts;
        for (key, time) in [
            ("connect", &mut timeouts.connect),
            ("headers", &mut timeouts.headers),
            ("body_idle", &mut timeouts.body_idle),
        ] {
            set(time, at.get(key).and_then(|it| it.read_period(report)));
        }
    }
    if let Some(at) = root.get("trust_callers") {
        let words = [
            ("auto", TrustCallers::Auto),
            ("always", TrustCallers::Always),
            ("never", TrustCallers::Never),
        ];
        set(&mut config.trust_callers, at.read_word(&words, report));
    }
    if let Some(at) = root.get("shed_as") {
        set(&mut config.shed_as, at.read_word(&ShedAs::WORDS, report));
    }
    if let Some(at) = root.get("on_429") {
        let attempts = at.get("max_attempts").and_then(|it| it.read_count(report));
        set(&mut config.on_429.max_attempts, attempts);
        let after = at.get("default_retry_after").and_then(|it| it.read_period(report));
        set(&mut config.on_429.default_retry_after, after);
    }
    set(&mut config.fail_fast.on, root.get("fail_fast").and_then(|it| it.read_bool(report)));
    set(&mut config.mode, root.get("mode").and_then(|at| read::mode(at, report)));
    config.state_file = root.get("state_file").and_then(|at| path(at, report));
    if let Some(at) = root.get("drain_timeout") {
        set(&mut config.drain_timeout, at.read_duration(report));
    }
    if let Some(at) = root.get("log") {
        let words = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        let format = at.get("format").and_then(|it| it.read_word(&words, report));
        set(&mut config.log.format, format);
        let words = [
            ("error", Level::ERROR),
            ("warn", Level::WARN),
            ("info", Level::INFO),
            ("debug", Level::DEBUG),
            ("trace", Level::TRACE),
        ];
        let level = at.get("level").and_then(|it| it.read_word(&words, report));
        set(&mut config.log.level, level);
    }
}

/// The path of a file that need not be there yet.
fn path(at: Cursor<'_>, report: &mut Report) -> Option<PathBuf> {
    let text = at.text()?;
    if text.is_empty() || text.ends_with('/') {
        let advice = "write the path of a file, as in /var/lib/slackwater/state; its directory has \
                      to be there";
        report.add(at, format!("{} names no file; {advice}", at.quoted()));
        return None;
    }
    Some(text.into())
}

/// Puts a value in the place of the default, if one was read.
fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}
