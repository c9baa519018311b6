//! Handles forks of a PHP process.
//!
//! A forked child shares its parent's open lock files. As long as it has them open, it keeps the parent's lock alive.
//! So the child closes its copies at once, without unlocking. A worker that PHP's built-in server or php-fpm forks asks
//! to die with its master. Otherwise a killed master leaves its workers behind.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::{FAILURE, SUCCESS, guard, lock, request, sapi, visitors};

static PARENT: AtomicU32 = AtomicU32::new(0);

/// Installs the handlers, once a process: glibc takes them away when the extension is unloaded.
pub fn install_handlers() -> i32 {
    static INSTALLED: once_cell::sync::OnceCell<bool> = once_cell::sync::OnceCell::new();
    let installed = INSTALLED.get_or_init(|| {
        // SAFETY: the three functions live as long as this library, and each guards against unwinding.
        unsafe { libc::pthread_atfork(Some(before), None, Some(in_child)) == 0 }
    });
    if *installed { SUCCESS } else { FAILURE }
}

/// The watcher's thread would not exist in the child, but its share of the lock would: it is ended first. The request then
/// keeps its lock to its end.
unsafe extern "C" fn before() {
    guard(|| {
        PARENT.store(std::process::id(), Ordering::Relaxed);
        lock::stop_watcher();
        SUCCESS
    });
}

unsafe extern "C" fn in_child() {
    guard(|| {
        lock::forget_process();
        visitors::leave_to_parent();
        if !request::is_running() && (sapi::is_builtin_server() || sapi::is_process_manager()) {
            die_with_parent();
        }
        SUCCESS
    });
}

#[cfg(target_os = "linux")]
fn die_with_parent() {
    // SAFETY: prctl with PR_SET_PDEATHSIG takes a signal number and touches no memory; _exit ends the process.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        // The parent may have died before the request took effect.
        if libc::getppid().cast_unsigned() != PARENT.load(Ordering::Relaxed) {
            libc::_exit(0);
        }
    }
}

/// No other system has a parent-death signal: there the workers end with their process group.
#[cfg(not(target_os = "linux"))]
fn die_with_parent() {}
