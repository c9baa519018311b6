//! Serves a site, and ends what serves it with everything that it started.
//!
//! This process speaks HTTP and has [PHP](behind) behind it: php-fpm, or where there is none, php-cgi or PHP's built-in server.
//! Some of its processes are kept for the calls that the site makes to itself. So such a call is answered even when every
//! other process waits for one. One more process serves nobody: it [warms](warm) new branches.

mod access;
mod behind;
mod fpm;
mod heal;
mod https;
mod limits;
pub mod log;
mod masters;
mod measures;
mod opcache;
mod pool;
mod port;
mod signal;
mod spares;
mod status;
mod systemd;
mod warm;
pub mod xdebug;

use std::fs;
use std::io::Write;
use std::net::{IpAddr, TcpListener};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use forkpress_core::deadline::Deadline;
use forkpress_core::lock::{Lifecycle, Patience, note};
use forkpress_core::name::BranchName;
use forkpress_core::network::Network;
use forkpress_core::process::ProcessIdentity;
use forkpress_engine::branch;
use forkpress_engine::mutation::{self, convert};
use forkpress_engine::registry::{Registry, Server};
use forkpress_engine::site::Site;
use forkpress_engine::storage;
use forkpress_engine::wordpress;
use serde::{Deserialize, Serialize};
use serde_json::json;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cli::ServeArgs;
use crate::failure::{During, Failure};
use crate::page::{self, PageAnswer, Question};
use crate::php::Php;
use crate::site::Address;
use crate::{bundle, clean, deaths, extension, output, site};

pub use log::open_log;
pub use signal::{Stopped, stop};
pub use spares::run as keep_spares;
pub use status::{Held, waiting_requests};
pub use warm::{OpcacheStatus, WarmBranch, Warmed, opcache};

use fpm::FrontServer;
use https::Https;
use spares::Keeper;

/// How long another start, or a command that takes the storage away, may keep this one waiting.
const LIFECYCLE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the front page may take to answer for the first time.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the front page may answer with errors before starting counts as failed.
const ERRORS_TIMEOUT: Duration = Duration::from_secs(3);

const PAUSE: Duration = Duration::from_millis(10);

/// How starting went; what a server in the background tells the command that began it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Started {
    /// The site is served now.
    Now(Server),
    /// It was served before, as it was asked for now.
    Before(Server),
    /// It is not served, or not as it was asked for.
    Failed(Failure),
}

/// What is asked of a server: arguments, with the site's settings where they are silent.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    host: IpAddr,
    address: Address,
    workers: u16,
    xdebug: bool,
    /// The PHP that was asked for.
    php: Option<PathBuf>,
}

impl Wanted {
    fn new(args: &ServeArgs, site: &Site) -> Self {
        Self {
            host: args.host,
            address: Address {
                root_host: args.root_host.clone().unwrap_or_else(|| site.config.root_host.clone()),
                port: args.port.unwrap_or(site.config.port),
                https: args.https,
            },
            workers: args.workers,
            xdebug: args.xdebug,
            php: args.php.php.as_deref().and_then(|asked| Php::find(Some(asked)).ok()),
        }
    }

    fn is_met_by(&self, server: &Server) -> bool {
        server.host == self.host.to_string()
            && (self.address.port == port::ANY || server.port == self.address.port)
            && server.root_host == self.address.root_host
            && server.https == self.address.https
            && server.workers == self.workers
            && server.xdebug == self.xdebug
            && (self.php.is_none() || server.program == self.php)
    }
}

/// The address of the front page of `main` at a server.
pub fn url(server: &Server) -> String {
    Address::from(server).url(&BranchName::main())
}

/// A server as scripts read it.
pub fn row(server: &Server) -> serde_json::Value {
    json!({
        "url": url(server),
        "work_dir": server.work_dir,
        "pid": server.process.pid,
        "host": server.host,
        "port": server.port,
        "root_host": server.root_host,
        "https": server.https,
        "workers": server.workers,
        "program": server.program,
        "xdebug": server.xdebug,
        "started_at": server.started_at,
    })
}

/// Serves a site from this process, which must be on its main thread, until a signal says to end.
///
/// `started` hears once how starting went, unless it failed; where it fails itself the server ends. While the server
/// starts, it ends as soon as `is_wanted` says that nobody waits for it.
///
/// # Errors
/// What kept the server from starting; or, when PHP ended before a signal came, that.
pub fn serve(
    site: &Site,
    args: &ServeArgs,
    is_wanted: &dyn Fn() -> bool,
    started: impl FnOnce(&Started) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut wanted = Wanted::new(args, site);
    let passed = systemd::passed()?;
    if let Some(passed) = &passed {
        (wanted.host, wanted.address.port) = (passed.address.ip(), passed.address.port());
        warn_of(wanted.host);
    }
    let mut patience = Patience::new(Deadline::after(LIFECYCLE_TIMEOUT), |busy| {
        output::note(format_args!("forkpress: waiting: {busy}"));
    });
    let lifecycle = Lifecycle::lock(site.layout.cow(), "starting a server", &mut patience)?;
    // A conversion may have ended, or died, since the site was opened.
    convert::heal(site, &lifecycle, &mut patience)?;
    let site = &Site::open(site.layout.work_dir())?;
    storage::attach(site, &lifecycle)?;
    if let Some(server) = site::server_of(site)? {
        if wanted.is_met_by(&server) {
            return started(&Started::Before(server));
        }
        return Err(Failure::new(format!("this site is served already, at {}, with other settings", url(&server)))
            .hint("forkpress stop, then forkpress serve"));
    }

    if let Some(recovered) = mutation::recover(site, &mut patience)? {
        output::note(format_args!("forkpress: {recovered}"));
    }
    // Of the server before this one.
    deaths::report(site);
    clean::in_background(site);
    bundle::write_runtime(&site.layout.runtime_dir()).map_err(Failure::of)?;
    extension::unpack(&site.layout)?;
    let php = Php::check(args.php.php.as_deref(), &site.layout)?;
    // PHP would make them for everybody to read.
    for log in [site.layout.php_errors_log(), site.layout.wp_debug_log()] {
        open_log(&log)?;
    }
    let https = wanted.address.https.then(|| Https::new(&wanted.address.root_host)).transpose()?;
    let listeners = match passed {
        Some(passed) => passed.listeners,
        None => {
            let (listener, port) = port::listen(wanted.host, wanted.address.port)?;
            wanted.address.port = port;
            vec![listener]
        }
    };
    check_networks(site)?;

    // What was stored at an address is served at every later one.
    let served = [(wanted.address.root_host.as_str(), wanted.address.port), (&site.config.root_host, site.config.port)];
    if let Err(error) = wordpress::record_addresses(&site.layout, &served, &site.layout.branch(&BranchName::main())) {
        output::note(format_args!("forkpress: warning: this address is not recorded: {}", Failure::from(error)));
    }

    // Before the first child, so that no signal is missed.
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGCHLD]).during(|| "cannot catch signals".to_owned())?;
    signal::adopt_orphans();
    let logs = Logs {
        server: Tail::from_now(site.layout.php_server_log()),
        errors: Tail::from_now(site.layout.php_errors_log()),
    };
    let mut serving = Serving::start(site, &wanted, &php, https, listeners)?;
    serving.wait_until_ready(&wanted, &logs, &mut signals, is_wanted)?;

    // A site is served without, too.
    if let Err(failure) =
        warm::begin(site.clone(), wanted.address.clone(), serving.0.warm(), serving.0.take_change_over())
    {
        output::note(format_args!("forkpress: warning: branches are not warmed: {failure}"));
    }
    let server = Server {
        work_dir: site.layout.work_dir().to_owned(),
        process: ProcessIdentity::current(),
        php: serving.0.leaders().into_iter().filter_map(ProcessIdentity::of).collect(),
        host: wanted.host.to_string(),
        port: wanted.address.port,
        root_host: wanted.address.root_host,
        https: wanted.address.https,
        workers: wanted.workers,
        program: Some(php.program.clone()),
        xdebug: wanted.xdebug,
        started_at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
    };
    let mut registered = Registered::new(site::registry()?, server.clone())?;
    tracing::info!(url = url(&server), workers = server.workers, "serving");
    drop(lifecycle);
    systemd::ready(&url(&server));
    started(&Started::Now(server))?;

    if let Err(failure) = heal::begin(site.layout.work_dir().to_owned()) {
        output::note(format_args!(
            "forkpress: warning: only the next command will clean up after a killed one: {failure}"
        ));
    }
    // A site is served without spares, too.
    let keeper = Keeper::start(site).inspect_err(|failure| output::note(format_args!("{failure}")));
    let keeper_id = keeper.as_ref().ok().and_then(Keeper::id);
    let outcome = serving.run(&logs, &mut signals, keeper_id, &mut registered);
    systemd::stopping();
    drop(keeper);
    // What dies from now on is killed, where a second signal says so.
    deaths::report(site);
    serving.stop(&mut signals);
    note::sweep(site.layout.cow());
    // PHP has ended by now: whoever finds no entry finds the port free.
    drop(registered);
    outcome
}

/// Refuses a site whose `main` is a network with subdomains, and warns of other branches that are: those answer that they
/// are not served.
fn check_networks(site: &Site) -> Result<(), Failure> {
    for branch in branch::list(site)? {
        if Network::of(&site.layout.public_branch(&branch.name)) != Some(Network::Subdomains) {
            continue;
        }
        let problem =
            format!("'{}' is a WordPress network with subdomains, which a branch has no room for", branch.name);
        if branch.name == BranchName::main() {
            return Err(
                Failure::new(problem).hint("a network with subfolders works: SUBDOMAIN_INSTALL in wp-config.php")
            );
        }
        output::note(format_args!("forkpress: warning: {problem}: it is not served"));
    }
    Ok(())
}

/// This server's entry in the registry, taken away at the end. After a kill the next reader does that.
struct Registered {
    registry: Registry,
    server: Server,
}

impl Registered {
    fn new(registry: Registry, server: Server) -> Result<Self, Failure> {
        site::servers(registry.add(server.clone())?);
        Ok(Self { registry, server })
    }

    /// Says which processes of PHP's lead a group by now: who kills the server kills these.
    fn lead(&mut self, leaders: &[u32]) {
        if self.server.php.iter().map(|process| process.pid).eq(leaders.iter().copied()) {
            return;
        }
        self.server.php = leaders.iter().copied().filter_map(ProcessIdentity::of).collect();
        if let Err(error) = self.registry.add(self.server.clone()) {
            output::note(format_args!("forkpress: warning: the registry does not know PHP's processes: {error}"));
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let Err(error) = self.registry.remove(&self.server.process) {
            output::note(format_args!("forkpress: warning: this server stays in the registry: {error}"));
        }
    }
}

/// What a log says from now on.
struct Tail {
    path: PathBuf,
    start: u64,
}

impl Tail {
    fn from_now(path: PathBuf) -> Self {
        Self { start: fs::metadata(&path).map_or(0, |metadata| metadata.len()), path }
    }

    /// Adds the last lines of it to the causes of a failure.
    fn blame(&self, failure: Failure) -> Failure {
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

/// What serves the site. Dropped, it is killed.
struct Serving(FrontServer);

impl Serving {
    fn start(
        site: &Site,
        wanted: &Wanted,
        php: &Php,
        https: Option<Https>,
        listeners: Vec<TcpListener>,
    ) -> Result<Self, Failure> {
        FrontServer::start(site, wanted, php, https, listeners).map(Self)
    }

    /// Asks for the front page until it answers well.
    fn wait_until_ready(
        &mut self,
        wanted: &Wanted,
        logs: &Logs,
        signals: &mut Signals,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<(), Failure> {
        const HINT: &str = "forkpress logs shows more";
        let began = Instant::now();
        let mut first_error = None;
        let mut question: Option<Question> = None;
        let target = page::target(wanted.host, wanted.address.port);
        let host = wanted.address.plain().host(&BranchName::main());
        loop {
            if !is_wanted() {
                return Err(Failure::new("the command that started this server has gone"));
            }
            if let Some(signal) = signals.pending().find(|signal| *signal != SIGCHLD) {
                return Err(Failure::new("interrupted while starting").exit(u8::try_from(128 + signal).unwrap_or(1)));
            }
            if let Some(failure) = self.0.ended()? {
                return Err(logs.server.blame(failure));
            }
            if began.elapsed() >= READY_TIMEOUT {
                let seconds = READY_TIMEOUT.as_secs();
                let failure = Failure::new(format!("the front page does not answer within {seconds} s"));
                return Err(logs.errors.blame(failure).hint(HINT));
            }
            let Some(asked) = &mut question else {
                question = Question::ask(target, &host, "/", "").ok();
                if question.is_none() {
                    thread::sleep(PAUSE);
                }
                continue;
            };
            match asked.look() {
                None => continue,
                Some(PageAnswer::Status(status)) if (200..400).contains(&status) => return Ok(()),
                Some(PageAnswer::Status(status)) => {
                    if first_error.get_or_insert_with(Instant::now).elapsed() >= ERRORS_TIMEOUT {
                        let failure = Failure::new(format!("the front page answers with status {status}"));
                        return Err(logs.errors.blame(failure).hint(HINT));
                    }
                    thread::sleep(PAUSE * 10);
                }
                Some(PageAnswer::None) => thread::sleep(PAUSE),
            }
            question = None;
        }
    }

    /// Serves until a signal says to end; fails if PHP ends by itself and can't be started again. `keeper`: a child that
    /// somebody else waits for.
    fn run(
        &mut self,
        logs: &Logs,
        signals: &mut Signals,
        keeper: Option<u32>,
        registered: &mut Registered,
    ) -> Result<(), Failure> {
        loop {
            for signal in signals.wait() {
                if signal != SIGCHLD {
                    tracing::info!(signal, "ending");
                    return Ok(());
                }
                if let Some(failure) = self.0.ended()? {
                    return Err(logs.server.blame(failure));
                }
                let leaders = self.0.leaders();
                registered.lead(&leaders);
                let own: Vec<u32> = leaders.into_iter().chain(keeper).collect();
                signal::reap_adopted(&own);
            }
        }
    }

    /// Lets running requests end, until a second signal, and kills what is left. How long that may take is for whoever
    /// sent the first one to say.
    fn stop(&mut self, signals: &mut Signals) {
        while !self.0.end() {
            if signals.pending().any(|signal| signal != SIGCHLD) {
                break;
            }
            thread::sleep(PAUSE);
        }
        self.0.kill();
    }
}

/// What PHP says from now on.
struct Logs {
    server: Tail,
    errors: Tail,
}

/// Warns of an address that others can reach. Said by the command that was typed: the server's own words go to a log.
pub fn warn_of(host: IpAddr) {
    if !host.is_loopback() {
        output::note(
            "forkpress: warning: others can reach this address: they see every branch and fetch it over Git; whoever changes \
             something from there needs a password or the token",
        );
    }
}

/// Tells the command that began a server in the background, which reads standard output, how starting went.
pub fn tell_parent(started: &Started) -> Result<(), Failure> {
    let mut line = serde_json::to_vec(started)?;
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    out.write_all(&line)?;
    out.flush()?;
    Ok(())
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
