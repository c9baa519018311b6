//! One `php -S`: its command line, its environment, and its process group.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::process::{Child, ExitStatus, Stdio};

use forkpress_engine::command::words;
use forkpress_engine::site::Site;
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, waitpgid};

use crate::child;
use crate::deaths;
use crate::failure::{During, Failure};
use crate::mail;
use crate::php::Php;
use crate::trace;

use super::log::ServerLog;

/// A call of the site to itself may call the site again.
pub(super) const LOOPBACK_WORKERS: u16 = 3;

/// What a pool is to be.
pub(super) struct PoolSettings<'a> {
    pub(super) site: &'a Site,
    pub(super) php: &'a Php,
    pub(super) listen: SocketAddr,
    /// Where others reach the site.
    pub(super) public: IpAddr,
    pub(super) workers: u16,
    pub(super) root_host: &'a str,
    pub(super) loopback: SocketAddr,
    /// Where one process more is to listen, for warming.
    pub(super) warm: Option<SocketAddr>,
}

impl PoolSettings<'_> {
    fn arguments(&self) -> Vec<OsString> {
        let layout = &self.site.layout;
        let mut arguments = Vec::from(Php::arguments(layout));
        if self.warm.is_some() {
            let megabytes = opcache_megabytes(physical_memory());
            arguments.extend(["-d".into(), format!("opcache.memory_consumption={megabytes}").into()]);
        }
        arguments.extend(["-S".into(), self.listen.to_string().into()]);
        arguments.extend(["-t".into(), layout.public_root().into(), layout.router().into()]);
        arguments
    }

    fn environment(&self) -> Vec<(&'static str, Option<OsString>)> {
        let mut environment = environment(self.site, self.root_host, self.public, self.loopback);
        environment.extend([
            ("PHP_CLI_SERVER_WORKERS", forks(self.workers, self.warm.is_some()).map(|forks| forks.to_string().into())),
            ("FORKPRESS_WARM", self.warm.map(|address| address.to_string().into())),
            ("FORKPRESS_WORKERS", self.warm.map(|_| self.workers.to_string().into())),
        ]);
        environment
    }
}

/// What any PHP that serves a site has in its environment, and what it must not have (none).
pub(super) fn environment(
    site: &Site,
    root_host: &str,
    public: IpAddr,
    loopback: SocketAddr,
) -> Vec<(&'static str, Option<OsString>)> {
    let layout = &site.layout;
    let mut environment = vec![
        ("FORKPRESS_BRANCHES_DIR", Some(layout.public_root().into())),
        ("FORKPRESS_COW_DIR", Some(layout.cow().dir().into())),
        ("FORKPRESS_ROOT_HOST", Some(root_host.into())),
        ("FORKPRESS_BIN", std::env::current_exe().ok().map(Into::into)),
        // Where others reach the site, everybody who pushes gives the token.
        ("FORKPRESS_GIT_PUSH", (!public.is_loopback()).then(|| "token".into())),
        ("FORKPRESS_DEBUG_LOG", Some(deaths::debug_log(layout).into())),
        ("FORKPRESS_PHP_ERRORS_LOG", Some(layout.php_errors_log().into())),
        ("FORKPRESS_LOOPBACK", Some(loopback.to_string().into())),
        ("FORKPRESS_SLOW_MS", Some(site.config.slow_ms.to_string().into())),
    ];
    environment.extend(mail::environment(layout, None).into_iter().map(|(name, value)| (name, Some(value))));
    environment
}

/// `PHP_CLI_SERVER_WORKERS` for so many processes that serve, and one for warming.
///
/// PHP forks that many and its master serves as well; of 1 it makes none. Where there is one for warming, the extension makes
/// the first that is forked that one, and ends what is beyond `FORKPRESS_WORKERS`.
fn forks(workers: u16, warm: bool) -> Option<u16> {
    let forks = workers - 1 + u16::from(warm);
    (forks > 0).then_some(forks.max(2))
}

/// OPcache's memory: a quarter of the machine's, within bounds. What is not used of it takes none; a branch takes about 25 MB.
pub(super) fn opcache_megabytes(physical_bytes: u64) -> u64 {
    (physical_bytes / 4 / (1 << 20)).clamp(256, 4096)
}

#[cfg(target_os = "linux")]
pub(super) fn physical_memory() -> u64 {
    let info = rustix::system::sysinfo();
    #[allow(clippy::useless_conversion, reason = "the types differ between platforms")]
    let (total, unit) = (u64::from(info.totalram), u64::from(info.mem_unit));
    total.saturating_mul(unit)
}

/// Not asked for: the smallest that is good.
#[cfg(not(target_os = "linux"))]
pub(super) fn physical_memory() -> u64 {
    0
}

/// A running pool. Its master leads a process group that all its workers are in.
pub(super) struct Pool {
    master: Child,
    status: Option<ExitStatus>,
    log: ServerLog,
}

impl Pool {
    /// Starts a pool. Only the main thread may: the pool dies with the thread that started it.
    pub(super) fn start(settings: &PoolSettings<'_>) -> Result<Self, Failure> {
        let (log, output) = ServerLog::begin(&settings.site.layout.php_server_log())?;
        let mut command = child::command(settings.php.program.as_os_str())?;
        command
            .args(settings.arguments())
            .current_dir(settings.site.layout.public_root())
            .process_group(0)
            .envs(trace::for_child())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        for (name, value) in settings.environment() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let master = command.spawn().during(|| "cannot start PHP's web server".to_owned())?;
        tracing::debug!(command = words(&command), pid = master.id(), "PHP's web server begins");
        Ok(Self { master, status: None, log })
    }

    pub(super) fn id(&self) -> u32 {
        self.master.id()
    }

    /// The exit status of the master once it has ended.
    pub(super) fn try_wait(&mut self) -> std::io::Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.master.try_wait()?;
        }
        Ok(self.status)
    }

    /// Asks the pool to end once the requests that run have ended: that is what PHP's server does on SIGINT.
    pub(super) fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Whether the master and all of its group that became children of this process have ended.
    pub(super) fn has_ended(&mut self) -> bool {
        self.try_wait().is_ok_and(|status| status.is_some()) && self.reap()
    }

    /// Kills what is left of the group. What it said is in its log then.
    pub(super) fn kill(&mut self) {
        self.signal(Signal::KILL);
        if self.status.is_none() {
            self.status = self.master.wait().ok();
        }
        self.reap();
        self.log.finish();
    }

    /// Collects ended workers, once the master, which they belonged to, is gone. False while some run.
    fn reap(&self) -> bool {
        loop {
            match waitpgid(self.group(), WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => return false,
                Err(_) => return true,
            }
        }
    }

    fn signal(&self, signal: Signal) {
        // The group lives on while a worker does; until this process has reaped them all, its id is not used again.
        let _ = kill_process_group(self.group(), signal);
    }

    fn group(&self) -> Pid {
        Pid::from_child(&self.master)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_master_counts_as_a_worker() {
        assert_eq!([1, 2, 3, 4, 8].map(|workers| forks(workers, false)), [None, Some(2), Some(2), Some(3), Some(7)]);
        assert_eq!([1, 2, 3, 4, 8].map(|workers| forks(workers, true)), [Some(2), Some(2), Some(3), Some(4), Some(8)]);
    }

    #[test]
    fn opcache_gets_a_quarter_of_the_memory_within_bounds() {
        assert_eq!([0, 1 << 30, 8 << 30, 64 << 30].map(opcache_megabytes), [256, 256, 2048, 4096]);
    }
}
