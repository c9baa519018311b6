//! What PHP says from now on: the cause of a failure.

use std::fs;
use std::path::PathBuf;

use forkpress_core::layout::SiteLayout;

use crate::failure::Failure;

/// The logs of PHP.
pub(super) struct Logs {
    /// What its processes say.
    pub(super) server: Tail,
    /// What the site's code gives cause for.
    pub(super) errors: Tail,
}

impl Logs {
    pub(super) fn from_now(layout: &SiteLayout) -> Self {
        Self { server: Tail::from_now(layout.php_server_log()), errors: Tail::from_now(layout.php_errors_log()) }
    }
}

/// What a log says from now on.
pub(super) struct Tail {
    path: PathBuf,
    start: u64,
}

impl Tail {
    fn from_now(path: PathBuf) -> Self {
        Self { start: fs::metadata(&path).map_or(0, |metadata| metadata.len()), path }
    }

    /// Adds the last lines of it to the causes of a failure.
    pub(super) fn blame(&self, failure: Failure) -> Failure {
        const LINES: usize = 8;
        let bytes = fs::read(&self.path).unwrap_or_default();
        let new = usize::try_from(self.start).ok().and_then(|start| bytes.get(start..)).unwrap_or_default();
        let text = String::from_utf8_lossy(new);
        let lines: Vec<_> = text.lines().collect();
        if lines.is_empty() {
            return failure;
        }
        let last = lines[lines.len().saturating_sub(LINES)..].join("\n  ");
        failure.because(format!("{} says:\n  {last}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_log_says_from_now_on_is_blamed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, "old\n").unwrap();
        let tail = Tail::from_now(path.clone());
        assert_eq!(tail.blame(Failure::new("x")).causes, [""; 0]);
        fs::write(&path, "old\nFailed to listen\n").unwrap();
        let causes = tail.blame(Failure::new("x")).causes;
        assert!(causes[0].ends_with("says:\n  Failed to listen"), "{causes:?}");
    }
}
