//! Secrets of a site, each in a file that only the site's owner can read.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::own;

const RANDOM_BYTES: usize = 32;

/// A secret: 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Reads the token in a file, making it, readable by its owner alone, if there is none.
    ///
    /// # Errors
    /// `InvalidData` when the file holds no token; else what the system said when it can be neither read nor made.
    pub fn load_or_create(path: &Path) -> io::Result<Self> {
        match Self::load(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Self::create(path)?;
                Self::load(path)
            }
            loaded => loaded,
        }
    }

    /// Whether `candidate` is the token. Takes the same time wherever the two differ.
    #[must_use]
    pub fn matches(&self, candidate: &[u8]) -> bool {
        candidate.len() == self.0.len()
            && candidate.iter().zip(self.0.as_bytes()).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
    }

    /// The token as it is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn load(path: &Path) -> io::Result<Self> {
        let token = own::read_to_string(path)?;
        let valid = token.len() == 2 * RANDOM_BYTES && token.bytes().all(|b| b.is_ascii_hexdigit());
        if valid { Ok(Self(token)) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    /// Of several processes that create it at once, one wins: the file appears whole, by a link.
    fn create(path: &Path) -> io::Result<()> {
        let mut random = [0; RANDOM_BYTES];
        getrandom::fill(&mut random).map_err(io::Error::from)?;
        let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let temporary = path.with_extension(format!("token.{}.tmp", std::process::id()));
        let _ = fs::remove_file(&temporary);
        let written = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(own::CLOSED_FILE)
            .open(&temporary)
            .and_then(|mut file| file.write_all(token.as_bytes()))
            .and_then(|()| match fs::hard_link(&temporary, path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                _ => Ok(()),
            });
        let _ = fs::remove_file(&temporary);
        written
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_and_only_it_matches() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.token");
        let token = Token::load_or_create(&path).unwrap();
        assert_eq!(Token::load_or_create(&path).unwrap(), token);
        assert!(token.matches(token.as_str().as_bytes()));
        assert!(!token.matches(b""));
        assert!(!token.matches("0".repeat(64).as_bytes()));
    }
}
