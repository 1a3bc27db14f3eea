//! Random hosts: what the plan says, what is gone afterwards, and what a small model written another way says
//! are the same.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use dkb::model::{Record, SessionKey};
use dkb_lab::{Engine, Placed, Promises, promises};

use crate::clean_host::{Books, PROJECT, SESSION, images, key, steps};
use crate::hostile_neighbour::Neighbour;
use crate::soak::Seeds;
use crate::{hostile_checkout, hostile_plan};

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!()).on_every_engine(promises![plan_run_and_model_agree])
}

/// Small numbers from one seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }
}

/// One image, as the dice and not as the engine say it.
struct Thing {
    placed: Placed,
    /// The builds that made it: of which session, how many hours ago.
    builds: Vec<(usize, u64)>,
    /// Its names, and whether the builds gave them.
    names: Vec<(String, bool)>,
    container: Option<Use>,
    /// It bears the stamp of the session that cleans, whoever made it.
    stamped: bool,
}

/// A container of an image, made by its ID a moment ago.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Use {
    /// Somebody may be about to start it.
    Created,
    Stopped,
    Running,
    /// Created, with the run label of the session that cleans, or of another one.
    Ours,
    Theirs,
}

const SESSIONS: [(&str, &str); 5] =
    [(PROJECT, SESSION), (PROJECT, "busy"), (PROJECT, "former"), (PROJECT, "young"), ("tool", SESSION)];
const HERE: usize = 0;
const BUSY: usize = 1;
const FORMER: usize = 2;
const YOUNG: usize = 3;
const TOOL: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Scope {
    Project,
    Session,
    Stale,
    All,
}

#[derive(Debug)]
struct Call {
    scope: Scope,
    tags: bool,
    containers: bool,
    keep: bool,
    older_than: Option<u64>,
}

impl Call {
    fn new(dice: &mut Dice) -> Self {
        let scope =
            [Scope::Project, Scope::Session, Scope::Stale, Scope::All][usize::try_from(dice.roll(4)).expect("few")];
        let ends = matches!(scope, Scope::Session | Scope::Stale);
        Self {
            scope,
            tags: if ends { !dice.one_in(4) } else { dice.one_in(2) },
            containers: ends && !dice.one_in(4),
            keep: dice.one_in(4),
            older_than: dice.one_in(3).then_some(5),
        }
    }

    fn words(&self) -> Vec<String> {
        let ends = matches!(self.scope, Scope::Session | Scope::Stale);
        let words = [
            (self.scope == Scope::Session).then_some("--session"),
            (self.scope == Scope::Stale).then_some("--stale"),
            (self.scope == Scope::All).then_some("--all"),
            (self.tags && !ends).then_some("--tagged"),
            (!self.tags && ends).then_some("--keep-tagged"),
            (!self.containers && ends).then_some("--keep-containers"),
        ];
        words.into_iter().flatten().map(str::to_owned).collect()
    }

    /// What holds for a plan from a file too.
    fn settings(&self) -> Vec<String> {
        let words = [
            self.keep.then_some("--keep=keep-*"),
            self.older_than.map(|_| "--older-than=5h"),
            Some("--yes"),
            Some("--format=json"),
        ];
        words.into_iter().flatten().map(str::to_owned).collect()
    }

    /// The reference: whose builds count, and what then speaks for the image.
    fn takes(&self, thing: &Thing, former_ended_now: bool) -> bool {
        // All containers were made a moment ago, and what is asked for is older.
        let goes_along = self.containers && self.older_than.is_none();
        let unused = match (thing.container, self.scope) {
            (None, _) => true,
            (Some(Use::Ours), Scope::Session) => goes_along,
            (Some(Use::Stopped), Scope::Session) => goes_along && !thing.builds.is_empty(),
            // Made when the session had long been given up, it is somebody else's.
            (Some(Use::Stopped), Scope::Stale) => goes_along && former_ended_now,
            _ => false,
        };
        if thing.builds.is_empty() {
            // Stamped or not: somebody else may be in the session that was typed.
            return false;
        }
        let covered = |session: usize| match self.scope {
            Scope::Project => session != TOOL && session != BUSY,
            Scope::Session => session == HERE,
            Scope::Stale => session == FORMER,
            Scope::All => session != BUSY,
        };
        let others = thing.names.iter().any(|(_, given)| !given);
        let kept = self.keep && thing.names.iter().any(|(name, _)| name.starts_with("keep-"));
        let young = |limit: u64| thing.builds.iter().any(|(_, hours)| *hours < limit);
        thing.builds.iter().all(|(session, _)| covered(*session))
            && unused
            && (self.tags || thing.names.is_empty())
            && !others
            && !kept
            && !self.older_than.is_some_and(young)
    }
}

fn place(engine: &Engine, books: &Books, dice: &mut Dice) -> Vec<Thing> {
    let count = 3 + dice.roll(8);
    let stamps: Vec<bool> = (0..count).map(|_| dice.one_in(2)).collect();
    let placed = engine.many(stamps.len(), |n, image| if stamps[n] { image.stamp(PROJECT, SESSION) } else { image });
    let things = placed.into_iter().enumerate().map(|(n, placed)| {
        let builds: Vec<(usize, u64)> = (0..dice.roll(3))
            .map(|_| (usize::try_from(dice.roll(SESSIONS.len() as u64)).expect("few"), 2 + 2 * dice.roll(4)))
            .collect();
        let names = (0..dice.roll(3).min(dice.roll(3)))
            .map(|m| {
                (
                    format!("{}{n}:{m}", if dice.one_in(4) { "keep-" } else { "app-" }),
                    !builds.is_empty() && !dice.one_in(4),
                )
            })
            .collect();
        let uses = [Use::Created, Use::Stopped, Use::Stopped, Use::Running, Use::Ours, Use::Theirs];
        let container = dice.one_in(3).then(|| uses[usize::try_from(dice.roll(6)).expect("few")]);
        Thing { placed, builds, names, container, stamped: stamps[n] }
    });
    let things: Vec<Thing> = things.collect();
    let mut records = Vec::new();
    for thing in &things {
        for (name, _) in &thing.names {
            engine.tag(&thing.placed, name);
        }
        let container = || engine.container(&thing.placed);
        let labelled = |session| container().label("dev.dkb.run", &session_key(session).run_label()).created();
        match thing.container {
            None => String::new(),
            Some(Use::Created) => container().created(),
            Some(Use::Stopped) => container().stopped(),
            Some(Use::Running) => container().running(),
            Some(Use::Ours) => labelled(HERE),
            Some(Use::Theirs) => labelled(TOOL),
        };
        // Podman takes a name without a domain, where a docker gives it, for Docker Hub's.
        let hub = if engine.is_podman() { "docker.io/library/" } else { "" };
        let given: Vec<String> =
            thing.names.iter().filter(|(_, given)| *given).map(|(name, _)| format!("{hub}{name}")).collect();
        let given: Vec<&str> = given.iter().map(String::as_str).collect();
        for (session, hours) in &thing.builds {
            let age = Duration::from_secs(hours * 3600);
            records.push(Record::Build(books.build(&session_key(*session), &thing.placed, &given, age)));
        }
    }
    books.note(&records);
    things
}

fn session_key(n: usize) -> SessionKey {
    key(SESSIONS[n].0, SESSIONS[n].1)
}

fn agree(engine: &Engine, seed: u64) {
    // Zero would be the end of these dice.
    let mut dice = Dice(2 * seed + 1);
    let books = Books::of(engine);
    let _at_work = books.alive(&session_key(BUSY));
    let things = place(engine, &books, &mut dice);
    // Two CI sessions whose last sign of life is long ago and just now.
    books.ci_session(&session_key(FORMER), "elsewhere", Duration::from_secs(3600 * 24));
    books.ci_session(&session_key(YOUNG), "elsewhere", Duration::ZERO);
    let call = Call::new(&mut dice);
    let is_at_work =
        |t: &Thing| t.container == Some(Use::Running) && t.builds.iter().any(|(session, _)| *session == FORMER);
    let former_is_at_work = things.iter().any(is_at_work);
    let former_is_over =
        !former_is_at_work && things.iter().all(|t| t.builds.iter().all(|(s, hours)| *s != FORMER || *hours >= 6));
    // In the order of the books, so that what was noted earlier is earlier by a moment.
    let built_by = |session: usize| {
        let builds = things.iter().flat_map(|t| &t.builds).enumerate();
        builds.filter(move |(_, (of, _))| *of == session).map(|(n, (_, hours))| (Reverse(*hours), n))
    };
    let former_last = built_by(FORMER).max();
    // The next job in a runner's slot begins when the one before is over.
    let next_began_before = built_by(YOUNG).min().is_some_and(|first| Some(first) > former_last);
    let former_ended_now = former_last.is_some_and(|(Reverse(hours), _)| hours == 6) && !next_began_before;
    let expected: BTreeSet<String> = things
        .iter()
        .filter(|thing| call.takes(thing, former_ended_now) && (call.scope != Scope::Stale || former_is_over))
        .map(|thing| thing.placed.id.clone())
        .collect();
    let before = images(engine);
    let pick = |dice: &mut Dice, sides: usize| usize::try_from(dice.roll(sides as u64)).expect("few");
    let neighbour = Neighbour::beside(engine, &session_key(HERE), 3, |sides| pick(&mut dice, sides));
    // A folder that calls itself our project takes nothing of what was made elsewhere, whatever is typed in it.
    let folder = hostile_checkout::checkout(&books.state, "hostile", PROJECT, dice.one_in(2));
    let words = hostile_checkout::CLEANS[pick(&mut dice, hostile_checkout::CLEANS.len())];
    engine.dkb_in(&books.state).cwd(&folder).args(words.iter().copied()).arg("--yes").run().success();
    assert_eq!(images(engine), before, "after {words:?} in {}", folder.display());
    let dkb = |words: &[String]| {
        books.dkb(engine).arg("clean").args(words.to_owned()).args(call.settings()).run().success().json()
    };
    let plan = dkb(&[call.words(), vec!["--dry-run".to_owned()]].concat());
    // Every other run goes by a file in which somebody has asked for all that there is.
    let said = if seed.is_multiple_of(2) {
        dkb(&call.words())
    } else {
        let forged = hostile_plan::file(engine, "clean", Some(&plan["scope"]), &hostile_plan::steps(engine));
        std::fs::write(books.state.work().join("forged.json"), forged).expect("the file");
        dkb(&["--apply=forged.json".to_owned()])
    };
    let gone: BTreeSet<String> = before.difference(&images(engine)).cloned().collect();
    let story = || {
        let things: Vec<String> = things
            .iter()
            .map(|t| {
                format!(
                    "{} {:?} {:?} container: {:?} stamped: {}",
                    &t.placed.id[7..19],
                    t.builds,
                    t.names,
                    t.container,
                    t.stamped
                )
            })
            .collect();
        format!("{call:?}\n{}\n{said:#}", things.join("\n"))
    };
    neighbour.assert_nothing_is_lost(engine, &story());
    assert_eq!(gone, expected, "gone, and what the model says\n{}", story());
    assert_eq!(steps(&plan, "image", None), gone, "the plan, and what is gone\n{}", story());
    assert_eq!(steps(&said, "image", Some("done")), gone, "the report, and what is gone\n{}", story());
}

fn plan_run_and_model_agree(engine: &Engine) {
    Seeds::of_this_run().each_batch(engine, 1, "clean_random", |seeds| {
        for seed in seeds {
            agree(engine, *seed);
        }
        engine.wipe();
    });
}
