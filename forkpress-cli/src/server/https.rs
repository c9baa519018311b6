//! What a server needs to speak HTTPS.

use std::path::PathBuf;

use forkpress_server::tls::Tls;

use crate::failure::Failure;
use crate::site;

/// What a server needs to speak HTTPS.
pub(super) struct Https {
    pub(super) tls: Tls,
    /// The certificate of the authority: the site's calls to itself check the server by it.
    pub(super) certificate: PathBuf,
}

impl Https {
    /// Makes the certificate for a root host, and the authority where there is none yet.
    pub(super) fn new(root_host: &str) -> Result<Self, Failure> {
        let authority = site::authority(root_host)?;
        let certificate = authority.public.certificate.clone();
        Ok(Self { tls: Tls::new(authority, root_host)?, certificate })
    }
}
