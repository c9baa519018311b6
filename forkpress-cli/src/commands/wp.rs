//! `forkpress wp`: runs WP-CLI on a branch.
//!
//! The phar is started by `runtime/wp-cli/boot.php`, with the site's PHP settings. What of the user's own settings WP-CLI may
//! read is decided here and there: of the environment here, of files there.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use forkpress_core::layout::SiteLayout;
use forkpress_core::name::BranchName;
use forkpress_engine::site::{Site, SiteError};

use crate::bundle::{self, IMPORTER, WP_CLI};
use crate::cli::WpArgs;
use crate::commands::{branch, exec};
use crate::failure::{During, Failure};
use crate::php::Php;
use crate::site::Address;
use crate::{child, site};

/// What starts the phar, in the runtime folder.
const BOOT: &str = "wp-cli/boot.php";

/// Variables by which WP-CLI would load code, or settings, that nobody named for this site.
const NOT_READ: [&str; 4] =
    ["WP_CLI_REQUIRE", "WP_CLI_EARLY_REQUIRE", "WP_CLI_RUNTIME_ALIAS", "WP_CLI_STRICT_ARGS_MODE"];

/// Variables by which `boot.php` and the commands for SQLite know the branch's folder and its address, this program, and the work
/// folder.
const OF_A_BRANCH: [&str; 4] =
    ["FORKPRESS_WP_TREE", "FORKPRESS_WP_URL", "FORKPRESS_WP_PROGRAM", "FORKPRESS_WP_SCRATCH"];

/// Runs WP-CLI and gives its exit status.
pub fn run(work_dir: Option<&Path>, args: &WpArgs) -> Result<ExitCode, Failure> {
    let site = match (site::open(work_dir), work_dir, &args.branch) {
        (Ok(site), ..) => Some(site),
        // Outside of a site WP-CLI answers for itself.
        (Err(failure), None, None) => {
            if needs_wordpress(&args.arguments) || !is_outside()? {
                return Err(failure);
            }
            None
        }
        (Err(failure), ..) => return Err(failure),
    };
    let Some(site) = site else { return outside(args) };
    let branch = match &args.branch {
        Some(branch) => Some(branch.clone()),
        None => branch::current(&site)?,
    };
    match branch {
        Some(branch) => on_branch(&site, &branch, args),
        None if needs_wordpress(&args.arguments) => Err(Failure::new("the current folder belongs to no branch")
            .hint(format!("name one: forkpress wp main -- {}", shown(&args.arguments)))),
        None => {
            let mut command =
                wp_cli(&site.layout.runtime_dir(), Some(&site.layout), &Php::find(args.php.php.as_deref())?)?;
            command.args(&args.arguments).current_dir(site::current_dir()?);
            exec::run_to_end(command)
        }
    }
}

/// Whether no site is around the current folder; one that can't be used is.
fn is_outside() -> Result<bool, Failure> {
    Ok(matches!(Site::find(&site::current_dir()?), Err(SiteError::NotFound { .. })))
}

fn on_branch(site: &Site, name: &BranchName, args: &WpArgs) -> Result<ExitCode, Failure> {
    let word = args.arguments.iter().find(|word| is_word(word)).map(|word| word.to_string_lossy()).unwrap_or_default();
    let called = format!("wp {word}");
    let place = exec::ExecPlace { branch: name, locking: &args.locking, called: called.trim_end() };
    exec::in_branch(site, &place, || {
        let tree = site.layout.public_branch(name);
        let php = Php::find(args.php.php.as_deref())?;
        let address = Address::of(site);
        let mut command = on_tree(&site.layout, &php, &tree, &address.url(name))?;
        command
            .env("FORKPRESS_ROOT_HOST", &address.root_host)
            .args(&args.arguments)
            .current_dir(folder(&tree, &site::current_dir()?));
        Ok(command)
    })
}

/// The command that starts WP-CLI on a tree, which is or will be at an address, up to what it is to do.
pub fn on_tree(layout: &SiteLayout, php: &Path, tree: &Path, url: &str) -> Result<Command, Failure> {
    let mut command = wp_cli(&layout.runtime_dir(), Some(layout), php)?;
    let own = std::env::current_exe().during(|| "cannot find the forkpress program".to_owned())?;
    command
        .env(OF_A_BRANCH[0], tree)
        .env(OF_A_BRANCH[1], url.trim_end_matches('/'))
        .env(OF_A_BRANCH[2], own)
        .env(OF_A_BRANCH[3], layout.work_dir())
        .current_dir(tree);
    Ok(command)
}

/// Where WP-CLI runs: in the current folder if that is one of the branch, so that the names of files mean what they seem to, else
/// in the branch's folder.
fn folder(tree: &Path, current: &Path) -> PathBuf {
    let is_inside = tree.canonicalize().is_ok_and(|tree| current.starts_with(tree));
    if is_inside { current.to_owned() } else { tree.to_owned() }
}

/// Without a site: WP-CLI is unpacked, runs, and goes.
fn outside(args: &WpArgs) -> Result<ExitCode, Failure> {
    let unpacked = tempfile::tempdir().during(|| "cannot make a temporary folder".to_owned())?;
    let mut command = wp_cli(unpacked.path(), None, &Php::find(args.php.php.as_deref())?)?;
    command.args(&args.arguments);
    exec::run_to_end(command)
}

/// The command that starts WP-CLI out of a runtime folder, into which it is unpacked where it lacks.
fn wp_cli(runtime: &Path, layout: Option<&SiteLayout>, php: &Path) -> Result<Command, Failure> {
    if ![BOOT, WP_CLI, IMPORTER].iter().all(|part| runtime.join(part).is_file()) {
        bundle::write_wp_cli(runtime).map_err(Failure::of)?;
    }
    let mut command = child::command(php.as_os_str())?;
    if let Some(layout) = layout {
        command
            .args(Php::arguments(layout, php))
            // As usual for what is typed: no limit, and errors are seen. OPcache would take longer than all else.
            .args(["-d", "memory_limit=-1", "-d", "display_errors=stderr", "-d", "opcache.enable_cli=0"])
            .env("FORKPRESS_BRANCHES_DIR", layout.public_root())
            .env("FORKPRESS_COW_DIR", layout.cow().dir())
            .env("FORKPRESS_PHP_ERRORS_LOG", layout.php_errors_log());
    }
    for (name, value) in settings(layout, |name| std::env::var_os(name)) {
        command.env(name, value);
    }
    for name in NOT_READ.into_iter().chain(OF_A_BRANCH) {
        command.env_remove(name);
    }
    command.arg(runtime.join(BOOT));
    Ok(command)
}

/// The variables by which WP-CLI finds its settings. What the user says of them in the environment holds.
fn settings(layout: Option<&SiteLayout>, said: impl Fn(&str) -> Option<OsString>) -> Vec<(&'static str, OsString)> {
    // Where there is no site, there are no settings.
    let none = || PathBuf::from("/dev/null/none");
    let defaults = [
        ("WP_CLI_CONFIG_PATH", layout.map_or_else(none, |layout| layout.wp_cli_config())),
        ("WP_CLI_PACKAGES_DIR", layout.map_or_else(none, |layout| layout.wp_cli_packages())),
    ];
    let lacking = defaults.into_iter().filter(|(name, _)| said(name).is_none_or(|value| value.is_empty()));
    let mut settings: Vec<_> = lacking.map(|(name, path)| (name, path.into_os_string())).collect();
    // Whoever serves the site runs the same code.
    settings.push(("WP_CLI_ALLOW_ROOT", "1".into()));
    // It comes and goes with forkpress.
    settings.push(("WP_CLI_DISABLE_AUTO_CHECK_UPDATE", "1".into()));
    settings
}

/// Whether what was typed is about a WordPress, and not about WP-CLI itself.
fn needs_wordpress(arguments: &[OsString]) -> bool {
    let asks_itself = arguments.iter().any(|word| ["--info", "--version", "--help"].iter().any(|asked| word == asked));
    let first = arguments.iter().find(|word| is_word(word));
    !asks_itself && first.is_some_and(|word| word != "cli" && word != "help")
}

/// Whether an argument is no option.
fn is_word(argument: &OsStr) -> bool {
    !argument.as_encoded_bytes().starts_with(b"-")
}

/// Arguments as they are typed.
fn shown(arguments: &[OsString]) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@".contains(c);
    let words = arguments.iter().map(|word| match word.to_string_lossy() {
        word if !word.is_empty() && word.chars().all(is_plain) => word.into_owned(),
        word => format!("'{}'", word.replace('\'', r"'\''")),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn what_is_about_wp_cli_itself_needs_no_wordpress() {
        for line in ["", "--info", "cli version", "help plugin", "--version", "plugin --help", "--debug cli info"] {
            assert!(!needs_wordpress(&words(line)), "{line}");
        }
        for line in ["plugin list", "--user=admin option get home", "@prod plugin list"] {
            assert!(needs_wordpress(&words(line)), "{line}");
        }
    }

    #[test]
    fn the_users_own_settings_are_read_only_where_the_environment_names_them() {
        let names = |said: Option<&str>| {
            let settings = settings(None, |_| said.map(OsString::from));
            settings.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert!(names(None).contains(&"WP_CLI_CONFIG_PATH") && names(Some("")).contains(&"WP_CLI_PACKAGES_DIR"));
        assert_eq!(names(Some("/mine")), ["WP_CLI_ALLOW_ROOT", "WP_CLI_DISABLE_AUTO_CHECK_UPDATE"]);
    }

    #[test]
    fn it_runs_in_the_current_folder_if_that_is_one_of_the_branch() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let (tree, inner) = (root.join("main"), root.join("main/wp-content"));
        std::fs::create_dir_all(&inner).unwrap();
        assert_eq!(folder(&tree, &inner), inner);
        assert_eq!(folder(&tree, &root), tree);
    }

    #[test]
    fn a_hint_can_be_typed() {
        let arguments = ["post", "list", "--s=it's", ""].map(OsString::from);
        assert_eq!(shown(&arguments), r"post list '--s=it'\''s' ''");
    }
}
