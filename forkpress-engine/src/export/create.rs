//! A table as MySQL makes it: decides what both MySQL 8 and MariaDB 10.11 take.

use super::charset::Collation;
use super::literal::{name, names, quoted};
use super::schema::{Check, Class, Column, ForeignKey, Key, Table};

/// How many bytes InnoDB puts into a key at most.
const LONGEST_KEY_BYTES: u64 = 3072;

/// How many characters of a text go into a key where all would be too long: what WordPress takes.
const KEY_CHARACTERS: u64 = 191;

/// The collation of each column of texts.
pub(super) type Collations = Vec<Option<Collation>>;

/// The collations that a table's columns were declared with, as far as both know them.
pub(super) fn declared(table: &Table) -> Collations {
    let collation = |column: &Column| {
        let has_one = column.class() == Class::Text && !column.type_name.eq_ignore_ascii_case("json");
        let declared = column.collation.as_deref().unwrap_or(&table.collation);
        has_one.then(|| Collation::of(declared))
    };
    table.columns.iter().map(collation).collect()
}

/// The statement that makes a table. What is other than it was declared goes into the notes.
pub(super) fn create(table: &Table, collations: &Collations, notes: &mut Vec<String>) -> String {
    let mut notes = Notes { table: &table.name, notes };
    let own = Collation::of(&table.collation);
    let columns = table.columns.iter().zip(collations);
    let mut lines: Vec<_> =
        columns.map(|(column, collation)| column_line(column, collation.as_ref(), &own, &mut notes)).collect();
    let keys: Vec<_> = table.keys.iter().filter_map(|key| KeyLine::of(key, table, collations, &mut notes)).collect();
    lines.extend(keys.iter().map(|key| key.line.clone()));
    // Only MyISAM counts in a column that no key begins with.
    let counted = table.columns.iter().filter(|column| column.is_auto_increment);
    let without_key = counted.filter(|column| !keys.iter().any(|key| key.first.eq_ignore_ascii_case(&column.name)));
    lines.extend(without_key.map(|column| format!("KEY {} ({})", name(&column.name), name(&column.name))));
    lines.extend(table.foreign_keys.iter().map(foreign_key_line));
    let (checks, odd): (Vec<_>, Vec<_>) = table.checks.iter().partition(|check| is_closed(&check.clause));
    lines.extend(checks.into_iter().map(check_line));
    odd.iter().for_each(|check| notes.of(&check.name, "its condition can't be read; it is left out"));
    let next = table.next_number.filter(|_| table.columns.iter().any(|column| column.is_auto_increment));
    let next = next.map(|next| format!(" AUTO_INCREMENT={next}")).unwrap_or_default();
    let comment = if table.comment.is_empty() { String::new() } else { format!(" COMMENT={}", quoted(&table.comment)) };
    format!(
        "CREATE TABLE {} (\n  {}\n) ENGINE=InnoDB{next} DEFAULT CHARSET={} COLLATE={}{comment}",
        name(&table.name),
        lines.join(",\n  "),
        own.charset_name(),
        own.name
    )
}

/// What is told of a table.
struct Notes<'n> {
    table: &'n str,
    notes: &'n mut Vec<String>,
}

impl Notes<'_> {
    fn of(&mut self, what: &str, note: &str) {
        self.notes.push(format!("{}.{what}: {note}", self.table));
    }
}

fn column_line(column: &Column, collation: Option<&Collation>, own: &Collation, notes: &mut Notes<'_>) -> String {
    let full_type = if is_closed(&column.full_type) {
        column.full_type.as_str()
    } else {
        notes.of(&column.name, "its type is none of MySQL's; it is longtext now");
        "longtext"
    };
    let mut line = format!("{} {full_type}", name(&column.name));
    if let Some(collation) = collation.filter(|collation| *collation != own) {
        line += &format!(" CHARACTER SET {} COLLATE {}", collation.charset_name(), collation.name);
    }
    if !column.is_nullable {
        line += " NOT NULL";
    } else if column.is_moment() {
        // Else an older server takes `timestamp` for one that is never null.
        line += " NULL";
    }
    if column.is_generated {
        notes.of(&column.name, "was generated; it is an ordinary column now");
    }
    let now = || format!("CURRENT_TIMESTAMP{}", fraction(&column.full_type));
    match &column.default {
        _ if column.is_auto_increment => line += " AUTO_INCREMENT",
        Some(default) if default.eq_ignore_ascii_case("CURRENT_TIMESTAMP") && column.is_moment() => {
            line += &format!(" DEFAULT {}", now());
        }
        Some(expression) if column.is_default_an_expression && !is_closed(expression) => {
            notes.of(&column.name, "its default can't be read; it has none now");
        }
        Some(expression) if column.is_default_an_expression => line += &format!(" DEFAULT ({expression})"),
        Some(_) if !column.takes_default() => notes.of(&column.name, "MySQL has no default for such a column"),
        Some(bits) if column.class() == Class::Bits && is_bits(bits) => line += &format!(" DEFAULT {bits}"),
        Some(default) => line += &format!(" DEFAULT {}", quoted(default)),
        None if column.is_nullable => line += " DEFAULT NULL",
        None => {}
    }
    if column.is_set_on_update {
        line += &format!(" ON UPDATE {}", now());
    }
    if !column.comment.is_empty() {
        line += &format!(" COMMENT {}", quoted(&column.comment));
    }
    line
}

/// Whether a piece of SQL ends nothing but what it began itself. What a plugin wrote into the driver's tables may be anything.
fn is_closed(sql: &str) -> bool {
    let (mut depth, mut quote, mut bytes) = (0_usize, None, sql.bytes().peekable());
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (Some(_), b'\\') => drop(bytes.next()),
            (Some(open), byte) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"' | b'`') => quote = Some(byte),
            (None, b'(') => depth += 1,
            (None, b')') if depth == 0 => return false,
            (None, b')') => depth -= 1,
            (None, b';' | b'#' | b'\\') => return false,
            (None, b'-') if bytes.peek() == Some(&b'-') => return false,
            (None, b'/') if bytes.peek() == Some(&b'*') => return false,
            (None, _) => {}
        }
    }
    depth == 0 && quote.is_none()
}

/// How many digits of a second a type has, in brackets.
fn fraction(full_type: &str) -> &str {
    let digits = full_type.find('(').zip(full_type.find(')')).and_then(|(start, end)| full_type.get(start..=end));
    digits.filter(|digits| *digits != "(0)").unwrap_or_default()
}

fn is_bits(default: &str) -> bool {
    let bits = default.strip_prefix("b'").and_then(|rest| rest.strip_suffix('\''));
    bits.is_some_and(|bits| !bits.is_empty() && bits.bytes().all(|bit| matches!(bit, b'0' | b'1')))
}

/// A key as it stands in the statement.
struct KeyLine {
    line: String,
    /// The column that it begins with.
    first: String,
}

/// A part of a key: its column, how much of it, and how many bytes that is.
struct Part<'t> {
    column: &'t Column,
    length: Option<u64>,
    /// How many bytes each of the length is; none where no part of the column can be taken.
    width_bytes: Option<u64>,
    is_descending: bool,
}

impl Part<'_> {
    fn bytes(&self) -> u64 {
        let units = self.length.or(self.column.max_length).unwrap_or(8);
        self.width_bytes.map_or(8, |width| units.saturating_mul(width))
    }
}

impl KeyLine {
    fn of(key: &Key, table: &Table, collations: &Collations, notes: &mut Notes<'_>) -> Option<Self> {
        let is_plain = !["FULLTEXT", "SPATIAL"].contains(&key.kind.as_str());
        let find = |part: &super::schema::KeyPart| {
            let at = table.columns.iter().position(|column| column.name.eq_ignore_ascii_case(&part.column))?;
            let column = &table.columns[at];
            let is_long = column.is_long_text() || column.is_long_bytes();
            let width_bytes = match &collations[at] {
                Some(collation) if column.counts_characters() || is_long => Some(collation.charset.widest_bytes()),
                Some(_) => None,
                None => (column.class() == Class::Bytes).then_some(1),
            };
            let is_part = |length: &u64| is_long || column.max_length.is_none_or(|max| *length < max);
            let length =
                part.length.filter(|length| *length > 0 && width_bytes.is_some() && is_plain && is_part(length));
            let length = length.or((is_long && is_plain).then_some(KEY_CHARACTERS));
            Some(Part { column, length, width_bytes, is_descending: part.is_descending && is_plain })
        };
        let parts = key.parts.as_ref().and_then(|parts| parts.iter().map(find).collect::<Option<Vec<_>>>());
        let Some(mut parts) = parts.filter(|parts| !parts.is_empty()) else {
            notes.of(&key.name, "a key of an expression, which MariaDB does not have, is left out");
            return None;
        };
        if is_plain && parts.iter().map(Part::bytes).sum::<u64>() > LONGEST_KEY_BYTES {
            let is_long =
                |part: &&mut Part<'_>| part.bytes() > KEY_CHARACTERS * part.width_bytes.unwrap_or(u64::MAX / 256);
            parts.iter_mut().filter(is_long).for_each(|part| part.length = Some(KEY_CHARACTERS));
            notes.of(&key.name, &format!("the key is too long; it has {KEY_CHARACTERS} characters of a column now"));
        }
        let declared = key.parts.iter().flatten().map(|part| part.length);
        if key.is_unique
            && parts.iter().zip(declared).any(|(part, declared)| part.length.is_some() && declared.is_none())
        {
            notes.of(&key.name, &format!("only the first {KEY_CHARACTERS} characters are unique"));
        }
        let columns = parts.iter().map(|part| {
            let length = part.length.map(|length| format!("({length})")).unwrap_or_default();
            format!("{}{length}{}", name(&part.column.name), if part.is_descending { " DESC" } else { "" })
        });
        let columns = columns.collect::<Vec<_>>().join(", ");
        let comment = if key.comment.is_empty() { String::new() } else { format!(" COMMENT {}", quoted(&key.comment)) };
        let kind = match key.kind.as_str() {
            _ if key.name.eq_ignore_ascii_case("PRIMARY") => "PRIMARY KEY".to_owned(),
            kind @ ("FULLTEXT" | "SPATIAL") => format!("{kind} KEY {}", name(&key.name)),
            _ if key.is_unique => format!("UNIQUE KEY {}", name(&key.name)),
            _ => format!("KEY {}", name(&key.name)),
        };
        Some(Self { line: format!("{kind} ({columns}){comment}"), first: parts[0].column.name.clone() })
    }
}

fn foreign_key_line(key: &ForeignKey) -> String {
    let columns = |columns: &[String]| names(columns.iter().map(String::as_str));
    let rule = |when: &str, rule: &str| {
        let known = ["CASCADE", "SET NULL", "RESTRICT"].into_iter().find(|known| rule.eq_ignore_ascii_case(known));
        known.map(|rule| format!(" ON {when} {rule}")).unwrap_or_default()
    };
    format!(
        "CONSTRAINT {} FOREIGN KEY {} REFERENCES {} {}{}{}",
        name(&key.name),
        columns(&key.columns),
        name(&key.table),
        columns(&key.referenced),
        rule("DELETE", &key.on_delete),
        rule("UPDATE", &key.on_update)
    )
}

fn check_line(check: &Check) -> String {
    let enforced = if check.is_enforced { "" } else { " /*!80016 NOT ENFORCED */" };
    format!("CONSTRAINT {} CHECK ({}){enforced}", name(&check.name), check.clause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_the_statement_is_told_from_what_would_not() {
        for sql in ["int(11) unsigned", "enum('a','it''s','b\\'',')')", "json_valid(`a`) and (`b` > -1)", "(now() + 1)"]
        {
            assert!(is_closed(sql), "{sql}");
        }
        for sql in ["int); DROP TABLE x; --", "int)", "(", "'a", "a -- b", "a /* b", "a # b", "'a\\'", "a;b", "\\'"] {
            assert!(!is_closed(sql), "{sql}");
        }
    }
}
