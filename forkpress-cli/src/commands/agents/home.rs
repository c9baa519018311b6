//! The checkout that the agents' worktrees are in.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use forkpress_core::name::BranchName;

use crate::cli::AgentsArgs;
use crate::failure::{During, Failure};
use crate::git::{self, Checkout, Remote};
use crate::site;

/// Where `forkpress agents` makes its checkout if it is told no other folder.
const FOLDER: &str = "agents";

/// The checkout that the agents' worktrees belong to.
pub(super) struct Home {
    /// Its folder, in which the worktrees are.
    pub(super) dir: PathBuf,
    pub(super) checkout: Checkout,
    /// What the checkout calls the site that the agents' branches are on.
    pub(super) origin: String,
    pub(super) remote: Remote,
}

impl Home {
    /// The checkout that was named; or the one that the current folder lies in, or the one in the usual place.
    pub(super) fn find(args: &AgentsArgs) -> Result<Self, Failure> {
        let current = site::current_dir()?;
        let home = match &args.dir {
            Some(dir) => Self::at(&current.join(dir), args)?,
            None => match Self::at(&current, args) {
                Ok(home) => home,
                Err(_) => Self::at(&current.join(FOLDER), args)?,
            },
        };
        match &args.remote {
            Some(remote) if !remote.is_of_site_of(&home.remote) => {
                Err(Failure::new(format!("{} is a checkout of {}", home.dir.display(), home.remote))
                    .hint("name another folder, or leave --remote out"))
            }
            _ => Ok(home),
        }
    }

    /// The checkout that `dir` lies in, whichever of its worktrees that is.
    pub(super) fn at(dir: &Path, args: &AgentsArgs) -> Result<Self, Failure> {
        let no_checkout = || {
            Failure::new(format!("{} is no checkout of a site", dir.display()))
                .hint(format!("forkpress agents DIR --remote {} makes one", Remote::example()))
        };
        if !dir.is_dir() {
            return Err(no_checkout());
        }
        let checkout = Checkout::open(dir).map_err(|_| no_checkout())?;
        let origin = match &args.remote_name.remote_name {
            Some(name) => name.clone(),
            None => checkout.remote_name(BranchName::MAIN).map_err(|_| no_checkout())?.to_owned(),
        };
        let remote = checkout.remote(&origin).ok_or_else(no_checkout)?;
        let dir = git::worktrees(dir)?.into_iter().next().ok_or_else(no_checkout)?;
        Ok(Self { checkout: Checkout::open(&dir)?, dir, origin, remote })
    }

    pub(super) fn worktree(&self, name: &BranchName) -> PathBuf {
        self.dir.join(name.as_str())
    }

    /// The branch of the site as it was fetched last.
    pub(super) fn tracking(&self, name: &BranchName) -> String {
        format!("refs/remotes/{}/{name}", self.origin)
    }

    /// Keeps the worktrees out of the checkout's own status.
    pub(super) fn exclude_worktrees(&self, prefix: &str) -> Result<(), Failure> {
        let line = format!("/{prefix}-*/");
        let path = self.checkout.git(&["rev-parse", "--git-path", "info/exclude"])?;
        let path = self.dir.join(path.trim_end());
        let add = || -> io::Result<()> {
            let before = fs::read_to_string(&path).unwrap_or_default();
            if before.lines().any(|before| before == line) {
                return Ok(());
            }
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            let newline = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
            writeln!(fs::OpenOptions::new().append(true).create(true).open(&path)?, "{newline}{line}")
        };
        add().during(|| format!("cannot write {}", path.display()))
    }
}

/// The folder that was named, or the usual one.
pub(super) fn folder(args: &AgentsArgs) -> Result<PathBuf, Failure> {
    Ok(site::current_dir()?.join(args.dir.as_deref().unwrap_or(Path::new(FOLDER))))
}
