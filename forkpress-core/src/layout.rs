//! Where every file of a site is. Paths of a site are joined here and nowhere else.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::name::BranchName;

/// The name of the folder that makes its parent a site.
pub const WORK_DIR: &str = ".forkpress";

/// The names of the lock files, in the order in which they are taken.
pub const LOCKS: [&str; 7] = [
    "lifecycle.lock",
    "prepare.gate",
    "prepare.lock",
    "mutation.lock",
    "visit.lock",
    "operations.gate",
    "operations.lock",
];

/// The folder inside the work folder that holds locks, records and what mutations need.
///
/// Trees that are staged, kept or thrown away lie in it, too, unless the site's branches are in an image: then they are
/// beside the branches, so that a rename takes them from one place to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CowLayout {
    dir: PathBuf,
    /// Where trees are that are no branches.
    trees: PathBuf,
}

impl CowLayout {
    /// The layout of an existing or future `cow` folder.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        Self { trees: dir.clone(), dir }
    }

    /// The folder itself.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The site that this folder belongs to; `None` where it is not in a folder named `.forkpress`.
    #[must_use]
    pub fn site(&self) -> Option<SiteLayout> {
        let work_dir = self.dir.parent().filter(|dir| dir.file_name().is_some_and(|name| name == WORK_DIR))?;
        work_dir.parent().map(SiteLayout::at)
    }

    /// The folders that may have the trees of this site's branches while an image is mounted, whether or not they are there.
    #[must_use]
    pub fn image_branches_dirs(&self) -> Vec<PathBuf> {
        let Some(site) = self.site() else { return Vec::new() };
        ImageKind::ALL.map(|kind| ImageLayout::new(site.work_dir(), kind).branches_dir()).into()
    }

    /// The lock files, each with its name, in the order of [`LOCKS`].
    #[must_use]
    pub fn locks(&self) -> [(&'static str, PathBuf); LOCKS.len()] {
        LOCKS.map(|name| (name, self.dir.join(name)))
    }

    /// Shared by requests, exclusive while a mutation publishes.
    #[must_use]
    pub fn operations_lock(&self) -> PathBuf {
        self.dir.join("operations.lock")
    }

    /// Makes a waiting writer's turn come.
    #[must_use]
    pub fn operations_gate(&self) -> PathBuf {
        self.dir.join("operations.gate")
    }

    /// The gates and locks of the branches.
    #[must_use]
    pub fn branch_locks_dir(&self) -> PathBuf {
        self.dir.join("locks")
    }

    /// Makes a writer's turn come that waits for the requests of one branch.
    #[must_use]
    pub fn branch_gate(&self, name: &BranchName) -> PathBuf {
        self.branch_locks_dir().join(format!("{name}.gate"))
    }

    /// Shared by the requests of one branch, exclusive while a mutation publishes to it beside requests of others.
    #[must_use]
    pub fn branch_lock(&self, name: &BranchName) -> PathBuf {
        self.branch_locks_dir().join(format!("{name}.lock"))
    }

    /// Exclusive for a mutation of the branch from its first step to its last. Whose staging places are in use, it tells.
    #[must_use]
    pub fn branch_mutation_lock(&self, name: &BranchName) -> PathBuf {
        self.branch_locks_dir().join(format!("{name}.mutation"))
    }

    /// Held shared by everything that prepares a mutation, exclusively by what is of the whole site.
    #[must_use]
    pub fn prepare_lock(&self) -> PathBuf {
        self.dir.join("prepare.lock")
    }

    /// What keeps new mutations from beginning while something of the whole site waits for [`Self::prepare_lock`].
    #[must_use]
    pub fn prepare_gate(&self) -> PathBuf {
        self.dir.join("prepare.gate")
    }

    /// One mutation publishes at a time; requests never touch it.
    #[must_use]
    pub fn mutation_lock(&self) -> PathBuf {
        self.dir.join("mutation.lock")
    }

    /// The server's visit of a new branch against a publish; visitors never touch it.
    #[must_use]
    pub fn visit_lock(&self) -> PathBuf {
        self.dir.join("visit.lock")
    }

    /// Server start against what takes the storage away.
    #[must_use]
    pub fn lifecycle_lock(&self) -> PathBuf {
        self.dir.join("lifecycle.lock")
    }

    /// The secret with which a request of the site may call the site while a writer waits.
    #[must_use]
    pub fn loopback_token(&self) -> PathBuf {
        self.dir.join("loopback.token")
    }

    /// The secret of the branch page: who is not known signs in with it, and its sessions are proven by it.
    #[must_use]
    pub fn page_token(&self) -> PathBuf {
        self.dir.join("page.token")
    }

    /// Every address that the site ever had.
    #[must_use]
    pub fn addresses(&self) -> PathBuf {
        self.dir.join("addresses")
    }

    /// One small file for each PHP process, what it is serving, and for each command that waits.
    #[must_use]
    pub fn requests_dir(&self) -> PathBuf {
        self.dir.join("requests")
    }

    /// What was found in the databases when ids were last looked for, so that it need not be read again.
    #[must_use]
    pub fn ids(&self) -> PathBuf {
        self.dir.join("ids.json")
    }

    /// Which objects the files of a branch are that Git has not read itself, as they came with its tree.
    #[must_use]
    pub fn git_known(&self, name: &BranchName) -> PathBuf {
        self.git_snapshots_dir().join(format!("{name}.known"))
    }

    /// What the server has warmed: the branches whose code is compiled.
    #[must_use]
    pub fn warm_state(&self) -> PathBuf {
        self.dir.join("warm.json")
    }

    /// What the process `pid` is serving, or what it waits for.
    #[must_use]
    pub fn request_note(&self, pid: u32) -> PathBuf {
        self.requests_dir().join(pid.to_string())
    }

    /// One record a branch. Where this folder does not exist, there is no ForkPress site around the branches.
    #[must_use]
    pub fn records_dir(&self) -> PathBuf {
        self.dir.join("branches")
    }

    /// The record that makes a folder the branch `name`.
    #[must_use]
    pub fn record(&self, name: &BranchName) -> PathBuf {
        self.records_dir().join(format!("{name}.toml"))
    }

    /// Where the record of the branch `name` is while files of the branch change places: for whoever serves, the branch is
    /// none then.
    #[must_use]
    pub fn record_aside(&self, name: &BranchName) -> PathBuf {
        self.records_dir().join(format!("{name}.aside"))
    }

    /// Where mutations build what they will publish.
    #[must_use]
    pub fn staging_dir(&self) -> PathBuf {
        self.trees.join("staging")
    }

    /// Where the tree that is to become the branch `name` is built. One mutation runs at a time.
    #[must_use]
    pub fn staged_tree(&self, name: &BranchName) -> PathBuf {
        self.staging_dir().join(name.as_str())
    }

    /// Where files are staged that are to be put into the tree of the branch `name`. No branch's name has a dot.
    #[must_use]
    pub fn staged_files(&self, name: &BranchName) -> PathBuf {
        self.staging_dir().join(format!("{name}.files"))
    }

    /// Clones of `main` that wait to be taken, each with a number.
    #[must_use]
    pub fn spares_dir(&self) -> PathBuf {
        self.trees.join("spares")
    }

    /// One of them.
    #[must_use]
    pub fn spare(&self, number: u64) -> PathBuf {
        self.spares_dir().join(number.to_string())
    }

    /// One that a mutation has taken for a tree of the branch `name`. No branch's name has a dot.
    #[must_use]
    pub fn staged_spare(&self, name: &BranchName) -> PathBuf {
        self.staging_dir().join(format!("{name}.spare"))
    }

    /// One that is being made.
    #[must_use]
    pub fn spare_in_making(&self) -> PathBuf {
        self.spares_dir().join("making")
    }

    /// What comes from another machine, until it is in a tree: a folder for each process.
    #[must_use]
    pub fn incoming_dir(&self) -> PathBuf {
        self.dir.join("incoming")
    }

    /// What waits for its removal. Nothing in it is anybody's any more.
    #[must_use]
    pub fn trash_dir(&self) -> PathBuf {
        self.trees.join("trash")
    }

    /// The trees that mutations took away, for as long as they can be had back.
    #[must_use]
    pub fn kept_dir(&self) -> PathBuf {
        self.trees.join("kept")
    }

    /// The tree that the operation `slot` took away.
    #[must_use]
    pub fn kept_tree(&self, slot: u64) -> PathBuf {
        self.kept_dir().join(slot.to_string())
    }

    /// One of several trees that the operation `slot` took away.
    #[must_use]
    pub fn kept_tree_of(&self, slot: u64, name: &BranchName) -> PathBuf {
        self.kept_tree(slot).join(name.as_str())
    }

    /// What two branches once had in common, each by the number of the operation at which they did.
    #[must_use]
    pub fn partings_dir(&self) -> PathBuf {
        self.trees.join("partings")
    }

    /// One of them.
    #[must_use]
    pub fn parting(&self, id: u64) -> PathBuf {
        self.partings_dir().join(id.to_string())
    }

    /// One that is being made for a mutation of the branch `name`. No branch's name has a dot.
    #[must_use]
    pub fn staged_parting(&self, name: &BranchName) -> PathBuf {
        self.staging_dir().join(format!("{name}.parting"))
    }

    /// A note for each branch whose clone is yet to be compared with its source.
    #[must_use]
    pub fn unchecked_dir(&self) -> PathBuf {
        self.dir.join("unchecked")
    }

    /// The log of operations, one file each.
    #[must_use]
    pub fn log_dir(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// What the log says of the operation `id`.
    #[must_use]
    pub fn log_entry(&self, id: u64) -> PathBuf {
        self.log_dir().join(format!("{id}.toml"))
    }

    /// How many bytes the tree in a slot held alone when it was last measured.
    #[must_use]
    pub fn kept_bytes(&self, slot: u64) -> PathBuf {
        self.log_dir().join(format!("{slot}.bytes"))
    }

    /// The bare repository behind `/site.git`.
    #[must_use]
    pub fn git_dir(&self) -> PathBuf {
        self.dir.join("git")
    }

    /// What the repository remembers of the branches' folders, so that it need not read what has not changed.
    #[must_use]
    pub fn git_snapshots_dir(&self) -> PathBuf {
        self.git_dir().join("snapshots")
    }

    /// Git's index of the files of the branch `name`.
    #[must_use]
    pub fn git_index(&self, name: &BranchName) -> PathBuf {
        self.git_snapshots_dir().join(format!("{name}.index"))
    }

    /// Which object the `wp-config.php` of the branch `name` is in Git.
    #[must_use]
    pub fn git_config(&self, name: &BranchName) -> PathBuf {
        self.git_snapshots_dir().join(format!("{name}.config"))
    }

    /// What the last snapshot of the branch `name` was made from.
    #[must_use]
    pub fn git_snapshot(&self, name: &BranchName) -> PathBuf {
        self.git_snapshots_dir().join(format!("{name}.toml"))
    }

    /// Exclusive for whoever makes a snapshot of the branch `name`.
    #[must_use]
    pub fn git_snapshot_lock(&self, name: &BranchName) -> PathBuf {
        self.git_snapshots_dir().join(format!("{name}.lock"))
    }

    /// Exclusive for whoever deletes a ref. No branch has this name.
    #[must_use]
    pub fn git_deletion_lock(&self) -> PathBuf {
        self.git_snapshots_dir().join(".deletion.lock")
    }

    /// What Git holds while it deletes a ref.
    #[must_use]
    pub fn git_packed_refs_lock(&self) -> PathBuf {
        self.git_dir().join("packed-refs.lock")
    }

    /// What Git holds while it moves the ref of the branch `name`.
    #[must_use]
    pub fn git_ref_lock(&self, name: &BranchName) -> PathBuf {
        self.git_refs_dir().join(format!("{name}.lock"))
    }

    /// The ref of the branch `name`: a file, since none are packed.
    #[must_use]
    pub fn git_ref(&self, name: &BranchName) -> PathBuf {
        self.git_refs_dir().join(name.as_str())
    }

    /// The refs of all branches.
    #[must_use]
    pub fn git_refs_dir(&self) -> PathBuf {
        self.git_dir().join("refs/heads")
    }

    /// The secret with which others than this machine's users may push.
    #[must_use]
    pub fn git_token(&self) -> PathBuf {
        self.dir.join("git.token")
    }

    /// What mutations in progress intend.
    #[must_use]
    pub fn journal_dir(&self) -> PathBuf {
        self.dir.join("journal")
    }

    /// What the mutation that is about to publish intends. One mutation runs at a time.
    #[must_use]
    pub fn intent(&self) -> PathBuf {
        self.journal_dir().join("intent.toml")
    }

    /// The same of one that makes, or takes away, several branches.
    #[must_use]
    pub fn batch_intent(&self) -> PathBuf {
        self.journal_dir().join("batch.toml")
    }
}

/// Which program makes and mounts an image of branches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageKind {
    /// A sparse bundle with APFS: `hdiutil`.
    Sparsebundle,
    /// A sparse file with XFS: `mkfs.xfs` and a loop device.
    XfsLoop,
}

impl ImageKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Sparsebundle, Self::XfsLoop];
}

/// Where an image of branches lies, and where it is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageLayout {
    dir: PathBuf,
    kind: ImageKind,
}

impl ImageLayout {
    /// The image of this kind of the site whose `.forkpress` folder is `work_dir`.
    #[must_use]
    pub fn new(work_dir: &Path, kind: ImageKind) -> Self {
        let dir = match kind {
            ImageKind::Sparsebundle => "macos-cow",
            ImageKind::XfsLoop => "linux-cow",
        };
        Self { dir: work_dir.join(dir), kind }
    }

    /// What makes and mounts it.
    #[must_use]
    pub fn kind(&self) -> ImageKind {
        self.kind
    }

    /// The folder that holds the image and its mount point, and nothing else.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The image.
    #[must_use]
    pub fn image(&self) -> PathBuf {
        self.dir.join(match self.kind {
            ImageKind::Sparsebundle => "branches.sparsebundle",
            ImageKind::XfsLoop => "branches.xfs",
        })
    }

    /// The image while it is made: whoever finds it may remove it.
    #[must_use]
    pub fn new_image(&self) -> PathBuf {
        self.dir.join(match self.kind {
            ImageKind::Sparsebundle => "new.sparsebundle",
            ImageKind::XfsLoop => "new.xfs",
        })
    }

    /// Where the image is mounted.
    #[must_use]
    pub fn mount(&self) -> PathBuf {
        self.dir.join("mount")
    }

    /// The folder, inside the mounted image, of the branches' trees.
    #[must_use]
    pub fn branches_dir(&self) -> PathBuf {
        self.mount().join("branches")
    }
}

/// The layout of a site: a project folder with a `.forkpress` folder and one folder for each branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteLayout {
    work_dir: PathBuf,
    public_root: PathBuf,
    cow: CowLayout,
    image: Option<ImageLayout>,
}

impl SiteLayout {
    /// The layout of the site whose project folder is `public_root`, whether or not it exists yet.
    #[must_use]
    pub fn at(public_root: &Path) -> Self {
        let work_dir = public_root.join(WORK_DIR);
        Self { cow: CowLayout::new(work_dir.join("cow")), public_root: public_root.to_owned(), work_dir, image: None }
    }

    /// The same site with its trees in an image of this kind, or in none.
    #[must_use]
    pub fn with_image(&self, kind: Option<ImageKind>) -> Self {
        let image = kind.map(|kind| ImageLayout::new(&self.work_dir, kind));
        let mut cow = CowLayout::new(self.cow.dir());
        if let Some(image) = &image {
            cow.trees = image.mount();
        }
        Self { cow, image, ..self.clone() }
    }

    /// The site that `start`, which is to be without symlinks, lies in: the nearest folder, `start` or above, with a
    /// `.forkpress/site.toml` that is not in a branch of another site. What is in a branch comes from whoever may push.
    #[must_use]
    pub fn find(start: &Path) -> Option<Self> {
        start.ancestors().map(Self::at).find(|site| site.config().is_file() && site.outer().is_none())
    }

    /// The site that has this one's folder in one of its branches or in its own work folder, if there is one. This one is
    /// none then.
    #[must_use]
    pub fn outer(&self) -> Option<Self> {
        let above = self.public_root.ancestors().skip(1).map(Self::at);
        above.into_iter().find(|outer| outer.config().is_file() && outer.has(&self.public_root))
    }

    /// Whether a folder below the project folder is in a branch, or in the work folder. Where the file system folds case, so
    /// does this.
    fn has(&self, folder: &Path) -> bool {
        let inside = folder.strip_prefix(&self.public_root).ok().and_then(|inside| inside.components().next());
        let Some(first) = inside.and_then(|first| first.as_os_str().to_str()) else { return false };
        if first.eq_ignore_ascii_case(WORK_DIR) {
            return true;
        }
        let Ok(name) = BranchName::parse(&first.to_ascii_lowercase()) else { return false };
        let inode = |path: PathBuf| path.symlink_metadata().map(|metadata| (metadata.dev(), metadata.ino())).ok();
        let is_branch = [self.cow.record(&name), self.cow.record_aside(&name)].iter().any(|record| record.exists());
        is_branch && (first == name.as_str() || inode(self.public_root.join(first)) == inode(self.public_branch(&name)))
    }

    /// The project folder, in which each branch has its folder.
    #[must_use]
    pub fn public_root(&self) -> &Path {
        &self.public_root
    }

    /// The `.forkpress` folder.
    #[must_use]
    pub fn work_dir(&self) -> &Path {
        &self.work_dir
    }

    /// Locks, records, staging and trash.
    #[must_use]
    pub fn cow(&self) -> &CowLayout {
        &self.cow
    }

    /// The folder whose file system holds branch trees, staging and trash.
    #[must_use]
    pub fn storage_root(&self) -> PathBuf {
        self.image.as_ref().map_or_else(|| self.public_root.clone(), ImageLayout::mount)
    }

    /// The image that the trees are in, if they are in one.
    #[must_use]
    pub fn image(&self) -> Option<&ImageLayout> {
        self.image.as_ref()
    }

    /// The folder in which each branch has its tree.
    #[must_use]
    pub fn branches_dir(&self) -> PathBuf {
        self.image.as_ref().map_or_else(|| self.public_root.clone(), ImageLayout::branches_dir)
    }

    /// Where users find a branch: its tree or, where that is in an image, a symlink to it.
    #[must_use]
    pub fn public_branch(&self, name: &BranchName) -> PathBuf {
        self.public_root.join(name.as_str())
    }

    /// What that symlink says, so that it holds wherever the project folder is moved; none where there is to be none.
    #[must_use]
    pub fn link_target(&self, name: &BranchName) -> Option<PathBuf> {
        let branches = self.image.as_ref()?.branches_dir();
        let inside = branches.strip_prefix(&self.public_root).expect("the image lies in the project folder");
        Some(inside.join(name.as_str()))
    }

    /// The settings of the site. A folder without them is no site.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.work_dir.join("site.toml")
    }

    /// What the binary unpacked: the router, the extension, the PHP settings.
    #[must_use]
    pub fn runtime_dir(&self) -> PathBuf {
        self.work_dir.join("runtime")
    }

    /// The router that serves every request.
    #[must_use]
    pub fn router(&self) -> PathBuf {
        self.runtime_dir().join("router_cow.php")
    }

    /// The PHP extension.
    #[must_use]
    pub fn extension(&self) -> PathBuf {
        self.runtime_dir().join("branchfs.so")
    }

    /// What installs WordPress into the first tree.
    #[must_use]
    pub fn installer(&self) -> PathBuf {
        self.runtime_dir().join("install.php")
    }

    /// WP-CLI's settings for this site, where somebody has written some.
    #[must_use]
    pub fn wp_cli_config(&self) -> PathBuf {
        self.work_dir.join("wp-cli.yml")
    }

    /// Where WP-CLI has the packages that were installed for this site.
    #[must_use]
    pub fn wp_cli_packages(&self) -> PathBuf {
        self.work_dir.join("wp-cli-packages")
    }

    /// Marks, and locks, the folder of an init that has not finished. A site has none.
    #[must_use]
    pub fn init_lock(&self) -> PathBuf {
        self.work_dir.join("init.lock")
    }

    /// The PHP settings that the site is served with.
    #[must_use]
    pub fn php_ini(&self) -> PathBuf {
        self.runtime_dir().join("php.ini")
    }

    /// The requests that the server answered.
    #[must_use]
    pub fn access_log(&self) -> PathBuf {
        self.logs_dir().join("access.log")
    }

    /// Those that took long.
    #[must_use]
    pub fn slow_log(&self) -> PathBuf {
        self.logs_dir().join("slow.log")
    }

    /// The socket by which a running server says what it does.
    #[must_use]
    pub fn status_socket(&self) -> PathBuf {
        self.run_dir().join("status.sock")
    }

    /// The mails that branches sent, which are kept instead.
    #[must_use]
    pub fn mail_dir(&self) -> PathBuf {
        self.work_dir.join("mail")
    }

    /// Those of one branch.
    #[must_use]
    pub fn mailbox(&self, name: &BranchName) -> PathBuf {
        self.mail_dir().join(name.as_str())
    }

    /// The jobs, each in a folder of its own.
    #[must_use]
    pub fn jobs_dir(&self) -> PathBuf {
        self.work_dir.join("jobs")
    }

    /// The folder of the job with this number.
    #[must_use]
    pub fn job(&self, number: u64) -> PathBuf {
        self.jobs_dir().join(number.to_string())
    }

    /// The folder of what the server has only while it runs: PHP's sockets, and bodies that wait.
    #[must_use]
    pub fn run_dir(&self) -> PathBuf {
        self.work_dir.join("run")
    }

    /// The folder of the logs.
    #[must_use]
    pub fn logs_dir(&self) -> PathBuf {
        self.work_dir.join("logs")
    }

    /// WordPress's own debug log.
    #[must_use]
    pub fn wp_debug_log(&self) -> PathBuf {
        self.logs_dir().join("wp-debug.log")
    }

    /// What PHP logs of errors.
    #[must_use]
    pub fn php_errors_log(&self) -> PathBuf {
        self.logs_dir().join("php-errors.log")
    }

    /// Which requests were answered, and what PHP's server says.
    #[must_use]
    pub fn php_server_log(&self) -> PathBuf {
        self.logs_dir().join("php-server.log")
    }

    /// What a `forkpress` server in the background says.
    #[must_use]
    pub fn server_log(&self) -> PathBuf {
        self.logs_dir().join("forkpress-server.log")
    }

    /// What was removed of what is kept, when and why.
    #[must_use]
    pub fn gc_log(&self) -> PathBuf {
        self.logs_dir().join("gc.log")
    }

    /// The tree of a branch.
    #[must_use]
    pub fn branch(&self, name: &BranchName) -> PathBuf {
        self.branches_dir().join(name.as_str())
    }

    /// What a conversion of the storage is about, from its begin to its end.
    #[must_use]
    pub fn conversion(&self) -> PathBuf {
        self.work_dir.join("convert.toml")
    }

    /// Where a conversion puts trees that have no image to be in: those that come, until they are in their place, and
    /// those that were there before, until they go.
    #[must_use]
    pub fn conversion_trees(&self, when: &str) -> PathBuf {
        self.work_dir.join("convert").join(when)
    }
}

/// The folder, inside a branch, of its database.
pub const DATABASE_DIR: &str = "wp-content/database";

/// The name of a branch's database in [`DATABASE_DIR`]; `-wal` and `-shm` stand beside it and belong to it.
pub const DATABASE_FILE: &str = ".ht.sqlite";

/// The write-ahead log of a database: committed pages that are not in the database file yet.
#[must_use]
pub fn wal_of(database: &Path) -> PathBuf {
    let mut path = database.to_owned().into_os_string();
    path.push("-wal");
    path.into()
}

/// The database of the branch tree at `tree`.
#[must_use]
pub fn database_of(tree: &Path) -> PathBuf {
    tree.join(DATABASE_DIR).join(DATABASE_FILE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn every_lock_file_is_among_the_locks_in_its_order() {
        let cow = CowLayout::new("/site/.forkpress/cow");
        let taken = [
            cow.lifecycle_lock(),
            cow.prepare_gate(),
            cow.prepare_lock(),
            cow.mutation_lock(),
            cow.visit_lock(),
            cow.operations_gate(),
            cow.operations_lock(),
        ];
        assert_eq!(cow.locks().map(|(_, path)| path), taken);
    }

    #[test]
    fn a_site_is_found_from_any_folder_in_it() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("main/wp-content/themes");
        fs::create_dir_all(&deep).unwrap();
        assert_eq!(SiteLayout::find(&deep), None);
        let site = SiteLayout::at(root.path());
        fs::create_dir(site.work_dir()).unwrap();
        assert_eq!(SiteLayout::find(&deep), None, "a work folder without settings is an unfinished init");
        fs::write(site.config(), "").unwrap();
        assert_eq!(SiteLayout::find(&deep), Some(site));
    }

    #[test]
    fn a_site_inside_a_branch_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let make = |root: &Path| {
            let site = SiteLayout::at(root);
            fs::create_dir_all(site.cow().records_dir()).unwrap();
            fs::write(site.config(), "").unwrap();
            site
        };
        let outer = make(&root);
        fs::write(outer.cow().record(&BranchName::main()), "").unwrap();
        for planted in ["main", "main/wp-content", ".forkpress/cow/kept/1", ".forkpress/linux-cow/mount/branches/main"]
        {
            let inner = make(&root.join(planted));
            assert_eq!(inner.outer().as_ref(), Some(&outer), "{planted}");
            assert_eq!(SiteLayout::find(inner.public_root()).as_ref(), Some(&outer), "{planted}");
            fs::write(inner.cow().record(&"x".parse().unwrap()), "").unwrap();
            fs::create_dir(inner.public_root().join("x")).unwrap();
            assert_eq!(SiteLayout::find(&inner.public_root().join("x")).as_ref(), Some(&outer), "{planted}");
        }
        for beside in ["checkouts", "Main", "main2/main"] {
            let site = make(&root.join(beside));
            assert_eq!(SiteLayout::find(site.public_root()), Some(site), "{beside} is no branch");
        }
        // A hard link to a folder is what a file system that folds case looks like; a symlink is as near as one gets here.
        fs::write(outer.cow().record_aside(&"main2".parse().unwrap()), "").unwrap();
        assert_eq!(SiteLayout::find(&root.join("main2/main")), Some(outer), "a branch whose files change just now");
    }

    #[test]
    fn in_an_image_are_the_trees_and_beside_it_is_all_else() {
        let site = SiteLayout::at(Path::new("/site")).with_image(Some(ImageKind::XfsLoop));
        let main = BranchName::main();
        assert_eq!(site.branch(&main), Path::new("/site/.forkpress/linux-cow/mount/branches/main"));
        assert_eq!(site.public_branch(&main), Path::new("/site/main"));
        assert_eq!(site.link_target(&main).unwrap(), Path::new(".forkpress/linux-cow/mount/branches/main"));
        assert_eq!(site.cow().kept_tree(1), Path::new("/site/.forkpress/linux-cow/mount/kept/1"));
        assert!(site.cow().image_branches_dirs().contains(&site.branches_dir()));
        assert_eq!(CowLayout::new("/elsewhere/cow").image_branches_dirs(), Vec::<PathBuf>::new());
        assert_eq!(site.cow().record(&main), Path::new("/site/.forkpress/cow/branches/main.toml"));
        assert_eq!(site.with_image(None), SiteLayout::at(Path::new("/site")));
    }
}
