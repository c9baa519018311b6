//! What the columns of a table mean: which hold names, values and secrets, and which are only counted or made anew.

use std::borrow::Cow;

use super::super::rows::Layout;
use super::super::rules::{Rules, ValuePlace, is_first_option};
use super::super::value::{How, shown};
use super::super::{Cell, Value, label};
use super::patch::patch;
use super::{Patch, Text};
use crate::git::redact::{self, TableSecrets};

/// The columns of a table, as the rows have them.
pub(super) struct TableCells<'r> {
    rules: &'r Rules,
    /// Its name without the site's prefix, in lower case.
    table: String,
    pub(super) columns: Vec<String>,
    pub(super) key_columns: usize,
    secrets: TableSecrets,
    /// The column with the name of what is in another one.
    name: Option<usize>,
    value: Option<usize>,
    /// Whether what page views write counts as well.
    all: bool,
}

/// How two versions of a row differ.
pub(super) enum Compared {
    /// In nothing: a column that only one of them has is the table's change.
    Same,
    /// In nothing but what is counted, stamped or made anew.
    LeftOut,
    /// In these columns; what is only counted, stamped or made anew is not among them.
    In(Vec<usize>),
}

impl<'r> TableCells<'r> {
    pub(super) fn of(rules: &'r Rules, table: &str, layout: &Layout, all: bool) -> Self {
        let columns = layout.columns.clone();
        let find = |names: &[&str]| {
            columns.iter().position(|column| names.iter().any(|name| column.eq_ignore_ascii_case(name)))
        };
        let value = find(&["option_value", "meta_value", "value"]);
        Self {
            rules,
            table: table.to_owned(),
            key_columns: layout.key_columns,
            secrets: TableSecrets::of(columns.iter().map(String::as_str)),
            name: find(&["option_name", "meta_key", "name", "key"]).filter(|_| value.is_some()),
            value,
            columns,
            all,
        }
    }

    /// What a row has in a column.
    pub(super) fn value<'c>(&self, row: &'c [Cell], column: &str) -> Option<&'c Value> {
        let number = self.columns.iter().position(|name| name.eq_ignore_ascii_case(column))?;
        row[number].as_ref()
    }

    /// Whether page views make, change and remove a row, or WordPress makes it anew from others.
    pub(super) fn is_noise(&self, row: &[Cell]) -> bool {
        if self.all {
            return false;
        }
        let (Some(name), Some(value)) = (self.name, self.value) else { return false };
        let name = bytes(row, name);
        !name.is_empty() && (self.rules.is_noise_name(name) || self.is_derived(&self.columns[value], name))
    }

    /// Whether a row is an option as WordPress makes it when somebody only looks. One that somebody has changed since is no new
    /// one.
    pub(super) fn is_first(&self, row: &[Cell]) -> bool {
        let is_first = |name, value| is_first_option(bytes(row, name), bytes(row, value));
        !self.all
            && self.table == "options"
            && self.name.zip(self.value).is_some_and(|(name, value)| is_first(name, value))
    }

    pub(super) fn compare(&self, before: &[Cell], after: &[Cell]) -> Compared {
        let (mut differ, mut is_left_out) = (Vec::new(), false);
        for (number, cells) in before.iter().zip(after).enumerate() {
            match cells {
                (Some(before), Some(after)) if before != after => {}
                _ => continue,
            }
            let name = self.name.map(|column| bytes(after, column)).unwrap_or_default();
            if !self.all && self.is_derived(&self.columns[number], name) {
                is_left_out = true;
            } else {
                differ.push(number);
            }
        }
        differ.sort_by_key(|column| !self.is_title(*column));
        match differ.is_empty() {
            false => Compared::In(differ),
            true if is_left_out => Compared::LeftOut,
            true => Compared::Same,
        }
    }

    fn is_title(&self, column: usize) -> bool {
        self.columns[column].ends_with("_title")
    }

    /// Whether a value follows from others, or from when somebody worked.
    fn is_derived(&self, column: &str, key: &[u8]) -> bool {
        matches!(
            self.how(column, key),
            How::Target | How::Derived | How::Later | How::Counter | How::Remade | How::Cron
        )
    }

    fn how(&self, column: &str, key: &[u8]) -> How {
        self.rules.how(&ValuePlace { table: &self.table, column, key })
    }

    /// Which parts of a cell changed, where it is a structure whose names may be told.
    pub(super) fn parts(&self, before: &[Cell], after: &[Cell], column: usize) -> Option<shown::Parts> {
        if self.is_secret(before, column) || self.is_secret(after, column) {
            return None;
        }
        let key = self.name.map(|column| bytes(after, column)).unwrap_or_default();
        let is_set = self.how(&self.columns[column], key) == How::Set;
        let mut parts = shown::parts(is_set, bytes(before, column), bytes(after, column))?;
        for name in parts.added.iter_mut().chain(&mut parts.changed).chain(&mut parts.removed) {
            *name = label::told(name);
        }
        Some(parts)
    }

    /// Whether a cell holds a secret as a whole.
    pub(super) fn is_secret(&self, row: &[Cell], column: usize) -> bool {
        self.secrets.hides_texts(column) || self.is_named_secret(row, column)
    }

    fn is_named_secret(&self, row: &[Cell], column: usize) -> bool {
        let text = |column: usize| match &row[column] {
            Some(Value::Text(text)) => Some(&text[..]),
            _ => None,
        };
        self.secrets.is_named(column) && self.secrets.names_a_secret(text)
    }

    /// A cell as it may be told. A structure is several lines.
    pub(super) fn told(&self, row: &[Cell], column: usize) -> String {
        let Some(value) = &row[column] else { return String::new() };
        match value {
            Value::Integer(0 | 1) | Value::Null => label::text(value.as_ref()),
            Value::Integer(_) | Value::Real(_) => {
                let is_secret = self.secrets.hides_numbers(column) && column >= self.key_columns;
                if is_secret || self.is_named_secret(row, column) {
                    redact::PLACEHOLDER.to_owned()
                } else {
                    label::text(value.as_ref())
                }
            }
            Value::Text(text) | Value::Blob(text) => {
                let told = redact::value(self.is_secret(row, column), text);
                let told = told.map_or(Cow::Borrowed(&text[..]), Cow::Owned);
                match value {
                    Value::Blob(bytes) if std::str::from_utf8(bytes).is_err() => format!("{} bytes", bytes.len()),
                    _ => shown::spread(&told).into_owned(),
                }
            }
        }
    }

    /// A cell of two versions of a row as a patch. `of`: what it is called.
    pub(super) fn patch(
        &self,
        of: String,
        before: Option<&[Cell]>,
        after: Option<&[Cell]>,
        column: usize,
    ) -> Option<Patch> {
        let told = |row: Option<&[Cell]>| row.map(|row| self.told(row, column)).unwrap_or_default();
        let (before, after) = (told(before), told(after));
        if before != after {
            return Some(Patch { of, patch: patch(&before, &after) });
        }
        // It is called for where cells differ. So what does is a secret.
        (!before.is_empty()).then(|| Patch { of, patch: format!("-{0}\n+{0}\n", redact::PLACEHOLDER) })
    }

    /// The same as two texts; none where it is empty and was.
    pub(super) fn text(
        &self,
        of: String,
        before: Option<&[Cell]>,
        after: Option<&[Cell]>,
        column: usize,
    ) -> Option<Text> {
        let [before, after] = [before, after].map(|row| row.map(|row| self.told(row, column)).unwrap_or_default());
        (!before.is_empty() || !after.is_empty()).then_some(Text { of, before, after })
    }

    /// The columns of a row that came or went which hold what somebody wrote, a title first.
    pub(super) fn written(&self, row: &[Cell]) -> Vec<usize> {
        let is_written = |column: &usize| {
            let text = bytes(row, *column);
            // A time has blanks, too.
            let has_words = text.contains(&b' ') && text.iter().any(|byte| !b"0123456789-: .".contains(byte));
            self.is_title(*column) || self.columns[*column] == "option_value" || has_words
        };
        let mut columns: Vec<_> = (self.key_columns..row.len()).filter(is_written).collect();
        columns.sort_by_key(|column| !self.is_title(*column));
        columns
    }
}

/// The bytes of a text or a blob; none of anything else.
pub(super) fn bytes(row: &[Cell], column: usize) -> &[u8] {
    match &row[column] {
        Some(Value::Text(bytes) | Value::Blob(bytes)) => bytes,
        _ => b"",
    }
}
