//! The servers that run on this machine: `servers.json` in a folder of the user's own.
//!
//! The file is read and rewritten only under `servers.lock`, and replaced by rename. An entry counts only while its
//! process runs. An entry whose process is gone, or whose id now belongs to another process, is dropped by the next
//! reader. So a killed server leaves nothing to clean up by hand.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::file::Replacement;
use crate::site;
use forkpress_core::advice::Advice;
use forkpress_core::deadline::Deadline;
use forkpress_core::flock;
use forkpress_core::own;
use forkpress_core::process::ProcessIdentity;

/// The lock is held for the rewriting of a small file; whoever holds it for longer is stopped or broken.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

const PAUSE: Duration = Duration::from_millis(2);

/// A running server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// The `.forkpress` folder of the site that it serves, resolved.
    pub work_dir: PathBuf,
    /// The `forkpress` process that runs it.
    pub process: ProcessIdentity,
    /// The PHP processes that lead a process group each. A group is signalled only while its leader is this very process.
    pub php: Vec<ProcessIdentity>,
    /// The address it listens at, as it was asked for.
    pub host: String,
    /// The port it listens at.
    pub port: u16,
    /// The host name of `main`.
    pub root_host: String,
    /// Whether it speaks HTTPS, too.
    #[serde(default)]
    pub https: bool,
    /// How many requests it serves at once.
    pub workers: u16,
    /// The PHP that it was started with; none where an older release started it.
    #[serde(default)]
    pub program: Option<PathBuf>,
    /// Whether it debugs with Xdebug.
    #[serde(default)]
    pub xdebug: bool,
    /// When it was registered, in seconds since 1970.
    pub started_at: u64,
}

/// The servers that run, and whether the file had to be put aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Oldest first.
    pub servers: Vec<Server>,
    /// Where a file that could not be understood was moved to, for the user to look at.
    pub moved_aside: Option<PathBuf>,
}

/// Why the registry can't be used.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// Neither `FORKPRESS_STATE_DIR`, `XDG_STATE_HOME` nor `HOME` names an absolute folder.
    #[error("there is no folder for the server registry")]
    NoFolder,
    /// A file or folder of the registry can't be made, read or replaced.
    #[error("cannot use {path}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process keeps the lock.
    #[error("{path} stays locked by another process")]
    Busy {
        /// The lock file.
        path: PathBuf,
    },
}

impl Advice for RegistryError {
    fn hint(&self) -> Option<String> {
        matches!(self, Self::NoFolder).then(|| "set FORKPRESS_STATE_DIR to a folder of your own".to_owned())
    }
}

/// The registry of this user.
#[derive(Clone, Debug)]
pub struct Registry(PathBuf);

impl Registry {
    /// The registry in `dir`, which is made when it is first needed.
    #[must_use]
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self(dir.into())
    }

    /// The registry that the environment names: `FORKPRESS_STATE_DIR`, else `forkpress` in `XDG_STATE_HOME`, else in
    /// `.local/state` of `HOME`. Empty values and, but for the first, relative ones count as unset.
    ///
    /// # Errors
    /// [`RegistryError::NoFolder`] when no variable names an absolute folder.
    pub fn from_environment(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, RegistryError> {
        let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let absolute = |name: &str| path(name).filter(|path| path.is_absolute());
        path("FORKPRESS_STATE_DIR")
            .or_else(|| absolute("XDG_STATE_HOME").map(|dir| dir.join("forkpress")))
            .or_else(|| absolute("HOME").map(|dir| dir.join(".local/state/forkpress")))
            .map(Self)
            .ok_or(RegistryError::NoFolder)
    }

    /// The folder of the authorities that sign for this user's servers.
    #[must_use]
    pub fn authorities(&self) -> PathBuf {
        self.0.join("authorities")
    }

    /// The servers that run. Entries of processes that are gone are dropped from the file.
    ///
    /// # Errors
    /// [`RegistryError::Busy`] when another process keeps the lock; [`RegistryError::Io`] when a file can't be used.
    pub fn list(&self) -> Result<Listing, RegistryError> {
        self.rewrite(|_| {})
    }

    /// The servers that are listed and run no more. They stay listed.
    ///
    /// # Errors
    /// [`RegistryError::Busy`] when another process keeps the lock; [`RegistryError::Io`] when a file can't be used.
    pub fn dead(&self) -> Result<Vec<Server>, RegistryError> {
        let _lock = self.lock()?;
        let path = self.0.join("servers.json");
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            read => read.map_err(at(&path))?,
        };
        let servers = parse(&bytes).unwrap_or_default();
        Ok(servers.into_iter().filter(|server| !server.process.is_alive()).collect())
    }

    /// Adds a server, in the place of any of the same process.
    ///
    /// # Errors
    /// [`RegistryError::Busy`] when another process keeps the lock; [`RegistryError::Io`] when a file can't be used.
    /// The server is not listed then.
    pub fn add(&self, server: Server) -> Result<Listing, RegistryError> {
        self.rewrite(|servers| {
            servers.retain(|other| other.process != server.process);
            servers.push(server);
        })
    }

    /// Takes the server of this process away, if it is listed.
    ///
    /// # Errors
    /// [`RegistryError::Busy`] when another process keeps the lock; [`RegistryError::Io`] when a file can't be used.
    pub fn remove(&self, process: &ProcessIdentity) -> Result<Listing, RegistryError> {
        self.rewrite(|servers| servers.retain(|server| server.process != *process))
    }

    fn rewrite(&self, change: impl FnOnce(&mut Vec<Server>)) -> Result<Listing, RegistryError> {
        let _lock = self.lock()?;
        let path = self.0.join("servers.json");
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read.map_err(at(&path))?,
        };
        let (before, moved_aside) = match parse(&bytes) {
            Ok(servers) => (servers, None),
            Err(_) => (Vec::new(), Some(move_aside(&path)?)),
        };
        let mut servers = before.clone();
        change(&mut servers);
        servers.retain(|server| server.process.is_alive());
        if servers != before {
            let text = serde_json::to_vec_pretty(&servers).expect("servers are plain values");
            Replacement::prepare(&path, &text)
                .and_then(|file| file.set_mode(own::CLOSED_FILE).and_then(|()| file.commit()))
                .map_err(at(&path))?;
        }
        Ok(Listing { servers, moved_aside })
    }

    /// Closes the folder to others, as versions before this one did not. One that holds other things as well, as
    /// `FORKPRESS_STATE_DIR` may name, stays as it is. Nobody else may be writing in it meanwhile.
    fn close(&self) {
        let close = || {
            let folder = own::open(&self.0)?;
            let metadata = folder.metadata()?;
            // With a dot before it, it is what a crash may leave of a [`Replacement`].
            let is_ours = |name: OsString| {
                let name = name.as_encoded_bytes();
                name == b"authorities" || name.strip_prefix(b".").unwrap_or(name).starts_with(b"servers.")
            };
            if metadata.permissions().mode() & 0o077 != 0
                && fs::read_dir(&self.0)?.all(|entry| entry.is_ok_and(|entry| is_ours(entry.file_name())))
            {
                own::close_file(&folder, &metadata);
            }
            io::Result::Ok(())
        };
        let _ = close();
    }

    /// Takes `servers.lock`; closing the file lets it go.
    fn lock(&self) -> Result<File, RegistryError> {
        site::create_folder(&self.0).map_err(at(&self.0))?;
        let path = self.0.join("servers.lock");
        let file = own::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(at(&path))?;
        file.metadata().map(|metadata| own::close_file(&file, &metadata)).map_err(at(&path))?;
        let deadline = Deadline::after(LOCK_TIMEOUT);
        loop {
            if flock::try_lock(&file, flock::Mode::Exclusive).map_err(at(&path))? {
                self.close();
                return Ok(file);
            }
            if deadline.has_passed() {
                return Err(RegistryError::Busy { path });
            }
            thread::sleep(PAUSE);
        }
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> RegistryError {
    let path = path.to_owned();
    |source| RegistryError::Io { path, source }
}

/// An empty file lists nothing: that is what a power cut may leave of a new one.
fn parse(bytes: &[u8]) -> serde_json::Result<Vec<Server>> {
    if bytes.is_empty() { Ok(Vec::new()) } else { serde_json::from_slice(bytes) }
}

fn move_aside(path: &Path) -> Result<PathBuf, RegistryError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let aside = path.with_extension(format!("json.corrupt-{now}"));
    fs::rename(path, &aside).map_err(at(path))?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(process: ProcessIdentity) -> Server {
        Server {
            work_dir: PathBuf::from("/site/.forkpress"),
            process,
            php: Vec::new(),
            host: "127.0.0.1".to_owned(),
            port: 18080,
            root_host: "wp.localhost".to_owned(),
            https: false,
            workers: 4,
            program: None,
            xdebug: false,
            started_at: 0,
        }
    }

    #[test]
    fn a_server_is_listed_until_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::at(dir.path().join("state"));
        let mine = server(ProcessIdentity::current());
        assert_eq!(registry.list().unwrap().servers, []);
        registry.add(mine.clone()).unwrap();
        assert_eq!(registry.list().unwrap().servers, std::slice::from_ref(&mine));
        registry.remove(&mine.process).unwrap();
        assert_eq!(registry.list().unwrap().servers, []);
    }

    #[test]
    fn an_entry_whose_process_is_another_one_now_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::at(dir.path());
        let reused = ProcessIdentity { started: "0".to_owned(), ..ProcessIdentity::current() };
        let text = serde_json::to_vec(&[server(reused), server(ProcessIdentity::current())]).unwrap();
        fs::write(dir.path().join("servers.json"), text).unwrap();
        assert_eq!(registry.list().unwrap().servers, [server(ProcessIdentity::current())]);
        let text = fs::read(dir.path().join("servers.json")).unwrap();
        assert_eq!(parse(&text).unwrap().len(), 1, "the file is healed, not only the answer");
    }

    #[test]
    fn an_entry_of_a_version_that_knew_no_https_is_read() {
        let mut entry = serde_json::to_value([server(ProcessIdentity::current())]).unwrap();
        entry[0].as_object_mut().unwrap().remove("https").unwrap();
        assert_eq!(parse(entry.to_string().as_bytes()).unwrap(), [server(ProcessIdentity::current())]);
    }

    #[test]
    fn a_corrupt_file_is_put_aside_and_an_empty_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::at(dir.path());
        let path = dir.path().join("servers.json");
        fs::write(&path, "").unwrap();
        assert_eq!(registry.list().unwrap(), Listing::default());
        fs::write(&path, "{ half a").unwrap();
        let listing = registry.add(server(ProcessIdentity::current())).unwrap();
        assert_eq!(listing.servers.len(), 1);
        assert_eq!(fs::read_to_string(listing.moved_aside.unwrap()).unwrap(), "{ half a");
    }

    #[test]
    fn a_folder_of_its_own_is_closed_whatever_a_crash_left_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::at(dir.path());
        let mode_after = |name: &str| {
            fs::write(dir.path().join(name), "").unwrap();
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
            registry.list().unwrap();
            fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777
        };
        assert_eq!(mode_after(".servers.json.AbCdEf.tmp"), own::CLOSED_FOLDER);
        assert_eq!(mode_after("servers.json.corrupt-1"), own::CLOSED_FOLDER);
        assert_eq!(mode_after("another.txt"), 0o711);
    }

    #[test]
    fn the_environment_names_the_folder() {
        let dir = |variables: &[(&str, &str)]| {
            Registry::from_environment(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, v)| v.into()))
                .map(|registry| registry.0)
                .ok()
        };
        let home = ("HOME", "/home/ann");
        assert_eq!(dir(&[]), None);
        assert_eq!(dir(&[home]), Some("/home/ann/.local/state/forkpress".into()));
        assert_eq!(dir(&[home, ("XDG_STATE_HOME", "/state")]), Some("/state/forkpress".into()));
        assert_eq!(dir(&[home, ("XDG_STATE_HOME", "relative")]), Some("/home/ann/.local/state/forkpress".into()));
        assert_eq!(dir(&[home, ("FORKPRESS_STATE_DIR", "/own")]), Some("/own".into()));
        assert_eq!(dir(&[home, ("FORKPRESS_STATE_DIR", "")]), Some("/home/ann/.local/state/forkpress".into()));
    }
}
