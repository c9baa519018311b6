//! What is at a path on another machine, as `probe.sh` says it. Pure.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What is there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Probe {
    /// Why there is nothing to look at.
    pub(super) fault: Option<Fault>,
    pub(super) has_core: bool,
    /// The programs that are there, and `gnu-tar` and `mysqli`.
    programs: BTreeSet<String>,
    pub(super) has_sqlite: bool,
    /// A folder with plugins and themes that is not called `wp-content`.
    pub(super) content: Option<PathBuf>,
    /// Folders below that have a WordPress.
    pub(super) others: Vec<Vec<u8>>,
    /// What need not come.
    pub(super) aside: Vec<PathBuf>,
    /// Symbolic links.
    pub(super) links: Vec<PathBuf>,
    /// Of all that is there, if that was asked for.
    pub(super) bytes: Option<u64>,
    /// Of the uploads.
    pub(super) uploads_bytes: Option<u64>,
    /// Its `wp-config.php`.
    pub(super) config: Option<Vec<u8>>,
    /// Whether that lies in the folder above.
    pub(super) is_config_above: bool,
}

/// Why a path is not looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Missing,
    File,
    Denied,
    /// It is the `wp-config.php` that can't be read.
    Config,
}

impl Probe {
    /// Reads the answer. A line that is none of its own is left out.
    pub(super) fn parse(answer: &[u8]) -> Self {
        let mut probe = Self::default();
        let mut rest = answer;
        while !rest.is_empty() {
            let (line, after) = match rest.iter().position(|byte| *byte == b'\n') {
                Some(end) => (&rest[..end], &rest[end + 1..]),
                None => (rest, &[][..]),
            };
            // All that follows.
            if line == b"config" {
                probe.config = Some(after.to_owned());
                break;
            }
            probe.add(line);
            rest = after;
        }
        probe
    }

    fn add(&mut self, line: &[u8]) {
        let (word, value) = match line.iter().position(|byte| *byte == b' ') {
            Some(end) => (&line[..end], &line[end + 1..]),
            None => (line, &[][..]),
        };
        let path = || PathBuf::from(OsStr::from_bytes(value));
        let bytes = || String::from_utf8_lossy(value).trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024);
        match word {
            b"fail" => {
                self.fault = match value {
                    b"missing" => Some(Fault::Missing),
                    b"file" => Some(Fault::File),
                    b"config" => Some(Fault::Config),
                    _ => Some(Fault::Denied),
                }
            }
            b"core" => self.has_core = true,
            b"above" => self.is_config_above = true,
            b"has" => drop(self.programs.insert(String::from_utf8_lossy(value).into_owned())),
            b"sqlite" => self.has_sqlite = true,
            b"content" => self.content = Some(path()),
            b"other" => self.others.push(value.to_owned()),
            b"aside" => self.aside.push(path()),
            b"link" => self.links.push(path()),
            b"kilobytes" => self.bytes = bytes(),
            b"uploads" => self.uploads_bytes = bytes(),
            _ => {}
        }
    }

    pub(super) fn has(&self, program: &str) -> bool {
        self.programs.contains(program)
    }

    /// What the other side packs with.
    pub(super) fn pack(&self) -> &'static str {
        match () {
            () if self.has("zstd") => "zstd -q -c",
            () if self.has("gzip") => "gzip -c",
            () => "cat",
        }
    }

    /// What writes the dump there; none where nothing can.
    pub(super) fn dump(&self) -> Option<&'static str> {
        match () {
            () if self.has("mariadb-dump") => Some("mariadb-dump"),
            () if self.has("mysqldump") => Some("mysqldump"),
            () if self.has("mysqli") => Some("php"),
            () => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_and_what_is_in_it_by_chance_is_not() {
        let answer = b"core\nhas tar\nhas gzip\nhas php\nhas mysqli\ncontent app\naside wp-content/cache\nlink a b\nkilobytes 12\n\
            odd line\nabove\nconfig\n<?php\nfail missing\n";
        let probe = Probe::parse(answer);
        assert_eq!((probe.fault, probe.has_core, probe.is_config_above, probe.bytes), (None, true, true, Some(12288)));
        assert_eq!((probe.pack(), probe.dump()), ("gzip -c", Some("php")));
        assert_eq!(probe.config.as_deref(), Some(&b"<?php\nfail missing\n"[..]));
        assert_eq!((probe.links, probe.content), (vec![PathBuf::from("a b")], Some("app".into())));
        assert_eq!(Probe::parse(b"fail missing").fault, Some(Fault::Missing));
        assert_eq!(Probe::parse(b"has mysqldump\nhas mysqli\nhas zstd").dump(), Some("mysqldump"));
    }
}
