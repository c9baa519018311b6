//! The process of a server that compiles a new branch's code before anybody asks for it.
//!
//! OPcache's memory is shared by what one master forked, so only a process of that family can fill it: php-fpm has a pool for it.
//! Where each process is a server of its own it fills nobody's OPcache, and is only visited. Whatever it is of, it says
//! `FORKPRESS_WARMER=1` in its environment, and no visitor's connection reaches it.

use std::env;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use ext_php_rs::prelude::*;
use forkpress_core::pace;

use crate::{lock, pacer, visitors};

/// For how long a step waits for visitors' requests to leave a processor free: under steady traffic it must get on, too.
const COURTESY: Duration = Duration::from_millis(20);

const PAUSE: Duration = Duration::from_micros(500);

/// Whether this process serves no visitor. Asked in requests only: php-fpm gives a process the environment of its pool after the
/// fork.
pub fn is_warmer() -> bool {
    static IS_WARMER: OnceLock<bool> = OnceLock::new();
    *IS_WARMER.get_or_init(|| {
        let is = env::var_os("FORKPRESS_WARMER").is_some_and(|value| value == "1");
        if is {
            pacer::install();
        }
        is
    })
}

/// Waits until a processor is left by the requests that the server's other processes run, but not for long, and not
/// while a writer waits, at whose gate those requests may be. Rests, too.
#[php_function]
pub fn branchfs_yield() -> PhpResult<()> {
    static PROCESSORS: OnceLock<u64> = OnceLock::new();
    let processors = *PROCESSORS
        .get_or_init(|| thread::available_parallelism().map_or(1, |number| u64::try_from(number.get()).unwrap_or(1)));
    pace::rest(pacer::REST);
    let begin = Instant::now();
    while visitors::running() >= processors && begin.elapsed() < COURTESY && !lock::branchfs_writer_waits()? {
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// Adds the functions to the module.
pub fn register(module: ModuleBuilder) -> ModuleBuilder {
    module.function(wrap_function!(branchfs_yield))
}
