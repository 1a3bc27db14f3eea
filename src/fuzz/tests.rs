use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::TARGETS;

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let stem = |path: PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
    entries.map(|entry| stem(entry.expect("an entry").path())).collect()
}

/// Where dkb is tested without its repository, there is no corpus.
fn fuzz_folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    folder.exists().then_some(folder)
}

#[test]
#[expect(clippy::print_stderr, reason = "where a law breaks, the last line says on which seed")]
fn every_seed_holds_its_laws_and_most_are_understood() {
    let Some(folder) = fuzz_folder() else { return };
    for (name, target) in TARGETS {
        let corpus = folder.join("corpus").join(name);
        let (mut understood, mut seeds) = (0, 0);
        for seed in fs::read_dir(&corpus).expect("a corpus") {
            let path = seed.expect("a seed").path();
            eprintln!("{}", path.display());
            understood += usize::from(target(&fs::read(&path).expect("a seed")));
            seeds += 1;
        }
        assert!(seeds >= 8, "{name} has {seeds} seeds");
        assert!(understood * 3 >= seeds * 2, "{name} makes something of {understood} of {seeds} seeds");
    }
}

#[test]
fn every_target_is_built_and_has_a_corpus() {
    let Some(folder) = fuzz_folder() else { return };
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&folder.join("targets")), targets);
    assert_eq!(names(&folder.join("corpus")), targets);
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).expect("the manifest");
    for name in targets {
        let stands = manifest.contains(&format!("name = \"{name}\"\npath = \"targets/{name}.rs\""));
        assert!(stands, "fuzz/Cargo.toml does not build {name}");
    }
}
