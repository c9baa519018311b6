//! Finds the database of a tree that `init --wordpress` takes by its configuration, and puts it where every branch has
//! its own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use forkpress_core::layout::{DATABASE_FILE, SiteLayout, database_of};
use serde::Deserialize;

use crate::child;
use crate::failure::{During, Failure};
use crate::php::Php;

/// The constants by which a configuration says where the database is.
const CONSTANTS: [&str; 5] = ["DB_DIR", "DB_FILE", "DB_PATH", "FQDBDIR", "FQDB"];

/// What is put into a configuration instead. No path of this machine is in it.
const OWN: &str = "\n// The database of this very folder, wherever that is. `forkpress init` has set this.\n\
    define( 'DB_DIR', __DIR__ . '/wp-content/database/' );\n\
    define( 'DB_FILE', '.ht.sqlite' );\n\
    define( 'DB_PATH', DB_DIR . DB_FILE );\n\
    define( 'FQDBDIR', DB_DIR );\n\
    define( 'FQDB', DB_PATH );\n";

/// What a configuration says.
#[derive(Deserialize)]
struct FoundDatabase {
    /// The database that is there.
    path: Option<PathBuf>,
    /// Where the database is to be, if the configuration tells.
    set: Option<PathBuf>,
}

/// Gives the tree at `staged`, which was copied from `source` (itself, for one that was unpacked), the database of
/// `source` in the place of a branch's database, and has its `wp-config.php` say so.
///
/// # Errors
/// When the database can't be copied, or the configuration says where it is in a way that is not understood here.
pub fn adopt(php: &Php, layout: &SiteLayout, source: &Path, staged: &Path) -> Result<(), Failure> {
    let config = staged.join("wp-config.php");
    if !config.is_file() {
        return Ok(());
    }
    let own = database_of(&canonical(staged));
    let found = find(php, layout, source)?.path.filter(|path| *path != canonical(&database_of(source)));
    if let Some(path) = found {
        // One that the configuration passes over was copied before, and this one may have been in use meanwhile.
        remove(&own)?;
        fs::create_dir_all(own.parent().unwrap_or(staged)).during(|| "cannot make the database's folder".to_owned())?;
        run(php, layout, &["copy".as_ref(), path.as_ref(), own.as_ref()])?;
        if let Ok(inside) = path.strip_prefix(canonical(source)) {
            remove(&staged.join(inside))?;
        }
    }
    if find(php, layout, staged)?.set.is_some_and(|path| path == own) {
        return Ok(());
    }
    let text = fs::read(&config).during(|| format!("cannot read {}", config.display()))?;
    let text = rewritten(&String::from_utf8_lossy(&text));
    fs::write(&config, text).during(|| format!("cannot write {}", config.display()))?;
    if find(php, layout, staged)?.set.is_some_and(|path| path == own) {
        return Ok(());
    }
    Err(Failure::new("the wp-config.php of this WordPress has its database elsewhere, and that cannot be changed here").hint(
        format!("in a copy of it, define DB_DIR as __DIR__ . '/wp-content/database/' and DB_FILE as '{DATABASE_FILE}', and move the database there"),
    ))
}

/// The configuration with its database in its own folder. What it said before is a comment.
fn rewritten(text: &str) -> String {
    let says = |line: &str| {
        let line: String = line.chars().filter(|c| !c.is_whitespace()).collect::<String>().replace('"', "'");
        let at = CONSTANTS.iter().find_map(|name| line.find(&format!("define('{name}',")));
        at.is_some_and(|at| !["//", "#", "/*", "*"].iter().any(|sign| line[..at].starts_with(sign)))
            && line.ends_with(");")
    };
    let mut lines: Vec<String> =
        text.lines().map(|line| if says(line) { format!("// {line}") } else { line.to_owned() }).collect();
    if let Some(first) = lines.iter_mut().find(|line| line.contains("<?php")) {
        let at = first.find("<?php").map_or(0, |at| at + "<?php".len());
        first.insert_str(at, OWN);
    }
    lines.join("\n") + "\n"
}

fn find(php: &Php, layout: &SiteLayout, tree: &Path) -> Result<FoundDatabase, Failure> {
    let said = run(php, layout, &["find".as_ref(), tree.as_ref()])?;
    Ok(serde_json::from_slice(&said)?)
}

/// What the program that looks into configurations prints.
fn run(php: &Php, layout: &SiteLayout, arguments: &[&std::ffi::OsStr]) -> Result<Vec<u8>, Failure> {
    let mut command = child::command(php.program.as_os_str())?;
    command
        .args(Php::arguments(layout, &php.program))
        .arg(layout.runtime_dir().join("database.php"))
        .args(arguments)
        .env("FORKPRESS_PHP_ERRORS_LOG", layout.php_errors_log())
        .stdin(Stdio::null());
    let output = child::ran(&mut command).during(|| "cannot run PHP".to_owned())?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Failure::new("the database of this WordPress was not found or not copied").because(said))
}

/// Removes a database with what belongs to it, and its folder if that is empty then.
fn remove(database: &Path) -> Result<(), Failure> {
    for ending in ["", "-wal", "-shm", "-journal"] {
        let mut path = database.to_owned().into_os_string();
        path.push(ending);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).during(|| format!("cannot remove {}", Path::new(&path).display()));
            }
            _ => {}
        }
    }
    // One with other files in it stays.
    let _ = database.parent().map(fs::remove_dir);
    Ok(())
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_configuration_said_of_its_database_becomes_a_comment() {
        let text = "<?php\n// mine\ndefine( 'DB_DIR', '/srv/x' );\n\tdefined( \"DB_FILE\" ) || define(\"DB_FILE\", 'a');\n\
            define( 'DB_NAME', 'wp' );\n// define( 'FQDB', 1 );\n";
        let expected = format!(
            "<?php{OWN}\n// mine\n// define( 'DB_DIR', '/srv/x' );\n// \tdefined( \"DB_FILE\" ) || define(\"DB_FILE\", 'a');\n\
            define( 'DB_NAME', 'wp' );\n// define( 'FQDB', 1 );\n"
        );
        assert_eq!(rewritten(text), expected);
    }
}
