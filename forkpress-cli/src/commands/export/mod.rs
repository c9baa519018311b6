//! `forkpress export`: takes a branch out, and says what is in what came of it.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Command;

use forkpress_core::deadline::Deadline;
use forkpress_engine::branch;
use forkpress_engine::export::{self, Content, Exported, Options, Target};
use forkpress_engine::site::Site;
use indicatif::{HumanBytes, HumanCount};

use crate::cli::{ExportArgs, ExportFormat};
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::php::Php;
use crate::site::Address;
use crate::{child, output, progress, site};

/// What WordPress is to do where it exports itself.
const WXR: &str = include_str!("wxr.php");

/// How many notes of a kind are printed; with `--json` all are.
const MOST_LINES: usize = 10;

/// Exports, and tells of it: on standard error where the export itself goes to standard output.
pub fn run(work_dir: Option<&Path>, args: &ExportArgs, as_json: bool) -> Result<(), Failure> {
    let site = site::open(work_dir)?;
    branch::show(&site, &args.branch)?;
    let address = Address::of(&site);
    let interrupt = Interrupt::on_signals()?;
    let content = match args.format {
        ExportFormat::Site => Content::Site,
        ExportFormat::Sql => Content::Sql,
        ExportFormat::Wxr => Content::Wxr,
    };
    let target = target(args);
    if target == Target::Output && content == Content::Site && std::io::stdout().is_terminal() {
        return Err(Failure::new("a ZIP is not for a terminal").hint("name a file or a folder: --to FILE.zip"));
    }
    let wxr = if content == Content::Wxr { Some(wordpress_export(&site, args, &address)?) } else { None };
    let mut options = Options {
        content,
        wxr,
        target,
        url: args.url.as_deref(),
        is_forced: args.force,
        served: &[(&address.root_host, address.port)],
        program: concat!("ForkPress ", env!("CARGO_PKG_VERSION")),
        deadline: Deadline::after(args.wait.timeout),
        is_interrupted: &|| interrupt.check().is_err(),
    };
    let progress = progress::shown(as_json);
    let exported = export::export(&site, &args.branch, &mut options, &*progress);
    // What fails because of a signal fails as the signal has it.
    let exported = exported.map_err(|error| interrupt.check().err().unwrap_or_else(|| error.into()))?;
    match (&exported.path, as_json) {
        (Some(_), true) => output::json(&exported)?,
        (Some(_), false) => lines(args, &exported).iter().try_for_each(output::line)?,
        (None, true) => output::note(serde_json::to_string_pretty(&exported)?),
        (None, false) => lines(args, &exported).iter().for_each(output::note),
    }
    Ok(())
}

/// Where the export goes. A name that is a ZIP's, and whatever is no site, is a file.
fn target(args: &ExportArgs) -> Target {
    let end = match args.format {
        ExportFormat::Site => "zip",
        ExportFormat::Sql => "sql",
        ExportFormat::Wxr => "xml",
    };
    match &args.to {
        None => Target::File(PathBuf::from(format!("{}.{end}", args.branch))),
        Some(path) if path.as_os_str() == "-" => Target::Output,
        Some(path) if args.format != ExportFormat::Site && path.is_dir() => {
            Target::File(path.join(format!("{}.{end}", args.branch)))
        }
        Some(path) if args.format != ExportFormat::Site => Target::File(path.clone()),
        Some(path) if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("zip")) => Target::File(path.clone()),
        Some(path) => Target::Folder(path.clone()),
    }
}

/// What prints WXR: the branch's WordPress, as `forkpress exec` runs it.
fn wordpress_export(site: &Site, args: &ExportArgs, address: &Address) -> Result<Command, Failure> {
    let php = Php::check(args.php.php.as_deref(), &site.layout)?;
    let code = WXR.strip_prefix("<?php").unwrap_or(WXR);
    let folder = site.layout.public_branch(&args.branch);
    let mut command = child::command(php.program.as_os_str())?;
    command
        .args(Php::arguments(&site.layout, &php.program))
        .args(["-d", "display_errors=stderr", "-d", "max_execution_time=0", "-d", "memory_limit=-1", "-r", code])
        .current_dir(&folder)
        .env("PWD", &folder)
        .env("FORKPRESS_PHP_ERRORS_LOG", site.layout.php_errors_log())
        .env("HTTP_HOST", address.host(&args.branch))
        .env("FORKPRESS_BRANCH", args.branch.as_str());
    Ok(command)
}

/// What people are told.
fn lines(args: &ExportArgs, exported: &Exported) -> Vec<String> {
    let name = &exported.branch;
    let to = exported.path.as_ref().map_or_else(|| "standard output".to_owned(), |path| path.display().to_string());
    let mut lines = vec![format!("forkpress: exported '{name}' to {to}")];
    let mut row = |what: &str, value: String| lines.push(format!("  {:11}{value}", format!("{what}:")));
    if exported.content == Content::Site {
        let files = exported.bytes - exported.database.as_ref().map_or(0, |database| database.bytes);
        row("files", format!("{}, {}", HumanCount(exported.files), HumanBytes(files)));
    }
    if let Some(database) = &exported.database {
        let rows = database.tables.iter().map(|table| table.rows).sum();
        let (tables, bytes) = (database.tables.len(), HumanBytes(database.bytes));
        row(
            "database",
            format!("{tables} tables, {} rows, {bytes}, prefix {}", HumanCount(rows), exported.table_prefix),
        );
    }
    row("address", exported.home.clone());
    let limited = |row: &mut dyn FnMut(&str, String), what: &str, values: Vec<String>| {
        let rest = values.len().saturating_sub(MOST_LINES);
        values.into_iter().take(MOST_LINES).for_each(|value| row(what, value));
        if rest > 0 {
            row(what, format!("and {rest} more; --json has all"));
        }
    };
    let left_out = exported.left_out.iter().map(|left| format!("{} ({})", left.path.display(), left.why));
    let tables = exported.database.iter().flat_map(|database| &database.tables_left_out);
    let tables = tables.map(|table| format!("the table {table} (made past the driver: nobody knows its types)"));
    limited(&mut row, "left out", left_out.chain(tables).collect());
    if let Some(database) = &exported.database {
        limited(&mut row, "note", database.notes.clone());
        let counts = &database.addresses;
        if args.url.is_some() {
            row(
                "rewritten",
                format!("{} addresses in {} values", HumanCount(counts.addresses), HumanCount(counts.values)),
            );
        }
        let broken = database.broken_values.iter();
        limited(
            &mut row,
            "broken",
            broken
                .map(|value| {
                    format!(
                        "{}.{}, row {}: a serialized value that PHP can't read; it stays as it is",
                        value.table, value.column, value.row
                    )
                })
                .collect(),
        );
        if counts.encoded > 0 {
            row(
                "note",
                format!(
                    "{} values have an address encoded as base64, which stays as it is",
                    HumanCount(counts.encoded)
                ),
            );
        }
        if database.local_addresses > 0 {
            let count = HumanCount(database.local_addresses);
            row("note", format!("{count} addresses in it are those of branches"));
            lines.push(String::new());
            lines.push(format!("hint: forkpress export {name} --url https://example.com"));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command as Typed};
    use clap::Parser;

    fn target_of(line: &str) -> Target {
        match Cli::try_parse_from(line.split(' ')).unwrap().command {
            Typed::Export(args) => target(&args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn where_an_export_goes_is_a_file_a_folder_or_standard_output() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().display();
        for (line, target) in [
            ("forkpress export main".to_owned(), Target::File("main.zip".into())),
            ("forkpress export main --format sql".to_owned(), Target::File("main.sql".into())),
            ("forkpress export main --format wxr".to_owned(), Target::File("main.xml".into())),
            ("forkpress export main --to -".to_owned(), Target::Output),
            ("forkpress export main --to a/b.ZIP".to_owned(), Target::File("a/b.ZIP".into())),
            ("forkpress export main --to a/b".to_owned(), Target::Folder("a/b".into())),
            ("forkpress export main --format sql --to a/b".to_owned(), Target::File("a/b".into())),
            (format!("forkpress export main --format sql --to {folder}"), Target::File(dir.path().join("main.sql"))),
        ] {
            assert_eq!(target_of(&line), target, "{line}");
        }
    }
}
