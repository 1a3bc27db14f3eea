//! What no engine can promise, measured: somebody begins to use an image at the very moment it goes. dkb must lose
//! no more to that than docker's own `image rm` does. Tried by `just soak` alone, and by `DKB_SOAK=1`.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use dkb_lab::proxy::Request;
use dkb_lab::{Engine, Placed, Promises, promises};
use serde_json::json;

use crate::clean_host::{Books, PROJECT, SESSION, key};

pub(crate) fn promises() -> Promises {
    let promises = Promises::of(module_path!());
    if std::env::var_os("DKB_SOAK").is_none() {
        return promises;
    }
    promises.on_every_engine(promises![at_random_moments_no_more_is_lost_than_to_docker_itself])
}

/// Images that go together, and how many of them somebody is after.
const IMAGES: usize = 64;
const EVERY: usize = 8;
/// What they want begins up to so long before the deletion goes through; a creation takes a tenth of it or all.
const AHEAD: Duration = Duration::from_millis(60);

#[derive(Clone, Copy, Debug)]
enum Wants {
    Container,
    Tag,
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Dkb,
    Docker,
}

#[derive(Debug, Default)]
struct Count {
    tries: usize,
    /// They came first, and the image is there.
    kept: usize,
    /// They were told that they have it, and it is gone.
    lost: usize,
}

/// 25 in a usual soak, of 400 hosts on engines.
fn rounds() -> usize {
    let soak = std::env::var("DKB_SOAK").ok().and_then(|text| text.parse::<usize>().ok());
    soak.unwrap_or(0).div_ceil(16).max(1)
}

#[allow(clippy::print_stderr)] // the numbers stand beside the results
fn at_random_moments_no_more_is_lost_than_to_docker_itself(engine: &Engine) {
    for named in [false, true] {
        for wants in [Wants::Container, Wants::Tag] {
            let [dkb, docker] = [Way::Dkb, Way::Docker].map(|way| {
                let mut count = Count::default();
                (0..rounds()).for_each(|nth| aim(engine, named, wants, way, nth, &mut count));
                count
            });
            let what = if named { "named" } else { "untagged" };
            eprintln!("dkb-lab: {}, {what}, {wants:?}: dkb {dkb:?}, docker {docker:?}", engine.name());
            // Two counts of one chance differ by more than three times the root of their sum once in 700 times.
            let (lost, theirs) = (dkb.lost, docker.lost);
            let over = lost.saturating_sub(theirs);
            assert!(over * over <= 9 * (lost + theirs), "{what}, {wants:?}: {lost} against {theirs}");
        }
    }
}

fn aim(engine: &Engine, named: bool, wants: Wants, way: Way, nth: usize, count: &mut Count) {
    let (books, proxy) = (Books::of(engine), engine.proxy());
    let name = |n: usize| format!("app:{n}");
    let images = engine.many(IMAGES, |n, image| {
        let image = image.label("n", &n.to_string());
        if named { image.tag(&name(n)) } else { image }
    });
    for (n, image) in images.iter().enumerate() {
        let name = [name(n)];
        let tags: Vec<&str> = name.iter().filter(|_| named).map(String::as_str).collect();
        books.built(&key(PROJECT, SESSION), image, &tags);
    }
    let begun = Arc::new(Mutex::new(Vec::new()));
    let (them, wanted, asked) = (engine.clone(), images.clone(), Arc::clone(&begun));
    proxy.on_request(|request| request.method == "DELETE").run(move |request| {
        let Some(n) = (0..IMAGES).step_by(EVERY).find(|&n| is_about(request, &wanted[n], n)) else { return };
        let mut asked = asked.lock().expect("no test panics here");
        if asked.iter().any(|(of, _)| *of == n) {
            return;
        }
        let (them, image) = (them.clone(), if named { name(n) } else { wanted[n].id.clone() });
        asked.push((n, thread::spawn(move || want(&them, wants, &image, n))));
        drop(asked);
        // Steps of nearly the golden ratio spread any number of moments evenly.
        let permille = u32::try_from((nth * IMAGES + n) * 618 % 1000).expect("under a thousand");
        thread::sleep(AHEAD * permille / 1000);
    });
    match way {
        Way::Dkb => {
            books.dkb(engine).env("DOCKER_HOST", proxy.host()).args(["clean", "--session"]).run();
        }
        Way::Docker => {
            let ids = images.iter().map(|image| image.id.clone());
            engine.docker(["image", "rm"]).args(ids).env("DOCKER_HOST", proxy.host()).run();
        }
    }
    let begun: Vec<_> = std::mem::take(&mut *begun.lock().expect("no test panics here"));
    for (n, thread) in begun {
        let has_it = thread.join().expect("what they want");
        let is_there = match wants {
            Wants::Container => engine.has(&images[n]),
            Wants::Tag => engine.find(&format!("theirs:{n}")).is_some(),
        };
        count.tries += 1;
        count.kept += usize::from(has_it && is_there);
        count.lost += usize::from(has_it && !is_there);
    }
    engine.wipe();
}

fn is_about(request: &Request, image: &Placed, n: usize) -> bool {
    let names = [format!("app:{n}")];
    request.path.contains(&image.id["sha256:".len()..])
        || request.path.split(['/', '?']).any(|part| names.iter().any(|name| name == part))
}

/// Whether they were told that they have it.
fn want(engine: &Engine, wants: Wants, image: &str, n: usize) -> bool {
    match wants {
        Wants::Container => {
            let body = json!({ "Image": image, "Cmd": ["sleep", "100000"], "HostConfig": { "NetworkMode": "none" } });
            engine.api().post("/containers/create", &body).status == 201
        }
        Wants::Tag => {
            let path = format!("/images/{image}/tag?repo=theirs&tag={n}");
            engine.api().post(&path, &serde_json::Value::Null).status == 201
        }
    }
}
