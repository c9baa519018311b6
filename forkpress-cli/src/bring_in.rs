//! Brings a source into a tree: what `init --from` and `import` have in common.

use std::io;
use std::path::{Path, PathBuf};

use forkpress_core::layout::SiteLayout;
use forkpress_engine::import::{Import, ImportEdit, Imported};
use forkpress_engine::progress::Progress;
use forkpress_engine::source::{self, Excluded, Found, Options, PASSWORD_VARIABLE};
use indicatif::HumanBytes;

use crate::bundle::Bundle;
use crate::cli::SourceArgs;
use crate::failure::Failure;
use crate::{init, output};

/// What makes tables through the driver, in the runtime folder.
const TABLES: &str = "tables.php";

/// A source that was looked at.
pub struct Looked {
    pub found: Found,
    excluded: Excluded,
    rewrite_urls: bool,
    bundle: Bundle,
    config: String,
}

/// What it is brought in with.
pub struct With<'a> {
    /// The site.
    pub layout: &'a SiteLayout,
    /// The PHP program.
    pub php: &'a Path,
    /// The address that the tree will have.
    pub url: &'a str,
}

impl Looked {
    /// Finds out what a source is, and gets ready what it lacks.
    pub fn at(path: &Path, args: &SourceArgs, progress: &dyn Progress) -> Result<Self, Failure> {
        let excluded = Excluded::parse(&args.exclude)?;
        let found = look(path, args, progress)?;
        let bundle = Bundle::embedded().ok_or_else(|| {
            Failure::new("this forkpress has no WordPress in it, and an import needs the SQLite driver")
                .hint("build it with 'make build', or take a released one")
        })?;
        Ok(Self { found, excluded, rewrite_urls: args.rewrite_urls, bundle, config: init::new_config()? })
    }

    /// Fills a tree with it.
    pub fn fill(&self, with: &With<'_>, tree: &Path, progress: &dyn Progress) -> Result<Imported, Failure> {
        Ok(self.import(with).fill(tree, progress)?)
    }

    /// Makes it what becomes of a new branch's tree.
    pub fn edit<'a>(&'a self, with: &'a With<'a>, progress: &'a dyn Progress) -> ImportEdit<'a> {
        ImportEdit { import: self.import(with), progress, imported: Imported::default() }
    }

    fn import<'a>(&'a self, with: &'a With<'a>) -> Import<'a> {
        Import {
            found: &self.found,
            excluded: &self.excluded,
            unpack_bundled: Box::new(|folder, progress| {
                self.bundle.unpack_wordpress(folder, progress).map_err(io::Error::other)
            }),
            config: &self.config,
            php: vec![with.php.into()],
            tables: with.layout.runtime_dir().join(TABLES),
            rewrite_to: self.rewrite_urls.then_some(with.url),
        }
    }
}

/// Finds out what a source is.
pub fn look(path: &Path, args: &SourceArgs, progress: &dyn Progress) -> Result<Found, Failure> {
    let password = std::env::var(PASSWORD_VARIABLE).ok().filter(|password| !password.is_empty());
    let options = Options { inside: args.inside.clone(), password, branch: args.from_branch.clone() };
    Ok(source::look(path, &options, progress)?)
}

/// Says what was found in a source.
pub fn tell_found(found: &Found) -> io::Result<()> {
    output::line(format_args!("{} is {}", found.path.display(), found.kind.name()))?;
    let facts = &found.facts;
    let known = [
        ("WordPress", facts.wordpress.as_deref()),
        ("PHP", facts.php.as_deref()),
        ("table prefix", facts.prefix.as_deref()),
        ("charset", facts.charset.as_deref()),
        ("address", facts.home.as_deref().or(facts.siteurl.as_deref())),
    ];
    for (name, value) in known {
        if let Some(value) = value {
            output::line(format_args!("  {name}: {value}"))?;
        }
    }
    if facts.network.is_some() {
        output::line("  a network of sites")?;
    }
    if found.root.is_some() {
        output::line(format_args!("  files: {} ({})", found.files, HumanBytes(found.bytes)))?;
    }
    for dump in &found.dumps {
        output::line(format_args!("  dump: {} ({})", dump.path.display(), HumanBytes(dump.bytes)))?;
    }
    if let Some(database) = &found.database {
        output::line(format_args!("  database: {}", database.display()))?;
    }
    tell_aside(found)?;
    found.notes.iter().try_for_each(|note| output::line(format_args!("  note: {note}")))
}

/// Says what of a source stays out.
pub fn tell_aside(found: &Found) -> io::Result<()> {
    let tell =
        |aside: &source::Aside| output::line(format_args!("  left out: {} ({})", aside.path.display(), aside.name));
    found.aside.iter().try_for_each(tell)
}

/// Says what was brought in.
pub fn tell(imported: &Imported) -> io::Result<()> {
    if imported.files.files > 0 {
        output::line(format_args!("  files:     {} ({})", imported.files.files, HumanBytes(imported.files.bytes)))?;
    }
    if let (Some(tables), Some(rows)) = (imported.tables, imported.rows) {
        output::line(format_args!("  database:  {tables} tables, {rows} rows"))?;
    }
    if let Some(version) = &imported.wordpress {
        output::line(format_args!("  WordPress: {version}"))?;
    }
    if !imported.addresses.is_empty() {
        let became = if imported.rewritten.is_some() {
            "replaced in the database"
        } else {
            "each branch serves its own instead"
        };
        output::line(format_args!("  was at:    {} ({became})", imported.addresses.join(", ")))?;
    }
    for left in &imported.config_left_out {
        output::line(format_args!("  not kept of wp-config.php: {}, line {}: {}", left.name, left.line, left.why))?;
    }
    imported.notes.iter().try_for_each(|note| output::line(format_args!("  note: {note}")))
}

/// What of a source the log names.
pub fn word(source: &Path) -> String {
    let name = source.file_name().map_or_else(|| PathBuf::from(source), PathBuf::from);
    format!("import of {}", name.display())
}
