//! Where `branchfs.so` comes from, and putting it into a site.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use forkpress_core::layout::SiteLayout;

use crate::failure::{During, Failure};
use crate::runtime;

/// Puts the extension into the site's runtime folder, by rename: a PHP that runs keeps the one it has.
pub fn unpack(layout: &SiteLayout) -> Result<(), Failure> {
    let source = find(env::var_os("FORKPRESS_EXTENSION").map(PathBuf::from), env::current_exe().ok().as_deref())?;
    match source {
        Some(source) => {
            let bytes = fs::read(&source).during(|| format!("cannot read {}", source.display()))?;
            let path = layout.extension();
            runtime::put(&path, &bytes).during(|| format!("cannot write {}", path.display()))
        }
        None if layout.extension().is_file() => Ok(()),
        None => Err(Failure::new("the PHP extension branchfs.so is neither in this program nor beside it")
            .hint("'make build' makes it; FORKPRESS_EXTENSION=PATH names one elsewhere")),
    }
}

/// The extension that was named, else the one beside the program, else the one of the source tree that it was built in.
fn find(named: Option<PathBuf>, program: Option<&Path>) -> Result<Option<PathBuf>, Failure> {
    if let Some(named) = named.filter(|named| !named.as_os_str().is_empty()) {
        return if named.is_file() {
            Ok(Some(named))
        } else {
            Err(Failure::new(format!("FORKPRESS_EXTENSION names {}, which is no file", named.display())))
        };
    }
    let dir = program.and_then(Path::parent);
    let beside = dir.map(|dir| dir.join("branchfs.so"));
    let in_source_tree = dir.map(|dir| dir.join("../../ext/branchfs.so"));
    Ok([beside, in_source_tree].into_iter().flatten().find(|path| path.is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_is_taken_from_where_it_was_named_then_from_beside_then_from_the_source_tree() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target/release");
        fs::create_dir_all(&target).unwrap();
        fs::create_dir(dir.path().join("ext")).unwrap();
        let program = target.join("forkpress");
        assert_eq!(find(None, Some(&program)).unwrap(), None);
        fs::write(dir.path().join("ext/branchfs.so"), "").unwrap();
        assert_eq!(find(None, Some(&program)).unwrap(), Some(target.join("../../ext/branchfs.so")));
        fs::write(target.join("branchfs.so"), "").unwrap();
        assert_eq!(find(None, Some(&program)).unwrap(), Some(target.join("branchfs.so")));
        let named = dir.path().join("mine.so");
        assert!(find(Some(named.clone()), Some(&program)).is_err());
        fs::write(&named, "").unwrap();
        assert_eq!(find(Some(named.clone()), Some(&program)).unwrap(), Some(named));
    }
}
