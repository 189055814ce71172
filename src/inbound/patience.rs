//! How long a call may be held: as long as its client waits, or can be made to, and no longer.

use std::{sync::Arc, time::Duration};

use config::{Config, QueueBounds};
use http::{header, request::Parts};
use limits::Class;
use slack::{Client, Kind, Method};

use super::{
    classify::user_agent,
    listen::interim::{Interim, MOST},
};
use crate::call::body::Body;

/// What is known of a call when it is decided how long it may be held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'c> {
    config: &'c Config,
    /// What it goes to.
    pub(super) kind: Kind,
    method: Option<&'c Method>,
    /// Its client.
    pub(super) client: Option<&'c Client>,
    /// What the call says, or its caller's rule.
    pub(super) said: Option<Duration>,
    /// The time between two interim responses, where they keep its client waiting.
    told_every: Option<Duration>,
}

// === impl Known ===

impl<'c> Known<'c> {
    /// What its headers tell.
    pub(super) fn of(
        config: &'c Config,
        parts: &Parts,
        kind: Kind,
        method: Option<&'c Arc<Method>>,
    ) -> Self {
        let agent = user_agent(&parts.headers).unwrap_or_default();
        let client = config.client(agent, &parts.headers);
        let method = method.map(|method| &**method);
        Self { config, kind, method, client, said: None, told_every: None }
    }

    /// Has the client kept waiting by interim responses, if it is known to bear them and nobody stands
    /// in between who might not.
    pub(super) fn keep_waiting(&mut self, parts: &Parts, body: Option<&Body>) {
        let most = self.config.catalogue.holds().interim;
        let every = self.client.and_then(|client| client.interim_every(most));
        // A client whose body is still to come could take one for the asking.
        if let Some(every) = every
            && let Some(interim) = parts.extensions.get::<Interim>()
            && matches!(body, Some(Body::Whole(..)))
            && !is_forwarded(parts)
        {
            interim.start(every);
            self.told_every = Some(every);
        }
    }

    /// How long it may be held: what the call or its caller's rule says, else what is known of its client,
    /// else the default; never longer than its method makes sense or the operator allows.
    ///
    /// Where nothing is said, no longer than its client can be kept waiting, either. Who says more may
    /// have raised its time-out; and if not, the call is never sent.
    pub(super) fn of_class(&self, class: Class) -> Duration {
        let (queue, holds) = (&self.config.queue, self.config.catalogue.holds());
        let own = self.client.map(|client| client.max_wait);
        let unsaid = match (self.told_every, class) {
            // Nobody waits for it.
            (Some(_), Class::Background) => queue.max_hold,
            (Some(_), Class::Normal) => own.map_or(holds.normal, |own| own.max(holds.normal)),
            // Whoever has clicked clicks again sooner.
            (Some(_), Class::Interactive) | (None, _) => own.unwrap_or({
                let is_default = queue.max_wait == QueueBounds::MAX_WAIT;
                let is_secret = self.kind.has_secret_url();
                if is_default && is_secret { holds.secret_url } else { queue.max_wait }
            }),
        };
        let kept = self.told_every.map_or(Duration::MAX, |every| every.saturating_mul(MOST));
        let wait = self.said.unwrap_or(unsaid.min(kept));
        let sensible = self.method.and_then(|method| method.max_wait).unwrap_or(queue.max_hold);
        wait.min(sensible).min(queue.max_hold)
    }
}

fn is_forwarded(parts: &Parts) -> bool {
    parts.headers.keys().any(|name| {
        name == header::VIA || name == header::FORWARDED || name.as_str().starts_with("x-forwarded")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn config(text: &str) -> Config {
        config::check(text, "test", |_| None).unwrap()
    }

    /// What is held how long, in seconds, by the default configuration.
    #[test]
    fn the_first_that_says_something_decides() {
        let config = config("");
        let catalogue = &config.catalogue;
        let client = |name: &str| catalogue.clients().iter().find(|client| &*client.name == name);
        let open = Some(&**catalogue.method("views.open"));
        let (list, api, hook) = (None, Kind::WebApi, Kind::Webhook);
        let told = |every| Some(seconds(every));
        for (name, told_every, said, class, kind, method, held) in [
            // As long as it waits itself.
            ("", None, None, Class::Normal, api, list, 8),
            ("python", None, None, Class::Background, api, list, 25),
            ("go", None, None, Class::Background, api, list, 300),
            ("node", None, None, Class::Normal, api, list, 3_600),
            // Whoever sends to a secret URL seldom comes again; one that is known is known.
            ("", None, None, Class::Normal, hook, list, 30),
            ("java", None, None, Class::Normal, hook, list, 8),
            ("grafana", None, None, Class::Normal, hook, list, 25),
            // Kept waiting, by class.
            ("python", told(10), None, Class::Background, api, list, 900),
            ("python", told(10), None, Class::Normal, api, list, 300),
            ("python", told(10), None, Class::Interactive, api, list, 25),
            ("requests", told(3), None, Class::Background, api, list, 270),
            ("requests", told(3), None, Class::Normal, api, list, 270),
            // What is said counts.
            ("python", told(10), Some(600), Class::Interactive, api, list, 600),
            ("python", told(10), Some(3_000), Class::Interactive, api, list, 3_000),
            ("python", told(10), Some(3), Class::Background, api, list, 3),
            ("python", None, Some(40), Class::Background, api, list, 40),
            ("", None, Some(0), Class::Normal, hook, list, 0),
            ("", None, Some(9_000), Class::Normal, api, list, 3_600),
            // There is no use in a click's modal a minute later.
            ("python", told(10), Some(600), Class::Background, api, open, 1),
        ] {
            let said = said.map(seconds);
            let known =
                Known { config: &config, kind, method, client: client(name), said, told_every };
            let wait = known.of_class(class).as_secs();
            assert_eq!(wait, held, "{name} {told_every:?} {said:?} {class} {kind:?}");
        }
    }

    #[test]
    fn the_operators_ceiling_is_one() {
        let config = config("queue: { max_wait: 1m, max_hold: 1m }");
        let known = |told_every| Known {
            config: &config,
            kind: Kind::Webhook,
            method: None,
            client: None,
            said: None,
            told_every,
        };
        assert_eq!(known(Some(seconds(10))).of_class(Class::Background), seconds(60));
        assert_eq!(known(None).of_class(Class::Background), seconds(60));
        // What a call says and what its method makes sense for are below it.
        let mut method = Method::clone(config.catalogue.method("chat.update"));
        method.max_wait = Some(seconds(600));
        let patient = Known { method: Some(&method), said: Some(seconds(3600)), ..known(None) };
        assert_eq!(patient.of_class(Class::Normal), seconds(60));
        // Who wants nothing held wants no webhook held.
        let config = self::config("queue: { max_wait: 0s }");
        let known = Known { config: &config, ..known(None) };
        assert_eq!(known.of_class(Class::Normal), Duration::ZERO);
    }
}
