//! Brings a source into a tree: what `init --from` and `import` have in common.

use std::io;
use std::path::{Path, PathBuf};

use forkpress_core::layout::SiteLayout;
use forkpress_engine::import::{Contents, Import, ImportEdit, Imported};
use forkpress_engine::progress::Progress;
use forkpress_engine::remote::{Address, Incoming};
use forkpress_engine::scrub::Scrubbed;
use forkpress_engine::source::{self, Aside, Excluded, Found, Options, PASSWORD_VARIABLE, Why};
use indicatif::HumanBytes;

use crate::bundle::Bundle;
use crate::cli::SourceArgs;
use crate::contents::{ContentsEdit, ContentsImport, With};
use crate::failure::Failure;
use crate::{output, remote, secret};

/// What makes tables through the driver, in the runtime folder.
const TABLES: &str = "tables.php";

/// A source that was looked at.
pub struct Looked {
    pub found: Found,
    excluded: Excluded,
    without_uploads: bool,
    rewrite_urls: bool,
    scrub: bool,
    /// What it is called in the log.
    pub word: String,
    /// What should be known of how it came.
    pub notes: Vec<String>,
    /// Where it is until it is in a tree, if it came from another machine.
    _incoming: Option<Incoming>,
    bundle: Bundle,
    config: String,
}

impl Looked {
    /// Finds out what a source is, and gets ready what it lacks.
    /// What is on another machine comes into the site's folder for that.
    pub fn at(path: &Path, args: &SourceArgs, layout: &SiteLayout, progress: &dyn Progress) -> Result<Self, Failure> {
        let excluded = Excluded::parse(&args.exclude)?;
        let bundle = Bundle::embedded().ok_or_else(|| {
            Failure::new("this forkpress has no WordPress in it, and an import needs the SQLite driver")
                .hint("build it with 'make build', or take a released one")
        })?;
        let (found, word, notes, incoming) = match Address::of(path)? {
            None => (look(path, args, progress)?, word(path), Vec::new(), None),
            Some(address) => {
                let fetched = remote::fetch(&address, args, layout, progress)?;
                (fetched.found, format!("import of {}", address.word()), fetched.notes, Some(fetched.incoming))
            }
        };
        if args.scrub && found.is_contents() {
            return Err(Failure::new(
                "--scrub replaces people's data in a database, and an export of contents has none",
            )
            .hint("import a dump of the site's database with --scrub, or leave --scrub out"));
        }
        Ok(Self {
            found,
            excluded,
            without_uploads: args.without_uploads,
            rewrite_urls: args.rewrite_urls,
            scrub: args.scrub,
            word,
            notes,
            _incoming: incoming,
            bundle,
            config: secret::new_config()?,
        })
    }

    /// Imports the contents that it is into a tree in which WordPress was installed just now.
    pub fn fill_contents(&self, with: &With<'_>, tree: &Path, progress: &dyn Progress) -> Result<Imported, Failure> {
        self.contents(with, true).fill(tree, progress)
    }

    /// Makes the contents that it is what becomes of a new branch's tree.
    pub fn contents_edit<'a>(&'a self, with: &'a With<'a>, progress: &'a dyn Progress) -> ContentsEdit<'a> {
        ContentsEdit { import: self.contents(with, false), progress, imported: Imported::default() }
    }

    fn contents<'a>(&'a self, with: &'a With<'a>, is_new: bool) -> ContentsImport<'a> {
        ContentsImport {
            found: &self.found,
            with,
            is_new,
            without_uploads: self.without_uploads,
            rewrite_urls: self.rewrite_urls,
        }
    }

    /// Fills a tree with it.
    pub fn fill(&self, with: &With<'_>, tree: &Path, progress: &dyn Progress) -> Result<Imported, Failure> {
        let mut imported = self.import(with).fill(tree, progress)?;
        imported.notes.extend(self.notes.iter().cloned());
        Ok(imported)
    }

    /// Makes it what becomes of a new branch's tree.
    pub fn edit<'a>(&'a self, with: &'a With<'a>, progress: &'a dyn Progress) -> ImportEdit<'a> {
        ImportEdit { import: self.import(with), progress, imported: Imported::default() }
    }

    fn import<'a>(&'a self, with: &'a With<'a>) -> Import<'a> {
        Import {
            found: &self.found,
            excluded: &self.excluded,
            without_uploads: self.without_uploads,
            unpack_bundled: Box::new(|folder, progress| {
                self.bundle.unpack_wordpress(folder, progress).map_err(io::Error::other)
            }),
            config: &self.config,
            php: vec![with.php.into()],
            tables: with.layout.runtime_dir().join(TABLES),
            rewrite_to: self.rewrite_urls.then_some(with.url),
            scrub: self.scrub,
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
    for contents in &found.contents {
        output::line(format_args!("  contents: {}", contents.display()))?;
    }
    for dump in &found.dumps {
        output::line(format_args!("  dump: {} ({})", dump.path.display(), HumanBytes(dump.bytes)))?;
    }
    if let Some(database) = &found.database {
        output::line(format_args!("  database: {}", database.display()))?;
    }
    tell_aside(&found.aside)?;
    found.notes.iter().try_for_each(|note| output::line(format_args!("  note: {note}")))
}

/// Says what of a source stays out, but for what is made anew.
fn tell_aside(aside: &[Aside]) -> io::Result<()> {
    let is_left_out = |aside: &&Aside| !matches!(aside.why, Why::Configuration | Why::Database);
    let tell = |aside: &Aside| output::line(format_args!("  left out:  {} ({})", aside.path.display(), aside.name));
    aside.iter().filter(is_left_out).try_for_each(tell)
}

/// Says what was brought in.
pub fn tell(imported: &Imported) -> io::Result<()> {
    if imported.files.files > 0 {
        output::line(format_args!("  files:     {} ({})", imported.files.files, HumanBytes(imported.files.bytes)))?;
    }
    let database = database(imported);
    if !database.is_empty() {
        output::line(format_args!("  database:  {}", database.join(", ")))?;
    }
    if let Some(contents) = &imported.contents {
        let Contents { posts, comments, terms, media, media_left_out, authors } = contents;
        output::line(format_args!("  contents:  {posts} posts and pages, {comments} comments, {terms} terms"))?;
        if media + media_left_out > 0 {
            output::line(format_args!("  media:     {media} fetched, {media_left_out} not"))?;
        }
        if !authors.is_empty() {
            output::line(format_args!(
                "  users:     {} (new; set their passwords before they log in)",
                authors.join(", ")
            ))?;
        }
    }
    if let Some(version) = &imported.wordpress {
        let php = imported.source.php.as_ref().map(|php| format!(" (it ran on PHP {php})"));
        output::line(format_args!("  WordPress: {version}{}", php.unwrap_or_default()))?;
    }
    if imported.is_network {
        output::line("  network:   yes, of several sites")?;
    }
    if !imported.addresses.is_empty() {
        let became = if imported.rewritten.is_some() {
            "replaced in the database"
        } else {
            "each branch serves its own instead"
        };
        output::line(format_args!("  was at:    {} ({became})", imported.addresses.join(", ")))?;
    }
    if let Some(scrubbed) = &imported.scrubbed {
        tell_scrubbed(scrubbed)?;
    }
    if let Some(uploads) = &imported.uploads {
        output::line(format_args!("  uploads:   not here; requests for them are sent to {}", uploads.url))?;
    }
    tell_aside(&imported.set_aside)?;
    for left in imported.config_left_out.chunk_by(|one, next| one.why == next.why) {
        let names: Vec<_> = left.iter().map(|left| format!("{} (line {})", left.name, left.line)).collect();
        output::line(format_args!("  not kept of wp-config.php: {}: {}", names.join(", "), left[0].why))?;
    }
    imported.notes.iter().try_for_each(|note| output::line(format_args!("  note: {note}")))
}

/// Says what of people was replaced, and how to log in now.
fn tell_scrubbed(scrubbed: &Scrubbed) -> io::Result<()> {
    let counts: Vec<_> = scrubbed.replaced.iter().map(|(what, count)| format!("{count} {what}")).collect();
    let counts = if counts.is_empty() { "nothing".to_owned() } else { counts.join(", ") };
    output::line(format_args!("  scrubbed:  {counts}, in {} rows", scrubbed.rows))?;
    if !scrubbed.emptied.is_empty() {
        output::line(format_args!("  emptied:   {}", scrubbed.emptied.join(", ")))?;
    }
    output::line(
        "  no user has a password now: forkpress wp [BRANCH] -- user update ID --user_pass=PASSWORD --skip-email",
    )
}

/// What there is to know of the database.
fn database(imported: &Imported) -> Vec<String> {
    let rows = imported.tables.zip(imported.rows).map(|(tables, rows)| format!("{tables} tables, {rows} rows"));
    let prefix = imported.prefix.as_ref().map(|prefix| format!("prefix {prefix}"));
    [rows, prefix, imported.source.charset.clone()].into_iter().flatten().collect()
}

/// What of a source the log names.
fn word(source: &Path) -> String {
    let name = source.file_name().map_or_else(|| PathBuf::from(source), PathBuf::from);
    format!("import of {}", name.display())
}
