//! The two schemes that a request may come by.

use hyper::http::request::Parts;

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// As it was written.
    Http,
    /// Through TLS, which this server ended.
    Https,
}

impl Scheme {
    /// The one that a request came by, as the front noted it.
    #[must_use]
    pub fn of(request: &Parts) -> Self {
        request.extensions.get().copied().unwrap_or(Self::Http)
    }

    /// As an address has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}
