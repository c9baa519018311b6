//! A table as a dump defines it, and as the SQLite driver can be told of it.
//!
//! The driver's parser knows MySQL 8. What only MariaDB has, it is told as what comes nearest.

use std::collections::HashSet;
use std::fmt::Write;

/// A column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    /// Its type with length and attributes, as MySQL writes it.
    pub(super) column_type: String,
    pub(super) charset: Option<String>,
    pub(super) collation: Option<String>,
    pub(super) is_not_null: bool,
    pub(super) default: Option<DefaultValue>,
    pub(super) is_updated: bool,
    pub(super) is_auto_increment: bool,
    pub(super) is_generated: bool,
    pub(super) comment: String,
}

/// What a column has where a row says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DefaultValue {
    /// A literal, as MySQL writes it.
    Literal(String),
    Now,
    Expression(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    Primary,
    Unique,
    Plain,
    Fulltext,
    Spatial,
}

/// A key of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) kind: KeyKind,
    pub(super) name: Option<String>,
    pub(super) parts: Vec<KeyPart>,
    pub(super) comment: String,
}

/// A column of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyPart {
    pub(super) column: String,
    /// Of how many characters, where not of all.
    pub(super) length: Option<String>,
    pub(super) is_descending: bool,
}

/// A reference to another table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ForeignKey {
    pub(super) name: Option<String>,
    pub(super) columns: Vec<String>,
    pub(super) table: String,
    pub(super) referenced: Vec<String>,
    /// ` ON DELETE CASCADE` and the like.
    pub(super) actions: String,
}

/// What rows have to fulfil.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) name: Option<String>,
    pub(super) expression: String,
    pub(super) is_enforced: bool,
}

/// A table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    pub(super) keys: Vec<Key>,
    pub(super) foreign_keys: Vec<ForeignKey>,
    pub(super) checks: Vec<Check>,
    pub(super) engine: Option<String>,
    pub(super) auto_increment: Option<i64>,
    pub(super) charset: Option<String>,
    pub(super) collation: Option<String>,
    pub(super) comment: String,
    /// What of its definition is not taken over.
    pub(super) left_out: Vec<String>,
}

impl Column {
    /// Whether it holds texts of a character set.
    pub(super) fn is_text(&self) -> bool {
        let name = self.column_type.split(['(', ' ']).next().unwrap_or_default();
        ["char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"].contains(&name)
    }

    fn sql(&self, table: &Table) -> String {
        let mut sql = format!("{} {}", quote_name(&self.name), self.column_type);
        if self.is_text() {
            if let Some(charset) = self.charset_in(table) {
                write_to(&mut sql, format_args!(" CHARACTER SET {charset}"));
            }
            if let Some(collation) = self.collation_in(table) {
                write_to(&mut sql, format_args!(" COLLATE {collation}"));
            }
        }
        // A generated column has no value in the rows of a dump of MySQL.
        sql.push_str(match (self.is_not_null && !self.is_generated, self.column_type.starts_with("timestamp")) {
            (true, _) => " NOT NULL",
            (false, true) => " NULL",
            (false, false) => "",
        });
        match &self.default {
            Some(DefaultValue::Literal(literal)) => write_to(&mut sql, format_args!(" DEFAULT {literal}")),
            Some(DefaultValue::Now) => sql.push_str(" DEFAULT CURRENT_TIMESTAMP"),
            Some(DefaultValue::Expression(expression)) => write_to(&mut sql, format_args!(" DEFAULT ({expression})")),
            None => {}
        }
        if self.is_updated {
            sql.push_str(" ON UPDATE CURRENT_TIMESTAMP");
        }
        if self.is_auto_increment {
            sql.push_str(" AUTO_INCREMENT");
        }
        if !self.comment.is_empty() {
            write_to(&mut sql, format_args!(" COMMENT {}", quote_text(&self.comment)));
        }
        sql
    }

    /// The character set of its texts.
    pub(super) fn charset_in(&self, table: &Table) -> Option<String> {
        let own = self.charset.clone().or_else(|| self.collation.as_deref().map(charset_of));
        own.or_else(|| table.charset())
    }

    /// The collation of its texts.
    pub(super) fn collation_in(&self, table: &Table) -> Option<String> {
        let own = self.collation.clone().or_else(|| self.charset.as_deref().map(default_collation));
        own.or_else(|| table.collation())
    }
}

impl Table {
    /// The character set of its columns, unless they say another one.
    pub(super) fn charset(&self) -> Option<String> {
        self.charset.clone().or_else(|| self.collation.as_deref().map(charset_of))
    }

    /// The collation of its columns, unless they say another one.
    pub(super) fn collation(&self) -> Option<String> {
        self.collation.clone().or_else(|| self.charset.as_deref().map(default_collation))
    }

    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// Whether rows of it can be told apart by a key that is known already.
    pub(super) fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// The statement that makes it. Names of constraints that are `taken` are left to the driver, since to it they are those
    /// of the whole database.
    pub(super) fn sql(&self, taken: &HashSet<String>) -> String {
        let mut lines: Vec<_> = self.columns.iter().map(|column| column.sql(self)).collect();
        lines.extend(self.keys.iter().map(Key::sql));
        let constraint = |name: &Option<String>| match name {
            Some(name) if !taken.contains(&name.to_lowercase()) => format!("CONSTRAINT {} ", quote_name(name)),
            _ => String::new(),
        };
        for key in &self.foreign_keys {
            lines.push(format!(
                "{}FOREIGN KEY ({}) REFERENCES {} ({}){}",
                constraint(&key.name),
                quote_names(&key.columns),
                quote_name(&key.table),
                quote_names(&key.referenced),
                key.actions
            ));
        }
        for check in &self.checks {
            let enforced = if check.is_enforced { "" } else { " NOT ENFORCED" };
            lines.push(format!("{}CHECK ({}){enforced}", constraint(&check.name), check.expression));
        }
        let mut sql = format!("CREATE TABLE {} (\n{}\n)", quote_name(&self.name), lines.join(",\n"));
        if let Some(engine) = &self.engine {
            write_to(&mut sql, format_args!(" ENGINE={engine}"));
        }
        if let Some(next) = self.auto_increment {
            write_to(&mut sql, format_args!(" AUTO_INCREMENT={next}"));
        }
        if let (Some(charset), Some(collation)) = (self.charset(), self.collation()) {
            write_to(&mut sql, format_args!(" DEFAULT CHARSET={charset} COLLATE={collation}"));
        }
        if !self.comment.is_empty() {
            write_to(&mut sql, format_args!(" COMMENT={}", quote_text(&self.comment)));
        }
        sql
    }

    /// The names of its constraints that are to be no other table's, in lower case.
    pub(super) fn constraint_names(&self) -> impl Iterator<Item = String> {
        let names = self.foreign_keys.iter().map(|key| &key.name).chain(self.checks.iter().map(|check| &check.name));
        names.flatten().map(|name| name.to_lowercase())
    }

    /// The same without what a driver may not understand.
    pub(super) fn plainer(&self) -> Self {
        let mut table = self.clone();
        for check in table.checks.drain(..) {
            table.left_out.push(format!("CHECK ({})", check.expression));
        }
        for column in &mut table.columns {
            if let Some(DefaultValue::Expression(expression)) = &column.default {
                table.left_out.push(format!("the default of {}: {expression}", column.name));
                column.default = None;
            }
        }
        table
    }
}

impl Key {
    fn sql(&self) -> String {
        let kind = match self.kind {
            KeyKind::Primary => "PRIMARY KEY",
            KeyKind::Unique => "UNIQUE KEY",
            KeyKind::Plain => "KEY",
            KeyKind::Fulltext => "FULLTEXT KEY",
            KeyKind::Spatial => "SPATIAL KEY",
        };
        let name = match &self.name {
            Some(name) if self.kind != KeyKind::Primary => format!(" {}", quote_name(name)),
            _ => String::new(),
        };
        let part = |part: &KeyPart| {
            let length = part.length.as_ref().map(|length| format!("({length})")).unwrap_or_default();
            format!("{}{length}{}", quote_name(&part.column), if part.is_descending { " DESC" } else { "" })
        };
        let parts: Vec<_> = self.parts.iter().map(part).collect();
        let comment = match self.comment.as_str() {
            "" => String::new(),
            comment => format!(" COMMENT {}", quote_text(comment)),
        };
        format!("{kind}{name} ({}){comment}", parts.join(", "))
    }
}

/// A name, in backticks.
pub(super) fn quote_name(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn quote_names(names: &[String]) -> String {
    names.iter().map(|name| quote_name(name)).collect::<Vec<_>>().join(", ")
}

/// A text, as MySQL has it in quotes.
pub(super) fn quote_text(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''").replace('\0', "\\0"))
}

fn write_to(sql: &mut String, arguments: std::fmt::Arguments<'_>) {
    sql.write_fmt(arguments).expect("a text takes what is written to it");
}

fn charset_of(collation: &str) -> String {
    collation.split('_').next().unwrap_or_default().to_owned()
}

/// The collation that a server means which names none, as those do that are older than MySQL 8.
fn default_collation(charset: &str) -> String {
    match charset {
        "binary" => "binary".to_owned(),
        "latin1" | "dec8" => "latin1_swedish_ci".to_owned(),
        "big5" | "gb2312" | "gbk" | "gb18030" => format!("{charset}_chinese_ci"),
        "sjis" | "ujis" | "cp932" | "eucjpms" => format!("{charset}_japanese_ci"),
        "euckr" => "euckr_korean_ci".to_owned(),
        "tis620" => "tis620_thai_ci".to_owned(),
        "latin5" => "latin5_turkish_ci".to_owned(),
        charset => format!("{charset}_general_ci"),
    }
}
