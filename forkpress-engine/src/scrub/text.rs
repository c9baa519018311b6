//! Replaces people's data in what is stored as one value: a text, or a structure of PHP's or of JSON with texts in it. Pure.

use std::collections::BTreeMap;
use std::ops::Range;

use super::emails::{self, Which};
use super::kind::Kind;
use super::naming::{self, Named};
use super::people::People;
use super::person::Person;
use super::rules::About;
use crate::structure::{Item, Node, children, json, serialized};

/// Arrays in arrays are taken apart up to this depth.
const MAX_NESTING: usize = 512;

/// Texts in texts are looked into up to this depth.
const MAX_DEPTH: usize = 32;

/// What of an answer in a form tells which one it is.
const IDS: [&str; 6] = ["id", "key", "type", "form_id", "field_id", "field_type"];

/// What of it says so to people, where the answer itself is beside it.
const LABELS: [&str; 5] = ["name", "label", "title", "status", "slug"];

/// How many values were replaced, by what they are counted as.
pub(super) type Counts = BTreeMap<&'static str, u64>;

/// What is known of a value before it is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct ValueContext<'w> {
    pub(super) kind: Option<Kind>,
    pub(super) about: About,
    pub(super) who: Option<&'w Person>,
}

/// The value with other people's data; none where it stays.
pub(super) fn replace(text: &[u8], place: ValueContext<'_>, people: &People, counts: &mut Counts) -> Option<Vec<u8>> {
    Replacer { people, counts }.value(text, place, 0)
}

struct Replacer<'a> {
    people: &'a People,
    counts: &'a mut Counts,
}

/// How a structure is written.
#[derive(Clone, Copy, PartialEq)]
enum Written {
    Serialized,
    Json,
}

/// What is to stand in a place.
type Edit = (Range<usize>, Vec<u8>);

impl Replacer<'_> {
    fn value(&mut self, text: &[u8], place: ValueContext<'_>, depth: usize) -> Option<Vec<u8>> {
        if let Some(kind @ (Kind::Secret | Kind::Password)) = place.kind {
            return self.of_kind(kind, &String::from_utf8_lossy(text), place).map(String::into_bytes);
        }
        let is_about_people = place.about == About::People || place.kind.is_some();
        if !is_about_people && !emails::may_be_in(text) {
            return None;
        }
        let value = trimmed(text);
        if is_serialized(value) {
            return match serialized::parse_within(value, MAX_NESTING) {
                Some(nodes) if depth < MAX_DEPTH => {
                    self.structure(text, value, &nodes, Written::Serialized, place, depth)
                }
                // PHP can't read it, or not in what it is a part of: lengths stay.
                _ => self.plain(text, place, true),
            };
        }
        if is_about_people
            && matches!(value.first(), Some(b'{' | b'['))
            && depth < MAX_DEPTH
            && let Some(nodes) = json::parse(value)
        {
            return self.structure(text, value, &nodes, Written::Json, place, depth);
        }
        self.plain(text, place, false)
    }

    /// A text that is no structure.
    fn plain(&mut self, text: &[u8], place: ValueContext<'_>, keeps_length: bool) -> Option<Vec<u8>> {
        let Ok(valid) = std::str::from_utf8(text) else {
            return self.bytes(text, place);
        };
        if let Some(new) = place.kind.and_then(|kind| self.of_kind(kind, valid, place)) {
            return Some(new.into_bytes());
        }
        if place.about == About::People
            && let Some(name) = self.people.known_name(valid)
        {
            self.count("names", 1);
            return Some(name.into_bytes());
        }
        let which = if place.about == About::Contents && place.kind.is_none() { Which::Known } else { Which::All };
        let (new, count) = emails::replace(valid, which, keeps_length, self.people)?;
        self.count("e-mail addresses", count);
        Some(new.into_bytes())
    }

    /// A text that is not in UTF-8.
    fn bytes(&mut self, text: &[u8], place: ValueContext<'_>) -> Option<Vec<u8>> {
        if let Some(kind) = place.kind.filter(|kind| *kind != Kind::Email) {
            return self.of_kind(kind, &String::from_utf8_lossy(text), place).map(String::into_bytes);
        }
        let mut new = Vec::with_capacity(text.len());
        let mut is_other = false;
        for chunk in text.utf8_chunks() {
            let replaced = emails::replace(chunk.valid(), Which::All, true, self.people);
            is_other |= replaced.is_some();
            new.extend(replaced.map_or_else(|| chunk.valid().to_owned(), |(text, _)| text).into_bytes());
            new.extend_from_slice(chunk.invalid());
        }
        is_other.then(|| {
            self.count("e-mail addresses", 1);
            new
        })
    }

    fn of_kind(&mut self, kind: Kind, text: &str, place: ValueContext<'_>) -> Option<String> {
        let new = kind.replace(text, place.who, self.people).filter(|new| new != text)?;
        self.count(kind.counted_as(), 1);
        Some(new)
    }

    fn count(&mut self, what: &'static str, by: u64) {
        *self.counts.entry(what).or_default() += by;
    }

    fn structure(
        &mut self,
        text: &[u8],
        value: &[u8],
        nodes: &[Node<'_>],
        written: Written,
        place: ValueContext<'_>,
        depth: usize,
    ) -> Option<Vec<u8>> {
        let mut walk = Walk { nodes, written, depth, edits: Vec::new() };
        self.node(&mut walk, 0, place);
        let mut edits = walk.edits;
        if edits.is_empty() {
            return None;
        }
        edits.sort_by_key(|(range, _)| range.start);
        let start = value.as_ptr() as usize - text.as_ptr() as usize;
        let mut new = text[..start].to_vec();
        let mut at = 0;
        for (range, with) in edits {
            new.extend_from_slice(&value[at..range.start]);
            new.extend(with);
            at = range.end;
        }
        new.extend_from_slice(&value[at..]);
        new.extend_from_slice(&text[start + value.len()..]);
        Some(new)
    }

    fn node(&mut self, walk: &mut Walk<'_>, number: usize, place: ValueContext<'_>) {
        let node = &walk.nodes[number];
        match &node.item {
            Item::Text(text) => {
                if let Some(new) = self.value(text, place, walk.depth + 1) {
                    walk.edits.push((node.range.clone(), walk.text(&new)));
                }
            }
            Item::Scalar(scalar) => {
                let number = std::str::from_utf8(scalar).ok().and_then(|scalar| scalar.parse().ok());
                let new =
                    place.kind.zip(number).and_then(|(kind, number)| kind.replace_number(number, &self.people.key));
                if let (Some(new), Some(kind)) = (new, place.kind) {
                    self.count(kind.counted_as(), 1);
                    walk.edits.push((node.range.clone(), walk.number(new)));
                }
            }
            Item::Opaque(text) => {
                if let Some(new) = self.plain(text, ValueContext { kind: None, ..place }, true)
                    && new.len() == text.len()
                {
                    let end = node.range.end - 1;
                    walk.edits.push((end - text.len()..end, new));
                }
            }
            Item::Group => self.group(walk, number, place),
            Item::Reference => {}
        }
    }

    fn group(&mut self, walk: &mut Walk<'_>, number: usize, place: ValueContext<'_>) {
        let nodes = walk.nodes;
        let who = walk.who(number, self.people);
        let place = ValueContext { who: who.as_ref().or(place.who), ..place };
        let is_of_person = place.about == About::People && (who.is_some() || walk.has_person(number));
        let key_of = |child: usize| nodes[child].key.as_ref();
        let is_labelled = children(nodes, number).any(|child| key_of(child).is_some_and(|key| *key.name == *b"value"));
        for child in children(nodes, number) {
            let key = key_of(child);
            let name = key.map(|key| name_of(&key.name)).unwrap_or_default();
            let kind = match (place.kind, place.about) {
                (Some(Kind::Answer), _) if IDS.contains(&name.as_str()) => None,
                (Some(Kind::Answer), _) if is_labelled && LABELS.contains(&name.as_str()) => None,
                (Some(Kind::Answer), _) => Some(Kind::Answer),
                (kind, _) if key.is_none() => kind,
                (_, About::People) => {
                    naming::named(&name).filter(|named| named.is_sure || is_of_person).map(|named| named.kind)
                }
                _ => None,
            };
            if let Some(key) = key.filter(|key| key.name.contains(&b'@'))
                && let Some(new) = self.plain(&key.name, ValueContext { kind: None, ..place }, false)
            {
                walk.edits.push((key.range.clone(), walk.text(&new)));
            }
            self.node(walk, child, ValueContext { kind, ..place });
        }
    }
}

/// A structure that is taken apart.
struct Walk<'w> {
    nodes: &'w [Node<'w>],
    written: Written,
    depth: usize,
    edits: Vec<Edit>,
}

impl Walk<'_> {
    fn text(&self, text: &[u8]) -> Vec<u8> {
        if self.written == Written::Json { json::text(text) } else { serialized::text(text) }
    }

    fn number(&self, number: i64) -> Vec<u8> {
        match self.written {
            Written::Json => number.to_string(),
            Written::Serialized => format!("i:{number};"),
        }
        .into_bytes()
    }

    fn named(&self, number: usize) -> impl Iterator<Item = (Named, &str)> {
        children(self.nodes, number).filter_map(|child| {
            let node = &self.nodes[child];
            let named = naming::named(&name_of(&node.key.as_ref()?.name))?;
            let Item::Text(text) = &node.item else { return None };
            Some((named, std::str::from_utf8(text).ok()?))
        })
    }

    /// Whose e-mail address a group has.
    fn who(&self, number: usize, people: &People) -> Option<Person> {
        let email = self.named(number).find(|(named, text)| named.kind == Kind::Email && emails::is_email(text))?.1;
        Some(people.with_email(email))
    }

    /// Whether a group has what only a person has.
    fn has_person(&self, number: usize) -> bool {
        self.named(number).any(|(named, text)| named.is_sure && named.kind != Kind::Email && !text.is_empty())
    }
}

/// A key without what PHP writes before that of a private property.
fn name_of(key: &[u8]) -> String {
    let name = key.rsplit(|byte| *byte == 0).next().unwrap_or(key);
    String::from_utf8_lossy(name).into_owned()
}

/// WordPress trims what it takes for a value of PHP's, and so does this.
fn trimmed(text: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| b" \t\n\r\0\x0b".contains(byte);
    let start = text.iter().take_while(|byte| is_blank(byte)).count();
    let end = text.len() - text[start..].iter().rev().take_while(|byte| is_blank(byte)).count();
    &text[start..end]
}

/// Whether a text begins as a value of PHP's that may have texts in it.
fn is_serialized(value: &[u8]) -> bool {
    let [b's' | b'a' | b'O' | b'C', b':', rest @ ..] = value else { return false };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let opens: &[u8] = if value[0] == b'a' { b":{" } else { b":\"" };
    digits > 0 && rest[digits..].starts_with(opens)
}

#[cfg(test)]
mod tests {
    use super::super::people::User;
    use super::super::person::Key;
    use super::*;

    fn people() -> People {
        let mut people = People::new(Key::of(b"text"));
        let (login, name, email) = ("akeller".to_owned(), "Anna Keller".to_owned(), "anna@shop.example".to_owned());
        people.add_user(&User { number: 1, login, email, name, ..User::default() });
        people
    }

    fn replaced(text: &str, about: About, kind: Option<Kind>) -> String {
        let place = ValueContext { kind, about, who: None };
        let new = replace(text.as_bytes(), place, &people(), &mut Counts::new());
        new.map_or_else(|| text.to_owned(), |new| String::from_utf8(new).unwrap())
    }

    fn php(text: &str) -> String {
        format!("s:{}:\"{text}\";", text.len())
    }

    #[test]
    fn what_keys_say_is_replaced_in_structures_and_lengths_are_right() {
        let (people, key) = (people(), Key::of(b"text"));
        let anna = people.user(1).unwrap();
        let inner =
            |email: &str, name: &str| format!("a:2:{{{}{}{}{}}}", php("email"), php(email), php("name"), php(name));
        let value = |email: &str, name: &str| {
            format!("a:2:{{i:0;{}{}{}}}", inner(email, name), php("x"), php(&inner(email, name)))
        };
        let new = replaced(&value("anna@shop.example", "Änne"), About::People, None);
        assert_eq!(new, value(&people.email("anna@shop.example"), &anna.full_name()));
        let json = replaced(
            r#"{"billing":{"first_name":"Änne","email":"anna@shop.example","phone":49301234567}}"#,
            About::People,
            None,
        );
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let phone = Kind::Phone.replace_number(49_301_234_567, &key).unwrap();
        assert_eq!(value["billing"]["first_name"], anna.first);
        assert_eq!(value["billing"]["phone"], phone);
    }

    #[test]
    fn a_name_beside_no_person_stays() {
        for text in [r#"{"name":"Blue shirt","city":"Bonn"}"#, "a:1:{s:4:\"name\";s:4:\"Blue\";}", "Blue shirt"] {
            assert_eq!(replaced(text, About::People, None), text);
        }
        assert_eq!(replaced("Anna Keller", About::Contents, None), "Anna Keller");
        assert_eq!(replaced("Anna Keller", About::People, None), people().user(1).unwrap().full_name());
    }

    #[test]
    fn what_php_cannot_read_keeps_its_lengths() {
        for text in
            ["a:9:{s:1:\"a\";s:17:\"anna@shop.example\";}", "C:1:\"X\":33:{x:i:0;s:17:\"anna@shop.example\";;m:a}"]
        {
            let new = replaced(text, About::Settings, None);
            assert!(new.len() == text.len() && !new.contains("anna@"), "{new}");
        }
    }

    #[test]
    fn answers_are_replaced_and_questions_are_not() {
        let text = r#"{"1":{"name":"Your name","value":"Grigorij Zwiebelfisch","id":1,"type":"text"},"2":{"name":"E-mail","value":"gz@mail.example"}}"#;
        let new = replaced(text, About::People, Some(Kind::Answer));
        assert!(new.contains("Your name") && !new.contains("Zwiebelfisch") && !new.contains("gz@mail"), "{new}");
    }

    #[test]
    fn any_nesting_is_survived() {
        let deep = "a:1:{i:0;".repeat(100_000) + &php("anna@shop.example") + &"}".repeat(100_000);
        assert!(!replaced(&deep, About::People, None).contains("anna@"));
        let texts = (0..50).fold("anna@shop.example".to_owned(), |text, _| php(&text));
        assert!(!replaced(&texts, About::People, None).contains("anna@"));
    }
}
