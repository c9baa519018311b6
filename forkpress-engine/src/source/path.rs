//! Names in archives as relative paths that stay below the folder that they are unpacked to.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use thiserror::Error;

/// Why a name in an archive is no path to write to.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BadName {
    /// It leads out of the folder.
    #[error("would be written outside of the folder")]
    Outside,
    /// No file can be called so.
    #[error("has a name that no file can have")]
    NoName,
}

/// The longest path that systems take, and the longest name in it.
const LONGEST_PATH: usize = 4095;
const LONGEST_NAME: usize = 255;

/// The path that a name in an archive stands for; empty where it is the archive's own folder. Bytes that are no UTF-8
/// stay.
pub(super) fn clean(name: &[u8]) -> Result<PathBuf, BadName> {
    if name.starts_with(b"/") {
        return Err(BadName::Outside);
    }
    if name.contains(&0) || name.len() > LONGEST_PATH {
        return Err(BadName::NoName);
    }
    let mut path = PathBuf::new();
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err(BadName::Outside),
            _ if part.len() > LONGEST_NAME => return Err(BadName::NoName),
            _ => path.push(OsString::from_vec(part.to_vec())),
        }
    }
    Ok(path)
}

/// The same of a name that may have been written on Windows: `\` separates there, and `C:` begins an absolute path.
pub(super) fn clean_windows(name: &[u8]) -> Result<PathBuf, BadName> {
    let name: Vec<u8> = name.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect();
    if matches!(name.as_slice(), [drive, b':', b'/', ..] if drive.is_ascii_alphabetic()) {
        return Err(BadName::Outside);
    }
    clean(&name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_name_becomes_a_path_below_or_is_refused() {
        for (name, path) in [("a/b", "a/b"), ("./a//b/", "a/b"), (".", ""), ("a/...", "a/..."), ("a\\b", "a\\b")] {
            assert_eq!(clean(name.as_bytes()), Ok(PathBuf::from(path)), "{name}");
        }
        assert_eq!(clean(b"a/\xff").unwrap().as_os_str().as_bytes(), b"a/\xff");
        for name in ["/a", "..", "a/../b", "../a"] {
            assert_eq!(clean(name.as_bytes()), Err(BadName::Outside), "{name}");
        }
        assert_eq!(clean(b"a\0b"), Err(BadName::NoName));
        assert_eq!(clean("x".repeat(256).as_bytes()), Err(BadName::NoName));
    }

    #[test]
    fn windows_separates_by_backslashes() {
        assert_eq!(clean_windows(b"a\\b/c"), Ok(PathBuf::from("a/b/c")));
        for name in ["..\\a", "a\\..\\b", "\\a", "C:\\a"] {
            assert_eq!(clean_windows(name.as_bytes()), Err(BadName::Outside), "{name}");
        }
    }
}
