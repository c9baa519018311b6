//! Folders on file systems of every kind that the machine can give.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use forkpress_engine::config::FileView;
use tempfile::TempDir;

/// A kind of file system to test on.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Whatever the folder for temporary files is on.
    Plain,
    Ext4,
    Xfs,
    Btrfs,
    Tmpfs,
    /// So small that it is soon full.
    Tiny,
    /// A plain folder for a site that has its branches in an XFS image.
    XfsLoop,
    /// A plain folder for a site that has its branches in a sparse bundle.
    Sparsebundle,
}

/// An empty folder on a file system. Unmounted and removed when dropped.
pub struct Place {
    pub root: PathBuf,
    mounted: bool,
    _dir: TempDir,
}

impl Place {
    /// A folder in memory, where the machine has one for that, else where temporary files are.
    pub fn in_memory() -> Self {
        let dir = dir_in_memory();
        Self { root: fs::canonicalize(dir.path()).unwrap(), mounted: false, _dir: dir }
    }

    /// The same, on a file system that clones files.
    pub fn xfs_in_memory() -> Option<Self> {
        Self::on(Kind::Xfs, dir_in_memory())
    }

    /// A place of this kind; none, and a word on stderr, where the machine can't give it.
    pub fn of(kind: Kind) -> Option<Self> {
        Self::on(kind, tempfile::tempdir().unwrap())
    }

    fn on(kind: Kind, dir: TempDir) -> Option<Self> {
        let root = fs::canonicalize(dir.path()).unwrap();
        if matches!(kind, Kind::XfsLoop | Kind::Sparsebundle)
            && let Err(reason) = run(Command::new("losetup").arg("--find"))
        {
            eprintln!("SKIPPED: no {kind:?} to test on: {reason}");
            return None;
        }
        if matches!(kind, Kind::Plain | Kind::XfsLoop | Kind::Sparsebundle) {
            return Some(Self { root, mounted: false, _dir: dir });
        }
        let (image, mount) = (root.join("image"), root.join("mount"));
        fs::create_dir(&mount).unwrap();
        let mounted = match kind {
            Kind::Plain | Kind::XfsLoop | Kind::Sparsebundle => unreachable!(),
            Kind::Tmpfs => run(Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&mount)),
            Kind::Tiny => run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(&mount)),
            Kind::Ext4 => make(&image, "mkfs.ext4", &["-q", "-F"], &mount),
            Kind::Xfs => make(&image, "mkfs.xfs", &["-q", "-f", "-m", "reflink=1"], &mount),
            Kind::Btrfs => make(&image, "mkfs.btrfs", &["-q", "-f"], &mount),
        };
        if let Err(reason) = mounted {
            eprintln!("SKIPPED: no {kind:?} to test on: {reason}");
            return None;
        }
        Some(Self { root: mount, mounted: true, _dir: dir })
    }
}

fn dir_in_memory() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

impl Kind {
    /// The view that the probe must find.
    pub fn best_view(self) -> Option<FileView> {
        match self {
            Self::Plain | Self::XfsLoop | Self::Sparsebundle => None,
            Self::Ext4 | Self::Tmpfs | Self::Tiny => Some(FileView::FileCopy),
            Self::Xfs => Some(FileView::Reflink),
            Self::Btrfs => Some(FileView::BtrfsSnapshot),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        unmount_images(&self.root);
        // Lazily: a process that another test starts just now has, until it runs its own program, what this one had open.
        if self.mounted
            && let Err(reason) = run(Command::new("umount").arg("-l").arg(&self.root))
        {
            eprintln!("{} stays mounted: {reason}", self.root.display());
        }
    }
}

/// Unmounts the images of the site at `root`, whatever is open in them.
pub fn unmount_images(root: &Path) {
    for folder in ["linux-cow", "macos-cow"] {
        let mount = root.join(".forkpress").join(folder).join("mount");
        if mount.is_dir() {
            // It may not be mounted.
            let _ = run(Command::new("umount").arg("-l").arg(mount));
        }
    }
}

/// Runs a test of this program again, as a process that finds the stand-in for `hdiutil` in its `PATH`, unless it runs in
/// one; says whether it did.
pub fn again_with_hdiutil(test: &str) -> bool {
    const AGAIN: &str = "FORKPRESS_TEST_AGAIN";
    if cfg!(target_os = "macos") || std::env::var_os(AGAIN).is_some() {
        return false;
    }
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/bin");
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::env::join_paths([fixtures].into_iter().chain(std::env::split_paths(&paths))).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child.args(["--exact", test]).env(AGAIN, "1").env("PATH", paths).output().unwrap();
    assert!(output.status.success(), "{test}, run again, fails: {}", String::from_utf8_lossy(&output.stdout));
    true
}

/// Mounts a new image.
fn make(image: &Path, mkfs: &str, options: &[&str], mount: &Path) -> Result<(), String> {
    const IMAGE_BYTES: u64 = 512 << 20;
    fs::File::create(image).unwrap().set_len(IMAGE_BYTES).unwrap();
    run(Command::new(mkfs).args(options).arg(image))?;
    run(Command::new("mount").args(["-o", "loop"]).arg(image).arg(mount))
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
