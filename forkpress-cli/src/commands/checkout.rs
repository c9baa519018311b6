//! `forkpress clone`, `commit`, `pull` and `git branch create`: a site in an ordinary checkout, with the user's own git.

use std::fs;
use std::path::{Path, PathBuf};

use forkpress_core::layout::WORK_DIR;
use forkpress_core::name::BranchName;
use forkpress_engine::site::Site;
use serde_json::json;

use crate::cli::{CloneArgs, CommitArgs, GitBranchCommand, PullArgs};
use crate::failure::{During, Failure};
use crate::git::{self, Checkout, Head, Remote};
use crate::interrupt::Interrupt;
use crate::site::Address;
use crate::{output, progress, site};

/// Everything in a checkout is taken byte by byte, whatever a plugin's `.gitattributes` says: this file comes first.
const ATTRIBUTES: &str = "* -text -ident -filter -working-tree-encoding -eol -crlf\n";

/// Clones a site.
pub fn clone(work_dir: Option<&Path>, args: &CloneArgs, as_json: bool) -> Result<(), Failure> {
    let url = match &args.remote {
        Some(url) => url.clone(),
        None => remote_of_site(work_dir)?.url().to_owned(),
    };
    let dir = site::current_dir()?.join(args.dir.as_deref().unwrap_or(Path::new("site")));
    let progress = progress::shown(as_json);
    progress.begin(&format!("cloning into {}", dir.display()), None);
    make_checkout(&url, &dir, args.remote_name.name(), &Interrupt::on_signals()?)?;
    progress.end();
    let head = Head::read(&dir)?;
    let branch = head.branch()?;
    let url = Remote::parse(&url).and_then(|remote| preview(&remote, &branch));
    if as_json {
        output::json(&json!({ "dir": dir, "branch": branch.as_str(), "commit": head.commit, "url": url }))?;
        return Ok(());
    }
    output::line(format_args!("forkpress: cloned '{branch}' into {}", dir.display()))?;
    url.iter().try_for_each(output::line)?;
    Ok(())
}

/// The repository of the site that the command is about, which must be served.
pub fn remote_of_site(work_dir: Option<&Path>) -> Result<Remote, Failure> {
    let site = match site::open(work_dir) {
        Ok(site) => site,
        Err(failure) if work_dir.is_none() => {
            return Err(failure.hint(format!("name the site, as in: forkpress clone {}", Remote::example())));
        }
        Err(failure) => return Err(failure),
    };
    let server = site::server_of(&site)?.ok_or_else(|| not_served(&site))?;
    Ok(Remote::at(&Address::from(&server)))
}

fn not_served(site: &Site) -> Failure {
    Failure::new(format!("the site in {} is not served", site.layout.public_root().display())).hint("forkpress serve")
}

/// The address of a branch, where that can be told.
fn preview(remote: &Remote, branch: &BranchName) -> Option<String> {
    remote.address().map(|address| address.url(branch))
}

/// Makes a checkout of `main` in `dir`, or leaves nothing.
pub fn make_checkout(url: &str, dir: &Path, remote: &str, interrupt: &Interrupt) -> Result<(), Failure> {
    refuse_place(dir)?;
    let arguments = ["clone", "--quiet", "--no-checkout", "--no-recurse-submodules", "--origin", remote];
    let mut clone = git::remote_command(Path::new("."), Some(url), arguments);
    // The user's own git gets through as well then.
    if let Some((key, value)) = Remote::parse(url).and_then(|remote| remote.trust()) {
        clone.arg("--config").arg(format!("{key}={value}"));
    }
    let output = git::outcome(clone.arg("--").arg(url).arg(dir))?;
    if !output.status.success() {
        interrupt.check()?;
        let failure = Failure::new(format!("cannot clone {}", shown(url)));
        let failure = git::said(&output.stderr).into_iter().fold(failure, Failure::because);
        return Err(git::not_reached(failure, &output.stderr));
    }
    // The folder is new or was empty: git clones into no other.
    let filled = fill(dir).and_then(|()| interrupt.check());
    filled.inspect_err(|_| drop(fs::remove_dir_all(dir)))
}

/// Checks out what was cloned.
fn fill(dir: &Path) -> Result<(), Failure> {
    let info = dir.join(".git/info");
    let written = fs::create_dir_all(&info).and_then(|()| fs::write(info.join("attributes"), ATTRIBUTES));
    written.during(|| format!("cannot write into {}", info.display()))?;
    name_committer(dir)?;
    git::run(dir, ["reset", "--quiet", "--hard"])?;
    Ok(())
}

/// A checkout inside of a branch would become part of that branch.
fn refuse_place(dir: &Path) -> Result<(), Failure> {
    let parent = dir.ancestors().skip(1).find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let Ok(site) = Site::find(parent) else { return Ok(()) };
    let parent = fs::canonicalize(parent).during(|| format!("cannot look at {}", parent.display()))?;
    let inside = parent.strip_prefix(site.layout.public_root()).ok().and_then(|path| path.components().next());
    let Some(folder) = inside.and_then(|folder| folder.as_os_str().to_str()) else { return Ok(()) };
    let is_branch = folder.parse().is_ok_and(|name| site.layout.cow().record(&name).exists());
    if !is_branch && folder != WORK_DIR {
        return Ok(());
    }
    Err(Failure::new(format!("{} lies in '{folder}' of the site, and would become a part of it", dir.display()))
        .hint("choose a folder elsewhere: forkpress clone REMOTE DIR"))
}

/// Gives the checkout a name to commit under, where git has none.
fn name_committer(dir: &Path) -> Result<(), Failure> {
    let user = std::env::var("USER").ok().filter(|user| !user.is_empty()).unwrap_or_else(|| "forkpress".to_owned());
    for (key, value) in [("user.name", user.clone()), ("user.email", format!("{user}@localhost"))] {
        if !git::outcome(&mut git::command(dir, ["config", "--get", key]))?.status.success() {
            git::run(dir, ["config", key, &value])?;
        }
    }
    Ok(())
}

/// An address without a token.
fn shown(url: &str) -> String {
    Remote::parse(url).map_or_else(|| url.to_owned(), |remote| remote.to_string())
}

/// Commits everything, pushes it, and takes over what the site made of it.
pub fn commit(args: &CommitArgs, as_json: bool) -> Result<(), Failure> {
    let checkout = Checkout::open(&repository(args.repo.as_deref())?)?;
    let head = checkout.head()?;
    let branch = head.branch()?;
    let usual = checkout.remote_name(branch.as_str());
    let remote = match &args.remote_name.remote_name {
        Some(name) => checkout.known_remote(name)?,
        None => usual.clone()?,
    };
    let is_usual = usual.is_ok_and(|usual| usual == remote);
    let upstream = checkout.upstream(branch.as_str());
    if let Some(upstream) = upstream.filter(|upstream| *upstream != branch.as_str()) {
        return Err(Failure::new(format!("'{branch}' follows another branch of the site, '{upstream}'")).hint(format!(
            "git branch --unset-upstream makes '{branch}' a branch of its own; git branch -m {upstream} commits to the other"
        )));
    }

    let committed = !head.is_clean();
    if committed {
        checkout.git(&["add", "--all"])?;
        // What is tidied up now would be waited for; a pull tidies up, too.
        checkout.git(&["-c", "maintenance.auto=false", "-c", "gc.auto=0", "commit", "--quiet", "-m", &args.message])?;
    }
    // How another remote stands, only that remote knows.
    let pushed = committed || head.ahead > 0 || !head.is_tracked || upstream.is_none() || !is_usual;
    if pushed {
        let progress = progress::shown(as_json);
        progress.begin(&format!("pushing to '{branch}'"), None);
        let options: &[&str] = if upstream.is_none() { &["--set-upstream"] } else { &[] };
        git::push(&checkout, remote, &format!("HEAD:refs/heads/{branch}"), options)?;
        progress.end();
        take_over(&checkout, remote, branch.as_str())?;
    }

    let url = checkout.remote(remote).and_then(|remote| preview(&remote, &branch));
    if as_json {
        let commit = checkout.git(&["rev-parse", "HEAD"])?;
        output::json(&json!({
            "branch": branch.as_str(),
            "committed": committed,
            "pushed": pushed,
            "commit": commit.trim(),
            "url": url,
        }))?;
        return Ok(());
    }
    output::line(match (committed, pushed) {
        (true, _) => format!("forkpress: committed and pushed to '{branch}'"),
        (false, true) => format!("forkpress: nothing to commit; pushed to '{branch}' what was not there yet"),
        (false, false) => format!("forkpress: nothing to commit, and '{branch}' has everything"),
    })?;
    url.iter().try_for_each(output::line)?;
    Ok(())
}

/// Brings the checkout to what the site made of a push: what may not be changed by Git is as it was there.
fn take_over(checkout: &Checkout, remote: &str, branch: &str) -> Result<(), Failure> {
    let taken = git::fetch(checkout, remote, &[git::tracking(remote, branch)]).and_then(|()| {
        checkout.git(&["merge", "--quiet", "--ff-only", &format!("refs/remotes/{remote}/{branch}")]).map(drop)
    });
    taken
        .map_err(|failure| failure.during("pushed, but the checkout does not have yet what the site made of it"))
        .map_err(|failure| failure.hint("forkpress pull"))
}

/// Takes over what the branch has on the site, with what is not pushed on top.
pub fn pull(args: &PullArgs, as_json: bool) -> Result<(), Failure> {
    let checkout = Checkout::open(&repository(args.repo.as_deref())?)?;
    let before = checkout.head()?;
    let branch = before.branch()?;
    let remote = checkout.remote_name(branch.as_str())?;
    if checkout.upstream(branch.as_str()).is_none() {
        return Err(Failure::new(format!("'{branch}' is not on the site yet")).hint("forkpress commit -m MESSAGE"));
    }
    let progress = progress::shown(as_json);
    progress.begin(&format!("pulling '{branch}'"), None);
    let pulled = git::pull(&checkout, remote)?;
    progress.end();

    let after = checkout.head()?;
    if !after.unmerged.is_empty() {
        let paths = git::listed(&after.unmerged);
        return Err(if after.branch.is_none() {
            Failure::new(format!("what you committed conflicts with the site in {paths}")).hint(
                "fix the files, then: git add FILE..., git rebase --continue (or git rebase --abort); then forkpress commit",
            )
        } else {
            Failure::new(format!("pulled, but what you have not committed conflicts with it in {paths}"))
                .hint("fix the files, then: git add FILE..., git stash drop")
        });
    }
    pulled?;

    let url = checkout.remote(remote).and_then(|remote| preview(&remote, &branch));
    let is_new = before.commit != after.commit;
    if as_json {
        output::json(&json!({
            "branch": branch.as_str(),
            "changed": is_new,
            "commit": after.commit,
            "unpushed": after.ahead,
            "url": url,
        }))?;
        return Ok(());
    }
    let what = if is_new { "pulled" } else { "nothing new in" };
    output::line(format_args!("forkpress: {what} '{branch}'"))?;
    url.iter().try_for_each(output::line)?;
    Ok(())
}

/// Creates a branch of the site from another one, by push, and switches the checkout to it.
pub fn branch(command: &GitBranchCommand, as_json: bool) -> Result<(), Failure> {
    let GitBranchCommand::Create { name, from, repo } = command;
    let checkout = Checkout::open(&repository(repo.as_deref())?)?;
    let remote = checkout.remote_name(name.as_str())?;
    let local = format!("refs/heads/{name}");
    let verify = ["rev-parse", "--quiet", "--verify", &local];
    if git::outcome(&mut git::command(checkout.dir(), verify))?.status.success() {
        return Err(Failure::new(format!("the checkout has a branch '{name}' already"))
            .hint(format!("git switch {name}; forkpress commit puts it on the site")));
    }
    let progress = progress::shown(as_json);
    progress.begin(&format!("creating '{name}' from '{from}'"), None);
    git::fetch(&checkout, remote, &[git::tracking(remote, from)])?;
    // Were there a branch of this name on the site, the push would have to move it: the lease refuses that.
    let lease = format!("--force-with-lease={name}:");
    git::push(&checkout, remote, &format!("refs/remotes/{remote}/{from}:{local}"), &[&lease])?;
    git::fetch(&checkout, remote, &[git::tracking(remote, name)])?;
    progress.end();
    checkout
        .git(&["switch", "--quiet", "--create", name.as_str(), "--track", &format!("{remote}/{name}")])
        .map_err(|failure| failure.during(format!("'{name}' is on the site, but the checkout could not switch to it")))
        .map_err(|failure| failure.hint(format!("commit or stash what is in the way, then: git switch {name}")))?;

    let url = checkout.remote(remote).and_then(|remote| preview(&remote, name));
    if as_json {
        output::json(&json!({ "created": name.as_str(), "from": from.as_str(), "url": url }))?;
        return Ok(());
    }
    output::line(format_args!("forkpress: created '{name}' from '{from}', and switched to it"))?;
    url.iter().try_for_each(output::line)?;
    Ok(())
}

fn repository(repo: Option<&Path>) -> Result<PathBuf, Failure> {
    let current = site::current_dir()?;
    Ok(repo.map_or_else(|| current.clone(), |repo| current.join(repo)))
}
