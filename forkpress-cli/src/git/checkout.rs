//! A checkout of a site: what is checked out, and to which site it belongs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use forkpress_core::name::BranchName;

use super::{Remote, failed, outcome, run};
use crate::failure::{During, Failure};

/// A folder in a checkout.
#[derive(Clone, Debug)]
pub struct Checkout {
    dir: PathBuf,
    settings: CheckoutSettings,
}

/// What is checked out, and what is not committed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The commit; none before the first.
    pub commit: Option<String>,
    /// The local branch; none where a commit is checked out, as during a rebase.
    pub branch: Option<String>,
    /// Whether the branch's upstream has been fetched or pushed.
    pub is_tracked: bool,
    /// How many commits the upstream does not have, as of the last fetch or push.
    pub ahead: usize,
    /// Paths that differ from the commit.
    pub changed: Vec<String>,
    /// Paths that git does not know, and does not ignore.
    pub untracked: Vec<String>,
    /// Paths with a conflict.
    pub unmerged: Vec<String>,
}

/// The settings of branches and remotes, by their full name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct CheckoutSettings(BTreeMap<String, String>);

impl Checkout {
    /// The checkout that `dir` lies in. Refuses what is none.
    pub fn open(dir: &Path) -> Result<Self, Failure> {
        let mut command =
            super::command(dir, ["config", "-z", "--get-regexp", r"^(branch|remote)\..*\.(remote|merge|url)$"]);
        let output = outcome(&mut command)?;
        let settings = CheckoutSettings::parse(&output.stdout);
        if settings.0.is_empty() {
            let what = format!("{} is no checkout of a site", dir.display());
            return Err(Failure::new(what).hint("forkpress clone, then name the folder that it makes or go into it"));
        }
        Ok(Self { dir: dir.to_owned(), settings })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Runs git in it, which must succeed, and gives its standard output.
    pub fn git(&self, arguments: &[&str]) -> Result<String, Failure> {
        run(&self.dir, arguments)
    }

    /// What is checked out, and what is not committed.
    pub fn head(&self) -> Result<Head, Failure> {
        Head::read(&self.dir)
    }

    /// The name of the remote that a local branch belongs to: what its settings say, else `origin`, else the only one.
    pub fn remote_name(&self, branch: &str) -> Result<&str, Failure> {
        let own = self.settings.get(&format!("branch.{branch}.remote"));
        own.or_else(|| self.settings.remotes().find(|name| *name == "origin"))
            .or_else(|| self.settings.remotes().next().filter(|_| self.settings.remotes().count() == 1))
            .ok_or_else(|| {
                Failure::new(format!("{} has no remote 'origin'", self.dir.display()))
                    .hint(format!("git remote add origin {}", Remote::example()))
            })
    }

    /// A remote that the checkout has.
    pub fn known_remote<'name>(&self, name: &'name str) -> Result<&'name str, Failure> {
        let is_known = self.settings.remotes().any(|known| known == name);
        is_known.then_some(name).ok_or_else(|| {
            Failure::new(format!("{} has no remote '{name}'", self.dir.display()))
                .hint(format!("git remote add {name} {}", Remote::example()))
        })
    }

    /// The address of a remote.
    pub fn url(&self, name: &str) -> Option<&str> {
        self.settings.get(&format!("remote.{name}.url"))
    }

    /// The site that a remote is the repository of, where it is one.
    pub fn remote(&self, name: &str) -> Option<Remote> {
        Remote::parse(self.url(name)?)
    }

    /// The name on the site of the branch that a local branch follows, if it follows one.
    pub fn upstream(&self, branch: &str) -> Option<&str> {
        self.settings.get(&format!("branch.{branch}.remote"))?;
        self.settings.get(&format!("branch.{branch}.merge"))?.strip_prefix("refs/heads/")
    }
}

impl Head {
    /// What is checked out in `dir`.
    pub fn read(dir: &Path) -> Result<Self, Failure> {
        let mut command = super::command(dir, ["status", "--porcelain=v2", "--branch", "--no-renames", "-z"]);
        let output = outcome(&mut command)?;
        if output.status.success() { Ok(Self::parse(&output.stdout)) } else { Err(failed(&command, &output)) }
    }

    /// Reads what `git status --porcelain=v2 --branch --no-renames -z` says.
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut head = Self::default();
        for entry in text.split('\0') {
            // The fields before the path, which may hold spaces.
            let path = |fields: usize| entry.splitn(fields + 1, ' ').nth(fields).unwrap_or_default().to_owned();
            match entry.split_once(' ').unwrap_or_default() {
                ("#", header) => match header.split_once(' ').unwrap_or_default() {
                    ("branch.oid", commit) if commit != "(initial)" => head.commit = Some(commit.to_owned()),
                    ("branch.head", branch) if branch != "(detached)" => head.branch = Some(branch.to_owned()),
                    ("branch.ab", counts) => {
                        head.is_tracked = true;
                        let ahead = counts.split(' ').next().and_then(|count| count.strip_prefix('+'));
                        head.ahead = ahead.and_then(|count| count.parse().ok()).unwrap_or_default();
                    }
                    _ => {}
                },
                ("1", _) => head.changed.push(path(8)),
                ("u", _) => head.unmerged.push(path(10)),
                ("?", path) => head.untracked.push(path.to_owned()),
                _ => {}
            }
        }
        head
    }

    /// Whether everything is committed.
    pub fn is_clean(&self) -> bool {
        self.changed.is_empty() && self.untracked.is_empty() && self.unmerged.is_empty()
    }

    /// The branch that is checked out, and can be committed to.
    pub fn branch(&self) -> Result<BranchName, Failure> {
        if !self.unmerged.is_empty() {
            let next = if self.branch.is_some() { "" } else { ", git rebase --continue (or git rebase --abort)" };
            return Err(Failure::new(format!("there are conflicts in {}", listed(&self.unmerged)))
                .hint(format!("fix the files, then: git add FILE...{next}")));
        }
        let Some(branch) = &self.branch else {
            return Err(Failure::new("no branch is checked out")
                .hint("git switch BRANCH; within a rebase: git rebase --continue (or git rebase --abort)"));
        };
        let name = branch.parse::<BranchName>().during(|| format!("'{branch}' can't be a branch of a site"))?;
        Ok(name)
    }
}

/// Some paths, for a message.
pub fn listed(paths: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown = paths.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if paths.len() > SHOWN { format!("{shown} and {} more", paths.len() - SHOWN) } else { shown }
}

impl CheckoutSettings {
    /// Reads what `git config -z --get-regexp` says. Of what is set several times, the last counts.
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let entries = text.split('\0').filter_map(|entry| entry.split_once('\n'));
        Self(entries.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn remotes(&self) -> impl Iterator<Item = &str> {
        self.0.keys().filter_map(|name| name.strip_prefix("remote.")?.strip_suffix(".url"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkout(settings: &str) -> Checkout {
        Checkout { dir: "/x".into(), settings: CheckoutSettings::parse(settings.as_bytes()) }
    }

    #[test]
    fn the_head_is_read_with_paths_as_they_are() {
        let head = Head::parse(
            b"# branch.oid 1234\0# branch.head sale\0# branch.upstream origin/sale\0# branch.ab +2 -1\0\
              1 .M N... 100644 100644 100644 aa bb wordpress/a b.php\0\
              u UU N... 1 2 3 4 aa bb cc wordpress/new\nline\0? wordpress/x y\0",
        );
        let expected = Head {
            commit: Some("1234".to_owned()),
            branch: Some("sale".to_owned()),
            is_tracked: true,
            ahead: 2,
            changed: vec!["wordpress/a b.php".to_owned()],
            untracked: vec!["wordpress/x y".to_owned()],
            unmerged: vec!["wordpress/new\nline".to_owned()],
        };
        assert_eq!(head, expected);
        assert!(!head.is_clean());
    }

    #[test]
    fn only_a_branch_without_conflicts_can_be_committed_to() {
        let on = |branch: &str| Head { branch: Some(branch.to_owned()), ..Head::default() };
        assert_eq!(on("sale").branch().unwrap().as_str(), "sale");
        assert!(on("feature/x").branch().unwrap_err().to_string().contains("can't be a branch of a site"));
        assert!(Head::parse(b"# branch.oid (initial)\0# branch.head (detached)\0").branch().is_err());
        let conflict = Head { unmerged: vec!["a".to_owned()], ..on("sale") };
        assert!(!conflict.branch().unwrap_err().to_string().contains("rebase"));
        let in_rebase = Head { branch: None, ..conflict };
        assert!(in_rebase.branch().unwrap_err().to_string().contains("git rebase --continue"));
    }

    #[test]
    fn a_branch_belongs_to_the_remote_of_its_own_or_to_origin() {
        let here = checkout(
            "remote.origin.url\nhttp://wp.localhost:18080/site.git\0remote.other.url\n/x\0\
             branch.main.remote\norigin\0branch.main.merge\nrefs/heads/main\0branch.a.b.remote\nother\0",
        );
        assert_eq!(here.remote_name("main").unwrap(), "origin");
        assert_eq!(here.remote_name("new").unwrap(), "origin");
        assert_eq!(here.remote_name("a.b").unwrap(), "other");
        assert_eq!(here.upstream("main"), Some("main"));
        assert_eq!(here.upstream("new"), None);
        assert_eq!(here.remote("origin").unwrap().to_string(), "http://wp.localhost:18080/site.git");
        assert_eq!(here.remote("other"), None);
        assert_eq!(checkout("remote.only.url\n/x\0").remote_name("x").unwrap(), "only");
        assert!(checkout("remote.a.url\n/x\0remote.b.url\n/y\0").remote_name("x").is_err());
    }

    #[test]
    fn a_message_names_a_few_paths() {
        let paths = ["a", "b", "c", "d", "e"].map(str::to_owned);
        assert_eq!(listed(&paths[..2]), "a, b");
        assert_eq!(listed(&paths), "a, b, c and 2 more");
    }
}
