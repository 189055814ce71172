//! The status in words: what the JSON says, as tables.

use std::{collections::BTreeMap, time::Duration};

use console::table::{
    Align::{Left, Right},
    shown, table, wrap,
};
use serde::Deserialize;

/// What `/status` answers, as far as it is shown.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    slackwater: String,
    queues: Vec<QueueRow>,
    buckets: Vec<Bucket>,
    /// How many of each it does not tell. An older proxy tells all.
    #[serde(default)]
    left_out: LeftOut,
    mode: Mode,
    paused: Vec<Pause>,
    /// An older proxy does not tell.
    #[serde(default)]
    dead: Vec<Dead>,
    top: Top,
    totals: Totals,
    /// An older proxy does not tell.
    #[serde(default)]
    replica: Option<Replica>,
    reload: Option<Reload>,
}

/// What is not among the lists of a page that would be too long.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct LeftOut {
    queues: usize,
    buckets: usize,
}

/// Which replica it is, if it has a part of each limit.
#[derive(Debug, Deserialize)]
struct Replica {
    ordinal: u32,
    replicas: u32,
}

/// Which calls are only watched.
#[derive(Debug, Deserialize)]
struct Mode {
    proxy: String,
    methods: BTreeMap<String, String>,
}

/// One of the three it is.
#[derive(Debug, Deserialize)]
struct Pause {
    method: Option<String>,
    caller: Option<String>,
    workspace: Option<String>,
    shed: bool,
    paused_for_ms: u64,
    waiting: u64,
}

/// A token or a webhook that Slack has called good for nothing.
#[derive(Debug, Deserialize)]
struct Dead {
    kind: String,
    name: String,
    workspace: Option<String>,
    caller: String,
    reason: String,
    method: Option<String>,
    for_ms: u64,
    answered: u64,
}

#[derive(Debug, Deserialize)]
struct Reload {
    ago_ms: u64,
    mistake: Option<String>,
    mistakes: usize,
}

#[derive(Debug, Deserialize)]
struct QueueRow {
    method: String,
    class: String,
    caller: String,
    depth: u64,
    oldest_wait_ms: u64,
    waits_for: Option<String>,
    why: Option<String>,
    until_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Bucket {
    limit: String,
    key: String,
    /// Absent where Slack has not told it.
    whose: Option<String>,
    used: u64,
    /// Absent if the limit has no figure.
    quota: Option<u64>,
    waiting: u64,
    places: u64,
    frozen_for_ms: u64,
    probing: bool,
}

/// Who calls most.
#[derive(Debug, Deserialize)]
struct Top {
    callers: Vec<Caller>,
}

#[derive(Debug, Deserialize)]
struct Caller {
    name: String,
    requests: u64,
    /// An older proxy does not tell.
    #[serde(default)]
    sheds: u64,
}

#[derive(Debug, Deserialize)]
struct Totals {
    held: u64,
    places: u64,
    frozen: u64,
    ready: bool,
    answered: u64,
    refused_by_slack: u64,
    replayed: u64,
    shed: BTreeMap<String, u64>,
    /// An older proxy does not tell.
    #[serde(default)]
    saved: BTreeMap<String, u64>,
}

/// So many limits are shown, those that matter first.
const BUCKETS: usize = 20;
/// So many queues.
const QUEUES: usize = 50;
/// So many pauses.
const PAUSES: usize = 10;
/// So many dead tokens and webhooks.
const DEAD: usize = 10;
/// So many callers whose calls are refused.
const CALLERS: usize = 5;

// === impl Page ===

impl Page {
    /// The lines that are shown, on a terminal of that width.
    pub(super) fn lines(mut self, admin: &str, width: Option<usize>) -> Vec<String> {
        let Totals { held, places, frozen, ready, .. } = self.totals;
        let version = shown(&self.slackwater);
        let ready = if ready { "ready" } else { "draining" };
        let mut lines = vec![
            format!("slackwater {version} at {admin}: {ready}"),
            format!("held {held}, places kept {places}, limits frozen {frozen}"),
            self.totals.since_start(),
        ];
        lines.extend(self.replica.as_ref().map(|Replica { ordinal, replicas }| {
            format!("ordinal {ordinal} of {replicas} replicas: it has its part of each limit")
        }));
        lines.extend(self.top.refused());
        lines.extend(self.mode.lines());
        lines.extend(self.paused.iter().take(PAUSES).map(Pause::line));
        lines.extend(rest(self.paused.len(), PAUSES, "pauses"));
        lines.extend(self.dead.iter().take(DEAD).map(Dead::line));
        lines.extend(rest(self.dead.len(), DEAD, "dead tokens and webhooks"));
        lines.extend(self.reload.as_ref().and_then(Reload::line));
        let mut lines: Vec<_> = lines.iter().flat_map(|line| wrap(line, width)).collect();
        lines.push(String::new());
        self.queues.sort_by_key(|queue| std::cmp::Reverse(queue.depth));
        self.buckets.sort_by(|one, other| {
            (other.urgency(), other.share())
                .partial_cmp(&(one.urgency(), one.share()))
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        if self.queues.is_empty() {
            lines.push("Nobody waits.".to_owned());
        } else {
            let head = ["METHOD", "CLASS", "CALLER", "HELD", "OLDEST", "WHY", "WAITS FOR"];
            let rows = self.queues.iter().take(QUEUES).map(QueueRow::row);
            let rows: Vec<_> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
            lines.extend(table([Left, Left, Left, Right, Right, Left, Left], &rows, width));
            lines.extend(rest(self.queues.len() + self.left_out.queues, QUEUES, "queues"));
        }
        lines.push(String::new());
        if self.buckets.is_empty() {
            lines.push("No limit is in use.".to_owned());
        } else {
            let head =
                ["LIMIT", "COUNTED PER", "FREE", "OF", "WAITING", "PLACES", "STATE", "WHOSE"];
            let rows = self.buckets.iter().take(BUCKETS).map(Bucket::row);
            let rows: Vec<_> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
            lines.extend(table([Left, Left, Right, Right, Right, Right, Left, Left], &rows, width));
            lines.extend(rest(
                self.buckets.len() + self.left_out.buckets,
                BUCKETS,
                "limits in use",
            ));
        }
        lines
    }
}

/// What is not shown.
fn rest(all: usize, most: usize, what: &str) -> Option<String> {
    let more = all.checked_sub(most).filter(|more| *more > 0)?;
    Some(format!("and {more} more {what}; --json has up to 1000"))
}

// === impl Top ===

impl Top {
    /// Whose calls are refused of late, most of them first; nothing where none is.
    fn refused(&self) -> Option<String> {
        let mut refused: Vec<_> = self.callers.iter().filter(|caller| caller.sheds > 0).collect();
        refused.sort_by_key(|caller| std::cmp::Reverse(caller.sheds));
        let more = match refused.len().saturating_sub(CALLERS) {
            0 => String::new(),
            more => format!(", and {more} more callers"),
        };
        let refused = refused.iter().take(CALLERS).map(|Caller { name, requests, sheds }| {
            format!("{sheds} of {requests} calls of {}", shown(name))
        });
        let refused: Vec<_> = refused.collect();
        (!refused.is_empty()).then(|| format!("shed of late: {}{more}", refused.join(", ")))
    }
}

// === impl Mode ===

impl Mode {
    /// Nothing where all calls keep to their limits.
    fn lines(&self) -> Vec<String> {
        let all = (self.proxy == "shadow").then(|| {
            "shadow mode: all calls go at once, nothing is held; `slackwater shadow off` ends it"
                .to_owned()
        });
        let methods = self.methods.iter().filter(|(_, mode)| **mode != self.proxy);
        let methods =
            methods.map(|(name, mode)| format!("mode of {}: {}", shown(name), shown(mode)));
        all.into_iter().chain(methods).collect()
    }
}

// === impl Pause ===

impl Pause {
    fn line(&self) -> String {
        let kinds =
            [("method", &self.method), ("caller", &self.caller), ("workspace", &self.workspace)];
        let what = kinds.into_iter().find_map(|(kind, name)| Some((kind, name.as_deref()?)));
        let (kind, name) = what.unwrap_or(("", "something"));
        let calls = match (self.shed, self.waiting) {
            (true, _) => "its calls are refused".to_owned(),
            (false, 1) => "1 call waits".to_owned(),
            (false, waiting) => format!("{waiting} calls wait"),
        };
        format!("paused for {}: {kind} {}; {calls}", seconds(self.paused_for_ms), shown(name))
    }
}

// === impl Dead ===

impl Dead {
    fn line(&self) -> String {
        let part = |word, value: &Option<String>| {
            value.as_deref().map_or(String::new(), |value| format!(" {word} {}", shown(value)))
        };
        format!(
            "dead for {}: {} {}{}{}, used by {}; Slack says {}; answered at once: {}",
            seconds(self.for_ms),
            shown(&self.kind),
            shown(&self.name),
            part("of", &self.workspace),
            part("for", &self.method),
            shown(&self.caller),
            shown(&self.reason),
            self.answered
        )
    }
}

// === impl Reload ===

impl Reload {
    /// Nothing where the last one was applied.
    fn line(&self) -> Option<String> {
        let more = match self.mistakes.saturating_sub(1) {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        let (ago, mistake) = (seconds(self.ago_ms), shown(self.mistake.as_deref()?));
        Some(format!("the new configuration was refused {ago} ago: {mistake}{more}"))
    }
}

// === impl QueueRow ===

impl QueueRow {
    fn row(&self) -> [String; 7] {
        // What is over in a moment is over before it is read.
        let until = self.until_ms.filter(|ms| *ms >= 100);
        let until = until.map(|ms| format!(" for {}", seconds(ms)));
        let why = self.why.as_deref().map_or("", why);
        [
            self.method.clone(),
            self.class.clone(),
            self.caller.clone(),
            self.depth.to_string(),
            seconds(self.oldest_wait_ms),
            format!("{why}{}", until.unwrap_or_default()),
            self.waits_for.clone().unwrap_or_default(),
        ]
    }
}

/// The reason in words; one that is newer than this program stays as it is.
fn why(name: &str) -> &str {
    match name {
        "full" => "no slot is free",
        "frozen" => "Slack wants a pause",
        "probing" => "others try if it is over",
        "spaced" => "calls are kept apart",
        "room_for_people" => "the rest is for people",
        "claimed" => "it is kept for another",
        "turn" => "others are before it",
        "paused" => "it is paused",
        "in_flight" => "too many are in flight",
        other => other,
    }
}

// === impl Bucket ===

impl Bucket {
    fn row(&self) -> [String; 8] {
        let state = match (self.frozen_for_ms, self.probing) {
            (0, false) => String::new(),
            (0, true) => "probing".to_owned(),
            (ms, _) => format!("frozen for {}", seconds(ms)),
        };
        [
            self.limit.clone(),
            self.key.clone(),
            figure(self.quota.map(|quota| quota.saturating_sub(self.used))),
            figure(self.quota),
            self.waiting.to_string(),
            self.places.to_string(),
            state,
            self.whose.clone().unwrap_or_default(),
        ]
    }

    /// Shut ones first, then those that somebody waits for.
    fn urgency(&self) -> (bool, u64) {
        (self.frozen_for_ms > 0 || self.probing, self.waiting)
    }

    /// How much of it is used.
    #[expect(clippy::cast_precision_loss, reason = "an order, for people")]
    fn share(&self) -> f64 {
        self.used as f64 / self.quota.unwrap_or(u64::MAX).max(1) as f64
    }
}

// === impl Totals ===

impl Totals {
    fn since_start(&self) -> String {
        let shed: u64 = self.shed.values().sum();
        let reasons: Vec<String> =
            self.shed.iter().map(|(reason, count)| format!("{count} {}", shown(reason))).collect();
        let reasons =
            if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
        let saved: Vec<String> =
            self.saved.iter().map(|(how, count)| format!(", {count} {}", shown(how))).collect();
        format!(
            "since the start: {} answered{}, {shed} shed{reasons}, {} refused by Slack, {} of them sent again",
            self.answered,
            saved.concat(),
            self.refused_by_slack,
            self.replayed,
        )
    }
}

fn figure(figure: Option<u64>) -> String {
    figure.map(|figure| figure.to_string()).unwrap_or_default()
}

/// `58.1 s`.
fn seconds(ms: u64) -> String {
    format!("{:.1} s", Duration::from_millis(ms).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(json: &serde_json::Value) -> String {
        let page: Page = serde_json::from_value(json.clone()).unwrap();
        page.lines("http://127.0.0.1:9090", None).join("\n")
    }

    fn busy() -> serde_json::Value {
        serde_json::json!({
            "slackwater": "0.1.0",
            "queues": [{
                "method": "conversations.list", "tier": "tier2", "class": "normal",
                "caller": "clean\u{1b}[2Jup", "depth": 40, "oldest_wait_ms": 1900,
                "waits_for": "tier2:A1/T1/conversations.list", "why": "full", "until_ms": 58120,
            }],
            "buckets": [
                { "limit": "tier4", "key": "A1/T1/users.info", "used": 1, "quota": 100, "waiting": 0,
                  "places": 0, "frozen_for_ms": 0, "probing": false },
                { "limit": "tier2", "key": "A1/T1/conversations.list", "whose": "helper in Ac\u{1b}me", "used": 20, "quota": 20,
                  "waiting": 40, "places": 3, "frozen_for_ms": 0, "probing": false },
                { "limit": "whole_app", "key": "A1", "used": 3, "quota": null, "waiting": 0,
                  "places": 0, "frozen_for_ms": 12_300, "probing": false },
            ],
            "mode": { "proxy": "enforce", "methods": {} }, "paused": [], "reload": null,
            "top": { "callers": [{ "name": "web", "requests": 9 }] },
            "totals": { "held": 40, "places": 3, "buckets": 3, "frozen": 1, "ready": true,
                "answered": 61, "refused_by_slack": 1, "replayed": 1, "shed": { "deadline": 2 },
                "saved": { "superseded": 7 } },
        })
    }

    #[test]
    fn it_tells_who_waits_for_what() {
        assert_eq!(
            page(&busy()),
            "\
slackwater 0.1.0 at http://127.0.0.1:9090: ready
held 40, places kept 3, limits frozen 1
since the start: 61 answered, 7 superseded, 2 shed (2 deadline), 1 refused by Slack, 1 of them sent again

METHOD              CLASS   CALLER      HELD  OLDEST  WHY                         WAITS FOR
conversations.list  normal  clean[2Jup    40   1.9 s  no slot is free for 58.1 s  tier2:A1/T1/conversations.list

LIMIT      COUNTED PER               FREE   OF  WAITING  PLACES  STATE              WHOSE
whole_app  A1                                         0       0  frozen for 12.3 s
tier2      A1/T1/conversations.list     0   20       40       3                     helper in Acme
tier4      A1/T1/users.info            99  100        0       0"
        );
    }

    /// Red when the reason is cut off.
    #[test]
    fn on_a_narrow_terminal_the_reason_stands_below() {
        let page: Page = serde_json::from_value(busy()).unwrap();
        let lines = page.lines("http://127.0.0.1:9090", Some(80));
        assert_eq!(
            lines[7..9],
            [
                "conversations.list  normal  clean[2Jup    40   1.9 s  no slot is free for 58.1 s",
                "    tier2:A1/T1/conversations.list",
            ]
        );
        assert!(lines.iter().all(|line| line.len() <= 80), "{lines:#?}");
    }

    #[test]
    fn a_page_of_a_busy_proxy_is_bounded_and_says_what_is_missing() {
        let mut json = busy();
        json["queues"] = vec![json["queues"][0].clone(); QUEUES + 2].into();
        json["buckets"] = vec![json["buckets"][0].clone(); BUCKETS + 1].into();
        let text = page(&json);
        assert!(text.contains("and 2 more queues; --json has up to 1000"), "{text}");
        assert!(text.ends_with("and 1 more limits in use; --json has up to 1000"), "{text}");
        json["left_out"] = serde_json::json!({ "queues": 0, "buckets": 7 });
        assert!(page(&json).ends_with("and 8 more limits in use; --json has up to 1000"));
    }

    #[test]
    fn it_tells_what_the_operator_has_said() {
        let mut json = busy();
        json["mode"] =
            serde_json::json!({ "proxy": "shadow", "methods": { "chat.update": "enforce" } });
        json["paused"] = serde_json::json!([
            { "caller": "clean\u{1b}[2Jup", "shed": false, "paused_for_ms": 12_000, "waiting": 3 },
            { "method": "views.open", "shed": true, "paused_for_ms": 500, "waiting": 0 },
        ]);
        json["reload"] = serde_json::json!({ "result": "refused", "ago_ms": 900, "mistakes": 3,
            "mistake": "a.yaml:7:10: queue.max_wat: is no key here; is it max_wait?" });
        let text = page(&json);
        let lines: Vec<_> = text.lines().skip(3).take_while(|line| !line.is_empty()).collect();
        assert_eq!(
            lines,
            [
                "shadow mode: all calls go at once, nothing is held; `slackwater shadow off` ends it",
                "mode of chat.update: enforce",
                "paused for 12.0 s: caller clean[2Jup; 3 calls wait",
                "paused for 0.5 s: method views.open; its calls are refused",
                "the new configuration was refused 0.9 s ago: a.yaml:7:10: queue.max_wat: is no key \
                 here; is it max_wait?, and 2 more",
            ]
        );
    }

    /// Red when those that call most hide those that are refused most, and when there is no end.
    #[test]
    fn it_tells_whose_calls_are_refused() {
        let mut json = busy();
        let caller = |n: u64| serde_json::json!({ "name": format!("job-{n}\u{1b}[2J"), "requests": 90 - n, "sheds": n });
        json["top"]["callers"] = (0..3).map(caller).collect();
        let text = page(&json);
        let line = "shed of late: 2 of 88 calls of job-2[2J, 1 of 89 calls of job-1[2J";
        assert_eq!(text.lines().nth(3), Some(line));
        json["top"]["callers"] = (0..9).map(caller).collect();
        assert!(page(&json).contains("calls of job-4[2J, and 3 more callers\n"), "{}", page(&json));
    }

    #[test]
    fn a_quiet_proxy_says_so() {
        let mut json = busy();
        json["queues"] = serde_json::json!([]);
        json["buckets"] = serde_json::json!([]);
        let text = page(&json);
        assert!(text.ends_with("\n\nNobody waits.\n\nNo limit is in use."), "{text}");
    }
}
