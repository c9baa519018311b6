//! A merge as a mutation: files and a database for a branch, and a parting of it and the branch that came home.

use super::error::ChangeError;
use super::files::Overlay;
use super::history::Operation;
use super::new_database::DatabaseEdit;
use super::parting::StagedParting;
use super::transaction::{Begun, Prepared, draft, files};
use crate::branch;
use crate::database::DatabaseReader;
use crate::progress::Progress;
use crate::site::Site;
use forkpress_core::lock::Patience;
use forkpress_core::name::BranchName;
use forkpress_core::record::BranchRecord;

/// A merge that has begun: nobody else changes the target, or its files, until it is dropped.
#[derive(Debug)]
pub(crate) struct Merge<'site> {
    site: &'site Site,
    source: BranchName,
    target: BranchName,
    /// What the source's record was before anything of it was read.
    taken: Option<BranchRecord>,
    begun: Begun,
}

impl<'site> Merge<'site> {
    /// Begins to merge `source` into `target`.
    pub(crate) fn begin(
        site: &'site Site,
        source: &BranchName,
        target: &BranchName,
        patience: &mut Patience<'_>,
        progress: &dyn Progress,
    ) -> Result<Self, ChangeError> {
        let words = format!("branch merge {source} --into {target}");
        let begun = Begun::begin(site, std::slice::from_ref(target), &words, patience, progress)?;
        let taken = branch::show(site, source)
            .map_err(|source_error| ChangeError::Source { name: source.clone(), source: source_error })?;
        Ok(Self { site, source: source.clone(), target: target.clone(), taken: Some(taken.record), begun })
    }

    /// Stages what both will have had in common: the source as it is. `files`: as `git ls-tree -r -z` lists them.
    pub(crate) fn part(
        &self,
        files: &[u8],
        database: Option<&DatabaseReader>,
        progress: &dyn Progress,
    ) -> Result<StagedParting, ChangeError> {
        Ok(StagedParting::of_branch(
            self.site,
            &self.target,
            &self.source,
            self.taken.clone(),
            files,
            database,
            progress,
        )?)
    }

    /// Stages what the target gets.
    pub(crate) fn prepare(
        self,
        overlay: &mut dyn Overlay,
        database: Option<Box<dyn DatabaseEdit>>,
        parting: StagedParting,
        patience: &mut Patience<'_>,
        progress: &dyn Progress,
    ) -> Result<Prepared<'site>, ChangeError> {
        let Self { site, source, target, begun, .. } = self;
        let mut entry = draft(site, Operation::Merge, &target, None)?;
        entry.from = Some(source);
        let prepared = files(site, begun, entry, overlay, database, patience, progress)?;
        Ok(Prepared { parting: Some(parting), ..prepared })
    }
}
