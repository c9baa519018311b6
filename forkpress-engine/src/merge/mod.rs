//! What two branches made of what they once had in common, and what a merge of the two is.
//!
//! Three databases have a part in it: the **base**, which both branches had when they parted, the **source**, whose
//! changes come home (*theirs* on the command line), and the **target**, which they come home to (*ours*).
//!
//! 1. `schema` reads the tables of each and decides, table by table, whose schema the merge has.
//! 2. `rows` reads a table of all three in the order of its key and gives the rows that are not the same in all. `pages` says
//!    where there can be some, so that little is read where little differs.
//! 3. `decide` says of each such row what the target gets, and what is a conflict. It knows no table by name.
//! 4. `plan` puts these together: the rules of WordPress (`rules`) and of plugins (`declared`), the addresses of
//!    branches (`hosts`), single values (`value`), and what people answered to conflicts. It gives all that a merge
//!    changes in the target.
//! 5. `apply` does that to a copy of the target.
//!
//! All but `apply` reads, or is pure.
//!
//! **Bytes are compared, never collations.** The driver makes nearly every text column `NOCASE`: SQLite's own comparisons
//! would not notice a change of case. Two cells are the same if they are of one type and have the same bytes.
//!
//! # What whoever goes on has to know
//!
//! - Rows that differ only in the case of a `NOCASE` key are two rows here, and one row for the table's constraint. So all
//!   removals are applied before all insertions.
//! - Where the columns of a table differ, a cell of a column that a side's table does not have is none (`Cell`), which is
//!   something else than NULL. So a column that one side added or dropped makes each row of that side a changed one, and
//!   the source's schema has to be in place before its cells are written.
//! - Where `rows::scan` can't match the rows (another key, or no key and other columns), the table is taken whole from one
//!   side: the plan drops it and takes it, in this order.
//! - To match the rows of a table by something else than its key, options by their names say, `rows::scan` gets clones of
//!   the `schema::Table`s with another `schema::Key`. No two rows of a side may have the same bytes there.
//! - Not compared: `sqlite_sequence`, what the driver's tables say of the whole database, views and virtual tables
//!   (`schema::Schema::left_out`).

pub mod answers;
pub(crate) mod apply;
pub mod base;
pub mod branches;
pub mod conflict;
pub(crate) mod conflict_id;
pub(crate) mod decide;
pub(crate) mod declared;
pub mod diff;
pub(crate) mod hosts;
pub mod label;
pub(crate) mod lookup;
pub(crate) mod pages;
pub(crate) mod plan;
pub(crate) mod rows;
pub(crate) mod rules;
pub(crate) mod schema;
pub mod seen;
pub(crate) mod value;

use std::hash::{Hash, Hasher};

pub use answers::Side;

use rusqlite::types::{FromSql, FromSqlResult, ValueRef};

/// A value as SQLite has it. Two are the same if their types are and their bytes.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Integer(i64),
    Real(f64),
    /// Not always UTF-8, which SQLite does not check. So `rusqlite`'s own type can't hold it.
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl Value {
    /// The same, borrowed.
    pub(crate) fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }
    }

    fn text(text: &str) -> Self {
        Self::Text(text.as_bytes().to_vec())
    }
}

impl Hash for Value {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        match self {
            Self::Null => 0.hash(hasher),
            Self::Integer(number) => (1, number).hash(hasher),
            Self::Real(number) => (2, number.to_bits()).hash(hasher),
            Self::Text(text) => (3, text).hash(hasher),
            Self::Blob(bytes) => (4, bytes).hash(hasher),
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        is_same(self.as_ref(), other.as_ref())
    }
}

impl Eq for Value {}

impl FromSql for Value {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Real(number),
            ValueRef::Text(text) => Self::Text(text.to_vec()),
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_vec()),
        })
    }
}

/// Whether two values are of one type and have the same bytes.
fn is_same(one: ValueRef<'_>, other: ValueRef<'_>) -> bool {
    match (one, other) {
        (ValueRef::Null, ValueRef::Null) => true,
        (ValueRef::Integer(one), ValueRef::Integer(other)) => one == other,
        (ValueRef::Real(one), ValueRef::Real(other)) => one.to_bits() == other.to_bits(),
        (ValueRef::Text(one), ValueRef::Text(other)) | (ValueRef::Blob(one), ValueRef::Blob(other)) => one == other,
        _ => false,
    }
}

/// A value in a row; none where the table of that side has no such column.
pub(crate) type Cell = Option<Value>;

/// The cells of a row in the order of [`rows::Layout::columns`].
pub(crate) type Row = Vec<Cell>;

/// The same of the three databases of a merge.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sides<T> {
    /// What both branches had.
    pub(crate) base: T,
    /// What the branch that comes home has.
    pub(crate) source: T,
    /// What the branch that it comes home to has.
    pub(crate) target: T,
}

impl<T> Sides<T> {
    /// A reference to each.
    pub(crate) fn as_ref(&self) -> Sides<&T> {
        Sides { base: &self.base, source: &self.source, target: &self.target }
    }

    /// Something made of each.
    pub(crate) fn map<U>(self, mut make: impl FnMut(T) -> U) -> Sides<U> {
        Sides { base: make(self.base), source: make(self.source), target: make(self.target) }
    }

    fn array(self) -> [T; 3] {
        [self.base, self.source, self.target]
    }
}

impl<T: PartialEq> Sides<T> {
    /// Who has something else than the base has.
    pub(crate) fn change(&self) -> Change {
        match (self.source == self.base, self.target == self.base) {
            (true, true) => Change::None,
            (false, true) => Change::Source,
            (true, false) => Change::Target,
            (false, false) if self.source == self.target => Change::Alike,
            (false, false) => Change::Both,
        }
    }
}

/// Which side has changed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Neither.
    None,
    /// Only the branch that comes home.
    Source,
    /// Only the branch that it comes home to.
    Target,
    /// Both, to the same.
    Alike,
    /// Both, each to something else.
    Both,
}

#[cfg(test)]
pub(crate) mod testing {
    use std::path::Path;

    use rusqlite::Connection;

    /// A database in a file of the folder, with what the statements make in it, closed.
    pub(crate) fn make(folder: &Path, name: &str, statements: &str) {
        Connection::open(folder.join(name)).unwrap().execute_batch(statements).unwrap();
    }

    /// A connection to it in a read transaction.
    pub(crate) fn read(folder: &Path, name: &str) -> Connection {
        let connection = Connection::open(folder.join(name)).unwrap();
        connection.execute_batch("PRAGMA query_only = 1; BEGIN; SELECT count(*) FROM sqlite_schema").unwrap();
        connection
    }
}
