//! The lines that stand in the ledgers of everybody who has used dkb: they are written so, and read so, for good.

use super::*;
use crate::model::books_tests::{build, id, key};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn name(text: &str) -> Name {
    Name::typed(text).expect(text)
}

fn taken() -> Vec<Taken> {
    vec![Taken::new(Reference::written("app:dev").expect("a name"), id(3))]
}

/// `<1>` stands for the ID of image 1.
fn every_line() -> Vec<(&'static str, Record)> {
    let of = key("p", "job-1");
    let bare = || build("18a-7", &of, 1, &[]);
    let entry = || SessionEntry::new(of.clone(), at(0));
    let more = |tags: &[&str]| More {
        build: bare().build,
        tags: tags.iter().map(|tag| Reference::written(tag).expect(tag)).collect(),
        steps: vec![id(2)],
        took: taken(),
    };
    vec![
        (
            r#"{"t":"ledger","v":1,"engine":"E"}"#,
            Record::Ledger { v: 1, engine: "E".to_owned(), file: None, id: None, whole: None },
        ),
        (
            r#"{"t":"ledger","v":1,"engine":"E","whole":false}"#,
            Record::Ledger { v: 1, engine: "E".to_owned(), file: None, id: None, whole: Some(false) },
        ),
        (
            r#"{"t":"ledger","v":1,"engine":"E","file":7}"#,
            Record::Ledger { v: 1, engine: "E".to_owned(), file: Some(7), id: None, whole: None },
        ),
        (
            r#"{"t":"session","project":"p","session":"job-1","first":"1970-01-01T00:00:00Z","last":"1970-01-01T00:00:00Z"}"#,
            Record::Session(entry()),
        ),
        (
            r#"{"t":"session","project":"p","session":"job-1","first":"1970-01-01T00:00:00Z","last":"1970-01-01T00:00:00Z","ci":true,"slot":"runner","cleaned":"1970-01-01T00:00:05Z","took":[{"tag":"app:dev","from":"<3>"}],"held":["<4>"],"copies":["local-00000001"]}"#,
            Record::Session(SessionEntry {
                ci: true,
                slot: Some(name("runner")),
                cleaned: Some(at(5)),
                took: taken(),
                held: vec![id(4)],
                copies: BTreeSet::from([name("local-00000001")]),
                ..entry()
            }),
        ),
        (
            r#"{"t":"build","build":"18a-7","project":"p","session":"job-1","at":"1970-01-01T00:00:00Z","tags":["app:latest"],"key":"k","ok":true,"result":"<1>"}"#,
            Record::Build(bare()),
        ),
        (
            r#"{"t":"build","build":"18a-7","project":"p","session":"job-1","at":"1970-01-01T00:00:00Z","tags":["app:latest"],"key":"k","ok":false,"steps":["<2>","<5>"],"took":[{"tag":"app:dev","from":"<3>"}],"tilt":true,"compose":"dev","home":"here","doubted":true}"#,
            Record::Build(Build {
                ok: false,
                result: None,
                steps: vec![id(2), id(5)],
                took: taken(),
                tilt: true,
                compose: Some(name("dev")),
                home: Some("here".to_owned()),
                doubted: true,
                ..bare()
            }),
        ),
        (
            r#"{"t":"build","build":"18a-7","project":"p","session":"job-1","at":"1970-01-01T00:00:00Z","ok":true,"result":"<1>"}"#,
            Record::Build(Build { tags: Vec::new(), key: String::new(), ..bare() }),
        ),
        (
            r#"{"t":"more","build":"18a-7","tags":["app:1"],"steps":["<2>"],"took":[{"tag":"app:dev","from":"<3>"}]}"#,
            Record::More(more(&["app:1"])),
        ),
        (
            r#"{"t":"more","build":"18a-7","steps":["<2>"],"took":[{"tag":"app:dev","from":"<3>"}]}"#,
            Record::More(more(&[])),
        ),
        (r#"{"t":"gone","at":"1970-01-01T00:00:05Z","ids":["<1>"]}"#, Record::Gone { at: at(5), ids: vec![id(1)] }),
        (r#"{"t":"missed","at":"1970-01-01T00:00:05Z","ids":["<1>"]}"#, Record::Missed { at: at(5), ids: vec![id(1)] }),
        (
            r#"{"t":"cleaned","project":"p","session":"job-1","at":"1970-01-01T00:00:05Z"}"#,
            Record::Cleaned { key: of.clone(), at: at(5), rest: false },
        ),
        (
            r#"{"t":"cleaned","project":"p","session":"job-1","at":"1970-01-01T00:00:05Z","rest":true}"#,
            Record::Cleaned { key: of.clone(), at: at(5), rest: true },
        ),
        (
            r#"{"t":"back","project":"p","session":"job-1","at":"1970-01-01T00:00:05Z","tag":"app:dev","image":"<1>"}"#,
            Record::Back {
                key: of.clone(),
                at: at(5),
                tag: Reference::written("app:dev").expect("a name"),
                image: id(1),
            },
        ),
        (
            r#"{"t":"left","project":"p","session":"job-1","to":{"project":"q","session":"job-2"},"at":"1970-01-01T00:00:05Z","ids":["<1>"]}"#,
            Record::Left { key: of.clone(), to: key("q", "job-2"), at: at(5), ids: vec![id(1)] },
        ),
    ]
}

fn in_full(line: &str) -> String {
    (1..=5).fold(line.to_owned(), |line, n| line.replace(&format!("<{n}>"), &id(n).to_string()))
}

#[test]
fn every_line_is_written_and_read_as_ever() {
    for (line, record) in every_line() {
        let line = in_full(line);
        assert_eq!(serde_json::to_string(&record).expect("plain data"), line);
        assert_eq!(serde_json::from_str::<Record>(&line).expect(&line), record);
    }
}
