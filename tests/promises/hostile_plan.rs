//! A plan in a file that somebody else has written: it asks for all that there is, in every way that can be written
//! down. dkb does of it what it would do today without the file, and nothing else.

use dkb::model::SessionKey;
use dkb_lab::{Command, Engine, Promises, promises};
use serde_json::{Value, json};

use crate::clean_host::{Books, PROJECT, SESSION, identity, key};
use crate::guard_dead::dead;

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_engine(promises![a_plan_for_sessions_that_are_over_is_done_whole])
        .on_one_engine()
        .on_every_engine(promises![
            a_forged_plan_does_what_the_same_clean_does_and_no_more,
            a_forged_sweep_takes_nothing_that_is_to_stay,
        ])
}

/// Every step that could be made of what is on the engine, those first that no plan has in this order.
pub(crate) fn steps(engine: &Engine) -> Vec<Value> {
    let api = engine.api();
    let mut steps = Vec::new();
    let text = |value: &Value| value.as_str().unwrap_or_default().trim_start_matches('/').to_owned();
    for volume in api.volumes() {
        let (name, created) = (text(&volume["Name"]), &volume["CreatedAt"]);
        for guard in [json!({ "still": "unused" }), json!({ "still": "unused_since", "created": created })] {
            steps.push(step("remove", "volume", &name, &[&name], "of_session", &guard));
        }
    }
    let images = api.images();
    let digests: Vec<&String> = images.iter().flat_map(|image| &image.digests).collect();
    for image in &images {
        let names: Vec<&str> = image.tags.iter().map(String::as_str).collect();
        for (names, guard) in [
            (&names[..], json!({ "still": "named", "names": names })),
            (&names[..], json!({ "still": "pushed", "digests": digests })),
            (&[], json!({ "still": "untagged" })),
            (&[], json!({ "still": "pushed", "digests": digests })),
        ] {
            steps.push(step("remove", "image", &image.id, names, "leftover", &guard));
        }
        for name in images.iter().flat_map(|image| &image.tags) {
            for from in &images {
                let guard = json!({ "still": "name_of", "id": from.id });
                steps.push(step("give_back", "image", &image.id, &[name], "taken_tag", &guard));
                steps.push(step("untag", "image", &image.id, &[name], "own_name", &guard));
            }
        }
    }
    for network in api.networks() {
        let (id, name) = (text(&network["Id"]), text(&network["Name"]));
        steps.push(step("remove", "network", &id, &[&name], "of_session", &json!({ "still": "unused" })));
    }
    for container in api.containers() {
        let (id, name) = (text(&container["Id"]), text(&container["Names"][0]));
        for reason in ["of_session", "holds_image", "stopped"] {
            for action in ["remove", "stop"] {
                steps.push(step(action, "container", &id, &[&name], reason, &json!({ "still": "stopped" })));
            }
        }
    }
    for record in api.build_cache() {
        steps.push(step("remove", "build_cache", &text(&record["ID"]), &[], "unused", &json!({ "still": "unused" })));
    }
    steps
}

pub(crate) fn step(action: &str, kind: &str, id: &str, names: &[&str], reason: &str, guard: &Value) -> Value {
    json!({ "action": action, "type": kind, "id": id, "names": names, "bytes": 0, "reason": reason, "guard": guard })
}

/// A file that dkb takes for a plan of this verb.
pub(crate) fn file(engine: &Engine, verb: &str, scope: Option<&Value>, steps: &[Value]) -> String {
    let engine = json!({ "id": identity(engine), "endpoint": "unix:///\u{1b}[2J", "version": "\u{202e}1" });
    let mut plan = json!({
        "schema": 1, "kind": verb, "engine": engine, "created": "2999-01-01T00:00:00Z", "steps": steps, "kept": [],
        "totals": { "steps": 0, "done": 0, "failed": 0, "kept": 0, "bytes": 0, "bytes_to_cache": 0, "up_to": false },
    });
    if let Some(scope) = scope {
        plan["scope"] = scope.clone();
    }
    plan.to_string()
}

/// What of a document was done, or is to be, in its order.
fn told(document: &Value, result: Option<&str>) -> Vec<[Value; 4]> {
    let steps = document["steps"].as_array().expect("steps").iter();
    let steps = steps.filter(|step| result.is_none_or(|result| step["result"] == result));
    steps.map(|step| ["action", "type", "id", "names"].map(|field| step[field].clone())).collect()
}

/// All that can be seen of things that are not ours.
#[derive(Debug, PartialEq)]
struct Strangers {
    images: Vec<(String, Vec<String>)>,
    containers: Vec<(Value, Value)>,
    others: Vec<Value>,
}

impl Strangers {
    fn of(engine: &Engine, ours: &[&str]) -> Self {
        let api = engine.api();
        let is_ours = |value: &Value| ours.contains(&value.as_str().unwrap_or_default());
        let others = api.volumes().into_iter().chain(api.networks()).map(|one| one["Name"].clone());
        let mut others: Vec<Value> = others.filter(|name| !is_ours(name)).collect();
        others.sort_by_key(ToString::to_string);
        Self {
            images: api
                .images()
                .into_iter()
                .filter(|image| !ours.contains(&&*image.id))
                .map(|image| (image.id, image.tags))
                .collect(),
            containers: api
                .containers()
                .into_iter()
                .filter(|one| !is_ours(&one["Id"]))
                .map(|one| (one["Id"].clone(), one["State"].clone()))
                .collect(),
            others,
        }
    }
}

fn a_forged_plan_does_what_the_same_clean_does_and_no_more(engine: &Engine) {
    let books = Books::of(engine);
    let here = key(PROJECT, SESSION);
    let ours = |session: &SessionKey, tags: &[&str]| {
        let image = tags.iter().fold(engine.image(), |spec, tag| spec.tag(tag)).make();
        books.built(session, &image, tags);
        image
    };
    let elsewhere = key("tool", "job-1");
    let mine = [ours(&here, &[]), ours(&here, &["app:1", "app:one"]), ours(&key(PROJECT, "job-2"), &["app:2"])];
    let of_others = [ours(&elsewhere, &[]), ours(&elsewhere, &["tool:1"])];
    let taken_from = engine.image().make();
    let took = engine.image().tag("app:dev").make();
    books.took(&here, &took, "app:dev", &taken_from);
    let stopped = engine.container(&mine[1]).stopped();
    let died = dead(engine, &books, "died");

    engine.container(&engine.image().tag("theirs:1").make()).name("theirs").running();
    engine.container("lab/base").name("with-data").volume("").stopped();
    engine.image().make();
    engine.volume("their-data", &[]);
    engine.network("their-net", &[]);
    let gone: Vec<&str> = mine.iter().chain(&of_others).map(|image| &*image.id).collect();
    let mut own: Vec<&str> = [gone, vec![&*took.id, &*taken_from.id, &*stopped]].concat();
    own.extend([&*died.image.id, &*died.container, &*died.volume]);
    let strangers = || Strangers::of(engine, &own);
    let before = strangers();
    let path = books.state.work().join("forged.json");
    let dkb = |args: &[&str]| books.dkb(engine).args(args.iter().copied()).args(["--format", "json"]);
    let apply = ["clean", "--apply", "forged.json"];

    let of = |of: Value, tagged: bool| {
        let mut scope = json!({ "tagged": tagged, "containers": true });
        scope.as_object_mut().expect("a scope").extend(of.as_object().expect("a scope").clone());
        scope
    };
    for (scope, same, asks) in [
        (of(json!({ "of": "project", "project": PROJECT }), false), &["clean"][..], false),
        (of(json!({ "of": "all" }), false), &["clean", "--all"], false),
        (of(json!({ "of": "session", "project": PROJECT, "session": SESSION }), true), &["clean", "--session"], false),
        (of(json!({ "of": "stale", "project": PROJECT }), true), &["clean", "--stale"], false),
        (of(json!({ "of": "all" }), true), &["clean", "--all", "--tagged"], true),
    ] {
        std::fs::write(&path, file(engine, "clean", Some(&scope), &steps(engine))).expect("the file");
        let today = told(&dkb(same).arg("--dry-run").run().success().json(), None);
        assert!(!today.is_empty(), "{same:?} has something to do");
        let dry = dkb(&apply).arg("--dry-run").run().success().json();
        assert_eq!(told(&dry, None), today, "{same:?}: what the file is asked for\n{dry:#}");
        if asks {
            dkb(&apply).run().code(2).warns("nobody to ask");
        }
        let done = dkb(&apply).args(asks.then_some("--yes")).run().success().json();
        assert_eq!(told(&done, Some("done")), today, "{same:?}: what the file did\n{done:#}");
        assert_eq!(strangers(), before, "{same:?}\n{done:#}");
    }
    for image in mine.iter().chain(&of_others) {
        assert!(!engine.has(image), "{}", engine.inventory());
    }
    assert!(engine.find("app:dev").is_some_and(|back| back.id == taken_from.id));

    // Of a project that is not this one, and with nothing said: as before there was anything to say.
    let (late, mine) = (ours(&elsewhere, &["tool:2"]), ours(&here, &["app:3"]));
    let other = of(json!({ "of": "project", "project": "tool" }), true);
    std::fs::write(&path, file(engine, "clean", Some(&other), &steps(engine))).expect("the file");
    dkb(&apply).run().code(2).warns("is not this one");
    std::fs::write(&path, file(engine, "clean", None, &steps(engine))).expect("the file");
    dkb(&[&apply[..], &["--keep", "*:2"]].concat()).run();
    assert!(engine.has(&late), "{}", engine.inventory());
    std::fs::write(&path, file(engine, "clean", None, &step_of(engine, &mine))).expect("the file");
    dkb(&apply).run().success();
    assert!(!engine.has(&mine) && engine.has(&late), "{}", engine.inventory());
}

fn step_of(engine: &Engine, image: &str) -> Vec<Value> {
    steps(engine).into_iter().filter(|step| step["id"] == image).collect()
}

fn a_forged_sweep_takes_nothing_that_is_to_stay(engine: &Engine) {
    let (books, busy) = (Books::of(engine), key(PROJECT, "busy"));
    let made = engine.image().make();
    books.built(&busy, &made, &[]);
    let _alive = books.alive(&busy);
    let (kept, named) = (engine.image().label("keep", "true").make(), engine.image().tag("prod:1").make());
    engine.volume("used", &[]);
    engine.network("used-net", &[]);
    let running = engine.container("lab/base").name("web").volume("used").network("used-net").running();
    let with_data = engine.container("lab/base").name("over").volume("").created();
    engine.volume("unused", &[]);
    engine.volume("precious", &[("keep", "true")]);
    let anonymous = engine.api().volumes().into_iter().map(|volume| volume["Name"].clone());
    let known = ["used", "unused", "precious"];
    let anonymous = anonymous.into_iter().find(|name| !known.iter().any(|known| name == known)).expect("a volume");

    let path = books.state.work().join("forged.json");
    let sweep = |args: &[&str]| {
        let command = books.dkb(engine).args(["sweep", "--yes", "--format", "json", "--apply", "forged.json"]);
        command.args(["--keep", "prod:*", "--keep", "*lab/base*"]).args(args.iter().copied())
    };
    let there = |list: Vec<Value>, field: &str, name: &Value| list.iter().any(|one| one[field] == *name);
    // A container alone, for a reason that would take its data along.
    let only = step("remove", "container", &with_data, &["over"], "of_session", &json!({ "still": "stopped" }));
    std::fs::write(&path, file(engine, "sweep", None, &[only])).expect("the file");
    let done = sweep(&[]).run().success().json();
    assert!(!there(engine.api().containers(), "Id", &json!(with_data)), "{done:#}");
    assert!(there(engine.api().volumes(), "Name", &anonymous), "{done:#}");
    assert_eq!(done["steps"][0]["reason"], "stopped", "{done:#}");

    std::fs::write(&path, file(engine, "sweep", None, &steps(engine))).expect("the file");
    let young = sweep(&["--until", "1h", "--dry-run"]).run().success().json();
    assert_eq!(told(&young, None), Vec::<[Value; 4]>::new(), "an age that is set now holds: {young:#}");
    let dry = sweep(&["--dry-run"]).run().success().json();
    let done = sweep(&[]).run().success().json();
    assert_eq!(told(&dry, None), told(&done, Some("done")), "{dry:#}\n{done:#}");
    let api = engine.api();
    for image in [&made, &kept, &named] {
        assert!(engine.has(image), "{done:#}");
    }
    assert!(there(api.containers(), "Id", &json!(running)) && there(api.networks(), "Name", &json!("used-net")));
    let volumes = ["used", "precious", "unused"].map(|name| there(api.volumes(), "Name", &json!(name)));
    assert_eq!(volumes, [true, true, true], "what holds data is asked for each time: {done:#}");
    sweep(&["--skip", "volumes", "--volumes"]).run().success();
    assert!(there(engine.api().volumes(), "Name", &json!("unused")));
    sweep(&["--only", "containers"]).run().success().warns("the plan has");
    let done = sweep(&["--volumes"]).run().success().json();
    let volumes = ["used", "precious", "unused"].map(|name| there(engine.api().volumes(), "Name", &json!(name)));
    assert_eq!(volumes, [true, true, false], "{done:#}");
}

/// Nothing has changed in between, so nothing has "changed since".
fn a_plan_for_sessions_that_are_over_is_done_whole(engine: &Engine) {
    let books = Books::of(engine);
    let died = dead(engine, &books, "died");
    let network = engine.network("of-died", &[("dev.dkb.run", "app:died")]);
    let clean =
        |args: &[&str]| -> Command { books.dkb(engine).args(["clean", "--format", "json"]).args(args.iter().copied()) };
    let plan = clean(&["--stale", "--plan", "plan.json"]).run().success().json();
    assert_eq!(told(&plan, None).len(), 5, "{plan:#}");
    let done = clean(&["--apply", "plan.json"]).run().success().json();
    assert_eq!(told(&done, Some("done")), told(&plan, None), "{done:#}");
    assert_eq!(done["kept"].as_array().map(Vec::len), Some(0), "{done:#}");
    assert_eq!(died.there(), [false; 3]);
    assert!(!engine.api().networks().iter().any(|one| one["Id"] == network.as_str()));
    assert_eq!(plan["scope"]["of"], "stale");
    books.dkb(engine).args(["clean", "--stale"]).run().success().never_warns("died");
}
