//! php-fpm: its settings, and its processes from their start to their end.
//!
//! Its sockets are in a folder that only the user can enter. Its master leads a process group, and all its processes
//! end with the one that started it: whoever starts it gives a command that sees to that for the master, and the
//! extension does for the rest.

mod config;

use std::env;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};

use rustix::process::{Pid, Signal, WaitOptions, geteuid, kill_process, kill_process_group, waitpgid};

pub use config::Pool;

/// The longest path that a socket can have.
const MOST_PATH_BYTES: usize = 100;

/// Names of variables that a request has. Those of its environment php-fpm makes a request's own, so `HTTP_PROXY`, say, would
/// look like a header.
const OF_REQUESTS: [&str; 13] = [
    "HTTP_",
    "HTTPS",
    "REDIRECT_",
    "REMOTE_",
    "REQUEST_",
    "PATH_INFO",
    "PATH_TRANSLATED",
    "ORIG_",
    "CONTENT_",
    "AUTH_TYPE",
    "PHP_AUTH_",
    "SERVER_",
    "QUERY_STRING",
];

/// Whether php-fpm must not have a variable of the environment.
#[must_use]
pub fn hides(name: &OsStr) -> bool {
    let name = name.as_bytes();
    OF_REQUESTS.iter().any(|prefix| name.starts_with(prefix.as_bytes())) || name == b"FORKPRESS_CONNECTION"
}

/// Takes from the environment of a command what php-fpm and php-cgi must not have: see [`hides`].
pub fn hide(command: &mut Command) {
    let given: Vec<_> = command.get_envs().map(|(name, _)| name.to_owned()).collect();
    for name in env::vars_os().map(|(name, _)| name).chain(given).filter(|name| hides(name)) {
        command.env_remove(name);
    }
}

/// Finds the php-fpm, or another program that comes with PHP, of a version such as `8.2`: by its name, in these folders and where
/// systems keep such programs.
#[must_use]
pub fn find(name: &str, version: &str, folders: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    let usual = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    let folders: Vec<_> = folders.into_iter().chain(usual).collect();
    let names = [format!("{name}{version}"), format!("{name}-{version}"), name.to_owned()];
    names.iter().find_map(|name| folders.iter().map(|folder| folder.join(name)).find(|program| program.is_file()))
}

/// The folder of the sockets. It has a place of its own, or one in the folder for temporary files, which is removed with this.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _temporary: Option<tempfile::TempDir>,
}

impl Folder {
    /// Makes it at `path`, or elsewhere if that is too long for a socket.
    ///
    /// # Errors
    /// What the system said; `PermissionDenied` where others can enter a folder that is there, or it is somebody else's.
    pub fn make(path: &Path) -> io::Result<Self> {
        if socket(path, "longest-name").as_os_str().len() > MOST_PATH_BYTES {
            let temporary = tempfile::Builder::new().prefix("forkpress-").tempdir()?;
            return Ok(Self { path: temporary.path().to_owned(), _temporary: Some(temporary) });
        }
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let found = fs::symlink_metadata(path)?;
        if !found.is_dir() || found.uid() != geteuid().as_raw() || found.mode() & 0o077 != 0 {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok(Self { path: path.to_owned(), _temporary: None })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The socket of a pool.
    #[must_use]
    pub fn socket(&self, pool: &str) -> PathBuf {
        socket(&self.path, pool)
    }
}

fn socket(folder: &Path, pool: &str) -> PathBuf {
    folder.join(format!("{pool}.sock"))
}

/// A running php-fpm. Dropped, it is killed.
#[derive(Debug)]
pub struct Fpm {
    master: Child,
    status: Option<ExitStatus>,
}

impl Fpm {
    /// Starts one. `command` runs the program with settings of PHP's and has its environment, and where its output goes.
    ///
    /// # Errors
    /// What the system said.
    pub fn start(command: &mut Command, folder: &Folder, pools: &[Pool]) -> io::Result<Self> {
        let settings = folder.path.join("fpm.conf");
        let is_root = geteuid().is_root();
        fs::write(&settings, config::text(pools, is_root))?;
        for pool in pools {
            // One that a killed php-fpm has left.
            match fs::remove_file(folder.socket(pool.name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        // The settings have no path in them, whose characters could mean something there.
        command.args(["--nodaemonize", "--prefix"]).arg(&folder.path).arg("--fpm-config").arg(settings);
        if is_root {
            command.arg("--allow-to-run-as-root");
        }
        hide(command);
        Ok(Self { master: command.process_group(0).spawn()?, status: None })
    }

    /// The id of the master.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.master.id()
    }

    /// Whether all pools can be reached.
    #[must_use]
    pub fn is_ready(folder: &Folder, pools: &[Pool]) -> bool {
        pools.iter().all(|pool| UnixStream::connect(folder.socket(pool.name)).is_ok())
    }

    /// The exit status of the master once it has ended.
    ///
    /// # Errors
    /// What the system said.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.master.try_wait()?;
        }
        Ok(self.status)
    }

    /// Asks it to end once the requests that run have ended.
    pub fn interrupt(&self) {
        if self.status.is_none() {
            let _ = kill_process(self.group(), Signal::QUIT);
        }
    }

    /// Whether the master and all of its group that became children of this process have ended.
    pub fn has_ended(&mut self) -> bool {
        self.try_wait().is_ok_and(|status| status.is_some()) && self.reap()
    }

    /// Kills what is left.
    pub fn kill(&mut self) {
        // The group lives on while a worker does; until this process has reaped them all, its id is not used again.
        let _ = kill_process_group(self.group(), Signal::KILL);
        if self.status.is_none() {
            self.status = self.master.wait().ok();
        }
        self.reap();
    }

    /// Collects ended workers, once the master, which they belonged to, is gone. False while some run.
    fn reap(&self) -> bool {
        loop {
            match waitpgid(self.group(), WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => return false,
                Err(_) => return true,
            }
        }
    }

    fn group(&self) -> Pid {
        Pid::from_child(&self.master)
    }
}

impl Drop for Fpm {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_look_like_a_part_of_a_request_is_not_in_the_environment() {
        for name in ["HTTP_PROXY", "HTTP_HOST", "HTTPS", "REMOTE_ADDR", "FORKPRESS_CONNECTION", "QUERY_STRING"] {
            assert!(hides(OsStr::new(name)), "{name}");
        }
        for name in ["PATH", "HOME", "FORKPRESS_BRANCHES_DIR", "http_proxy", "LANG"] {
            assert!(!hides(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn the_folder_is_the_users_alone_and_short_enough_for_sockets() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        let made = Folder::make(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        assert_eq!(made.socket("pages"), path.join("pages.sock"));
        Folder::make(&path).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(Folder::make(&path).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        let deep = dir.path().join("x".repeat(100));
        let elsewhere = Folder::make(&deep).unwrap().socket("pages");
        assert!(elsewhere.as_os_str().len() < MOST_PATH_BYTES && !elsewhere.starts_with(dir.path()));
    }
}
