//! What changes the set of branches or the files of one.
//!
//! Every mutation runs in three steps, under the mutation locks of its branches from first to last:
//!
//! 1. **Prepare**, while requests and other mutations go on: the tree that is to be published is built in the staging folder
//!    and synced.
//! 2. **Publish**, under `mutation.lock` and while no request of the branches runs: what changed since is taken again, and
//!    renames put the tree and its record in place.
//! 3. **Clean up**, while requests go on.
//!
//! Before it publishes, a mutation writes what it intends into the journal, and removes that last of
//! all. Whoever changes something next, or starts a server, brings one that died to its end: [`recover()`]. Until then a
//! crash can leave: a tree in staging, which nothing serves; a branch folder without a record, which nothing serves; a
//! record without a folder, which nothing lists.
//!
//! What a mutation takes away is kept for a while, and [`undo()`] brings it back: see [`history`] and [`keep`].

mod carry;
mod conversion;
pub mod convert;
mod disk_room;
mod error;
pub mod files;
pub mod gc;
mod gc_log;
pub mod history;
mod journal;
pub mod keep;
pub mod late;
pub(crate) mod merge;
mod moves;
pub mod new_database;
pub(crate) mod parting;
mod publish;
mod recover;
pub mod refusal;
mod report;
mod scratch;
pub mod spare;
mod staged;
mod toml_file;
mod transaction;
mod undo;
mod work;

use std::collections::HashSet;
use std::path::Path;

use crate::disk;
use crate::progress::Progress;
use crate::site::Site;
use forkpress_core::lock::{self, Patience};
use forkpress_core::name::BranchName;
use forkpress_core::uploads::Uploads;

use files::Overlay;
use journal::Intent;
use new_database::TreeEdit;
use transaction::Put;

pub use error::{
    ChangeError, CreateError, DeleteError, EditError, PutError, RecoverError, ResetError, StepError, UndoError,
};
pub use report::{Recovered, Report, Source};
pub use transaction::Prepared;

/// Creates the branch `name` with the files and the database that the branch `from` has when this publishes.
///
/// # Errors
/// [`ChangeError::Exists`] and [`ChangeError::InTheWay`] where the name is taken; [`ChangeError::Source`] where `from`
/// can't be used, and [`ChangeError::SourceReplaced`] where it gets another tree again and again; [`RecoverError`]
/// where what a process that died left can't be ended; [`StepError`] where a step fails; [`ChangeError::Unfinished`]
/// where all is done but for the end.
pub fn create<'a>(
    site: &Site,
    name: &BranchName,
    from: impl Into<Source<'a>>,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Report, ChangeError> {
    let from = from.into();
    while_source_changes(patience, progress, |patience| {
        prepare_create(site, name, from, patience, progress)?.publish(patience)
    })
}

/// How often a clone is begun, where its source gets another tree each time.
const MOST_STARTS: usize = 5;

/// Does something that clones a branch, and once more where that branch got another tree meanwhile: it was reset, or deleted
/// and made anew.
fn while_source_changes<T>(
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
    mut action: impl FnMut(&mut Patience<'_>) -> Result<T, ChangeError>,
) -> Result<T, ChangeError> {
    for _ in 1..MOST_STARTS {
        match action(patience) {
            Err(error @ ChangeError::SourceReplaced { .. }) if !patience.deadline().has_passed() => {
                progress.note(&format!("{error}; copying it again"));
            }
            done => return done,
        }
    }
    action(patience)
}

/// Creates several branches, all of them or none. They have the files and the database that the branch `from` has at one
/// moment while this runs, and the log has one operation for them all.
///
/// # Errors
/// [`CreateError::NoNames`] and [`CreateError::NamedTwice`]; else as [`create`]: [`ChangeError::Exists`] and
/// [`ChangeError::InTheWay`] name the first that can't be created.
pub fn create_all<'a>(
    site: &Site,
    names: &[BranchName],
    from: impl Into<Source<'a>>,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Report, CreateError> {
    let mut seen = HashSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(*name)) {
        return Err(CreateError::NamedTwice { name: twice.clone() });
    }
    match names {
        [] => Err(CreateError::NoNames),
        [name] => Ok(create(site, name, from, patience, progress)?),
        [first, others @ ..] => {
            let from = from.into();
            Ok(while_source_changes(patience, progress, |patience| {
                publish_cloned(transaction::create_all(site, first, others, from, patience, progress)?, patience)
            })?)
        }
    }
}

/// Publishes what was cloned, and held locks for that, before.
fn publish_cloned(
    (prepared, cloned): (Prepared<'_>, publish::Published),
    patience: &mut Patience<'_>,
) -> Result<Report, ChangeError> {
    let report = prepared.publish(patience)?;
    Ok(Report { held: report.held + cloned.held, entries: cloned.entries, retaken: cloned.retaken, ..report })
}

/// Does the first step of [`create`]. Dropped, the result leaves nothing behind.
///
/// # Errors
/// As [`create`].
pub fn prepare_create<'site, 'a>(
    site: &'site Site,
    name: &BranchName,
    from: impl Into<Source<'a>>,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Prepared<'site>, ChangeError> {
    transaction::create(site, name, from.into(), None, patience, progress)
}

/// Does the same and puts files into the new branch, which nobody sees without them. `word` is what the log calls them.
///
/// # Errors
/// As [`create`]; [`PutError`] where the files can't be had or put there, but never [`PutError::Stale`].
pub fn create_with<'a>(
    site: &Site,
    name: &BranchName,
    from: impl Into<Source<'a>>,
    overlay: &mut dyn Overlay,
    word: &str,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Report, ChangeError> {
    let from = from.into();
    while_source_changes(patience, progress, |patience| {
        let put = Put { overlay: &mut *overlay, database: None, word: word.to_owned() };
        transaction::create(site, name, from, Some(put), patience, progress)?.publish(patience)
    })
}

/// Creates a branch as [`create`] does, and edits its tree before anybody sees it. `word` is what the log calls that. A failed
/// edit leaves nothing.
///
/// # Errors
/// As [`create`]; [`PutError::Edit`] where the edit fails.
pub fn create_edited<'a>(
    site: &Site,
    name: &BranchName,
    from: impl Into<Source<'a>>,
    edit: &mut dyn TreeEdit,
    word: &str,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Report, ChangeError> {
    let from = from.into();
    while_source_changes(patience, progress, |patience| {
        publish_cloned(transaction::create_edited(site, name, from, (&mut *edit, word), patience, progress)?, patience)
    })
}

/// Puts files into the branch `name`, all of them or none. All else in it stays as it is. `word` is what the log calls
/// them.
///
/// # Errors
/// [`PutError`] where the files can't be had or put there, or a file there is not what it is thought to be;
/// [`ChangeError::Replaced`] where the branch gets another tree meanwhile; [`ChangeError::Halfway`] where a step fails and those
/// before it can't be taken back; [`RecoverError`] where what a process that died left can't be ended; [`StepError`] where
/// there is no such branch, or a step fails; [`ChangeError::Unfinished`] where all is done but for the end.
pub fn apply(
    site: &Site,
    name: &BranchName,
    overlay: &mut dyn Overlay,
    word: &str,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Report, ChangeError> {
    prepare_apply(site, name, overlay, word, patience, progress)?.publish(patience)
}

/// Does the first step of [`apply()`]. Dropped, the result leaves nothing behind.
///
/// # Errors
/// As [`apply()`].
pub fn prepare_apply<'site>(
    site: &'site Site,
    name: &BranchName,
    overlay: &mut dyn Overlay,
    word: &str,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Prepared<'site>, ChangeError> {
    transaction::apply(site, name, Put { overlay, database: None, word: word.to_owned() }, patience, progress)
}

/// Gives the branch `name` the files and the database that the branch `from` has when this publishes.
///
/// `main` is reset only with `force`.
///
/// # Errors
/// [`ResetError::Main`] and [`ResetError::FromItself`]; [`ChangeError::Source`] where `from` can't be used, and
/// [`ChangeError::SourceReplaced`] where it gets another tree again and again; [`ChangeError::Replaced`] where the branch does;
/// [`RecoverError`] where what a process that died left can't be ended; [`StepError`] where there is no such branch, or a step
/// fails; [`ChangeError::Unfinished`] where all is done but for the end.
pub fn reset<'a>(
    site: &Site,
    name: &BranchName,
    from: impl Into<Source<'a>>,
    force: bool,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Report, ResetError> {
    let from = from.into();
    may_reset(name, from, force)?;
    Ok(while_source_changes(patience, progress, |patience| {
        transaction::reset(site, name, from, patience, progress)?.publish(patience)
    })?)
}

/// Does the first step of [`reset`]. Dropped, the result leaves nothing behind.
///
/// # Errors
/// As [`reset`].
pub fn prepare_reset<'site, 'a>(
    site: &'site Site,
    name: &BranchName,
    from: impl Into<Source<'a>>,
    force: bool,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Prepared<'site>, ResetError> {
    let from = from.into();
    may_reset(name, from, force)?;
    Ok(transaction::reset(site, name, from, patience, progress)?)
}

fn may_reset(name: &BranchName, from: Source<'_>, force: bool) -> Result<(), ResetError> {
    if name == from.branch {
        Err(ResetError::FromItself)
    } else if name.is_main() && !force {
        Err(ResetError::Main)
    } else {
        Ok(())
    }
}

/// Deletes the branch `name`, its files and its database. With `purge` nothing is kept of it.
///
/// # Errors
/// [`DeleteError::Main`]; [`ChangeError::Replaced`] where the branch gets another tree meanwhile; [`RecoverError`] where what a
/// process that died left can't be ended; [`StepError`] where there is no such branch, or a step fails;
/// [`ChangeError::Unfinished`] where all is done but for the end.
pub fn delete(
    site: &Site,
    name: &BranchName,
    purge: bool,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Report, DeleteError> {
    Ok(prepare_delete(site, name, purge, patience, progress)?.publish(patience)?)
}

/// Does the first step of [`delete`]. Dropped, the result leaves nothing behind.
///
/// # Errors
/// As [`delete`].
pub fn prepare_delete<'site>(
    site: &'site Site,
    name: &BranchName,
    purge: bool,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Prepared<'site>, DeleteError> {
    if name.is_main() {
        return Err(DeleteError::Main);
    }
    Ok(transaction::delete(site, name, purge, patience, progress)?)
}

/// Gives a branch the state back that it had before the operation `id`, or before the newest operation that is in force.
/// A branch that was deleted returns, one that was created goes. What the branch has now is kept in turn.
///
/// # Errors
/// [`UndoError::NothingToUndo`], [`UndoError::NoOperation`], [`UndoError::Undone`] and [`UndoError::MadeMain`] where
/// that can't be taken back; [`UndoError::Followed`] where it is a merge and another operation is to be undone first;
/// [`ChangeError::NotKept`] where what it took away has gone; [`ChangeError::Exists`] and [`ChangeError::InTheWay`]
/// where something else has its place by now; else as [`reset`] or, of files, as [`apply()`].
pub fn undo(
    site: &Site,
    id: Option<u64>,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Report, UndoError> {
    Ok(undo::undo(site, id, patience, progress)?.publish(patience)?)
}

/// Brings what a process that died left to its end: every mutation does this first, and a server as it starts. Does
/// nothing while another process is at a mutation, since that one did it. Safe to interrupt.
///
/// # Errors
/// [`RecoverError`] where it can't be ended; [`RecoverError::Converted`] also where the site has had another file view since it
/// was opened.
pub fn recover(site: &Site, patience: &mut Patience<'_>) -> Result<Option<Recovered>, RecoverError> {
    recover::recover(site, patience)
}

/// Whether an operation runs, or has left something for [`recover()`].
///
/// # Errors
/// [`StepError`] where the site can't be looked at.
pub fn is_unfinished(site: &Site) -> Result<bool, StepError> {
    let cow = site.layout.cow();
    for note in [cow.intent(), cow.batch_intent()] {
        if disk::inode(&note)?.is_some() {
            return Ok(true);
        }
    }
    Ok(conversion::is_begun(&site.layout)? || scratch::count_left(site)? > 0)
}

/// What interrupted operations have left, in words. Changes nothing, and takes no lock: what is said of an operation that
/// runs just now is no leftover.
///
/// # Errors
/// [`StepError`] where the site can't be looked at, or [`StepError::Journal`] where what is left can't be understood.
pub fn leftovers(site: &Site) -> Result<Vec<String>, StepError> {
    let cow = site.layout.cow();
    if !lock::holders(cow, &cow.mutation_lock()).is_empty() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    if let Some(Intent { entry, .. }) = Intent::read(cow)? {
        found.push(format!("'{entry}', in which process {} died", entry.pid));
    }
    if conversion::is_begun(&site.layout)? {
        found.push("a conversion of the storage".to_owned());
    }
    // What is in the trash is no operation's any more: it is removed in the background.
    match scratch::count_left(site)? {
        0 => {}
        1 => found.push("1 tree that was staged".to_owned()),
        count => found.push(format!("{count} trees that were staged")),
    }
    Ok(found)
}

/// Makes the tree at `staged`, a folder in the site's staging folder, the first `main` of a site, durably. `uploads` is where its
/// media library is, if it came without.
///
/// # Errors
/// [`ChangeError::Exists`] and [`ChangeError::InTheWay`] where there is a `main`; else as [`create`]. The tree is then still
/// where it was, but for [`ChangeError::Unfinished`].
pub fn adopt_main(
    site: &Site,
    staged: &Path,
    uploads: Option<Uploads>,
    patience: &mut Patience<'_>,
) -> Result<Report, ChangeError> {
    transaction::adopt(site, (staged, uploads), patience)?.publish(patience)
}
