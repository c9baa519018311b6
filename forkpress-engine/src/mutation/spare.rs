//! Spares: clones of `main`, made while nothing else is to be done, of which a create or a reset takes one and brings it up
//! to date instead of cloning.
//!
//! A spare is a folder with a tree, which has no database, and the walk that the tree is a clone of. It is made under
//! another name and gets its own, by one rename, when it is whole and durable: what has that name is never half made. It is
//! taken by a rename, too, into staging, so that two commands never take the same one, and what a command that died had
//! taken goes as all does that is in staging.
//!
//! Making one takes no lock that requests or mutations take: nobody waits for it. `main` may be given another tree
//! meanwhile, and its old one back, with which each file looks as it did: a spare is therefore only kept where `main`
//! had the same tree all the time.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::disk_room::DiskRoom;
use super::error::StepError;
use super::scratch::Scratch;
use crate::branch::{self, Branch};
use crate::disk::{self, DiskError};
use crate::progress::Progress;
use crate::site::Site;
use crate::tree::{self, Tree, Watch};
use crate::view;
use forkpress_core::name::BranchName;
use forkpress_core::partings::Partings;

/// One in how many entries may differ from those of `main`, before a new clone is the better spare.
const DRIFT: usize = 4;

/// What [`keep`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Upkeep {
    /// How many spares were made.
    pub made: usize,
    /// How many went.
    pub dropped: usize,
}

/// The spares that are ready, oldest first. Takes no lock: one of them may be taken meanwhile.
///
/// # Errors
/// [`DiskError`] where the folder that they are in can't be read.
pub fn list(site: &Site) -> Result<Vec<PathBuf>, DiskError> {
    let number = |path: &Path| path.file_name()?.to_str()?.parse::<u64>().ok();
    let mut spares: Vec<_> =
        disk::list(&site.layout.cow().spares_dir())?.into_iter().filter(|path| number(path).is_some()).collect();
    spares.sort_by_key(|path| number(path));
    Ok(spares)
}

/// Makes as many spares as the site's settings ask for, and drops those that are no good: too many, of a `main` that has
/// changed much, or on a disk with little room. Does nothing while another process does this.
///
/// # Errors
/// [`StepError`] where the storage is detached, `main` can't be read, or a step on the disk fails.
pub fn keep(site: &Site, progress: &dyn Progress) -> Result<Upkeep, StepError> {
    branch::check_storage(site)?;
    let Some(_maker) = Maker::try_lock(site)? else { return Ok(Upkeep::default()) };
    let mut kept = Upkeep::default();
    disk::remove(&site.layout.cow().spare_in_making())?;
    let main = branch::show(site, &BranchName::main())?;
    let wanted = if view::takes_whole_trees(site.config.file_view, &main.path)? { 0 } else { site.config.spares };
    let now = if wanted > 0 { Some(Tree::walk(&main.path)?) } else { None };
    let needed_bytes = |tree: &Tree| if site.config.file_view.shares_blocks() { 0 } else { tree.bytes() };
    let mut good = 0;
    let has_room = |bytes| Ok::<_, DiskError>(!DiskRoom::of(site)?.without(bytes).is_low());
    for spare in list(site)? {
        let is_good = match &now {
            Some(now) => {
                good < wanted
                    && has_room(0)?
                    && Tree::read(&walk_in(&spare), &main.path)?.is_some_and(|walk| is_near(&walk, now))
            }
            None => false,
        };
        if is_good {
            good += 1;
        } else {
            drop_one(site, &spare)?;
            kept.dropped += 1;
        }
    }
    if let Some(now) = now {
        while good < wanted && has_room(needed_bytes(&now))? && make(site, progress)? {
            good += 1;
            kept.made += 1;
        }
    }
    Ok(kept)
}

/// The right to make spares, and to remove what is half made.
struct Maker(#[allow(dead_code, reason = "its drop unlocks")] File);

impl Maker {
    fn try_lock(site: &Site) -> Result<Option<Self>, DiskError> {
        let folder = site.layout.cow().spares_dir();
        disk::create_folder(&folder)?;
        Ok(disk::try_lock_folder(&folder)?.map(Self))
    }
}

/// Makes one; false where it is no good, because `main` got another tree meanwhile.
fn make(site: &Site, progress: &dyn Progress) -> Result<bool, StepError> {
    let cow = site.layout.cow();
    let making = Scratch::new(cow.spare_in_making());
    let before = state_of_main(site)?;
    let (view, main) = (site.config.file_view, site.layout.branch(&BranchName::main()));
    let mut walk = Tree::walk(&main)?;
    disk::create_folder(making.path())?;
    let tree = tree_in(making.path());
    view::create_tree_root(view, &tree)?;
    disk::close_to_others(&tree)?;
    tree::clone_tree(view, &mut walk, &main, &tree, progress)?;
    disk::replace(&walk_in(making.path()), &walk.to_bytes())?;
    if state_of_main(site)? != before {
        return Ok(false);
    }
    let number =
        list(site)?.last().and_then(|path| path.file_name()?.to_str()?.parse().ok()).map_or(1, |last: u64| last + 1);
    disk::rename(making.path(), &cow.spare(number))?;
    disk::sync(&cow.spares_dir())?;
    Ok(true)
}

/// What differs where `main` has another tree: between two equal ones it had the same all the time.
///
/// A publish moves the tree first and the record, which has another number then, a moment later.
fn state_of_main(site: &Site) -> Result<(Branch, Option<u64>), StepError> {
    let mut main = branch::show(site, &BranchName::main())?;
    let identity = disk::identity(&main.path)?;
    // Those it gets as others are made from it.
    main.record.partings = Partings::default();
    Ok((main, identity))
}

/// Takes a spare for a tree at `path` in staging, and gives the walk that this is a clone of; none where there is no spare
/// that is worth it. The watch, where there is one, is on the source from before that walk on. The caller holds the mutation
/// lock of the branch `name`.
pub(super) fn take(
    site: &Site,
    source: &Branch,
    name: &BranchName,
    path: &Path,
    watch: Option<&Watch>,
) -> Result<Option<Tree>, StepError> {
    if !source.name.is_main() {
        return Ok(None);
    }
    for spare in list(site)? {
        let taken = Scratch::new(site.layout.cow().staged_spare(name));
        match disk::rename(&spare, taken.path()) {
            Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => continue,
            renamed => renamed?,
        }
        let Some(walk) = Tree::read(&walk_in(taken.path()), &source.path)? else { continue };
        let mut now = walk.walk_again_with(&source.path, watch)?;
        if !is_near(&walk, &now) {
            continue;
        }
        let tree = tree_in(taken.path());
        tree::retake_in_use(site.config.file_view, &walk, &mut now, &source.path, &tree)?;
        disk::rename(&tree, path)?;
        return Ok(Some(now));
    }
    Ok(None)
}

/// Drops every spare into the trash, and says whether there was one.
pub(super) fn drop_all(site: &Site) -> Result<bool, DiskError> {
    let spares = list(site)?;
    spares.iter().try_for_each(|spare| drop_one(site, spare))?;
    Ok(!spares.is_empty())
}

fn drop_one(site: &Site, spare: &Path) -> Result<(), DiskError> {
    disk::discard(spare, &site.layout.cow().trash_dir())
}

/// Throws away what a process that died left half made. One that a living process makes stays.
pub(super) fn recover(site: &Site) -> Result<(), DiskError> {
    let making = site.layout.cow().spare_in_making();
    if disk::inode(&making)?.is_some() && Maker::try_lock(site)?.is_some() {
        disk::discard(&making, &site.layout.cow().trash_dir())?;
    }
    Ok(())
}

fn is_near(walk: &Tree, now: &Tree) -> bool {
    tree::count_changes(walk, now) * DRIFT <= now.entries.len()
}

fn tree_in(spare: &Path) -> PathBuf {
    spare.join("tree")
}

fn walk_in(spare: &Path) -> PathBuf {
    spare.join("walk")
}
