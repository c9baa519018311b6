//! Replaces the addresses that a site had in its database for good.

use std::path::Path;

use rusqlite::Connection;

use super::{ImportError, Imported};
use crate::addresses::{self, Rewriter};
use crate::progress::{Progress, interruptible};

/// Puts an address in the place of those that [`Imported`] names, in a database that nobody uses, and notes what it did.
///
/// # Errors
/// [`ImportError`]; a part of them may be replaced then.
pub fn rewrite(database: &Path, to: &str, imported: &mut Imported, progress: &dyn Progress) -> Result<(), ImportError> {
    let to = to.trim_end_matches('/');
    let rewriter = Rewriter::new(imported.addresses.iter().map(|from| (from.as_str(), to)))?;
    let failed = |source| ImportError::Database { path: database.to_owned(), source };
    let connection = Connection::open(database).map_err(failed)?;
    let interrupt = connection.get_interrupt_handle();
    let rewritten = interruptible(&interrupt, progress, || addresses::rewrite(&connection, &rewriter, progress));
    let rewritten = rewritten.map_err(failed)?;
    connection.close().map_err(|(_, error)| failed(error))?;
    imported.rewritten = Some(rewritten.counts.addresses);
    if rewritten.counts.broken > 0 {
        imported.notes.push(format!("{} serialized values are broken: their addresses stay", rewritten.counts.broken));
    }
    if rewritten.counts.encoded > 0 {
        imported
            .notes
            .push(format!("{} values have addresses encoded as base64, which stay", rewritten.counts.encoded));
    }
    Ok(())
}
