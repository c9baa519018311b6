//! What is wanted of a dump, and what was found in it.

use super::batch::LeftOut;

/// How a dump is to be loaded.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The prefix of the site's tables, where its configuration names it. Otherwise it is found.
    pub prefix: Option<String>,
    /// What stands in the dump for the prefix.
    pub placeholder: Option<Placeholder>,
    /// Tables that are left out, by the names that they would have.
    pub left_out_tables: Vec<String>,
}

/// What a dump has instead of the prefix, in names of tables, of options and of the metadata of users.
#[derive(Clone, Debug)]
pub struct Placeholder {
    /// What stands there, such as `SERVMASK_PREFIX_`.
    pub mark: String,
    /// The prefix.
    pub prefix: String,
}

impl Placeholder {
    /// The name with the prefix; none where it has no placeholder.
    pub(super) fn replaced(&self, name: &str) -> Option<String> {
        name.strip_prefix(&self.mark).map(|rest| format!("{}{rest}", self.prefix))
    }
}

/// What was loaded.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The tables, in the order of their names.
    pub tables: Vec<LoadedTable>,
    /// The prefix of the site's tables; none where none of them are WordPress's.
    pub prefix: Option<String>,
    /// All prefixes that tables of a WordPress have, those of a network's sites not counted.
    pub prefixes: Vec<String>,
    /// The character sets that the dump named, as it named them.
    pub charsets: Vec<String>,
    /// Views, triggers and the like.
    pub left_out: Vec<LeftOut>,
    /// What whoever loads it should know, a line each.
    pub notes: Vec<String>,
    /// Tables that the dump drops, whether it makes them anew or not.
    pub dropped: Vec<String>,
    /// Tables that it makes and does not drop before.
    pub not_dropped: Vec<String>,
}

/// A table that was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedTable {
    /// Its name.
    pub name: String,
    /// How many rows it has.
    pub rows: u64,
}

impl Loaded {
    /// How many rows all tables have.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }
}
