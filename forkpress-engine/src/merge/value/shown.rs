//! Serialized PHP and JSON as people read them: which parts of a value changed, and the whole of it in lines.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::format::read;
use super::set;
use super::tree::{Shape, Value};

/// The parts of a structure that are not the same in two values, by their names; those of a list are called what they are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) added: Vec<String>,
    pub(crate) changed: Vec<String>,
    pub(crate) removed: Vec<String>,
}

/// Which parts changed; none where either is no structure, or where the parts are the same in another order. `is_set`: whether
/// the keys in it mean nothing.
pub(crate) fn parts(is_set: bool, base: &[u8], source: &[u8]) -> Option<Parts> {
    let (base_format, base) = read(base)?;
    let (format, source) = read(source)?;
    (base_format == format).then_some(())?;
    let counted = |value| elements(value, is_set);
    let parts = match (counted(&base), counted(&source)) {
        (Some(base), Some(source)) => compared(&base, &source),
        _ => compared(&members(&base)?, &members(&source)?),
    };
    (parts != Parts::default()).then_some(parts)
}

/// Parts by what they are told apart by: what each is called, and how it is written.
type Named<'v> = BTreeMap<&'v [u8], (Cow<'v, str>, &'v [u8])>;

/// The parts of what is told apart by its values: a list of texts and numbers, or a set.
fn elements<'v>(value: &'v Value<'_>, is_set: bool) -> Option<Named<'v>> {
    let element = |value: &'v Value<'_>| match &value.shape {
        Shape::Text(text) => Some((value.written, (String::from_utf8_lossy(text), value.written))),
        Shape::Single => Some((value.written, (scalar(value.written), value.written))),
        Shape::List(_) | Shape::Map(_) => None,
    };
    match &value.shape {
        Shape::List(values) => values.iter().map(element).collect(),
        Shape::Map(members) if is_set && set::is_counted(members) => {
            members.iter().map(|member| element(&member.value)).collect()
        }
        _ => None,
    }
}

fn members<'v>(value: &'v Value<'_>) -> Option<Named<'v>> {
    let members = value.members()?.iter();
    Some(members.map(|member| (&*member.name, (String::from_utf8_lossy(&member.name), member.value.written))).collect())
}

fn compared(base: &Named<'_>, source: &Named<'_>) -> Parts {
    let names = |of: &Named<'_>, is_told: &dyn Fn(&[u8], &[u8]) -> bool| {
        let told = of.iter().filter(|(key, (_, written))| is_told(key, written));
        told.map(|(_, (name, _))| name.to_string()).collect()
    };
    Parts {
        added: names(source, &|key, _| !base.contains_key(key)),
        changed: names(source, &|key, written| base.get(key).is_some_and(|(_, before)| *before != written)),
        removed: names(base, &|key, _| !source.contains_key(key)),
    }
}

/// A structure with a line for each value in it; any other text as it is.
pub(crate) fn spread(text: &[u8]) -> Cow<'_, str> {
    match read(text) {
        Some((_, value)) if matches!(value.shape, Shape::List(_) | Shape::Map(_)) => {
            let mut lines = String::new();
            spread_into(&mut lines, &value, 0);
            lines.pop();
            Cow::Owned(lines)
        }
        _ => String::from_utf8_lossy(text),
    }
}

fn spread_into(lines: &mut String, value: &Value<'_>, depth: usize) {
    let indent = "  ".repeat(depth);
    let mut member = |name: &str, value: &Value<'_>| {
        lines.push_str(&format!("{indent}{name}:"));
        match &value.shape {
            Shape::List(values) if values.is_empty() => lines.push_str(" []\n"),
            Shape::List(_) | Shape::Map(_) => {
                lines.push('\n');
                spread_into(lines, value, depth + 1);
            }
            Shape::Single => lines.push_str(&format!(" {}\n", scalar(value.written))),
            Shape::Text(text) => {
                let text = String::from_utf8_lossy(text);
                lines.push_str(&format!(" {}\n", text.replace('\n', &format!("\n{indent}  "))));
            }
        }
    };
    match &value.shape {
        Shape::List(values) => {
            values.iter().enumerate().for_each(|(number, value)| member(&number.to_string(), value));
        }
        Shape::Map(members) => {
            members.iter().for_each(|found| member(&String::from_utf8_lossy(&found.name), &found.value));
        }
        Shape::Single | Shape::Text(_) => {}
    }
}

/// A number, a truth value or null without what serialized PHP has around it.
fn scalar(written: &[u8]) -> Cow<'_, str> {
    match written {
        b"N;" => "null".into(),
        b"b:0;" => "false".into(),
        b"b:1;" => "true".into(),
        [b'i' | b'd', b':', number @ .., b';'] => String::from_utf8_lossy(number),
        other => String::from_utf8_lossy(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(is_set: bool, base: &str, source: &str) -> Option<String> {
        let Parts { added, changed, removed } = parts(is_set, base.as_bytes(), source.as_bytes())?;
        let signed = |sign: &str, names: Vec<String>| names.into_iter().map(|name| format!("{sign}{name}")).collect();
        let all: [Vec<_>; 3] = [signed("+", added), signed("~", changed), signed("-", removed)];
        Some(all.concat().join(" "))
    }

    #[test]
    fn members_of_sets_and_lists_are_called_what_they_are() {
        let (one, other) = (r#"a:2:{i:0;s:1:"a";i:1;s:1:"b";}"#, r#"a:3:{i:0;s:1:"c";i:1;s:1:"b";i:2;i:7;}"#);
        assert_eq!(told(false, one, other).unwrap(), "+7 +c -a");
        assert_eq!(told(true, one, r#"a:1:{i:5;s:1:"b";}"#).unwrap(), "-a");
        assert_eq!(told(true, r#"a:1:{s:1:"x";i:1;}"#, r#"a:1:{s:1:"y";i:1;}"#).unwrap(), "+y -x");
        assert_eq!(told(true, "a:0:{}", one).unwrap(), "+a +b");
        assert_eq!(told(false, r#"["a","b"]"#, r#"["b","a"]"#), None, "another order");
        assert_eq!(told(false, r#"[{"a":1}]"#, r#"[{"a":2}]"#), None);
    }

    #[test]
    fn what_changed_in_a_map_is_called_by_its_key() {
        let base = r#"a:3:{s:1:"a";i:1;s:1:"b";a:1:{i:2;i:3;}i:7;i:1;}"#;
        let source = r#"a:3:{s:1:"b";a:1:{i:2;i:4;}i:7;i:1;s:1:"c";N;}"#;
        assert_eq!(told(false, base, source).unwrap(), "+c ~b -a");
        assert_eq!(told(false, r#"{"a": 1}"#, r#"{"a":1,"b":2}"#).unwrap(), "+b");
        assert_eq!(told(false, "text", "other"), None);
        assert_eq!(told(false, base, r#"{"a":1}"#), None);
    }

    #[test]
    fn a_structure_is_spread_over_lines() {
        let text = "a:4:{s:1:\"a\";s:3:\"x\ny\";s:1:\"b\";a:2:{i:0;b:1;i:1;d:0.5;}s:1:\"c\";a:0:{}i:7;N;}";
        assert_eq!(spread(text.as_bytes()), "a: x\n  y\nb:\n  0: true\n  1: 0.5\nc: []\n7: null");
        assert_eq!(spread(br#"{"a":[1,{"b":"c"}]}"#), "a:\n  0: 1\n  1:\n    b: c");
        assert_eq!(spread(b"a text"), "a text");
    }
}
