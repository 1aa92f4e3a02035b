//! Surgery on the text of a settings file: the smallest change that gives a key a value, everything else stays as it is
//! to the letter.
//!
//! Places come from `locate`; around them only as much YAML is understood as settings are written in: block and flow
//! collections, quoted and plain words, anchors, tags, aliases and comments. Whatever else is met is [`TooIntricate`],
//! and the editor parses each result and throws away what does not mean exactly what was wanted, so a
//! misunderstanding here can fail but never spoil a file.

use super::super::document::{Document, Node};
use super::super::locate::{Part, locate_key, locate_value};

/// The text around the place is written in a way that is not edited here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooIntricate;

type Rewritten = Result<String, TooIntricate>;

/// The text with the word at `path` changed to `value`; missing keys on the way are made.
pub(super) fn set(document: &Document, path: &[Part], value: &Node) -> Rewritten {
    let text = document.text();
    match document.root().at(path) {
        None => insert(document, path, |_| vec![encode(value)]),
        Some(old) => {
            let slot = slot(document, path)?;
            match (slot.value, old) {
                (Some((start, end)), _) => Ok(splice(text, start, end, &encode(value))),
                (None, Node::Null) => Ok(splice(
                    text,
                    slot.head_end,
                    slot.head_end,
                    &format!(" {}", encode(value)),
                )),
                (None, _) => Err(TooIntricate),
            }
        }
    }
}

/// The text with `item` added at the end of the list at `path`, which may be missing, empty or nothing.
pub(super) fn push(document: &Document, path: &[Part], item: &Node) -> Rewritten {
    let text = document.text();
    let items = match document.root().at(path) {
        None => {
            return insert(document, path, |indent| {
                vec![String::new(), format!("{indent}- {}", encode(item))]
            });
        }
        Some(Node::List(items)) => items.len(),
        Some(Node::Null) => 0,
        Some(_) => return Err(TooIntricate),
    };
    let slot = slot(document, path)?;
    match slot.value {
        Some(_) if slot.in_flow && items == 0 => replace_value(text, &slot, &format!("[{}]", encode(item))),
        _ if items == 0 => {
            let (start, end) = slot.value.unwrap_or((slot.head_end, slot.head_end));
            let without = splice(text, slot.head_end.min(start), end, "");
            let line_end = end_of_line(&without, slot.head_end);
            let line = format!("{}{}  - {}", newline(text), slot.indent, encode(item));
            Ok(splice(&without, line_end, line_end, &line))
        }
        Some((start, end)) if text[start..].starts_with('[') => {
            let inside = text[start..end - 1].trim_end();
            let comma = if inside.ends_with(',') { " " } else { ", " };
            let at = start + inside.len();
            Ok(splice(text, at, at, &format!("{comma}{}", encode(item))))
        }
        Some(_) => Err(TooIntricate),
        None => {
            let (line, indent) = block_item(text, path, 0)?;
            let end = end_of_block(text, line, indent.len(), Dash::Inside);
            let line = format!("{}{indent}- {}", newline(text), encode(item));
            Ok(splice(text, end, end, &line))
        }
    }
}

/// The text without item `index` of the list at `path`.
pub(super) fn remove(document: &Document, path: &[Part], index: usize) -> Rewritten {
    let text = document.text();
    let Some(Node::List(items)) = document.root().at(path) else {
        return Err(TooIntricate);
    };
    let slot = slot(document, path)?;
    if let Some((start, end)) = slot.value {
        if !text[start..].starts_with('[') || text[start..end].contains('#') {
            return Err(TooIntricate);
        }
        let mut rest = items.clone();
        rest.remove(index);
        return Ok(splice(text, start, end, &encode(&Node::List(rest))));
    }
    let (line, indent) = block_item(text, path, index)?;
    let end = end_of_block(text, line, indent.len(), Dash::Outside);
    let after = text[end..].find('\n').map_or(text.len(), |newline| end + newline + 1);
    let without = splice(text, line, after, "");
    if items.len() > 1 {
        return Ok(without);
    }
    Ok(splice(&without, slot.head_end, slot.head_end, " []"))
}

/// A key and what follows it on its line.
struct Slot {
    /// White space in front of the key, if nothing else is.
    indent: String,
    /// End of key, colon, anchor and tag.
    head_end: usize,
    /// Start and end of a value that is one word, an alias or a flow collection. None for a block collection, and
    /// where there is nothing.
    value: Option<(usize, usize)>,
    /// Whether all this is between brackets.
    in_flow: bool,
}

/// Adds the missing end of `path` to the deepest part that is there. `value` gives the lines of the value for its
/// indentation; the first one goes on the line of the key.
fn insert(document: &Document, path: &[Part], value: impl Fn(&str) -> Vec<String>) -> Rewritten {
    let text = document.text();
    let there = (0..path.len())
        .rev()
        .find(|&length| document.root().at(&path[..length]).is_some())
        .ok_or(TooIntricate)?;
    let (parent, missing) = path.split_at(there);
    let lines = |indent: &str| -> Result<Vec<String>, TooIntricate> {
        let mut lines = Vec::new();
        let mut indent = indent.to_owned();
        for (depth, part) in missing.iter().enumerate() {
            let Part::Key(key) = part else {
                return Err(TooIntricate);
            };
            let head = format!("{indent}{}:", encode(&Node::Text(key.clone())));
            indent.push_str("  ");
            if depth + 1 < missing.len() {
                lines.push(head);
                continue;
            }
            let mut value = value(&indent).into_iter();
            let first = value.next().unwrap_or_default();
            lines.push(format!("{head} {first}").trim_end().to_owned());
            lines.extend(value);
        }
        Ok(lines)
    };
    let newline = newline(text);
    let node = document.root().at(parent).ok_or(TooIntricate)?;
    match node {
        Node::Map(_) if parent.is_empty() => {
            let gap = if text.is_empty() || text.ends_with('\n') {
                ""
            } else {
                newline
            };
            Ok(format!("{text}{gap}{}{newline}", lines("")?.join(newline)))
        }
        Node::Map(children) if !children.is_empty() => {
            let key_of = |key: &String| {
                let mut path = parent.to_vec();
                path.push(Part::Key(key.clone()));
                locate_key(text, &path)
            };
            let last = children
                .keys()
                .filter_map(key_of)
                .map(|place| place.offset)
                .max()
                .ok_or(TooIntricate)?;
            let line = start_of_line(text, last);
            let indent = &text[line..last];
            if !is_blank(indent) {
                return Err(TooIntricate);
            }
            let end = end_of_block(text, line, indent.len(), Dash::Inside);
            Ok(splice(
                text,
                end,
                end,
                &format!("{newline}{}", lines(indent)?.join(newline)),
            ))
        }
        Node::Null => {
            let slot = slot(document, parent)?;
            if slot.in_flow {
                return Err(TooIntricate);
            }
            let (_, end) = slot.value.unwrap_or((slot.head_end, slot.head_end));
            let without = splice(text, slot.head_end, end, "");
            let line_end = end_of_line(&without, slot.head_end);
            let lines = lines(&format!("{}  ", slot.indent))?;
            Ok(splice(
                &without,
                line_end,
                line_end,
                &format!("{newline}{}", lines.join(newline)),
            ))
        }
        _ => Err(TooIntricate),
    }
}

fn slot(document: &Document, path: &[Part]) -> Result<Slot, TooIntricate> {
    let text = document.text();
    let key = locate_key(text, path).ok_or(TooIntricate)?.offset;
    let in_flow = (0..path.len()).any(|length| {
        locate_value(text, &path[..length]).is_some_and(|place| {
            let start = skip_properties(text, place.offset);
            text[start..].starts_with(['{', '['])
        })
    });
    let line = start_of_line(text, key);
    let indent = &text[line..key];
    let key_end = match text[key..].chars().next() {
        Some(quote @ ('"' | '\'')) => end_of_quoted(text, key, quote)?,
        Some('&' | '!' | '*' | '?' | '[' | '{') | None => return Err(TooIntricate),
        Some(_) => {
            let line = &text[key..end_of_line(text, key)];
            let colon = line.match_indices(':').find(|(at, _)| {
                let next = line[at + 1..].chars().next();
                next.is_none_or(|c| c.is_whitespace() || (in_flow && matches!(c, ',' | '}' | ']')))
            });
            key + colon.ok_or(TooIntricate)?.0
        }
    };
    let colon = skip_spaces(text, key_end);
    if !text[colon..].starts_with(':') {
        return Err(TooIntricate);
    }
    let mut head_end = colon + 1;
    let start = skip_properties(text, skip_spaces(text, head_end));
    if start > skip_spaces(text, head_end) {
        head_end = text[..start].trim_end().len();
    }
    let rest = &text[start..];
    let value = match rest.chars().next() {
        None | Some('\n' | '\r' | '#') => None,
        Some(quote @ ('"' | '\'')) => Some((start, end_of_quoted(text, start, quote)?)),
        Some('[' | '{') => Some((start, end_of_flow(text, start)?)),
        Some('|' | '>' | '?' | '%' | '@' | '`') => return Err(TooIntricate),
        // In flow an empty value is followed by what ends the entry.
        Some(',' | '}' | ']') if in_flow => None,
        Some(_) => Some((start, end_of_plain(text, start, in_flow))),
    };
    Ok(Slot {
        indent: if is_blank(indent) {
            indent.to_owned()
        } else {
            String::new()
        },
        head_end,
        value,
        in_flow,
    })
}

fn replace_value(text: &str, slot: &Slot, value: &str) -> Rewritten {
    let (start, end) = slot.value.ok_or(TooIntricate)?;
    Ok(splice(text, start, end, value))
}

/// Start of the line of a block list's item, and the white space before its dash.
fn block_item<'t>(text: &'t str, path: &[Part], index: usize) -> Result<(usize, &'t str), TooIntricate> {
    let mut path = path.to_vec();
    path.push(Part::Index(index));
    let at = match path.last() {
        Some(_) => locate_value(text, &path).ok_or(TooIntricate)?.offset,
        None => return Err(TooIntricate),
    };
    let line = start_of_line(text, at);
    let indent = &text[line..line + text[line..at].find('-').ok_or(TooIntricate)?];
    if is_blank(indent) {
        Ok((line, indent))
    } else {
        Err(TooIntricate)
    }
}

/// Whether a line that begins with a dash, in the very column of the block, still belongs to it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dash {
    /// It does: the block is a list, or ends with one that is not indented.
    Inside,
    /// It does not: the block is one item of a list.
    Outside,
}

/// End of the last line that belongs to the block that begins on the line at `start` in `column`. Comments and empty
/// lines after it belong to what follows.
fn end_of_block(text: &str, start: usize, column: usize, dash: Dash) -> usize {
    let mut end = end_of_line(text, start);
    let mut next = text[start..]
        .find('\n')
        .map_or(text.len(), |newline| start + newline + 1);
    while next < text.len() {
        let line_end = end_of_line(text, next);
        let line = &text[next..line_end];
        let content = line.trim_start_matches(' ');
        let indent = line.len() - content.len();
        let is_dash = content == "-" || content.starts_with("- ");
        if !is_blank(content) && !content.starts_with('#') {
            if indent < column || (indent == column && !(is_dash && dash == Dash::Inside)) {
                break;
            }
            end = line_end;
        }
        next = text[next..].find('\n').map_or(text.len(), |newline| next + newline + 1);
    }
    end
}

fn end_of_quoted(text: &str, start: usize, quote: char) -> Result<usize, TooIntricate> {
    let mut chars = text[start + 1..].char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let after = start + 1 + at + c.len_utf8();
        match c {
            '\\' if quote == '"' => {
                chars.next();
            }
            // A doubled single quote stands for one.
            '\'' if quote == '\'' && chars.peek().is_some_and(|(_, next)| *next == '\'') => {
                chars.next();
            }
            c if c == quote => return Ok(after),
            _ => {}
        }
    }
    Err(TooIntricate)
}

fn end_of_flow(text: &str, start: usize) -> Result<usize, TooIntricate> {
    let mut depth = 0_usize;
    let mut at = start;
    let mut before = ' ';
    while let Some(c) = text[at..].chars().next() {
        match c {
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            // A quote inside a plain word is just a letter.
            '"' | '\'' if before.is_whitespace() || matches!(before, '[' | '{' | ',' | ':') => {
                at = end_of_quoted(text, at, c)?;
                before = c;
                continue;
            }
            '#' if before.is_whitespace() => {
                at = end_of_line(text, at);
                before = ' ';
                continue;
            }
            _ => {}
        }
        at += c.len_utf8();
        before = c;
        if depth == 0 {
            return Ok(at);
        }
    }
    Err(TooIntricate)
}

fn end_of_plain(text: &str, start: usize, in_flow: bool) -> usize {
    let line = &text[start..end_of_line(text, start)];
    let comment = line.find(" #").or_else(|| line.find("\t#")).unwrap_or(line.len());
    let flow = if in_flow {
        line.find([',', ']', '}']).unwrap_or(line.len())
    } else {
        line.len()
    };
    start + line[..comment.min(flow)].trim_end().len()
}

/// Past anchors and tags in front of a value, on the same line.
fn skip_properties(text: &str, start: usize) -> usize {
    let mut at = start;
    while text[at..].starts_with(['&', '!']) {
        let rest = &text[at..];
        at += rest
            .find([' ', '\t', '\r', '\n', ',', '[', ']', '{', '}'])
            .unwrap_or(rest.len());
        at = skip_spaces(text, at);
    }
    at
}

fn skip_spaces(text: &str, start: usize) -> usize {
    text.len() - text[start..].trim_start_matches([' ', '\t']).len()
}

fn start_of_line(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

/// Without its line end.
fn end_of_line(text: &str, at: usize) -> usize {
    let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
    if text[at..end].ends_with('\r') { end - 1 } else { end }
}

fn newline(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

fn is_blank(text: &str) -> bool {
    text.chars().all(|c| matches!(c, ' ' | '\r'))
}

fn splice(text: &str, start: usize, end: usize, with: &str) -> String {
    [&text[..start], with, &text[end..]].concat()
}

/// A value on one line.
fn encode(node: &Node) -> String {
    match node {
        Node::Null => "null".to_owned(),
        Node::Bool(value) => value.to_string(),
        Node::Int(value) => value.to_string(),
        Node::Float(value) => format!("{value:?}"),
        Node::Text(text) if is_plain(text) => text.clone(),
        Node::Text(text) => quote(text),
        Node::List(items) => {
            let items: Vec<_> = items.iter().map(encode).collect();
            format!("[{}]", items.join(", "))
        }
        Node::Map(entries) => {
            let entry =
                |(key, value): (&String, &Node)| format!("{}: {}", encode(&Node::Text(key.clone())), encode(value));
            let entries: Vec<_> = entries.iter().map(entry).collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

/// Whether YAML 1.1 and 1.2 both read the bare word as this text.
fn is_plain(text: &str) -> bool {
    const NOT_WORDS: [&str; 10] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "none"];
    text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '_'))
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '.' | '-' | '+'))
        && !NOT_WORDS.contains(&text.to_ascii_lowercase().as_str())
}

fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            // What YAML does not allow as it is, what it takes for line ends, and what cannot be seen.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
