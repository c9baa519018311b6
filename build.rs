//! Packs into the `forkpress` binary what it unpacks into a site: the files of the runtime, and the runtime bundle.
//!
//! `FORKPRESS_RUNTIME_BUNDLE` names the bundle, an archive that `scripts/build-bundle.sh` makes; `/dev/null` means
//! none. If it is not set, `target/runtime-bundle.tar.zst` is used if it exists. Otherwise there is no bundle, and a
//! warning.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{env, io};

const BUNDLE: &str = "FORKPRESS_RUNTIME_BUNDLE";

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let root = root.parent().expect("the package is a folder of the workspace").to_owned();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));

    println!("cargo:rerun-if-env-changed={BUNDLE}");
    let bundle = bundle(&root);
    // Not fs::copy, which takes no /dev/null.
    let bytes = fs::read(&bundle)
        .unwrap_or_else(|error| panic!("cannot read the runtime bundle {}: {error}", bundle.display()));
    fs::write(out.join("bundle.tar.zst"), bytes).expect("OUT_DIR can be written");

    fs::write(out.join("runtime_files.rs"), runtime_files(&root)).expect("OUT_DIR can be written");
}

/// The file to embed; an empty one stands for no bundle.
fn bundle(root: &Path) -> PathBuf {
    if let Some(named) = env::var_os(BUNDLE) {
        let named = PathBuf::from(named);
        if named != Path::new("/dev/null") {
            println!("cargo:rerun-if-changed={}", named.display());
        }
        return named;
    }
    let built = root.join("target/runtime-bundle.tar.zst");
    println!("cargo:rerun-if-changed={}", built.display());
    if !built.exists() {
        // Cargo would run this script, and compile the package, at every build for as long as a watched file is missing.
        if let Err(error) = stand_in(&built) {
            println!("cargo:warning=cannot write {}: {error}", built.display());
            return PathBuf::from("/dev/null");
        }
    }
    if fs::metadata(&built).is_ok_and(|file| file.len() == 0) {
        println!(
            "cargo:warning=built without WordPress: `forkpress init` will need --wordpress (`make build` packs it in)"
        );
    }
    built
}

/// Makes an empty file that is older than anything else, so that whatever replaces it is noticed.
fn stand_in(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path.parent().expect("it lies in target/"))?;
    File::create(path)?.set_modified(SystemTime::UNIX_EPOCH)
}

/// Rust source: a slice of (name, content) of `php.ini.dist` and of every PHP, INI and JavaScript file in `runtime/`.
fn runtime_files(root: &Path) -> String {
    let runtime = root.join("runtime");
    println!("cargo:rerun-if-changed={}", runtime.display());
    println!("cargo:rerun-if-changed={}", root.join("php.ini.dist").display());
    let mut files = vec![("php.ini".to_owned(), root.join("php.ini.dist"))];
    let mut folders = vec![runtime.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display())) {
            let path = entry.expect("a folder that was opened can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| ["php", "ini", "js"].iter().any(|packed| extension == *packed))
            {
                let name = path.strip_prefix(&runtime).expect("it was found there");
                files.push((name.to_str().expect("our own files have plain names").to_owned(), path));
            }
        }
    }
    files.sort();
    let entries: String = files
        .iter()
        .map(|(name, path)| format!("    ({name:?}, include_str!({:?})),\n", path.to_str().expect("a path in UTF-8")))
        .collect();
    format!("&[\n{entries}]\n")
}
