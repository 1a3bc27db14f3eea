//! What `dkb log` says: a line a thing for people, the newest last, and one document for programs.

use jiff::Timestamp;
use serde::Serialize;

use super::words::{count, in_words, short_id, shortened, why};
use super::{Page, Style};
use crate::model::{Action, Kind, Outcome, Reference, Removal, SCHEMA, human_bytes};

/// A column is as wide as its widest word, within reason.
const WIDEST: usize = 40;

pub(crate) fn document(removals: &[Removal], unread: usize) -> impl Serialize {
    #[derive(Serialize)]
    struct Document<'a> {
        schema: u32,
        kind: &'static str,
        removals: &'a [Removal],
        unread: usize,
    }
    Document { schema: SCHEMA, kind: "log", removals, unread }
}

/// `begins`: how far back all of the history goes.
pub(crate) fn human(removals: &[Removal], begins: Option<Timestamp>, verbose: bool, style: Style) -> Page {
    let mut page = Page::new(style);
    if removals.is_empty() {
        page.line(match begins {
            Some(begins) => format!("dkb took nothing of that away; its history begins {}", seconds(begins)),
            None => "dkb has taken nothing away".to_owned(),
        });
    }
    let engines = verbose || removals.iter().any(|removal| removal.engine.id != removals[0].engine.id);
    let lines: Vec<[String; 3]> = removals.iter().map(|one| [what(one), id(one, verbose), names(one)]).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0).min(WIDEST);
    let (first, second, third) = (width(0), width(1), width(2));
    for (removal, [what, id, names]) in removals.iter().zip(&lines) {
        let (at, bytes) = (seconds(removal.at), human_bytes(removal.bytes));
        let on = if engines { format!(", on {}", removal.engine.endpoint) } else { String::new() };
        page.line_and_dim(
            format_args!("{at}  {what:<first$}  {id:<second$}  {names:<third$}  {bytes:>8}  "),
            format_args!("{}: {}{on}", why(removal.reason), who(removal)),
        );
    }
    page
}

/// In UTC, as everywhere else.
fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

fn what(removal: &Removal) -> String {
    let did = match removal.action {
        Action::Remove => "removed",
        Action::Untag => "untagged",
        Action::GiveBack => "gave back to",
        Action::Stop => "stopped",
    };
    let perhaps = if removal.result == Outcome::Unknown { "perhaps " } else { "" };
    format!("{perhaps}{did} {}", in_words(removal.kind))
}

/// A volume has nothing but its name.
fn id(removal: &Removal, whole: bool) -> String {
    match removal.kind {
        Kind::Volume | Kind::BuilderState => String::new(),
        _ if whole => removal.id.clone(),
        _ => short_id(&removal.id).to_owned(),
    }
}

fn names(removal: &Removal) -> String {
    if let Some(records) = removal.records {
        return count(records, "record");
    }
    let names: Vec<String> = removal.names.iter().map(|name| shortened(name)).collect();
    let were: Vec<&str> = removal.built_as.iter().map(Reference::as_str).collect();
    match (names.is_empty(), were.is_empty()) {
        (false, true) => names.join(", "),
        (false, false) => format!("{} (once {})", names.join(", "), were.join(", ")),
        (true, false) => format!("(once {})", were.join(", ")),
        (true, true) => "(no name)".to_owned(),
    }
}

/// By which verb, and for whom.
fn who(removal: &Removal) -> String {
    let by = match &*removal.by {
        // It is of the whole host, and in nobody's name.
        "sweep" => return "dkb sweep".to_owned(),
        "watch" => "a watcher".to_owned(),
        "session" => "dkb session end".to_owned(),
        verb => format!("dkb {verb}"),
    };
    format!("{by} for {} {}", removal.project, removal.session)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::history_tests::removal;

    fn human_of(removals: &[Removal]) -> String {
        human(removals, Some(Timestamp::UNIX_EPOCH), false, Style::PLAIN).as_str().to_owned()
    }

    #[test]
    fn a_line_says_what_when_why_and_for_whom() {
        let image = removal(1, &["app:1.4"]);
        let lost = Removal {
            built_as: vec![Reference::written("app:1").expect("a tag")],
            by: "build".into(),
            ..removal(2, &[])
        };
        let volume = Removal { kind: Kind::Volume, id: "data".into(), by: "watch".into(), ..removal(3, &["data"]) };
        let swept = Removal { by: "sweep".into(), ..removal(5, &["app:3"]) };
        let perhaps = Removal { result: Outcome::Unknown, action: Action::Untag, ..removal(4, &["app:2"]) };
        let expected = "\
1970-01-01T00:00:00Z  removed image           010101010101  app:1.4            7 B  superseded: dkb clean for p s
1970-01-01T00:00:00Z  removed image           020202020202  (once app:1)       7 B  superseded: dkb build for p s
1970-01-01T00:00:00Z  removed volume                        data               7 B  superseded: a watcher for p s
1970-01-01T00:00:00Z  perhaps untagged image  040404040404  app:2              7 B  superseded: dkb clean for p s
1970-01-01T00:00:00Z  removed image           050505050505  app:3              7 B  superseded: dkb sweep
";
        assert_eq!(human_of(&[image, lost, volume, perhaps, swept]), expected);
    }

    #[test]
    fn engines_are_named_where_there_are_several() {
        let (one, mut other) = (removal(1, &["app:1"]), removal(2, &["app:2"]));
        other.engine.id = "another".into();
        other.engine.endpoint = "tcp://there:2375".into();
        assert!(!human_of(std::slice::from_ref(&one)).contains(" on "));
        let both = human_of(&[one, other]);
        assert!(both.contains(", on unix:///x\n") && both.contains(", on tcp://there:2375\n"), "{both}");
    }

    #[test]
    fn an_empty_one_says_so() {
        let page = human(&[], None, false, Style::PLAIN);
        assert_eq!(page.as_str(), "dkb has taken nothing away\n");
        assert!(human_of(&[]).starts_with("dkb took nothing of that away; its history begins 1970-01-01T00:00:00Z"));
    }

    #[test]
    fn what_others_call_their_things_tells_the_terminal_nothing() {
        let page = human_of(&[removal(1, &["\u{1b}[2Japp\n:1"])]);
        assert!(!page.contains('\u{1b}') && page.lines().count() == 1, "{page}");
    }
}
