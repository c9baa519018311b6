//! The server of ForkPress in front of PHP's built-in server.
//!
//! Where PHP's built-in server answers behind the one of ForkPress, it listens at a port of this machine, which others reach as
//! well. Which connections are the server's it says over this process's standard input, which nobody else has: a line for each
//! has the connection's port, and what goes into `$_SERVER`, such as the address of the client. The router refuses all other
//! connections. What a request itself says, in a header say, counts for nothing.
//!
//! That process says `FORKPRESS_FRONT=1` in its environment as it starts. No code of a branch has that, nor the standard input.

use std::cell::RefCell;
use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::FromRawFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

use ext_php_rs::ffi::sapi_module;
use ext_php_rs::prelude::*;
use ext_php_rs::types::Zval;
use forkpress_core::panic::caught;

use crate::{FAILURE, SUCCESS, php, sapi, shim};

type Fill = unsafe extern "C" fn(*mut Zval);

/// The engine's own function that fills `$_SERVER`; null while it is in its place.
static FILL: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

/// What the server says, where there is one in front.
static SAID: OnceLock<File> = OnceLock::new();

/// What was read of that.
#[derive(Default)]
struct Told {
    /// The beginning of a line.
    rest: Vec<u8>,
    /// The last whole line, until its connection has come.
    line: Option<Vec<u8>>,
    /// Whether the request that runs is the server's.
    is_of_front: bool,
}

thread_local! {
    static TOLD: RefCell<Told> = RefCell::new(Told::default());
}

/// Takes the standard input, and puts our function into the engine's place, where the server of ForkPress is in front.
pub fn install() -> i32 {
    const VARIABLE: &str = "FORKPRESS_FRONT";
    if !sapi::is_builtin_server() || std::env::var_os(VARIABLE).is_none_or(|value| value != "1") {
        return SUCCESS;
    }
    // SAFETY: at startup no other thread runs, so none reads the environment; the descriptors are this process's own, and the new
    // one is the file's alone. The table is the engine's, and its function is called as it was.
    unsafe {
        std::env::remove_var(VARIABLE);
        let said = libc::fcntl(libc::STDIN_FILENO, libc::F_DUPFD_CLOEXEC, 3);
        let nothing = libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        if said < 0 || nothing < 0 || libc::dup2(nothing, libc::STDIN_FILENO) < 0 {
            return FAILURE;
        }
        libc::close(nothing);
        let flags = libc::fcntl(said, libc::F_GETFL);
        if libc::fcntl(said, libc::F_SETFL, flags | libc::O_NONBLOCK) < 0 {
            return FAILURE;
        }
        let _ = SAID.set(File::from_raw_fd(said));
        let module = &raw mut sapi_module;
        let Some(own) = (*module).register_server_variables else { return FAILURE };
        FILL.store(own as *mut (), Ordering::Relaxed);
        (*module).register_server_variables = Some(fill);
    }
    SUCCESS
}

/// Puts the engine's own back.
pub fn restore() {
    let fill = FILL.swap(std::ptr::null_mut(), Ordering::Relaxed);
    if !fill.is_null() {
        // SAFETY: it is what the engine had there.
        unsafe {
            (*(&raw mut sapi_module)).register_server_variables = Some(std::mem::transmute::<*mut (), Fill>(fill))
        };
    }
}

/// Whether the server of ForkPress is in front of this process.
pub fn is_before() -> bool {
    SAID.get().is_some()
}

unsafe extern "C" fn fill(variables: *mut Zval) {
    // SAFETY: the engine passes the array that it fills; the function was the engine's, and is called as the engine called ours.
    shim::enter(|| unsafe {
        let own = std::mem::transmute::<*mut (), Fill>(FILL.load(Ordering::Relaxed));
        php::branchfs_fill_server(Some(own), variables);
        for (name, value) in caught(|| told_of(&*variables)).flatten().unwrap_or_default() {
            php::branchfs_set_entry(variables, name.as_ptr(), value.as_ptr().cast(), value.len());
        }
    });
}

/// What the server says of the connection of this request; none where it says nothing of it.
fn told_of(variables: &Zval) -> Option<Vec<(CString, Vec<u8>)>> {
    let port = variables.array()?.get("REMOTE_PORT")?.binary_slice::<u8>()?.to_vec();
    TOLD.with_borrow_mut(|told| {
        told.read();
        let line = told.line.take_if(|line| line.split(|byte| *byte == b'\t').next() == Some(&port))?;
        told.is_of_front = true;
        let entries = line.split(|byte| *byte == b'\t').skip(1).filter_map(|entry| {
            let at = entry.iter().position(|byte| *byte == b'=')?;
            Some((CString::new(&entry[..at]).ok()?, entry[at + 1..].to_vec()))
        });
        Some(entries.collect())
    })
}

impl Told {
    /// Reads what was said meanwhile. Only the last line counts: one before it is of a connection that was broken off.
    fn read(&mut self) {
        let Some(mut said) = SAID.get() else { return };
        let mut bytes = [0; 4096];
        while let Ok(length @ 1..) = said.read(&mut bytes) {
            for byte in &bytes[..length] {
                if *byte == b'\n' {
                    self.line = Some(std::mem::take(&mut self.rest));
                } else {
                    self.rest.push(*byte);
                }
            }
        }
    }
}

/// Forgets the request.
pub fn end_of_request() {
    let _ = TOLD.try_with(|told| told.borrow_mut().is_of_front = false);
}

/// Returns whether the request came past the server of ForkPress, which is in front of this process. Ask once `$_SERVER` is there.
#[php_function]
pub fn branchfs_is_astray() -> bool {
    is_before() && !TOLD.with_borrow(|told| told.is_of_front)
}

/// Adds the function to the module.
pub fn register(module: ModuleBuilder) -> ModuleBuilder {
    module.function(wrap_function!(branchfs_is_astray))
}
