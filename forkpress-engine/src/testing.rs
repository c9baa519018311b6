//! What tests of several modules share.

use std::io::Write;
use std::process::{Command, Stdio};

/// What PHP says to each line; none where there is no PHP.
pub(crate) fn php(script: &str, lines: &[u8]) -> Option<Vec<u8>> {
    let command = Command::new("php").args(["-n", "-r", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = command else {
        eprintln!("SKIPPED: there is no php to be the judge");
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    let lines = lines.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&lines).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    Some(output.stdout)
}
