//! php-fpm's settings.

use std::path::Path;
use std::time::Duration;

/// A pool: processes that answer at one socket. All pools share OPcache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its name, and the file name of its socket.
    pub name: &'static str,
    /// How many processes.
    pub workers: u16,
    /// Whether there are processes only while there is something for them to do.
    pub on_demand: bool,
    /// For how long a request may run; none: for as long as it takes.
    pub longest: Option<Duration>,
    /// What its environment has beyond php-fpm's.
    pub environment: Vec<(&'static str, String)>,
}

/// The text of the settings, for sockets in the folder that php-fpm is told as its prefix.
///
/// The environment is php-fpm's own, as the command line's is with PHP's built-in server: see [`super::hides`].
pub(super) fn text(pools: &[Pool], is_root: bool) -> String {
    let mut text = String::from(
        "[global]\n\
         daemonize = no\n\
         error_log = /dev/stderr\n\
         log_limit = 8192\n\
         ; What PHP says reaches the server over FastCGI as well.\n\
         log_level = warning\n\
         ; A request may end before its server does. Whoever stops the server says how long that may take.\n\
         process_control_timeout = 30d\n",
    );
    for pool in pools {
        text += &format!("\n[{}]\nlisten = {}\n", pool.name, super::socket(Path::new(""), pool.name).display());
        text += "listen.mode = 0600\nlisten.backlog = 511\n";
        if is_root {
            text += "user = root\ngroup = root\n";
        }
        text += &match pool.on_demand {
            true => format!("pm = ondemand\npm.max_children = {}\npm.process_idle_timeout = 10s\n", pool.workers),
            false => format!("pm = static\npm.max_children = {}\n", pool.workers),
        };
        if let Some(longest) = pool.longest {
            // Also of what goes on after its answer is finished: it holds the lock still.
            text += &format!("request_terminate_timeout = {}s\n", longest.as_secs().max(1));
            text += "request_terminate_timeout_track_finished = yes\n";
        }
        text += "clear_env = no\ncatch_workers_output = yes\ndecorate_workers_output = no\n";
        for (name, value) in &pool.environment {
            text += &format!("env[{name}] = \"{value}\"\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_has_its_socket_its_processes_and_its_time() {
        let pages = Pool {
            name: "pages",
            workers: 4,
            on_demand: false,
            longest: Some(Duration::from_secs(120)),
            environment: vec![("A", "b".to_owned())],
        };
        let git = Pool { name: "git", on_demand: true, longest: None, environment: Vec::new(), ..pages.clone() };
        let text = text(&[pages, git], false);
        let (pages, git) = text.split_once("[git]").unwrap();
        assert!(pages.contains("\n[pages]\nlisten = pages.sock\n"), "{pages}");
        assert!(pages.contains("\npm = static\npm.max_children = 4\n"), "{pages}");
        assert!(pages.contains("\nrequest_terminate_timeout = 120s\n"), "{pages}");
        assert!(pages.contains("\nenv[A] = \"b\"\n"), "{pages}");
        assert!(git.contains("\nlisten = git.sock\n") && git.contains("\npm = ondemand\n"), "{git}");
        assert!(!git.contains("request_terminate_timeout") && !git.contains("env["), "{git}");
        assert!(!text.contains("user ="));
    }
}
