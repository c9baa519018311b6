//! Two versions of a text as a patch.

use std::time::Duration;

use similar::{Algorithm, TextDiff};

/// How long to look for the shortest patch. After that it may be longer, and is still right.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The lines that differ, each with a sign before it, and three around them.
pub(super) fn patch(before: &str, after: &str) -> String {
    let ended = |text: &str| if text.is_empty() { String::new() } else { format!("{text}\n") };
    let (before, after) = (ended(before), ended(after));
    let diff = TextDiff::configure().algorithm(Algorithm::Myers).timeout(TIMEOUT).diff_lines(&before, &after);
    diff.unified_diff().context_radius(3).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_has_the_lines_that_differ() {
        assert_eq!(patch("a\nb\nc", "a\nB\nc"), "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n");
        assert_eq!(patch("a", "a\n"), "@@ -1 +1,2 @@\n a\n+\n");
        assert_eq!(patch("", "new"), "@@ -0,0 +1 @@\n+new\n");
    }
}
