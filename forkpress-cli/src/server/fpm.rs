//! This process as the web server, and PHP behind it, such as php-fpm.
//!
//! PHP has a pool for pages, one for the calls that the site makes to itself, one for Git, whose requests take as long as
//! they take and hold no lock, and one with the process that warms. In php-fpm all share OPcache. One that dies is started
//! again; requests that come meanwhile wait for it.

use std::env;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use forkpress_core::lock::note::CommandNote;
use forkpress_engine::site::Site;
use forkpress_page::BranchPage;
use forkpress_server::files::Files;
use forkpress_server::fpm::{Folder, Pool};
use forkpress_server::front::page::Page;
use forkpress_server::front::{Entrance, Front};
use forkpress_server::spool::Room;
use forkpress_server::traffic::Traffic;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::failure::{During, Failure};
use crate::php::{Kind, Php};
use crate::site::Address;
use crate::{child, output};

use super::access::RequestLogs;
use super::behind::Behind;
use super::https::Https;
use super::log::ServerLog;
use super::masters::ChangeOver;
use super::measures;
use super::pool::{LOOPBACK_WORKERS, environment, opcache_megabytes, physical_memory};
use super::recipe::Recipe;
use super::status::StatusSocket;
use super::{Wanted, backstage, limits, port, systemd, xdebug};

/// Clones and pushes at once. A process of this pool is there only while it is needed.
const GIT_WORKERS: u16 = 16;

/// How long a request waits for a branch command, as `branchfs.lock_timeout` has it for PHP.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// What waits of a body, or of an answer, in memory; the rest waits in a file.
const MEMORY_BYTES: usize = 256 << 10;

/// Threads that serve clients. PHP's processes do nearly all of the work.
const FRONT_THREADS: usize = 2;

/// The server. Dropped, all of it is killed.
pub(super) struct FrontServer {
    /// What clients connect to. This and the next two are there until they are killed.
    public: Option<Front>,
    /// What is told to those who look at it has no end of its own.
    page: Arc<BranchPage>,
    /// What the site itself, and this process, connect to.
    own: Option<Front>,
    behind: Option<Behind>,
    log: ServerLog,
    requests: RequestLogs,
    warm: SocketAddr,
    change_over: Option<ChangeOver>,
    ending: Ending,
    /// Their files go with them.
    _note: Option<CommandNote>,
    _status: Option<StatusSocket>,
}

/// How far the end has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    No,
    Clients,
    Php,
}

impl FrontServer {
    /// Starts it. Only the main thread may: php-fpm dies with the thread that started it.
    pub(super) fn start(
        site: &Site,
        wanted: &Wanted,
        php: &Php,
        https: Option<Https>,
        listeners: Vec<TcpListener>,
    ) -> Result<Self, Failure> {
        let layout = &site.layout;
        let folder = layout.run_dir();
        let folder = Folder::make(&folder).during(|| format!("cannot use the folder {}", folder.display()))?;
        let (own_listener, loopback) = port::listen_on_loopback()?;
        let (warm_listener, warm) = port::listen_on_loopback()?;
        let mut pools = pools(wanted.workers, site.config.serve.longest_request());
        let mut environment = environment(site, &wanted.address.root_host, wanted.host, loopback);
        environment.push(("PHP_CLI_SERVER_WORKERS", None));
        environment.extend(systemd::VARIABLES.map(|name| (name, None)));
        let authority = https.as_ref().map(|https| https.certificate.clone().into());
        environment.push(("FORKPRESS_AUTHORITY", authority));
        let tls = https.map(|https| https.tls);
        let mut arguments = Vec::from(Php::arguments(layout, &php.program));
        let caches = match php.kind {
            Kind::Fpm => 1,
            Kind::Cgi | Kind::Builtin => wanted.workers + LOOPBACK_WORKERS,
        };
        let megabytes = opcache_megabytes(site.config.serve.opcache_bytes, physical_memory(), caches.into());
        arguments.extend(["-d".into(), format!("opcache.memory_consumption={megabytes}").into()]);
        arguments.extend(limits::arguments(&site.config.serve));
        if wanted.xdebug {
            arguments.extend(xdebug::arguments(php, layout)?);
            environment.extend(xdebug::environment());
            // A page that stands at a breakpoint takes as long as a person does.
            pools.iter_mut().for_each(|pool| pool.longest = None);
        }
        let (log, output) = ServerLog::begin(&layout.php_server_log())?;
        let (requests, told) = RequestLogs::begin(site)?;
        let room = Room { memory_bytes: MEMORY_BYTES, folder: folder.path().to_owned() };
        let behind = Behind::start(
            php.kind,
            Recipe {
                child: child::command,
                program: php.server.clone(),
                directory: layout.public_root().to_owned(),
                script: layout.router(),
                arguments,
                environment,
                folder,
                pools,
                output,
            },
        )?;
        let php = |name: &str| Arc::new(behind.pool(name, &room));
        let (pages, calls, git, warming) = (php("pages"), php("calls"), php("git"), php("warm"));
        let change_over = behind.change_over([&pages, &calls, &git, &warming].map(Arc::clone));
        let measured = measures::of(layout.cow(), [("pages", &pages), ("calls", &calls), ("git", &git)]);
        let traffic = Traffic::new(Some(told), measured);
        let files = Arc::new(Files::new(layout.public_root(), layout.cow(), &wanted.address.root_host, LOCK_TIMEOUT));
        // As runtime/owner.php has it.
        let knows_owner = env::var_os("FORKPRESS_AUTO_LOGIN").is_none_or(|value| value != "0");
        let page = branch_page(site, &wanted.address, &traffic)?;
        let entrance = |pages, files, log, page| Entrance {
            pages,
            repository: Arc::clone(&git),
            files,
            root_host: wanted.address.root_host.clone(),
            room: room.clone(),
            limits: limits::of_clients(&site.config.serve),
            tls: tls.clone(),
            page,
            knows_owner,
            log,
        };
        allow_many_files();
        let begun = |fronts| Front::start(fronts, FRONT_THREADS).during(|| "cannot serve".to_owned());
        let own = begun(vec![
            (own_listener, entrance(calls, Some(Arc::clone(&files)), Some(Arc::clone(&traffic)), None)),
            (warm_listener, entrance(warming, None, None, None)),
        ])?;
        let public = || {
            let page: Arc<dyn Page> = Arc::clone(&page) as Arc<dyn Page>;
            entrance(Arc::clone(&pages), Some(Arc::clone(&files)), Some(Arc::clone(&traffic)), Some(page))
        };
        let public = begun(listeners.into_iter().map(|listener| (listener, public())).collect())?;
        let note = CommandNote::files(layout.cow());
        // A site is served without, too.
        let status = StatusSocket::open(&layout.status_socket(), &traffic).inspect_err(|error| {
            output::note(format_args!(
                "forkpress: warning: 'forkpress top' does not see who waits in the server: {error}"
            ));
        });
        Ok(Self {
            public: Some(public),
            page,
            own: Some(own),
            behind: Some(behind),
            log,
            requests,
            warm,
            change_over,
            ending: Ending::No,
            _note: note,
            _status: status.ok(),
        })
    }

    /// Where the process for warming is reached.
    pub(super) fn warm(&self) -> SocketAddr {
        self.warm
    }

    /// What moves the server to another php-fpm, for whoever knows when to; none where there is none.
    pub(super) fn take_change_over(&mut self) -> Option<ChangeOver> {
        self.change_over.take()
    }

    /// PHP's processes that lead a group; none once they were killed.
    pub(super) fn leaders(&self) -> Vec<u32> {
        self.behind.as_ref().map(Behind::leaders).unwrap_or_default()
    }

    /// Starts php-fpm again if it has ended. Says what there is to say if that is no use.
    pub(super) fn ended(&mut self) -> Result<Option<Failure>, Failure> {
        self.behind.as_mut().map_or(Ok(None), Behind::ended)
    }

    /// Has it end once the requests that run have ended, and says whether it has.
    ///
    /// Clients come first: a page that runs may still call its own site.
    pub(super) fn end(&mut self) -> bool {
        let (Some(public), Some(own), Some(behind)) = (&self.public, &self.own, &mut self.behind) else { return true };
        if self.ending == Ending::No {
            public.end();
            self.page.end();
            self.ending = Ending::Clients;
        }
        if self.ending == Ending::Clients && public.connections() == 0 {
            own.end();
            behind.interrupt();
            self.ending = Ending::Php;
        }
        self.ending == Ending::Php && behind.has_ended()
    }

    /// Kills what is left. What was said is in the log then.
    pub(super) fn kill(&mut self) {
        (self.public, self.own, self.behind) = (None, None, None);
        self.log.finish();
        self.requests.finish();
    }
}

impl Drop for FrontServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The branch page of a site.
fn branch_page(site: &Site, address: &Address, traffic: &Arc<Traffic>) -> Result<Arc<BranchPage>, Failure> {
    let secret = forkpress_page::secret(site.layout.cow()).during(|| "cannot read the page's token".to_owned())?;
    let command = backstage::Command::new(site, address.clone(), Arc::clone(traffic))?;
    Ok(Arc::new(BranchPage::new(Box::new(command), &address.root_host, site.layout.run_dir(), secret)))
}

/// For how long a request may run is by the clock, as it holds the lock of its branch.
fn pools(workers: u16, longest: Option<Duration>) -> Vec<Pool> {
    let pool = |name, workers| Pool { name, workers, on_demand: false, longest, environment: Vec::new() };
    vec![
        pool("pages", workers),
        pool("calls", LOOPBACK_WORKERS),
        Pool { on_demand: true, longest: None, ..pool("git", GIT_WORKERS) },
        Pool { environment: vec![("FORKPRESS_WARMER", "1".to_owned())], ..pool("warm", 1) },
    ]
}

/// Lets this process have as many files open as it may: each connection is one.
fn allow_many_files() {
    let limit = getrlimit(Resource::Nofile);
    // Where it may not, there is room for fewer connections.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
