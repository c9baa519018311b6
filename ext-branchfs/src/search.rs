//! PHP functions about branches and their files.

use std::ffi::{OsStr, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ext_php_rs::binary::Binary;
use ext_php_rs::binary_slice::BinarySlice;
use ext_php_rs::boxed::ZBox;
use ext_php_rs::exception::PhpException;
use ext_php_rs::prelude::*;
use ext_php_rs::types::{ZendHashTable, Zval};
use forkpress_core::address::kept;
use forkpress_core::branchfs::{BranchUrl, FsError, GlobFlags, GlobTree, SCHEME, SiteAddress, glob};
use forkpress_core::layout::CowLayout;
use forkpress_core::name::BranchName;
use forkpress_core::record::BranchRecord;

use crate::{answer, exception, shim, site, stream};

/// PHP's `GLOB_ONLYDIR`: the C library's where it has one.
const ONLY_FOLDERS: c_int = if cfg!(target_os = "linux") { 1 << 13 } else { 1 << 30 };

/// Returns every branch, `main` first: `name`, `created` (RFC 3339, UTC), `from`, `generation`, `url`; null where nobody says.
///
/// Throws `Branchfs\Exception` where there is no site.
#[php_function]
pub fn branchfs_branches() -> PhpResult<ZBox<ZendHashTable>> {
    shim::leave(branches())
}

fn branches() -> PhpResult<ZBox<ZendHashTable>> {
    let address = address().map_err(|error| refused(&error))?;
    let branches: Vec<_> = site::list()
        .map_err(|error| refused(&error))?
        .into_iter()
        .map(|listed| (address.as_ref().map(|address| address.url(&listed.name)), listed))
        .collect();
    shim::build(|| {
        let mut answer = ZendHashTable::new();
        for (url, listed) in &branches {
            let mut branch = ZendHashTable::new();
            branch.insert("name", listed.name.as_str())?;
            insert_record(&mut branch, listed.record.as_ref())?;
            branch.insert("url", url.as_deref())?;
            answer.push(branch)?;
        }
        Ok(answer)
    })
}

fn insert_record(branch: &mut ZendHashTable, record: Option<&BranchRecord>) -> PhpResult<()> {
    branch.insert("created", record.map(|record| record.created_at.as_str()))?;
    branch.insert("from", record.and_then(|record| record.from.as_ref()).map(BranchName::as_str))?;
    branch.insert("generation", record.map(|record| record.generation.cast_signed()))?;
    Ok(())
}

/// Where the branches are served. Code that asks for the addresses of other branches may print them.
fn address() -> Result<Option<SiteAddress>, FsError> {
    let mut address = site::address()?;
    if let Some(address) = address.as_mut().filter(|_| answer::is_served()) {
        address.root_host = kept(&address.root_host);
    }
    Ok(address)
}

/// Returns the address of a branch's front page, as `branchfs_branches()` has it; null where nobody says, or where that
/// is no name of a branch. Whether there is such a branch is not asked.
///
/// Throws `Branchfs\Exception` where there is no site.
#[php_function]
pub fn branchfs_branch_url(name: &str) -> PhpResult<Option<String>> {
    let Ok(name) = BranchName::parse(name) else { return Ok(None) };
    Ok(address().map_err(|error| refused(&error))?.map(|address| address.url(&name)))
}

/// Returns what the record of a branch says: `created`, `from`, `generation`, each null where it can't be read; null
/// where there is no record. `$cow_dir` is the folder with the records. Call it while the request has the lock.
#[php_function]
pub fn branchfs_record(cow_dir: BinarySlice<u8>, name: &str) -> PhpResult<Option<ZBox<ZendHashTable>>> {
    shim::leave(record(&cow_dir, name))
}

fn record(cow_dir: &[u8], name: &str) -> PhpResult<Option<ZBox<ZendHashTable>>> {
    let Ok(name) = BranchName::parse(name) else { return Ok(None) };
    let record = match BranchRecord::read(&CowLayout::new(folder(cow_dir)).record(&name)) {
        Ok(None) => return Ok(None),
        Ok(record) => record,
        Err(_) => None,
    };
    shim::build(|| {
        let mut answer = ZendHashTable::new();
        insert_record(&mut answer, record.as_ref())?;
        Ok(Some(answer))
    })
}

/// Returns the real folders that have a folder for each branch: in an image, where the site around `$cow_dir` has one that is
/// mounted, and `$branches_dir`, where the branches are served. Each ends in a slash. One inside of another comes before it.
#[php_function]
pub fn branchfs_tree_roots(branches_dir: BinarySlice<u8>, cow_dir: BinarySlice<u8>) -> PhpResult<ZBox<ZendHashTable>> {
    shim::leave(tree_roots(&branches_dir, &cow_dir))
}

fn tree_roots(branches_dir: &[u8], cow_dir: &[u8]) -> PhpResult<ZBox<ZendHashTable>> {
    let mut folders = CowLayout::new(folder(cow_dir)).image_branches_dirs();
    folders.push(folder(branches_dir).to_owned());
    let real: Vec<_> = folders
        .into_iter()
        .filter_map(|folder| Some([folder.canonicalize().ok()?.as_os_str().as_bytes(), b"/"].concat()))
        .collect();
    shim::build(|| {
        let mut answer = ZendHashTable::new();
        for folder in &real {
            answer.push(shim::string(folder))?;
        }
        Ok(answer)
    })
}

fn folder(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// Returns the real path of a `branchfs://` URL, every symlink followed; the last name need not exist. It is the
/// branch's path until the request lets the lock go.
///
/// Throws `Branchfs\Exception` where the URL leads nowhere, out of the branch, or to what is out of reach.
#[php_function]
pub fn branchfs_path(url: BinarySlice<u8>) -> PhpResult<Binary<u8>> {
    let path = || {
        if url.contains(&0) {
            return Err(FsError::InvalidUrl);
        }
        match BranchUrl::parse(&url)? {
            BranchUrl::InBranch(owner, path) => {
                let branch = site::open(&owner)?;
                let inside = branch.root.real_path(&path)?;
                Ok([branch.path.as_os_str().as_bytes(), &inside].concat())
            }
            BranchUrl::Branches => {
                let dir = site::branches_dir()?;
                Ok(dir.canonicalize().unwrap_or(dir).as_os_str().as_bytes().to_vec())
            }
        }
    };
    path().map(Binary::from).map_err(|error| refused(&error))
}

/// Returns the URLs that match a pattern, as `glob()` does the paths; also in the branch's place, as in `branchfs://*/index.php`.
///
/// Takes the flags of `glob()`. False, after a warning, where a flag is not known or the pattern is no `branchfs://` URL; also,
/// with `GLOB_ERR`, where a folder can't be read.
#[php_function]
#[php(defaults(flags = 0))]
pub fn branchfs_glob(pattern: BinarySlice<u8>, flags: i64) -> PhpResult<Zval> {
    shim::leave(find(&pattern, flags))
}

fn find(pattern: &[u8], flags: i64) -> PhpResult<Zval> {
    let mut answer = Zval::new();
    answer.set_bool(false);
    let Some(flags) = c_int::try_from(flags).ok().and_then(glob_flags) else {
        shim::warn(c"At least one of the passed flags is invalid or not supported on this platform");
        return Ok(answer);
    };
    let Some(rest) = BranchUrl::after_scheme(pattern).filter(|rest| !rest.contains(&0)) else {
        shim::warn(c"The pattern has the form branchfs://BRANCH/path");
        return Ok(answer);
    };
    let (own, rest) = match rest.strip_prefix(b"./") {
        Some(rest) => ("./", rest),
        None => ("", rest),
    };
    let prefix = format!("{SCHEME}{own}");
    if let Ok(found) = glob(&BranchTree, prefix.as_bytes(), rest, flags) {
        shim::build(|| {
            let mut array = ZendHashTable::with_capacity(u32::try_from(found.len()).unwrap_or(u32::MAX));
            for url in &found {
                array.push(shim::string(url))?;
            }
            answer.set_hashtable(array);
            Ok(())
        })?;
    }
    Ok(answer)
}

/// Adds the functions to the module.
pub fn register(module: ModuleBuilder) -> ModuleBuilder {
    module
        .function(wrap_function!(branchfs_branches))
        .function(wrap_function!(branchfs_branch_url))
        .function(wrap_function!(branchfs_record))
        .function(wrap_function!(branchfs_tree_roots))
        .function(wrap_function!(branchfs_path))
        .function(wrap_function!(branchfs_glob))
}

/// What the flags ask for; none where one is not known.
fn glob_flags(flags: c_int) -> Option<GlobFlags> {
    let known = [
        libc::GLOB_MARK,
        libc::GLOB_NOSORT,
        libc::GLOB_NOCHECK,
        libc::GLOB_NOESCAPE,
        GLOB_BRACE,
        libc::GLOB_ERR,
        ONLY_FOLDERS,
    ];
    let has = |flag: c_int| flags & flag != 0;
    (flags & !known.iter().fold(0, |all, flag| all | flag) == 0).then_some(GlobFlags {
        mark: has(libc::GLOB_MARK),
        no_sort: has(libc::GLOB_NOSORT),
        no_check: has(libc::GLOB_NOCHECK),
        no_escape: has(libc::GLOB_NOESCAPE),
        brace: has(GLOB_BRACE),
        only_folders: has(ONLY_FOLDERS),
        stop_at_errors: has(libc::GLOB_ERR),
    })
}

/// The C library's, which the crate `libc` does not have.
const GLOB_BRACE: c_int = if cfg!(target_os = "linux") { 1 << 10 } else { 0x80 };

/// The files of all branches.
struct BranchTree;

impl GlobTree for BranchTree {
    fn names(&self, folder: &[u8]) -> Result<Option<Vec<Vec<u8>>>, FsError> {
        stream::names(folder)
    }

    fn exists(&self, path: &[u8]) -> bool {
        stream::stat(path, false).is_ok()
    }

    fn is_folder(&self, path: &[u8]) -> bool {
        stream::stat(path, true)
            .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory)
    }
}

fn refused(error: &FsError) -> PhpException {
    exception::plain(match error {
        FsError::System(errno) => std::io::Error::from(*errno).to_string(),
        refusal => refusal.to_string(),
    })
}
