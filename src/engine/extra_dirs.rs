//! The folders that docker's `config.json` names for plugins, changed in its text: all else stays as it is, byte for byte.
//!
//! Text in, text out. What comes out is read again, and differs from what went in by the one folder, or there is an error.

use std::ops::Range;

use serde_json::value::RawValue;
use serde_json::{from_str, to_string};

use super::cli_files::EXTRA_DIRS as KEY;
use super::docker_json::{is_named, members};

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
    let mut wanted = items(&text);
    wanted.insert(0, &quoted);
    checked(&text, changed, &wanted)
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
        // Without this one, another of its name would count.
        (None, None) if !list.is_the_only_one => item.clone(),
        (None, None) => member_at(text, &list.whole).unwrap_or(item.clone()),
    };
    let mut wanted = items(text);
    wanted.remove(at);
    let left = checked(text, replaced(text, cut, ""), &wanted)?;
    // It may have been there twice.
    without(&left, folder)
}

/// The folders, as they are named.
pub(super) fn named(text: &str) -> Vec<String> {
    items(text).into_iter().filter_map(|item| from_str(item).ok()).collect()
}

/// What stands in the list, in its own words.
fn items(text: &str) -> Vec<&str> {
    let list = List::of(text).ok().flatten();
    list.iter().flat_map(|list| &list.items).map(|item| &text[item.clone()]).collect()
}

/// Where the list and what it names stand in the text.
struct List {
    whole: Range<usize>,
    items: Vec<Range<usize>>,
    is_the_only_one: bool,
}

impl List {
    fn of(text: &str) -> Result<Option<Self>, WhyNot> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let members = members(text).map_err(|error| error.to_string())?;
        let mut lists = members.iter().rev().filter(|(name, _)| is_named(name, KEY));
        let Some((_, list)) = lists.next() else { return Ok(None) };
        let place = |part: &RawValue| {
            let start = (part.get().as_ptr().addr()).saturating_sub(text.as_ptr().addr());
            start..start.saturating_add(part.get().len())
        };
        let items: Option<Vec<&RawValue>> =
            from_str(list.get()).map_err(|_| format!("{KEY} in it is no list of folders"))?;
        Ok(Some(Self {
            whole: place(list),
            items: items.iter().flatten().map(|item| place(item)).collect(),
            is_the_only_one: lists.next().is_none(),
        }))
    }
}

/// Where the list is to be named for the first time, and the words of it: before all other settings.
fn member(text: &str, quoted: &str) -> Result<(Range<usize>, String), WhyNot> {
    let start = text.find('{').ok_or("it is no object")?.saturating_add(1);
    let first = start.saturating_add(text[start..].len().saturating_sub(text[start..].trim_start().len()));
    if text[first..].starts_with('}') {
        return Ok((start..start, format!("\"{KEY}\": [{quoted}]")));
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

/// What came of a change, if the list says what is wanted, and all else what it said.
fn checked(before: &str, after: String, wanted: &[&str]) -> Result<String, WhyNot> {
    let is_right = items(&after) == wanted && others(before)? == others(&after)?;
    if is_right { Ok(after) } else { Err("its words are not understood".to_owned()) }
}

/// All that it says but for the list.
fn others(text: &str) -> Result<Vec<(String, &str)>, WhyNot> {
    let mut members = members(text).map_err(|error| error.to_string())?;
    if let Some(list) = members.iter().rposition(|(name, _)| is_named(name, KEY)) {
        members.remove(list);
    }
    Ok(members.into_iter().map(|(name, value)| (name, value.get())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_named_first_and_taken_away_again_and_not_a_byte_else_changes() {
        let ours = "\"/o\"";
        for (before, after) in [
            ("{}", "{\"cliPluginsExtraDirs\": [OURS]}"),
            (" { } \n", " {\"cliPluginsExtraDirs\": [OURS] } \n"),
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
            ("{\"a\":1}\nrest", "{\"cliPluginsExtraDirs\": [OURS], \"a\":1}\nrest"),
            (r#"{"CLIPluginsExtraDirs": ["/x"]} {}"#, r#"{"CLIPluginsExtraDirs": [OURS, "/x"]} {}"#),
            (
                r#"{"cliPluginsExtraDirs": ["/x"], "clipluginsExtraDirs": ["/y"]}"#,
                r#"{"cliPluginsExtraDirs": ["/x"], "clipluginsExtraDirs": [OURS, "/y"]}"#,
            ),
            (
                r#"{"cliPluginsExtraDirs": ["/x"], "cliPluginsExtraDirs": []}"#,
                r#"{"cliPluginsExtraDirs": ["/x"], "cliPluginsExtraDirs": [OURS]}"#,
            ),
            (r#"{"a": "\ud800", "b": 1e999}"#, r#"{"cliPluginsExtraDirs": [OURS], "a": "\ud800", "b": 1e999}"#),
        ] {
            let after = after.replace("OURS", ours);
            let changed = with(before, "/o").expect(before);
            assert_eq!(changed, after);
            assert_eq!(with(&changed, "/o").expect("again"), after, "once is enough");
            let back = without(&changed, "/o").expect("back");
            assert_eq!(back, before);
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
        for text in
            ["{", "[]", "\"x\"", "\u{feff}{}", r#"{"cliPluginsExtraDirs": "x"}"#, r#"{"cliPluginsExtraDirs": {}}"#]
        {
            assert!(with(text, "/o").is_err(), "{text}");
        }
        for text in ["", " \n", "{}", r#"{"cliPluginsExtraDirs": null}"#, r#"{"cliPluginsExtraDirs": []}"#] {
            assert_eq!(named(&with(text, "/o").expect(text)), ["/o"], "{text}");
        }
        assert_eq!(named(r#"{"cliPluginsExtraDirs": ["/a", 1, "/b"]}"#), ["/a", "/b"]);
    }
}
