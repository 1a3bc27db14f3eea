//! What dkb took away, one record a thing, for whoever asks later what became of it. Nothing is ever decided by it.
//!
//! A line holds names, IDs, sizes and the engine's address as it shows itself, which is without a password. It has no
//! room for a label, a command, an environment or a build's arguments.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Action, Books, EngineLabel, ImageId, Kind, Name, Outcome, Pattern, Plan, Reason, Reference, SessionKey, Step,
};

/// Raised when an older dkb could no longer read a line rightly; it then leaves that line alone.
const VERSION: u32 = 1;

/// Nobody looks for a thing by more of its names, nor by longer ones; an engine may say anything.
const NAMES: usize = 16;
const LONGEST_NAME: usize = 512;

/// As many digits of an ID as tell it from a word.
const DIGITS: usize = 4;

/// In whose name something goes: the verb, and the session that it works for.
#[derive(Clone, Copy, Debug)]
pub struct Doer<'a> {
    pub verb: &'a str,
    pub of: &'a SessionKey,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    pub at: Timestamp,
    /// The verb that did it.
    pub by: String,
    pub project: Name,
    pub session: Name,
    pub engine: EngineLabel,
    pub action: Action,
    #[serde(rename = "type")]
    pub kind: Kind,
    pub id: String,
    /// Those that it had in this moment.
    pub names: Vec<String>,
    /// The tags that builds of ours once gave it, and that it had lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub built_as: Vec<Reference>,
    pub bytes: u64,
    pub reason: Reason,
    /// How many records of build cache went together, which have no names of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<usize>,
    /// `done`, or `unknown` where it was asked for and nobody heard what came of it.
    pub result: Outcome,
}

impl Removal {
    /// All that went as this plan was carried out.
    pub fn all_of(plan: &Plan, books: &Books, doer: Doer<'_>, at: Timestamp) -> Vec<Self> {
        let told = RemovalsOf::new(plan, books, doer);
        Self::together(plan.steps.iter().filter_map(|step| told.of(step, step.result?, at)))
    }

    /// One for all records of the build cache that went alike.
    pub fn together(removals: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let (cache, mut all): (Vec<Self>, Vec<Self>) =
            removals.into_iter().partition(|removal| removal.kind == Kind::BuildCache);
        for one in cache {
            let is_alike =
                |other: &&mut Self| other.records.is_some() && (other.reason, other.result) == (one.reason, one.result);
            match all.iter_mut().find(is_alike) {
                Some(known) => known.join(one),
                None => all.push(one),
            }
        }
        all
    }

    /// There are many records, and nobody knows one from another.
    fn join(&mut self, other: Self) {
        self.records = self.records.map(|records| records.saturating_add(1));
        self.bytes = self.bytes.saturating_add(other.bytes);
        for name in other.names {
            if !self.names.contains(&name) && self.names.len() < NAMES {
                self.names.push(name);
            }
        }
    }

    /// Whether somebody who writes this means it: a name in any spelling, a pattern, or the first digits of an ID.
    pub fn is_called(&self, wanted: &Pattern) -> bool {
        let digits = wanted.as_str().to_ascii_lowercase();
        let digits = digits.strip_prefix("sha256:").unwrap_or(&digits);
        let is_start = digits.len() >= DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let own = self.id.strip_prefix("sha256:").unwrap_or(&self.id);
        if is_start && own.starts_with(digits) {
            return true;
        }
        let named = |name: &String| match self.kind {
            Kind::Image => Reference::listed(name).is_some_and(|name| wanted.matches_image(&name)),
            _ => wanted.matches(name),
        };
        self.names.iter().any(named) || self.built_as.iter().any(|tag| wanted.matches_image(tag))
    }

    /// Its line, with the end of it.
    pub fn line(&self) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            v: u32,
            #[serde(flatten)]
            removal: &'a Removal,
        }
        // Plain data with string keys: there is nothing in it that JSON could not say.
        let mut line = serde_json::to_string(&Line { v: VERSION, removal: self }).unwrap_or_default();
        line.push('\n');
        line
    }

    /// `None` for what is damaged, and for what a newer dkb may mean otherwise.
    pub fn read(line: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        let Version { v } = serde_json::from_slice(line).ok()?;
        if v > VERSION { None } else { serde_json::from_slice(line).ok() }
    }
}

/// What is told alike of all that one plan takes away.
pub struct RemovalsOf<'a> {
    doer: Doer<'a>,
    engine: EngineLabel,
    built_as: HashMap<ImageId, Vec<Reference>>,
}

impl<'a> RemovalsOf<'a> {
    pub fn new(plan: &Plan, books: &Books, doer: Doer<'a>) -> Self {
        let built_as = tags_of(books, &plan.steps.iter().filter_map(Step::image).collect());
        Self { doer, engine: engine(&plan.engine), built_as }
    }

    /// What a step took away that ended like this, as far as anybody knows.
    pub fn of(&self, step: &Step, result: Outcome, at: Timestamp) -> Option<Removal> {
        if !matches!(result, Outcome::Done | Outcome::Unknown) {
            return None;
        }
        let names: Vec<String> = step.names().into_iter().take(NAMES).map(shortened).collect();
        let has = |tag: &Reference| names.iter().any(|name| tag.spellings().contains(name));
        let built_as = step.image().and_then(|id| self.built_as.get(&id)).into_iter().flatten();
        Some(Removal {
            at,
            by: self.doer.verb.to_owned(),
            project: self.doer.of.project.clone(),
            session: self.doer.of.session.clone(),
            engine: self.engine.clone(),
            action: step.action(),
            kind: step.kind(),
            id: shortened(&step.id()),
            built_as: built_as.filter(|tag| !has(tag)).cloned().collect(),
            names,
            bytes: step.bytes,
            records: (step.kind() == Kind::BuildCache).then_some(1),
            reason: step.reason,
            result,
        })
    }
}

fn engine(EngineLabel { id, endpoint, version, .. }: &EngineLabel) -> EngineLabel {
    EngineLabel { id: shortened(id), endpoint: shortened(endpoint), version: shortened(version), name: "" }
}

/// The tags that builds gave these images, the newest of very many.
fn tags_of(books: &Books, images: &HashSet<ImageId>) -> HashMap<ImageId, Vec<Reference>> {
    let mut tags: HashMap<ImageId, Vec<Reference>> = HashMap::new();
    if images.is_empty() {
        return tags;
    }
    for build in books.builds.iter().rev() {
        let Some(id) = build.result.filter(|id| images.contains(id)) else { continue };
        let known = tags.entry(id).or_default();
        for tag in build.tags.iter().rev() {
            if known.len() < NAMES && !known.contains(tag) && tag.as_str().len() <= LONGEST_NAME {
                known.push(tag.clone());
            }
        }
    }
    tags
}

fn shortened(text: &str) -> String {
    text.chars().take(LONGEST_NAME).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::*;
    use crate::model::books_tests::{build, id, key};
    use crate::model::image_tests::host;
    use crate::model::{Build, Deed, ImageGuard};

    fn step(n: u8, names: &[&str], result: Outcome) -> Step {
        let guard = ImageGuard::of(names.iter().map(|name| (*name).to_owned()).collect());
        let deed = Deed::RemoveImage { id: id(n), guard };
        Step { result: Some(result), ..Step::new(deed, Reason::Superseded, 7) }
    }

    fn of(steps: Vec<Step>, books: &Books) -> Vec<Removal> {
        let at = Timestamp::UNIX_EPOCH;
        let plan = Plan::new("clean", &host(Vec::new(), Vec::new()).engine, at, steps, Vec::new());
        Removal::all_of(&plan, books, Doer { verb: "clean", of: &key("p", "s") }, at)
    }

    pub(crate) fn removal(n: u8, names: &[&str]) -> Removal {
        of(vec![step(n, names, Outcome::Done)], &Books::default()).remove(0)
    }

    fn tag(text: &str) -> Reference {
        Reference::written(text).expect(text)
    }

    #[test]
    fn only_what_went_is_in_it() {
        let ended = [
            (1, Outcome::Done),
            (2, Outcome::Unknown),
            (3, Outcome::AlreadyGone),
            (4, Outcome::Kept),
            (5, Outcome::Failed),
            (6, Outcome::NotTried),
        ];
        let went = of(ended.map(|(n, result)| step(n, &[], result)).into(), &Books::default());
        let went: Vec<_> = went.iter().map(|removal| (removal.id.clone(), removal.result)).collect();
        assert_eq!(went, [(id(1).to_string(), Outcome::Done), (id(2).to_string(), Outcome::Unknown)]);
        assert_eq!(of(vec![Step { result: None, ..step(1, &[], Outcome::Done) }], &Books::default()), []);
    }

    #[test]
    fn an_image_that_lost_its_tag_is_known_by_it() {
        let of_key = key("p", "s");
        let build = |name: &str, image, tags: &[&str]| Build {
            tags: tags.iter().map(|text| tag(text)).collect(),
            ..build(name, &of_key, image, &[9])
        };
        let many: Vec<String> = (0..100).map(|n| format!("app:{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let mut books = Books::default();
        books.builds = vec![build("1", 1, &["app:1", "app:old"]), build("2", 2, &["app:1"]), build("3", 3, &many)];
        let done = |n, names| step(n, names, Outcome::Done);
        let steps = vec![done(1, &[]), done(2, &["localhost/app:1"]), done(3, &[]), done(4, &[])];
        let went = of(steps, &books);
        let built_as: Vec<_> = went.iter().map(|removal| removal.built_as.clone()).collect();
        assert_eq!(built_as[0], [tag("app:old"), tag("app:1")]);
        assert_eq!((built_as[1].len(), built_as[3].len()), (0, 0), "it has the name still, or never had one");
        assert_eq!((built_as[2].len(), &built_as[2][0]), (NAMES, &tag("app:99")));
    }

    #[test]
    fn a_thing_is_found_by_whatever_somebody_calls_it() {
        let named = removal(0xab, &["registry.example/team/app:1.4"]);
        let short = removal(0xab, &["app:1.4"]);
        let lost = Removal { built_as: vec![tag("app:1.4")], ..removal(0xab, &[]) };
        let volume = Removal { kind: Kind::Volume, id: "data".into(), ..removal(1, &["data"]) };
        let pattern = |text: &str| Pattern::new(text).expect(text);
        for (thing, texts) in [
            (&named, "registry.example/team/app:1.4 registry.example/team/app app:1.4 app app:* *"),
            (&short, "app:1.4 docker.io/library/app:1.4 library/app localhost/app:1.4 app:1.? app"),
            (&short, "abab ABABAB abababababab sha256:abab"),
            (&lost, "app:1.4 docker.io/library/app:1.4 app"),
            (&volume, "data da* *"),
        ] {
            for text in texts.split(' ') {
                assert!(thing.is_called(&pattern(text)), "{text}: {thing:?}");
            }
        }
        for (thing, texts) in [
            (&named, "other.example/team/app:1.4 app:1.5 ap team aba abac"),
            (&short, "app:1 app:1.4.1 ghcr.io/app baba sha256:baba aba"),
            (&volume, "data2 localhost/data da"),
        ] {
            for text in texts.split(' ') {
                assert!(!thing.is_called(&pattern(text)), "{text}: {thing:?}");
            }
        }
    }

    #[test]
    fn a_line_says_what_it_holds_and_nothing_else() {
        let line = removal(1, &["app:1"]).line();
        let json: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let keys: Vec<&String> = json.as_object().expect("an object").keys().collect();
        let mut all = ["v", "at", "by", "project", "session", "engine", "action", "type", "id", "names", "bytes"]
            .into_iter()
            .chain(["reason", "result"])
            .collect::<Vec<_>>();
        all.sort_unstable();
        assert_eq!(keys, all);
        assert_eq!(line.matches('\n').count(), 1);
    }

    #[test]
    fn more_is_read_past_and_what_is_newer_or_damaged_is_not_read() {
        let removal = removal(1, &["app:1"]);
        let line = removal.line();
        let with = |more: &str| line.replacen("{\"v\":1", &format!("{{{more}"), 1);
        assert_eq!(Removal::read(with("\"more\":{\"x\":[1]},\"v\":1").as_bytes()), Some(removal));
        for other in [with("\"v\":2"), with("\"w\":1"), line[1..].to_owned(), line[..line.len() - 3].to_owned()] {
            assert_eq!(Removal::read(other.as_bytes()), None, "{other}");
        }
        let unheard_of = line.replace("superseded", "unheard_of");
        assert_eq!(Removal::read(unheard_of.as_bytes()), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again_and_no_longer_than_a_line_may_be(
            name in any::<String>(), times in 0..2000_usize, count in 0..40_usize, id in any::<String>(),
        ) {
            let long = name.repeat(times);
            let image = step(1, &vec![long.as_str(); count], Outcome::Done);
            let network = Deed::RemoveNetwork { id: id.repeat(times), name: long };
            let network = Step { result: Some(Outcome::Done), ..Step::new(network, Reason::OfSession, 0) };
            for went in of(vec![image, network], &Books::default()) {
                let line = went.line();
                prop_assert_eq!(line.matches('\n').count(), 1);
                // Each character is six bytes at most, as JSON writes it.
                prop_assert!(line.len() < (NAMES + 5) * LONGEST_NAME * 6, "{}", line.len());
                prop_assert_eq!(Removal::read(line.as_bytes()), Some(went));
            }
        }

        #[test]
        fn whatever_is_written_there_is_read_without_harm(line in any::<Vec<u8>>(), text in "\\PC{1,20}") {
            let _ = Removal::read(&line);
            if let Ok(pattern) = Pattern::new(&text) {
                let _ = removal(1, &["app:1", ""]).is_called(&pattern);
            }
        }
    }
}
