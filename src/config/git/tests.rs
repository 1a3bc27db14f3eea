use std::fs;

use super::*;

/// A folder with files in it, written as `path: text`.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let top = tempfile::tempdir().expect("a folder");
    for (path, text) in files {
        let path = top.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    top
}

/// The files that make a folder a git folder.
fn git(at: &str, config: &str) -> Vec<(String, String)> {
    [("HEAD", "ref: refs/heads/main\n"), ("objects/x", ""), ("refs/x", ""), ("config", config)]
        .map(|(name, text)| (format!("{at}/{name}"), text.to_owned()))
        .to_vec()
}

fn look(files: &[(String, String)], from: &str) -> Option<(String, String, Option<String>)> {
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let top = folder(&files);
    let from = top.path().join(from);
    fs::create_dir_all(&from).expect("a folder");
    let found = checkout(&from)?;
    let below = |path: &Path| path.strip_prefix(top.path()).expect("below").display().to_string();
    Some((below(&found.root), below(&found.main), found.origin))
}

const ORIGIN: &str = "[remote \"origin\"]\n\turl = git@x:acme/shop.git\n";

#[test]
fn a_worktree_is_found_from_any_folder_in_it() {
    let found = look(&git("shop/.git", ORIGIN), "shop/a/b");
    assert_eq!(found, Some(("shop".into(), "shop".into(), Some("git@x:acme/shop.git".into()))));
}

#[test]
fn a_linked_worktree_knows_its_main_one_and_its_remote() {
    let mut files = git("shop/.git", ORIGIN);
    files.push(("feature/.git".into(), "gitdir: ../shop/.git/worktrees/feature\n".into()));
    files.push(("shop/.git/worktrees/feature/commondir".into(), "../..\n".into()));
    let expected = Some(("feature".into(), "shop".into(), Some("git@x:acme/shop.git".into())));
    assert_eq!(look(&files, "feature/src"), expected);
}

#[test]
fn a_worktree_of_a_bare_repository_is_named_after_it() {
    for (bare, main) in [("shop.git", "shop.git"), ("shop/.bare", "shop")] {
        let mut files = git(bare, ORIGIN);
        files.push(("wt/.git".into(), format!("gitdir: ../{bare}/worktrees/wt")));
        files.push((format!("{bare}/worktrees/wt/commondir"), "../..".into()));
        assert_eq!(look(&files, "wt").expect(bare).1, main);
        assert_eq!(look(&files, bare).expect(bare).1, main);
    }
}

#[test]
fn a_submodule_is_a_project_of_its_own() {
    let mut files = git("shop/.git", ORIGIN);
    files.extend(git("shop/.git/modules/lib", "[remote \"origin\"]\nurl = https://x/acme/lib\n"));
    files.push(("shop/lib/.git".into(), "gitdir: ../.git/modules/lib".into()));
    let expected = Some(("shop/lib".into(), "shop/lib".into(), Some("https://x/acme/lib".into())));
    assert_eq!(look(&files, "shop/lib"), expected);
}

#[test]
fn what_is_broken_is_as_if_it_were_not_there() {
    for files in [
        vec![("shop/.git".to_owned(), "gitdir: ../nowhere".to_owned())],
        vec![("shop/.git".to_owned(), "rubbish".to_owned())],
        vec![("shop/.git/HEAD".to_owned(), String::new())],
    ] {
        assert_eq!(look(&files, "shop"), None);
    }
    assert_eq!(look(&git("shop/.git", "\u{0}[["), "shop").expect("a worktree").2, None);
}

#[test]
fn a_config_is_read_as_git_reads_it() {
    for (config, url) in [
        ("[remote \"origin\"]\nurl=a\nurl=b", Some("a")),
        ("[REMOTE \"origin\"] URL = a ; why", Some("a")),
        ("[remote \"Origin\"]\nurl=a", None),
        ("[remote \"upstream\"]\nurl=a\n[remote \"origin\"]\nfetch=x\nurl = \"a b#c\" # d", Some("a b#c")),
        ("[remote \"origin\"]\npushurl=a", None),
        ("[remote \"origin\"]\n  url = a\\\nb", Some("ab")),
        ("[remote \"origin\"]\n# url = a\n; url = b\nurl = c", Some("c")),
        ("[remote \"origin\"]\nurl = c\\\\d  ", Some("c\\d")),
        ("[core]\nurl=a\n[remote \"origin\"]\n[branch \"x\"]\nurl=b", None),
        ("url=a", None),
        ("[remote \"origin\"]\nurl=", None),
        ("[remote \"origin\"]\nurl", None),
        ("[remote \"origin\"\nurl=a", None),
    ] {
        assert_eq!(remote_url(config, "origin").as_deref(), url, "{config}");
    }
}

#[test]
fn a_huge_or_endless_file_holds_nothing_up() {
    let mut files = git("shop/.git", &format!("{}{ORIGIN}", "#\n".repeat(1 << 20)));
    assert_eq!(look(&files, "shop").expect("a worktree").2, None);
    files.retain(|(path, _)| !path.ends_with("config"));
    assert_eq!(look(&files, "shop").expect("a worktree").2, None);
}

proptest::proptest! {
    #[test]
    fn no_config_makes_it_fail(config in "([\\[\\]\"\\\\=#; a-z\n]{0,20}|\\[remote \"origin\"\\]\n|url = ){0,8}") {
        let _ = remote_url(&config, "origin");
    }
}
