//! Random hosts: what the dry run says, what is removed, and a tiny model that knows only what was put there
//! agree one for one, and the bytes that were promised come back.

use dkb_lab::promise::Promises;
use dkb_lab::{Builder, Command, Context, Engine, State, promises};

use crate::soak::Seeds;
use crate::sweep_model::{Things, sweep_and_compare, what_must_go};

pub(super) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_engine(promises![a_host_where_much_was_built_is_swept_to_the_last_record])
        .on_one_engine()
        .on_every_engine(promises![random_hosts_are_swept_as_the_dry_run_says_and_as_a_tiny_model_says])
}

/// So many hosts' things are on the engine side by side.
const TOGETHER: usize = 8;

/// A small generator (SplitMix64): the same seed, the same host, on every machine.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        // Small enough for any machine's word, so that the same host comes of it everywhere.
        usize::try_from((z ^ (z >> 31)) >> 33).unwrap_or(0) % sides
    }

    pub(crate) fn one_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Age {
    Old,
    /// Its date says nothing; it is seen for the first time.
    Undated,
}

#[derive(Debug)]
struct Image {
    tags: Vec<String>,
    on: Option<usize>,
    layers: usize,
    age: Age,
    month: usize,
    keep: bool,
}

#[derive(Debug)]
struct Container {
    image: Option<usize>,
    state: usize,
    volume: Option<usize>,
    anonymous: bool,
    network: Option<usize>,
    keep: bool,
}

/// One random host, as it is meant to be, and how it is to be swept.
#[derive(Debug)]
struct Host {
    label: String,
    images: Vec<Image>,
    containers: Vec<Container>,
    /// Whether each is to be kept.
    volumes: Vec<bool>,
    networks: Vec<bool>,
    all_images: bool,
    with_volumes: bool,
    without_containers: bool,
    young_stay: bool,
    pattern: Option<String>,
    keep_last: Option<usize>,
}

const RUNNING: usize = 0;
const EXITED: usize = 1;

impl Host {
    fn random(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let d = &mut dice;
        let label = format!("h{seed}");
        let images: Vec<Image> = (0..=d.roll(5))
            .map(|n| Image {
                tags: (0..d.roll(3)).map(|t| format!("{label}/app{}:{n}.{t}", d.roll(2))).collect(),
                on: (n > 0 && d.one_in(3)).then(|| d.roll(n)),
                layers: 1 + d.roll(2),
                age: if d.one_in(4) { Age::Undated } else { Age::Old },
                month: n + 1,
                keep: d.one_in(6),
            })
            .collect();
        let volumes: Vec<bool> = (0..d.roll(3)).map(|_| d.one_in(4)).collect();
        let networks: Vec<bool> = (0..d.roll(2)).map(|_| d.one_in(4)).collect();
        let pick = |d: &mut Dice, n: usize| (n > 0 && d.one_in(2)).then(|| d.roll(n));
        let containers = (0..d.roll(4))
            .map(|_| Container {
                image: pick(d, images.len()),
                // Most were only created: starting costs the engine a hundred times more.
                state: d.roll(10),
                volume: pick(d, volumes.len()),
                anonymous: d.one_in(6),
                network: pick(d, networks.len()),
                keep: d.one_in(6),
            })
            .collect();
        Self {
            containers,
            volumes,
            networks,
            all_images: d.one_in(2),
            with_volumes: d.one_in(2),
            without_containers: d.one_in(8),
            young_stay: d.one_in(6),
            pattern: d.one_in(4).then(|| format!("{label}*{}", d.roll(3))),
            keep_last: d.one_in(4).then(|| d.roll(3)),
            images,
            label,
        }
    }

    fn command(&self, engine: &Engine, state: &State) -> Command {
        let mut command = engine.dkb_in(state).args(["sweep", "--format", "json", "--filter"]);
        command = command.arg(format!("label=host={}", self.label));
        command = command.args(["--until", if self.young_stay { "2h" } else { "0s" }]);
        for (flag, on) in [("--all-images", self.all_images), ("--volumes", self.with_volumes)] {
            command = if on { command.arg(flag) } else { command };
        }
        if self.without_containers {
            command = command.args(["--skip", "containers"]);
        }
        if let Some(pattern) = &self.pattern {
            command = command.args(["--keep", pattern]);
        }
        if let Some(n) = self.keep_last {
            command = command.args(["--keep-last", &n.to_string()]);
        }
        command
    }
}

/// What an engine gave the things of a host for names.
#[derive(Debug, Default)]
struct Ids {
    images: Vec<String>,
    /// The names that an engine makes of an image's digest. A pattern may fit the end of one.
    digests: Vec<Vec<String>>,
    containers: Vec<String>,
    networks: Vec<String>,
}

fn put(engine: &Engine, host: &Host) -> Ids {
    let mut placed: Vec<dkb_lab::Placed> = Vec::new();
    for image in &host.images {
        let mut spec = engine.image().label("host", &host.label).layers(image.layers);
        spec = match image.age {
            Age::Old => spec.created(&format!("2025-{:02}-01T00:00:00Z", image.month)),
            Age::Undated => spec.created("1970-01-01T00:00:00Z"),
        };
        if let Some(below) = image.on {
            spec = spec.child_of(&placed[below]);
        }
        if image.keep {
            spec = spec.label("keep", "true");
        }
        placed.push(image.tags.iter().fold(spec, |spec, tag| spec.tag(tag)).make());
    }
    let labels = |keep: bool| {
        let mut labels = vec![("host", host.label.as_str())];
        labels.extend(keep.then_some(("keep", "true")));
        labels
    };
    for (n, keep) in host.volumes.iter().enumerate() {
        engine.volume(&name(host, "volume", n), &labels(*keep));
    }
    let networks =
        host.networks.iter().enumerate().map(|(n, keep)| engine.network(&name(host, "network", n), &labels(*keep)));
    let networks: Vec<String> = networks.collect();
    let containers = host.containers.iter().enumerate().map(|(n, container)| {
        let image = container.image.map_or("lab/base", |image| &*placed[image]);
        let mut spec = engine.container(image).name(&name(host, "container", n)).label("host", &host.label);
        if container.keep {
            spec = spec.label("keep", "true");
        }
        if let Some(volume) = container.volume {
            spec = spec.volume(&name(host, "volume", volume));
        } else if container.anonymous {
            spec = spec.volume("");
        }
        if let Some(network) = container.network {
            spec = spec.network(&name(host, "network", network));
        }
        match container.state {
            RUNNING => spec.running(),
            EXITED => spec.stopped(),
            _ => spec.created(),
        }
    });
    let containers = containers.collect();
    let images: Vec<String> = placed.iter().map(|image| image.id.clone()).collect();
    let there = engine.images();
    let digests_of = |id: &String| there.iter().find(|image| image.id == *id).map(|image| image.digests.clone());
    let digests = images.iter().map(|id| digests_of(id).unwrap_or_default()).collect();
    Ids { images, digests, containers, networks }
}

fn name(host: &Host, kind: &str, n: usize) -> String {
    format!("{}-{kind}-{n}", host.label)
}

/// The model: it looks at one thing at a time and takes it if nothing forbids it, again and again, until a whole
/// round took nothing. It knows nothing of plans.
fn model(engine: &Engine, host: &Host, ids: &Ids) -> Things {
    let kept_by_name = |name: &str| {
        // Patterns here are `label*digit`.
        let Some((start, end)) = host.pattern.as_ref().and_then(|pattern| pattern.split_once('*')) else {
            return false;
        };
        let fits = |text: &str| text.len() >= start.len() + end.len() && text.starts_with(start) && text.ends_with(end);
        let last = name.rsplit('/').next().unwrap_or(name);
        // Podman's own word before a name is no part of what people call it.
        let familiar = name.strip_prefix("localhost/").unwrap_or(name);
        [familiar, last].iter().any(|text| fits(text) || text.rsplit_once(':').is_some_and(|(before, _)| fits(before)))
    };
    let among_the_last = |n: usize| {
        let Some(count) = host.keep_last.filter(|_| host.all_images) else { return false };
        let repository = |tag: &str| tag.split(':').next().unwrap_or_default().to_owned();
        // What was seen first just now is newer than all that has a date; of those, the higher ID is the newer.
        let rank = |n: usize| match host.images[n].age {
            Age::Undated => (1, 0, ids.images[n].clone()),
            Age::Old => (0, host.images[n].month, String::new()),
        };
        host.images[n].tags.iter().any(|tag| {
            let others = (0..host.images.len())
                .filter(|other| host.images[*other].tags.iter().any(|t| repository(t) == repository(tag)));
            others.filter(|other| rank(*other) > rank(n)).count() < count
        })
    };
    // Podman takes an image whose history goes on by one layer in another one for that one's parent. Here the history
    // is the date: those without one have the same.
    let is_base_of_one_that_stays = |n: usize, gone: &Things| {
        let goes_on = |m: usize| host.images[m].on == Some(n) && !gone.contains(&format!("image {}", ids.images[m]));
        let undated = |n: usize| host.images[n].age == Age::Undated;
        let by_one = |m: usize| undated(m) && host.images[m].layers == 1;
        engine.is_podman() && undated(n) && (0..host.images.len()).any(|m| by_one(m) && goes_on(m))
    };
    let mut gone = Things::new();
    loop {
        let mut round = Things::new();
        for (n, container) in host.containers.iter().enumerate() {
            let inherits = container.image.is_some_and(|image| host.images[image].keep);
            let stays = host.without_containers
                || host.young_stay
                || container.state == RUNNING
                || container.keep
                || inherits
                || kept_by_name(&name(host, "container", n));
            if !stays {
                round.insert(format!("container {}", ids.containers[n]));
            }
        }
        let used = |uses: &dyn Fn(&Container) -> bool| {
            let still = |n: usize| !gone.contains(&format!("container {}", ids.containers[n]));
            host.containers.iter().enumerate().any(|(n, container)| uses(container) && still(n))
        };
        for (n, image) in host.images.iter().enumerate() {
            let stays = used(&|container| container.image == Some(n))
                || image.keep
                || (!host.all_images && !image.tags.is_empty())
                || (host.young_stay && image.age == Age::Undated)
                || image.tags.iter().chain(&ids.digests[n]).any(|tag| kept_by_name(tag))
                || among_the_last(n)
                || is_base_of_one_that_stays(n, &gone);
            if !stays {
                round.insert(format!("image {}", ids.images[n]));
            }
        }
        for (n, keep) in host.volumes.iter().enumerate().filter(|_| host.with_volumes && !host.young_stay) {
            let name = name(host, "volume", n);
            if !keep && !kept_by_name(&name) && !used(&|container| container.volume == Some(n)) {
                round.insert(format!("volume {name}"));
            }
        }
        for (n, keep) in host.networks.iter().enumerate().filter(|_| !host.young_stay) {
            let name = name(host, "network", n);
            if !keep && !kept_by_name(&name) && !used(&|container| container.network == Some(n)) {
                round.insert(format!("network {}", ids.networks[n]));
            }
        }
        if round.is_subset(&gone) {
            return gone;
        }
        gone.extend(round);
    }
}

fn random_hosts_are_swept_as_the_dry_run_says_and_as_a_tiny_model_says(engine: &Engine) {
    let state = State::new();
    Seeds::of_this_run().each_batch(engine, TOGETHER, "sweep_random", |batch| {
        let mut dice = Dice(batch[0]);
        put_what_has_no_label(engine, &mut dice);
        let hosts: Vec<Host> = batch.iter().map(|seed| Host::random(*seed)).collect();
        let placed: Vec<Ids> = hosts.iter().map(|host| put(engine, host)).collect();
        for (host, ids) in hosts.iter().zip(&placed) {
            let about = format!("{host:#?}");
            let (gone, _) = sweep_and_compare(engine, &host.command(engine, &state), &about);
            assert_eq!(gone, model(engine, host, ids), "the model differs: {about}");
        }
        // What is left goes but for what is at work: anonymous volumes and build cache too, which bear no label.
        let all_images = dice.one_in(2);
        let rest = engine.dkb_in(&state).args(["sweep", "--format", "json", "--until", "0s"]);
        let rest = rest.args(["--volumes", "--keep", "*lab/base"]).args(all_images.then_some("--all-images"));
        let expected = what_must_go(engine, all_images);
        let (gone, _) = sweep_and_compare(engine, &rest, "what these hosts left");
        assert_eq!(gone, expected, "the model differs on what these hosts left, all images: {all_images}");
        engine.wipe();
    });
}

/// What no label can be said of: an image that was pulled by its digest, and what builds leave.
fn put_what_has_no_label(engine: &Engine, dice: &mut Dice) {
    // Podman trusts no registry without TLS, and has no build cache.
    if engine.is_podman() {
        return;
    }
    if dice.one_in(3) {
        engine.pulled_by_digest("team/node");
    }
    for _ in 0..dice.roll(3) {
        let bytes = 10_000 * (1 + dice.roll(9));
        let end = ["", "RUN false", "LABEL keep=true"][dice.roll(3)];
        let context = Context::from_base(&format!("RUN head -c {bytes} /dev/urandom >/a\n{end}"));
        engine.build(Builder::BuildKit, &context, &["--no-cache", "-t", "built:1"]);
    }
}

fn a_host_where_much_was_built_is_swept_to_the_last_record(engine: &Engine) {
    let context = Context::from_base("RUN head -c 300000 /dev/urandom >/a\nRUN head -c 200000 /dev/urandom >/b");
    let breaks = Context::from_base("RUN head -c 400000 /dev/urandom >/c\nRUN false");
    for builder in engine.builders() {
        for tag in ["app:1", "app:2", "app:1"] {
            engine.build(*builder, &context, &["--no-cache", "-t", tag]).success();
        }
        engine.build(*builder, &breaks, &["--force-rm"]);
    }
    let state = State::new();
    let sweep = |args: &[&str]| {
        let command = engine.dkb_in(&state).args(["sweep", "--format", "json", "--until", "0s", "--keep", "*lab/base"]);
        sweep_and_compare(engine, &command.args(args.iter().copied()), &format!("{args:?}"))
    };
    let (gone, _) = sweep(&[]);
    let of = |kind: &str| gone.iter().filter(|thing| thing.starts_with(kind)).count();
    assert!(of("image") > 0 && (engine.is_podman() || of("build_cache") > 0), "{gone:?}");
    assert!(engine.has("app:1") && engine.has("app:2"));
    let (gone, done) = sweep(&["--all-images"]);
    assert_eq!(done["totals"]["bytes_to_cache"], 0, "the cache goes too: {gone:?}");
    assert!(engine.images().is_empty() && (engine.is_podman() || engine.api().build_cache().is_empty()));
}
