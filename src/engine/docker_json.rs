//! docker's `config.json` as docker reads it, and that is how Go does: the first value in the file counts, whatever stands
//! behind it; a name may be written in any case; and where it is there twice, the last one counts.

use std::fmt;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Deserializer, Result};

/// What the object says, in its order: each name, and the words of its value.
pub(super) fn members(text: &str) -> Result<Vec<(String, &RawValue)>> {
    struct ObjectMembers;
    impl<'t> Visitor<'t> for ObjectMembers {
        type Value = Vec<(String, &'t RawValue)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }
    Deserializer::from_str(text).deserialize_map(ObjectMembers)
}

pub(super) fn is_named(written: &str, name: &str) -> bool {
    // These two are letters of other alphabets that Go takes for an s and a k.
    written.replace('\u{17f}', "s").replace('\u{212a}', "k").eq_ignore_ascii_case(name)
}
