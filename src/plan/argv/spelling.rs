//! The ways to say `build`: `build`, `image build`, `builder build`, `buildx [flags] build`; and to say `bake`: `bake`,
//! `buildx [flags] bake`.

// Places within words that lie in memory.
#![allow(clippy::arithmetic_side_effects)]

use std::ffi::{OsStr, OsString};

use super::flags::{BUILDX, GLOBAL};
use super::pflag;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spelling {
    words: Vec<OsString>,
    builder: Option<OsString>,
    help: bool,
}

impl Spelling {
    /// Takes the spelling from the front of the words behind docker's global flags, and leaves those behind
    /// `build`. `None` for any other verb, and where docker would not come as far as `build`.
    pub fn read(words: &[OsString]) -> Option<(Self, &[OsString])> {
        let (first, rest) = words.split_first()?;
        let verb = |at: usize| rest.get(at).map(OsString::as_os_str);
        let plain = |length: usize| Self { words: words[..length].to_vec(), builder: None, help: false };
        if first == "build" {
            Some((plain(1), rest))
        } else if first == "image" && verb(0) == Some(OsStr::new("build")) {
            Some((plain(2), &rest[1..]))
        } else if first == "buildx" || first == "builder" {
            Self::behind_buildx(words, ["build", "b"])
        } else {
            None
        }
    }

    /// The same for `bake`.
    pub fn read_bake(words: &[OsString]) -> Option<(Self, &[OsString])> {
        let (first, rest) = words.split_first()?;
        if first == "bake" {
            Some((Self { words: vec![first.clone()], builder: None, help: false }, rest))
        } else if first == "buildx" {
            Self::behind_buildx(words, ["bake", "f"])
        } else {
            None
        }
    }

    /// Where docker's global flags end and its verb begins. `None` where there is no verb, or a flag that docker has not.
    pub fn behind_globals(words: &[OsString]) -> Option<usize> {
        pflag::leading(&GLOBAL, words).map(|(_, at)| at)
    }

    /// Where docker's global flags end and a build or a bake begins, in words that docker gave to buildx itself. `None`
    /// for all else.
    pub fn in_seat(words: &[OsString]) -> Option<usize> {
        let at = Self::behind_globals(words)?;
        let of_buildx = words[at] == "build" || words[at] == "bake" || words[at] == "buildx";
        let (is_build, is_bake) = (Self::read(&words[at..]).is_some(), Self::read_bake(&words[at..]).is_some());
        (of_buildx && (is_build || is_bake)).then_some(at)
    }

    fn behind_buildx<'w>(words: &'w [OsString], verbs: [&str; 2]) -> Option<(Self, &'w [OsString])> {
        let rest = words.get(1..)?;
        let (flags, at) = pflag::leading(&BUILDX, rest)?;
        let verb = rest.get(at)?;
        if verbs.iter().all(|name| verb != name) {
            return None;
        }
        let mut spelling = Self { words: words[..at + 2].to_vec(), builder: None, help: false };
        for flag in flags {
            match flag.name {
                "builder" => spelling.builder = flag.value.filter(|name| !name.is_empty()).map(OsStr::to_owned),
                "help" => spelling.help = flag.is_on(),
                _ => {}
            }
        }
        Some((spelling, &rest[at + 1..]))
    }

    /// The words up to the verb, as they were written.
    pub fn words(&self) -> &[OsString] {
        &self.words
    }

    /// `buildx` works on its current builder, and so does `bake`; every other spelling on the engine of docker's context.
    pub fn is_buildx(&self) -> bool {
        self.words.first().is_some_and(|word| word == "buildx" || word == "bake")
    }

    pub fn builder(&self) -> Option<&OsStr> {
        self.builder.as_deref()
    }

    /// `buildx --help build` shows the help of `build`.
    pub fn asks_for_help(&self) -> bool {
        self.help
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn every_way_to_say_build_is_known() {
        for (line, length, builder) in [
            ("build -t x .", 1, None),
            ("image build .", 2, None),
            ("builder build .", 2, None),
            ("builder b .", 2, None),
            ("buildx build build", 2, None),
            ("buildx b .", 2, None),
            ("buildx --builder x build .", 4, Some("x")),
            ("buildx -D --builder=x --debug=false b .", 5, Some("x")),
            ("buildx --builder build build .", 4, Some("build")),
        ] {
            let words = words(line);
            let (spelling, rest) = Spelling::read(&words).expect(line);
            assert_eq!((spelling.words(), rest), words.split_at(length), "{line}");
            assert_eq!(spelling.builder(), builder.map(OsStr::new), "{line}");
            assert_eq!(spelling.is_buildx(), line.starts_with("buildx"));
        }
    }

    #[test]
    fn every_way_to_say_bake_is_known() {
        for (line, length) in [("bake -f x", 1), ("bake", 1), ("buildx bake a", 2), ("buildx --builder b f a", 4)] {
            let words = words(line);
            let (spelling, rest) = Spelling::read_bake(&words).expect(line);
            assert_eq!((spelling.words(), rest), words.split_at(length), "{line}");
            assert!(spelling.is_buildx() && Spelling::read(&words).is_none());
        }
        for line in ["build", "image bake", "buildx build bake", "buildx", "f"] {
            assert_eq!(Spelling::read_bake(&words(line)), None, "{line}");
        }
    }

    #[test]
    fn a_build_is_known_among_the_words_that_docker_gives_to_buildx() {
        for (line, at) in [
            ("buildx build -t x .", Some(0)),
            ("--config /c -D buildx bake", Some(3)),
            ("bake --file - --progress rawjson", Some(0)),
            ("build .", Some(0)),
            ("docker-cli-plugin-metadata", None),
            ("buildx version", None),
            ("--builder x build .", None),
            ("image build .", None),
            ("buildx", None),
            ("-c", None),
        ] {
            assert_eq!(Spelling::in_seat(&words(line)), at, "{line}");
        }
        assert_eq!(Spelling::in_seat(&[]), None);
    }

    #[test]
    fn everything_else_is_dockers_own() {
        for line in [
            "run build",
            "image ls",
            "image -D build .",
            "buildx ls",
            "buildx bake build",
            "buildx -- build .",
            "builder prune",
            "buildx --builder build",
            "buildx --config x build .",
            "buildx -q build .",
            "buildx --debug=maybe build .",
            "buildx",
        ] {
            assert_eq!(Spelling::read(&words(line)), None, "{line}");
        }
        assert_eq!(Spelling::read(&[]), None);
    }
}
