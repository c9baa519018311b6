//! What the current request is, as far as the extension was told.
//!
//! Which branch its code runs in is settled once: by the first that says so, which is the router, or for a script what PHP was
//! started with. Code that asks again for another branch, goes to another folder or changes its environment stays in it.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use ext_php_rs::prelude::*;
use forkpress_core::name::BranchName;

use crate::{SUCCESS, sapi};

thread_local! {
    static BRANCH: RefCell<Option<BranchName>> = const { RefCell::new(None) };
}

/// Whether the engine is inside a request: a fork then is PHP code's, outside it is the SAPI's, of a worker.
static RUNNING: AtomicBool = AtomicBool::new(false);

/// What PHP was started with, before any code of a branch could change it.
static START: OnceLock<Start> = OnceLock::new();

struct Start {
    branch: Option<BranchName>,
    folder: Option<PathBuf>,
}

/// Notes what PHP is started with.
pub fn startup() -> i32 {
    START.get_or_init(|| Start { branch: branch_of_environment(), folder: std::env::current_dir().ok() });
    SUCCESS
}

/// The folder that PHP was started in.
pub fn start_folder() -> Option<&'static Path> {
    START.get()?.folder.as_deref()
}

fn branch_of_environment() -> Option<BranchName> {
    std::env::var("FORKPRESS_BRANCH").ok().and_then(|name| BranchName::parse(&name).ok())
}

/// The engine starts a request.
pub fn begin() {
    RUNNING.store(true, Ordering::Relaxed);
    // A script of `forkpress exec` has no router.
    if let Some(branch) = START.get().and_then(|start| start.branch.clone()).filter(|_| sapi::is_command_line()) {
        settle(branch);
    }
}

/// The engine has ended a request.
pub fn end() {
    RUNNING.store(false, Ordering::Relaxed);
    BRANCH.take();
}

/// Whether a request is running.
pub fn is_running() -> bool {
    RUNNING.load(Ordering::Relaxed)
}

/// Settles the branch that serves the request, or that a script runs in. False where it was settled before: that stays.
pub fn settle(branch: BranchName) -> bool {
    BRANCH.with_borrow_mut(|settled| {
        let is_first = settled.is_none();
        settled.get_or_insert(branch);
        is_first
    })
}

/// Returns the name of the branch that this request is served from, or that `forkpress exec` runs the script in; null elsewhere.
#[php_function]
pub fn branchfs_get_branch() -> Option<String> {
    branch().map(|name| name.as_str().to_owned())
}

/// The branch that this request is served from, or that `forkpress exec` runs the script in.
pub fn branch() -> Option<BranchName> {
    BRANCH
        .with_borrow(Clone::clone)
        .or_else(|| START.get().and_then(|start| start.branch.clone()))
        .or_else(branch_of_environment)
}

/// Adds the functions to the module.
pub fn register(module: ModuleBuilder) -> ModuleBuilder {
    module.function(wrap_function!(branchfs_get_branch))
}
