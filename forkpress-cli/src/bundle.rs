//! What the binary carries into a site: the PHP files of the runtime, and the bundle of WordPress, `branchfs.so`, and the
//! phars of WP-CLI and of the blueprint runner, with WordPress's importer.
//!
//! The runtime files are always there. A binary may be built without the bundle; then a WordPress and an extension have
//! to be given. No name in the archive is trusted: an entry that would land outside of the target folder is refused.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow, bail};
use forkpress_core::reserved;
use forkpress_engine::progress::Progress;
use serde::{Deserialize, Serialize};
use tar::{Archive, Entry, EntryType};
use zstd::stream::read::Decoder;

static BUNDLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/bundle.tar.zst"));

/// Name in the site's runtime folder, content.
const RUNTIME_FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/runtime_files.rs"));

/// The one runtime file that goes into a branch's tree instead.
const WP_CONFIG: &str = "wp-config.php";

/// Where WordPress has its SQLite driver in the archive.
const DRIVER: &str = "wordpress/wp-content/mu-plugins";

/// WP-CLI, in the archive and in the site's runtime folder.
pub const WP_CLI: &str = "wp-cli.phar";

/// The program that runs blueprints, in the archive and in the site's runtime folder.
pub const BLUEPRINTS: &str = "blueprints.phar";

/// WordPress's importer, in the archive and in the site's runtime folder. PHP reads it as it reads a phar.
pub const IMPORTER: &str = "wordpress-importer.tar";

/// What stands before WordPress in the archive and is for the site's runtime folder.
const TOOLS: [&str; 3] = [WP_CLI, BLUEPRINTS, IMPORTER];

/// The runtime files that WP-CLI is started with.
const WP_CLI_DIR: &str = "wp-cli";

/// The runtime files that blueprints are run with.
const BLUEPRINTS_DIR: &str = "blueprints";

/// What both of them load.
const ADDRESS: &str = "address.php";

/// A word in the template of `wp-config.php` that stands for a secret of the site's own.
const SALT: &str = "@SALT@";

/// Opened files that wait for a writer. Bounds the memory that unpacking takes: they are a megabyte at most.
const WAITING_FILES: usize = 32;

/// What a bundle is made of: its `manifest.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// WordPress's version.
    pub wordpress: String,
    /// Version of the SQLite driver in it.
    pub sqlite_driver: String,
    /// Version of WP-CLI.
    pub wp_cli: String,
    /// Version of the program that runs blueprints.
    pub blueprints: String,
    /// Version of WordPress's importer.
    pub importer: String,
    /// The version of PHP that the extension is for, such as `8.2`.
    pub php: String,
    /// The extension.
    pub branchfs: ExtensionBuild,
    /// How many files WordPress and the driver have.
    pub files: u64,
    /// Where each part came from: package or address, and its version or checksum.
    pub parts: Vec<String>,
}

/// The PHP that a `branchfs.so` can be loaded into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtensionBuild {
    /// The extension's own version.
    pub version: String,
    /// PHP's extension API, as `php -i` prints it after `PHP Extension`, such as `20220829`.
    pub php_api: String,
    /// Whether it is for a thread-safe PHP.
    pub thread_safe: bool,
    /// Whether it is for a debug build of PHP.
    pub debug: bool,
    /// Architecture, system and C library, such as `x86_64-linux-gnu`.
    pub platform: String,
}

/// An archive of WordPress and `branchfs.so`, with a manifest.
#[derive(Clone, Copy)]
pub struct Bundle(&'static [u8]);

impl Bundle {
    /// The one in this binary; `None` in a binary that was built without.
    pub fn embedded() -> Option<Bundle> {
        (!BUNDLE.is_empty()).then_some(Bundle(BUNDLE))
    }

    /// Reads what the bundle is made of.
    ///
    /// # Errors
    /// When the archive is damaged, or of another format.
    pub fn manifest(self) -> Result<Manifest> {
        let text = self.read("manifest.json")?;
        serde_json::from_slice(&text).context("the manifest of the runtime bundle can't be understood")
    }

    /// Reads the extension, `branchfs.so`.
    ///
    /// # Errors
    /// When the archive is damaged.
    pub fn extension(self) -> Result<Vec<u8>> {
        self.read("branchfs.so")
    }

    /// Reads the extensions for other PHPs, with their names.
    ///
    /// # Errors
    /// When the archive is damaged.
    pub fn extensions(self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut found = Vec::new();
        let mut archive = self.archive()?;
        for entry in archive.entries().context(DAMAGED)? {
            let mut entry = entry.context(DAMAGED)?;
            let name = entry.path().context(DAMAGED)?.to_string_lossy().into_owned();
            if is_named_extension(&name) {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).context(DAMAGED)?;
                found.push((name, content));
            } else if !matches!(&name[..], "manifest.json" | "branchfs.so") {
                break;
            }
        }
        Ok(found)
    }

    /// Writes what stands before the rest of WordPress in the archive into a folder: the phars, the importer, and the SQLite
    /// driver that a branch that lost it gets back. Files that are there already and do not differ stay.
    ///
    /// # Errors
    /// When the archive is damaged, or a file can't be written.
    fn write_tools(self, dest: &Path) -> Result<()> {
        let mut archive = self.archive()?;
        for entry in archive.entries().context(DAMAGED)? {
            let mut entry = entry.context(DAMAGED)?;
            let name = entry.path().context(DAMAGED)?.into_owned();
            let name = match name.strip_prefix(DRIVER) {
                Ok(name) => name,
                Err(_) if TOOLS.iter().any(|tool| name == Path::new(tool)) => &name,
                Err(_) if name.starts_with("wordpress") => break,
                Err(_) => continue,
            };
            let file = packed_file(&mut entry, inside(dest, name)?)?;
            write_if_changed(&file.path, &file.content)?;
        }
        Ok(())
    }

    /// Reads one of the archive's first, small entries.
    fn read(self, name: &str) -> Result<Vec<u8>> {
        let mut archive = self.archive()?;
        for entry in archive.entries().context(DAMAGED)? {
            let mut entry = entry.context(DAMAGED)?;
            if entry.path().context(DAMAGED)? == Path::new(name) {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).context(DAMAGED)?;
                return Ok(content);
            }
        }
        bail!("the runtime bundle has no {name}")
    }

    fn archive(self) -> Result<Archive<Decoder<'static, &'static [u8]>>> {
        Ok(Archive::new(Decoder::with_buffer(self.0).context(DAMAGED)?))
    }

    /// Unpacks WordPress, with the driver and without a `wp-config.php`, into a folder, which is made where it is missing.
    ///
    /// Files keep their modes and times. Nothing is synced. One thread reads the archive, the others write.
    ///
    /// # Errors
    /// When the archive is damaged or names a path outside of the folder, when a file is there already, or when one
    /// can't be written. The folder then holds a part of the files.
    pub fn unpack_wordpress(self, dest: &Path, progress: &dyn Progress) -> Result<()> {
        let mut archive = self.archive()?;
        progress.begin("unpacking WordPress", Some(self.manifest()?.files));
        let writers = std::thread::available_parallelism().map_or(1, |cores| cores.get().clamp(1, 8));
        let (send, receive) = mpsc::sync_channel::<PackedFile>(WAITING_FILES);
        let receive = Mutex::new(Some(receive));
        let outcome = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..writers).map(|_| scope.spawn(|| write_files(&receive, progress))).collect();
            let read = read_files(&mut archive, dest, &send, progress);
            drop(send);
            let written = writers.into_iter().map(|writer| writer.join().expect("a writer does not panic"));
            // A writer's error comes first: a reader that finds no writer left only says so.
            written.collect::<Result<()>>().and(read)
        });
        progress.end();
        outcome
    }
}

/// Whether a name is that of an extension for a certain PHP.
pub fn is_named_extension(name: &str) -> bool {
    let kind =
        name.strip_prefix("branchfs-").and_then(|rest| rest.strip_suffix(".so")).and_then(|kind| kind.split_once('-'));
    kind.is_some_and(|(api, build)| {
        api.len() == 8
            && api.bytes().all(|byte| byte.is_ascii_digit())
            && matches!(build, "nts" | "zts" | "nts-debug" | "zts-debug")
    })
}

const DAMAGED: &str = "the runtime bundle is damaged";

/// A file of the archive on its way to the disk.
struct PackedFile {
    path: PathBuf,
    mode: u32,
    modified: SystemTime,
    content: Vec<u8>,
}

/// Makes the folders and hands the files on, until the archive ends or no writer is left.
fn read_files<R: Read>(
    archive: &mut Archive<R>,
    dest: &Path,
    send: &mpsc::SyncSender<PackedFile>,
    progress: &dyn Progress,
) -> Result<()> {
    let mut made = PathBuf::new();
    for entry in archive.entries().context(DAMAGED)? {
        progress.go_on()?;
        let mut entry = entry.context(DAMAGED)?;
        let name = entry.path().context(DAMAGED)?.into_owned();
        let Ok(name) = name.strip_prefix("wordpress") else { continue };
        let path = inside(dest, name)?;
        if entry.header().entry_type() != EntryType::Regular {
            bail!("{DAMAGED}: {} is not a plain file", name.display());
        }
        // Entries are sorted, so a folder's files follow each other.
        let folder = path.parent().unwrap_or(dest);
        if made != folder {
            fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
            folder.clone_into(&mut made);
        }
        let file = packed_file(&mut entry, path)?;
        if send.send(file).is_err() {
            bail!("unpacking stopped");
        }
    }
    Ok(())
}

fn packed_file<R: Read>(entry: &mut Entry<'_, R>, path: PathBuf) -> Result<PackedFile> {
    let header = entry.header();
    let mode = header.mode().context(DAMAGED)? & 0o777;
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(header.mtime().context(DAMAGED)?);
    let mut content = Vec::with_capacity(usize::try_from(entry.size()).unwrap_or(0));
    entry.read_to_end(&mut content).context(DAMAGED)?;
    Ok(PackedFile { path, mode, modified, content })
}

/// Joins a name of the archive to the folder it is unpacked into.
///
/// # Errors
/// When the name is absolute, goes up, names the folder itself, or a site in it.
fn inside(dest: &Path, name: &Path) -> Result<PathBuf> {
    let plain = name
        .components()
        .all(|part| matches!(part, Component::Normal(name) if !reserved::is_forkpress(name.as_encoded_bytes())));
    if !plain || name.as_os_str().is_empty() {
        return Err(anyhow!("{DAMAGED}: it holds the path {:?}", name.display()));
    }
    Ok(dest.join(name))
}

/// Writes files as they come. After an error it takes the receiving end away, which stops the reader and all writers.
fn write_files(receive: &Mutex<Option<mpsc::Receiver<PackedFile>>>, progress: &dyn Progress) -> Result<()> {
    let next = || receive.lock().expect("a writer does not panic").as_ref().and_then(|files| files.recv().ok());
    while let Some(file) = next() {
        if let Err(error) = write_file(&file) {
            receive.lock().expect("a writer does not panic").take();
            return Err(error).with_context(|| format!("cannot write {}", file.path.display()));
        }
        progress.advance(1);
    }
    Ok(())
}

fn write_file(file: &PackedFile) -> io::Result<()> {
    // create_new neither follows a link nor overwrites what somebody else put there.
    let mut created: File = OpenOptions::new().write(true).create_new(true).mode(file.mode).open(&file.path)?;
    created.write_all(&file.content)?;
    created.set_modified(file.modified)
}

/// Writes the runtime's files into a folder, such as `.forkpress/runtime`, which is made where it is missing.
///
/// Each file is replaced whole. PHP files of an older release that are not part of this one are removed, since the
/// router loads every file that lies in `platform/`. What else is in the folder stays.
///
/// # Errors
/// When a file can't be written; some are then new and some old. Doing it again mends that.
pub fn write_runtime(dest: &Path) -> Result<()> {
    for (name, content) in RUNTIME_FILES.iter().filter(|(name, _)| *name != WP_CONFIG) {
        write_if_changed(&dest.join(name), content.as_bytes())?;
    }
    if let Some(bundle) = Bundle::embedded() {
        bundle.write_tools(dest)?;
    }
    remove_stale_platform_files(&dest.join("platform"))
}

/// Writes the SQLite driver into a folder. False where this program has none in it.
///
/// # Errors
/// When the archive is damaged, or a file can't be written.
pub fn write_driver(dest: &Path) -> Result<bool> {
    let Some(bundle) = Bundle::embedded() else { return Ok(false) };
    bundle.write_tools(dest).map(|()| true)
}

/// Writes WP-CLI with WordPress's importer, and what it is started with, into a folder that lacks them: no site's, or
/// that of a site which an older release made.
///
/// # Errors
/// When this program has no WP-CLI in it, or a file can't be written.
pub fn write_wp_cli(dest: &Path) -> Result<()> {
    write_tool(dest, IMPORTER, WP_CLI_DIR)?;
    write_tool(dest, WP_CLI, WP_CLI_DIR)
}

/// Writes the program that runs blueprints, and what it uses, likewise.
///
/// # Errors
/// As [`write_wp_cli`].
pub fn write_blueprints(dest: &Path) -> Result<()> {
    write_wp_cli(dest)?;
    write_tool(dest, BLUEPRINTS, BLUEPRINTS_DIR)
}

fn write_tool(dest: &Path, tool: &str, folder: &str) -> Result<()> {
    let bundle = Bundle::embedded().ok_or_else(|| anyhow!("this forkpress was built without {tool}"))?;
    let is_needed = |name: &str| Path::new(name).starts_with(folder) || name == ADDRESS;
    for (name, content) in RUNTIME_FILES.iter().filter(|(name, _)| is_needed(name)) {
        write_if_changed(&dest.join(name), content.as_bytes())?;
    }
    write_if_changed(&dest.join(tool), &bundle.read(tool)?)
}

/// Unchanged files keep their times, so a running server's OPcache keeps them, too.
fn write_if_changed(path: &Path, content: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    forkpress_engine::file::replace(path, content).with_context(|| format!("cannot write {}", path.display()))
}

fn remove_stale_platform_files(platform: &Path) -> Result<()> {
    let cannot_read = || format!("cannot read the folder {}", platform.display());
    let entries = match fs::read_dir(platform) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(cannot_read)?,
    };
    for entry in entries {
        let entry = entry.with_context(cannot_read)?;
        let name = Path::new("platform").join(entry.file_name());
        let ours = RUNTIME_FILES.iter().any(|(file, _)| Path::new(file) == name);
        if !ours && name.extension().is_some_and(|extension| extension == "php") {
            fs::remove_file(entry.path()).with_context(|| format!("cannot remove {}", entry.path().display()))?;
        }
    }
    Ok(())
}

/// The text of a new site's `wp-config.php`. `secret` is asked once for each of its keys and salts, and answers in
/// letters and digits, 64 of them to be as strong as WordPress's own.
pub fn wp_config(mut secret: impl FnMut() -> String) -> String {
    let template = RUNTIME_FILES.iter().find(|(name, _)| *name == WP_CONFIG).map_or("", |(_, content)| *content);
    let mut parts = template.split(SALT);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + &secret() + part)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::atomic::{AtomicU64, Ordering};

    use forkpress_engine::progress::Silent;

    use super::*;

    const MANIFEST: &str = r#"{"wordpress":"6.8.7","sqlite_driver":"3.0.2","wp_cli":"2.12.0",
        "blueprints":"1","importer":"0.9.5","php":"8.2","branchfs":{"version":"0.1.0","php_api":"20220829",
        "thread_safe":false,"debug":false,"platform":"x86_64-linux-gnu"},"files":2,"parts":["wordpress 6.8.7"]}"#;

    /// A bundle of these entries. The name is written as it is, without the tar crate's own checks.
    fn bundle(entries: &[(&str, &str, EntryType)]) -> Bundle {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, content, kind) in entries {
            let mut header = tar::Header::new_gnu();
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(content.len() as u64);
            header.set_mode(0o640);
            header.set_mtime(1_700_000_000);
            header.set_entry_type(*kind);
            header.set_cksum();
            tar.append(&header, content.as_bytes()).unwrap();
        }
        let tar = tar.into_inner().unwrap();
        Bundle(Vec::leak(zstd::encode_all(&tar[..], 1).unwrap()))
    }

    const FILE: EntryType = EntryType::Regular;

    #[test]
    fn unpacks_wordpress_alone_with_modes_and_times() {
        let dir = tempfile::tempdir().unwrap();
        let dest = dir.path().join("tree");
        let bundle = bundle(&[
            ("manifest.json", MANIFEST, FILE),
            ("branchfs.so", "ELF", FILE),
            ("branchfs-20230831-nts.so", "ELF 8.3", FILE),
            ("wordpress/index.php", "<?php", FILE),
            ("wordpress/wp-includes/a b/x.js", "js", FILE),
        ]);
        bundle.unpack_wordpress(&dest, &Silent).unwrap();
        let index = fs::metadata(dest.join("index.php")).unwrap();
        assert_eq!(index.permissions().mode() & 0o777, 0o640);
        assert_eq!(index.modified().unwrap(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        assert_eq!(fs::read_to_string(dest.join("wp-includes/a b/x.js")).unwrap(), "js");
        assert!(!dest.join("branchfs.so").exists() && !dest.join("manifest.json").exists());
        assert_eq!(bundle.extension().unwrap(), b"ELF");
        assert_eq!(bundle.extensions().unwrap(), [("branchfs-20230831-nts.so".to_owned(), b"ELF 8.3".to_vec())]);
        assert_eq!(bundle.manifest().unwrap().branchfs.php_api, "20220829");
    }

    #[test]
    fn the_driver_and_the_phars_are_written_beside_the_runtime_and_no_other_part_of_wordpress() {
        let dir = tempfile::tempdir().unwrap();
        let bundle = bundle(&[
            ("manifest.json", MANIFEST, FILE),
            ("wp-cli.phar", "<?php", FILE),
            ("blueprints.phar", "<?php", FILE),
            ("wordpress-importer.tar", "", FILE),
            ("wordpress/wp-content/mu-plugins/sqlite-database-integration/db.copy", "<?php", FILE),
            ("wordpress/index.php", "<?php", FILE),
        ]);
        bundle.write_tools(dir.path()).unwrap();
        assert!(dir.path().join(forkpress_core::driver::NAME).join("db.copy").is_file());
        assert!(TOOLS.iter().all(|tool| dir.path().join(tool).is_file()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1 + TOOLS.len());
    }

    #[test]
    fn every_file_counts_once_as_progress() {
        struct Counter(AtomicU64);
        impl Progress for Counter {
            fn begin(&self, _step: &str, total: Option<u64>) {
                assert_eq!(total, Some(2));
            }
            fn advance(&self, by: u64) {
                self.0.fetch_add(by, Ordering::Relaxed);
            }
            fn end(&self) {}
        }
        let dir = tempfile::tempdir().unwrap();
        let counter = Counter(AtomicU64::new(0));
        bundle(&[("manifest.json", MANIFEST, FILE), ("wordpress/a", "", FILE), ("wordpress/b", "", FILE)])
            .unpack_wordpress(dir.path(), &counter)
            .unwrap();
        assert_eq!(counter.0.into_inner(), 2);
    }

    #[test]
    fn refuses_paths_that_lead_out_of_the_folder() {
        for name in [
            "wordpress/.ForkPress/x",
            "wordpress/../out",
            "wordpress/a/../../out",
            "wordpress//tmp/../../out",
            "wordpress/",
        ] {
            let dir = tempfile::tempdir().unwrap();
            let dest = dir.path().join("tree");
            let error =
                bundle(&[("manifest.json", MANIFEST, FILE), (name, "x", FILE)]).unpack_wordpress(&dest, &Silent);
            assert!(error.is_err(), "{name}");
            assert!(!dir.path().join("out").exists(), "{name}");
        }
    }

    #[test]
    fn refuses_links_in_the_archive() {
        let dir = tempfile::tempdir().unwrap();
        let bundle = bundle(&[("manifest.json", MANIFEST, FILE), ("wordpress/link", "", EntryType::Symlink)]);
        assert!(bundle.unpack_wordpress(dir.path(), &Silent).is_err());
    }

    #[test]
    fn does_not_overwrite_what_is_there_and_names_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("index.php"), "mine").unwrap();
        let many: Vec<String> = (0..200).map(|number| format!("wordpress/z{number}")).collect();
        let mut entries = vec![("manifest.json", MANIFEST, FILE), ("wordpress/index.php", "theirs", FILE)];
        entries.extend(many.iter().map(|name| (name.as_str(), "", FILE)));
        let error = bundle(&entries).unpack_wordpress(dir.path(), &Silent).unwrap_err();
        assert!(format!("{error:#}").contains("index.php"), "{error:#}");
        assert_eq!(fs::read_to_string(dir.path().join("index.php")).unwrap(), "mine");
    }

    #[test]
    fn a_cut_archive_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let whole = bundle(&[("manifest.json", MANIFEST, FILE), ("wordpress/a", "content", FILE)]);
        let cut = Bundle(&whole.0[..whole.0.len() - 20]);
        assert!(cut.unpack_wordpress(dir.path(), &Silent).is_err());
    }

    #[test]
    fn the_runtime_has_what_a_server_needs_and_no_configuration_of_a_branch() {
        let dir = tempfile::tempdir().unwrap();
        write_runtime(&dir.path().join("runtime")).unwrap();
        for name in ["php.ini", "install.php"] {
            assert!(dir.path().join("runtime").join(name).is_file(), "{name}");
        }
        assert!(!dir.path().join("runtime/wp-config.php").exists());
    }

    #[test]
    fn writing_the_runtime_again_removes_an_older_releases_platform_files_only() {
        let dir = tempfile::tempdir().unwrap();
        write_runtime(dir.path()).unwrap();
        fs::create_dir_all(dir.path().join("platform")).unwrap();
        fs::write(dir.path().join("platform/gone.php"), "<?php").unwrap();
        fs::write(dir.path().join("branchfs.so"), "ELF").unwrap();
        fs::write(dir.path().join("install.php"), "old").unwrap();
        write_runtime(dir.path()).unwrap();
        assert!(!dir.path().join("platform/gone.php").exists());
        assert!(dir.path().join("branchfs.so").exists());
        assert_ne!(fs::read_to_string(dir.path().join("install.php")).unwrap(), "old");
    }

    #[test]
    fn each_key_of_the_configuration_gets_a_secret_of_its_own() {
        let asked = Cell::new(0);
        let text = wp_config(|| {
            asked.set(asked.get() + 1);
            format!("secret{}", asked.get())
        });
        assert_eq!(asked.get(), 8);
        assert!(
            text.contains("define( 'AUTH_KEY', 'secret1' );") && text.contains("define( 'NONCE_SALT', 'secret8' );")
        );
        assert!(!text.contains(SALT));
    }
}
