//! Scripts for the shell on the other side. Values are set in front of them, quoted, so that they are never read as code. Pure.

use std::ffi::OsString;

/// What is at the beginning and, of a [`super::probe`], at the end of what a script prints: the settings of a user's shell may
/// have it print other things before.
pub(super) struct Mark(String);

impl Mark {
    /// One that nobody can know.
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// The line.
    pub(super) fn line(&self) -> Vec<u8> {
        format!("forkpress-{}\n", self.0).into_bytes()
    }
}

/// A script, with what it finds in its variables.
pub(super) struct Script {
    text: Vec<u8>,
}

impl Script {
    /// One that prints the mark first.
    pub(super) fn new(mark: &Mark) -> Self {
        let text = b"LC_ALL=C\nexport LC_ALL\nunset CDPATH\n".to_vec();
        let line = mark.line();
        Self { text }.set("mark", line.trim_ascii_end()).code("printf '\\n%s\\n' \"$mark\"\n")
    }

    /// Sets a variable.
    pub(super) fn set(mut self, name: &str, value: &[u8]) -> Self {
        self.text.extend_from_slice(name.as_bytes());
        self.text.push(b'=');
        self.text.extend(quote(value));
        self.text.push(b'\n');
        self
    }

    /// Sets the arguments.
    pub(super) fn arguments<'a>(mut self, arguments: impl Iterator<Item = &'a [u8]>) -> Self {
        self.text.extend_from_slice(b"set --");
        for argument in arguments {
            self.text.push(b' ');
            self.text.extend(quote(argument));
        }
        self.text.push(b'\n');
        self
    }

    /// Adds code.
    pub(super) fn code(mut self, code: &str) -> Self {
        self.text.extend_from_slice(code.as_bytes());
        self
    }

    /// The bytes that are sent to [`Self::command`], before what the script itself reads.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.text
    }

    /// The command that reads the script from its input, and no byte more. Whatever the user's shell is there, it takes this for
    /// the same; and no list of processes has what is in the script.
    pub(super) fn command(&self) -> OsString {
        format!("exec sh -c 'eval \"$(dd bs=1 count={} 2>/dev/null)\"'", self.text.len()).into()
    }
}

/// A word of a POSIX shell that is exactly these bytes.
fn quote(value: &[u8]) -> Vec<u8> {
    let mut quoted = b"'".to_vec();
    for byte in value {
        match byte {
            b'\'' => quoted.extend_from_slice(b"'\\''"),
            other => quoted.push(*other),
        }
    }
    quoted.push(b'\'');
    quoted
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_shell_reads_values_as_they_are_and_leaves_what_follows() {
        let value = b"it's \"a\" $(b) `c` \\ !d\n-e * \xff";
        let script = Script::new(&Mark::new().unwrap())
            .set("value", value)
            .arguments([&b"x y"[..], value].into_iter())
            .code("printf '%s|%s|%s|' \"$value\" \"$#\" \"$2\"\ncat\n");
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(script.command())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(&[script.bytes(), b"rest\0"].concat()).unwrap();
        drop(input);
        let said = child.wait_with_output().unwrap().stdout;
        let after = said.iter().skip(1).position(|byte| *byte == b'\n').unwrap() + 2;
        assert_eq!(said[after..], [&value[..], b"|2|", value, b"|rest\0"].concat());
    }
}
