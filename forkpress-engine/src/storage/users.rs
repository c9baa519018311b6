//! Programs that have files open in a folder, on Linux, from `/proc`.

use std::fmt;
use std::path::{Path, PathBuf};

use forkpress_core::process;

/// A process that has files open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its process id.
    pub pid: u32,
    /// Its command line.
    pub command: String,
    /// The files and folders, at most a few, each once.
    pub files: Vec<PathBuf>,
}

impl User {
    /// Whether it is forkpress's own, at something in the background that ends by itself.
    pub(super) fn is_passing(&self) -> bool {
        ["__clean", "__spares"].iter().any(|word| self.command.contains(word))
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: Vec<_> = self.files.iter().map(|path| path.display().to_string()).collect();
        write!(f, "process {} ({}): {}", self.pid, self.command, files.join(", "))
    }
}

/// The processes that have something in `folder` open, mapped or as their current folder, as far as this process may
/// know. This process is none of them, nor is one that it forked and that has not become its program yet: what that has open,
/// another thread of this process has. Empty where the system does not tell.
#[must_use]
pub fn users(folder: &Path) -> Vec<User> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let own = std::process::id();
    let own_command = process::command_line(own);
    let mut found: Vec<_> = pids
        .filter(|pid| *pid != own)
        .filter_map(|pid: u32| {
            let files = files_of(pid, folder);
            let command = process::command_line(pid);
            let is_fork = command == own_command && process::parent(pid) == Some(own);
            (!files.is_empty() && !is_fork).then(|| User { pid, command: command.unwrap_or_default(), files })
        })
        .collect();
    found.sort_unstable_by_key(|user| user.pid);
    found
}

fn files_of(pid: u32, folder: &Path) -> Vec<PathBuf> {
    const MOST: usize = 5;
    let process = Path::new("/proc").join(pid.to_string());
    let links = ["cwd", "root", "exe"].map(|name| process.join(name));
    let descriptors =
        std::fs::read_dir(process.join("fd")).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let open = links.into_iter().chain(descriptors).filter_map(|link| std::fs::read_link(link).ok());
    let maps = std::fs::read_to_string(process.join("maps")).unwrap_or_default();
    let mapped = maps.lines().filter_map(|line| line.find('/').map(|start| PathBuf::from(&line[start..])));
    let mut files: Vec<_> = open.chain(mapped).filter(|path| path.starts_with(folder)).collect();
    files.sort_unstable();
    files.dedup();
    files.truncate(MOST);
    files
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    #[test]
    fn who_has_a_file_open_or_stands_in_a_folder_is_named_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().canonicalize().unwrap();
        std::fs::write(folder.join("file"), "").unwrap();
        assert_eq!(users(&folder), []);
        let file = std::fs::File::open(folder.join("file")).unwrap();
        let mut child = Command::new("cat").current_dir(&folder).stdin(file).stdout(Stdio::null()).spawn().unwrap();
        let mut standing = Command::new("cat").current_dir(&folder).stdin(Stdio::piped()).spawn().unwrap();
        let _ = child.wait();
        let found = users(&folder);
        standing.kill().unwrap();
        standing.wait().unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].pid, &found[0].files[..]), (standing.id(), &[folder][..]));
        assert!(found[0].to_string().contains("(cat): "), "{}", found[0]);
    }

    #[test]
    #[allow(unsafe_code, reason = "only what runs before a fork becomes its program can stop there")]
    fn a_fork_of_this_process_that_is_no_program_yet_is_not_named() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().canonicalize().unwrap();
        let open = File::create(folder.join("file")).unwrap();
        let (mut forked, mut forked_end) = std::io::pipe().unwrap();
        let (mut go_end, mut go) = std::io::pipe().unwrap();
        let mut child = Command::new("true");
        // SAFETY: the fork reads and writes pipes, and allocates nothing.
        unsafe {
            child.pre_exec(move || {
                forked_end.write_all(b"x")?;
                go_end.read_exact(&mut [0])
            });
        }
        let spawning = std::thread::spawn(move || child.status().unwrap());
        forked.read_exact(&mut [0]).unwrap();
        let found = users(&folder);
        go.write_all(b"x").unwrap();
        assert!(spawning.join().unwrap().success());
        assert_eq!(found, []);
        drop(open);
    }
}
