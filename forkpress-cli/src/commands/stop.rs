//! `forkpress stop` and `forkpress server list`.

use std::path::Path;

use forkpress_engine::site::Site;
use serde_json::json;

use super::storage;
use crate::cli::StopArgs;
use crate::failure::Failure;
use crate::server::{self, Stopped};
use crate::{output, site};

/// Stops the server of this site, or all of this user's.
pub fn run(work_dir: Option<&Path>, args: &StopArgs, as_json: bool) -> Result<(), Failure> {
    let servers: Vec<_> = if args.all || args.pid.is_some() {
        let servers = site::running()?;
        servers.into_iter().filter(|server| args.pid.is_none_or(|pid| server.process.pid == pid)).collect()
    } else {
        site::server_of(&site::open(work_dir)?)?.into_iter().collect()
    };
    if let (Some(pid), true) = (args.pid, servers.is_empty()) {
        // Whatever else the process is, it is not ours to end.
        return Err(Failure::new(format!("process {pid} is no server of this user's")).hint("forkpress server list"));
    }
    let stopped: Vec<_> =
        servers.iter().map(|server| (server, server::stop(server, args.timeout, args.force))).collect();
    // Takes away what servers that were killed could not take away themselves.
    site::running()?;
    if as_json {
        let rows: Vec<_> = stopped
            .iter()
            .map(|(server, how)| json!({ "work_dir": server.work_dir, "url": server::url(server), "stopped": how }))
            .collect();
        output::json(&rows)?;
    } else if stopped.is_empty() {
        output::line(if args.all { "forkpress: no server runs" } else { "forkpress: this site is not served" })?;
    }
    for (server, how) in &stopped {
        let url = server::url(server);
        match how {
            Stopped::Failed => {
                return Err(Failure::new(format!("the server at {url} does not end"))
                    .because(format!("{} can't be killed", server.process)));
            }
            _ if as_json => {}
            Stopped::Ended => output::line(format_args!("forkpress: stopped {url}"))?,
            Stopped::Killed => output::line(format_args!("forkpress: killed {url}"))?,
        }
    }
    if args.all || args.pid.is_some() {
        for (server, _) in &stopped {
            // One that is gone has nothing to detach.
            if let Ok(site) = Site::open(&server.work_dir) {
                storage::detach_after_stop(&site, args.timeout)?;
            }
        }
        return Ok(());
    }
    storage::detach_after_stop(&site::open(work_dir)?, args.timeout)
}

/// Lists this user's servers.
pub fn list(as_json: bool) -> Result<(), Failure> {
    let servers = site::running()?;
    if as_json {
        let rows: Vec<_> = servers.iter().map(server::row).collect();
        output::json(&rows)?;
        return Ok(());
    }
    if servers.is_empty() {
        output::line("forkpress: no server runs")?;
    }
    for server in &servers {
        output::line(format_args!(
            "{}  process {}  {}",
            server::url(server),
            server.process.pid,
            server.work_dir.parent().unwrap_or(&server.work_dir).display()
        ))?;
    }
    Ok(())
}
