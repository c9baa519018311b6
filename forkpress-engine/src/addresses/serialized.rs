//! A serialized value of PHP, taken apart into the texts in it and written anew with others.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use crate::structure::{Item, Node, children, serialized};

/// Values are taken apart up to this depth of arrays in arrays.
const MAX_NESTING: usize = 512;

/// What a text is.
pub(super) enum Look<'t> {
    /// No value of PHP's.
    Text,
    /// A value of PHP's.
    Values(Values<'t>),
    /// What begins as a value of PHP's, and is none that PHP could read.
    Broken,
}

/// The values in a text.
pub(super) struct Values<'t> {
    text: &'t [u8],
    /// Where the value is: PHP's blanks may stand around it.
    range: Range<usize>,
    nodes: Vec<Node<'t>>,
}

/// What may be rewritten.
pub(super) enum Part<'t> {
    /// A text, perhaps with a value in it.
    Value(&'t [u8]),
    /// What a value is called in an array or in an object.
    Key(&'t [u8]),
}

/// Looks at a text. WordPress trims what it takes for a value, and so does this.
pub(super) fn look(text: &[u8]) -> Look<'_> {
    let is_blank = |byte: &u8| b" \t\n\r\0\x0b".contains(byte);
    let start = text.iter().take_while(|byte| is_blank(byte)).count();
    let end = text.len() - text[start..].iter().rev().take_while(|byte| is_blank(byte)).count();
    let value = &text[start..end];
    if !is_begin(value) {
        return Look::Text;
    }
    match serialized::parse_within(value, MAX_NESTING) {
        Some(nodes) => Look::Values(Values { text, range: start..end, nodes }),
        None => Look::Broken,
    }
}

/// Whether a text begins as a value that may have texts in it.
fn is_begin(value: &[u8]) -> bool {
    let [b's' | b'a' | b'O' | b'C', b':', rest @ ..] = value else { return false };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let opens: &[u8] = if value[0] == b'a' { b":{" } else { b":\"" };
    digits > 0 && rest[digits..].starts_with(opens)
}

/// What is to stand in a place.
struct Edit {
    range: Range<usize>,
    with: Vec<u8>,
}

impl Values<'_> {
    /// The whole text with other texts in it; none where `rewrite` has none for any.
    pub(super) fn rewritten(&self, mut rewrite: impl FnMut(Part<'_>) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
        let value = &self.text[self.range.clone()];
        let mut edits = Vec::new();
        for (number, node) in self.nodes.iter().enumerate() {
            let with = match &node.item {
                Item::Text(text) => rewrite(Part::Value(text)).map(|text| serialized::text(&text)),
                Item::Opaque(text) => {
                    rewrite(Part::Value(text)).map(|new| opaque(&value[node.range.clone()], text, &new))
                }
                Item::Group => {
                    edits.extend(self.keys(number, &mut rewrite));
                    None
                }
                Item::Scalar(_) | Item::Reference => None,
            };
            edits.extend(with.map(|with| Edit { range: node.range.clone(), with }));
        }
        if edits.is_empty() {
            return None;
        }
        edits.sort_by_key(|edit| edit.range.start);
        let mut written = self.text[..self.range.start].to_vec();
        let mut at = 0;
        for edit in edits {
            written.extend_from_slice(&value[at..edit.range.start]);
            written.extend(edit.with);
            at = edit.range.end;
        }
        written.extend_from_slice(&value[at..]);
        written.extend_from_slice(&self.text[self.range.end..]);
        Some(written)
    }

    /// The keys of a group that change. One that would become the same as another stays.
    fn keys(&self, number: usize, rewrite: &mut impl FnMut(Part<'_>) -> Option<Vec<u8>>) -> Vec<Edit> {
        let keys = || children(&self.nodes, number).filter_map(|child| self.nodes[child].key.as_ref());
        let mut names: Option<HashSet<Cow<'_, [u8]>>> = None;
        let mut edits = Vec::new();
        // The name of a private property has that of its class in it.
        for key in keys().filter(|key| !key.name.starts_with(b"\0")) {
            let Some(name) = rewrite(Part::Key(&key.name)) else { continue };
            let names = names.get_or_insert_with(|| keys().map(|key| key.name.clone()).collect());
            if names.insert(Cow::Owned(name.clone())) {
                edits.push(Edit { range: key.range.clone(), with: serialized::text(&name) });
            }
        }
        edits
    }
}

/// An object that writes itself, with another text of its own: `C:11:"ArrayObject":4:{text}`.
fn opaque(written: &[u8], text: &[u8], new: &[u8]) -> Vec<u8> {
    let class = &written[..written.len() - text.len() - format!("{}:{{}}", text.len()).len()];
    [class, format!("{}:{{", new.len()).as_bytes(), new, b"}"].concat()
}
