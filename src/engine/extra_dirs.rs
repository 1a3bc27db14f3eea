//! The folders that docker's `config.json` names for plugins, changed in its text: all else stays as it is, byte for byte.
//!
//! Text in, text out. What comes out is read again, and differs from what went in by the one folder, or there is an error.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use serde_json::value::RawValue;
use serde_json::{Map, Value, from_str, to_string};

pub(super) const KEY: &str = "cliPluginsExtraDirs";

/// Why a text can't be changed.
pub(super) type WhyNot = String;

/// With this folder before all others. A text of nothing but spaces is no settings at all, as it is to docker.
pub(super) fn with(text: &str, folder: &str) -> Result<String, WhyNot> {
    let quoted = to_string(folder).map_err(|error| error.to_string())?;
    if text.trim().is_empty() {
        return Ok(format!("{{\n\t\"{KEY}\": [{quoted}]\n}}\n"));
    }
    if let [first, others @ ..] = &*named(text)
        && first == folder
        && !others.contains(first)
    {
        return Ok(text.to_owned());
    }
    let text = without(text, folder)?;
    let (at, new) = match List::of(&text)? {
        Some(list) => match list.items.first() {
            // As those behind it are written: in the same line, or each in its own.
            Some(first) => (first.start..first.start, format!("{quoted},{}", spaces_before(&text, first.start, " "))),
            None => (list.whole, format!("[{quoted}]")),
        },
        None => member(&text, &quoted)?,
    };
    let changed = replaced(&text, at, &new);
    let want = |settings: &mut Map<String, Value>| {
        let others = folders(settings).unwrap_or_default();
        settings.insert(KEY.to_owned(), [folder.into()].into_iter().chain(others).collect());
    };
    checked(&text, changed, want)
}

/// Without this folder, and without the list where it named no other.
pub(super) fn without(text: &str, folder: &str) -> Result<String, WhyNot> {
    let Some(list) = List::of(text)? else { return Ok(text.to_owned()) };
    let is_it = |item: &Range<usize>| from_str::<String>(&text[item.clone()]).is_ok_and(|name| name == folder);
    let Some(at) = list.items.iter().position(is_it) else { return Ok(text.to_owned()) };
    let (item, before) = (&list.items[at], at.checked_sub(1).and_then(|before| list.items.get(before)));
    let cut = match (before, list.items.get(at.saturating_add(1))) {
        (_, Some(next)) => item.start..next.start,
        (Some(before), None) => before.end..item.end,
        (None, None) => member_at(text, &list.whole).unwrap_or(item.clone()),
    };
    let changed = replaced(text, cut, "");
    let want = |settings: &mut Map<String, Value>| {
        let mut left = folders(settings).unwrap_or_default();
        left.remove(at);
        settings.insert(KEY.to_owned(), left.into());
    };
    let left = checked(text, changed, want)?;
    // It may have been there twice.
    without(&left, folder)
}

/// The folders, as they are named.
pub(super) fn named(text: &str) -> Vec<String> {
    let list = List::of(text).ok().flatten();
    let items = list.iter().flat_map(|list| &list.items);
    items.filter_map(|item| from_str(&text[item.clone()]).ok()).collect()
}

/// Where the list and what it names stand in the text.
struct List {
    whole: Range<usize>,
    items: Vec<Range<usize>>,
}

impl List {
    fn of(text: &str) -> Result<Option<Self>, WhyNot> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let settings: HashMap<Cow<'_, str>, &RawValue> = from_str(text).map_err(|error| error.to_string())?;
        let Some(list) = settings.get(KEY) else { return Ok(None) };
        let place = |part: &RawValue| {
            let start = (part.get().as_ptr().addr()).saturating_sub(text.as_ptr().addr());
            start..start.saturating_add(part.get().len())
        };
        let items: Option<Vec<&RawValue>> =
            from_str(list.get()).map_err(|_| format!("{KEY} in it is no list of folders"))?;
        Ok(Some(Self { whole: place(list), items: items.iter().flatten().map(|item| place(item)).collect() }))
    }
}

/// Where the list is to be named for the first time, and the words of it: before all other settings.
fn member(text: &str, quoted: &str) -> Result<(Range<usize>, String), WhyNot> {
    let start = text.find('{').ok_or("it is no object")?.saturating_add(1);
    let first = start.saturating_add(text[start..].len().saturating_sub(text[start..].trim_start().len()));
    if text[first..].starts_with('}') {
        return Ok((start..first, format!("\n\t\"{KEY}\": [{quoted}]\n")));
    }
    Ok((first..first, format!("\"{KEY}\": [{quoted}],{}", spaces_before(text, first, " "))))
}

/// The list's name and the list itself, with the comma that goes with them. `None` where the name is written with escapes.
fn member_at(text: &str, list: &Range<usize>) -> Option<Range<usize>> {
    let before = text[..list.start].trim_end().strip_suffix(':')?.trim_end().strip_suffix(&format!("\"{KEY}\""))?;
    let behind = text[list.end..].trim_start();
    if let Some(next) = behind.strip_prefix(',') {
        return Some(before.len()..text.len().saturating_sub(next.trim_start().len()));
    }
    let start = before.trim_end().strip_suffix(',').map_or(before.len(), str::len);
    Some(start..list.end)
}

/// The spaces in front of a place, or what stands for them where there are none.
fn spaces_before<'t>(text: &'t str, at: usize, none: &'t str) -> &'t str {
    let before = &text[..at];
    let spaces = &before[before.trim_end().len()..];
    if spaces.is_empty() { none } else { spaces }
}

fn replaced(text: &str, at: Range<usize>, new: &str) -> String {
    [&text[..at.start], new, &text[at.end..]].concat()
}

fn folders(settings: &Map<String, Value>) -> Option<Vec<Value>> {
    settings.get(KEY)?.as_array().cloned()
}

/// What came of a change, if it is what was wanted. A list that names nothing is none.
fn checked(before: &str, after: String, want: impl Fn(&mut Map<String, Value>)) -> Result<String, WhyNot> {
    let read = |text: &str| from_str::<Map<String, Value>>(text).map_err(|error| error.to_string());
    let bare = |mut settings: Map<String, Value>| {
        if folders(&settings).is_none_or(|folders| folders.is_empty()) {
            settings.remove(KEY);
        }
        settings
    };
    let mut wanted = read(before)?;
    want(&mut wanted);
    if bare(read(&after)?) == bare(wanted) { Ok(after) } else { Err("its words are not understood".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_named_first_and_taken_away_again_and_not_a_byte_else_changes() {
        let ours = "\"/o\"";
        for (before, after) in [
            ("{}", "{\n\t\"cliPluginsExtraDirs\": [OURS]\n}"),
            (" { } \n", " {\n\t\"cliPluginsExtraDirs\": [OURS]\n} \n"),
            (r#"{"a":1}"#, r#"{"cliPluginsExtraDirs": [OURS], "a":1}"#),
            (
                "{\n\t\"auths\": {\"r\": {}},\n\t\"x\": [1, 2]\n}\n",
                "{\n\t\"cliPluginsExtraDirs\": [OURS],\n\t\"auths\": {\"r\": {}},\n\t\"x\": [1, 2]\n}\n",
            ),
            (r#"{"cliPluginsExtraDirs": ["/x"], "a": "}"}"#, r#"{"cliPluginsExtraDirs": [OURS, "/x"], "a": "}"}"#),
            (r#"{"cliPluginsExtraDirs":["/x","/y"]}"#, r#"{"cliPluginsExtraDirs":[OURS, "/x","/y"]}"#),
            (
                "{\"cliPluginsExtraDirs\": [\n    \"/x\"\n  ]\n}",
                "{\"cliPluginsExtraDirs\": [\n    OURS,\n    \"/x\"\n  ]\n}",
            ),
            (r#"{"cliPlugins\u0045xtraDirs": ["/x"]}"#, r#"{"cliPlugins\u0045xtraDirs": [OURS, "/x"]}"#),
            (r#"{"é": "\"ü", "cliPluginsExtraDirs": ["/x"]}"#, r#"{"é": "\"ü", "cliPluginsExtraDirs": [OURS, "/x"]}"#),
        ] {
            let after = after.replace("OURS", ours);
            let changed = with(before, "/o").expect(before);
            assert_eq!(changed, after);
            assert_eq!(with(&changed, "/o").expect("again"), after, "once is enough");
            let back = without(&changed, "/o").expect("back");
            assert!(back == before || before.trim().len() < 4, "{before}: {back}");
            assert_eq!(without(before, "/o").expect("nothing to take"), before);
        }
    }

    #[test]
    fn what_others_wrote_meanwhile_stays() {
        let after = |text: &str| without(text, "/o").expect(text);
        assert_eq!(after(r#"{"a":1,"cliPluginsExtraDirs":["/o"],"b":2}"#), r#"{"a":1,"b":2}"#);
        assert_eq!(after(r#"{"a":1,"cliPluginsExtraDirs":["/o"]}"#), r#"{"a":1}"#);
        assert_eq!(after(r#"{"cliPluginsExtraDirs":["/x","/o"]}"#), r#"{"cliPluginsExtraDirs":["/x"]}"#);
        assert_eq!(after(r#"{"cliPluginsExtraDirs":["/o","/x","/o"]}"#), r#"{"cliPluginsExtraDirs":["/x"]}"#);
        assert_eq!(after("{\n\t\"cliPluginsExtraDirs\": [\"/o\"]\n}"), "{\n\t\n}");
        assert_eq!(after(r#"{"cliPlugins\u0045xtraDirs": ["/o"]}"#), r#"{"cliPlugins\u0045xtraDirs": []}"#);
        assert_eq!(
            with(r#"{"cliPluginsExtraDirs":["/x","/o"]}"#, "/o").expect("first"),
            r#"{"cliPluginsExtraDirs":["/o", "/x"]}"#
        );
    }

    #[test]
    fn what_is_no_object_is_refused_and_nothing_is_something_to_begin_with() {
        for text in [
            "{",
            "[]",
            "\"x\"",
            "{} {}",
            "\u{feff}{}",
            r#"{"cliPluginsExtraDirs": "x"}"#,
            r#"{"cliPluginsExtraDirs": {}}"#,
        ] {
            assert!(with(text, "/o").is_err(), "{text}");
        }
        for text in ["", " \n", "{}", r#"{"cliPluginsExtraDirs": null}"#, r#"{"cliPluginsExtraDirs": []}"#] {
            assert_eq!(named(&with(text, "/o").expect(text)), ["/o"], "{text}");
        }
        assert_eq!(named(r#"{"cliPluginsExtraDirs": ["/a", 1, "/b"]}"#), ["/a", "/b"]);
    }
}
