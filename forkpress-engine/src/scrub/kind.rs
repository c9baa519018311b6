//! The kinds of data about people, and what stands in the place of each. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::people::People;
use super::person::{Key, Person};
use super::words::{AGENTS, CITIES, COMPANIES, STREETS, WORDS};

/// WordPress and plugins sign with these. Nobody is called so.
const NOT_PEOPLE: [&str; 3] = ["WooCommerce", "ActionScheduler", "WordPress"];

/// No password has this as its hash.
pub(super) const NO_PASSWORD: &str = "!";

/// More words than these are not written in the place of what somebody wrote.
const MOST_WORDS: usize = 40;

/// A phone number of no more digits has no country, and few that it may become.
const SHORTEST_WITH_COUNTRY: usize = 7;

/// What a value says of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text in which e-mail addresses are replaced, as they are in all texts.
    Email,
    Login,
    FirstName,
    LastName,
    FullName,
    Phone,
    Ip,
    Street,
    /// A second line of an address.
    Unit,
    City,
    Postcode,
    Company,
    /// All of an address and a name in a line, for searching.
    Index,
    Url,
    Agent,
    Birthday,
    /// What an account, a card or a payment is called.
    Number,
    /// What somebody wrote.
    Text,
    /// Part of an address of a page.
    Slug,
    /// What somebody filled in a form with: what it is, is seen by its looks.
    Answer,
    Password,
    Secret,
}

impl Kind {
    /// What it is counted as.
    pub(super) fn counted_as(self) -> &'static str {
        match self {
            Self::Email => "e-mail addresses",
            Self::Login | Self::Slug => "logins",
            Self::FirstName | Self::LastName | Self::FullName => "names",
            Self::Phone => "phone numbers",
            Self::Ip => "IP addresses",
            Self::Street | Self::Unit | Self::City | Self::Postcode | Self::Index => "postal addresses",
            Self::Company => "companies",
            Self::Url => "web addresses",
            Self::Agent => "browsers",
            Self::Birthday => "birthdays",
            Self::Number => "account numbers",
            Self::Text => "texts",
            Self::Answer => "answers in forms",
            Self::Password => "passwords",
            Self::Secret => "secrets",
        }
    }

    /// What stands in the place of a text; none where it is not of this kind, and stays. `who`: whom it is about, where that is
    /// known. E-mail addresses are not looked for here.
    pub(super) fn replace(self, text: &str, who: Option<&Person>, people: &People) -> Option<String> {
        let trimmed = text.trim();
        if trimmed.is_empty() || NOT_PEOPLE.contains(&trimmed) {
            return None;
        }
        let key = &people.key;
        let by_itself = || people.person_called(trimmed);
        let person = || who.cloned().unwrap_or_else(by_itself);
        let bytes = text.as_bytes();
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        Some(match self {
            Self::Email => return None,
            Self::Login => people.login(trimmed),
            Self::FirstName => person().first.to_owned(),
            Self::LastName => person().last.to_owned(),
            Self::FullName => person().full_name(),
            Self::Phone => Some(phone(text, key)).filter(|_| digits >= 5)?,
            Self::Ip => ip(text, key).filter(|_| digits > 0)?,
            Self::Street => {
                format!("{} {}", 1 + key.number("house", bytes) % 180, key.pick("street", bytes, &STREETS))
            }
            Self::Unit => format!("Floor {}", 1 + key.number("floor", bytes) % 9),
            Self::City => (*key.pick("city", bytes, &CITIES)).to_owned(),
            Self::Postcode => key.shape(text),
            Self::Company => (*key.pick("company", bytes, &COMPANIES)).to_owned(),
            Self::Index => person().full_name(),
            Self::Url => person().url(),
            Self::Agent => (*key.pick("agent", bytes, &AGENTS)).to_owned(),
            Self::Birthday => Some(birthday(text, key)).filter(|_| digits > 3)?,
            Self::Number => Some(key.shape(text)).filter(|_| digits >= 4 || trimmed.len() >= 8)?,
            Self::Text => words(text, key),
            Self::Slug => key.tag(bytes, 12),
            Self::Answer => answer(text, who, people)?,
            Self::Password => NO_PASSWORD.to_owned(),
            Self::Secret if people.is_another => key.tag(bytes, 24),
            Self::Secret => String::new(),
        })
    }

    /// The same of a number.
    pub(super) fn replace_number(self, number: i64, key: &Key) -> Option<i64> {
        let text = number.to_string();
        match self {
            Self::Ip => {
                let old = Ipv4Addr::from(u32::try_from(number).ok().filter(|number| *number > 0xff_ffff)?);
                Some(i64::from(u32::from(new_v4(key, &old.octets()))))
            }
            Self::Phone | Self::Number if text.len() >= 5 => same_digits(&text, key),
            Self::Postcode => same_digits(&text, key),
            _ => None,
        }
    }
}

/// Another number of as many digits.
fn same_digits(text: &str, key: &Key) -> Option<i64> {
    let shaped = key.shape(text);
    // It does not become too large, nor shorter.
    let first = shaped.find(|letter: char| letter.is_ascii_digit())?;
    format!("{}1{}", &shaped[..first], &shaped[first + 1..]).parse().ok()
}

/// A phone number as it is written, with its country. 555 begins no number of a person.
fn phone(text: &str, key: &Key) -> String {
    const FICTIONAL: usize = 3;
    let (number, all) = (text.trim_start(), text.chars().filter(char::is_ascii_digit).collect::<String>());
    let (dialled, country) = match (number.strip_prefix('+'), number.strip_prefix("00")) {
        (Some(country), _) => (0, country),
        (_, Some(country)) => (2, country),
        _ => (0, ""),
    };
    let (kept, fictional) = match country.chars().next() {
        _ if all.len() <= SHORTEST_WITH_COUNTRY => (0, 0),
        None => (0, FICTIONAL),
        Some('1' | '7') => (dialled + 1, FICTIONAL),
        Some(_) => (dialled + 2, FICTIONAL),
    };
    let mut hash = key.stream("phone", all.as_bytes());
    let mut place = 0;
    let replace = |letter: char| {
        if letter.is_alphabetic() {
            return 'x';
        }
        if !letter.is_ascii_digit() {
            return letter;
        }
        place += 1;
        match place {
            place if place <= kept => letter,
            place if place <= kept + fictional => '5',
            _ => char::from(b'0' + hash.next().expect("it has no end") % 10),
        }
    };
    text.chars().map(replace).collect()
}

/// Other addresses in the place of one or several. They are of ranges that belong to nobody (RFC 2544, RFC 3849).
fn ip(text: &str, key: &Key) -> Option<String> {
    let mut is_address = false;
    let new: Vec<_> = text
        .split(',')
        .map(|part| match part.trim().parse() {
            Ok(old) => {
                is_address = true;
                new_ip(old, key).to_string()
            }
            Err(_) => key.shape(part.trim()),
        })
        .collect();
    let may_be = |letter: char| letter.is_ascii_hexdigit() || ".:, []-".contains(letter);
    (is_address || text.chars().all(may_be)).then(|| new.join(", "))
}

fn new_ip(old: IpAddr, key: &Key) -> IpAddr {
    match old {
        IpAddr::V4(old) => new_v4(key, &old.octets()).into(),
        IpAddr::V6(old) => {
            let hash = key.hash("ip", &old.octets());
            let mut octets = [0; 16];
            octets[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
            octets[4..].copy_from_slice(&hash[..12]);
            Ipv6Addr::from(octets).into()
        }
    }
}

fn new_v4(key: &Key, old: &[u8]) -> Ipv4Addr {
    let hash = key.hash("ip", old);
    Ipv4Addr::new(198, 18 + hash[0] % 2, hash[1], hash[2])
}

/// An address in bytes.
pub(super) fn ip_bytes(old: &[u8], key: &Key) -> Option<Vec<u8>> {
    match (<[u8; 4]>::try_from(old), <[u8; 16]>::try_from(old)) {
        (Ok(old), _) => Some(new_v4(key, &old).octets().to_vec()),
        (_, Ok(old)) => match new_ip(Ipv6Addr::from(old).to_canonical(), key) {
            IpAddr::V4(new) => Some(new.to_ipv6_mapped().octets().to_vec()),
            IpAddr::V6(new) => Some(new.octets().to_vec()),
        },
        _ => None,
    }
}

/// A day as it is written: a number of four digits is the year.
fn birthday(text: &str, key: &Key) -> String {
    let mut numbers = key.stream("birthday", text.as_bytes());
    let mut next = |count: u8| u32::from(numbers.next().expect("it has no end") % count);
    let mut new = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|letter: char| letter.is_ascii_digit()) {
        let length = rest[start..].find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len() - start);
        new += &rest[..start];
        new += &match length {
            1 => (1 + next(9)).to_string(),
            2 => format!("{:02}", 1 + next(12)),
            4 => (1950 + next(55)).to_string(),
            8 => format!("{}{:02}{:02}", 1950 + next(55), 1 + next(12), 1 + next(28)),
            _ => key.shape(&rest[start..start + length]),
        };
        rest = &rest[start + length..];
    }
    new + rest
}

/// As many other words.
fn words(text: &str, key: &Key) -> String {
    let count = text.split_whitespace().count().clamp(1, MOST_WORDS);
    let chosen = key.stream("words", text.as_bytes()).take(count);
    let written: Vec<_> = chosen.map(|byte| WORDS[usize::from(byte) % WORDS.len()]).collect();
    let mut sentence = written.join(" ");
    sentence[..1].make_ascii_uppercase();
    sentence
}

/// What somebody may have filled in.
fn answer(text: &str, who: Option<&Person>, people: &People) -> Option<String> {
    let trimmed = text.trim();
    let digits = trimmed.bytes().filter(u8::is_ascii_digit).count();
    let letters = trimmed.chars().filter(|letter| letter.is_alphabetic()).count();
    let (key, words_in) = (&people.key, trimmed.split_whitespace().count());
    let kind = match (letters, digits) {
        _ if trimmed.contains('@') && words_in == 1 => Kind::Email,
        _ if trimmed.starts_with("http://") || trimmed.starts_with("https://") => Kind::Url,
        _ if trimmed.parse::<IpAddr>().is_ok() => Kind::Ip,
        (0, 8) if trimmed.bytes().filter(|byte| b"-./".contains(byte)).count() == 2 => Kind::Birthday,
        (0, 0..5) => return None,
        (0, _) => Kind::Phone,
        _ if words_in == 1 => return Some(people.person_called(trimmed).last.to_owned()),
        _ if words_in <= 3 && digits == 0 => Kind::FullName,
        _ => return Some(words(text, key)),
    };
    kind.replace(text, who, people)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people() -> People {
        People::new(Key::of(b"kind"))
    }

    #[test]
    fn each_kind_becomes_something_of_its_kind() {
        let people = people();
        let replace = |kind: Kind, text: &str| kind.replace(text, None, &people).unwrap_or_default();
        assert!(replace(Kind::Ip, "203.0.113.77").starts_with("198.1"));
        assert!(replace(Kind::Ip, "2a00:1450::1").parse::<Ipv6Addr>().is_ok());
        assert!(replace(Kind::Ip, "203.0.113.77, 10.0.0.1").split(", ").all(|ip| ip.starts_with("198.1")));
        let phone = replace(Kind::Phone, "+49 (30) 901-820");
        assert!(phone.starts_with("+49 (55) 5") && phone.len() == 16, "{phone}");
        assert_eq!(replace(Kind::Postcode, "10115").len(), 5);
        assert_eq!(replace(Kind::Password, "$P$B"), NO_PASSWORD);
        let birthday = replace(Kind::Birthday, "1985-03-12");
        assert!(birthday != "1985-03-12" && birthday.len() == 10 && birthday.as_bytes()[4] == b'-', "{birthday}");
        assert!(replace(Kind::Url, "http://keller.example").starts_with("https://example.com/"));
    }

    #[test]
    fn what_is_empty_or_of_another_kind_stays() {
        let people = people();
        for (kind, text) in [
            (Kind::FirstName, ""),
            (Kind::Phone, "yes"),
            (Kind::Ip, "on"),
            (Kind::FullName, "WooCommerce"),
            (Kind::Answer, "3"),
            (Kind::Number, "no"),
        ] {
            assert_eq!(kind.replace(text, None, &people), None, "{kind:?} {text}");
        }
    }

    #[test]
    fn numbers_stay_numbers_of_as_many_digits() {
        let key = Key::of(b"number");
        let phone = Kind::Phone.replace_number(49_301_234_567, &key).unwrap();
        assert!(phone.to_string().len() == 11 && phone != 49_301_234_567);
        assert!(Kind::Phone.replace_number(i64::MAX, &key).is_some());
        let ip = Kind::Ip.replace_number(0xcb00_714d, &key).unwrap();
        assert_eq!(Ipv4Addr::from(u32::try_from(ip).unwrap()).octets()[0], 198);
        assert_eq!(Kind::FirstName.replace_number(7, &key), None);
        assert_eq!(ip_bytes(&[1, 2, 3, 4], &key).map(|new| (new.len(), new[0])), Some((4, 198)));
    }
}
