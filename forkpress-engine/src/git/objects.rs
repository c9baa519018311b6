//! What is in the repository, read piece by piece: what Git says, and the bytes of objects.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use super::push::{Difference, ObjectId, parse_difference};
use super::repository::{Repository, RepositoryError, run_with};

/// Hands what Git says to `each`, field by field, until that has heard enough.
pub(super) fn hear<E: From<RepositoryError> + From<io::Error>>(
    repository: &Repository,
    arguments: &[&str],
    mut each: impl FnMut(Vec<u8>, &mut dyn BufRead) -> Result<(), E>,
) -> Result<(), E> {
    let mut command = repository.command();
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut git = Killed(command.spawn()?);
    let mut output = BufReader::new(git.0.stdout.take().ok_or(io::Error::from(io::ErrorKind::BrokenPipe))?);
    while let Some(field) = read_field(&mut output)? {
        each(field, &mut output)?;
    }
    let status = git.0.wait()?;
    if status.success() {
        return Ok(());
    }
    let mut said = String::new();
    git.0.stderr.take().map_or(Ok(0), |mut errors| errors.read_to_string(&mut said))?;
    let said = if said.is_empty() { status.to_string() } else { said.trim().to_owned() };
    let command = arguments.first().copied().unwrap_or_default().to_owned();
    Err(RepositoryError::Git { command, said }.into())
}

/// Hands the paths in which two trees differ to `each`, in Git's order.
pub(super) fn differences<E: From<RepositoryError> + From<io::Error>>(
    repository: &Repository,
    old: &str,
    new: &str,
    mut each: impl FnMut(Difference) -> Result<(), E>,
) -> Result<(), E> {
    let arguments = ["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", old, new];
    hear(repository, &arguments, |line, output| {
        let path = read_field(output)?.ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))?;
        each(parse_difference(&line, &path).ok_or(io::Error::from(io::ErrorKind::InvalidData))?)
    })
}

/// The bytes of an object.
pub(super) struct Weight {
    pub(super) bytes: u64,
    /// On the disk.
    pub(super) packed_bytes: u64,
    /// The object from which it differs so little that only the difference is on the disk.
    pub(super) base: Option<ObjectId>,
}

/// How much each of these objects is.
pub(super) fn weigh<E: From<RepositoryError> + From<io::Error>>(
    repository: &Repository,
    ids: &[&str],
) -> Result<Vec<Weight>, E> {
    const FORMAT: &str = "--batch-check=%(objectsize) %(objectsize:disk) %(deltabase)";
    let asked = ids.iter().fold(String::new(), |asked, id| asked + id + "\n");
    let said = run_with(repository.command().args(["cat-file", FORMAT]), asked.as_bytes())?;
    let parse = |line: &str| {
        let [bytes, packed_bytes, base] = *line.split(' ').collect::<Vec<_>>() else { return None };
        let (bytes, packed_bytes) = (bytes.parse().ok()?, packed_bytes.parse().ok()?);
        Some(Weight { bytes, packed_bytes, base: ObjectId::parse(base) })
    };
    let weights = String::from_utf8_lossy(&said).lines().map(parse).collect::<Option<Vec<_>>>();
    weights.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData).into())
}

/// A `git` that is ended when nobody wants to hear more of it.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads up to a NUL, which is left out; none where there is no more. A path is never as long as is read here.
pub(super) fn read_field(from: &mut dyn BufRead) -> io::Result<Option<Vec<u8>>> {
    const MOST_BYTES: u64 = 16 * 1024;
    let mut field = Vec::new();
    from.take(MOST_BYTES).read_until(0, &mut field)?;
    match field.pop() {
        None => Ok(None),
        Some(0) => Ok(Some(field)),
        Some(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "a path in the repository is too long")),
    }
}

/// The bytes of objects, one after the other, none of them as a whole in memory.
pub(super) struct Contents<'a> {
    pub(super) repository: &'a Repository,
    /// None before the first object, and after one that was not read to its end: what follows it is not known then.
    reader: Option<ObjectReader>,
}

impl<'a> Contents<'a> {
    pub(super) fn new(repository: &'a Repository) -> Self {
        Self { repository, reader: None }
    }

    /// Does something with the bytes of a blob, of which there are so many. It reads all of them or fails.
    pub(super) fn with<T>(
        &mut self,
        id: &ObjectId,
        action: impl FnOnce(&mut dyn Read, u64) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut reader = self.reader.take().map_or_else(|| ObjectReader::start(self.repository), Ok)?;
        let done = reader.with(id, action)?;
        self.reader = Some(reader);
        Ok(done)
    }

    pub(super) fn copy(&mut self, id: &ObjectId, to: &mut dyn Write) -> io::Result<()> {
        self.with(id, |bytes, size| match io::copy(bytes, to)? {
            copied if copied == size => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        })
    }

    /// Whether the bytes are those of a blob.
    pub(super) fn are(&mut self, id: &ObjectId, other: &mut dyn Read) -> io::Result<bool> {
        const CHUNK_BYTES: usize = 64 * 1024;
        self.with(id, |bytes, _| {
            let (mut one, mut two) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
            loop {
                let (read, other_read) = (fill(bytes, &mut one)?, fill(other, &mut two)?);
                if one[..read] != two[..other_read] {
                    return Ok(false);
                }
                if read == 0 {
                    return Ok(true);
                }
            }
        })
    }
}

/// A `git cat-file` that is asked for one object after the other.
struct ObjectReader {
    /// It may be in the middle of an answer when nobody wants that any more.
    _git: Killed,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl ObjectReader {
    fn start(repository: &Repository) -> io::Result<Self> {
        // From this size on Git does not inflate an object as a whole, either.
        let arguments = ["-c", "core.bigFileThreshold=1m", "cat-file", "--batch"];
        let mut command = repository.command();
        let mut git = Killed(command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
        let (Some(input), Some(output)) = (git.0.stdin.take(), git.0.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        Ok(Self { _git: git, input, output: BufReader::new(output) })
    }

    fn with<T>(&mut self, id: &ObjectId, action: impl FnOnce(&mut dyn Read, u64) -> io::Result<T>) -> io::Result<T> {
        writeln!(self.input, "{}", id.as_str())?;
        let mut header = String::new();
        self.output.read_line(&mut header)?;
        let size = match *header.trim_end().split(' ').collect::<Vec<_>>() {
            [_, "blob", size] => size.parse().map_err(io::Error::other)?,
            _ => return Err(io::Error::other(format!("git cat-file: {}", header.trim_end()))),
        };
        let mut bytes = (&mut self.output).take(size);
        let done = action(&mut bytes, size)?;
        io::copy(&mut bytes, &mut io::sink())?;
        self.output.read_exact(&mut [0])?;
        Ok(done)
    }
}

/// Reads until the buffer is full or there is no more.
fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Lists of `git ls-tree -r -z`, a file each: how it is read and where it stands.
pub(crate) fn listed(list: &[u8]) -> impl Iterator<Item = (&str, &str, &Path)> {
    list.split(|byte| *byte == 0).filter_map(|line| {
        let tab = line.iter().position(|byte| *byte == b'\t')?;
        let mut words = std::str::from_utf8(&line[..tab]).ok()?.split(' ');
        let (mode, kind, object) = (words.next()?, words.next()?, words.next()?);
        (kind == "blob").then_some((mode, object, Path::new(OsStr::from_bytes(&line[tab + 1..]))))
    })
}
