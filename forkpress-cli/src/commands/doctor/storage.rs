//! `forkpress doctor storage`: what the volume can do, what is wrong, and what to do about it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use forkpress_core::deadline::Deadline;
use forkpress_core::layout::{ImageKind, ImageLayout, WORK_DIR};
use forkpress_core::lock::{Lifecycle, Patience};
use forkpress_engine::branch::{self, BranchError};
use forkpress_engine::config::FileView;
use forkpress_engine::mutation::{self, convert};
use forkpress_engine::site::{Site, SiteError};
use forkpress_engine::storage::{self, ImageUsage, Link};
use forkpress_engine::{usage, view};
use serde_json::json;

use crate::failure::Failure;
use crate::{output, site};

/// Branches of more than this in all are worth a view that shares bytes.
const LARGE_BYTES: u64 = 1 << 30;

/// Something wrong.
#[derive(Debug)]
struct Finding {
    what: String,
    /// Whether it was mended.
    mended: bool,
    /// What to type where it was not.
    advice: String,
}

/// Looks, mends what is safe to mend where that is asked for, and reports. Gives exit status 1 where something stays wrong.
pub fn run(work_dir: Option<&Path>, fix: bool, as_json: bool) -> Result<ExitCode, Failure> {
    if let Some(folder) = folder_without_site(work_dir)? {
        return before_site(&folder, as_json);
    }
    let site = site::open(work_dir)?;
    let root = site.layout.public_root();
    let works = what_works(root);
    let findings = examine(&site, fix)?;
    let advice = recommend(&site, view::probe(root));
    if as_json {
        let rows: Vec<_> = findings
            .iter()
            .map(|finding| json!({ "what": finding.what, "mended": finding.mended, "advice": finding.advice }))
            .collect();
        output::json(&json!({
            "file_view": site.config.file_view.as_str(), "works": as_map(&works), "findings": rows, "recommends": advice,
        }))?;
    } else {
        output::line("ForkPress storage capability report")?;
        output::line(format_args!("file view:   {}", site.config.file_view))?;
        tell_what_works(&works, root)?;
        for finding in &findings {
            if finding.mended {
                output::line(format_args!("mended:      {}", finding.what))?;
            } else {
                output::line(format_args!("wrong:       {} ({})", finding.what, finding.advice))?;
            }
        }
        if findings.is_empty() {
            output::line("wrong:       nothing")?;
        }
        if let Some(advice) = &advice {
            output::line(format_args!("recommended: {advice}"))?;
        }
    }
    let is_right = findings.iter().all(|finding| finding.mended);
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The folder that a site would be in, or the nearest to it that exists, where there is no site yet.
fn folder_without_site(work_dir: Option<&Path>) -> Result<Option<PathBuf>, Failure> {
    let current = site::current_dir()?;
    let Some(work_dir) = work_dir else {
        return Ok(matches!(Site::find(&current), Err(SiteError::NotFound { .. })).then_some(current));
    };
    let work_dir = current.join(work_dir);
    let is_free = work_dir.file_name().is_some_and(|name| name == WORK_DIR) && !work_dir.exists();
    Ok(work_dir.ancestors().find(|path| path.is_dir()).filter(|_| is_free).map(Path::to_owned))
}

/// Says what a site in a folder could do, before there is one.
fn before_site(folder: &Path, as_json: bool) -> Result<ExitCode, Failure> {
    let (works, best) = (what_works(folder), view::probe(folder));
    if as_json {
        output::json(&json!({
            "file_view": null, "works": as_map(&works), "findings": [], "recommends": best.as_str(),
        }))?;
    } else {
        output::line("ForkPress storage capability report")?;
        output::line("file view:   none: there is no site yet")?;
        tell_what_works(&works, folder)?;
        output::line(format_args!("recommended: {best}, which 'forkpress init' takes here by itself"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn what_works(folder: &Path) -> Vec<(FileView, bool)> {
    let views = [FileView::BtrfsSnapshot, FileView::Reflink, FileView::FileCopy];
    views.into_iter().map(|view| (view, view::supports(view, folder))).collect()
}

fn tell_what_works(works: &[(FileView, bool)], folder: &Path) -> Result<(), Failure> {
    for (view, works) in works {
        let works = if *works { "works" } else { "does not work" };
        output::line(format_args!("{:<16} {works} in {}", view.as_str(), folder.display()))?;
    }
    Ok(())
}

fn as_map(works: &[(FileView, bool)]) -> serde_json::Map<String, serde_json::Value> {
    works.iter().map(|(view, works)| (view.to_string(), (*works).into())).collect()
}

/// A view that fits better, where the present one copies much.
fn recommend(site: &Site, best: FileView) -> Option<String> {
    if site.config.file_view.shares_blocks() {
        return None;
    }
    if best.shares_blocks() {
        return Some(format!("{best}, which works here: forkpress storage convert --to {best}"));
    }
    let branches = branch::list(site).ok()?;
    let bytes: u64 =
        branches.iter().filter_map(|b| usage::measure(&b.path).ok()).map(|usage| usage.exclusive_bytes).sum();
    let image = if cfg!(target_os = "macos") { FileView::MacosApfsSparsebundle } else { FileView::LinuxXfsLoop };
    (bytes > LARGE_BYTES)
        .then(|| format!("{image}, as each branch is copied in full: forkpress storage convert --to {image}"))
}

fn examine(site: &Site, fix: bool) -> Result<Vec<Finding>, Failure> {
    let mut patience = Patience::silent(Deadline::after(std::time::Duration::from_secs(30)));
    let lifecycle = Lifecycle::lock(site.layout.cow(), "doctor", &mut patience)?;
    let mut findings = Vec::new();
    let mut found = |what: String, mended: bool, advice: &str| {
        findings.push(Finding { what, mended, advice: advice.to_owned() });
    };
    const FIX: &str = "forkpress doctor storage --fix";

    let leftovers = mutation::leftovers(site)?;
    if !leftovers.is_empty() {
        let attached = site.layout.image().is_none_or(|image| storage::is_attached(image).unwrap_or(false));
        let mended = fix && attached && {
            convert::heal(site, &lifecycle, &mut patience)?;
            mutation::recover(site, &mut patience)?;
            mutation::keep::empty_trash(site)?;
            true
        };
        found(format!("leftovers of an interrupted operation: {}", leftovers.join("; ")), mended, FIX);
    }

    // An image that this site does not use.
    for kind in ImageKind::ALL {
        let image = ImageLayout::new(site.layout.work_dir(), kind);
        if site.layout.image() == Some(&image) || !image.dir().exists() || site.layout.conversion().exists() {
            continue;
        }
        if storage::is_attached(&image)? {
            let mended = fix && storage::unmount_unused(&image).is_ok();
            found(format!("a mount that this site does not use: {}", image.mount().display()), mended, FIX);
        } else if image.image().exists() {
            found(
                format!("an image that this site does not use: {}", image.image().display()),
                false,
                "remove it if nothing in it is wanted",
            );
        }
    }

    if let Some(image) = site.layout.image() {
        let attached = storage::is_attached(image)?;
        if !image.image().exists() {
            found(format!("the image {} is gone", image.image().display()), false, "restore it from a backup");
        } else {
            let usage = ImageUsage::of(image)?;
            if let (Some(size), Some(used)) = (usage.size_bytes, usage.used_bytes)
                && used > size / 10 * 9
            {
                found("the image is nearly full".to_owned(), false, "forkpress gc, or forkpress storage grow SIZE");
            }
        }
        if !attached {
            let devices = storage::loop_devices(image);
            if !devices.is_empty() {
                let mended = fix && devices.iter().all(|device| storage::free_loop_device(device).is_ok());
                found(format!("a loop device of the detached image: {}", devices.join(", ")), mended, FIX);
            }
        }
    }

    match branch::list(site) {
        Err(BranchError::Detached) => {}
        Err(error) => return Err(error.into()),
        Ok(branches) => {
            for branch in branches {
                let link = site.layout.public_branch(&branch.name);
                match storage::look_at_link(&site.layout, &branch.name)? {
                    Some(Link::Missing) => {
                        let mended = fix && storage::mend_link(&site.layout, &branch.name)?;
                        found(format!("the link {} is missing", link.display()), mended, FIX);
                    }
                    Some(Link::Foreign) => {
                        found(format!("{} is not the branch's link", link.display()), false, "move it away")
                    }
                    _ => {}
                }
            }
        }
    }
    for link in dangling_links(site) {
        let mended = fix && fs::remove_file(&link).is_ok();
        found(format!("the link {} leads to no branch", link.display()), mended, FIX);
    }

    let cow = site.layout.cow();
    for (_, path) in cow.locks() {
        use std::os::unix::fs::PermissionsExt;
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if !metadata.is_file() {
            found(format!("{} is no file", path.display()), false, "stop the server and move it away");
        } else if metadata.permissions().mode() & 0o600 != 0o600 {
            let mended = fix && fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).is_ok();
            found(format!("its owner can't use the lock file {}", path.display()), mended, FIX);
        }
    }

    // To read the registry is to drop entries of servers that are gone.
    let (registry, dead) = (site::registry()?, site::registry()?.dead()?);
    if !dead.is_empty() {
        let mended = fix && registry.list().is_ok();
        found(format!("{} dead entries in the server registry", dead.len()), mended, FIX);
    }
    Ok(findings)
}

/// Links of ours beside the branches whose branch has no record.
fn dangling_links(site: &Site) -> Vec<std::path::PathBuf> {
    if site.layout.image().is_none() {
        return Vec::new();
    }
    let entries = fs::read_dir(site.layout.public_root()).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name().to_str()?.parse().ok()?;
            let is_ours = storage::look_at_link(&site.layout, &name).ok()? == Some(Link::Right);
            let cow = site.layout.cow();
            let has_record = cow.record(&name).exists() || cow.record_aside(&name).exists();
            (is_ours && !has_record).then(|| entry.path())
        })
        .collect()
}
