//! The watcher beside a guard, and several guards beside and inside each other.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use dkb_lab::dkb::{State, dkb_path};
use dkb_lab::promise::{docker, one_of_each_kind};
use dkb_lab::{Command, Context, Engine, Promises, eventually, promises};

use crate::guard_scene::{SOON, Scene, kill};

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on(
            one_of_each_kind,
            promises![
                two_guards_at_once_never_touch_each_others_things,
                the_second_ctrl_c_while_cleaning_leaves_the_rest_to_the_watcher,
                builds_that_still_run_are_waited_for,
            ],
        )
        .on_one_engine()
        .on(
            docker,
            promises![
                a_runner_that_hunts_for_orphans_does_not_find_the_watcher,
                an_inner_guard_that_is_told_otherwise_has_a_session_of_its_own,
                a_session_in_the_environment_makes_nobody_inner,
            ],
        )
        .on_one_engine()
        .on(docker, promises![containers_are_stopped_by_their_own_signal_and_grace])
}

/// Far longer than a guard that was asked to stop may take.
const HANGS: Duration = Duration::from_secs(100);

/// A file of `/proc` about a process.
fn proc(pid: u32, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{file}"))
}

/// The parent and the process session of a process.
fn family(pid: u32) -> Option<(u32, u32)> {
    let stat = std::fs::read_to_string(proc(pid, "stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    Some((fields[1].parse().ok()?, fields[3].parse().ok()?))
}

pub(crate) fn children_of(parent: u32) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").expect("the processes of this machine").flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| family(*pid).is_some_and(|(of, _)| of == parent)).collect()
}

fn watcher_of(guard: u32) -> u32 {
    let is_it =
        |pid: &u32| std::fs::read(proc(*pid, "cmdline")).is_ok_and(|text| text.windows(7).any(|w| w == b"\0watch\0"));
    children_of(guard).into_iter().find(is_it).expect("a watcher")
}

fn a_runner_that_hunts_for_orphans_does_not_find_the_watcher(engine: &Engine) {
    const HUNTED_BY: [&str; 4] =
        ["RUNNER_TRACKING_ID", "VSTS_PROCESS_LOOKUP_ID", "JENKINS_NODE_COOKIE", "JENKINS_SERVER_COOKIE"];
    let scene = Scene::new(engine);
    let guard = HUNTED_BY.iter().fold(scene.guard(&[], "exec sleep 1000"), |guard, name| guard.env(*name, "hunted"));
    let guard = guard.spawn();
    scene.wait_until_ready();
    let watcher = watcher_of(guard.id());
    assert_eq!(family(watcher).expect("it runs").1, watcher, "a process session of its own");
    assert_eq!(std::fs::read_link(proc(watcher, "cwd")).expect("a folder"), PathBuf::from("/"));
    let handles = |pid: u32| {
        let all = std::fs::read_dir(proc(pid, "fd")).expect("its files").flatten();
        all.filter_map(|entry| std::fs::read_link(entry.path()).ok()).collect::<Vec<_>>()
    };
    let of_guard: Vec<PathBuf> =
        (0..3).map(|n| std::fs::read_link(proc(guard.id(), &format!("fd/{n}"))).expect("a stream")).collect();
    let shared: Vec<PathBuf> = handles(watcher).into_iter().filter(|handle| of_guard.contains(handle)).collect();
    assert!(shared.is_empty(), "it holds {shared:?}");
    // The line that tells it of the guard's end is all that ties it to the guard.
    let is_pipe = |handle: &&PathBuf| handle.to_string_lossy().starts_with("pipe:");
    assert_eq!(handles(watcher).iter().filter(is_pipe).count(), 1, "{:?}", handles(watcher));

    // As a runner does it when a job is cancelled: whoever bears its mark goes.
    let hunt =
        |pid: &u32| std::fs::read(proc(*pid, "environ")).is_ok_and(|env| env.windows(7).any(|w| w == b"=hunted"));
    let mut prey = vec![guard.id()];
    prey.extend(children_of(guard.id()));
    let prey: Vec<u32> = prey.into_iter().filter(hunt).collect();
    assert!(prey.len() == 2 && !prey.contains(&watcher), "guard and command are found: {prey:?}");
    for pid in prey {
        kill(&pid.to_string());
    }
    drop(guard.wait());
    scene.is_clean();
}

fn the_second_ctrl_c_while_cleaning_leaves_the_rest_to_the_watcher(engine: &Engine) {
    let scene = Scene::new(engine);
    // In the middle of the deletions, and before the first.
    for (method, path, signal) in
        [("POST", "/stop", "INT"), ("GET", "/containers/json", "INT"), ("POST", "/stop", "TERM")]
    {
        let proxy = engine.proxy();
        let end = "while [ ! -e go ]; do sleep 0.05; done; exit 5";
        let mut guard = scene.guard(&[], end).env("DOCKER_HOST", proxy.host()).in_terminal();
        scene.wait_until_ready();
        proxy.reset();
        proxy.on(method, path).first(1).delay(HANGS);
        std::fs::write(scene.state.work().join("go"), "").expect("a mark");
        assert!(eventually(SOON, || proxy.count(method, path) > 0), "{}", guard.screen());
        if signal == "INT" {
            guard.interrupt();
            guard.expect("cleaning up; Ctrl-C once more leaves the rest to the watcher");
            guard.interrupt();
        } else {
            let pid = guard.id().to_string();
            assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().is_ok_and(|done| done.success()));
        }
        assert_eq!(guard.wait().exit_code(), 5, "{}", guard.screen());
        assert!(guard.screen().contains("the watcher goes on with it"), "{}", guard.screen());
        scene.is_clean();
        for mark in ["ready", "go"] {
            std::fs::remove_file(scene.state.work().join(mark)).expect("the mark");
        }
    }
}

/// A docker that builds only once it is let go on.
fn slow_docker(scene: &Scene, engine: &Engine) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let (work, docker) = (scene.state.work(), engine.bin().join("docker"));
    let program = work.join("slow-docker");
    let text = format!(
        "#!/bin/sh
cd {work}
case \" $* \" in *' build '*) touch building; while [ ! -e go ]; do sleep 0.05; done ;; esac
exec {docker} \"$@\"\n",
        work = work.display(),
        docker = docker.display()
    );
    std::fs::write(&program, text).expect("a script");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("one that runs");
    program
}

fn builds_that_still_run_are_waited_for(engine: &Engine) {
    for killed in [true, false] {
        let scene = Scene::new(engine);
        let mark = |name: &str| scene.state.work().join(name);
        let late = Context::from_base("RUN echo late >/late");
        let end = format!(
            "DKB_DOCKER={docker} {dkb} build -t app:late {late} </dev/null >log 2>&1 &
             while [ ! -e building ]; do sleep 0.05; done
             {end}",
            docker = slow_docker(&scene, engine).display(),
            dkb = dkb_path().display(),
            late = late.path().display(),
            end = if killed { "wait" } else { "exit 0" },
        );
        let guard = scene.guard(&[], &end).spawn();
        assert!(eventually(SOON, || mark("building").exists()), "the build never began");
        if killed {
            guard.signal("KILL");
            // The shell that waits for the build holds the guard's streams, so their end is no matter here.
            drop(guard);
        } else {
            guard.wait().success().warns("a build of session s still runs");
        }
        std::fs::write(mark("go"), "").expect("a mark");
        let log = || std::fs::read_to_string(mark("log")).unwrap_or_default();
        let built = eventually(SOON, || engine.has("app:late") || log().contains("app:late"));
        assert!(built, "the build never ended\n{}", log());
        assert!(
            eventually(SOON, || !engine.has("app:late")),
            "the build's image is left\n{}\n{}",
            log(),
            engine.inventory()
        );
        scene.is_clean();
        engine.wipe();
    }
}

/// One guard of several: its own image, container, volume and network.
fn one_of_many(engine: &Engine, state: &State, name: &str) -> Command {
    let script = format!(
        "set -e
         printf 'FROM lab/base\\nRUN echo {name} >/{name}\\n' >{name}.dockerfile
         {dkb} build -q -t app:{name} -f {name}.dockerfile . >{name}.id
         docker run -d --stop-signal KILL --name {name} --label \"$DKB_LABEL\" lab/base sleep 1000 >{name}.container
         docker volume create --label \"$DKB_LABEL\" {name}-data >{name}.volume
         docker network create --label \"$DKB_LABEL\" {name}-net >{name}.network
         touch {name}.ready
         while [ -e {name}.ready ] && [ ! -e {name}.go ]; do sleep 0.05; done",
        dkb = dkb_path().display(),
    );
    engine.dkb_in(state).project("p").args(["guard", "--", "sh", "-c", &script])
}

fn two_guards_at_once_never_touch_each_others_things(engine: &Engine) {
    let state = State::new();
    let api = engine.api();
    let named = |list: Vec<serde_json::Value>, name: &str| list.iter().any(|item| item["Name"] == name);
    let runs = |name: &str| {
        let name = format!("/{name}");
        api.containers().iter().any(|one| one["Names"][0] == name.as_str() && one["State"] == "running")
    };
    let has = |name: &str| {
        let volume = named(api.volumes(), &format!("{name}-data"));
        let network = named(api.networks(), &format!("{name}-net"));
        [engine.has(&format!("app:{name}")), runs(name), volume, network]
    };
    let ready = |name: &str| {
        let mark = state.work().join(format!("{name}.ready"));
        assert!(eventually(SOON, || mark.exists()), "{name} never got ready\n{}", engine.inventory());
    };
    let one = one_of_many(engine, &state, "one").spawn();
    ready("one");
    let two = one_of_many(engine, &state, "two").spawn();
    ready("two");
    assert_eq!((has("one"), has("two")), ([true; 4], [true; 4]));
    one.signal("KILL");
    assert!(eventually(SOON, || has("one") == [false; 4]), "one left {:?}\n{}", has("one"), engine.inventory());
    assert_eq!(has("two"), [true; 4], "what is another's is touched");
    std::fs::write(state.work().join("one.go"), "").expect("a mark");
    drop(one.wait());
    let three = one_of_many(engine, &state, "three").spawn();
    ready("three");
    std::fs::write(state.work().join("two.go"), "").expect("a mark");
    two.wait().success();
    assert!(eventually(SOON, || has("two") == [false; 4]), "two left {:?}\n{}", has("two"), engine.inventory());
    assert_eq!(has("three"), [true; 4], "what is another's is touched");
    std::fs::write(state.work().join("three.go"), "").expect("a mark");
    three.wait().success();
    assert!(engine.images().is_empty(), "{}", engine.inventory());
}

fn an_inner_guard_that_is_told_otherwise_has_a_session_of_its_own(engine: &Engine) {
    let scene = Scene::new(engine);
    let dkb = dkb_path().display();
    let run = "sh -c 'docker create --label \"$DKB_LABEL\" lab/base true >/dev/null; echo $DKB_SESSION'";
    let end = format!(
        "{dkb} guard --session t2 -- {run} >names; {dkb} --session t3 guard -- {run} >>names
         {dkb} guard -- {run} >>names; docker ps -aq --no-trunc --filter label=$DKB_LABEL >still
         docker ps -aq --filter label=dev.dkb.run=p:t2 --filter label=dev.dkb.run=p:t3 >gone"
    );
    scene.guard(&[], &end).run().success();
    let read = |name: &str| std::fs::read_to_string(scene.state.work().join(name)).expect(name);
    assert_eq!(read("names"), "t2\nt3\ns\n");
    assert!(read("still").contains(read("one").trim()), "an inner guard cleaned the outer's session");
    assert_eq!(read("gone"), "", "a guard of its own cleans after itself");
    scene.is_clean();
}

fn a_session_in_the_environment_makes_nobody_inner(engine: &Engine) {
    let scene = Scene::new(engine);
    let script = scene.script("exit 0");
    let guard = engine.dkb_in(&scene.state).project("p").session("s").args(["guard", "--", "sh", "-c", &script]);
    // A guard that is long gone is nobody's outer one either.
    guard.env("DKB_GUARD", "long-gone").run().success().warns("session s: removed");
    scene.is_clean();
}

fn containers_are_stopped_by_their_own_signal_and_grace(engine: &Engine) {
    let (state, proxy) = (State::new(), engine.proxy());
    engine.volume("proof", &[]);
    let run = "docker run -d --stop-signal USR1 -v proof:/proof --label \"$DKB_LABEL\" lab/base sh -c \
               'trap \"echo told >/proof/told; exit\" USR1; touch /proof/up; while :; do sleep 0.05; done' >id
               until docker exec $(cat id) ls /proof/up; do :; done";
    let guard = engine.dkb_in(&state).project("p").args(["guard", "--", "sh", "-c", run]);
    let began = Instant::now();
    guard.env("DOCKER_HOST", proxy.host()).run().success().warns("removed 1 container");
    assert!(began.elapsed() < SOON);
    engine.docker(["run", "--rm", "-v", "proof:/proof", "lab/base", "cat", "/proof/told"]).run().success().says("told");
    let stops: Vec<_> = proxy.requests().into_iter().filter(|request| request.is("POST", "/stop")).collect();
    assert!(stops.len() == 1 && !stops[0].path.contains('?'), "its own grace, not ours: {stops:?}");
}
