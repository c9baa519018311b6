//! What the overview, the log and the page of what goes on show.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use forkpress_core::layout::SiteLayout;
use forkpress_core::name::BranchName;
use forkpress_engine::activity::{RequestRow, Sample, Served};
use forkpress_engine::branch;
use forkpress_engine::jobs;
use forkpress_engine::mutation::history::{History, LogEntry};
use forkpress_engine::site::Site;
use forkpress_page::facts::{BranchFacts, Happened, Overview};
use forkpress_page::watch::Watched;
use forkpress_server::traffic::Traffic;

use super::digests::Digests;
use super::moment;
use crate::deaths;
use crate::failure::Failure;
use crate::server::Warmed;
use crate::server::status::held;
use crate::site::Address;

/// All branches, as far as they are known at once.
pub(super) fn overview(site: &Site, digests: &Digests) -> Result<Overview, Failure> {
    let operations = operations(site)?;
    let warmed = Warmed::read(site);
    let running = running_jobs(&site.layout);
    let errors = digests.errors();
    let listed = branch::list_each(site)?;
    // The list is in order but for main, which is first.
    digests.keep(|name| {
        name.is_main() || listed.binary_search_by(|(known, _)| (!known.is_main(), known).cmp(&(true, name))).is_ok()
    });
    let branches = listed.into_iter().map(|(name, shown)| {
        let (record, problem) = match shown {
            Ok(branch) => (Some(branch.record), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let is_warm = warmed.as_ref().zip(record.as_ref()).map(|(warmed, record)| {
            warmed
                .branches
                .get(&name)
                .is_some_and(|warm| warm.generation >= record.generation && warm.problem.is_none())
        });
        BranchFacts {
            from: record.as_ref().and_then(|record| record.from.clone()),
            at: record.as_ref().map_or(0, |record| moment::of_record(&record.created_at).unwrap_or(0)),
            operation: record.as_ref().and_then(|record| record.operation),
            is_warm,
            errors: errors.as_ref().map(|errors| errors.get(&name).copied().unwrap_or(0)),
            jobs: running.get(&name).cloned().unwrap_or_default(),
            digest: digests.get(&name),
            problem,
            name,
        }
    });
    Ok(Overview { branches: branches.collect(), operations })
}

/// The operations, newest first.
pub(super) fn operations(site: &Site) -> Result<Vec<Happened>, Failure> {
    newest(site, usize::MAX, |_| true)
}

/// Those that changed a branch, or took what it had, newest first, and no more than so many.
pub(super) fn operations_on(site: &Site, name: &BranchName, most: usize) -> Result<Vec<Happened>, Failure> {
    newest(site, most, |entry| entry.names().any(|changed| changed == name) || entry.from.as_ref() == Some(name))
}

fn newest(site: &Site, most: usize, is_told: impl Fn(&LogEntry) -> bool) -> Result<Vec<Happened>, Failure> {
    let cow = site.layout.cow();
    let history = History::read(cow)?;
    let undone_by: BTreeMap<u64, u64> =
        history.entries.iter().filter_map(|entry| Some((entry.undoes?, entry.id))).collect();
    let of_branch = history.entries.iter().rev().filter(|entry| is_told(entry));
    let happened = of_branch.take(most).map(|entry| {
        let undone_by = undone_by.get(&entry.id).copied();
        let can_be_undone = undone_by.is_none() && history.is_undoable(cow, entry);
        happened(entry, undone_by, can_be_undone)
    });
    Ok(happened.collect())
}

fn happened(entry: &LogEntry, undone_by: Option<u64>, can_be_undone: bool) -> Happened {
    Happened {
        id: entry.id,
        operation: entry.operation,
        names: entry.names().cloned().collect(),
        from: entry.from.clone(),
        undoes: entry.undoes,
        undone_by,
        can_be_undone,
        words: entry.to_string(),
        at: entry.at,
        user: entry.user.clone(),
        pid: entry.pid,
        program: entry.program.clone(),
        took: entry.took_ms.map(Duration::from_millis),
        held: entry.held_us.map(Duration::from_micros),
    }
}

/// The jobs that run, by the branches that they name. Where they can't be read, none is shown.
fn running_jobs(layout: &SiteLayout) -> BTreeMap<BranchName, Vec<String>> {
    let mut running: BTreeMap<BranchName, Vec<String>> = BTreeMap::new();
    for job in jobs::list(layout).unwrap_or_default().jobs.iter().filter(|job| job.is_running()) {
        for name in job.command.iter().filter_map(|word| BranchName::parse(word).ok()) {
            let jobs = running.entry(name).or_default();
            if jobs.last() != Some(&job.id.to_string()) {
                jobs.push(job.id.to_string());
            }
        }
    }
    running
}

/// What goes on now, in a site that this process serves.
pub(super) fn sample(site: &Site, address: &Address, traffic: &Arc<Traffic>) -> Result<Sample, Failure> {
    let served = Served {
        url: Some(address.url(&BranchName::main())),
        address: &|name| address.url(name),
        opcache_fullness: Warmed::read(site).and_then(|warmed| warmed.opcache).map(|opcache| opcache.fullness()),
        waiting: held(traffic.running()).into_iter().map(RequestRow::from).collect(),
    };
    Ok(Sample::take(site, served)?)
}

/// The folders that tell what changes: where commands write down what they did, and the logs of PHP's errors.
pub(super) fn watched(layout: &SiteLayout) -> Vec<Watched> {
    let cow = layout.cow();
    let all = |folder| Watched { folder, written: None };
    let mut watched = vec![all(cow.log_dir()), all(cow.records_dir()), all(cow.kept_dir()), all(layout.jobs_dir())];
    let running = jobs::list(layout).unwrap_or_default().jobs.into_iter().filter(jobs::Job::is_running);
    let told = ["progress", "end.json"].map(str::to_owned);
    watched.extend(
        running.map(|job| Watched { folder: layout.jobs_dir().join(job.id.to_string()), written: Some(told.to_vec()) }),
    );
    let mut written: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    for file in [cow.warm_state(), layout.php_errors_log(), deaths::debug_log(layout)] {
        if let (Some(folder), Some(name)) = (file.parent(), file.file_name().and_then(OsStr::to_str)) {
            written.entry(folder.to_owned()).or_default().push(name.to_owned());
        }
    }
    watched.extend(written.into_iter().map(|(folder, names)| Watched { folder, written: Some(names) }));
    watched
}
