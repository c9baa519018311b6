//! JSON, as it is written: what is not a secret keeps its spaces and its escapes.

use std::borrow::Cow;
use std::ops::Range;

use super::node::{Item, Key, MAX_DEPTH, Node};
use super::reader::ByteReader;

/// The values in it; none where it is not that, or nested too deep.
pub(crate) fn parse(bytes: &[u8]) -> Option<Vec<Node<'_>>> {
    let mut parser = JsonParser { reader: ByteReader::new(bytes), depth: 0, nodes: Vec::new() };
    parser.item(None)?;
    parser.reader.space();
    parser.reader.is_at_end().then_some(parser.nodes)
}

/// How a text is written.
pub(crate) fn text(text: &[u8]) -> Vec<u8> {
    serde_json::to_vec(&String::from_utf8_lossy(text)).expect("a text is JSON")
}

struct JsonParser<'a> {
    reader: ByteReader<'a>,
    depth: usize,
    nodes: Vec<Node<'a>>,
}

impl<'a> JsonParser<'a> {
    fn item(&mut self, key: Option<Key<'a>>) -> Option<()> {
        self.reader.space();
        let (start, number) = (self.reader.at, self.nodes.len());
        self.nodes.push(Node { key, item: Item::Group, range: 0..0, end: 0 });
        let item = match self.reader.peek()? {
            b'"' => Item::Text(self.string()?.0),
            b'{' => self.members(b'}')?,
            b'[' => self.members(b']')?,
            _ => {
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
                while self.reader.peek().is_some_and(is_plain) {
                    self.reader.at += 1;
                }
                let scalar = self.reader.since(start)?;
                let is_word = matches!(scalar, b"true" | b"false" | b"null");
                let is_number = matches!(scalar.first(), Some(b'-' | b'0'..=b'9'));
                Item::Scalar((is_word || is_number).then_some(scalar)?)
            }
        };
        let end = self.nodes.len();
        let node = &mut self.nodes[number];
        (node.item, node.range, node.end) = (item, start..self.reader.at, end);
        Some(())
    }

    fn members(&mut self, end: u8) -> Option<Item<'a>> {
        self.reader.at += 1;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        self.reader.space();
        let mut is_over = self.reader.peek()? == end;
        self.reader.at += usize::from(is_over);
        while !is_over {
            self.reader.space();
            let mut key = None;
            if end == b'}' {
                let (name, range) = self.string()?;
                key = Some(Key { name, range });
                self.reader.space();
                self.reader.expect(b":")?;
            }
            self.item(key)?;
            self.reader.space();
            is_over = match self.reader.peek()? {
                b',' => false,
                byte if byte == end => true,
                _ => return None,
            };
            self.reader.at += 1;
        }
        self.depth -= 1;
        Some(Item::Group)
    }

    /// What a string says, and where it is, with its quotes.
    fn string(&mut self) -> Option<(Cow<'a, [u8]>, Range<usize>)> {
        let start = self.reader.at;
        self.reader.expect(b"\"")?;
        let mut is_plain = true;
        loop {
            match self.reader.peek()? {
                b'"' => break,
                b'\\' => {
                    is_plain = false;
                    self.reader.at += 2;
                }
                _ => self.reader.at += 1,
            }
        }
        self.reader.at += 1;
        let written = self.reader.since(start)?;
        let text = if is_plain {
            Cow::Borrowed(&written[1..written.len() - 1])
        } else {
            Cow::Owned(serde_json::from_slice::<String>(written).ok()?.into_bytes())
        };
        Some((text, start..self.reader.at))
    }
}
