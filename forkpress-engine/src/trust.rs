//! Whose sites are opened: the user's own, root's, and those that the user has named.
//!
//! Opening a site means trusting it: its server runs its code, and its commands delete what its records say. A folder
//! above the current one, such as one in `/tmp`, may hold a site that a stranger made for others to find
//! (CVE-2022-24765 is Git's).

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use forkpress_core::advice::Advice;
use forkpress_core::layout::SiteLayout;
use forkpress_core::own;

/// Why a site is not opened.
#[derive(Debug, Error)]
pub enum TrustError {
    /// It belongs to somebody else.
    #[error("{path} belongs to {owner}, and not to you")]
    Stranger {
        /// What belongs to somebody else.
        path: PathBuf,
        /// Whose it is.
        owner: String,
        /// The site's folder.
        site: PathBuf,
        /// The file in which the user may name it; none where there is no place for one.
        config: Option<PathBuf>,
    },
    /// Something of it can't be looked at.
    #[error("cannot look at {path}")]
    Look {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The user's settings, which may name it, can't be used.
    #[error("cannot use {path}")]
    Config {
        /// The settings.
        path: PathBuf,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Advice for TrustError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Stranger { site, config, .. } => {
                let site = site.display();
                let by_file =
                    config.as_ref().map(|path| format!("add to {}: safe = [\"{site}\"]; or ", path.display()));
                let by_file = by_file.unwrap_or_default();
                Some(format!("if you trust whoever made it, {by_file}set FORKPRESS_SAFE={site}"))
            }
            Self::Config { .. } => Some(
                "the file must be yours, and has a line safe = [\"/path/of/a/site\"]: fix it or remove it".to_owned(),
            ),
            Self::Look { .. } => None,
        }
    }
}

/// The user's own settings: `config.toml`. What is not known is for another version.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct UserConfig {
    /// Sites that are opened whoever owns them, by their folders.
    safe: Vec<PathBuf>,
}

/// Whose sites are opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// User ids.
    users: Vec<u32>,
    /// Folders of sites.
    safe: Vec<PathBuf>,
    config: Option<PathBuf>,
}

impl Trust {
    /// One's own sites, root's, and for root those of the user who called `sudo`; and the sites that `FORKPRESS_SAFE` names, or
    /// `safe` in `forkpress/config.toml` in `XDG_CONFIG_HOME`, else in `.config` of `HOME`.
    #[must_use]
    pub fn from_environment(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        const ROOT: u32 = 0;
        let own = rustix::process::geteuid().as_raw();
        let sudo = variable("SUDO_UID").filter(|_| own == ROOT).and_then(|user| user.to_str()?.parse().ok());
        let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        Self {
            users: [own, ROOT].into_iter().chain(sudo).collect(),
            safe: variable("FORKPRESS_SAFE").map(|paths| std::env::split_paths(&paths).collect()).unwrap_or_default(),
            config: absolute("XDG_CONFIG_HOME")
                .or_else(|| absolute("HOME").map(|home| home.join(".config")))
                .map(|dir| dir.join("forkpress/config.toml")),
        }
    }

    /// Refuses a site of somebody else's. Looks at nothing in it but who owns it.
    ///
    /// # Errors
    /// [`TrustError::Stranger`] when it belongs to somebody else, whom the user's settings do not name;
    /// [`TrustError::Look`] and [`TrustError::Config`] when that can't be told.
    pub fn check(&self, layout: &SiteLayout) -> Result<(), TrustError> {
        for path in [layout.public_root(), layout.work_dir(), &layout.config(), layout.cow().dir()] {
            let owner = match fs::symlink_metadata(path) {
                Ok(metadata) => metadata.uid(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(TrustError::Look { path: path.to_owned(), source }),
            };
            if self.users.contains(&owner) {
                continue;
            }
            if self.names(layout.public_root())? {
                return Ok(());
            }
            return Err(TrustError::Stranger {
                path: path.to_owned(),
                owner: user_name(owner),
                site: layout.public_root().to_owned(),
                config: self.config.clone(),
            });
        }
        Ok(())
    }

    /// Whether the user has named a site's folder, or its work folder.
    fn names(&self, site: &Path) -> Result<bool, TrustError> {
        let is_it = |path: &PathBuf| {
            path.is_absolute()
                && path.canonicalize().is_ok_and(|path| path == *site || path == *SiteLayout::at(site).work_dir())
        };
        if self.safe.iter().any(is_it) {
            return Ok(true);
        }
        let Some(path) = &self.config else { return Ok(false) };
        let failed = |source| TrustError::Config { path: path.clone(), source };
        let config = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(error.into())),
            Ok(metadata) if !self.users.contains(&metadata.uid()) => {
                return Err(failed(format!("it belongs to {}", user_name(metadata.uid())).into()));
            }
            Ok(_) => fs::read_to_string(path).map_err(|error| failed(error.into()))?,
        };
        let config: UserConfig = toml::from_str(&config).map_err(|error| failed(error.into()))?;
        Ok(config.safe.iter().any(is_it))
    }
}

/// A user's name, as far as `/etc/passwd` has it, and id.
fn user_name(user: u32) -> String {
    let users = own::read_to_string(Path::new("/etc/passwd")).unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(user)).then_some(name)
    });
    name.map_or_else(|| format!("user {user}"), |name| format!("user {user} ({name})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::create_folders;

    #[test]
    fn a_site_of_anothers_is_opened_only_where_the_user_has_named_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let layout = SiteLayout::at(&root.join("site"));
        create_folders(&layout).unwrap();
        fs::write(layout.config(), "").unwrap();
        let config = root.join("config.toml");
        let own = rustix::process::geteuid().as_raw();
        // Nobody's own, so that everything here is somebody else's, but the settings.
        let nobodys = |safe: &[&Path]| Trust {
            users: vec![],
            safe: safe.iter().map(|path| (*path).to_owned()).collect(),
            config: None,
        };
        assert!(Trust { users: vec![own], ..nobodys(&[]) }.check(&layout).is_ok());
        let refused = nobodys(&[&root]).check(&layout).unwrap_err();
        assert!(matches!(&refused, TrustError::Stranger { path, .. } if path == layout.public_root()), "{refused}");
        assert!(refused.to_string().contains(&format!("user {own}")), "{refused}");
        assert!(nobodys(&[layout.public_root()]).check(&layout).is_ok());
        assert!(nobodys(&[layout.work_dir()]).check(&layout).is_ok());

        let by_file = Trust { config: Some(config.clone()), ..nobodys(&[]) };
        assert!(matches!(by_file.check(&layout), Err(TrustError::Stranger { .. })));
        fs::write(&config, format!("safe = [{:?}]\nnews = 1\n", layout.public_root())).unwrap();
        assert!(matches!(by_file.check(&layout), Err(TrustError::Config { .. })), "the settings are somebody else's");
    }

    #[test]
    fn the_settings_of_ones_own_name_sites() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let config = root.join("config.toml");
        let trust =
            Trust { users: vec![rustix::process::geteuid().as_raw()], safe: Vec::new(), config: Some(config.clone()) };
        assert!(!trust.names(&root).unwrap());
        fs::write(&config, format!("safe = [{root:?}]\n")).unwrap();
        assert!(trust.names(&root).unwrap());
        fs::write(&config, "safe = '/'").unwrap();
        assert!(matches!(trust.names(&root), Err(TrustError::Config { .. })));
    }

    #[test]
    fn the_environment_says_who_one_is() {
        let trust = |variables: &[(&str, &str)]| {
            Trust::from_environment(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, v)| v.into()))
        };
        let own = rustix::process::geteuid().as_raw();
        assert_eq!(trust(&[]), Trust { users: vec![own, 0], safe: vec![], config: None });
        let home = trust(&[("HOME", "/home/ann"), ("XDG_CONFIG_HOME", "relative"), ("FORKPRESS_SAFE", "/a:/b")]);
        assert_eq!(home.config, Some("/home/ann/.config/forkpress/config.toml".into()));
        assert_eq!(home.safe, [PathBuf::from("/a"), PathBuf::from("/b")]);
        assert_eq!(trust(&[("XDG_CONFIG_HOME", "/c")]).config, Some("/c/forkpress/config.toml".into()));
        let sudo = trust(&[("SUDO_UID", "1234")]).users;
        assert_eq!(sudo.contains(&1234), own == 0, "only root has got there by sudo");
    }
}
