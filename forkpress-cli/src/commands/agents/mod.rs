//! `forkpress agents`: makes branches of a site with a worktree each, and removes them.
//!
//! Names are `PREFIX-NUMBER`. Existing agents are used again. Only missing ones are made: branches first, then
//! worktrees, side by side. If something fails or is interrupted, what was made is removed.

mod home;
mod place;
mod remove;

use std::fs;
use std::io;
use std::path::Path;

use forkpress_core::name::BranchName;
use forkpress_engine::progress::Progress;
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;
use serde_json::json;

use crate::cli::AgentsArgs;
use crate::failure::{During, Failure};
use crate::git;
use crate::interrupt::Interrupt;
use crate::{number, output, progress};

use home::{Home, folder};
use place::Reach;

/// How many agents there are to be where nobody says so, and none are there.
const USUAL_COUNT: u16 = 10;

/// Makes agents, or removes them.
pub fn run(work_dir: Option<&Path>, args: &AgentsArgs, as_json: bool) -> Result<(), Failure> {
    if args.remove {
        let home = Home::find(args)?;
        return remove::remove(&home, args, as_json);
    }
    let interrupt = Interrupt::on_signals()?;
    let progress = progress::shown(as_json);
    let (home, is_new) = match Home::find(args) {
        Ok(home) => (home, false),
        Err(_) if !folder(args)?.join(".git").exists() => {
            let remote = match &args.remote {
                Some(remote) => remote.clone(),
                None => super::checkout::remote_of_site(work_dir)?,
            };
            let dir = folder(args)?;
            progress.begin(&format!("cloning into {}", dir.display()), None);
            super::checkout::make_checkout(remote.url(), &dir, args.remote_name.name(), &interrupt)?;
            progress.end();
            (Home::at(&dir, args)?, true)
        }
        Err(failure) => return Err(failure),
    };
    let mut made = MadeAgents { home: &home, place: Reach::of(&home)?, names: Vec::new(), worktrees: Vec::new() };
    let mut agents = made.there(&args.prefix)?;
    let missing = missing(agents.len(), args.count);
    agents.truncate(args.count.map_or(usize::MAX, usize::from));
    if !agents.is_empty() && !as_json {
        output::note(format_args!("forkpress: used again, as they are: {} agents; new: {missing}", agents.len()));
    }
    if missing == 0 {
        return tell(&home, &agents, as_json);
    }
    if let Err(failure) = make(&mut made, missing, args, &interrupt, &*progress) {
        progress.end();
        let left = made.take_back();
        if is_new && left.is_empty() {
            // Whatever else may be in it was not there a moment ago.
            let _ = fs::remove_dir_all(&home.dir);
        }
        let failure = left.into_iter().fold(failure, |failure, left| failure.because(format!("still there: {left}")));
        return Err(failure);
    }
    made.place.clean();
    agents.append(&mut made.names);
    tell(&home, &agents, as_json)
}

/// What has been made so far.
struct MadeAgents<'home> {
    home: &'home Home,
    place: Reach,
    /// The branches on the site.
    names: Vec<BranchName>,
    /// Those of them that may have a worktree.
    worktrees: Vec<BranchName>,
}

/// What a new branch or a new worktree can't be called.
fn taken(home: &Home, place: &Reach, prefix: &str) -> Result<Vec<String>, Failure> {
    let mut taken = place.branches(home, prefix)?;
    let local = home.checkout.git(&["for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads"])?;
    taken.extend(local.lines().map(str::to_owned));
    let entries = fs::read_dir(&home.dir).during(|| format!("cannot read {}", home.dir.display()))?;
    taken.extend(entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())));
    Ok(taken)
}

/// How many agents are to be made besides those that are there.
fn missing(there: usize, count: Option<u16>) -> u16 {
    let usual = if there == 0 { USUAL_COUNT } else { 0 };
    count.map_or(usual, |count| count.saturating_sub(u16::try_from(there).unwrap_or(u16::MAX)))
}

fn make(
    made: &mut MadeAgents<'_>,
    count: u16,
    args: &AgentsArgs,
    interrupt: &Interrupt,
    progress: &dyn Progress,
) -> Result<(), Failure> {
    let home = made.home;
    home.exclude_worktrees(&args.prefix)?;
    let MadeAgents { place, names: made_names, .. } = made;
    let (names, ()) = number::make(
        &args.prefix,
        count,
        || taken(home, place, &args.prefix),
        |names| place.create(home, names, args, made_names, interrupt, progress),
    )?;
    interrupt.check()?;

    progress.begin("checking out", Some(u64::from(count)));
    let refspecs: Vec<_> = names.iter().map(|name| git::tracking(&home.origin, name)).collect();
    git::fetch(&home.checkout, &home.origin, &refspecs)?;
    // One after the other: a git that looks at the worktrees fails where another is just about to add one.
    for name in &names {
        interrupt.check()?;
        made.worktrees.push(name.clone());
        let path = home.worktree(name);
        let mut add = git::command(&home.dir, ["worktree", "add", "--quiet", "--no-checkout", "--track"]);
        git::succeed(add.args(["-b", name.as_str()]).arg(path).arg(home.tracking(name)))?;
    }
    side_by_side(&names, |name| {
        interrupt.check()?;
        git::run(&home.worktree(name), ["checkout", "--quiet", "--force"])?;
        progress.advance(1);
        Ok(())
    })?;
    progress.end();
    interrupt.check()
}

/// Does work for each of some names, on a few threads. After a failure nothing is begun any more.
fn side_by_side(names: &[BranchName], work: impl Fn(&BranchName) -> Result<(), Failure> + Sync) -> Result<(), Failure> {
    // A git that works waits for the disk half of the time.
    let threads = rayon::current_num_threads().saturating_mul(2).min(names.len());
    let pool = ThreadPoolBuilder::new().num_threads(threads).build().during(|| "cannot start threads".to_owned())?;
    pool.install(|| names.par_iter().with_max_len(1).try_for_each(&work))
}

impl MadeAgents<'_> {
    /// The agents that are there, by number: those that have a worktree and a branch on the site.
    fn there(&self, prefix: &str) -> Result<Vec<BranchName>, Failure> {
        let mut names = remove::agents(self.home, prefix)?;
        names.retain(|name| self.home.worktree(name).is_dir());
        if names.is_empty() {
            return Ok(names);
        }
        let on_site = self.place.agents(self.home, prefix)?;
        names.retain(|name| on_site.iter().any(|other| other == name.as_str()));
        Ok(names)
    }

    /// Removes what was made, and says what could not be removed.
    fn take_back(&self) -> Vec<String> {
        let mut left = Vec::new();
        for name in &self.worktrees {
            let path = self.home.worktree(name);
            let removed = match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
            if let Err(error) = removed {
                left.push(format!("the worktree {}: {error}", path.display()));
            }
        }
        if !self.names.is_empty() {
            remove::forget(self.home, &self.names.iter().collect::<Vec<_>>());
        }
        for name in &self.names {
            if let Err(failure) = self.place.delete(self.home, name, false) {
                left.push(format!("the branch '{name}' of the site: {}", failure.error));
            }
        }
        self.place.clean();
        left
    }
}

fn tell(home: &Home, names: &[BranchName], as_json: bool) -> Result<(), Failure> {
    let address = home.remote.address();
    let url = |name: &BranchName| address.as_ref().map(|address| address.url(name));
    if as_json {
        let row = |name| json!({ "branch": name, "worktree": home.worktree(name), "url": url(name) });
        output::json(&names.iter().map(row).collect::<Vec<_>>())?;
        return Ok(());
    }
    let width = names.iter().map(|name| name.as_str().len()).max().unwrap_or_default();
    for name in names {
        let (url, worktree) = (url(name).unwrap_or_else(|| "-".to_owned()), home.worktree(name));
        output::line(format_args!("{:width$}  {url}  {}", name.as_str(), worktree.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn only_what_lacks_is_made() {
        assert_eq!([missing(0, None), missing(3, None)], [USUAL_COUNT, 0]);
        assert_eq!([0, 2, 3, 5].map(|there| missing(there, Some(3))), [3, 1, 0, 0]);
    }

    #[test]
    fn work_side_by_side_is_done_for_each_and_not_begun_after_a_failure() {
        let names: Vec<BranchName> = (1..=9).map(|number| format!("a-{number}").parse().unwrap()).collect();
        let seen = Mutex::new(Vec::new());
        side_by_side(&names, |name| {
            seen.lock().unwrap().push(name.clone());
            Ok(())
        })
        .unwrap();
        let mut seen = seen.into_inner().unwrap();
        seen.sort();
        assert_eq!(seen, names);

        let begun = AtomicUsize::new(0);
        let failed = side_by_side(&names, |_| {
            begun.fetch_add(1, Ordering::SeqCst);
            Err(Failure::new("no"))
        });
        assert_eq!(failed, Err(Failure::new("no")));
        // Each thread may have begun one before the first failed.
        let threads = rayon::current_num_threads() * 2;
        assert!(begun.into_inner() <= threads.min(names.len()));
    }
}
