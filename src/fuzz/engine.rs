//! What an engine answers, and what Docker's own files say of the way to one.

use super::head;
use crate::engine::fuzz;
use crate::report::Page;

/// The first line names the question; all else is the answer.
///
/// - What the laws of `engine::fuzz` say of each kind of answer.
/// - Whatever stands in it is shown as one line that tells a terminal nothing.
pub fn answers(data: &[u8]) -> bool {
    let (question, body) = head(data);
    let Some(names) = fuzz::names_in(question, body) else { return false };
    for name in names {
        let page = Page::of(&name);
        let line = page.as_str().strip_suffix('\n');
        assert!(line.is_some_and(|line| !line.contains(char::is_control)), "{name:?}");
    }
    true
}

/// The first line is an address; all else is docker's `config.json`, or a context's `meta.json`.
pub fn contexts(data: &[u8]) -> bool {
    let (host, file) = head(data);
    fuzz::address(host);
    fuzz::docker_files(file)
}
