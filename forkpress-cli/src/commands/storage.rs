//! `forkpress storage`: status, mount, detach, compact, grow, convert.

use std::path::Path;

use forkpress_core::deadline::Deadline;
use forkpress_core::lock::{Lifecycle, Patience, holders};
use forkpress_engine::branch::{self, BranchError};
use forkpress_engine::config::FileView;
use forkpress_engine::mutation::{self, convert, spare};
use forkpress_engine::site::Site;
use forkpress_engine::storage::{self, ImageUsage};
use forkpress_engine::usage;
use indicatif::HumanBytes;
use serde_json::{Value, json};

use super::changed::patience;
use crate::cli::{StorageCommand, WaitArgs};
use crate::failure::Failure;
use crate::server::{self, Stopped};
use crate::{output, progress, site};

/// Does what was asked of the storage.
pub fn run(work_dir: Option<&Path>, command: &StorageCommand, as_json: bool) -> Result<(), Failure> {
    let site = site::open(work_dir)?;
    match command {
        StorageCommand::Status => status(&site, as_json),
        StorageCommand::Mount { wait } => mount(&site, wait, as_json),
        StorageCommand::Detach { force, keep_server, wait } => {
            let may_be_served = *force || *keep_server;
            detach(&site, *force, may_be_served, wait, as_json)
        }
        StorageCommand::Compact { keep_server, wait } => compact(&site, *keep_server, wait, as_json),
        StorageCommand::Grow { size_bytes, wait } => grow(&site, *size_bytes, wait, as_json),
        StorageCommand::Convert { to, wait } => convert(&site, *to, wait, as_json),
    }
}

fn status(site: &Site, as_json: bool) -> Result<(), Failure> {
    let cow = site.layout.cow();
    let branches = match branch::list(site) {
        Ok(branches) => Some(branches.len()),
        Err(BranchError::Detached) => None,
        Err(error) => return Err(error.into()),
    };
    let leftovers = mutation::leftovers(site)?;
    let spares = spare::list(site)?;
    // One that is taken just now holds nothing any more.
    let spare_bytes: u64 =
        spares.iter().filter_map(|path| usage::measure(path).ok()).map(|held| held.exclusive_bytes).sum();
    let image = match site.layout.image() {
        Some(image) => Some((image, storage::is_attached(image)?, ImageUsage::of(image)?)),
        None => None,
    };
    if as_json {
        let image = image.map(|(image, attached, usage)| {
            json!({
                "path": image.image(),
                "mount": image.mount(),
                "attached": attached,
                "size_bytes": usage.size_bytes,
                "allocated_bytes": usage.allocated_bytes,
                "used_bytes": usage.used_bytes,
                "reclaimable_bytes": usage.reclaimable_bytes(),
            })
        });
        let lock = |path: std::path::PathBuf| -> Value {
            let pids: Vec<_> = holders(cow, &path).iter().map(|holder| holder.pid).collect();
            json!({ "path": path, "holders": pids })
        };
        output::json(&json!({
            "file_view": site.config.file_view.as_str(),
            "public": site.layout.public_root(),
            "storage": site.layout.storage_root(),
            "branches": branches,
            "lock": lock(cow.operations_lock()),
            "preparing": lock(cow.prepare_lock()),
            "mutation": lock(cow.mutation_lock()),
            "lifecycle": lock(cow.lifecycle_lock()),
            "leftovers": leftovers,
            "spares": { "count": spares.len(), "exclusive_bytes": spare_bytes },
            "image": image,
        }))?;
        return Ok(());
    }
    let lock = |path: std::path::PathBuf| {
        let holders: Vec<_> = holders(cow, &path).iter().map(ToString::to_string).collect();
        let holders = if holders.is_empty() { "free".to_owned() } else { format!("held by {}", holders.join(", ")) };
        format!("{} ({holders})", path.display())
    };
    output::line("ForkPress storage status")?;
    output::line(format_args!("file view:   {}", site.config.file_view))?;
    output::line(format_args!("public:      {}", site.layout.public_root().display()))?;
    output::line(format_args!("storage:     {}", site.layout.storage_root().display()))?;
    match branches {
        Some(count) => output::line(format_args!("branches:    {count}"))?,
        None => output::line("branches:    unavailable while the image is detached")?,
    }
    output::line(format_args!("lock:        {}", lock(cow.operations_lock())))?;
    output::line(format_args!("preparing:   {}", lock(cow.prepare_lock())))?;
    output::line(format_args!("mutation:    {}", lock(cow.mutation_lock())))?;
    output::line(format_args!("lifecycle:   {}", lock(cow.lifecycle_lock())))?;
    match leftovers.as_slice() {
        [] => output::line("leftovers:   none")?,
        found => output::line(format_args!("leftovers:   {}", found.join("; ")))?,
    }
    if !spares.is_empty() {
        output::line(format_args!("spares:      {}, {} of their own", spares.len(), HumanBytes(spare_bytes)))?;
    }
    let Some((image, attached, usage)) = image else { return Ok(()) };
    output::line(format_args!("image:       {}", image.image().display()))?;
    output::line(format_args!("mount:       {}", image.mount().display()))?;
    output::line(format_args!("attached:    {}", if attached { "yes" } else { "no" }))?;
    let bytes = |bytes: Option<u64>| bytes.map_or("unknown while detached".to_owned(), |b| HumanBytes(b).to_string());
    output::line(format_args!("size:        {}", bytes(usage.size_bytes)))?;
    output::line(format_args!("allocated:   {}", HumanBytes(usage.allocated_bytes)))?;
    output::line(format_args!("used:        {}", bytes(usage.used_bytes)))?;
    output::line(format_args!("reclaimable: {}", bytes(usage.reclaimable_bytes())))?;
    Ok(())
}

/// Takes `lifecycle.lock` for a command.
fn lifecycle(site: &Site, words: &str, patience: &mut Patience<'_>) -> Result<Lifecycle, Failure> {
    Ok(Lifecycle::lock(site.layout.cow(), words, patience)?)
}

fn mount(site: &Site, wait: &WaitArgs, as_json: bool) -> Result<(), Failure> {
    let patience = &mut patience(wait);
    let lifecycle = lifecycle(site, "storage mount", patience)?;
    let Some(image) = site.layout.image() else { return nothing("mount", as_json) };
    let is_new = storage::attach(site, &lifecycle)?;
    mutation::recover(site, patience)?;
    if as_json {
        output::json(&json!({ "mounted": is_new, "mount": image.mount() }))?;
    } else if is_new {
        output::line(format_args!("forkpress: mounted {}", image.mount().display()))?;
    } else {
        output::line(format_args!("forkpress: {} is mounted already", image.mount().display()))?;
    }
    Ok(())
}

/// What is said where a site has no image.
fn nothing(what: &str, as_json: bool) -> Result<(), Failure> {
    if as_json {
        output::json(&json!({ "image": null }))?;
    } else {
        output::line(format_args!("forkpress: this site has no image: there is nothing to {what}"))?;
    }
    Ok(())
}

fn detach(site: &Site, force: bool, may_be_served: bool, wait: &WaitArgs, as_json: bool) -> Result<(), Failure> {
    let patience = &mut patience(wait);
    let lifecycle = lifecycle(site, "storage detach", patience)?;
    let Some(image) = site.layout.image() else { return nothing("detach", as_json) };
    tracing::debug!(mount = ?image.mount(), "unmounting");
    if let (Some(server), false) = (site::server_of(site)?, may_be_served) {
        return Err(Failure::new(format!("this site is served, at {}", server::url(&server)))
            .hint("forkpress stop ends the server and detaches the storage"));
    }
    let was_attached = storage::detach(site, &lifecycle, force, patience)?;
    if as_json {
        output::json(&json!({ "detached": was_attached, "image": image.image() }))?;
    } else if was_attached {
        output::line(format_args!("forkpress: detached {}", image.image().display()))?;
    } else {
        output::line(format_args!("forkpress: {} is detached already", image.image().display()))?;
    }
    Ok(())
}

/// Detaches the storage after the last server of a site has ended. What keeps it attached is no failure.
pub fn detach_after_stop(site: &Site, timeout: std::time::Duration) -> Result<(), Failure> {
    let Some(image) = site.layout.image() else { return Ok(()) };
    if !storage::is_attached(image)? {
        return Ok(());
    }
    let patience = &mut Patience::silent(Deadline::after(timeout));
    let detached = lifecycle(site, "stop", patience).and_then(|lifecycle| match site::server_of(site)? {
        Some(_) => Ok(true),
        None => Ok(storage::detach(site, &lifecycle, false, patience)?),
    });
    if let Err(failure) = detached {
        output::note(format_args!("forkpress: the storage stays attached: {}", failure.error));
    }
    Ok(())
}

fn compact(site: &Site, keep_server: bool, wait: &WaitArgs, as_json: bool) -> Result<(), Failure> {
    if site.layout.image().is_none() {
        return nothing("compact", as_json);
    }
    let patience = &mut patience(wait);
    let lifecycle = lifecycle(site, "storage compact", patience)?;
    if let (Some(server), false) = (site::server_of(site)?, keep_server)
        && matches!(server::stop(&server, wait.timeout, false), Stopped::Failed)
    {
        return Err(Failure::new(format!("the server at {} does not end", server::url(&server))));
    }
    let compacted = storage::compact(site, &lifecycle, patience)?;
    let reclaimed = compacted.before_bytes.saturating_sub(compacted.after_bytes);
    if as_json {
        output::json(&json!({
            "before_bytes": compacted.before_bytes,
            "after_bytes": compacted.after_bytes,
            "reclaimed_bytes": reclaimed,
        }))?;
    } else {
        output::line(format_args!(
            "forkpress: compacted: {} before, {} after, {} reclaimed",
            HumanBytes(compacted.before_bytes),
            HumanBytes(compacted.after_bytes),
            HumanBytes(reclaimed)
        ))?;
        output::line("next: forkpress serve, or forkpress storage mount")?;
    }
    Ok(())
}

fn grow(site: &Site, size_bytes: u64, wait: &WaitArgs, as_json: bool) -> Result<(), Failure> {
    let lifecycle = lifecycle(site, "storage grow", &mut patience(wait))?;
    storage::grow(site, &lifecycle, size_bytes)?;
    if as_json {
        output::json(&json!({ "size_bytes": size_bytes }))?;
    } else {
        output::line(format_args!("forkpress: the image can hold {} now", HumanBytes(size_bytes)))?;
    }
    Ok(())
}

fn convert(site: &Site, to: FileView, wait: &WaitArgs, as_json: bool) -> Result<(), Failure> {
    let patience = &mut patience(wait);
    let lifecycle = lifecycle(site, "storage convert", patience)?;
    let from = site.config.file_view;
    let converted = convert::convert(site, to, &lifecycle, patience, &*progress::shown(as_json))?;
    if as_json {
        output::json(
            &json!({ "from": from.as_str(), "to": to.as_str(), "branches": converted.branches, "kept": converted.kept }),
        )?;
    } else {
        output::line(format_args!(
            "forkpress: converted from {from} to {to}: {} branches, {} kept trees",
            converted.branches, converted.kept
        ))?;
    }
    Ok(())
}
