//! What GitHub Actions shows well: warnings and errors as annotations of the job, and a table on its page. Nothing of it
//! elsewhere; who else does stands in the table of vendors.

use std::path::PathBuf;

use super::page::{Page, clean};
use crate::plan::ci::{Variables, vendor};

/// Whether the log of the job that this is reads annotations.
pub(super) fn is_here(env: Variables) -> bool {
    vendor(env).is_some_and(|vendor| vendor.page.is_some())
}

/// Where the page of the job is written to.
pub(super) fn summary_file(env: Variables) -> Option<PathBuf> {
    let path = env(vendor(env)?.page?)?;
    Some(path).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// What the runner makes an annotation of, in one line.
#[derive(Clone, Copy, Debug)]
pub(super) enum Level {
    Warning,
    Error,
}

pub(super) fn annotation(level: Level, text: &str) -> Page {
    let level = match level {
        Level::Warning => "warning",
        Level::Error => "error",
    };
    Page::of(format_args!("::{level} title=dkb::{}", clean(text).replace('%', "%25")))
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

    fn env<'a>(set: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
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
        assert_eq!(annotation(Level::Warning, "50% of\na").as_str(), "::warning title=dkb::50%25 of\\na\n");
        assert_eq!(annotation(Level::Error, "a").as_str(), "::error title=dkb::a\n");
        let mut page = Page::default();
        row(&mut page, &["kept", "a|b <img src=x> `c` [d](e)"]);
        assert_eq!(page.as_str(), "| kept | a\\|b \\<img src\\=x\\> \\`c\\` \\[d\\](e) |\n");
    }
}
