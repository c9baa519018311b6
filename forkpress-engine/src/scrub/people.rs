//! The people that a database knows, and who they become.

use std::collections::{HashMap, HashSet};

use super::person::{Key, Person};

/// What has more bytes is no name.
const LONGEST_NAME: usize = 200;

/// Whoever is known, by e-mail address, login and number.
#[derive(Clone, Debug)]
pub(super) struct People {
    pub(super) key: Key,
    /// Whether what the first key gave was taken.
    pub(super) is_another: bool,
    /// The e-mail addresses of people, in small letters.
    emails: HashSet<String>,
    /// Of another e-mail address of a user: what that user is known by.
    also_known_by: HashMap<String, String>,
    /// What users are known by.
    known: HashSet<String>,
    /// By the user's number: what the user is known by.
    users: HashMap<i64, String>,
    /// By an old login, or how that is written in addresses, in small letters: what the user is known by.
    logins: HashMap<String, String>,
    /// By a name of several words: what the user is known by. None where several are called so.
    names: HashMap<String, Option<String>>,
}

/// What a row of users says.
#[derive(Debug, Default)]
pub(super) struct User {
    pub(super) number: i64,
    pub(super) login: String,
    pub(super) nicename: String,
    pub(super) email: String,
    pub(super) name: String,
}

impl People {
    pub(super) fn new(key: Key) -> Self {
        Self {
            key,
            is_another: false,
            emails: HashSet::new(),
            also_known_by: HashMap::new(),
            known: HashSet::new(),
            users: HashMap::new(),
            logins: HashMap::new(),
            names: HashMap::new(),
        }
    }

    /// The same with another key.
    pub(super) fn another(&self, attempt: u32) -> Self {
        Self { key: self.key.another(attempt), is_another: true, ..self.clone() }
    }

    /// Makes a user known. Of two with one e-mail address, the second one is known by its login.
    pub(super) fn add_user(&mut self, user: &User) {
        let email = user.email.trim().to_lowercase();
        let known_by = if email.is_empty() || self.known.contains(&email) {
            format!("{email} {}", user.login.to_lowercase())
        } else {
            email.clone()
        };
        self.add_email(&email);
        for login in [&user.login, &user.nicename] {
            if !login.is_empty() {
                self.logins.entry(login.to_lowercase()).or_insert_with(|| known_by.clone());
            }
        }
        self.add_name(&user.name, &known_by);
        self.known.insert(known_by.clone());
        self.users.insert(user.number, known_by);
    }

    /// Makes known what a person is called. A word alone may be anything.
    pub(super) fn add_name(&mut self, name: &str, known_by: &str) {
        let name = name.trim().to_lowercase();
        if name.len() <= LONGEST_NAME && name.split_whitespace().count() > 1 {
            let known = self.names.entry(name).or_insert_with(|| Some(known_by.to_owned()));
            if known.as_deref() != Some(known_by) {
                *known = None;
            }
        }
    }

    pub(super) fn add_email(&mut self, email: &str) {
        if email.contains('@') {
            self.emails.insert(email.trim().to_lowercase());
        }
    }

    /// Makes another e-mail address of a user known.
    pub(super) fn add_email_of(&mut self, user: i64, email: &str) {
        let email = email.trim().to_lowercase();
        let is_of_a_user = self.known.contains(&email);
        if let Some(known_by) = self.users.get(&user).filter(|_| !is_of_a_user) {
            self.also_known_by.entry(email.clone()).or_insert_with(|| known_by.clone());
        }
        self.add_email(&email);
    }

    /// Whether somebody has this e-mail address.
    pub(super) fn has_email(&self, email: &str) -> bool {
        self.emails.contains(&email.to_lowercase())
    }

    pub(super) fn user(&self, number: i64) -> Option<Person> {
        self.users.get(&number).map(|known_by| self.key.person(known_by))
    }

    /// Who has an e-mail address.
    pub(super) fn with_email(&self, email: &str) -> Person {
        let email = email.trim().to_lowercase();
        self.key.person(self.also_known_by.get(&email).unwrap_or(&email))
    }

    /// What an e-mail address becomes.
    pub(super) fn email(&self, old: &str) -> String {
        self.key.email(old, &self.with_email(old))
    }

    /// Who is called so, where that is all that is known.
    pub(super) fn person_called(&self, name: &str) -> Person {
        let name = name.to_lowercase();
        let known_by = self.names.get(&name).and_then(Option::as_ref).or_else(|| self.logins.get(&name));
        self.key.person(known_by.unwrap_or(&name))
    }

    /// What somebody becomes of whom a text says nothing but a name of several words.
    pub(super) fn known_name(&self, text: &str) -> Option<String> {
        let name = text.trim();
        let is_known =
            name.len() <= LONGEST_NAME && name.contains(' ') && self.names.contains_key(&name.to_lowercase());
        is_known.then(|| self.person_called(name).full_name())
    }

    /// What a login becomes, also where no user has it.
    pub(super) fn login(&self, old: &str) -> String {
        if old.contains('@') && !self.logins.contains_key(&old.to_lowercase()) {
            return self.email(old);
        }
        self.person_called(old).login()
    }

    /// What the login of a user becomes, or how it is written in addresses.
    pub(super) fn known_login(&self, old: &str) -> Option<String> {
        self.logins.get(&old.to_lowercase()).map(|known_by| self.key.person(known_by).login())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_is_the_same_one_by_number_login_name_and_each_mailbox() {
        let mut people = People::new(Key::of(b"one"));
        people.add_user(&User {
            number: 7,
            login: "AKeller".to_owned(),
            nicename: "akeller".to_owned(),
            email: "Anna@shop.example".to_owned(),
            name: "Anna Keller".to_owned(),
        });
        people.add_email_of(7, "anna@home.example");
        let anna = people.user(7).unwrap();
        assert_eq!(people.with_email("ANNA@shop.example"), anna);
        assert_eq!(people.with_email("anna@home.example"), anna);
        assert_eq!(people.person_called("anna keller"), anna);
        assert_eq!(people.known_login("akeller"), Some(anna.login()));
        assert_eq!(people.known_name("Anna Keller"), Some(anna.full_name()));
        assert_ne!(people.email("anna@home.example"), people.email("anna@shop.example"));
        assert_eq!(people.known_name("admin"), None);
    }

    #[test]
    fn two_users_with_one_mailbox_have_logins_of_their_own() {
        let mut people = People::new(Key::of(b"two"));
        for (number, login) in [(1, "a"), (2, "b")] {
            let (login, email) = (login.to_owned(), "info@shop.example".to_owned());
            people.add_user(&User { number, login, email, ..User::default() });
        }
        assert_ne!(people.known_login("a"), people.known_login("b"));
    }
}
