//! What the tests of Git's side of a site share.

use std::fs;

use super::push::ObjectId;
use super::repository::{Repository, run_with};
use crate::config::{FileView, Keep, SiteConfig, Strategy};
use crate::site::Site;
use forkpress_core::layout::SiteLayout;

/// A site without branches.
pub(super) fn site(dir: &tempfile::TempDir) -> Site {
    let layout = SiteLayout::at(&fs::canonicalize(dir.path()).unwrap());
    crate::site::create_folders(&layout).unwrap();
    let config = SiteConfig {
        version: 1,
        strategy: Strategy::Cow,
        file_view: FileView::FileCopy,
        root_host: "wp.localhost".to_owned(),
        port: 1,
        keep: Keep::default(),
        spares: 0,
        links: Vec::new(),
    };
    Site { layout, config }
}

/// Puts bytes into the repository.
pub(super) fn add(repository: &Repository, bytes: &[u8]) -> ObjectId {
    let id = run_with(repository.command().args(["hash-object", "-w", "--stdin"]), bytes).unwrap();
    ObjectId::parse(String::from_utf8_lossy(&id).trim()).unwrap()
}
