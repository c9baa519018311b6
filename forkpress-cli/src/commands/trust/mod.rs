//! `forkpress trust`: has the system and the browsers accept what `serve --https` shows them.
//!
//! What this process may change, it changes. For the rest it says what to type.

mod stores;

use std::path::Path;
use std::process::{Command, ExitCode};

use forkpress_engine::registry::Server;
use forkpress_engine::site::{Site, SiteError};
use forkpress_server::tls::PublicAuthority;
use serde::Serialize;

use crate::cli::TrustArgs;
use crate::failure::Failure;
use crate::output;
use crate::site::{self, Address};

use stores::{Machine, Store, typed};

/// The root host of a site that does not say another.
const USUAL_HOST: &str = "wp.localhost";

/// What there is to say of a store.
#[derive(Debug, Serialize)]
struct Row {
    store: &'static str,
    path: std::path::PathBuf,
    state: State,
    /// What is left to type.
    commands: Vec<String>,
    /// What a command said that failed.
    problem: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// It accepts the authority now.
    Added,
    /// It did before.
    Present,
    /// It did, and does no more.
    Removed,
    /// It did not before.
    Absent,
    /// Somebody else has to type something.
    ByHand,
    /// A command failed.
    Failed,
}

impl State {
    fn text(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Present => "there already",
            Self::Removed => "removed",
            Self::Absent => "not there",
            Self::ByHand => "to be done",
            Self::Failed => "failed",
        }
    }
}

/// Has every store accept every authority of this user, or none.
pub fn run(work_dir: Option<&Path>, args: &TrustArgs, as_json: bool) -> Result<ExitCode, Failure> {
    let dir = site::registry()?.authorities();
    if !args.remove {
        site::authority(&root_host(work_dir)?)?;
    }
    let machine = Machine::this();
    let stores = Store::all(&machine);
    let done = |authority: PublicAuthority| {
        let rows = stores.iter().map(|store| settle(store, &authority, &machine, args.remove));
        (rows.collect::<Vec<_>>(), authority)
    };
    let told: Vec<_> = PublicAuthority::all(&dir)?.into_iter().map(done).collect();
    if as_json {
        let authorities = told.iter().map(|(rows, authority)| {
            serde_json::json!({ "name": authority.name, "certificate": authority.certificate, "stores": rows })
        });
        output::json(&authorities.collect::<Vec<_>>())?;
    } else {
        told.iter().try_for_each(|(rows, authority)| tell(rows, authority, &machine))?;
        if told.is_empty() {
            output::line("forkpress: there is no authority")?;
        }
    }
    let has_failed = told.iter().flat_map(|(rows, _)| rows).any(|row| row.state == State::Failed);
    Ok(ExitCode::from(u8::from(has_failed)))
}

/// Says how browsers come to accept a server, where none is known to.
pub fn advise(server: &Server) {
    let authority = site::authority(&server.root_host);
    let mut stores = Store::all(&Machine::this()).into_iter();
    if !authority.is_ok_and(|authority| stores.any(|store| store.has(&authority.public))) {
        output::note("hint: forkpress trust makes browsers accept this address");
    }
}

/// The root host of the site at hand, if there is one.
fn root_host(work_dir: Option<&Path>) -> Result<String, Failure> {
    let site = match work_dir {
        Some(_) => site::open(work_dir)?,
        None => match Site::find(&site::current_dir()?) {
            Err(SiteError::NotFound { .. }) => return Ok(USUAL_HOST.to_owned()),
            found => found?,
        },
    };
    Ok(Address::of(&site).root_host)
}

fn settle(store: &Store, authority: &PublicAuthority, machine: &Machine, remove: bool) -> Row {
    let row =
        |state, commands, problem| Row { store: store.name(), path: store.place(authority), state, commands, problem };
    match (store.has(authority), remove) {
        (true, false) => return row(State::Present, Vec::new(), None),
        (false, true) => return row(State::Absent, Vec::new(), None),
        _ => {}
    }
    let mut commands = if remove { store.removal(authority) } else { store.addition(authority) };
    // A person is asked for passwords.
    let sudo = if matches!(store, Store::Nss { .. }) { "" } else { "sudo " };
    let by_hand = commands.iter().map(|command| format!("{sudo}{}", typed(command))).collect();
    if !store.is_open_to(machine) {
        return row(State::ByHand, by_hand, None);
    }
    match commands.iter_mut().try_for_each(done) {
        Ok(()) if store.has(authority) != remove => {
            row(if remove { State::Removed } else { State::Added }, Vec::new(), None)
        }
        Ok(()) => row(State::Failed, by_hand, Some("it changed nothing".to_owned())),
        Err(problem) => row(State::Failed, by_hand, Some(problem)),
    }
}

fn done(command: &mut Command) -> Result<(), String> {
    if command.get_program() == "certutil" {
        // It would ask for the password of a database that has one.
        command.args(["-f", "/dev/null"]);
    }
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().last().unwrap_or("it failed").to_owned())
}

fn tell(rows: &[Row], authority: &PublicAuthority, machine: &Machine) -> Result<(), Failure> {
    output::line(format_args!("forkpress: {}: {}", authority.name, authority.certificate.display()))?;
    for row in rows {
        output::line(format_args!("  {:<10} {:<14} {}", row.store, row.state.text(), row.path.display()))?;
        if let Some(problem) = &row.problem {
            output::line(format_args!("             {}", crate::harmless::line(problem)))?;
        }
    }
    let left: Vec<_> = rows.iter().flat_map(|row| &row.commands).collect();
    if !left.is_empty() {
        output::line("type this for the rest:")?;
    }
    for command in &left {
        output::line(format_args!("  {command}"))?;
    }
    if !machine.has("certutil") && left.iter().any(|command| command.starts_with("certutil")) {
        output::line("certutil comes with libnss3-tools (Debian), nss-tools (Fedora) or nss (Homebrew, Arch)")?;
    }
    if rows.is_empty() {
        output::line("no store of this system is known: have your browser import that file")?;
    }
    if rows.iter().any(|row| matches!(row.state, State::Added | State::Removed)) {
        output::line("a browser that runs sees it when it starts again")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use forkpress_server::tls::Authority;
    use std::fs;

    #[test]
    fn a_browsers_database_accepts_an_authority_once_and_gives_it_back() {
        let machine = Machine::this();
        if !machine.has("certutil") {
            eprintln!("SKIPPED: this needs certutil (Debian: libnss3-tools)");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_make(&dir.path().join("authorities"), "wp.localhost").unwrap().public;
        let state = |store: &Store, remove| settle(store, &authority, &machine, remove).state;
        let chromium = Store::Nss { browser: "Chromium", folder: dir.path().join("home/.pki/nssdb") };
        assert_eq!(
            [false, false, true, true].map(|remove| state(&chromium, remove)),
            [State::Added, State::Present, State::Removed, State::Absent]
        );

        let folder = dir.path().join("its profile");
        fs::create_dir(&folder).unwrap();
        fs::write(dir.path().join("password"), "secret").unwrap();
        let mut made = Command::new("certutil");
        made.arg("-N").arg("-d").arg(format!("sql:{}", folder.display())).arg("-f").arg(dir.path().join("password"));
        assert!(made.status().unwrap().success());
        let row = settle(&Store::Nss { browser: "Firefox", folder }, &authority, &machine, false);
        assert_eq!(row.state, State::Failed, "nobody is asked for its password");
        let [typed] = &row.commands[..] else { panic!("{:?}", row.commands) };
        assert!(typed.starts_with("certutil -A -d 'sql:") && !typed.contains("/dev/null"), "{typed}");
    }

    #[test]
    fn who_is_not_root_is_told_what_to_type_for_the_system() {
        let machine = Machine { home: None, programs: Vec::new(), is_root: false, is_mac: true };
        let authority = PublicAuthority { name: "X".to_owned(), certificate: "/s/x.crt".into() };
        let [store] = &Store::all(&machine)[..] else { panic!("macOS has one store, and no home has others") };
        let row = settle(store, &authority, &machine, false);
        assert_eq!(row.state, State::ByHand);
        assert_eq!(
            row.commands,
            ["sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain /s/x.crt"]
        );
    }
}
