//! Promise 8, as far as it goes: whenever dkb is killed, alone or with docker, its books are closed by the next
//! dkb, and nothing foreign is taken.

use std::time::{Duration, Instant};

use dkb_lab::{Builder, Context, Engine, Promises, eventually, promises};

use crate::building::{Maker, dangling, open_builds};

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!()).on_every_builder(promises![
        a_killed_dkb_leaves_no_open_books_and_takes_nothing_foreign,
        a_killed_dkb_and_docker_leave_no_open_books_and_take_nothing_foreign,
    ])
}

/// Milliseconds after its start at which a build is killed.
const KILLS: [u128; 4] = [30, 300, 450, 650];

fn a_killed_dkb_leaves_no_open_books_and_takes_nothing_foreign(engine: &Engine, builder: Builder) {
    killed(engine, builder, "");
}

fn a_killed_dkb_and_docker_leave_no_open_books_and_take_nothing_foreign(engine: &Engine, builder: Builder) {
    killed(engine, builder, "-");
}

/// Kills builds of a few steps, each a little later than the one before, and then lets a stranger go on with the
/// steps that they left: those are the stranger's. What the classic builder made in the moment between the last
/// line that was read and docker's end cannot be told from what a stranger made on top, but where a container
/// proves it; so a kill may cost one image, which then counts as foreign.
fn killed(engine: &Engine, builder: Builder, group: &str) {
    let maker = Maker::new(engine, builder);
    let foreign = engine.image().make();
    let context =
        Context::from_base("COPY seed /seed\nRUN sleep 0.1\nENV A=1\nRUN sleep 0.1\nENV B=2\nRUN sleep 0.1\n");
    for delay in KILLS {
        context.write("seed", format!("{builder:?} {group} {delay}"));
        // A session of its own, so that dkb and docker can be killed at one stroke.
        let command = maker.command(&context, &["-t", "app"]);
        let std = command.to_std();
        let mut wrapped = dkb_lab::command::Command::new("/usr/bin/setsid").arg(std.get_program());
        for (key, value) in std.get_envs() {
            wrapped = wrapped.env(key, value.unwrap_or_default());
        }
        let wrapped = wrapped.args(std.get_args()).cwd(maker.state.work());
        let before = dangling(engine);
        let mut running = wrapped.spawn();
        let began = Instant::now();
        eventually(Duration::from_secs(10), || began.elapsed().as_millis() > delay || !running.is_running());
        let target = format!("{group}{}", running.id());
        let _ = std::process::Command::new("kill").args(["-KILL", "--", &target]).status();
        drop(running);
        // Docker may live on for a while, and the engine with what it was doing.
        let settled =
            || std::process::Command::new("pgrep").args(["-f", &context.path().display().to_string()]).output();
        eventually(Duration::from_secs(10), || settled().is_ok_and(|found| found.stdout.is_empty()));
        let mut last = dangling(engine);
        eventually(Duration::from_secs(5), || {
            std::thread::sleep(Duration::from_millis(150));
            let now = dangling(engine);
            std::mem::replace(&mut last, now) == last
        });
        let ours: Vec<String> = last.difference(&before).cloned().collect();
        // Raw docker goes on from the steps that are there. Its own are nobody's business.
        let raw = engine.build(builder, &context, &["-t", "raw"]);
        raw.success();
        let strangers: Vec<String> =
            engine.images().into_iter().map(|i| i.id).filter(|id| !ours.contains(id) && !before.contains(id)).collect();
        maker.dkb().args(["clean", "--dry-run"]).run();
        let recorded = maker.recorded();
        for id in strangers.iter().filter(|id| engine.find("app").is_none_or(|app| app.id != **id)) {
            assert!(!recorded.contains(id), "killed after {delay} ms: {id} is a stranger's");
        }
        engine.docker(["image", "rm", "--no-prune", "raw"]).run();
    }
    assert_eq!(open_builds(&maker.state), 0, "builds that nobody has closed");
    assert!(!maker.recorded().contains(&foreign.id) && engine.has(&foreign));
}
