//! A builder in memory that keeps its cache as BuildKit does, and random days of builds on it: ours, strangers', with
//! dkb looking after them, and a twin that nobody cleans.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{CacheBytes, NEW_VARIANTS, look, must_wait, superseded};
use crate::model::books_tests::key;
use crate::model::{BuildId, CacheBooks, CacheRecord, CachedBuild, EndedBuild, PastBuild, PastStep, SessionKey, Stamp};

/// What one build is of: how often each source was changed, the stage that it stops at, and what is new about it.
#[derive(Clone, Debug)]
struct Work {
    source: u8,
    tool: u8,
    /// The Dockerfile has a step more in front.
    longer: bool,
    only_first_stage: bool,
    no_cache: bool,
    fails: bool,
    /// What it is tagged.
    variant: &'static str,
}

/// A step of the Dockerfile: its words, what it stands on, and what it copies from.
struct Line {
    place: String,
    words: String,
    on: Option<usize>,
    from: Option<usize>,
}

impl Work {
    fn lines(&self) -> Vec<Line> {
        let line = |place: &str, words: &str, on, from| Line { place: place.into(), words: words.into(), on, from };
        let mut lines = vec![line("build 1/3", "WORKDIR /src", None, None)];
        if self.longer {
            lines.push(line("build 2/4", "RUN setup", Some(0), None));
        }
        let base = lines.len() - 1;
        let of = if self.longer { 4 } else { 3 };
        lines.push(line(&format!("build {}/{of}", of - 1), "COPY src /src", Some(base), None));
        lines.push(line(&format!("build {of}/{of}"), "RUN make", Some(base + 1), None));
        if !self.only_first_stage {
            lines.push(line("stage-1 1/2", "RUN tool", None, None));
            lines.push(line("stage-1 2/2", "COPY --from=build /out /out", Some(base + 3), Some(base + 2)));
        }
        if self.fails {
            lines.push(line("stage-1 3/3", "RUN false", Some(lines.len() - 1), None));
        }
        lines
    }

    /// What stands for the content of each step: what made it, and on what.
    fn content(&self, lines: &[Line]) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for line in lines {
            let version = match &*line.words {
                "COPY src /src" => self.source,
                "RUN tool" => self.tool,
                _ => 0,
            };
            let of = |at: Option<usize>| at.map_or("", |at| &all[at]);
            all.push(format!("{}@{version}({},{})", line.words, of(line.on), of(line.from)));
        }
        all
    }
}

#[derive(Clone, Default)]
struct Kit {
    clock: i64,
    made: u32,
    /// By what they hold, oldest first. One that was made once more is there twice, and the newest is what is found.
    cache: Vec<(String, CacheRecord)>,
    history: Vec<PastBuild>,
}

impl Kit {
    fn tick(&mut self) -> Timestamp {
        self.clock += 100;
        Timestamp::from_millisecond(self.clock).expect("a time")
    }

    fn find(&mut self, content: &str) -> Option<&mut CacheRecord> {
        self.cache.iter_mut().rev().find_map(|(held, record)| (held == content).then_some(record))
    }

    /// Builds, and says what was found in the cache of all that the build is of.
    fn build(&mut self, work: &Work, stamp: Stamp) -> BTreeSet<String> {
        let lines = work.lines();
        let content = work.content(&lines);
        let began = self.tick();
        let ours = content
            .iter()
            .zip(&lines)
            .map(|(content, line)| !work.no_cache && line.words != "RUN false" && self.find(content).is_some());
        let cached: Vec<bool> = ours.collect();
        let mut steps = Vec::new();
        let mut touched = BTreeSet::new();
        for (at, line) in lines.iter().enumerate() {
            let inputs = [line.on, line.from].into_iter().flatten();
            let mut ran = Vec::new();
            if !cached[at] {
                let (from, to) = (self.tick(), self.tick());
                ran.push((from, to));
                touched.extend(inputs.clone().map(|input| content[input].clone()));
                if line.words != "RUN false" {
                    self.made += 1;
                    touched.insert(content[at].clone());
                    let parents = line.on.and_then(|on| Some(self.find(&content[on])?.id.clone()));
                    let description = match line.words.strip_prefix("RUN ") {
                        Some(command) => format!("mount / from exec /bin/sh -c {command}"),
                        None => format!("[{}] {}", line.place, line.words),
                    };
                    let (kind, id) = ("regular".to_owned(), format!("r{}", self.made));
                    let parents = parents.into_iter().collect();
                    let record =
                        CacheRecord { id, parents, kind, description, created: Some(to), ..CacheRecord::default() };
                    self.cache.push((content[at].clone(), record));
                }
            }
            let input = |at: usize| format!("{began}/{at}");
            steps.push(PastStep {
                digest: input(at),
                name: format!("[{}] {}", line.place, line.words),
                inputs: inputs.map(input).collect(),
                ran,
                cached: cached[at],
            });
        }
        touched.insert(content.last().expect("a step").clone());
        let ended = self.tick();
        let at = self.tick();
        for content in &touched {
            if let Some(record) = self.find(content) {
                (record.last_used, record.used) = (Some(at), record.used + 1);
            }
        }
        let id = format!("past-{}", self.clock);
        let (wrote, named) = (Vec::new(), Vec::new());
        self.history.push(PastBuild { id, began, ended: Some(ended), stamp, steps: Some(steps), wrote, named });
        self.tick();
        content.into_iter().zip(cached).filter_map(|(content, cached)| cached.then_some(content)).collect()
    }

    fn records(&self) -> Vec<CacheRecord> {
        self.cache.iter().map(|(_, record)| record.clone()).collect()
    }

    /// As the engine does: what another record stands on stays.
    fn take(&mut self, ids: &[String]) {
        for id in ids {
            let has_child = self.cache.iter().any(|(_, record)| record.parents.contains(id));
            assert!(!has_child, "{id} was asked for before its children");
            self.cache.retain(|(_, record)| record.id != *id);
        }
    }
}

/// One host: dkb's books, and what it has not looked at.
struct Host {
    kit: Kit,
    books: CacheBooks,
    waiting: Vec<EndedBuild>,
    keep: usize,
}

fn of(session: u8) -> SessionKey {
    key("p", &format!("s{session}"))
}

impl Host {
    fn new(keep: usize) -> Self {
        Self { kit: Kit::default(), books: CacheBooks::default(), waiting: Vec::new(), keep }
    }

    fn build(&mut self, work: &Work, session: u8) -> BTreeSet<String> {
        let began = self.kit.tick();
        let found = self.kit.build(work, of(session).into());
        self.waiting.push(EndedBuild {
            build: BuildId::parse(format!("b{}", self.kit.clock)).expect("an ID"),
            of: of(session),
            key: if work.only_first_stage { "first" } else { "all" }.to_owned(),
            variant: work.variant.to_owned(),
            compose: None,
            stamp: of(session).into(),
            began,
            ended: self.kit.tick(),
            ok: !work.fails,
            keep: self.keep,
        });
        found
    }

    /// Builds while a stranger does, who ends first. What both held the engine notes as used once, when the last lets
    /// go. What the stranger found.
    fn build_beside(&mut self, work: &Work, session: u8, theirs: &Work) -> BTreeSet<String> {
        let began = self.kit.tick();
        let uses: BTreeMap<String, u64> =
            self.kit.cache.iter().map(|(_, record)| (record.id.clone(), record.used)).collect();
        let found = self.kit.build(theirs, Stamp::default());
        self.kit.clock += 60_000;
        self.build(work, session);
        for (_, record) in &mut self.kit.cache {
            let before = uses.get(&record.id).copied().unwrap_or(0);
            record.used = record.used.min(before + 1);
        }
        self.kit.history.last_mut().expect("ours").began = began;
        self.waiting.last_mut().expect("ours").began = began;
        found
    }

    fn look(&mut self) {
        look(&mut self.books, &std::mem::take(&mut self.waiting), &self.kit.history, &self.kit.records());
    }

    fn tidy(&mut self) -> usize {
        self.look();
        let records = self.kit.records();
        let going: Vec<String> =
            superseded(&self.books, &records, |_| false).into_iter().map(|record| record.id.clone()).collect();
        self.kit.take(&going);
        self.books.forget(|id| going.iter().any(|gone| gone == id));
        going.len()
    }
}

fn plain(source: u8) -> Work {
    Work { source, tool: 0, longer: false, only_first_stage: false, no_cache: false, fails: false, variant: "" }
}

#[test]
fn the_cache_of_thirty_builds_is_that_of_the_last_one() {
    for keep in [0, 1, 3] {
        let mut host = Host::new(keep);
        for n in 0..30 {
            host.build(&plain(n), 0);
            if n % 3 == 0 {
                host.build(&Work { fails: true, ..plain(n) }, 0);
            }
            host.build(&Work { only_first_stage: true, ..plain(n) }, 0);
            host.tidy();
        }
        // Three steps belong to a version of the source, the two others to all.
        assert_eq!(host.kit.cache.len(), 2 + 3 * (keep + 1));
        let found = host.build(&plain(29), 0);
        assert_eq!(found.len(), 5);
    }
}

#[test]
fn a_step_that_left_the_dockerfile_goes_once_a_build_without_it_went_well() {
    let mut host = Host::new(0);
    host.build(&Work { longer: true, ..plain(1) }, 0);
    assert_eq!(host.tidy(), 0);
    host.build(&Work { fails: true, ..plain(1) }, 0);
    assert_eq!(host.tidy(), 0, "the last version that went well is there yet");
    host.build(&plain(1), 0);
    assert_eq!(host.tidy(), 4, "the longer one's own steps");
    assert_eq!(host.build(&plain(1), 0).len(), 5);
}

#[test]
fn the_books_do_not_grow_with_every_build() {
    let mut host = Host::new(0);
    for n in 0..200 {
        host.build(&plain(n), 0);
        host.tidy();
    }
    assert!(host.books.builds.len() < 100, "{}", host.books.builds.len());
    assert_eq!(host.books.records.len(), 5);
}

#[test]
fn a_build_without_a_stamp_can_t_be_told_from_others() {
    let mut host = Host::new(0);
    host.build(&plain(1), 0);
    host.waiting[0].stamp = Stamp::default();
    host.look();
    assert_eq!(host.books.records.len(), 0);
}

#[test]
fn going_back_finds_all_that_was_kept() {
    let mut host = Host::new(1);
    for source in [1, 2, 1, 2, 1] {
        host.build(&plain(source), 0);
        host.tidy();
    }
    assert_eq!(host.build(&plain(2), 0).len(), 5);
    host.tidy();
    host.build(&plain(3), 0);
    host.tidy();
    assert_eq!(host.build(&plain(2), 0).len(), 5, "the one before the last was used after the other");
    assert_eq!(host.build(&plain(1), 0).len(), 2, "what all have in common");
}

#[test]
fn what_a_stranger_used_is_left_to_him() {
    let mut host = Host::new(0);
    host.build(&plain(1), 0);
    host.look();
    // A build that finds everything touches its last step alone.
    assert_eq!(host.kit.build(&plain(1), Stamp::default()).len(), 5);
    host.build(&plain(2), 0);
    assert_eq!(host.tidy(), 0);
    assert_eq!(host.kit.build(&plain(1), Stamp::default()).len(), 5);
}

#[test]
fn a_stranger_who_used_it_before_we_did_is_seen_all_the_same() {
    let mut host = Host::new(0);
    host.build(&plain(1), 0);
    host.look();
    host.kit.build(&plain(1), Stamp::default());
    host.kit.clock += 60_000;
    // Of the two the engine tells the last alone, and how many there were.
    host.build(&plain(1), 0);
    host.look();
    host.build(&plain(2), 0);
    assert_eq!(host.tidy(), 0);
    assert_eq!(host.kit.build(&plain(1), Stamp::default()).len(), 5);
}

#[test]
fn a_stranger_between_two_of_ours_is_seen_by_one_look_at_both() {
    let mut host = Host::new(0);
    host.build(&plain(1), 0);
    host.kit.build(&plain(1), Stamp::default());
    host.build(&plain(2), 0);
    host.tidy();
    assert_eq!(host.kit.build(&plain(1), Stamp::default()).len(), 5);
}

#[test]
fn a_stranger_who_builds_something_else_at_the_same_time_costs_nothing() {
    let mut host = Host::new(0);
    let other = Work { source: 9, tool: 9, longer: true, ..plain(9) };
    for source in 0..4 {
        host.build(&plain(source), 0);
        host.kit.build(&Work { no_cache: true, ..other.clone() }, Stamp::default());
        host.look();
        host.kit.clock += 60_000;
    }
    let theirs = host.kit.cache.iter().filter(|(held, _)| held.contains("@9") || held.contains("setup")).count();
    host.tidy();
    let rest = host.kit.cache.len() - theirs;
    assert!(rest < 5 + 5 + 4, "{rest} records are left of ours, and of the steps that both have");
}

#[test]
fn a_session_that_is_over_needs_nothing_once_another_has_built() {
    let mut host = Host::new(0);
    host.build(&plain(1), 0);
    host.build(&Work { only_first_stage: true, ..plain(9) }, 0);
    host.build(&plain(2), 1);
    host.look();
    let going = |over: bool| superseded(&host.books, &host.kit.records(), |key| over && *key == of(0)).len();
    assert_eq!(going(false), 0);
    assert_eq!(going(true), 3, "but what nobody has built since stays");
}

#[test]
fn records_that_two_builds_may_have_made_are_nobodys() {
    let mut host = Host::new(0);
    host.build(&plain(1), 0);
    // Somebody was at work all the time, doing the same.
    let (first, last) = (host.kit.history[0].began, host.kit.history[0].ended);
    let mut other = host.kit.history[0].clone();
    (other.id, other.stamp) = ("other".to_owned(), Stamp::default());
    for known in [Some(other.steps.clone().expect("steps")), None] {
        let mut host =
            Host { kit: host.kit.clone(), books: CacheBooks::default(), waiting: host.waiting.clone(), keep: 0 };
        host.kit.history.push(PastBuild { began: first, ended: last, steps: known, ..other.clone() });
        host.look();
        assert_eq!(host.books.records.len(), 0);
    }
    host.look();
    assert_eq!(host.books.records.len(), 5);
}

#[test]
fn a_record_that_the_engine_names_anew_is_the_same_one() {
    let mut host = Host::new(0);
    host.build(&plain(1), 0);
    host.look();
    let known = host.books.clone();
    let (_, made) = host.kit.cache.iter_mut().find(|(held, _)| held.starts_with("RUN make")).expect("a record");
    made.id = "finished".to_owned();
    host.look();
    assert_eq!(host.books.records.len(), known.records.len());
    assert!(host.books.builds[0].needs.contains("finished"));
    // What was there all along is not taken for it.
    let (_, made) = host.kit.cache.iter_mut().find(|(held, _)| held.starts_with("RUN make")).expect("a record");
    (made.id, made.created) = ("another".to_owned(), Some(Timestamp::UNIX_EPOCH));
    host.look();
    assert_eq!(host.books.records.len(), known.records.len() - 1);
    assert!(
        host.books.records.values().any(|claim| claim.shared),
        "whoever took it may have used what it was made from"
    );
}

#[test]
fn variants_by_turns_find_their_steps() {
    const TAGS: [&str; 5] = ["py1", "py2", "py3", "py4", "py5"];
    for count in 1..=TAGS.len() {
        let mut host = Host::new(0);
        for round in 0..4 {
            for (source, variant) in (0..).zip(&TAGS[..count]) {
                let found = host.build(&Work { variant, ..plain(source) }, 0).len();
                host.tidy();
                // Of very many new ones nobody knows which come again.
                assert!(round == 0 || found == 5 || count > NEW_VARIANTS && round == 1, "{count} {round}: {found}");
            }
        }
    }
}

#[test]
fn a_tag_that_is_new_with_each_build_keeps_no_more_than_a_few() {
    let mut host = Host::new(0);
    for source in 0..30 {
        let variant: &'static str = Box::leak(format!("v{source}").into_boxed_str());
        host.build(&Work { variant, ..plain(source) }, 0);
        host.tidy();
    }
    assert_eq!(host.kit.cache.len(), 2 + 3 * NEW_VARIANTS);
}

/// The engine notes one use, when the last lets go.
#[test]
fn what_a_stranger_found_while_a_build_of_ours_held_it_is_left_to_him() {
    for (cached, known, stays) in [(true, true, true), (false, true, false), (true, false, true)] {
        let mut host = Host::new(0);
        host.build(&plain(1), 0);
        host.look();
        host.kit.clock += 60_000;
        host.build(&plain(1), 0);
        let ours = host.kit.history.last_mut().expect("ours");
        let early = |at: Timestamp, by| at - jiff::SignedDuration::from_secs(by);
        let (began, until) = (early(ours.began, 10), early(ours.began, 5));
        ours.began = began;
        host.waiting[0].began = early(began, 1);
        let mut theirs = PastBuild { id: "theirs".to_owned(), stamp: Stamp::default(), ..ours.clone() };
        theirs.ended = Some(until);
        theirs.steps.iter_mut().flatten().for_each(|step| step.cached = cached);
        theirs.steps = theirs.steps.filter(|_| known);
        host.kit.history.push(theirs);
        host.look();
        host.build(&plain(2), 0);
        assert_eq!(host.tidy() == 0, stays, "{cached} {known}");
    }
}

#[test]
fn a_look_waits_for_who_builds_beside_and_for_who_has_not_said_yet_that_he_ended() {
    let mut host = Host::new(0);
    host.build(&plain(1), 0);
    let waits = |host: &Host, ended: &[EndedBuild], after: i64| {
        let now = Timestamp::from_millisecond(host.kit.clock + after).expect("a time");
        must_wait(&host.books, ended, &host.kit.history, now)
    };
    let first = host.waiting.clone();
    assert!(!waits(&host, &first, 100));
    host.build(&plain(2), 0);
    assert!(waits(&host, &first, 100), "the second is ours too");
    assert!(!waits(&host, &first, 60_000), "whoever ran it says nothing any more");
    assert!(!waits(&host, &host.waiting, 100));
    let theirs = PastBuild { stamp: Stamp::default(), id: "theirs".into(), ..host.kit.history[1].clone() };
    host.kit.history[1] = theirs;
    assert!(!waits(&host, &first, 100));
    host.kit.history[1].ended = None;
    assert!(waits(&host, &first, 100), "he may have found what we held");
    host.look();
    assert!(!waits(&host, &[], 100));
}

#[test]
fn another_command_that_ran_at_the_same_time_is_not_taken_for_ours() {
    let mut host = Host::new(0);
    host.build(&plain(1), 0);
    host.look();
    let (_, made) = host.kit.cache.iter_mut().find(|(held, _)| held.starts_with("RUN make")).expect("a record");
    (made.id, made.description) = ("theirs".to_owned(), "mount / from exec /bin/sh -c theirs".to_owned());
    host.look();
    assert!(!host.books.records.contains_key("theirs"));
}

#[derive(Clone, Debug)]
enum Act {
    Build(Work, u8),
    Stranger(Work),
    Beside(Work, u8, Work),
    Look,
    /// Somebody's prune takes so many.
    Prune(u8),
}

fn work() -> impl Strategy<Value = Work> {
    let rare = || prop::bool::weighted(0.15);
    (0..4_u8, 0..2_u8, rare(), prop::bool::weighted(0.3), rare(), rare()).prop_map(
        |(source, tool, longer, only_first_stage, no_cache, fails)| Work {
            source,
            tool,
            longer,
            only_first_stage,
            no_cache,
            fails,
            variant: "",
        },
    )
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (work(), 0..2_u8).prop_map(|(work, session)| Act::Build(work, session)),
        3 => work().prop_map(Act::Stranger),
        2 => (work(), 0..2_u8, work()).prop_map(|(work, session, theirs)| Act::Beside(work, session, theirs)),
        1 => Just(Act::Look),
        1 => any::<u8>().prop_map(Act::Prune),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_stranger_ever_loses_a_step(acts in vec(act(), 0..30), keep in 0..3_usize) {
        let mut host = Host::new(keep);
        // What strangers built or found, as long as nobody else took it.
        let mut theirs: BTreeSet<String> = BTreeSet::new();
        for act in acts {
            match act {
                Act::Build(work, session) => {
                    host.build(&work, session);
                    host.tidy();
                }
                Act::Stranger(_) | Act::Beside(..) => {
                    let (work, found) = match act {
                        Act::Beside(work, session, theirs) => {
                            let found = host.build_beside(&work, session, &theirs);
                            host.tidy();
                            (theirs, found)
                        }
                        Act::Stranger(work) => {
                            let found = host.kit.build(&work, Stamp::default());
                            (work, found)
                        }
                        _ => unreachable!("the others are above and below"),
                    };
                    let lines = work.lines();
                    let content = work.content(&lines);
                    if !work.no_cache {
                        for had in content.iter().filter(|content| theirs.contains(*content)) {
                            prop_assert!(found.contains(had), "{had} is gone");
                        }
                    }
                    let kept = content.into_iter().zip(&lines).filter(|(_, line)| line.words != "RUN false");
                    theirs.extend(kept.map(|(content, _)| content));
                }
                Act::Look => host.look(),
                Act::Prune(nth) => {
                    // What something else was made from is made anew by whoever needs it, and is nobody's loss then.
                    let cache = &host.kit.cache;
                    let is_free = |held: &str| cache.iter().filter(|(other, _)| other.contains(held)).count() == 1;
                    let free: Vec<_> = cache.iter().filter(|(held, _)| is_free(held)).cloned().collect();
                    if let Some((held, record)) = free.get(usize::from(nth) % free.len().max(1)) {
                        let id = record.id.clone();
                        host.kit.take(&[id]);
                        theirs.remove(held);
                    }
                }
            }
        }
    }

    /// Compared with a twin that nobody cleans.
    #[test]
    fn what_was_built_last_is_cached_as_if_nothing_was_ever_taken(works in vec((work(), any::<bool>()), 1..30), keep in 0..3_usize) {
        let (mut host, mut twin) = (Host::new(keep), Kit::default());
        for (work, looks) in works {
            host.build(&work, 0);
            twin.build(&work, of(0).into());
            if looks {
                host.tidy();
                let again = Work { no_cache: false, ..work };
                let mut kit = host.kit.clone();
                prop_assert_eq!(kit.build(&again, Stamp::default()), twin.clone().build(&again, Stamp::default()));
                let changed = Work { source: 77, ..again };
                prop_assert_eq!(host.kit.clone().build(&changed, Stamp::default()).len(), twin.clone().build(&changed, Stamp::default()).len());
            }
        }
    }
}

/// A build that went well, and the records that it needs.
pub(in crate::plan) fn cached(of: &SessionKey, needs: &[&str]) -> CachedBuild {
    CachedBuild {
        past: BTreeSet::new(),
        build: None,
        of: of.clone(),
        key: "k".to_owned(),
        variant: String::new(),
        compose: None,
        at: Timestamp::UNIX_EPOCH,
        ok: true,
        keep: 0,
        needs: needs.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn what_two_sessions_use_is_counted_once_and_marked_in_each() {
    let mut books = CacheBooks::default();
    for (n, needs) in [(1, &["a", "b"][..]), (2, &["b"]), (3, &["c"])] {
        books.builds.push(cached(&of(n), needs));
    }
    let record = |(id, size): (&str, u64)| CacheRecord { id: id.to_owned(), size, ..CacheRecord::default() };
    let bytes = CacheBytes::new(&books, &[("a", 1), ("b", 10), ("c", 100), ("d", 1000)].map(record));
    assert_eq!((bytes.of[&of(1)], bytes.shared[&of(1)]), (11, 10));
    assert_eq!((bytes.of[&of(2)], bytes.shared[&of(2)]), (10, 10));
    assert_eq!((bytes.of[&of(3)], bytes.shared[&of(3)]), (100, 0));
    assert_eq!((bytes.ours, bytes.all), (111, 1111));
}
