//! Checks ForkPress's own files when a site is opened: nothing there may lead elsewhere.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

use forkpress_core::layout::{ImageKind, ImageLayout, SiteLayout};

/// The first thing in a site's work folder that is neither a file nor a folder, if there is one.
///
/// What is in a tree, which is a user's, is not looked at, nor what is in Git's folders of objects.
///
/// # Errors
/// The folder that can't be read, and what the system said of it.
pub(crate) fn foreign_entry(layout: &SiteLayout) -> Result<Option<PathBuf>, (PathBuf, io::Error)> {
    let cow = layout.cow();
    let mut folders = vec![layout.work_dir().to_owned()];
    if let Some(image) = layout.image() {
        // What is mounted is not in the work folder's own file system.
        folders.extend([
            cow.staging_dir(),
            cow.spares_dir(),
            cow.kept_dir(),
            cow.partings_dir(),
            cow.trash_dir(),
            image.branches_dir(),
        ]);
    }
    // In each of these is one folder for each tree, for each beginning of an object's name, or for each job.
    let trees = [
        cow.staging_dir(),
        cow.spares_dir(),
        cow.kept_dir(),
        cow.partings_dir(),
        layout.branches_dir(),
        cow.git_dir().join("objects"),
        // Jobs come and go; what is in one is opened without following a link.
        layout.jobs_dir(),
    ];
    let mounts = ImageKind::ALL.map(|kind| ImageLayout::new(layout.work_dir(), kind).mount());
    let of_others = [cow.trash_dir(), cow.incoming_dir(), layout.conversion_trees("")];
    while let Some(folder) = folders.pop() {
        match fs::symlink_metadata(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err((folder, error)),
            Ok(metadata) if !metadata.is_dir() => return Ok(Some(folder)),
            Ok(_) => {}
        }
        // What waits for its removal, or comes from elsewhere, may be anything.
        if of_others.contains(&folder) {
            continue;
        }
        let holds_trees = trees.contains(&folder);
        let read = |error| (folder.clone(), error);
        for entry in fs::read_dir(&folder).map_err(read)? {
            let entry = entry.map_err(read)?;
            let kind = entry.file_type().map_err(read)?;
            let is_mount = mounts.contains(&entry.path());
            let is_bundle = entry.path().extension().is_some_and(|extension| extension == "sparsebundle");
            // PHP's.
            let is_socket = folder.starts_with(layout.run_dir()) && kind.is_socket();
            if kind.is_dir() && !holds_trees && !is_mount && !is_bundle {
                folders.push(entry.path());
            } else if !kind.is_dir() && !kind.is_file() && !is_socket {
                return Ok(Some(entry.path()));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::create_folders;
    use forkpress_core::name::BranchName;
    use std::os::unix::fs::symlink;

    fn site() -> (tempfile::TempDir, SiteLayout) {
        let dir = tempfile::tempdir().unwrap();
        let layout = SiteLayout::at(&dir.path().canonicalize().unwrap());
        create_folders(&layout).unwrap();
        (dir, layout)
    }

    #[test]
    fn only_where_php_has_its_sockets_may_a_socket_be() {
        let (_dir, layout) = site();
        fs::create_dir(layout.run_dir()).unwrap();
        let socket = |folder: PathBuf| std::os::unix::net::UnixListener::bind(folder.join("s")).unwrap();
        socket(layout.run_dir());
        fs::create_dir(layout.run_dir().join("second")).unwrap();
        socket(layout.run_dir().join("second"));
        assert_eq!(foreign_entry(&layout).unwrap(), None);
        symlink("/", layout.run_dir().join("link")).unwrap();
        assert_eq!(foreign_entry(&layout).unwrap(), Some(layout.run_dir().join("link")));
        fs::remove_file(layout.run_dir().join("link")).unwrap();
        socket(layout.runtime_dir());
        assert_eq!(foreign_entry(&layout).unwrap(), Some(layout.runtime_dir().join("s")));
    }

    #[test]
    fn whatever_is_forkpresss_own_may_be_no_link() {
        let (_dir, layout) = site();
        let cow = layout.cow();
        fs::create_dir_all(cow.git_snapshots_dir()).unwrap();
        fs::create_dir_all(cow.git_dir().join("objects/pack")).unwrap();
        fs::create_dir_all(layout.runtime_dir().join("platform")).unwrap();
        fs::create_dir(layout.jobs_dir()).unwrap();
        assert_eq!(foreign_entry(&layout).unwrap(), None);
        let main = BranchName::main();
        let outside = tempfile::tempdir().unwrap();
        for path in [
            cow.trash_dir(),
            cow.staging_dir(),
            cow.staged_tree(&main),
            cow.staged_files(&main),
            cow.kept_dir(),
            cow.kept_tree(1),
            cow.partings_dir(),
            cow.parting(1),
            cow.spares_dir(),
            cow.spare(1),
            cow.log_dir(),
            cow.log_entry(1),
            cow.kept_bytes(1),
            cow.records_dir(),
            cow.record(&main),
            cow.journal_dir(),
            cow.intent(),
            cow.requests_dir(),
            cow.request_note(1),
            cow.operations_lock(),
            cow.git_token(),
            cow.git_dir(),
            cow.git_dir().join("config"),
            cow.git_dir().join("objects"),
            cow.git_dir().join("objects/pack"),
            cow.git_snapshot_lock(&main),
            layout.runtime_dir(),
            layout.runtime_dir().join("platform"),
            layout.router(),
            layout.logs_dir(),
            layout.wp_debug_log(),
            layout.config(),
            layout.conversion(),
            layout.jobs_dir(),
            layout.job(1),
            layout.work_dir().join("linux-cow"),
            layout.work_dir().join("something-new"),
        ] {
            let aside = outside.path().join("aside");
            let was_there = fs::rename(&path, &aside).is_ok();
            symlink(outside.path(), &path).unwrap();
            assert_eq!(foreign_entry(&layout).unwrap(), Some(path.clone()));
            fs::remove_file(&path).unwrap();
            if was_there {
                fs::rename(&aside, &path).unwrap();
            }
        }
        fs::create_dir(cow.kept_tree(1)).unwrap();
        symlink(outside.path(), cow.kept_tree(1).join("link-of-a-user")).unwrap();
        symlink(outside.path(), cow.trash_dir().join("1")).unwrap();
        assert_eq!(foreign_entry(&layout).unwrap(), None);
    }
}
