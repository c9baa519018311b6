//! A new identity, which follows from who somebody was and from a key. Pure.

use sha2::{Digest, Sha256};

use super::words::{FIRST_NAMES, LAST_NAMES};

/// Where all new e-mail addresses are. RFC 2606 keeps it for examples, and it takes no mail.
const MAIL_HOST: &str = "example.com";

/// Letters and digits that are not taken for each other.
const TAG_LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// How many of those tell two people of the same name apart.
const TAG_LENGTH: usize = 8;

/// Without it nobody can tell who became whom.
#[derive(Clone, Debug)]
pub(super) struct Key([u8; 32]);

impl Key {
    pub(super) fn of(secret: &[u8]) -> Self {
        Self(Sha256::new_with_prefix(b"forkpress scrub\0").chain_update(secret).finalize().into())
    }

    /// Another key, for where what the first one gives is taken.
    pub(super) fn another(&self, attempt: u32) -> Self {
        Self(self.hash("attempt", &attempt.to_le_bytes()))
    }

    /// Bytes that follow from a value and from what they are for.
    pub(super) fn hash(&self, purpose: &str, value: &[u8]) -> [u8; 32] {
        Sha256::new_with_prefix(self.0).chain_update(purpose).chain_update([0]).chain_update(value).finalize().into()
    }

    /// One of some, which follows from a value.
    pub(super) fn pick<'c, T>(&self, purpose: &str, value: &[u8], choices: &'c [T]) -> &'c T {
        &choices[below(self.number(purpose, value), choices.len())]
    }

    pub(super) fn number(&self, purpose: &str, value: &[u8]) -> u64 {
        number_in(&self.hash(purpose, value), 0)
    }

    /// Letters and digits that follow from a value, up to 32 of them.
    pub(super) fn tag(&self, value: &[u8], length: usize) -> String {
        let letter = |byte: u8| char::from(TAG_LETTERS[usize::from(byte) % TAG_LETTERS.len()]);
        self.hash("tag", value).into_iter().take(length).map(letter).collect()
    }

    /// Whoever somebody becomes. `known_by`: what tells that person from all others, such as an e-mail address.
    pub(super) fn person(&self, known_by: &str) -> Person {
        let known_by = known_by.trim().to_lowercase();
        let hash = self.hash("person", known_by.as_bytes());
        Person {
            first: FIRST_NAMES[below(number_in(&hash, 0), FIRST_NAMES.len())],
            last: LAST_NAMES[below(number_in(&hash, 8), LAST_NAMES.len())],
            tag: self.tag(known_by.as_bytes(), TAG_LENGTH),
        }
    }

    /// What an e-mail address of a person becomes.
    pub(super) fn email(&self, old: &str, of: &Person) -> String {
        let tag = self.tag(old.trim().to_lowercase().as_bytes(), TAG_LENGTH);
        format!("{}.{}.{tag}@{MAIL_HOST}", of.first, of.last).to_lowercase()
    }

    /// An e-mail address that has as many bytes as another one. `sign` is how its `@` is written.
    pub(super) fn email_of_length(&self, old: &str, sign: &str) -> String {
        let ends = [MAIL_HOST, "x.test", "x"].map(|host| format!("{sign}{host}"));
        let Some(end) = ends.iter().find(|end| end.len() < old.len()) else { return "x".repeat(old.len()) };
        let letters = self.tag(old.to_lowercase().as_bytes(), 32);
        let local: String = letters.chars().cycle().take(old.len() - end.len()).collect();
        local + end
    }

    /// A text with other letters and digits in the same places. What else is in it stays.
    pub(super) fn shape(&self, text: &str) -> String {
        let mut bytes = self.stream("shape", text.to_lowercase().as_bytes());
        let mut below = |count: u8| bytes.next().expect("it has no end") % count;
        let other = |letter: char| match letter {
            '0'..='9' => char::from(b'0' + below(10)),
            'a'..='z' => char::from(b'a' + below(26)),
            letter if letter.is_ascii_uppercase() => char::from(b'A' + below(26)),
            letter if letter.is_alphabetic() => char::from(b'a' + below(26)),
            letter => letter,
        };
        text.chars().map(other).collect()
    }

    /// Bytes without an end that follow from a value.
    pub(super) fn stream(&self, purpose: &str, value: &[u8]) -> impl Iterator<Item = u8> + use<> {
        let (key, first) = (self.clone(), self.hash(purpose, value));
        std::iter::successors(Some(first), move |last| Some(key.hash("more", last))).flatten()
    }
}

/// The number that is the first of so many.
fn below(number: u64, count: usize) -> usize {
    usize::try_from(number % count as u64).expect("it is less than a length")
}

fn number_in(hash: &[u8; 32], at: usize) -> u64 {
    u64::from_le_bytes(hash[at..at + 8].try_into().expect("it is eight bytes"))
}

/// Somebody who does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) first: &'static str,
    pub(super) last: &'static str,
    tag: String,
}

impl Person {
    pub(super) fn full_name(&self) -> String {
        format!("{} {}", self.first, self.last)
    }

    /// A name to log in with, which is a part of addresses as well. A network takes it, too.
    pub(super) fn login(&self) -> String {
        format!("{}{}{}", self.first, self.last, self.tag).to_lowercase()
    }

    pub(super) fn url(&self) -> String {
        format!("https://{MAIL_HOST}/{}", self.login())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_same_person_becomes_the_same_one_each_time_and_another_one_with_another_key() {
        let (key, other) = (Key::of(b"hash"), Key::of(b"other hash"));
        assert_eq!(key.person("Anna@Shop.example "), Key::of(b"hash").person("anna@shop.example"));
        assert_ne!(key.person("anna@shop.example"), other.person("anna@shop.example"));
        let person = key.person("anna@shop.example");
        assert_eq!(key.email("anna@shop.example", &person), key.email("ANNA@shop.example", &person));
    }

    #[test]
    fn what_becomes_of_people_does_not_change_between_versions() {
        let key = Key::of(b"$P$BsecretHash");
        let person = key.person("anna@shop.example");
        assert_eq!(
            (person.full_name(), person.login(), key.email("anna@shop.example", &person), key.shape("DE-10115")),
            (
                "Jana Kovacs".to_owned(),
                "janakovacs3mkym9wa".to_owned(),
                "jana.kovacs.3mkym9wa@example.com".to_owned(),
                "VG-07168".to_owned()
            )
        );
    }

    #[test]
    fn many_people_have_logins_and_mailboxes_of_their_own() {
        let key = Key::of(b"many");
        let (mut logins, mut emails) = (HashSet::new(), HashSet::new());
        for number in 0..100_000 {
            let old = format!("person{number}@shop.example");
            let person = key.person(&old);
            assert!(emails.insert(key.email(&old, &person)) && logins.insert(person.login()), "{old}");
            assert!(person.login().len() <= 50 && person.login().bytes().all(|byte| byte.is_ascii_alphanumeric()));
        }
    }

    #[test]
    fn a_mailbox_of_the_same_length_has_that() {
        for old in ["a@b.de", "anna@b.de", "somebody@a-long-name.example.org", "x@y"] {
            let new = Key::of(b"length").email_of_length(old, "@");
            assert!(new.len() == old.len() && new != old, "{old} {new}");
        }
    }

    #[test]
    fn a_shape_stays_and_what_is_in_it_does_not() {
        let new = Key::of(b"shape").shape("SW1A 2AA-é7");
        let shape = |text: &str| -> Vec<bool> { text.chars().map(|letter| letter.is_ascii_digit()).collect() };
        assert_eq!(shape(&new), shape("SW1A 2AA-é7"));
        assert!(new != "SW1A 2AA-é7" && new.chars().nth(4) == Some(' ') && new.contains('-'), "{new}");
    }
}
