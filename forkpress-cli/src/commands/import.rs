//! `forkpress import`: makes a site, or a branch of one, of something from elsewhere.

use std::path::Path;

use forkpress_core::name::BranchName;
use forkpress_engine::branch;
use forkpress_engine::import::Imported;
use forkpress_engine::mutation::new_database::TreeEdit;
use forkpress_engine::mutation::{self, ChangeError, Report};
use forkpress_engine::progress::Until;
use forkpress_engine::site::{Site, SiteError};
use forkpress_engine::wordpress;
use serde::Serialize;

use super::changed::patience;
use crate::bring_in::{self, Looked};
use crate::cli::{ImportArgs, InitArgs, StrategyArg};
use crate::contents::With;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::php::Php;
use crate::site::Address;
use crate::{clean, init, output, progress, remote, site};

/// What was made of a source.
#[derive(Serialize)]
struct ImportReport {
    branch: BranchName,
    url: String,
    operation: u64,
    held_seconds: f64,
    imported: Imported,
}

/// Brings a source in.
pub fn run(work_dir: Option<&Path>, args: &ImportArgs, as_json: bool) -> Result<(), Failure> {
    if args.dry_run {
        if let Some(address) = forkpress_engine::remote::Address::of(&args.source)? {
            let (shown, interrupt) = (progress::shown(as_json), Interrupt::on_signals()?);
            let progress = Until { progress: &*shown, go_on: &|| interrupt.go_on() };
            return interrupt.rather(remote::tell(&address, &args.what, &progress, as_json));
        }
        // Nothing is made that would have to be removed.
        let found = bring_in::look(&args.source, &args.what, &*progress::shown(as_json))?;
        let told = if as_json { output::json(&found) } else { bring_in::tell_found(&found) };
        return Ok(told?);
    }
    match &args.branch {
        Some(name) => into_branch(&site::open(work_dir)?, name, args, as_json),
        None if is_in_site(work_dir)? => {
            Err(Failure::new("this folder lies in a site: an import makes a new branch of it")
                .hint(format!("forkpress import {} --branch NAME", args.source.display()))
                .exit(2))
        }
        None => into_new_site(work_dir, args, as_json),
    }
}

fn is_in_site(work_dir: Option<&Path>) -> Result<bool, Failure> {
    Ok(match work_dir {
        Some(work_dir) => Site::open(work_dir).is_ok(),
        None => !matches!(Site::find(&site::current_dir()?), Err(SiteError::NotFound { .. })),
    })
}

fn into_new_site(work_dir: Option<&Path>, args: &ImportArgs, as_json: bool) -> Result<(), Failure> {
    let init = InitArgs {
        admin_password: None,
        admin_password_stdin: false,
        site_title: None,
        file_view: args.file_view,
        wordpress: None,
        from: Some(args.source.clone()),
        source: args.what.clone(),
        blueprint: None,
        strategy: StrategyArg::Cow,
        root_host: args.root_host.clone(),
        port: args.port,
        php: args.php.clone(),
    };
    init::run(work_dir, &init, as_json)
}

fn into_branch(site: &Site, name: &BranchName, args: &ImportArgs, as_json: bool) -> Result<(), Failure> {
    let (shown, php) = (progress::shown(as_json), Php::find(args.php.php.as_deref())?);
    // Before much is copied for nothing.
    if branch::show(site, name).is_ok() {
        return Err(ChangeError::Exists { name: name.clone() }.into());
    }
    let interrupt = Interrupt::on_signals()?;
    let progress = Until { progress: &*shown, go_on: &|| interrupt.go_on() };
    let looked = interrupt.rather(Looked::at(&args.source, &args.what, &site.layout, &progress))?;
    let url = Address::of(site).url(name);
    let with = With { layout: &site.layout, php: &php, url: &url };
    let (main, word) = (BranchName::main(), &looked.word);
    let mut patience = patience(&args.wait).unless(|| interrupt.has_come());
    let mut create = |edit: &mut dyn TreeEdit| {
        let created = mutation::create_edited(site, name, &main, edit, word, &mut patience, &progress);
        interrupt.rather(created.map_err(Failure::from))
    };
    let (report, mut imported): (Report, Imported) = if looked.found.is_contents() {
        let mut edit = looked.contents_edit(&with, &progress);
        (create(&mut edit)?, std::mem::take(&mut edit.imported))
    } else {
        let mut edit = looked.edit(&with, &progress);
        (create(&mut edit)?, std::mem::take(&mut edit.imported))
    };
    imported.notes.extend(looked.notes.iter().cloned());
    record_addresses(site, name)?;
    wordpress::record_former_addresses(&site.layout, &imported.addresses)?;
    clean::in_background(site);
    if as_json {
        let report = ImportReport {
            branch: name.clone(),
            url,
            operation: report.operation.id,
            held_seconds: report.held.as_secs_f64(),
            imported,
        };
        return Ok(output::json(&report)?);
    }
    output::note(format_args!("forkpress: {} is '{name}' now", looked.found.path.display()));
    bring_in::tell(&imported)?;
    Ok(output::line(&url)?)
}

/// What the branch was called elsewhere, the site serves as its own from now on.
fn record_addresses(site: &Site, name: &BranchName) -> Result<(), Failure> {
    let address = Address::of(site);
    let tree = site.layout.branch(name);
    wordpress::record_addresses(&site.layout, &[(&address.root_host, address.port)], &tree)?;
    Ok(())
}
