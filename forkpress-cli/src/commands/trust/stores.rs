//! Where the system and the browsers keep the authorities that they accept, and how one gets there.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use forkpress_server::tls::PublicAuthority;

/// A folder of authorities that a system accepts, and what has it looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Anchors {
    folder: &'static str,
    extension: &'static str,
    update: (&'static str, &'static [&'static str]),
}

/// Of Debian and Alpine, of Fedora, of Arch and of openSUSE.
const ANCHORS: [Anchors; 4] = [
    Anchors { folder: "/usr/local/share/ca-certificates", extension: "crt", update: ("update-ca-certificates", &[]) },
    Anchors { folder: "/etc/pki/ca-trust/source/anchors", extension: "pem", update: ("update-ca-trust", &["extract"]) },
    Anchors {
        folder: "/etc/ca-certificates/trust-source/anchors",
        extension: "crt",
        update: ("trust", &["extract-compat"]),
    },
    Anchors { folder: "/usr/share/pki/trust/anchors", extension: "pem", update: ("update-ca-certificates", &[]) },
];

const KEYCHAIN: &str = "/Library/Keychains/System.keychain";

/// The file by which a folder is a database of NSS.
const NSS_FILE: &str = "cert9.db";

/// Folders of a home in which Chromium keeps its database.
const CHROMIUM: [&str; 3] = [".pki/nssdb", ".local/share/pki/nssdb", "snap/chromium/current/.pki/nssdb"];

const CHROMIUM_PROGRAMS: [&str; 6] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "brave-browser", "microsoft-edge"];

/// Folders of a home in which Firefox keeps its profiles, each with a database.
const FIREFOX: [&str; 4] = [
    ".mozilla/firefox",
    "snap/firefox/common/.mozilla/firefox",
    ".var/app/org.mozilla.firefox/.mozilla/firefox",
    "Library/Application Support/Firefox/Profiles",
];

/// What there is to know of this machine.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) home: Option<PathBuf>,
    pub(super) programs: Vec<PathBuf>,
    pub(super) is_root: bool,
    pub(super) is_mac: bool,
}

impl Machine {
    pub(super) fn this() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Where a system's own tools are that a user's PATH may lack.
        let own = ["/usr/sbin", "/sbin"].map(PathBuf::from);
        Self {
            home: std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from),
            programs: std::env::split_paths(&path).chain(own).collect(),
            is_root: rustix::process::geteuid().is_root(),
            is_mac: cfg!(target_os = "macos"),
        }
    }

    /// Whether there is a program of this name.
    pub(super) fn has(&self, program: &str) -> bool {
        self.programs.iter().any(|folder| folder.join(program).is_file())
    }
}

/// A place where authorities are kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Store {
    /// The system's, where files lie in a folder.
    Anchors(&'static Anchors),
    /// The one of macOS.
    Keychain,
    /// A browser's database.
    Nss { browser: &'static str, folder: PathBuf },
}

impl Store {
    /// Those that a machine has.
    pub(super) fn all(machine: &Machine) -> Vec<Self> {
        let anchors =
            ANCHORS.iter().find(|anchors| Path::new(anchors.folder).is_dir() && machine.has(anchors.update.0));
        let system = if machine.is_mac { Some(Self::Keychain) } else { anchors.map(Self::Anchors) };
        let home = machine.home.as_deref();
        system.into_iter().chain(home.into_iter().flat_map(|home| browsers(machine, home))).collect()
    }

    /// What it is called.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Anchors(_) | Self::Keychain => "system",
            Self::Nss { browser, .. } => browser,
        }
    }

    /// Where an authority is in it.
    pub(super) fn place(&self, authority: &PublicAuthority) -> PathBuf {
        match self {
            Self::Anchors(anchors) => {
                Path::new(anchors.folder).join(file_name(&authority.name)).with_extension(anchors.extension)
            }
            Self::Keychain => KEYCHAIN.into(),
            Self::Nss { folder, .. } => folder.clone(),
        }
    }

    /// Whether this process may change it.
    pub(super) fn is_open_to(&self, machine: &Machine) -> bool {
        match self {
            Self::Anchors(_) | Self::Keychain => machine.is_root,
            Self::Nss { .. } => machine.has("certutil"),
        }
    }

    /// Whether an authority is accepted.
    pub(super) fn has(&self, authority: &PublicAuthority) -> bool {
        match self {
            Self::Anchors(_) => {
                let own = fs::read(&authority.certificate);
                own.is_ok_and(|own| fs::read(self.place(authority)).is_ok_and(|there| there == own))
            }
            Self::Keychain => {
                let mut find = command("security", &["find-certificate", "-c", &authority.name, KEYCHAIN], NONE);
                find.output().is_ok_and(|found| found.status.success())
            }
            Self::Nss { folder, .. } => {
                let list = || command("certutil", &["-L", "-d"], [database(folder)]).output();
                folder.join(NSS_FILE).is_file()
                    && list().is_ok_and(|listed| is_accepted(&String::from_utf8_lossy(&listed.stdout), &authority.name))
            }
        }
    }

    /// The commands that have an authority accepted.
    pub(super) fn addition(&self, authority: &PublicAuthority) -> Vec<Command> {
        let (file, place) = (&authority.certificate, self.place(authority));
        match self {
            Self::Anchors(anchors) => {
                vec![
                    command("install", &["-m", "644"], [file, &place]),
                    command(anchors.update.0, anchors.update.1, NONE),
                ]
            }
            Self::Keychain => {
                vec![command("security", &["add-trusted-cert", "-d", "-r", "trustRoot", "-k", KEYCHAIN], [file])]
            }
            Self::Nss { folder, .. } => {
                let database = database(folder);
                let mut add = command("certutil", &["-A", "-d"], [&database]);
                add.args(["-n", &authority.name, "-t", "C,,", "-i"]).arg(file);
                if folder.join(NSS_FILE).is_file() {
                    return vec![add];
                }
                let make = command("mkdir", &["-p", "-m", "700"], [folder]);
                vec![make, command("certutil", &["-N", "--empty-password", "-d"], [&database]), add]
            }
        }
    }

    /// The commands that take it away again.
    pub(super) fn removal(&self, authority: &PublicAuthority) -> Vec<Command> {
        match self {
            Self::Anchors(anchors) => {
                vec![command("rm", &["-f"], [self.place(authority)]), command(anchors.update.0, anchors.update.1, NONE)]
            }
            Self::Keychain => vec![
                command("security", &["remove-trusted-cert", "-d"], [&authority.certificate]),
                command("security", &["delete-certificate", "-c", &authority.name, KEYCHAIN], NONE),
            ],
            Self::Nss { folder, .. } => {
                let mut remove = command("certutil", &["-D", "-d"], [database(folder)]);
                remove.args(["-n", &authority.name]);
                vec![remove]
            }
        }
    }
}

/// No further arguments.
const NONE: [&str; 0] = [];

fn command<I>(program: &str, arguments: &[&str], further: impl IntoIterator<Item = I>) -> Command
where
    I: AsRef<OsStr>,
{
    let mut command = Command::new(program);
    command.args(arguments).args(further).stdin(Stdio::null());
    command
}

/// The databases of the browsers in a home. A Chromium that has none yet gets one.
fn browsers(machine: &Machine, home: &Path) -> Vec<Store> {
    let has_database = |folder: &PathBuf| folder.join(NSS_FILE).is_file();
    let mut chromium: Vec<PathBuf> = CHROMIUM.iter().map(|folder| home.join(folder)).filter(has_database).collect();
    if chromium.is_empty() && CHROMIUM_PROGRAMS.iter().any(|program| machine.has(program)) {
        chromium.push(home.join(CHROMIUM[0]));
    }
    let profiles = FIREFOX.iter().flat_map(|folder| fs::read_dir(home.join(folder)).into_iter().flatten().flatten());
    let mut firefox: Vec<PathBuf> = profiles.map(|profile| profile.path()).filter(has_database).collect();
    firefox.sort();
    let store = |browser| move |folder| Store::Nss { browser, folder };
    chromium.into_iter().map(store("Chromium")).chain(firefox.into_iter().map(store("Firefox"))).collect()
}

/// A folder as NSS's tools name it.
fn database(folder: &Path) -> OsString {
    [OsStr::new("sql:"), folder.as_os_str()].into_iter().collect()
}

/// Whether a listing of NSS's has an authority, and says that it may sign for servers.
fn is_accepted(listing: &str, name: &str) -> bool {
    listing.lines().any(|line| line.strip_prefix(name).is_some_and(|flags| flags.trim_start().starts_with('C')))
}

/// A name as a file's.
fn file_name(name: &str) -> String {
    let parts = name.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    parts.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}

/// A command as a shell takes it.
pub(super) fn typed(command: &Command) -> String {
    let word = |word: &OsStr| {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./:=,+@".contains(byte);
        let text = word.to_string_lossy();
        if word.as_bytes().iter().all(is_plain) {
            text.into_owned()
        } else {
            format!("'{}'", text.replace('\'', "'\\''"))
        }
    };
    std::iter::once(command.get_program()).chain(command.get_args()).map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority() -> PublicAuthority {
        PublicAuthority {
            name: "ForkPress authority for localhost (0a1b)".to_owned(),
            certificate: "/s/localhost.crt".into(),
        }
    }

    fn shown(commands: &[Command]) -> Vec<String> {
        commands.iter().map(typed).collect()
    }

    #[test]
    fn a_system_gets_a_file_of_the_authoritys_own_name_and_is_told() {
        let store = Store::Anchors(&ANCHORS[0]);
        let place = "/usr/local/share/ca-certificates/forkpress-authority-for-localhost-0a1b.crt";
        assert_eq!(
            shown(&store.addition(&authority())),
            [format!("install -m 644 /s/localhost.crt {place}"), "update-ca-certificates".to_owned()]
        );
        assert_eq!(
            shown(&store.removal(&authority())),
            [format!("rm -f {place}"), "update-ca-certificates".to_owned()]
        );
        let of_fedora = Store::Anchors(&ANCHORS[1]);
        assert!(shown(&of_fedora.addition(&authority()))[0].ends_with("forkpress-authority-for-localhost-0a1b.pem"));
    }

    #[test]
    fn browsers_are_found_by_their_databases_and_chromium_gets_one() {
        let home = tempfile::tempdir().unwrap();
        let program = home.path().join("bin/chromium");
        let profile = home.path().join(".mozilla/firefox/x.default");
        for file in [&program, &profile.join(NSS_FILE)] {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        fs::create_dir_all(home.path().join(".mozilla/firefox/no profile")).unwrap();
        let machine = |programs| Machine { home: None, programs, is_root: false, is_mac: false };
        let firefox = Store::Nss { browser: "Firefox", folder: profile };
        assert_eq!(browsers(&machine(Vec::new()), home.path()), [firefox]);
        let found = browsers(&machine(vec![home.path().join("bin")]), home.path());
        let Store::Nss { browser: "Chromium", folder } = &found[0] else { panic!("{found:?}") };
        let commands = shown(&found[0].addition(&authority()));
        assert_eq!(commands[0], format!("mkdir -p -m 700 {}", folder.display()));
        assert!(commands[2].contains("-n 'ForkPress authority for localhost (0a1b)' -t C,,"), "{commands:?}");
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn an_authority_counts_in_a_listing_where_it_may_sign_for_servers() {
        let listing = "\nCertificate Nickname\n\nother   C,,\nForkPress authority for localhost (0a1b)   C,,  \n";
        assert!(is_accepted(listing, &authority().name));
        assert!(!is_accepted(&listing.replace("C,,", ",,"), &authority().name));
        assert!(!is_accepted(listing, "ForkPress authority for localhost (ffff)"));
    }

    #[test]
    fn a_command_can_be_typed_as_it_is_shown() {
        assert_eq!(typed(&command("a", &["b c", "it's"], NONE)), r"a 'b c' 'it'\''s'");
    }
}
