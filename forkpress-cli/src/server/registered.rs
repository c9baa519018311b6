//! A server's entry in the registry.

use forkpress_core::process::ProcessIdentity;
use forkpress_engine::registry::{Registry, Server};

use crate::failure::Failure;
use crate::{output, site};

/// This server's entry in the registry, taken away at the end. After a kill the next reader does that.
pub(super) struct Registered {
    registry: Registry,
    server: Server,
}

impl Registered {
    pub(super) fn new(registry: Registry, server: Server) -> Result<Self, Failure> {
        site::servers(registry.add(server.clone())?);
        Ok(Self { registry, server })
    }

    /// Says which processes of PHP's lead a group by now: who kills the server kills these.
    pub(super) fn lead(&mut self, leaders: &[u32]) {
        if self.server.php.iter().map(|process| process.pid).eq(leaders.iter().copied()) {
            return;
        }
        self.server.php = leaders.iter().copied().filter_map(ProcessIdentity::of).collect();
        if let Err(error) = self.registry.add(self.server.clone()) {
            output::note(format_args!("forkpress: warning: the registry does not know PHP's processes: {error}"));
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let Err(error) = self.registry.remove(&self.server.process) {
            output::note(format_args!("forkpress: warning: this server stays in the registry: {error}"));
        }
    }
}
