//! A site with real PHP behind the server, and a client that sends bytes.
#![allow(dead_code, reason = "no test uses all of it")]

pub mod application;
pub mod http2;
pub mod requests;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use forkpress_core::layout::SiteLayout;
use forkpress_server::files::Files;
use forkpress_server::fpm::{self, Folder, Fpm, Pool};
use forkpress_server::front::{Entrance, Front, Limits};
use forkpress_server::php::Php;
use forkpress_server::spool::Room;
use forkpress_server::tls::{Authority, Tls};
use forkpress_server::traffic::{Answered, Traffic};
use forkpress_server::workers::{Kind, Recipe, Workers};

/// How long anything may take that has to happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// For how long a request may run, where a test does not say.
const LONGEST: Duration = Duration::from_secs(120);

/// A site that is served.
pub struct Site {
    pub front: Front,
    pub address: SocketAddr,
    /// Where PHP answers for files, too.
    php_address: SocketAddr,
    /// Where it speaks TLS, too.
    pub tls_address: SocketAddr,
    /// The certificate of the authority.
    pub authority: PathBuf,
    pub dir: PathBuf,
    answered: Mutex<Receiver<Answered>>,
    behind: Behind,
    _temporary: tempfile::TempDir,
    folder: Folder,
}

/// What answers pages.
enum Behind {
    Fpm(Fpm),
    /// Pages, and requests for the repository.
    Workers([Workers; 2]),
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
    fpm::find("php-fpm", &String::from_utf8(version.stdout).ok()?, std::env::split_paths(&std::env::var_os("PATH")?))
}

/// How long a client may pause.
const PAUSE: Duration = Duration::from_secs(4);

/// The same, where a test has clients pause and the server wait for them, however busy the machine is.
pub const NO_HURRY: Duration = Duration::from_secs(600);

/// Serves a site with these files in `main` by so many processes; none where this machine can't, which is said.
pub fn site(workers: u16, files: &[(&str, &str)]) -> Option<Site> {
    site_with_pause(workers, files, PAUSE)
}

/// The same, where a client may pause for so long.
pub fn site_with_pause(workers: u16, files: &[(&str, &str)], pause: Duration) -> Option<Site> {
    site_of_fpm(workers, pause, LONGEST, files)
}

/// The same, where a request may run for so long.
pub fn site_with(workers: u16, longest: Duration, files: &[(&str, &str)]) -> Option<Site> {
    site_of_fpm(workers, PAUSE, longest, files)
}

fn site_of_fpm(workers: u16, pause: Duration, longest: Duration, files: &[(&str, &str)]) -> Option<Site> {
    let Some(program) = program() else {
        eprintln!("SKIPPED: this needs php-fpm (Debian: php-fpm)");
        return None;
    };
    served(workers, pause, longest, files, |dir, extension, folder| {
        fpm(&program, workers, longest, dir, extension, folder)
    })
}

/// Serves such a site by processes that are a server of their own each, which may take so long for a request.
pub fn site_of(kind: Kind, workers: u16, longest: Duration, files: &[(&str, &str)]) -> Option<Site> {
    let program = match kind {
        Kind::Builtin => "php",
        Kind::Cgi => "php-cgi",
    };
    if Command::new(program).arg("-v").output().is_err() {
        eprintln!("SKIPPED: this needs {program} (Debian: php-cgi)");
        return None;
    }
    served(workers, PAUSE, longest, files, |dir, extension, folder| {
        let started = |name, workers, longest| {
            let (dir, extension) = (dir.to_owned(), extension.to_owned());
            let command = move || {
                let log = fs::OpenOptions::new().create(true).append(true).open(dir.join("php.log"))?;
                let mut command = Command::new(program);
                environment(&mut command, &dir, &extension);
                command.stdout(log.try_clone()?).stderr(log);
                Ok(command)
            };
            let (folder, script) = (folder.path().to_owned(), script());
            Workers::start(Recipe { kind, name, workers, longest, folder, script, command: Box::new(command) }).unwrap()
        };
        let pages = started("pages", workers, Some(longest));
        eventually("all of them listen", || pages.ids().len() == usize::from(workers) && pages.are_idle());
        Behind::Workers([pages, started("git", 1, None)])
    })
}

fn script() -> PathBuf {
    root().join("runtime/router_cow.php")
}

fn environment(command: &mut Command, dir: &Path, extension: &Path) {
    command
        .args(["-d".into(), format!("extension={}", extension.display())])
        .args(["-d", "error_log="])
        .env("FORKPRESS_BRANCHES_DIR", dir)
        .env_remove("FORKPRESS_COW_DIR")
        .env_remove("FORKPRESS_ROOT_HOST")
        .current_dir(dir);
}

fn fpm(program: &Path, workers: u16, longest: Duration, dir: &Path, extension: &Path, folder: &Folder) -> Behind {
    let pools = [
        Pool { name: "pages", workers, on_demand: false, longest: Some(longest), environment: Vec::new() },
        Pool { name: "git", workers: 2, on_demand: true, longest: None, environment: Vec::new() },
    ];
    let mut command = Command::new(program);
    environment(&mut command, dir, extension);
    command.env("HTTP_PROXY", "evil:1").stdin(Stdio::null()).stderr(fs::File::create(dir.join("fpm.log")).unwrap());
    let fpm = Fpm::start(&mut command, folder, &pools).unwrap();
    eventually("php-fpm listens", || Fpm::is_ready(folder, &pools));
    Behind::Fpm(fpm)
}

fn served(
    workers: u16,
    pause: Duration,
    longest: Duration,
    files: &[(&str, &str)],
    start: impl FnOnce(&Path, &Path, &Folder) -> Behind,
) -> Option<Site> {
    let Some(extension) = extension() else {
        eprintln!("SKIPPED: this needs ext/branchfs.so (make build)");
        return None;
    };
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().canonicalize().unwrap().join("it's; \"a\" $x");
    fs::create_dir_all(dir.join(".forkpress/cow")).unwrap();
    for (path, content) in files {
        let path = dir.join("main").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let layout = SiteLayout::at(&dir);
    let folder = Folder::make(&dir.join(".forkpress/run")).unwrap();
    let behind = start(&dir, &extension, &folder);
    let room = Room { memory_bytes: 256 << 10, folder: dir.clone() };
    let php = |pool| {
        let php = match (&behind, pool) {
            (Behind::Fpm(_), pool) => Php::new(folder.socket(pool), usize::from(workers), script(), room.clone()),
            (Behind::Workers([pages, _]), "pages") => Php::of(pages.handle(), script(), room.clone()),
            (Behind::Workers([_, git]), _) => Php::of(git.handle(), script(), room.clone()),
        };
        Arc::new(php.ended_after(Some(longest)))
    };
    let bound = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    };
    let ((listener, address), (php_listener, php_address)) = (bound(), bound());
    let (tls_listener, tls_address) = bound();
    let authority = Authority::open_or_make(&dir.join("authorities"), "wp.localhost").unwrap();
    let certificate = authority.public.certificate.clone();
    let tls = Tls::new(authority, "wp.localhost").unwrap();
    let pages = php("pages");
    let (log, answered) = sync_channel(MOST_TOLD);
    let traffic = Traffic::new(Some(log), |_| ());
    let entrance = |files, tls| Entrance {
        pages: Arc::clone(&pages),
        repository: php("git"),
        files,
        root_host: "wp.localhost".to_owned(),
        room: room.clone(),
        limits: Limits { body_bytes: 4 << 30, head_bytes: 60_000, pause },
        tls,
        page: None,
        knows_owner: true,
        log: Some(Arc::clone(&traffic)),
    };
    let files = Arc::new(Files::new(&dir, layout.cow(), "wp.localhost", Duration::from_secs(1)));
    let fronts = vec![
        (listener, entrance(Some(Arc::clone(&files)), None)),
        (php_listener, entrance(None, None)),
        (tls_listener, entrance(Some(files), Some(tls))),
    ];
    let front = Front::start(fronts, 2).unwrap();
    Some(Site {
        front,
        address,
        php_address,
        tls_address,
        authority: certificate,
        dir,
        answered: Mutex::new(answered),
        behind,
        _temporary: temporary,
        folder,
    })
}

/// How many requests that have ended a site keeps to tell of.
const MOST_TOLD: usize = 100;

/// Reads what comes until it has these words in it.
pub fn read_until(client: &mut TcpStream, words: &str) {
    let mut said = String::new();
    while !said.contains(words) {
        let mut piece = [0; 4096];
        let length = client.read(&mut piece).unwrap();
        said += std::str::from_utf8(&piece[..length]).unwrap();
    }
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
    /// php-fpm.
    pub fn fpm(&mut self) -> &mut Fpm {
        match &mut self.behind {
            Behind::Fpm(fpm) => fpm,
            Behind::Workers(_) => panic!("it has none"),
        }
    }

    /// The processes that answer pages.
    pub fn workers(&mut self) -> &mut Workers {
        match &mut self.behind {
            Behind::Workers([pages, _]) => pages,
            Behind::Fpm(_) => panic!("it has none"),
        }
    }

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

    /// What there is to say of the request for this path that ended next.
    pub fn told_of(&self, path: &str) -> Answered {
        let answered = self.answered.lock().unwrap();
        std::iter::from_fn(|| answered.recv_timeout(PATIENCE).ok()).find(|answered| answered.path == path).unwrap()
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
