//! The files of the journal and of the log, which are TOML.

use std::io::ErrorKind;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::error::StepError;
use crate::disk;
use forkpress_core::own;

/// Reads such a file; none where there is no such file.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StepError> {
    let text = disk::step("read", path, || match own::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        text => text.map(Some),
    })?;
    text.map(|text| toml::from_str(&text))
        .transpose()
        .map_err(|source| StepError::Journal { path: path.to_owned(), source: Box::new(source) })
}
