//! A handful of limits that have one trait each, for this directory's tests.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use limits::{
    AgeFrom,
    Dimension::{self, App, Caller, Channel, Method as PerMethod, Url, Workspace},
    Limit, Rate, Rule, Scope,
};
use slack::{Kind, Method, Tier};

use super::Rules;

/// Tier 2 for every method, except where the name asks for something special.
pub(super) fn rules() -> Rules {
    let tier2 = limit("tier2", rate(20, 60), &[App, Workspace, PerMethod]);
    let per_channel = limit(
        "post_per_channel",
        Rate { tolerates: NonZeroU32::new(3), ..rate(1, 1) },
        &[App, Workspace, Channel],
    );
    let per_workspace = limit("post_per_workspace", rate(5, 60), &[App, Workspace]);
    let burst = Rate { burst: NonZeroU32::new(180), ..rate(600, 60) };
    Rules::new(move |name| {
        let limits = match name {
            "chat.postMessage" => vec![Arc::clone(&per_channel), Arc::clone(&per_workspace)],
            "chat.startStream" => vec![Arc::clone(&per_channel)],
            "conversations.close" => {
                vec![Arc::clone(&tier2), limit("close_app_wide", rate(1, 1), &[App])]
            }
            "bookmarks.add" => vec![Arc::clone(&tier2), at_once(1)],
            "scim.write" => vec![limit("writes", burst, &[App])],
            "webhook" => vec![limit("webhook", rate(2, 30), &[Url])],
            "caller.limited" => vec![limit("caller", rate(1, 60), &[Caller])],
            "free.method" => Vec::new(),
            _ => vec![Arc::clone(&tier2)],
        };
        Arc::new(Method {
            name: name.into(),
            kind: if name == "webhook" { Kind::Webhook } else { Kind::WebApi },
            tier: Tier::Tier2,
            limits,
            channel_arg: Some("channel".into()),
            user_arg: None,
            reads: false,
            in_order: None,
            class: None,
            max_wait: None,
            enabled: true,
            mode: None,
            saves: slack::Savings::default(),
        })
    })
}

/// So many per so many seconds.
pub(super) fn rate(limit: u32, seconds: u64) -> Rate {
    Rate {
        limit: NonZeroU32::new(limit).unwrap(),
        per: Duration::from_secs(seconds),
        burst: None,
        tolerates: None,
    }
}

fn limit(name: &str, rate: Rate, scope: &[Dimension]) -> Arc<Limit> {
    Arc::new(Limit {
        name: name.into(),
        rule: Rule::Rate(rate),
        scope: Scope::of(scope),
        age_from: AgeFrom::Answer,
    })
}

fn at_once(limit: u32) -> Arc<Limit> {
    Arc::new(Limit {
        name: "at_once".into(),
        rule: Rule::Concurrency(NonZeroU32::new(limit).unwrap()),
        scope: Scope::of(&[App, Workspace]),
        age_from: AgeFrom::Answer,
    })
}
