//! Finds `branchfs.so` and puts it into a site.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use forkpress_core::layout::SiteLayout;
use forkpress_engine::file;

use crate::bundle::Bundle;
use crate::failure::{During, Failure};

/// Puts the extension into the site's runtime folder, by rename: a PHP that runs keeps the one it has.
///
/// Taken is the one that `FORKPRESS_EXTENSION` names, else the one in this program, else the one beside it, else the one
/// that the site has.
pub fn unpack(layout: &SiteLayout) -> Result<(), Failure> {
    let named = env::var_os("FORKPRESS_EXTENSION").filter(|named| !named.is_empty()).map(PathBuf::from);
    let bytes = match (named, Bundle::embedded()) {
        (Some(named), _) => read(&named)?,
        (None, Some(bundle)) => bundle.extension().map_err(Failure::of)?,
        (None, None) => match find(env::current_exe().ok().as_deref()) {
            Some(found) => read(&found)?,
            None if layout.extension().is_file() => return Ok(()),
            None => {
                return Err(Failure::new("the PHP extension branchfs.so is neither in this program nor beside it")
                    .hint("'make build' makes it; FORKPRESS_EXTENSION=PATH names one elsewhere"));
            }
        },
    };
    let path = layout.extension();
    // A file that does not change stays the one that a running PHP has mapped.
    if fs::read(&path).is_ok_and(|before| before == bytes) {
        return Ok(());
    }
    file::replace(&path, &bytes).during(|| format!("cannot write {}", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).during(|| format!("cannot read the extension {}", path.display()))
}

/// The extension beside the program, else the one of the source tree that the program was built in.
fn find(program: Option<&Path>) -> Option<PathBuf> {
    let dir = program?.parent()?;
    ["branchfs.so", "../../ext/branchfs.so"].iter().map(|path| dir.join(path)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_is_taken_from_beside_the_program_then_from_the_source_tree() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target/release");
        fs::create_dir_all(&target).unwrap();
        fs::create_dir(dir.path().join("ext")).unwrap();
        let program = target.join("forkpress");
        assert_eq!(find(Some(&program)), None);
        fs::write(dir.path().join("ext/branchfs.so"), "").unwrap();
        assert_eq!(find(Some(&program)), Some(target.join("../../ext/branchfs.so")));
        fs::write(target.join("branchfs.so"), "").unwrap();
        assert_eq!(find(Some(&program)), Some(target.join("branchfs.so")));
    }
}
