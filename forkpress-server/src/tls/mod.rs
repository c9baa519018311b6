//! HTTPS: certificates of an authority of the user's own.

mod authority;
mod certificate;

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;

pub use authority::{Authority, AuthorityError, PublicAuthority};

use certificate::Certificates;

/// The name of HTTP/2 where client and server agree on one.
pub(crate) const HTTP2: &[u8] = b"h2";

/// What a server needs to speak TLS.
#[derive(Clone, Debug)]
pub struct Tls {
    pub(crate) config: Arc<ServerConfig>,
}

impl Tls {
    /// With certificates of an authority, for a root host and its branches.
    ///
    /// # Errors
    /// [`AuthorityError::Make`] where the first certificate can't be made; [`AuthorityError::Use`] where the provider
    /// of TLS refuses what is asked of it.
    pub fn new(authority: Authority, root_host: &str) -> Result<Self, AuthorityError> {
        let provider = Arc::new(ring::default_provider());
        let certificates = Certificates::new(authority, root_host, Arc::clone(&provider))?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(certificates));
        config.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config) })
    }
}
