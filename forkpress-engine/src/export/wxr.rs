//! What WordPress's own export prints, with other addresses where that is asked for.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::thread;

use super::ExportError;
use super::dump::DumpError;
use crate::addresses::{Counts, Rewriter};
use crate::progress::Progress;

/// What all of it ends with.
const END: &[u8] = b"</rss>";

/// Where a piece ends that has nothing to do with what follows.
const ENDS: [&[u8]; 5] = [b"</item>", b"</wp:term>", b"</wp:category>", b"</wp:tag>", b"</wp:author>"];

/// Has a command print WXR, and writes it. Returns how many bytes.
pub(super) fn write(
    mut command: Command,
    mut to: impl Write,
    rewriter: Option<&Rewriter>,
    is_interrupted: &dyn Fn() -> bool,
    progress: &dyn Progress,
) -> Result<u64, ExportError> {
    let failed = |said: String| ExportError::Wxr { said };
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let complaints = thread::spawn(move || {
        let mut said = Vec::new();
        stderr.map_or(Ok(0), |mut stderr| stderr.read_to_end(&mut said)).map(|_| said)
    });
    let mut pieces = Pieces { from: BufReader::new(stdout.expect("it is a pipe")), is_over: false };
    let (mut bytes, mut end) = (0, Vec::new());
    let mut copy = || -> Result<(), ExportError> {
        while let Some(piece) = pieces.next().map_err(|error| failed(error.to_string()))? {
            if is_interrupted() {
                return Err(DumpError::Interrupted.into());
            }
            end = piece[piece.len().saturating_sub(64)..].to_vec();
            let piece = rewriter.map(|rewriter| rewritten(&piece, rewriter)).unwrap_or(piece);
            to.write_all(&piece).map_err(ExportError::Write)?;
            let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            bytes += length;
            progress.advance(length);
        }
        to.flush().map_err(ExportError::Write)
    };
    let copied = copy();
    if copied.is_err() {
        // It may be in the middle of its work.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    copied?;
    let said = complaints.join().ok().and_then(Result::ok).unwrap_or_default();
    if !status.success() || !end.windows(END.len()).any(|part| part == END) {
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        return Err(failed(if said.is_empty() { format!("it ended before its end ({status})") } else { said }));
    }
    Ok(bytes)
}

/// A text in pieces, each of which is whole: no value goes on in the next one.
struct Pieces<R> {
    from: R,
    is_over: bool,
}

impl<R: BufRead> Pieces<R> {
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut piece = Vec::new();
        while !self.is_over {
            let before = piece.len();
            self.is_over = self.from.read_until(b'\n', &mut piece)? == 0;
            let line = piece[before..].trim_ascii();
            if ENDS.iter().any(|end| line.ends_with(end)) {
                break;
            }
        }
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }
}

/// A piece with other addresses, but for what names posts for ever.
fn rewritten(piece: &[u8], rewriter: &Rewriter) -> Vec<u8> {
    let find = |text: &[u8], what: &[u8]| text.windows(what.len()).position(|part| part == what);
    let mut out = Vec::with_capacity(piece.len());
    let mut rest = piece;
    while let Some(start) = find(rest, b"<guid") {
        let end = find(&rest[start..], b"</guid>").map_or(rest.len(), |end| start + end);
        out.extend_from_slice(&rewriter.rewrite(&rest[..start], &mut Counts::default()));
        out.extend_from_slice(&rest[start..end]);
        rest = &rest[end..];
    }
    out.extend_from_slice(&rewriter.rewrite(rest, &mut Counts::default()));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    const TEXT: &str = concat!(
        "<rss>\n<link>http://old.example</link>\n<item>\n\t<link>http://old.example/a</link>\n",
        "\t<guid isPermaLink=\"false\">http://old.example/?p=1</guid>\n",
        "\t<wp:meta_value><![CDATA[a:1:{s:1:\"u\";s:20:\"http://old.example/x\";}]]></wp:meta_value>\n\t</item>\n</rss>\n",
    );

    fn printed(text: &str, rewriter: Option<&Rewriter>) -> Result<String, ExportError> {
        let mut command = Command::new("printf");
        command.arg("%s").arg(text);
        let mut out = Vec::new();
        write(command, &mut out, rewriter, &|| false, &Silent).map(|_| String::from_utf8(out).unwrap())
    }

    #[test]
    fn what_wordpress_prints_is_written_as_it_is() {
        assert_eq!(printed(TEXT, None).unwrap(), TEXT);
    }

    #[test]
    fn addresses_are_rewritten_but_for_guids_and_lengths_stay_true() {
        let rewriter = Rewriter::new([("old.example", "https://new.example")]).unwrap();
        let new = TEXT
            .replace("http://old.example", "https://new.example")
            .replace("https://new.example/?p=1", "http://old.example/?p=1")
            .replace("s:20:", "s:21:");
        assert_eq!(printed(TEXT, Some(&rewriter)).unwrap(), new);
    }

    #[test]
    fn what_ends_too_early_or_fails_is_no_export() {
        assert!(printed(&TEXT[..TEXT.len() - 8], None).is_err());
        assert!(printed("", None).is_err());
        let mut command = Command::new("sh");
        command.args(["-c", "echo '</rss>'; echo no memory >&2; exit 255"]);
        let failed = write(command, Vec::new(), None, &|| false, &Silent).unwrap_err();
        assert_eq!(failed.to_string(), "WordPress's export failed: no memory");
    }
}
