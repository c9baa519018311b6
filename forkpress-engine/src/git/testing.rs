//! What the tests of Git's side of a site share.

use super::push::ObjectId;
use super::repository::{Repository, run_with};

/// Puts bytes into the repository.
pub(super) fn add(repository: &Repository, bytes: &[u8]) -> ObjectId {
    let id = run_with(repository.command().args(["hash-object", "-w", "--stdin"]), bytes).unwrap();
    ObjectId::parse(String::from_utf8_lossy(&id).trim()).unwrap()
}
