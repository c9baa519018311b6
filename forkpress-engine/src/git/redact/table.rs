//! Which cells of a table hold secrets: those of certain columns, and those beside the name of a secret.

use super::rules::{is_counted, is_named, is_naming, is_secret_identifier, is_secret_name};

/// What the names of a table's columns say of its cells.
pub(crate) struct TableSecrets {
    /// Of each column, whether its texts are secrets, and whether its numbers are.
    columns: Vec<(bool, bool)>,
    /// The columns that hold the name of what is in those.
    naming: Vec<usize>,
    named: Vec<usize>,
    /// Whether whatever is named is a value: then its name may be any text.
    is_plain: bool,
}

/// Columns that are called like this hold a value, and another one its name.
const VALUES: [&str; 3] = ["option_value", "meta_value", "value"];

impl TableSecrets {
    /// What these names of columns say.
    pub(crate) fn of<'a>(columns: impl Iterator<Item = &'a str> + Clone) -> Self {
        let all = |is: fn(&[u8]) -> bool| {
            let numbered = columns.clone().enumerate();
            numbered.filter(|(_, name)| is(name.as_bytes())).map(|(number, _)| number).collect()
        };
        let secrecy = |name: &str| {
            let is_secret = is_secret_name(name.as_bytes());
            (is_secret, is_secret && !is_counted(name.as_bytes()))
        };
        let is_value = |name: &str| VALUES.iter().any(|value| name.eq_ignore_ascii_case(value));
        Self {
            columns: columns.clone().map(secrecy).collect(),
            naming: all(is_naming),
            named: all(is_named),
            is_plain: columns.clone().any(is_value),
        }
    }

    /// Whether the texts in a column are secrets.
    pub(crate) fn hides_texts(&self, column: usize) -> bool {
        self.columns[column].0
    }

    /// Whether the numbers in a column are secrets: those that count or date something are none.
    pub(crate) fn hides_numbers(&self, column: usize) -> bool {
        self.columns[column].1
    }

    /// Whether a row names a secret, and so what is beside its name is one. `text`: what the row has in a column, if that is a
    /// text.
    pub(crate) fn names_a_secret<'a>(&self, text: impl Fn(usize) -> Option<&'a [u8]>) -> bool {
        let is_secret = if self.is_plain { is_secret_name } else { is_secret_identifier };
        !self.named.is_empty() && self.naming.iter().any(|number| text(*number).is_some_and(is_secret))
    }

    /// Whether a column holds what another one names.
    pub(crate) fn is_named(&self, column: usize) -> bool {
        self.named.contains(&column)
    }
}
