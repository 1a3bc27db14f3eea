//! What the docs say is so: tables are read off the code, commands are run by a test or at least parse.
//!
//! `SNAPSHOTS=overwrite cargo test --test docs` writes what is read off the code again.
//!
//! Every fenced block of the README, the pages beside it and `docs/` is of one of these kinds:
//! - `console`: run, line by line, by the promises of `readme` (its `PAGES`) and, for `sweep.md`, of `sweep_docs`;
//! - behind `<!-- run: COMMAND -->`: a recipe that a promise of the same file runs with the real program;
//! - `sh` and `yaml`: each command of dkb in it parses, each other command stands in [`ELSEWHERE`];
//! - `python`, `json`: dkb's commands in it parse;
//! - `rust`, behind `<!-- file: PATH -->`: that file, word for word, which is compiled and run;
//! - `java`, `go`: to be copied by the reader;
//! - `text`: a drawing.

mod schema;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use dkb::cli::{self, Parsed};
use dkb::model::{Action, KeptReason, Outcome, Reason};
use serde::de::DeserializeOwned;

/// Commands of other programs that the docs name, and who runs them.
const ELSEWHERE: &[(&str, &str)] = &[
    ("cargo demo", ".ci/run"),
    ("cargo test", ".ci/run"),
    ("cargo bench", "just bench; .ci/run compiles it"),
    ("cargo install --path . --locked", "just install; .ci/run builds and packages the same"),
    ("apt install ./dkb_*_amd64.deb", "tests/release/deb.rs, by dpkg into a root of its own"),
    ("sh install.sh", "tests/release/install.rs"),
    ("sh install.sh --to /usr/local/bin", "tests/release/install.rs, to another folder"),
];

const KINDS: &[&str] = &[
    "console",
    "sh",
    "yaml",
    "make",
    "just",
    "dockerfile",
    "ini",
    "python",
    "json",
    "toml",
    "rust",
    "java",
    "go",
    "text",
];
/// Those that a promise runs, whatever is in them.
const RUN: &[&str] = &["make", "just", "dockerfile", "ini"];

#[test]
fn what_is_read_off_the_code_is_in_the_docs() {
    for path in pages() {
        let text = read(&path);
        let expected = with_generated(&text);
        if std::env::var_os("SNAPSHOTS").is_some_and(|how| how == "overwrite") {
            fs::write(&path, &expected).expect("the page");
        } else {
            let hint = "SNAPSHOTS=overwrite cargo test --test docs writes it again";
            assert!(text == expected, "{} is behind the code: {hint}", path.display());
        }
    }
}

#[test]
fn every_command_of_dkb_in_the_docs_parses() {
    for (page, block) in blocks() {
        for command in block.commands().filter(|command| command.starts_with("dkb ")) {
            let words = command.split_whitespace().map(Into::into);
            let parsed = cli::parse(words);
            assert!(matches!(parsed, Ok(Parsed::Run(_))), "{page}: `{command}` does not parse: {parsed:?}");
        }
    }
}

#[test]
fn every_other_command_in_the_docs_is_run_somewhere() {
    for (page, block) in blocks() {
        assert!(KINDS.contains(&block.kind.as_str()), "{page}: a block of kind '{}'", block.kind);
        assert!(block.run.is_some() || !RUN.contains(&block.kind.as_str()), "{page}: nobody runs {block:?}");
        assert!(
            block.kind != "console" || ["README.md", "building.md", "cleaning.md", "sweep.md"].contains(&&*page),
            "{page}: nobody runs {block:?}"
        );
        if ["sh", "yaml"].contains(&block.kind.as_str()) {
            for command in block.commands().filter(|command| !command.starts_with("dkb ")) {
                let known = ELSEWHERE.iter().any(|(known, _)| *known == command);
                assert!(known, "{page}: nobody runs `{command}`");
            }
        }
    }
}

/// Plans as they were written by every dkb since the first, and the words of each list.
#[test]
fn the_published_schema_is_that_of_the_code() {
    let published = schema::published();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plan_file/tests/golden");
    let mut plans = 0;
    for entry in fs::read_dir(folder).expect("the plans").map(|entry| entry.expect("a plan").path()) {
        if entry.extension().is_some_and(|end| end == "json") {
            let document: serde_json::Value = serde_json::from_str(&read(&entry)).expect("JSON");
            let faults = schema::faults(&published, &document);
            assert!(faults.is_empty(), "{}: {faults:#?}", entry.display());
            let mut wrong = document;
            wrong["more"] = true.into();
            assert!(!schema::faults(&published, &wrong).is_empty(), "it lets anything through");
            plans += 1;
        }
    }
    assert!(plans > 4, "{plans} plans");
    for (name, words) in [
        ("action", words::<Action>("Action")),
        ("reason", words::<Reason>("Reason")),
        ("kept_reason", words::<KeptReason>("KeptReason")),
        ("result", words::<Outcome>("Outcome")),
    ] {
        assert_eq!(published["$defs"][name]["enum"], serde_json::json!(words), "docs/schema.json: {name}");
    }
}

/// `plan::clean` is a file of the sources, `guard` one of the promises, `guard::a_promise` a function in it.
#[test]
fn every_test_that_the_page_on_safety_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = read(&root.join("docs/safety.md")).replace("**", "");
    let mut named = 0;
    let paragraphs = page.split("\n\n").map(|text| text.replace('\n', " "));
    for paragraph in paragraphs {
        let (before, held_by) = paragraph.split_once("Held by ").unwrap_or((&paragraph, ""));
        let quoted = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        let in_passing = quoted(before).into_iter().filter(|name| name.contains("::"));
        for name in in_passing.chain(quoted(held_by)).filter(|name| !name.starts_with("just ")) {
            let path = name.replace("::", "/");
            let (file, function) = path.rsplit_once('/').unwrap_or((&path, ""));
            let promises = |file: &str| root.join("tests/promises").join(file).with_extension("rs");
            let whole = [root.join("src").join(&path), root.join("tests").join(&path), promises(&path)];
            let says = |path: &Path, text: &str| fs::read_to_string(path).is_ok_and(|all| all.contains(text));
            // A file may have its tests in one beside it, or in several.
            let tests = |path: &PathBuf| {
                let beside = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
                let mut files = beside.chain([path.with_extension("rs"), path.join("tests.rs")]);
                files.any(|file| ["#[test]", "proptest!", "promises!["].iter().any(|mark| says(&file, mark)))
            };
            let there = whole.iter().any(tests) || says(&promises(file), &format!("fn {function}("));
            assert!(there, "docs/safety.md names {name}, and there is no such test");
            named += 1;
        }
    }
    assert!(named > 20, "the page names {named} tests");
}

/// A page of ours that is linked is there, and so is the heading that the link means.
#[test]
fn every_link_between_the_pages_leads_somewhere() {
    let mut links = 0;
    for page in pages() {
        let text = read(&page);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            if link.contains("://") {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { page.clone() } else { page.parent().expect("a folder").join(path) };
            assert!(target.exists(), "{}: {link} leads nowhere", page.display());
            let headings = if heading.is_empty() { Vec::new() } else { headings(&read(&target)) };
            assert!(
                heading.is_empty() || headings.iter().any(|one| one == heading),
                "{}: {link} means none of {headings:?}",
                page.display()
            );
            links += 1;
        }
    }
    assert!(links > 20, "the pages have {links} links");
}

/// As the sites that show them make addresses of headings.
fn headings(page: &str) -> Vec<String> {
    let titles = page.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let address = |title: &str| {
        let kept = title.to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
    };
    titles.map(address).collect()
}

#[test]
fn code_in_the_docs_is_the_code_that_runs() {
    for (page, block) in blocks().iter().filter(|(_, block)| block.kind == "rust") {
        let path = block.file.as_ref().unwrap_or_else(|| panic!("{page}: nobody compiles {block:?}"));
        let text = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
        assert_eq!(text.trim(), block.lines.join("\n").trim(), "{page} is behind {path}");
    }
}

#[derive(Debug)]
struct Block {
    kind: String,
    /// What the comment before it says is run with it.
    run: Option<String>,
    /// The file that it is, which the comment before it names.
    file: Option<String>,
    lines: Vec<String>,
}

impl Block {
    /// The commands in it, as far as its kind has any.
    fn commands(&self) -> impl Iterator<Item = String> {
        let kind = self.kind.clone();
        self.lines.iter().filter_map(move |line| {
            let line = line.trim();
            match kind.as_str() {
                "console" => line.strip_prefix("$ ").map(str::to_owned),
                "sh" => (!line.is_empty() && !line.starts_with('#')).then(|| line.to_owned()),
                "yaml" => {
                    let step = line.trim_start_matches("- ").trim_start_matches("run: ");
                    let is_command = line.contains("run: ") || line.starts_with("- dkb") || line.starts_with("- ./");
                    is_command.then(|| step.to_owned())
                }
                "python" => line.strip_prefix('\'')?.strip_suffix("',").filter(|l| l.contains(' ')).map(str::to_owned),
                _ => None,
            }
        })
    }
}

/// Every fenced block of every page.
fn blocks() -> Vec<(String, Block)> {
    let mut blocks = Vec::new();
    for path in pages() {
        let page = path.file_name().expect("a page").to_string_lossy().into_owned();
        let text = read(&path);
        let (mut open, mut run, mut file): (Option<Block>, Option<String>, Option<String>) = (None, None, None);
        let comment = |line: &str, what: &str| {
            let said = line.strip_prefix("<!-- ")?.strip_prefix(what)?.strip_suffix(" -->");
            said.map(str::to_owned)
        };
        for line in text.lines() {
            match (&mut open, line.strip_prefix("```")) {
                (Some(_), Some(_)) => blocks.extend(open.take().map(|block| (page.clone(), block))),
                (Some(block), None) => block.lines.push(line.to_owned()),
                (None, Some(kind)) => {
                    open = Some(Block { kind: kind.to_owned(), run: run.take(), file: file.take(), lines: Vec::new() });
                }
                (None, None) => {
                    run = comment(line, "run: ");
                    file = comment(line, "file: ");
                }
            }
        }
    }
    assert!(!blocks.is_empty());
    blocks
}

/// The README, what lies beside it for people, and all of `docs/`.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"].map(|page| root.join(page));
    let mut pages = Vec::from(beside);
    let mut folders = vec![root.join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the docs").map(|entry| entry.expect("a page")) {
            let is_folder = entry.file_type().expect("a type").is_dir();
            let is_page = entry.path().extension().is_some_and(|end| end == "md");
            if is_folder {
                folders.push(entry.path());
            } else if is_page {
                pages.push(entry.path());
            }
        }
    }
    pages
}

/// A name in the map is the end of a path, and a type or a function one that the code has.
#[test]
fn the_map_names_what_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src"), root.join("tests")];
    let (mut paths, mut code) = (Vec::new(), String::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                code += &read(&path);
                paths.push(path);
            }
        }
    }
    let page = read(&root.join("ARCHITECTURE.md"));
    let is_there = |name: &str| {
        let is_of_code = name.starts_with(char::is_uppercase) && !name.contains([' ', '/']);
        match name {
            _ if Path::new(name).extension().is_some_and(|end| end == "rs") => {
                paths.iter().any(|path| path.ends_with(name))
            }
            _ if is_of_code => name.split("::").all(|part| code.contains(part)),
            _ if name.contains('/') => root.join(name).exists() || root.join("src").join(name).exists(),
            _ => true,
        }
    };
    // These two are what users see, and no place of ours.
    let page = page.replace("`dev.dkb.run=PROJECT:SESSION`", "").replace("`dkb.invalid/`", "");
    let prose: String = page.split("```").step_by(2).collect();
    let missing: Vec<&str> = prose.split('`').skip(1).step_by(2).filter(|name| !is_there(name)).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names what is not there: {missing:?}");
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The page with every part between `<!-- generated: NAME -->` and `<!-- end -->` as the code has it.
fn with_generated(page: &str) -> String {
    let mut text = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        text.push_str(line);
        text.push('\n');
        if let Some(name) = line.strip_prefix("<!-- generated: ").and_then(|l| l.strip_suffix(" -->")) {
            let old = lines.by_ref().take_while(|line| *line != "<!-- end -->").count();
            assert!(old < 1000, "'{name}' never ends");
            write!(text, "\n{}\n<!-- end -->\n", generated(name)).expect("writing to memory");
        }
    }
    text
}

fn generated(name: &str) -> String {
    match name {
        "settings" => dkb::config::keys::markdown(),
        "ci" => dkb::plan::ci::markdown(),
        "actions" => variants::<Action>("Action"),
        "reasons" => variants::<Reason>("Reason"),
        "kept reasons" => variants::<KeptReason>("KeptReason"),
        "results" => variants::<Outcome>("Outcome"),
        _ => panic!("nothing is read off the code under the name '{name}'"),
    }
}

/// A table of an enum's variants, as they are written in JSON, with what their doc comments say.
fn variants<E: DeserializeOwned>(name: &str) -> String {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/model");
    let source = ["step.rs", "kept.rs"].map(|file| read(&model.join(file))).concat();
    let body = source.split(&format!("pub enum {name} {{\n")).nth(1).expect("the enum");
    let mut table = "| | |\n|---|---|\n".to_owned();
    let mut doc = String::new();
    for line in body.lines().map(str::trim).take_while(|line| *line != "}") {
        if let Some(more) = line.strip_prefix("/// ") {
            doc = format!("{doc} {}", more.trim()).trim_start().into();
        } else if let Some(variant) = line.strip_suffix(',') {
            assert!(!doc.is_empty(), "{name}::{variant} needs a sentence");
            let word = snake(variant);
            assert!(serde_json::from_value::<E>(word.as_str().into()).is_ok(), "{word} is no {name}");
            writeln!(table, "| `{word}` | {} |", std::mem::take(&mut doc)).expect("writing to memory");
        }
    }
    table
}

/// The variants alone.
fn words<E: DeserializeOwned>(name: &str) -> Vec<String> {
    let table = variants::<E>(name);
    table.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned())).collect()
}

fn snake(variant: &str) -> String {
    variant.chars().enumerate().fold(String::new(), |mut word, (at, c)| {
        if c.is_uppercase() && at > 0 {
            word.push('_');
        }
        word.push(c.to_ascii_lowercase());
        word
    })
}
