//! The images of sessions as one table, whose columns fit the terminal. No name is cut: it may be copied.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;

use super::super::Page;
use super::super::words::{count, held_by, holders, in_words, list, words};
use crate::model::{ImageId, Kept, KeptReason, Name, Plan, Step, human_bytes, human_duration, total};
use crate::plan::status::{Owned, SessionSummary};

/// Images of one session that a terminal names before the rest is counted, and names of what others stand under.
const SHOWN: usize = 5;
/// All columns but the names, with what parts them.
const OTHERS: usize = 48;
/// The least that is left for a name.
const LEAST: usize = 12;
/// Where the names begin.
const NAMES: usize = 16;

/// One line of a session.
enum ImageRow {
    Image {
        id: String,
        /// The shortest first.
        names: Vec<String>,
        size: String,
        frees: String,
        age: String,
        /// Why the plain clean takes or leaves it.
        why: Option<String>,
    },
    /// Several things in one line.
    Sum { what: String, size: String, frees: String },
    /// What has no number.
    Note(String),
}

pub(super) struct Images<'a> {
    names: usize,
    /// That of the terminal.
    width: Option<usize>,
    verbose: bool,
    /// What the plain clean takes, and what it keeps.
    goes: HashMap<ImageId, &'a Step>,
    stays: HashMap<&'a str, &'a Kept>,
}

impl<'a> Images<'a> {
    /// `width`: of the terminal. `plan`: of the plain clean.
    pub(super) fn of(
        sessions: impl Iterator<Item = &'a SessionSummary>,
        plan: &'a Plan,
        width: Option<usize>,
        verbose: bool,
    ) -> Self {
        let goes = plan.steps.iter().filter_map(|step| Some((step.removed_image()?, step))).collect();
        let stays = plan.kept.iter().map(|kept| (kept.id.as_str(), kept)).collect();
        let table = Self { names: LEAST, width, verbose, goes, stays };
        let most = width.map_or(usize::MAX, |width| width.saturating_sub(OTHERS).max(LEAST));
        let images =
            sessions.flat_map(|session| table.listed(session).0.into_iter().map(|image| (image, session.last)));
        let names = images.filter_map(|(image, last)| table.cell(&names_of(image, last)));
        let names = names.map(|name| name.chars().count());
        Self { names: names.filter(|length| *length <= most).fold(LEAST, usize::max), ..table }
    }

    pub(super) fn head(&self, page: &mut Page) {
        let names = self.names;
        let age = if self.verbose && self.width.is_none() { "age         why" } else { "age" };
        page.bold(format_args!("  {:<12}  {:<names$}  {:>8}  {:>8}  {age}", "image", "name", "size", "frees"));
    }

    pub(super) fn session(&self, page: &mut Page, session: &SessionSummary, now: Timestamp) {
        for row in self.rows(session, now) {
            self.row(page, &row);
        }
    }

    fn row(&self, page: &mut Page, row: &ImageRow) {
        let (names, below) = (self.names, self.width.is_some());
        match row {
            ImageRow::Image { id, names: all, size, frees, age, why } => {
                let shown = self.cell(all).filter(|name| name.chars().count() <= names || !below);
                let rest = all.iter().skip(usize::from(shown.is_some()));
                let name = shown.unwrap_or_default();
                let beside = why.as_deref().filter(|_| !below).unwrap_or_default();
                let line = format!("  {id}  {name:<names$}  {size:>8}  {frees:>8}  {age:<10}  {beside}");
                page.line(line.trim_end());
                rest.filter(|_| below).for_each(|name| page.line(format_args!("{:NAMES$}{name}", "")));
                if let Some(why) = why.as_ref().filter(|_| below) {
                    page.wrapped(format_args!("{:NAMES$}{why}", ""), NAMES.saturating_add(2));
                }
            }
            ImageRow::Sum { what, size, frees } => {
                let width = names.saturating_add(14);
                page.line(format!("  {what:<width$}  {size:>8}  {frees:>8}").trim_end());
            }
            ImageRow::Note(what) => page.wrapped(format_args!("  {what}"), 4),
        }
    }

    /// What stands in the column of names: one, each other below it, or all of them, where it is no terminal.
    fn cell(&self, names: &[String]) -> Option<String> {
        if self.width.is_some() { names.first().cloned() } else { Some(names.join(", ")) }
    }

    /// The images with a line each, how many more there are of that kind, and those that no tag names. What the last
    /// build ended in is looked for, with a tag or without.
    fn listed<'s>(&self, session: &'s SessionSummary) -> (Vec<&'s Owned>, Vec<&'s Owned>, Vec<&'s Owned>) {
        let (mut listed, nameless): (Vec<&Owned>, Vec<&Owned>) = session
            .images
            .iter()
            .partition(|image| self.verbose || !image.names.is_empty() || is_last(image, session.last));
        // Whoever reads by a program gets it all.
        let shown = if self.verbose || self.width.is_none() { listed.len() } else { listed.len().min(SHOWN) };
        let more = listed.split_off(shown);
        (listed, more, nameless)
    }

    /// What comes back: with the plain clean, or, of what that keeps, if it alone goes.
    fn frees(&self, image: &Owned) -> u64 {
        self.goes.get(&image.id).map_or(image.frees, |step| step.bytes)
    }

    fn why(&self, image: &Owned) -> Option<String> {
        let kept = || self.stays.get(&*image.id.to_string()).copied();
        match self.goes.get(&image.id) {
            Some(step) => Some(format!("goes: {}", in_words(step.reason))),
            None => kept().map(|kept| {
                // The row has its names.
                let held = Some(held_by(kept)).filter(|held| *held != image.names.join(", ")).unwrap_or_default();
                format!("stays: {} {held}", words(kept.reason)).trim_end().to_owned()
            }),
        }
    }

    fn rows(&self, session: &SessionSummary, now: Timestamp) -> Vec<ImageRow> {
        let (listed, more, nameless) = self.listed(session);
        let frees = |images: &[&Owned]| human_bytes(total(images.iter().map(|image| self.frees(image))));
        let sum = |what: String, frees: String| ImageRow::Sum { what, size: String::new(), frees };
        let row = |image: &Owned| ImageRow::Image {
            id: image.id.short(),
            names: names_of(image, session.last),
            size: human_bytes(image.size),
            frees: human_bytes(self.frees(image)),
            age: human_duration(age(image.built, now)),
            why: self.why(image).filter(|_| self.verbose),
        };
        // Those of no project of compose's last, since what is summed up below may be theirs as well.
        let mut composes: BTreeMap<(bool, Option<&Name>), Vec<&Owned>> = BTreeMap::new();
        for image in listed {
            composes.entry((image.compose.is_none(), image.compose.as_ref())).or_default().push(image);
        }
        let is_told = composes.keys().any(|(_, compose)| compose.is_some());
        let mut rows: Vec<ImageRow> = Vec::new();
        for ((_, compose), images) in composes {
            let whose = compose.map_or("no compose project".to_owned(), |name| format!("compose project {name}"));
            rows.extend(is_told.then_some(ImageRow::Note(whose)));
            rows.extend(images.into_iter().map(row));
        }
        if !more.is_empty() {
            rows.push(sum(format!("and {} more with names", more.len()), frees(&more)));
        }
        let (going, staying): (Vec<&Owned>, Vec<&Owned>) =
            nameless.into_iter().partition(|image| self.goes.contains_key(&image.id));
        if !going.is_empty() {
            rows.push(sum(count(going.len(), "leftover"), frees(&going)));
        }
        rows.extend(self.staying(&staying).into_iter().map(ImageRow::Note));
        if session.cache > 0 {
            let shared = match session.shared_cache {
                0 => String::new(),
                shared if shared == session.cache => ", shared".to_owned(),
                shared => format!(", {} shared", human_bytes(shared)),
            };
            let (what, size) = (format!("build cache{shared}"), human_bytes(session.cache));
            rows.push(ImageRow::Sum { what, size, frees: String::new() });
        }
        rows
    }

    /// What has no tag and stays all the same, a line a reason.
    fn staying(&self, images: &[&Owned]) -> Vec<String> {
        let mut groups: BTreeMap<KeptReason, Vec<&Kept>> = BTreeMap::new();
        let mut unsaid = 0_usize;
        for image in images {
            match self.stays.get(&*image.id.to_string()) {
                Some(kept) => groups.entry(kept.reason).or_default().push(kept),
                None => unsaid = unsaid.saturating_add(1),
            }
        }
        let said = groups.into_iter().map(|(reason, group)| match reason {
            KeptReason::Base => {
                format!("{} under {}", count(group.len(), "step"), list(&holders(&group), SHOWN))
            }
            reason => format!("{} kept: {}", count(group.len(), "leftover"), words(reason)),
        });
        let unsaid = (unsaid > 0).then(|| format!("{} kept", count(unsaid, "leftover")));
        said.chain(unsaid).collect()
    }
}

pub(super) fn age(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(at)).unwrap_or_default()
}

/// The shortest first.
fn names_of(image: &Owned, last: Timestamp) -> Vec<String> {
    let mut names = image.names.clone();
    names.sort_by_key(|name| name.chars().count());
    if names.is_empty() {
        names.push(if is_last(image, last) { "untagged, last build" } else { "untagged" }.to_owned());
    }
    names
}

/// Whether it is what the last build ended in.
fn is_last(image: &Owned, last: Timestamp) -> bool {
    image.result && image.built == last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::books_tests::{id, key};
    use crate::model::image_tests::host;
    use crate::model::{Deed, Holder, ImageGuard, Kind, Life, Reason};
    use crate::report::Style;

    fn owned(n: u8, names: &[&str], frees: u64) -> Owned {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let built = Timestamp::from_second(i64::from(n) * 3600).expect("a time");
        Owned { id: id(n), names, built, size: 123_400_000, frees, result: n != 4 && n != 3, compose: None }
    }

    fn kept(n: u8, reason: KeptReason, holders: Vec<Holder>) -> Kept {
        let (kind, id) = (Kind::Image, id(n).to_string());
        Kept { kind, id, names: Vec::new(), bytes: 0, reason, holders }
    }

    /// The clean takes two of the untagged ones; others stand under what stays, or in a container.
    fn plan() -> Plan {
        let gone = |n| Step::new(Deed::RemoveImage { id: id(n), guard: ImageGuard::Untagged }, Reason::Leftover, 1_500);
        let child = |n, name: Option<&str>| vec![Holder::Child { id: id(n), name: name.map(str::to_owned) }];
        let kept = vec![
            kept(9, KeptReason::Tagged, Vec::new()),
            kept(2, KeptReason::InUse, Vec::new()),
            kept(4, KeptReason::Base, child(9, Some("shop:1.7"))),
            kept(3, KeptReason::Base, child(4, None)),
        ];
        let engine = host(Vec::new(), Vec::new()).engine;
        Plan::new("clean", &engine, Timestamp::UNIX_EPOCH, vec![gone(6), gone(5)], kept)
    }

    fn shown(width: Option<usize>, verbose: bool, last: i64) -> String {
        let images = vec![
            owned(9, &["registry.example.org/acme/platform/shop:1.7", "shop:1.7"], 2_000_000),
            owned(8, &["registry.example.org/acme/platform/tool:1.7"], 0),
            owned(7, &["shop:dev"], 7),
            owned(6, &[], 1_000_000),
            owned(5, &[], 1_000_000),
            owned(4, &[], 1_000_000),
            owned(3, &[], 1_000_000),
            owned(2, &[], 1_000_000),
        ];
        let session = SessionSummary {
            key: key("acme/shop", "local-4b1298ee"),
            life: Life::Unowned,
            here: true,
            own: true,
            last: Timestamp::from_second(last * 3600).expect("a time"),
            cleaned: None,
            images,
            cache: 8_000_000,
            shared_cache: 5_000_000,
        };
        let style = width.map_or(Style::PLAIN, Style::of_width);
        let mut page = Page::new(style);
        let plan = plan();
        let table = Images::of([&session].into_iter(), &plan, width, verbose);
        table.head(&mut page);
        table.session(&mut page, &session, Timestamp::from_second(36_000).expect("a time"));
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
  2 leftovers                               3 kB
  1 leftover kept: in use
  2 steps under shop:1.7
  build cache, 5 MB shared        8 MB
";
        assert_eq!(shown(Some(60), false, 9), narrow);
        assert_eq!(shown(Some(80), false, 9), narrow, "what fits in 60 columns is not spread out");
        let wide = shown(Some(200), false, 9);
        let line = "  080808080808  registry.example.org/acme/platform/tool:1.7  123.4 MB       0 B  2 hours";
        assert!(wide.lines().any(|shown| shown == line), "{wide}");
    }

    #[test]
    fn what_the_last_build_ended_in_has_a_line_without_a_tag() {
        let shown = shown(Some(80), false, 6);
        assert!(shown.contains("060606060606  untagged, last build  123.4 MB    1.5 kB  4 hours\n"), "{shown}");
        assert!(shown.contains("\n  1 leftover "), "{shown}");
    }

    #[test]
    fn a_program_finds_an_image_a_line_and_why_it_stays() {
        let piped = shown(None, true, 9);
        assert_eq!(piped.lines().count(), 10, "{piped}");
        let both =
            "  shop:1.7, registry.example.org/acme/platform/shop:1.7  123.4 MB      2 MB  1 hour      stays: tagged\n";
        assert!(piped.contains(both), "{piped}");
        assert!(piped.contains("  050505050505  untagged  "), "{piped}");
        assert!(piped.contains("  5 hours     goes: leftover\n"), "{piped}");
        assert!(shown(Some(80), true, 9).contains("\n                stays: under shop:1.7\n"));
    }

    #[test]
    fn what_compose_built_stands_below_its_project_and_nothing_else_does() {
        let compose = |n: u8, name: &str, of: &str| Owned { compose: Name::typed(of).ok(), ..owned(n, &[name], 0) };
        let images =
            vec![owned(9, &["plain"], 0), compose(8, "web", "shop"), compose(7, "db", "dev"), owned(1, &["other"], 0)];
        let session = SessionSummary {
            key: key("acme/shop", "s"),
            life: Life::Unowned,
            here: true,
            own: true,
            last: Timestamp::UNIX_EPOCH,
            cleaned: None,
            images,
            cache: 0,
            shared_cache: 0,
        };
        let (plan, mut page) = (plan(), Page::default());
        let now = Timestamp::from_second(36_000).expect("a time");
        Images::of([&session].into_iter(), &plan, Some(80), false).session(&mut page, &session, now);
        let words = |line: &str| line.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
        let lines: Vec<String> = page.as_str().lines().map(words).collect();
        let expected = [
            "compose project dev",
            "070707070707 db 123.4",
            "compose project shop",
            "080808080808 web 123.4",
            "no compose project",
            "090909090909 plain 123.4",
            "010101010101 other 123.4",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn who_names_an_image_is_not_said_again_below_that_name() {
        let image = owned(2, &["stranger:1"], 0);
        let held = vec![Holder::Name("stranger:1".to_owned())];
        let engine = host(Vec::new(), Vec::new()).engine;
        let stays = vec![kept(2, KeptReason::ForeignTag, held)];
        let plan = Plan::new("clean", &engine, Timestamp::UNIX_EPOCH, Vec::new(), stays);
        let table = Images::of(std::iter::empty(), &plan, Some(80), true);
        assert_eq!(table.why(&image).as_deref(), Some("stays: named by others"));
        let both = Owned { names: vec!["app:1".to_owned(), "stranger:1".to_owned()], ..image };
        assert_eq!(table.why(&both).as_deref(), Some("stays: named by others stranger:1"));
    }

    #[test]
    fn a_program_finds_all_that_have_names() {
        let named = |n| owned(n, &["app"], 0);
        let session = SessionSummary {
            key: key("acme/shop", "s"),
            life: Life::Unowned,
            here: true,
            own: true,
            last: Timestamp::UNIX_EPOCH,
            cleaned: None,
            images: (10..20).map(named).collect(),
            cache: 0,
            shared_cache: 0,
        };
        for (width, lines) in [(None, 10), (Some(80), SHOWN + 1)] {
            let plan = plan();
            let mut page = Page::default();
            let now = Timestamp::from_second(36_000).expect("a time");
            Images::of([&session].into_iter(), &plan, width, false).session(&mut page, &session, now);
            assert_eq!(page.as_str().lines().count(), lines, "{page:?}");
        }
    }
}
