//! Which tool made a source, told by what is in it. Pure.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::archive::Archive;
use super::by_path;
use super::error::SourceError;
use super::facts::{Facts, WPRESS_PLACEHOLDER};
use super::listing::Listing;
use super::roots::{self, Root};

/// What a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A WordPress, or only its `wp-content`, perhaps with a dump beside it.
    WordPress,
    /// A WordPress with an SQLite database in it.
    WordPressSqlite,
    /// A dump alone.
    Dump,
    /// An SQLite database alone.
    Sqlite,
    /// An export of Local.
    Local,
    /// An export of WordPress Studio.
    StudioExport,
    /// The folder of a site of WordPress Studio.
    StudioSite,
    /// An export of WordPress Playground.
    Playground,
    /// A backup of All-in-One WP Migration.
    AllInOne,
    /// A set of backups of UpdraftPlus.
    Updraft,
    /// An archive of Duplicator.
    Duplicator,
    /// A backup of Jetpack or VaultPress.
    Jetpack,
    /// A backup of BackWPup.
    BackWpup,
    /// A backup of an account of cPanel.
    Cpanel,
    /// An export of WP Migrate.
    WpMigrate,
    /// A branch of a ForkPress site.
    ForkPressSite,
    /// An export of a ForkPress site.
    ForkPressExport,
    /// An export of WordPress's contents (WXR).
    Wxr,
}

impl Kind {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WordPress => "a WordPress",
            Self::WordPressSqlite => "a WordPress with an SQLite database",
            Self::Dump => "a dump of a database",
            Self::Sqlite => "an SQLite database",
            Self::Local => "an export of Local",
            Self::StudioExport => "an export of WordPress Studio",
            Self::StudioSite => "a site of WordPress Studio",
            Self::Playground => "an export of WordPress Playground",
            Self::AllInOne => "a backup of All-in-One WP Migration",
            Self::Updraft => "a backup of UpdraftPlus",
            Self::Duplicator => "an archive of Duplicator",
            Self::Jetpack => "a backup of Jetpack",
            Self::BackWpup => "a backup of BackWPup",
            Self::Cpanel => "a backup of cPanel",
            Self::WpMigrate => "an export of WP Migrate",
            Self::ForkPressSite => "a branch of a ForkPress site",
            Self::ForkPressExport => "an export of a ForkPress site",
            Self::Wxr => "an export of WordPress's contents (WXR)",
        }
    }
}

/// What is known of a source once its maker is.
#[derive(Debug)]
pub(super) struct Recognised {
    pub(super) kind: Kind,
    /// Where its WordPress may be; none where it has to be looked for.
    pub(super) roots: Option<Vec<Root>>,
    /// The folder or file that its dumps are at; none where they have to be looked for.
    pub(super) dumps: Option<PathBuf>,
    pub(super) facts: Facts,
}

/// Tells who made a source.
pub(super) fn recognise(listing: &Listing, source: &Path) -> Result<Recognised, SourceError> {
    refuse(listing, source)?;
    let found =
        [wpress, duplicator, local, playground, studio_or_jetpack, back_wpup, cpanel, wp_migrate, forkpress_export]
            .iter()
            .find_map(|is| is(listing));
    Ok(found.unwrap_or_else(|| Recognised { kind: Kind::WordPress, roots: None, dumps: None, facts: Facts::default() }))
}

/// Refuses what is known and has what matters in further archives.
fn refuse(listing: &Listing, source: &Path) -> Result<(), SourceError> {
    let refused = |what: &str, hint: &str| {
        Err(SourceError::Refused { path: source.to_owned(), what: what.to_owned(), hint: hint.to_owned() })
    };
    let names = || listing.items.iter().filter_map(|item| item.path.file_name()?.to_str());
    let has = |start: &str, ends: &[&str]| {
        names().any(|name| name.starts_with(start) && ends.iter().any(|end| name.ends_with(end)))
    };
    if has("backup_info_", &[".xml"])
        && (has("backup_user-data", &[".tgz", ".tar", ".tzst", ".zip"]) || has("backup_domainmail", &[".tgz"]))
    {
        return refused(
            "a backup of Plesk, with archives in it",
            "unpack it, put the site's backup_user-data archive and the dump of its database into one folder, and import that folder",
        );
    }
    if listing
        .named("homedir.tar")
        .any(|path| path.parent().is_some_and(|base| listing.has_folder(&base.join("mysql"))))
    {
        return refused(
            "a backup of cPanel, with an archive in it",
            "unpack it, and homedir.tar into a folder 'homedir' in it, and import that folder",
        );
    }
    Ok(())
}

/// The folder that has a file with this name in it; the topmost, if several have.
fn base_of(listing: &Listing, name: &str) -> Option<PathBuf> {
    let base = listing
        .named(name)
        .map(|path| path.parent().unwrap_or(Path::new("")))
        .min_by_key(|base| base.components().count());
    base.filter(|base| !by_path::is_code(base)).map(Path::to_owned)
}

fn facts_at(listing: &Listing, path: &Path) -> Option<Facts> {
    listing.json(path).map(|json| Facts::of_json(&json))
}

fn root_at(listing: &Listing, folder: PathBuf) -> Vec<Root> {
    let below = roots::find(listing).into_iter().filter(|root| root.folder == folder).collect::<Vec<_>>();
    if below.is_empty() { vec![Root::new(folder, false)] } else { below }
}

fn wpress(listing: &Listing) -> Option<Recognised> {
    let volume = listing.volumes.iter().find(|volume| matches!(volume.archive, Archive::Wpress(_)))?;
    let base = volume.mount.clone();
    let placeholder = Facts { prefix_placeholder: Some(WPRESS_PLACEHOLDER.to_owned()), ..Facts::default() };
    let mut facts = facts_at(listing, &base.join("package.json")).unwrap_or_default().or(placeholder);
    if listing.has_file(&base.join("multisite.json")) {
        facts.network.get_or_insert_default();
    }
    let root = Root::new(base.clone(), false);
    Some(Recognised { kind: Kind::AllInOne, roots: Some(vec![root]), dumps: Some(base.join("database.sql")), facts })
}

fn duplicator(listing: &Listing) -> Option<Recognised> {
    let description = listing.items.iter().map(|item| &item.path).find(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("dup-archive__")
            && name.ends_with(".txt")
            && path.parent().is_some_and(|folder| folder.ends_with("dup-installer"))
    });
    if let Some(description) = description {
        let installer = description.parent()?;
        let base = installer.parent()?.to_owned();
        let facts = facts_at(listing, description).unwrap_or_default();
        return Some(Recognised {
            kind: Kind::Duplicator,
            roots: Some(root_at(listing, base)),
            dumps: Some(installer.to_owned()),
            facts,
        });
    }
    // Before 1.3.
    let base = base_of(listing, "installer-backup.php")?;
    let dump = base.join("database.sql");
    listing.has_file(&dump).then(|| Recognised {
        kind: Kind::Duplicator,
        roots: Some(root_at(listing, base)),
        dumps: Some(dump),
        facts: Facts::default(),
    })
}

fn local(listing: &Listing) -> Option<Recognised> {
    let base = base_of(listing, "local-site.json").or_else(|| {
        let mut sql =
            listing.named("local.sql").filter(|path| path.parent().is_some_and(|folder| folder.ends_with("app/sql")));
        sql.next()?.ancestors().nth(3).map(Path::to_owned)
    })?;
    let (public, sql) = (base.join("app/public"), base.join("app/sql"));
    listing.has_folder(&public).then(|| Recognised {
        kind: Kind::Local,
        roots: Some(root_at(listing, public)),
        dumps: listing.has_folder(&sql).then_some(sql),
        facts: facts_at(listing, &base.join("local-site.json")).unwrap_or_default(),
    })
}

/// Whether there is a WordPress with an SQLite database in a folder.
pub(super) fn has_sqlite(listing: &Listing, base: &Path) -> bool {
    let folder = base.join("wp-content/database");
    let is_of_it =
        |path: &Path| matches!(listing.heads.get(path).map(|head| &head.form), Some(super::magic::Form::Sqlite));
    listing.below(&folder).iter().any(|item| is_of_it(&item.path))
}

fn playground(listing: &Listing) -> Option<Recognised> {
    let described = base_of(listing, "playground-export.json");
    let base = described.clone().or_else(|| {
        let mut found = roots::find(listing).into_iter().filter(|root| has_sqlite(listing, &root.folder));
        found.next().map(|root| root.folder)
    })?;
    if !has_sqlite(listing, &base) {
        return None;
    }
    let is_archive = listing.volumes.iter().any(|volume| matches!(volume.archive, Archive::Zip(_)));
    let content = base.join("wp-content/mu-plugins");
    let is_studio = listing.has_folder(&content.join("sqlite-database-integration"))
        && listing.items.iter().any(|item| {
            item.path.parent() == Some(&content)
                && item.path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"0-"))
        });
    let is_sql_beside =
        listing.below(&base.join("sql")).iter().any(|item| item.path.extension().is_some_and(|end| end == "sql"));
    let kind = match (described.is_some(), is_studio) {
        (true, _) => Kind::Playground,
        (_, true) => Kind::StudioSite,
        _ if is_archive && !is_sql_beside && !listing.has_file(&base.join("wp-load.php")) => Kind::Playground,
        _ => Kind::WordPressSqlite,
    };
    let facts = facts_at(listing, &base.join("playground-export.json")).unwrap_or_default();
    Some(Recognised { kind, roots: Some(root_at(listing, base)), dumps: None, facts })
}

fn studio_or_jetpack(listing: &Listing) -> Option<Recognised> {
    let (base, is_named) = match base_of(listing, "studio.json") {
        Some(base) => (base, true),
        None => (base_of(listing, "meta.json")?, false),
    };
    let sql = base.join("sql");
    if !listing.has_folder(&sql) || !(listing.has_folder(&base.join("wp-content")) || is_named) {
        return None;
    }
    let json = [base.join("studio.json"), base.join("meta.json")]
        .iter()
        .find_map(|path| listing.json(path))
        .unwrap_or_default();
    let is_studio = is_named || ["siteUrl", "phpVersion", "wordpressVersion"].iter().any(|key| json.get(key).is_some());
    Some(Recognised {
        kind: if is_studio { Kind::StudioExport } else { Kind::Jetpack },
        roots: Some(root_at(listing, base)),
        dumps: Some(sql),
        facts: Facts::of_json(&json),
    })
}

fn back_wpup(listing: &Listing) -> Option<Recognised> {
    let base = base_of(listing, "manifest.json")?;
    let json = listing.json(&base.join("manifest.json"))?;
    json.get("blog_info")?;
    Some(Recognised { kind: Kind::BackWpup, roots: None, dumps: None, facts: Facts::of_json(&json) })
}

fn cpanel(listing: &Listing) -> Option<Recognised> {
    let of_mysql =
        listing.items.iter().filter_map(|item| item.path.ancestors().find(|folder| folder.ends_with("mysql")));
    let base = of_mysql.filter_map(Path::parent).find(|base| listing.has_folder(&base.join("homedir")))?.to_owned();
    let homedir = base.join("homedir");
    let found = roots::find(listing).into_iter().filter(|root| root.folder.starts_with(&homedir)).collect();
    Some(Recognised {
        kind: Kind::Cpanel,
        roots: Some(found),
        dumps: Some(base.join("mysql")),
        facts: Facts::default(),
    })
}

fn wp_migrate(listing: &Listing) -> Option<Recognised> {
    let base = base_of(listing, "wpmigrate-export.json")?;
    let facts = facts_at(listing, &base.join("wpmigrate-export.json")).unwrap_or_default();
    Some(Recognised { kind: Kind::WpMigrate, roots: None, dumps: None, facts })
}

fn forkpress_export(listing: &Listing) -> Option<Recognised> {
    // What the database is called stands further below.
    let of_forkpress = |head: &super::listing::Head| {
        head.text()
            .lines()
            .next()
            .is_some_and(|line| line.starts_with("--") && line.to_ascii_lowercase().contains("forkpress"))
    };
    let (dump, _) = listing.heads.iter().find(|(path, head)| !by_path::is_code(path) && of_forkpress(head))?;
    roots::find(listing).first()?;
    Some(Recognised { kind: Kind::ForkPressExport, roots: None, dumps: Some(dump.clone()), facts: Facts::default() })
}
