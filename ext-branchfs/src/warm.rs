//! The process of a server that compiles a new branch's code before anybody asks for it.
//!
//! OPcache's memory is shared by what one master forked, so only a process of that family can fill it. PHP's built-in server
//! has no such thing as a process for one purpose: all that it forks wait at the same socket. So the first process that it
//! forks gets another socket in that one's place, at an address that only the `forkpress` server knows. It serves as any
//! other, but no visitor's connection can be its, and none can wait behind what it does. php-fpm has a pool for it, which
//! shares OPcache with the others and says `FORKPRESS_WARMER=1` in its environment.

use std::env;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ext_php_rs::prelude::*;
use forkpress_core::pace;

use crate::{lock, pacer, sapi, visitors};

/// How many processes the server has forked, in the master.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// Whether this process is the one.
static IS_WARMER: AtomicBool = AtomicBool::new(false);

/// For how long a step waits for visitors' requests to leave a processor free: under steady traffic it must get on, too.
const COURTESY: Duration = Duration::from_millis(20);

const PAUSE: Duration = Duration::from_micros(500);

/// Descriptors that are looked at for the server's socket, which is among the first that PHP opens.
const MOST_DESCRIPTORS: RawFd = 256;

/// The server is about to fork a process.
pub fn before_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// Gives the process that the server just forked its place.
pub fn enter_worker() {
    let Some(address) = env::var("FORKPRESS_WARM").ok().and_then(|address| address.parse().ok()) else { return };
    let number = FORKS.load(Ordering::Relaxed);
    let workers = env::var("FORKPRESS_WORKERS").ok().and_then(|workers| workers.parse().ok()).unwrap_or(u32::MAX);
    if number == 1 {
        // Where that fails, the process is a worker more.
        if move_to(address).is_some() {
            IS_WARMER.store(true, Ordering::Relaxed);
            pacer::install();
        }
    } else if number > workers {
        // SAFETY: ends the process, which has not begun to serve; nothing of the parent's is flushed or unlocked.
        unsafe { libc::_exit(0) };
    }
}

/// Puts a socket that listens at `address` in the place of the one that the server listens at.
fn move_to(address: SocketAddr) -> Option<()> {
    let own = TcpListener::bind(address).ok()?;
    let server = (0..MOST_DESCRIPTORS).find(|descriptor| *descriptor != own.as_raw_fd() && listens(*descriptor))?;
    // SAFETY: both descriptors are open sockets of this process; fcntl and dup2 touch no memory. The server's socket goes
    // on in its other processes.
    unsafe {
        let (status, flags) = (libc::fcntl(server, libc::F_GETFL), libc::fcntl(server, libc::F_GETFD));
        if status < 0 || flags < 0 || libc::dup2(own.as_raw_fd(), server) < 0 {
            return None;
        }
        libc::fcntl(server, libc::F_SETFL, status);
        libc::fcntl(server, libc::F_SETFD, flags);
    }
    Some(())
}

fn listens(descriptor: RawFd) -> bool {
    let mut answer: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the answer and its length are valid for the call, whatever the descriptor is.
    let asked = unsafe {
        libc::getsockopt(
            descriptor,
            libc::SOL_SOCKET,
            libc::SO_ACCEPTCONN,
            (&raw mut answer).cast::<libc::c_void>(),
            &raw mut length,
        )
    };
    asked == 0 && answer != 0
}

/// Whether this process serves no visitor. Asked in requests only: php-fpm gives a process the environment of its pool after the
/// fork.
pub fn is_warmer() -> bool {
    static IS_OF_POOL: OnceLock<bool> = OnceLock::new();
    let is_of_pool = || {
        let is = sapi::is_process_manager() && env::var_os("FORKPRESS_WARMER").is_some_and(|value| value == "1");
        if is {
            pacer::install();
        }
        is
    };
    IS_WARMER.load(Ordering::Relaxed) || *IS_OF_POOL.get_or_init(is_of_pool)
}

/// Waits until a processor is left by the requests that the server's other processes run, but not for long, and not while a writer
/// waits, at whose gate those requests may be. Rests, too.
#[php_function]
pub fn branchfs_yield() -> PhpResult<()> {
    static PROCESSORS: OnceLock<u64> = OnceLock::new();
    let processors = *PROCESSORS
        .get_or_init(|| thread::available_parallelism().map_or(1, |number| u64::try_from(number.get()).unwrap_or(1)));
    pace::rest(pacer::REST);
    let begin = Instant::now();
    while visitors::running() >= processors && begin.elapsed() < COURTESY && !lock::branchfs_writer_waits()? {
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// Adds the functions to the module.
pub fn register(module: ModuleBuilder) -> ModuleBuilder {
    module.function(wrap_function!(branchfs_yield))
}
