//! What a database's tables are in MySQL, as the SQLite driver wrote it down when they were made.

use std::collections::{BTreeMap, HashSet};

use rusqlite::{Connection, OptionalExtension, Row};

/// How the driver's tables begin.
const METADATA: &str = "_wp_sqlite_mysql_information_schema_";

/// The tables of a database.
#[derive(Debug, Default)]
pub(super) struct Schema {
    /// Those that WordPress knows, by name.
    pub(super) tables: Vec<Table>,
    /// Those that were made past the driver: nobody knows their types.
    pub(super) unknown: Vec<String>,
    /// Whether the driver wrote anything down at all.
    pub(super) has_metadata: bool,
}

/// A table.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) collation: String,
    pub(super) comment: String,
    /// What the next row gets that names no number; none where no row has got one yet.
    pub(super) next_number: Option<i64>,
    pub(super) columns: Vec<Column>,
    pub(super) keys: Vec<Key>,
    pub(super) foreign_keys: Vec<ForeignKey>,
    pub(super) checks: Vec<Check>,
    /// Columns that SQLite has and the driver does not know.
    pub(super) unknown_columns: Vec<String>,
    /// What its rows are ordered by.
    pub(super) order: Option<&'static str>,
}

/// A column.
#[derive(Clone, Debug, Default)]
pub(super) struct Column {
    pub(super) name: String,
    /// The whole type, such as `bigint(20) unsigned`.
    pub(super) full_type: String,
    /// Its name only, such as `bigint`.
    pub(super) type_name: String,
    pub(super) is_nullable: bool,
    pub(super) default: Option<String>,
    pub(super) is_default_an_expression: bool,
    pub(super) is_auto_increment: bool,
    pub(super) is_set_on_update: bool,
    pub(super) is_generated: bool,
    pub(super) comment: String,
    /// Of text.
    pub(super) collation: Option<String>,
    /// How long a value may be: of `char` and `varchar` in characters, of other texts and of bytes in bytes.
    pub(super) max_length: Option<u64>,
}

/// What a column's values are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Text,
    Bytes,
    Decimal,
    Bits,
    /// Numbers, and what is written like them.
    Other,
}

/// Types with a text of any length, which have no literal defaults, and keys of a part of them only.
const LONG_TEXTS: [&str; 4] = ["tinytext", "text", "mediumtext", "longtext"];

/// The same of bytes.
const LONG_BYTES: [&str; 4] = ["tinyblob", "blob", "mediumblob", "longblob"];

const GEOMETRIES: [&str; 9] = [
    "geometry",
    "point",
    "linestring",
    "polygon",
    "multipoint",
    "multilinestring",
    "multipolygon",
    "geometrycollection",
    "geomcollection",
];

impl Column {
    fn is_one_of(&self, types: &[&str]) -> bool {
        types.iter().any(|name| self.type_name.eq_ignore_ascii_case(name))
    }

    /// What its values are written as.
    pub(super) fn class(&self) -> Class {
        if self.is_long_bytes() || self.is_one_of(&["binary", "varbinary"]) {
            Class::Bytes
        } else if self.is_one_of(&["decimal", "numeric", "dec", "fixed"]) {
            Class::Decimal
        } else if self.is_one_of(&["bit"]) {
            Class::Bits
        } else if self.is_long_text() || self.is_one_of(&["char", "varchar", "enum", "set", "json"]) {
            Class::Text
        } else {
            Class::Other
        }
    }

    /// Whether its texts may be of any length.
    pub(super) fn is_long_text(&self) -> bool {
        self.is_one_of(&LONG_TEXTS)
    }

    /// Whether its bytes may be so many as they like.
    pub(super) fn is_long_bytes(&self) -> bool {
        self.is_one_of(&LONG_BYTES)
    }

    /// Whether it can have a literal default.
    pub(super) fn takes_default(&self) -> bool {
        !(self.is_long_text() || self.is_long_bytes() || self.is_one_of(&["json"]) || self.is_one_of(&GEOMETRIES))
    }

    /// Whether it is `timestamp` or `datetime`.
    pub(super) fn is_moment(&self) -> bool {
        self.is_one_of(&["timestamp", "datetime"])
    }

    /// Whether a length counts characters.
    pub(super) fn counts_characters(&self) -> bool {
        self.is_one_of(&["char", "varchar"])
    }
}

/// A key.
#[derive(Clone, Debug, Default)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) is_unique: bool,
    /// `BTREE`, `FULLTEXT`, `SPATIAL`.
    pub(super) kind: String,
    pub(super) comment: String,
    /// None where one of them is an expression.
    pub(super) parts: Option<Vec<KeyPart>>,
}

/// A column of a key.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyPart {
    pub(super) column: String,
    /// How much of it, where not all.
    pub(super) length: Option<u64>,
    pub(super) is_descending: bool,
}

/// A reference to another table.
#[derive(Clone, Debug, Default)]
pub(super) struct ForeignKey {
    pub(super) name: String,
    pub(super) columns: Vec<String>,
    pub(super) table: String,
    pub(super) referenced: Vec<String>,
    pub(super) on_delete: String,
    pub(super) on_update: String,
}

/// A condition for rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Check {
    pub(super) name: String,
    pub(super) clause: String,
    pub(super) is_enforced: bool,
}

/// Whether a table is WordPress's or a plugin's, and neither SQLite's nor the driver's.
fn is_of_site(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    !name.starts_with("sqlite_") && !name.starts_with("_wp_sqlite_") && name != "_mysql_data_types_cache"
}

impl Schema {
    /// Reads it.
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare(
            "SELECT name, wr FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'view', 'virtual') ORDER BY name",
        )?;
        let names = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<Vec<_>, _>>()?;
        let found = |name: &str| names.iter().any(|(there, _): &(String, bool)| there.eq_ignore_ascii_case(name));
        let mut schema = Self { has_metadata: found(&format!("{METADATA}tables")), ..Self::default() };
        let metadata = Metadata { connection };
        for (name, has_no_rowid) in names.iter().filter(|(name, _)| is_of_site(name)) {
            let known = if schema.has_metadata { metadata.table(name)? } else { None };
            match known {
                Some(table) => schema.tables.push(metadata.completed(table, !has_no_rowid)?),
                None => schema.unknown.push(name.clone()),
            }
        }
        Ok(schema)
    }
}

/// What the driver wrote down.
struct Metadata<'c> {
    connection: &'c Connection,
}

impl Metadata<'_> {
    /// Rows of one of its tables that are about a table of the site.
    fn about<T>(
        &self,
        columns: &str,
        from: &str,
        rest: &str,
        table: &str,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        let sql = format!("SELECT {columns} FROM \"{METADATA}{from}\" WHERE TABLE_NAME = ? {rest}");
        let mut statement = self.connection.prepare_cached(&sql)?;
        statement.query_map([table], read)?.collect()
    }

    fn table(&self, name: &str) -> rusqlite::Result<Option<Table>> {
        let tables =
            self.about("TABLE_COLLATION, TABLE_COMMENT", "tables", "AND TABLE_TYPE = 'BASE TABLE'", name, |row| {
                Ok(Table { name: name.to_owned(), collation: row.get(0)?, comment: row.get(1)?, ..Table::default() })
            })?;
        Ok(tables.into_iter().next())
    }

    fn completed(&self, mut table: Table, has_rowid: bool) -> rusqlite::Result<Table> {
        let name = table.name.clone();
        let mut statement = self.connection.prepare("SELECT name FROM pragma_table_info(?)")?;
        let there: Vec<String> = statement.query_map([&name], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let has = |column: &str| there.iter().any(|name| name.eq_ignore_ascii_case(column));
        table.columns = self.columns(&name)?.into_iter().filter(|column| has(&column.name)).collect();
        let is_known = |name: &&String| !table.columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
        table.unknown_columns = there.iter().filter(is_known).cloned().collect();
        table.order = ["rowid", "_rowid_", "oid"].into_iter().find(|rowid| !has(rowid)).filter(|_| has_rowid);
        table.keys = self.keys(&name)?;
        table.foreign_keys = self.foreign_keys(&name)?;
        table.checks = self.checks(&name)?;
        table.next_number = self.next_number(&name)?;
        Ok(table)
    }

    fn columns(&self, table: &str) -> rusqlite::Result<Vec<Column>> {
        let columns = "COLUMN_NAME, COLUMN_TYPE, DATA_TYPE, IS_NULLABLE, COLUMN_DEFAULT, EXTRA, COLUMN_COMMENT, \
            COLLATION_NAME, CHARACTER_MAXIMUM_LENGTH";
        self.about(columns, "columns", "ORDER BY ORDINAL_POSITION", table, |row| {
            let extra = row.get::<_, String>(5)?.to_ascii_lowercase();
            let max_length: Option<i64> = row.get(8)?;
            Ok(Column {
                name: row.get(0)?,
                full_type: row.get(1)?,
                type_name: row.get(2)?,
                is_nullable: row.get::<_, String>(3)?.eq_ignore_ascii_case("YES"),
                default: row.get(4)?,
                is_default_an_expression: extra.contains("default_generated"),
                is_auto_increment: extra.contains("auto_increment"),
                is_set_on_update: extra.contains("on update current_timestamp"),
                is_generated: extra.contains("virtual generated") || extra.contains("stored generated"),
                comment: row.get(6)?,
                collation: row.get(7)?,
                max_length: max_length.and_then(|length| u64::try_from(length).ok()),
            })
        })
    }

    /// In the order in which MySQL shows them.
    fn keys(&self, table: &str) -> rusqlite::Result<Vec<Key>> {
        let columns = "INDEX_NAME, NON_UNIQUE, INDEX_TYPE, INDEX_COMMENT, COLUMN_NAME, SUB_PART, COLLATION";
        let order = "ORDER BY INDEX_NAME = 'PRIMARY' DESC, NON_UNIQUE, INDEX_TYPE = 'FULLTEXT', rowid, SEQ_IN_INDEX";
        let parts = self.about(columns, "statistics", order, table, |row| {
            let key = Key {
                name: row.get(0)?,
                is_unique: row.get::<_, i64>(1)? == 0,
                kind: row.get(2)?,
                comment: row.get(3)?,
                parts: Some(Vec::new()),
            };
            let length: Option<i64> = row.get(5)?;
            let is_descending = row.get::<_, Option<String>>(6)?.is_some_and(|order| order.eq_ignore_ascii_case("D"));
            let column: Option<String> = row.get(4)?;
            let length = length.and_then(|length| u64::try_from(length).ok());
            Ok((key, column.map(|column| KeyPart { column, length, is_descending })))
        })?;
        let mut keys: Vec<Key> = Vec::new();
        for (key, part) in parts {
            let at = keys.iter().position(|other| other.name.eq_ignore_ascii_case(&key.name)).unwrap_or_else(|| {
                keys.push(key);
                keys.len() - 1
            });
            match part {
                Some(part) => keys[at].parts.iter_mut().for_each(|parts| parts.push(part.clone())),
                None => keys[at].parts = None,
            }
        }
        Ok(keys)
    }

    fn foreign_keys(&self, table: &str) -> rusqlite::Result<Vec<ForeignKey>> {
        let columns = "CONSTRAINT_NAME, REFERENCED_TABLE_NAME, DELETE_RULE, UPDATE_RULE";
        let keys = self.about(columns, "referential_constraints", "ORDER BY CONSTRAINT_NAME", table, |row| {
            Ok(ForeignKey {
                name: row.get(0)?,
                table: row.get(1)?,
                on_delete: row.get(2)?,
                on_update: row.get(3)?,
                ..ForeignKey::default()
            })
        })?;
        let usage = "AND REFERENCED_COLUMN_NAME IS NOT NULL ORDER BY ORDINAL_POSITION";
        let mut columns_of: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        let columns = "CONSTRAINT_NAME, COLUMN_NAME, REFERENCED_COLUMN_NAME";
        let pairs = self.about(columns, "key_column_usage", usage, table, |row| {
            Ok((row.get::<_, String>(0)?, (row.get(1)?, row.get(2)?)))
        })?;
        for (name, pair) in pairs {
            columns_of.entry(name).or_default().push(pair);
        }
        let with_columns = keys.into_iter().filter_map(|key| {
            let (columns, referenced) = columns_of.remove(&key.name)?.into_iter().unzip();
            Some(ForeignKey { columns, referenced, ..key })
        });
        Ok(with_columns.collect())
    }

    fn checks(&self, table: &str) -> rusqlite::Result<Vec<Check>> {
        let checks = self.about(
            "CONSTRAINT_NAME, ENFORCED",
            "table_constraints",
            "AND CONSTRAINT_TYPE = 'CHECK' ORDER BY CONSTRAINT_NAME",
            table,
            |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)),
        )?;
        let clause = format!("SELECT CHECK_CLAUSE FROM \"{METADATA}check_constraints\" WHERE CONSTRAINT_NAME = ?");
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        for (name, enforced) in checks {
            let clause = self.connection.query_row(&clause, [&name], |row| row.get(0)).optional()?;
            if let Some(clause) = clause.filter(|_| seen.insert(name.clone())) {
                found.push(Check { name, clause, is_enforced: !enforced.eq_ignore_ascii_case("NO") });
            }
        }
        Ok(found)
    }

    fn next_number(&self, table: &str) -> rusqlite::Result<Option<i64>> {
        let has_numbers = "SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_sequence'";
        if self.connection.query_row(has_numbers, [], |row| row.get::<_, i64>(0))? == 0 {
            return Ok(None);
        }
        let last = "SELECT seq FROM sqlite_sequence WHERE name = ?";
        let last: Option<i64> = self.connection.query_row(last, [table], |row| row.get(0)).optional()?.flatten();
        Ok(last.filter(|last| *last > 0).and_then(|last| last.checked_add(1)))
    }
}
