//! Reads folders, for `opendir()` and all that rests on it.

use std::cell::RefCell;
use std::ffi::{c_char, c_int, c_void};
use std::mem::offset_of;

use ext_php_rs::ffi::{_php_stream_ops, php_stream, php_stream_context, php_stream_wrapper, zend_off_t, zend_string};
use forkpress_core::branchfs::{BranchFolder, BranchUrl, FsError};
use rustix::io::Errno;

use super::{Table, act, allowed, bytes};
use crate::php::{self, php_stream_dirent};
use crate::{FAILURE, SUCCESS, guard, shim, site};

thread_local! {
    /// The folders that streams of this request read. A stream knows its own by one more than its index.
    static READING: RefCell<Vec<Option<Reading>>> = const { RefCell::new(Vec::new()) };
}

enum Reading {
    /// A folder in a branch.
    Folder(BranchFolder),
    /// The names of all branches, and how many of them were read.
    Branches(Vec<Vec<u8>>, usize),
}

static OPERATIONS: Table<_php_stream_ops> = Table(_php_stream_ops {
    write: None,
    read: Some(read),
    close: Some(close),
    flush: None,
    label: c"dir".as_ptr(),
    seek: Some(rewind),
    cast: None,
    stat: None,
    set_option: None,
});

/// Closes what streams left open.
pub fn end_of_request() {
    let _ = READING.try_with(RefCell::take);
}

pub unsafe extern "C" fn open(
    wrapper: *mut php_stream_wrapper,
    url: *const c_char,
    mode: *const c_char,
    options: c_int,
    _opened_path: *mut *mut zend_string,
    _context: *mut php_stream_context,
) -> *mut php_stream {
    shim::enter(|| {
        // SAFETY: PHP passes a C string.
        let handle = match act(|| open_folder(unsafe { bytes(url) }).map(keep)) {
            Ok(handle) => handle,
            Err(failed) => {
                failed.log(wrapper, options);
                return std::ptr::null_mut();
            }
        };
        // SAFETY: the operations are static, and take the handle back as it is.
        unsafe { php::branchfs_stream(&raw const OPERATIONS.0, handle as *mut c_void, mode) }
    })
    .unwrap_or(std::ptr::null_mut())
}

/// The names in a folder; `None` where there is none.
pub fn names(url: &[u8]) -> Result<Option<Vec<Vec<u8>>>, FsError> {
    let mut names = Vec::new();
    match open_folder(url) {
        Ok(Reading::Branches(branches, _)) => names = branches,
        Ok(Reading::Folder(mut folder)) => {
            while let Some(name) = folder.next_name()? {
                names.push(name);
            }
        }
        Err(FsError::System(Errno::NOENT | Errno::NOTDIR)) => return Ok(None),
        Err(error) => return Err(error),
    }
    Ok(Some(names))
}

fn open_folder(url: &[u8]) -> Result<Reading, FsError> {
    match BranchUrl::parse(url)? {
        BranchUrl::InBranch(owner, path) => {
            let branch = site::open(&owner)?;
            allowed(&branch, &path)?;
            branch.root.folder(&path).map(Reading::Folder)
        }
        BranchUrl::Branches => {
            let names = site::list()?.into_iter().map(|listed| listed.name.as_str().as_bytes().to_vec());
            Ok(Reading::Branches([b".".to_vec(), b"..".to_vec()].into_iter().chain(names).collect(), 0))
        }
    }
}

fn keep(reading: Reading) -> usize {
    READING.with_borrow_mut(|all| {
        let free = all.iter().position(Option::is_none).unwrap_or_else(|| {
            all.push(None);
            all.len() - 1
        });
        all[free] = Some(reading);
        free + 1
    })
}

/// Hands over what a stream reads.
fn with_reading<T>(stream: *mut php_stream, act: impl FnOnce(&mut Option<Reading>) -> T) -> Option<T> {
    // SAFETY: PHP passes one of the streams that were made above.
    let handle = unsafe { (*stream).abstract_ } as usize;
    READING.with_borrow_mut(|all| all.get_mut(handle.wrapping_sub(1)).map(act))
}

unsafe extern "C" fn read(stream: *mut php_stream, buffer: *mut c_char, count: usize) -> isize {
    if count != size_of::<php_stream_dirent>() {
        return -1;
    }
    let name = act(|| {
        let next = with_reading(stream, |reading| match reading {
            Some(Reading::Folder(folder)) => folder.next_name(),
            Some(Reading::Branches(names, read)) => {
                *read += 1;
                Ok(names.get(*read - 1).cloned())
            }
            None => Ok(None),
        });
        let Some(Some(name)) = next.transpose()? else { return Ok(false) };
        let at = offset_of!(php_stream_dirent, d_name);
        let length = name.len().min(count - at - 1);
        // SAFETY: PHP passes a buffer of that size. What precedes the name may be zero: a kind that is not known.
        unsafe {
            buffer.write_bytes(0, at);
            let to = buffer.add(at);
            to.copy_from_nonoverlapping(name.as_ptr().cast(), length);
            to.add(length).write(0);
        }
        Ok(true)
    });
    if matches!(name, Ok(true)) { count.cast_signed() } else { 0 }
}

unsafe extern "C" fn close(stream: *mut php_stream, _close_handle: c_int) -> c_int {
    guard(|| {
        drop(with_reading(stream, Option::take));
        SUCCESS
    })
}

unsafe extern "C" fn rewind(stream: *mut php_stream, _: zend_off_t, _: c_int, position: *mut zend_off_t) -> c_int {
    // SAFETY: PHP passes a place for the position; a folder that was rewound is at its start.
    unsafe { *position = 0 };
    guard(|| {
        with_reading(stream, |reading| match reading {
            Some(Reading::Folder(folder)) => folder.rewind(),
            Some(Reading::Branches(_, read)) => *read = 0,
            None => {}
        })
        .map_or(FAILURE, |()| SUCCESS)
    })
}
