//! Runs a blueprint of WordPress Playground on a tree that nobody is served yet.
//!
//! The runner is a phar that comes with this program. It starts PHP for each step; `runtime/blueprints/` sees to it
//! that what runs there is at the branch's address.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use forkpress_core::driver;
use forkpress_core::layout::{SiteLayout, database_of};
use forkpress_engine::mutation::EditError;
use forkpress_engine::mutation::new_database::TreeEdit;
use forkpress_engine::progress::Progress;
use serde_json::Value;

use crate::bundle::{self, BLUEPRINTS};
use crate::child;
use crate::failure::{During, Failure};

/// What starts the runner, in the runtime folder.
const RUN: &str = "blueprints/run.php";

/// What comes before each PHP that the runner starts.
const PREPEND: &str = "blueprints/prepend.php";

/// Settings of PHP for what the runner starts. They follow the site's own.
const SETTINGS: &str = "auto_prepend_file=\"${FORKPRESS_BLUEPRINT_PREPEND}\"
display_errors=stderr
memory_limit=-1
opcache.enable_cli=0
";

/// A blueprint that was looked at.
pub struct Blueprint {
    file: PathBuf,
}

/// What it is run with.
pub struct Runner<'a> {
    /// The site.
    pub layout: &'a SiteLayout,
    /// The PHP program.
    pub php: &'a Path,
    /// The address that the tree will have.
    pub url: &'a str,
    /// Fails where the run is to end.
    pub go_on: &'a dyn Fn() -> Result<(), Failure>,
    /// Is told what the runner warns of.
    pub progress: &'a dyn Progress,
}

impl Blueprint {
    /// Looks whether a file can be one, before anything is made for it.
    pub fn read(file: &Path) -> Result<Self, Failure> {
        let cannot_read = || format!("cannot read the blueprint {}", file.display());
        let content = fs::read(file).during(cannot_read)?;
        // Or a ZIP file with one and its files in it.
        if !content.starts_with(b"PK") {
            let value: Value = serde_json::from_slice(&content).during(cannot_read)?;
            if !value.is_object() {
                return Err(Failure::new("it is no JSON object").during(cannot_read()));
            }
        }
        Ok(Self { file: file.canonicalize().during(cannot_read)? })
    }

    /// What the log calls it.
    pub fn word(&self) -> String {
        format!("blueprint {}", self.file.file_name().unwrap_or_default().to_string_lossy())
    }

    /// Runs it on a tree.
    pub fn run(&self, runner: &Runner<'_>, tree: &Path) -> Result<(), Failure> {
        let runtime = runner.layout.runtime_dir();
        if !runtime.join(RUN).is_file() || !runtime.join(BLUEPRINTS).is_file() {
            bundle::write_blueprints(&runtime).map_err(Failure::of)?;
        }
        let settings = tempfile::tempdir().during(|| "cannot make a temporary folder".to_owned())?;
        fs::write(settings.path().join("forkpress.ini"), SETTINGS)?;
        let mut command = child::command(runner.php.as_os_str())?;
        self.write_command(&mut command, runner, tree, settings.path());
        runner.progress.begin("running the blueprint", None);
        // The runner knows the driver only as a plugin.
        let link = link_driver(tree)?;
        let ran = child::captured(&mut command, runner.go_on);
        if let Some(link) = link {
            fs::remove_file(&link).during(|| format!("cannot remove {}", link.display()))?;
        }
        runner.progress.end();
        let (status, said) = ran?;
        tracing::debug!(said, "the blueprint: {status}");
        let report = Report::parse(&said);
        for warning in &report.warnings {
            runner.progress.note(warning);
        }
        if status.success() && report.errors.is_empty() {
            return Ok(());
        }
        let failure = Failure::new("the blueprint failed");
        Err(match report.errors.as_slice() {
            [] => failure.because(said.trim().to_owned()),
            errors => errors.iter().fold(failure, |failure, error| failure.because(error.clone())),
        })
    }

    fn write_command(&self, command: &mut Command, runner: &Runner<'_>, tree: &Path, settings: &Path) {
        let runtime = runner.layout.runtime_dir();
        let option = |name: &str, path: &Path| {
            let mut option = std::ffi::OsString::from(format!("--{name}="));
            option.push(path);
            option
        };
        // The machine's own settings come first, as they do for the site.
        let mut folders = std::env::var_os("PHP_INI_SCAN_DIR").unwrap_or_default();
        folders.push(":");
        folders.push(settings);
        command
            .args(["-d", "auto_prepend_file="])
            .arg(runtime.join(RUN))
            .arg("exec")
            .arg(&self.file)
            .args(["--mode=apply-to-existing-site", "--db-engine=sqlite"])
            .arg(option("site-path", tree))
            .arg(option("db-path", &database_of(tree)))
            .arg(format!("--site-url={}", runner.url.trim_end_matches('/')))
            .env("FORKPRESS_WP_TREE", tree)
            .env("FORKPRESS_WP_URL", runner.url.trim_end_matches('/'))
            .env("FORKPRESS_BLUEPRINT_PREPEND", runtime.join(PREPEND))
            .env("FORKPRESS_BRANCHES_DIR", runner.layout.public_root())
            .env("FORKPRESS_COW_DIR", runner.layout.cow().dir())
            .env("FORKPRESS_PHP_ERRORS_LOG", runner.layout.php_errors_log())
            .env("PHPRC", &runtime)
            .env("PHP_INI_SCAN_DIR", folders)
            .env("WP_CLI_CONFIG_PATH", runner.layout.wp_cli_config())
            .env("WP_CLI_PACKAGES_DIR", runner.layout.wp_cli_packages())
            .env("WP_CLI_DISABLE_AUTO_CHECK_UPDATE", "1")
            .env_remove("FORKPRESS_DEBUG_LOG")
            .env_remove("OUTPUT_FILE")
            .env_remove("PHP_BINARY")
            .stdin(Stdio::null());
    }
}

/// A blueprint as what is done to the tree of a new branch.
pub struct BlueprintEdit<'a> {
    /// The blueprint.
    pub blueprint: &'a Blueprint,
    /// What it is run with.
    pub runner: Runner<'a>,
}

impl TreeEdit for BlueprintEdit<'_> {
    fn edit(&mut self, path: &Path) -> Result<(), EditError> {
        self.blueprint.run(&self.runner, path).map_err(|failure| EditError::Failed(failure.into_error()))
    }
}

/// Links the driver of a tree, which is a must-use plugin, into the plugins. Gives the link; none where there is something.
fn link_driver(tree: &Path) -> Result<Option<PathBuf>, Failure> {
    let content = tree.join("wp-content");
    let link = content.join("plugins").join(driver::NAME);
    if fs::symlink_metadata(&link).is_ok() || !content.join("mu-plugins").join(driver::NAME).is_dir() {
        return Ok(None);
    }
    symlink(Path::new("../mu-plugins").join(driver::NAME), &link)
        .during(|| format!("cannot make {}", link.display()))?;
    Ok(Some(link))
}

/// What the runner said.
#[derive(Debug, Default, PartialEq, Eq)]
struct Report {
    warnings: Vec<String>,
    errors: Vec<String>,
}

impl Report {
    /// Reads its lines: objects in JSON, warnings, and what code of the blueprint printed.
    fn parse(said: &str) -> Self {
        let mut report = Self::default();
        for line in said.lines() {
            if let Ok(Value::Object(object)) = serde_json::from_str(line) {
                let message = object.get("message").and_then(Value::as_str).unwrap_or_default();
                if object.get("type").is_some_and(|kind| kind == "error") {
                    report.errors.push(message.strip_prefix("Caused by: ").unwrap_or(message).to_owned());
                }
            } else if let Some((_, warning)) = line.split_once("[warning] ") {
                report.warnings.push(warning.trim_end_matches("\u{1b}[0m").to_owned());
            }
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_blueprint_is_refused_before_anything_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let read = |content: &str| {
            let file = dir.path().join("x.json");
            fs::write(&file, content).unwrap();
            Blueprint::read(&file).map(|blueprint| blueprint.word()).map_err(|failure| failure.to_string())
        };
        assert_eq!(read(r#"{"steps":[]}"#).unwrap(), "blueprint x.json");
        assert!(read(r#"{"steps":["#).unwrap_err().contains("line 1"));
        assert!(read("[]").unwrap_err().contains("it is no JSON object"));
        assert!(Blueprint::read(&dir.path().join("none")).is_err());
    }

    #[test]
    fn errors_and_warnings_are_told_from_progress_and_from_what_the_blueprint_prints() {
        let said = "{\"type\":\"progress\",\"progress\":0,\"caption\":\"x\"}\n\u{1b}[0;33m[warning] ignored: a.\u{1b}[0m\nhello\n\
            {\"type\":\"error\",\"message\":\"step 2\"}\n{\"type\":\"error\",\"message\":\"Caused by: no file\"}\n";
        let report = Report::parse(said);
        assert_eq!(report.warnings, ["ignored: a."]);
        assert_eq!(report.errors, ["step 2", "no file"]);
    }

    #[test]
    fn the_driver_is_linked_only_where_it_is_no_plugin() {
        let dir = tempfile::tempdir().unwrap();
        let content = dir.path().join("wp-content");
        fs::create_dir_all(content.join("plugins")).unwrap();
        assert_eq!(link_driver(dir.path()).unwrap(), None);
        fs::create_dir_all(content.join("mu-plugins").join(driver::NAME)).unwrap();
        let link = link_driver(dir.path()).unwrap().unwrap();
        assert!(link.is_dir());
        assert_eq!(link_driver(dir.path()).unwrap(), None);
    }
}
