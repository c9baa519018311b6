//! Patterns of what is left out, as `.gitignore` has them: globs, without its exceptions.

use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use thiserror::Error;

use forkpress_core::advice::Advice;

/// A pattern that is none.
#[derive(Debug, Error)]
#[error("{pattern:?} is no pattern of paths")]
pub struct PatternError {
    /// What was given.
    pub pattern: String,
    /// What is wrong with it.
    pub source: globset::Error,
}

impl Advice for PatternError {
    fn hint(&self) -> Option<String> {
        Some("as in --exclude '*.mp4' or --exclude 'wp-content/uploads/2019'".to_owned())
    }
}

/// What is left out of a source.
#[derive(Clone, Debug, Default)]
pub struct Excluded {
    set: GlobSet,
}

impl Excluded {
    /// Reads patterns. One without a `/` is a name, of a file or a folder at any depth. One with a `/` begins at
    /// WordPress's folder. `*` stays in a name, `**` does not.
    ///
    /// # Errors
    /// [`PatternError`] for what is no glob.
    pub fn parse<P: AsRef<str>>(patterns: &[P]) -> Result<Self, PatternError> {
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            let failed = |source| PatternError { pattern: pattern.as_ref().to_owned(), source };
            let text = pattern.as_ref().trim_end_matches('/');
            let glob = match text.strip_prefix('/') {
                Some(anchored) => anchored.to_owned(),
                None if text.contains('/') => text.strip_prefix("./").unwrap_or(text).to_owned(),
                None => format!("**/{text}"),
            };
            set.add(GlobBuilder::new(&glob).literal_separator(true).build().map_err(failed)?);
        }
        let failed = |source| PatternError { pattern: String::new(), source };
        Ok(Self { set: set.build().map_err(failed)? })
    }

    /// Whether a path in a WordPress is left out, or a folder that it is in.
    #[must_use]
    pub fn has(&self, path: &Path) -> bool {
        !self.set.is_empty()
            && path.ancestors().any(|folder| !folder.as_os_str().is_empty() && self.set.is_match(folder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_leave_out_what_they_do_in_a_gitignore() {
        let excluded =
            Excluded::parse(&["*.mp4", "/wp-content/uploads/20?9", "node_modules/", "wp-content/**/cache", "./a/b"])
                .unwrap();
        for path in [
            "x.mp4",
            "a/x.mp4/y",
            "wp-content/uploads/2019/a",
            "x/node_modules/y",
            "wp-content/cache",
            "wp-content/a/b/cache/c",
            "a/b/c",
        ] {
            assert!(excluded.has(Path::new(path)), "{path}");
        }
        for path in [
            "x.mp3",
            "b/wp-content/uploads/2019",
            "wp-content/uploads/2020",
            "cache",
            "x/a/b",
            "wp-content/uploads/2/9",
        ] {
            assert!(!excluded.has(Path::new(path)), "{path}");
        }
        assert!(!Excluded::default().has(Path::new("a")));
        assert_eq!(Excluded::parse(&["a["]).unwrap_err().pattern, "a[");
    }
}
