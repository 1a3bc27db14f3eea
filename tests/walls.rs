//! The walls around the rooms of the house: words that must not be named there, most of them other people's. Which of
//! our own rooms know each other is for `rooms.rs` to see.

mod source;

use std::fs;
use std::path::{Path, PathBuf};

use source::paths_of;
use syn::ItemUse;
use syn::visit::Visit;

struct Wall {
    /// Files and folders below `src`; a folder ends with a slash.
    rooms: &'static [&'static str],
    but: &'static [&'static str],
    never: &'static [&'static str],
}

const WALLS: &[Wall] = &[
    // What there is and what to do about it: data in, data out. No engine, no disk, no clock, no surroundings.
    Wall {
        rooms: &["model/", "plan/"],
        but: &[],
        never: &[
            "bollard",
            "tokio",
            "std::fs",
            "std::env",
            "std::net",
            "std::process",
            "std::thread",
            "std::io",
            "env::var",
            "SystemTime::now",
            "Instant::now",
            "Timestamp::now",
            "Zoned::now",
        ],
    },
    Wall { rooms: &["report/"], but: &[], never: &["bollard", "tokio"] },
    Wall { rooms: &[""], but: &["engine/docker.rs"], never: &["bollard"] },
    // Who an engine is, only its own room asks. All others ask what it can do.
    Wall { rooms: &[""], but: &["engine/"], never: &["Flavour", "flavour", "containerd_store"] },
    // Which docker program is called is for those who call one. The engine says who answers.
    Wall {
        rooms: &[""],
        but: &[
            "engine/",
            "building/job.rs",
            "building/builder_choice.rs",
            "verbs/build.rs",
            "verbs/compose.rs",
            "verbs/doctor.rs",
        ],
        never: &["ProgramKind"],
    },
    // Everything that a person or a program reads goes through one door, as a page of clean lines.
    Wall {
        rooms: &[""],
        but: &["report/mod.rs"],
        never: &[
            "print!",
            "println!",
            "eprint!",
            "eprintln!",
            "dbg!",
            "io::stdout",
            "io::stderr",
            "stdio::stdout",
            "stdio::stderr",
            "from_raw_fd",
        ],
    },
    // What goes out as it is: docker's own stream, a script that is ours, and a byte between two of us.
    Wall {
        rooms: &[""],
        but: &["report/mod.rs", "processes/child.rs", "verbs/completions.rs", "verbs/watch.rs"],
        never: &["pass_on_stdout", "pass_on_stderr", "out_as_it_is"],
    },
    Wall { rooms: &["report/"], but: &["report/mod.rs"], never: &["write_all", "io::Write"] },
    Wall { rooms: &[""], but: &["report/style.rs", "report/progress.rs"], never: &["indicatif", "console::"] },
    // A page is made, and coloured, in one place.
    Wall { rooms: &["report/"], but: &["report/page.rs"], never: &["\\x1b", "\\u{1b}", "\\u{9b}"] },
    Wall { rooms: &[""], but: &["report/page.rs", "plan/classic.rs"], never: &["\\x1b["] },
    Wall { rooms: &[""], but: &[], never: &["unsafe"] },
    // Whoever waits for other things too waits for the ledger's lock aside.
    Wall {
        rooms: &["building/", "session/", "observe/", "bookkeeping/", "verbs/"],
        but: &[],
        never: &["ledger.read()", "ledger.append(", "ledger(&identity).append("],
    },
    // What takes something away notes it in one place, and so in the history too. A look finds things gone, and a tidy
    // build what the engine dropped by itself.
    Wall {
        rooms: &["apply/", "building/", "session/", "observe/", "bookkeeping/", "verbs/"],
        but: &["bookkeeping/removals.rs", "observe/ended_records.rs", "building/tidy.rs"],
        never: &["Record::Gone", "Removal::all_of"],
    },
    // Sizes come from outside, and their sum must not overflow: there is `total` for them.
    Wall {
        rooms: &["engine/", "model/", "plan/", "report/", "apply/", "verbs/"],
        but: &[],
        never: &[".sum()", ".sum::<", ".product()", ".product::<"],
    },
    // Nothing goes by force, nothing takes its parents along, and no engine decides what goes.
    Wall {
        rooms: &[""],
        but: &[],
        never: &[
            "force(true)",
            "force=1",
            "force=true",
            "\"--force\"",
            "noprune(false)",
            "prune_images",
            "prune_containers",
            "prune_networks",
            "prune_volumes",
            "images/prune",
            "containers/prune",
            "networks/prune",
            "volumes/prune",
        ],
    },
];

#[test]
fn no_room_names_what_it_must_not_know_of() {
    let mut breaches = Vec::new();
    for (path, code) in source() {
        for wall in WALLS {
            let within = |places: &[&str]| places.iter().any(|place| path.starts_with(place));
            if within(wall.rooms) && !within(wall.but) {
                breaches
                    .extend(wall.never.iter().filter(|word| names(&code, word)).map(|word| format!("{path}: {word}")));
            }
        }
    }
    assert!(breaches.is_empty(), "through the walls:\n{}", breaches.join("\n"));
}

#[test]
fn every_wall_stands_around_something() {
    let files: Vec<String> = source().into_iter().map(|(path, _)| path).collect();
    for place in WALLS.iter().flat_map(|wall| wall.rooms.iter().chain(wall.but)) {
        assert!(files.iter().any(|file| file.starts_with(place)), "there is no src/{place}");
    }
}

#[test]
fn a_name_is_found_however_it_is_brought_in() {
    let code = |text: &str| without_comments_and_tests(text);
    assert!(names(&code("use std::{env, fs::{self, File}};"), "std::fs"));
    assert!(names(&code("use std::{\n    env,\n    fs,\n};"), "std::env"));
    assert!(names(&code("use jiff::{civil, tz::{self, TimeZone}};"), "jiff::tz"));
    assert!(names(&code("fn f() { use std::{io::{self, stdout}, fmt}; }"), "io::stdout"));
    assert!(names(&code("use {std::fs as disk};"), "std::fs"));
    assert!(names(&code("fn f() { let now = jiff::Timestamp::now(); }"), "Timestamp::now"));
    assert!(!names(&code("// std::fs is far away\nfn f() {}"), "std::fs"));
    assert!(!names(&code("const URL: &str = \"tcp://x\"; const N: &str = \"std\";"), "std::fs"));
    assert!(!names(&code("fn f() {}\n#[cfg(test)]\nmod tests { use std::fs; }"), "std::fs"));
    assert!(!names(&code("fn f() { std::fspath(); }"), "std::fs"));
    assert!(!names(&code("sprint!();"), "print!"));
    assert!(names(&code(r#"fn f() { out("\x1b[1m"); }"#), "\\x1b"));
}

/// Every file below `src`, by its path there, without its comments and its tests.
fn source() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let named = files.iter().map(|path| {
        let text = fs::read_to_string(path).expect("a source file");
        let path = path.strip_prefix(&root).expect("below src").to_str().expect("a plain name").to_owned();
        (path, without_comments_and_tests(&text))
    });
    named.filter(|(path, _)| !path.ends_with("tests.rs") && !path.contains("tests/")).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder below src") {
        let path = entry.expect("its entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            files.push(path);
        }
    }
}

/// Unit tests stand at the end of a file. What they name is their own affair.
fn without_comments_and_tests(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let next = lines.peek().map(|next| next.trim_start()).unwrap_or_default();
        if line.trim() == "#[cfg(test)]" && (next.starts_with("mod ") || next.starts_with("pub(crate) mod ")) {
            break;
        }
        if !line.trim_start().starts_with("//") {
            code.push_str(line);
            code.push('\n');
        }
    }
    // Asking whether somebody sits at a stream, and how wide it is there, is no writing to it.
    let code = code.replace("().is_terminal()", "_is_terminal()");
    let code = code.replace("tcgetwinsize(io::stdout())", "width").replace("tcgetwinsize(io::stderr())", "width");
    let mut brought_in = BroughtIn::default();
    brought_in.visit_file(&syn::parse_file(&code).expect("Rust"));
    code + &brought_in.0
}

/// What is brought in, a whole path a line, however it was written.
#[derive(Default)]
struct BroughtIn(String);

impl<'a> Visit<'a> for BroughtIn {
    fn visit_item_use(&mut self, item: &'a ItemUse) {
        self.0.extend(paths_of(&item.tree).into_iter().map(|path| format!("use {};\n", path.join("::"))));
    }
}

/// Whether the words stand in the code, not as a part of longer ones.
fn names(code: &str, words: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let begins_a_word = part(words.chars().next());
    let ends_a_word = part(words.chars().last());
    code.match_indices(words).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + words.len()..].chars().next();
        !(begins_a_word && part(before) || ends_a_word && part(after))
    })
}
