//! The engine in memory that the library's own tests stand on answers as the real ones do: the same random calls, one
//! after another, on both, and every answer and all that is left compared.

use std::collections::{BTreeMap, BTreeSet};

use dkb::engine::fake::{Fake, Loaded, Store, container_of};
use dkb::engine::{Answer, Docker, DockerFlags, Endpoint, Engine as _, Limits, Removed, ToDelete};
use dkb::model::{ContainerState, Image, ImageId, Network, Reference, Volume};
use dkb_lab::{Engine, Placed, Promises, promises};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::clean_host::id;
use crate::sweep_random::Dice;

/// Scripts for each engine, the same in every run, and those of a soak.
const SCRIPTS: u64 = 3;
const SOAKED: u64 = 100;
/// Of each script.
const CALLS: usize = 40;
/// Names that are given and taken. Two have one repository.
const NAMES: [&str; 4] = ["lab.invalid/app:1", "lab.invalid/app:2", "lab.invalid/tool:1", "dkb.invalid/bin:0"];
const VOLUME: &str = "shelf";
const NETWORK: &str = "wire";

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!()).on_every_engine(promises![the_engine_in_memory_answers_as_this_one_does])
}

fn the_engine_in_memory_answers_as_this_one_does(engine: &Engine) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let given = std::env::var("DKB_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let many = if std::env::var_os("DKB_SOAK").is_some() { SOAKED } else { SCRIPTS };
    let seeds: Vec<u64> = given.map_or_else(|| (0..many).collect(), |seed| vec![seed]);
    for seed in seeds {
        runtime.block_on(async {
            let mut both = Both::new(engine).await;
            let mut dice = Dice(seed);
            for nth in 0..CALLS {
                both.play(&mut dice, nth).await;
                both.compare(&format!("DKB_SEED={seed}, call {nth}")).await;
            }
        });
        engine.wipe();
    }
}

struct Both<'e> {
    engine: &'e Engine,
    real: Docker,
    fake: Fake,
    images: Vec<ImageId>,
    /// Archives of images without their names.
    saved: Vec<(ImageId, Vec<u8>)>,
    containers: Vec<String>,
    network: String,
    log: Vec<String>,
}

impl<'e> Both<'e> {
    /// Four images, two of them under a name, a volume and a network.
    async fn new(engine: &'e Engine) -> Self {
        let host = engine.host();
        let env = |name: &str| (name == "DOCKER_HOST").then(|| host.clone().into());
        let endpoint = Endpoint::resolve(&DockerFlags::default(), &env, None).expect("the engine's endpoint");
        let real = Docker::connect(endpoint, Limits::default()).await.expect("a connection");
        let fake = Fake::new(match engine.name() {
            name if name.starts_with("podman") => Store::Podman,
            _ if engine.is_containerd_store() => Store::Containerd,
            _ => Store::Graphdriver,
        });
        let placed: Vec<Placed> = engine.many(4, |n, image| {
            let image = image.layers(1);
            if n < 2 { image.tag(NAMES[n]) } else { image }
        });
        let mut both = Self {
            engine,
            real,
            fake,
            images: Vec::new(),
            saved: Vec::new(),
            containers: Vec::new(),
            network: engine.network(NETWORK, &[]),
            log: Vec::new(),
        };
        engine.volume(VOLUME, &[]);
        for (n, image) in placed.iter().enumerate() {
            let names = NAMES.iter().skip(n).take(usize::from(n < 2)).map(ToString::to_string).collect();
            both.fake.world().load(Loaded { names, ..Loaded::new(id(image)) });
            both.images.push(id(image));
        }
        let network = Network {
            id: both.network.clone(),
            name: NETWORK.to_owned(),
            driver: "bridge".to_owned(),
            scope: "local".to_owned(),
            created: None,
            labels: std::collections::HashMap::new(),
        };
        both.fake.world().put_network(network);
        both.fake.world().put_volume(Volume {
            name: VOLUME.to_owned(),
            driver: "local".to_owned(),
            created: Some(Timestamp::UNIX_EPOCH),
            labels: std::collections::HashMap::new(),
            size: None,
        });
        for image in both.images.clone() {
            both.save(image);
        }
        both
    }

    fn save(&mut self, image: ImageId) {
        let answer =
            self.engine.api().call("GET", &format!("/images/{image}/get"), "text/plain", b"").expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.saved.push((image, answer.body));
    }

    async fn play(&mut self, dice: &mut Dice, nth: usize) {
        let image = self.images[dice.roll(self.images.len())];
        let name = Reference::listed(NAMES[dice.roll(NAMES.len())]).expect("a name");
        let container =
            (!self.containers.is_empty()).then(|| self.containers[dice.roll(self.containers.len())].clone());
        let what = dice.roll(18);
        let (said, expected) = match (what, container) {
            (0..=2, _) => {
                self.log.push(format!("tag {image} {name}"));
                (told(self.real.tag(image, &name).await), told(self.fake.tag(image, &name).await))
            }
            (3 | 4, _) => {
                self.log.push(format!("delete {name}"));
                let target = ToDelete::Name(&name);
                (self.removal(self.real.delete_image(target).await), self.removal(self.fake.delete_image(target).await))
            }
            (5 | 6, _) => {
                self.log.push(format!("delete {image}"));
                let target = ToDelete::Id(image);
                (self.removal(self.real.delete_image(target).await), self.removal(self.fake.delete_image(target).await))
            }
            (7, _) => {
                self.log.push(format!("delete nameless {image}"));
                let target = ToDelete::Nameless(image);
                (self.removal(self.real.delete_image(target).await), self.removal(self.fake.delete_image(target).await))
            }
            (8 | 9, _) => {
                let of = if what == 8 { image.to_string() } else { name.to_string() };
                self.create(&of, nth, dice)
            }
            (10, Some(container)) => {
                self.log.push(format!("start {container}"));
                let answer = self.engine.api().post(&format!("/containers/{container}/start"), &Value::Null);
                (class_of(answer.status), done(self.fake.world().start_container(&container)))
            }
            (11, Some(container)) => {
                self.log.push(format!("stop {container}"));
                (told(self.real.stop_container(&container).await), told(self.fake.stop_container(&container).await))
            }
            (12 | 13, Some(container)) => {
                self.log.push(format!("remove {container}"));
                (told(self.real.remove_container(&container).await), told(self.fake.remove_container(&container).await))
            }
            (14, Some(container)) => self.commit(&container, &name, dice),
            (15, _) => self.load_again(dice),
            (16, _) => {
                self.log.push("remove volume".to_owned());
                (told(self.real.remove_volume(VOLUME).await), told(self.fake.remove_volume(VOLUME).await))
            }
            (17, _) => {
                // As dkb names it there.
                let by = if self.engine.is_podman() { NETWORK } else { &self.network };
                self.log.push(format!("remove network {by}"));
                (told(self.real.remove_network(by).await), told(self.fake.remove_network(by).await))
            }
            _ => return,
        };
        assert_eq!(said, expected, "{} and the engine in memory, after\n{}", self.engine.name(), self.log.join("\n"));
        let (real, fake) = (self.real.image(name.as_str()).await, self.fake.image(name.as_str()).await);
        let real = real.expect("an answer").map(|image| image.id);
        let fake = fake.expect("an answer").map(|image| image.id);
        assert_eq!(real, fake, "what {name} means, after\n{}", self.log.join("\n"));
    }

    /// A container, now and then with the volume, in the network, or with another image mounted into it.
    fn create(&mut self, of: &str, nth: usize, dice: &mut Dice) -> (String, String) {
        let mut spec = json!({ "Image": of, "Cmd": ["sleep", "100000"], "StopSignal": "SIGKILL",
            "HostConfig": { "NetworkMode": "none", "Mounts": [] } });
        let mut made = container_of("", of, ContainerState::Created, 0);
        // Whether they are still there is not what is asked here: an engine makes a volume that is missing.
        if dice.one_in(3) && self.fake.world().volumes.contains_key(VOLUME) {
            spec["HostConfig"]["Mounts"] = json!([{ "Type": "volume", "Source": VOLUME, "Target": "/volume" }]);
            made.volumes.push(VOLUME.to_owned());
        }
        if dice.one_in(3) && self.fake.world().networks.contains_key(&self.network) {
            spec["HostConfig"]["NetworkMode"] = NETWORK.into();
            made.networks.push(NETWORK.to_owned());
        }
        let mounted =
            if dice.one_in(2) { NAMES[dice.roll(2)].to_owned() } else { self.images[dice.roll(4)].to_string() };
        if self.engine.mounts_images() && dice.one_in(4) && self.fake.world().find_image(&mounted).is_some() {
            let mounts = spec["HostConfig"]["Mounts"].as_array_mut().expect("a list from the start");
            mounts.push(json!({ "Type": "image", "Source": mounted, "Target": "/image" }));
            made.image_mounts.push(mounted);
        }
        self.log.push(format!("create of {of} with {:?} {:?} {:?}", made.volumes, made.networks, made.image_mounts));
        let answer = self.engine.api().post(&format!("/containers/create?name=c{nth}"), &spec);
        let created = answer.json()["Id"].as_str().unwrap_or_default().to_owned();
        made.id.clone_from(&created);
        made.name = format!("c{nth}");
        let expected = done(self.fake.world().create_container(made));
        if answer.status == 201 {
            self.containers.push(created);
        }
        (class_of(answer.status), expected)
    }

    fn commit(&mut self, container: &str, name: &Reference, dice: &mut Dice) -> (String, String) {
        let name = dice.one_in(2).then(|| name.clone());
        self.log.push(format!("commit {container} {name:?}"));
        let (repo, tag) = name.as_ref().map_or(("", ""), |name| (name.repository(), name.tag()));
        let path = format!("/commit?container={container}&repo={repo}&tag={tag}");
        let answer = self.engine.api().post(&path, &json!({}));
        let made = answer.json()["Id"].as_str().and_then(ImageId::parse);
        let expected = made.map_or_else(
            || done(self.fake.world().commit(container, self.images[0], None)),
            |made| done(self.fake.world().commit(container, made, name.as_ref().map(Reference::as_str))),
        );
        self.images.extend(made);
        (class_of(answer.status), expected)
    }

    fn load_again(&mut self, dice: &mut Dice) -> (String, String) {
        let (image, archive) = &self.saved[dice.roll(self.saved.len())];
        self.log.push(format!("load {image}"));
        self.engine.api().load(archive);
        self.fake.world().load(Loaded::new(*image));
        (String::new(), String::new())
    }

    /// Docker names the layers that went with an image, as if they were images.
    fn removal(&self, outcome: dkb::Result<Answer<Removed>>) -> String {
        class(outcome.expect("an answer"), |Removed { untagged, mut deleted }| {
            deleted.retain(|id| self.images.contains(id));
            format!("{:?} {deleted:?}", untagged.into_iter().collect::<BTreeSet<String>>())
        })
    }

    async fn compare(&self, when: &str) {
        let (real, fake) = (self.real.images(false).await, self.fake.images(false).await);
        let is_base = |image: &Image| image.tags.iter().any(|tag| tag.as_str().contains("lab/base"));
        let real: Vec<Image> = real.expect("a list").into_iter().filter(|image| !is_base(image)).collect();
        let after = || format!("{when} on {}, after\n{}", self.engine.name(), self.log.join("\n"));
        assert_eq!(self.shown(&real), self.shown(&fake.expect("a list")), "{}", after());
        if self.real.info().await.expect("an answer").can.lists_cost_by_answer {
            self.compare_by_names(when).await;
        }
        let (real, fake) = (self.real.containers().await, self.fake.containers().await);
        let shown = |containers: Vec<dkb::model::Container>| -> BTreeMap<String, String> {
            let show = |c: dkb::model::Container| {
                let is_connected = c.networks.iter().any(|of| of == NETWORK || *of == self.network);
                let holds = (&c.volumes, &c.image_mounts, is_connected);
                let shown = format!("{} {} {:?} {holds:?}", c.name, c.is_stopped(), c.image);
                (c.id, shown)
            };
            containers.into_iter().map(show).collect()
        };
        assert_eq!(shown(real.expect("a list")), shown(fake.expect("a list")), "{}", after());
    }

    /// What a list by names tells, of each image by all its names and by the engine's own name for it.
    async fn compare_by_names(&self, when: &str) {
        let after = || format!("{when} on {}, after\n{}", self.engine.name(), self.log.join("\n"));
        let mut all: Vec<String> = Vec::new();
        for id in &self.images {
            let (real, fake) = (self.real.names(*id).await, self.fake.names(*id).await);
            let sorted = |names: Option<Vec<Reference>>| names.map(|names| names.into_iter().collect::<BTreeSet<_>>());
            let (real, fake) = (sorted(real.expect("an answer")), sorted(fake.expect("an answer")));
            assert_eq!(real, fake, "the names of {id}, {}", after());
            all.extend(real.into_iter().flatten().map(|name| name.to_string()));
            all.push(format!("moby-dangling@{id}"));
        }
        for (asked, intermediates) in [(&all[..], true), (&all[..], false), (&all[..1], false), (&all[1..], false)] {
            let (real, fake) = (
                self.real.images_named(asked, intermediates).await,
                self.fake.images_named(asked, intermediates).await,
            );
            let (real, fake) = (self.shown(&real.expect("a list")), self.shown(&fake.expect("a list")));
            assert_eq!(real, fake, "{asked:?}, {intermediates}: {}", after());
        }
    }

    /// Its names, the digests that stand alone, and what it is built on, as far as that is one of these images.
    fn shown(&self, images: &[Image]) -> BTreeMap<ImageId, String> {
        let show = |image: &Image| {
            let tags: BTreeSet<&str> = image.tags.iter().map(Reference::as_str).collect();
            // Of the digests beside its tags an engine may list one only.
            let digests = (&image.digests, image.travelled);
            let parent = image.parent.filter(|parent| self.images.contains(parent));
            (image.id, format!("{tags:?} {digests:?} on {parent:?}"))
        };
        images.iter().map(show).collect()
    }
}

fn told(outcome: dkb::Result<Answer>) -> String {
    class(outcome.expect("an answer"), |()| String::new())
}

fn class<T>(outcome: Answer<T>, show: impl FnOnce(T) -> String) -> String {
    match outcome {
        Answer::Done(done) => format!("done {}", show(done)).trim().to_owned(),
        Answer::Missing => "missing".to_owned(),
        Answer::Conflict(_) => "conflict".to_owned(),
        Answer::Refused { status, .. } => format!("refused {status}"),
        Answer::Unknown(error) => format!("unknown {error}"),
    }
}

fn class_of(status: u16) -> String {
    match status {
        200..=399 => "done".to_owned(),
        404 => "missing".to_owned(),
        409 => "conflict".to_owned(),
        status => format!("refused {status}"),
    }
}

fn done(answer: Result<(), dkb::engine::fake::Refusal>) -> String {
    answer.map_or_else(|refusal| class_of(refusal.status), |()| class_of(200))
}
