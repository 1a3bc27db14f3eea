//! What a plan was asked to cover.

use serde::{Deserialize, Serialize};

use super::{Name, SessionKey};

/// Stands in a plan's file, so that a later plan can be asked for the same. It widens nothing: whoever does what
/// the file says is asked as if they had typed this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    #[serde(flatten)]
    pub of: Covers,
    /// Tags too, those that our builds gave.
    pub tagged: bool,
    /// Containers of what goes too.
    pub containers: bool,
    /// Of the build cache alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cache: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Covers {
    Project { project: Name },
    Session(SessionKey),
    Stale { project: Name },
    All,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_read_as_it_was_written() {
        let name = |text| Name::typed(text).expect(text);
        let session = SessionKey { project: name("app"), session: name("job-1") };
        for (of, tagged, written) in [
            (Covers::Project { project: name("app") }, false, r#"{"of":"project","project":"app","#),
            (Covers::Session(session), true, r#"{"of":"session","project":"app","session":"job-1","#),
            (Covers::Stale { project: name("app") }, true, r#"{"of":"stale","project":"app","#),
            (Covers::All, false, r#"{"of":"all","#),
        ] {
            let asked = Asked { of, tagged, containers: tagged, cache: false };
            let text = serde_json::to_string(&asked).expect("plain data");
            assert_eq!(text, format!(r#"{written}"tagged":{tagged},"containers":{tagged}}}"#));
            assert_eq!(serde_json::from_str::<Asked>(&text).expect(&text), asked);
        }
    }

    #[test]
    fn what_names_nothing_is_refused() {
        let flags = r#""tagged":true,"containers":true}"#;
        for of in [r#"{"of":"everything","#, r#"{"of":"project","#, r#"{"of":"stale","project":"a\u001b[2J","#, "{"] {
            assert!(serde_json::from_str::<Asked>(&format!("{of}{flags}")).is_err(), "{of}");
        }
    }
}
