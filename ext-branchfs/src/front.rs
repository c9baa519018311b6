//! The server of ForkPress in front of PHP's built-in server.
//!
//! Where PHP's built-in server answers behind the one of ForkPress, it listens at a port of this machine, which others reach as
//! well. Which connections are the server's it says over this process's standard input, which nobody else has: a line for each
//! has the connection's port, and what goes into `$_SERVER`, such as the address of the client. The router refuses all other
//! connections. What a request itself says, in a header say, counts for nothing.
//!
//! PHP's built-in server takes the body of a request into memory. So the server sends none, and puts it into a file,
//! from which it is read as PHP asks for it. What it says of the connection then has the length.
//!
//! `FORKPRESS_FRONT` in the environment of that process, as it starts, is the path of that file. No code of a branch
//! has that, nor the standard input.

use std::cell::RefCell;
use std::ffi::{CString, OsString, c_char};
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
type ReadBody = unsafe extern "C" fn(*mut c_char, usize) -> usize;
type Begin = unsafe extern "C" fn();

/// The engine's own functions that fill `$_SERVER`, read a body, and begin to; null while they are in their place.
static FILL: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());
static READ: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());
static BEGIN: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

/// Where the server puts the body of a request.
static BODY: OnceLock<OsString> = OnceLock::new();

/// What the server says, where there is one in front.
static SAID: OnceLock<File> = OnceLock::new();

/// What was read of that.
#[derive(Default)]
struct Told {
    /// The beginning of a line.
    rest: Vec<u8>,
    /// The last whole line, until its request is over.
    line: Option<Vec<u8>>,
    /// Whether the request that runs is the server's.
    is_of_front: bool,
    /// Its body, while it is read.
    body: Option<File>,
}

thread_local! {
    static TOLD: RefCell<Told> = RefCell::new(Told::default());
}

/// Takes the standard input, and puts our function into the engine's place, where the server of ForkPress is in front.
pub fn install() -> i32 {
    const VARIABLE: &str = "FORKPRESS_FRONT";
    let Some(body) = std::env::var_os(VARIABLE).filter(|_| sapi::is_builtin_server()) else { return SUCCESS };
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
        let _ = BODY.set(body);
        let module = &raw mut sapi_module;
        let (Some(own_fill), Some(own_read), Some(own_begin)) =
            ((*module).register_server_variables, (*module).read_post, (*module).default_post_reader)
        else {
            return FAILURE;
        };
        FILL.store(own_fill as *mut (), Ordering::Relaxed);
        READ.store(own_read as *mut (), Ordering::Relaxed);
        BEGIN.store(own_begin as *mut (), Ordering::Relaxed);
        (*module).register_server_variables = Some(fill);
        (*module).read_post = Some(read);
        (*module).default_post_reader = Some(begin);
    }
    SUCCESS
}

/// Puts the engine's own back.
pub fn restore() {
    let own = [&FILL, &READ, &BEGIN].map(|own| own.swap(std::ptr::null_mut(), Ordering::Relaxed));
    if own.iter().any(|own| own.is_null()) {
        return;
    }
    // SAFETY: they are what the engine had there.
    unsafe {
        let module = &raw mut sapi_module;
        (*module).register_server_variables = Some(std::mem::transmute::<*mut (), Fill>(own[0]));
        (*module).read_post = Some(std::mem::transmute::<*mut (), ReadBody>(own[1]));
        (*module).default_post_reader = Some(std::mem::transmute::<*mut (), Begin>(own[2]));
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

/// PHP is about to take the body of a POST.
unsafe extern "C" fn begin() {
    let length = caught(|| {
        TOLD.with_borrow_mut(|told| {
            told.read();
            told.body_length()
        })
    });
    // SAFETY: the function sets a number; the other was the engine's, and is called as the engine called ours. No frame
    // of Rust has anything to drop.
    unsafe {
        if let Some(length) = length.flatten() {
            php::branchfs_set_body_length(length);
        }
        std::mem::transmute::<*mut (), Begin>(BEGIN.load(Ordering::Relaxed))();
    }
}

/// Reads so much of the body.
unsafe extern "C" fn read(into: *mut c_char, length: usize) -> usize {
    // SAFETY: the engine passes room for so many bytes.
    let bytes = unsafe { std::slice::from_raw_parts_mut(into.cast::<u8>(), length) };
    match caught(|| TOLD.with_borrow_mut(|told| told.read_body(bytes))).flatten() {
        Some(read) => read,
        // SAFETY: the function was the engine's, and is called as the engine called ours.
        None => unsafe { std::mem::transmute::<*mut (), ReadBody>(READ.load(Ordering::Relaxed))(into, length) },
    }
}

/// What the server says of the connection of this request; none where it says nothing of it.
fn told_of(variables: &Zval) -> Option<Vec<(CString, Vec<u8>)>> {
    let port = variables.array()?.get("REMOTE_PORT")?.binary_slice::<u8>()?.to_vec();
    TOLD.with_borrow_mut(|told| {
        told.read();
        let line = told.line.as_ref().filter(|line| line.split(|byte| *byte == b'\t').next() == Some(&port))?;
        told.is_of_front = true;
        let entries = line.split(|byte| *byte == b'\t').skip(1).filter_map(|entry| {
            let at = entry.iter().position(|byte| *byte == b'=')?;
            Some((CString::new(&entry[..at]).ok()?, entry[at + 1..].to_vec()))
        });
        Some(entries.collect())
    })
}

impl Told {
    /// How long the body is that the server has put into the file; none where there is none.
    fn body_length(&self) -> Option<i64> {
        let entries = self.line.as_ref()?.split(|byte| *byte == b'\t');
        let length = entries.filter_map(|entry| entry.strip_prefix(b"CONTENT_LENGTH=")).next()?;
        std::str::from_utf8(length).ok()?.parse().ok()
    }

    /// Reads from that file; none where there is none. A request that is not the server's reads it as well, and is then
    /// refused: the server's own reads it from its beginning.
    fn read_body(&mut self, into: &mut [u8]) -> Option<usize> {
        if self.body.is_none() {
            self.read();
            self.body_length()?;
            self.body = Some(File::open(BODY.get()?).ok()?);
        }
        let file = self.body.as_mut()?;
        let mut read = 0;
        // Less than all would be the end of the body.
        while read < into.len() {
            match file.read(&mut into[read..]) {
                Ok(0) => break,
                Ok(length) => read += length,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        Some(read)
    }

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

/// Forgets the request, and what was said of it.
pub fn end_of_request() {
    let _ = TOLD.try_with(|told| {
        let mut told = told.borrow_mut();
        told.body = None;
        if std::mem::take(&mut told.is_of_front) {
            told.line = None;
        }
    });
}

/// Returns whether the request came past the server of ForkPress, which is in front of this process. Ask once
/// `$_SERVER` is there.
#[php_function]
pub fn branchfs_is_astray() -> bool {
    is_before() && !TOLD.with_borrow(|told| told.is_of_front)
}

/// Adds the function to the module.
pub fn register(module: ModuleBuilder) -> ModuleBuilder {
    module.function(wrap_function!(branchfs_is_astray))
}
