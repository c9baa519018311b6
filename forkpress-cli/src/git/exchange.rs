//! Push to a site and fetch from it, with what a refusal means for the user.

use std::process::Output;

use super::{Checkout, command, failed, outcome, said, said_by_server};
use crate::failure::Failure;

/// Pushes `refspec`. A refusal says what the site said, and what to type next.
pub fn push(checkout: &Checkout, remote: &str, refspec: &str, options: &[&str]) -> Result<(), Failure> {
    let mut push = command(checkout.dir(), ["push", "--porcelain", "--no-progress"]);
    let output = outcome(push.args(options).args([remote, refspec]))?;
    if output.status.success() { Ok(()) } else { Err(not_pushed(&output)) }
}

/// Fetches branches into the checkout's remote-tracking branches.
pub fn fetch(checkout: &Checkout, remote: &str, refspecs: &[String]) -> Result<(), Failure> {
    let mut fetch = command(checkout.dir(), ["fetch", "--quiet", "--no-tags", remote]);
    let output = outcome(fetch.args(refspecs))?;
    if output.status.success() { Ok(()) } else { Err(not_reached(failed(&fetch, &output), &output.stderr)) }
}

/// The refspec with which a branch of the site becomes a remote-tracking branch.
pub fn tracking(remote: &str, branch: impl std::fmt::Display) -> String {
    format!("+refs/heads/{branch}:refs/remotes/{remote}/{branch}")
}

/// The failure with a hint, where git could not speak with the site.
pub fn not_reached(failure: Failure, stderr: &[u8]) -> Failure {
    let said = said(stderr).join("\n");
    let says = |words: &[&str]| words.iter().any(|words| said.contains(words));
    if says(&["Failed to connect", "Couldn't connect", "Connection refused"]) {
        failure.hint("forkpress serve, in the folder of the site")
    } else if says(&["Could not resolve host"]) {
        failure.hint("forkpress server list shows the addresses of the sites that this machine serves")
    } else if says(&["Authentication failed", "could not read Username", "could not read Password", "error: 403"]) {
        failure.hint("forkpress git token, on the machine of the site, says how to name the token")
    } else if says(&["couldn't find remote ref"]) {
        failure.hint("the site has no such branch (any more): forkpress branch list")
    } else {
        failure
    }
}

fn not_pushed(output: &Output) -> Failure {
    let stdout = String::from_utf8_lossy(&output.stdout);
    // A tab, the ref, a tab, and why: "[rejected] (fetch first)" where git refuses, "[remote rejected] (...)" the site.
    let refused = stdout.lines().find_map(|line| line.strip_prefix("!\t")?.split_once('\t').map(|(_, why)| why));
    let from_server = said_by_server(&output.stderr);
    let said = if from_server.is_empty() { said(&output.stderr) } else { from_server };
    let words = said.iter().filter(|line| !line.is_empty() && !line.starts_with("To "));
    let is_stale = refused
        .is_some_and(|why| ["fetch first", "non-fast-forward", "stale"].iter().any(|words| why.contains(words)))
        || said.iter().any(|line| line.contains("stale"));
    let failure = match refused {
        Some(why) if is_stale && !why.contains("remote") => {
            return Failure::new("the branch has changed on the site since the last pull").hint("forkpress pull");
        }
        Some(_) => words.fold(Failure::new("the site refused the push"), |failure, line| failure.because(line)),
        None => words.fold(Failure::new("cannot push"), |failure, line| failure.because(line)),
    };
    if is_stale {
        return failure.hint("forkpress pull, then commit again");
    }
    not_reached(failure, &output.stderr)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    fn refusal(stdout: &str, stderr: &str) -> Failure {
        not_pushed(&Output { status: ExitStatus::from_raw(1 << 8), stdout: stdout.into(), stderr: stderr.into() })
    }

    #[test]
    fn a_stale_push_is_answered_with_pull() {
        let own = refusal("To http://x\n!\tHEAD:refs/heads/main\t[rejected] (fetch first)\nDone\n", "error: failed\n");
        assert_eq!(own.hint.as_deref(), Some("forkpress pull"));
        let stdout = "!\tHEAD:refs/heads/main\t[remote rejected] (pre-receive hook declined)\n";
        let by_site = refusal(stdout, "remote: forkpress: the push is stale: wordpress/a.php\n");
        assert_eq!(by_site.causes, ["forkpress: the push is stale: wordpress/a.php"]);
        assert_eq!(by_site.hint.as_deref(), Some("forkpress pull, then commit again"));
    }

    #[test]
    fn a_refusal_says_what_the_site_said_and_no_more() {
        let failure = refusal(
            "!\tHEAD:refs/heads/x\t[remote rejected] (pre-receive hook declined)\n",
            "remote: unsupported COW branch name: x        \nerror: failed to push some refs to 'http://x'\n",
        );
        assert_eq!(failure.error, "the site refused the push");
        assert_eq!(failure.causes, ["unsupported COW branch name: x"]);
    }

    #[test]
    fn a_site_that_does_not_answer_is_to_be_served() {
        let stderr = "fatal: unable to access 'http://wp.localhost:1/site.git/': Failed to connect to wp.localhost\n";
        let failure = refusal("", stderr);
        assert_eq!(failure.error, "cannot push");
        assert_eq!(failure.hint.as_deref(), Some("forkpress serve, in the folder of the site"));
    }
}
