//! `site.toml`: what a site is and how it is served. A file that this version does not understand in full is refused.

mod serve;

use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use forkpress_core::advice::Advice;
use forkpress_core::layout::ImageKind;
use forkpress_core::own;

pub use serve::{LEAST_OPCACHE_BYTES, OutOfRange, Serve};

/// The version of `site.toml` that this program writes and understands.
pub const VERSION: u32 = 1;

/// How a branch shares bytes with the one it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileView {
    /// Each branch is a btrfs subvolume: a new one is a snapshot of the other, whatever is in it.
    BtrfsSnapshot,
    /// Each file is a clone that shares its blocks until one side writes (FICLONE, clonefile).
    Reflink,
    /// The same, in a sparse bundle with APFS that `hdiutil` mounts.
    MacosApfsSparsebundle,
    /// The same, in a sparse file with XFS that is mounted over a loop device.
    LinuxXfsLoop,
    /// Each file is copied.
    FileCopy,
}

impl FileView {
    /// Every view of this version, best first.
    pub const ALL: [Self; 5] =
        [Self::BtrfsSnapshot, Self::Reflink, Self::MacosApfsSparsebundle, Self::LinuxXfsLoop, Self::FileCopy];

    /// The name in `site.toml` and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BtrfsSnapshot => "btrfs-snapshot",
            Self::Reflink => "reflink",
            Self::MacosApfsSparsebundle => "macos-apfs-sparsebundle",
            Self::LinuxXfsLoop => "linux-xfs-loop",
            Self::FileCopy => "file-copy",
        }
    }

    /// Whether a file's clone shares its blocks.
    #[must_use]
    pub fn shares_blocks(self) -> bool {
        match self {
            Self::BtrfsSnapshot | Self::Reflink | Self::MacosApfsSparsebundle | Self::LinuxXfsLoop => true,
            Self::FileCopy => false,
        }
    }

    /// The image that the branches are in, where the view has one.
    #[must_use]
    pub fn image(self) -> Option<ImageKind> {
        match self {
            Self::MacosApfsSparsebundle => Some(ImageKind::Sparsebundle),
            Self::LinuxXfsLoop => Some(ImageKind::XfsLoop),
            Self::BtrfsSnapshot | Self::Reflink | Self::FileCopy => None,
        }
    }
}

impl FromStr for FileView {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|view| view.as_str() == name).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|view| view.as_str()).collect();
            format!("unknown file view '{name}', known are: {}", known.join(", "))
        })
    }
}

impl std::fmt::Display for FileView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How branches are kept. There is one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Copy on write: each branch is a full tree of its own.
    Cow,
}

/// The settings of a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteConfig {
    /// Always [`VERSION`].
    pub version: u32,
    /// How branches are kept.
    pub strategy: Strategy,
    /// How a branch shares bytes with the one it came from.
    pub file_view: FileView,
    /// The host name of `main`; a branch is one label below it.
    pub root_host: String,
    /// The TCP port that the site is served at unless asked otherwise.
    pub port: u16,
    /// How many clones of `main` the server has ready for a create to take, where cloning takes time.
    #[serde(default = "one_spare")]
    pub spares: usize,
    /// Folders outside of the branches from which files are served where a symlink in a branch leads into them. Absolute.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<PathBuf>,
    /// Whether each branch numbers what it makes by itself, so that no two things of two branches have one id.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub id_bands: bool,
    /// How the log of requests is written.
    #[serde(default, skip_serializing_if = "AccessLog::is_default")]
    pub access_log: AccessLog,
    /// A request that takes longer is in the log of slow ones, in milliseconds.
    #[serde(default = "slow_ms", skip_serializing_if = "is_slow_ms")]
    pub slow_ms: u64,
    /// For how long what mutations took away can be had back.
    #[serde(default)]
    pub keep: Keep,
    /// What its server takes of a client, and for how long.
    #[serde(default, skip_serializing_if = "is_default")]
    pub serve: Serve,
}

/// How the log of requests is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessLog {
    /// As web servers do, after the branch.
    #[default]
    Combined,
    /// An object a line.
    Json,
    /// Not at all.
    Off,
}

impl AccessLog {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How long a request takes that is slow, unless the site says otherwise.
pub const SLOW_MS: u64 = 1000;

fn slow_ms() -> u64 {
    SLOW_MS
}

fn is_slow_ms(setting: &u64) -> bool {
    *setting == SLOW_MS
}

/// Someone who creates branches by hand never waits for a clone.
fn one_spare() -> usize {
    1
}

fn yes() -> bool {
    true
}

fn is_yes(setting: &bool) -> bool {
    *setting
}

fn is_default(serve: &Serve) -> bool {
    *serve == Serve::default()
}

/// The bounds of what `forkpress undo` can bring back. What exceeds any of them goes, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keep {
    /// The most days that a tree is kept.
    pub days: u64,
    /// The most trees that are kept.
    pub trees: usize,
    /// The most bytes that kept trees hold and nothing else does.
    pub bytes: u64,
    /// As long as fewer bytes than this are free in the storage root, kept trees go.
    pub free_bytes: u64,
}

impl Default for Keep {
    /// For a laptop: two weeks of a few dozen mutations in a few gigabytes, and room to work in.
    fn default() -> Self {
        Self { days: 14, trees: 30, bytes: 5 << 30, free_bytes: 1 << 30 }
    }
}

/// Why the settings of a site can't be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("cannot read {path}")]
    Read {
        /// The settings file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file was written by a newer version.
    #[error("{path} has version {found}, and this forkpress understands version {VERSION}")]
    Newer {
        /// The settings file.
        path: PathBuf,
        /// The version it has.
        found: i64,
    },
    /// The file is no valid settings file.
    #[error("{path} is not valid")]
    Invalid {
        /// The settings file.
        path: PathBuf,
        /// What is wrong and where.
        source: Box<toml::de::Error>,
    },
    /// A linked folder is not named by an absolute path, or is all of the file system.
    #[error("{path} has links to '{link}', which is not the absolute path of a folder")]
    Link {
        /// The settings file.
        path: PathBuf,
        /// The folder.
        link: PathBuf,
    },
    /// A number is none that the setting can have.
    #[error("{path} has {setting}")]
    Range {
        /// The settings file.
        path: PathBuf,
        /// The setting. It has no cause.
        setting: OutOfRange,
    },
    /// The file can't be written.
    #[error("cannot write {path}")]
    Write {
        /// The settings file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Advice for ConfigError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Newer { .. } => Some("use the forkpress that made this site, or a newer one".to_owned()),
            Self::Invalid { .. } | Self::Range { .. } => {
                Some("fix the file by hand; docs/site-layout.md lists its settings".to_owned())
            }
            _ => None,
        }
    }
}

impl SiteConfig {
    /// Reads the settings at `path`.
    ///
    /// # Errors
    /// [`ConfigError::Read`] when the file can't be read; [`ConfigError::Newer`] when it is of a newer version;
    /// [`ConfigError::Invalid`], [`ConfigError::Link`] and [`ConfigError::Range`] when it holds what this version does
    /// not know or what can't be.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = own::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let invalid = |source| ConfigError::Invalid { path: path.to_owned(), source: Box::new(source) };
        let table: toml::Table = text.parse().map_err(invalid)?;
        if let Some(found) = table.get("version").and_then(toml::Value::as_integer)
            && found != i64::from(VERSION)
        {
            return Err(ConfigError::Newer { path: path.to_owned(), found });
        }
        let config: Self = table.try_into().map_err(invalid)?;
        config.check_numbers().map_err(|setting| ConfigError::Range { path: path.to_owned(), setting })?;
        match config.links.iter().find(|link| !forkpress_core::route::is_linkable(link)) {
            Some(link) => Err(ConfigError::Link { path: path.to_owned(), link: link.clone() }),
            None => Ok(config),
        }
    }

    /// Port 0 is no port that anybody is sent to.
    fn check_numbers(&self) -> Result<(), OutOfRange> {
        OutOfRange::check("port", self.port.into(), 1..=u16::MAX.into())?;
        self.serve.check()
    }

    /// Writes the settings to `path` by rename, durably: a reader and a crash see the old file or the new one.
    ///
    /// # Errors
    /// [`ConfigError::Write`] when the file can't be replaced: the old one is still there.
    pub fn write(&self, path: &Path) -> Result<(), ConfigError> {
        let text = toml::to_string(self).expect("settings are plain values");
        crate::file::replace(path, text.as_bytes())
            .map_err(|source| ConfigError::Write { path: path.to_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> SiteConfig {
        SiteConfig {
            version: VERSION,
            strategy: Strategy::Cow,
            file_view: FileView::FileCopy,
            root_host: "wp.localhost".to_owned(),
            port: 18080,
            spares: 2,
            links: vec!["/srv/themes".into()],
            id_bands: false,
            access_log: AccessLog::default(),
            slow_ms: SLOW_MS,
            keep: Keep { days: 3, ..Keep::default() },
            serve: Serve { request_timeout: 7, ..Serve::default() },
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("site.toml");
        config().write(&path).unwrap();
        assert_eq!(SiteConfig::read(&path).unwrap(), config());
    }

    #[test]
    fn settings_that_say_nothing_of_what_to_keep_are_valid() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("site.toml");
        let text = toml::to_string(&config()).unwrap();
        std::fs::write(&path, &text[..text.find("[keep]").unwrap()]).unwrap();
        assert_eq!(SiteConfig::read(&path).unwrap().keep, Keep::default());
        std::fs::write(&path, format!("{}[keep]\ntrees = 1\n", &text[..text.find("[keep]").unwrap()])).unwrap();
        assert_eq!(SiteConfig::read(&path).unwrap().keep, Keep { trees: 1, ..Keep::default() });
    }

    #[test]
    fn limits_of_the_server_may_be_missing_and_are_checked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("site.toml");
        SiteConfig { serve: Serve::default(), ..config() }.write(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("[serve]"), "an older version reads the file as well");
        let read = |limits: &str| {
            std::fs::write(&path, format!("{text}\n[serve]\n{limits}\n")).unwrap();
            SiteConfig::read(&path)
        };
        assert_eq!(read("body_bytes = 1000").unwrap().serve, Serve { body_bytes: 1000, ..Serve::default() });
        let error = read("client_timeout = 0").unwrap_err();
        assert!(error.to_string().ends_with(" has serve.client_timeout = 0, which has to be from 1 to 86400"));
        assert!(error.hint().unwrap().contains("docs/site-layout.md"));
        std::fs::write(&path, text.replace("port = 18080", "port = 0")).unwrap();
        assert!(matches!(SiteConfig::read(&path), Err(ConfigError::Range { .. })));
        for unknown in ["body_byte = 1", "request_timeout = -1", "request_timeout = \"2m\""] {
            assert!(matches!(read(unknown), Err(ConfigError::Invalid { .. })), "{unknown}");
        }
    }

    #[test]
    fn branches_number_apart_unless_the_settings_say_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("site.toml");
        SiteConfig { id_bands: true, ..config() }.write(&path).unwrap();
        assert!(
            !std::fs::read_to_string(&path).unwrap().contains("id_bands"),
            "an older version reads the file as well"
        );
        assert!(SiteConfig::read(&path).unwrap().id_bands);
    }

    #[test]
    fn a_newer_version_and_an_unknown_view_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("site.toml");
        let text = toml::to_string(&config()).unwrap();
        std::fs::write(&path, text.replace("version = 1", "version = 2\nnews = true")).unwrap();
        assert!(matches!(SiteConfig::read(&path), Err(ConfigError::Newer { found: 2, .. })));
        std::fs::write(&path, text.replace("file-copy", "carrier-pigeon")).unwrap();
        assert!(matches!(SiteConfig::read(&path), Err(ConfigError::Invalid { .. })));
    }

    #[test]
    fn a_link_is_the_absolute_path_of_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("site.toml");
        for link in ["/", "themes", "", "/srv/../etc", "//"] {
            SiteConfig { links: vec![link.into()], ..config() }.write(&path).unwrap();
            assert!(matches!(SiteConfig::read(&path), Err(ConfigError::Link { .. })), "{link}");
        }
    }
}
