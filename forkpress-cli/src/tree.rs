//! Copies or unpacks the user's WordPress, a folder or a ZIP file, into the site's staging folder.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use forkpress_core::deadline::Deadline;
use forkpress_core::driver;
use forkpress_core::layout::database_of;
use forkpress_core::network::Network;
use forkpress_core::reserved;
use forkpress_engine::bounds::{Counter, Load, Room, TooMuch};
use forkpress_engine::database;
use forkpress_engine::progress::Progress;
use rayon::prelude::*;
use zip::ZipArchive;

use crate::failure::{During, Failure};
use crate::interrupt::Interrupt;

/// What tells a WordPress tree.
const LANDMARK: &str = "wp-load.php";

/// The drop-in with which WordPress uses SQLite.
const DRIVER: &str = "wp-content/db.php";

/// Why something in a tree is refused: commands in the branch would take it for the site that they are in.
const IS_A_SITE: &str = "has the name of the folder of a site; leave it out";

/// How long another program may keep the database of the source locked.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(30);

/// Copies or unzips the WordPress at `source` to the folder `destination`, which is empty.
pub fn take(source: &Path, destination: &Path, interrupt: &Interrupt, progress: &dyn Progress) -> Result<(), Failure> {
    let metadata = fs::metadata(source).during(|| format!("cannot read {}", source.display()))?;
    if metadata.is_dir() {
        copy(source, destination, interrupt, progress)
    } else {
        unzip(source, destination, interrupt, progress)
    }
}

/// Refuses a tree that is no WordPress, one that would need a MySQL server, and a network of sites with subdomains. Has
/// the drop-in of its SQLite driver load the one in the tree itself.
pub fn check(tree: &Path, source: &Path) -> Result<(), Failure> {
    if !tree.join(LANDMARK).is_file() {
        return Err(Failure::new(format!("{} holds no WordPress: there is no {LANDMARK} in it", source.display()))
            .hint("--wordpress takes the folder that has wp-load.php in it, or a ZIP file of it"));
    }
    if Network::of(tree) == Some(Network::Subdomains) {
        return Err(Failure::new(format!("{} is a WordPress network with subdomains", source.display())).hint(
            "a branch has one host name: a network with subfolders works, and one site of the network exported alone",
        ));
    }
    driver::localize(tree).during(|| format!("cannot write {DRIVER}"))?;
    if !tree.join(DRIVER).is_file() {
        return Err(Failure::new(format!("{} has no SQLite driver: there is no {DRIVER} in it", source.display()))
            .hint("put the plugin sqlite-database-integration into it and copy its db.copy to wp-content/db.php"));
    }
    Ok(())
}

fn copy(source: &Path, destination: &Path, interrupt: &Interrupt, progress: &dyn Progress) -> Result<(), Failure> {
    let resolved = fs::canonicalize(source).during(|| format!("cannot read {}", source.display()))?;
    if destination.starts_with(&resolved) {
        return Err(Failure::new(format!("{} holds the folder that the site would be made in", source.display()))
            .hint("make the site in a folder beside it: mkdir ../site && cd ../site"));
    }
    let mut files = Vec::new();
    let mut folders = Vec::new();
    walk(&resolved, destination, &mut folders, &mut files).during(|| format!("cannot copy {}", source.display()))?;
    // A database that may be in use is no file to copy.
    let database = database_of(&resolved);
    files.retain(|(from, _)| !is_of_database(from, &database));
    progress.begin("copying WordPress", Some(files.len() as u64));
    files.par_iter().try_for_each(|(from, to)| {
        interrupt.check()?;
        copy_file(from, to).during(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
        progress.advance(1);
        Ok::<_, Failure>(())
    })?;
    // Last and innermost first: a folder that may not be written to has to be filled before.
    for (path, permissions) in folders.into_iter().rev() {
        fs::set_permissions(&path, permissions).during(|| format!("cannot set the mode of {}", path.display()))?;
    }
    progress.end();
    Ok(database::copy(&resolved, destination, Deadline::after(DATABASE_TIMEOUT), progress)?)
}

/// Whether a file is the database or one of those beside it that belong to it.
fn is_of_database(path: &Path, database: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let of = database.file_name().unwrap_or_default().as_encoded_bytes();
    path.parent() == database.parent()
        && name.strip_prefix(of).is_some_and(|rest| matches!(rest, b"" | b"-wal" | b"-shm" | b"-journal"))
}

type Folders = Vec<(PathBuf, fs::Permissions)>;

/// Makes the folders, outermost first, and lists what is to be copied into them.
fn walk(from: &Path, to: &Path, folders: &mut Folders, files: &mut Vec<(PathBuf, PathBuf)>) -> io::Result<()> {
    fs::create_dir_all(to)?;
    folders.push((to.to_owned(), fs::metadata(from)?.permissions()));
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if reserved::is_forkpress(entry.file_name().as_encoded_bytes()) {
            return Err(io::Error::other(format!("{} {IS_A_SITE}", from.display())));
        }
        if entry.file_type()?.is_dir() {
            walk(&from, &to, folders, files)?;
        } else {
            files.push((from, to));
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(from)?;
    if metadata.is_symlink() {
        return symlink(fs::read_link(from)?, to);
    }
    if !metadata.is_file() {
        return Err(io::Error::other("it is neither a file, a folder nor a symbolic link"));
    }
    fs::copy(from, to)?;
    // The time as well: a browser's cached copy of a file stays right.
    let writable = File::open(to)?;
    writable.set_modified(metadata.modified()?)
}

fn unzip(source: &Path, destination: &Path, interrupt: &Interrupt, progress: &dyn Progress) -> Result<(), Failure> {
    let broken = || format!("cannot read the ZIP file {}", source.display());
    let open = || -> Result<_, Failure> { Ok(ZipArchive::new(BufReader::new(File::open(source)?))?) };
    let mut archive = open().during(broken)?;
    let mut entries = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).during(broken)?;
        entries.push(ZipEntry {
            name: entry.name().to_owned(),
            path: entry.enclosed_name(),
            symlink: entry.is_symlink(),
            folder: entry.is_dir(),
            bytes: entry.size(),
            packed_bytes: entry.compressed_size(),
        });
    }
    let planned = plan(&entries).map_err(|problem| Failure::new(format!("{}: {problem}", source.display())))?;
    let packed_bytes = fs::metadata(source).during(broken)?.len();
    let room = Room::at(destination.parent().unwrap_or(destination))?;
    check_load(&entries, &planned, packed_bytes, room)
        .map_err(|why| Failure::new(format!("{} has {why}", source.display())).hint(why.hint()))?;
    progress.begin("unpacking WordPress", Some(planned.len() as u64));
    for (_, path) in &planned {
        let parent = destination.join(path).parent().map(Path::to_owned).unwrap_or_default();
        fs::create_dir_all(&parent).during(|| format!("cannot make the folder {}", parent.display()))?;
    }
    // Each piece has its own handle of the file: reading one entry moves the position.
    const ENTRIES_IN_PIECE: usize = 256;
    planned.par_chunks(ENTRIES_IN_PIECE).try_for_each(|piece| {
        let mut archive = open().during(broken)?;
        for (index, path) in piece {
            interrupt.check()?;
            let to = destination.join(path);
            let mut entry = archive.by_index(*index).during(broken)?;
            let mode = entry.unix_mode().map_or(0o644, |mode| mode & 0o777 | 0o600);
            let write = |entry: &mut dyn io::Read| -> io::Result<()> {
                let mut file = File::create_new(&to)?;
                // What an entry says of its size is what was found to be little enough.
                let says = entries[*index].bytes;
                if io::copy(&mut entry.take(says.saturating_add(1)), &mut file)? > says {
                    return Err(io::Error::other("it is larger than the ZIP file says"));
                }
                file.set_permissions(fs::Permissions::from_mode(mode))
            };
            write(&mut entry).during(|| format!("cannot unpack {} to {}", path.display(), to.display()))?;
            progress.advance(1);
        }
        Ok::<_, Failure>(())
    })?;
    progress.end();
    Ok(())
}

/// An entry of a ZIP file.
struct ZipEntry {
    name: String,
    /// Its path, unless that leaves the folder that it is unpacked to.
    path: Option<PathBuf>,
    symlink: bool,
    folder: bool,
    bytes: u64,
    packed_bytes: u64,
}

/// Refuses what is made to become more than anybody expects, or than there is room for. Entries may share what they are packed
/// in, so all of them together are compared with the whole ZIP file.
fn check_load(
    entries: &[ZipEntry],
    planned: &[(usize, PathBuf)],
    packed_bytes: u64,
    room: Room,
) -> Result<(), TooMuch> {
    let mut paths: Vec<&Path> = planned.iter().map(|(_, path)| path.as_path()).collect();
    paths.sort_unstable();
    let mut counter = Counter::default();
    paths.into_iter().try_for_each(|path| counter.add(path.as_os_str().as_encoded_bytes()))?;
    let planned = || planned.iter().map(|(index, _)| &entries[*index]);
    for entry in planned() {
        Load { entries: 1, bytes: entry.bytes, packed_bytes: entry.packed_bytes }.check()?;
    }
    let bytes = planned().fold(0, |bytes: u64, entry| bytes.saturating_add(entry.bytes));
    let all = Load { entries: counter.entries, bytes, packed_bytes };
    all.check()?;
    all.check_room(room)
}

/// Which files to unpack, by index, and where to: those below the folder that has `wp-load.php` in it.
fn plan(entries: &[ZipEntry]) -> Result<Vec<(usize, PathBuf)>, String> {
    for entry in entries {
        let inside =
            entry.path.as_ref().is_some_and(|path| path.components().all(|c| matches!(c, Component::Normal(_))));
        if !inside {
            return Err(format!("its entry {:?} would be written outside of the folder", entry.name));
        }
        if entry.symlink {
            return Err(format!("its entry {:?} is a symbolic link", entry.name));
        }
    }
    let paths = || entries.iter().enumerate().filter_map(|(index, entry)| Some((index, entry.path.as_ref()?, entry)));
    let root = paths()
        .filter(|(_, path, _)| path.file_name().is_some_and(|name| name == LANDMARK))
        .map(|(_, path, _)| path.parent().unwrap_or(Path::new("")))
        .min_by_key(|root| root.components().count())
        .ok_or_else(|| format!("there is no {LANDMARK} in it"))?;
    let files = paths().filter(|(_, _, entry)| !entry.folder);
    let planned: Vec<_> =
        files.filter_map(|(index, path, _)| Some((index, path.strip_prefix(root).ok()?.to_owned()))).collect();
    let is_of_a_site = |path: &Path| path.iter().any(|name| reserved::is_forkpress(name.as_encoded_bytes()));
    match planned.iter().find(|(_, path)| is_of_a_site(path)) {
        Some((index, _)) => Err(format!("its entry {:?} {IS_A_SITE}", entries[*index].name)),
        None => Ok(planned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forkpress_engine::progress::Silent;

    fn entry(name: &str) -> ZipEntry {
        let inside = !name.split('/').any(|part| part == "..") && !name.starts_with('/');
        ZipEntry {
            name: name.to_owned(),
            path: inside.then(|| PathBuf::from(name)),
            symlink: false,
            folder: name.ends_with('/'),
            bytes: 0,
            packed_bytes: 0,
        }
    }

    #[test]
    fn a_zip_is_unpacked_from_the_folder_that_holds_wordpress() {
        let entries = ["wordpress/", "wordpress/wp-load.php", "wordpress/wp-admin/x.php", "readme.txt"].map(entry);
        assert_eq!(plan(&entries).unwrap(), [(1, "wp-load.php".into()), (2, "wp-admin/x.php".into())]);
        let flat = ["wp-load.php", "old/wp-load.php"].map(entry);
        assert_eq!(plan(&flat).unwrap(), [(0, "wp-load.php".into()), (1, "old/wp-load.php".into())]);
        assert!(plan(&["x.php"].map(entry)).unwrap_err().contains("wp-load.php"));
    }

    #[test]
    fn an_entry_that_leaves_the_folder_is_refused() {
        for name in ["../x.php", "a/../../x.php", "/etc/passwd"] {
            assert!(plan(&["wp-load.php", name].map(entry)).unwrap_err().contains("outside"), "{name}");
        }
        let link = ZipEntry { symlink: true, ..entry("link") };
        assert!(plan(&[entry("wp-load.php"), link]).unwrap_err().contains("symbolic link"));
    }

    /// Unzips a ZIP file of these entries, of so many bytes each, which is refused, and gives why. Hardly anything is written.
    fn refused(entries: &[(&str, u64)], spoil: impl FnOnce(&mut Vec<u8>)) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("wp.zip");
        let mut writer = zip::ZipWriter::new(File::create(&path).unwrap());
        for (name, bytes) in entries {
            writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            io::copy(&mut io::repeat(b' ').take(*bytes), &mut writer).unwrap();
        }
        writer.finish().unwrap();
        let mut zip = fs::read(&path).unwrap();
        spoil(&mut zip);
        fs::write(&path, zip).unwrap();
        let failure = unzip(&path, &dir.path().join("tree"), &Interrupt::default(), &Silent).unwrap_err();
        let written = fs::read_dir(dir.path()).unwrap().filter(|entry| entry.as_ref().unwrap().path() != path);
        let bytes: u64 = written.map(|entry| usage_of(&entry.unwrap().path())).sum();
        // The files before the one that is refused, as large as they say, and of that one a byte more.
        assert!(bytes <= 3, "{bytes} bytes were written: {failure}");
        failure.to_string()
    }

    fn usage_of(path: &Path) -> u64 {
        let metadata = fs::symlink_metadata(path).unwrap();
        if !metadata.is_dir() {
            return metadata.len();
        }
        fs::read_dir(path).unwrap().map(|entry| usage_of(&entry.unwrap().path())).sum()
    }

    #[test]
    fn a_hostile_zip_file_writes_nothing() {
        assert!(refused(&[("wp-load.php", 5), ("../escaped.php", 5)], |_| {}).contains("outside"));
        for name in [".forkpress/site.toml", "wp-content/.ForkPress", "a/.forkpress. /x", "FORKPR~1/x"] {
            let why = refused(&[("wp-load.php", 5), (name, 5)], |_| {});
            assert!(why.contains("has the name of the folder of a site"), "{why}");
        }
        // That of a whole site holds one beside its branches.
        assert!(plan(&["main/wp-load.php", ".forkpress/site.toml"].map(entry)).is_ok());
    }

    #[test]
    fn a_zip_file_that_becomes_gigabytes_is_refused_whatever_it_says_of_itself() {
        const SIZE: u32 = 765_432;
        let says = |bytes: u32| {
            refused(&[("wp-load.php", 1), ("spaces.txt", SIZE.into())], |zip| {
                let at = zip.windows(4).rposition(|bytes| bytes == SIZE.to_le_bytes()).unwrap();
                zip[at..at + 4].copy_from_slice(&bytes.to_le_bytes());
            })
        };
        let why = says(300 << 20);
        assert!(why.contains("300 MB that are packed in") && why.contains("hint: leave"), "{why}");
        let why = says(1);
        assert!(why.contains("it is larger than the ZIP file says"), "{why}");
    }

    #[test]
    fn entries_of_a_zip_file_are_counted_and_weighed_together() {
        let room = Room::at(Path::new("/")).unwrap();
        let file = |bytes, packed_bytes| ZipEntry { bytes, packed_bytes, ..entry("x") };
        let check = |entries: &[ZipEntry], packed_bytes| {
            let planned: Vec<_> = (0..entries.len()).map(|index| (index, PathBuf::from(index.to_string()))).collect();
            check_load(entries, &planned, packed_bytes, room)
        };
        // Each would pass: they share what they are packed in.
        let shared: Vec<_> = (0..100).map(|_| file(100 << 20, 1 << 20)).collect();
        assert!(matches!(check(&shared, 1 << 20), Err(TooMuch::Ratio { .. })));
        assert!(matches!(check(&[file(u64::MAX, u64::MAX), file(1, 1)], u64::MAX), Err(TooMuch::Room { .. })));
        assert_eq!(check(&[file(5, 5)], 100), Ok(()));
    }

    #[test]
    fn a_site_in_a_folder_to_copy_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("wp-content/.ForkPress")).unwrap();
        let failure = copy(&from, &to, &Interrupt::default(), &Silent).unwrap_err();
        assert!(failure.to_string().contains("has the name of the folder of a site"), "{failure}");
    }

    #[test]
    fn a_copy_keeps_links_modes_and_times() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("empty")).unwrap();
        fs::write(from.join("run"), "x").unwrap();
        fs::set_permissions(from.join("run"), fs::Permissions::from_mode(0o555)).unwrap();
        symlink("nowhere", from.join("link")).unwrap();
        copy(&from, &to, &Interrupt::default(), &Silent).unwrap();
        assert!(to.join("empty").is_dir());
        assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("nowhere"));
        let (before, after) = (fs::metadata(from.join("run")).unwrap(), fs::metadata(to.join("run")).unwrap());
        assert_eq!(after.permissions(), before.permissions());
        assert_eq!(after.modified().unwrap(), before.modified().unwrap());
    }

    #[test]
    fn the_files_of_a_database_are_told_from_others() {
        let database = Path::new("/wp/wp-content/database/.ht.sqlite");
        let is = |name: &str| is_of_database(&Path::new("/wp/wp-content/database").join(name), database);
        assert!(is(".ht.sqlite") && is(".ht.sqlite-wal") && is(".ht.sqlite-shm") && is(".ht.sqlite-journal"));
        assert!(!is(".htaccess") && !is(".ht.sqlite.bak") && !is("index.php"));
        assert!(!is_of_database(Path::new("/wp/.ht.sqlite"), database));
    }

    #[test]
    fn a_site_inside_of_its_own_source_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let failure = copy(&root, &root.join("site/tree"), &Interrupt::default(), &Silent).unwrap_err();
        assert!(failure.to_string().contains("would be made in"), "{failure}");
    }
}
