//! Pushes to a site and fetches from it, and explains refusals to the user.

use std::process::Output;

use super::{Checkout, failed, outcome, remote_command, said, said_by_server};
use crate::failure::Failure;

/// Pushes `refspec`. A refusal says what the site said, and what to type next.
pub fn push(checkout: &Checkout, remote: &str, refspec: &str, options: &[&str]) -> Result<(), Failure> {
    let mut push =
        remote_command(checkout.dir(), checkout.url(remote), ["push", "--porcelain", "--no-progress", "--no-signed"]);
    let output = outcome(push.args(options).args([remote, refspec]))?;
    if output.status.success() { Ok(()) } else { Err(not_pushed(&output)) }
}

/// Fetches branches into the checkout's remote-tracking branches.
pub fn fetch(checkout: &Checkout, remote: &str, refspecs: &[String]) -> Result<(), Failure> {
    let mut fetch = remote_command(checkout.dir(), checkout.url(remote), ["fetch", "--quiet", "--no-tags", remote]);
    let output = outcome(fetch.args(refspecs))?;
    if output.status.success() { Ok(()) } else { Err(not_reached(failed(&fetch, &output), &output.stderr)) }
}

/// Rebases what is checked out onto what its branch has on the site, and puts back afterwards what was not committed. Its
/// branch follows one of `remote`. A conflict is an outcome.
pub fn pull(checkout: &Checkout, remote: &str) -> Result<Result<(), Failure>, Failure> {
    let arguments = ["pull", "--quiet", "--rebase=true", "--autostash", "--no-tags", "--no-recurse-submodules"];
    let mut pull = remote_command(checkout.dir(), checkout.url(remote), arguments);
    let output = outcome(&mut pull)?;
    let failure = || not_reached(failed(&pull, &output), &output.stderr);
    Ok(if output.status.success() { Ok(()) } else { Err(failure()) })
}

/// The branches of a remote whose names match a pattern.
pub fn list_branches(checkout: &Checkout, remote: &str, pattern: &str) -> Result<Vec<String>, Failure> {
    let mut list = remote_command(checkout.dir(), checkout.url(remote), ["ls-remote", "--heads", remote]);
    let output = outcome(list.arg(format!("refs/heads/{pattern}")))?;
    if !output.status.success() {
        return Err(not_reached(failed(&list, &output), &output.stderr));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().filter_map(|line| Some(line.split_once("\trefs/heads/")?.1.to_owned())).collect())
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
    if refused.is_some_and(|why| why.starts_with("[rejected]")) {
        return Failure::new("the branch has changed on the site since the last pull").hint("forkpress pull");
    }
    let Some(reason) = refused.and_then(|why| why.strip_prefix("[remote rejected] (")?.strip_suffix(')')) else {
        let said = said(&output.stderr).into_iter().filter(|line| !line.starts_with("To "));
        return not_reached(said.fold(Failure::new("cannot push"), Failure::because), &output.stderr);
    };
    let (hints, words): (Vec<_>, Vec<_>) = said_by_server(&output.stderr)
        .into_iter()
        .filter(|line| !line.is_empty())
        .partition(|line| line.starts_with(HINT));
    let failure = Failure::new("the site refused the push").because(reason);
    let failure = words.iter().fold(failure, |failure, line| failure.because(line.trim_start_matches("forkpress: ")));
    if reason.contains("meanwhile") {
        return failure.hint("forkpress pull, then commit again");
    }
    hints
        .iter()
        .filter_map(|hint| hint.strip_prefix(HINT))
        .next_back()
        .map_or(failure.clone(), |hint| failure.hint(hint))
}

/// What a hint of the site begins with.
const HINT: &str = "hint: ";

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
        let stdout = "!\tHEAD:refs/heads/main\t[remote rejected] (changed in the branch meanwhile: wordpress/a.php)\n";
        let by_site = refusal(stdout, "remote: hint: git pull --rebase, then push again\n");
        assert_eq!(by_site.causes, ["changed in the branch meanwhile: wordpress/a.php"]);
        assert_eq!(by_site.hint.as_deref(), Some("forkpress pull, then commit again"));
    }

    #[test]
    fn a_refusal_says_what_the_site_said_and_no_more() {
        let failure = refusal(
            "!\tHEAD:refs/heads/x\t[remote rejected] (a forced push)\n",
            "remote: forkpress: a cause        \nremote: hint: without --force\nerror: failed to push some refs to 'x'\n",
        );
        assert_eq!(failure.error, "the site refused the push");
        assert_eq!(failure.causes, ["a forced push", "a cause"]);
        assert_eq!(failure.hint.as_deref(), Some("without --force"));
    }

    #[test]
    fn a_site_that_does_not_answer_is_to_be_served() {
        let stderr = "fatal: unable to access 'http://wp.localhost:1/site.git/': Failed to connect to wp.localhost\n";
        let failure = refusal("", stderr);
        assert_eq!(failure.error, "cannot push");
        assert_eq!(failure.hint.as_deref(), Some("forkpress serve, in the folder of the site"));
    }
}
