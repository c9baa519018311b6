//! The answer to a request that is answered with nothing of the site.

/// An answer that consists of a status and one line of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteRefusal {
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, as a sentence without its full stop. Holds nothing of the request but a branch's name.
    pub message: String,
}

impl RouteRefusal {
    pub(super) fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}
