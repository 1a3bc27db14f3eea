//! Lines as people write them in their recipes, each with what must be read in it.

use std::collections::HashSet;
use std::ffi::OsString;

use dkb::model::Stamp;
use dkb::plan::argv::{self, BuildWords, Builder, IdFile, Injection, NoIdFile, Spelling, Tool};
use serde::Deserialize;

#[derive(Deserialize)]
struct Corpus {
    line: Vec<Line>,
}

/// A line and its reading; the reading that is made of it is another one of these.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "they are the tool's own switches")]
struct Line {
    from: String,
    #[serde(default = "docker")]
    tool: String,
    words: Words,
    #[serde(default = "ours")]
    idfile: String,
    unread: Option<String>,
    /// As the tool's engine lists them, Docker Hub left out.
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    files: Vec<String>,
    target: Option<String>,
    #[serde(default)]
    outputs: Vec<String>,
    #[serde(default)]
    platforms: Vec<String>,
    builder: Option<String>,
    context: Option<String>,
    #[serde(default)]
    quiet: bool,
    #[serde(default)]
    push: bool,
    #[serde(default)]
    load: bool,
    #[serde(default)]
    asks: bool,
    #[serde(default)]
    no_cache: bool,
    #[serde(default)]
    pull: bool,
    #[serde(default)]
    stdin: bool,
    #[serde(default)]
    help: bool,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Words {
    Blanks(String),
    List(Vec<String>),
}

fn docker() -> String {
    "docker".to_owned()
}

fn ours() -> String {
    "ours".to_owned()
}

impl Line {
    fn words(&self) -> Vec<OsString> {
        match &self.words {
            Words::Blanks(line) => line.split(' ').map(OsString::from).collect(),
            Words::List(words) => words.iter().map(OsString::from).collect(),
        }
    }

    fn tool(&self) -> Tool {
        if self.tool == "podman" { Tool::Podman } else { Tool::Docker }
    }

    fn read(&self) -> Self {
        let words = self.words();
        let (spelling, rest) = Spelling::read(&words).expect("a build");
        let read = argv::read(self.tool(), rest);
        let idfile = match argv::id_file(&read, builder(&spelling, &read)) {
            IdFile::Ours => ours(),
            IdFile::Users(file) => format!("users {}", file.display()),
            IdFile::No(why) => named(why).to_owned(),
        };
        let one = |word: &Option<OsString>| word.as_ref().map(text);
        let all = |words: &[OsString]| words.iter().map(text).collect();
        Self {
            idfile,
            unread: one(&read.unread),
            tags: read.tags.iter().map(|tag| tag.canonical().to_string()).collect(),
            files: all(&read.files),
            target: one(&read.target),
            outputs: read.outputs.iter().map(|output| output.kind.clone()).collect(),
            platforms: all(&read.platforms),
            builder: one(&read.builder),
            context: one(&read.context),
            quiet: read.quiet,
            push: read.push,
            load: read.load,
            asks: read.asks,
            no_cache: read.no_cache,
            pull: read.pull,
            stdin: read.reads_stdin(),
            help: read.help,
            ..self.clone()
        }
    }
}

/// As far as the words tell: no engine is there to be asked.
fn builder(spelling: &Spelling, words: &BuildWords) -> Builder {
    let named = spelling.builder().is_some() || words.builder.is_some();
    if words.tool == Tool::Docker && (spelling.is_buildx() || named) { Builder::Apart } else { Builder::Engine }
}

fn text(word: &OsString) -> String {
    word.to_str().expect("UTF-8").to_owned()
}

fn named(why: NoIdFile) -> &'static str {
    match why {
        NoIdFile::Unread => "unread",
        NoIdFile::Help => "help",
        NoIdFile::Asks => "asks",
        NoIdFile::Files | NoIdFile::FilesToo => "files",
        NoIdFile::Pushed => "pushed",
        NoIdFile::NotLoaded => "not loaded",
        NoIdFile::Manifest => "manifest",
        NoIdFile::Platforms => "platforms",
        NoIdFile::TurnedOff => "turned off",
    }
}

fn corpus() -> Vec<Line> {
    toml::from_str::<Corpus>(include_str!("corpus/build-lines.toml")).expect("the corpus").line
}

#[test]
fn every_line_is_read_as_the_corpus_says() {
    for line in corpus() {
        assert_eq!(line.read(), line, "{}: {:?}", line.from, line.words);
    }
}

#[test]
fn every_line_reaches_the_tool_word_for_word() {
    for line in corpus() {
        let words = line.words();
        let (spelling, rest) = Spelling::read(&words).expect("a build");
        let nothing = Stamp::default();
        let argv = argv::inject(&spelling, &argv::read(line.tool(), rest), &Injection::of(&nothing));
        // --force-rm would beat the user's own word.
        let keeps = rest.iter().any(|word| word == "--rm=false");
        let ours: &[OsString] = if keeps { &["--rm".into()] } else { &["--rm".into(), "--force-rm".into()] };
        let want = [spelling.words(), ours, rest].concat();
        assert_eq!(argv, want, "{}", line.from);
    }
}

#[test]
fn the_corpus_is_as_large_as_promised() {
    let shapes: HashSet<_> = corpus().iter().map(Line::words).collect();
    assert!(shapes.len() >= 60, "{} lines", shapes.len());
}
