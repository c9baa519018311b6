//! Identifies processes. A process id is reused after its process is gone, so a process is its id and its start time.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A process: its id and the moment it started, in the platform's own unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Process id.
    pub pid: u32,
    /// Start time, as opaque text: clock ticks since boot on Linux, the start date as `ps` has it elsewhere.
    pub started: String,
}

impl ProcessIdentity {
    /// This process.
    #[must_use]
    pub fn current() -> Self {
        let pid = std::process::id();
        Self { pid, started: start_time(pid).unwrap_or_default() }
    }

    /// The process that has this id now, if there is one.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        start_time(pid).map(|started| Self { pid, started })
    }

    /// Whether this very process, and not a later one with the same id, is running. A zombie is not.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        start_time(self.pid).is_some_and(|started| started == self.started)
    }
}

impl fmt::Display for ProcessIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.pid)
    }
}

/// The command line of a process, words joined by spaces and control characters replaced; `None` once it is gone.
#[must_use]
pub fn command_line(pid: u32) -> Option<String> {
    imp::command_line(pid)
        .map(|line| line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned())
        .filter(|line| !line.is_empty())
}

/// The process that a process was started by, or that has adopted it; `None` once it is gone, and where the system does not tell.
#[must_use]
pub fn parent(pid: u32) -> Option<u32> {
    imp::parent(pid)
}

fn start_time(pid: u32) -> Option<String> {
    imp::start_time(pid)
}

#[cfg(target_os = "linux")]
mod imp {
    use std::fs;

    /// Field 22 of `/proc/PID/stat` (proc(5)), unless field 3 says that the process is a zombie or dead.
    pub(super) fn start_time(pid: u32) -> Option<String> {
        let fields = fields_from_third(pid)?;
        let mut fields = fields.split_ascii_whitespace();
        let state = fields.next()?;
        if matches!(state, "Z" | "X") {
            return None;
        }
        fields.nth(18).map(str::to_owned)
    }

    /// Field 4.
    pub(super) fn parent(pid: u32) -> Option<u32> {
        fields_from_third(pid)?.split_ascii_whitespace().nth(1)?.parse().ok()
    }

    /// Field 2, the name, stands in parentheses and may itself hold spaces and parentheses: what counts starts after
    /// the last one.
    fn fields_from_third(pid: u32) -> Option<String> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some(stat[stat.rfind(')')? + 1..].to_owned())
    }

    pub(super) fn command_line(pid: u32) -> Option<String> {
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).replace('\0', " "))
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use std::process::Command;

    fn ps(pid: u32, column: &str) -> Option<String> {
        let output = Command::new("ps").args(["-o", column, "-p", &pid.to_string()]).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (output.status.success() && !text.is_empty()).then_some(text)
    }

    pub(super) fn start_time(pid: u32) -> Option<String> {
        let state = ps(pid, "state=")?;
        if state.starts_with('Z') { None } else { ps(pid, "lstart=") }
    }

    pub(super) fn parent(pid: u32) -> Option<u32> {
        ps(pid, "ppid=")?.parse().ok()
    }

    pub(super) fn command_line(pid: u32) -> Option<String> {
        ps(pid, "command=")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn this_process_is_alive_and_a_reaped_child_is_not() {
        assert!(ProcessIdentity::current().is_alive());
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let identity = ProcessIdentity::of(child.id()).unwrap();
        assert!(identity.is_alive());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!identity.is_alive());
    }

    #[test]
    fn the_same_id_with_another_start_is_another_process() {
        let other = ProcessIdentity { started: "0".to_owned(), ..ProcessIdentity::current() };
        assert!(!other.is_alive());
    }
}
