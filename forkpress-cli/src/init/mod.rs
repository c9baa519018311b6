//! `forkpress init`: makes a site, whole or not at all.
//!
//! `site.toml` is written last. Without it there is no site. Until then `.forkpress/init.lock` marks the folder as an
//! unfinished init's:
//! - It is locked while init runs, so another init keeps away.
//! - It names the folder that will become `main`. So a later init can tell what a killed one left from what the user
//!   made.

mod claim;
mod database;

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::Instant;

use forkpress_core::deadline::Deadline;
use forkpress_core::layout::{SiteLayout, WORK_DIR, database_of};
use forkpress_core::lock::Patience;
use forkpress_core::name::BranchName;
use forkpress_core::own::CLOSED_FILE;
use forkpress_engine::config::{AccessLog, FileView, Keep, SLOW_MS, Serve, SiteConfig, Strategy, VERSION};
use forkpress_engine::import::Imported;
use forkpress_engine::progress::{Progress, Until};
use forkpress_engine::site::{Site, create_folders};
use forkpress_engine::{mutation, storage, view, wordpress};
use serde::Serialize;

use crate::blueprint::{Blueprint, Runner};
use crate::bring_in::{self, Looked};
use crate::bundle::{self, Bundle};
use crate::clean;
use crate::cli::{self, InitArgs};
use crate::contents::With;
use crate::failure::{During, Failure};
use crate::interrupt::Interrupt;
use crate::php::Php;
use crate::secret::{new_config, secret};
use crate::site::Address;
use crate::{child, extension, output, progress, site, tree};

use claim::Claim;

/// Has a site made with a sparse bundle where no file view is asked for, as on a Mac that can't clone files.
const FORCE_SPARSEBUNDLE: &str = "FORKPRESS_FORCE_MACOS_APFS_SPARSEBUNDLE";

/// Has the password of the user `admin`.
const PASSWORD_VARIABLE: &str = "FORKPRESS_ADMIN_PASSWORD";

/// The most that is read of a password.
const PASSWORD_BYTES: u64 = 4096;

/// The exit status of a command that makes no sense.
const WRONG_USAGE: u8 = 2;

/// Makes a site in the folder that holds `work_dir`, or in the current folder.
pub fn run(work_dir: Option<&Path>, args: &InitArgs, as_json: bool) -> Result<(), Failure> {
    let password = given_password(args)?;
    let blueprint = args.blueprint.as_deref().map(Blueprint::read).transpose()?;
    let root = public_root(work_dir)?;
    let interrupt = Interrupt::on_signals()?;
    let mut folders = OuterFolders::make(&root)?;
    let root = fs::canonicalize(&root).during(|| format!("cannot make a site in {}", root.display()))?;
    let layout = SiteLayout::at(&root);
    let claim = Claim::take(&layout)?;
    let shown = progress::shown(as_json);
    let progress = Until { progress: &*shown, go_on: &|| interrupt.go_on() };
    let source = args.from.as_deref().map(|from| Looked::at(from, &args.source, &layout, &progress)).transpose();
    let source = interrupt.rather(source)?;
    let wishes = (password.as_deref(), blueprint.as_ref(), source.as_ref());
    let made = make(&claim, &layout, args, wishes, &interrupt, &progress)?;
    claim.finish();
    folders.keep();
    clean::read_in_background(&Site::open(layout.work_dir())?);
    if as_json {
        output::json(&made)?
    } else {
        tell(&made, password.is_some() || args.site_title.is_some())?
    }
    Ok(())
}

/// The password that was given: as an argument, on standard input, or in the environment.
fn given_password(args: &InitArgs) -> Result<Option<String>, Failure> {
    let wrong = |why: String| Failure::new(why).exit(WRONG_USAGE);
    let given = if args.admin_password_stdin {
        let stdin = io::stdin();
        if stdin.is_terminal() {
            // What is typed there would be seen, and this command asks nothing.
            return Err(wrong(
                "--admin-password-stdin reads a pipe or a file, and standard input is a terminal".into(),
            )
            .hint("pass show shop | forkpress init --admin-password-stdin"));
        }
        let mut line = String::new();
        stdin.lock().take(PASSWORD_BYTES).read_line(&mut line).during(|| "cannot read the password".to_owned())?;
        line.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).unwrap_or(&line).to_owned()
    } else if let Some(password) = &args.admin_password {
        password.clone()
    } else {
        match std::env::var(PASSWORD_VARIABLE) {
            Ok(password) if !password.is_empty() => password,
            Ok(_) | Err(std::env::VarError::NotPresent) => return Ok(None),
            Err(_) => return Err(wrong(format!("{PASSWORD_VARIABLE} is not UTF-8"))),
        }
    };
    cli::parse_password(&given).map(Some).map_err(wrong)
}

/// Folders that lacked above a site. Dropped before [`Self::keep`], they go again.
struct OuterFolders(Vec<PathBuf>);

impl OuterFolders {
    /// Makes what lacks of the path.
    fn make(path: &Path) -> Result<Self, Failure> {
        let lacking: Vec<_> = path.ancestors().take_while(|path| !path.exists()).map(Path::to_owned).collect();
        let mut folders = Self(Vec::new());
        for path in lacking.into_iter().rev() {
            match fs::create_dir(&path) {
                // Its name has a `..` in it, or another init was faster.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => {
                    made.during(|| format!("cannot make the folder {}", path.display()))?;
                    folders.0.push(path);
                }
            }
        }
        Ok(folders)
    }

    fn keep(&mut self) {
        self.0.clear();
    }
}

impl Drop for OuterFolders {
    fn drop(&mut self) {
        // One that somebody has put something into meanwhile stays.
        self.0.iter().rev().for_each(|path| drop(fs::remove_dir(path)));
    }
}

fn public_root(work_dir: Option<&Path>) -> Result<PathBuf, Failure> {
    Ok(match work_dir {
        None => site::current_dir()?,
        Some(work_dir) if work_dir.file_name().is_some_and(|name| name == WORK_DIR) => {
            site::current_dir()?.join(work_dir.parent().unwrap_or(Path::new("")))
        }
        Some(work_dir) => {
            return Err(Failure::new(format!(
                "the work folder is always named {WORK_DIR}, not {}",
                work_dir.display()
            ))
            .hint(format!("forkpress init --work-dir {}", work_dir.join(WORK_DIR).display())));
        }
    })
}

/// What init made.
#[derive(Debug, Serialize)]
struct InitReport {
    work_dir: PathBuf,
    url: String,
    admin_url: String,
    file_view: &'static str,
    /// The user that was made; none where the tree brought its own.
    user: Option<&'static str>,
    /// That user's password, unless it was given.
    password: Option<String>,
    /// What was brought in, where the site was made of something.
    #[serde(skip_serializing_if = "Option::is_none")]
    imported: Option<Imported>,
}

fn tell(made: &InitReport, has_wishes: bool) -> io::Result<()> {
    if made.user.is_none() && has_wishes {
        output::note("forkpress: warning: this WordPress was installed before: its users, passwords and title stay");
    }
    output::line(format_args!("forkpress: site made in {}", made.work_dir.display()))?;
    output::line(format_args!("  file view: {}", made.file_view))?;
    output::line(format_args!("  main:      {}", made.url))?;
    output::line(format_args!("  admin:     {}", made.admin_url))?;
    if let Some(imported) = &made.imported {
        bring_in::tell(imported)?;
    }
    if let Some(user) = made.user {
        output::line(format_args!("  user:      {user}"))?;
    }
    if let Some(password) = &made.password {
        output::line(format_args!("  password:  {password}   (not shown again)"))?;
    }
    output::line("next: forkpress serve")
}

fn make(
    claim: &Claim,
    layout: &SiteLayout,
    args: &InitArgs,
    (given, blueprint, source): (Option<&str>, Option<&Blueprint>, Option<&Looked>),
    interrupt: &Interrupt,
    progress: &dyn Progress,
) -> Result<InitReport, Failure> {
    let file_view = file_view(layout, args.file_view)?;
    let layout = &layout.with_image(file_view.image());
    if layout.image().is_some() {
        storage::make(layout, storage::default_size_bytes(layout)?)?;
    }
    create_folders(layout)?;
    bundle::write_runtime(&layout.runtime_dir()).map_err(Failure::of)?;
    extension::unpack(layout)?;
    let config = SiteConfig {
        version: VERSION,
        strategy: match args.strategy {
            cli::StrategyArg::Cow => Strategy::Cow,
        },
        file_view,
        root_host: args.root_host.clone(),
        port: args.port,
        spares: 1,
        links: Vec::new(),
        id_bands: true,
        access_log: AccessLog::default(),
        slow_ms: SLOW_MS,
        keep: Keep::default(),
        serve: Serve::default(),
    };
    let site = Site { layout: layout.clone(), config };

    // Contents come into a WordPress that is installed, and everything else brings its own.
    let (source, contents) = match source {
        Some(source) if source.found.is_contents() => (None, Some(source)),
        source => (source, None),
    };
    let staged = layout.cow().staged_tree(&BranchName::main());
    view::create_tree_root(site.config.file_view, &staged)?;
    let php = thread::scope(|scope| {
        let php = scope.spawn(|| Php::check(args.php.php.as_deref(), layout));
        let taken = match source {
            Some(_) => Ok(()),
            None => take_wordpress(args.wordpress.as_deref(), &staged, interrupt, progress),
        };
        let php = php.join().expect("the check does not panic");
        taken.and(php)
    })?;

    if let Some(source) = args.wordpress.as_deref() {
        database::adopt(&php, layout, if source.is_dir() { source } else { &staged }, &staged)?;
    }
    let address = Address { root_host: args.root_host.clone(), port: args.port, https: false };
    let mut imported = None;
    let url = address.url(&BranchName::main());
    let with = With { layout, php: &php.program, url: &url };
    if let Some(source) = source {
        imported = Some(interrupt.rather(source.fill(&with, &staged, progress))?);
    }
    configure(&staged)?;
    let install = !database_of(&staged).exists();
    let mut password = None;
    if install {
        let given = given.map(str::to_owned);
        let chosen =
            given.map_or_else(|| secret(PASSWORD_CHARACTERS, 20).inspect(|new| password = Some(new.clone())), Ok)?;
        progress.begin("installing WordPress", None);
        run_installer(&php, &site, &staged, &address, &chosen, args.site_title.as_deref(), interrupt)?;
        progress.end();
    }
    interrupt.check()?;
    if let Some(contents) = contents {
        let filled = contents.fill_contents(&with, &staged, progress);
        interrupt.check()?;
        imported = Some(filled?);
    }
    if let Some(blueprint) = blueprint {
        let go_on = || interrupt.check();
        let runner = Runner { layout, php: &php.program, url: &url, go_on: &go_on, progress };
        blueprint.run(&runner, &staged)?;
        interrupt.check()?;
    }

    wordpress::record_addresses(layout, &[(&args.root_host, args.port)], &staged)?;
    if let Some(imported) = &imported {
        wordpress::record_former_addresses(layout, &imported.addresses)?;
    }
    claim.note_tree(&staged)?;
    let uploads = imported.as_ref().and_then(|imported| imported.uploads.clone());
    mutation::adopt_main(&site, &staged, uploads, &mut Patience::silent(Deadline::NOW))?;
    site.config.write(&layout.config())?;
    Ok(InitReport {
        work_dir: layout.work_dir().to_owned(),
        admin_url: format!("{url}wp-admin/"),
        url,
        file_view: site.config.file_view.as_str(),
        user: install.then_some("admin"),
        password,
        imported,
    })
}

fn file_view(layout: &SiteLayout, asked: Option<FileView>) -> Result<FileView, Failure> {
    let root = layout.public_root();
    match asked {
        None if std::env::var_os(FORCE_SPARSEBUNDLE).is_some_and(|value| value == "1") => {
            Ok(FileView::MacosApfsSparsebundle)
        }
        None => match view::probe(root) {
            // Every Mac has what that takes.
            FileView::FileCopy if cfg!(target_os = "macos") => Ok(FileView::MacosApfsSparsebundle),
            best => Ok(best),
        },
        Some(asked) if asked.image().is_some() || view::supports(asked, root) => Ok(asked),
        Some(asked) => {
            let needs = match asked {
                FileView::BtrfsSnapshot => "it needs a folder on btrfs; ",
                FileView::Reflink => "it needs a file system that clones files, such as XFS, btrfs or APFS; ",
                _ => "",
            };
            Err(Failure::new(format!("the file view {asked} does not work in {}", root.display()))
                .hint(format!("{needs}leave --file-view out: the best that works here is taken")))
        }
    }
}

fn take_wordpress(
    source: Option<&Path>,
    staged: &Path,
    interrupt: &Interrupt,
    progress: &dyn Progress,
) -> Result<(), Failure> {
    match (source, Bundle::embedded()) {
        (Some(source), _) => {
            tree::take(source, staged, interrupt, progress)?;
            tree::check(staged, source)
        }
        (None, Some(bundle)) => interrupt.rather(bundle.unpack_wordpress(staged, progress).map_err(Failure::of)),
        (None, None) => Err(Failure::new("this forkpress has no WordPress in it")
            .hint("name one that has the SQLite driver: forkpress init --wordpress DIR|ZIP")),
    }
}

/// Gives the tree a `wp-config.php` with secrets of its own, which only its owner can read, unless it has one: what a
/// user wrote stays.
fn configure(staged: &Path) -> Result<(), Failure> {
    let path = staged.join("wp-config.php");
    let text = new_config()?;
    let written = OpenOptions::new().write(true).create_new(true).mode(CLOSED_FILE).open(&path);
    match written.and_then(|mut file| file.write_all(text.as_bytes())) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        written => written.during(|| format!("cannot write {}", path.display())),
    }
}

/// Has PHP install WordPress into the tree. What the installer says is why it failed.
fn run_installer(
    php: &Php,
    site: &Site,
    staged: &Path,
    address: &Address,
    password: &str,
    title: Option<&str>,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let began = Instant::now();
    let mut installer = child::command(php.program.as_os_str())?;
    installer
        .args(Php::arguments(&site.layout, &php.program))
        .arg(site.layout.installer())
        .arg(staged)
        .env_remove("FORKPRESS_DEBUG_LOG")
        .env_remove("FORKPRESS_SITE_TITLE")
        // Not as an argument, which everybody on the machine can see.
        .env(PASSWORD_VARIABLE, password)
        .env("FORKPRESS_PHP_ERRORS_LOG", site.layout.php_errors_log())
        .env("HTTP_HOST", address.host(&BranchName::main()))
        .envs(title.map(|title| ("FORKPRESS_SITE_TITLE", title)))
        .stdin(Stdio::null());
    let (status, text) = child::captured(&mut installer, || interrupt.check())?;
    tracing::debug!(took_ms = began.elapsed().as_millis(), "the installer: {status}");
    interrupt.check()?;
    if status.success() {
        return Ok(());
    }
    let cause = if text.trim().is_empty() { format!("the installer ended: {status}") } else { text.trim().to_owned() };
    Err(Failure::new("WordPress was not installed").because(cause))
}

/// What is easily told apart and typed.
const PASSWORD_CHARACTERS: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_new_configuration_has_secrets_and_an_old_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        configure(dir.path()).unwrap();
        let path = dir.path().join("wp-config.php");
        let text = fs::read_to_string(&path).unwrap();
        let secrets: HashSet<_> = text
            .lines()
            .filter(|line| line.contains("_KEY'") || line.contains("_SALT'"))
            .map(|l| &l[l.len() - 60..])
            .collect();
        assert_eq!(secrets.len(), 8);
        fs::write(&path, "<?php // mine").unwrap();
        configure(dir.path()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "<?php // mine");
    }
}
