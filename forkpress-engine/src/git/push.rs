//! What a push may do: which updates, which paths, which symlinks. Pure: nothing here looks at a disk.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::paths::is_in_view;
use crate::bounds::TooMuch;
use forkpress_core::name::BranchName;
use forkpress_core::reserved;

/// The folder of a checkout that has the branch's files.
pub const FILES_DIR: &str = "wordpress";

/// The name of an object: so many hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectId(String);

impl ObjectId {
    /// Takes a name of an object as Git writes it; none where it is all zeros, which stands for no object, or no name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_name = matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_name && text.bytes().any(|byte| byte != b'0')).then(|| Self(text.to_owned()))
    }

    /// As Git writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As people write it.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..10]
    }
}

/// A ref, and what it is to change from and to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The ref, in full.
    pub reference: String,
    /// What the pusher saw there; none where there was no such ref.
    pub old: Option<ObjectId>,
    /// What is to be there; none where the ref is to go.
    pub new: Option<ObjectId>,
}

/// What a push asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushRequest {
    /// The branch is to go.
    Delete {
        /// The branch.
        name: BranchName,
        /// The commit that the pusher saw there; none where there was no such branch.
        old: Option<ObjectId>,
    },
    /// The branch is to have the files of a commit.
    Put {
        /// The branch.
        name: BranchName,
        /// The commit that the pusher saw there; none where there was no such branch.
        old: Option<ObjectId>,
        /// The commit.
        new: ObjectId,
    },
}

/// Why a push is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PushRefusal {
    /// Branches change one at a time.
    #[error("ForkPress accepts one branch update per push")]
    Several,
    /// A tag, a note, or another ref that is no branch.
    #[error("only branches can be pushed, and {0} is none")]
    NotABranch(String),
    /// The name of the ref is no name of a branch.
    #[error("unsupported COW branch name '{0}'")]
    Name(String),
    /// `main` always exists.
    #[error("refusing to delete the main COW branch")]
    DeleteMain,
    /// The branch of an old commit has been deleted since.
    #[error("the branch has been deleted meanwhile")]
    Deleted,
    /// The branch that is to go is not what the pusher saw.
    #[error("the branch has changed meanwhile")]
    Changed,
    /// The pusher does not know the branch that there is.
    #[error("the branch exists already")]
    Exists,
    /// The commit does not descend from what the pusher saw.
    #[error("a forced push would throw away what the branch has")]
    Forced,
    /// What the pusher saw is no state of the branch that there is.
    #[error("the branch has been replaced meanwhile")]
    Replaced,
    /// The commit has nothing in common with any branch.
    #[error("the commit descends from no branch of this site")]
    Unrelated,
    /// What was pushed is no commit.
    #[error("only commits can be pushed to a branch")]
    NotACommit,
    /// There would be no WordPress.
    #[error("the push would leave no wordpress/wp-load.php")]
    NoWordPress,
    /// The files have changed in the branch, too.
    #[error("changed in the branch meanwhile: {0}")]
    Stale(String),
    /// A path leads out of the branch or into Git's or ForkPress's own folders.
    #[error("no file can be put at {0}")]
    Path(String),
    /// A repository in the repository has no files to put into a branch.
    #[error("{0} is a submodule")]
    Submodule(String),
    /// A few bytes become too many.
    #[error("the push has {0}")]
    TooMuch(TooMuch),
    /// PHP would follow the symlink.
    #[error("the symlink {0} leads out of the branch")]
    Symlink(String),
}

impl PushRefusal {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Several => Some("push one branch after the other: git push origin BRANCH"),
            Self::Name(_) => Some("use 1 to 63 lower-case letters, digits, '-' or '_', and no name that hosts reserve"),
            Self::Exists | Self::Replaced => Some("git fetch, then rebase onto the branch and push again"),
            Self::Forced => Some("git pull --rebase, then push without --force; forkpress undo takes a push back"),
            Self::Changed => Some("git fetch, look at what is new in it, then delete it again"),
            Self::Deleted => Some("git fetch --prune; to make it anew, push again"),
            Self::Unrelated => Some("git fetch, then rebase onto a branch of the site and push again"),
            Self::Stale(_) => Some("git pull --rebase, then push again"),
            Self::Submodule(_) => Some("add its files instead: git rm --cached PATH, remove its .git, git add PATH"),
            Self::Symlink(_) => Some("put the files themselves into the branch, or link to what is inside it"),
            Self::Path(_) => {
                Some("no file may be outside of wordpress/, nor have a name like .git or .forkpress on its way")
            }
            Self::TooMuch(why) => Some(why.hint()),
            Self::NotABranch(_) | Self::DeleteMain | Self::NotACommit | Self::NoWordPress => None,
        }
    }
}

/// Decides what a push asks for.
///
/// # Errors
/// [`PushRefusal::Several`] when it is not one update; [`PushRefusal::NotABranch`], [`PushRefusal::Name`] and
/// [`PushRefusal::DeleteMain`] when it is none that a branch can have.
pub fn decide(updates: &[Update]) -> Result<PushRequest, PushRefusal> {
    let [update] = updates else { return Err(PushRefusal::Several) };
    let Some(name) = update.reference.strip_prefix("refs/heads/") else {
        return Err(PushRefusal::NotABranch(update.reference.clone()));
    };
    let name = BranchName::parse(name).map_err(|_| PushRefusal::Name(name.to_owned()))?;
    match &update.new {
        Some(new) => Ok(PushRequest::Put { name, old: update.old.clone(), new: new.clone() }),
        None if name.is_main() => Err(PushRefusal::DeleteMain),
        None => Ok(PushRequest::Delete { name, old: update.old.clone() }),
    }
}

/// What a pushed tree has at a path, or had before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// What kind it is.
    pub mode: EntryMode,
    /// Its bytes, or what the symlink says.
    pub id: ObjectId,
}

/// What kind an entry of a tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryMode {
    /// A file.
    File,
    /// A file that may be run.
    Program,
    /// A symlink.
    Symlink,
    /// A commit of another repository.
    Submodule,
}

impl EntryMode {
    /// Reads the mode of an entry of a tree; none where it is no file's.
    pub(super) fn parse(mode: u32) -> Option<Self> {
        match mode & 0o170_000 {
            0o100_000 if mode & 0o100 != 0 => Some(Self::Program),
            0o100_000 => Some(Self::File),
            0o120_000 => Some(Self::Symlink),
            0o160_000 => Some(Self::Submodule),
            _ => None,
        }
    }

    /// As Git writes it.
    pub(crate) fn octal(self) -> &'static str {
        match self {
            Self::File => "100644",
            Self::Program => "100755",
            Self::Symlink => "120000",
            Self::Submodule => "160000",
        }
    }
}

/// A path in which two trees differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// From the root of the trees, as it is in them.
    pub path: PathBuf,
    /// What the one tree has there.
    pub before: Option<Blob>,
    /// What the other one has there.
    pub after: Option<Blob>,
}

/// Reads a line of what `git diff-tree -r -z --raw --no-renames --no-abbrev` says, which stands before `path`; none where that
/// makes no sense.
#[must_use]
pub fn parse_difference(line: &[u8], path: &[u8]) -> Option<Difference> {
    let line = std::str::from_utf8(line.strip_prefix(b":")?).ok()?;
    let [old_mode, new_mode, old, new, _status] = *line.split(' ').collect::<Vec<_>>() else { return None };
    let path = PathBuf::from(OsStr::from_bytes(path));
    Some(Difference { path, before: parse_blob(old_mode, old)?, after: parse_blob(new_mode, new)? })
}

fn parse_blob(mode: &str, id: &str) -> Option<Option<Blob>> {
    match u32::from_str_radix(mode, 8).ok()? {
        0 => Some(None),
        mode => Some(Some(Blob { mode: EntryMode::parse(mode)?, id: ObjectId::parse(id)? })),
    }
}

/// Where in a branch a path of a pushed tree lies; none where the path is no part of the branch's files: then a push
/// of it changes nothing.
///
/// # Errors
/// [`PushRefusal::Path`] when it leads out of the branch, or into Git's or ForkPress's own folders.
pub fn place(path: &Path) -> Result<Option<PathBuf>, PushRefusal> {
    let refused = || Err(PushRefusal::Path(path.display().to_string()));
    let components: Vec<&[u8]> = path.as_os_str().as_bytes().split(|byte| *byte == b'/').collect();
    if components.contains(&&b".."[..]) {
        return refused();
    }
    let plain: Vec<&[u8]> = components.iter().copied().filter(|component| !matches!(*component, b"" | b".")).collect();
    if plain.first() != Some(&FILES_DIR.as_bytes()) {
        return Ok(None);
    }
    if plain.iter().any(|component| reserved::is_git(component) || reserved::is_forkpress(component)) {
        return refused();
    }
    let inside: PathBuf = plain[1..].iter().map(|component| OsStr::from_bytes(component)).collect();
    if !is_in_view(&inside) {
        return Ok(None);
    }
    if plain.len() != components.len() || plain.len() == 1 { refused() } else { Ok(Some(inside)) }
}

/// Whether a symlink stays inside the branch wherever the folders that it names lead: `link` is its path in the branch.
///
/// Only leading `..` count up: they start from the link's own folder, which is no symlink. After a name, which may be
/// one, they would lead nobody knows where.
#[must_use]
pub fn stays_inside(link: &Path, target: &[u8]) -> bool {
    let depth = link.components().count() - 1;
    let mut components = target.split(|byte| *byte == b'/').filter(|component| !matches!(*component, b"" | b"."));
    let ups = components.by_ref().take_while(|component| *component == b"..").count();
    // The first name was taken, too.
    !target.is_empty() && !target.starts_with(b"/") && ups <= depth && components.all(|component| component != b"..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: char) -> ObjectId {
        ObjectId::parse(&digit.to_string().repeat(40)).unwrap()
    }

    fn update(reference: &str, old: Option<char>, new: Option<char>) -> Update {
        Update { reference: reference.to_owned(), old: old.map(id), new: new.map(id) }
    }

    #[test]
    fn a_push_is_one_update_of_one_branch() {
        let put = update("refs/heads/x", None, Some('1'));
        let decided = PushRequest::Put { name: "x".parse().unwrap(), old: None, new: id('1') };
        assert_eq!(decide(std::slice::from_ref(&put)), Ok(decided));
        assert_eq!(decide(&[]), Err(PushRefusal::Several));
        assert_eq!(decide(&[put, update("refs/heads/y", None, Some('1'))]), Err(PushRefusal::Several));
        let gone = decide(&[update("refs/heads/x", Some('1'), None)]);
        assert_eq!(gone, Ok(PushRequest::Delete { name: "x".parse().unwrap(), old: Some(id('1')) }));
        assert_eq!(decide(&[update("refs/heads/main", Some('1'), None)]), Err(PushRefusal::DeleteMain));
        for reference in ["refs/tags/v1", "refs/notes/x", "refs/forkpress/x", "refs/headsx", "HEAD"] {
            let refused = decide(&[update(reference, None, Some('1'))]);
            assert_eq!(refused, Err(PushRefusal::NotABranch(reference.to_owned())));
        }
        for name in ["", "a/b", "Upper", "www", "-x", "x.lock", "ä", "a b", "a..b"] {
            let refused = decide(&[update(&format!("refs/heads/{name}"), None, Some('1'))]);
            assert_eq!(refused, Err(PushRefusal::Name(name.to_owned())));
            assert_eq!(decide(&[update(&format!("refs/heads/{name}"), Some('1'), None)]), refused);
        }
    }

    #[test]
    fn only_the_files_of_a_branch_are_pushed_and_they_stay_in_it() {
        for (path, inside) in [
            ("wordpress/index.php", Some("index.php")),
            ("wordpress/a/b\n", Some("a/b\n")),
            ("wordpress/...", Some("...")),
            ("wordpress/.github/x", Some(".github/x")),
            ("wordpress/.gitignore", Some(".gitignore")),
            ("wordpress/forkpress/x", Some("forkpress/x")),
            ("wordpress/wp-content/databases/x", Some("wp-content/databases/x")),
            ("wordpress/wp-content/database/.ht.sqlite", None),
            ("wordpress/./wp-content/database/.ht.sqlite", None),
            ("wordpress/wp-content/./database/x", None),
            ("wordpress/wp-content/database", None),
            ("wordpress/wp-content/Database/x", None),
            ("wordpress/wp-config.php.bak", None),
            ("database.sql", None),
            ("README", None),
            ("wordpresses/x", None),
        ] {
            assert_eq!(place(Path::new(path)), Ok(inside.map(PathBuf::from)), "{path}");
        }
        for path in [
            "wordpress/../x",
            "../x",
            "wordpress/a/..",
            "wordpress/./x",
            "wordpress",
            "wordpress/.git/config",
            "wordpress/a/.GIT/config",
            "wordpress/.git./config",
            "wordpress/.git ",
            "wordpress/GIT~1/config",
            "wordpress/.g\u{200c}it/config",
            "wordpress/.git::$INDEX_ALLOCATION/config",
            "wordpress/.forkpress",
            "wordpress/wp-content/.ForkPress/site.toml",
            "wordpress/wp-content/database/.forkpress./site.toml",
            "wordpress/FORKPR~1/site.toml",
        ] {
            assert!(matches!(place(Path::new(path)), Err(PushRefusal::Path(_))), "{path}");
        }
    }

    #[test]
    fn a_symlink_never_leads_out_of_the_branch() {
        for (link, target) in [
            ("a", "b"),
            ("a", "b/c"),
            ("a/b", "../c"),
            ("a/b/c", "../../d/e"),
            ("a/b", "./../c"),
            ("a/b", ".."),
            ("a", "."),
            ("a", "..."),
        ] {
            assert!(stays_inside(Path::new(link), target.as_bytes()), "{link} -> {target}");
        }
        for (link, target) in [
            ("a", "/etc/passwd"),
            ("a", ".."),
            ("a", "../x"),
            ("a/b", "../../x"),
            ("a/b", "c/../../../x"),
            // `c` may be a symlink to a folder higher up.
            ("a/b", "c/.."),
            ("a/b", "../c/../../x"),
            ("a", ""),
        ] {
            assert!(!stays_inside(Path::new(link), target.as_bytes()), "{link} -> {target}");
        }
    }

    #[test]
    fn differences_are_read_as_git_writes_them() {
        let (a, b, none) = ("1".repeat(40), "2".repeat(40), "0".repeat(40));
        let parse = |line: &str, path: &str| parse_difference(line.as_bytes(), path.as_bytes());
        let blob = |mode, digit| Some(Blob { mode, id: id(digit) });
        for (line, path, before, after) in [
            (
                format!(":100644 100755 {a} {b} M"),
                "wordpress/a b",
                blob(EntryMode::File, '1'),
                blob(EntryMode::Program, '2'),
            ),
            (format!(":000000 120000 {none} {a} A"), "c\nd", None, blob(EntryMode::Symlink, '1')),
            (format!(":160000 000000 {a} {none} D"), "e", blob(EntryMode::Submodule, '1'), None),
        ] {
            assert_eq!(parse(&line, path), Some(Difference { path: path.into(), before, after }));
        }
        for garbage in ["x", ":100644 100644", "", &format!(":100644 100755 {a} {none} M")] {
            assert_eq!(parse(garbage, "x"), None, "{garbage}");
        }
    }
}
