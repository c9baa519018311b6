//! Rests while PHP code runs, in the process that warms branches.
//!
//! A page that is rendered for the first time keeps a processor busy for a tenth of a second or more, without a pause.
//! So a thread asks PHP's virtual machine for an interrupt again and again. The machine looks for it at each call and
//! each jump back, and the interrupt is a rest.

use std::cell::RefCell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use ext_php_rs::ffi::{zend_execute_data, zend_interrupt_function};
use ext_php_rs::zend::ExecutorGlobals;
use forkpress_core::pace::{self, STRETCH};
use forkpress_core::panic::caught;

/// How long a rest is: a fifth of the process's time, as it is in nobody's way but that of `--wait`.
pub const REST: Duration = Duration::from_micros(500);

type InterruptHook = unsafe extern "C" fn(*mut zend_execute_data);

/// Who was told of interrupts before.
static PREVIOUS: OnceLock<Option<InterruptHook>> = OnceLock::new();

thread_local! {
    /// Dropped, it ends the thread that asks for interrupts.
    static ASKING: RefCell<Option<Sender<()>>> = const { RefCell::new(None) };
}

/// Makes interrupts rests, for the life of this process.
pub fn install() {
    PREVIOUS.get_or_init(|| {
        // SAFETY: the process has not begun to serve, and has this thread alone.
        unsafe { (&raw mut zend_interrupt_function).replace(Some(rest)) }
    });
}

unsafe extern "C" fn rest(execute_data: *mut zend_execute_data) {
    // It does not panic; nothing is lost if it did.
    let _ = caught(|| pace::rest(REST));
    if let Some(Some(previous)) = PREVIOUS.get() {
        // SAFETY: called as PHP called us.
        unsafe { previous(execute_data) };
    }
}

/// A request begins: it rests from now on.
pub fn begin() {
    let interrupt = (&raw mut ExecutorGlobals::get_mut().vm_interrupt).cast::<bool>();
    // SAFETY: PHP's flag is a `bool` that it reads and writes atomically, from other threads, too; it lives as long as the
    // process does, which has one thread that runs PHP.
    let interrupt: &'static AtomicBool = unsafe { AtomicBool::from_ptr(interrupt) };
    let (asking, ended) = mpsc::channel::<()>();
    let ask = move || {
        while ended.recv_timeout(STRETCH) == Err(RecvTimeoutError::Timeout) {
            interrupt.store(true, Ordering::Relaxed);
        }
    };
    // Where no thread can be started, the request does not rest.
    let started = thread::Builder::new().name("pacer".to_owned()).spawn(ask);
    ASKING.set(started.ok().map(|_| asking));
}

/// The request has ended. The thread is not waited for: in a forked child there is none.
pub fn end() {
    ASKING.take();
}
