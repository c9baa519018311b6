//! Turns core's errors into PHP exceptions. Nothing else does.

use ext_php_rs::exception::PhpException;
use ext_php_rs::prelude::*;
use ext_php_rs::zend::ce;
use forkpress_core::lock::LockError;

/// What every exception of this extension is.
#[php_class]
#[php(name = "Branchfs\\Exception")]
#[php(extends(ce = ce::exception, stub = "\\Exception"))]
#[derive(Default)]
pub struct BranchfsException;

/// The lock stayed busy. The message names the operation or the processes that hold it.
#[php_class]
#[php(name = "Branchfs\\LockTimeoutException")]
#[php(extends(BranchfsException))]
#[derive(Default)]
pub struct LockTimeoutException;

/// A [`BranchfsException`] with this message.
pub fn plain(message: String) -> PhpException {
    PhpException::from_class::<BranchfsException>(message)
}

/// The exception for a lock that was not taken. The message holds the cause as well, since PHP code prints one line.
pub fn of_lock(error: &LockError) -> PhpException {
    if matches!(error, LockError::Timeout(_)) {
        return PhpException::from_class::<LockTimeoutException>(error.to_string());
    }
    plain(sentence(error))
}

/// A lock's error with its cause.
pub fn sentence(error: &LockError) -> String {
    let cause = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{cause}")
}

/// Adds the exceptions to the module.
pub fn register(module: ModuleBuilder) -> ModuleBuilder {
    module.class::<BranchfsException>().class::<LockTimeoutException>()
}
