//! `forkpress __git-http`: answers a request to `/site.git`, which the router hands over as CGI.
//!
//! It brings the requested refs up to date, and then becomes `git http-backend`. Refs are sent in one piece, with their
//! length: some clients insist on it (libgit2 1.9 does).

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use forkpress_core::token::Token;
use forkpress_engine::bounds::Room;
use forkpress_engine::git::http::{self, Asked, Cgi, HttpRefusal, Service};
use forkpress_engine::git::repository::Repository;
use forkpress_engine::git::snapshot::{self, Refreshed};
use forkpress_engine::site::Site;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::branch;
use crate::failure::{During, Failure};
use crate::{harmless, output, server, site, trace};

/// The most bytes of a request that asks for refs. A longer one, which says what it has, asks for objects.
const MOST_BYTES: u64 = 64 * 1024;

/// What the router says of a push that comes without the token: `open` where the person who runs the server makes it.
const PUSH: &str = "FORKPRESS_GIT_PUSH";

/// The environment, as CGI has it.
struct Environment;

impl Cgi for Environment {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var_os(name).filter(|value| !value.is_empty()).map(|value| value.to_string_lossy().into_owned())
    }
}

/// Answers the request on standard output, whatever happens.
pub fn run(work_dir: Option<&Path>) -> ExitCode {
    let site = match site::open(work_dir) {
        Ok(site) => site,
        Err(failure) => {
            output::note(&failure);
            return fail(&failure);
        }
    };
    trace::begin_in_log(&site).and_then(|()| answer(&site)).unwrap_or_else(|failure| {
        log(&site, &failure);
        fail(&failure)
    })
}

/// Adds to the log of the server. What this process says on standard error is among all that PHP's server says.
fn log(site: &Site, said: impl Display) {
    let said = harmless::lines(&format!("{said}\n"));
    let logged = server::open_log(&site.layout.server_log())
        .and_then(|mut log| Ok(log.write_all(said.as_bytes())?))
        .map_err(|failure| output::note(&failure));
    if logged.is_err() {
        output::note(said.trim_end());
    }
}

/// Answers with a failure, so that `git` shows it.
fn fail(failure: &Failure) -> ExitCode {
    const BUSY: u8 = 75;
    let message = harmless::lines(&failure.to_string());
    // Of a request with a body, `git` reads the answer only where it is one of the protocol's.
    match (Environment.get("REQUEST_METHOD").as_deref(), Environment.get("PATH_INFO").as_deref()) {
        (Some("POST"), Some("/git-upload-pack")) => {
            let line = http::line(format!("ERR {message}").as_bytes());
            return reply("200 OK", "application/x-git-upload-pack-result", &line);
        }
        (Some("POST"), Some("/git-receive-pack")) => {
            // What goes wrong has a channel of its own (gitprotocol-pack, side-band).
            const FATAL: &[u8] = b"\x03";
            let line = http::line(&[FATAL, message.as_bytes(), b"\n"].concat());
            return reply("200 OK", "application/x-git-receive-pack-result", &line);
        }
        _ => {}
    }
    let status =
        if failure.exit == BUSY { "503 Service Unavailable\r\nRetry-After: 5" } else { "500 Internal Server Error" };
    refuse(status, &message)
}

fn answer(site: &Site) -> Result<ExitCode, Failure> {
    let is_open = std::env::var_os(PUSH).is_some_and(|push| push == "open");
    let token = if is_open {
        None
    } else {
        Some(Token::load_or_create(&site.layout.cow().git_token()).during(|| "cannot read the token".to_owned())?)
    };
    let service = match http::decide(&Environment, token.as_ref()) {
        Ok(service) => service,
        Err(HttpRefusal::Browser) => {
            return Ok(refuse("403 Forbidden", "Pages in a browser have no access to this repository"));
        }
        Err(HttpRefusal::NotFound) => {
            return Ok(refuse(
                "404 Not Found",
                "This is a Git repository: git clone its address, which ends in /site.git",
            ));
        }
        Err(HttpRefusal::NoToken) => {
            let status = "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"ForkPress\", charset=\"UTF-8\"";
            return Ok(refuse(
                status,
                "To push from here, give the token of the site as the password: forkpress git token",
            ));
        }
    };
    tracing::debug!(?service, "asked by git");
    let repository = Repository::open(site)?;
    let mut body = RequestBody::Unread;
    let refreshed = match service {
        Service::FetchRefs => snapshot::refresh_all(site, &repository, |_| true)?,
        Service::PushRefs => snapshot::refresh_set(site, &repository)?,
        Service::Version2 if content_length() <= Some(MOST_BYTES) => {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes).during(|| "cannot read the request".to_owned())?;
            let asked = http::asks_for_refs(&bytes);
            body = RequestBody::Read(bytes);
            match asked {
                Asked::None => Refreshed::default(),
                asked => {
                    let mut refreshed = snapshot::refresh_all(site, &repository, |name| asked.includes(name))?;
                    // Who asks for this very branch is not to take an old one for it.
                    if let Some(at) = refreshed.failed.iter().position(|(name, _)| asked.names(name)) {
                        let (name, error) = refreshed.failed.swap_remove(at);
                        return Err(Failure::from(error).hint(branch::give_another_state(&name)));
                    }
                    refreshed
                }
            }
        }
        Service::Version2 | Service::Fetch | Service::Push | Service::Refs2 => Refreshed::default(),
    };
    for (name, error) in refreshed.failed {
        let failure = Failure::from(error);
        let what = "stays as it was, and so whoever fetches may miss what is new";
        log(site, format_args!("the ref of branch '{name}' {what}: {failure}"));
    }
    if refreshed.made {
        repository.tidy();
    }
    let command = backend(site, &repository, service == Service::Push)?;
    match service {
        Service::FetchRefs | Service::PushRefs | Service::Refs2 => hand_over_whole(command),
        Service::Version2 | Service::Fetch | Service::Push => hand_over(command, body),
    }
}

fn content_length() -> Option<u64> {
    Environment.get("CONTENT_LENGTH")?.parse().ok()
}

/// The body of the request.
enum RequestBody {
    /// On standard input.
    Unread,
    /// Here.
    Read(Vec<u8>),
}

fn cannot_run() -> String {
    "cannot run git http-backend".to_owned()
}

/// Has `git http-backend` answer a request without a body, and sends what it says with its length.
fn hand_over_whole(mut command: Command) -> Result<ExitCode, Failure> {
    const END: &[u8] = b"\r\n\r\n";
    let said = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().during(cannot_run)?.stdout;
    let Some(end) = said.windows(END.len()).position(|bytes| bytes == END) else {
        return Err(Failure::new("git http-backend did not answer"));
    };
    let (head, body) = (&said[..end], &said[end + END.len()..]);
    let length = format!("\r\nContent-Length: {}", body.len());
    Ok(send(&[head, length.as_bytes(), END, body]))
}

/// Has `git http-backend` answer.
fn hand_over(mut command: Command, body: RequestBody) -> Result<ExitCode, Failure> {
    match body {
        RequestBody::Unread => Err(command.exec()).during(cannot_run),
        RequestBody::Read(bytes) => {
            let mut child = command.stdin(Stdio::piped()).spawn().during(cannot_run)?;
            // One that does not want it has answered already.
            let _ = child.stdin.take().expect("standard input is a pipe").write_all(&bytes);
            let status = child.wait()?;
            Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

fn backend(site: &Site, repository: &Repository, takes: bool) -> Result<Command, Failure> {
    let mut path = OsString::from(repository.dir());
    path.push(Environment.get("PATH_INFO").unwrap_or_default());
    let mut command = repository.command();
    if takes {
        bound_memory();
        // Of zero, there would be no bound.
        let most_bytes = Room::at(repository.dir())?.bytes().max(1);
        command.arg("-c").arg(format!("receive.maxInputSize={most_bytes}"));
    }
    command
        .arg("http-backend")
        .current_dir(site.layout.work_dir())
        .env_remove("GIT_DIR")
        .env("PATH_TRANSLATED", path)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        // Neither Git nor a hook has any use for it.
        .env_remove("HTTP_AUTHORIZATION");
    Ok(command)
}

/// Bounds the memory of what takes a push: Git makes an object that is told by its difference to another one there, and
/// that may be of any size. Beyond the bound it says that there is no more, and refuses the push.
fn bound_memory() {
    // No Git tells of larger objects in that way, of itself: two of them, and something for the rest.
    const MOST_BYTES: u64 = 2 << 30;
    let Rlimit { current, maximum } = getrlimit(Resource::Data);
    let current = Some(current.map_or(MOST_BYTES, |bytes| bytes.min(MOST_BYTES)));
    // Where the system has no such bound, a push goes through all the same.
    let _ = setrlimit(Resource::Data, Rlimit { current, maximum });
}

/// Answers with a line of text, which `git` shows.
fn refuse(status: &str, message: &str) -> ExitCode {
    reply(status, "text/plain; charset=utf-8", format!("{message}\n").as_bytes())
}

fn reply(status: &str, kind: &str, body: &[u8]) -> ExitCode {
    let head = format!(
        "Status: {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\n\r\n",
        body.len()
    );
    send(&[head.as_bytes(), body])
}

fn send(parts: &[&[u8]]) -> ExitCode {
    let mut out = io::stdout().lock();
    // Whoever has gone does not read it.
    let _ = parts.iter().try_for_each(|part| out.write_all(part)).and_then(|()| out.flush());
    ExitCode::SUCCESS
}
