//! The worktrees of a checkout.

use std::path::{Path, PathBuf};

use super::run;
use crate::failure::Failure;

/// The worktrees of the checkout that `dir` lies in; the checkout itself is the first.
pub fn worktrees(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    Ok(parse(&run(dir, ["worktree", "list", "--porcelain"])?))
}

/// Reads what `git worktree list --porcelain` says.
fn parse(text: &str) -> Vec<PathBuf> {
    text.lines().filter_map(|line| line.strip_prefix("worktree ").map(PathBuf::from)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worktrees_are_read_with_the_checkout_first() {
        let text = "worktree /a b\nHEAD 12\nbranch refs/heads/main\n\nworktree /a b/agent-1\nHEAD 12\ndetached\n\n";
        assert_eq!(parse(text), [Path::new("/a b"), Path::new("/a b/agent-1")]);
    }
}
