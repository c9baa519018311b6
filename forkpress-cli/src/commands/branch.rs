//! `forkpress branch`: list, show, create, reset, delete. What a branch changed is in [`diff`], how it comes home in [`merge`].

use std::path::Path;

use forkpress_core::name::BranchName;
use forkpress_engine::branch::{self, Branch};
use forkpress_engine::mutation::{self, ChangeError, CreateError, Report, Source};
use forkpress_engine::site::Site;
use forkpress_engine::usage::{self, Usage};
use indicatif::HumanBytes;
use serde_json::{Value, json};

use crate::blueprint::{Blueprint, BlueprintEdit, Runner};
use crate::cli::{BesideArgs, BlueprintArgs, BranchCommand, PhpArgs, WaitArgs};
use crate::commands::changed::{patience, tell_ready, told, wait_for};
use crate::commands::{diff, doctor, merge};
use crate::failure::Failure;
use crate::git::Checkout;
use crate::php::Php;
use crate::ready::Ready;
use crate::site::Address;
use crate::{clean, number, output, progress, site};

/// How many branches a list measures without being asked to: that takes about ten milliseconds for each.
const MEASURED_BRANCHES: usize = 20;

/// Does what was asked of the branches.
pub fn run(work_dir: Option<&Path>, command: &BranchCommand, as_json: bool) -> Result<(), Failure> {
    let site = site::open(work_dir)?;
    act(&site, command, as_json)?;
    match command {
        BranchCommand::List { .. }
        | BranchCommand::Show { .. }
        | BranchCommand::Status { .. }
        | BranchCommand::Diff(_)
        | BranchCommand::Conflicts(_) => {}
        BranchCommand::Create { .. }
        | BranchCommand::Reset { .. }
        | BranchCommand::Delete { .. }
        | BranchCommand::Merge(_) => {
            clean::in_background(&site);
        }
    }
    Ok(())
}

fn act(site: &Site, command: &BranchCommand, as_json: bool) -> Result<(), Failure> {
    match command {
        BranchCommand::List { bytes } => list(site, *bytes, as_json),
        BranchCommand::Show { name: Some(name) } | BranchCommand::Status { name: Some(name) } => {
            show(site, name, as_json)
        }
        BranchCommand::Show { name: None } => {
            let name = current(site)?.ok_or_else(|| {
                Failure::new("the current folder belongs to no branch").hint("name one: forkpress branch show main")
            })?;
            show(site, &name, as_json)
        }
        BranchCommand::Status { name: None } => match current(site)? {
            Some(name) => show(site, &name, as_json),
            None => list(site, false, as_json),
        },
        BranchCommand::Diff(args) => diff::run(site, args, as_json),
        BranchCommand::Merge(args) => merge::run(site, args, as_json),
        BranchCommand::Conflicts(args) => merge::conflicts(site, args, as_json),
        BranchCommand::Create {
            names,
            blueprint: BlueprintArgs { blueprint: Some(file), php },
            from,
            beside,
            ready,
            wait,
            ..
        } => {
            let [name] = names.as_slice() else {
                return Err(Failure::new("a blueprint makes one branch")
                    .hint("create the branches one by one")
                    .exit(2));
            };
            let report = create_by_blueprint(site, name, (file, php), source(from, beside), wait, as_json)?;
            doctor::branches::warn(site, name);
            tell_created(site, names, from, &report, as_json, || wait_for(site, ready, wait, &report))
        }
        BranchCommand::Create {
            names, count: Some(count), prefix: Some(prefix), from, beside, ready, wait, ..
        } => {
            debug_assert!(names.is_empty());
            let (mut patience, progress) = (patience(wait), progress::shown(as_json));
            let (names, report) = number::make(
                prefix,
                *count,
                || Ok(branch::names_taken(site)?),
                |names| match mutation::create_all(site, names, source(from, beside), &mut patience, &*progress) {
                    // Another command took a number meanwhile.
                    Err(CreateError::Change(ChangeError::Exists { name })) => Ok(Err(name)),
                    created => Ok(Ok(created?)),
                },
            )?;
            doctor::branches::warn(site, &names[0]);
            tell_created(site, &names, from, &report, as_json, || wait_for(site, ready, wait, &report))
        }
        BranchCommand::Create { names, from, beside, ready, wait, .. } => {
            let (source, progress) = (source(from, beside), progress::shown(as_json));
            let report = mutation::create_all(site, names, source, &mut patience(wait), &*progress)?;
            // What is true of one is true of all.
            doctor::branches::warn(site, &names[0]);
            tell_created(site, names, from, &report, as_json, || wait_for(site, ready, wait, &report))
        }
        BranchCommand::Reset { name, from, beside, force, ready, wait } => {
            let (source, progress) = (source(from, beside), progress::shown(as_json));
            let report = mutation::reset(site, name, source, *force, &mut patience(wait), &*progress)?;
            if as_json {
                let what = json!({ "reset": name.as_str(), "from": from.as_str() });
                return told(what, &report, &wait_for(site, ready, wait, &report)?);
            }
            output::line(format_args!("reset COW branch '{name}' from '{from}'"))?;
            tell_ready(site, &wait_for(site, ready, wait, &report)?)
        }
        BranchCommand::Delete { name, purge, wait } => {
            let report = mutation::delete(site, name, *purge, &mut patience(wait), &*progress::shown(as_json))?;
            if as_json {
                return told(json!({ "deleted": name.as_str() }), &report, &[]);
            }
            output::line(format_args!("deleted COW branch '{name}'"))?;
            Ok(())
        }
    }
}

/// Creates a branch and runs a blueprint on it before anybody sees it.
fn create_by_blueprint(
    site: &Site,
    name: &BranchName,
    (file, php): (&Path, &PhpArgs),
    source: Source<'_>,
    wait: &WaitArgs,
    as_json: bool,
) -> Result<Report, Failure> {
    let blueprint = Blueprint::read(file)?;
    let (php, url, progress) = (Php::find(php.php.as_deref())?, Address::of(site).url(name), progress::shown(as_json));
    let runner = Runner { layout: &site.layout, php: &php, url: &url, go_on: &|| Ok(()), progress: &*progress };
    let mut edit = BlueprintEdit { blueprint: &blueprint, runner };
    let word = blueprint.word();
    Ok(mutation::create_edited(site, name, source, &mut edit, &word, &mut patience(wait), &*progress)?)
}

/// What a branch is made from.
fn source<'a>(branch: &'a BranchName, beside: &BesideArgs) -> Source<'a> {
    Source { branch, beside: beside.beside }
}

/// The branch whose folder, or whose checkout, the current folder lies in.
pub fn current(site: &Site) -> Result<Option<BranchName>, Failure> {
    let folder = site::current_dir()?;
    let roots = [site.layout.branches_dir(), site.layout.public_root().to_owned()];
    let name = roots.iter().find_map(|root| {
        let root = std::fs::canonicalize(root).ok()?;
        let first = folder.strip_prefix(root).ok()?.components().next()?;
        first.as_os_str().to_str()?.parse::<BranchName>().ok()
    });
    if let Some(name) = name.filter(|name| site.layout.cow().record(name).exists()) {
        return Ok(Some(name));
    }
    let Ok(checkout) = Checkout::open(&folder) else { return Ok(None) };
    Ok(checkout.head()?.branch().ok())
}

fn tell_created(
    site: &Site,
    names: &[BranchName],
    from: &BranchName,
    report: &Report,
    as_json: bool,
    wait: impl FnOnce() -> Result<Vec<Ready>, Failure>,
) -> Result<(), Failure> {
    let address = Address::of(site);
    if as_json {
        let made = match names {
            [name] => json!({ "created": name.as_str(), "from": from.as_str(), "url": address.url(name) }),
            names => {
                let urls: Vec<_> = names.iter().map(|name| address.url(name)).collect();
                let names: Vec<_> = names.iter().map(BranchName::as_str).collect();
                json!({ "created": names, "from": from.as_str(), "urls": urls })
            }
        };
        return told(made, report, &wait()?);
    }
    for name in names {
        output::line(format_args!("forkpress: COW cloned '{from}' -> '{name}'"))?;
        output::line(address.url(name))?;
    }
    tell_ready(site, &wait()?)
}

fn list(site: &Site, bytes: bool, as_json: bool) -> Result<(), Failure> {
    let branches = branch::list(site)?;
    let address = Address::of(site);
    let is_measured = bytes || branches.len() <= MEASURED_BRANCHES;
    // A tree that can't be read, or that went just now, is no reason to keep the others back.
    let usages = branches.iter().map(|branch| is_measured.then(|| usage::measure(&branch.path).ok()).flatten());
    if as_json {
        let rows: Vec<_> =
            branches.iter().zip(usages).map(|(branch, usage)| row(site, branch, usage, &address)).collect();
        output::json(&rows)?;
        return Ok(());
    }
    let width = branches.iter().map(|branch| branch.name.as_str().len()).max().unwrap_or_default();
    // All are measured before any is shown.
    let mut rows = Vec::new();
    for (branch, usage) in branches.iter().zip(usages) {
        let name = branch.name.as_str();
        let from = branch.record.from.as_ref().map_or(String::new(), |from| format!("  from {from}"));
        let url = address.url(&branch.name);
        let holds = usage.map_or("-".to_owned(), in_words);
        rows.push(format!("{name:width$}  {url}  {}  {holds}{from}", branch.record.created_at));
    }
    rows.iter().try_for_each(output::line)?;
    if !is_measured {
        output::note("forkpress: to see how many bytes they hold: forkpress branch list --bytes");
    }
    Ok(())
}

fn in_words(usage: Usage) -> String {
    format!("{} own, {} shared", HumanBytes(usage.exclusive_bytes), HumanBytes(usage.shared_bytes))
}

fn show(site: &Site, name: &BranchName, as_json: bool) -> Result<(), Failure> {
    let branch = branch::show(site, name)?;
    let address = Address::of(site);
    let usage = usage::measure(&branch.path);
    if as_json {
        output::json(&row(site, &branch, usage.ok(), &address))?;
        return Ok(());
    }
    output::line(format_args!("forkpress cow branch {name}"))?;
    output::line(format_args!("url:        {}", address.url(name)))?;
    output::line(format_args!("path:       {}", site.layout.public_branch(name).display()))?;
    output::line(format_args!("created:    {}", branch.record.created_at))?;
    if let Some(from) = &branch.record.from {
        output::line(format_args!("from:       {from}"))?;
    }
    output::line(format_args!("generation: {}", branch.record.generation))?;
    output::line(format_args!("file view:  {}", site.config.file_view))?;
    if let Some(uploads) = &branch.record.uploads {
        output::line(format_args!("uploads:    those that are not here: {}", uploads.url))?;
    }
    let holds = usage.map_or_else(|error| format!("- ({error}: {})", error.source), in_words);
    output::line(format_args!("holds:      {holds}"))?;
    Ok(())
}

/// What `--json` says of a branch. Its bytes are null where they can't be told or were not asked for.
fn row(site: &Site, branch: &Branch, usage: Option<Usage>, address: &Address) -> Value {
    json!({
        "name": branch.name.as_str(),
        "url": address.url(&branch.name),
        "path": site.layout.public_branch(&branch.name),
        "created_at": branch.record.created_at,
        "from": branch.record.from.as_ref().map(BranchName::as_str),
        "generation": branch.record.generation,
        "exclusive_bytes": usage.map(|usage| usage.exclusive_bytes),
        "shared_bytes": usage.map(|usage| usage.shared_bytes),
        "uploads": branch.record.uploads,
    })
}

/// What to do about a branch that can't be read.
pub fn give_another_state(name: &BranchName) -> String {
    let force = if name.is_main() { " --force" } else { "" };
    format!("forkpress undo, or forkpress branch reset {name} --from BRANCH{force}, gives it a state that can be read")
}
