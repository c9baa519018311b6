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
        // What is shared is the same; the rest is to be found out.
        let mut pages = vec![false; count];
        for range in shared(one.file, other.file) {
            let whole = whole_pages(&range, page_bytes as u64);
            let whole = whole.start.min(count)..whole.end.min(count);
            pages.get_mut(whole).into_iter().for_each(|pages| pages.fill(true));
        }
        let may_overflow_differ = AtomicBool::new(count >= MANY);
        let in_chunk = (CHUNK_BYTES / page_bytes).max(1);
        pages.par_chunks_mut(in_chunk).enumerate().try_for_each(|(chunk, pages)| {
            let mut buffers = [Vec::new(), Vec::new()];
            let mut first = chunk * in_chunk;
            for run in pages.chunk_by_mut(|one, other| one == other) {
                let place = (first * page_bytes) as u64;
                first += run.len();
                if run[0] {
                    continue;
                }
                for (file, buffer) in [one.file, other.file].iter().zip(&mut buffers) {
                    buffer.resize(run.len() * page_bytes, 0);
                    file.read_exact_at(buffer, place)?;
                }
                let [own, its] = buffers.each_ref().map(|buffer| buffer.chunks_exact(page_bytes));
                for ((is_same, own), its) in run.iter_mut().zip(own).zip(its) {
                    *is_same = own == its;
                    if !*is_same && own[0] == 0 && its[0] == 0 {
                        may_overflow_differ.store(true, Relaxed);
                    }
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

/// The numbers, from zero, of the pages that lie in a range of bytes as a whole.
fn whole_pages(range: &Range<u64>, page_bytes: u64) -> Range<usize> {
    let number = |page: u64| usize::try_from(page).unwrap_or(usize::MAX);
    number(range.start.div_ceil(page_bytes))..number(range.end / page_bytes)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_which_a_part_is_elsewhere_is_not_taken_for_shared() {
        assert_eq!(whole_pages(&(0..8192), 4096), 0..2);
        assert_eq!(whole_pages(&(1..8191), 4096), 1..1);
        assert_eq!(whole_pages(&(4096..4097), 4096), 1..1);
        assert_eq!(whole_pages(&(4096..20_000), 512), 8..39);
        assert!(whole_pages(&(100..200), 4096).is_empty());
    }
}
