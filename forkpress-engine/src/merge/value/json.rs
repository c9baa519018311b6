//! JSON as a tree. Numbers, escapes and spaces stay as they are written in whatever isn't put together anew.

use std::collections::HashSet;

use serde::de::IgnoredAny;

use super::tree::{Member, Shape, Value};
use crate::structure::{Item, Node, children, json};

/// The tree of a text; none where it is no JSON, where a key is there twice, or where it is nested too deep.
pub(super) fn read(bytes: &[u8]) -> Option<Value<'_>> {
    let nodes = json::parse(bytes)?;
    serde_json::from_str::<IgnoredAny>(std::str::from_utf8(bytes).ok()?).ok()?;
    value(bytes, &nodes, 0)
}

fn value<'a>(bytes: &'a [u8], nodes: &[Node<'a>], number: usize) -> Option<Value<'a>> {
    let node = &nodes[number];
    let written = &bytes[node.range.clone()];
    let shape = match &node.item {
        Item::Text(text) => Shape::Text(text.clone()),
        Item::Group if written[0] == b'[' => {
            Shape::List(children(nodes, number).map(|child| value(bytes, nodes, child)).collect::<Option<_>>()?)
        }
        Item::Group => {
            let member = |child: usize| {
                let key = nodes[child].key.as_ref()?;
                let (name, key) = (key.name.clone(), &bytes[key.range.clone()]);
                Some(Member { name, key, value: value(bytes, nodes, child)? })
            };
            let members: Vec<_> = children(nodes, number).map(member).collect::<Option<_>>()?;
            let names: HashSet<_> = members.iter().map(|member| &member.name).collect();
            (names.len() == members.len()).then_some(())?;
            Shape::Map(members)
        }
        Item::Scalar(_) | Item::Opaque(_) | Item::Reference => Shape::Single,
    };
    Some(Value { written, shape })
}

pub(super) fn text(text: &[u8]) -> Vec<u8> {
    json::text(text)
}

/// A map of members: how each one's key and its value are written.
pub(super) fn map<'a>(members: impl Iterator<Item = (&'a [u8], Vec<u8>)>) -> Vec<u8> {
    let members = members.map(|(key, value)| [key, &b":"[..], &value].concat());
    [&b"{"[..], &members.collect::<Vec<_>>().join(&b','), b"}"].concat()
}

pub(super) fn list(values: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    [&b"["[..], &values.collect::<Vec<_>>().join(&b','), b"]"].concat()
}
