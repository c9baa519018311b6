//! What the tests of the program share: a folder and a registry of their own for each.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use forkpress_core::layout::SiteLayout;
use forkpress_engine::config::{AccessLog, FileView, Keep, SLOW_MS, Serve, SiteConfig, Strategy, VERSION};
use forkpress_engine::site::create_folders;
use tempfile::TempDir;

/// A folder to make a site in, with a server registry of its own and a free port.
pub struct Sandbox {
    folder: TempDir,
    pub port: u16,
}

impl Sandbox {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("site")).unwrap();
        Self { folder, port: free_port() }
    }

    /// The project folder.
    pub fn site(&self) -> PathBuf {
        self.folder.path().join("site")
    }

    /// A file of the test's own, beside the site.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program, to be run in the project folder.
    pub fn forkpress(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_forkpress"));
        command
            .args(arguments)
            .current_dir(self.site())
            .env("FORKPRESS_STATE_DIR", self.folder.path().join("state"))
            .env_remove("FORKPRESS_PHP")
            .env_remove("FORKPRESS_LOG")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        if cfg!(not(target_os = "macos")) {
            // Only sites in sparse bundles look for the stand-in for hdiutil.
            let fixtures = root().join("tests/fixtures/bin");
            let paths = env::var_os("PATH").unwrap_or_default();
            command.env("PATH", env::join_paths([fixtures].into_iter().chain(env::split_paths(&paths))).unwrap());
        }
        if env::var_os("FORKPRESS_EXTENSION").is_none() {
            command.env("FORKPRESS_EXTENSION", root().join("ext/branchfs.so"));
        }
        command
    }

    /// Runs the program, which must succeed, and gives its standard output.
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.forkpress(arguments).output().unwrap();
        assert!(output.status.success(), "forkpress {arguments:?}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs the program, which must end with this status, and gives its standard error.
    pub fn refused(&self, arguments: &[&str], status: i32) -> String {
        let output = self.forkpress(arguments).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(status), "forkpress {arguments:?}: {said}");
        said
    }

    /// Arguments with which `init` makes a site at this sandbox's port.
    pub fn init_arguments(&self, wordpress: &Path) -> Vec<String> {
        let wordpress = wordpress.to_str().unwrap();
        let port = self.port.to_string();
        ["init", "--wordpress", wordpress, "--port", &port, "--admin-password", "correct horse"]
            .map(str::to_owned)
            .to_vec()
    }

    /// Makes a site that has no branch yet, and no WordPress.
    pub fn bare_site(&self) -> SiteLayout {
        let layout = SiteLayout::at(&fs::canonicalize(self.site()).unwrap());
        create_folders(&layout).unwrap();
        let config = SiteConfig {
            version: VERSION,
            strategy: Strategy::Cow,
            file_view: FileView::FileCopy,
            root_host: "wp.localhost".to_owned(),
            port: self.port,
            access_log: AccessLog::default(),
            slow_ms: SLOW_MS,
            keep: Keep::default(),
            serve: Serve::default(),
            spares: 0,
            links: Vec::new(),
            id_bands: true,
        };
        config.write(&layout.config()).unwrap();
        layout
    }

    /// Makes a site whose `main` is a folder with one file: enough to branch it.
    pub fn site_with_main(&self) -> SiteLayout {
        let layout = self.bare_site();
        fs::create_dir(self.site().join("main")).unwrap();
        fs::write(self.site().join("main/a"), "a").unwrap();
        let record = layout.cow().record(&"main".parse().unwrap());
        fs::write(record, "created_at = \"2026-01-01T00:00:00Z\"\ngeneration = 1\n").unwrap();
        layout
    }

    /// A sandbox with a site in it, or none where this machine lacks what that takes.
    pub fn with_site() -> Option<Self> {
        let wordpress = wordpress()?;
        let sandbox = Self::new();
        let arguments = sandbox.init_arguments(&wordpress);
        sandbox.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        Some(sandbox)
    }

    /// Asks the server for a path of a branch: status, and the answer in full.
    pub fn get(&self, branch: &str, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        let host = if branch == "main" { "wp.localhost".to_owned() } else { format!("{branch}.wp.localhost") };
        // In one piece: PHP's server takes a request line that comes in several for malformed.
        let request = format!("GET {path} HTTP/1.0\r\nHost: {host}:{}\r\n\r\n", self.port);
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        (answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0), answer)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.forkpress(&["stop", "--all", "--force"]).output();
    }
}

/// Says that a test did not run.
#[expect(clippy::explicit_write, reason = "the test harness keeps to itself what goes through eprintln!")]
pub fn skipped(why: &str) {
    writeln!(std::io::stderr(), "SKIPPED: {}: {why}", std::thread::current().name().unwrap_or("test")).unwrap();
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// A WordPress tree with the SQLite driver, where this machine has one, and PHP and the extension to run it.
pub fn wordpress() -> Option<PathBuf> {
    let root = root();
    let skip = |lacking: &str| {
        skipped(lacking);
        None
    };
    let named = env::var_os("FORKPRESS_TEST_WORDPRESS").map(PathBuf::from);
    let wordpress = named.unwrap_or_else(|| root.join("target/wordpress"));
    if !wordpress.join("wp-load.php").is_file() {
        return skip("no WordPress in target/wordpress, and FORKPRESS_TEST_WORDPRESS names none");
    }
    if env::var_os("FORKPRESS_EXTENSION").is_none() && !root.join("ext/branchfs.so").is_file() {
        return skip("no ext/branchfs.so ('make build' makes it)");
    }
    if Command::new("php").arg("-v").output().is_err() {
        return skip("no php in PATH");
    }
    Some(wordpress)
}
