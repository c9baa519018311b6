//! Where everything of a site lies. Paths of a site are joined here and nowhere else.

use std::path::{Path, PathBuf};

use crate::name::BranchName;

/// The name of the folder that makes its parent a site.
pub const WORK_DIR: &str = ".forkpress";

/// The folder inside the work folder that holds locks, records and what mutations need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CowLayout(PathBuf);

impl CowLayout {
    /// The layout of an existing or future `cow` folder.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self(dir.into())
    }

    /// The folder itself.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.0
    }

    /// Shared by requests, exclusive while a mutation publishes.
    #[must_use]
    pub fn operations_lock(&self) -> PathBuf {
        self.0.join("operations.lock")
    }

    /// Makes a waiting writer's turn come.
    #[must_use]
    pub fn operations_gate(&self) -> PathBuf {
        self.0.join("operations.gate")
    }

    /// One mutation at a time; requests never touch it.
    #[must_use]
    pub fn mutation_lock(&self) -> PathBuf {
        self.0.join("mutation.lock")
    }

    /// Server start against what takes the storage away.
    #[must_use]
    pub fn lifecycle_lock(&self) -> PathBuf {
        self.0.join("lifecycle.lock")
    }

    /// The secret with which a request of the site may call the site while a writer waits.
    #[must_use]
    pub fn loopback_token(&self) -> PathBuf {
        self.0.join("loopback.token")
    }

    /// One small file for each PHP process, what it is serving, and for each command that waits.
    #[must_use]
    pub fn requests_dir(&self) -> PathBuf {
        self.0.join("requests")
    }

    /// What the server has warmed: the branches whose code is compiled.
    #[must_use]
    pub fn warm_state(&self) -> PathBuf {
        self.0.join("warm.json")
    }

    /// What the process `pid` is serving, or what it waits for.
    #[must_use]
    pub fn request_note(&self, pid: u32) -> PathBuf {
        self.requests_dir().join(pid.to_string())
    }

    /// One record a branch. Where this folder does not exist, there is no ForkPress site around the branches.
    #[must_use]
    pub fn records_dir(&self) -> PathBuf {
        self.0.join("branches")
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
        self.0.join("staging")
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

    /// What waits for its removal. Nothing in it is anybody's any more.
    #[must_use]
    pub fn trash_dir(&self) -> PathBuf {
        self.0.join("trash")
    }

    /// The trees that mutations took away, for as long as they can be had back.
    #[must_use]
    pub fn kept_dir(&self) -> PathBuf {
        self.0.join("kept")
    }

    /// The tree that the operation `slot` took away.
    #[must_use]
    pub fn kept_tree(&self, slot: u64) -> PathBuf {
        self.kept_dir().join(slot.to_string())
    }

    /// The log of operations, one file each.
    #[must_use]
    pub fn log_dir(&self) -> PathBuf {
        self.0.join("log")
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

    /// What mutations in progress intend.
    #[must_use]
    pub fn journal_dir(&self) -> PathBuf {
        self.0.join("journal")
    }

    /// What the mutation that is about to publish intends. One mutation runs at a time.
    #[must_use]
    pub fn intent(&self) -> PathBuf {
        self.journal_dir().join("intent.toml")
    }
}

/// The layout of a site: a project folder with a `.forkpress` folder and one folder for each branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteLayout {
    work_dir: PathBuf,
    public_root: PathBuf,
    cow: CowLayout,
}

impl SiteLayout {
    /// The layout of the site whose project folder is `public_root`, whether or not it exists yet.
    #[must_use]
    pub fn at(public_root: &Path) -> Self {
        let work_dir = public_root.join(WORK_DIR);
        Self { cow: CowLayout::new(work_dir.join("cow")), public_root: public_root.to_owned(), work_dir }
    }

    /// The site that `start` lies in: the nearest folder, `start` or above, with a `.forkpress/site.toml`.
    #[must_use]
    pub fn find(start: &Path) -> Option<Self> {
        start.ancestors().map(Self::at).find(|site| site.config().is_file())
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
    pub fn storage_root(&self) -> &Path {
        &self.public_root
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

    /// The access log of PHP's built-in server.
    #[must_use]
    pub fn php_server_log(&self) -> PathBuf {
        self.logs_dir().join("php-server.log")
    }

    /// What a `forkpress` server in the background says.
    #[must_use]
    pub fn server_log(&self) -> PathBuf {
        self.logs_dir().join("forkpress-server.log")
    }

    /// The public folder of a branch.
    #[must_use]
    pub fn branch(&self, name: &BranchName) -> PathBuf {
        self.public_root.join(name.as_str())
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
}
