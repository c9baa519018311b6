//! The authority that signs the certificates of this user's servers.
//!
//! A browser trusts it once it was told to (`forkpress trust`), and then whatever it signs. So its key is closed to
//! others, and it may only sign for the hosts that it is for: those below `localhost`, and the loopback addresses. A
//! root host elsewhere has an authority of its own.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use forkpress_core::advice::Advice;
use forkpress_core::{flock, own};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, GeneralSubtree, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tempfile::NamedTempFile;
use thiserror::Error;
use time::{Duration, OffsetDateTime};

/// How long an authority is good. Whoever told a browser to trust it does so again then.
const AUTHORITY_LIFE: Duration = Duration::days(5 * 365);

/// How long a certificate is good.
pub(super) const CERTIFICATE_LIFE: Duration = Duration::days(90);

/// Clocks differ, and virtual machines wake up with old ones.
pub(super) const CLOCKS_DIFFER: Duration = Duration::days(1);

/// The hosts of which the authority for most sites is.
const LOCALHOST: &str = "localhost";

/// An authority, with its key.
#[derive(Debug)]
pub struct Authority {
    pub(super) issuer: Issuer<'static, KeyPair>,
    /// What there is to tell others.
    pub public: PublicAuthority,
}

/// An authority as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicAuthority {
    /// Its name, which no other has.
    pub name: String,
    /// Its certificate, a PEM file.
    pub certificate: PathBuf,
}

/// Why there is no authority.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// A file or folder can't be made, read or replaced.
    #[error("cannot use {path}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is there and holds no authority.
    #[error("{path} is damaged")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// A site's settings name a root host that is none.
    #[error("'{root_host}' is no host name")]
    NoHost {
        /// The root host.
        root_host: String,
    },
    /// No browser takes a certificate for every host below a host without a dot.
    #[error("browsers take no certificate for the branches below '{root_host}', which has no dot")]
    OneLabel {
        /// The root host.
        root_host: String,
    },
    /// A key or a certificate can't be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// The provider of TLS does not take what it should.
    #[error("cannot use the certificate")]
    Use(#[from] rustls::Error),
}

impl Advice for AuthorityError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Damaged { path } => Some(format!("rm {}: the next start makes another authority", path.display())),
            Self::NoHost { .. } | Self::OneLabel { .. } => {
                Some("choose a host with a dot: --root-host wp.localhost".to_owned())
            }
            Self::Io { .. } | Self::Make(_) | Self::Use(_) => None,
        }
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> AuthorityError {
    let path = path.to_owned();
    |source| AuthorityError::Io { path, source }
}

/// The host of which the authority for a root host is. It becomes the name of a file.
fn scope(root_host: &str) -> Result<&str, AuthorityError> {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    if !root_host.split('.').all(is_label) {
        return Err(AuthorityError::NoHost { root_host: root_host.to_owned() });
    }
    if !root_host.contains('.') {
        return Err(AuthorityError::OneLabel { root_host: root_host.to_owned() });
    }
    let is_local = root_host.strip_suffix(LOCALHOST).is_some_and(|rest| rest.ends_with('.'));
    Ok(if is_local { LOCALHOST } else { root_host })
}

impl Authority {
    /// The authority for a root host, in a folder of authorities. It is made where there is none, or none that is good for long.
    ///
    /// Two that make one at once have the same.
    ///
    /// # Errors
    /// [`AuthorityError::NoHost`] and [`AuthorityError::OneLabel`] where browsers would take no certificate for such a
    /// root host; [`AuthorityError::Io`] where the folder or the file can't be used; [`AuthorityError::Damaged`] where
    /// the file holds no authority; [`AuthorityError::Make`] where none can be made.
    pub fn open_or_make(dir: &Path, root_host: &str) -> Result<Self, AuthorityError> {
        Self::of_scope(dir, scope(root_host)?, OffsetDateTime::now_utc())
    }

    fn of_scope(dir: &Path, scope: &str, now: OffsetDateTime) -> Result<Self, AuthorityError> {
        DirBuilder::new().recursive(true).mode(own::CLOSED_FOLDER).create(dir).map_err(at(dir))?;
        // PHP, which is told of the certificate, runs in another folder.
        let dir = &dir.canonicalize().map_err(at(dir))?;
        let folder = own::open(dir).map_err(at(dir))?;
        own::close_file(&folder, &folder.metadata().map_err(at(dir))?);
        // It goes with the folder's descriptor.
        flock::lock(&folder, flock::Mode::Exclusive).map_err(at(dir))?;
        let path = dir.join(format!("{scope}.key"));
        let kept = match own::read_to_string(&path) {
            Ok(pem) => Some(KeptAuthority::parse(&pem).ok_or_else(|| AuthorityError::Damaged { path: path.clone() })?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(at(&path)(error)),
        };
        if let Some(kept) = kept.filter(|kept| !kept.ends_soon(now)) {
            return kept.authority(&path);
        }
        let made = make(scope, now)?;
        place(&path, made.as_bytes(), own::CLOSED_FILE).map_err(at(&path))?;
        KeptAuthority::parse(&made).ok_or_else(|| AuthorityError::Damaged { path: path.clone() })?.authority(&path)
    }
}

impl PublicAuthority {
    /// All authorities in a folder; none where there is no folder.
    ///
    /// # Errors
    /// [`AuthorityError::Io`] where the folder or a file can't be read; [`AuthorityError::Damaged`] where a file holds
    /// no authority.
    pub fn all(dir: &Path) -> Result<Vec<Self>, AuthorityError> {
        let dir = &match dir.canonicalize() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            resolved => resolved.map_err(at(dir))?,
        };
        let entries = fs::read_dir(dir).map_err(at(dir))?;
        let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>().map_err(at(dir))?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "key"));
        paths.sort();
        let public = |path: PathBuf| {
            let pem = own::read_to_string(&path).map_err(at(&path))?;
            let kept = KeptAuthority::parse(&pem).ok_or_else(|| AuthorityError::Damaged { path: path.clone() })?;
            Ok(kept.authority(&path)?.public)
        };
        paths.into_iter().map(public).collect()
    }
}

/// What a file of an authority holds.
struct KeptAuthority {
    key: PrivatePkcs8KeyDer<'static>,
    certificate: CertificateDer<'static>,
    /// The same as PEM.
    text: String,
    name: String,
    end: OffsetDateTime,
}

impl KeptAuthority {
    fn parse(pem: &str) -> Option<Self> {
        let text = &pem[pem.find("-----BEGIN CERTIFICATE")?..];
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).ok()?;
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).ok()?;
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ECDSA_P256_SHA256).ok()?;
        if *parsed.public_key().subject_public_key.data != *pair.public_key_raw() {
            return None;
        }
        let name = parsed.subject().iter_common_name().next()?.as_str().ok()?.to_owned();
        let end = OffsetDateTime::from_unix_timestamp(parsed.validity().not_after.timestamp()).ok()?;
        Some(Self { key, text: text.to_owned(), certificate, name, end })
    }

    /// Whether a certificate that is signed now would outlive it.
    fn ends_soon(&self, now: OffsetDateTime) -> bool {
        self.end < now + CERTIFICATE_LIFE
    }

    /// The authority, whose certificate is written beside its key where it is not there.
    fn authority(&self, path: &Path) -> Result<Authority, AuthorityError> {
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&self.key, &PKCS_ECDSA_P256_SHA256)?;
        let issuer = Issuer::from_ca_cert_der(&self.certificate, pair)?;
        let certificate = path.with_extension("crt");
        if own::read_to_string(&certificate).ok().as_ref() != Some(&self.text) {
            place(&certificate, self.text.as_bytes(), 0o644).map_err(at(&certificate))?;
        }
        Ok(Authority { issuer, public: PublicAuthority { name: self.name.clone(), certificate } })
    }
}

/// Makes an authority for a host and those below it: its key and its certificate, as PEM.
fn make(scope: &str, now: OffsetDateTime) -> Result<String, rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    // Two authorities of one name could not be told apart.
    let identity: String = params.key_identifier(&key)[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    let name = format!("ForkPress authority for {scope} ({identity})");
    (params.not_before, params.not_after) = (now - CLOCKS_DIFFER, now + AUTHORITY_LIFE);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, "ForkPress");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![
            GeneralSubtree::DnsName(scope.to_owned()),
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(Ipv4Addr::new(127, 0, 0, 0).into(), 8)),
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(Ipv6Addr::LOCALHOST.into(), 128)),
        ],
        excluded_subtrees: Vec::new(),
    });
    let certificate = params.self_signed(&key)?;
    Ok(format!("{}{}", key.serialize_pem(), certificate.pem()))
}

/// Puts a file in its place, whole, for those whom the mode lets read it.
fn place(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = NamedTempFile::new_in(path.parent().ok_or(io::ErrorKind::InvalidInput)?)?;
    file.write_all(bytes)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_that_would_end_before_a_certificate_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let now = OffsetDateTime::now_utc();
        let name = |at| Authority::of_scope(dir.path(), LOCALHOST, at).unwrap().public.name;
        let first = name(now);
        assert_eq!(name(now + AUTHORITY_LIFE - CERTIFICATE_LIFE - Duration::MINUTE), first);
        let second = name(now + AUTHORITY_LIFE - CERTIFICATE_LIFE + Duration::MINUTE);
        assert_ne!(second, first);
        assert_eq!(name(now), second);
    }

    #[test]
    fn a_certificate_is_named_by_its_whole_path() {
        let here = std::env::current_dir().unwrap();
        let dir = tempfile::tempdir_in(&here).unwrap();
        let relative = Path::new(dir.path().file_name().unwrap());
        let made = Authority::open_or_make(relative, "wp.localhost").unwrap().public;
        assert!(made.certificate.is_absolute(), "{made:?}");
        assert_eq!(PublicAuthority::all(relative).unwrap(), [made]);
    }

    #[test]
    fn those_who_make_an_authority_at_once_have_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let make = || Authority::open_or_make(dir.path(), "wp.localhost").unwrap().public;
        let made: Vec<_> = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            makers.into_iter().map(|maker| maker.join().unwrap()).collect()
        });
        assert!(made.iter().all(|other| *other == made[0]), "{made:?}");
    }

    #[test]
    fn the_authority_of_a_host_is_named_after_it_or_after_localhost() {
        for (root_host, scope_of_it) in
            [("wp.localhost", "localhost"), ("a.b.localhost", "localhost"), ("wp.example.test", "wp.example.test")]
        {
            assert_eq!(scope(root_host).unwrap(), scope_of_it);
        }
        for root_host in ["localhost", "", ".", "../x", "a/../../b.c", "a..b", "A.b", "*.b", "a.b\n"] {
            assert!(scope(root_host).is_err(), "{root_host}");
        }
    }
}
