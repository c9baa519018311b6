//! A MariaDB of a test's own, in a folder of its own. It is reached through a socket there, and ends with the test.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub struct Server {
    folder: tempfile::TempDir,
    child: Child,
}

/// Programs that Debian has in folders which are not in everybody's PATH.
fn program(name: &str) -> Command {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&folders).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    Command::new(found.unwrap_or_else(|| panic!("{name} is missing: scripts/install-deps.sh --tests installs it")))
}

impl Server {
    pub fn start() -> Self {
        // A socket's path must be short.
        let folder = tempfile::Builder::new().prefix("fp").tempdir_in("/tmp").unwrap();
        let data = folder.path().join("data");
        // A server that starts removes what others have in a folder for temporary tables that they share.
        let temporary = format!("--tmpdir={}", folder.path().display());
        let user = format!("--user={}", String::from_utf8(run(Command::new("id").arg("-un")).stdout).unwrap().trim());
        run(program("mariadb-install-db")
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", &user])
            .arg(&temporary)
            .arg(format!("--datadir={}", data.display())));
        let log = File::create(folder.path().join("log")).unwrap();
        let child = program("mariadbd")
            .args(["--no-defaults", "--skip-networking", "--innodb-flush-log-at-trx-commit=0", "--skip-log-bin", &user])
            .args([
                "--innodb-buffer-pool-size=64M",
                "--sql-mode=",
                "--character-set-server=utf8mb4",
                "--max-allowed-packet=64M",
            ])
            .arg(&temporary)
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--socket={}", folder.path().join("socket").display()))
            .arg(format!("--pid-file={}", folder.path().join("pid").display()))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self { folder, child };
        let deadline = Instant::now() + Duration::from_secs(120);
        while !server.client("mariadb-admin").arg("ping").output().unwrap().status.success() {
            assert!(server.child.try_wait().unwrap().is_none(), "MariaDB ended: {}", server.log());
            assert!(Instant::now() < deadline, "MariaDB does not start: {}", server.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    fn client(&self, name: &str) -> Command {
        let mut command = program(name);
        command.arg("--no-defaults").arg("-uroot").arg("-S").arg(self.socket());
        command
    }

    /// Makes a database with what the statements say.
    pub fn fill(&self, database: &str, statements: &[u8]) {
        run(self
            .client("mariadb")
            .arg("-e")
            .arg(format!("DROP DATABASE IF EXISTS {database}; CREATE DATABASE {database}")));
        let mut child = self
            .client("mariadb")
            .args(["--default-character-set=utf8mb4", "--binary-mode", "--max-allowed-packet=64M", database])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(statements).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// What `mariadb-dump` writes.
    pub fn dump(&self, arguments: &[&str]) -> Vec<u8> {
        run(self.client("mariadb-dump").args(arguments)).stdout
    }

    /// What a query gives: a line for each row, tabs between cells.
    pub fn query(&self, database: &str, query: &str) -> Vec<String> {
        let output = run(self.client("mariadb").args(["--batch", "--skip-column-names", database, "-e", query]));
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {said}", Path::new(command.get_program()));
    output
}
