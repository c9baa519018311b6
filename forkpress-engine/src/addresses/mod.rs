//! Puts addresses in the place of others for good: in what is stored, where [`forkpress_core::address`] does so in what is
//! served.
//!
//! An address is found in each of its spellings, and the new one is written in the same. What is a serialized value of PHP
//! as a whole is taken apart and written anew, so that its lengths are right. It is not unserialized: classes need not be
//! known. In other texts the lengths of serialized strings follow ([`Known::map_each`]). A serialized value that PHP could
//! not read stays as it is, and is counted; so does what is encoded as base64.

mod serialized;
mod tables;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::AddAssign;

use aho_corasick::AhoCorasick;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use forkpress_core::address::{Addresses, FormerHome, Known, Mapped, Own, Source};
use forkpress_core::advice::Advice;
use serde::Serialize;
use thiserror::Error;

use serialized::Look;
pub use tables::{BrokenValue, Columns, Rewritten, rewrite};

/// Texts in texts are looked into up to this depth.
const MAX_DEPTH: usize = 64;

/// What is encoded of a host in fewer bytes than this may be there by chance.
const SHORTEST_ENCODED_BYTES: usize = 8;

/// Why addresses can't be rewritten.
#[derive(Debug, Error)]
pub enum AddressError {
    /// It is no address of a site.
    #[error("'{address}' is no address of a site")]
    NoAddress {
        /// What was given.
        address: String,
    },
}

impl Advice for AddressError {
    fn hint(&self) -> Option<String> {
        Some("give it as in https://example.com, or https://example.com/blog".to_owned())
    }
}

/// What was done, and what was left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Addresses that were replaced.
    pub addresses: u64,
    /// Values that have another text now.
    pub values: u64,
    /// Values, perhaps inside of others, that look like PHP's but are broken: they have an address, and stay as they are.
    pub broken: u64,
    /// Values that have an address encoded as base64, which stays as it is.
    pub encoded: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.addresses += other.addresses;
        self.values += other.values;
        self.broken += other.broken;
        self.encoded += other.encoded;
    }
}

/// Replaces addresses by others.
#[derive(Debug)]
pub struct Rewriter {
    known: Known,
    targets: Targets,
    encoded: AhoCorasick,
}

/// What stands where an address was.
#[derive(Debug)]
enum Targets {
    One(Own),
    Each(BTreeMap<FormerHome, Own>),
}

impl Rewriter {
    /// Takes pairs of an address and the one that is to be in its place, such as `http://example.com/blog` and
    /// `http://wp.localhost:18080`. The scheme of the first does not matter, and may be missing.
    ///
    /// # Errors
    /// [`AddressError::NoAddress`] where one of a pair is no address.
    pub fn new<'p>(pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> Result<Self, AddressError> {
        let mut addresses = Addresses::default();
        let mut targets = BTreeMap::new();
        for (from, to) in pairs {
            let home = FormerHome::parse(from).ok_or_else(|| AddressError::NoAddress { address: from.to_owned() })?;
            addresses.add_home(from);
            targets.insert(home, target(to)?);
        }
        Ok(Self::of(&addresses, Targets::Each(targets)))
    }

    /// Puts one address in the place of all that a site is served at or had before: what a branch serves with its own there
    /// has this one.
    ///
    /// # Errors
    /// [`AddressError::NoAddress`] where `to` is none.
    pub fn of_site(addresses: &Addresses, to: &str) -> Result<Self, AddressError> {
        Ok(Self::of(addresses, Targets::One(target(to)?)))
    }

    fn of(addresses: &Addresses, targets: Targets) -> Self {
        let encoded = addresses.hosts().flat_map(encodings).filter(|text| text.len() >= SHORTEST_ENCODED_BYTES);
        let encoded = AhoCorasick::new(encoded).expect("a few short names are no problem");
        Self { known: Known::new(addresses), targets, encoded }
    }

    /// Rewrites what is stored as one value.
    pub fn rewrite<'t>(&self, text: &'t [u8], counts: &mut Counts) -> Cow<'t, [u8]> {
        counts.encoded += u64::from(self.encoded.is_match(text));
        match self.value(text, 0, counts) {
            Some(rewritten) => {
                counts.values += 1;
                Cow::Owned(rewritten)
            }
            None => Cow::Borrowed(text),
        }
    }

    /// Rewrites the host, with its port, and the path that WordPress stores apart for each site of a network; none where
    /// they stay.
    pub fn rewrite_domain(&self, domain: &[u8], path: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let address = [b"http://", domain, path].concat();
        let mapped = self.map(&address)?.text;
        let rest = mapped.splitn(2, |byte| *byte == b':').nth(1)?.strip_prefix(b"//")?;
        let slash = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
        let path = if slash < rest.len() { &rest[slash..] } else { b"/" };
        Some((rest[..slash].to_vec(), path.to_vec()))
    }

    /// The value rewritten; none where it stays.
    fn value(&self, text: &[u8], depth: usize, counts: &mut Counts) -> Option<Vec<u8>> {
        if !self.known.may_be_in(text) {
            return None;
        }
        match serialized::look(text) {
            Look::Text => self.count(self.map(text)?, counts),
            Look::Values(values) if depth < MAX_DEPTH => values.rewritten(|part| match part {
                serialized::Part::Value(text) => self.value(text, depth + 1, counts),
                serialized::Part::Key(text) => self.count(self.map(text)?, counts),
            }),
            Look::Values(_) | Look::Broken => {
                counts.broken += u64::from(self.map(text).is_some());
                None
            }
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "what it is called for may be missing")]
    fn count(&self, mapped: Mapped, counts: &mut Counts) -> Option<Vec<u8>> {
        counts.addresses += u64::try_from(mapped.addresses).unwrap_or(u64::MAX);
        Some(mapped.text)
    }

    fn map(&self, text: &[u8]) -> Option<Mapped> {
        self.known.map_each(text, b"", |source| match (&self.targets, source) {
            (Targets::One(target), _) => Some(target),
            (Targets::Each(targets), Source::Home(home)) => targets.get(home),
            (Targets::Each(_), Source::Served) => None,
        })
    }
}

fn target(url: &str) -> Result<Own, AddressError> {
    let is_address = FormerHome::parse(url).is_some();
    Own::parse(url).filter(|_| is_address).ok_or_else(|| AddressError::NoAddress { address: url.to_owned() })
}

/// What all base64 of texts with this name has, wherever in them the name stands.
fn encodings(name: &str) -> impl Iterator<Item = String> {
    (0..3).map(move |shift| {
        let text = STANDARD_NO_PAD.encode([&[0; 2][..shift], name.as_bytes()].concat());
        let (start, end) = ((shift * 8).div_ceil(6), (shift + name.len()) * 8 / 6);
        text[start..end].to_owned()
    })
}

#[cfg(test)]
mod tests;
