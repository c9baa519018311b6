//! Whether a tree has WordPress itself, whole, and what has to be laid down anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::bytes::Regex;
use serde::Serialize;

use super::facts::version_of;

/// What of WordPress itself is in a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Core {
    /// All of it.
    Whole {
        /// Which version.
        version: String,
    },
    /// Nothing of it.
    Missing,
    /// Some of it is missing or is not what it was.
    Damaged {
        /// Which version, if that is known.
        version: Option<String>,
        /// What is missing or has other bytes, by path.
        files: Vec<PathBuf>,
        /// Whether the WordPress that was compared with is of the same version, so that these files of it are enough.
        is_same_version: bool,
    },
}

/// What has to be laid down of another WordPress so that a tree has a whole one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LayDown {
    /// Nothing.
    Nothing,
    /// These files.
    Files(Vec<PathBuf>),
    /// All of it, in place of `wp-admin`, `wp-includes` and the files beside them.
    All,
}

/// The folders that have nothing but WordPress itself.
const FOLDERS: [&str; 2] = ["wp-admin", "wp-includes"];

/// Files without which no WordPress runs, of any version.
const NEEDED: [&str; 14] = [
    "index.php",
    "wp-load.php",
    "wp-settings.php",
    "wp-blog-header.php",
    "wp-login.php",
    "wp-cron.php",
    "wp-admin/admin.php",
    "wp-admin/index.php",
    "wp-admin/admin-ajax.php",
    "wp-admin/includes/admin.php",
    "wp-admin/includes/upgrade.php",
    "wp-includes/version.php",
    "wp-includes/functions.php",
    "wp-includes/load.php",
];

/// Files of WordPress that say what it is, and that sites often lack or change.
const NOT_NEEDED: [&str; 3] = ["license.txt", "readme.html", "wp-config-sample.php"];

/// Looks at the WordPress in `tree`. `other` is one that is whole, as it is bundled: files are compared with its where
/// it is of the same version; otherwise, that those are there which the version itself loads is all that can be told.
#[must_use]
pub fn check(tree: &Path, other: Option<&Path>) -> Core {
    let version = version_of(tree);
    let is_there = |file: &&&str| is_code(&tree.join(file));
    if version.is_none() && !NEEDED.iter().any(|file| is_there(&file)) {
        return Core::Missing;
    }
    let same = other.filter(|other| version.is_some() && version == version_of(other));
    let files = match same {
        Some(other) => differing(tree, other),
        None => lacking(tree),
    };
    match version {
        Some(version) if files.is_empty() => Core::Whole { version },
        version => Core::Damaged { version, files, is_same_version: same.is_some() },
    }
}

impl Core {
    /// What has to be laid down.
    #[must_use]
    pub fn lay_down(&self) -> LayDown {
        match self {
            Self::Whole { .. } => LayDown::Nothing,
            Self::Damaged { files, is_same_version: true, .. } => LayDown::Files(files.clone()),
            Self::Missing | Self::Damaged { .. } => LayDown::All,
        }
    }
}

/// The files of WordPress itself in a whole one, by path: those of its folders, and the PHP files beside them.
///
/// They are what [`LayDown::All`] is about.
#[must_use]
pub fn files(whole: &Path) -> Vec<PathBuf> {
    let in_folders = FOLDERS.iter().flat_map(|folder| walkdir::WalkDir::new(whole.join(folder)).sort_by_file_name());
    let beside = walkdir::WalkDir::new(whole).max_depth(1).sort_by_file_name();
    let all = beside.into_iter().chain(in_folders).filter_map(Result::ok).filter(|entry| entry.file_type().is_file());
    let paths = all.filter_map(|entry| entry.path().strip_prefix(whole).ok().map(Path::to_owned));
    let is_core = |path: &PathBuf| path.components().count() > 1 || path.extension().is_some_and(|end| end == "php");
    paths.filter(|path| is_core(path) && path != Path::new("wp-config.php")).collect()
}

fn differing(tree: &Path, other: &Path) -> Vec<PathBuf> {
    let is_needed = |path: &PathBuf| !NOT_NEEDED.iter().any(|not| path == Path::new(not));
    let is_same = |path: &PathBuf| matches!((read(&tree.join(path)), fs::read(other.join(path))), (Some(one), Ok(other)) if one == other);
    files(other).into_iter().filter(|path| is_needed(path) && !is_same(path)).collect()
}

/// What is behind a link is not of the tree.
fn read(path: &Path) -> Option<Vec<u8>> {
    fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)?;
    fs::read(path).ok()
}

fn is_code(path: &Path) -> bool {
    read(path).is_some_and(|bytes| bytes.windows(2).take(64).any(|start| start == b"<?"))
}

/// What WordPress loads in any case, and is not there or no PHP.
fn lacking(tree: &Path) -> Vec<PathBuf> {
    let mut needed: Vec<PathBuf> = NEEDED.iter().map(PathBuf::from).collect();
    for (file, folder) in [("wp-settings.php", ""), ("wp-admin/includes/admin.php", "")] {
        let code = read(&tree.join(file)).unwrap_or_default();
        needed.extend(loaded(&code).into_iter().map(|path| Path::new(folder).join(path)));
    }
    needed.sort();
    needed.dedup();
    needed.into_iter().filter(|path| !is_code(&tree.join(path))).collect()
}

/// What a file of WordPress loads, in lines of their own at the top: `require ABSPATH . WPINC . '/load.php';`.
fn loaded(code: &[u8]) -> Vec<PathBuf> {
    static REQUIRED: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?m)^require(?:_once)? ABSPATH \. (WPINC \. )?'/?([A-Za-z0-9_./-]+\.php)';")
            .expect("it is a pattern")
    });
    let path = |found: regex::bytes::Captures<'_>| {
        let path = String::from_utf8_lossy(&found[2]).into_owned();
        if found.get(1).is_some() { Path::new("wp-includes").join(path) } else { path.into() }
    };
    REQUIRED.captures_iter(code).map(path).filter(|path| !path.starts_with("wp-content")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::write;
    use super::*;

    /// A WordPress of these files and of what any needs.
    fn wordpress(folder: &Path, version: &str) {
        for file in NEEDED {
            write(folder, &[(file, b"<?php\n")]);
        }
        let settings = b"<?php\nrequire ABSPATH . WPINC . '/plugin.php';\nrequire_once ABSPATH . WPINC . '/a/b.php';\n\trequire ABSPATH . WPINC . '/optional.php';\n";
        let version = format!("<?php\n$wp_version = '{version}';\n");
        write(
            folder,
            &[
                ("wp-settings.php", settings),
                ("wp-includes/plugin.php", b"<?php"),
                ("wp-includes/a/b.php", b"<?php"),
                ("wp-includes/js/x.js", b"x"),
                ("wp-includes/version.php", version.as_bytes()),
                ("readme.html", b"x"),
            ],
        );
    }

    fn damaged(core: &Core) -> Vec<String> {
        let Core::Damaged { files, .. } = core else { panic!("{core:?}") };
        files.iter().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn a_core_of_the_bundled_version_is_compared_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, bundled) = (dir.path().join("tree"), dir.path().join("bundled"));
        wordpress(&tree, "7.1");
        wordpress(&bundled, "7.1");
        write(&tree, &[("readme.html", b"other"), ("wp-includes/mine.php", b"x"), ("wp-config.php", b"x")]);
        assert_eq!(check(&tree, Some(&bundled)), Core::Whole { version: "7.1".into() });
        write(&tree, &[("wp-includes/load.php", b"<?php evil();")]);
        fs::remove_file(tree.join("wp-includes/js/x.js")).unwrap();
        let core = check(&tree, Some(&bundled));
        assert_eq!(damaged(&core), ["wp-includes/js/x.js", "wp-includes/load.php"]);
        assert!(matches!(core.lay_down(), LayDown::Files(files) if files.len() == 2));
    }

    #[test]
    fn of_another_version_what_it_loads_has_to_be_there() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, bundled) = (dir.path().join("tree"), dir.path().join("bundled"));
        wordpress(&tree, "6.0");
        wordpress(&bundled, "7.1");
        assert_eq!(check(&tree, Some(&bundled)), Core::Whole { version: "6.0".into() });
        fs::remove_file(tree.join("wp-includes/a/b.php")).unwrap();
        write(&tree, &[("wp-load.php", b"")]);
        let core = check(&tree, Some(&bundled));
        assert_eq!(damaged(&core), ["wp-includes/a/b.php", "wp-load.php"]);
        assert_eq!(core.lay_down(), LayDown::All);
        fs::remove_file(tree.join("wp-includes/version.php")).unwrap();
        assert!(matches!(check(&tree, Some(&bundled)), Core::Damaged { version: None, .. }));
    }

    #[test]
    fn a_tree_without_wordpress_lacks_it() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &[("wp-content/plugins/a/a.php", b"<?php")]);
        assert_eq!(check(dir.path(), None), Core::Missing);
        assert_eq!(Core::Missing.lay_down(), LayDown::All);
    }

    #[test]
    fn a_real_wordpress_is_whole() {
        let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/wordpress");
        assert!(real.join("wp-load.php").is_file(), "no WordPress in target/wordpress: run scripts/fetch-wordpress.sh");
        assert!(matches!(check(&real, None), Core::Whole { .. }), "{:?}", check(&real, None));
        assert!(matches!(check(&real, Some(&real)), Core::Whole { .. }));
        assert!(loaded(&fs::read(real.join("wp-settings.php")).unwrap()).len() > 100);
    }
}
