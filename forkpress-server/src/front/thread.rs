//! A thread that serves connections.

use std::io;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use tokio::runtime::{EnterGuard, Handle};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};

use super::{Entrance, serve};
use crate::counted::Counted;
use crate::files::Files;

/// A thread with a runtime of its own.
#[derive(Debug)]
pub(super) struct ServingThread {
    runtime: Handle,
    given: UnboundedSender<Given>,
    connections: Arc<AtomicUsize>,
    running: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

/// A connection, and the number of the entrance that it came through.
struct Given {
    stream: TcpStream,
    entrance: usize,
    counted: Counted,
}

impl ServingThread {
    /// Starts one that serves what comes through these entrances.
    pub(super) fn start(entrances: &[Entrance], end: &watch::Receiver<bool>) -> io::Result<Self> {
        let entrances = of_thread(entrances);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (given, received) = unbounded_channel();
        let (stop, stopped) = oneshot::channel();
        let serving = take(received, entrances, end.clone());
        let handle = runtime.handle().clone();
        let thread = Builder::new().name("front".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serving => {}
                    // It fails where nobody can say it any more.
                    _ = stopped => {}
                }
            });
            // What waits for a lock or the disk need not be waited for.
            runtime.shutdown_background();
        })?;
        let running = Mutex::new(Some((stop, thread)));
        Ok(Self { runtime: handle, given, connections: Arc::default(), running })
    }

    /// Lets sockets be made that this thread waits for.
    pub(super) fn enter(&self) -> EnterGuard<'_> {
        self.runtime.enter()
    }

    /// Does this there, beside all else.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(work);
    }

    /// Has it serve a connection that came through the entrance of this number.
    pub(super) fn give(&self, stream: TcpStream, entrance: usize) {
        // Where it has ended, the connection does, too.
        let _ = self.given.send(Given { stream, entrance, counted: Counted::new(&self.connections) });
    }

    /// How many connections it has.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Ends it, and what it does, at once.
    pub(super) fn end(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((stop, thread)) = running {
            drop(stop);
            // What it panicked with was said.
            let _ = thread.join();
        }
    }
}

/// The entrances for one more thread. Those that share their files still do.
fn of_thread(entrances: &[Entrance]) -> Vec<Arc<Entrance>> {
    let mut own: Vec<(&Arc<Files>, Arc<Files>)> = Vec::new();
    let mut of_thread = |files| match own.iter().find(|(known, _)| Arc::ptr_eq(known, files)) {
        Some((_, own)) => Arc::clone(own),
        None => {
            own.push((files, Arc::new(files.of_thread())));
            Arc::clone(&own[own.len() - 1].1)
        }
    };
    let entrances = entrances.iter().map(|entrance| {
        let files = entrance.files.as_ref().map(&mut of_thread);
        Arc::new(Entrance { files, ..entrance.clone() })
    });
    entrances.collect()
}

/// Serves what is given, each connection beside the others.
async fn take(mut given: UnboundedReceiver<Given>, entrances: Vec<Arc<Entrance>>, end: watch::Receiver<bool>) {
    while let Some(Given { stream, entrance, counted }) = given.recv().await {
        let (entrance, end) = (Arc::clone(&entrances[entrance]), end.clone());
        tokio::spawn(async move {
            let _counted = counted;
            serve(stream, entrance, end).await;
        });
    }
}
