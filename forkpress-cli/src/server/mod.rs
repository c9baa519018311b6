//! Serves a site, and ends what serves it with everything that it started.
//!
//! This process speaks HTTP and has [PHP](behind) behind it: php-fpm, or where there is none, php-cgi or PHP's built-in server.
//! Some of its processes are kept for the calls that the site makes to itself. So such a call is answered even when every
//! other process waits for one. One more process serves nobody: it [warms](warm) new branches.

mod access;
mod backstage;
mod behind;
mod fpm;
mod heal;
mod https;
mod lifetime;
mod limits;
pub mod log;
mod masters;
mod measures;
mod opcache;
mod pool;
mod port;
mod recipe;
mod registered;
mod signal;
mod spares;
mod status;
mod systemd;
mod tail;
mod warm;
pub mod xdebug;

use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use forkpress_core::deadline::Deadline;
use forkpress_core::lock::{Lifecycle, Patience, note};
use forkpress_core::name::BranchName;
use forkpress_core::network::Network;
use forkpress_core::process::ProcessIdentity;
use forkpress_engine::branch;
use forkpress_engine::mutation::{self, convert};
use forkpress_engine::registry::Server;
use forkpress_engine::site::Site;
use forkpress_engine::storage;
use forkpress_engine::wordpress;
use serde::{Deserialize, Serialize};
use serde_json::json;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cli::ServeArgs;
use crate::failure::{During, Failure};
use crate::php::Php;
use crate::site::Address;
use crate::{bundle, clean, deaths, extension, output, site};

pub use log::open_log;
pub use opcache::OpcacheStatus;
pub use signal::{Stopped, stop};
pub use spares::run as keep_spares;
pub use status::waiting_requests;
pub use warm::{WarmBranch, Warmed, opcache};

use fpm::FrontServer;
use https::Https;
use registered::Registered;
use spares::Keeper;
use tail::Logs;

/// How long another start, or a command that takes the storage away, may keep this one waiting.
const LIFECYCLE_TIMEOUT: Duration = Duration::from_secs(30);

/// How starting went; what a server in the background tells the command that began it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Started {
    /// The site is served now. If its front page answers with errors: what is wrong.
    Now(Server, Option<Failure>),
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
    let logs = Logs::from_now(&site.layout);
    let mut front = FrontServer::start(site, &wanted, &php, https, listeners)?;
    let trouble = lifetime::wait_until_ready(&mut front, &wanted, &logs, &mut signals, is_wanted)?;

    // A site is served without, too.
    if let Err(failure) = warm::begin(site.clone(), wanted.address.clone(), front.warm(), front.take_change_over()) {
        output::note(format_args!("forkpress: warning: branches are not warmed: {failure}"));
    }
    let server = Server {
        work_dir: site.layout.work_dir().to_owned(),
        process: ProcessIdentity::current(),
        php: front.leaders().into_iter().filter_map(ProcessIdentity::of).collect(),
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
    started(&Started::Now(server, trouble))?;

    if let Err(failure) = heal::begin(site.layout.work_dir().to_owned()) {
        output::note(format_args!(
            "forkpress: warning: only the next command will clean up after a killed one: {failure}"
        ));
    }
    // A site is served without spares, too.
    let keeper = Keeper::start(site).inspect_err(|failure| output::note(format_args!("{failure}")));
    let keeper_id = keeper.as_ref().ok().and_then(Keeper::id);
    let outcome = lifetime::run(&mut front, &logs, &mut signals, keeper_id, &mut registered);
    systemd::stopping();
    drop(keeper);
    // What dies from now on is killed, where a second signal says so.
    deaths::report(site);
    lifetime::stop(&mut front, &mut signals);
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
