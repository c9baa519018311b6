//! Reads the definition of a column.

use super::constraint::{check, references};
use super::cursor::{Cursor, Token, Wrong};
use super::lexer::Kind;
use super::table::{Column, DefaultValue, Key, KeyKind, KeyPart, Table};

/// Reads a column, from its name on.
pub(super) fn column(table: &mut Table, item: &mut Cursor<'_>) -> Result<Column, Wrong> {
    let mut column = Column { name: item.name()?, ..Column::default() };
    column_type(&mut column, item)?;
    while let Some(token) = item.peek() {
        if item.is_any(&["first", "after"]) {
            break;
        }
        attribute(table, &mut column, item).map_err(|what| format!("{what}, at {} of {}", token.sql(), column.name))?;
    }
    Ok(column)
}

fn column_type(column: &mut Column, item: &mut Cursor<'_>) -> Result<(), Wrong> {
    let word = |token: Option<&Token>| token.map(|token| token.text.to_ascii_lowercase()).unwrap_or_default();
    let mut name = word(item.next());
    item.take(&["precision"]);
    if ["national", "long", "character"].contains(&name.as_str())
        && item.is_any(&["char", "varchar", "varbinary", "character"])
    {
        let second = word(item.next());
        name = match (name.as_str(), second.as_str()) {
            ("long", "varbinary") => "mediumblob".to_owned(),
            ("long", _) => "mediumtext".to_owned(),
            (_, "character") => "char".to_owned(),
            _ => second,
        };
    }
    if item.take(&["varying"]) {
        name = "varchar".to_owned();
    } else if item.take(&["byte"]) {
        name = "binary".to_owned();
    }
    let is_given = item.peek().is_some_and(|token| token.is_sign(b'('));
    let length = if is_given {
        format!("({})", item.within()?.items().iter().map(Cursor::sql).collect::<Vec<_>>().join(","))
    } else {
        String::new()
    };
    column.column_type = match name.as_str() {
        "" => return Err(format!("the column {} has no type", column.name)),
        "character" => format!("char{length}"),
        "long" => "mediumtext".to_owned(),
        // What only MariaDB has, or MySQL 9.
        "uuid" => "char(36)".to_owned(),
        "inet4" => "varchar(15)".to_owned(),
        "inet6" => "varchar(39)".to_owned(),
        "vector" => "longblob".to_owned(),
        _ => name + &length,
    };
    Ok(())
}

fn attribute(table: &mut Table, column: &mut Column, item: &mut Cursor<'_>) -> Result<(), Wrong> {
    if item.take(&["unsigned"]) {
        column.column_type += " unsigned";
    } else if item.take(&["zerofill"]) {
        column.column_type += " zerofill";
    } else if item.take(&["character", "set"]) || item.take(&["charset"]) {
        column.charset = Some(item.name()?.to_ascii_lowercase());
    } else if item.take(&["collate"]) {
        column.collation = Some(item.name()?.to_ascii_lowercase());
    } else if item.take(&["not", "null"]) {
        column.is_not_null = true;
    } else if item.take(&["default"]) {
        column.default = default(item)?;
    } else if item.take(&["on", "update"]) {
        item.next();
        parameters(item)?;
        column.is_updated = true;
    } else if item.take(&["auto_increment"]) {
        column.is_auto_increment = true;
    } else if item.take(&["primary", "key"]) || item.take(&["primary"]) {
        column.is_not_null = true;
        table.keys.push(inline_key(KeyKind::Primary, column));
    } else if item.take(&["unique"]) {
        item.take(&["key"]);
        table.keys.push(inline_key(KeyKind::Unique, column));
    } else if item.take(&["key"]) {
        column.is_not_null = true;
        table.keys.push(inline_key(KeyKind::Primary, column));
    } else if item.take(&["comment"]) {
        column.comment = item.text()?;
    } else if item.take(&["generated", "always", "as"]) || item.take(&["as"]) {
        if item.take(&["row"]) {
            item.next();
        } else {
            item.within()?;
        }
        column.is_generated = true;
    } else if item.is_any(&["check", "constraint"]) {
        let name = if item.take(&["constraint"]) && !item.is("check") { Some(item.name()?) } else { None };
        item.next();
        let check = check(name, item)?;
        table.checks.push(check);
    } else if item.is("references") {
        // MySQL takes no notice of these.
        references(item)?;
    } else if item.is_any(&[
        "column_format",
        "storage",
        "srid",
        "ref_system_id",
        "engine_attribute",
        "secondary_engine_attribute",
    ]) {
        item.next();
        item.take_sign(b'=');
        item.next();
    } else if item.is_any(&["with", "without"]) {
        item.next();
        item.take(&["system", "versioning"]);
    } else if item.take(&["compressed"]) {
        if item.take_sign(b'=') {
            item.next();
        }
    } else if item.take(&["serial", "default", "value"]) {
        (column.is_not_null, column.is_auto_increment) = (true, true);
        table.keys.push(inline_key(KeyKind::Unique, column));
    } else if item.is_any(&[
        "null",
        "signed",
        "binary",
        "ascii",
        "unicode",
        "virtual",
        "stored",
        "persistent",
        "visible",
        "invisible",
    ]) {
        item.next();
    } else {
        return Err("the definition of a column cannot be read".to_owned());
    }
    Ok(())
}

fn inline_key(kind: KeyKind, column: &Column) -> Key {
    let part = KeyPart { column: column.name.clone(), length: None, is_descending: false };
    Key { kind, name: None, parts: vec![part], comment: String::new() }
}

/// Goes over `()` or `(6)` after the name of a function.
fn parameters(item: &mut Cursor<'_>) -> Result<(), Wrong> {
    if item.peek().is_some_and(|token| token.is_sign(b'(')) {
        item.within()?;
    }
    Ok(())
}

fn default(item: &mut Cursor<'_>) -> Result<Option<DefaultValue>, Wrong> {
    const NOW: [&str; 5] = ["current_timestamp", "now", "localtime", "localtimestamp", "utc_timestamp"];
    if item.take(&["null"]) {
        return Ok(None);
    }
    if item.is_any(&NOW) {
        item.next();
        parameters(item)?;
        return Ok(Some(DefaultValue::Now));
    }
    if item.peek().is_some_and(|token| token.is_sign(b'(')) {
        let inside = item.within()?;
        let mut bare = inside.clone();
        let is_now = bare.is_any(&NOW) && bare.next().is_some() && parameters(&mut bare).is_ok() && bare.is_over();
        return Ok(Some(if is_now { DefaultValue::Now } else { DefaultValue::Expression(inside.sql()) }));
    }
    let sign = if item.take_sign(b'-') { "-" } else { "" };
    item.take_sign(b'+');
    let token = item.next().ok_or("a default is missing")?;
    let is_introducer =
        token.text.starts_with('_') && item.peek().is_some_and(|next| matches!(next.kind, Kind::Text(_)));
    if is_introducer {
        return Ok(item.next().map(|text| DefaultValue::Literal(text.sql())));
    }
    if token.kind == Kind::Word && item.peek().is_some_and(|next| next.is_sign(b'(')) {
        // MariaDB writes no parentheses around a function.
        return Ok(Some(DefaultValue::Expression(format!("{}({})", token.text, item.within()?.sql()))));
    }
    Ok(Some(DefaultValue::Literal(format!("{sign}{}", token.sql()))))
}
