//! What the program carries with it and unpacks into a site: the router, the platform plugin, PHP's settings.

use std::fs;
use std::io;
use std::path::PathBuf;

use forkpress_core::layout::SiteLayout;

use crate::failure::{During, Failure};

/// Path in the runtime folder, and content.
const FILES: &[(&str, &[u8])] = &[
    ("php.ini", include_bytes!("../../php.ini.dist")),
    ("install.php", include_bytes!("../../runtime/install.php")),
    ("router_cow.php", include_bytes!("../../runtime/router_cow.php")),
    ("platform/admin-bar.php", include_bytes!("../../runtime/platform/admin-bar.php")),
    ("platform/auto-login.php", include_bytes!("../../runtime/platform/auto-login.php")),
    ("platform/links.php", include_bytes!("../../runtime/platform/links.php")),
    ("platform/loopback.php", include_bytes!("../../runtime/platform/loopback.php")),
    ("platform/server.php", include_bytes!("../../runtime/platform/server.php")),
];

/// `wp-config.php` of a new site. Each [`SALT`] in it stands for a secret of its own.
pub const WP_CONFIG: &str = include_str!("../../runtime/wp-config.php");

/// What stands for a secret in [`WP_CONFIG`].
pub const SALT: &str = "@SALT@";

/// Brings the site's runtime folder to what this program carries. Each file is replaced by rename, so a server that runs
/// goes on with a whole one.
pub fn unpack(layout: &SiteLayout) -> Result<(), Failure> {
    for (name, bytes) in FILES {
        let path = layout.runtime_dir().join(name);
        put(&path, bytes).during(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The installer that `init` runs.
pub fn installer(layout: &SiteLayout) -> PathBuf {
    layout.runtime_dir().join("install.php")
}

/// Replaces a file unless it has these bytes.
pub fn put(path: &std::path::Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|before| before == bytes) {
        return Ok(());
    }
    let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(dir)?;
    let mut file = tempfile::Builder::new().prefix(".unpack-").tempfile_in(dir)?;
    io::Write::write_all(&mut file, bytes)?;
    let mode = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o644);
    file.as_file().set_permissions(mode)?;
    file.persist(path)?;
    Ok(())
}

/// The version of this program and of what it carries.
pub fn long_version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}
