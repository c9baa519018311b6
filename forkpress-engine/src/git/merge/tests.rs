use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;

use super::super::push::{Blob, EntryMode};
use super::super::testing::{add, site};
use super::*;

/// What a tree has, by path.
type Files = BTreeMap<Vec<u8>, (EntryMode, Vec<u8>)>;

struct Fixture {
    _dir: tempfile::TempDir,
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
        let repository = Repository::open(&site(&dir)).unwrap();
        Self { _dir: dir, repository, added: RefCell::default() }
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
        match self.below(6) {
            0 | 1 => {
                let (_, bytes) = files.get_mut(&path).unwrap();
                let line = self.below(10);
                let text = edited(&String::from_utf8(bytes.clone()).unwrap(), line, &format!("new {}", self.below(3)));
                *bytes = text.into();
            }
            2 => drop(files.remove(&path)),
            3 if is_free(files) => {
                let file = files.remove(&path).unwrap();
                files.insert(new, file);
            }
            4 if is_free(files) => {
                let name = format!("new {}", self.below(2));
                files.insert(new, (EntryMode::File, text(&name).into()));
            }
            _ => files.get_mut(&path).unwrap().0 = EntryMode::Program,
        }
    }
}

#[test]
fn a_merge_comes_to_what_git_comes_to() {
    let fixture = Fixture::new();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut clean = 0;
    for round in 0..300 {
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
    assert!((100..=250).contains(&clean), "{clean} of them are clean");
}
