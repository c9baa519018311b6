//! Why a site on another machine is not brought in.

use std::io;

use thiserror::Error;

use crate::disk::DiskError;
use forkpress_core::advice::Advice;

/// What is wrong with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressFault {
    /// It has no path.
    NoPath,
    /// Its host is none.
    Host,
    /// Its user is none.
    User,
    /// It has a password.
    Password,
    /// Its port is none.
    Port,
    /// Its path begins at the folder of another user.
    Tilde,
    /// Its path has a NUL.
    Nul,
}

impl AddressFault {
    fn words(self) -> &'static str {
        match self {
            Self::NoPath => "it has no path",
            Self::Host => "its host is none that is handed to ssh",
            Self::User => "its user is none that is handed to ssh",
            Self::Password => "it has a password, which ssh takes from no address",
            Self::Port => "its port is none",
            Self::Tilde => "'~' with a name is no path that it takes",
            Self::Nul => "its path has a NUL",
        }
    }
}

/// Which of the two things that are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The files.
    Files,
    /// The database.
    Database,
}

impl Fetched {
    fn words(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Database => "database",
        }
    }
}

/// Why a site on another machine is not brought in.
#[derive(Debug, Error)]
pub enum RemoteError {
    /// What was given is no address that can be used.
    #[error("{given} can not be used: {}", fault.words())]
    Address {
        /// What was given, without a password.
        given: String,
        /// What is wrong with it.
        fault: AddressFault,
    },
    /// The program `ssh` can't be started.
    #[error("cannot run ssh")]
    Ssh {
        /// What the system said.
        source: io::Error,
    },
    /// No connection is made.
    #[error("cannot connect by 'ssh {login}': {said}")]
    Connect {
        /// What one types after `ssh`.
        login: String,
        /// What ssh said.
        said: String,
    },
    /// The other machine does not run what it is asked to.
    #[error("'ssh {login}' runs no shell commands: {said}")]
    Shell {
        /// What one types after `ssh`.
        login: String,
        /// What it said.
        said: String,
    },
    /// The connection ended too early.
    #[error("the connection of 'ssh {login}' was lost while the {} came", what.words())]
    Lost {
        /// What one types after `ssh`.
        login: String,
        /// What came.
        what: Fetched,
    },
    /// The path leads to no folder that can be entered.
    #[error("{address}: {why}")]
    Path {
        /// The source.
        address: String,
        /// Why.
        why: &'static str,
    },
    /// There is no WordPress at the path.
    #[error("{address} has no WordPress: neither wp-config.php nor wp-load.php is there")]
    NoWordPress {
        /// The source.
        address: String,
        /// Addresses below it that have one.
        others: Vec<String>,
    },
    /// Its `wp-config.php` can't be read.
    #[error("the wp-config.php of {address} can not be read by the user that ssh signs in as")]
    Config {
        /// The source.
        address: String,
    },
    /// Nothing says how it reaches its database.
    #[error("the wp-config.php of {address} does not say what its database is: {why}")]
    Settings {
        /// The source.
        address: String,
        /// Why that is not known.
        why: String,
    },
    /// A program that is needed is not there.
    #[error("the machine of 'ssh {login}' lacks {program}")]
    Program {
        /// What one types after `ssh`.
        login: String,
        /// The program.
        program: &'static str,
    },
    /// The files or the database can't be had.
    #[error("the {} of {address} can not be read: {said}", what.words())]
    Refused {
        /// The source.
        address: String,
        /// What can't be read.
        what: Fetched,
        /// What the program there said.
        said: String,
    },
    /// An option fits other sources only.
    #[error("{option} is for sources on this machine")]
    Option {
        /// The option.
        option: &'static str,
    },
    /// A stream broke.
    #[error("cannot read what ssh brings")]
    Stream {
        /// What the system said.
        source: io::Error,
    },
    /// Whoever asked for it wants it no more.
    #[error("interrupted")]
    Interrupted {
        /// Who said so.
        source: io::Error,
    },
    /// A step on the disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Advice for RemoteError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Address { fault: AddressFault::Password, .. } => {
                "leave the password out: ssh asks for it, or takes a key (ssh-copy-id)".to_owned()
            }
            Self::Address { .. } => {
                "as in forkpress import ssh://user@example.com/srv/www, or ssh://user@example.com/~/www".to_owned()
            }
            Self::Ssh { .. } => "install OpenSSH's client".to_owned(),
            Self::Connect { login, said } => connect_hint(login, said),
            Self::Shell { login, .. } => {
                format!("an import needs a POSIX shell there: see what 'ssh {login} true' says")
            }
            Self::Lost { .. } => "nothing of it was kept; try again".to_owned(),
            Self::Path { .. } | Self::Config { .. } => {
                "see what 'ls' says there: the path begins at / or, after /~/, in the user's own folder".to_owned()
            }
            Self::NoWordPress { others, .. } => match others.first() {
                Some(other) => format!("forkpress import '{other}'"),
                None => "name the folder that has wp-config.php, or the one below it that has wp-load.php".to_owned(),
            },
            Self::Settings { .. } => {
                "make a dump there yourself, and import it with the files: docs/import-export.md".to_owned()
            }
            Self::Program { program, .. } => format!("install {program} there, or copy the site here by other means"),
            Self::Refused { what: Fetched::Files, .. } => {
                "sign in as the site's user, or leave out what can't be read with --exclude".to_owned()
            }
            Self::Refused { what: Fetched::Database, .. } => {
                "its wp-config.php says how the site reaches it: does the site itself work?".to_owned()
            }
            Self::Option { option } => format!("leave {option} out, and name the folder by its own address"),
            Self::Stream { .. } | Self::Interrupted { .. } | Self::Disk(_) => return None,
        })
    }
}

fn connect_hint(login: &str, said: &str) -> String {
    if said.contains("Host key verification failed") || said.contains("host key") {
        format!("connect once by hand, and compare the key: ssh {login}")
    } else if said.contains("Permission denied") {
        format!("sign in with a key (ssh-add, ssh-copy-id), or where ssh can ask for a password: ssh {login} true")
    } else {
        format!("see whether this works: ssh {login} true")
    }
}
