use std::os::unix::ffi::OsStrExt;

use super::super::repository::run;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;

use super::super::overlay::Edits;
use super::super::push::{Blob, EntryMode, PushRefusal};
use super::super::testing::add;
use super::*;
use crate::mutation::files::Overlay;
use crate::site::testing::site;

/// What a tree has, by path.
/// What is written of an entry of an index that is to go.
const NO_ENTRY: &str = "0 0000000000000000000000000000000000000000";

impl FileMerge {
    /// Writes the tree that the target has afterwards, and gives its id.
    pub(crate) fn tree(&self, repository: &Repository, target: &str) -> Result<String, EditError> {
        let dir = tempfile::tempdir_in(repository.cow().git_snapshots_dir())?;
        let command = |arguments: &[&str]| {
            let mut command = repository.command();
            command.args(arguments).env("GIT_INDEX_FILE", dir.path().join("index"));
            command
        };
        run(&mut command(&["read-tree", target]))?;
        let (gone, put): (Vec<_>, Vec<_>) = self.differences.iter().partition(|difference| difference.after.is_none());
        let mut info = Vec::new();
        // A file may come where a folder goes.
        for Difference { path, after, .. } in gone.into_iter().chain(put) {
            let entry = after.as_ref().map(|blob| format!("{} {} 0", blob.mode.octal(), blob.id.as_str()));
            info.extend_from_slice(entry.as_deref().unwrap_or(NO_ENTRY).as_bytes());
            info.push(b'\t');
            info.extend_from_slice(path.as_os_str().as_bytes());
            info.push(0);
        }
        run_with(&mut command(&["update-index", "-z", "--index-info"]), &info)?;
        let id = run(&mut command(&["write-tree"]))?;
        Ok(String::from_utf8_lossy(&id).trim().to_owned())
    }
}

type Files = BTreeMap<Vec<u8>, (EntryMode, Vec<u8>)>;

struct Fixture {
    dir: tempfile::TempDir,
    repository: Repository,
    added: RefCell<HashMap<Vec<u8>, ObjectId>>,
}

/// A text of ten lines that no other name has.
fn text(name: &str) -> String {
    (0..10).map(|line| format!("{name} {line}\n")).collect()
}

/// The same with another line.
fn edited(text: &str, line: usize, to: &str) -> String {
    let lines = text.lines().enumerate().map(|(number, old)| if number == line { to } else { old });
    lines.map(|line| line.to_owned() + "\n").collect()
}

fn files<const N: usize>(files: [(&str, &str); N]) -> Files {
    files.map(|(path, text)| (path.into(), (EntryMode::File, text.into()))).into()
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let repository = Repository::open(&site(dir.path())).unwrap();
        Self { dir, repository, added: RefCell::default() }
    }

    fn add(&self, bytes: &[u8]) -> ObjectId {
        self.added.borrow_mut().entry(bytes.to_owned()).or_insert_with(|| add(&self.repository, bytes)).clone()
    }

    fn tree(&self, files: &Files) -> String {
        let difference = |(path, (mode, bytes)): (&Vec<u8>, &(EntryMode, Vec<u8>))| Difference {
            path: OsStr::from_bytes(path).into(),
            before: None,
            after: Some(Blob { mode: *mode, id: self.add(bytes) }),
        };
        let all = FileMerge { differences: files.iter().map(difference).collect(), conflicts: Vec::new() };
        let empty = run_with(self.repository.command().arg("mktree"), b"").unwrap();
        all.tree(&self.repository, String::from_utf8(empty).unwrap().trim()).unwrap()
    }

    fn files(&self, tree: &str) -> Files {
        let listed = run(self.repository.command().args(["ls-tree", "-r", "-z", tree])).unwrap();
        let entries = listed.split(|byte| *byte == 0).filter(|entry| !entry.is_empty());
        let file = |entry: &[u8]| {
            let tab = entry.iter().position(|byte| *byte == b'\t').unwrap();
            let (about, path) = (String::from_utf8(entry[..tab].to_vec()).unwrap(), entry[tab + 1..].to_vec());
            let about: Vec<_> = about.split(' ').collect();
            let mode = EntryMode::parse(u32::from_str_radix(about[0], 8).unwrap()).unwrap();
            let bytes = run(self.repository.command().args(["cat-file", "blob", about[2]])).unwrap();
            (path, (mode, bytes))
        };
        entries.map(file).collect()
    }

    fn merge(&self, sides: Sides<&Files>, answer: &dyn Fn(&FileConflict) -> Option<Take>) -> (Files, FileMerge) {
        let trees = sides.map(|files| self.tree(files));
        let trees = trees.as_ref().map(String::as_str);
        let merge = merge_files(&self.repository, trees, answer).unwrap();
        (self.files(&merge.tree(&self.repository, trees.target).unwrap()), merge)
    }

    /// What it is without an answer: without a conflict.
    fn clean(&self, base: &Files, source: &Files, target: &Files) -> Files {
        let (files, merge) = self.merge(Sides { base, source, target }, &|_| None);
        assert_eq!(merge.conflicts, []);
        files
    }

    /// The only conflict, by kind and path, where nothing else came home.
    fn conflict(&self, base: &Files, source: &Files, target: &Files) -> (FileConflictKind, String) {
        let (files, merge) = self.merge(Sides { base, source, target }, &|_| None);
        assert_eq!(&files, target);
        let [conflict] = merge.conflicts.try_into().unwrap();
        (conflict.kind, conflict.path.display().to_string())
    }

    fn answered(&self, base: &Files, source: &Files, target: &Files, take: &Take) -> Files {
        let (files, merge) = self.merge(Sides { base, source, target }, &|_| Some(take.clone()));
        assert_eq!(merge.conflicts, []);
        files
    }
}

/// Numbers that look random and are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn change(&mut self, files: &mut Files) {
        const PATHS: [&str; 8] = ["a", "b", "c", "d/a", "d/b", "e/f/g", "h", "h/i"];
        let old: Vec<Vec<u8>> = files.keys().cloned().collect();
        let Some(path) = old.get(self.below(old.len().max(1))).cloned() else { return };
        let new = PATHS[self.below(PATHS.len())].as_bytes().to_vec();
        let is_free = |files: &Files| {
            let is_in = |one: &[u8], other: &[u8]| one == other || one.starts_with(&[other, b"/"].concat());
            !files.keys().any(|path| is_in(path, &new) || is_in(&new, path))
        };
        match self.below(8) {
            0..=2 => {
                let (_, bytes) = files.get_mut(&path).unwrap();
                let line = self.below(10);
                let text = edited(&String::from_utf8(bytes.clone()).unwrap(), line, &format!("new {}", self.below(3)));
                *bytes = text.into();
            }
            3 => drop(files.remove(&path)),
            4 | 5 if is_free(files) => {
                let file = files.remove(&path).unwrap();
                files.insert(new, file);
            }
            6 if is_free(files) => {
                let name = format!("new {}", self.below(2));
                files.insert(new, (EntryMode::File, text(&name).into()));
            }
            _ => files.get_mut(&path).unwrap().0 = EntryMode::Program,
        }
    }
}

#[test]
fn lines_of_both_are_merged_and_the_same_lines_are_a_conflict_without_markers() {
    let fixture = Fixture::new();
    let one = text("one");
    let base = files([("a.php", &one), ("same.php", &one)]);
    let both = edited(&one, 2, "both");
    let source = files([("a.php", &edited(&one, 0, "source")), ("same.php", &both), ("new", "source")]);
    let target = files([("a.php", &edited(&one, 9, "target")), ("same.php", &both), ("own", "target")]);
    let merged = edited(&edited(&one, 0, "source"), 9, "target");
    let expected = files([("a.php", &merged), ("same.php", &both), ("new", "source"), ("own", "target")]);
    assert_eq!(fixture.clean(&base, &source, &target), expected);
    // Nothing but what has changed is named.
    let (_, merge) = fixture.merge(Sides { base: &base, source: &source, target: &target }, &|_| None);
    let named: Vec<_> = merge.differences.iter().map(|difference| difference.path.to_str().unwrap()).collect();
    assert_eq!(named, ["a.php", "new"]);

    let (base, source, target) = (
        files([("a", &one)]),
        files([("a", &edited(&edited(&one, 0, "clean"), 5, "source"))]),
        files([("a", &edited(&one, 5, "target"))]),
    );
    assert_eq!(fixture.conflict(&base, &source, &target), (FileConflictKind::Text, "a".to_owned()));
    let answered = |take| fixture.answered(&base, &source, &target, &take);
    let with_clean = |to| files([("a", &edited(&edited(&one, 0, "clean"), 5, to))]);
    assert_eq!(answered(Take::Theirs), with_clean("source"));
    assert_eq!(answered(Take::Ours), with_clean("target"));
    assert_eq!(answered(Take::Base), base);
    assert_eq!(answered(Take::Bytes(b"by hand".to_vec())), files([("a", "by hand")]));
}

#[test]
fn what_has_no_lines_is_taken_whole() {
    let fixture = Fixture::new();
    let (base, source, target) =
        (files([("i.png", "\0base")]), files([("i.png", "\0source")]), files([("i.png", "\0target")]));
    assert_eq!(fixture.conflict(&base, &source, &target), (FileConflictKind::Binary, "i.png".to_owned()));
    let answered = |take| fixture.answered(&base, &source, &target, &take);
    assert_eq!(answered(Take::Theirs), source);
    assert_eq!(answered(Take::Ours), target);
    assert_eq!(answered(Take::Base), base);
    let link = |to: &str| Files::from([(b"l".to_vec(), (EntryMode::Symlink, to.into()))]);
    assert_eq!(fixture.conflict(&link("a"), &link("b"), &link("c")), (FileConflictKind::Binary, "l".to_owned()));
    assert_eq!(fixture.conflict(&link("a"), &link("b"), &files([("l", "a file")])).0, FileConflictKind::Binary);
    assert_eq!(fixture.clean(&link("a"), &link("b"), &link("a")), link("b"));
    assert_eq!(fixture.clean(&link("a"), &link("b"), &link("b")), link("b"));
}

#[test]
fn an_edit_follows_the_file_that_the_other_side_has_renamed() {
    let fixture = Fixture::new();
    let one = text("one");
    let base = files([("theme/old.php", &one)]);
    let renamed = files([("theme/parts/new.php", &edited(&one, 0, "renamed"))]);
    let changed = files([("theme/old.php", &edited(&one, 9, "edited"))]);
    let expected = files([("theme/parts/new.php", &edited(&edited(&one, 0, "renamed"), 9, "edited"))]);
    assert_eq!(fixture.clean(&base, &renamed, &changed), expected);
    assert_eq!(fixture.clean(&base, &changed, &renamed), expected);
    assert_eq!(fixture.clean(&base, &renamed, &renamed), renamed);
    // The same lines: the conflict is at the new path, and the target has its own until there is an answer.
    let clashing = files([("theme/old.php", &edited(&one, 0, "edited"))]);
    let path = "theme/parts/new.php".to_owned();
    assert_eq!(fixture.conflict(&base, &renamed, &clashing), (FileConflictKind::Text, path.clone()));
    let ours = files([("theme/parts/new.php", &edited(&one, 0, "edited"))]);
    assert_eq!(fixture.answered(&base, &renamed, &clashing, &Take::Ours), ours);
    assert_eq!(fixture.answered(&base, &renamed, &clashing, &Take::Theirs), renamed);
    // One has renamed it, the other one removed it.
    let none = Files::new();
    assert_eq!(fixture.conflict(&base, &renamed, &none), (FileConflictKind::Removed, path.clone()));
    assert_eq!(fixture.conflict(&base, &none, &renamed), (FileConflictKind::Removed, path));
    // Both have renamed it.
    let elsewhere = files([("theme/other.php", &one)]);
    let conflict = fixture.conflict(&base, &renamed, &elsewhere);
    assert_eq!(conflict, (FileConflictKind::Renamed, "theme/other.php".to_owned()));
    assert_eq!(fixture.answered(&base, &renamed, &elsewhere, &Take::Theirs), renamed);
    assert_eq!(fixture.answered(&base, &renamed, &elsewhere, &Take::Ours), elsewhere);
    assert_eq!(fixture.answered(&base, &renamed, &elsewhere, &Take::Base), base);
}

#[test]
fn a_file_that_one_side_removed_and_the_other_changed_is_a_conflict() {
    let fixture = Fixture::new();
    let (base, none, changed) = (files([("a", "1\n")]), Files::new(), files([("a", "2\n")]));
    assert_eq!(fixture.clean(&base, &none, &base), none);
    assert_eq!(fixture.clean(&base, &none, &none), none);
    for (source, target) in [(&none, &changed), (&changed, &none)] {
        assert_eq!(fixture.conflict(&base, source, target), (FileConflictKind::Removed, "a".to_owned()));
        assert_eq!(&fixture.answered(&base, source, target, &Take::Theirs), source);
        assert_eq!(&fixture.answered(&base, source, target, &Take::Ours), target);
        assert_eq!(fixture.answered(&base, source, target, &Take::Base), base);
    }
}

#[test]
fn the_same_file_from_both_is_one_and_another_one_is_a_conflict() {
    let fixture = Fixture::new();
    let (none, one, other) = (Files::new(), files([("pic.png", "one")]), files([("pic.png", "other")]));
    assert_eq!(fixture.clean(&none, &one, &one), one);
    assert_eq!(fixture.clean(&none, &one, &none), one);
    assert_eq!(fixture.conflict(&none, &one, &other), (FileConflictKind::Added, "pic.png".to_owned()));
    assert_eq!(fixture.answered(&none, &one, &other, &Take::Theirs), one);
    assert_eq!(fixture.answered(&none, &one, &other, &Take::Base), none);
}

#[test]
fn modes_are_merged_beside_the_bytes_and_any_name_is_one() {
    let fixture = Fixture::new();
    let names: [&[u8]; 5] = [b"a\nb", b"\xff\xfe", b"a b", b"-rf", "\u{e4}/\t\"x\"".as_bytes()];
    let all = |mode, text: &str| -> Files { names.map(|name| (name.to_vec(), (mode, text.into()))).into() };
    let (base, program, changed) =
        (all(EntryMode::File, "1\n"), all(EntryMode::Program, "1\n"), all(EntryMode::File, "2\n"));
    assert_eq!(fixture.clean(&base, &program, &changed), all(EntryMode::Program, "2\n"));
    assert_eq!(fixture.clean(&base, &changed, &program), all(EntryMode::Program, "2\n"));
    assert_eq!(fixture.clean(&Files::new(), &changed, &Files::new()), changed);
    let (_, merge) =
        fixture.merge(Sides { base: &base, source: &changed, target: &all(EntryMode::Program, "3\n") }, &|_| None);
    assert_eq!(merge.conflicts.len(), names.len());
    let by_hand = fixture.answered(&base, &changed, &all(EntryMode::Program, "3\n"), &Take::Bytes(b"4\n".to_vec()));
    assert_eq!(by_hand, all(EntryMode::Program, "4\n"));
}

#[test]
fn a_file_where_the_other_side_has_a_folder_is_one_conflict() {
    let fixture = Fixture::new();
    let (none, file, folder) =
        (Files::new(), files([("x", "a file")]), files([("x/1", "one"), ("x/2", "two"), ("x/y/3", "three")]));
    for (source, target) in [(&folder, &file), (&file, &folder)] {
        assert_eq!(fixture.conflict(&none, source, target), (FileConflictKind::Folder, "x".to_owned()));
        assert_eq!(&fixture.answered(&none, source, target, &Take::Theirs), source);
        assert_eq!(&fixture.answered(&none, source, target, &Take::Ours), target);
    }
    assert_eq!(fixture.clean(&file, &folder, &file), folder);
    assert_eq!(fixture.clean(&folder, &file, &folder), file);
    // What the target has changed in the folder is a conflict of its own.
    let changed = files([("x/1", "other"), ("x/2", "two"), ("x/y/3", "three")]);
    let (merged, merge) = fixture.merge(Sides { base: &folder, source: &file, target: &changed }, &|_| None);
    let conflicts: Vec<_> =
        merge.conflicts.iter().map(|conflict| (conflict.kind, conflict.path.to_str().unwrap())).collect();
    assert_eq!(conflicts, [(FileConflictKind::Folder, "x"), (FileConflictKind::Removed, "x/1")]);
    assert_eq!(merged, files([("x/1", "other")]));
    assert_eq!(fixture.answered(&folder, &file, &changed, &Take::Theirs), file);
}

#[test]
fn an_answer_fits_the_conflict_that_was_asked_and_no_other() {
    let fixture = Fixture::new();
    let (base, source, target) = (files([("a", "1\n")]), files([("a", "2\n")]), files([("a", "3\n")]));
    let id = |base: &Files, source: &Files, target: &Files| {
        let (_, merge) = fixture.merge(Sides { base, source, target }, &|_| None);
        merge.conflicts[0].id
    };
    let asked = id(&base, &source, &target);
    assert_eq!(asked, id(&base, &source, &target));
    assert_eq!(asked.to_string(), "3179a1a71717ae520db568a24962f77a", "in every version of the program");
    let program = Files::from([(b"a".to_vec(), (EntryMode::Program, b"3\n".to_vec()))]);
    let others = [
        id(&files([("a", "0\n")]), &source, &target),
        id(&base, &files([("a", "4\n")]), &target),
        id(&base, &source, &files([("a", "4\n")])),
        id(&base, &source, &program),
        id(&files([("b", "1\n")]), &files([("b", "2\n")]), &files([("b", "3\n")])),
        id(&Files::new(), &source, &target),
        id(&base, &Files::new(), &target),
    ];
    assert!(!others.contains(&asked));
    let answer = |conflict: &FileConflict| (conflict.id == asked).then_some(Take::Theirs);
    let merge = |target: &Files| fixture.merge(Sides { base: &base, source: &source, target }, &answer).0;
    assert_eq!(merge(&target), source);
    assert_eq!(merge(&program), program);
}

#[test]
fn attributes_in_a_site_change_nothing_and_run_nothing() {
    let fixture = Fixture::new();
    let ran = fixture.dir.path().join("ran");
    let attributes = "a merge=union\nb merge=evil\nc -merge\n";
    let config = format!("[merge \"evil\"]\n\tdriver = touch {}\n", ran.display());
    let with = |a: &str| {
        let lines = text("x");
        let line = if a == "source" { 0 } else { 9 };
        files([
            (".gitattributes", attributes),
            (".gitconfig", &config),
            ("a", a),
            ("b", a),
            ("c", &if a == "base" { lines.clone() } else { edited(&lines, line, a) }),
        ])
    };
    let (base, source, target) = (with("base"), with("source"), with("target"));
    let (_, merge) = fixture.merge(Sides { base: &base, source: &source, target: &target }, &|_| None);
    let conflicts: Vec<_> =
        merge.conflicts.iter().map(|conflict| (conflict.kind, conflict.path.to_str().unwrap())).collect();
    assert_eq!(conflicts, [(FileConflictKind::Text, "a"), (FileConflictKind::Text, "b")]);
    assert_eq!(merge.differences.len(), 1, "c is merged");
    assert!(!ran.exists());
}

#[test]
fn a_branch_gets_what_came_home_unless_it_has_changed() {
    let fixture = Fixture::new();
    let site = site(fixture.dir.path());
    let [source_branch, target_branch] = ["s", "t"].map(|name| fixture.dir.path().join(name));
    for (branch, config) in [(&source_branch, "'A_KEY', 's' ); define( 'B_KEY', 'b'"), (&target_branch, "'A_KEY', 't'")]
    {
        std::fs::create_dir(branch).unwrap();
        std::fs::write(branch.join("wp-config.php"), format!("<?php define( {config} );\n")).unwrap();
    }
    let redacted = |branch: &Path| {
        let shown = super::super::redact::config(&std::fs::read(branch.join("wp-config.php")).unwrap());
        String::from_utf8(shown).unwrap()
    };
    let target = files([("wp-config.php", &redacted(&target_branch)), ("a", "1\n"), ("gone", "1\n")]);
    let source = files([("wp-config.php", &redacted(&source_branch)), ("a", "2\n")]);
    let (_, merge) = fixture.merge(Sides { base: &target, source: &source, target: &target }, &|_| None);
    let edits = merge.edits(&fixture.repository).unwrap();
    let mut overlay = Edits::new(&site, &fixture.repository, vec![&target_branch, &source_branch]);
    overlay.put(edits).unwrap();
    let changes = overlay.changes().unwrap();
    let paths: Vec<_> = changes.iter().map(|change| change.path.to_str().unwrap()).collect();
    assert_eq!(paths, ["a", "gone", "wp-config.php"]);
    let mut written = |number: usize| {
        let path = fixture.dir.path().join(format!("written {number}"));
        overlay.write(number, &mut File::create_new(&path).unwrap()).unwrap();
        std::fs::read_to_string(path).unwrap()
    };
    assert_eq!(written(0), "2\n");
    assert_eq!(written(2), "<?php define( 'A_KEY', 't' ); define( 'B_KEY', 'b' );\n");
    let file = fixture.dir.path().join("file");
    std::fs::write(&file, "1\n").unwrap();
    for (number, expected) in [(0, true), (1, true), (2, false)] {
        assert_eq!(overlay.is_expected(number, Some(&file)).unwrap(), expected, "{number}");
    }
    assert!(overlay.is_expected(2, Some(&target_branch.join("wp-config.php"))).unwrap());
    std::fs::write(&file, "3\n").unwrap();
    assert!(!overlay.is_expected(0, Some(&file)).unwrap());
    assert!(!overlay.is_expected(1, None).unwrap());
}

#[test]
fn nothing_comes_home_that_no_push_may_bring() {
    let fixture = Fixture::new();
    let refusal = |path: &str, mode, bytes: &str| {
        let source = Files::from([(path.as_bytes().to_vec(), (mode, bytes.into()))]);
        let (_, merge) =
            fixture.merge(Sides { base: &Files::new(), source: &source, target: &Files::new() }, &|_| None);
        match merge.edits(&fixture.repository) {
            Err(EditError::Refused(refusal)) => Some(refusal),
            Ok(edits) if edits.is_empty() => None,
            other => panic!("{other:?}"),
        }
    };
    let symlink = Some(PushRefusal::Symlink("wordpress/out".to_owned()));
    assert_eq!(refusal("out", EntryMode::Symlink, "../../etc/passwd"), symlink);
    assert_eq!(refusal("out", EntryMode::Symlink, "/etc/passwd"), symlink);
    let path = "wordpress/a/.forkpress/x";
    assert_eq!(refusal("a/.forkpress/x", EntryMode::File, ""), Some(PushRefusal::Path(path.to_owned())));
    assert_eq!(refusal("wp-content/database/.ht.sqlite", EntryMode::File, ""), None, "it is in no view");
}

#[test]
fn a_merge_comes_to_what_git_comes_to() {
    let fixture = Fixture::new();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut clean = 0;
    for round in 0..60 {
        let base: Files =
            ["a", "b", "c", "d/a", "d/b", "h"].map(|path| (path.into(), (EntryMode::File, text(path).into()))).into();
        let (mut source, mut target) = (base.clone(), base.clone());
        for side in [&mut source, &mut target] {
            (0..=random.below(5)).for_each(|_| random.change(side));
        }
        let trees = Sides { base: &base, source: &source, target: &target }.map(|files| fixture.tree(files));
        let commit = |tree: &str, parent: Option<&str>| {
            let mut command = fixture.repository.command();
            command.args(["commit-tree", tree, "-m", "x"]).args(parent.iter().flat_map(|parent| ["-p", parent]));
            String::from_utf8(run(&mut command).unwrap()).unwrap().trim().to_owned()
        };
        let parent = commit(&trees.base, None);
        let commits = [&trees.target, &trees.source].map(|tree| commit(tree, Some(&parent)));
        let mut command = fixture.repository.command();
        command
            .args(["-c", "merge.directoryRenames=false", "merge-tree", "--write-tree", "--no-messages"])
            .args(&commits);
        let expected = run_merging(&mut command).unwrap();
        let merge = merge_files(&fixture.repository, trees.as_ref().map(String::as_str), &|_| None).unwrap();
        let say = || format!("{round}: {base:#?} {source:#?} {target:#?} {:#?}", merge.conflicts);
        assert_eq!(expected.is_none(), !merge.conflicts.is_empty(), "{}", say());
        if let Some(expected) = expected {
            clean += 1;
            let tree = merge.tree(&fixture.repository, &trees.target).unwrap();
            assert_eq!(tree, String::from_utf8(expected).unwrap().trim(), "{}", say());
        }
    }
    assert!((20..=50).contains(&clean), "{clean} of them are clean");
}
