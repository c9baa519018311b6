//! System calls that no crate wraps: btrfs subvolumes, and where a file's bytes are on the disk.
//!
//! This is the one place of unsafe code. Every structure here is one of the kernel's stable interface (`linux/btrfs.h`,
//! `linux/fiemap.h`). Its size is part of the request's number, and is checked at compile time.
#![allow(unsafe_code)]

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;

use rustix::io::Errno;
use rustix::ioctl::{Opcode, Setter, Updater, ioctl, opcode};

const BTRFS: u8 = 0x94;

/// `struct btrfs_ioctl_vol_args_v2`.
#[repr(C)]
struct VolumeArguments {
    descriptor: i64,
    transaction: u64,
    flags: u64,
    unused: [u64; 4],
    name: [u8; 4040],
}

/// `struct btrfs_ioctl_vol_args`.
#[repr(C)]
struct NameArguments {
    descriptor: i64,
    name: [u8; 4088],
}

/// `struct btrfs_ioctl_ino_lookup_args`.
#[repr(C)]
struct LookupArguments {
    subvolume: u64,
    inode: u64,
    name: [u8; 4080],
}

/// `struct btrfs_ioctl_get_subvol_rootref_args`.
#[repr(C)]
struct NestedArguments {
    least_subvolume: u64,
    found: [[u64; 2]; 255],
    count: u8,
    padding: [u8; 7],
}

const SNAPSHOT: Opcode = opcode::write::<VolumeArguments>(BTRFS, 23);
const CREATE: Opcode = opcode::write::<VolumeArguments>(BTRFS, 24);
const DESTROY: Opcode = opcode::write::<NameArguments>(BTRFS, 15);
const LOOKUP: Opcode = opcode::read_write::<LookupArguments>(BTRFS, 18);
const NESTED: Opcode = opcode::read_write::<NestedArguments>(BTRFS, 61);

const _: () = assert!(
    size_of::<VolumeArguments>() == 4096
        && size_of::<NameArguments>() == 4096
        && size_of::<LookupArguments>() == 4096
        && size_of::<NestedArguments>() == 4096
);

/// The name as a C string in an array; an error where it does not fit.
fn terminated<const SIZE: usize>(name: &OsStr) -> io::Result<[u8; SIZE]> {
    let mut bytes = [0; SIZE];
    let end = bytes.len() - 1;
    let name = name.as_bytes();
    bytes[..end].get_mut(..name.len()).ok_or(Errno::NAMETOOLONG)?.copy_from_slice(name);
    Ok(bytes)
}

/// Makes an empty subvolume in a folder.
pub(crate) fn create_subvolume(folder: &File, name: &OsStr) -> io::Result<()> {
    let arguments =
        VolumeArguments { descriptor: 0, transaction: 0, flags: 0, unused: [0; 4], name: terminated(name)? };
    // SAFETY: the request reads one `VolumeArguments` and writes no memory.
    Ok(unsafe { ioctl(folder, Setter::<CREATE, _>::new(arguments)) }?)
}

/// Makes a writable snapshot of the subvolume `source` in a folder.
pub(crate) fn snapshot_subvolume(source: &File, folder: &File, name: &OsStr) -> io::Result<()> {
    let descriptor = source.as_raw_fd().into();
    let arguments = VolumeArguments { descriptor, transaction: 0, flags: 0, unused: [0; 4], name: terminated(name)? };
    // SAFETY: the request reads one `VolumeArguments`, whose descriptor stays open until it returns, and writes no memory.
    Ok(unsafe { ioctl(folder, Setter::<SNAPSHOT, _>::new(arguments)) }?)
}

/// Destroys a subvolume with all that is in it.
pub(crate) fn destroy_subvolume(folder: &File, name: &OsStr) -> io::Result<()> {
    let arguments = NameArguments { descriptor: 0, name: terminated(name)? };
    // SAFETY: the request reads one `NameArguments` and writes no memory.
    Ok(unsafe { ioctl(folder, Setter::<DESTROY, _>::new(arguments)) }?)
}

/// The id of the subvolume that a file or folder is in.
pub(crate) fn subvolume_of(file: &File) -> io::Result<u64> {
    /// The inode of every subvolume's own folder, for which anybody may ask.
    const ROOT: u64 = 256;
    let mut arguments = LookupArguments { subvolume: 0, inode: ROOT, name: [0; 4080] };
    // SAFETY: the request reads and writes one `LookupArguments`, of which every value is valid.
    unsafe { ioctl(file, Updater::<LOOKUP, _>::new(&mut arguments)) }?;
    Ok(arguments.subvolume)
}

/// How many subvolumes lie inside of the one that is open, those inside of these not counted, and no more than 255.
pub(crate) fn nested_subvolumes(subvolume: &File) -> io::Result<usize> {
    let mut arguments = NestedArguments { least_subvolume: 0, found: [[0; 2]; 255], count: 0, padding: [0; 7] };
    // SAFETY: the request reads and writes one `NestedArguments`, of which every value is valid.
    match unsafe { ioctl(subvolume, Updater::<NESTED, _>::new(&mut arguments)) } {
        // There are more than fit.
        Ok(()) | Err(Errno::OVERFLOW) => Ok(arguments.count.into()),
        Err(errno) => Err(errno.into()),
    }
}

/// A piece of a file that lies somewhere on the disk: `struct fiemap_extent`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct Extent {
    /// Where it begins in the file.
    pub(crate) logical: u64,
    /// Where it begins on the disk.
    pub(crate) physical: u64,
    pub(crate) length_bytes: u64,
    reserved64: [u64; 2],
    flags: u32,
    reserved: [u32; 3],
}

impl Extent {
    /// Whether it is the last of its file.
    fn is_last(&self) -> bool {
        self.flags & 0x1 != 0
    }

    /// Whether it lies inside of the file system's metadata.
    pub(crate) fn is_inline(&self) -> bool {
        self.flags & 0x200 != 0
    }

    /// Whether its bytes are at its place on the disk, as they are in the file: not compressed, or still to be written.
    pub(crate) fn is_plain(&self) -> bool {
        self.flags & !(0x1 | 0x1000 | 0x2000) == 0
    }

    /// Whether another file, or another place in this one, has the same bytes of the disk.
    pub(crate) fn is_shared(&self) -> bool {
        self.flags & 0x2000 != 0
    }
}

const EXTENTS_AT_ONCE: usize = 64;

/// `FIEMAP_FLAG_SYNC`.
const SYNC: u32 = 1;

/// `struct fiemap` without its extents, which the request's number does not count.
#[repr(C)]
struct MapHeader {
    start: u64,
    length_bytes: u64,
    flags: u32,
    mapped: u32,
    room: u32,
    reserved: u32,
}

#[repr(C)]
struct Map {
    header: MapHeader,
    extents: [Extent; EXTENTS_AT_ONCE],
}

const MAP: Opcode = opcode::read_write::<MapHeader>(b'f', 11);

const _: () = assert!(size_of::<MapHeader>() == 32 && size_of::<Extent>() == 56);

/// Hands out all extents of a file, as far as they are known without waiting for a disk.
pub(crate) fn extents(file: &File, each: impl FnMut(Extent)) -> io::Result<()> {
    map(file, 0, each)
}

/// Hands out all extents of a file after what was written into it has got a place on the disk.
pub(crate) fn settled_extents(file: &File, each: impl FnMut(Extent)) -> io::Result<()> {
    map(file, SYNC, each)
}

fn map(file: &File, flags: u32, mut each: impl FnMut(Extent)) -> io::Result<()> {
    let mut start = 0;
    loop {
        let room = EXTENTS_AT_ONCE as u32;
        let header = MapHeader { start, length_bytes: u64::MAX - start, flags, mapped: 0, room, reserved: 0 };
        let mut map = Map { header, extents: [Extent::default(); EXTENTS_AT_ONCE] };
        // SAFETY: the request reads and writes one header and, behind it, at most `room` extents, for which there is room.
        // Every value of them is valid.
        unsafe { ioctl(file, Updater::<MAP, _>::new(&mut map)) }?;
        let mapped = &map.extents[..EXTENTS_AT_ONCE.min(map.header.mapped as usize)];
        mapped.iter().copied().for_each(&mut each);
        match mapped.last() {
            Some(last) if !last.is_last() => start = last.logical.saturating_add(last.length_bytes.max(1)),
            _ => return Ok(()),
        }
    }
}
