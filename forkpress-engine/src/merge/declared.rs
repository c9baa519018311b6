//! What a plugin says of its own tables, options and metadata: `wp-content/plugins/NAME/forkpress-merge.json`.
//!
//! Tables are named without the site's prefix. In names of options, metadata and noise tables one `*` may stand for any
//! text. A file that can't be read, or that says something unknown, stops the merge: a rule that is passed over would be
//! a merge that the plugin's author did not mean.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use super::rules::{Object, Owned, Rules};

/// What the file of a plugin is called.
const FILE: &str = "forkpress-merge.json";

/// The folders of a site that have plugins in them.
const FOLDERS: [&str; 2] = ["wp-content/plugins", "wp-content/mu-plugins"];

/// The most bytes that such a file may have.
const LARGEST: u64 = 1 << 20;

/// Why the rules of plugins are not known.
#[derive(Debug, Error)]
pub(crate) enum DeclaredError {
    /// A file or a folder can't be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no JSON, or says something that is unknown.
    #[error("{path} is no file of merge rules")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong in it, and where.
        source: serde_json::Error,
    },
    /// What it says can't be.
    #[error("{path} is no file of merge rules: {what}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        what: String,
    },
}

/// The rules of one plugin.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Declared {
    /// What page views write: it stays as it is in the target.
    pub(crate) noise: Noise,
    /// Lists in which the order of what is added does not matter.
    pub(crate) sets: Names,
    /// Columns that are made from other things: what both sides made anew is never a conflict.
    pub(crate) derived: Vec<Column>,
    /// Rows that are one thing to people.
    pub(crate) objects: Vec<DeclaredObject>,
}

/// Names of options, metadata and tables.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Noise {
    pub(crate) options: Vec<String>,
    pub(crate) meta: Vec<String>,
    pub(crate) tables: Vec<String>,
}

/// Names of options and metadata.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Names {
    pub(crate) options: Vec<String>,
    pub(crate) meta: Vec<String>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Column {
    pub(crate) table: String,
    pub(crate) column: String,
}

/// A row, and those that it owns.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeclaredObject {
    pub(crate) table: String,
    /// The column that tells the rows apart.
    pub(crate) key: String,
    /// The column that names them to people.
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) owned: Vec<DeclaredOwned>,
}

/// Rows of another table that have the key of their owner in a column.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeclaredOwned {
    pub(crate) table: String,
    pub(crate) by: String,
}

impl Rules {
    /// Reads what the plugins in a tree say, in the order of their folders. A symlink to a plugin is followed, as WordPress
    /// does.
    ///
    /// # Errors
    /// [`DeclaredError`] of the first file that is wrong.
    pub(crate) fn read_plugins(tree: &Path) -> Result<Vec<Declared>, DeclaredError> {
        let mut declared = Vec::new();
        for folder in FOLDERS.map(|folder| tree.join(folder)) {
            let failed = |source| DeclaredError::Read { path: folder.clone(), source };
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries.collect::<Result<Vec<_>, _>>().map_err(failed)?,
                Err(error) if is_absent(&error) => continue,
                Err(error) => return Err(failed(error)),
            };
            let mut files: Vec<_> = entries.into_iter().map(|entry| entry.path().join(FILE)).collect();
            files.sort_unstable();
            for path in files {
                declared.extend(read(path)?);
            }
        }
        Ok(declared)
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// None where there is no such file.
fn read(path: PathBuf) -> Result<Option<Declared>, DeclaredError> {
    let text = match fs::metadata(&path) {
        Ok(metadata) if metadata.is_file() && metadata.len() <= LARGEST => fs::read(&path),
        Ok(_) => {
            let what = format!("it is no file of at most {LARGEST} bytes");
            return Err(DeclaredError::Invalid { path, what });
        }
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => Err(error),
    };
    let text = match text {
        Ok(text) => text,
        Err(source) => return Err(DeclaredError::Read { path, source }),
    };
    match serde_json::from_slice::<Declared>(&text) {
        Ok(declared) => match declared.mistake() {
            None => Ok(Some(declared)),
            Some(what) => Err(DeclaredError::Invalid { path, what }),
        },
        Err(source) => Err(DeclaredError::Syntax { path, source }),
    }
}

impl Declared {
    /// What can't be in it.
    fn mistake(&self) -> Option<String> {
        let Self { noise, sets, derived, objects } = self;
        let patterns = [&noise.options, &noise.meta, &noise.tables, &sets.options, &sets.meta].into_iter().flatten();
        for pattern in patterns {
            if pattern.is_empty() || pattern == "*" {
                return Some(format!("the name {pattern:?} would be all there are"));
            }
            if pattern.matches('*').count() > 1 {
                return Some(format!("the name {pattern:?} has more than one *"));
            }
        }
        let columns = derived.iter().flat_map(|place| [&place.table, &place.column]);
        let objects = objects.iter().flat_map(|object| {
            let owned = object.owned.iter().flat_map(|owned| [&owned.table, &owned.by]);
            [&object.table, &object.key, &object.name].into_iter().chain(owned)
        });
        columns
            .chain(objects)
            .find(|name| name.is_empty() || name.contains('*'))
            .map(|name| format!("{name:?} names no table and no column"))
    }
}

impl From<DeclaredObject> for Object {
    fn from(declared: DeclaredObject) -> Self {
        let folded = |name: String| Cow::Owned(name.to_ascii_lowercase());
        let owned = declared.owned.into_iter().map(|owned| Owned {
            table: folded(owned.table),
            by: folded(owned.by),
            only: None,
        });
        let table = folded(declared.table);
        Self {
            noun: table.clone(),
            table,
            key: folded(declared.key),
            name: folded(declared.name),
            trash: None,
            owned: owned.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    /// What is read of a tree with plugins that have these files.
    fn read(files: &[(&str, &str)]) -> Result<Vec<Declared>, DeclaredError> {
        let tree = tempfile::tempdir().unwrap();
        for (plugin, text) in files {
            let folder = tree.path().join("wp-content").join(plugin);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(FILE), text).unwrap();
        }
        fs::create_dir_all(tree.path().join("wp-content/plugins/without")).unwrap();
        fs::write(tree.path().join("wp-content/plugins/hello.php"), "").unwrap();
        Rules::read_plugins(tree.path())
    }

    /// What is said of a file.
    fn refused(text: &str) -> String {
        let error = read(&[("plugins/x", text)]).unwrap_err();
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("{error}{cause}")
    }

    #[test]
    fn plugins_are_read_in_the_order_of_their_folders() {
        let found = read(&[
            ("plugins/b", r#"{"sets": {"meta": ["_x_ids"]}}"#),
            ("plugins/a", r#"{"noise": {"tables": ["x_log"]}}"#),
            ("mu-plugins/c", "{}"),
        ])
        .unwrap();
        assert_eq!(found[0].noise.tables, ["x_log"]);
        assert_eq!(found[1].sets.meta, ["_x_ids"]);
        assert_eq!(found[2], Declared::default());
    }

    #[test]
    fn a_tree_without_plugins_has_no_rules() {
        let tree = tempfile::tempdir().unwrap();
        assert!(Rules::read_plugins(tree.path()).unwrap().is_empty());
    }

    #[test]
    fn a_broken_file_is_named_with_what_is_wrong_in_it() {
        for (text, part) in [
            ("{", "EOF while parsing"),
            (r#"{"nose": {}}"#, "unknown field `nose`, expected one of"),
            (r#"{"noise": {"posts": []}}"#, "unknown field `posts`"),
            (r#"{"noise": {"options": ["*"]}}"#, "the name \"*\" would be all there are"),
            (r#"{"sets": {"meta": ["a*b*"]}}"#, "more than one *"),
            (r#"{"derived": [{"table": "x"}]}"#, "missing field `column`"),
            (r#"{"objects": [{"table": "", "key": "id", "name": "n"}]}"#, "names no table"),
        ] {
            let said = refused(text);
            assert!(said.contains("wp-content/plugins/x/forkpress-merge.json"), "{said}");
            assert!(said.contains(part), "{said}");
        }
    }
}
