//! What is read is what was written, and what cannot be read is noticed.

use std::{
    fs,
    path::Path,
    sync::{Arc, LazyLock},
    time::Duration,
};

use limits::{BucketKey, Limit};
use proptest::prelude::*;
use scheduler::{
    Freeze, Instant, KeptLesson, Memory, Note, Scheduler,
    model::{self, Keeper},
};
use slack::{AppKind, Catalogue, Facts, TokenHash};
use tempfile::tempdir;
use tokio_util::sync::CancellationToken;

use super::{
    ClockReading, Doubt, Ledger, OpenError, Store, StoreMetrics,
    clock::Clock,
    file::{parse, whole},
    open,
    record::Record,
};
use crate::{identity::Learnt, metrics::Registry};

/// A state file in memory.
struct File {
    text: Vec<u8>,
    ledger: Ledger,
    clock: Clock,
}

fn metrics() -> StoreMetrics {
    StoreMetrics::register(&Registry::default()).unwrap()
}

const START: Instant = Instant::from_nanos(0);

impl File {
    fn new() -> Self {
        let mut ledger = Ledger::new();
        ledger.apply(Record::Clock(moment(0))).unwrap();
        let text = whole(&mut ledger, 0);
        Self { text, ledger, clock: Clock::new(START, &moment(0)) }
    }
}

impl Keeper for File {
    fn keep(&mut self, scheduler: &mut Scheduler) {
        let mut notes = Vec::new();
        scheduler.notes(&mut notes);
        for note in notes {
            self.ledger.note(note, self.clock, &mut self.text);
        }
    }

    /// With `shorter`, the file was written anew before.
    fn restart(
        &mut self,
        now: Instant,
        all: &[BucketKey],
        shorter: bool,
    ) -> Vec<(BucketKey, Memory)> {
        let at = self.clock.micros(now);
        if shorter {
            self.text = whole(&mut self.ledger, at);
        }
        let (mut ledger, damaged) = parse(Path::new("state"), &self.text).unwrap();
        assert_eq!(ledger.resume(&moment(at), damaged), None);
        self.text = whole(&mut ledger, at);
        self.ledger = ledger;
        let entries = self.ledger.buckets.values().map(|entry| {
            let of = |key: &&BucketKey| key.limit.name == entry.limit;
            let limit = &all.iter().find(of).expect("it is one of them").limit;
            let key = BucketKey { limit: Arc::clone(limit), values: entry.values.clone() };
            let ages_from = entry.slots.iter().map(|at| self.clock.instant(*at)).collect();
            let frozen_until = entry.frozen_until.map(|at| self.clock.instant(at));
            let learnt = entry.learnt.map(|lesson| lesson.kept(self.clock));
            (key, Memory { ages_from, frozen_until, learnt })
        });
        entries.collect()
    }
}

/// So many microseconds after the machine started, at noon.
fn moment(micros: i64) -> ClockReading {
    ClockReading { boot: "boot".into(), steady: micros, wall: 1_000_000_000_000 + micros }
}

fn seconds(seconds: i64) -> i64 {
    seconds * 1_000_000
}

fn at(seconds: u64) -> Instant {
    START + Duration::from_secs(seconds)
}

static TIER: LazyLock<Arc<Limit>> = LazyLock::new(|| {
    let catalogue = Catalogue::built_in(AppKind::Internal).unwrap();
    Arc::clone(catalogue.limits().find(|limit| &*limit.name == "tier2").unwrap())
});

/// A bucket of the catalogue's second tier.
fn bucket(values: &str) -> BucketKey {
    BucketKey { limit: Arc::clone(&TIER), values: values.into() }
}

fn granted(call: u64, at: Instant, values: &str) -> Note {
    Note::Granted { call, at, buckets: vec![bucket(values)] }
}

/// A file in which a little of everything has happened at its second ten.
fn some() -> Vec<u8> {
    let mut keeper = File::new();
    let File { text, ledger, clock } = &mut keeper;
    let frozen = Note::Frozen(Freeze { bucket: bucket("A/T/x"), until: at(50) });
    for note in [
        granted(1, at(9), "A/T/x"),
        Note::Ended { call: 1, ages_from: Some(at(10)) },
        granted(2, at(10), "A/T/x\n\u{1f30a} \""),
        frozen,
        granted(3, at(10), "A/T/y"),
        Note::Ended { call: 3, ages_from: None },
    ] {
        ledger.note(note, *clock, text);
    }
    let facts = Facts { workspace: Some("T1".into()), ..Facts::default() };
    let bot = Learnt::Bot { workspace: "T1".into(), bot: "B1".into(), app: "A1".into() };
    for learnt in [Learnt::Token(TokenHash::of("xoxb-1"), facts), bot] {
        ledger.say(Record::learnt(&learnt), text);
    }
    keeper.text
}

fn parsed(text: &[u8]) -> (Ledger, bool) {
    parse(Path::new("state"), text).unwrap()
}

/// Slots and freezes, by bucket.
fn memory(ledger: &Ledger) -> Vec<(String, Vec<i64>, Option<i64>)> {
    let entries = ledger.buckets.values();
    entries.map(|it| (it.values.to_string(), it.slots.clone(), it.frozen_until)).collect()
}

#[test]
fn what_was_written_is_read() {
    let (mut ledger, damaged) = parsed(&some());
    assert_eq!((ledger.resume(&moment(seconds(20)), damaged), ledger.doubt), (None, None));
    let expected = [
        ("A/T/x".to_owned(), vec![seconds(10)], Some(seconds(50))),
        // Nobody knows when Slack counted it: a second from now at the latest.
        ("A/T/x\n\u{1f30a} \"".to_owned(), vec![seconds(21)], None),
    ];
    assert_eq!(memory(&ledger), expected);
    assert_eq!(ledger.learnt().count(), 2);
    let again = parsed(&whole(&mut ledger, seconds(20)));
    assert!(!again.1);
    assert_eq!(memory(&again.0), expected);
    assert!(ledger.learnt().eq(again.0.learnt()));
}

/// A bucket of so many calls a minute, learnt at the tenth second.
fn lesson(quota: u32) -> KeptLesson {
    KeptLesson {
        documented: 20,
        per: Duration::from_secs(60),
        quota,
        period: Duration::from_millis(60_001),
        refused: Some(quota + 1),
        bursts: true,
        since: Some(at(10)),
    }
}

fn learnt(values: &str, lesson: Option<KeptLesson>) -> Note {
    Note::Learnt { bucket: bucket(values), lesson }
}

fn lessons(ledger: &Ledger, clock: Clock) -> Vec<(String, KeptLesson)> {
    let entries = ledger.buckets.values();
    let kept = entries.filter_map(|it| Some((it.values.to_string(), it.learnt?.kept(clock))));
    kept.collect()
}

/// Red when a lesson is not written anew, not shifted to another clock, kept when it is forgotten, or
/// lost where two buckets become one.
#[test]
fn what_was_learnt_of_limits_is_kept() {
    let File { mut text, mut ledger, clock } = File::new();
    for note in [
        granted(1, at(9), "A/T/x"),
        Note::Ended { call: 1, ages_from: Some(at(10)) },
        learnt("A/T/x", Some(lesson(12))),
        learnt("A/T/y", Some(lesson(10))),
        learnt("A/T/z", Some(lesson(11))),
        learnt("A/T/y", None),
        learnt("A/U/x", Some(lesson(8))),
        Note::Renamed { of: TIER.scope.identity(), from: "A/U".into(), to: "A/T".into() },
    ] {
        ledger.note(note, clock, &mut text);
    }
    let expected = [("A/T/x".to_owned(), lesson(8)), ("A/T/z".to_owned(), lesson(11))];
    let (mut ledger, damaged) = parsed(&text);
    assert_eq!(ledger.resume(&moment(seconds(20)), damaged), None);
    assert_eq!(lessons(&ledger, clock), expected);
    let (mut ledger, damaged) = parsed(&whole(&mut ledger, seconds(3600)));
    assert!(!damaged);
    assert_eq!(lessons(&ledger, clock), expected);
    // A day after its last call, not before.
    whole(&mut ledger, seconds(86_405));
    assert_eq!(lessons(&ledger, clock).len(), 2);
    whole(&mut ledger, seconds(86_411));
    assert_eq!(lessons(&ledger, clock), []);
}

/// Red when nobody knows what was taken and therefore forgets what was learnt.
#[test]
fn a_gap_takes_no_lesson_away() {
    let File { mut text, mut ledger, clock } = File::new();
    ledger.note(learnt("A/T/x", Some(lesson(12))), clock, &mut text);
    ledger.note(granted(1, at(9), "A/T/y"), clock, &mut text);
    ledger.lose(seconds(20));
    assert_eq!(lessons(&ledger, clock), [("A/T/x".to_owned(), lesson(12))]);
    assert_eq!(ledger.buckets.len(), 1);
}

/// Red when the end of the text is not looked at.
#[test]
fn wherever_it_is_cut_off_the_rest_counts_and_is_doubted() {
    let text = some();
    let lines = |text: &[u8]| text.split(|byte| *byte == b'\n').count() - 1;
    for end in 0..text.len() {
        let part = &text[..end];
        let (mut ledger, damaged) = parsed(part);
        let whole_lines = part.ends_with(b"\n") && lines(part) > 1;
        assert_eq!(damaged, !part.ends_with(b"\n"), "cut off at {end}");
        let doubt = ledger.resume(&moment(seconds(20)), damaged);
        assert_eq!(doubt, (!whole_lines).then_some(Doubt::Damaged), "cut off at {end}");
        assert_eq!(ledger.doubt, doubt.map(|_| seconds(20)));
        // A slot that was told of is there, its answer's or one of now.
        let grants = lines(part) + usize::from(text[end] == b'\n') >= 4;
        assert_eq!(memory(&ledger).iter().any(|(_, slots, _)| !slots.is_empty()), grants, "{end}");
    }
}

/// Red when checksums are not compared.
#[test]
fn whatever_byte_is_wrong_it_is_noticed() {
    let text = some();
    let first = text.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for wrong in first..text.len() {
        let mut text = text.clone();
        text[wrong] ^= 0x10;
        assert!(parsed(&text).1, "byte {wrong}");
    }
}

/// Red when a start is refused until a person acts, because of a bit of the head.
#[test]
fn a_file_with_a_damaged_head_is_ours_and_not_to_be_believed() {
    let text = some();
    let head = text.iter().position(|byte| *byte == b'\n').unwrap();
    for (at, bit) in (0..=head).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut text = text.clone();
        text[at] ^= 1 << bit;
        // Another digit is another version.
        if at + 1 < head || !text[at].is_ascii_digit() {
            let read = parse(Path::new("state"), &text);
            assert!(read.is_ok_and(|(_, damaged)| damaged), "bit {bit} of byte {at}");
        }
    }
    for zeros in [1, head, text.len()] {
        let mut text = text.clone();
        text[..zeros].fill(0);
        assert!(parsed(&text).1, "{zeros} zeros");
    }
    assert!(parsed(b"slackwater-state x\n").1);
}

#[test]
fn what_is_somebody_elses_is_refused() {
    let read = |text: &[u8]| parse(Path::new("/x"), text).unwrap_err();
    for text in [&b"listen: 127.0.0.1:80\n"[..], b"\x7fELF", b"\n", b"slackwater\n"] {
        assert!(matches!(read(text), OpenError::Foreign(_)), "{text:?}");
    }
    assert_eq!(
        read(b"slackwater-state 2\nwhatever\n").to_string(),
        "the state file /x is of version 2, and this slackwater reads version 1: run the newer \
         one, or move the file away to start without it"
    );
}

#[test]
fn a_clock_that_went_back_is_doubted() {
    let resume = |now: ClockReading| parsed(&some()).0.resume(&now, false);
    assert_eq!(resume(moment(seconds(20))), None);
    assert_eq!(resume(moment(seconds(9))), Some(Doubt::ClockWentBack), "the steady one");
    let now = ClockReading { wall: moment(seconds(15)).wall, ..moment(seconds(20)) };
    assert_eq!(resume(now), Some(Doubt::ClockWentBack), "the wall clock");
}

/// Red when the time between two boots is taken from the steady clock.
#[test]
fn over_a_reboot_it_is_believed_if_the_process_had_ended() {
    let other = |steady, wall| ClockReading { boot: "other".into(), steady, wall };
    let mut text = some();
    let now = other(seconds(5), moment(seconds(45)).wall);
    assert_eq!(parsed(&text).0.resume(&now, false), Some(Doubt::MachineWentDown));
    Record::Closed(moment(seconds(15))).write(&mut text);
    let mut ledger = parsed(&text).0;
    assert_eq!(ledger.resume(&now, false), None);
    // Thirty seconds have passed: now is what was second 45.
    let expected = [
        ("A/T/x".to_owned(), vec![seconds(-30)], Some(seconds(10))),
        ("A/T/x\n\u{1f30a} \"".to_owned(), vec![seconds(6)], None),
    ];
    assert_eq!(memory(&ledger), expected);
    let back = other(seconds(5), moment(seconds(14)).wall);
    assert_eq!(parsed(&text).0.resume(&back, false), Some(Doubt::ClockWentBack));
}

/// Red when two boots that nobody can name are the same.
#[test]
fn where_no_boot_can_be_told_it_is_another() {
    let unnamed = |at| ClockReading { boot: String::new(), ..moment(at) };
    let mut text = some();
    Record::Clock(unnamed(seconds(12))).write(&mut text);
    let doubt = parsed(&text).0.resume(&unnamed(seconds(20)), false);
    assert_eq!(doubt, Some(Doubt::MachineWentDown));
}

/// A doubt lasts as long as it is one, however often the process is killed meanwhile.
#[test]
fn a_doubt_is_kept() {
    let mut ledger = parsed(&some()).0;
    ledger.resume(&moment(seconds(20)), true);
    let mut again = parsed(&whole(&mut ledger, seconds(20))).0;
    assert_eq!(again.resume(&moment(seconds(30)), false), None);
    assert_eq!(again.doubt, Some(seconds(20)));
}

/// Does something while somebody has it written.
async fn attended(store: &Store, acts: impl Future<Output = ()>) {
    tokio::select! {
        () = store.attend(CancellationToken::new()) => {}
        () = acts => {}
    }
}

#[tokio::test]
async fn what_is_given_is_in_the_file_when_it_is_told() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("state");
    let opened = open(&path, at(0), &ClockReading::now()).unwrap();
    assert_eq!(opened.doubt, None, "a new file is no reason for doubt");
    let error = open(&path, at(0), &ClockReading::now()).unwrap_err().to_string();
    assert!(error.contains("in use by another process"), "{error}");
    let (store, thread) = opened.start(metrics()).unwrap();
    let acts = async {
        for call in 1..=100 {
            store.note(&mut vec![granted(call, at(0), "A/T/x")]);
            store.written().await;
            let (mut ledger, damaged) = parsed(&fs::read(&path).unwrap());
            ledger.resume(&ClockReading::now(), damaged);
            let slots = ledger.buckets.values().map(|entry| entry.slots.len()).sum::<usize>();
            assert_eq!(slots, usize::try_from(call).unwrap());
        }
    };
    attended(&store, acts).await;
    store.close();
    thread.join().unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let opened = open(&path, at(0), &ClockReading::now()).unwrap();
    assert_eq!(opened.doubt, None);
}

/// Red when the file is never written anew.
#[tokio::test]
async fn the_file_does_not_grow_without_end() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("state");
    let opened = open(&path, at(0), &ClockReading::now()).unwrap();
    let (store, thread) = opened.start(metrics()).unwrap();
    let mut longest = 0;
    let acts = async {
        for round in 0..100 {
            let calls = round * 1000..(round + 1) * 1000;
            let ended = |call| Note::Ended { call, ages_from: None };
            let notes = calls.flat_map(|call| [granted(call, at(0), "A/T/x"), ended(call)]);
            store.note(&mut notes.collect());
            store.written().await;
            longest = longest.max(fs::metadata(&path).unwrap().len());
        }
    };
    attended(&store, acts).await;
    assert!((500_000..3 << 20).contains(&longest), "{longest}");
    store.close();
    thread.join().unwrap();
    let (ledger, damaged) = parsed(&fs::read(&path).unwrap());
    assert!(!damaged && memory(&ledger).iter().all(|(_, slots, _)| slots.is_empty()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// What a scheduler noted is in the file, and what is read of it keeps the limits over a restart.
    ///
    /// Red with: no slot for what has no answer, renames or freezes that are not kept.
    #[test]
    fn a_scheduler_goes_on_from_its_file(bounds in model::bounds(), steps in model::steps()) {
        model::walk(bounds, steps, Box::new(File::new()));
    }
}
