//! Puts the branch's own address into answers, in place of any other that the site had.
//!
//! This happens where the answer leaves PHP, below all output buffers. So no code of a branch can get in the way or
//! lose a part of it, and what is streamed stays streamed. While the extension is loaded, the engine's `ub_write` and
//! `send_headers` are ours; they pass on what is not to be mapped. What to do is decided once, as the headers go: see
//! [`answer`].

use std::borrow::Cow;
use std::cell::RefCell;
use std::ffi::{c_char, c_int, c_void};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicPtr, Ordering};

use ext_php_rs::binary::Binary;
use ext_php_rs::binary_slice::BinarySlice;
use ext_php_rs::ffi::{sapi_header_struct, sapi_headers_struct, sapi_module, zend_llist_element};
use ext_php_rs::prelude::*;
use forkpress_core::address::{Addresses, Known, Own, Stream, answer};
use forkpress_core::panic::caught;

use crate::{SUCCESS, php, shim};

type Write = unsafe extern "C" fn(*const c_char, usize) -> usize;
type SendHeaders = unsafe extern "C" fn(*mut sapi_headers_struct) -> c_int;

/// The engine's own; null while they are in their place.
static WRITE: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());
static SEND_HEADERS: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

thread_local! {
    static ANSWER: RefCell<Option<PhpAnswer>> = const { RefCell::new(None) };
    /// The addresses that were used lately, and from what they were gathered: before WordPress is there, and by its options.
    static LATELY: RefCell<Vec<(AddressSource, Rc<Known>)>> = const { RefCell::new(Vec::new()) };
}

/// How many are kept. Branches differ in their options only where one of them was imported or moved.
const MOST_SOURCES: usize = 16;

/// From what a site's addresses were gathered.
#[derive(PartialEq, Eq)]
struct AddressSource {
    record: PathBuf,
    /// Inode, size and time of the record.
    version: Option<(u64, u64, i64, i64)>,
    root_host: String,
    port: Option<u16>,
    homes: Vec<String>,
}

/// What this request answers.
struct PhpAnswer {
    known: Rc<Known>,
    own: Own,
    body: AnswerBody,
    /// The bytes that the engine is being given.
    sent: Vec<u8>,
    /// The header lines that change, by their place; a line that goes is none.
    lines: Vec<(usize, Option<Vec<u8>>)>,
}

enum AnswerBody {
    /// The headers have not gone.
    Undecided,
    AsItIs,
    Mapped(Stream),
}

/// Puts our functions into the engine's place.
pub fn install() -> i32 {
    // SAFETY: at startup no other thread runs; the table is the engine's, and its functions are called as they were.
    unsafe {
        let module = &raw mut sapi_module;
        // A server that has none of one or the other has no answers that could be mapped.
        let Some(own_write) = (*module).ub_write else { return SUCCESS };
        WRITE.store(own_write as *mut (), Ordering::Relaxed);
        (*module).ub_write = Some(write);
        if let Some(send) = (*module).send_headers {
            SEND_HEADERS.store(send as *mut (), Ordering::Relaxed);
            (*module).send_headers = Some(send_headers);
        }
    }
    SUCCESS
}

/// Puts the engine's own back.
pub fn restore() {
    let (write, send) = (
        WRITE.swap(std::ptr::null_mut(), Ordering::Relaxed),
        SEND_HEADERS.swap(std::ptr::null_mut(), Ordering::Relaxed),
    );
    // SAFETY: as above; they are what the engine had there.
    unsafe {
        let module = &raw mut sapi_module;
        if !write.is_null() {
            (*module).ub_write = Some(std::mem::transmute::<*mut (), Write>(write));
        }
        if !send.is_null() {
            (*module).send_headers = Some(std::mem::transmute::<*mut (), SendHeaders>(send));
        }
    }
}

/// The request is over: sends what waited for the rest of an address.
pub fn finish() {
    shim::enter(send_rest);
}

/// Sends what waited for the rest of an address: nothing more comes. Inside [`shim::enter`].
pub fn send_rest() {
    let rest = ANSWER.with_borrow_mut(|answer| {
        let answer = answer.as_mut()?;
        let AnswerBody::Mapped(stream) = &mut answer.body else { return None };
        answer.sent = stream.finish();
        Some((answer.sent.as_ptr().cast(), answer.sent.len()))
    });
    if let Some((bytes, length)) = rest.filter(|(_, length)| *length > 0) {
        // SAFETY: the bytes are the answer's, which stays as it is until the next call.
        unsafe { own_write(bytes, length) };
    }
}

/// Forgets the request.
pub fn end_of_request() {
    let _ = ANSWER.try_with(|answer| answer.take());
}

/// Whether this request is one of a branch, as the router has it.
pub fn is_served() -> bool {
    ANSWER.try_with(|answer| answer.try_borrow().is_ok_and(|answer| answer.is_some())).unwrap_or(false)
}

unsafe fn own_write(bytes: *const c_char, length: usize) -> usize {
    let original = WRITE.load(Ordering::Relaxed);
    // SAFETY: it was the engine's function, and is called as the engine called ours.
    unsafe { php::branchfs_write(Some(std::mem::transmute::<*mut (), Write>(original)), bytes, length) }
}

unsafe extern "C" fn write(bytes: *const c_char, length: usize) -> usize {
    // SAFETY: the engine passes so many bytes. Those in their place stay as they are until the next call.
    shim::enter(|| unsafe {
        match caught(|| mapped(bytes, length)).flatten() {
            None => own_write(bytes, length),
            Some((_, 0)) => length,
            Some((bytes, mapped)) => {
                own_write(bytes, mapped);
                length
            }
        }
    })
    .unwrap_or_default()
}

/// What goes in place of a piece; none: the piece itself.
unsafe fn mapped(bytes: *const c_char, length: usize) -> Option<(*const c_char, usize)> {
    ANSWER.with_borrow_mut(|answer| {
        let answer = answer.as_mut()?;
        let AnswerBody::Mapped(stream) = &mut answer.body else { return None };
        if length == 0 {
            return None;
        }
        // SAFETY: the caller's, of the engine.
        let piece = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), length) };
        match stream.push(piece) {
            Cow::Borrowed(rest) => Some((rest.as_ptr().cast(), rest.len())),
            Cow::Owned(new) => {
                answer.sent = new;
                Some((answer.sent.as_ptr().cast(), answer.sent.len()))
            }
        }
    })
}

unsafe extern "C" fn send_headers(headers: *mut sapi_headers_struct) -> c_int {
    // SAFETY: the engine passes its list, which only this thread uses.
    shim::enter(|| unsafe {
        if let Some(count) = caught(|| decide(headers)) {
            for at in 0..count {
                change(headers, at);
            }
        }
        let original = SEND_HEADERS.load(Ordering::Relaxed);
        php::branchfs_send_headers(Some(std::mem::transmute::<*mut (), SendHeaders>(original)), headers)
    })
    .unwrap_or_default()
}

/// The header lines in a list.
unsafe fn lines(headers: *const sapi_headers_struct) -> Vec<*mut sapi_header_struct> {
    let mut found = Vec::new();
    // SAFETY: the caller's list, whose elements hold header lines.
    unsafe {
        let mut element: *mut zend_llist_element = (*headers).headers.head;
        while !element.is_null() {
            found.push((&raw mut (*element).data).cast());
            element = (*element).next;
        }
    }
    found
}

/// Decides about the body, and which header lines change; returns how many.
unsafe fn decide(headers: *const sapi_headers_struct) -> usize {
    ANSWER.with_borrow_mut(|slot| {
        let Some(answer) = slot.as_mut() else { return 0 };
        if !matches!(answer.body, AnswerBody::Undecided) {
            return 0;
        }
        // SAFETY: the caller's list; a line is so many bytes.
        let (status, lines): (_, Vec<(usize, &[u8])>) = unsafe {
            let line =
                |at: *mut sapi_header_struct| std::slice::from_raw_parts((*at).header.cast::<u8>(), (*at).header_len);
            ((*headers).http_response_code, lines(headers).into_iter().map(|at| (at as usize, line(at))).collect())
        };
        let status = u16::try_from(status).unwrap_or_default();
        let is_mapped = answer::is_mapped(status, lines.iter().map(|(_, line)| *line));
        for (at, line) in lines {
            if is_mapped && answer::is_of_length(line) {
                answer.lines.push((at, None));
            } else if answer::is_header_mapped(line)
                && let Some(new) = answer.known.map(&answer.own, line, b"")
            {
                answer.lines.push((at, Some(new)));
            }
        }
        answer.body = if is_mapped {
            AnswerBody::Mapped(Stream::new(Rc::clone(&answer.known), answer.own.clone()))
        } else {
            AnswerBody::AsItIs
        };
        answer.lines.len()
    })
}

/// Changes the header line that is the `at`-th to change.
unsafe fn change(headers: *mut sapi_headers_struct, at: usize) {
    ANSWER.with_borrow(|answer| {
        let Some((place, new)) = answer.as_ref().and_then(|answer| answer.lines.get(at)) else { return };
        let line = *place as *mut sapi_header_struct;
        // SAFETY: the line is in the list, and is changed once.
        unsafe {
            match new {
                None => php::zend_llist_del_element(&raw mut (*headers).headers, line.cast(), Some(is_same)),
                Some(new) => php::branchfs_set_header(line, new.as_ptr().cast(), new.len()),
            }
        }
    });
}

extern "C" fn is_same(wanted: *mut c_void, element: *mut c_void) -> c_int {
    c_int::from(wanted == element)
}

/// From now on the branch of this request is served at an address. The others that the site had are in the `record` and below
/// the root host, and are `homes`. `is_mapped`: the answer that this request gives is mapped, too.
pub fn serve_as(own: Own, record: PathBuf, root_host: String, homes: Vec<String>, is_mapped: bool) {
    let known = known(record, root_host, own.port(), homes);
    ANSWER.with_borrow_mut(|slot| match slot {
        Some(said) => {
            said.known = known;
            said.own = own;
        }
        None => {
            let body = if is_mapped { AnswerBody::Undecided } else { AnswerBody::AsItIs };
            *slot = Some(PhpAnswer { known, own, body, sent: Vec::new(), lines: Vec::new() });
        }
    });
}

/// Returns a text with the address of this request's branch in place of every other that the site ever had.
#[php_function]
pub fn branchfs_own_addresses(text: BinarySlice<u8>) -> Binary<u8> {
    ANSWER.with_borrow(|answer| {
        let mapped = answer.as_ref().and_then(|answer| answer.known.map(&answer.own, &text, b""));
        Binary::new(mapped.unwrap_or_else(|| text.to_vec()))
    })
}

/// Says whether an address of the site has, or had, this host name.
#[php_function]
pub fn branchfs_is_own_host(host: String) -> bool {
    ANSWER.with_borrow(|answer| answer.as_ref().is_some_and(|answer| answer.known.addresses().has_host(&host)))
}

/// The site's addresses. A record that can't be read is none: the site is served all the same.
fn known(record: PathBuf, root_host: String, port: Option<u16>, homes: Vec<String>) -> Rc<Known> {
    let version =
        std::fs::metadata(&record).ok().map(|found| (found.ino(), found.len(), found.mtime(), found.mtime_nsec()));
    let source = AddressSource { record, version, root_host, port, homes };
    LATELY.with_borrow_mut(|lately| {
        if let Some((_, known)) = lately.iter().find(|(of, _)| *of == source) {
            return Rc::clone(known);
        }
        let mut addresses = Addresses::parse(&std::fs::read_to_string(&source.record).unwrap_or_default());
        addresses.add_root(&source.root_host);
        source.port.map(|port| addresses.add_port(port));
        for home in &source.homes {
            addresses.add_home(home);
        }
        let known = Rc::new(Known::new(&addresses));
        if lately.len() >= MOST_SOURCES {
            lately.clear();
        }
        lately.push((source, Rc::clone(&known)));
        known
    })
}

/// Adds the functions to the module.
pub fn register(module: ModuleBuilder) -> ModuleBuilder {
    module.function(wrap_function!(branchfs_own_addresses)).function(wrap_function!(branchfs_is_own_host))
}
