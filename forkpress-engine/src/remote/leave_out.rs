//! What does not travel: words for the other side's tar, which never leave out more than is meant. Pure.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What does not travel.
#[derive(Debug, Default)]
pub(super) struct LeftOut<'a> {
    /// Exactly these, and what is in them.
    pub(super) paths: Vec<PathBuf>,
    /// Patterns as [`crate::source::Excluded`] takes them.
    pub(super) patterns: &'a [String],
    /// A `wp-content` by another name, which patterns do not know.
    pub(super) content: Option<PathBuf>,
}

/// Where everybody's content folder is.
const CONTENT: &str = "wp-content";

impl LeftOut<'_> {
    /// The arguments for tar. Others than GNU's know patterns in other ways: they get those only that are names. What travels all
    /// the same is left out here.
    pub(super) fn arguments(&self, is_gnu: bool) -> Vec<Vec<u8>> {
        let mut arguments: Vec<Vec<u8>> = Vec::new();
        let mut add = |settings: &[&str], prefix: &str, pattern: &[u8]| {
            if is_gnu {
                arguments.extend(settings.iter().map(|setting| setting.as_bytes().to_owned()));
            }
            arguments.push([b"--exclude=", prefix.as_bytes(), pattern].concat());
        };
        for path in self.paths.iter().filter(|path| is_gnu || !has_wildcard(path.as_os_str().as_bytes())) {
            add(&["--anchored", "--no-wildcards"], "./", path.as_os_str().as_bytes());
        }
        let patterns = self.patterns.iter().filter(|pattern| !pattern.contains(['{', '\\']) && !pattern.contains("**"));
        for pattern in patterns.filter(|pattern| is_gnu || !has_wildcard(pattern.as_bytes())) {
            let pattern = pattern.trim_end_matches('/');
            let anchored = pattern
                .strip_prefix('/')
                .or_else(|| pattern.contains('/').then(|| pattern.strip_prefix("./").unwrap_or(pattern)));
            match anchored {
                Some(path) => {
                    for path in self.places(Path::new(path)) {
                        let settings = ["--anchored", "--wildcards", "--no-wildcards-match-slash"];
                        add(&settings, "./", path.as_os_str().as_bytes());
                    }
                }
                None if is_gnu => {
                    add(&["--no-anchored", "--wildcards", "--no-wildcards-match-slash"], "", pattern.as_bytes());
                }
                None => {}
            }
        }
        arguments
    }

    /// Where a path of a WordPress may be there.
    fn places(&self, path: &Path) -> Vec<PathBuf> {
        let elsewhere = self.content.as_ref().and_then(|content| Some(content.join(path.strip_prefix(CONTENT).ok()?)));
        std::iter::once(path.to_owned()).chain(elsewhere).collect()
    }
}

fn has_wildcard(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::process::Command;

    use super::*;
    use crate::source::Excluded;

    #[test]
    fn tar_leaves_out_what_is_left_out_here() {
        let dir = tempfile::tempdir().unwrap();
        let files = [
            "a.mp4",
            "x/b.mp4",
            "x/b.mp3",
            "wp-content/uploads/2019/a",
            "wp-content/uploads/2020/a",
            "x/wp-content/uploads/2019/a",
            "wp-content/plugins/a/cache/x",
            "wp-content/plugins/a/b/cache/x",
            "wp-content/cache/x",
            "node_modules/y",
            "z/node_modules/y",
            "odd[1]*/a",
            "odd1/a",
        ];
        for file in files {
            fs::create_dir_all(dir.path().join(file).parent().unwrap()).unwrap();
            fs::write(dir.path().join(file), "").unwrap();
        }
        let patterns =
            ["*.mp4", "wp-content/uploads/2019", "/wp-content/*/*/cache", "node_modules/"].map(str::to_owned);
        let left_out =
            LeftOut { paths: vec!["wp-content/cache".into(), "odd[1]*".into()], patterns: &patterns, content: None };
        let arguments = left_out.arguments(true);
        let arguments = arguments.iter().map(|argument| std::ffi::OsStr::from_bytes(argument));
        let packed =
            Command::new("tar").args(["-C"]).arg(dir.path()).arg("-cf").arg("-").args(arguments).arg(".").output();
        let packed = packed.unwrap();
        assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
        let mut archive = tar::Archive::new(packed.stdout.as_slice());
        let came: BTreeSet<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .filter(|path| !path.ends_with('/'))
            .map(|path| path.trim_start_matches("./").to_owned())
            .collect();
        let excluded = Excluded::parse(&patterns).unwrap();
        let right = files.iter().filter(|file| {
            let path = Path::new(file);
            !excluded.has(path) && !path.starts_with("wp-content/cache") && !path.starts_with("odd[1]*")
        });
        assert_eq!(came, right.map(|file| (*file).to_owned()).collect());
    }

    #[test]
    fn another_tar_gets_names_only() {
        let patterns = ["*.mp4", "name", "wp-content/uploads/2019", "{a,b}/c", "a/**/b"].map(str::to_owned);
        let left_out = LeftOut { paths: vec!["x".into()], patterns: &patterns, content: Some("app".into()) };
        let words: Vec<_> =
            left_out.arguments(false).into_iter().map(|word| String::from_utf8(word).unwrap()).collect();
        assert_eq!(words, ["--exclude=./x", "--exclude=./wp-content/uploads/2019", "--exclude=./app/uploads/2019"]);
    }
}
