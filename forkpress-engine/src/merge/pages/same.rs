//! Which pages of two database files have the same bytes.
//!
//! A file system that shares blocks says which pieces of both files are the same place on the disk: they are not read. All
//! else is read and compared.
//!
//! **Overflow pages.** The end of a long row may change while its leaf stays as it is. To find that, the overflow pages of
//! every leaf would have to be followed. It is needless where no page that differs is an overflow page in both files: of a
//! chain that begins at the same place, the first page that differs is one in both. Such a page begins with the number of the
//! next one, of which the highest byte is zero in a file of fewer than 2^24 pages. A page of a tree never begins with zero
//! (SQLite's *Database File Format*, 1.6 and 1.7).

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rayon::prelude::*;

use super::Pages;

/// How many bytes of each file are read at once.
const CHUNK_BYTES: usize = 1 << 20;

/// From so many pages on, the highest byte of a page's number may be other than zero.
const MANY: usize = 1 << 24;

/// What two files have in common.
pub(super) struct Same {
    /// For each page that both have, whether the bytes are the same and none of them is in a log. The first page comes first.
    pages: Vec<bool>,
    /// Whether an overflow page may differ.
    may_overflow_differ: bool,
}

impl Same {
    /// Compares two files, whose pages have the same size.
    pub(super) fn between(one: &Pages<'_>, other: &Pages<'_>) -> io::Result<Self> {
        let page_bytes = one.page_bytes;
        let bytes = one.file.metadata()?.len().min(other.file.metadata()?.len());
        let count = usize::try_from(bytes).map_err(io::Error::other)? / page_bytes;
        let shared = shared(one.file, other.file);
        let mut pages = vec![true; count];
        let may_overflow_differ = AtomicBool::new(count >= MANY);
        let in_chunk = (CHUNK_BYTES / page_bytes).max(1);
        pages.par_chunks_mut(in_chunk).enumerate().try_for_each(|(chunk, pages)| {
            let (first, length) = (chunk * in_chunk * page_bytes, pages.len() * page_bytes);
            let place = first as u64..(first + length) as u64;
            if shared.iter().any(|range| range.start <= place.start && place.end <= range.end) {
                return Ok(());
            }
            let mut buffers = [vec![0; length], vec![0; length]];
            for (file, buffer) in [one.file, other.file].iter().zip(&mut buffers) {
                file.read_exact_at(buffer, place.start)?;
            }
            let [own, its] = buffers.each_ref().map(|buffer| buffer.chunks_exact(page_bytes));
            for ((is_same, own), its) in pages.iter_mut().zip(own).zip(its) {
                *is_same = own == its;
                if !*is_same && own[0] == 0 && its[0] == 0 {
                    may_overflow_differ.store(true, Relaxed);
                }
            }
            Ok::<_, io::Error>(())
        })?;
        let mut same = Self { pages, may_overflow_differ: may_overflow_differ.into_inner() };
        same.leave_out([one, other])?;
        Ok(same)
    }

    /// What is in a log is not what the file has.
    fn leave_out(&mut self, files: [&Pages<'_>; 2]) -> io::Result<()> {
        let logged: HashSet<u32> = files.iter().flat_map(|pages| pages.logged.iter().copied()).collect();
        for number in logged {
            let Some(is_same) = number.checked_sub(1).and_then(|index| self.pages.get_mut(index as usize)) else {
                continue;
            };
            *is_same = false;
            let mut is_overflow = true;
            for pages in files.iter().filter(|pages| !pages.logged.contains(&number)) {
                let mut first = [0];
                pages.file.read_exact_at(&mut first, u64::from(number - 1) * pages.page_bytes as u64)?;
                is_overflow &= first == [0];
            }
            self.may_overflow_differ |= is_overflow;
        }
        Ok(())
    }

    /// Whether both have the same bytes in a page, and none of it in a log.
    pub(super) fn has(&self, number: u32) -> bool {
        number.checked_sub(1).and_then(|index| self.pages.get(index as usize)).is_some_and(|is_same| *is_same)
    }

    /// Whether the end of a row may differ whose leaf does not.
    pub(super) fn may_overflow_differ(&self) -> bool {
        self.may_overflow_differ
    }
}

/// The pieces of two files that are the same place on the disk, in ascending order: none where that is not known.
#[cfg(target_os = "linux")]
fn shared(one: &File, other: &File) -> Vec<Range<u64>> {
    use crate::ioctl::{Extent, settled_extents};
    let plain = |file: &File| -> io::Result<Vec<Extent>> {
        let mut extents = Vec::new();
        settled_extents(file, |extent| extents.push(extent))?;
        extents.retain(|extent| extent.is_plain() && extent.is_shared());
        Ok(extents)
    };
    if !is_same_mount(one, other) {
        return Vec::new();
    }
    let (Ok(own), Ok(its)) = (plain(one), plain(other)) else { return Vec::new() };
    let end = |extent: &Extent| extent.logical + extent.length_bytes;
    let mut shared: Vec<Range<u64>> = Vec::new();
    let mut its = its.iter().peekable();
    let mut own = own.iter().peekable();
    while let (Some(a), Some(b)) = (own.peek(), its.peek()) {
        let both = a.logical.max(b.logical)..end(a).min(end(b));
        // The same distance from the place in the file to that on the disk.
        if !both.is_empty() && a.physical.wrapping_sub(a.logical) == b.physical.wrapping_sub(b.logical) {
            match shared.last_mut() {
                Some(last) if last.end == both.start => last.end = both.end,
                _ => shared.push(both),
            }
        }
        if end(a) <= end(b) {
            own.next();
        } else {
            its.next();
        }
    }
    shared
}

#[cfg(not(target_os = "linux"))]
fn shared(_: &File, _: &File) -> Vec<Range<u64>> {
    Vec::new()
}

/// Whether both are on one file system: the subvolumes of one have different devices.
#[cfg(target_os = "linux")]
fn is_same_mount(one: &File, other: &File) -> bool {
    use rustix::fs::{AtFlags, StatxFlags, statx};
    let mount = |file: &File| {
        let found = statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).ok()?;
        (found.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(found.stx_mnt_id)
    };
    mount(one).is_some_and(|number| mount(other) == Some(number))
}
