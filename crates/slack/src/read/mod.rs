//! Limits, methods, endpoints and the built-in catalogue, from YAML. A configuration reads its own methods
//! and limits with the same functions.

mod limit;
mod savings;

use std::collections::BTreeMap;

use http::HeaderName;
use limits::{Class, Rate};
use yaml::{
    Cursor, Form, Problems, Report, Tree,
    shape::{self, Shape},
};

pub use self::limit::LIMIT;
use super::{
    AppKind, Catalogue, Client, ClientSigns, ClientTimeout, Draft, Edits, Endpoint, Flaw,
    HeaderSign, InOrder, KeepAlive, Mode, OrderingArgument, OrderingArguments, Retries, Rules,
    Tier, instead_of_token,
};

const BUILT_IN: &str = include_str!("../../../../config/slack.yaml");
const BUILT_IN_NAME: &str = "config/slack.yaml";

const VALUE: Shape = Shape::Value;

/// The keys of `tiers`.
pub const TIERS: Shape =
    Shape::Map(&[("tier1", TIER), ("tier2", TIER), ("tier3", TIER), ("tier4", TIER)]);

const TIER: Shape = Shape::Map(&[("limit", VALUE), ("per", VALUE)]);

const METHODS: Shape = Shape::Named(&Shape::Map(&[
    ("tier", VALUE),
    ("channel", VALUE),
    ("user", VALUE),
    ("reads", VALUE),
    ("in_order", Shape::ValueOrList),
    ("class", VALUE),
    ("max_wait", VALUE),
    ("limits", Shape::List(&LIMIT)),
    ("replaces", savings::REPLACES),
    ("drops", savings::DROPS),
]));

const ENDPOINTS: Shape = Shape::Named(&Shape::Map(&[
    ("reads", VALUE),
    ("class", VALUE),
    ("max_wait", VALUE),
    ("limits", Shape::List(&LIMIT)),
]));

const CATALOGUE: Shape = Shape::Map(&[
    ("tiers", TIERS),
    ("unknown_method", VALUE),
    (
        "clients",
        Shape::List(&Shape::Map(&[
            ("name", VALUE),
            ("user_agent", VALUE),
            ("headers", Shape::Named(&VALUE)),
            ("read_timeout", VALUE),
            ("total_timeout", VALUE),
            ("max_wait", VALUE),
            ("keep_alive", VALUE),
            ("stops_whole", VALUE),
            ("retries", VALUE),
            ("source", VALUE),
        ])),
    ),
    ("apps", Shape::Named(&METHODS)),
    ("methods", METHODS),
    ("endpoints", ENDPOINTS),
]);

/// The built-in catalogue for this kind of app.
pub(super) fn built_in(app: AppKind) -> Result<Catalogue, Problems> {
    catalogue(BUILT_IN, BUILT_IN_NAME, app)
}

/// The built-in catalogue for this kind of app, to be changed.
///
/// # Errors
/// If it is not right, which a test rules out.
pub fn built_in_draft(app: AppKind) -> Result<Draft, Problems> {
    let mut report = Report::new(instead_of_token);
    let tree = Tree::parse(BUILT_IN, &|_| None, &mut report);
    let draft = draft(tree.root(), app, &mut report);
    report.finish(BUILT_IN_NAME).map(|()| draft)
}

/// The catalogue in a text of the form of the built-in one.
pub(super) fn catalogue(text: &str, file: &str, app: AppKind) -> Result<Catalogue, Problems> {
    let mut report = Report::new(instead_of_token);
    let tree = Tree::parse(text, &|_| None, &mut report);
    let root = tree.root();
    let (catalogue, found) = draft(root, app, &mut report).build();
    flaws(root, &found, &mut report);
    report.finish(file).map(|()| catalogue)
}

/// Reports each flaw at the method in `methods` that has part in it.
pub fn flaws(root: Cursor<'_>, flaws: &[Flaw], report: &mut Report) {
    let methods = root.get("methods");
    for flaw in flaws {
        let method = methods.and_then(|methods| methods.get(&flaw.method));
        let other = flaw.other.as_deref().and_then(|other| methods?.get(other));
        let limits = method.and_then(|method| method.get("limits"));
        let limit = flaw.limit.and_then(|i| limits?.items().nth(i));
        report.add(limit.or(method).or(other).unwrap_or(root), flaw.text.as_str());
    }
}

/// What is said of a method, without `limits` where one of them is wrong.
pub fn rules(at: Cursor<'_>, report: &mut Report) -> Rules {
    Rules {
        tier: at.get("tier").and_then(|it| it.read_word(&words(Tier::ALL), report)),
        limits: at
            .get("limits")
            .and_then(|limits| limits.items().map(|it| limit::limit(it, report)).collect()),
        channel: at.get("channel").and_then(|it| it.read_text(report)),
        user: at.get("user").and_then(|it| it.read_text(report)),
        reads: at.get("reads").and_then(|it| it.read_bool(report)),
        in_order: at.get("in_order").and_then(|it| in_order(it, report)),
        class: at
            .get("class")
            .and_then(|it| it.read_word(&Class::ALL.map(|class| (class.as_str(), class)), report)),
        max_wait: at.get("max_wait").and_then(|it| it.read_duration(report)),
        enabled: at.get("enabled").and_then(|it| it.read_bool(report)),
        mode: at.get("mode").and_then(|it| mode(it, report)),
        replaces: at.get("replaces").and_then(|it| savings::replaces(it, report)),
        drops: at.get("drops").and_then(|it| savings::drops(it, report)),
        edits: at.get("edits").and_then(|it| edits(it, report)),
        share_reads: at.get("share_reads").and_then(|it| it.read_bool(report)),
    }
}

/// Which calls go in order: by these arguments, or by the channel if it is only said that they do.
fn in_order(at: Cursor<'_>, report: &mut Report) -> Option<InOrder> {
    if at.form() != Form::List {
        let yes = at.read_bool(report)?;
        return Some(if yes { InOrder::PerChannel } else { InOrder::No });
    }
    let mut arguments = Vec::new();
    for item in at.items() {
        let text = item.read_text(report)?;
        let argument = OrderingArgument::parse(&text);
        if argument.is_none() {
            report.add(item, "is no name of an argument; write one as in thread_ts, or several as in view_id|external_id");
        }
        arguments.push(argument?);
    }
    if arguments.is_empty() {
        return Some(InOrder::No);
    }
    let ordering = OrderingArguments::new(arguments);
    if ordering.is_none() {
        report.add(at, "names too many arguments; write up to six");
    }
    ordering.map(InOrder::By)
}

/// Whether limits are kept, or calls are only watched.
pub fn mode(at: Cursor<'_>, report: &mut Report) -> Option<Mode> {
    at.read_word(&Mode::ALL.map(|mode| (mode.as_str(), mode)), report)
}

/// Which edits of one thing are sent.
pub fn edits(at: Cursor<'_>, report: &mut Report) -> Option<Edits> {
    at.read_word(&Edits::ALL.map(|edits| (edits.as_str(), edits)), report)
}

/// The tier of methods that are not known.
pub fn unknown_method(at: Cursor<'_>, report: &mut Report) -> Option<Tier> {
    let choice = Tier::ALL.into_iter().filter(|tier| *tier != Tier::Special);
    at.read_word(&words(choice), report)
}

/// Lays the rates in `tiers` over those of the draft.
pub fn tier_rates(at: Cursor<'_>, draft: &mut Draft, report: &mut Report) {
    for tier in Tier::RATED {
        let Some(entry) = at.get(tier.as_str()) else { continue };
        let was = draft.tier(tier);
        let limit = match entry.get("limit") {
            Some(it) => it.read_count(report),
            None => was.map(|rate| rate.limit),
        };
        let per = match entry.get("per") {
            Some(it) => it.read_period(report),
            None => was.map(|rate| rate.per),
        };
        if let (Some(limit), Some(per)) = (limit, per) {
            draft.set_tier(tier, Rate { limit, per, burst: None, tolerates: None });
        }
    }
}

fn draft(root: Cursor<'_>, app: AppKind, report: &mut Report) -> Draft {
    shape::check(root, &CATALOGUE, report);
    let mut draft = Draft {
        tiers: BTreeMap::new(),
        unknown: Tier::Tier2,
        clients: Vec::new(),
        methods: BTreeMap::new(),
    };
    if let Some(tiers) = root.get("tiers") {
        tier_rates(tiers, &mut draft, report);
    }
    for tier in Tier::RATED.into_iter().filter(|tier| draft.tier(*tier).is_none()) {
        report.add(root, format!("tiers.{tier} is missing; give its limit and per"));
    }
    if let Some(tier) = root.get("unknown_method").and_then(|it| unknown_method(it, report)) {
        draft.set_unknown(tier);
    }
    let clients = root.get("clients").into_iter().flat_map(Cursor::items);
    draft.clients = clients.filter_map(|it| client(it, report)).collect();
    for (name, entry) in root.get("methods").into_iter().flat_map(Cursor::entries) {
        if entry.get("tier").is_none() {
            missing::<()>(entry, "tier", "tier2", report);
        }
        draft.change(name, rules(entry, report));
    }
    for (name, entry) in root.get("endpoints").into_iter().flat_map(Cursor::entries) {
        if Endpoint::named(name).is_none() {
            report.add(entry, "is no endpoint that calls are counted as; delete it");
        }
        draft.change(name, Rules { tier: Some(Tier::Special), ..rules(entry, report) });
    }
    for (kind, changes) in root.get("apps").into_iter().flat_map(Cursor::entries) {
        if AppKind::parse(kind).is_none() {
            report.add(changes, "is no kind of app; write internal, marketplace or unlisted");
        }
        for (name, entry) in changes.entries() {
            if !draft.knows(name) {
                report.add(entry, "is not in methods; add it there");
            }
            let rules = rules(entry, report);
            if kind == app.as_str() {
                draft.change(name, rules);
            }
        }
    }
    draft
}

fn client(at: Cursor<'_>, report: &mut Report) -> Option<Client> {
    let read = |key, example, report: &mut Report| match at.get(key) {
        Some(it) => it.read_text(report),
        None => missing(at, key, example, report),
    };
    let name = read("name", "python", report);
    let source = read("source", "https://example.org/client.py", report);
    let max_wait = match at.get("max_wait") {
        Some(it) => it.read_duration(report),
        None => missing(at, "max_wait", "25s", report),
    };
    let user_agent = at.get("user_agent").and_then(|it| it.read_text(report));
    let headers = at.get("headers").into_iter().flat_map(Cursor::entries);
    let headers: Box<[_]> = headers.filter_map(|(name, it)| header(name, it, report)).collect();
    if user_agent.is_none() && headers.is_empty() {
        missing::<()>(at, "user_agent", "slackclient/", report);
    }
    let [per_read, in_all] = ["read_timeout", "total_timeout"]
        .map(|key| at.get(key).and_then(|it| it.read_duration(report)));
    let in_all = in_all.map(ClientTimeout::Total);
    Some(Client {
        signs: ClientSigns { user_agent, headers },
        timeout: per_read.map(ClientTimeout::Read).or(in_all),
        keep_alive: at.get("keep_alive").and_then(|it| keep_alive(it, report)).unwrap_or_default(),
        stops_whole: at.get("stops_whole").and_then(|it| it.read_bool(report)).unwrap_or_default(),
        retries: at.get("retries").and_then(|it| retries(it, report)).unwrap_or_default(),
        name: name?,
        max_wait: max_wait?,
        source: source?,
    })
}

fn header(name: &str, at: Cursor<'_>, report: &mut Report) -> Option<(HeaderName, HeaderSign)> {
    let sign = HeaderSign::parse(&at.read_text(report)?);
    let name = name.parse().ok();
    if name.is_none() {
        report.add(at, "is no name of a header; write one as in accept-encoding");
    }
    Some((name?, sign))
}

/// What keeps a client waiting.
pub fn keep_alive(at: Cursor<'_>, report: &mut Report) -> Option<KeepAlive> {
    at.read_word(&KeepAlive::ALL.map(|way| (way.as_str(), way)), report)
}

/// What a client retries by itself.
pub fn retries(at: Cursor<'_>, report: &mut Report) -> Option<Retries> {
    at.read_word(&Retries::ALL.map(|what| (what.as_str(), what)), report)
}

/// Reports a key that is not there. Where no mapping is there, that has been reported.
pub fn missing<T>(at: Cursor<'_>, key: &str, example: &str, report: &mut Report) -> Option<T> {
    if matches!(at.form(), Form::Map | Form::Null) {
        report.add(at, format!("has no {key}; add one, as in `{key}: {example}`"));
    }
    None
}

fn words(tiers: impl IntoIterator<Item = Tier>) -> Vec<(&'static str, Tier)> {
    tiers.into_iter().map(|tier| (tier.as_str(), tier)).collect()
}
