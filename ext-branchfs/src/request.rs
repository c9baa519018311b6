//! What the current request is, as far as the extension was told.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};

use ext_php_rs::prelude::*;
use forkpress_core::name::BranchName;

use crate::{freshness, pacer, warm};

thread_local! {
    static REQUEST: RefCell<Request> = const { RefCell::new(Request { branch: None, description: None }) };
}

/// Whether the engine is inside a request: a fork then is PHP code's, outside it is the SAPI's, of a worker.
static RUNNING: AtomicBool = AtomicBool::new(false);

/// Whether the request that is running was counted as one, by this process.
static IS_COUNTED: AtomicBool = AtomicBool::new(false);

#[derive(Default)]
struct Request {
    branch: Option<BranchName>,
    description: Option<String>,
}

/// The engine starts a request.
pub fn begin() {
    RUNNING.store(true, Ordering::Relaxed);
    if warm::is_warmer() {
        pacer::begin();
    } else if !IS_COUNTED.swap(true, Ordering::Relaxed) {
        freshness::request_begins();
    }
}

/// The engine has ended a request.
pub fn end() {
    RUNNING.store(false, Ordering::Relaxed);
    if IS_COUNTED.swap(false, Ordering::Relaxed) {
        freshness::request_ends();
    }
    pacer::end();
    REQUEST.take();
}

/// In a forked child: the request is its parent's.
pub fn leave_to_parent() {
    IS_COUNTED.store(false, Ordering::Relaxed);
}

/// Whether a request is running.
pub fn is_running() -> bool {
    RUNNING.load(Ordering::Relaxed)
}

/// Notes, before the lock is taken, what is being asked for: what a command that waits says it waits for.
pub fn describe(description: String) {
    REQUEST.with_borrow_mut(|request| request.description = Some(description));
}

/// Notes the branch that serves the request, once it is found.
pub fn serve(branch: BranchName) {
    REQUEST.with_borrow_mut(|request| request.branch = Some(branch));
}

/// Hands over what is being asked for, if somebody said so.
pub fn with_description(use_it: impl FnOnce(&str)) {
    REQUEST.with_borrow(|request| request.description.as_deref().map(use_it));
}

/// Returns the name of the branch that this request is served from, or that `forkpress exec` runs the script in; null elsewhere.
#[php_function]
pub fn branchfs_get_branch() -> Option<String> {
    branch().map(|name| name.as_str().to_owned())
}

/// The branch that this request is served from, or that `forkpress exec` runs the script in.
pub fn branch() -> Option<BranchName> {
    REQUEST
        .with_borrow(|request| request.branch.clone())
        .or_else(|| std::env::var("FORKPRESS_BRANCH").ok().and_then(|name| BranchName::parse(&name).ok()))
}

/// Adds the functions to the module.
pub fn register(module: ModuleBuilder) -> ModuleBuilder {
    module.function(wrap_function!(branchfs_get_branch))
}
