//! `forkpress __git-http`: answers a request to `/site.git`, which the router hands over as CGI.
//!
//! It brings the refs that are asked for up to date, and then becomes `git http-backend`.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use forkpress_core::git::http::{self, Asked, Cgi, Refusal, Service};
use forkpress_core::git::repository::Repository;
use forkpress_core::git::snapshot::{self, Refreshed};
use forkpress_core::site::Site;
use forkpress_core::token::Token;

use crate::failure::{During, Failure};
use crate::{output, site};

/// The most bytes of a request that asks for refs. A longer one, which says what it has, asks for objects.
const MOST_BYTES: u64 = 64 * 1024;

/// What a server says of pushes that come without the token: `open` where only users of this machine reach it.
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
    let failure = match answer(work_dir) {
        Ok(code) => return code,
        Err(failure) => failure,
    };
    output::note(&failure);
    const BUSY: u8 = 75;
    let status =
        if failure.exit == BUSY { "503 Service Unavailable\r\nRetry-After: 5" } else { "500 Internal Server Error" };
    refuse(status, &failure.to_string())
}

fn answer(work_dir: Option<&Path>) -> Result<ExitCode, Failure> {
    let site = site::open(work_dir)?;
    let is_open = std::env::var_os(PUSH).is_some_and(|push| push == "open");
    let token = if is_open {
        None
    } else {
        Some(Token::load_or_create(&site.layout.cow().git_token()).during(|| "cannot read the token".to_owned())?)
    };
    let service = match http::decide(&Environment, token.as_ref()) {
        Ok(service) => service,
        Err(Refusal::Browser) => {
            return Ok(refuse("403 Forbidden", "Pages in a browser have no access to this repository"));
        }
        Err(Refusal::NotFound) => {
            return Ok(refuse(
                "404 Not Found",
                "This is a Git repository: git clone its address, which ends in /site.git",
            ));
        }
        Err(Refusal::NoToken) => {
            let status = "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"ForkPress\", charset=\"UTF-8\"";
            return Ok(refuse(
                status,
                "To push from here, give the token of the site as the password: forkpress git token",
            ));
        }
    };
    let repository = Repository::open(&site)?;
    let mut body = Body::Unread;
    let refreshed = match service {
        Service::FetchRefs => snapshot::refresh_all(&site, &repository, |_| true)?,
        Service::PushRefs => snapshot::refresh_set(&site, &repository)?,
        Service::Version2 if content_length() <= Some(MOST_BYTES) => {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes).during(|| "cannot read the request".to_owned())?;
            let asked = http::asks_for_refs(&bytes);
            body = Body::Read(bytes);
            match asked {
                Asked::None => Refreshed::default(),
                asked => {
                    let mut refreshed = snapshot::refresh_all(&site, &repository, |name| asked.includes(name))?;
                    // Who asks for this very branch is not to take an old one for it.
                    if let Some(at) = refreshed.failed.iter().position(|(name, _)| asked.names(name)) {
                        return Err(refreshed.failed.swap_remove(at).1.into());
                    }
                    refreshed
                }
            }
        }
        Service::Version2 | Service::Fetch | Service::Push | Service::Other => Refreshed::default(),
    };
    for (name, error) in refreshed.failed {
        let failure = Failure::from(error);
        output::note(format_args!(
            "the ref of branch '{name}' stays as it was, and so whoever fetches may miss what is new: {failure}"
        ));
    }
    if refreshed.made {
        repository.tidy();
    }
    hand_over(&site, &repository, body)
}

fn content_length() -> Option<u64> {
    Environment.get("CONTENT_LENGTH")?.parse().ok()
}

/// The body of the request.
enum Body {
    /// On standard input.
    Unread,
    /// Here.
    Read(Vec<u8>),
}

/// Has `git http-backend` answer.
fn hand_over(site: &Site, repository: &Repository, body: Body) -> Result<ExitCode, Failure> {
    let failed = || "cannot run git http-backend".to_owned();
    let mut command = backend(site, repository);
    match body {
        Body::Unread => Err(command.exec()).during(failed),
        Body::Read(bytes) => {
            let mut child = command.stdin(Stdio::piped()).spawn().during(failed)?;
            // One that does not want it has answered already.
            let _ = child.stdin.take().expect("standard input is a pipe").write_all(&bytes);
            let status = child.wait()?;
            Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

fn backend(site: &Site, repository: &Repository) -> Command {
    let mut path = OsString::from(repository.dir());
    path.push(Environment.get("PATH_INFO").unwrap_or_default());
    let mut command = repository.command();
    command
        .arg("http-backend")
        .current_dir(site.layout.work_dir())
        .env_remove("GIT_DIR")
        .env("PATH_TRANSLATED", path)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        // Neither Git nor a hook has any use for it.
        .env_remove("HTTP_AUTHORIZATION");
    command
}

/// Answers with a line of text, which `git` shows.
fn refuse(status: &str, message: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    // Whoever has gone does not read why.
    let _ = write!(
        out,
        "Status: {status}\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\n\r\n{message}\n"
    );
    let _ = out.flush();
    ExitCode::SUCCESS
}
