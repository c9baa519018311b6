//! Brings a site from another machine here, for what then takes it like any other source.

use std::fs;
use std::io;
use std::path::PathBuf;

use forkpress_core::layout::SiteLayout;
use forkpress_engine::progress::Progress;
use forkpress_engine::remote::{Address, Incoming, Overview, Remote, RemoteError, Without};
use forkpress_engine::source::{self, Excluded, Found, Options};
use indicatif::HumanBytes;

use crate::cli::SourceArgs;
use crate::failure::{During, Failure};
use crate::output;

/// What came from another machine.
pub struct Fetched {
    /// What was found in it.
    pub found: Found,
    /// What should be known of how it came.
    pub notes: Vec<String>,
    /// Where it is.
    pub incoming: Incoming,
}

/// Copies it, and looks at the copy.
pub fn fetch(
    address: &Address,
    args: &SourceArgs,
    layout: &SiteLayout,
    progress: &dyn Progress,
) -> Result<Fetched, Failure> {
    check(args)?;
    let incoming = Incoming::make(layout.cow())?;
    let remote = Remote::open(address, incoming.path(), false, progress)?;
    let folder = incoming.path().join("source");
    fs::create_dir(&folder).during(|| format!("cannot make the folder {}", folder.display()))?;
    let without = Without { patterns: &args.exclude, uploads: args.without_uploads };
    let copied = remote.copy(&folder, without, progress)?;
    drop(remote);
    let options = Options { inside: copied.inside, ..Options::default() };
    let mut found = source::look(&folder, &options, progress)?;
    found.path = PathBuf::from(address.to_string());
    found.facts.prefix = copied.prefix.or(found.facts.prefix);
    let is_known = |aside: &source::Aside| found.aside.iter().any(|known| known.path == aside.path);
    let aside: Vec<_> = copied.aside.into_iter().filter(|aside| !is_known(aside)).collect();
    found.aside.extend(aside);
    Ok(Fetched { found, notes: copied.notes, incoming })
}

/// Tells what is there without copying it.
pub fn tell(address: &Address, args: &SourceArgs, progress: &dyn Progress, as_json: bool) -> Result<(), Failure> {
    check(args)?;
    Excluded::parse(&args.exclude)?;
    let folder = tempfile::tempdir().during(|| "cannot make a temporary folder".to_owned())?;
    let overview = Remote::open(address, folder.path(), true, progress)?.overview();
    if as_json {
        output::json(&overview)?;
    } else {
        tell_overview(&overview)?;
    }
    Ok(())
}

fn tell_overview(overview: &Overview) -> io::Result<()> {
    output::line(format_args!("{} is a WordPress", overview.source))?;
    if let Some(bytes) = overview.bytes {
        let uploads = overview.uploads_bytes.map(|bytes| format!(", of which uploads: {}", HumanBytes(bytes)));
        output::line(format_args!("  files: {}{}", HumanBytes(bytes), uploads.unwrap_or_default()))?;
    }
    match (&overview.database, overview.dump) {
        (Some(database), Some(dump)) => output::line(format_args!("  database: {database}, read by {dump}"))?,
        _ => output::line("  database: SQLite, among the files")?,
    }
    if let Some(prefix) = &overview.prefix {
        output::line(format_args!("  table prefix: {prefix}"))?;
    }
    let tell =
        |aside: &source::Aside| output::line(format_args!("  left out: {} ({})", aside.path.display(), aside.name));
    overview.aside.iter().try_for_each(tell)
}

fn check(args: &SourceArgs) -> Result<(), RemoteError> {
    let option = |option| Err(RemoteError::Option { option });
    match args {
        SourceArgs { inside, .. } if !inside.is_empty() => option("--inside"),
        SourceArgs { from_branch: Some(_), .. } => option("--from-branch"),
        _ => Ok(()),
    }
}
