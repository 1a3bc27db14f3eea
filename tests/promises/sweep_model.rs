//! What a sweep is held against: everything on an engine before and after, its own count of its disk, and a model
//! of what must go that looks at one thing at a time.

use std::collections::BTreeSet;

use dkb_lab::{Command, Engine};
use serde_json::Value;

/// What is on an engine, or goes from it: `image sha256:…`, `volume data`.
pub(crate) type Things = BTreeSet<String>;

/// Everything on the engine, by kind and ID, and how much of its disk that takes.
fn there(engine: &Engine) -> (Things, i64) {
    let api = engine.api();
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let images = api.images().into_iter().map(|image| format!("image {}", image.id));
    let containers = api.containers().into_iter().map(|c| format!("container {}", text(&c, "Id")));
    let volumes = api.volumes().into_iter().map(|v| format!("volume {}", text(&v, "Name")));
    let networks = api.networks().into_iter().map(|n| format!("network {}", text(&n, "Id")));
    let df = api.disk_usage();
    let cache = df["BuildCache"].as_array().filter(|_| !engine.is_podman()).into_iter().flatten();
    let cache = cache.map(|record| format!("build_cache {}", text(record, "ID")));
    (images.chain(containers).chain(volumes).chain(networks).chain(cache).collect(), disk(engine, &df))
}

fn steps(plan: &Value) -> Things {
    let steps = plan["steps"].as_array().expect("steps").iter();
    let text = |step: &Value, key: &str| step[key].as_str().expect("a text").to_owned();
    steps.map(|step| format!("{} {}", text(step, "type"), text(step, "id"))).collect()
}

/// The engine's own count of its disk, as `docker system df` sums it up. On the containerd store the layers are all
/// that it holds, the containers' and the cache's too, but for what the cache alone has packed to be exported once.
fn disk(engine: &Engine, df: &Value) -> i64 {
    let sum =
        |list: &str, size: &dyn Fn(&Value) -> i64| -> i64 { df[list].as_array().into_iter().flatten().map(size).sum() };
    let layers = df["LayersSize"].as_i64().unwrap_or(0);
    let volumes = sum("Volumes", &|v| v["UsageData"]["Size"].as_i64().unwrap_or(0).max(0));
    if engine.is_containerd_store() {
        return layers + volumes;
    }
    let unshared = |record: &Value| if record["Shared"] == true { 0 } else { record["Size"].as_i64().unwrap_or(0) };
    layers + volumes + sum("Containers", &|c| c["SizeRw"].as_i64().unwrap_or(0)) + sum("BuildCache", &unshared)
}

/// Sweeps and compares: the dry run, what went, and the bytes. The plan that was done.
pub(crate) fn sweep_and_compare(engine: &Engine, command: &Command, about: &str) -> (Things, Value) {
    let dry = command.clone().arg("--dry-run").run().success().json();
    let (before, held) = there(engine);
    let done = command.clone().arg("--yes").run().success().json();
    let (after, holds) = there(engine);
    let gone: Things = before.difference(&after).cloned().collect();
    assert_eq!(steps(&dry), gone, "the dry run and the run differ: {about}");
    assert!(after.is_subset(&before), "something came up: {about}");
    let (said, fell) = (dry["totals"]["bytes"].as_i64().expect("bytes"), held - holds);
    let slack = said / 100;
    assert!(fell <= said + slack, "{said} were promised, {fell} came back: {about}");
    let cache = dry["steps"].as_array().expect("steps").iter().filter(|step| step["type"] == "build_cache");
    let uncounted: i64 = if engine.is_containerd_store() { cache.filter_map(|s| s["bytes"].as_i64()).sum() } else { 0 };
    let least = if dry["totals"]["up_to"] == true { i64::MIN } else { said - uncounted - slack };
    assert!(fell >= least, "{said} were promised, {fell} came back: {about}");
    (gone, done)
}

/// What a sweep of everything, however young, takes from an engine, volumes too. It knows nothing of plans: it
/// looks what the containers that stay hold.
pub(crate) fn what_must_go(engine: &Engine, all_images: bool) -> Things {
    let api = engine.api();
    let is_kept = |one: &Value| one["Labels"]["keep"] == "true";
    let goes = |container: &Value| {
        let state = container["State"].as_str().unwrap_or_default();
        ["created", "exited"].contains(&state) && !is_kept(container)
    };
    let (going, staying): (Vec<Value>, Vec<Value>) = api.containers().into_iter().partition(goes);
    // IDs and names are long enough to be looked for in all that the engine says of a container.
    let held = format!("{staying:?}");
    let free = |one: &Value, name: &str| !is_kept(one) && !held.contains(&format!("{name:?}"));
    let mut gone: Things = going.iter().map(|one| thing("container", &one["Id"])).collect();
    let images = engine.images();
    for image in &images {
        let id = image.id.trim_start_matches("sha256:");
        let is_named = !image.tags.is_empty() || !image.digests.is_empty();
        if !held.contains(id) && image.label("keep") != Some("true") && (all_images || !is_named) {
            gone.insert(format!("image {}", image.id));
        }
    }
    // What one that stays is built on stays, and what that one is built on.
    let mut staying: Vec<&dkb_lab::Image> =
        images.iter().filter(|image| !gone.contains(&format!("image {}", image.id))).collect();
    while let Some(image) = staying.pop() {
        if gone.remove(&format!("image {}", image.parent)) {
            staying.extend(images.iter().find(|base| base.id == image.parent));
        }
    }
    let volumes = api.volumes();
    gone.extend(volumes.iter().filter(|v| free(v, text(&v["Name"]))).map(|v| thing("volume", &v["Name"])));
    let built_in = |network: &Value| ["bridge", "host", "none", "podman"].contains(&text(&network["Name"]));
    let networks = api.networks();
    let networks = networks.iter().filter(|n| !built_in(n) && free(n, text(&n["Id"])) && free(n, text(&n["Name"])));
    gone.extend(networks.map(|n| thing("network", &n["Id"])));
    gone.extend(cache_that_must_go(engine, all_images));
    gone
}

/// A record goes unless it is at work, or an image's, or one that stays was made from it.
fn cache_that_must_go(engine: &Engine, all_images: bool) -> Things {
    let mut records = if engine.is_podman() { Vec::new() } else { engine.api().build_cache() };
    let mut gone = Things::new();
    loop {
        let parents: Vec<String> = records.iter().flat_map(parents_of).collect();
        let may = |record: &Value| record["InUse"] != true && (all_images || record["Shared"] != true);
        let (going, staying): (Vec<Value>, Vec<Value>) =
            records.into_iter().partition(|record| may(record) && !parents.contains(&text(&record["ID"]).to_owned()));
        gone.extend(going.iter().map(|record| thing("build_cache", &record["ID"])));
        if going.is_empty() {
            return gone;
        }
        records = staying;
    }
}

fn parents_of(record: &Value) -> Vec<String> {
    let many = [&record["Parents"], &record[" Parents"]].into_iter().filter_map(Value::as_array).flatten();
    many.chain([&record["Parent"]]).filter_map(Value::as_str).map(str::to_owned).collect()
}

fn thing(kind: &str, id: &Value) -> String {
    format!("{kind} {}", text(id))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
