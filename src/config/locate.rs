//! Where in the text a value stands.
//!
//! serde_yaml tells positions only in errors, so a search walks down to the value and stops there with an error: the
//! very parser that reads the values says where they are, also through anchors and aliases. Each search parses the text
//! up to the value; that is meant for messages and edits, not for loading.

use std::fmt;

use super::key::KeyText;
use serde::de::{self, DeserializeSeed, Deserializer, EnumAccess, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A place a person can find in an editor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Character in the line, from 1.
    pub column: u32,
}

impl Position {
    /// Counts beyond `u32` are of no use to anybody; files are far smaller.
    pub(super) fn new(line: usize, column: usize) -> Self {
        let count = |number| u32::try_from(number).unwrap_or(u32::MAX);
        Self {
            line: count(line),
            column: count(column),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One step from a value to a value inside it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// The entry of a mapping.
    Key(String),
    /// The item of a list, from 0.
    Index(usize),
}

/// Steps from a dotted text, `harvester.farmer_peers.0.host`: a number is an index.
pub(super) fn parts(dotted: &str) -> Vec<Part> {
    dotted
        .split('.')
        .map(|word| word.parse().map_or_else(|_| Part::Key(word.to_owned()), Part::Index))
        .collect()
}

/// The text [`parts`] reads.
pub(super) fn dotted(path: &[Part]) -> String {
    let words: Vec<String> = path
        .iter()
        .map(|part| match part {
            Part::Key(key) => key.clone(),
            Part::Index(index) => index.to_string(),
        })
        .collect();
    words.join(".")
}

/// A place in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Bytes before it.
    pub(super) offset: usize,
    /// The same for people.
    pub(super) position: Position,
}

/// Where the value at `path` begins: at its anchor or tag if it has one, and where an alias leads if it is one. None
/// when there is no such value, or only by a merge key.
pub(super) fn locate_value(text: &str, path: &[Part]) -> Option<Place> {
    locate(text, path, Target::Value)
}

/// Where the key at the end of `path` begins. None for a list item.
pub(super) fn locate_key(text: &str, path: &[Part]) -> Option<Place> {
    match path.last() {
        Some(Part::Key(_)) => locate(text, path, Target::Key),
        _ => None,
    }
}

fn locate(text: &str, path: &[Part], target: Target) -> Option<Place> {
    let seek = Seek { path, target };
    let error = seek.deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
    let at = error.location().filter(|_| error.to_string().contains(FOUND))?;
    let offset = Some(at.index()).filter(|&offset| text.is_char_boundary(offset))?;
    Some(Place {
        offset,
        position: Position::new(at.line(), at.column()),
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Key,
    Value,
}

/// Walks to `path` and fails there with [`FOUND`]; comes back empty-handed if there is no such place.
#[derive(Clone, Copy)]
struct Seek<'p> {
    path: &'p [Part],
    target: Target,
}

/// A message no parser gives.
const FOUND: &str = "\u{1}found";

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Seek<'_> {
    /// Something that has nothing inside: found if it is what was sought.
    fn end<E: de::Error>(self) -> Result<(), E> {
        if self.path.is_empty() {
            return Err(E::custom(FOUND));
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.end()
    }

    fn visit_none<E: de::Error>(self) -> Result<(), E> {
        self.end()
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        self.end()
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        self.end()
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        self.end()
    }

    fn visit_i128<E: de::Error>(self, _: i128) -> Result<(), E> {
        self.end()
    }

    fn visit_u128<E: de::Error>(self, _: u128) -> Result<(), E> {
        self.end()
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.end()
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        self.end()
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        // A value with a local tag is not looked into: nothing in settings has one.
        self.end()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.end::<A::Error>()?;
        let (first, rest) = (&self.path[0], &self.path[1..]);
        let mut index = 0;
        loop {
            let more = if *first == Part::Index(index) {
                seq.next_element_seed(Seek { path: rest, ..self })?
            } else {
                seq.next_element::<IgnoredAny>()?.map(|_| ())
            };
            if more.is_none() {
                return Ok(());
            }
            index += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.end::<A::Error>()?;
        let (first, rest) = (&self.path[0], &self.path[1..]);
        let Part::Key(wanted) = first else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        };
        let stop_at_key = rest.is_empty() && self.target == Target::Key;
        let matches = |key: &str| match (key == wanted, stop_at_key) {
            (true, true) => Err(FOUND.to_owned()),
            (matches, _) => Ok(matches),
        };
        while let Some(matches) = map.next_key_seed(KeyText(matches))? {
            if matches {
                map.next_value_seed(Seek { path: rest, ..self })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
top: 1
logging: &logging
  log_level: WARNING # ä
harvester:
  # größer
  logging: *logging
  'farmer_peers':
  - host: \"pi 4\"
    port: 8447
  - {host: other, port: 1}
  set: !!set {ab: null}
";

    fn at(found: Option<Place>) -> (u32, u32, &'static str) {
        let place = found.unwrap();
        let rest = TEXT[place.offset..].lines().next().unwrap_or_default();
        (place.position.line, place.position.column, rest)
    }

    #[test]
    fn values_and_keys_are_found() {
        let value = |path| at(locate_value(TEXT, &parts(path)));
        let key = |path| at(locate_key(TEXT, &parts(path)));
        assert_eq!(value("top"), (1, 6, "1"));
        assert_eq!(key("harvester"), (4, 1, "harvester:"));
        assert_eq!(key("harvester.farmer_peers"), (7, 3, "'farmer_peers':"));
        assert_eq!(value("harvester.farmer_peers.0.host"), (8, 11, "\"pi 4\""));
        assert_eq!(value("harvester.farmer_peers.1.port"), (10, 25, "1}"));
        assert_eq!(key("harvester.farmer_peers.1.port"), (10, 19, "port: 1}"));
        assert_eq!(value("harvester.set"), (11, 8, "!!set {ab: null}"));
    }

    #[test]
    fn aliases_lead_to_where_the_value_is_written() {
        let shared = locate_value(TEXT, &parts("harvester.logging.log_level"));
        assert_eq!(shared, locate_value(TEXT, &parts("logging.log_level")));
        assert_eq!(at(shared), (3, 14, "WARNING # ä"));
        assert_eq!(
            at(locate_key(TEXT, &parts("harvester.logging"))),
            (6, 3, "logging: *logging")
        );
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        for path in [
            "nothing",
            "top.deeper",
            "harvester.farmer_peers.2",
            "harvester.0",
            "harvester.farmer_peers.host",
        ] {
            assert_eq!(locate_value(TEXT, &parts(path)), None, "{path}");
        }
        assert_eq!(locate_key(TEXT, &parts("harvester.farmer_peers.0")), None);
        assert_eq!(locate_value("a: [1", &parts("b")), None);
    }
}
