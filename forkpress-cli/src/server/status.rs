//! What a running server says of itself to `forkpress top`: the requests that PHP does not know of yet.
//!
//! It says it to whoever connects to a socket in the folder that only its owner can enter.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use forkpress_core::layout::SiteLayout;
use forkpress_core::name::BranchName;
use forkpress_engine::activity::RequestRow;
use forkpress_server::traffic::{Running, Stage, Traffic};
use serde::{Deserialize, Serialize};

/// How long the other end may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// More is not read.
const MOST_BYTES: u64 = 16 << 20;

/// A request that waits in the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Held {
    /// Its method.
    pub method: String,
    /// The branch that it names; none where it names none.
    pub branch: Option<BranchName>,
    /// What it asks for.
    pub path: String,
    /// `queued`: it waits for a process of PHP's. `waiting`: for a lock.
    pub state: String,
    /// For how long.
    pub age_seconds: f64,
}

impl From<Held> for RequestRow {
    fn from(held: Held) -> Self {
        let Held { method, branch, path, state, age_seconds } = held;
        let branch = branch.map_or("-".to_owned(), |branch| branch.to_string());
        Self { pid: None, branch, method, path, state, age_seconds }
    }
}

/// The socket. Its file goes with this.
pub(super) struct StatusSocket(PathBuf);

impl StatusSocket {
    /// Answers there for as long as there is traffic.
    pub(super) fn open(path: &Path, traffic: &Arc<Traffic>) -> io::Result<Self> {
        // Of a server that was killed. There is one for a site at a time.
        let _ = std::fs::remove_file(path);
        let listener = UnixListener::bind(path)?;
        let traffic = Arc::downgrade(traffic);
        thread::Builder::new().name("status".to_owned()).spawn(move || answer(&listener, &traffic))?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for StatusSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn answer(listener: &UnixListener, traffic: &Weak<Traffic>) {
    for client in listener.incoming() {
        let Some(traffic) = traffic.upgrade() else { return };
        // Who asks again, asks later.
        let _ = client.and_then(|client| tell(client, &held(traffic.running())));
    }
}

fn tell(mut client: UnixStream, held: &[Held]) -> io::Result<()> {
    client.set_write_timeout(Some(PATIENCE))?;
    client.write_all(&serde_json::to_vec(held)?)
}

/// Those that PHP does not know of.
pub(super) fn held(running: Vec<Running>) -> Vec<Held> {
    let waits = running.into_iter().filter(|request| matches!(request.stage, Stage::Queued | Stage::Waiting));
    let held = waits.map(|request| Held {
        method: request.method.to_string(),
        branch: request.branch,
        path: request.path,
        state: request.stage.word().to_owned(),
        age_seconds: request.age.as_secs_f64(),
    });
    held.collect()
}

/// Asks the server of a site which requests wait in it. None where there is no server that answers.
pub fn waiting_requests(layout: &SiteLayout) -> Vec<RequestRow> {
    asked(&layout.status_socket()).unwrap_or_default().into_iter().map(RequestRow::from).collect()
}

fn asked(path: &Path) -> io::Result<Vec<Held>> {
    let server = UnixStream::connect(path)?;
    server.set_read_timeout(Some(PATIENCE))?;
    let mut said = Vec::new();
    server.take(MOST_BYTES).read_to_end(&mut said)?;
    Ok(serde_json::from_slice(&said)?)
}
