//! The builds that an engine's BuildKit remembers, everybody's.
//!
//! They are not asked for by `docker buildx history`, which asks for the newest fifty, and for one build by its name. In
//! BuildKit 0.20 to 0.28 the second has the engine hold that build's record until it ends, and once such a record is
//! deleted, by a person or by the engine itself after two days, the first is the end of the whole engine. A list without
//! a limit, and the steps of a build, do neither.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use jiff::Timestamp;

use super::buildkit::BuildKit;
use super::protobuf::{Field, fields, text, yes};
use crate::model::{ImageId, PastBuild, PastStep, Reference, Stamp};

/// So many of the newest are told of; a busy engine remembers more.
const NEWEST: usize = 50;

/// The way to docker's program, and through it to the engine.
#[derive(Clone, Copy, Debug)]
pub struct Buildx<'a> {
    pub docker: &'a Path,
    /// Docker's global flags.
    pub flags: &'a [OsString],
}

impl Buildx<'_> {
    /// The newest builds that the engine remembers; `None` where it, or the program, is too old to say. What
    /// steps they had is told of those that `is_of_interest` means by when they began and ended, all of them, and whose they
    /// are of these and of those that run.
    pub async fn past_builds(&self, is_of_interest: impl Fn(Timestamp, Timestamp) -> bool) -> Option<Vec<PastBuild>> {
        let mut buildkit = BuildKit::dial(self.docker, self.flags).await?;
        // And no more than there is now.
        let list = buildkit.ask("ListenBuildHistory", &yes(3)).await?;
        // One that ended meanwhile is told of twice.
        let by_id: BTreeMap<String, PastBuild> =
            list.iter().filter_map(|event| build(event)).map(|build| (build.id.clone(), build)).collect();
        let mut builds: Vec<PastBuild> = by_id.into_values().collect();
        builds.sort_by_key(|build| std::cmp::Reverse(build.began));
        let mut told = Vec::new();
        for (nth, mut build) in builds.into_iter().enumerate() {
            // One that runs would be listened to until it ends.
            if build.ended.is_some_and(|ended| is_of_interest(build.began, ended)) {
                if let Some(log) = buildkit.ask("Status", &text(1, &build.id)).await {
                    (build.wrote, build.named) = exported(&log);
                    build.steps = Some(steps(&log));
                }
            } else if build.ended.is_some() {
                if nth >= NEWEST {
                    continue;
                }
                build.stamp = Stamp::default();
            }
            told.push(build);
        }
        Some(told)
    }
}

/// A build out of an event: it has begun, or has ended.
fn build(event: &[u8]) -> Option<PastBuild> {
    const DELETED: Field<'_> = Field::Number(2);
    let event = fields(event)?;
    if event.contains(&(1, DELETED)) {
        return None;
    }
    let record = fields(last(&event, 2)?.bytes()?)?;
    let attributes = record.iter().filter(|(number, _)| *number == 3);
    let labels: BTreeMap<String, String> = attributes.filter_map(|(_, pair)| label(pair.bytes()?)).collect();
    Some(PastBuild {
        id: last(&record, 1)?.text().filter(|id| !id.is_empty())?,
        began: last(&record, 6).and_then(moment)?,
        ended: last(&record, 7).and_then(moment),
        stamp: Stamp::read(|key| labels.get(key).map(String::as_str)),
        steps: None,
        wrote: Vec::new(),
        named: Vec::new(),
    })
}

fn label(pair: &[u8]) -> Option<(String, String)> {
    let pair = fields(pair)?;
    let key = last(&pair, 1)?.text()?;
    // An empty text is not written down.
    let value = last(&pair, 2).map_or(Some(String::new()), Field::text)?;
    Some((key.strip_prefix("label:")?.to_owned(), value))
}

fn moment(value: Field<'_>) -> Option<Timestamp> {
    let parts = fields(value.bytes()?)?;
    let part = |number| last(&parts, number).map_or(Some(0), Field::number);
    Timestamp::new(i64::try_from(part(1)?).ok()?, i32::try_from(part(2)?).ok()?).ok()
}

/// What is said twice holds as it is said last.
fn last<'a>(fields: &[(u64, Field<'a>)], number: u64) -> Option<Field<'a>> {
    fields.iter().rev().find_map(|(of, value)| (*of == number).then_some(*value))
}

/// The steps of a build. Each is told of as often as something became of it.
fn steps(log: &[impl AsRef<[u8]>]) -> Vec<PastStep> {
    let mut steps: BTreeMap<String, PastStep> = BTreeMap::new();
    for said in log.iter().filter_map(|message| fields(message.as_ref())) {
        for vertex in said.into_iter().filter(|(number, _)| *number == 1) {
            let Some(vertex) = vertex.1.bytes().and_then(fields) else { continue };
            let Some(digest) = last(&vertex, 1).and_then(Field::text) else { continue };
            let inputs: Vec<String> =
                vertex.iter().filter(|(number, _)| *number == 2).filter_map(|(_, input)| input.text()).collect();
            let step = steps.entry(digest.clone()).or_insert_with(|| PastStep { digest, ..PastStep::default() });
            if !inputs.is_empty() {
                step.inputs = inputs;
            }
            step.name = last(&vertex, 3).and_then(Field::text).unwrap_or_default();
            step.cached |= last(&vertex, 4).and_then(Field::number).is_some_and(|cached| cached != 0);
            if let (Some(began), Some(ended)) = (last(&vertex, 5).and_then(moment), last(&vertex, 6).and_then(moment)) {
                step.ran.push((began, ended));
            }
        }
    }
    steps.into_values().collect()
}

/// What the exporter says that it did: the image of the graphdriver stores is what it writes, that of containerd's is a
/// manifest, or the list of several, which comes last.
fn exported(log: &[impl AsRef<[u8]>]) -> (Vec<ImageId>, Vec<Reference>) {
    let (mut wrote, mut named) = (Vec::new(), Vec::new());
    for said in log.iter().filter_map(|message| fields(message.as_ref())) {
        for status in said.into_iter().filter(|(number, _)| *number == 2) {
            let Some(words) = status.1.bytes().and_then(fields).and_then(|of| last(&of, 1)?.text()) else { continue };
            if let Some(name) = words.strip_prefix("naming to ").and_then(Reference::written) {
                if !named.contains(&name) {
                    named.push(name);
                }
            } else if let Some(id) = WRITES.iter().find_map(|what| words.strip_prefix(what)?.parse().ok())
                && !wrote.contains(&id)
            {
                wrote.push(id);
            }
        }
    }
    (wrote, named)
}

const WRITES: [&str; 3] = ["writing image ", "exporting manifest ", "exporting manifest list "];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PROJECT_LABEL, SESSION_LABEL};

    fn within(number: u8, message: &[u8]) -> Vec<u8> {
        text(number, std::str::from_utf8(message).expect("small numbers only"))
    }

    /// So many seconds after the epoch.
    fn at(number: u8, second: u8) -> Vec<u8> {
        within(number, &[0x08, second])
    }

    fn attribute(key: &str, value: &str) -> Vec<u8> {
        within(3, &[text(1, key), text(2, value)].concat())
    }

    #[test]
    fn a_step_is_put_together_from_all_that_is_said_of_it() {
        let vertex = |parts: &[Vec<u8>]| within(1, &parts.concat());
        let (copy, make) =
            ([text(1, "sha256:a"), text(3, "[1/2] COPY a /a")], [text(1, "sha256:b"), text(3, "RUN make")]);
        let log = [
            [vertex(&[make.concat(), text(2, "sha256:a")]), vertex(&copy)].concat(),
            [
                vertex(&[copy.concat(), yes(4), at(5, 7), at(6, 7)]),
                vertex(&[make.concat(), at(5, 8)]),
                text(3, "printed"),
            ]
            .concat(),
            vertex(&[make.concat(), at(5, 8), at(6, 10), text(7, "it broke")]),
            b"\xff".to_vec(),
        ];
        let second = |second| Timestamp::from_second(second).expect("a time");
        let copy = PastStep {
            digest: "sha256:a".to_owned(),
            name: "[1/2] COPY a /a".to_owned(),
            ran: vec![(second(7), second(7))],
            cached: true,
            ..PastStep::default()
        };
        let make = PastStep {
            digest: "sha256:b".to_owned(),
            name: "RUN make".to_owned(),
            inputs: vec!["sha256:a".to_owned()],
            ran: vec![(second(8), second(10))],
            cached: false,
        };
        assert_eq!(steps(&log), [copy, make]);
    }

    #[test]
    fn what_was_exported_is_told_by_id_and_name() {
        let [image, list] = ["a", "b"].map(|digit| format!("sha256:{}", digit.repeat(64)));
        let says = |words: &str| within(2, &[text(1, words), text(2, "sha256:of")].concat());
        let log = [
            [says(&format!("exporting manifest {image}")), says(&format!("exporting config {list}"))].concat(),
            [says(&format!("exporting manifest list {list}")), says("exporting layers"), b"\x12\x01\xff".to_vec()]
                .concat(),
            [says("naming to docker.io/library/app:dev"), says("naming to docker.io/library/app:dev")].concat(),
            says("writing image nonsense"),
        ];
        let id = |written: &String| written.parse::<ImageId>().expect("an ID");
        let name = Reference::written("docker.io/library/app:dev").expect("a name");
        assert_eq!(exported(&log), (vec![id(&image), id(&list)], vec![name]));
        assert_eq!(exported(&[says(&format!("writing image {image}"))]).0, [id(&image)]);
    }

    #[test]
    fn a_build_is_read_with_its_labels() {
        let record = [
            text(1, "abc"),
            attribute("label:other", "theirs"),
            attribute(&format!("label:{PROJECT_LABEL}"), "ours"),
            attribute(&format!("label:{SESSION_LABEL}"), "e2e"),
            attribute(PROJECT_LABEL, "no label"),
            at(6, 9),
        ]
        .concat();
        let running = build(&within(2, &record)).expect("a build");
        assert_eq!((running.id.as_str(), running.began.as_second(), running.ended), ("abc", 9, None));
        assert_eq!(running.stamp.project.as_ref().map(crate::model::Name::as_str), Some("ours"));
        assert_eq!(running.stamp.session.as_ref().map(crate::model::Name::as_str), Some("e2e"));
        let ended = [vec![0x08, 1], within(2, &[record.clone(), at(7, 11)].concat())].concat();
        assert_eq!(build(&ended).and_then(|build| build.ended).map(Timestamp::as_second), Some(11));
        let deleted = [vec![0x08, 2], within(2, &record)].concat();
        assert_eq!(build(&deleted), None);
        assert_eq!(build(&within(2, &text(1, "abc"))), None, "without a beginning");
    }
}
