//! The images of sessions as one table, whose columns fit the terminal. No name is cut: it may be copied.

use std::time::Duration;

use jiff::Timestamp;

use super::super::Page;
use super::super::words::count;
use crate::model::{human_bytes, human_duration, total};
use crate::plan::status::{Owned, SessionSummary};

/// Images of one session that are named before the rest is counted.
const SHOWN: usize = 5;
/// All columns but the names, with what parts them.
const OTHERS: usize = 48;
/// The least that is left for a name.
const LEAST: usize = 12;

/// One line of a session.
enum Row {
    Image {
        id: String,
        /// The shortest first.
        names: Vec<String>,
        size: String,
        frees: String,
        age: String,
    },
    /// Several things in one line.
    Sum { what: String, size: String, frees: String },
}

pub(super) struct Images {
    names: usize,
    /// Each name has a line of its own, as on a terminal.
    below: bool,
}

impl Images {
    /// `width`: of the terminal.
    pub(super) fn of<'a>(
        sessions: impl Iterator<Item = &'a SessionSummary>,
        width: Option<usize>,
        verbose: bool,
    ) -> Self {
        let below = width.is_some();
        let most = width.map_or(usize::MAX, |width| width.saturating_sub(OTHERS).max(LEAST));
        let images = sessions.flat_map(|session| listed(&session.images, verbose).0);
        let names = images.filter_map(|image| cell(&names_of(image), below)).map(|name| name.chars().count());
        Self { names: names.filter(|length| *length <= most).fold(LEAST, usize::max), below }
    }

    pub(super) fn head(&self, page: &mut Page) {
        let names = self.names;
        page.bold(format_args!("  {:<12}  {:<names$}  {:>8}  {:>8}  age", "image", "name", "size", "frees"));
    }

    pub(super) fn session(&self, page: &mut Page, session: &SessionSummary, now: Timestamp, verbose: bool) {
        for row in rows(session, now, verbose) {
            self.row(page, &row);
        }
    }

    fn row(&self, page: &mut Page, row: &Row) {
        let names = self.names;
        match row {
            Row::Image { id, names: all, size, frees, age } => {
                let shown = cell(all, self.below).filter(|name| name.chars().count() <= names || !self.below);
                let rest = all.iter().skip(usize::from(shown.is_some()));
                let name = shown.unwrap_or_default();
                page.line(format_args!("  {id}  {name:<names$}  {size:>8}  {frees:>8}  {age}"));
                rest.filter(|_| self.below).for_each(|name| page.line(format_args!("{:16}{name}", "")));
            }
            Row::Sum { what, size, frees } => {
                let width = names.saturating_add(14);
                page.line(format!("  {what:<width$}  {size:>8}  {frees:>8}").trim_end());
            }
        }
    }
}

pub(super) fn age(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(at)).unwrap_or_default()
}

/// What stands in the column of names: one, or all of them.
fn cell(names: &[String], below: bool) -> Option<String> {
    if below { names.first().cloned() } else { Some(names.join(", ")) }
}

fn names_of(image: &Owned) -> Vec<String> {
    let mut names = image.names.clone();
    names.sort_by_key(|name| name.chars().count());
    if names.is_empty() {
        names.push("untagged".to_owned());
    }
    names
}

/// The images with a line each, and how many more have names, and none.
fn listed(images: &[Owned], verbose: bool) -> (Vec<&Owned>, Vec<&Owned>, Vec<&Owned>) {
    let (mut listed, nameless): (Vec<&Owned>, Vec<&Owned>) =
        images.iter().partition(|image| verbose || !image.names.is_empty());
    let shown = if verbose { listed.len() } else { listed.len().min(SHOWN) };
    let more = listed.split_off(shown);
    (listed, more, nameless)
}

fn rows(session: &SessionSummary, now: Timestamp, verbose: bool) -> Vec<Row> {
    let (listed, more, nameless) = listed(&session.images, verbose);
    let frees = |images: &[&Owned]| human_bytes(total(images.iter().map(|image| image.frees)));
    let sum = |what: String, frees: String| Row::Sum { what, size: String::new(), frees };
    let mut rows: Vec<Row> = listed
        .into_iter()
        .map(|image| Row::Image {
            id: image.id.short(),
            names: names_of(image),
            size: human_bytes(image.size),
            frees: human_bytes(image.frees),
            age: human_duration(age(image.built, now)),
        })
        .collect();
    if !more.is_empty() {
        rows.push(sum(format!("and {} more with names", more.len()), frees(&more)));
    }
    if !nameless.is_empty() {
        rows.push(sum(count(nameless.len(), "leftover"), frees(&nameless)));
    }
    if session.cache > 0 {
        rows.push(Row::Sum { what: "build cache".to_owned(), size: human_bytes(session.cache), frees: String::new() });
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Life;
    use crate::model::books_tests::{id, key};
    use crate::report::Style;

    fn owned(n: u8, names: &[&str], frees: u64) -> Owned {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let built = Timestamp::from_second(i64::from(n) * 3600).expect("a time");
        Owned { id: id(n), names, built, size: 123_400_000, frees }
    }

    fn shown(width: Option<usize>, verbose: bool) -> String {
        let images = vec![
            owned(9, &["registry.example.org/acme/platform/shop:1.7", "shop:1.7"], 2_000_000),
            owned(8, &["registry.example.org/acme/platform/tool:1.7"], 0),
            owned(7, &["shop:dev"], 7),
            owned(6, &[], 1_000_000),
            owned(5, &[], 1_000_000),
        ];
        let session = SessionSummary {
            key: key("acme/shop", "local-4b1298ee"),
            life: Life::Unowned,
            here: true,
            last: Timestamp::UNIX_EPOCH,
            cleaned: None,
            images,
            cache: 8_000_000,
        };
        let style = width.map_or(Style::PLAIN, Style::of_width);
        let mut page = Page::new(style);
        let table = Images::of([&session].into_iter(), width, verbose);
        table.head(&mut page);
        table.session(&mut page, &session, Timestamp::from_second(36_000).expect("a time"), verbose);
        page.as_str().to_owned()
    }

    #[test]
    fn columns_fit_the_terminal_and_no_name_is_cut() {
        let narrow = "  image         name              size     frees  age
  090909090909  shop:1.7      123.4 MB      2 MB  1 hour
                registry.example.org/acme/platform/shop:1.7
  080808080808                123.4 MB       0 B  2 hours
                registry.example.org/acme/platform/tool:1.7
  070707070707  shop:dev      123.4 MB       7 B  3 hours
  2 leftovers                               2 MB
  build cache                     8 MB
";
        assert_eq!(shown(Some(60), false), narrow);
        assert_eq!(shown(Some(80), false), narrow, "what fits in 60 columns is not spread out");
        let wide = shown(Some(200), false);
        let line = "  080808080808  registry.example.org/acme/platform/tool:1.7  123.4 MB       0 B  2 hours";
        assert!(wide.lines().any(|shown| shown == line), "{wide}");
    }

    #[test]
    fn a_program_finds_an_image_a_line() {
        let piped = shown(None, true);
        assert_eq!(piped.lines().count(), 7, "{piped}");
        assert!(piped.contains("  shop:1.7, registry.example.org/acme/platform/shop:1.7  123.4 MB"), "{piped}");
        assert!(piped.contains("  050505050505  untagged  "), "{piped}");
    }
}
