//! Which limits the fake enforces: the documented ones, or truer ones nobody was told of.

use std::{collections::HashMap, fmt, num::NonZeroU32, sync::Arc, time::Duration};

use limits::{AgeFrom, Dimension, Limit, Rate, Rule, Scope};
use slack::Method;

/// The limits of every method.
#[derive(Clone)]
pub struct Rules {
    documented: Arc<Documented>,
    /// True limits of methods, in place of all that is documented of them.
    methods: HashMap<Box<str>, Arc<Method>>,
    /// True figures of limits that several methods share, by the limit's name.
    shared: HashMap<Arc<str>, NonZeroU32>,
}

type Documented = dyn Fn(&str) -> Arc<Method> + Send + Sync;

// === impl Rules ===

impl Rules {
    /// The rules that `documented` tells, which answers for unknown methods too.
    pub fn new(documented: impl Fn(&str) -> Arc<Method> + Send + Sync + 'static) -> Self {
        Self { documented: Arc::new(documented), methods: HashMap::new(), shared: HashMap::new() }
    }

    /// Makes the true limit of a method another than the documented one: its first rate, which
    /// is its tier's where it has a tier, counts to `limit` in its own period. If that rate is
    /// one that methods share, it changes for all of them.
    ///
    /// A method without a rate gets one: so many a minute per app and workspace.
    #[must_use]
    pub fn with_hidden(mut self, name: &str, limit: NonZeroU32) -> Self {
        let mut method = Method::clone(&self.method(name));
        let first = method.limits.iter_mut().find(|rule| matches!(rule.rule, Rule::Rate(_)));
        match first {
            Some(rule) if rule.scope.contains(Dimension::Method) => *rule = changed(rule, limit),
            Some(rule) => {
                self.shared.insert(Arc::clone(&rule.name), limit);
                return self;
            }
            None => method.limits.push(Arc::new(Limit {
                name: "hidden".into(),
                rule: Rule::Rate(Rate {
                    limit,
                    per: Duration::from_secs(60),
                    burst: None,
                    tolerates: None,
                }),
                scope: Scope::of(&[Dimension::App, Dimension::Workspace, Dimension::Method]),
                age_from: AgeFrom::Answer,
            })),
        }
        self.methods.insert(name.into(), Arc::new(method));
        self
    }

    /// What holds for a method.
    pub fn method(&self, name: &str) -> Arc<Method> {
        let method = self.methods.get(name).map_or_else(|| (self.documented)(name), Arc::clone);
        if !method.limits.iter().any(|rule| self.shared.contains_key(&rule.name)) {
            return method;
        }
        let mut method = Method::clone(&method);
        for rule in &mut method.limits {
            if let Some(limit) = self.shared.get(&rule.name) {
                *rule = changed(rule, *limit);
            }
        }
        Arc::new(method)
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules")
            .field("methods", &self.methods)
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

/// The same rate with another figure. A burst that is no longer below it is gone.
fn changed(rule: &Limit, limit: NonZeroU32) -> Arc<Limit> {
    let mut rule = rule.clone();
    if let Rule::Rate(rate) = &mut rule.rule {
        rate.limit = limit;
        rate.burst = rate.burst.filter(|burst| *burst < limit);
    }
    Arc::new(rule)
}

#[cfg(test)]
mod tests {
    use super::{super::testing, *};

    const FIVE: NonZeroU32 = NonZeroU32::new(5).unwrap();

    fn rate(limit: &Limit) -> Rate {
        match limit.rule {
            Rule::Rate(rate) => rate,
            _ => panic!("not a rate"),
        }
    }

    #[test]
    fn a_hidden_limit_replaces_the_first_rate_of_its_method_only() {
        let rules = testing::rules().with_hidden("conversations.list", FIVE);
        let hidden = rules.method("conversations.list");
        assert_eq!(rate(&hidden.limits[0]).limit, FIVE);
        assert_eq!(rate(&hidden.limits[0]).per, Duration::from_secs(60));
        assert_eq!(rate(&rules.method("users.list").limits[0]).limit.get(), 20);
    }

    #[test]
    fn a_shared_limit_changes_for_all_that_share_it() {
        let rules = testing::rules().with_hidden("chat.postMessage", FIVE);
        for name in ["chat.postMessage", "chat.startStream"] {
            let limits = &rules.method(name).limits;
            assert_eq!((&*limits[0].name, rate(&limits[0]).limit), ("post_per_channel", FIVE));
            assert_eq!(rate(&limits[0]).tolerates.map(NonZeroU32::get), Some(3));
        }
    }

    #[test]
    fn a_burst_that_the_hidden_limit_swallows_is_gone() {
        let rules = testing::rules().with_hidden("scim.write", FIVE);
        assert_eq!(rate(&rules.method("scim.write").limits[0]).burst, None);
    }

    #[test]
    fn a_method_without_a_rate_gets_one() {
        let rules = testing::rules().with_hidden("free.method", FIVE);
        let limits = &rules.method("free.method").limits;
        assert_eq!((limits.len(), rate(&limits[0]).limit), (1, FIVE));
    }
}
