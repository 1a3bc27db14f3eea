//! The words behind `bake`: one call of docker that builds many targets.
//!
//! What each target is, no word says: docker is asked for that (`--print`), and its answer is read in `targets`.
//! The user's words go to docker byte for byte here too, and dkb's own come right behind `bake`, where a later word of
//! the user's wins.

use std::ffi::{OsStr, OsString};

use super::Injection;
use super::flags::BAKE;
use super::pflag::{self, Token};
use super::spelling::Spelling;
use crate::model::{MountNamespace, Stamp};

/// What docker will make of the words behind `bake`, as far as dkb must know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BakeWords {
    words: Vec<OsString>,
    /// The first word that docker will refuse, or whose flag dkb does not know.
    pub unread: Option<OsString>,
    pub files: Vec<OsString>,
    /// It answers a question instead of building: `--print`, `--list`, `--call`, `--check`, `--help`.
    pub asks: bool,
    pub builder: Option<OsString>,
    /// The user's own `--metadata-file`.
    pub metadata_file: Option<OsString>,
}

pub fn read_bake(words: &[OsString]) -> BakeWords {
    let mut read = BakeWords { words: words.to_vec(), ..BakeWords::default() };
    let tokens = match pflag::tokens(&BAKE, words) {
        Ok(tokens) => tokens,
        Err(word) => return BakeWords { unread: Some(word.to_owned()), ..read },
    };
    for token in tokens {
        let Token::Flag(flag) = token else { continue };
        let value = flag.value.unwrap_or_default();
        match flag.name {
            "file" => read.files.push(value.to_owned()),
            "builder" => read.builder = Some(value.to_owned()).filter(|name| !name.is_empty()),
            "metadata-file" => read.metadata_file = Some(value.to_owned()).filter(|file| !file.is_empty()),
            // Also where it is turned off again: dkb's own `--print`, being earlier, would be turned off with it.
            "print" | "list" | "list-targets" | "list-variables" | "call" | "check" | "help" => read.asks = true,
            _ => {}
        }
    }
    read
}

impl BakeWords {
    pub fn understood(&self) -> bool {
        self.unread.is_none()
    }

    /// Whether the definition comes on stdin. `named`: files that the environment names, where no word does.
    pub fn reads_stdin(&self, named: Option<&OsStr>, separator: &str) -> bool {
        if !self.files.is_empty() {
            return self.files.iter().any(|file| file == "-");
        }
        named.is_some_and(|named| named.to_string_lossy().split(separator).any(|file| file == "-"))
    }

    /// With the labels, and docker's answer in place of a build.
    pub fn question(&self, spelling: &Spelling, stamp: &Stamp) -> Vec<OsString> {
        let mut argv = with_ours(spelling, stamp, None);
        argv.push("--print".into());
        argv.extend(self.words.iter().cloned());
        argv
    }

    /// What docker is started with, dkb's own metadata file where the user has none.
    pub fn inject(&self, spelling: &Spelling, injection: &Injection<'_>) -> Vec<OsString> {
        let mut argv = with_ours(spelling, injection.stamp, injection.mounts);
        if let Some(file) = injection.id_file {
            argv.extend(["--metadata-file".into(), file.into()]);
        }
        argv.extend(self.words.iter().cloned());
        argv
    }

    /// As it was typed.
    pub fn untouched(&self, spelling: &Spelling) -> Vec<OsString> {
        spelling.words().iter().chain(&self.words).cloned().collect()
    }
}

fn with_ours(spelling: &Spelling, stamp: &Stamp, mounts: Option<&MountNamespace>) -> Vec<OsString> {
    let mut argv = spelling.words().to_vec();
    for (label, value) in stamp.labels() {
        argv.extend(["--set".into(), format!("*.labels.{label}={value}").into()]);
    }
    if let Some(mounts) = mounts {
        argv.extend(["--set".into(), format!("*.args.{}", mounts.argument()).into()]);
    }
    argv
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::Name;
    use crate::model::books_tests::key;

    fn words(line: &str) -> Vec<OsString> {
        line.split_ascii_whitespace().map(OsString::from).collect()
    }

    fn read(line: &str) -> BakeWords {
        read_bake(&words(line))
    }

    #[test]
    fn what_docker_is_asked_and_told_has_the_users_words_at_its_end() {
        let all = words("buildx --builder x bake -f a.hcl --set *.labels.k=v app");
        let (spelling, rest) = Spelling::read_bake(&all).expect("a bake");
        let bake = read_bake(rest);
        let stamp = Stamp::from(key("p", "s"));
        let ours = "--set *.labels.dev.dkb.project=p --set *.labels.dev.dkb.session=s";
        let users = "-f a.hcl --set *.labels.k=v app";
        let spelt = "buildx --builder x bake";
        assert_eq!(bake.question(&spelling, &stamp), words(&format!("{spelt} {ours} --print {users}")));
        let injection = Injection { id_file: Some(Path::new("/m")), ..Injection::of(&stamp) };
        let told = words(&format!("{spelt} {ours} --metadata-file /m {users}"));
        assert_eq!(bake.inject(&spelling, &injection), told);
        let name = |text| Name::typed(text).expect("a name");
        let mounts = MountNamespace::of(&name("p"), &name("local-1"));
        let told = words(&format!("{spelt} {ours} --set *.args.{} {users}", mounts.argument()));
        assert_eq!(bake.inject(&spelling, &Injection { mounts: Some(&mounts), ..Injection::of(&stamp) }), told);
        assert_eq!(bake.untouched(&spelling), all);
    }

    #[test]
    fn a_question_is_told_from_a_build() {
        for line in
            ["--print", "--print=false", "--list", "--list=targets", "--call=check", "--check", "-h", "--call check a"]
        {
            assert!(read(line).asks, "{line}");
        }
        for line in ["", "a b", "--push", "-f print", "--set a.args.x=--print", "-- --print"] {
            assert!(!read(line).asks, "{line}");
        }
    }

    #[test]
    fn a_definition_may_come_on_stdin() {
        let reads = |line: &str, named: Option<&str>| read(line).reads_stdin(named.map(OsStr::new), ":");
        assert!(reads("-f - a", None) && reads("--file=- -f x", None) && reads("-f-", None) && reads("", Some("a:-")));
        assert!(!reads("a -", None) && !reads("-f x", Some("-")) && !reads("", Some("a")));
    }

    #[test]
    fn of_words_that_are_not_understood_nothing_is_inferred() {
        assert!(!read("--never-heard-of").understood());
        let given = read("--builder x --metadata-file m --allow fs.read=/ --sbom --progress rawjson --no-cache a");
        assert_eq!((given.builder, given.metadata_file), (Some("x".into()), Some("m".into())));
    }
}
