//! Random days of builds on one engine, ours and strangers', who share stages with us and build before us, between our
//! builds and beside them: what a stranger has built or found once he finds again.

use std::thread;
use std::time::Duration;

use dkb_lab::dkb::has_seen_the_cache;
use dkb_lab::{Builder, Command, Context, Engine, Promises, State, eventually, promises};

use crate::soak::Seeds;
use crate::sweep_random::Dice;

/// A day takes up to a minute, and `just soak` has all the time it needs.
const USUAL: u64 = 1;
const ACTS: u64 = 8;
/// Longer than the process takes that looks after the cache, where it waits for who builds beside.
const SETTLED: Duration = Duration::from_secs(100);

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on(|name| name == "docker-28.5", promises![no_stranger_ever_loses_a_step_through_a_build_of_ours])
}

/// What one build is of. Ours and strangers' are drawn from the same few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Work {
    source: usize,
    tool: usize,
    only_first_stage: bool,
}

impl Work {
    fn new(dice: &mut Dice) -> Self {
        Self { source: dice.roll(3), tool: dice.roll(2), only_first_stage: dice.roll(3) == 0 }
    }

    /// The same words and bytes whoever builds it, and other ones for each seed.
    fn write(self, context: &Context, seed: u64) {
        context.write("source", format!("{seed} {}\n", self.source).repeat(10_000));
        let target = if self.only_first_stage { "build" } else { "whole" };
        context.write(
            "Dockerfile",
            format!(
                "FROM lab/base AS build\nWORKDIR /src\nCOPY source /source\nRUN sleep 0.3; cat /source >/out\n\
                 FROM lab/base AS whole\nRUN echo {seed} {} >/tool\nCOPY --from=build /out /out\n",
                self.tool
            ),
        );
        context.write("docker-bake.hcl", format!("target \"default\" {{ target = \"{target}\" }}\n"));
        context.write(
            "compose.yaml",
            format!(
                "name: theirs\nservices:\n  web:\n    image: theirs\n    build: {{context: ., target: {target}}}\n"
            ),
        );
    }

    fn words(self) -> &'static [&'static str] {
        if self.only_first_stage { &["--target", "build"] } else { &[] }
    }

    fn steps(self) -> usize {
        if self.only_first_stage { 3 } else { 5 }
    }
}

#[derive(Clone, Copy, Debug)]
enum Stranger {
    Build,
    Bake,
    Compose,
}

struct Scene<'a> {
    engine: &'a Engine,
    seed: u64,
    state: State,
    ours: Context,
    theirs: Context,
}

impl Scene<'_> {
    fn build(&self, work: Work, session: usize) -> Command {
        work.write(&self.ours, self.seed);
        let dkb = self.engine.dkb_in(&self.state).project("ours").session(&format!("s{session}"));
        let tag = if work.only_first_stage { "ours-build" } else { "ours" };
        let dkb = dkb.env("DOCKER_BUILDKIT", Builder::BuildKit.env()).args(["build", "-q", "-t", tag]);
        dkb.args(work.words()).arg(self.ours.path())
    }

    fn stranger(&self, who: Stranger, work: Work) -> Command {
        work.write(&self.theirs, self.seed);
        let docker = self.engine.docker([] as [&str; 0]).cwd(self.theirs.path()).env("DOCKER_BUILDKIT", "1");
        match who {
            Stranger::Build => docker.args(["build", "-q", "-t", "theirs"]).args(work.words()).arg("."),
            Stranger::Bake => docker.args(["buildx", "bake", "--set", "*.tags=theirs"]),
            Stranger::Compose => docker.args(["compose", "build", "-q"]),
        }
    }

    /// Until nobody looks after the cache any more.
    fn settle(&self) {
        let settled = eventually(SETTLED, || has_seen_the_cache(&self.state.state_dir()));
        assert!(settled, "the cache is looked at in the end");
    }

    fn found(&self, work: Work) -> usize {
        work.write(&self.theirs, self.seed);
        let docker = self.engine.docker(["build", "--progress", "plain", "-t", "theirs"]).args(work.words());
        let output = docker.env("DOCKER_BUILDKIT", "1").arg(self.theirs.path()).run().success();
        output.err().lines().filter(|line| line.ends_with(" CACHED")).count()
    }
}

fn no_stranger_ever_loses_a_step_through_a_build_of_ours(engine: &Engine) {
    Seeds::of_this_run_or(USUAL).each_batch(engine, 1, "cache_random", |seeds| {
        for seed in seeds {
            day(engine, *seed);
        }
    });
}

fn day(engine: &Engine, seed: u64) {
    let mut dice = Dice(seed);
    let scene = Scene { engine, seed, state: State::new(), ours: Context::new(), theirs: Context::new() };
    engine.docker(["builder", "prune", "-af"]).run().success();
    let mut theirs: Vec<Work> = Vec::new();
    let mut acts = Vec::new();
    for _ in 0..ACTS {
        let work = Work::new(&mut dice);
        let who = [Stranger::Build, Stranger::Build, Stranger::Bake, Stranger::Compose];
        let who = who[dice.roll(4)];
        let act = dice.roll(10);
        match act {
            0..=4 => {
                acts.push(format!("ours {work:?}"));
                scene.build(work, dice.roll(2)).run().success();
            }
            5..=6 => {
                acts.push(format!("{who:?} {work:?}"));
                scene.stranger(who, work).run().success();
                theirs.push(work);
            }
            _ => {
                let (other, steps) = (Work::new(&mut dice), dice.roll(8));
                let wait = Duration::from_millis(100) * u32::try_from(steps).expect("few");
                acts.push(format!("ours {work:?}, {wait:?} later {who:?} {other:?}"));
                let (ours, stranger) = (scene.build(work, dice.roll(2)), scene.stranger(who, other));
                thread::scope(|beside| {
                    let ours = beside.spawn(|| ours.run().success());
                    thread::sleep(wait);
                    stranger.run().success();
                    ours.join().expect("our build");
                });
                theirs.push(other);
            }
        }
        // Sometimes the next one is quicker than whoever looks.
        if dice.roll(3) > 0 {
            scene.settle();
        }
    }
    // What the strangers used is ours no more, however often it is superseded.
    for source in 10..12 {
        let last = Work { source, tool: source, only_first_stage: false };
        scene.build(last, 0).run().success();
        scene.build(Work { only_first_stage: true, ..last }, 0).run().success();
        scene.settle();
    }
    for work in theirs {
        let found = scene.found(work);
        assert!(found == work.steps(), "{work:?} finds {found} of its steps after {acts:#?}");
    }
}
