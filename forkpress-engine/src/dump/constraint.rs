//! Reads the keys and the constraints of a table.

use super::cursor::{Cursor, Wrong, before};
use super::table::{Check, ForeignKey, Key, KeyKind, KeyPart, Table};

/// Reads a key or a constraint; says false where it is neither.
pub(super) fn element(table: &mut Table, item: &mut Cursor<'_>) -> Result<bool, Wrong> {
    let mut name = None;
    if item.take(&["constraint"]) && !item.is_any(&["primary", "unique", "foreign", "check"]) {
        name = Some(item.name()?);
    }
    if item.take(&["check"]) {
        let check = check(name, item)?;
        table.checks.push(check);
    } else if item.take(&["foreign", "key"]) {
        item.take(&["if", "not", "exists"]);
        if !item.peek().is_some_and(|token| token.is_sign(b'(')) {
            let index = item.name()?;
            name.get_or_insert(index);
        }
        let columns = names(item.within()?)?;
        let (referenced_table, referenced, actions) = references(item)?;
        table.foreign_keys.push(ForeignKey { name, columns, table: referenced_table, referenced, actions });
    } else if item.take(&["period", "for"]) {
        table.left_out.push("its versions".to_owned());
    } else if let Some(kind) = key_kind(item) {
        key(table, kind, name, item)?;
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// Goes over what begins a key; none where a column begins.
fn key_kind(item: &mut Cursor<'_>) -> Option<KeyKind> {
    if item.take(&["primary", "key"]) {
        return Some(KeyKind::Primary);
    }
    let kind = if item.take(&["unique"]) {
        KeyKind::Unique
    } else if item.take(&["fulltext"]) {
        KeyKind::Fulltext
    } else if item.take(&["spatial"]) {
        KeyKind::Spatial
    } else if item.is_any(&["key", "index"]) {
        KeyKind::Plain
    } else {
        return None;
    };
    let _ = item.take(&["key"]) || item.take(&["index"]);
    Some(kind)
}

fn key(table: &mut Table, kind: KeyKind, name: Option<String>, item: &mut Cursor<'_>) -> Result<(), Wrong> {
    item.take(&["if", "not", "exists"]);
    let mut key = Key { kind, name, parts: Vec::new(), comment: String::new() };
    while !item.peek().is_some_and(|token| token.is_sign(b'(')) {
        if item.take(&["using"]) {
            item.next();
        } else {
            key.name = Some(item.name()?);
        }
    }
    let parts = item.within()?;
    for mut part in parts.items() {
        if part.peek().is_some_and(|token| token.is_sign(b'(')) {
            // The driver's SQLite has no keys on expressions.
            table.left_out.push(format!("the key {} on an expression", key.name.as_deref().unwrap_or_default()));
            return Ok(());
        }
        let column = part.name()?;
        let length =
            if part.peek().is_some_and(|token| token.is_sign(b'(')) { Some(part.within()?.sql()) } else { None };
        key.parts.push(KeyPart { column, length, is_descending: part.take(&["desc"]) });
    }
    while !item.is_over() {
        if item.take(&["comment"]) {
            key.comment = item.text()?;
        } else {
            item.next();
        }
    }
    table.keys.push(key);
    Ok(())
}

fn names(list: Cursor<'_>) -> Result<Vec<String>, Wrong> {
    list.items().into_iter().map(|mut item| item.name()).collect()
}

/// Reads what follows CHECK.
pub(super) fn check(name: Option<String>, item: &mut Cursor<'_>) -> Result<Check, Wrong> {
    let inside = item.within()?;
    let mut expression = inside.sql();
    if let [function, _, column, _] = inside.tokens()
        && function.is_word("json_valid")
    {
        // SQLite before 3.45 says that NULL is no JSON.
        expression = format!("{} is null or {expression}", column.sql());
    }
    let is_enforced = !item.take(&["not", "enforced"]);
    item.take(&["enforced"]);
    Ok(Check { name, expression, is_enforced })
}

/// Reads REFERENCES and what is to be done with rows that refer.
pub(super) fn references(item: &mut Cursor<'_>) -> Result<(String, Vec<String>, String), Wrong> {
    if !item.take(&["references"]) {
        return Err(format!("REFERENCES is missing {}", before(item.peek())));
    }
    let table = item.name()?;
    let columns = names(item.within()?)?;
    let mut actions = String::new();
    loop {
        if item.take(&["match"]) {
            item.next();
        } else if item.is("on") && !item.clone().take(&["on", "update", "current_timestamp"]) {
            item.next();
            let event = item.next().map(|token| token.text.to_ascii_uppercase()).unwrap_or_default();
            let words = usize::from(item.is_any(&["set", "no"])) + 1;
            let action: Vec<_> = (0..words).filter_map(|_| item.next()).map(|t| t.text.to_ascii_uppercase()).collect();
            actions += &format!(" ON {event} {}", action.join(" "));
        } else {
            return Ok((table, columns, actions));
        }
    }
}
