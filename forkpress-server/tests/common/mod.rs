//! A site with real PHP behind the server, and a client that sends bytes.
#![allow(dead_code, reason = "no test uses all of it")]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use forkpress_core::layout::SiteLayout;
use forkpress_server::files::Files;
use forkpress_server::fpm::{self, Folder, Fpm, Pool};
use forkpress_server::front::{Entrance, Front, Limits};
use forkpress_server::php::Php;
use forkpress_server::spool::Room;

/// How long anything may take that has to happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A site that is served.
pub struct Site {
    pub front: Front,
    pub address: SocketAddr,
    /// Where PHP answers for files, too.
    php_address: SocketAddr,
    pub dir: PathBuf,
    pub fpm: Fpm,
    _temporary: tempfile::TempDir,
    folder: Folder,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The extension; none where it is not built.
fn extension() -> Option<PathBuf> {
    Some(root().join("ext/branchfs.so")).filter(|path| path.is_file())
}

/// The php-fpm of the PHP in PATH; none where there is none.
pub fn program() -> Option<PathBuf> {
    let version = Command::new("php").args(["-r", "echo PHP_MAJOR_VERSION, '.', PHP_MINOR_VERSION;"]).output().ok()?;
    fpm::find(&String::from_utf8(version.stdout).ok()?, std::env::split_paths(&std::env::var_os("PATH")?))
}

/// Serves a site with these files in `main` by so many processes; none where this machine can't, which is said.
pub fn site(workers: u16, files: &[(&str, &str)]) -> Option<Site> {
    site_with(workers, Duration::from_secs(120), files)
}

/// The same, where a request may run for so long.
pub fn site_with(workers: u16, longest: Duration, files: &[(&str, &str)]) -> Option<Site> {
    let (Some(program), Some(extension)) = (program(), extension()) else {
        eprintln!("SKIPPED: this needs php-fpm (Debian: php-fpm) and ext/branchfs.so (make build)");
        return None;
    };
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().canonicalize().unwrap();
    fs::create_dir_all(dir.join(".forkpress/cow")).unwrap();
    for (path, content) in files {
        let path = dir.join("main").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let layout = SiteLayout::at(&dir);
    let folder = Folder::make(&dir.join(".forkpress/run")).unwrap();
    let pools = [
        Pool { name: "pages", workers, on_demand: false, longest: Some(longest), environment: Vec::new() },
        Pool { name: "git", workers: 2, on_demand: true, longest: None, environment: Vec::new() },
    ];
    let mut command = Command::new(program);
    command
        .args(["-d".into(), format!("extension={}", extension.display())])
        .args(["-d", "error_log="])
        .env("FORKPRESS_BRANCHES_DIR", &dir)
        .env_remove("FORKPRESS_COW_DIR")
        .env_remove("FORKPRESS_ROOT_HOST")
        .env("HTTP_PROXY", "evil:1")
        .current_dir(&dir)
        .stdin(Stdio::null())
        .stderr(fs::File::create(dir.join("fpm.log")).unwrap());
    let fpm = Fpm::start(&mut command, &[], &folder, &pools).unwrap();
    eventually("php-fpm listens", || Fpm::is_ready(&folder, &pools));
    let room = Room { memory_bytes: 256 << 10, folder: dir.clone() };
    let script = root().join("runtime/router_cow.php");
    let php = |pool| {
        let php = Php::new(folder.socket(pool), usize::from(workers), script.clone(), room.clone());
        Arc::new(php.ended_after(Some(longest)))
    };
    let bound = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    };
    let ((listener, address), (php_listener, php_address)) = (bound(), bound());
    let pages = php("pages");
    let entrance = |files| Entrance {
        pages: Arc::clone(&pages),
        repository: php("git"),
        files,
        root_host: "wp.localhost".to_owned(),
        room: room.clone(),
        limits: Limits { body_bytes: 1 << 30, head_bytes: 60_000, pause: Duration::from_secs(4) },
        log: None,
    };
    let files = Arc::new(Files::new(&dir, layout.cow(), "wp.localhost", Duration::from_secs(1)));
    let front = Front::start(vec![(listener, entrance(Some(files))), (php_listener, entrance(None))], 2).unwrap();
    Some(Site { front, address, php_address, dir, fpm, _temporary: temporary, folder })
}

/// Waits until something holds.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "it does not happen that {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

impl Site {
    /// The socket of a pool of PHP's.
    pub fn socket(&self, pool: &str) -> PathBuf {
        self.folder.socket(pool)
    }

    /// Connects, and sends bytes.
    pub fn send(&self, bytes: &[u8]) -> TcpStream {
        self.send_to(false, bytes)
    }

    /// The same, where PHP answers for files, or where it does not.
    pub fn send_to(&self, php: bool, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(if php { self.php_address } else { self.address }).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(bytes).unwrap();
        stream
    }

    /// Sends bytes, and returns all that comes back.
    pub fn said(&self, bytes: &[u8]) -> String {
        rest(&mut self.send(bytes))
    }

    /// The body of the answer to a GET.
    pub fn get(&self, path: &str) -> String {
        let answer =
            self.said(format!("GET {path} HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\n\r\n").as_bytes());
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        if chunked { unchunked(body) } else { body.to_owned() }
    }
}

/// All that still comes. A connection that is broken off ends it.
pub fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let mut piece = [0; 65536];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => all.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!("nothing more comes, after {:?}: {error}", String::from_utf8_lossy(&all)),
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// What chunks hold.
pub fn unchunked(mut body: &str) -> String {
    let mut all = String::new();
    loop {
        let Some((length, rest)) = body.split_once("\r\n") else { panic!("the last chunk does not come: {all}") };
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return all;
        }
        all += &rest[..length];
        body = rest[length..].strip_prefix("\r\n").unwrap();
    }
}
