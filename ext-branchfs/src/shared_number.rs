//! A number that a server's first process shares with all that it forks.

use std::sync::atomic::AtomicU64;

use once_cell::sync::OnceCell;

use crate::{FAILURE, SUCCESS};

/// The number, zero at first; none before it is made.
pub struct SharedNumber(OnceCell<&'static AtomicU64>);

impl SharedNumber {
    /// One that is still to be made.
    pub const fn new() -> Self {
        Self(OnceCell::new())
    }

    /// Makes it, before the server forks.
    pub fn make(&self) -> i32 {
        let made = self.0.get_or_try_init(|| {
            // SAFETY: a new mapping at an address of the kernel's choice, checked below, zeroed, page-aligned and never
            // unmapped: a reference to an atomic in it is good for the life of the process.
            unsafe {
                let page = libc::mmap(
                    std::ptr::null_mut(),
                    size_of::<AtomicU64>(),
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                    -1,
                    0,
                );
                if page == libc::MAP_FAILED { Err(()) } else { Ok(&*page.cast::<AtomicU64>()) }
            }
        });
        if made.is_ok() { SUCCESS } else { FAILURE }
    }

    /// The number.
    pub fn get(&self) -> Option<&'static AtomicU64> {
        self.0.get().copied()
    }
}
