//! A look, after a publish, for what the watch on its source was not told.
//!
//! A publish that went by a watch leaves a note. The process that cleans up after a command takes it up, compares the new
//! branch with its source while requests go on, and logs what was missed. Nothing depends on a note: one that is lost costs
//! a line in a log.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::StepError;
use super::gc_log;
use crate::disk::{self, DiskError, step};
use crate::site::Site;
use crate::tree;
use forkpress_core::layout::SiteLayout;
use forkpress_core::name::BranchName;
use forkpress_core::own;

/// How long a note waits for its publish.
const LONGEST_PUBLISH: Duration = Duration::from_secs(3600);

/// How many files a line in the log names.
const MOST_NAMED: usize = 20;

/// What is noted of a tree that is about to be published.
#[derive(Debug, PartialEq, Eq)]
struct UncheckedTree {
    /// When its source was looked at, since the epoch.
    moment: Duration,
    identity: u64,
    source: BranchName,
    source_identity: u64,
}

/// Leaves a note that `tree`, staged for the branch that has the name of its folder, is what `source` was at a moment.
/// Where that fails, nobody looks.
pub(super) fn note(layout: &SiteLayout, tree: &Path, source: &BranchName, moment: Duration) {
    let write = || -> Result<(), DiskError> {
        let folder = layout.cow().unchecked_dir();
        let identities = (disk::identity(tree)?, disk::identity(&layout.branch(source))?);
        let (Some(identity), Some(source_identity), Some(name)) = (identities.0, identities.1, tree.file_name()) else {
            return Ok(());
        };
        disk::create_folder(&folder)?;
        let path = folder.join(name);
        let note = UncheckedTree { moment, identity, source: source.clone(), source_identity };
        let mut options = own::options();
        options.write(true).create(true).truncate(true);
        step("write", &path, || options.open(&path)?.write_all(note.to_text().as_bytes()))
    };
    let _: Result<(), DiskError> = write();
}

/// Takes back the note on `tree`: what it has otherwise than its source is meant to be so.
pub(super) fn forget(layout: &SiteLayout, tree: &Path) {
    if let Some(name) = tree.file_name() {
        let _: Result<(), DiskError> = disk::unlink(&layout.cow().unchecked_dir().join(name));
    }
}

impl UncheckedTree {
    fn to_text(&self) -> String {
        let Self { moment, identity, source, source_identity } = self;
        format!("{} {identity} {source} {source_identity}", moment.as_nanos())
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let note = Self {
            moment: Duration::from_nanos(words.next()?.parse().ok()?),
            identity: words.next()?.parse().ok()?,
            source: words.next()?.parse().ok()?,
            source_identity: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(note)
    }
}

/// Compares each branch that was published by a watch since the last look with its source, and says in `gc.log` which files
/// it has otherwise. Takes no lock, and lets requests go first. Gives the files' paths in their branch.
///
/// # Errors
/// [`StepError`] where the notes or the trees can't be read; what was to be compared is then not compared.
pub fn look(site: &Site) -> Result<Vec<PathBuf>, StepError> {
    let mut found = Vec::new();
    for path in disk::list(&site.layout.cow().unchecked_dir())? {
        let note = fs::read_to_string(&path).ok().and_then(|text| UncheckedTree::parse(&text));
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<BranchName>().ok());
        let (Some(note), Some(name)) = (note, name) else {
            disk::unlink(&path)?;
            continue;
        };
        let (branch, source) = (site.layout.branch(&name), site.layout.branch(&note.source));
        if disk::identity(&branch)? != Some(note.identity) {
            // It may be about to be published.
            if note.moment + LONGEST_PUBLISH < tree::now() {
                disk::unlink(&path)?;
            }
            continue;
        }
        disk::unlink(&path)?;
        if disk::identity(&source)? != Some(note.source_identity) {
            continue;
        }
        let missed = tree::missed(&source, &branch, note.moment)?;
        let line = |paths: &[PathBuf]| {
            let (named, source) = (list_of(paths), &note.source);
            format!(
                "'{source}' was written untold while '{name}' was made of it, which has these as they were: {named}"
            )
        };
        gc_log::append(site, (!missed.is_empty()).then(|| line(&missed)));
        found.extend(missed);
    }
    Ok(found)
}

fn list_of(paths: &[PathBuf]) -> String {
    let mut words: Vec<_> = paths.iter().take(MOST_NAMED).map(|path| format!("{path:?}")).collect();
    if paths.len() > MOST_NAMED {
        words.push(format!("and {} more", paths.len() - MOST_NAMED));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written_and_anything_else_is_none() {
        let note = UncheckedTree {
            moment: Duration::new(1_700_000_000, 123_456_789),
            identity: 1 << 62 | 5,
            source: BranchName::main(),
            source_identity: 7,
        };
        let text = note.to_text();
        assert_eq!(UncheckedTree::parse(&text), Some(note));
        assert_eq!(UncheckedTree::parse(&format!("{text} x")), None);
        assert_eq!(UncheckedTree::parse(text.rsplit_once(' ').unwrap().0), None);
        assert_eq!(UncheckedTree::parse(""), None);
    }
}
