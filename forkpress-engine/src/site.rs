//! A site on disk, opened: its layout and its settings.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::check;
use crate::config::{ConfigError, SiteConfig};
use crate::trust::{Trust, TrustError};
use forkpress_core::advice::Advice;
use forkpress_core::layout::{SiteLayout, WORK_DIR};
use forkpress_core::own;

/// A site whose settings this version understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Where everything of the site lies.
    pub layout: SiteLayout,
    /// What `site.toml` says.
    pub config: SiteConfig,
}

/// Why there is no site to work with.
#[derive(Debug, Error)]
pub enum SiteError {
    /// The folder that was named is not the `.forkpress` folder of a site.
    #[error("{path} is not the {WORK_DIR} folder of a site")]
    NotASite {
        /// The folder that was named.
        path: PathBuf,
    },
    /// Neither the folder nor one above it is a site.
    #[error("no site in {start} or above it")]
    NotFound {
        /// Where the search began.
        start: PathBuf,
    },
    /// A path can't be looked at.
    #[error("cannot look at {path}")]
    Look {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder that was named lies in a branch of another site.
    #[error("{path} lies in a branch of the site {outer}, and is no site")]
    InBranch {
        /// The folder that was named.
        path: PathBuf,
        /// The folder of the other site.
        outer: PathBuf,
    },
    /// Something of ForkPress's own is a symlink, or another thing that is neither a file nor a folder.
    #[error("{path} is neither a file nor a folder of this site: a link in a copied site may lead anywhere")]
    NotReal {
        /// The link.
        path: PathBuf,
    },
    /// It is somebody else's.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The settings can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A folder of the site can't be made.
    #[error("cannot make the folder {path}")]
    Create {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Advice for SiteError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NotASite { .. } => {
                Some("--work-dir takes the .forkpress folder of a site, as in --work-dir my-site/.forkpress".to_owned())
            }
            Self::NotFound { .. } => {
                Some("'forkpress init' makes a site in the current folder; --work-dir names one elsewhere".to_owned())
            }
            Self::InBranch { outer, .. } => Some(format!("--work-dir {}", SiteLayout::at(outer).work_dir().display())),
            Self::NotReal { path } => Some(format!(
                "look at it with: ls -l {}; then remove it, or put there what it leads to",
                path.display()
            )),
            Self::Trust(error) => error.hint(),
            Self::Config(error) => error.hint(),
            Self::Look { .. } | Self::Create { .. } => None,
        }
    }
}

impl Site {
    /// Opens the site whose `.forkpress` folder is `work_dir`: one that is [trusted](crate::trust), is in no branch of
    /// another, and whose own files and folders are real.
    ///
    /// # Errors
    /// [`SiteError::NotASite`] when the folder has another name or no settings in it; [`SiteError::InBranch`],
    /// [`SiteError::NotReal`] and [`SiteError::Trust`] when it may not be used; [`SiteError::Config`] and
    /// [`SiteError::Look`] when that can't be told.
    pub fn open(work_dir: &Path) -> Result<Self, SiteError> {
        let not_a_site = || SiteError::NotASite { path: work_dir.to_owned() };
        let resolved = resolve(work_dir)?;
        if resolved.file_name().is_none_or(|name| name != WORK_DIR) {
            return Err(not_a_site());
        }
        let layout = SiteLayout::at(resolved.parent().ok_or_else(not_a_site)?);
        if !layout.config().is_file() {
            return Err(not_a_site());
        }
        if let Some(outer) = layout.outer() {
            return Err(SiteError::InBranch { path: resolved, outer: outer.public_root().to_owned() });
        }
        Self::with_layout(layout)
    }

    /// Opens the site that `start` lies in: the nearest folder, `start` or above, that is one.
    ///
    /// # Errors
    /// [`SiteError::NotFound`] when neither the folder nor one above it is a site; else as [`Site::open`].
    pub fn find(start: &Path) -> Result<Self, SiteError> {
        let layout =
            SiteLayout::find(&resolve(start)?).ok_or_else(|| SiteError::NotFound { start: start.to_owned() })?;
        Self::with_layout(layout)
    }

    fn with_layout(layout: SiteLayout) -> Result<Self, SiteError> {
        Trust::from_environment(|name| std::env::var_os(name)).check(&layout)?;
        check(&layout)?;
        let config = SiteConfig::read(&layout.config())?;
        let site = Self { layout: layout.with_image(config.file_view.image()), config };
        if site.layout.image().is_some() {
            check(&site.layout)?;
        }
        Ok(site)
    }
}

/// Makes the folders of a site, but for its branches; those that exist stay as they are. Nobody but their owner may use new
/// ones.
///
/// Whoever makes a site writes `site.toml` last: until then the folder is no site.
///
/// # Errors
/// [`SiteError::Create`] when one can't be made.
pub fn create_folders(layout: &SiteLayout) -> Result<(), SiteError> {
    let cow = layout.cow();
    let folders = [
        layout.logs_dir(),
        layout.runtime_dir(),
        cow.records_dir(),
        cow.staging_dir(),
        cow.spares_dir(),
        cow.trash_dir(),
        cow.kept_dir(),
        cow.partings_dir(),
        cow.log_dir(),
        cow.journal_dir(),
        cow.requests_dir(),
    ];
    folders.into_iter().try_for_each(|path| create_folder(&path).map_err(|source| SiteError::Create { path, source }))
}

fn check(layout: &SiteLayout) -> Result<(), SiteError> {
    match check::foreign_entry(layout) {
        Ok(None) => Ok(()),
        Ok(Some(path)) => Err(SiteError::NotReal { path }),
        Err((path, source)) => Err(SiteError::Look { path, source }),
    }
}

/// Makes a folder, and those above it that lack, which only its owner may use.
///
/// # Errors
/// What the system said when it can't be made, or something else is there.
pub fn create_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(own::CLOSED_FOLDER).create(path)
}

fn resolve(path: &Path) -> Result<PathBuf, SiteError> {
    fs::canonicalize(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => SiteError::NotASite { path: path.to_owned() },
        _ => SiteError::Look { path: path.to_owned(), source },
    })
}

#[cfg(test)]
pub(crate) mod testing {
    use std::fs;
    use std::path::Path;

    use forkpress_core::layout::SiteLayout;
    use forkpress_core::name::BranchName;
    use forkpress_core::record::BranchRecord;

    use super::{Site, create_folders};
    use crate::config::{AccessLog, FileView, Keep, SLOW_MS, Serve, SiteConfig, Strategy};

    /// A site in a folder, without a branch.
    pub(crate) fn site(dir: &Path) -> Site {
        let layout = SiteLayout::at(&fs::canonicalize(dir).unwrap());
        create_folders(&layout).unwrap();
        let config = SiteConfig {
            version: 1,
            strategy: Strategy::Cow,
            file_view: FileView::FileCopy,
            root_host: "wp.localhost".to_owned(),
            port: 1,
            access_log: AccessLog::default(),
            slow_ms: SLOW_MS,
            keep: Keep::default(),
            serve: Serve::default(),
            spares: 0,
            links: Vec::new(),
            id_bands: true,
        };
        Site { layout, config }
    }

    /// An empty branch of it.
    pub(crate) fn branch(site: &Site, name: &str, from: Option<&str>) -> BranchName {
        let name: BranchName = name.parse().unwrap();
        fs::create_dir(site.layout.branch(&name)).unwrap();
        let record = BranchRecord::now(from.map(|from| from.parse().unwrap()), 1);
        fs::write(site.layout.cow().record(&name), record.to_toml()).unwrap();
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AccessLog, FileView, Keep, SLOW_MS, Serve, SiteConfig, Strategy, VERSION};

    #[test]
    fn a_site_is_opened_by_its_work_folder_or_found_from_within() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let layout = SiteLayout::at(&root);
        create_folders(&layout).unwrap();
        assert!(matches!(Site::open(layout.work_dir()), Err(SiteError::NotASite { .. })));
        assert!(matches!(Site::find(&root), Err(SiteError::NotFound { .. })));
        let config = SiteConfig {
            version: VERSION,
            strategy: Strategy::Cow,
            file_view: FileView::FileCopy,
            root_host: "wp.localhost".to_owned(),
            port: 18080,
            spares: 1,
            links: Vec::new(),
            id_bands: true,
            access_log: AccessLog::default(),
            slow_ms: SLOW_MS,
            keep: Keep::default(),
            serve: Serve::default(),
        };
        config.write(&layout.config()).unwrap();
        let site = Site { layout, config };
        assert_eq!(Site::open(site.layout.work_dir()).unwrap(), site);
        assert_eq!(Site::find(&site.layout.logs_dir()).unwrap(), site);
        assert!(matches!(Site::open(&root), Err(SiteError::NotASite { .. })), "only the work folder itself is taken");
    }
}
