//! What a user types behind `build`, and what the classic builder and Podman print.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use jiff::Timestamp;

use super::head;
use crate::model::{ImageDetail, ImageId, Name, PROJECT_LABEL, Reference, SESSION_LABEL, Shown, Stamp};
use crate::plan::argv::{self, BuildWords, Builder, Injection, Spelling, Tool};
use crate::plan::attribution::{Evidence, verify};
use crate::plan::classic::{ClassicReader, Event, SeenBuild};

/// A word a line; the first line says whose words they are.
///
/// - The user's words go to docker as they were written, behind dkb's own.
/// - dkb's own words change nothing of what the user's say.
/// - Without `--quiet` a build says the same, and is not quiet.
pub fn argv(data: &[u8]) -> bool {
    let (tool, rest) = head(data);
    let tool = if tool == "podman" { Tool::Podman } else { Tool::Docker };
    let words: Vec<OsString> = rest.split(|byte| *byte == b'\n').map(|word| OsStr::from_bytes(word).into()).collect();
    let Some((spelling, users)) = Spelling::read(&words) else { return false };
    let read = argv::read(tool, users);
    for builder in [Builder::Engine, Builder::Apart] {
        let _ = argv::id_file(&read, builder);
    }
    let _ = argv::build_key(&read, Path::new("/work"));

    let stamp = stamp();
    let ours = Injection { id_file: Some(Path::new("/dkb/id")), ..Injection::of(&stamp) };
    let given = argv::inject(&spelling, &read, &ours);
    assert!(given.starts_with(spelling.words()) && given.ends_with(users), "{given:?}");
    let again = argv::read(tool, &given[spelling.words().len()..]);
    assert_eq!(said(&again), said(&read), "{given:?}");

    let loud = argv::inject(&spelling, &read, &Injection { without_quiet: true, ..ours });
    let loud = argv::read(tool, &loud[spelling.words().len()..]);
    assert_eq!(said(&loud), said(&read), "{users:?}");
    assert!(!loud.quiet, "{users:?}");
    read.understood()
}

/// What a build is about, but for dkb's own words and for how loud it is.
fn said(words: &BuildWords) -> impl PartialEq + std::fmt::Debug {
    let BuildWords { tags, files, target, outputs, platforms, context, unread, builder, .. } = words.clone();
    let switches = [words.push, words.load, words.asks, words.no_cache, words.pull, words.help, words.may_vary];
    (tags, files, target, outputs, platforms, context, unread, builder, switches)
}

fn stamp() -> Stamp {
    Stamp { project: Name::typed("fuzz").ok(), session: Name::typed("one").ok() }
}

/// When the build began, by the engine's clock.
const BEGAN: i64 = 1000;

/// The first line says what is on the engine, an image a word: its digit, `<` and its parent's digit, and any of `+`
/// made since the build began, `t` tagged, `s` with our stamp, `r` on record, `=` the result, and `c` with a digit for
/// the container that it was committed from. An image's ID is its digit, 64 times. All else is the builder's output.
///
/// - However the output is cut into pieces, it says the same, and takes no more than its own length.
/// - Whatever it says, an image is ours only if it is on record, or was made since the build began and has no name,
///   unless it is the result.
pub fn classic(data: &[u8]) -> bool {
    let (images, output) = head(data);
    let events = events(output, output.len().max(1));
    for length in [1, 7] {
        assert_eq!(self::events(output, length), events, "in pieces of {length}");
    }
    let lines = output.split(|byte| matches!(byte, b'\n' | b'\r')).count();
    assert!(events.len() <= lines, "{} events in {lines} lines", events.len());

    let world = World::read(images);
    let mut seen = SeenBuild::default();
    let mut noted = Shown::default();
    events.into_iter().filter_map(|event| seen.take(event)).for_each(|line| noted.add(line));
    assert_eq!(noted, seen.shown, "whoever reads the notes knows the same");
    let stamp = stamp();
    for (cut_off, shows_bases) in [(false, true), (true, true), (false, false), (true, false)] {
        let evidence = Evidence {
            details: &world.images,
            began: time(BEGAN),
            stamp: &stamp,
            result: world.result,
            cut_off,
            shows_bases,
            tells_containers: world.images.iter().any(|image| image.container.is_some()),
        };
        let ours = verify(&seen.shown, &evidence, |id| world.recorded.contains(&id));
        for (at, id) in ours.iter().enumerate() {
            let image = world.images.iter().find(|image| image.id == *id).expect("an image that is there");
            let is_new = evidence.is_new(image) && (image.tags.is_empty() || world.result == Some(*id));
            assert!(world.recorded.contains(id) || is_new, "a stranger's: {image:?}");
            assert!(!ours[..at].contains(id), "twice: {image:?}");
        }
    }
    !seen.shown.images.is_empty()
}

fn events(output: &[u8], length: usize) -> Vec<Event> {
    let (mut reader, mut events) = (ClassicReader::default(), Vec::new());
    for piece in output.chunks(length) {
        reader.feed(piece, |event| events.push(event));
    }
    reader.finish(|event| events.push(event));
    events
}

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or_default()
}

#[derive(Default)]
struct World {
    images: Vec<ImageDetail>,
    recorded: Vec<ImageId>,
    result: Option<ImageId>,
}

impl World {
    fn read(line: &str) -> Self {
        let mut world = Self::default();
        for word in line.split(' ').take(16) {
            let mut letters = word.chars();
            let Some(id) = letters.next().and_then(numbered) else { continue };
            if world.images.iter().any(|image| image.id == id) {
                continue;
            }
            let mut image = ImageDetail {
                id,
                parent: None,
                tags: Vec::new(),
                digests: Vec::new(),
                created: Some(time(BEGAN - 1)),
                labels: HashMap::new(),
                layers: Vec::new(),
                container: None,
                last_tagged: None,
            };
            while let Some(letter) = letters.next() {
                match letter {
                    '<' => image.parent = letters.next().and_then(numbered),
                    '+' => image.created = Some(time(BEGAN + 1)),
                    't' => image.tags = Reference::written("app").into_iter().collect(),
                    's' => {
                        let labels = [(PROJECT_LABEL, "fuzz"), (SESSION_LABEL, "one")];
                        image.labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
                    }
                    'r' => world.recorded.push(id),
                    '=' => world.result = Some(id),
                    'c' => image.container = letters.next().map(|digit| String::from(digit).repeat(64)),
                    _ => {}
                }
            }
            world.images.push(image);
        }
        world
    }
}

fn numbered(digit: char) -> Option<ImageId> {
    ImageId::parse(&String::from(digit).repeat(64))
}
