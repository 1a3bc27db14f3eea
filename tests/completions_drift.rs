//! What stands in `completions/` is what dkb prints. `SNAPSHOTS=overwrite cargo test --test completions_drift`
//! writes it anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn the_committed_completions_and_manual_pages_are_what_dkb_prints() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions");
    let files = dkb::verbs::completions::files();
    if std::env::var_os("SNAPSHOTS").is_some_and(|how| how == "overwrite") {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        for (name, text) in &files {
            fs::write(folder.join(name), text).expect("a file");
        }
    }
    if !folder.exists() {
        return;
    }
    let there: BTreeSet<_> = fs::read_dir(&folder)
        .expect("a folder")
        .map(|file| file.expect("a file").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(there, files.iter().map(|(name, _)| name.clone()).collect(), "other files than dkb prints");
    for (name, text) in files {
        let committed = fs::read(folder.join(&name)).expect("a file");
        assert!(committed == text, "completions/{name} is not what dkb prints: SNAPSHOTS=overwrite writes it anew");
    }
}
