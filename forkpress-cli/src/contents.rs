//! Imports exports of contents (WXR) into a tree that nobody is served yet, through WordPress's own importer.
//!
//! WP-CLI's `import` runs it; `runtime/wp-cli/contents.php` checks the files before, and says what came of it. The importer is no
//! plugin of the tree, neither before nor after.

use std::path::Path;
use std::process::Stdio;

use forkpress_core::layout::{SiteLayout, database_of};
use forkpress_engine::import::{self, Contents, Imported};
use forkpress_engine::mutation::EditError;
use forkpress_engine::mutation::new_database::TreeEdit;
use forkpress_engine::progress::Progress;
use forkpress_engine::source::Found;
use serde::Deserialize;

use crate::child;
use crate::commands::wp;
use crate::failure::{During, Failure};

/// What says what is done, in the runtime folder.
const SCRIPT: &str = "wp-cli/contents.php";

/// What a source is brought in with.
pub struct With<'a> {
    /// The site.
    pub layout: &'a SiteLayout,
    /// The PHP program.
    pub php: &'a Path,
    /// The address that the tree will have.
    pub url: &'a str,
}

/// Exports of contents, and how they are imported.
pub struct ContentsImport<'a> {
    /// Where they are.
    pub found: &'a Found,
    /// What they are imported with.
    pub with: &'a With<'a>,
    /// Whether WordPress was installed just now, and its first contents go.
    pub is_new: bool,
    /// Whether media are not to be fetched.
    pub without_uploads: bool,
    /// Whether the addresses that the contents had are replaced in the database.
    pub rewrite_urls: bool,
}

/// What the script says: a line of JSON each.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Line {
    Done { contents: Contents, addresses: Vec<String>, notes: Vec<String> },
    File { file: String, posts: u64 },
    Post { post: bool },
}

impl ContentsImport<'_> {
    /// Imports them into a tree.
    pub fn fill(&self, tree: &Path, progress: &dyn Progress) -> Result<Imported, Failure> {
        let folder = tempfile::tempdir().during(|| "cannot make a temporary folder".to_owned())?;
        let unpacked = self.found.unpack_contents(folder.path(), progress)?;
        let With { layout, php, url } = self.with;
        let mut command = wp::on_tree(layout, php, tree, url)?;
        let mut require = std::ffi::OsString::from("--require=");
        require.push(layout.runtime_dir().join(SCRIPT));
        let flag = |is_set| if is_set { "1" } else { "0" };
        command
            .args(["import", "--authors=create", "--quiet", "--no-color"])
            .arg(require)
            .args(self.without_uploads.then_some("--skip=attachment"))
            .args(&unpacked.files)
            .env("FORKPRESS_CONTENTS_NEW", flag(self.is_new))
            .env("FORKPRESS_CONTENTS_WITHOUT_UPLOADS", flag(self.without_uploads))
            .stdin(Stdio::null());
        let mut done = None;
        let check = || progress.go_on().map_err(|error| Failure::new(error.to_string()));
        let (status, said) = child::followed(&mut command, check, |line| match serde_json::from_str(line) {
            Ok(Line::File { file, posts }) => progress.begin(&format!("import {file}"), Some(posts)),
            Ok(Line::Post { .. }) => progress.advance(1),
            Ok(Line::Done { contents, addresses, notes }) => done = Some((contents, addresses, notes)),
            Err(_) => tracing::debug!(line, "the importer"),
        })?;
        progress.end();
        tracing::debug!(said, "the importer: {status}");
        let Some((contents, addresses, notes)) = done.filter(|_| status.success()) else {
            return Err(Failure::new(format!("the contents of {} were not imported", self.found.path.display()))
                .because(reason(&said).unwrap_or_else(|| format!("the importer ended: {status}"))));
        };
        let mut imported = Imported { contents: Some(contents), addresses, notes, ..Imported::default() };
        if unpacked.control_characters > 0 {
            let count = unpacked.control_characters;
            imported.notes.push(format!("control characters, which XML does not allow, were left out: {count}"));
        }
        if self.rewrite_urls {
            import::rewrite(&database_of(tree), url, &mut imported, progress)?;
        }
        Ok(imported)
    }
}

/// Why WP-CLI failed: its own error, or that of PHP, or what it said last.
fn reason(said: &str) -> Option<String> {
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let own = lines().find_map(|line| line.strip_prefix("Error: "));
    let of_php = || lines().find(|line| line.contains("Fatal error: "));
    own.or_else(of_php).or_else(|| lines().next_back()).map(str::to_owned)
}

/// An import of contents as what becomes of a new branch's tree. What came of it is told afterwards.
pub struct ContentsEdit<'a> {
    /// What is imported.
    pub import: ContentsImport<'a>,
    /// Is told how far it is.
    pub progress: &'a dyn Progress,
    /// What came of it last.
    pub imported: Imported,
}

impl TreeEdit for ContentsEdit<'_> {
    fn edit(&mut self, path: &Path) -> Result<(), EditError> {
        let filled = self.import.fill(path, self.progress);
        self.imported = filled.map_err(|failure| EditError::Failed(failure.into_error()))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_importer_says_is_told_apart() {
        let read = |line: &str| serde_json::from_str::<Line>(line).ok();
        assert_eq!(read(r#"{"file":"a.xml","posts":2}"#), Some(Line::File { file: "a.xml".into(), posts: 2 }));
        assert_eq!(read(r#"{"post":true}"#), Some(Line::Post { post: true }));
        assert_eq!(read("hello"), None);
    }

    #[test]
    fn the_reason_is_that_of_wp_cli_or_else_of_php() {
        let error = "Warning: x\nError: a.xml, line 3: no\n";
        assert_eq!(reason(error).as_deref(), Some("a.xml, line 3: no"));
        assert_eq!(reason("PHP Fatal error: x in y\nStack trace").as_deref(), Some("PHP Fatal error: x in y"));
        assert_eq!(reason("\n"), None);
    }
}
