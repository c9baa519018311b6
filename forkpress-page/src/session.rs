//! Sessions: a cookie that proves itself, so that the server keeps nothing of it.
//!
//! The cookie is `NUMBER.KIND.UNTIL.MAC`. The MAC, HMAC-SHA256 (RFC 2104) by the site's secret, is over all that stands before
//! it. A form's token is another MAC over the same, so it belongs to one session, and who reads the one can't make the other.
//!
//! A browser sends a cookie to all ports of a host, so another account's server may get it. Therefore the MAC of somebody who has
//! signed in is also over where that was: the account, or the address of the machine. From elsewhere, the cookie proves nothing.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use forkpress_core::token::Token;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// For how long a session is one.
pub const LIFE: Duration = Duration::from_secs(12 * 60 * 60);

/// Whether the token was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of whoever asked for a page. It makes nobody anything.
    Visit,
    /// Of somebody who gave the site's token.
    SignedIn,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// What the cookie says.
    text: String,
    /// Whether the token was given.
    pub kind: Kind,
}

impl Session {
    /// Begins one.
    ///
    /// # Errors
    /// What the system says where it gives no random bytes.
    pub fn begin(kind: Kind, now: SystemTime) -> io::Result<Self> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(io::Error::from)?;
        let word = if kind == Kind::SignedIn { "in" } else { "visit" };
        Ok(Self { text: format!("{}.{word}.{}", hexadecimal(&random), seconds(now + LIFE)), kind })
    }

    /// The one that a cookie proves, sent from an origin; none where it proves nothing, or not any more.
    #[must_use]
    pub fn read(cookie: &str, secret: &Token, now: SystemTime, origin: impl FnOnce() -> String) -> Option<Self> {
        let (text, mac) = cookie.rsplit_once('.')?;
        let mut parts = text.split('.').skip(1);
        let kind = match parts.next()? {
            "in" => Kind::SignedIn,
            _ => Kind::Visit,
        };
        is_mac(secret, "session", &proven(text, kind, origin), mac).then_some(())?;
        let until: u64 = parts.next()?.parse().ok()?;
        (seconds(now) < until).then(|| Self { text: text.to_owned(), kind })
    }

    /// The cookie's value, given to somebody at an origin.
    #[must_use]
    pub fn cookie(&self, secret: &Token, origin: impl FnOnce() -> String) -> String {
        let proven = proven(&self.text, self.kind, origin);
        format!("{}.{}", self.text, hexadecimal(&mac(secret, "session", &proven).finalize().into_bytes()))
    }

    /// The token of this session's forms.
    #[must_use]
    pub fn token(&self, secret: &Token) -> String {
        hexadecimal(&mac(secret, "form", &self.text).finalize().into_bytes())
    }

    /// Whether a form was this session's.
    #[must_use]
    pub fn is_token(&self, secret: &Token, token: &str) -> bool {
        is_mac(secret, "form", &self.text, token)
    }
}

/// The name of the cookie of a site. Cookies know no ports, so two sites at one host have two names.
#[must_use]
pub fn cookie_name(secret: &Token) -> String {
    let name = hexadecimal(&mac(secret, "name", "").finalize().into_bytes());
    format!("forkpress_page_{}", &name[..12])
}

/// What a cookie's MAC is over. Where a visitor is does not matter, and is not asked.
fn proven(text: &str, kind: Kind, origin: impl FnOnce() -> String) -> String {
    match kind {
        Kind::Visit => text.to_owned(),
        Kind::SignedIn => format!("{text}\0{}", origin()),
    }
}

fn mac(secret: &Token, purpose: &str, text: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_str().as_bytes()).expect("a key of any length will do");
    mac.update(purpose.as_bytes());
    mac.update(b"\0");
    mac.update(text.as_bytes());
    mac
}

/// Takes the same time wherever the two differ.
fn is_mac(secret: &Token, purpose: &str, text: &str, claimed: &str) -> bool {
    let Some(bytes) = bytes(claimed) else { return false };
    mac(secret, purpose, text).verify_slice(&bytes).is_ok()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    digits.iter().all(u8::is_ascii_hexdigit).then_some(())?;
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(pair).collect()
}

fn seconds(moment: SystemTime) -> u64 {
    moment.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Token {
        let dir = tempfile::tempdir().unwrap();
        Token::load_or_create(&dir.path().join("page.token")).unwrap()
    }

    fn here() -> String {
        "account 1000".to_owned()
    }

    #[test]
    fn a_cookie_proves_its_session_until_it_is_over() {
        let (secret, now) = (secret(), SystemTime::now());
        let session = Session::begin(Kind::SignedIn, now).unwrap();
        let cookie = session.cookie(&secret, here);
        assert_eq!(Session::read(&cookie, &secret, now, here), Some(session.clone()));
        assert_eq!(Session::read(&cookie, &secret, now + LIFE, here), None);
        assert_eq!(Session::read(&cookie, &secret, now, || "account 1001".to_owned()), None, "another account has it");
        let visit = Session::begin(Kind::Visit, now).unwrap();
        assert_eq!(Session::read(&visit.cookie(&secret, here), &secret, now, String::new), Some(visit));
        assert_ne!(Session::begin(Kind::SignedIn, now).unwrap(), session);
    }

    #[test]
    fn nobody_makes_a_cookie_or_a_token_without_the_secret() {
        let (secret, now) = (secret(), SystemTime::now());
        let session = Session::begin(Kind::Visit, now).unwrap();
        let cookie = session.cookie(&secret, here);
        for forged in [
            cookie.replace("visit", "in"),
            cookie.replacen('.', "..", 1),
            cookie[..cookie.len() - 2].to_owned(),
            format!("{}.{}", cookie.rsplit_once('.').unwrap().0, session.token(&secret)),
            String::new(),
            ".".to_owned(),
        ] {
            assert_eq!(Session::read(&forged, &secret, now, here), None, "{forged}");
        }
        let other = Token::load_or_create(&tempfile::tempdir().unwrap().path().join("page.token"));
        assert_eq!(Session::read(&cookie, &other.unwrap(), now, here), None);
        let token = session.token(&secret);
        assert!(session.is_token(&secret, &token) && !session.is_token(&secret, ""));
        let neighbour = Session::begin(Kind::Visit, now).unwrap();
        assert!(!neighbour.is_token(&secret, &token), "a token is of one session");
        assert!(!session.is_token(&secret, cookie.rsplit_once('.').unwrap().1), "a cookie is no token");
    }
}
