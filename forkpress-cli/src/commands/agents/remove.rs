//! Removes agents, except those that hold work.
//!
//! Work is
//! - what was committed or changed in a worktree and is neither in `main` nor, if committed, in the agent's branch on
//!   the site
//! - what that branch has and `main` has not, since the branch is removed, too.

use std::collections::HashSet;
use std::path::Path;

use forkpress_core::name::BranchName;
use serde_json::json;

use super::home::Home;
use super::place::Reach;
use crate::cli::AgentsArgs;
use crate::failure::Failure;
use crate::git::{self, Head};
use crate::{number, output, progress};

/// Removes the agents with a prefix, branches and worktrees. Those that hold work stay, and are named.
pub fn remove(home: &Home, args: &AgentsArgs, as_json: bool) -> Result<(), Failure> {
    let place = Reach::of(home)?;
    let names = agents(home, &args.prefix)?;
    let on_site = place.branches(home, &args.prefix)?;
    let is_on_site = |name: &BranchName| on_site.iter().any(|other| other == name.as_str());
    let progress = progress::shown(as_json);
    progress.begin("looking for work in the agents", None);
    let refspecs = names.iter().filter(|name| is_on_site(name)).map(|name| git::tracking(&home.origin, name));
    let main = git::tracking(&home.origin, BranchName::MAIN);
    git::fetch(&home.checkout, &home.origin, &std::iter::once(main).chain(refspecs).collect::<Vec<_>>())?;

    let (mut removed, mut kept) = (Vec::new(), Vec::new());
    for name in &names {
        let gone = match work_in(home, &place, name, is_on_site(name)) {
            Ok(None) => remove_one(home, &place, name, is_on_site(name)),
            Ok(Some(work)) => Err(work),
            Err(failure) => Err(failure.to_string()),
        };
        match gone {
            Ok(()) => removed.push(name),
            Err(why) => kept.push(format!("{name}: {why}")),
        }
    }
    progress.end();
    if !removed.is_empty() {
        forget(home, &removed);
        place.clean();
    }

    if !kept.is_empty() {
        if !as_json {
            removed.iter().try_for_each(|name| output::line(format_args!("removed agent '{name}'")))?;
        }
        let failure = Failure::new(format!("{} of {} agents hold work, and stay", kept.len(), names.len()));
        return Err(kept.into_iter().fold(failure, Failure::because).hint(
            "bring the work home: forkpress branch merge BRANCH --into main; or throw it away: git -C WORKTREE stash, git -C WORKTREE reset --hard, forkpress branch delete BRANCH; then repeat",
        ));
    }
    if as_json {
        let address = home.remote.address();
        let url = |name: &BranchName| address.as_ref().map(|address| address.url(name));
        let row = |name: &&BranchName| json!({ "branch": name, "worktree": home.worktree(name), "url": url(name) });
        return Ok(output::json(&removed.iter().map(row).collect::<Vec<_>>())?);
    }
    if removed.is_empty() {
        output::line(format_args!("forkpress: no agent '{}-...' in {}", args.prefix, home.dir.display()))?;
    }
    removed.iter().try_for_each(|name| output::line(format_args!("removed agent '{name}'")))?;
    Ok(())
}

/// The agents that have a worktree in the checkout, by number.
pub fn agents(home: &Home, prefix: &str) -> Result<Vec<BranchName>, Failure> {
    let worktrees = git::worktrees(&home.dir)?;
    let names = worktrees.iter().filter_map(|path| path.strip_prefix(&home.dir).ok()?.to_str());
    let mut numbered: Vec<(u64, BranchName)> =
        names.filter_map(|name| Some((number::of(prefix, name)?, name.parse().ok()?))).collect();
    numbered.sort();
    Ok(numbered.into_iter().map(|(_, name)| name).collect())
}

/// What would be lost with an agent, in words.
fn work_in(home: &Home, place: &Reach, name: &BranchName, is_on_site: bool) -> Result<Option<String>, Failure> {
    let path = home.worktree(name);
    let git = |arguments: &[&str]| home.checkout.git(arguments);
    let tracking = home.tracking(name);
    let main = home.tracking(&BranchName::main());
    let mut tips = vec![format!("refs/heads/{name}")];
    // A worktree that was removed by hand holds nothing any more.
    if path.exists() {
        let head = Head::read(&path)?;
        if !head.is_clean() {
            let paths: Vec<_> = [head.unmerged, head.changed, head.untracked].concat();
            return Ok(Some(format!("not committed: {}", git::listed(&paths))));
        }
        if is_in_rebase(&path)? {
            return Ok(Some("a rebase is in progress".to_owned()));
        }
        tips.extend(head.commit);
    }
    let known = |reference: &String| git(&["rev-parse", "--quiet", "--verify", reference]).is_ok();
    tips.retain(known);
    let is_tracked = known(&tracking);
    if !tips.is_empty() {
        let mut count = vec!["rev-list", "--count"];
        count.extend(tips.iter().map(String::as_str));
        count.extend(["--not", &main]);
        count.extend(is_tracked.then_some(tracking.as_str()));
        let commits = git(&count)?;
        if commits.trim() != "0" {
            return Ok(Some(format!("commits that are not pushed: {}", commits.trim())));
        }
    }
    if is_on_site {
        let paths = not_in_main(home, &tracking, &main)?;
        if !paths.is_empty() && !place.main_has_all_of(name) {
            return Ok(Some(format!("its branch on the site has changes that main has not: {}", git::listed(&paths))));
        }
    }
    Ok(None)
}

/// What a branch of the site has changed since it parted from `main`, and `main` does not have as it is there.
fn not_in_main(home: &Home, tracking: &str, main: &str) -> Result<Vec<String>, Failure> {
    let paths = |range: String| -> Result<Vec<String>, Failure> {
        let text = home.checkout.git(&["diff", "--name-only", "--no-renames", "-z", &range])?;
        Ok(text.split_terminator('\0').map(str::to_owned).collect())
    };
    let differing = paths(format!("{main}..{tracking}"))?;
    // Without a common commit everything counts.
    let Ok(changed) = paths(format!("{main}...{tracking}")) else { return Ok(differing) };
    let changed: HashSet<_> = changed.into_iter().collect();
    Ok(differing.into_iter().filter(|path| changed.contains(path)).collect())
}

fn is_in_rebase(worktree: &Path) -> Result<bool, Failure> {
    let paths = git::run(worktree, ["rev-parse", "--git-path", "rebase-merge", "--git-path", "rebase-apply"])?;
    Ok(paths.lines().any(|path| worktree.join(path).exists()))
}

/// Removes an agent: first the worktree, since git looks once more whether it is clean, then the branch.
fn remove_one(home: &Home, place: &Reach, name: &BranchName, is_on_site: bool) -> Result<(), String> {
    let path = home.worktree(name);
    if path.exists() {
        let mut remove = git::command(&home.dir, ["worktree", "remove"]);
        let output = git::outcome(remove.arg(&path)).map_err(|failure| failure.to_string())?;
        if !output.status.success() {
            return Err(git::said(&output.stderr).join("; "));
        }
    }
    if is_on_site {
        let deleted = place.delete(home, name, true);
        deleted
            .map_err(|failure| format!("the worktree is gone, but not the branch of the site: {}", failure.error))?;
    }
    Ok(())
}

/// Forgets the local branches and what was known of those on the site. Where there is none there is nothing to do.
pub fn forget(home: &Home, names: &[&BranchName]) {
    let _ = home.checkout.git(&["worktree", "prune"]);
    let local = names.iter().map(|name| name.to_string());
    let tracking = names.iter().map(|name| format!("{}/{name}", home.origin));
    let delete = |options: &[&str], branches: Vec<String>| {
        let mut delete = git::command(&home.dir, ["branch", "--quiet", "--delete", "--force"]);
        let _ = git::outcome(delete.args(options).arg("--").args(branches));
    };
    delete(&[], local.collect());
    delete(&["--remotes"], tracking.collect());
}
