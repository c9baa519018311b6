//! The certificate that a server shows.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, PoisonError, RwLock};

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SanType};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};

use super::authority::{Authority, AuthorityError, CERTIFICATE_LIFE, CLOCKS_DIFFER};

/// How long before its end it is replaced.
const RENEWAL: Duration = Duration::days(30);

/// The certificate for a root host and its branches, which is made again in time. Its key is in memory only.
#[derive(Debug)]
pub(super) struct Certificates {
    authority: Authority,
    root_host: String,
    provider: Arc<CryptoProvider>,
    current: RwLock<Current>,
}

#[derive(Clone, Debug)]
struct Current {
    key: Arc<CertifiedKey>,
    renewal: OffsetDateTime,
}

impl Certificates {
    pub(super) fn new(
        authority: Authority,
        root_host: &str,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, AuthorityError> {
        let current = RwLock::new(sign(&authority, root_host, &provider, OffsetDateTime::now_utc())?);
        Ok(Self { authority, root_host: root_host.to_owned(), provider, current })
    }

    fn at(&self, now: OffsetDateTime) -> Arc<CertifiedKey> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        if now < current.renewal {
            return current.key;
        }
        match sign(&self.authority, &self.root_host, &self.provider, now) {
            Ok(next) => {
                let key = Arc::clone(&next.key);
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
                key
            }
            Err(error) => {
                tracing::warn!("the certificate is not renewed: {error}");
                current.key
            }
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.at(OffsetDateTime::now_utc()))
    }
}

fn sign(
    authority: &Authority,
    root_host: &str,
    provider: &CryptoProvider,
    now: OffsetDateTime,
) -> Result<Current, AuthorityError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = (now - CLOCKS_DIFFER, now + CERTIFICATE_LIFE);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "ForkPress");
    params.subject_alt_names = vec![
        SanType::DnsName(root_host.try_into()?),
        SanType::DnsName(format!("*.{root_host}").try_into()?),
        SanType::IpAddress(Ipv4Addr::LOCALHOST.into()),
        SanType::IpAddress(Ipv6Addr::LOCALHOST.into()),
    ];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, &authority.issuer)?;
    let secret = provider.key_provider.load_private_key(PrivatePkcs8KeyDer::from(key.serialize_der()).into())?;
    let key = Arc::new(CertifiedKey::new(vec![certificate.der().clone()], secret));
    Ok(Current { key, renewal: now + CERTIFICATE_LIFE - RENEWAL })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::crypto::ring;

    #[test]
    fn a_certificate_is_made_again_before_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_make(dir.path(), "wp.localhost").unwrap();
        let certificates = Certificates::new(authority, "wp.localhost", Arc::new(ring::default_provider())).unwrap();
        let now = OffsetDateTime::now_utc();
        let first = certificates.at(now);
        assert_eq!(certificates.at(now + CERTIFICATE_LIFE - RENEWAL - Duration::DAY).cert, first.cert);
        let next = certificates.at(now + CERTIFICATE_LIFE - RENEWAL + Duration::DAY);
        assert_ne!(next.cert, first.cert);
        assert_eq!(certificates.at(now + CERTIFICATE_LIFE).cert, next.cert);
    }
}
