//! Makes the agents' branches: directly where this program can see the site, otherwise by push.

use forkpress_core::deadline::Deadline;
use forkpress_core::lock::Patience;
use forkpress_core::name::BranchName;
use forkpress_engine::branch;
use forkpress_engine::merge::diff::{self, Options, Since};
use forkpress_engine::mutation::{self, ChangeError, CreateError};
use forkpress_engine::progress::{Progress, Silent};
use forkpress_engine::site::Site;

use super::home::Home;
use crate::cli::AgentsArgs;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::{clean, git};

/// How long taking back waits for others.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

/// A site, as far as this program can reach it.
pub enum Reach {
    /// Its folder is on this machine, and this user serves it.
    Here(Box<Site>),
    /// Only its repository can be reached.
    Elsewhere,
}

impl Reach {
    /// Where the site of a checkout is.
    pub fn of(home: &Home) -> Result<Self, Failure> {
        match home.remote.server()? {
            Some(server) => Ok(Self::Here(Box::new(Site::open(&server.work_dir)?))),
            None => Ok(Self::Elsewhere),
        }
    }

    /// The site's branches with this prefix, and maybe others.
    pub fn agents(&self, home: &Home, prefix: &str) -> Result<Vec<String>, Failure> {
        match self {
            Self::Here(site) => Ok(branch::list(site)?.into_iter().map(|branch| branch.name.to_string()).collect()),
            Self::Elsewhere => self.branches(home, prefix),
        }
    }

    /// The site's branches with this prefix, and what else a branch can't be called.
    pub fn branches(&self, home: &Home, prefix: &str) -> Result<Vec<String>, Failure> {
        match self {
            Self::Here(site) => Ok(branch::names_taken(site)?),
            Self::Elsewhere => git::list_branches(&home.checkout, &home.origin, &format!("{prefix}-*")),
        }
    }

    /// Creates branches, and notes each that is made. Gives the name, with none made, that another command took meanwhile.
    pub fn create(
        &self,
        home: &Home,
        names: &[BranchName],
        args: &AgentsArgs,
        made: &mut Vec<BranchName>,
        interrupt: &Interrupt,
        progress: &dyn Progress,
    ) -> Result<Result<(), BranchName>, Failure> {
        let from = &args.from;
        match self {
            Self::Here(site) => {
                let mut patience = super::super::changed::patience(&args.wait);
                match mutation::create_all(site, names, from, &mut patience, progress) {
                    Err(CreateError::Change(ChangeError::Exists { name })) => return Ok(Err(name)),
                    created => drop(created?),
                }
                made.extend_from_slice(names);
                if let Some(name) = names.first() {
                    super::super::doctor::branches::warn(site, name);
                }
            }
            Self::Elsewhere => {
                progress.begin("creating branches", Some(names.len() as u64));
                git::fetch(&home.checkout, &home.origin, &[git::tracking(&home.origin, from)])?;
                for name in names {
                    interrupt.check()?;
                    let refspec = format!("{}:refs/heads/{name}", home.tracking(from));
                    git::push(&home.checkout, &home.origin, &refspec, &[&format!("--force-with-lease={name}:")])?;
                    made.push(name.clone());
                    progress.advance(1);
                }
                progress.end();
            }
        }
        Ok(Ok(()))
    }

    /// Deletes a branch; `forkpress undo`, on the machine of the site, brings it back. By push, with `as_fetched`, only if
    /// it is what was fetched last.
    pub fn delete(&self, home: &Home, name: &BranchName, as_fetched: bool) -> Result<(), Failure> {
        match self {
            Self::Here(site) => {
                let mut patience = Patience::silent(Deadline::after(TIMEOUT));
                mutation::delete(site, name, false, &mut patience, &Silent)?;
                Ok(())
            }
            Self::Elsewhere => {
                let lease = format!("--force-with-lease={name}");
                let options: &[&str] = if as_fetched { &[&lease] } else { &[] };
                git::push(&home.checkout, &home.origin, &format!(":refs/heads/{name}"), options)
            }
        }
    }

    /// Whether it is known that nothing has changed in a branch since it was merged into `main`, or made from that.
    /// Commits do not tell: the database is one text in them, and `main` has changed as well.
    pub fn main_has_all_of(&self, name: &BranchName) -> bool {
        let Self::Here(site) = self else { return false };
        let since = Since::Parting(BranchName::main());
        diff::diff(site, name, &since, &Options::default()).is_ok_and(|diff| diff.is_empty())
    }

    /// Starts the removal of what mutations left.
    pub fn clean(&self) {
        if let Self::Here(site) = self {
            clean::in_background(site);
        }
    }
}
