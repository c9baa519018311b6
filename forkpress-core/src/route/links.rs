//! The folders outside of the branches that symlinks may lead to, as `site.toml` names them in `links`.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// Whether a folder may be named in `links`: by an absolute path without `..`, and not all of the file system.
#[must_use]
pub fn is_linkable(folder: &Path) -> bool {
    let is_plain = |component| matches!(component, Component::RootDir | Component::Normal(_));
    folder.is_absolute() && folder.file_name().is_some() && folder.components().all(is_plain)
}

/// The real path of the linked folder that a real path is in; none where it is in none of them, or where the settings can't
/// be read.
///
/// Settings that the command line would refuse say nothing here.
pub(super) fn linked_folder(site_toml: &Path, real: &Path) -> Option<PathBuf> {
    let table: toml::Table = fs::read_to_string(site_toml).ok()?.parse().ok()?;
    let links = table.get("links")?.as_array()?.iter().filter_map(|link| Some(Path::new(link.as_str()?)));
    let folders = links.filter(|link| is_linkable(link)).filter_map(|link| link.canonicalize().ok());
    folders.into_iter().find(|folder| is_linkable(folder) && real.starts_with(folder))
}
