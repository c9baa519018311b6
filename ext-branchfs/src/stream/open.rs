//! Opens files, for `fopen()` and all that rests on it, and for `include`.

use std::cell::{Cell, RefCell};
use std::ffi::{c_char, c_int};
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};

use ext_php_rs::ffi::{ext_php_rs_zend_string_init, php_stream, php_stream_context, php_stream_wrapper, zend_string};
use forkpress_core::branchfs::{FsError, SCHEME};
use rustix::fs::{FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::report::InTransit;
use super::{act, allowed, bytes, in_branch};
use crate::{SUCCESS, php, site};

/// The mode of a new file, before the umask.
const MODE: Mode = Mode::from_raw_mode(0o666);

thread_local! {
    static FILE: InTransit<OwnedFd> = const { InTransit::new() };
    static LOCK_NEXT: Cell<bool> = const { Cell::new(false) };
    /// The URL under which PHP knows an included file. Kept, so that nothing is to be dropped while PHP copies it.
    static OPENED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Makes the next file that is opened locked exclusively and empty, or the opposite.
pub fn lock_next_open(lock: bool) {
    LOCK_NEXT.set(lock);
}

/// Closes a file that PHP did not come to take.
pub fn end_of_request() {
    LOCK_NEXT.set(false);
    FILE.with(InTransit::take);
}

#[derive(Clone, Copy)]
struct Opened {
    file: c_int,
    url: *const c_char,
    url_bytes: usize,
}

pub unsafe extern "C" fn open(
    wrapper: *mut php_stream_wrapper,
    url: *const c_char,
    mode: *const c_char,
    options: c_int,
    opened_path: *mut *mut zend_string,
    _context: *mut php_stream_context,
) -> *mut php_stream {
    let mut flags = 0;
    // SAFETY: PHP passes C strings.
    if unsafe { php::php_stream_parse_fopen_modes(mode, &raw mut flags) } != SUCCESS {
        let format = c"`%s' is not a valid mode for fopen";
        // SAFETY: PHP's own wrapper and mode; the format takes one C string.
        unsafe { php::php_stream_wrapper_log_error(wrapper, options, format.as_ptr(), mode) };
        return std::ptr::null_mut();
    }
    let for_include = options.cast_unsigned() & php::STREAM_OPEN_FOR_INCLUDE != 0;
    // SAFETY: PHP passes a C string.
    let opened = match act(|| open_file(unsafe { bytes(url) }, flags, for_include, !opened_path.is_null())) {
        Ok(opened) => opened,
        Err(failed) => {
            failed.log(wrapper, options);
            return std::ptr::null_mut();
        }
    };
    let at_start = flags & libc::O_APPEND == 0;
    // SAFETY: an open file, which is the stream's from now on, and PHP's own mode.
    let stream = unsafe { php::_php_stream_fopen_from_fd(opened.file, mode, std::ptr::null(), at_start) };
    arrived(!stream.is_null());
    if !stream.is_null() && !opened_path.is_null() {
        // SAFETY: the bytes stay where they are until the next file is opened; PHP passes a place for the string.
        unsafe { *opened_path = ext_php_rs_zend_string_init(opened.url, opened.url_bytes, false) };
    }
    stream
}

fn open_file(url: &[u8], flags: c_int, for_include: bool, wants_url: bool) -> Result<Opened, FsError> {
    let (owner, path) = in_branch(url)?;
    let writes = flags & (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC) != 0;
    let branch = if writes { site::open_to_change(&owner)? } else { site::open(&owner)? };
    allowed(&branch, &path)?;
    let file = branch.root.open_as_php(&path, OFlags::from_bits_retain(flags.cast_unsigned()), MODE)?;
    if LOCK_NEXT.take() {
        rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
        rustix::fs::ftruncate(&file, 0)?;
    }
    if for_include {
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
        if kind != FileType::RegularFile {
            return Err(if kind == FileType::Directory { Errno::ISDIR } else { Errno::INVAL }.into());
        }
    }
    let (url, url_bytes) = if wants_url {
        OPENED.with_borrow_mut(|opened| {
            opened.clear();
            opened.extend_from_slice(SCHEME.as_bytes());
            opened.extend_from_slice(branch.name.as_str().as_bytes());
            // As of a plain path: without symlinks, so that code that is included once is known by whatever name.
            for name in branch.root.expand_as_php(&path)? {
                opened.push(b'/');
                opened.extend(name);
            }
            Ok::<_, FsError>((opened.as_ptr().cast(), opened.len()))
        })?
    } else {
        (std::ptr::null(), 0)
    };
    let opened = Opened { file: file.as_raw_fd(), url, url_bytes };
    FILE.with(|transit| transit.put(file));
    Ok(opened)
}

/// PHP has come back: the file is the stream's, or nobody's.
fn arrived(taken: bool) {
    let file = FILE.with(InTransit::take);
    if let Some(file) = file.filter(|_| taken) {
        let _ = file.into_raw_fd();
    }
}
