//! Which of the dumps in a source is the site's. Pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::aside;
use super::by_path::{is_code, is_dump_name};
use super::error::SourceError;
use super::listing::{Head, Listing};
use super::magic::Form;
use super::roots::Root;
use super::stream::Packing;

/// A dump, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dump {
    /// Where in the source it is.
    pub path: PathBuf,
    /// As it is stored.
    pub bytes: u64,
    #[serde(skip)]
    pub(super) packing: Packing,
}

/// The parts of one database, in the order in which they are read.
pub(super) type Group = Vec<Dump>;

/// The dump of the site's database: nothing where there is none. `at`: where it has to be.
pub(super) fn choose(
    listing: &Listing,
    source: &Path,
    at: Option<&Path>,
    root: Option<&Root>,
    database: Option<&str>,
    inside: &[PathBuf],
) -> Result<Group, SourceError> {
    let all = all(listing);
    let named: Vec<_> = all.iter().filter(|dump| inside.contains(&dump.path)).cloned().collect();
    let candidates = match at {
        _ if !named.is_empty() => named,
        Some(at) => {
            let (named, others): (Vec<_>, _) =
                all.into_iter().filter(|dump| dump.path.starts_with(at)).partition(|dump| is_dump_name(&dump.path));
            if named.is_empty() { others } else { named }
        }
        None => own(all, root, inside),
    };
    let mut groups = grouped(listing, candidates);
    if groups.len() > 1
        && let Some(database) = database
    {
        let is_of_it = |group: &Group| group.iter().any(|dump| is_of(listing, dump, database));
        if groups.iter().filter(|group| is_of_it(group)).count() == 1 {
            groups.retain(is_of_it);
        }
    }
    if groups.len() > 1 {
        let choices = groups.into_iter().map(|group| place_of(&group)).collect();
        return Err(SourceError::Several { path: source.to_owned(), what: "dumps", choices });
    }
    let mut group = groups.pop().unwrap_or_default();
    // An archive is read from its begin to its end.
    group.sort_by_key(|dump| listing.get(&dump.path).map(|item| item.at));
    Ok(group)
}

/// The dumps that are no samples of code: those in a folder that was chosen, if there are any; backups of a plugin only
/// where there are no others.
fn own(mut dumps: Vec<Dump>, root: Option<&Root>, inside: &[PathBuf]) -> Vec<Dump> {
    dumps.retain(|dump| !is_sample(&dump.path, root));
    let is_chosen =
        |dump: &Dump| inside.iter().any(|inside| !inside.as_os_str().is_empty() && dump.path.starts_with(inside));
    if dumps.iter().any(is_chosen) {
        dumps.retain(is_chosen);
    }
    let is_backup =
        |dump: &Dump| root.and_then(|root| root.place(&dump.path)).is_some_and(|place| aside::is_backup(&place));
    if !dumps.iter().all(is_backup) {
        dumps.retain(|dump| !is_backup(dump));
    }
    dumps
}

/// Whether a dump is in code, which brings it along.
pub(super) fn is_sample(path: &Path, root: Option<&Root>) -> bool {
    is_code(path) || root.and_then(|root| root.place(path)).is_some_and(|place| is_code(&place))
}

/// Every dump in a source.
pub(super) fn all(listing: &Listing) -> Vec<Dump> {
    let dump = |(path, head): (&PathBuf, &Head)| match head.form {
        Form::Dump(packing) => {
            listing.get(path).map(|item| Dump { path: path.clone(), bytes: item.entry.bytes, packing })
        }
        _ => None,
    };
    listing.heads.iter().filter_map(dump).collect()
}

/// What is typed to choose it.
fn place_of(group: &Group) -> PathBuf {
    match group.as_slice() {
        [one] => one.path.clone(),
        [first, ..] => first.path.parent().unwrap_or(Path::new("")).to_owned(),
        [] => PathBuf::new(),
    }
}

/// Dumps of one database that was split by tables are one: each is called like the table that it creates.
fn grouped(listing: &Listing, dumps: Vec<Dump>) -> Vec<Group> {
    let (mut groups, mut split) = (Vec::new(), BTreeMap::<PathBuf, Group>::new());
    for dump in dumps {
        let name = dump.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let stem = name.split('.').next().unwrap_or_default();
        let creates = listing.text(&dump.path).and_then(|text| created_table(&text));
        if creates.is_some_and(|table| table == stem) {
            let folder = dump.path.parent().unwrap_or(Path::new("")).to_owned();
            split.entry(folder).or_default().push(dump);
        } else {
            groups.push(vec![dump]);
        }
    }
    groups.extend(split.into_values());
    groups
}

/// The first table that a dump creates.
fn created_table(text: &str) -> Option<String> {
    let (_, after) = text.split_once("CREATE TABLE")?;
    let after = after.trim_start().trim_start_matches("IF NOT EXISTS").trim_start().trim_start_matches('`');
    Some(after.chars().take_while(|c| !matches!(c, '`' | ' ' | '(' | '\n')).collect())
}

/// Whether a dump says that it is of a database, or is called like it.
fn is_of(listing: &Listing, dump: &Dump, database: &str) -> bool {
    let name = dump.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = [".gz", ".zst", ".bz2"].iter().fold(name, |name, end| name.strip_suffix(end).unwrap_or(name));
    let says = |text: &str| {
        let line = |line: &str| line.split_once("Database:").map(|(_, name)| name.trim().trim_matches('`').to_owned());
        text.lines()
            .take(30)
            .filter(|line| line.starts_with("--") || line.starts_with('#'))
            .find_map(line)
            .is_some_and(|name| name == database)
    };
    stem.strip_suffix(".sql") == Some(database) || listing.text(&dump.path).is_some_and(|text| says(&text))
}

/// What is to be said of a dump that is split by tables.
pub(super) fn notes(group: &Group) -> Vec<String> {
    if group.len() < 2 {
        return Vec::new();
    }
    let stem = |dump: &Dump| {
        dump.path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split('.').next()).map(str::to_owned)
    };
    let tables: Vec<_> = group.iter().filter_map(stem).collect();
    let mut notes = vec![format!("the dump has {} files, one for each table", group.len())];
    for table in ["users", "usermeta"] {
        if !tables.iter().any(|name| name.ends_with(table)) {
            notes.push(format!("the dump has no table of {table}"));
        }
    }
    notes
}
