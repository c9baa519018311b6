//! Warms branches: has their code compiled before anybody asks for it.
//!
//! OPcache goes by a file's path, so the first page of a new branch would compile all that it runs, for half a second.
//! A thread of the server watches the generation. After a publish it asks PHP's warming process (`runtime/warm.php`) to
//! compile what changed, and then for the front page. The result is in `warm.json`, for commands that wait.
//!
//! No request waits for this thread:
//! - It takes the lock as a request does.
//! - What it asks for ends as soon as a writer waits, or keeps writers from closing the gate.
//! - It asks a process that visitors' requests never reach.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use forkpress_core::deadline::Deadline;
use forkpress_core::lock::{self, LoopbackToken, OperationsFiles, Patience, SharedOperations, Visit};
use forkpress_core::name::BranchName;
use forkpress_core::process::ProcessIdentity;
use forkpress_engine::branch::{self, Branch};
use forkpress_engine::site::Site;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::failure::{During, Failure};
use crate::output;
use crate::page::Question;
use crate::site::Address;

use super::masters::ChangeOver;
use super::opcache::{self, OpcacheStatus, Used};

/// How soon a publish is noticed.
const WATCH: Duration = Duration::from_millis(50);

/// How often OPcache is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// How long PHP may take to answer. A process that was killed does not answer at all.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a visit waits for a publish to end, and then goes on: the writer itself may be waiting for a slow request.
const PUBLISH_PATIENCE: Duration = Duration::from_secs(1);

/// The longest time for which a visit keeps writers from closing the gate.
const LONGEST_VISIT: Duration = Duration::from_secs(1);

const DIED: &str = "the fresh php-fpm died";

/// What a server has warmed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Warmed {
    /// The server. What one says that is gone counts for nothing.
    pub server: ProcessIdentity,
    /// Where its process for warming listens.
    pub address: SocketAddr,
    /// Whether what that process has compiled is there for all of PHP's.
    #[serde(default = "opcache::shares_opcache")]
    pub shares_opcache: bool,
    /// By the branch's name.
    pub branches: BTreeMap<BranchName, WarmBranch>,
    /// How full OPcache was when the server looked last.
    #[serde(default)]
    pub opcache: Option<OpcacheStatus>,
    /// How often the server has moved to a fresh php-fpm.
    #[serde(default)]
    pub change_overs: u64,
}

/// What came of warming a branch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WarmBranch {
    /// The publish whose code it was.
    pub generation: u64,
    /// How many scripts were compiled.
    pub compiled: u64,
    /// Whether all that was to be compiled is: OPcache may be too full.
    pub complete: bool,
    /// The status that the front page answered with; none where there was no answer.
    pub status: Option<u16>,
    /// How long the front page took.
    pub front_page_seconds: f64,
    /// What kept the branch from being warmed.
    pub problem: Option<String>,
}

impl Warmed {
    /// What the site's server has warmed; none where none runs.
    pub fn read(site: &Site) -> Option<Self> {
        let text = fs::read(site.layout.cow().warm_state()).ok()?;
        let warmed: Self = serde_json::from_slice(&text).ok()?;
        warmed.server.is_alive().then_some(warmed)
    }

    fn write(&self, path: &Path) -> std::io::Result<()> {
        let temporary = path.with_extension("json.tmp");
        fs::write(&temporary, serde_json::to_vec(self)?)?;
        fs::rename(&temporary, path)
    }
}

/// Asks the site's server how full its OPcache is; none where none runs.
pub fn opcache(site: &Site) -> Result<Option<OpcacheStatus>, Failure> {
    let Some(warmed) = Warmed::read(site) else { return Ok(None) };
    let host = Address::of(site).host(&BranchName::main());
    let php = WarmPhp { site, target: warmed.address, fresh: None };
    let status = php.status(&host)?;
    Ok(Some(OpcacheStatus { shared: warmed.shares_opcache, ..status }))
}

/// Begins to warm what is published from now on, and `main` at once: other branches are compiled after its example. Where PHP's
/// processes share no OPcache, branches are visited only.
///
/// `change_over` moves the server to a fresh php-fpm: there is one if its processes share OPcache.
pub(super) fn begin(
    site: Site,
    address: Address,
    target: SocketAddr,
    change_over: Option<ChangeOver>,
) -> Result<(), Failure> {
    let seen = lock::generation(site.layout.cow())?;
    let state = Warmed {
        server: ProcessIdentity::current(),
        address: target,
        shares_opcache: change_over.is_some(),
        branches: BTreeMap::new(),
        opcache: None,
        change_overs: 0,
    };
    state.write(&site.layout.cow().warm_state()).during(|| "cannot write what is warmed".to_owned())?;
    let main = branch::show(&site, &BranchName::main()).ok();
    let queue = main.into_iter().collect();
    let (looked, changed_over) = (Instant::now(), None);
    let warmer = Warmer { site, address, target, state, seen, queue, change_over, looked, changed_over };
    thread::Builder::new()
        .name("warm".to_owned())
        .spawn(move || warmer.run())
        .during(|| "cannot start a thread".to_owned())?;
    Ok(())
}

struct Warmer {
    site: Site,
    address: Address,
    target: SocketAddr,
    state: Warmed,
    seen: u64,
    queue: VecDeque<Branch>,
    change_over: Option<ChangeOver>,
    /// When it looked at OPcache last.
    looked: Instant,
    /// When it last tried to move the server to a fresh php-fpm.
    changed_over: Option<Instant>,
}

impl Warmer {
    /// Never returns: the thread ends with the server.
    fn run(mut self) {
        loop {
            if let Err(failure) = self.look() {
                output::note(format_args!("forkpress: warning: cannot find out which branches to warm: {failure}"));
                thread::sleep(Duration::from_secs(1));
            }
            if let Err(failure) = self.look_at_opcache() {
                output::note(format_args!("forkpress: warning: OPcache is not renewed: {}", failure.error));
            }
            let Some(branch) = self.queue.pop_front() else {
                thread::sleep(WATCH);
                continue;
            };
            match self.warm(&branch) {
                Ok(None) => {}
                Ok(Some(warm)) => self.publish(branch.name, warm),
                Err(failure) => {
                    output::note(format_args!(
                        "forkpress: warning: '{}' is not warmed: {}",
                        branch.name, failure.error
                    ));
                    let cold = WarmBranch {
                        generation: branch.record.generation,
                        compiled: 0,
                        complete: false,
                        status: None,
                        front_page_seconds: 0.0,
                        problem: Some(failure.error),
                    };
                    self.publish(branch.name, cold);
                }
            }
        }
    }

    fn publish(&mut self, name: BranchName, warm: WarmBranch) {
        self.state.branches.insert(name, warm);
        // Whoever waits gives up in time.
        let _ = self.state.write(&self.site.layout.cow().warm_state());
    }

    /// Moves the server to a fresh php-fpm where OPcache is full.
    fn look_at_opcache(&mut self) -> Result<(), Failure> {
        let Some(change_over) = &self.change_over else { return Ok(()) };
        change_over.look();
        if self.looked.elapsed() < LOOK {
            return Ok(());
        }
        self.looked = Instant::now();
        let php = WarmPhp { site: &self.site, target: self.target, fresh: None };
        let main = self.address.host(&BranchName::main());
        // A process that is busy is asked the next time.
        let Ok(status) = php.status(&main) else { return Ok(()) };
        if opcache::is_due(&status, self.changed_over.map(|last| last.elapsed())) {
            self.changed_over = Some(Instant::now());
            let used = php.used(&main)?;
            let warming = change_over.begin()?;
            let warmed = self.warm_again(&used, change_over).inspect_err(|_| change_over.give_up())?;
            if !change_over.finish(warming) {
                return Err(Failure::new(DIED));
            }
            self.state.change_overs += 1;
            let branches = branch::list(&self.site)?.into_iter();
            // There is room for them now.
            self.queue
                .extend(branches.filter(|branch| self.state.branches.get(&branch.name).is_some_and(|is| !is.complete)));
            if let Some(failure) = warmed {
                output::note(format_args!("forkpress: warning: the fresh php-fpm is not all warm: {}", failure.error));
            }
        }
        self.state.opcache = php.status(&main).ok();
        let _ = self.state.write(&self.site.layout.cow().warm_state());
        Ok(())
    }

    /// Has the fresh php-fpm compile what was used of late, and says what it could not: that is compiled when it is asked for.
    ///
    /// Fails where the fresh php-fpm is of no use.
    fn warm_again(&self, used: &Used, change_over: &ChangeOver) -> Result<Option<Failure>, Failure> {
        let php = WarmPhp { site: &self.site, target: self.target, fresh: Some(change_over) };
        let fresh = php.status(&self.address.host(&BranchName::main()))?;
        let mut failure = None;
        for (branch, scripts) in opcache::chosen(used, &fresh) {
            let Ok(branch) = BranchName::parse(&branch) else { continue };
            if let Err(failed) = php.compile_all(&self.address.host(&branch), &scripts) {
                failure = Some(failed);
            }
            if !change_over.goes_on() {
                return Err(Failure::new(DIED));
            }
        }
        Ok(failure)
    }

    /// Puts what was published since the last look into the queue.
    fn look(&mut self) -> Result<(), Failure> {
        let cow = self.site.layout.cow();
        if lock::generation(cow)? == self.seen {
            return Ok(());
        }
        // A publish bumps the generation first and writes its record later: under the lock, neither or both.
        let files = Arc::new(OperationsFiles::open(cow)?);
        let shared = SharedOperations::lock(&files, Deadline::after(Duration::from_secs(30)), None)?;
        // What goes on in a branch just now is looked at once more when it has ended.
        let generation = shared.generation()?.settled();
        let branches = branch::list(&self.site)?;
        drop(shared);
        self.state.branches.retain(|name, _| branches.iter().any(|branch| branch.name == *name));
        let seen = std::mem::replace(&mut self.seen, generation);
        for branch in branches.into_iter().filter(|branch| branch.record.generation > seen) {
            self.queue.retain(|queued| queued.name != branch.name);
            self.queue.push_back(branch);
        }
        Ok(())
    }

    /// Warms a branch; nothing comes of one that has gone meanwhile.
    fn warm(&self, branch: &Branch) -> Result<Option<WarmBranch>, Failure> {
        let php = WarmPhp { site: &self.site, target: self.target, fresh: None };
        let host = self.address.host(&branch.name);
        // Compiling beforehand is a matter of speed: what fails of it does not keep the branch from being visited. Where each
        // process has an OPcache of its own, nobody would have what is compiled here.
        let mut failure = None;
        let (compiled, complete) = match self.state.shares_opcache.then(|| php.compile_all(&host, &[])) {
            None => (0, true),
            Some(Ok(Some(done))) => done,
            Some(Ok(None)) => return Ok(None),
            Some(Err(failed)) => {
                failure = Some(failed);
                (0, false)
            }
        };
        let (status, took) = self.between_publishes(&format!("warming '{}'", branch.name), || {
            let began = Instant::now();
            (php.ask(&host, "visit").ok().map(|(status, _)| status), began.elapsed())
        });
        if let (None, Some(failure)) = (status, failure) {
            return Err(failure);
        }
        Ok(Some(WarmBranch {
            generation: branch.record.generation,
            compiled,
            complete,
            status,
            front_page_seconds: took.as_secs_f64(),
            problem: None,
        }))
    }

    /// Does something that holds the lock shared while no mutation publishes: one that wanted to would wait for it with
    /// the gate closed, and keep everybody's requests out. It waits at `visit.lock` instead, where it is in nobody's way, for
    /// [`LONGEST_VISIT`] at most.
    fn between_publishes<T>(&self, operation: &str, act: impl FnOnce() -> T) -> T {
        let cow = self.site.layout.cow();
        let (is_locked, locked) = mpsc::channel();
        let (is_done, done) = mpsc::channel::<()>();
        thread::scope(|scope| {
            scope.spawn(move || {
                let lock = Visit::lock(cow, operation, &mut Patience::silent(Deadline::after(PUBLISH_PATIENCE)));
                let _ = is_locked.send(());
                let _ = done.recv_timeout(LONGEST_VISIT);
                drop(lock);
            });
            // What cannot be locked is done all the same: it is no more than a visitor does.
            let _ = locked.recv();
            let result = act();
            drop(is_done);
            result
        })
    }
}

#[derive(Deserialize)]
struct Compiled {
    compiled: u64,
    outcome: CompileOutcome,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum CompileOutcome {
    Done,
    /// Files that failed beside others may do alone.
    Again,
    Writer,
    Full,
}

/// PHP's process for warming.
struct WarmPhp<'a> {
    site: &'a Site,
    target: SocketAddr,
    /// Set where it is the fresh php-fpm's: nobody answers once that has died.
    fresh: Option<&'a ChangeOver>,
}

impl WarmPhp<'_> {
    /// Has it compile what is not compiled yet of the branch with this host: these scripts, or where there are none
    /// those that are likely to run. How many it compiled, and whether that is all; none where there is no such branch.
    fn compile_all(&self, host: &str, scripts: &[String]) -> Result<Option<(u64, bool)>, Failure> {
        let mut compiled = 0;
        loop {
            let Some(step) = self.compile(host, scripts)? else { return Ok(None) };
            compiled += step.compiled;
            match step.outcome {
                // The next step waits at the gate until the writer has gone.
                CompileOutcome::Writer | CompileOutcome::Again => {}
                CompileOutcome::Done => return Ok(Some((compiled, true))),
                CompileOutcome::Full => return Ok(Some((compiled, false))),
            }
        }
    }

    fn compile(&self, host: &str, scripts: &[String]) -> Result<Option<Compiled>, Failure> {
        match self.ask_with(host, "compile", &scripts.join("\n"))? {
            (404, _) => Ok(None),
            (200, body) => Ok(Some(serde_json::from_str(&body)?)),
            (status, body) => Err(Failure::new(format!("PHP answers with status {status}: {}", body.trim()))),
        }
    }

    /// Asks it how full OPcache is.
    fn status(&self, host: &str) -> Result<OpcacheStatus, Failure> {
        self.told(host, "status")
    }

    /// Asks it what OPcache has of the branches.
    fn used(&self, host: &str) -> Result<Used, Failure> {
        self.told(host, "used")
    }

    fn told<T: DeserializeOwned>(&self, host: &str, task: &str) -> Result<T, Failure> {
        match self.ask(host, task)? {
            (200, body) => Ok(serde_json::from_str(&body)?),
            (status, body) => {
                let said = body.trim();
                Err(Failure::new(format!("PHP's process for warming answers with status {status}: {said}")))
            }
        }
    }

    /// Asks it to do a task for the branch with this host; the status and the body.
    fn ask(&self, host: &str, task: &str) -> Result<(u16, String), Failure> {
        self.ask_with(host, task, "")
    }

    /// The same, with something to do it with.
    fn ask_with(&self, host: &str, task: &str, with: &str) -> Result<(u16, String), Failure> {
        let token = LoopbackToken::load_or_create(self.site.layout.cow()).map_err(Failure::from)?;
        let headers = format!("X-ForkPress-Warm: {}\r\nX-ForkPress-Task: {task}\r\n", token.as_str());
        let began = Instant::now();
        let question = match with {
            "" => Question::ask(self.target, host, "/", &headers),
            with => Question::post(self.target, host, &headers, with),
        };
        let question = question.during(|| "PHP's process for warming is gone".to_owned())?;
        let may_answer = || self.fresh.is_none_or(ChangeOver::goes_on);
        let answer = question.answer(Deadline::after(ANSWER_TIMEOUT), &may_answer);
        let status = answer.as_ref().map(|(status, _)| *status);
        tracing::debug!(host, task, status, took_ms = began.elapsed().as_millis(), "asked PHP's process for warming");
        answer.ok_or_else(|| Failure::new(format!("PHP's process for warming does not answer ({task})")))
    }
}
