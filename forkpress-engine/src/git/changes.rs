//! What differs between two trees of files, as Git sees it.

use std::iter;
use std::ops::Range;

use serde::Serialize;

use super::repository::{Repository, RepositoryError, run, run_with};

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileStatus {
    /// It is new.
    Added,
    /// It is gone.
    Deleted,
    /// Its contents or its mode changed.
    Modified,
    /// It has another path, and perhaps other contents.
    Renamed,
    /// It became a symlink, or was one.
    Retyped,
}

impl FileStatus {
    /// Git's letter for it.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Added => 'A',
            Self::Deleted => 'D',
            Self::Modified => 'M',
            Self::Renamed => 'R',
            Self::Retyped => 'T',
        }
    }
}

/// A file that is not the same in two trees.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// What became of it.
    pub status: FileStatus,
    /// Where it is, or was if it is gone. What is no text is shown as well as can be.
    pub path: String,
    /// Where it was, if it was renamed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// How many lines came and went; none of a binary file.
    pub lines: Option<Lines>,
    /// How large a binary file was and is; none of a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Bytes>,
    /// Its mode before and after, where that changed: `100644`, `100755`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modes: Option<(String, String)>,
    /// The outermost folder that came, went or was renamed as a whole with this file in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// The change as a patch, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
}

/// How many lines a change has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Lines {
    /// Those that came.
    pub added: u64,
    /// Those that went.
    pub removed: u64,
}

impl iter::Sum for Lines {
    fn sum<I: Iterator<Item = Self>>(lines: I) -> Self {
        lines.fold(Self::default(), |sum, lines| Self {
            added: sum.added + lines.added,
            removed: sum.removed + lines.removed,
        })
    }
}

/// How large a file was and is; none where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bytes {
    /// Before.
    pub before: Option<u64>,
    /// After.
    pub after: Option<u64>,
}

/// Gives what differs between two trees, in the order of the paths. `paths`: only these files, and those in these folders;
/// all if there are none.
pub(crate) fn changes(
    repository: &Repository,
    base: &str,
    source: &str,
    paths: &[String],
    with_patch: bool,
) -> Result<Vec<FileChange>, RepositoryError> {
    let diff = |options: &[&str]| {
        let mut command = repository.command();
        command.args(["--literal-pathspecs", "diff-tree", "-r", "-M", "--no-abbrev"]).args(options);
        run(command.args([base, source, "--"]).args(paths))
    };
    let mut entries = entries(&diff(&["-t", "-z", "--raw", "--numstat"])?);
    measure(repository, &mut entries)?;
    if with_patch && !entries.is_empty() {
        let text = diff(&["--patch"])?;
        let mut patches = patches(&String::from_utf8_lossy(&text)).into_iter();
        for ChangedFile { change, .. } in &mut entries {
            // What became something else goes and comes.
            let length = if change.status == FileStatus::Retyped { 2 } else { 1 };
            change.patch = Some(patches.by_ref().take(length).collect());
        }
    }
    Ok(entries.into_iter().map(|entry| entry.change).collect())
}

/// From how many files on a folder that came or went as a whole is one line.
const FOLDED: usize = 4;

/// A line of a list of files: one file, or all in a folder that came, went or was renamed as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileLine<'f> {
    /// What people read: a path, or from which path to which one. A folder ends in `/`.
    pub name: String,
    /// The files, at least one.
    pub files: &'f [FileChange],
    /// Whether it is a folder.
    pub is_folder: bool,
}

impl FileLine<'_> {
    /// What became of it.
    #[must_use]
    pub fn status(&self) -> FileStatus {
        self.files[0].status
    }

    /// How many lines came and went in all of it.
    #[must_use]
    pub fn lines(&self) -> Lines {
        self.files.iter().filter_map(|file| file.lines).sum()
    }
}

/// The lines of a list of files. `asked`: what somebody asked for by its name is not hidden in a folder.
#[must_use]
pub fn lines<'f>(files: &'f [FileChange], asked: &[String]) -> Vec<FileLine<'f>> {
    let is_one = |one: &FileChange, next: &FileChange| {
        one.folder.is_some() && one.folder == next.folder && one.status == next.status
    };
    let is_asked_for = |folder: &str| asked.iter().any(|asked| asked.starts_with(folder));
    let mut lines = Vec::new();
    for group in files.chunk_by(is_one) {
        let folder = group[0].folder.as_deref().filter(|folder| group.len() >= FOLDED && !is_asked_for(folder));
        match folder {
            Some(folder) => {
                lines.push(FileLine { name: folder_name(&group[0], folder), files: group, is_folder: true })
            }
            None => lines.extend(group.iter().map(|file| FileLine {
                name: match &file.from {
                    Some(from) => format!("{from} -> {}", file.path),
                    None => file.path.clone(),
                },
                files: std::slice::from_ref(file),
                is_folder: false,
            })),
        }
    }
    lines
}

/// What a folder is called, by one of the files in it.
fn folder_name(file: &FileChange, folder: &str) -> String {
    let from = file.from.as_deref().and_then(|from| from.strip_suffix(file.path.strip_prefix(folder)?));
    match from {
        Some(from) => format!("{from}/ -> {folder}/"),
        None => format!("{folder}/"),
    }
}

/// Gives patches to those files that have a line of their own among some lines.
pub(crate) fn add_patches(
    repository: &Repository,
    base: &str,
    source: &str,
    files: &mut [FileChange],
    asked: &[String],
    some: Range<usize>,
) -> Result<(), RepositoryError> {
    let listed = lines(files, asked);
    let single = listed.iter().take(some.end).skip(some.start).filter(|line| !line.is_folder);
    let single: Vec<_> = single.map(|line| &line.files[0]).collect();
    let paths: Vec<_> = single.iter().flat_map(|file| iter::once(&file.path).chain(&file.from)).cloned().collect();
    if paths.is_empty() {
        return Ok(());
    }
    let patched = changes(repository, base, source, &paths, true)?;
    for file in files {
        let found = patched.iter().find(|found| found.path == file.path && found.from == file.from);
        file.patch = found.and_then(|found| found.patch.clone());
    }
    Ok(())
}

/// Whether a tree has a file or a folder at a path.
pub(crate) fn has_path(repository: &Repository, tree: &str, path: &str) -> Result<bool, RepositoryError> {
    let mut command = repository.command();
    command.args(["--literal-pathspecs", "ls-tree", "--name-only", tree, "--"]);
    Ok(!run(command.arg(path.trim_end_matches('/')))?.is_empty())
}

/// A file that differs, with the ids of its contents.
struct ChangedFile {
    change: FileChange,
    ids: [String; 2],
}

/// Reads what `diff-tree` says: a line and a path, or two, for each file and folder, and then the same files with the numbers
/// of their lines.
fn entries(said: &[u8]) -> Vec<ChangedFile> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut words = said.split(|byte| *byte == 0).map(text).filter(|word| !word.is_empty()).peekable();
    let (mut entries, mut folders) = (Vec::new(), Vec::<String>::new());
    while let Some(line) = words.next_if(|word| word.starts_with(':')) {
        let fields: Vec<&str> = line[1..].split(' ').collect();
        let [mode_before, mode_after, id_before, id_after, status] = fields[..] else { continue };
        let first = words.next().unwrap_or_default();
        let (status, from) = match status.as_bytes().first() {
            Some(b'A') => (FileStatus::Added, None),
            Some(b'D') => (FileStatus::Deleted, None),
            Some(b'R') => (FileStatus::Renamed, Some(first.clone())),
            Some(b'T') => (FileStatus::Retyped, None),
            _ => (FileStatus::Modified, None),
        };
        let path = if from.is_some() { words.next().unwrap_or_default() } else { first };
        if mode_before == FOLDER || mode_after == FOLDER {
            if status != FileStatus::Modified && !folders.iter().any(|folder| is_in(folder, &path)) {
                folders.push(path);
            }
            continue;
        }
        let is_other_mode = mode_before != mode_after && matches!(status, FileStatus::Modified | FileStatus::Renamed);
        let modes = is_other_mode.then(|| (mode_before.to_owned(), mode_after.to_owned()));
        let folder = folders.iter().find(|folder| is_in(folder, &path)).cloned();
        let ids = [id_before.to_owned(), id_after.to_owned()];
        let change = FileChange { status, path, from, lines: None, bytes: None, modes, folder, patch: None };
        entries.push(ChangedFile { change, ids });
    }
    for entry in &mut entries {
        let Some(line) = words.next() else { break };
        let mut fields = line.split('\t');
        let mut number = || fields.next().and_then(|field| field.parse::<u64>().ok());
        entry.change.lines = number().zip(number()).map(|(added, removed)| Lines { added, removed });
        if entry.change.from.is_some() {
            words.by_ref().take(2).for_each(drop);
        }
    }
    entries
}

/// The mode of a folder.
const FOLDER: &str = "040000";

fn is_in(folder: &str, path: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// Says how large binary files are.
fn measure(repository: &Repository, entries: &mut [ChangedFile]) -> Result<(), RepositoryError> {
    let mut binary: Vec<_> = entries.iter_mut().filter(|entry| entry.change.lines.is_none()).collect();
    if binary.is_empty() {
        return Ok(());
    }
    let ids: String = binary.iter().flat_map(|entry| &entry.ids).map(|id| format!("{id}\n")).collect();
    // One that is all zeros is missing.
    let said = run_with(repository.command().args(["cat-file", "--batch-check=%(objectsize)"]), ids.as_bytes())?;
    let said = String::from_utf8_lossy(&said);
    let mut sizes = said.lines().map(|line| line.parse().ok());
    for entry in &mut binary {
        let mut next = || sizes.next().flatten();
        entry.change.bytes = Some(Bytes { before: next(), after: next() });
    }
    Ok(())
}

/// The patches of single files in one of several.
fn patches(text: &str) -> Vec<String> {
    let mut patches: Vec<String> = Vec::new();
    for line in text.split_inclusive('\n') {
        // No line of a file begins like that: it has a sign before it.
        if line.starts_with("diff --git ") {
            patches.push(String::new());
        }
        if let Some(patch) = patches.last_mut() {
            patch.push_str(line);
        }
    }
    patches
}

#[cfg(test)]
mod tests {
    use super::super::repository::run_with;
    use super::*;
    use crate::site::testing::site;

    /// Makes a tree of files: path, mode and contents.
    fn tree(repository: &Repository, files: &[(&str, &str, &[u8])]) -> String {
        let index = tempfile::NamedTempFile::new().unwrap();
        let text = |said: Vec<u8>| String::from_utf8(said).unwrap().trim().to_owned();
        let git = |arguments: &[&str], input: &[u8]| {
            let mut command = repository.command();
            text(run_with(command.args(arguments).env("GIT_INDEX_FILE", index.path()), input).unwrap())
        };
        git(&["read-tree", "--empty"], b"");
        for (path, mode, contents) in files {
            let id = git(&["hash-object", "-w", "--stdin"], contents);
            git(&["update-index", "--add", "--cacheinfo", &format!("{mode},{id},{path}")], b"");
        }
        git(&["write-tree"], b"")
    }

    #[test]
    fn files_of_a_folder_that_came_as_a_whole_are_one_line() {
        let file = |path: &str, from: Option<&str>, status, folder: Option<&str>| FileChange {
            status,
            path: path.to_owned(),
            from: from.map(str::to_owned),
            lines: Some(Lines { added: 2, removed: 1 }),
            bytes: None,
            modes: None,
            folder: folder.map(str::to_owned),
            patch: None,
        };
        let added = |number: usize| file(&format!("p/new/{number}"), None, FileStatus::Added, Some("p/new"));
        let moved = |number: usize| {
            file(&format!("to/{number}"), Some(&format!("from/{number}")), FileStatus::Renamed, Some("to"))
        };
        let few = |number: usize| file(&format!("few/{number}"), None, FileStatus::Deleted, Some("few"));
        let mut files = vec![file("a", Some("b"), FileStatus::Renamed, None)];
        files.extend((0..3).map(few));
        files.extend((0..4).map(added));
        files.extend((0..5).map(moved));
        let listed = lines(&files, &[]);
        let names: Vec<_> = listed.iter().map(|line| &*line.name).collect();
        assert_eq!(names, ["b -> a", "few/0", "few/1", "few/2", "p/new/", "from/ -> to/"]);
        assert_eq!(listed[4].lines(), Lines { added: 8, removed: 4 });
        assert_eq!((listed[5].files.len(), listed[5].status().letter(), listed[5].is_folder), (5, 'R', true));
        assert_eq!(lines(&files, &["p/new/1".to_owned()]).len(), 9, "what is asked for is not folded");
    }

    #[test]
    fn files_come_go_change_and_move() {
        let dir = tempfile::tempdir().unwrap();
        let repository = Repository::open(&site(dir.path())).unwrap();
        let lines: String = (0..100).map(|number| format!("{number}\n")).collect();
        let file = "100644";
        let base = tree(
            &repository,
            &[
                ("a/edited.php", file, b"one\ntwo\n"),
                ("a/gone.php", file, b"gone\n"),
                ("a/old name.css", file, lines.as_bytes()),
                ("a/pic.png", file, b"\0abc"),
                ("a/run", file, b"#!\n"),
                ("a/same", file, b"same"),
                ("a/turned", file, b"a file"),
            ],
        );
        let source = tree(
            &repository,
            &[
                ("a/edited.php", file, b"one\n2\nthree\n"),
                ("a/new name.css", file, format!("{lines}more\n").as_bytes()),
                ("a/pic.png", file, b"\0abcdef"),
                ("a/run", "100755", b"#!\n"),
                ("a/same", file, b"same"),
                ("a/turned", "120000", b"same"),
                ("plugin/p.php", file, b"<?php\n"),
                ("plugin/inc/q.php", file, b"diff --git a/x b/x\n"),
            ],
        );
        let changes = |paths: &[&str], with_patch| {
            let paths: Vec<_> = paths.iter().map(|path| (*path).to_owned()).collect();
            changes(&repository, &base, &source, &paths, with_patch).unwrap()
        };
        let told = |change: &FileChange| {
            let lines = change.lines.map(|lines| format!("+{} -{}", lines.added, lines.removed)).unwrap_or_default();
            let rest = (&change.from, change.bytes.map(|bytes| (bytes.before, bytes.after)), &change.modes);
            format!("{:?} {} {lines} {rest:?} {:?}", change.status, change.path, change.folder)
        };
        let all = changes(&[], true);
        assert_eq!(
            all.iter().map(told).collect::<Vec<_>>(),
            [
                "Modified a/edited.php +2 -1 (None, None, None) None",
                "Deleted a/gone.php +0 -1 (None, None, None) None",
                "Renamed a/new name.css +1 -0 (Some(\"a/old name.css\"), None, None) None",
                "Modified a/pic.png  (None, Some((Some(4), Some(7))), None) None",
                "Modified a/run +0 -0 (None, None, Some((\"100644\", \"100755\"))) None",
                "Retyped a/turned +1 -1 (None, None, None) None",
                "Added plugin/inc/q.php +1 -0 (None, None, None) Some(\"plugin\")",
                "Added plugin/p.php +1 -0 (None, None, None) Some(\"plugin\")",
            ]
        );
        let patch = |number: usize| all[number].patch.as_deref().unwrap();
        assert!(patch(0).ends_with("@@ -1,2 +1,3 @@\n one\n-two\n+2\n+three\n"), "{}", patch(0));
        assert!(patch(3).contains("Binary files"));
        assert_eq!(patch(5).matches("diff --git").count(), 2);
        assert!(patch(6).ends_with("+diff --git a/x b/x\n"));
        assert!(patch(7).ends_with("+<?php\n"));
        assert_eq!(
            changes(&["plugin/inc", "a/run"], false).iter().map(|change| &change.path).collect::<Vec<_>>(),
            ["a/run", "plugin/inc/q.php"]
        );
        assert!(changes(&["plug*"], false).is_empty(), "a path is no pattern");
        let windowed = |some: Range<usize>| {
            let mut files = changes(&[], false);
            add_patches(&repository, &base, &source, &mut files, &[], some).unwrap();
            files.into_iter().map(|file| file.patch).collect::<Vec<_>>()
        };
        let patches: Vec<_> = all.iter().map(|file| file.patch.clone()).collect();
        assert_eq!(windowed(0..usize::MAX), patches);
        let some = windowed(2..4);
        assert_eq!(some[2..4], patches[2..4], "one of them has another name");
        assert!(some[..2].iter().chain(&some[4..]).all(Option::is_none));
        assert!(has_path(&repository, &base, "a/").unwrap() && has_path(&repository, &base, "a/same").unwrap());
        assert!(!has_path(&repository, &base, "plugin").unwrap());
    }
}
