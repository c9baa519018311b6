//! What the reader of a dump hands to the writer of the database.

use super::charset::Charset;
use super::cursor::Token;
use super::error::DumpLine;
use super::table::Table;

/// Rows are handed over when they are so many bytes, or when others follow.
pub(super) const BATCH_BYTES: usize = 256 * 1024;

/// One thing that a dump says, in its order.
#[derive(Debug)]
pub(super) enum Event {
    Create {
        table: Box<Table>,
        is_if_missing: bool,
        place: DumpLine,
    },
    Drop {
        table: String,
    },
    /// A view is made; a table of its name stood for it until now.
    View {
        name: String,
    },
    /// What is to be done to the table is in it, as it is to be afterwards.
    Alter {
        table: String,
        change: Alteration,
        place: DumpLine,
    },
    Truncate {
        table: String,
        place: DumpLine,
    },
    Rows(Batch),
    LeftOut(LeftOut),
    Note(String),
}

/// The tokens of `ALTER TABLE`, or of `CREATE INDEX`, from after the table's name on.
#[derive(Debug)]
pub(super) struct Alteration(pub(super) Vec<Token>);

/// Something in a dump that is not taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// What it is, such as `view`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Where it is.
    pub place: DumpLine,
}

/// What becomes of a row whose key another one has already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// The dump is refused.
    #[default]
    Refuse,
    Ignore,
    Replace,
}

impl Mode {
    /// What follows INSERT in SQLite.
    pub(super) fn sql(self) -> &'static str {
        match self {
            Self::Refuse => "",
            Self::Ignore => " OR IGNORE",
            Self::Replace => " OR REPLACE",
        }
    }
}

/// Which rows a statement has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) table: String,
    /// None: all columns, in their order.
    pub(super) columns: Option<Vec<String>>,
    pub(super) mode: Mode,
    pub(super) file: Option<String>,
}

/// Rows of one table.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) header: Header,
    pub(super) bytes: Vec<u8>,
    pub(super) cells: Vec<Cell>,
    pub(super) rows: Vec<RowEnd>,
}

/// Where a row ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowEnd {
    /// How many cells of the batch come before the next row.
    pub(super) cells: usize,
    /// The line that the row begins on.
    pub(super) line: u64,
}

/// A value in a row, and where its bytes are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub(super) kind: CellKind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// What a value in a dump is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CellKind {
    Null,
    Default,
    /// As it is written.
    Number,
    Text(Charset),
    /// Bytes that are a number where one is asked for.
    Bits,
}

impl Batch {
    pub(super) fn new(header: Header) -> Self {
        Self { header, bytes: Vec::with_capacity(BATCH_BYTES + BATCH_BYTES / 4), cells: Vec::new(), rows: Vec::new() }
    }

    /// The rows: each with its line and its cells.
    pub(super) fn rows(&self) -> impl Iterator<Item = (u64, &[Cell])> {
        let mut start = 0;
        self.rows.iter().map(move |row| {
            let cells = &self.cells[start..row.cells];
            start = row.cells;
            (row.line, cells)
        })
    }

    pub(super) fn bytes_of(&self, cell: Cell) -> &[u8] {
        &self.bytes[cell.start..cell.end]
    }
}
