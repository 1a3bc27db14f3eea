//! A settings file, which may have come with a checkout.

use std::path::Path;

use crate::config::file::{File, Whose, read};
use crate::config::keys::By;
use crate::config::value::Source;
use crate::error::Error;

/// - What is taken from a checkout's file is taken from the user's own too, and says the same there.
/// - A checkout sets nothing that only its user may set.
/// - Every value and every error is found again at a line that is there.
pub fn settings(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let (path, home) = (Path::new("/work/dkb.toml"), Some(Path::new("/home/me")));
    let checkout = read(text, path, Whose::Checkout { own: Path::new("/home/me/config.toml") }, home);
    let users = read(text, path, Whose::User, home);
    let lines = text.matches('\n').count() + 1;
    for file in [&checkout, &users].into_iter().flatten() {
        let on_hosts = file.hosts.iter().flat_map(|host| &host.sweep);
        for entry in file.entries.iter().chain(on_hosts) {
            let Source::File { line, .. } = &entry.source else { panic!("{entry:?}") };
            assert!((1..=lines).contains(line), "{entry:?}");
        }
    }
    for error in [&checkout, &users].into_iter().filter_map(|file| file.as_ref().err()) {
        let at = |error: &Error| error.what().strip_prefix("/work/dkb.toml:")?.split(':').next()?.parse().ok();
        assert!(at(error).is_some_and(|line: usize| (1..=lines).contains(&line)), "{error}");
    }
    if let Ok(checkout) = checkout {
        let may = |by: By| matches!(by, By::Anyone | By::Narrowing);
        assert!(checkout.hosts.is_empty() && checkout.entries.iter().all(|entry| may(entry.key.by)), "{checkout:?}");
        assert_eq!(said(&checkout), said(&users.expect("what a checkout may say, its user may")));
        return true;
    }
    users.is_ok()
}

fn said(file: &File) -> Vec<(&str, &crate::config::value::Value)> {
    file.entries.iter().map(|entry| (entry.key.name, &entry.value)).collect()
}
