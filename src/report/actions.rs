//! What GitHub Actions shows well: warnings as annotations of the job, and a table on its page. Nothing of it elsewhere.

use std::ffi::OsString;
use std::path::PathBuf;

use super::page::{Page, clean};

/// The variables that GitHub's runner sets.
type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Whether this is a job of GitHub Actions.
pub(super) fn is_here(env: Env<'_>) -> bool {
    env("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// Where the page of the job is written to.
pub(super) fn summary_file(env: Env<'_>) -> Option<PathBuf> {
    env("GITHUB_STEP_SUMMARY").filter(|path| is_here(env) && !path.is_empty()).map(PathBuf::from)
}

/// A warning as the runner reads it, in one line.
pub(super) fn annotation(text: &str) -> Page {
    Page::of(format_args!("::warning title=dkb::{}", clean(text).replace('%', "%25")))
}

/// A row of a table. What came from outside is text in it, and ends no cell.
pub(super) fn row(page: &mut Page, cells: &[&str]) {
    let cells: Vec<String> = cells.iter().map(|cell| text(cell)).collect();
    page.line(format_args!("| {} |", cells.join(" | ")));
}

/// Text that Markdown leaves as it is.
pub(super) fn text(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for c in clean(text).chars() {
        if c.is_ascii_punctuation() && !matches!(c, ',' | '.' | ':' | '/' | '-' | '(' | ')') {
            written.push('\\');
        }
        written.push(c);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env<'a>(set: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        |name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
    }

    #[test]
    fn only_a_job_of_github_gets_its_forms() {
        let job = [("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", "/tmp/summary")];
        assert_eq!(summary_file(&env(&job)), Some("/tmp/summary".into()));
        for other in
            [&[][..], &job[1..], &[("GITHUB_ACTIONS", "false"), job[1]], &[job[0], ("GITHUB_STEP_SUMMARY", "")]]
        {
            assert_eq!(summary_file(&env(other)), None, "{other:?}");
        }
        assert!(is_here(&env(&job)) && !is_here(&env(&[("CI", "true")])));
    }

    #[test]
    fn what_came_from_outside_is_text_there() {
        assert_eq!(annotation("50% of\na").as_str(), "::warning title=dkb::50%25 of\\na\n");
        let mut page = Page::default();
        row(&mut page, &["kept", "a|b <img src=x> `c` [d](e)"]);
        assert_eq!(page.as_str(), "| kept | a\\|b \\<img src\\=x\\> \\`c\\` \\[d\\](e) |\n");
    }
}
