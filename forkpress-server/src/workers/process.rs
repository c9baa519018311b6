//! One process: whether it lives, where it listens, and its end.

use std::io;
use std::process::{Child, ChildStdin, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// A process that was started. It leads a process group, which ends with it.
#[derive(Debug)]
pub(super) struct Process {
    id: u32,
    /// What the server says to it, where it listens to that. Its end is closed once it is reaped.
    input: Mutex<Option<ChildStdin>>,
    child: Mutex<Child>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Process {
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        use std::os::unix::process::CommandExt;

        let mut child = command.process_group(0).spawn()?;
        let input = child.stdin.take();
        if let Some(input) = &input {
            // One that does not listen keeps nobody waiting.
            rustix::io::ioctl_fionbio(input, true)?;
        }
        Ok(Self { id: child.id(), input: Mutex::new(input), child: Mutex::new(child) })
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// Says a line to it.
    pub(super) fn say(&self, line: &[u8]) -> io::Result<()> {
        use std::io::Write;

        match lock(&self.input).as_mut() {
            Some(input) => input.write_all(line),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Waits until it has ended, ends what is left of its group, and forgets it.
    pub(super) fn wait(&self) -> io::Result<std::process::ExitStatus> {
        loop {
            match waitid(WaitId::Pid(self.pid()), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
                Err(error) if error == rustix::io::Errno::INTR => {}
                _ => break,
            }
        }
        // Its id stays its own until it is reaped here.
        self.kill();
        lock(&self.input).take();
        lock(&self.child).wait()
    }

    /// Kills it, and all that it has started and that stayed in its group.
    pub(super) fn kill(&self) {
        let _child = lock(&self.child);
        if waitid(WaitId::Pid(self.pid()), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG)
            .is_ok()
        {
            let _ = kill_process_group(self.pid(), Signal::KILL);
        }
    }

    /// Whether it has ended, or is about to: its connections are closed before the system says that it has ended.
    pub(super) fn is_ending(&self) -> bool {
        imp::is_ending(self.id)
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.id).unwrap_or(i32::MAX)).unwrap_or(Pid::INIT)
    }

    /// The port that it listens at; none while it listens at none. A socket that it has from this process is not its own.
    pub(super) fn port(&self) -> Option<u16> {
        imp::port(self.id)
    }
}

#[cfg(target_os = "linux")]
mod imp {
    use std::fs;

    use forkpress_core::tcp::{self, TcpSocket};

    /// Of the flags in `/proc/PID/stat`: the process is on its way out (`PF_EXITING`).
    const EXITING: u64 = 0x4;

    pub(super) fn is_ending(id: u32) -> bool {
        fs::read_to_string(format!("/proc/{id}/stat")).map_or(true, |stat| ends(&stat))
    }

    /// Reads `/proc/PID/stat` (proc(5)): fields 3 and 9. What can't be read is taken for gone.
    pub(super) fn ends(stat: &str) -> bool {
        // The name of the program, in parentheses, may have some in it.
        let Some((_, fields)) = stat.rsplit_once(')') else { return true };
        let mut fields = fields.split_ascii_whitespace();
        let state = fields.next();
        let flags = fields.nth(5).and_then(|flags| flags.parse::<u64>().ok());
        matches!(state, None | Some("Z" | "X")) || flags.is_none_or(|flags| flags & EXITING != 0)
    }

    pub(super) fn port(id: u32) -> Option<u16> {
        let (own, inherited) = (tcp::open_in(id), tcp::open_in("self"));
        let is_own = |socket: &TcpSocket| own.contains(&socket.inode) && !inherited.contains(&socket.inode);
        let listening = tcp::sockets(id).into_iter().find(|socket| socket.is_listening && is_own(socket));
        listening.map(|socket| socket.local.port())
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use std::process::Command;

    pub(super) fn is_ending(id: u32) -> bool {
        let state = Command::new("ps").args(["-o", "stat=", "-p", &id.to_string()]).output();
        state.map_or(true, |state| state.stdout.trim_ascii().is_empty() || state.stdout.starts_with(b"Z"))
    }

    pub(super) fn port(id: u32) -> Option<u16> {
        let list = ["-nP", "-a", "-p", &id.to_string(), "-iTCP", "-sTCP:LISTEN", "-Fn"];
        let output = Command::new("lsof").args(list).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // One that it has from this process comes first.
        text.lines().rev().find_map(|line| line.strip_prefix('n')?.rsplit_once(':')?.1.parse().ok())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_on_its_way_out_is_told_from_one_that_runs() {
        assert!(!imp::ends("12 (a) Z 1) S 1 2 3 4 5 4194304 0\n"));
        assert!(imp::ends("12 (php) R 1 2 3 4 5 4194308 0\n"));
        assert!(imp::ends("12 (php) Z 1 2 3 4 5 4194304 0\n"));
        assert!(imp::ends(""));
    }

    #[test]
    fn a_socket_that_a_process_has_from_this_one_is_not_its_port() {
        let inherited = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        rustix::io::fcntl_setfd(&inherited, rustix::io::FdFlags::empty()).unwrap();
        let mut command = Command::new("php");
        command.args(["-n", "-q", "-S", "127.0.0.1:0"]).stderr(std::process::Stdio::null());
        let process = match Process::start(&mut command) {
            Ok(process) => process,
            Err(error) => {
                eprintln!("SKIPPED: php: {error}");
                return;
            }
        };
        let port = loop {
            assert!(!process.is_ending());
            if let Some(port) = process.port() {
                break port;
            }
            std::thread::sleep(super::super::LOOK);
        };
        assert_ne!(port, inherited.local_addr().unwrap().port());
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        process.kill();
        process.wait().unwrap();
    }

    #[test]
    fn a_process_is_waited_for_with_what_it_has_started() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & echo $!; exec sleep 600"]).stdout(std::process::Stdio::piped());
        let process = Process::start(&mut command).unwrap();
        let mut said = [0; 16];
        let length = std::io::Read::read(lock(&process.child).stdout.as_mut().unwrap(), &mut said).unwrap();
        let other: i32 = std::str::from_utf8(&said[..length]).unwrap().trim().parse().unwrap();
        assert!(!process.is_ending());
        process.kill();
        assert!(!process.wait().unwrap().success());
        assert!(process.is_ending());
        let gone = || std::fs::read_to_string(format!("/proc/{other}/stat")).map_or(true, |stat| imp::ends(&stat));
        while !gone() {
            std::thread::yield_now();
        }
    }
}
