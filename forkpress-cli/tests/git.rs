//! Checkouts, with the real git and a bare repository in the place of a site's: what the commands do of their own.
//!
//! The repository is at `http://wp.localhost:18080/site.git` for git, which a setting sends to a folder.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{Sandbox, stderr};
use forkpress_core::name::BranchName;
use rustix::process::{Pid, Signal, kill_process};

const URL: &str = "http://wp.localhost:18080/site.git";

/// A bare repository that looks like a site's, and a user who has no git settings but what leads there.
struct World {
    sandbox: Sandbox,
    /// What forkpress finds in its environment besides.
    environment: Vec<(&'static str, String)>,
}

impl World {
    fn new() -> Self {
        let world = Self { sandbox: Sandbox::new(), environment: Vec::new() };
        world.sandbox.forkpress(&[]);
        let settings = format!(
            "[url \"{}\"]\n\tinsteadOf = {URL}\n[init]\n\tdefaultBranch = main\n[user]\n\tname = Ann\n\temail = ann@example.test\n",
            world.bare().display()
        );
        fs::write(world.sandbox.file("gitconfig"), settings).unwrap();
        world.git(&world.here(), &["init", "-q", "--bare", "site.git"]);
        let source = world.sandbox.file("source");
        fs::create_dir_all(source.join("wordpress/plugin")).unwrap();
        fs::write(source.join("wordpress/index.php"), "<?php // one\n").unwrap();
        fs::write(source.join("wordpress/plugin/windows.php"), "<?php\r\n").unwrap();
        fs::write(source.join("database.sql"), "-- one\n").unwrap();
        world.git(&source, &["init", "-q"]);
        world.git(&source, &["-c", "core.autocrlf=false", "add", "."]);
        // Only then: git would store the other file with other line ends.
        fs::write(source.join("wordpress/plugin/.gitattributes"), "* text=auto\n").unwrap();
        world.git(&source, &["add", "wordpress/plugin/.gitattributes"]);
        world.git(&source, &["commit", "-q", "-m", "one"]);
        world.git(&source, &["push", "-q", URL, "main"]);
        world
    }

    fn here(&self) -> PathBuf {
        self.sandbox.file("")
    }

    fn bare(&self) -> PathBuf {
        self.sandbox.file("site.git")
    }

    fn set<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("GIT_CONFIG_GLOBAL", self.sandbox.file("gitconfig")).env("GIT_CONFIG_NOSYSTEM", "1")
    }

    /// Runs git, which must succeed, and gives what it says.
    fn git(&self, dir: &Path, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        let output = self.set(command.arg("-C").arg(dir).args(arguments)).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    fn command(&self, dir: &Path, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.forkpress(arguments);
        self.set(command.current_dir(dir)).envs(self.environment.iter().cloned());
        command
    }

    /// Runs forkpress, which must succeed, and gives its standard output.
    fn run(&self, dir: &Path, arguments: &[&str]) -> String {
        let output = self.command(dir, arguments).output().unwrap();
        assert!(output.status.success(), "forkpress {arguments:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs forkpress, which must refuse with a hint, and gives what it says.
    fn refused(&self, dir: &Path, arguments: &[&str]) -> String {
        let output = self.command(dir, arguments).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "forkpress {arguments:?}: {said}");
        assert!(said.contains("\nhint: "), "{said}");
        said
    }

    fn clone(&self, name: &str) -> PathBuf {
        self.run(&self.here(), &["clone", URL, name]);
        self.sandbox.file(name)
    }

    /// Someone else's commit to a branch of the site.
    fn change_on_site(&self, branch: &str, file: &str, text: &str) {
        let other = self.sandbox.file("other");
        let _ = fs::remove_dir_all(&other);
        self.git(&self.here(), &["clone", "-q", "-b", branch, URL, "other"]);
        fs::write(other.join(file), text).unwrap();
        self.git(&other, &["add", "-A", "."]);
        self.git(&other, &["commit", "-q", "-m", "on the site"]);
        self.git(&other, &["push", "-q"]);
    }

    fn hook(&self, repository: &Path, name: &str, script: &str) {
        let path = repository.join("hooks").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn branches(&self) -> Vec<String> {
        let list = self.git(&self.bare(), &["for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads"]);
        list.lines().map(str::to_owned).collect()
    }

    fn is_clean(&self, checkout: &Path) {
        assert_eq!(self.git(checkout, &["status", "--porcelain"]), "");
    }
}

fn write(checkout: &Path, text: &str) {
    fs::write(checkout.join("wordpress/index.php"), text).unwrap();
}

fn read(checkout: &Path) -> String {
    fs::read_to_string(checkout.join("wordpress/index.php")).unwrap()
}

#[test]
fn a_clone_is_clean_whatever_attributes_its_plugins_have() {
    let world = World::new();
    let said = world.run(&world.here(), &["clone", URL]);
    let checkout = world.sandbox.file("site");
    assert!(said.starts_with("forkpress: cloned 'main' into "), "{said}");
    assert!(said.ends_with("\nhttp://wp.localhost:18080/\n"), "{said}");
    assert_eq!(fs::read(checkout.join("wordpress/plugin/windows.php")).unwrap(), b"<?php\r\n");
    // So that git looks at the bytes and not at the times.
    world.git(&checkout, &["update-index", "--really-refresh"]);
    world.is_clean(&checkout);

    let json = world.run(&world.here(), &["--json", "clone", URL, "again"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["branch"], "main");
    assert_eq!(json["url"], "http://wp.localhost:18080/");
    assert!(world.refused(&world.here(), &["clone"]).contains("hint: name the site, as in: forkpress clone http://"));
}

#[test]
fn a_clone_names_a_committer_only_where_git_has_none() {
    let world = World::new();
    let checkout = world.clone("site");
    assert_eq!(world.git(&checkout, &["config", "user.name"]), "Ann");
    let settings = fs::read_to_string(world.sandbox.file("gitconfig")).unwrap();
    fs::write(world.sandbox.file("gitconfig"), settings.split("[user]").next().unwrap()).unwrap();
    let checkout = world.clone("anonymous");
    assert!(world.git(&checkout, &["config", "user.email"]).ends_with("@localhost"));
    write(&checkout, "<?php // by nobody\n");
    world.run(&checkout, &["commit", "-m", "by nobody"]);
}

#[test]
fn a_clone_that_fails_leaves_nothing() {
    let world = World::new();
    fs::remove_dir_all(world.bare().join("objects")).unwrap();
    let output = world.command(&world.here(), &["clone", URL]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).starts_with("forkpress: cloning into "), "{}", stderr(&output));
    assert!(stderr(&output).contains("forkpress: cannot clone http://wp.localhost:18080/site.git\ncaused by: "));
    assert!(!world.sandbox.file("site/.git").exists());
}

#[test]
fn a_clone_within_a_branch_of_a_site_is_refused() {
    let world = World::new();
    let layout = world.sandbox.bare_site();
    let content = world.sandbox.site().join("main/wp-content");
    fs::create_dir_all(&content).unwrap();
    fs::write(layout.cow().record(&BranchName::main()), "").unwrap();
    let said = world.refused(&content, &["clone", URL]);
    assert!(said.contains("lies in 'main' of the site"), "{said}");
    assert_eq!(fs::read_dir(&content).unwrap().count(), 0);
    let said = world.refused(&content, &["clone"]);
    assert!(said.contains("is not served\n\nhint: forkpress serve"), "{said}");
    // Beside the branches there is room.
    fs::create_dir(world.sandbox.site().join("checkouts")).unwrap();
    world.run(&world.sandbox.site(), &["clone", URL]);
    world.run(&world.sandbox.site(), &["clone", URL, "checkouts/one"]);
}

#[test]
fn a_commit_takes_everything_pushes_it_and_takes_over_what_the_site_made_of_it() {
    let world = World::new();
    let checkout = world.clone("site");
    // What a site does: it takes no change of the database.
    world.hook(
        &world.bare(),
        "post-receive",
        "unset GIT_QUARANTINE_PATH; export GIT_INDEX_FILE=normal; git read-tree main || exit 1
        git update-index --add --cacheinfo 100644,$(git rev-parse main~1:database.sql),database.sql || exit 1
        tree=$(git write-tree); git update-ref refs/heads/main $(git commit-tree $tree -p main -m normalised)",
    );
    write(&checkout, "<?php // two\n");
    fs::write(checkout.join("wordpress/new.php"), "new").unwrap();
    fs::write(checkout.join("database.sql"), "-- mine\n").unwrap();
    let said = world.run(&checkout.join("wordpress"), &["commit", "-m", "two"]);
    assert_eq!(said, "forkpress: committed and pushed to 'main'\nhttp://wp.localhost:18080/\n");
    world.is_clean(&checkout);
    assert_eq!(fs::read_to_string(checkout.join("database.sql")).unwrap(), "-- one\n");
    assert_eq!(world.git(&checkout, &["log", "--format=%s"]), "normalised\ntwo\none");
    assert_eq!(world.git(&checkout, &["rev-parse", "HEAD"]), world.git(&world.bare(), &["rev-parse", "main"]));
    assert_eq!(world.git(&world.bare(), &["show", "main:wordpress/new.php"]), "new");
}

#[test]
fn with_nothing_to_commit_what_is_not_pushed_is_pushed() {
    let world = World::new();
    let checkout = world.clone("site");
    let said = world.run(&world.here(), &["commit", "-m", "x", "site"]);
    assert_eq!(said, "forkpress: nothing to commit, and 'main' has everything\nhttp://wp.localhost:18080/\n");
    world.git(&checkout, &["commit", "-q", "--allow-empty", "-m", "by hand"]);
    let said = world.run(&checkout, &["commit", "-m", "x"]);
    assert!(said.starts_with("forkpress: nothing to commit; pushed to 'main' what was not there yet\n"), "{said}");

    world.git(&checkout, &["switch", "-q", "-c", "sale"]);
    let json: serde_json::Value =
        serde_json::from_str(&world.run(&checkout, &["commit", "-m", "x", "--json"])).unwrap();
    assert_eq!((&json["committed"], &json["pushed"]), (&false.into(), &true.into()));
    assert_eq!(json["url"], "http://sale.wp.localhost:18080/");
    assert_eq!(json["commit"], world.git(&world.bare(), &["rev-parse", "sale"]));
    assert_eq!(world.git(&checkout, &["rev-parse", "--abbrev-ref", "sale@{upstream}"]), "origin/sale");
}

#[test]
fn a_branch_that_follows_another_one_is_not_committed_to_that_one() {
    let world = World::new();
    let checkout = world.clone("site");
    world.git(&checkout, &["switch", "-q", "-c", "sale", "origin/main"]);
    write(&checkout, "<?php // sale\n");
    let said = world.refused(&checkout, &["commit", "-m", "sale"]);
    assert!(said.contains("'sale' follows another branch of the site, 'main'"), "{said}");
    assert_eq!(world.branches(), ["main"]);
    world.git(&checkout, &["branch", "--unset-upstream"]);
    world.run(&checkout, &["commit", "-m", "sale"]);
    assert_eq!(world.branches(), ["main", "sale"]);
}

#[test]
fn a_stale_commit_is_refused_and_goes_through_after_a_pull() {
    let world = World::new();
    let checkout = world.clone("site");
    world.change_on_site("main", "wordpress/theirs.php", "theirs");
    write(&checkout, "<?php // mine\n");
    let said = world.refused(&checkout, &["commit", "-m", "mine"]);
    assert!(said.contains("forkpress: the branch has changed on the site since the last pull"), "{said}");
    assert!(said.ends_with("\n\nhint: forkpress pull\n"), "{said}");
    fs::write(checkout.join("wordpress/unsaved.php"), "unsaved").unwrap();
    fs::write(checkout.join("wordpress/plugin/windows.php"), "changed").unwrap();
    assert_eq!(world.run(&checkout, &["pull"]), "forkpress: pulled 'main'\nhttp://wp.localhost:18080/\n");
    assert_eq!(world.git(&checkout, &["log", "--format=%s"]), "mine\non the site\none");
    assert_eq!(fs::read_to_string(checkout.join("wordpress/plugin/windows.php")).unwrap(), "changed");
    world.run(&checkout, &["commit", "-m", "rest"]);
    world.is_clean(&checkout);
    let json: serde_json::Value = serde_json::from_str(&world.run(&checkout, &["pull", "--json"])).unwrap();
    assert_eq!((&json["changed"], &json["unpushed"]), (&false.into(), &0.into()));
}

#[test]
fn a_conflict_names_the_files_and_what_to_type() {
    let world = World::new();
    let checkout = world.clone("site");
    world.change_on_site("main", "wordpress/index.php", "<?php // theirs\n");
    write(&checkout, "<?php // mine\n");
    world.refused(&checkout, &["commit", "-m", "mine"]);
    let said = world.refused(&checkout, &["pull"]);
    assert!(said.contains("what you committed conflicts with the site in wordpress/index.php"), "{said}");
    assert!(said.contains("git rebase --continue"), "{said}");
    // Nothing with conflict markers in it is committed.
    let said = world.refused(&checkout, &["commit", "-m", "x"]);
    assert!(said.contains("there are conflicts in wordpress/index.php"), "{said}");
    write(&checkout, "<?php // ours\n");
    world.git(&checkout, &["add", "-A"]);
    world.git(&checkout, &["-c", "core.editor=true", "rebase", "--continue"]);
    world.run(&checkout, &["commit", "-m", "x"]);

    world.change_on_site("main", "wordpress/index.php", "<?php // theirs again\n");
    write(&checkout, "<?php // not committed\n");
    let said = world.refused(&checkout, &["pull"]);
    assert!(said.contains("what you have not committed conflicts with it in wordpress/index.php"), "{said}");
    assert!(read(&checkout).contains("not committed") && read(&checkout).contains("theirs again"));
}

#[test]
fn what_the_site_refuses_is_told_in_its_words() {
    let world = World::new();
    let checkout = world.clone("site");
    world.hook(&world.bare(), "pre-receive", "echo 'this would leave no wp-load.php' >&2; exit 1");
    write(&checkout, "<?php // two\n");
    let output = world.command(&checkout, &["commit", "-m", "two", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["error"], "the site refused the push");
    assert_eq!(json["causes"][1], "this would leave no wp-load.php");
}

#[test]
fn a_branch_is_created_by_push_and_checked_out() {
    let world = World::new();
    let checkout = world.clone("site");
    let said = world.run(&checkout, &["git", "branch", "create", "sale"]);
    assert_eq!(said, "forkpress: created 'sale' from 'main', and switched to it\nhttp://sale.wp.localhost:18080/\n");
    write(&checkout, "<?php // sale\n");
    world.run(&checkout, &["commit", "-m", "sale"]);
    world.git(&checkout, &["switch", "-q", "main"]);
    world.run(&world.here(), &["git", "branch", "create", "sale-2", "--from", "sale", "site"]);
    assert_eq!(read(&checkout), "<?php // sale\n");
    assert!(world.refused(&checkout, &["git", "branch", "create", "sale"]).contains("has a branch 'sale' already"));
    world.git(&checkout, &["branch", "-q", "-D", "sale"]);
    let before = world.git(&world.bare(), &["rev-parse", "sale"]);
    world.command(&checkout, &["git", "branch", "create", "sale"]).output().unwrap();
    assert_eq!(world.git(&world.bare(), &["rev-parse", "sale"]), before, "one that is on the site is not moved");
    assert!(
        world.refused(&checkout, &["git", "branch", "create", "x", "--from", "none"]).contains("forkpress branch list")
    );
    assert_eq!(world.branches(), ["main", "sale", "sale-2"]);
}

#[test]
fn a_folder_that_is_no_checkout_is_refused() {
    let world = World::new();
    for arguments in [&["pull"][..], &["commit", "-m", "x"], &["git", "branch", "create", "x"], &["agents", "--remove"]]
    {
        let said = world.refused(&world.sandbox.site(), arguments);
        assert!(said.contains("is no checkout of a site"), "{said}");
    }
}

#[test]
fn agents_get_a_branch_and_a_worktree_each_and_numbers_go_on() {
    let world = World::new();
    let said = world.run(&world.here(), &["agents", "--count", "2", "--remote", URL]);
    let agents = fs::canonicalize(world.sandbox.file("agents")).unwrap();
    assert_eq!(
        said,
        format!(
            "agent-1  http://agent-1.wp.localhost:18080/  {0}/agent-1\n\
             agent-2  http://agent-2.wp.localhost:18080/  {0}/agent-2\n",
            agents.display()
        )
    );
    world.is_clean(&agents);
    assert_eq!(world.git(&agents, &["branch", "--show-current"]), "main");
    world.change_on_site("main", "wordpress/index.php", "<?php // two\n");
    world.git(&world.bare(), &["branch", "agent-7", "main"]);
    let json = world.run(&agents.join("agent-1"), &["agents", "--count", "3", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[2]["branch"], "agent-8", "from within a worktree, too, and after what is on the site");
    assert_eq!(json[2]["url"], "http://agent-8.wp.localhost:18080/");
    let worktree = agents.join("agent-8");
    assert_eq!(json[2]["worktree"], worktree.to_str().unwrap());
    assert_eq!(read(&worktree), "<?php // two\n");
    assert_eq!(world.git(&worktree, &["rev-parse", "--abbrev-ref", "@{upstream}"]), "origin/agent-8");
    write(&worktree, "<?php // three\n");
    world.run(&worktree, &["commit", "-m", "three"]);
    let said = world.refused(&world.here(), &["agents", "--count", "1", "--remote", "http://x.localhost/site.git"]);
    assert!(said.contains("is a checkout of http://wp.localhost:18080/site.git"), "{said}");
}

#[test]
fn agents_that_fail_take_back_what_they_made() {
    let world = World::new();
    world.hook(
        &world.bare(),
        "pre-receive",
        "read old new ref; [ \"$ref\" != refs/heads/agent-2 ] || { echo full >&2; exit 1; }",
    );
    let said = world.refused_or_failed(&["agents", "--count", "3", "--remote", URL]);
    assert!(said.contains("caused by: full"), "{said}");
    assert_eq!(world.branches(), ["main"]);
    assert!(!world.sandbox.file("agents").exists());

    // With a checkout that was there: the second worktree fails.
    let checkout = world.clone("site");
    world.hook(&checkout.join(".git"), "post-checkout", "case $PWD in *bot-2) exit 1;; esac");
    world.refused_or_failed(&["agents", "site", "--prefix", "bot", "--count", "3"]);
    assert_eq!(world.branches(), ["main"]);
    assert_eq!(world.git(&checkout, &["worktree", "list"]).lines().count(), 1);
    assert_eq!(world.git(&checkout, &["branch", "--all", "--list", "*bot*"]), "");
    assert!(!checkout.join("bot-1").exists());
    world.is_clean(&checkout);
}

#[test]
fn agents_that_are_interrupted_take_back_what_they_made() {
    let world = World::new();
    let fifo = world.sandbox.file("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // It meets the creation of agent-2, not its removal.
    let script =
        "read old new ref; case \"$old$ref\" in 0000000*agent-2) echo here >\"$FIFO.back\"; cat \"$FIFO\";; esac";
    world.hook(&world.bare(), "pre-receive", script);
    let back = world.sandbox.file("fifo.back");
    assert!(Command::new("mkfifo").arg(&back).status().unwrap().success());
    let mut command = world.command(&world.here(), &["agents", "--count", "3", "--remote", URL]);
    let child = command.env("FIFO", &fifo).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(fs::File::open(&back).unwrap()).read_line(&mut line).unwrap();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    fs::OpenOptions::new().write(true).open(&fifo).unwrap().write_all(b"go on\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(stderr(&output).contains("interrupted; what was made is removed again"), "{}", stderr(&output));
    assert_eq!(world.branches(), ["main"]);
    assert!(!world.sandbox.file("agents").exists());
}

#[test]
fn removing_agents_leaves_those_that_hold_work_and_names_them() {
    let world = World::new();
    world.run(&world.here(), &["agents", "--count", "8", "--remote", URL]);
    let agents = world.sandbox.file("agents");
    let agent = |number: u8| agents.join(format!("agent-{number}"));
    write(&agent(2), "<?php // changed\n");
    fs::write(agent(3).join("untracked.txt"), "").unwrap();
    world.git(&agent(4), &["commit", "-q", "--allow-empty", "-m", "not pushed"]);
    write(&agent(5), "<?php // pushed\n");
    world.run(&agent(5), &["commit", "-m", "pushed"]);
    world.change_on_site("agent-6", "wordpress/index.php", "<?php // in the browser\n");
    world.git(&agent(7), &["checkout", "-q", "--detach"]);
    world.git(&agent(7), &["commit", "-q", "--allow-empty", "-m", "on no branch"]);
    fs::remove_dir_all(agent(8)).unwrap();

    let said = world.refused(&world.here(), &["agents", "--remove"]);
    assert!(said.contains("6 of 8 agents hold work, and stay"), "{said}");
    for (number, why) in [
        (2, "not committed: wordpress/index.php"),
        (3, "not committed: untracked.txt"),
        (4, "commits that are not pushed: 1"),
        (5, "its branch on the site has changes that main has not: wordpress/index.php"),
        (6, "its branch on the site has changes that main has not: wordpress/index.php"),
        (7, "commits that are not pushed: 1"),
    ] {
        assert!(said.contains(&format!("caused by: agent-{number}: {why}\n")), "{said}");
        assert!(agent(number).is_dir());
    }
    let left: Vec<_> = (2..=7).map(|number| format!("agent-{number}")).chain(["main".to_owned()]).collect();
    assert_eq!(world.branches(), left);
    assert!(!agent(1).exists());

    // Thrown away, pushed and merged, or merged as it is.
    world.git(&agent(2), &["reset", "-q", "--hard"]);
    world.git(&agent(3), &["clean", "-q", "-f", "-d"]);
    world.git(&agent(4), &["reset", "-q", "--hard", "origin/agent-4"]);
    world.git(&agents, &["merge", "-q", "agent-5"]);
    world.run(&agents, &["commit", "-m", "x"]);
    world.git(&world.bare(), &["branch", "-q", "-D", "agent-6"]);
    world.git(&agent(7), &["switch", "-q", "agent-7"]);
    let json: serde_json::Value = serde_json::from_str(&world.run(&agents, &["agents", "--remove", "--json"])).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 6);
    assert_eq!(world.branches(), ["main"]);
    assert_eq!(world.git(&agents, &["branch", "--all", "--list", "*agent*"]), "");
    world.is_clean(&agents);
    assert!(world.run(&agents, &["agents", "--remove"]).starts_with("forkpress: no agent 'agent-...' in "));
}

impl World {
    /// Runs forkpress, which must fail, and gives what it says.
    fn refused_or_failed(&self, arguments: &[&str]) -> String {
        let output = self.command(&self.here(), arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "forkpress {arguments:?}: {}", stderr(&output));
        stderr(&output)
    }
}

/// Settings that change what git does, hides or asks, each of which somebody has.
const HOSTILE: &str = r#"
[core]
	autocrlf = true
	eol = crlf
	safecrlf = true
	excludesFile = HOME/ignore-all
	attributesFile = HOME/attributes
	hooksPath = HOME/hooks
	fsmonitor = HOME/hooks/nothing-changed
	ignoreStat = true
	pager = false
	editor = false
	askPass = false
	sshCommand = false
	commentChar = o
[status]
	showUntrackedFiles = no
	relativePaths = false
	short = true
[clone]
	defaultRemoteName = upstream
[checkout]
	defaultRemote = upstream
	guess = false
[init]
	templateDir = HOME/template
	defaultBranch = trunk
[branch]
	autoSetupMerge = false
	autoSetupRebase = always
	sort = -committerdate
[push]
	default = nothing
	followTags = true
	gpgSign = true
	recurseSubmodules = only
	pushOption = nobody-takes-this
[commit]
	gpgSign = true
	template = /nowhere/template
	cleanup = scissors
	verbose = true
[tag]
	gpgSign = true
[gpg]
	program = false
[pull]
	rebase = interactive
	ff = only
[rebase]
	autoSquash = true
	backend = apply
	updateRefs = true
	missingCommitsCheck = error
[merge]
	ff = false
	verifySignatures = true
	conflictStyle = zdiff3
[fetch]
	prune = true
	recurseSubmodules = true
	fsckObjects = true
[protocol]
	allow = never
[submodule]
	recurse = true
[diff]
	external = false
	noprefix = true
	relative = true
	orderFile = /nowhere/order
	renames = copies
	ignoreSubmodules = all
[color]
	ui = always
[column]
	ui = always
[log]
	showSignature = true
[i18n]
	commitEncoding = ISO-8859-1
[url "https://nowhere.invalid/"]
	insteadOf = http://
	pushInsteadOf = http://
[http]
	proxy = http://127.0.0.1:9
	extraHeader = "X-Hostile: yes"
[credential]
	helper = "!echo asked >>HOME/asked; false"
[worktree]
	guessRemote = true
"#;

/// Whoever runs forkpress has these settings, for all of their repositories and of their machine, and this environment.
fn make_hostile(world: &World) -> Vec<(&'static str, String)> {
    let home = world.sandbox.file("home");
    for dir in ["hooks", "template/hooks", "xdg/git"] {
        fs::create_dir_all(home.join(dir)).unwrap();
    }
    let hooks = ["pre-commit", "commit-msg", "post-commit", "post-checkout", "post-merge", "pre-push", "pre-rebase"];
    for hook in hooks.into_iter().chain(["reference-transaction", "post-index-change", "nothing-changed"]) {
        for path in [home.join("hooks").join(hook), home.join("template/hooks").join(hook)] {
            fs::write(&path, "#!/bin/sh\nexit 1\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    for file in ["ignore-all", "xdg/git/ignore"] {
        fs::write(home.join(file), "*\n").unwrap();
    }
    for file in ["attributes", "xdg/git/attributes"] {
        fs::write(home.join(file), "* text eol=crlf filter=gone\n").unwrap();
    }
    let settings = HOSTILE.replace("HOME", home.to_str().unwrap());
    fs::write(home.join("system"), &settings).unwrap();
    let own = fs::read_to_string(world.sandbox.file("gitconfig")).unwrap();
    for name in ["global", ".gitconfig"] {
        fs::write(home.join(name), format!("{settings}{own}")).unwrap();
    }
    let file = |name: &str| home.join(name).display().to_string();
    let mut environment = vec![
        ("HOME", file("")),
        ("XDG_CONFIG_HOME", file("xdg")),
        ("GIT_CONFIG_GLOBAL", file("global")),
        ("GIT_CONFIG_SYSTEM", file("system")),
        ("GIT_CONFIG_NOSYSTEM", "0".to_owned()),
        ("GIT_TEMPLATE_DIR", file("template")),
        ("GIT_CEILING_DIRECTORIES", world.here().display().to_string()),
    ];
    let others = [
        ("GIT_DIR", "/nowhere"),
        ("GIT_WORK_TREE", "/nowhere"),
        ("GIT_INDEX_FILE", "/nowhere/index"),
        ("GIT_OBJECT_DIRECTORY", "/nowhere/objects"),
        ("GIT_NAMESPACE", "x"),
        ("GIT_PREFIX", "x/"),
        ("GIT_EXEC_PATH", "/nowhere"),
        ("GIT_CONFIG", "/nowhere/config"),
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "status.showUntrackedFiles"),
        ("GIT_CONFIG_VALUE_0", "no"),
        ("GIT_CONFIG_PARAMETERS", "'core.bare'='true'"),
        ("GIT_TRACE", "1"),
        ("GIT_TRACE_CURL", "1"),
        ("GIT_EDITOR", "false"),
        ("GIT_SEQUENCE_EDITOR", "false"),
        ("GIT_ASKPASS", "false"),
        ("GIT_SSH_COMMAND", "false"),
        ("GIT_PAGER", "false"),
        ("GIT_DEFAULT_HASH", "sha256"),
        ("GIT_DEFAULT_REF_FORMAT", "reftable"),
        ("GIT_LITERAL_PATHSPECS", "1"),
        ("GIT_ALLOW_PROTOCOL", "none"),
        ("GIT_EXTERNAL_DIFF", "false"),
        ("LC_ALL", "de_DE.UTF-8"),
        ("LANGUAGE", "de"),
        ("http_proxy", "http://127.0.0.1:9"),
        ("all_proxy", "http://127.0.0.1:9"),
        ("EDITOR", "false"),
    ];
    environment.extend(others.map(|(name, value)| (name, value.to_owned())));
    environment
}

/// Runs every command around Git, and tells all that is to be seen of it, with nothing in it of the folder and the hour.
fn all_that_happens(hostile: bool) -> Vec<String> {
    let mut world = World::new();
    if hostile {
        world.environment = make_hostile(&world);
    }
    let (here, site) = (world.here(), world.sandbox.file("site"));
    fs::remove_dir(&site).unwrap();
    let agents = world.sandbox.file("agents");
    let mut seen = Vec::new();
    let mut see = |what: &str| {
        let lines: Vec<_> = what
            .replace(here.to_str().unwrap(), "HERE/")
            .replace("HERE//", "HERE/")
            .lines()
            .filter(|line| !line.contains("\"commit\": "))
            .map(str::to_owned)
            .collect();
        seen.push(lines.join("\n"));
    };
    let here = &world.here();
    let state = |checkout: &Path| {
        let git = |arguments: &[&str]| world.git(checkout, arguments);
        [
            git(&["status", "--porcelain=v2", "--branch", "--untracked-files=all"])
                .lines()
                .skip(1)
                .collect::<Vec<_>>()
                .join("\n"),
            git(&["log", "--all", "--date-order", "--format=%an %ae %G? %s"]),
            git(&["rev-parse", "HEAD^{tree}"]),
            git(&["branch", "--all", "--format=%(refname) %(upstream)"]),
            git(&["tag", "--list"]),
            world.git(&world.bare(), &["for-each-ref", "--format=%(refname) %(tree)"]),
        ]
        .join("\n")
    };

    world.run(here, &["clone", URL, "site"]);
    // What a person sets, and what they install, in this one checkout is meant.
    world.hook(&site.join(".git"), "pre-commit", "echo ran >>\"$(git rev-parse --git-common-dir)/pre-commit-ran\"");
    world.git(&site, &["tag", "-a", "-m", "a tag", "v1"]);
    see(&state(&site));
    fs::write(site.join("wordpress/new.php"), "<?php\r\n// new\n").unwrap();
    write(&site, "<?php\r\n// two\r\n");
    see(&world.run(&site, &["commit", "-m", "objects: änderung\n\n# no comment\n\n", "--json"]));
    see(&state(&site));
    assert_eq!(fs::read_to_string(site.join(".git/pre-commit-ran")).unwrap(), "ran\n");
    assert_eq!(world.git(&world.bare(), &["show", "main:wordpress/new.php"]), "<?php\r\n// new");
    see(&world.git(&world.bare(), &["cat-file", "-p", "main:wordpress/index.php"]));

    see(&world.run(&site, &["git", "branch", "create", "headline"]));
    see(&state(&site));
    fs::write(site.join("wordpress/headline.php"), "<?php\n").unwrap();
    see(&world.run(here, &["commit", "-m", "fixup! objects", "site"]));
    world.change_on_site("headline", "wordpress/index.php", "<?php // on the site\n");
    fs::write(site.join("wordpress/mine.php"), "<?php // mine\n").unwrap();
    write(&site, "<?php\r\n// two\r\n");
    world.git(&site, &["-c", "core.hooksPath=/dev/null", "commit", "-q", "--allow-empty", "-m", "fixup! objects"]);
    fs::write(site.join("wordpress/headline.php"), "<?php // not committed\n").unwrap();
    see(&world.run(&site, &["pull"]));
    see(&state(&site));
    world.run(&site, &["commit", "-m", "mine"]);
    see(&state(&site));

    see(&world.run(here, &["agents", "--count", "3", "--remote", URL]));
    see(&state(&agents));
    fs::write(agents.join("agent-1/wordpress/new.php"), "<?php // work\n").unwrap();
    write(&agents.join("agent-2"), "<?php // work\n");
    see(&world.refused(here, &["agents", "--remove"]));
    assert_eq!(fs::read_to_string(agents.join("agent-1/wordpress/new.php")).unwrap(), "<?php // work\n");
    see(&state(&agents));
    see(&world.run(&agents.join("agent-1"), &["commit", "-m", "work", "--json"]));
    see(&world.refused(here, &["agents", "--remove"]));
    see(&state(&agents));
    assert!(!world.sandbox.file("home/asked").exists(), "nobody was asked for a password");
    seen
}

#[test]
fn commands_do_the_same_whatever_settings_and_environment_a_person_has() {
    let (clean, hostile) = (all_that_happens(false), all_that_happens(true));
    for (clean, hostile) in clean.iter().zip(&hostile) {
        assert_eq!(hostile, clean);
    }
}

#[test]
fn a_checkout_that_hides_new_files_from_its_user_does_not_hide_them_from_us() {
    let world = World::new();
    world.run(&world.here(), &["agents", "--count", "1", "--remote", URL]);
    let (agents, work) = (world.sandbox.file("agents"), world.sandbox.file("agents/agent-1/wordpress/new.php"));
    world.git(&agents, &["config", "status.showUntrackedFiles", "no"]);
    fs::write(&work, "<?php // work\n").unwrap();
    let said = world.refused(&world.here(), &["agents", "--remove"]);
    assert!(said.contains("caused by: agent-1: not committed: wordpress/new.php\n"), "{said}");
    let said = world.run(&agents.join("agent-1"), &["commit", "-m", "work"]);
    assert!(said.starts_with("forkpress: committed and pushed to 'agent-1'\n"), "{said}");
    assert_eq!(world.git(&world.bare(), &["show", "agent-1:wordpress/new.php"]), "<?php // work");
}

#[test]
fn a_remote_may_have_another_name() {
    let world = World::new();
    world.run(&world.here(), &["clone", URL, "checkout", "--remote-name", "site"]);
    let checkout = world.sandbox.file("checkout");
    assert_eq!(world.git(&checkout, &["remote"]), "site");
    write(&checkout, "<?php // two\n");
    world.run(&checkout, &["commit", "-m", "two"]);
    world.git(&checkout, &["remote", "add", "again", URL]);
    write(&checkout, "<?php // three\n");
    world.run(&checkout, &["commit", "-m", "three", "--remote-name", "again"]);
    assert_eq!(world.git(&world.bare(), &["show", "main:wordpress/index.php"]), "<?php // three");
    assert_eq!(world.git(&checkout, &["rev-parse", "again/main"]), world.git(&world.bare(), &["rev-parse", "main"]));
    let said = world.refused(&checkout, &["commit", "-m", "x", "--remote-name", "nowhere"]);
    assert!(said.contains("has no remote 'nowhere'"), "{said}");

    world.run(&world.here(), &["agents", "checkout", "--count", "1", "--remote-name", "again"]);
    assert_eq!(world.git(&checkout.join("agent-1"), &["rev-parse", "--abbrev-ref", "@{upstream}"]), "again/agent-1");
    world.run(&checkout, &["agents", "--remove", "--remote-name", "again"]);
    world.run(&world.here(), &["agents", "fleet", "--count", "1", "--remote", URL, "--remote-name", "site"]);
    assert_eq!(
        world.git(&world.sandbox.file("fleet/agent-1"), &["rev-parse", "--abbrev-ref", "@{upstream}"]),
        "site/agent-1"
    );
    assert!(world.run(&world.sandbox.file("fleet"), &["agents", "--remove"]).starts_with("removed agent 'agent-1'"));
}

#[test]
fn agents_that_are_there_are_used_again_and_more_are_made_only_where_more_are_asked_for() {
    let world = World::new();
    let run = |arguments: &[&str]| {
        let output = world.command(&world.here(), arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        let said = String::from_utf8_lossy(&output.stdout);
        let names = said.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>();
        (names, stderr(&output))
    };
    let first = run(&["agents", "--count", "2", "--remote", URL]);
    assert_eq!(first.0, ["agent-1", "agent-2"]);
    let work = world.sandbox.file("agents/agent-1/wordpress/work.php");
    fs::write(&work, "<?php // work\n").unwrap();
    for again in [&["agents", "--count", "2"][..], &["agents"], &["agents", "--remote", URL]] {
        let (names, said) = run(again);
        assert_eq!(names, first.0, "{again:?}");
        assert_eq!(said, "forkpress: used again, as they are: 2 agents; new: 0\n");
    }
    assert_eq!(run(&["agents", "--count", "1"]).0, ["agent-1"]);
    let (names, said) = run(&["agents", "--count", "3"]);
    assert_eq!(names, ["agent-1", "agent-2", "agent-3"]);
    assert!(said.starts_with("forkpress: used again, as they are: 2 agents; new: 1\n"), "{said}");
    assert_eq!(fs::read_to_string(&work).unwrap(), "<?php // work\n");
    // One whose branch is gone is none, and its number is not used again.
    world.git(&world.bare(), &["branch", "-q", "-D", "agent-2"]);
    assert_eq!(run(&["agents"]).0, ["agent-1", "agent-3"]);
    assert_eq!(run(&["agents", "--count", "3"]).0, ["agent-1", "agent-3", "agent-4"]);
}

#[test]
fn git_is_passed_through_in_a_checkout_and_a_branch_is_shown_without_its_name() {
    let world = World::new();
    let checkout = world.clone("elsewhere");
    write(&checkout, "<?php // two\n");
    assert_eq!(world.run(&checkout, &["git", "status", "--porcelain"]), " M wordpress/index.php\n");
    assert_eq!(world.run(&checkout, &["git", "branch", "--show-current"]), "main\n");
    assert_eq!(world.run(&checkout, &["git", "config", "user.name"]), "Ann\n", "with the settings of its user");
    let output = world.command(&checkout, &["git", "rev-parse", "--verify", "nowhere"]).output().unwrap();
    assert_eq!(output.status.code(), Some(128), "its exit status");
    let said = world.run(&checkout, &["push", "-m", "two", "--remote-name", "origin"]);
    assert!(said.starts_with("forkpress: committed and pushed to 'main'"), "{said}");

    let site = world.sandbox.bare_site();
    for name in ["main", "shop"] {
        fs::create_dir_all(site.public_root().join(name).join("wp-content")).unwrap();
        let record = site.cow().record(&name.parse().unwrap());
        fs::write(record, "created_at = \"2026-11-22T17:25:46Z\"\ngeneration = 1\n").unwrap();
    }
    let inside = world.sandbox.site().join("shop/wp-content");
    for arguments in [&["branch", "show"][..], &["branch", "status"], &["branchctl", "status", "shop"]] {
        assert!(world.run(&inside, arguments).starts_with("forkpress cow branch shop\n"), "{arguments:?}");
    }
    let beside = world.sandbox.site();
    assert!(world.run(&beside, &["branch", "status"]).starts_with("main  "));
    assert!(world.refused(&beside, &["branch", "show"]).contains("the current folder belongs to no branch"));
    // A checkout within the site's folder is of the branch that it has checked out.
    let within = beside.join("checkout");
    fs::rename(&checkout, &within).unwrap();
    assert!(world.run(&within.join("wordpress"), &["branch", "show"]).starts_with("forkpress cow branch main\n"));
    world.git(&within, &["switch", "-q", "-c", "shop"]);
    assert!(world.run(&within, &["branch", "show"]).starts_with("forkpress cow branch shop\n"));
}

#[test]
fn where_a_site_does_not_say_its_name_no_address_is_made_up() {
    let world = World::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    // Somebody else's server; and, when it is gone, none.
    let other = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        client.write_all(b"HTTP/1.0 200 OK\r\nX-ForkPress-Root-Host: a/b\r\n\r\nhello").unwrap();
    });
    let url = format!("http://127.0.0.1:{port}/site.git");
    let settings = fs::read_to_string(world.sandbox.file("gitconfig")).unwrap();
    fs::write(world.sandbox.file("gitconfig"), settings.replace(URL, &url)).unwrap();
    for name in ["one", "two"] {
        let output = world.command(&world.here(), &["clone", &url, name, "--json"]).output().unwrap();
        let made: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(made["url"], serde_json::Value::Null);
        assert!(stderr(&output).contains("does not say under which host name"), "{}", stderr(&output));
    }
    other.join().unwrap();
    let said = world.run(&world.here(), &["agents", "one", "--count", "1"]);
    assert!(said.starts_with("agent-1  -  "), "{said}");
}
