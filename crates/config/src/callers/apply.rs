//! Who sends a call, how urgent it is and what its caller may have.
//!
//! Whoever has proved who it is, is called so. Else, strongest first: what a `Slackwater-*` header says, the lane in the path, the first rule of the
//! operator's that matches, the method's default. A rule's ceilings hold over all of them.
//!
//! A rule names whoever it finds by User-Agent or token and who gives no name. A name that the
//! call gives stays, because the bot chose it to tell its own jobs apart, unless the rule matches
//! by that name: then several names become one.

use std::{sync::Arc, time::Duration};

use limits::{Class, Weight};
use slack::{Edits, Method, TokenHash};

use crate::{CallerName, CallerRule, Match, Terms};

/// The operator's rules for callers, and what holds without one.
#[derive(Debug)]
pub struct Callers {
    rules: Box<[CallerRule]>,
    /// Whether a caller may say that its calls are more urgent than their default.
    may_raise: bool,
    /// Who calls that give no name are.
    default: CallerName,
}

/// What tells who sends a call.
#[derive(Clone, Copy, Debug)]
pub struct CallerHints<'c> {
    /// How it is called for sure.
    pub proved: Option<&'c CallerName>,
    /// How it calls itself, in a header or in the path.
    pub caller: Option<&'c CallerName>,
    /// How urgent it says that it is.
    pub class: Option<Class>,
    /// Its User-Agent; empty without one.
    pub user_agent: &'c str,
    /// Its token.
    pub token: Option<&'c TokenHash>,
    /// The app that it is named after when nothing else names it.
    pub app: Option<&'c Arc<str>>,
}

/// The terms that apply to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerTerms {
    /// Who sends it.
    pub caller: CallerName,
    /// How urgent it is.
    pub class: Class,
    /// How long the operator has its caller's calls held, where they say nothing.
    pub max_wait: Option<Duration>,
    /// How large its caller's part is.
    pub weight: Weight,
    /// How many calls of its caller are held at most.
    pub max_depth: Option<usize>,
    /// Whether equal reads of its caller, or of its method, share one answer, where the operator says so.
    pub share_reads: Option<bool>,
    /// Which edits of its caller, or of its method, are sent, where the operator says so.
    pub edits: Option<Edits>,
    /// Whether the operator has switched it, or the call's method, off.
    pub disabled: bool,
}

// === impl Callers ===

impl Callers {
    /// By these rules; the first that matches counts.
    pub fn new(rules: &[CallerRule], may_raise: bool) -> Self {
        Self { rules: rules.into(), may_raise, default: CallerName::default() }
    }

    /// Whether some rule looks at the token.
    pub fn by_token(&self) -> bool {
        self.rules.iter().any(|rule| rule.calls.token.is_some())
    }

    /// Whose call it is. Allocates nothing.
    pub fn of(&self, hints: CallerHints<'_>, method: Option<&Method>) -> CallerTerms {
        let said = hints.proved.or(hints.caller);
        let app = || CallerName::new(Arc::clone(hints.app?)).ok();
        let name = said.cloned().or_else(app).unwrap_or_else(|| self.default.clone());
        let rule = self.rules.iter().find(|rule| fits(&rule.calls, &name, hints));
        let named = rule.filter(|rule| said.is_none() || rule.calls.lane.is_some());
        let Terms { class, max_class, max_wait, weight, max_depth, share_reads, edits, disabled } =
            rule.map(|rule| rule.terms).unwrap_or_default();
        let class = self.class(hints.class, class.or_else(|| method?.class));
        CallerTerms {
            caller: named.map_or(name, |rule| rule.name.clone()),
            // The less urgent is the greater.
            class: max_class.map_or(class, |most| class.max(most)),
            max_wait,
            weight,
            max_depth,
            share_reads: share_reads.or_else(|| method?.saves.share_reads),
            edits: edits.or_else(|| method?.saves.edits),
            disabled: disabled || method.is_some_and(|method| !method.enabled),
        }
    }

    /// What the call says, else the default. Where callers are not trusted they may only say
    /// that a call is less urgent than it would be.
    fn class(&self, said: Option<Class>, default: Option<Class>) -> Class {
        let default = default.unwrap_or_default();
        match said {
            Some(said) if self.may_raise => said,
            Some(said) => said.max(default),
            None => default,
        }
    }
}

fn fits(calls: &Match, name: &str, hints: CallerHints<'_>) -> bool {
    calls.lane.as_ref().is_none_or(|lane| lane.matches(name))
        && calls.user_agent.as_ref().is_none_or(|agent| agent.matches(hints.user_agent))
        && calls
            .token
            .as_ref()
            .is_none_or(|prefix| hints.token.is_some_and(|token| prefix.matches(token.as_bytes())))
}
