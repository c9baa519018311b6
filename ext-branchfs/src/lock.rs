//! The locks of the current request.

use std::cell::RefCell;
use std::ffi::{OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ext_php_rs::binary_slice::BinarySlice;
use ext_php_rs::boxed::ZBox;
use ext_php_rs::exception::PhpException;
use ext_php_rs::prelude::*;
use ext_php_rs::types::ZendHashTable;
use forkpress_core::deadline::Deadline;
use forkpress_core::layout::{CowLayout, SiteLayout};
use forkpress_core::lock::note::State;
use forkpress_core::lock::{GateProbe, Generation, KeptFiles, LockError, LoopbackToken, RequestLocks};
use forkpress_core::name::BranchName;

use crate::note::Note;
use crate::watcher::Watcher;
use crate::{exception, shim};

thread_local! {
    static PROCESS: RefCell<Process> =
        const { RefCell::new(Process { site: None, lock: None, watcher: None, times: 0, description: None }) };
}

/// What this process keeps from request to request, and the lock of the one it is in.
struct Process {
    site: Option<LastSite>,
    lock: Option<Taken>,
    watcher: Option<Watcher>,
    /// How often this process took a lock.
    times: u64,
    /// What the request asks for, as far as somebody said so.
    description: Option<String>,
}

/// The site that this process served last: the next request is most likely for it too.
struct LastSite {
    files: KeptFiles,
    /// The generation that the caches of this process are of; none before the first lock.
    generation: Option<Generation>,
    note: Option<Note>,
}

struct Taken {
    locks: Arc<RequestLocks>,
    /// Looks at the gates of these locks; made when it is first asked.
    probe: Option<GateProbe>,
    waited: Duration,
    since: Instant,
}

/// Takes the site's operations lock shared, for the rest of the request. Does nothing if the request has it already.
///
/// The lock is the file at `$lock`; null: `operations.lock` in `FORKPRESS_COW_DIR`, or else in `.forkpress/cow` beside the
/// branches in `FORKPRESS_BRANCHES_DIR`, or of the site around the current folder. `$timeout` is in seconds, zero tries
/// once; null: the ini setting `branchfs.lock_timeout`. `$token` is the loopback token of a request that the site makes to
/// itself: it need not wait behind a waiting writer. `$branch` is the branch that will serve the request: its own lock is taken
/// as well, where there is such a branch.
///
/// Throws `Branchfs\LockTimeoutException`, which names the holder, and `Branchfs\Exception` where there is no such lock.
#[php_function]
pub fn branchfs_lock_shared(
    lock: Option<BinarySlice<u8>>,
    timeout: Option<f64>,
    token: Option<BinarySlice<u8>>,
    branch: Option<String>,
) -> PhpResult<bool> {
    let branch = branch.and_then(|name| BranchName::parse(&name).ok());
    let path = lock.as_ref().map(|path| Path::new(OsStr::from_bytes(path)));
    let timeout = timeout.unwrap_or_else(ini_timeout);
    PROCESS.with_borrow_mut(|process| {
        let held = process.is_locked();
        if !process.is_at_site(path) {
            if held {
                return Err(exception::plain("the request holds the lock of another site".to_owned()));
            }
            process.enter_site(&cow_layout(path)?).map_err(|error| exception::of_lock(&error))?;
        }
        if !held {
            let token = token.as_ref().map(|token| &***token);
            process.take(timeout, token, branch.as_ref()).map_err(|error| exception::of_lock(&error))?;
        } else if let Some(branch) = &branch {
            process.take_branch(branch, deadline(timeout)).map_err(|error| exception::of_lock(&error))?;
        }
        Ok(true)
    })
}

/// Sees to it that the request has the lock of this site: takes it where nobody did, for the rest of the request.
///
/// Returns a number that stays the same for as long as the lock is held without a break. The error is a sentence.
pub fn hold(cow: &CowLayout) -> Result<u64, String> {
    PROCESS.with_borrow_mut(|process| {
        let held = process.is_locked();
        let is_here = process.site.as_ref().is_some_and(|site| is_same(site.cow(), cow));
        if held && is_here {
            return Ok(process.times);
        }
        if held {
            return Err("the request holds the lock of another site".to_owned());
        }
        let taken = if is_here { Ok(()) } else { process.enter_site(cow) };
        taken.and_then(|()| process.take(ini_timeout(), None, None)).map_err(|error| exception::sentence(&error))?;
        Ok(process.times)
    })
}

/// Sees to it that the request, which has the site's lock, has that of a branch as well, for its rest. The error is a sentence.
pub fn hold_branch(name: &BranchName) -> Result<(), String> {
    PROCESS.with_borrow_mut(|process| {
        process.take_branch(name, deadline(ini_timeout())).map_err(|error| exception::sentence(&error))
    })
}

/// Whether the request lacks the lock of a branch that there is.
pub fn lacks_branch(cow: &CowLayout, name: &BranchName) -> bool {
    PROCESS.with_borrow(|process| {
        let Some(taken) = process.lock.as_ref().filter(|taken| taken.locks.are_held()) else { return false };
        !taken.locks.has(name) && cow.record(name).exists()
    })
}

/// Whether two folders are one, however they are written.
fn is_same(one: &CowLayout, other: &CowLayout) -> bool {
    one == other || one.dir().canonicalize().is_ok_and(|one| other.dir().canonicalize().is_ok_and(|other| one == other))
}

/// Lets the lock go before the request ends. Returns whether the request had it.
#[php_function]
pub fn branchfs_unlock() -> bool {
    release()
}

/// Lets the lock go as soon as a writer waits, from now on: for a request that will only send bytes of a file that is open.
///
/// Returns whether the request has the lock now.
#[php_function]
pub fn branchfs_unlock_when_writer_waits() -> PhpResult<bool> {
    PROCESS.with_borrow_mut(|process| {
        let Some(taken) = process.lock.as_ref().filter(|taken| taken.locks.are_held()) else {
            return Ok(false);
        };
        if process.watcher.is_none() {
            let watcher = Watcher::start(Arc::clone(&taken.locks)).map_err(|error| exception::of_lock(&error))?;
            process.watcher = Some(watcher);
        }
        if let Some(note) = process.site.as_mut().and_then(|site| site.note.as_mut()) {
            note.say(State::Sending);
        }
        Ok(true)
    })
}

/// Says whether a writer waits for this request to end. False where the request has no lock.
#[php_function]
pub fn branchfs_writer_waits() -> PhpResult<bool> {
    PROCESS.with_borrow_mut(|process| {
        let Some(taken) = &mut process.lock else { return Ok(false) };
        taken.writer_waits().map_err(|error| exception::of_lock(&error))
    })
}

/// Returns what there is to know of the request's lock: `held`, and while it is held `path`, `waited` (seconds until it was
/// taken), `held_for` (seconds since), `generation` (the number of the last publish) and `branches` (those whose locks it has).
#[php_function]
pub fn branchfs_lock_status() -> PhpResult<ZBox<ZendHashTable>> {
    shim::leave(status())
}

fn status() -> PhpResult<ZBox<ZendHashTable>> {
    // Nothing stays borrowed or locked while PHP makes the array, for which its memory may not be enough.
    let held = PROCESS.with_borrow(|process| {
        let Some(taken) = process.lock.as_ref().filter(|taken| taken.locks.are_held()) else { return Ok(None) };
        let generation = taken.locks.site().generation().map_err(|error| exception::of_lock(&error))?.number;
        let branches = taken.locks.branches();
        Ok::<_, PhpException>(Some((
            Arc::clone(taken.locks.site().files()),
            taken.waited,
            taken.since.elapsed(),
            generation,
            branches,
        )))
    })?;
    shim::build(|| {
        let mut status = ZendHashTable::new();
        status.insert("held", held.is_some())?;
        if let Some((files, waited, held_for, generation, branches)) = &held {
            status.insert("path", shim::string(files.path().as_os_str().as_bytes()))?;
            status.insert("waited", waited.as_secs_f64())?;
            status.insert("held_for", held_for.as_secs_f64())?;
            status.insert("generation", i64::try_from(*generation).unwrap_or(i64::MAX))?;
            status.insert("branches", branches.iter().map(BranchName::as_str).collect::<Vec<_>>())?;
        }
        Ok(status)
    })
}

/// Returns the secret that a request sends along when it calls its own site; null where the request has no lock or the
/// secret can't be read.
#[php_function]
pub fn branchfs_loopback_token() -> Option<String> {
    PROCESS.with_borrow(|process| {
        let taken = process.lock.as_ref()?;
        let token = LoopbackToken::load_or_create(taken.locks.site().files().cow()).ok()?;
        Some(token.as_str().to_owned())
    })
}

/// Adds the functions to the module.
pub fn register(module: ModuleBuilder) -> ModuleBuilder {
    module
        .function(wrap_function!(branchfs_lock_shared))
        .function(wrap_function!(branchfs_unlock))
        .function(wrap_function!(branchfs_unlock_when_writer_waits))
        .function(wrap_function!(branchfs_writer_waits))
        .function(wrap_function!(branchfs_lock_status))
        .function(wrap_function!(branchfs_loopback_token))
}

/// Notes, before the lock is taken, what is being asked for: what a command that waits says it waits for.
pub fn describe(description: String) {
    PROCESS.with_borrow_mut(|process| process.description = Some(description));
}

/// The request is over: lets its lock go, if it has one.
pub fn end_of_request() {
    release();
    PROCESS.with_borrow_mut(|process| process.description = None);
}

/// Lets the lock of the request go, and says whether it was held.
fn release() -> bool {
    PROCESS.with_borrow_mut(|process| {
        process.watcher = None;
        let held = process.lock.take().is_some_and(|taken| taken.locks.release());
        if let Some(note) = process.site.as_mut().and_then(|site| site.note.as_mut()) {
            note.end();
        }
        held
    })
}

/// How often the site had been published when the request took the locks that it has; none where it has none.
pub fn generation_seen() -> Option<Generation> {
    PROCESS.with_borrow(|process| {
        process.lock.as_ref().filter(|taken| taken.locks.are_held())?;
        process.site.as_ref()?.generation
    })
}

/// Ends the watcher, if there is one; the lock stays.
pub fn stop_watcher() {
    let _ = PROCESS.try_with(|process| process.try_borrow_mut().map(|mut process| process.watcher = None));
}

/// Closes all lock files, for a process that ends and for a forked child, in which that does not unlock.
pub fn forget_process() {
    let _ = PROCESS.try_with(|process| {
        if let Ok(mut process) = process.try_borrow_mut() {
            process.watcher = None;
            process.lock = None;
            process.site = None;
        }
    });
}

impl Taken {
    fn writer_waits(&mut self) -> Result<bool, LockError> {
        let probe = match self.probe.take() {
            Some(probe) => probe,
            None => self.locks.probe()?,
        };
        self.probe.insert(probe).writer_waits()
    }
}

impl Process {
    /// Whether the request has the site's lock.
    fn is_locked(&self) -> bool {
        self.lock.as_ref().is_some_and(|taken| taken.locks.are_held())
    }

    /// Whether `path`, or no path, means the lock of the site that this process is at.
    fn is_at_site(&self, path: Option<&Path>) -> bool {
        match (&self.site, path) {
            (Some(site), Some(path)) => site.files.site().path().as_os_str() == path.as_os_str(),
            (Some(site), None) => default_cow_layout().is_some_and(|cow| &cow == site.cow()),
            (None, _) => false,
        }
    }

    fn enter_site(&mut self, cow: &CowLayout) -> Result<(), LockError> {
        self.site = Some(LastSite { files: KeptFiles::open(cow)?, generation: None, note: Note::create(cow).ok() });
        Ok(())
    }

    /// Takes the site's lock, and that of a branch.
    fn take(&mut self, timeout: f64, token: Option<&[u8]>, branch: Option<&BranchName>) -> Result<(), LockError> {
        let Some(site) = &mut self.site else { unreachable!("the caller entered one") };
        let token = token.and_then(|token| {
            LoopbackToken::load_or_create(site.cow()).ok().filter(|expected| expected.matches(token))
        });
        if let (Some(note), Some(description)) = (&mut site.note, &self.description) {
            note.begin(description);
        }
        let begin = Instant::now();
        let (locks, generation) = RequestLocks::lock(&mut site.files, branch, deadline(timeout), token.as_ref())?;
        let since = Instant::now();
        site.see(generation);
        if let Some(note) = &mut site.note {
            note.say(State::Serving);
        }
        // One that watched an earlier lock of the request is no use to this one.
        self.watcher = None;
        self.times += 1;
        self.lock = Some(Taken { locks: Arc::new(locks), probe: None, waited: since - begin, since });
        Ok(())
    }

    /// Takes the lock of one more branch, where there is such a branch.
    fn take_branch(&mut self, name: &BranchName, deadline: Deadline) -> Result<(), LockError> {
        let (Some(site), Some(taken)) = (&mut self.site, &mut self.lock) else { return Ok(()) };
        if let Some(generation) = taken.locks.lock_branch(&mut site.files, name, deadline)? {
            taken.probe = None;
            site.see(generation);
        }
        Ok(())
    }
}

impl LastSite {
    fn cow(&self) -> &CowLayout {
        self.files.site().cow()
    }

    /// Drops what this process has cached of the file system if something was published since.
    fn see(&mut self, generation: Generation) {
        if self.generation.replace(generation) != Some(generation) {
            drop_caches();
        }
    }
}

/// Drops what this process has cached of the file system.
fn drop_caches() {
    unsafe extern "C" {
        fn php_clear_stat_cache(clear_realpath_cache: bool, filename: *const c_char, filename_len: usize);
    }
    // SAFETY: with no file name, the function clears both caches of this process, which nothing of ours refers to.
    unsafe { php_clear_stat_cache(true, std::ptr::null(), 0) };
}

/// The site whose operations lock is the file at `path`, or the site around where there is no path.
fn cow_layout(path: Option<&Path>) -> PhpResult<CowLayout> {
    let Some(path) = path else {
        return default_cow_layout().ok_or_else(|| {
            exception::plain(
                "no lock was named and there is no site around: pass the path of operations.lock or set FORKPRESS_COW_DIR"
                    .to_owned(),
            )
        });
    };
    let layout = path.parent().map(CowLayout::new).filter(|layout| layout.operations_lock() == path);
    layout.ok_or_else(|| {
        exception::plain(format!("{} is no operations lock: the file must be named operations.lock", path.display()))
    })
}

/// The site that the environment or the current folder names.
pub fn default_cow_layout() -> Option<CowLayout> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    set("FORKPRESS_COW_DIR")
        .map(CowLayout::new)
        .or_else(|| set("FORKPRESS_BRANCHES_DIR").map(|dir| SiteLayout::at(Path::new(&dir)).cow().clone()))
        .or_else(|| SiteLayout::find(&std::env::current_dir().ok()?).map(|site| site.cow().clone()))
}

/// Negative and not-a-number mean zero, infinity and what is too long mean for ever.
fn deadline(seconds: f64) -> Deadline {
    Deadline::after(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX))
}

fn ini_timeout() -> f64 {
    unsafe extern "C" {
        fn zend_ini_double(name: *const c_char, name_length: usize, orig: c_int) -> f64;
    }
    let name = c"branchfs.lock_timeout";
    // SAFETY: the name is a C string of that length, and the function only reads it.
    unsafe { zend_ini_double(name.as_ptr(), name.count_bytes(), 0) }
}
