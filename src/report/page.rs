//! The one place where text from outside becomes text for a terminal or a log.
//!
//! Names, labels, versions and messages come from engines, files and other people's builds. Whatever they hold, a
//! line stays one line, shows all that it says and tells the terminal nothing.

use std::borrow::Cow;
use std::fmt::{self, Display, Write as _};

use jiff::Timestamp;
use serde::Serialize;

use super::style::Style;
use crate::error::Error;

/// Characters of one line; nobody reads more, and who sends more means no good.
const LONGEST: usize = 16 * 1024;

/// Lines, each clean. There is no other way to make one than by the functions here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    text: String,
    style: Style,
}

impl Page {
    pub(crate) fn new(style: Style) -> Self {
        Self { text: String::new(), style }
    }

    /// Of one line.
    pub(crate) fn of(line: impl Display) -> Self {
        let mut page = Self::default();
        page.line(line);
        page
    }

    /// A text whose line breaks are our own.
    pub(crate) fn of_lines(text: &str) -> Self {
        let mut page = Self::default();
        text.lines().for_each(|line| page.line(line));
        page
    }

    /// A document. JSON has a way to say every character, so that what is shown is clean and what is read is true.
    pub(crate) fn json(document: &impl Serialize) -> Self {
        // Plain data with string keys: there is nothing in it that JSON could not say.
        Self::of_json(&serde_json::to_string_pretty(document).unwrap_or_default())
    }

    /// A text that is JSON already.
    pub(crate) fn of_json(text: &str) -> Self {
        let mut page = Self { text: String::with_capacity(text.len().saturating_add(1)), ..Self::default() };
        for c in text.chars() {
            if c == '\n' || is_shown(c) {
                page.text.push(c);
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(page.text, "\\u{unit:04x}");
                }
            }
        }
        page.text.push('\n');
        page
    }

    pub(crate) fn line(&mut self, text: impl Display) {
        self.parts(&[(&text, None)]);
    }

    pub(crate) fn dim(&mut self, text: impl Display) {
        self.parts(&[(&text, Some("2"))]);
    }

    pub(crate) fn bold(&mut self, text: impl Display) {
        self.parts(&[(&text, Some("1"))]);
    }

    /// One line, the end of it dim.
    pub(crate) fn line_and_dim(&mut self, text: impl Display, dim: impl Display) {
        self.parts(&[(&text, None), (&dim, Some("2"))]);
    }

    /// A line that on a narrow terminal goes on below, after an indent.
    pub(crate) fn wrapped(&mut self, text: impl Display, indent: usize) {
        for line in wrapped(&text.to_string(), self.width().unwrap_or(usize::MAX), indent) {
            self.line(line);
        }
    }

    /// What a page is about, and where: dim, and on a narrow terminal in several lines.
    pub(crate) fn heading(&mut self, text: impl Display) {
        for line in wrapped(&text.to_string(), self.width().unwrap_or(usize::MAX), 2) {
            self.dim(line);
        }
    }

    /// The same between the marks by which GitLab's log folds it to its first line, and says how long it took.
    pub(super) fn folded(mut self, began: Timestamp, ended: Timestamp) -> Self {
        let name = began.as_millisecond();
        let mark = |what: &str, at: Timestamp| format!("\x1b[0Ksection_{what}:{}:dkb_{name}\r\x1b[0K", at.as_second());
        self.text = format!("{}{}{}\n", mark("start", began), self.text, mark("end", ended));
        self
    }

    /// The columns that there are; none where it is no terminal.
    pub(super) fn width(&self) -> Option<usize> {
        self.style.width
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    fn parts(&mut self, parts: &[(&dyn Display, Option<&str>)]) {
        for (text, code) in parts {
            let text = text.to_string();
            let text = clean(&text);
            let _ = match code.filter(|_| self.style.colored) {
                Some(code) => write!(self.text, "\x1b[{code}m{text}\x1b[0m"),
                None => write!(self.text, "{text}"),
            };
        }
        self.text.push('\n');
    }
}

/// A text in lines of so many columns, broken between words. The first begins where it begins, all others after an
/// indent. A word that is longer than a line is left whole: it may be what somebody copies.
pub(super) fn wrapped(text: &str, width: usize, indent: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for (n, word) in text.split(' ').enumerate() {
        let begins = n == 0 || line.len() == indent && !lines.is_empty();
        let length = line.chars().count().saturating_add(word.chars().count());
        if !begins && length >= width {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
        } else if !begins {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// A list in lines of about so many columns, broken between its items alone: one may be a command.
pub(super) fn by_items(list: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for item in list.split_inclusive(", ") {
        let length = line.chars().count().saturating_add(item.trim_end().chars().count());
        if !line.is_empty() && length > width {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
        }
        line.push_str(item);
    }
    lines.push(line.trim_end().to_owned());
    lines
}

/// The same text, and what can't be seen in it, or would do something, written out: `\n`, `\u{1b}`.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    let cut = text.char_indices().nth(LONGEST).map(|(at, _)| text.split_at(at));
    if cut.is_none() && text.chars().all(is_shown) {
        return Cow::Borrowed(text);
    }
    let (text, rest) = cut.unwrap_or((text, ""));
    let mut cleaned = String::with_capacity(text.len());
    for c in text.chars() {
        if is_shown(c) {
            cleaned.push(c);
        } else {
            cleaned.extend(c.escape_default());
        }
    }
    if !rest.is_empty() {
        let _ = write!(cleaned, "… and {} more characters", rest.chars().count());
    }
    Cow::Owned(cleaned)
}

/// Whether a character is only seen. The standard library knows which have a shape: none that controls or formats,
/// turns the direction or breaks the line. What combines with a letter is asked for behind one.
fn is_shown(c: char) -> bool {
    if c.is_ascii() {
        return matches!(c, ' '..='~');
    }
    let mut pair = [b'a'; 5];
    let length = c.encode_utf8(&mut pair[1..]).len().saturating_add(1);
    std::str::from_utf8(&pair[..length]).is_ok_and(|pair| pair.escape_debug().eq(['a', c]))
}

/// What can be said: a line of words, or an error, whose next step has a line of its own.
#[derive(Debug)]
pub(crate) struct Words {
    line: String,
    next: Option<String>,
}

impl Words {
    pub(super) fn page(&self, before: &str) -> Page {
        // Who speaks is said once.
        let before = if self.line.starts_with("dkb ") && before == "dkb: " { "" } else { before };
        let mut page = Page::of(format_args!("{before}{}", self.line));
        if let Some(next) = &self.next {
            page.line(format_args!("  {next}"));
        }
        page
    }

    /// The same, as a part of something larger.
    pub(super) fn under(self, what: impl fmt::Display) -> Self {
        Self { line: format!("{what}: {}", self.line), ..self }
    }

    pub(super) fn in_one_line(&self) -> String {
        [Some(&*self.line), self.next.as_deref()].into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

impl From<&Error> for Words {
    fn from(error: &Error) -> Self {
        Self { line: error.what(), next: error.next().map(str::to_owned) }
    }
}

impl From<Error> for Words {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl From<fmt::Arguments<'_>> for Words {
    fn from(words: fmt::Arguments) -> Self {
        Self { line: words.to_string(), next: None }
    }
}

impl From<&str> for Words {
    fn from(words: &str) -> Self {
        Self { line: words.to_owned(), next: None }
    }
}

impl From<&String> for Words {
    fn from(words: &String) -> Self {
        Self::from(words.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_list_is_broken_between_its_items() {
        let lines = |list, width| by_items(list, width);
        assert_eq!(lines("a, b (run: dkb session end b), c", 12), ["a,", "b (run: dkb session end b),", "c"]);
        assert_eq!(lines("a, b, c", 5), ["a, b,", "c"]);
        assert_eq!(lines("one item of many words", 5), ["one item of many words"]);
        assert_eq!(lines("", 5), [""], "a row without a list is a row");
    }

    #[test]
    fn what_would_do_something_is_written_out() {
        for (text, cleaned) in [
            ("app:1.0_x", "app:1.0_x"),
            ("", ""),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("a\nb\r\nc\td\0", "a\\nb\\r\\nc\\td\\u{0}"),
            ("\u{8}\u{c}\u{7f}", "\\u{8}\\u{c}\\u{7f}"),
            ("\u{9b}31m\u{85}\u{9d}", "\\u{9b}31m\\u{85}\\u{9d}"),
            ("\u{2028}\u{2029}", "\\u{2028}\\u{2029}"),
            ("\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}", "\\u{202a}\\u{202b}\\u{202c}\\u{202d}\\u{202e}"),
            ("\u{2066}\u{2067}\u{2068}\u{2069}", "\\u{2066}\\u{2067}\\u{2068}\\u{2069}"),
            ("\u{200e}\u{200f}\u{61c}", "\\u{200e}\\u{200f}\\u{61c}"),
            ("a\u{200b}b\u{200d}c\u{feff}\u{ad}", "a\\u{200b}b\\u{200d}c\\u{feff}\\u{ad}"),
            ("\u{e0041}\u{fff9}\u{e000}", "\\u{e0041}\\u{fff9}\\u{e000}"),
            ("Größe · 日本語 e\u{301} हिन्दी 🐳…", "Größe · 日本語 e\u{301} हिन्दी 🐳…"),
            (&String::from_utf8_lossy(b"a\xff\xc3(b"), "a\u{fffd}\u{fffd}(b"),
            (r"\u{1b} 'quoted' \", r"\u{1b} 'quoted' \"),
        ] {
            assert_eq!(clean(text), cleaned, "{text:?}");
            assert_eq!(clean(cleaned), cleaned, "clean is clean");
        }
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let long = "ä".repeat(LONGEST);
        assert_eq!(clean(&long), long);
        assert_eq!(clean(&format!("{long}\nab")), format!("{long}… and 3 more characters"));
    }

    #[test]
    fn what_is_too_wide_goes_on_below() {
        for (text, width, lines) in [
            ("a bb ccc", 80, vec!["a bb ccc"]),
            ("a bb ccc", 8, vec!["a bb ccc"]),
            ("a bb ccc", 7, vec!["a bb", "  ccc"]),
            ("a bb ccc d", 4, vec!["a bb", "  ccc", "  d"]),
            ("longer-than-that a", 6, vec!["longer-than-that", "  a"]),
            ("", 6, vec![""]),
        ] {
            assert_eq!(wrapped(text, width, 2), lines, "{text} in {width}");
        }
    }

    #[test]
    fn our_own_colours_are_all_that_is_not_text() {
        let foreign = "\u{1b}[0m\nx";
        let mut page = Page::new(Style { colored: true, width: None });
        page.dim(foreign);
        page.bold("b");
        page.line_and_dim("c ", foreign);
        let shown = "\\u{1b}[0m\\nx";
        let colored = format!("\u{1b}[2m{shown}\u{1b}[0m\n\u{1b}[1mb\u{1b}[0m\nc \u{1b}[2m{shown}\u{1b}[0m\n");
        assert_eq!(page.as_str(), colored);
        let mut page = Page::new(Style::PLAIN);
        page.dim("a");
        assert_eq!(page.as_str(), "a\n");
        assert_eq!(Page::of_lines("b\n\n\u{1b}c").as_str(), "b\n\n\\u{1b}c\n");
    }

    #[test]
    fn an_error_has_its_next_step_below_and_no_other_line() {
        let error = Error::failed("reading a\nb", "one\n  two\r\nthree\u{7}").hint("do\nthis");
        let expected = "dkb: reading a\\nb: one two three\\u{7}\n  do\\nthis\n";
        assert_eq!(Words::from(&error).page("dkb: ").as_str(), expected);
        assert_eq!(Words::from(&error).in_one_line(), "reading a\nb: one two three\u{7}; do\nthis");
        assert_eq!(Words::from("dkb clean: no").page("dkb: ").as_str(), "dkb clean: no\n");
        assert_eq!(Words::from("dkb clean: no").page("dkb: warning: ").as_str(), "dkb: warning: dkb clean: no\n");
        assert_eq!(Words::from("a").in_one_line(), "a");
        assert_eq!(Words::from(format_args!("a\nb")).page("").as_str(), "a\\nb\n");
    }

    #[test]
    fn json_says_the_same_and_shows_it() {
        let text = "\u{1b}[2J\r\n\u{7f}\u{9b}\u{202e}\u{2028}\u{e0041}\u{feff}ä\"\\";
        let page = Page::json(&serde_json::json!({ "name": text }));
        assert!(page.as_str().chars().all(|c| c == '\n' || is_shown(c)), "{page:?}");
        let read: serde_json::Value = serde_json::from_str(page.as_str()).expect("JSON");
        assert_eq!(read["name"], text);
    }

    proptest! {
        #[test]
        fn a_line_is_a_line(text in any::<String>(), chars in prop::collection::vec(any::<char>(), 0..40)) {
            for text in [text, chars.into_iter().collect()] {
                let page = Page::of(&text);
                let (line, end) = page.as_str().split_at(page.as_str().len() - 1);
                prop_assert_eq!(end, "\n");
                prop_assert!(line.chars().all(is_shown), "{:?}", line);
                let read: String = serde_json::from_str(Page::json(&text).as_str()).expect("JSON");
                prop_assert_eq!(read, text);
            }
        }
    }
}
