//! Lines of a verb, a number, what is counted, and the rest, each in its column.

use super::Page;
use super::actions::row;
use super::page::{by_items, wrapped};

/// Columns for the rest, below which it has lines of its own.
const ENOUGH: usize = 40;
/// As wide as a list of names gets where there is no terminal to be wide.
const LIST: usize = 100;

#[derive(Default)]
pub(super) struct Table(Vec<[String; 4]>);

impl Table {
    pub(super) fn line(&mut self, verb: &str, n: usize, what: &str, rest: String) {
        self.0.push([verb.to_owned(), n.to_string(), what.to_owned(), rest]);
    }

    /// One more line of the same kind as the last.
    pub(super) fn more(&mut self, rest: String) {
        self.0.push([String::new(), String::new(), String::new(), rest]);
    }

    pub(super) fn write(&self, page: &mut Page) {
        let width = |column: usize| self.0.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let (verb, n, what) = (width(0), width(1).max(2), width(2).max(10));
        let begins = [verb, n, what, 5].into_iter().fold(0, usize::saturating_add);
        let most = page.width().unwrap_or_else(|| begins.saturating_add(LIST));
        for [a, b, c, rest] in &self.0 {
            let head = format!("{a:<verb$}  {b:>n$} {c:<what$}");
            let left = most.saturating_sub(begins);
            if left >= ENOUGH || begins.saturating_add(rest.chars().count()) <= most {
                let rests = if page.width().is_some() { wrapped(rest, left, 0) } else { by_items(rest, left) };
                for (at, rest) in rests.iter().enumerate() {
                    let head = if at == 0 { &head } else { "" };
                    page.line(format!("{head:<begins$}{rest}").trim_end());
                }
            } else {
                let indent = verb.saturating_add(2);
                if !a.is_empty() || !b.is_empty() {
                    page.line(head.trim_end());
                }
                for rest in wrapped(rest, most.saturating_sub(indent), 0) {
                    page.line(format_args!("{:indent$}{rest}", ""));
                }
            }
        }
    }

    /// The same for the page of a CI's job.
    pub(super) fn markdown(&self, page: &mut Page) {
        row(page, &["outcome", "count", "what", "which"]);
        page.line("|---|--:|---|---|");
        for [verb, n, what, rest] in &self.0 {
            row(page, &[verb, n, what, rest]);
        }
        page.line("");
    }

    #[cfg(test)]
    pub(super) fn lines(&self) -> Vec<String> {
        self.0.iter().map(|line| line.join(" ")).collect()
    }
}
