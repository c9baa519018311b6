//! Which paths of a branch Git has: all but the database, what belongs to other programs, and secrets.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use forkpress_core::layout::DATABASE_DIR;
use forkpress_core::reserved;

/// The file whose secrets are not in the view.
pub(super) const CONFIG_FILE: &str = "wp-config.php";

/// Whether a path of a branch is in its view.
pub(crate) fn is_in_view(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    let is_database = bytes.len() >= DATABASE_DIR.len()
        && bytes[..DATABASE_DIR.len()].eq_ignore_ascii_case(DATABASE_DIR.as_bytes())
        && matches!(bytes.get(DATABASE_DIR.len()), None | Some(b'/'));
    !is_database
        && !path.iter().any(|name| reserved::is_git(name.as_bytes()) || reserved::is_forkpress(name.as_bytes()))
        && !path.file_name().is_some_and(is_copy_of_config)
        && !is_kept_secret(path)
}

/// Folders and files in which programs keep credentials, and nothing else.
const SECRET_NAMES: [&[u8]; 12] = [
    b".aws",
    b".gnupg",
    b".ssh",
    b".env",
    b".git-credentials",
    b".htpasswd",
    b".my.cnf",
    b".netrc",
    b".npmrc",
    b".pgpass",
    b".s3cfg",
    b".vault-token",
];

/// How the names of files end that hold a private key.
const SECRET_ENDINGS: [&[u8]; 6] = [b".p12", b".pfx", b".ppk", b".jks", b".keystore", b".kdbx"];

/// Whether programs keep credentials at a path, and nothing else: `.env`, `.htpasswd`, `.ssh`, a private key. A sample of an
/// `.env` has none, nor has a certificate or a public key.
fn is_kept_secret(path: &Path) -> bool {
    let names: Vec<_> = path.iter().map(|name| name.as_bytes().to_ascii_lowercase()).collect();
    let Some(name) = names.last() else { return false };
    let has = |word: &[u8]| name.windows(word.len()).any(|part| part == word);
    let is_sample = ["example", "sample", "dist", "template"].iter().any(|word| has(word.as_bytes()));
    let is_private_key = (name.ends_with(b".pem") && (has(b"key") || has(b"priv")) && !has(b"pub"))
        || name.ends_with(b".key") && !names.iter().any(|name| name == b"uploads");
    let is_key_of_ssh = name.starts_with(b"id_") && !name.contains(&b'.') && {
        ["rsa", "dsa", "ecdsa", "ed25519"].iter().any(|kind| name[3..].starts_with(kind.as_bytes()))
    };
    // Composer's, at the root of a project: elsewhere it may be texts of a page that signs in.
    let is_of_composer = name == b"auth.json" && matches!(names.len(), 1 | 2 | 4);
    names.iter().any(|name| SECRET_NAMES.contains(&name.as_slice()))
        || name.starts_with(b".env.") && !is_sample
        || SECRET_ENDINGS.iter().any(|end| name.ends_with(end))
        || is_private_key
        || is_key_of_ssh
        || is_of_composer
}

/// Whether a name is one that editors, updates and people give to copies of `wp-config.php`: the secrets are in them, too.
fn is_copy_of_config(name: &OsStr) -> bool {
    let name = name.as_bytes().to_ascii_lowercase();
    let is_named_so = name.windows(b"wp-config".len()).any(|part| part == b"wp-config");
    is_named_so && name != CONFIG_FILE.as_bytes() && name != b"wp-config-sample.php"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_view_has_neither_the_database_nor_repositories_nor_sites_nor_copies_of_the_configuration() {
        for path in [
            "wp-content/database/.ht.sqlite",
            "wp-content/DATABASE/x",
            ".git/config",
            "a/.GIT/x",
            "a/.git",
            "a/git~1/x",
            ".forkpress/site.toml",
            "a/.ForkPress",
            "a/forkpr~1",
            "wp-config.php.bak",
            ".wp-config.php.swp",
            "wp-config-old.php",
            "backup/WP-Config.php~",
            ".env",
            "wp-content/themes/t/.env.production",
            ".htpasswd",
            "wp-content/.ssh/config",
            "auth.json",
            "wp-content/themes/t/auth.json",
            ".npmrc",
            "id_rsa",
            "wp-content/id_ed25519",
            "privkey.pem",
            "wp-content/server.key",
            "wp-content/cert.p12",
        ] {
            assert!(!is_in_view(Path::new(path)), "{path}");
        }
        for path in [
            "wp-content/databases/x",
            "wp-content/database.php",
            ".gitignore",
            "a/git",
            "forkpress/x",
            ".forkpress-notes",
            "wp-config.php",
            "wp-config-sample.php",
            ".env.example",
            "wp-content/plugins/p/public-key.pem",
            "wp-content/plugins/p/cacert.pem",
            "wp-content/plugins/p/lang/en/auth.json",
            "wp-content/uploads/2026/talk.key",
            "id_rsa.pub",
            "wp-content/plugins/p/src/env.php",
        ] {
            assert!(is_in_view(Path::new(path)), "{path}");
        }
    }
}
