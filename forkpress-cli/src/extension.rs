//! Finds `branchfs.so` and puts it into a site, and tells which one a PHP needs.
//!
//! `branchfs.so` is for the PHP that it was built with. Beside it may be ones for other PHPs, which have their PHP's
//! kind in their name: `branchfs-20230831-nts.so`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use forkpress_core::layout::SiteLayout;
use forkpress_engine::file;

use crate::bundle::{Bundle, is_named_extension};
use crate::child;
use crate::failure::{During, Failure};

/// What a PHP is asked, without any settings.
const QUESTION: &str = r#"ob_start(); phpinfo(INFO_GENERAL); preg_match('/^PHP Extension => ([0-9]+)$/m', ob_get_clean(), $api);
    echo "branchfs-$api[1]-", PHP_ZTS ? 'zts' : 'nts', PHP_DEBUG ? '-debug' : '', '.so';"#;

/// Puts the extensions into the site's runtime folder, by rename: a PHP that runs keeps the one it has.
///
/// Taken is the one that `FORKPRESS_EXTENSION` names, and no other; else those in this program, else those beside it, else those
/// that the site has.
pub fn unpack(layout: &SiteLayout) -> Result<(), Failure> {
    let named = env::var_os("FORKPRESS_EXTENSION").filter(|named| !named.is_empty()).map(PathBuf::from);
    let (own, others) = match (named, Bundle::embedded()) {
        (Some(named), _) => (read(&named)?, Vec::new()),
        (None, Some(bundle)) => (bundle.extension().map_err(Failure::of)?, bundle.extensions().map_err(Failure::of)?),
        (None, None) => match find(env::current_exe().ok().as_deref()) {
            Some(found) => {
                let folder = found.parent().unwrap_or(Path::new("."));
                let others = named_in(folder).into_iter().map(|name| Ok((name.clone(), read(&folder.join(name))?)));
                (read(&found)?, others.collect::<Result<Vec<_>, Failure>>()?)
            }
            None if layout.extension().is_file() => return Ok(()),
            None => {
                return Err(Failure::new("the PHP extension branchfs.so is neither in this program nor beside it")
                    .hint("'make build' makes it; FORKPRESS_EXTENSION=PATH names one elsewhere"));
            }
        },
    };
    put(&layout.extension(), &own)?;
    let folder = layout.runtime_dir();
    for (name, bytes) in &others {
        put(&folder.join(name), bytes)?;
    }
    for stale in named_in(&folder).iter().filter(|name| others.iter().all(|(other, _)| other != *name)) {
        let path = folder.join(stale);
        fs::remove_file(&path).during(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    // A file that does not change stays the one that a running PHP has mapped.
    if fs::read(path).is_ok_and(|before| before == bytes) {
        return Ok(());
    }
    file::replace(path, bytes).during(|| format!("cannot write {}", path.display()))
}

/// The extension of a site for a PHP. That is asked only where the site has several.
pub fn of(layout: &SiteLayout, program: &Path) -> PathBuf {
    let names = named_in(&layout.runtime_dir());
    if names.is_empty() {
        return layout.extension();
    }
    let mut command = Command::new(program);
    let said = child::ran(command.args(["-n", "-r", QUESTION]).stdin(Stdio::null()));
    // A PHP that does not say has no use for any.
    let said = said.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    chosen(&names, &said).map_or_else(|| layout.extension(), |name| layout.runtime_dir().join(name))
}

/// The one for a PHP among those that are there, by the name that one for it has; none: `branchfs.so`.
fn chosen<'a>(names: &'a [String], wanted: &str) -> Option<&'a String> {
    names.iter().find(|name| *name == wanted)
}

/// Extensions in a folder that are named after the PHP that they are for.
fn named_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| is_named_extension(name));
    names.sort_unstable();
    names
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
    fn an_extension_is_chosen_by_the_api_and_the_build_of_its_php() {
        let names =
            ["branchfs-20230831-nts.so", "branchfs-20230831-zts.so", "branchfs-20240924-nts.so"].map(str::to_owned);
        assert_eq!(chosen(&names, "branchfs-20240924-nts.so"), Some(&names[2]));
        for other in ["branchfs-20220829-nts.so", "branchfs-20240924-zts.so", "branchfs-20240924-nts-debug.so", ""] {
            assert_eq!(chosen(&names, other), None, "{other}: branchfs.so");
        }
        assert!(
            names.iter().all(|name| is_named_extension(name)) && is_named_extension("branchfs-20230831-zts-debug.so")
        );
        for other in [
            "branchfs.so",
            "branchfs-8.3-nts.so",
            "branchfs-20230831.so",
            "branchfs-20230831-x.so",
            "branchfs-20230831-nts.so.tmp",
        ] {
            assert!(!is_named_extension(other), "{other}");
        }
    }

    #[test]
    fn a_site_with_several_extensions_asks_php_which_one_it_needs() {
        let dir = tempfile::tempdir().unwrap();
        let layout = SiteLayout::at(dir.path());
        let runtime = layout.runtime_dir();
        fs::create_dir_all(&runtime).unwrap();
        let php = dir.path().join("php8.9");
        fs::write(&php, "#!/bin/sh\nprintf branchfs-20260101-nts.so\n").unwrap();
        fs::set_permissions(&php, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(of(&layout, &php), layout.extension());
        fs::write(runtime.join("branchfs-20250101-nts.so"), "").unwrap();
        assert_eq!(of(&layout, &php), layout.extension());
        fs::write(runtime.join("branchfs-20260101-nts.so"), "").unwrap();
        assert_eq!(of(&layout, &php), runtime.join("branchfs-20260101-nts.so"));
        assert_eq!(of(&layout, Path::new("/bin/false")), layout.extension());
    }

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
