//! The secret with which a request of a site may call the same site while a writer waits.
//!
//! The outer request holds the shared lock and waits for the inner one; if the inner one waited for the writer, and the
//! writer for the outer one, nobody would get on until the writer lets the gate go. Whoever knows the token can do no more
//! than overtake a waiting writer.

use std::io;

use crate::layout::CowLayout;
use crate::token::Token;

/// A site's loopback token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoopbackToken(Token);

impl LoopbackToken {
    /// Reads the site's token, making it, readable by its owner alone, if there is none.
    ///
    /// # Errors
    /// What the system said, or `InvalidData` where the file holds no token.
    pub fn load_or_create(cow: &CowLayout) -> io::Result<Self> {
        Token::load_or_create(&cow.loopback_token()).map(Self)
    }

    /// Whether `candidate` is the token. Takes the same time wherever the two differ.
    #[must_use]
    pub fn matches(&self, candidate: &[u8]) -> bool {
        self.0.matches(candidate)
    }

    /// The token as it is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}
