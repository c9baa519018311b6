//! The branches that this request can name, and the open folders of those that it named.
//!
//! A branch's folder stays open from its first use until the request lets its lock go. Each look at it makes sure of
//! the lock first.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use forkpress_core::branchfs::{self, FsError, Listed, Owner, Resolver, Root, SiteAddress, WritePolicy};
use forkpress_core::layout::CowLayout;
use forkpress_core::name::BranchName;
use forkpress_core::route::Branches;

use crate::{lock, php, request};

/// How many folders are kept open at once. A request that walks through more opens them anew.
const MOST_OPEN: usize = 16;

thread_local! {
    static SITE: RefCell<Option<RequestSite>> = const { RefCell::new(None) };
}

/// Where the branches of this request are: as the router was told, else as a script finds it.
struct RequestSite {
    branches_dir: PathBuf,
    /// The same without symlinks, once somebody asked for that.
    real_dir: Option<PathBuf>,
    cow: CowLayout,
    address: Option<SiteAddress>,
    /// For which hold of the lock the folders were opened.
    hold: u64,
    open: Vec<Rc<OpenBranch>>,
}

impl RequestSite {
    fn new(branches_dir: PathBuf, cow: CowLayout) -> Self {
        Self { branches_dir, real_dir: None, cow, address: None, hold: 0, open: Vec::new() }
    }
}

/// A branch whose folder is open.
pub struct OpenBranch {
    /// Its name.
    pub name: BranchName,
    /// Its real folder.
    pub path: PathBuf,
    /// That folder, open.
    pub root: Root,
}

/// Notes where the router finds branches.
pub fn serve(branches_dir: &Path, cow: CowLayout, address: SiteAddress) {
    SITE.set(Some(RequestSite { address: Some(address), ..RequestSite::new(branches_dir.to_owned(), cow) }));
}

/// Closes every folder. The next request is perhaps for another site.
pub fn end_of_request() {
    let _ = SITE.try_with(|site| site.take());
}

/// Opens a branch, under the lock.
pub fn open(owner: &Owner) -> Result<Rc<OpenBranch>, FsError> {
    let name = match owner {
        Owner::Own => own().ok_or(FsError::NoOwnBranch)?,
        Owner::Named(name) => name.clone(),
    };
    with_site(|site| {
        if let Some(branch) = site.open.iter().find(|branch| branch.name == name) {
            return Ok(Rc::clone(branch));
        }
        let branches = Branches { dir: &site.branches_dir, is_real: false, cow: &site.cow };
        // One that comes between the two is looked for once more.
        let path = loop {
            lock::hold_branch(&name).map_err(FsError::Site)?;
            let path = branches.root(&name).map_err(|_| FsError::NoBranch(name.to_string()))?;
            if !lock::lacks_branch(&site.cow, &name) {
                break path;
            }
        };
        let root = Root::new(&path, Resolver::Kernel)?;
        if site.open.len() >= MOST_OPEN {
            site.open.clear();
        }
        let branch = Rc::new(OpenBranch { name, path, root });
        site.open.push(Rc::clone(&branch));
        Ok(branch)
    })
}

/// Opens a branch in which files are to be changed, if `branchfs.write` allows it.
pub fn open_to_change(owner: &Owner) -> Result<Rc<OpenBranch>, FsError> {
    let branch = open(owner)?;
    let policy = WritePolicy::parse(&write_setting());
    if policy.allows(&branch.name, own().as_ref()) { Ok(branch) } else { Err(FsError::ReadOnly(policy)) }
}

/// Every branch, under the lock.
pub fn list() -> Result<Vec<Listed>, FsError> {
    with_site(|site| {
        branchfs::list(&Branches { dir: &site.branches_dir, is_real: false, cow: &site.cow })
            .map_err(|error| FsError::Site(format!("the branches cannot be listed: {error}")))
    })
}

/// The folder in which the branches are, under the lock.
pub fn branches_dir() -> Result<PathBuf, FsError> {
    with_site(|site| Ok(site.branches_dir.clone()))
}

/// Where the branches are served; `None` where nobody says.
pub fn address() -> Result<Option<SiteAddress>, FsError> {
    with_site(|site| {
        let address = site.address.take().or_else(|| SiteAddress::from_settings(&site.cow));
        site.address.clone_from(&address);
        Ok(address)
    })
}

fn with_site<T>(act: impl FnOnce(&mut RequestSite) -> Result<T, FsError>) -> Result<T, FsError> {
    SITE.with_borrow_mut(|slot| {
        let site = match slot {
            Some(site) => site,
            None => slot.insert(found().ok_or_else(|| {
                FsError::Site(
                    "there is no site around: run this in a site's folder, or set FORKPRESS_BRANCHES_DIR".to_owned(),
                )
            })?),
        };
        let hold = lock::hold(&site.cow).map_err(FsError::Site)?;
        if site.hold != hold {
            site.hold = hold;
            site.open.clear();
        }
        act(site)
    })
}

/// The site that the environment names, as the router reads it, or that the current folder lies in.
fn found() -> Option<RequestSite> {
    let cow = lock::default_cow_layout()?;
    let branches_dir = match std::env::var_os("FORKPRESS_BRANCHES_DIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => std::path::absolute(dir).ok()?,
        None => cow.site()?.public_root().to_owned(),
    };
    Some(RequestSite::new(branches_dir, cow))
}

/// The branch that the code which asks runs in: that of the request or of `forkpress exec`, else that of the folder that PHP was
/// started in or, where that is in none, of the current one. Whichever it is, it is the request's from then on.
fn own() -> Option<BranchName> {
    let own = request::branch().or_else(|| {
        let here = std::env::current_dir().ok();
        SITE.with_borrow_mut(|slot| {
            if slot.is_none() {
                *slot = found();
            }
            let site = slot.as_mut()?;
            if site.real_dir.is_none() {
                site.real_dir = site.branches_dir.canonicalize().ok();
            }
            let root = site.real_dir.as_ref()?;
            [request::start_folder(), here.as_deref()].into_iter().flatten().find_map(|folder| {
                let inside = folder.strip_prefix(root).ok()?.components().next()?;
                BranchName::parse(inside.as_os_str().to_str()?).ok()
            })
        })
    })?;
    request::settle(own.clone());
    Some(own)
}

fn write_setting() -> Vec<u8> {
    let name = c"branchfs.write";
    let mut exists = false;
    // SAFETY: the name is a C string of that length. What comes back is null or a C string of PHP's, copied before PHP runs.
    unsafe {
        let value = php::zend_ini_string_ex(name.as_ptr(), name.count_bytes(), 0, &raw mut exists);
        if value.is_null() { Vec::new() } else { std::ffi::CStr::from_ptr(value).to_bytes().to_vec() }
    }
}
