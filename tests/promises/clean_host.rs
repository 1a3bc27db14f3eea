//! What the promises of clean and status start from: images that are ours because the ledger says so. The
//! records are written through dkb's own library, so that a test need not build each image.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

use dkb::engine::{DockerFlags, Endpoint, Limits};
use dkb::ledger::Ledger;
use dkb::model::{Build, BuildId, ImageId, Name, Record, Reference, SessionEntry, SessionKey, Taken};
use dkb_lab::{Command, Engine, State};
use jiff::Timestamp;
use serde_json::Value;

pub(crate) const PROJECT: &str = "app";
pub(crate) const SESSION: &str = "job-1";

pub(crate) fn key(project: &str, session: &str) -> SessionKey {
    SessionKey { project: Name::typed(project).expect(project), session: Name::typed(session).expect(session) }
}

pub(crate) fn id(image: &str) -> ImageId {
    ImageId::parse(image).expect("an ID")
}

/// The home of somebody whose builds are on record.
pub(crate) struct Books {
    pub(crate) state: State,
    pub(crate) ledger: Ledger,
    /// What the lab names without a domain, Podman lists as this machine's own.
    podman: bool,
    count: Cell<u32>,
}

impl Books {
    pub(crate) fn of(engine: &Engine) -> Self {
        let state = State::new();
        let ledger = dkb::ledger::State::at(state.state_dir()).ledger(&identity(engine));
        Self { state, ledger, podman: engine.is_podman(), count: Cell::new(0) }
    }

    /// dkb in session `job-1` of project `app`, on this engine and with these books.
    pub(crate) fn dkb(&self, engine: &Engine) -> Command {
        engine.dkb_in(&self.state).project(PROJECT).session(SESSION)
    }

    pub(crate) fn note(&self, records: &[Record]) {
        self.ledger.append(records).expect("a note in the ledger");
    }

    fn name(&self, tag: &str) -> Reference {
        let name = Reference::written(tag).expect(tag);
        if self.podman { name.local() } else { name }
    }

    /// A build that ended this long ago.
    pub(crate) fn build(&self, of: &SessionKey, image: &str, tags: &[&str], age: Duration) -> Build {
        let n = self.count.get();
        self.count.set(n + 1);
        Build {
            build: BuildId::parse(n.to_string()).expect("an ID"),
            of: of.clone(),
            at: Timestamp::now() - age,
            tags: tags.iter().map(|tag| self.name(tag)).collect(),
            key: format!("key-{n}"),
            ok: true,
            result: Some(id(image)),
            steps: Vec::new(),
            took: Vec::new(),
            tilt: false,
            compose: None,
            home: None,
            doubted: false,
        }
    }

    /// Notes that a build of this session made the image, and gave it these tags.
    pub(crate) fn built(&self, of: &SessionKey, image: &str, tags: &[&str]) {
        self.note(&[Record::Build(self.build(of, image, tags, Duration::ZERO))]);
    }

    pub(crate) fn built_many<'a>(&self, of: &SessionKey, images: impl IntoIterator<Item = &'a str>) {
        let records: Vec<Record> =
            images.into_iter().map(|image| Record::Build(self.build(of, image, &[], Duration::ZERO))).collect();
        self.note(&records);
    }

    pub(crate) fn took(&self, of: &SessionKey, image: &str, tag: &str, from: &str) {
        let taken = Taken::new(self.name(tag), id(from));
        self.note(&[Record::Build(Build { took: vec![taken], ..self.build(of, image, &[tag], Duration::ZERO) })]);
    }

    /// A session of a CI job in this executor.
    pub(crate) fn ci_session(&self, of: &SessionKey, slot: &str, age: Duration) {
        let at = Timestamp::now() - age;
        self.note(&[Record::Session(SessionEntry {
            ci: true,
            slot: Name::derived(slot),
            ..SessionEntry::new(of.clone(), at)
        })]);
    }

    /// Time passes: all that was noted so far was noted so much earlier.
    pub(crate) fn later(&self, by: Duration) {
        let text = std::fs::read_to_string(self.ledger.path()).expect("the ledger");
        let earlier = |line: &str| {
            let mut record: Value = serde_json::from_str(line).expect("a record");
            for field in ["first", "last", "at", "cleaned"] {
                if let Some(at) = record.get(field).and_then(Value::as_str) {
                    let at: Timestamp = at.parse().expect("a time");
                    record[field] = (at - by).to_string().into();
                }
            }
            format!("{record}\n")
        };
        // The same file, or it would be taken for a copy.
        std::fs::write(self.ledger.path(), text.lines().map(earlier).collect::<String>()).expect("the ledger");
    }

    /// Somebody is at work in this session as long as the value lives.
    pub(crate) fn alive(&self, of: &SessionKey) -> dkb::ledger::SessionHold {
        dkb::ledger::State::at(self.state.state_dir()).session(of).hold().expect("the session's lock")
    }
}

/// What names the engine in the books, as dkb itself finds it.
pub(crate) fn identity(engine: &Engine) -> String {
    let host = engine.host();
    let env = |name: &str| (name == "DOCKER_HOST").then(|| host.clone().into());
    let endpoint = Endpoint::resolve(&DockerFlags::default(), &env, None).expect("the engine's endpoint");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let info = runtime.block_on(async {
        use dkb::engine::Engine as _;
        let engine = dkb::engine::Docker::connect(endpoint, Limits::default()).await.expect("a connection");
        engine.info().await.expect("facts about the engine")
    });
    info.identity.expect("an identity")
}

/// The IDs of all images on the engine but the base.
pub(crate) fn images(engine: &Engine) -> BTreeSet<String> {
    engine.images().into_iter().map(|image| image.id).collect()
}

/// The IDs of the steps of a document that are of this type, with this result where one is asked for.
pub(crate) fn steps(document: &Value, kind: &str, result: Option<&str>) -> BTreeSet<String> {
    let all = document["steps"].as_array().expect("steps").iter();
    all.filter(|step| step["type"] == kind && step["action"] == "remove")
        .filter(|step| result.is_none_or(|result| step["result"] == result))
        .map(|step| step["id"].as_str().expect("an ID").to_owned())
        .collect()
}

/// Why an image is kept, as the document says it.
pub(crate) fn reason(document: &Value, image: &str) -> String {
    let all = document["kept"].as_array().expect("kept");
    let kept = all.iter().find(|kept| kept["id"] == image);
    kept.map_or_else(|| "not kept".to_owned(), |kept| kept["reason"].as_str().expect("a reason").to_owned())
}

pub(crate) fn set<'a>(images: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    images.into_iter().map(str::to_owned).collect()
}
