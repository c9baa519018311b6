//! `branchfs.so`, the PHP side of ForkPress.
//!
//! It routes each request to a branch and holds the locks of the site and of the branch shared, from before the branch
//! is looked up until *post-deactivate*, the last thing in a PHP request. `forkpress-core` decides; this crate gives it
//! a PHP face.
//!
//! A panic never leaves a function of this crate: ext-php-rs turns one in a PHP function into a PHP `Error`, and
//! `guard` stands around each hook. A bailout, PHP's jump out of a request, never crosses a frame that has something to drop:
//! see `shim`.
#![allow(missing_docs, reason = "ext-php-rs generates a function without any")]

mod answer;
mod apcu;
mod client;
mod driver;
mod exception;
mod fork;
mod freshness;
mod front;
mod function;
mod info;
mod lock;
mod note;
mod overridden;
mod pacer;
mod php;
mod request;
mod route;
mod sapi;
mod search;
mod serve_as;
mod shared_number;
mod shim;
mod site;
mod stream;
mod visitors;
mod warm;
mod watcher;

use ext_php_rs::flags::IniEntryPermission;
use ext_php_rs::prelude::*;
use ext_php_rs::zend::{IniEntryDef, IniEntryDefs};
use forkpress_core::panic::caught;

/// `branchfs.lock_timeout`: for how many seconds a request waits for the lock before it fails. Zero tries once.
/// `branchfs.write`: in which branches files may be changed through `branchfs://`; no code can give itself leave.
static INI: IniEntryDefs<3> = IniEntryDefs::new([
    IniEntryDef::new(c"branchfs.lock_timeout", c"30", IniEntryPermission::All),
    IniEntryDef::new(c"branchfs.write", c"own", IniEntryPermission::System),
    IniEntryDef::end(),
]);

/// PHP's `SUCCESS`.
const SUCCESS: i32 = 0;
/// PHP's `FAILURE`.
const FAILURE: i32 = -1;

/// Runs a hook of the engine's. A panic is logged by Rust's panic hook and becomes a failure, since it must not unwind into C.
fn guard(hook: impl FnOnce() -> i32) -> i32 {
    caught(hook).unwrap_or(FAILURE)
}

/// Module startup. Under php-fpm it runs in the master: nothing is opened or locked here.
extern "C" fn startup(_kind: i32, module_number: i32) -> i32 {
    guard(|| {
        IniEntryDef::register(INI.as_slice(), module_number);
        for install in [
            request::startup,
            freshness::startup,
            visitors::startup,
            fork::install_handlers,
            stream::install,
            overridden::install,
            answer::install,
            front::install,
        ] {
            if install() == FAILURE {
                return FAILURE;
            }
        }
        SUCCESS
    })
}

extern "C" fn shutdown(_kind: i32, _module_number: i32) -> i32 {
    guard(|| {
        front::restore();
        answer::restore();
        overridden::restore();
        stream::remove();
        lock::forget_process();
        SUCCESS
    })
}

extern "C" fn request_startup(_kind: i32, _module_number: i32) -> i32 {
    guard(|| {
        request::begin();
        if warm::is_warmer() {
            pacer::begin();
        } else {
            visitors::begin();
        }
        SUCCESS
    })
}

/// After every output buffer.
extern "C" fn request_shutdown(_kind: i32, _module_number: i32) -> i32 {
    answer::finish();
    SUCCESS
}

/// After every shutdown function, destructor, output callback, session write and leftover stream: the request is over.
unsafe extern "C" fn post_deactivate() -> i32 {
    guard(|| {
        answer::end_of_request();
        stream::end_of_request();
        site::end_of_request();
        lock::end_of_request();
        front::end_of_request();
        visitors::end();
        pacer::end();
        request::end();
        SUCCESS
    })
}

/// The module's table, as PHP asks for it.
#[php_module]
#[php(startup = "startup")]
pub fn get_module(module: ModuleBuilder) -> ModuleBuilder {
    let module = module
        .shutdown_function(shutdown)
        .request_startup_function(request_startup)
        .request_shutdown_function(request_shutdown)
        .post_deactivate_function(post_deactivate)
        .info_function(info::print);
    let module = freshness::register(lock::register(exception::register(module)));
    let module = search::register(route::register(request::register(module)));
    let module = serve_as::register(answer::register(driver::register(warm::register(module))));
    front::register(client::register(module))
}
