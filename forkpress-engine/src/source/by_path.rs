//! What the path of a file in a source tells, before anybody looks into it. Pure.

use std::path::Path;

/// The folder of plugins, themes and uploads.
pub(super) const CONTENT: &str = "wp-content";

/// Whether a path is in code, where a dump is a sample.
pub(super) fn is_code(path: &Path) -> bool {
    let names: Vec<_> = path.iter().collect();
    let is_in = |name: &str| names[..names.len().saturating_sub(1)].iter().any(|found| *found == name);
    ["wp-includes", "wp-admin", "node_modules", "vendor", ".git", "__MACOSX"].iter().any(|name| is_in(name))
        || names.windows(2).any(|pair| {
            pair[0] == CONTENT && ["plugins", "themes", "mu-plugins", "languages"].iter().any(|name| pair[1] == *name)
        })
}

/// Whether a file is called like a dump.
pub(super) fn is_dump_name(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    [".sql", ".sql.gz", ".sql.zst", ".sql.bz2"].iter().any(|ending| name.ends_with(ending))
}
