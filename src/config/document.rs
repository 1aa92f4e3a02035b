//! A settings file as a tree of values that remember nothing of YAML but what Chia's dialect needs.
//!
//! serde_yaml stays behind this file and `locate`: anchors, aliases, merge keys and `!!set` are resolved here, and a
//! number may have 128 bits (official constants do). Words that only YAML 1.1 knows as truth values (`yes`, `off`) stay
//! text and are understood where a truth value is wanted.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{self, Deserialize, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::error::ConfigError;
use super::files;
use super::key::KeyText;
use super::locate::{Part, Position, locate_key, locate_value};

/// One value of a settings file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// `null`, `~`, or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// Everything else that is one word or sentence.
    Text(String),
    /// A list.
    List(Vec<Self>),
    /// A mapping or a set; keys that are no text are kept as they are written.
    Map(BTreeMap<String, Self>),
}

impl Node {
    /// The value behind `key`, when this is a mapping that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(map) => map.get(key),
            _ => None,
        }
    }

    /// The value at `path`.
    pub(super) fn at(&self, path: &[Part]) -> Option<&Self> {
        path.iter().try_fold(self, |node, part| match (part, node) {
            (Part::Key(key), _) => node.get(key),
            (Part::Index(index), Self::List(list)) => list.get(*index),
            _ => None,
        })
    }

    /// The value as one word, for messages and for readers of text: none for lists and mappings.
    pub(super) fn scalar_text(&self) -> Option<String> {
        match self {
            Self::Null => Some(String::new()),
            Self::Bool(value) => Some(value.to_string()),
            Self::Int(value) => Some(value.to_string()),
            Self::Float(value) => Some(value.to_string()),
            Self::Text(text) => Some(text.clone()),
            Self::List(_) | Self::Map(_) => None,
        }
    }

    /// What it is, for messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a mapping".to_owned(),
            Self::Text(text) => format!("{:?}", shorten(text)),
            other => other.scalar_text().unwrap_or_default(),
        }
    }
}

/// A settings file: its text and its values.
#[derive(Clone, Debug)]
pub(super) struct Document {
    file: PathBuf,
    text: String,
    byte_order_mark: bool,
    root: Node,
}

impl Document {
    /// Reads and parses a file of at most [`MAX_BYTES`].
    pub(super) fn load(file: &Path) -> Result<Self, ConfigError> {
        let bytes = files::read_limited(file, MAX_BYTES).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => ConfigError::Missing {
                file: file.to_path_buf(),
            },
            _ => ConfigError::Unreadable {
                file: file.to_path_buf(),
                source,
            },
        })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            ConfigError::NotText {
                file: file.to_path_buf(),
                line: 1 + good.iter().filter(|&&byte| byte == b'\n').count(),
            }
        })?;
        Self::parse(file, text)
    }

    /// Parses `text`, which came from `file`. An empty text is an error, as it is for the official software.
    pub(super) fn parse(file: &Path, text: String) -> Result<Self, ConfigError> {
        let (text, byte_order_mark) = match text.strip_prefix('\u{feff}') {
            Some(rest) => (rest.to_owned(), true),
            None => (text, false),
        };
        if nests_deeply(&text) {
            return Err(ConfigError::Syntax {
                file: file.to_path_buf(),
                at: None,
                reason: "brackets are nested too deeply".to_owned(),
            });
        }
        let root: Node = serde_yaml::from_str(&text).map_err(|error| ConfigError::Syntax {
            file: file.to_path_buf(),
            at: error.location().map(|at| Position::new(at.line(), at.column())),
            reason: without_position(&error),
        })?;
        if !matches!(root, Node::Map(_)) {
            return Err(ConfigError::NotSettings {
                file: file.to_path_buf(),
                got: match root {
                    // Of a file that is something else nothing is repeated: it may be a mnemonic, or a key.
                    Node::Text(_) => "a text".to_owned(),
                    other => other.describe(),
                },
            });
        }
        Ok(Self {
            file: file.to_path_buf(),
            text,
            byte_order_mark,
            root,
        })
    }

    /// The same file with another text.
    pub(super) fn with_text(&self, text: String) -> Result<Self, ConfigError> {
        let mut document = Self::parse(&self.file, text)?;
        document.byte_order_mark |= self.byte_order_mark;
        Ok(document)
    }

    /// Where it came from.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// The text, without byte order mark.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The text as it goes back into the file.
    pub(super) fn file_content(&self) -> String {
        let mark = if self.byte_order_mark { "\u{feff}" } else { "" };
        format!("{mark}{}", self.text)
    }

    /// All values.
    pub(super) fn root(&self) -> &Node {
        &self.root
    }

    /// Where the value at `path` is written, behind aliases where it was reached by one; where its key is, if it has
    /// no place of its own.
    pub(super) fn position(&self, path: &[Part]) -> Option<Position> {
        let place = locate_value(&self.text, path).or_else(|| locate_key(&self.text, path))?;
        Some(place.position)
    }

    /// Where the key at the end of `path` is written.
    pub(super) fn key_position(&self, path: &[Part]) -> Option<Position> {
        locate_key(&self.text, path).map(|place| place.position)
    }
}

/// Largest settings file that is read. Official ones have 25 KB, one with ten thousand plot directories a megabyte.
pub(super) const MAX_BYTES: u64 = 4 << 20;

/// Whether more brackets are open than the parser can take in good time: it needs a second for ten thousand, and the
/// square of that for more. Brackets in comments and texts are counted too; no honest file has that many.
fn nests_deeply(text: &str) -> bool {
    const DEEPEST: i64 = 10_000;
    let mut depth: i64 = 0;
    text.bytes().any(|byte| {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = (depth - 1).max(0),
            _ => {}
        }
        depth > DEEPEST
    })
}

/// serde_yaml ends its messages with the position, which we report in front.
fn without_position(error: &serde_yaml::Error) -> String {
    let text = error.to_string();
    match (error.location(), text.rfind(" at line ")) {
        (Some(_), Some(end)) if !text[end..].contains(',') => text[..end].to_owned(),
        _ => text,
    }
}

fn shorten(text: &str) -> String {
    const SHOWN: usize = 60;
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    text.chars().take(SHOWN).chain(['…']).collect()
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Int(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Node, E> {
        Ok(Node::Int(value))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Node, E> {
        Ok(i128::try_from(value).map_or_else(|_| Node::Text(value.to_string()), Node::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = seq.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut map = BTreeMap::new();
        let mut merged = Vec::new();
        while let Some(key) = access.next_key_seed(KeyText(|key: &str| new_key(&map, key)))? {
            let value = access.next_value()?;
            if key == "<<" {
                merged.push(value);
            } else {
                map.insert(key, value);
            }
        }
        // What a mapping says itself wins over what it merges, and the first merged one over the later ones.
        for source in merged {
            let sources = match source {
                Node::List(list) => list,
                one => vec![one],
            };
            for source in sources {
                let Node::Map(source) = source else {
                    return Err(de::Error::custom("only a mapping can be merged with <<"));
                };
                for (key, value) in source {
                    map.entry(key).or_insert(value);
                }
            }
        }
        Ok(Node::Map(map))
    }

    /// A value with a local tag, `!name value`: the tag means nothing in settings.
    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Node, A::Error> {
        let (_, value) = access.variant::<String>()?;
        value.newtype_variant()
    }
}

/// A key that its mapping does not have yet. Official software takes the last of several silently; a person who wrote
/// a section twice wants to know.
fn new_key(map: &BTreeMap<String, Node>, key: &str) -> Result<String, String> {
    if map.contains_key(key) {
        return Err(format!("the key {:?} is there twice", shorten(key)));
    }
    Ok(key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Document, ConfigError> {
        Document::parse(Path::new("config.yaml"), text.to_owned())
    }

    fn value(text: &str) -> Node {
        parse(&format!("value: {text}\n"))
            .unwrap()
            .root()
            .get("value")
            .unwrap()
            .clone()
    }

    #[test]
    fn scalars_keep_their_kind() {
        assert_eq!(value("True"), Node::Bool(true));
        assert_eq!(value("147573952589676412928"), Node::Int(1 << 67));
        assert_eq!(value("2.5"), Node::Float(2.5));
        assert_eq!(value("yes"), Node::Text("yes".into()));
        assert_eq!(value("\"8444\""), Node::Text("8444".into()));
        assert_eq!(value("# comment"), Node::Null);
        assert_eq!(value(&"9".repeat(39)), Node::Float(1e39));
    }

    #[test]
    fn sets_lists_anchors_merges_and_tags_are_read() {
        let text = "a: &a {x: 1, y: 2}\nb: *a\nc:\n  <<: *a\n  y: 3\ns: !!set {k1: null, k2: null}\nt: !local [1]\n";
        let root = parse(text).unwrap().root().clone();
        assert_eq!(root.get("a"), root.get("b"));
        let merged = root.get("c").unwrap();
        assert_eq!(
            (merged.get("x"), merged.get("y")),
            (Some(&Node::Int(1)), Some(&Node::Int(3)))
        );
        assert_eq!(root.get("s").unwrap().get("k2"), Some(&Node::Null));
        assert_eq!(root.get("t"), Some(&Node::List(vec![Node::Int(1)])));
    }

    #[test]
    fn twice_written_key_is_refused_at_its_place() {
        let error = parse("harvester:\n  port: 1\nfarmer: 2\nharvester: 3\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "config.yaml:4:1: the key \"harvester\" is there twice"
        );
    }

    #[test]
    fn what_is_no_settings_file_is_refused_with_its_place() {
        for (text, expected) in [
            ("", "config.yaml holds nothing where settings should be"),
            ("- a\n", "config.yaml holds a list where settings should be"),
            ("music ride\n", "config.yaml holds a text where settings should be"),
            ("a: [1, 2\nb: 3\n", "config.yaml:2:2: "),
            ("a:\n\t- x\n", "config.yaml:2:1: "),
            ("a: b: c\n", "config.yaml:1:5: "),
            ("a: *nowhere\n", "config.yaml:1:4: "),
            ("a: 1\n---\nb: 2\n", "config.yaml: "),
            ("a: \u{0}\n", "config.yaml:1:1: control characters are not allowed"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn hostile_documents_end_in_an_error() {
        // Each level doubles what it names.
        let mut bomb = String::from("a0: &a0 [x, x]\n");
        for level in 1..40 {
            bomb.push_str(&format!("a{level}: &a{level} [*a{}, *a{}]\n", level - 1, level - 1));
        }
        assert!(parse(&bomb).is_err());
        assert!(parse("a: &a [*a]\n").is_err());
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse(&format!("a: {}", "{a: ".repeat(100_000))).is_err());
    }

    #[test]
    fn byte_order_mark_and_carriage_returns_are_harmless() {
        let document = parse("\u{feff}a: 1\r\nb:\r\n  - x\r\n").unwrap();
        assert_eq!(
            document.root().get("b"),
            Some(&Node::List(vec![Node::Text("x".into())]))
        );
        assert!(document.file_content().starts_with('\u{feff}'));
    }

    #[test]
    fn files_that_cannot_be_text_or_are_too_large_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.yaml");
        assert!(matches!(Document::load(&file), Err(ConfigError::Missing { .. })));
        std::fs::write(&file, b"a: 1\nb: \xff\n").unwrap();
        assert!(matches!(
            Document::load(&file),
            Err(ConfigError::NotText { line: 2, .. })
        ));
        std::fs::write(&file, "# comment\n".repeat(1_000_000)).unwrap();
        let error = Document::load(&file).unwrap_err().to_string();
        assert!(error.contains("larger than 4194304 bytes"), "{error}");
    }
}
