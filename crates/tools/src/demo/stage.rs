//! Both sides of the demo: two fake Slacks, a proxy before one of them, and their bots, all on
//! loopback.

use std::{net::SocketAddr, num::NonZeroU64, sync::Arc, time::Duration};

use anyhow::Context;
use console::Ask;
use fake_slack::{Cause, FakeSlack, Options, Penalty};
use tokio::{net::TcpListener, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    bots::{Bot, PEOPLE},
    page::{Side, View},
    score::Score,
};
use crate::{
    fake_slack::documented,
    proxy::{Addresses, Launch, Proxy},
};

/// How long a minute lasts.
pub(super) const MINUTE: Duration = Duration::from_secs(3);

/// How long a round trip to Slack takes, as for everyone who is not next door; scaled, too.
const LATENCY: &str = "2ms..10ms";
/// So many calls are kept for the count of pauses.
const LEDGER: usize = 50_000;
/// The job tells who it is, and that it is in no hurry.
const JOB: &str = "/@cleanup;class=background;max-wait=5m";
const PERSON: &str = "/@people";

/// All that runs.
#[derive(Debug)]
pub(super) struct Stage {
    began: Instant,
    straight: Half,
    through: Half,
    /// The proxy's own account.
    operators: Ask,
    proxy: Proxy,
    end: CancellationToken,
    tasks: TaskTracker,
}

/// One side: a Slack, and what its app comes to.
#[derive(Debug)]
struct Half {
    slack: FakeSlack,
    score: Score,
}

// === impl Stage ===

impl Stage {
    /// Sets all up, and lets them begin at once.
    ///
    /// # Errors
    /// If something cannot be started.
    pub(super) async fn open(launch: Launch) -> anyhow::Result<Self> {
        let (end, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (straight, near) = Half::open(&end, &tasks).await?;
        let (through, far) = Half::open(&end, &tasks).await?;
        let (proxy, addresses) = Proxy::start(launch, before(far)?, end.clone()).await?;
        let Addresses { bots, operators } = addresses;
        let began = Instant::now();
        straight.begin(near, ["", ""], &end, &tasks);
        through.begin(bots, [JOB, PERSON], &end, &tasks);
        let operators = Ask::new(&format!("http://{operators}"));
        Ok(Self { began, straight, through, operators, proxy, end, tasks })
    }

    /// How both sides stand now.
    pub(super) async fn view(&self) -> View {
        let held = self.held().await.unwrap_or(0);
        let now = Instant::now();
        let at = now.duration_since(self.began);
        View {
            at,
            straight: self.straight.view(at, now),
            through: self.through.view(at, now),
            held,
        }
    }

    /// Ends all of it, and waits until it has.
    ///
    /// # Errors
    /// If the proxy failed.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        self.end.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.proxy.close()
    }

    /// How many calls the proxy holds, as it says itself.
    async fn held(&self) -> Option<usize> {
        let (_, body) = self.operators.get("/status").await.ok()?;
        let status: serde_json::Value = serde_json::from_slice(&body).ok()?;
        usize::try_from(status["totals"]["held"].as_u64()?).ok()
    }
}

/// The proxy's configuration: what a user would write to put it before that Slack.
fn before(slack: SocketAddr) -> anyhow::Result<config::Config> {
    let file = format!(
        "listen: 127.0.0.1:0\n\
         admin: {{ listen: 127.0.0.1:0 }}\n\
         upstreams: [{{ prefix: /api/, url: 'http://{slack}/api/', kind: web_api }}]\n\
         identity: {{ app: A1 }}\n"
    );
    let mut config = config::check(&file, "demo", |_| None)?;
    config.catalogue = Arc::new(Arc::unwrap_or_clone(config.catalogue).with_minute(MINUTE));
    Ok(config)
}

// === impl Half ===

impl Half {
    async fn open(
        end: &CancellationToken,
        tasks: &TaskTracker,
    ) -> anyhow::Result<(Self, SocketAddr)> {
        let options = Options {
            penalty: Penalty::App,
            minute: MINUTE,
            latency: LATENCY.parse()?,
            ledger: LEDGER,
            ..Options::new(documented()?)
        };
        let slack = FakeSlack::new(options);
        let listener =
            TcpListener::bind("127.0.0.1:0").await.context("cannot listen on loopback")?;
        let address = listener.local_addr()?;
        let (served, end) = (slack.clone(), end.clone());
        tasks.spawn(async move { served.serve(listener, end).await });
        Ok((Self { slack, score: Score::default() }, address))
    }

    /// The job and the people begin, each with a base URL of its own.
    fn begin(
        &self,
        to: SocketAddr,
        lanes: [&str; 2],
        end: &CancellationToken,
        tasks: &TaskTracker,
    ) {
        let [job, people] =
            lanes.map(|lane| Bot::new(format!("http://{to}{lane}/api/"), &self.score));
        let stop = end.clone();
        tasks.spawn(async move { stop.clone().run_until_cancelled(job.job(stop)).await });
        for person in 0..PEOPLE {
            let (bot, end) = (people.clone(), end.clone());
            tasks.spawn(async move { end.run_until_cancelled(bot.person(person)).await });
        }
    }

    fn view(&self, at: Duration, now: Instant) -> Side {
        let ledger = self.slack.ledger();
        // Each refusal by a window shuts the app; those within the pause are told the rest of it.
        let shut = ledger.violations.iter().filter(|it| it.refusal.cause == Cause::Window);
        let (mut times, mut shut_for) = (0, Duration::ZERO);
        for violation in shut {
            let pause = violation.refusal.retry_after.map_or(0, NonZeroU64::get);
            times += 1;
            shut_for += Duration::from_secs(pause).min(at.saturating_sub(violation.at));
        }
        let counts = self.score.counts().clone();
        Side { clicks: counts.clicks(now), counts, shut: times, shut_for }
    }
}
