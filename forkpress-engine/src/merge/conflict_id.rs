//! A conflict in a database, and the id that it is known by.
//!
//! The id of a conflict is a hash of its kind, its place and what each side has there. So an answer never fits a conflict
//! of which anything has changed since it was asked.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::{Row, Sides, Value};

/// What is in the way of a merge at one place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Conflict {
    pub(crate) id: ConflictId,
    pub(crate) kind: ConflictKind,
    pub(crate) place: TablePlace,
    /// What each side has there: one cell, a whole row, a number of copies, or all that a schema is made of. None where a
    /// side has nothing.
    pub(crate) sides: Sides<Option<Row>>,
    /// Of an object or a table: the places of all rows that are not the same on both sides, which the answer is for as well.
    pub(crate) inside: Vec<TablePlace>,
    /// What the columns of whole rows are called; empty where it is about something else.
    pub(crate) columns: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConflictKind {
    /// Both changed one cell.
    Cell,
    /// One removed the row, the other changed it.
    Removed,
    /// Both inserted a row of the same key.
    Id,
    /// Both changed how many copies there are of a row that has no key.
    Copies,
    /// Both changed one table's schema, or one did and the other changed rows that then can't be kept.
    Schema,
    /// One removed or trashed an object, the other changed it or what it owns.
    Object,
    /// Two things of a name that may be there once.
    Name,
}

/// Where a conflict is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TablePlace {
    pub(crate) table: String,
    /// The row's key; of a table without one, the whole row. Empty where it is the table's schema.
    pub(crate) key: Vec<Value>,
    /// None where it is the whole row or table.
    pub(crate) column: Option<String>,
}

/// A hash of all that a conflict is about. Shown as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ConflictId([u8; 16]);

impl FromStr for ConflictId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let is_id = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut id = [0; 16];
        for (number, byte) in id.iter_mut().enumerate() {
            let digits = text.get(2 * number..2 * number + 2).filter(|_| is_id).ok_or(())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| ())?;
        }
        Ok(Self(id))
    }
}

impl fmt::Display for ConflictId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl ConflictKind {
    /// As it is printed, and as the id has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cell => "cell",
            Self::Removed => "removed",
            Self::Id => "id",
            Self::Copies => "copies",
            Self::Schema => "schema",
            Self::Object => "object",
            Self::Name => "name",
        }
    }
}

impl Conflict {
    /// A conflict with the id of what it is about.
    pub(crate) fn new(kind: ConflictKind, place: TablePlace, sides: Sides<Option<Row>>) -> Self {
        Self::with_inside(kind, place, sides, Vec::new())
    }

    /// A conflict that is about rows of other places as well: what each side has there is a part of the id.
    pub(crate) fn with_inside(
        kind: ConflictKind,
        place: TablePlace,
        sides: Sides<Option<Row>>,
        inside: Vec<(TablePlace, Sides<Option<&Row>>)>,
    ) -> Self {
        let id = ConflictId::new(kind.name(), &place, &sides, &inside);
        let inside = inside.into_iter().map(|(place, _)| place).collect();
        Self { id, kind, place, sides, inside, columns: Vec::new() }
    }
}

impl Conflict {
    /// The same with what the columns of its rows are called.
    pub(crate) fn of_rows(self, columns: &[String]) -> Self {
        Self { columns: columns.to_vec(), ..self }
    }
}

impl ConflictId {
    /// The id of a conflict of this kind at a place, where each side has this, and that at the places inside of it.
    pub(crate) fn new(
        kind: &str,
        place: &TablePlace,
        sides: &Sides<Option<Row>>,
        inside: &[(TablePlace, Sides<Option<&Row>>)],
    ) -> Self {
        let mut hash = Hash(Sha256::new());
        hash.bytes(kind.as_bytes());
        hash.place(place);
        sides.as_ref().array().into_iter().for_each(|row| hash.row(row.as_ref()));
        for (place, rows) in inside {
            hash.place(place);
            rows.array().into_iter().for_each(|row| hash.row(row));
        }
        let digest = hash.0.finalize();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Self(id)
    }
}

/// Takes each thing with its length or its type before it: no two lists of things give the same bytes.
struct Hash(Sha256);

impl Hash {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn place(&mut self, place: &TablePlace) {
        self.bytes(place.table.as_bytes());
        self.row(Some(&place.key.iter().cloned().map(Some).collect()));
        self.bytes(place.column.as_deref().unwrap_or_default().as_bytes());
    }

    fn row(&mut self, row: Option<&Row>) {
        let Some(row) = row else { return self.0.update([0]) };
        self.0.update([1]);
        self.0.update((row.len() as u64).to_le_bytes());
        for cell in row {
            match cell {
                None => self.0.update([0]),
                Some(Value::Null) => self.0.update([1]),
                Some(Value::Integer(number)) => {
                    self.0.update([2]);
                    self.0.update(number.to_le_bytes());
                }
                Some(Value::Real(number)) => {
                    self.0.update([3]);
                    self.0.update(number.to_bits().to_le_bytes());
                }
                Some(Value::Text(text)) => {
                    self.0.update([4]);
                    self.bytes(text);
                }
                Some(Value::Blob(bytes)) => {
                    self.0.update([5]);
                    self.bytes(bytes);
                }
            }
        }
    }
}
