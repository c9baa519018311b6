//! The files that make up one backup of UpdraftPlus.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::archive::{Archive, SourceFolder, Watch};
use super::error::SourceError;
use super::listing::Volume;
use crate::progress::Silent;

/// One file of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    path: PathBuf,
    /// What all files of the same backup have in common: time, site and number.
    set: String,
    /// What is in it: `plugins`, `themes`, `uploads`, `others`, `db`, ...
    entity: String,
    /// From one on.
    number: u32,
    is_encrypted: bool,
}

impl Part {
    /// Reads the name of a file: `backup_2026-11-27-1200_Site_0123456789ab-uploads2.zip`.
    fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let (set, rest) = name.strip_prefix("backup_")?.rsplit_once('-')?;
        // The entity may have a hyphen itself.
        let (set, rest) = if is_set(set) {
            (set, rest.to_owned())
        } else {
            set.rsplit_once('-').map(|(set, more)| (set, format!("{more}-{rest}")))?
        };
        if !is_set(set) {
            return None;
        }
        let (rest, is_encrypted) = rest.strip_suffix(".crypt").map_or((rest.as_str(), false), |rest| (rest, true));
        let stem = [".zip", ".gz", ".tar.gz", ".tar"].iter().find_map(|ending| rest.strip_suffix(ending))?;
        let entity = stem.trim_end_matches(|c: char| c.is_ascii_digit());
        let number = if entity == stem { 1 } else { stem[entity.len()..].parse().ok()? };
        Some(Self { path: path.to_owned(), set: set.to_owned(), entity: entity.to_owned(), number, is_encrypted })
    }
}

/// Whether this ends in the twelve digits that a backup has.
fn is_set(text: &str) -> bool {
    text.rsplit_once('_').is_some_and(|(_, id)| id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The files of the backup that `source` is one of, or has in it; none where there are none.
///
/// # Errors
/// [`SourceError::Several`] where a folder has those of several backups, and `inside` names none of them;
/// [`SourceError::Refused`] where a part is missing or encrypted.
pub(super) fn volumes(source: &Path, inside: &[PathBuf]) -> Result<Option<Vec<Volume>>, SourceError> {
    let is_folder = source.is_dir();
    let folder = if is_folder {
        source
    } else {
        source.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
    };
    let wanted = match Part::of(source) {
        Some(part) if !is_folder => Some(part.set),
        None if !is_folder => return Ok(None),
        _ => None,
    };
    let mut sets = BTreeMap::<String, Vec<Part>>::new();
    for entry in fs::read_dir(folder).map_err(SourceError::read(folder))? {
        let path = entry.map_err(SourceError::read(folder))?.path();
        if let Some(part) = Part::of(&path).filter(|_| path.is_file()) {
            sets.entry(part.set.clone()).or_default().push(part);
        }
    }
    if let Some(wanted) = wanted {
        sets.retain(|set, _| *set == wanted);
    } else if sets.len() > 1 && !inside.is_empty() {
        let is_named = |parts: &[Part]| {
            parts.iter().any(|part| inside.iter().any(|inside| part.path.file_name() == inside.file_name()))
        };
        sets.retain(|_, parts| is_named(parts));
    }
    if sets.len() > 1 {
        let first = |parts: Vec<Part>| {
            parts.into_iter().map(|part| PathBuf::from(part.path.file_name().unwrap_or_default())).min()
        };
        let choices = sets.into_values().filter_map(first).collect();
        return Err(SourceError::Several { path: source.to_owned(), what: "backups of UpdraftPlus", choices });
    }
    let Some((_, mut parts)) = sets.pop_last() else { return Ok(None) };
    parts.sort_by(|one, other| (&one.entity, one.number).cmp(&(&other.entity, other.number)));
    check(&parts)?;
    let volumes = parts.iter().filter(|part| part.entity != "db" || part.number == 1).map(volume);
    volumes.collect::<Result<_, _>>().map(Some)
}

fn check(parts: &[Part]) -> Result<(), SourceError> {
    let refused = |path: &Path, what: &str, hint: &str| {
        Err(SourceError::Refused { path: path.to_owned(), what: what.to_owned(), hint: hint.to_owned() })
    };
    for (at, part) in parts.iter().enumerate() {
        if part.is_encrypted {
            return refused(
                &part.path,
                "an encrypted database of UpdraftPlus",
                "decrypt it in UpdraftPlus (Existing backups, upload, 'Decrypt'), and put the -db.gz in its place",
            );
        }
        let before = if at > 0 && parts[at - 1].entity == part.entity { parts[at - 1].number } else { 0 };
        // More databases than WordPress's own are numbered, too, and are another matter.
        if part.entity != "db" && part.number != before + 1 {
            let missing = if before == 0 { String::new() } else { (before + 1).to_string() };
            return refused(
                &part.path,
                &format!("a part of a backup that is not whole: the part '{}{missing}' is missing", part.entity),
                "put all files of the backup, with the same twelve digits, into one folder",
            );
        }
    }
    Ok(())
}

/// A file of a backup, with its files where they are in a WordPress.
fn volume(part: &Part) -> Result<Volume, SourceError> {
    if part.entity == "db" {
        return Ok(Volume::new(Archive::Single(SourceFolder::of_file(&part.path)?)));
    }
    let archive = super::open_archive(&part.path, None)?.ok_or_else(|| SourceError::Broken {
        path: part.path.clone(),
        entry: None,
        source: std::io::Error::other("it is no archive"),
    })?;
    let (strip, mount) = match part.entity.as_str() {
        "wpcore" => (only_folder(&archive, "wpcore")?, PathBuf::new()),
        "others" => (only_folder(&archive, "others")?, PathBuf::from("wp-content")),
        _ => (PathBuf::new(), PathBuf::from("wp-content")),
    };
    Ok(Volume { archive, mount, strip })
}

/// This folder, if everything in the archive is in it.
fn only_folder(archive: &Archive, folder: &str) -> Result<PathBuf, SourceError> {
    let mut is_only = true;
    archive.walk(Watch::quiet(&Silent), &mut |entry, _| {
        is_only &= entry.path.starts_with(folder) || entry.path.as_os_str().is_empty();
        Ok(if is_only { std::ops::ControlFlow::Continue(()) } else { std::ops::ControlFlow::Break(()) })
    })?;
    Ok(if is_only { folder.into() } else { PathBuf::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_tells_the_backup_and_the_part() {
        let part = |name: &str| Part::of(Path::new(name)).map(|part| (part.entity, part.number, part.is_encrypted));
        let set = "backup_2026-11-27-1200_My_Site_0123456789ab";
        assert_eq!(part(&format!("x/{set}-uploads12.zip")), Some(("uploads".into(), 12, false)));
        assert_eq!(part(&format!("{set}-db.gz")), Some(("db".into(), 1, false)));
        assert_eq!(part(&format!("{set}-db.gz.crypt")), Some(("db".into(), 1, true)));
        assert_eq!(part(&format!("{set}-mu-plugins.zip")), Some(("mu-plugins".into(), 1, false)));
        for name in ["backup_a-db.gz", "backup_2026_012345678xyz-db.gz", "x-db.gz", "backup_2026_0123456789ab-log.txt"]
        {
            assert_eq!(part(name), None, "{name}");
        }
    }
}
