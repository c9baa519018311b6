//! What PHP's `serialize()` writes.

use std::borrow::Cow;

use super::node::{Item, Key, MAX_DEPTH, Node};
use super::reader::ByteReader;

/// The values in it; none where it is not that, or nested too deep.
pub(crate) fn parse(bytes: &[u8]) -> Option<Vec<Node<'_>>> {
    parse_within(bytes, MAX_DEPTH)
}

/// The same where nesting may be so deep.
pub(crate) fn parse_within(bytes: &[u8], max_depth: usize) -> Option<Vec<Node<'_>>> {
    let mut parser = SerializedParser { reader: ByteReader::new(bytes), depth: 0, max_depth, nodes: Vec::new() };
    parser.item(None)?;
    parser.reader.is_at_end().then_some(parser.nodes)
}

/// How a text is written.
pub(crate) fn text(text: &[u8]) -> Vec<u8> {
    [format!("s:{}:\"", text.len()).as_bytes(), text, b"\";"].concat()
}

struct SerializedParser<'a> {
    reader: ByteReader<'a>,
    depth: usize,
    max_depth: usize,
    nodes: Vec<Node<'a>>,
}

impl<'a> SerializedParser<'a> {
    fn item(&mut self, key: Option<Key<'a>>) -> Option<()> {
        let (start, number) = (self.reader.at, self.nodes.len());
        self.nodes.push(Node { key, item: Item::Group, range: 0..0, end: 0 });
        let item = match self.reader.peek()? {
            b'N' => {
                self.reader.expect(b"N;")?;
                Item::Scalar(b"null")
            }
            b'b' | b'i' | b'd' => {
                self.reader.at += 1;
                self.reader.expect(b":")?;
                Item::Scalar(self.reader.until(b';')?)
            }
            b'r' | b'R' => {
                self.reader.until(b';')?;
                Item::Reference
            }
            b's' => {
                let text = self.string(b"s:")?;
                self.reader.expect(b";")?;
                Item::Text(Cow::Borrowed(text))
            }
            b'E' => {
                let case = self.string(b"E:")?;
                self.reader.expect(b";")?;
                Item::Scalar(case)
            }
            b'a' => {
                self.reader.expect(b"a:")?;
                self.members()?
            }
            b'O' => {
                self.string(b"O:")?;
                self.reader.expect(b":")?;
                self.members()?
            }
            b'C' => {
                self.string(b"C:")?;
                self.reader.expect(b":")?;
                let length = self.number(b':')?;
                self.reader.expect(b"{")?;
                let text = self.reader.take(length)?;
                self.reader.expect(b"}")?;
                Item::Opaque(text)
            }
            _ => return None,
        };
        let end = self.nodes.len();
        let node = &mut self.nodes[number];
        (node.item, node.range, node.end) = (item, start..self.reader.at, end);
        Some(())
    }

    fn members(&mut self) -> Option<Item<'a>> {
        let count = self.number(b':')?;
        self.reader.expect(b"{")?;
        self.depth += 1;
        if self.depth > self.max_depth {
            return None;
        }
        for _ in 0..count {
            let start = self.reader.at;
            let key = match self.reader.peek()? {
                b's' => {
                    let name = Cow::Borrowed(self.string(b"s:")?);
                    self.reader.expect(b";")?;
                    Some(Key { name, range: start..self.reader.at })
                }
                b'i' => {
                    self.reader.until(b';')?;
                    None
                }
                _ => return None,
            };
            self.item(key)?;
        }
        self.depth -= 1;
        self.reader.expect(b"}")?;
        Some(Item::Group)
    }

    fn number(&mut self, end: u8) -> Option<usize> {
        std::str::from_utf8(self.reader.until(end)?).ok()?.parse().ok()
    }

    fn string(&mut self, tag: &[u8]) -> Option<&'a [u8]> {
        self.reader.expect(tag)?;
        let length = self.number(b':')?;
        self.reader.expect(b"\"")?;
        let text = self.reader.take(length)?;
        self.reader.expect(b"\"")?;
        Some(text)
    }
}
