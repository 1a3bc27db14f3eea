//! Lines of a verb, a number, what is counted, how much it takes, and the rest, each in its column.

use super::Page;
use super::actions::row;
use super::page::{by_items, wrapped};

/// Columns for the rest, below which it has lines of its own.
const ENOUGH: usize = 40;
/// As wide as a list of names gets where there is no terminal to be wide.
const LIST: usize = 100;

#[derive(Default)]
pub(super) struct Table(Vec<TableLine>);

#[derive(Default)]
struct TableLine {
    verb: String,
    n: String,
    what: String,
    size: String,
    rest: String,
}

impl TableLine {
    /// What stands behind the columns where there is room for it.
    fn size_and_rest(&self) -> String {
        let parts = [&*self.size, &*self.rest].into_iter().filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join("  ")
    }
}

impl Table {
    pub(super) fn line(&mut self, verb: &str, n: usize, what: &str, rest: String) {
        self.sized(verb, n, what, String::new(), rest);
    }

    /// The same of things that take room.
    pub(super) fn sized(&mut self, verb: &str, n: usize, what: &str, size: String, rest: String) {
        self.0.push(TableLine { verb: verb.to_owned(), n: n.to_string(), what: what.to_owned(), size, rest });
    }

    /// One more line of the same kind as the last.
    pub(super) fn more(&mut self, rest: String) {
        self.0.push(TableLine { rest, ..TableLine::default() });
    }

    pub(super) fn write(&self, page: &mut Page) {
        let widest =
            |cell: fn(&TableLine) -> &str| self.0.iter().map(|line| cell(line).chars().count()).max().unwrap_or(0);
        let (verb, n, what) =
            (widest(|line| &line.verb), widest(|line| &line.n).max(2), widest(|line| &line.what).max(10));
        let begins = [verb, n, what, 5].into_iter().fold(0, usize::saturating_add);
        let most = page.width().unwrap_or_else(|| begins.saturating_add(LIST));
        let left = most.saturating_sub(begins);
        for line in &self.0 {
            let (a, b, c, both) = (&line.verb, &line.n, &line.what, line.size_and_rest());
            let head = format!("{a:<verb$}  {b:>n$} {c:<what$}");
            if left >= ENOUGH || begins.saturating_add(both.chars().count()) <= most {
                let rests = if page.width().is_some() { wrapped(&both, left, 0) } else { by_items(&both, left) };
                for (at, rest) in rests.iter().enumerate() {
                    let head = if at == 0 { &head } else { "" };
                    page.line(format!("{head:<begins$}{rest}").trim_end());
                }
            } else {
                if !a.is_empty() || !b.is_empty() {
                    page.line(format!("{head}  {}", line.size).trim_end());
                }
                let indent = verb.saturating_add(2);
                for rest in wrapped(&line.rest, most.saturating_sub(indent), 0).iter().filter(|rest| !rest.is_empty()) {
                    page.line(format_args!("{:indent$}{rest}", ""));
                }
            }
        }
    }

    /// The same for the page of a CI's job.
    pub(super) fn markdown(&self, page: &mut Page) {
        row(page, &["outcome", "count", "what, or why", "size", "which"]);
        page.line("|---|--:|---|--:|---|");
        for TableLine { verb, n, what, size, rest } in &self.0 {
            row(page, &[verb, n, what, size, rest]);
        }
        page.line("");
    }

    #[cfg(test)]
    pub(super) fn lines(&self) -> Vec<String> {
        let line = |line: &TableLine| format!("{} {} {} {}", line.verb, line.n, line.what, line.size_and_rest());
        self.0.iter().map(line).collect()
    }
}
