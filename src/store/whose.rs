//! What one replica has learnt of a token is known to all, and one of them asks Slack of it: one message at a
//! time, when there is something to ask or to tell.

use std::time::Duration;

use redis::{FromRedisValue, Value};
use slack::TokenHash;
use tokio::{sync::oneshot, time::Instant};

use super::{keys::Keys, outbox::Outbox, script::Given};
use crate::{
    identity::{Fact, Heard, Identities, Learnt, Others, Question},
    queue::Admission,
};

/// What is asked and told.
#[derive(Debug)]
pub(super) struct Whose {
    admission: Admission,
    identities: Identities,
    others: Others,
    /// How the others know this replica.
    name: String,
    /// Of whose bots and tokens more is to be asked.
    further: Vec<String>,
    outbox: Outbox<Vec<Word>>,
}

#[derive(Debug)]
enum Word {
    Whose(TokenHash, oneshot::Sender<Heard>),
    Known(String),
    Told(Fact),
}

/// The script.
pub(super) const WHOSE: &str = include_str!("whose.lua");

/// For how long what is known of a token is kept, in milliseconds: a week.
const KEEPS: u64 = 7 * 24 * 3600 * 1000;
/// For how long somebody may ask Slack, in milliseconds.
const ASKS: u64 = 1_000;
/// So many words a message has at most.
const WORDS: usize = 128;
/// Of so many bots and tokens more is to be asked at most. Of others it is learnt from Slack.
const FURTHER: usize = 1_024;
/// What comes first where all are told what is learnt.
const PUSHED: &str = "whose ";
/// The beginnings of the names of bots, and of tokens that have joined an app.
const BOT: &str = "bot:";
const JOINED: &str = "app:";

// === impl Whose ===

impl Whose {
    pub(super) fn new(
        admission: Admission,
        (identities, others): (Identities, Others),
        name: String,
        time_out: Duration,
        now: Instant,
    ) -> Self {
        let (further, outbox) = (Vec::new(), Outbox::new(time_out, now));
        Self { admission, identities, others, name, further, outbox }
    }

    /// When it does something next by itself.
    pub(super) fn next(&self, connected: bool) -> Option<Instant> {
        self.outbox.next(connected)
    }

    /// There is a connection.
    pub(super) fn connects(&mut self, now: Instant) {
        self.outbox.connects(now);
    }

    /// Nothing that is on its way is answered.
    pub(super) fn is_alone(&mut self) {
        let words = self.outbox.is_alone().into_iter().flatten().collect();
        let learnt = self.keep(words);
        self.others.are_silent(learnt);
    }

    /// Words that were not heard: what is to be asked further is asked later. Who asks whose a token is hears
    /// nothing, and asks Slack. Returns what was to be told.
    fn keep(&mut self, words: Vec<Word>) -> Vec<Fact> {
        let mut learnt = Vec::new();
        for word in words {
            match word {
                Word::Told(fact) => learnt.push(fact),
                Word::Known(name) => self.ask_further(name),
                Word::Whose(..) => {}
            }
        }
        learnt
    }

    fn ask_further(&mut self, name: String) {
        if self.further.len() < FURTHER && !self.further.contains(&name) {
            self.further.push(name);
        }
    }

    /// What is to be asked and told by the message of that number, if anything.
    pub(super) fn act(&mut self, now: Instant, number: u64, keys: &Keys) -> Option<Given> {
        if self.outbox.is_late(now) {
            self.is_alone();
        }
        if !self.outbox.opens(now, || true) {
            return None;
        }
        let (questions, learnt) = self.others.news();
        let asks =
            questions.into_iter().map(|Question { token, answer }| Word::Whose(token, answer));
        let further = std::mem::take(&mut self.further).into_iter().map(Word::Known);
        let mut words: Vec<_> =
            asks.chain(further).chain(learnt.into_iter().map(Word::Told)).collect();
        let later = words.split_off(words.len().min(WORDS));
        let later = self.keep(later);
        self.others.tell(&later);
        if words.is_empty() {
            return None;
        }
        let names: Vec<_> = words.iter().map(Word::name).collect();
        let keys_of = names.iter().map(|name| keys.of_all(&format!("t:{name}")));
        let mut given = Given::plain(keys_of.collect::<Vec<_>>());
        given.push([&self.name, &keys.channel_of_all()]);
        given.push([KEEPS, ASKS]);
        for (word, name) in words.iter().zip(&names) {
            match word {
                Word::Whose(..) => given.push(["whose", name]),
                Word::Known(_) => given.push(["known", name]),
                Word::Told(fact) => {
                    let kind = if let Fact::Joined { .. } = fact { "first" } else { "learnt" };
                    given.push([kind, name, &value(fact)]);
                }
            }
        }
        self.outbox.sends(now, number, words);
        Some(given)
    }

    /// The message of that number has an answer. Returns whether that is something it ever answers.
    pub(super) fn hear(&mut self, number: u64, answer: Value) -> bool {
        if !self.outbox.awaits(number) {
            return true;
        }
        let answers: Result<Vec<String>, _> = FromRedisValue::from_redis_value(answer);
        let Ok(answers) = answers else { return false };
        let Some(words) = self.outbox.is_answered() else { return true };
        for (word, told) in words.into_iter().zip(answers) {
            let name = word.name();
            match (word, &*told) {
                // Whoever asked may be gone.
                (Word::Whose(_, answer), "?") => drop(answer.send(Heard::Ask)),
                (Word::Whose(_, answer), "-") => drop(answer.send(Heard::Wait)),
                (Word::Whose(_, answer), _) => {
                    let known = self.takes_in(&name, &told);
                    let _ = answer.send(if known { Heard::Known } else { Heard::Ask });
                }
                (Word::Known(_), "") => {}
                (Word::Known(_) | Word::Told(Fact::Joined { .. }), _) => {
                    self.takes_in(&name, &told);
                }
                (Word::Told(_), _) => {}
            }
        }
        true
    }

    /// The message of that number has none.
    pub(super) fn fails(&mut self, number: u64) {
        if self.outbox.awaits(number) {
            self.is_alone();
        }
    }

    /// All are told what another one has learnt. Returns whether it is that what is told.
    pub(super) fn hear_push(&mut self, text: &str) -> bool {
        let Some(text) = text.strip_prefix(PUSHED) else { return false };
        let mut parts = text.splitn(3, ' ');
        if let (Some(by), Some(name), Some(value)) = (parts.next(), parts.next(), parts.next())
            && by != self.name
        {
            let token = TokenHash::from_hex(name.strip_prefix(JOINED).unwrap_or(name));
            // Of tokens that are not used here nothing is kept.
            if token.is_none_or(|token| self.identities.has_seen(&token)) {
                self.takes_in(name, value);
            }
            if let Some(token) = token {
                self.others.have_told(&token);
            }
        }
        true
    }

    /// Takes in what others know. Whether it could be read.
    fn takes_in(&mut self, name: &str, value: &str) -> bool {
        let Some(fact) = read(name, value) else { return false };
        if let Fact::Learnt(Learnt::Token(token, facts)) = &fact {
            match (&facts.bot, &facts.workspace) {
                (Some(bot), Some(workspace)) => {
                    self.ask_further(format!("{BOT}{workspace}/{bot}"));
                }
                (None, _) if facts.app.is_none() => {
                    self.ask_further(format!("{JOINED}{}", token.to_hex()));
                }
                _ => {}
            }
        }
        let (moved, news) = self.identities.hear(fact);
        self.admission.keep_learnt(news);
        for moved in moved {
            self.admission.move_identity(&moved.from, &moved.to);
        }
        true
    }
}

// === impl Word ===

impl Word {
    fn name(&self) -> String {
        match self {
            Self::Whose(token, _) | Self::Told(Fact::Learnt(Learnt::Token(token, _))) => {
                token.to_hex()
            }
            Self::Known(name) => name.clone(),
            Self::Told(Fact::Learnt(Learnt::Bot { workspace, bot, .. })) => {
                format!("{BOT}{workspace}/{bot}")
            }
            Self::Told(Fact::Joined { token, .. }) => format!("{JOINED}{}", token.to_hex()),
        }
    }
}

fn value(fact: &Fact) -> String {
    match fact {
        // It can always be written as JSON.
        Fact::Learnt(Learnt::Token(_, facts)) => serde_json::to_string(facts).unwrap_or_default(),
        Fact::Learnt(Learnt::Bot { app, .. }) | Fact::Joined { app, .. } => app.to_string(),
    }
}

fn read(name: &str, value: &str) -> Option<Fact> {
    if let Some(of) = name.strip_prefix(BOT) {
        let (workspace, bot) = of.split_once('/')?;
        let (workspace, bot, app) = (workspace.into(), bot.into(), value.into());
        return Some(Fact::Learnt(Learnt::Bot { workspace, bot, app }));
    }
    if let Some(token) = name.strip_prefix(JOINED) {
        return Some(Fact::Joined { token: TokenHash::from_hex(token)?, app: value.into() });
    }
    let facts = serde_json::from_str(value).ok()?;
    Some(Fact::Learnt(Learnt::Token(TokenHash::from_hex(name)?, facts)))
}
