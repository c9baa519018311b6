//! Decides which settings and environment of the user reach the `git` that we run.
//!
//! A command means the same for everybody. So the settings of the person and of the system are left out as a whole.
//! Three things that are theirs to decide come back: the name under which they commit, whose repositories they trust,
//! and how a site elsewhere is reached. The checkout's own settings hold: its `.git/config`, its hooks and its
//! `info/exclude`. The exceptions are settings that would hide work or change what a command does ([`FIXED`]).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Remote;

/// What always holds, whatever the checkout says.
const FIXED: [(&str, &str); 32] = [
    // What is there is seen.
    ("status.showUntrackedFiles", "normal"),
    ("core.fsmonitor", "false"),
    ("core.ignoreStat", "false"),
    ("diff.ignoreSubmodules", "none"),
    ("diff.relative", "false"),
    ("diff.renames", "false"),
    // What is written is what was asked for.
    ("branch.autoSetupMerge", "true"),
    ("branch.autoSetupRebase", "never"),
    ("commit.cleanup", "whitespace"),
    ("fetch.prune", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("i18n.commitEncoding", "UTF-8"),
    ("merge.autoStash", "false"),
    ("merge.verifySignatures", "false"),
    ("push.followTags", "false"),
    ("push.pushOption", ""),
    ("push.recurseSubmodules", "no"),
    ("push.useForceIfIncludes", "false"),
    ("rebase.autoSquash", "false"),
    ("rebase.backend", "merge"),
    ("rebase.updateRefs", "false"),
    ("rerere.autoUpdate", "false"),
    ("submodule.recurse", "false"),
    // Nobody is asked for a passphrase.
    ("commit.gpgSign", "false"),
    ("push.gpgSign", "false"),
    ("tag.gpgSign", "false"),
    // What is said is read by a program.
    ("color.ui", "false"),
    ("column.ui", "never"),
    ("core.quotePath", "false"),
    ("log.showSignature", "false"),
    ("push.negotiate", "false"),
    ("status.submoduleSummary", "false"),
];

/// What holds unless the checkout says otherwise: a file is what it is, byte by byte, and a new one counts. Without the
/// first two, git would look into the person's own folder of settings.
const USUAL: [(&str, &str); 4] = [
    ("core.excludesfile", "/dev/null"),
    ("core.attributesfile", "/dev/null"),
    ("core.autocrlf", "false"),
    ("core.safecrlf", "false"),
];

/// The variables of git's that are the person's to set: who they are, and when it is.
const OF_PERSON: [&str; 6] = [
    "GIT_AUTHOR_NAME",
    "GIT_AUTHOR_EMAIL",
    "GIT_AUTHOR_DATE",
    "GIT_COMMITTER_NAME",
    "GIT_COMMITTER_EMAIL",
    "GIT_COMMITTER_DATE",
];

/// Hosts of this machine, which no proxy leads to.
const NO_PROXY: &str = "localhost,.localhost,127.0.0.1,127.0.0.0/8,::1,[::1]";

/// A command whose environment is the same for everybody, in `dir`. `url` is the repository that it speaks with, if any.
pub(super) fn command(dir: &Path, url: Option<&str>) -> Command {
    let read = GitSettings::read(dir);
    let mut command = Command::new("git");
    for name in foreign_variables(|_| false) {
        command.env_remove(name);
    }
    command
        .env("LC_ALL", "C")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ASKPASS", "")
        .env("GIT_PAGER", "cat")
        // A rebase that goes through takes the messages as they are.
        .env("GIT_EDITOR", "true")
        .stdin(Stdio::null());
    bypass_proxies(&mut command);
    // Git does not hand settings on to the other side where that is a folder, and hooks there commit, too.
    for (variable, value) in read.identity().into_iter().filter(|(name, _)| std::env::var_os(name).is_none()) {
        command.env(variable, value);
    }
    let mut settings = read.for_command(url);
    settings.extend(url.and_then(way_to_own_server));
    command.env("GIT_CONFIG_COUNT", settings.len().to_string());
    for (at, (key, value)) in settings.into_iter().enumerate() {
        // Not as arguments, which everybody on the machine can see: a token may be among them.
        command.env(format!("GIT_CONFIG_KEY_{at}"), key).env(format!("GIT_CONFIG_VALUE_{at}"), value);
    }
    command
}

/// Keeps what is said to a site of this machine from the proxies of the environment.
pub(super) fn bypass_proxies(command: &mut Command) {
    let before = ["no_proxy", "NO_PROXY"].iter().find_map(std::env::var_os).filter(|value| !value.is_empty());
    let hosts = match before {
        Some(all) if all == "*" => all,
        Some(mut hosts) => {
            hosts.push(",");
            hosts.push(NO_PROXY);
            hosts
        }
        None => NO_PROXY.into(),
    };
    command.env("no_proxy", &hosts).env("NO_PROXY", hosts);
}

/// The variables of git's in our environment that are to be kept from it.
fn foreign_variables(is_welcome: impl Fn(&str) -> bool) -> Vec<OsString> {
    let names = std::env::vars_os().map(|(name, _)| name);
    names
        .filter(|name| {
            let name = name.to_string_lossy();
            name.starts_with("GIT_") && !OF_PERSON.contains(&&*name) && !is_welcome(&name)
        })
        .collect()
}

/// Settings, in the order in which git reads them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct GitSettings {
    /// Those of the person and the system.
    theirs: Vec<(String, String)>,
    /// Those of the checkout; of one that is set several times, the last.
    local: BTreeMap<String, String>,
}

impl GitSettings {
    /// What holds in `dir`. Where git can't read it there is nothing.
    fn read(dir: &Path) -> Self {
        let mut command = Command::new("git");
        // Where the settings are is theirs to say.
        for name in foreign_variables(|name| name.starts_with("GIT_CONFIG_")) {
            command.env_remove(name);
        }
        command.arg("-C").arg(dir).args(["config", "--list", "-z", "--show-scope"]).stdin(Stdio::null());
        match command.output() {
            Ok(output) if output.status.success() => Self::parse(&output.stdout),
            _ => Self::default(),
        }
    }

    /// Reads what `git config --list -z --show-scope` says.
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut words = text.split('\0');
        let mut settings = Self::default();
        while let (Some(scope), Some(entry)) = (words.next(), words.next()) {
            // A name without a value means yes.
            let (key, value) = entry.split_once('\n').unwrap_or((entry, "true"));
            if matches!(scope, "local" | "worktree") {
                settings.local.insert(key.to_owned(), value.to_owned());
            } else {
                settings.theirs.push((key.to_owned(), value.to_owned()));
            }
        }
        settings
    }

    /// Under which names somebody commits, as variables.
    fn identity(&self) -> Vec<(String, &str)> {
        let value = |key: &str| {
            let theirs = || self.theirs.iter().rfind(|(name, _)| name == key).map(|(_, value)| value.as_str());
            self.local.get(key).map(String::as_str).or_else(theirs)
        };
        let roles = ["author", "committer"].into_iter().flat_map(|role| ["name", "email"].map(|part| (role, part)));
        let named = roles.filter_map(|(role, part)| {
            let value = value(&format!("{role}.{part}")).or_else(|| value(&format!("user.{part}")))?;
            Some((format!("GIT_{}_{}", role.to_ascii_uppercase(), part.to_ascii_uppercase()), value))
        });
        named.collect()
    }

    /// What a command is given that speaks with the repository at `url`, if with any.
    fn for_command(self, url: Option<&str>) -> Vec<(String, String)> {
        let Self { theirs, local } = self;
        let is_theirs = |key: &str, value: &str| is_of_person(key) || url.is_some_and(|url| leads_to(key, value, url));
        let theirs = theirs.into_iter().filter(|(key, value)| is_theirs(key, value) && !local.contains_key(key));
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let usual = USUAL.iter().filter(|(key, _)| !local.contains_key(*key)).map(owned);
        theirs.chain(usual).chain(FIXED.iter().map(owned)).collect()
    }
}

/// Whether a setting says who somebody is, or whom they trust.
fn is_of_person(key: &str) -> bool {
    matches!(key, "user.name" | "user.email" | "user.useconfigonly" | "safe.directory")
        || key.starts_with("author.")
        || key.starts_with("committer.")
}

/// Whether a setting is needed to reach `url`. A site of this machine needs none but for whom to trust; only where it is named in
/// full it is meant.
fn leads_to(key: &str, value: &str, url: &str) -> bool {
    let renames = key.starts_with("url.") && (key.ends_with(".insteadof") || key.ends_with(".pushinsteadof"));
    if Remote::parse(url).is_some_and(|remote| remote.is_on_this_machine()) {
        // Another account of this machine may have made the authority.
        let trusts = key.starts_with("http.") && (key.ends_with(".sslcainfo") || key.ends_with(".sslcapath"));
        return trusts || renames && value == url;
    }
    renames
        || ["http.", "credential.", "protocol.", "ssh."].iter().any(|section| key.starts_with(section))
        || matches!(key, "core.sshcommand" | "core.gitproxy")
}

/// The setting by which git reaches a server of this user, where the address is one of HTTPS.
fn way_to_own_server(url: &str) -> Option<(String, String)> {
    let remote = Remote::parse(url).filter(Remote::is_https)?;
    if remote.server().ok()??.https {
        return remote.trust();
    }
    // It was served by HTTPS when the checkout was made.
    let plain = url.replacen("https", "http", 1);
    Some((format!("url.{plain}.insteadOf"), url.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(listed: &str, url: Option<&str>) -> Vec<(String, String)> {
        GitSettings::parse(listed.as_bytes()).for_command(url)
    }

    fn value<'a>(given: &'a [(String, String)], key: &str) -> Option<&'a str> {
        given.iter().rfind(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    #[test]
    fn who_somebody_is_is_theirs_unless_the_checkout_says_otherwise() {
        let listed = "global\0user.name\nAnn\0global\0user.email\na@x.test\0system\0safe.directory\n*\0\
                      global\0push.default\nmirror\0local\0user.email\nb@x.test\0";
        let given = given(listed, None);
        assert_eq!(value(&given, "user.name"), Some("Ann"));
        assert_eq!(value(&given, "user.email"), None, "the checkout's own holds");
        assert_eq!(value(&given, "safe.directory"), Some("*"));
        assert_eq!(value(&given, "push.default"), None);
        let settings = GitSettings::parse(listed.as_bytes());
        let identity = settings.identity();
        assert!(identity.contains(&("GIT_COMMITTER_EMAIL".to_owned(), "b@x.test")), "{identity:?}");
        assert!(identity.contains(&("GIT_AUTHOR_NAME".to_owned(), "Ann")), "{identity:?}");
    }

    #[test]
    fn what_hides_work_is_fixed_and_what_the_checkout_ignores_is_its_own() {
        let here = given("local\0status.showuntrackedfiles\nno\0local\0core.excludesfile\n/x\0", None);
        assert_eq!(value(&here, "status.showUntrackedFiles"), Some("normal"));
        assert_eq!(value(&here, "core.excludesfile"), None);
        assert_eq!(value(&given("", None), "core.excludesfile"), Some("/dev/null"));
    }

    #[test]
    fn only_a_site_elsewhere_is_reached_as_they_say() {
        let listed = "global\0http.proxy\nhttp://p\0global\0credential.helper\nstore\0global\0http.sslcainfo\n/ca.crt\0\
                      global\0url.https://.insteadof\nhttp://\0global\0url./x.insteadof\nhttp://wp.localhost/site.git\0";
        let keys = |url: Option<&str>| -> Vec<String> {
            let mut given = given(listed, url);
            given.truncate(given.len() - FIXED.len() - USUAL.len());
            given.into_iter().map(|(key, _)| key).collect()
        };
        assert_eq!(keys(None), [""; 0]);
        assert_eq!(keys(Some("http://wp.localhost/site.git")), ["http.sslcainfo", "url./x.insteadof"]);
        assert_eq!(keys(Some("https://127.0.0.1:18080/site.git")), ["http.sslcainfo"]);
        assert_eq!(keys(Some("http://wp.example.test/site.git")).len(), 5);
    }
}
