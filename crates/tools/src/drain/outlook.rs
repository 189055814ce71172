//! What a dry run foresees: the calls of the file that have no result yet, as a plan sees them.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
};

use anyhow::Context as _;
use config::{CallerName, Config};
use limits::Class;
use slack::OTHER;

use super::{Args, input::Input, journal, survey::Survey, work::AT_ONCE};
use crate::{
    plan::{Ask, Calls, Job, Live, Outlook, Planned, ROUND_TRIP, Said, identities},
    through,
};
use console::place;

/// So many calls are looked at one by one; a longer file goes on as it begins.
const LISTED: usize = 20_000;

/// How long the file takes, and what holds it back; nothing if all of it is done.
///
/// # Errors
/// If the file or its journal cannot be read.
pub(super) fn lines(
    args: &Args,
    input: &Input,
    survey: &Survey,
    config: &Config,
) -> anyhow::Result<Vec<String>> {
    let agent = through::agent("drain");
    let caller = CallerName::new(args.caller.as_str()).context("--caller is no name of one")?;
    let said = Said { caller: Some(&caller), class: Some(Class::Background), user_agent: &agent };
    let methods = survey.methods.keys().map(|name| Planned::new(name, 0, said, config));
    let mut methods: Vec<_> = methods.collect();
    let (asks, workspaces) = left(args, input, &mut methods)?;
    let count = methods.iter().map(|planned| planned.calls).sum();
    if count == 0 {
        return Ok(Vec::new());
    }
    let mut lines = Vec::new();
    let live = match asked(args, config) {
        Ok(live) => live,
        Err(error) => {
            lines.push(format!("What waits in the proxy is not known: {error:#}."));
            None
        }
    };
    let job = Job {
        count,
        identities: identities(live.as_ref(), &methods, workspaces, config),
        methods,
        calls: Calls::Listed(asks),
        at_once: AT_ONCE,
        round_trip: ROUND_TRIP,
        cap: args.cap.get(),
        background: config.background_share,
    };
    let outlook = Outlook::of(job, live.as_ref(), config);
    lines.extend(outlook.notes());
    lines.push("By the proxy's own scheduler it is".to_owned());
    lines.extend(outlook.lines());
    Ok(lines)
}

/// The calls without a result, as far as they are looked at, and of how many tokens they are. The
/// methods are told how many theirs are.
fn left(args: &Args, input: &Input, methods: &mut [Planned]) -> anyhow::Result<(Vec<Ask>, usize)> {
    let journal = args.journal_path();
    let mut past = journal.exists().then(|| journal::past(&journal, 0)).transpose()?;
    let places: BTreeMap<String, usize> =
        methods.iter().enumerate().map(|(at, planned)| (planned.name.to_string(), at)).collect();
    let (mut asks, mut tokens) = (Vec::new(), BTreeMap::new());
    let hasher = RandomState::new();
    let mut calls = input.calls()?;
    while let Some(next) = calls.next()? {
        let Ok(call) = next else { continue };
        if let Some(past) = &mut past
            && past.result(call.line)?.is_some()
        {
            continue;
        }
        // Of too many methods the rest is one.
        let Some(&method) = places.get(&call.method).or_else(|| places.get(OTHER)) else {
            continue;
        };
        let planned = &mut methods[method];
        planned.calls += 1;
        if asks.len() < LISTED {
            let new = tokens.len();
            let workspace = *tokens.entry(call.token_env.clone()).or_insert(new);
            let entry = &planned.entry;
            let [channel, user] = [&entry.channel_arg, &entry.user_arg].map(|argument| {
                let value = call.args.get(argument.as_deref()?)?;
                Some(hasher.hash_one(value.to_string()))
            });
            asks.push(Ask { method, workspace, channel, user });
        }
    }
    Ok((asks, tokens.len()))
}

/// The proxy that runs, if one is named.
fn asked(args: &Args, config: &Config) -> anyhow::Result<Option<Live>> {
    let Some(via) = &args.through.via else { return Ok(None) };
    let base = through::base(via)?;
    let Some(admin) = place::of_bots_at(&base, config) else {
        anyhow::bail!(
            "by the configuration its operators' listener is not known; --config names its own"
        )
    };
    Live::ask(&admin).map(Some)
}
