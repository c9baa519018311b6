//! `forkpress serve` and `forkpress start`: the same server, in the background and in the foreground.
//!
//! `serve` runs `forkpress start --detached` in a session of its own. It reads from that process's standard output, a
//! pipe, how the start went. If `serve` is interrupted meanwhile, the pipe tells the other side, which then ends.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use forkpress_engine::registry::Server;
use forkpress_engine::site::Site;

use crate::cli::ServeArgs;
use crate::commands::trust;
use crate::failure::{During, Failure};
use crate::server::{self, Started, xdebug};
use crate::{output, site, trace};

/// Serves in the background; returns when the front page has answered.
pub fn background(work_dir: Option<&Path>, args: &ServeArgs, as_json: bool) -> Result<(), Failure> {
    let site = site::open(work_dir)?;
    server::warn_of(args.host);
    let log = server::open_log(&site.layout.server_log())?;
    let own = std::env::current_exe().during(|| "cannot find the forkpress program".to_owned())?;
    let mut child = Command::new(own)
        .args(detached_arguments(site.layout.work_dir(), args))
        .envs(trace::for_child())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .during(|| "cannot start the server".to_owned())?;
    let mut line = String::new();
    let stdout = child.stdout.take().expect("standard output is a pipe");
    BufReader::new(stdout).read_line(&mut line).during(|| "cannot hear from the server".to_owned())?;
    match serde_json::from_str(&line) {
        Ok(Started::Now(server, trouble)) => tell(&site, &server, "serving", trouble.as_ref(), as_json),
        Ok(Started::Before(server)) => tell(&site, &server, "already serving", None, as_json),
        Ok(Started::Failed(failure)) => {
            // Whoever hears of the failure finds nothing left of the attempt.
            child.wait()?;
            Err(failure)
        }
        Err(_) => {
            let status = child.wait()?;
            Err(Failure::new(format!("the server ended while it started: {status}"))
                .hint("forkpress logs --file forkpress"))
        }
    }
}

/// The other side of [`background`]: leaves the terminal and serves.
pub fn detached(work_dir: Option<&Path>, args: &ServeArgs) -> ExitCode {
    let mut told = false;
    let served = leave_terminal().and_then(|()| site::open(work_dir)).and_then(|site| {
        server::serve(&site, args, &|| !output::reader_is_gone(), |started| {
            told = true;
            server::tell_parent(started)?;
            if let Started::Now(server, _) = started {
                output::note(format_args!("forkpress: process {} serves {}", server.process.pid, server::url(server)));
            }
            // The pipe's reader goes away now; what is said later belongs into the log, as standard error does already.
            rustix::stdio::dup2_stdout(std::io::stderr()).during(|| "cannot give up standard output".to_owned())
        })
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !told {
                // If nobody listens, the log has it.
                let _ = server::tell_parent(&Started::Failed(failure.clone()));
            }
            output::fail(&failure, false)
        }
    }
}

/// Serves in the foreground, until a signal.
pub fn foreground(work_dir: Option<&Path>, args: &ServeArgs, as_json: bool) -> Result<(), Failure> {
    let site = site::open(work_dir)?;
    server::warn_of(args.host);
    server::serve(&site, args, &|| true, |started| match started {
        Started::Now(server, trouble) => tell(&site, server, "serving", trouble.as_ref(), as_json),
        Started::Before(server) => {
            Err(Failure::new(format!("this site is served already, at {}", server::url(server))).hint("forkpress stop"))
        }
        Started::Failed(failure) => Err(failure.clone()),
    })
}

fn leave_terminal() -> Result<(), Failure> {
    rustix::process::setsid().map(drop).during(|| "cannot leave the terminal".to_owned())
}

fn tell(site: &Site, server: &Server, doing: &str, trouble: Option<&Failure>, as_json: bool) -> Result<(), Failure> {
    let launch = server.xdebug.then(|| xdebug::launch(&site.layout));
    if as_json {
        let mut row = server::row(server);
        if let Some(launch) = launch {
            row["launch_json"] = launch;
        }
        if let Some(trouble) = trouble {
            row["front_page"] = serde_json::to_value(trouble).map_err(std::io::Error::from)?;
        }
        output::json(&row)?;
        return Ok(());
    }
    output::line(format_args!("forkpress: {doing} {}", server::url(server)))?;
    if let Some(trouble) = trouble {
        output::note(format_args!("{}", trouble.clone().during("warning: the branch 'main' is broken")));
    }
    if server.https {
        trust::advise(server);
    }
    if let Some(launch) = launch {
        output::line(format_args!(
            "forkpress: a request with XDEBUG_TRIGGER, such as {}?XDEBUG_TRIGGER=1, connects to the editor at port 9003",
            server::url(server)
        ))?;
        output::line("VS Code with the extension 'PHP Debug' needs this in .vscode/launch.json:")?;
        for line in format!("{launch:#}").lines() {
            output::line(line)?;
        }
    }
    Ok(())
}

fn detached_arguments(work_dir: &Path, args: &ServeArgs) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec![
        "--work-dir".into(),
        work_dir.into(),
        "start".into(),
        "--detached".into(),
        "--host".into(),
        args.host.to_string().into(),
        "--workers".into(),
        args.workers.to_string().into(),
    ];
    let optional: [(&str, Option<OsString>); 3] = [
        ("--port", args.port.map(|port| port.to_string().into())),
        ("--root-host", args.root_host.clone().map(Into::into)),
        ("--php", args.php.php.clone().map(Into::into)),
    ];
    if args.https {
        arguments.push("--https".into());
    }
    for (name, value) in optional {
        if let Some(value) = value {
            arguments.extend([name.into(), value]);
        }
    }
    if args.xdebug {
        arguments.push("--xdebug".into());
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn the_server_in_the_background_is_asked_for_what_was_asked() {
        let typed = "forkpress serve --port 81 --root-host x.test --php /p --workers 7 --host 0.0.0.0 --https --xdebug";
        let parse = |line: Vec<OsString>| crate::cli::Cli::try_parse_from(line).unwrap();
        let crate::cli::Command::Serve(asked) = parse(typed.split(' ').map(Into::into).collect()).command else {
            panic!("serve is asked for");
        };
        let mut line = vec![OsString::from("forkpress")];
        line.extend(detached_arguments(Path::new("/site/.forkpress"), &asked));
        let again = parse(line);
        assert_eq!(again.work_dir.as_deref(), Some(Path::new("/site/.forkpress")));
        let crate::cli::Command::Start(start) = again.command else { panic!("start is run") };
        assert!(start.detached);
        assert_eq!(format!("{:?}", start.serve), format!("{asked:?}"));
    }
}
