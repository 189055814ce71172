//! The traffic of a fleet: people by day, bots, jobs at the full hour, and floods of one caller at one
//! replica.

use std::time::Duration;

use limits::Class;
use scheduler::Instant;

use super::{
    catalogue::{CHANNELS, METHODS, Method, POSTERS},
    chance::Chance,
};

/// A call, as a client makes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) workspace: usize,
    pub(super) channel: usize,
    pub(super) poster: usize,
    pub(super) class: Class,
    pub(super) caller: u64,
    pub(super) patience: Duration,
    /// To which replica, if it is the caller's own.
    pub(super) at: Option<usize>,
}

/// What calls come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    People,
    Bots,
    /// Each workspace has a job at the full hour.
    Hourly {
        left: u32,
    },
    Floods,
    Flood {
        ask: Ask,
        left: u32,
        spread: bool,
        every: Duration,
    },
}

/// How much there is of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) workspaces: usize,
    /// Calls of people and of bots, a second at noon.
    pub(super) rate: f64,
    pub(super) floods: Duration,
}

const HOUR: u64 = 3600;

/// How much of noon's traffic there is at that time: the nights are quiet, and the weekend is.
pub(super) fn daylight(now: Instant) -> f64 {
    let hours = now.since(Instant::ZERO).as_secs_f64() / 3600.0;
    let day = ((hours / 24.0 * std::f64::consts::TAU) - std::f64::consts::FRAC_PI_2).sin();
    let weekend = if hours / 24.0 % 7.0 > 5.0 { 0.4 } else { 1.0 };
    (0.1 + 0.45 * (1.0 + day)) * weekend
}

impl Source {
    /// All that there are.
    pub(super) fn all(size: Size) -> [Self; 4] {
        [Self::People, Self::Bots, Self::Hourly { left: hourly(size) }, Self::Floods]
    }

    /// The calls that come now, and what comes next of it, after how long.
    pub(super) fn next(
        self,
        now: Instant,
        size: Size,
        chance: &mut Chance,
        asks: &mut Vec<Ask>,
    ) -> Vec<(Duration, Self)> {
        let often = |rate: f64| Duration::from_secs_f64(1.0 / (rate * daylight(now)));
        match self {
            Self::People => {
                let (ask, clicks) = (click(size, chance), 1 + chance.below(2));
                asks.extend((0..clicks).map(|_| ask));
                vec![(chance.after(often(size.rate * 0.3)), self)]
            }
            Self::Bots => {
                let ask = chore(size, chance);
                let burst = if chance.hits(50) { 2 + chance.below(8) } else { 1 };
                asks.extend((0..burst).map(|_| ask));
                vec![(chance.after(often(size.rate * 0.45)), self)]
            }
            Self::Hourly { left: 0 } => {
                let past = now.since(Instant::ZERO).as_secs() % HOUR;
                vec![(Duration::from_secs(HOUR - past), Self::Hourly { left: hourly(size) })]
            }
            Self::Hourly { left } => {
                let method = if chance.hits(300) { Method::History } else { Method::List };
                let workspace = left as usize % size.workspaces;
                asks.push(Ask { workspace, caller: 900, ..job(method, chance) });
                vec![(chance.after(Duration::from_millis(60)), Self::Hourly { left: left - 1 })]
            }
            Self::Floods => {
                let method = METHODS[chance.index(METHODS.len())];
                let class = if chance.hits(500) { Class::Normal } else { Class::Background };
                let ask = Ask {
                    workspace: chance.ranked(size.workspaces),
                    class,
                    caller: 1000 + chance.below(50),
                    patience: chance.seconds(10, 400),
                    at: Some(chance.index(10)),
                    ..job(method, chance)
                };
                let left = u32::try_from(50 + chance.below(500)).unwrap();
                let every = chance.millis(0, 400);
                let spread = chance.hits(300);
                let flood = Self::Flood { ask, left, spread, every };
                vec![(chance.after(size.floods), self), (Duration::ZERO, flood)]
            }
            Self::Flood { left: 0, .. } => Vec::new(),
            Self::Flood { mut ask, left, spread, every } => {
                if spread {
                    ask.workspace = chance.index(size.workspaces);
                }
                asks.push(Ask { channel: chance.index(CHANNELS), ..ask });
                vec![(every, Self::Flood { ask, left: left - 1, spread, every })]
            }
        }
    }
}

fn hourly(size: Size) -> u32 {
    u32::try_from(size.workspaces).unwrap()
}

fn job(method: Method, chance: &mut Chance) -> Ask {
    Ask {
        method,
        workspace: 0,
        channel: chance.index(CHANNELS),
        poster: chance.index(POSTERS),
        class: Class::Background,
        caller: 900,
        patience: Duration::from_secs(600),
        at: None,
    }
}

/// A person waits for it.
fn click(size: Size, chance: &mut Chance) -> Ask {
    let method = [Method::Info, Method::List, Method::Post, Method::Update][chance.index(4)];
    Ask {
        workspace: chance.ranked(size.workspaces),
        class: Class::Interactive,
        caller: chance.below(200),
        patience: chance.seconds(3, 30),
        ..job(method, chance)
    }
}

/// Somebody's bot.
fn chore(size: Size, chance: &mut Chance) -> Ask {
    let methods =
        [Method::Post, Method::Post, Method::Info, Method::List, Method::Update, Method::Bookmark];
    let method = if chance.hits(20) { Method::Close } else { methods[chance.index(methods.len())] };
    let (workspace, poster) = (chance.ranked(size.workspaces), chance.index(POSTERS));
    let caller = 200 + (workspace * POSTERS + poster) as u64;
    Ask {
        workspace,
        poster,
        class: Class::Normal,
        caller,
        patience: chance.seconds(10, 90),
        at: Some(usize::try_from(caller % 10).unwrap()),
        ..job(method, chance)
    }
}
