//! A host full of containers that do not run and images without a name, swept by turns.

use dkb_lab::{Engine, State};

use super::describe;
use super::measure::{against, measure, median, megabytes, milliseconds};

/// So many things of each kind.
const COUNT: usize = 500;
const ROUNDS: usize = 3;

pub(super) fn table(engines: &[&str], count: Option<usize>) {
    println!(
        "| engine | containers and images | `dkb sweep` | against `docker system prune -f` | its dry run | peak memory of dkb |"
    );
    println!("|---|--:|--:|--:|--:|--:|");
    for name in engines {
        sweep(&Engine::start(name), count.unwrap_or(COUNT));
    }
    println!();
}

fn sweep(engine: &Engine, count: usize) {
    let home = State::new();
    let dkb = || engine.dkb_in(&home).args(["sweep", "--until", "0s"]);
    let (mut ours, mut prune, mut dry, mut memory) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        fill(engine, count);
        let looked = measure(&mut dkb().arg("--dry-run").to_std());
        let run = measure(&mut dkb().arg("--yes").to_std());
        expect_swept(engine, "dkb sweep");
        dry.push(looked.time);
        ours.push(run.time);
        memory.extend([looked.memory, run.memory]);

        fill(engine, count);
        prune.push(measure(&mut engine.docker(["system", "prune", "-f"]).to_std()).time);
        expect_swept(engine, "docker system prune");
    }
    let (ours, prune) = (median(ours), median(prune));
    println!(
        "| {} | {count} and {count} | {} | {} | {} | {} |",
        describe(engine),
        milliseconds(ours),
        against(ours, prune),
        milliseconds(median(dry)),
        megabytes(memory),
    );
}

/// Each image has a layer of its own, as after a build. A container that was only created is removed as one that ran.
fn fill(engine: &Engine, count: usize) {
    engine.many(count, |_, image| image.layers(1));
    for _ in 0..count {
        engine.container("lab/base").created();
    }
}

fn expect_swept(engine: &Engine, who: &str) {
    let left = (engine.api().containers().len(), engine.images().len());
    assert!(left == (0, 0), "{who} left {left:?} containers and images");
}
