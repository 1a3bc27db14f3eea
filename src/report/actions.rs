//! What a CI shows well: in GitHub Actions warnings and errors as annotations of the job, and a table on its page; in
//! GitLab a result that can be folded. Nothing of it elsewhere; who else does stands in the table of vendors.

use std::path::PathBuf;

use jiff::Timestamp;

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

/// A result as the log of the job that this is shows it: folded to its first line by whoever wants it so. On a terminal
/// there is nobody to fold it.
pub(super) fn foldable(env: Variables, page: Page, began: Timestamp, now: Timestamp) -> Page {
    let folds = vendor(env).is_some_and(|vendor| vendor.folds) && page.width().is_none();
    // The engine's clock may be ahead.
    if folds { page.folded(began.min(now), now) } else { page }
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
    use crate::report::Style;

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
    fn only_the_log_of_a_job_of_gitlab_gets_its_marks() {
        let (began, now) = (Timestamp::new(1_700_000_000, 0), Timestamp::new(1_700_000_007, 0));
        let (began, now) = (began.expect("a time"), now.expect("a time"));
        let folded = |env_of: &[(&str, &str)], width, began| {
            let mut page = Page::new(Style { width, ..Style::default() });
            page.line("app · this project");
            page.line("removed 2 images");
            foldable(&env(env_of), page, began, now).as_str().to_owned()
        };
        let plain = "app · this project\nremoved 2 images\n";
        let job = [("GITLAB_CI", "true")];
        assert_eq!(
            folded(&job, None, began),
            "\u{1b}[0Ksection_start:1700000000:dkb_1700000000000\r\u{1b}[0Kapp · this project\nremoved 2 images\n\
             \u{1b}[0Ksection_end:1700000007:dkb_1700000000000\r\u{1b}[0K\n"
        );
        assert!(folded(&job, None, now + jiff::SignedDuration::from_mins(5)).contains("start:1700000007:"), "a clock");
        assert_eq!(folded(&job, Some(80), began), plain);
        for other in [&[][..], &[("CI", "true")], &[("GITHUB_ACTIONS", "true")], &[("GITLAB_CI", "")]] {
            assert_eq!(folded(other, None, began), plain, "{other:?}");
        }
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
