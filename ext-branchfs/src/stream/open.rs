//! Opens files, for `fopen()` and all that rests on it, and for `include`.

use std::cell::Cell;
use std::ffi::{c_char, c_int};
use std::fs::File;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};

use ext_php_rs::ffi::{php_stream, php_stream_context, php_stream_wrapper, zend_string};
use forkpress_core::branchfs::{FsError, SCHEME};
use forkpress_core::flock;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{act, allowed, bytes, in_branch};
use crate::{SUCCESS, php, shim, site};

/// The mode of a new file, before the umask.
const MODE: Mode = Mode::from_raw_mode(0o666);

thread_local! {
    static LOCK_NEXT: Cell<bool> = const { Cell::new(false) };
}

/// Makes the next file that is opened locked exclusively and empty, or the opposite.
pub fn lock_next_open(lock: bool) {
    LOCK_NEXT.set(lock);
}

struct Opened {
    file: OwnedFd,
    /// The URL under which PHP knows an included file.
    url: Option<Vec<u8>>,
}

pub unsafe extern "C" fn open(
    wrapper: *mut php_stream_wrapper,
    url: *const c_char,
    mode: *const c_char,
    options: c_int,
    opened_path: *mut *mut zend_string,
    _context: *mut php_stream_context,
) -> *mut php_stream {
    shim::enter(|| {
        // Whatever becomes of this file: it is the next, and code that hears of a failure may open others.
        let lock = LOCK_NEXT.take();
        let mut flags = 0;
        // SAFETY: PHP passes C strings.
        if unsafe { php::php_stream_parse_fopen_modes(mode, &raw mut flags) } != SUCCESS {
            // SAFETY: as above.
            let message = [b"`".as_slice(), unsafe { bytes(mode) }, b"' is not a valid mode for fopen"].concat();
            // SAFETY: PHP's own wrapper, and a C string.
            unsafe { php::branchfs_log_error(wrapper, options, shim::c_string(&message).as_ptr()) };
            return std::ptr::null_mut();
        }
        let for_include = options.cast_unsigned() & php::STREAM_OPEN_FOR_INCLUDE != 0;
        // SAFETY: PHP passes a C string.
        let opened = match act(|| open_file(unsafe { bytes(url) }, flags, lock, for_include, !opened_path.is_null())) {
            Ok(opened) => opened,
            Err(failed) => {
                failed.log(wrapper, options);
                return std::ptr::null_mut();
            }
        };
        // SAFETY: an open file, and PHP's own mode.
        let stream = unsafe { php::branchfs_file_stream(opened.file.as_raw_fd(), mode, flags & libc::O_APPEND == 0) };
        if stream.is_null() {
            return stream;
        }
        // It is the stream's now.
        let _ = opened.file.into_raw_fd();
        if let Some(url) = opened.url {
            // SAFETY: PHP passes a place for the string; the bytes are that many.
            unsafe { php::branchfs_set_string(opened_path, url.as_ptr().cast(), url.len()) };
        }
        stream
    })
    .unwrap_or(std::ptr::null_mut())
}

fn open_file(url: &[u8], flags: c_int, lock: bool, for_include: bool, wants_url: bool) -> Result<Opened, FsError> {
    let (owner, path) = in_branch(url)?;
    let writes = flags & (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC) != 0;
    let branch = if writes { site::open_to_change(&owner)? } else { site::open(&owner)? };
    allowed(&branch, &path)?;
    let file: File = branch.root.open_as_php(&path, OFlags::from_bits_retain(flags.cast_unsigned()), MODE)?.into();
    if lock {
        flock::lock_unless_interrupted(&file, flock::Mode::Exclusive).map_err(errno)?;
        file.set_len(0).map_err(errno)?;
    }
    if for_include {
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
        if kind != FileType::RegularFile {
            return Err(if kind == FileType::Directory { Errno::ISDIR } else { Errno::INVAL }.into());
        }
    }
    let url = if wants_url {
        let mut url = [SCHEME.as_bytes(), branch.name.as_str().as_bytes()].concat();
        // As of a plain path: without symlinks, so that code that is included once is known by whatever name.
        for name in branch.root.expand_as_php(&path)? {
            url.push(b'/');
            url.extend(name);
        }
        Some(url)
    } else {
        None
    };
    Ok(Opened { file: file.into(), url })
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}
