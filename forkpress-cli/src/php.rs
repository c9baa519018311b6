//! Finds the PHP that serves a site, and checks whether it can.
//!
//! PHP is asked: it is started as it would serve, and reports what it is. The report is judged without a PHP.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use forkpress_core::layout::SiteLayout;
use forkpress_server::fpm;

use crate::child::ran;
use crate::failure::{During, Failure};
use crate::{extension, output};

/// The oldest PHP that the extension can be built for.
const OLDEST: Version = Version { major: 8, minor: 1 };

/// The modules without which WordPress or its SQLite driver does not start, with Debian's package of each.
const MODULES: [(&str, &str); 4] = [("json", "cli"), ("hash", "cli"), ("pdo", "sqlite3"), ("pdo_sqlite", "sqlite3")];

/// Zend's module API number of each PHP version (`ZEND_MODULE_API_NO`).
const API_NUMBERS: [(&str, Version); 5] = [
    ("20210902", Version { major: 8, minor: 1 }),
    ("20220829", Version { major: 8, minor: 2 }),
    ("20230831", Version { major: 8, minor: 3 }),
    ("20240924", Version { major: 8, minor: 4 }),
    ("20250925", Version { major: 8, minor: 5 }),
];

/// What PHP is asked to say of itself. It uses nothing that a module would have to bring.
const QUESTION: &str = r#"
echo 'version=', PHP_MAJOR_VERSION, '.', PHP_MINOR_VERSION, "\n";
echo 'sapi=', PHP_SAPI, "\n";
echo 'zts=', (int) PHP_ZTS, "\n";
echo 'debug=', (int) PHP_DEBUG, "\n";
foreach (get_loaded_extensions() as $module) { echo 'module=', strtolower($module), "\n"; }
"#;

/// A PHP program that was checked and can serve the site.
#[derive(Clone, Debug)]
pub struct Php {
    /// Its absolute path.
    pub program: PathBuf,
    /// Its version, such as `8.2`.
    pub version: String,
    /// What kind of PHP serves the site.
    pub kind: Kind,
    /// The program that does: of this PHP, of that kind.
    pub server: PathBuf,
}

/// What kind of PHP serves a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// php-fpm.
    Fpm,
    /// php-cgi, where there is no php-fpm.
    Cgi,
    /// PHP's built-in server, where there is neither.
    Builtin,
}

/// A program that comes with PHP and serves sites: its kind, its name, what PHP calls it, and what names another one.
/// `none`: that kind does not serve.
struct Companion {
    kind: Kind,
    name: &'static str,
    sapi: &'static str,
    variable: &'static str,
}

/// The best first. Without any, PHP's built-in server serves.
const COMPANIONS: [Companion; 2] = [
    Companion { kind: Kind::Fpm, name: "php-fpm", sapi: "fpm-fcgi", variable: "FORKPRESS_PHP_FPM" },
    Companion { kind: Kind::Cgi, name: "php-cgi", sapi: "cgi-fcgi", variable: "FORKPRESS_PHP_CGI" },
];

impl Php {
    /// Finds PHP and checks that it can serve the site, whose runtime has been unpacked.
    ///
    /// `asked` is what `--php` or `FORKPRESS_PHP` says: a path, or a name to be found in `PATH`.
    pub fn check(asked: Option<&Path>, layout: &SiteLayout) -> Result<Self, Failure> {
        let program = Self::find(asked)?;
        let mut command = Self::command_of(&program, &program, layout);
        command
            .args(["-d", "display_startup_errors=1", "-d", "display_errors=stderr", "-d", "log_errors=0"])
            .args(["-d", "html_errors=0", "-r", QUESTION])
            .stdin(Stdio::null());
        let output = ran(&mut command).during(|| format!("cannot run {}", program.display()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        let report = PhpReport::parse(&String::from_utf8_lossy(&output.stdout), &said).ok_or_else(|| {
            Failure::new(format!("{} is no PHP that can be used: {}", program.display(), said.trim()))
                .hint("name another one with --php PATH")
        })?;
        let platform = Platform::current();
        report.verdict().map_err(|problem| {
            Failure::new(format!("{} cannot serve the site: {problem}", program.display())).hint(problem.hint(platform))
        })?;
        for companion in &COMPANIONS {
            if let Some(server) = companion.find(&program, report.version, layout)? {
                return Ok(Self { program, version: report.version.to_string(), kind: companion.kind, server });
            }
        }
        Ok(Self { server: program.clone(), version: report.version.to_string(), program, kind: Kind::Builtin })
    }

    /// Finds PHP as [`Self::check`] does. Nothing is started.
    pub fn find(asked: Option<&Path>) -> Result<PathBuf, Failure> {
        find(asked, env::var_os("PATH").as_deref())
    }

    /// The command line of a PHP, or of a server that comes with it, up to what it is to do: the site's settings, and
    /// the extension.
    pub fn arguments(layout: &SiteLayout, php: &Path) -> [OsString; 4] {
        let mut extension = OsString::from("extension=");
        extension.push(extension::of(layout, php));
        ["-c".into(), layout.php_ini().into(), "-d".into(), extension]
    }

    fn command_of(program: &Path, php: &Path, layout: &SiteLayout) -> Command {
        let mut command = Command::new(program);
        command.args(Self::arguments(layout, php)).env("FORKPRESS_PHP_ERRORS_LOG", layout.php_errors_log());
        command
    }
}

impl Companion {
    /// The one of a PHP, if it can serve the site. One that was asked for must.
    fn find(&self, program: &Path, version: Version, layout: &SiteLayout) -> Result<Option<PathBuf>, Failure> {
        let asked = env::var_os(self.variable).map(PathBuf::from);
        let found = match &asked {
            Some(asked) if asked == Path::new("none") => return Ok(None),
            Some(asked) => Some(asked.clone()),
            None => {
                let beside = [program.parent(), program.parent().and_then(Path::parent)];
                let beside = beside.into_iter().flatten().flat_map(|folder| [folder.to_owned(), folder.join("sbin")]);
                let path = env::var_os("PATH").unwrap_or_default();
                fpm::find(self.name, &version.to_string(), env::split_paths(&path).chain(beside))
            }
        };
        let Some(found) = found else { return Ok(None) };
        let said = |question: &str| -> Result<String, Failure> {
            let mut command = Php::command_of(&found, program, layout);
            command.args(["-d", "log_errors=0", question]).stdin(Stdio::null());
            let output = ran(&mut command).during(|| format!("cannot run {}", found.display()))?;
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let problem = match unfit(&said("-v")?, self.sapi, version) {
            None => lacking(&said("-m")?).map(|module| format!("it lacks the module {module}")),
            problem => problem,
        };
        match problem {
            None => Ok(Some(found)),
            Some(problem) if asked.is_some() => {
                Err(Failure::new(format!("{} cannot serve the site: {problem}", found.display()))
                    .hint(format!("name another one with {}, or set that to 'none' to do without", self.variable)))
            }
            Some(problem) => {
                output::note(format_args!("forkpress: warning: {} is not used: {problem}", found.display()));
                Ok(None)
            }
        }
    }
}

/// What keeps a program from serving with a PHP of this version, by what it says of its version: `PHP 8.2.1 (fpm-fcgi)
/// (built: Jan 1 2026 00:00:00) (NTS)`.
fn unfit(said: &str, sapi: &str, version: Version) -> Option<String> {
    let Some(line) = said.lines().find_map(|line| line.strip_prefix("PHP ")) else {
        return Some("it does not say which PHP it is".to_owned());
    };
    let mut numbers = line.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse().ok());
    let found = numbers.next().zip(numbers.next()).map(|(major, minor)| Version { major, minor });
    let has = |word: &str| line.contains(&format!("({word}"));
    match found {
        _ if !has(&format!("{sapi})")) => Some(format!("it is no {sapi}")),
        Some(found) if found == version && has("ZTS") => {
            Some("it is thread-safe (ZTS), and branchfs.so is not".to_owned())
        }
        Some(found) if found == version && line.contains("DEBUG)") => {
            Some("it is a debug build, and branchfs.so is not".to_owned())
        }
        Some(found) if found == version => None,
        Some(found) => Some(format!("it is PHP {found}, and the site's PHP is {version}")),
        None => Some("it does not say which PHP it is".to_owned()),
    }
}

/// The first module that is needed and not in a list of modules, as `-m` says it.
fn lacking(said: &str) -> Option<&'static str> {
    let said = said.to_lowercase();
    let has = |module: &str| said.lines().any(|line| line == module);
    MODULES.iter().map(|(module, _)| *module).chain(["branchfs"]).find(|module| !has(module))
}

fn find(asked: Option<&Path>, path: Option<&std::ffi::OsStr>) -> Result<PathBuf, Failure> {
    let name = asked.unwrap_or(Path::new("php"));
    let folders: Vec<_> = path.map(|path| env::split_paths(path).collect()).unwrap_or_default();
    let found = if name.components().count() > 1 {
        std::path::absolute(name).ok().filter(|program| program.is_file())
    } else {
        folders.iter().map(|folder| folder.join(name)).find(|program| program.is_file())
    };
    found.ok_or_else(|| match asked {
        Some(asked) => {
            let there = names_in(&folders);
            let hint = match there.is_empty() {
                true => "there is none in PATH".to_owned(),
                false => format!("in PATH there is {}", there.join(", ")),
            };
            Failure::new(format!("there is no PHP at {}", asked.display())).hint(format!(
                "--php, or FORKPRESS_PHP, takes a PHP command-line program, such as php8.3 or /usr/bin/php: {hint}"
            ))
        }
        None => Failure::new("there is no PHP in PATH").hint(match Platform::current() {
            Platform::MacOs => "brew install php, or name one with --php PATH".to_owned(),
            Platform::Linux => "apt-get install php-cli php-sqlite3, or name one with --php PATH".to_owned(),
        }),
    })
}

/// The names of PHP's command-line programs in folders: `php`, and `php` with a version.
fn names_in(folders: &[PathBuf]) -> Vec<String> {
    let entries = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let is_php =
        |name: &String| name.strip_prefix("php").is_some_and(|rest| rest.is_empty() || Version::parse(rest).is_some());
    names.filter(is_php).collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

/// For whom a hint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Platform {
    Linux,
    MacOs,
}

impl Platform {
    fn current() -> Self {
        if cfg!(target_os = "macos") { Self::MacOs } else { Self::Linux }
    }
}

/// The version of a PHP, as far as binary compatibility goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    major: u32,
    minor: u32,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }

    fn of_api(number: &str) -> Option<Self> {
        API_NUMBERS.iter().find(|(api, _)| *api == number).map(|(_, version)| *version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What a PHP said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PhpReport {
    version: Version,
    sapi: String,
    thread_safe: bool,
    debug: bool,
    modules: Vec<String>,
    /// What it wrote to standard error as it started, among it why it did not load the extension.
    complaint: String,
}

impl PhpReport {
    fn parse(answer: &str, complaint: &str) -> Option<Self> {
        let lines = || answer.lines().filter_map(|line| line.split_once('='));
        let value = |key: &str| lines().find(|(name, _)| *name == key).map(|(_, value)| value.to_owned());
        Some(Self {
            version: Version::parse(&value("version")?)?,
            sapi: value("sapi")?,
            thread_safe: value("zts")? == "1",
            debug: value("debug")? == "1",
            modules: lines().filter(|(name, _)| *name == "module").map(|(_, module)| module.to_owned()).collect(),
            complaint: complaint.trim().to_owned(),
        })
    }

    fn verdict(&self) -> Result<(), Problem> {
        let has = |module: &str| self.modules.iter().any(|loaded| loaded == module);
        if self.sapi != "cli" {
            return Err(Problem::NotCommandLine { sapi: self.sapi.clone() });
        }
        if self.version < OLDEST {
            return Err(Problem::TooOld { version: self.version });
        }
        if self.thread_safe || self.debug {
            return Err(Problem::Build { version: self.version, thread_safe: self.thread_safe });
        }
        let missing: Vec<_> = MODULES.into_iter().filter(|(module, _)| !has(module)).collect();
        if !missing.is_empty() {
            return Err(Problem::Modules { version: self.version, missing });
        }
        if !has("branchfs") {
            return Err(match built_for(&self.complaint) {
                Some(api) if Version::of_api(&api) != Some(self.version) => {
                    Problem::Api { version: self.version, built_for: Version::of_api(&api).ok_or(api) }
                }
                _ => Problem::Extension { complaint: self.complaint.clone() },
            });
        }
        Ok(())
    }
}

/// The API number of the module that Zend refused: `Module compiled with module API=20220829`, or
/// `... build ID=API20220829,NTS`.
fn built_for(complaint: &str) -> Option<String> {
    let line = complaint.lines().find_map(|line| line.split_once("odule compiled with "))?.1;
    let digits: String = line.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some(digits)
}

/// Why a PHP can't serve.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Problem {
    NotCommandLine { sapi: String },
    TooOld { version: Version },
    Build { version: Version, thread_safe: bool },
    Modules { version: Version, missing: Vec<(&'static str, &'static str)> },
    Api { version: Version, built_for: Result<Version, String> },
    Extension { complaint: String },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotCommandLine { sapi } => write!(f, "it is PHP for {sapi}, which has no web server in it"),
            Self::TooOld { version } => write!(f, "it is PHP {version}, and PHP {OLDEST} or newer is needed"),
            Self::Build { thread_safe: true, .. } => f.write_str("it is thread-safe (ZTS), and branchfs.so is not"),
            Self::Build { .. } => f.write_str("it is a debug build, and branchfs.so is not"),
            Self::Modules { missing, .. } => {
                let names: Vec<_> = missing.iter().map(|(module, _)| *module).collect();
                write!(f, "it lacks the module {}", names.join(" and "))
            }
            Self::Api { version, built_for: Ok(other) } => {
                write!(f, "it is PHP {version}, and branchfs.so was built for PHP {other}")
            }
            Self::Api { version, built_for: Err(number) } => {
                write!(f, "it is PHP {version}, and branchfs.so was built for the API {number} of another PHP")
            }
            Self::Extension { complaint } if complaint.is_empty() => {
                f.write_str("it does not load branchfs.so, and does not say why")
            }
            Self::Extension { complaint } => write!(f, "it does not load branchfs.so: {complaint}"),
        }
    }
}

impl Problem {
    fn hint(&self, platform: Platform) -> String {
        let install = |version: Version, packages: &[&str]| match platform {
            Platform::Linux => {
                let names: Vec<_> = packages.iter().map(|package| format!("php{version}-{package}")).collect();
                format!("apt-get install {}", names.join(" "))
            }
            Platform::MacOs => format!("brew install php@{version}"),
        };
        match self {
            Self::NotCommandLine { .. } => "name the command-line PHP with --php PATH".to_owned(),
            Self::TooOld { .. } => match platform {
                Platform::Linux => {
                    "apt-get install php-cli php-sqlite3, or name a newer PHP with --php PATH".to_owned()
                }
                Platform::MacOs => "brew install php, or name a newer PHP with --php PATH".to_owned(),
            },
            Self::Build { version, .. } => {
                format!(
                    "{}, or name a non-thread-safe release build with --php PATH",
                    install(*version, &["cli", "sqlite3"])
                )
            }
            Self::Modules { version, missing } => {
                let mut packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
                packages.dedup();
                install(*version, &packages)
            }
            Self::Api { built_for: Ok(other), .. } => {
                format!("{}, and name it with --php PATH", install(*other, &["cli", "sqlite3"]))
            }
            Self::Api { .. } | Self::Extension { .. } => {
                "build the extension for this PHP with 'make build', or name another PHP with --php PATH".to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "version=8.2\nsapi=cli\nzts=0\ndebug=0\n\
        module=core\nmodule=json\nmodule=hash\nmodule=pdo\nmodule=pdo_sqlite\nmodule=branchfs\n";

    fn report() -> PhpReport {
        PhpReport::parse(ANSWER, "").unwrap()
    }

    fn problem(report: &PhpReport) -> (String, String, String) {
        let problem = report.verdict().unwrap_err();
        (problem.to_string(), problem.hint(Platform::Linux), problem.hint(Platform::MacOs))
    }

    fn without(modules: &[&str]) -> PhpReport {
        let mut report = report();
        report.modules.retain(|module| !modules.contains(&module.as_str()));
        report
    }

    #[test]
    fn a_php_with_all_that_is_needed_can_serve() {
        assert_eq!(report().verdict(), Ok(()));
        assert_eq!(PhpReport::parse("Could not open input file", ""), None);
    }

    #[test]
    fn a_missing_module_is_named_with_its_package() {
        let (said, linux, mac) = problem(&without(&["pdo", "pdo_sqlite"]));
        assert_eq!(said, "it lacks the module pdo and pdo_sqlite");
        assert_eq!(linux, "apt-get install php8.2-sqlite3");
        assert_eq!(mac, "brew install php@8.2");
    }

    #[test]
    fn an_extension_for_another_php_is_told_by_its_api() {
        let complaint = "PHP Warning:  PHP Startup: branchfs: Unable to initialize module\n\
            Module compiled with module API=20220829\nPHP    compiled with module API=20230831\n\
            These options need to match\n in Unknown on line 0";
        let other = PhpReport {
            version: Version { major: 8, minor: 3 },
            complaint: complaint.to_owned(),
            ..without(&["branchfs"])
        };
        let (said, linux, _) = problem(&other);
        assert_eq!(said, "it is PHP 8.3, and branchfs.so was built for PHP 8.2");
        assert_eq!(linux, "apt-get install php8.2-cli php8.2-sqlite3, and name it with --php PATH");
        assert_eq!(built_for("Module compiled with build ID=API20240924,NTS").as_deref(), Some("20240924"));
    }

    #[test]
    fn an_extension_that_does_not_load_is_quoted() {
        let other = PhpReport { complaint: "cannot open shared object file".to_owned(), ..without(&["branchfs"]) };
        assert_eq!(problem(&other).0, "it does not load branchfs.so: cannot open shared object file");
    }

    #[test]
    fn another_kind_of_php_is_refused() {
        let old = PhpReport { version: Version { major: 7, minor: 4 }, ..report() };
        assert_eq!(problem(&old).0, "it is PHP 7.4, and PHP 8.1 or newer is needed");
        let threads = PhpReport { thread_safe: true, ..report() };
        assert_eq!(problem(&threads).0, "it is thread-safe (ZTS), and branchfs.so is not");
        let cgi = PhpReport { sapi: "cgi-fcgi".to_owned(), ..report() };
        assert_eq!(problem(&cgi).0, "it is PHP for cgi-fcgi, which has no web server in it");
    }

    #[test]
    fn a_server_of_another_php_is_refused() {
        let version = Version { major: 8, minor: 2 };
        let said = |text: &str| unfit(text, "fpm-fcgi", version);
        assert_eq!(said("PHP 8.2.36 (fpm-fcgi) (built: Nov 18 2026 20:02:04) (NTS)\nCopyright\n"), None);
        for (text, problem) in [
            ("PHP 8.3.1 (fpm-fcgi) (built: x) (NTS)", "it is PHP 8.3, and the site's PHP is 8.2"),
            ("PHP 8.2.1 (fpm-fcgi) (built: x) (ZTS)", "it is thread-safe (ZTS), and branchfs.so is not"),
            ("PHP 8.2.1 (fpm-fcgi) (built: x) (NTS DEBUG)", "it is a debug build, and branchfs.so is not"),
            ("PHP 8.2.1 (cgi-fcgi) (built: x) (NTS)", "it is no fpm-fcgi"),
            ("", "it does not say which PHP it is"),
            ("PHP x (fpm-fcgi)", "it does not say which PHP it is"),
        ] {
            assert_eq!(said(text).as_deref(), Some(problem), "{text}");
        }
        let all = "[PHP Modules]\nbranchfs\nCore\nhash\njson\nPDO\npdo_sqlite\n";
        assert_eq!(lacking(all), None);
        assert_eq!(lacking(&all.replace("pdo_sqlite", "")), Some("pdo_sqlite"));
    }

    #[test]
    fn php_is_found_in_path_or_where_it_was_named() {
        let dir = tempfile::tempdir().unwrap();
        let php = dir.path().join("php8.9");
        std::fs::write(&php, "").unwrap();
        let path = env::join_paths([PathBuf::from("/nowhere"), dir.path().to_owned()]).unwrap();
        assert_eq!(find(Some(Path::new("php8.9")), Some(&path)).unwrap(), php);
        assert_eq!(find(Some(&php), None).unwrap(), php);
        assert!(find(Some(Path::new("./php8.9")), Some(&path)).is_err());
        for name in ["php", "php-config8.9", "php8.9-x", "phpize"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let unknown = find(Some(Path::new("php8.8")), Some(&path)).unwrap_err();
        assert_eq!(unknown.error, "there is no PHP at php8.8");
        assert!(unknown.hint.unwrap().ends_with("in PATH there is php, php8.9"));
        let nowhere = std::ffi::OsStr::new("/nowhere");
        assert!(find(None, Some(nowhere)).unwrap_err().to_string().contains("there is no PHP in PATH"));
    }
}
