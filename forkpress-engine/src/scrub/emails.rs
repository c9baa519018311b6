//! E-mail addresses and links to people in any text. Pure.

use memchr::memmem;

use super::people::People;

/// Which e-mail addresses are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    All,
    /// Those of people that the database knows.
    Known,
}

/// What pictures and files end in. `logo@2x.png` is no mailbox.
const SUFFIXES: [&str; 22] = [
    "avif", "bmp", "css", "gif", "htm", "html", "ico", "jpeg", "jpg", "js", "json", "map", "mp3", "mp4", "pdf", "php",
    "png", "svg", "ts", "webm", "webp", "woff",
];

/// What stands before the name of a user in an address.
const LINKS: [&str; 6] = ["author/", "author\\/", "members/", "members\\/", "author_name=", "cap-"];

/// How `@` is written in a text and in an address.
const SIGNS: [&str; 2] = ["@", "%40"];

/// The text with other e-mail addresses and links, and how many; none where it stays. `keeps_length`: each becomes one of as
/// many bytes.
pub(super) fn replace(text: &str, which: Which, keeps_length: bool, people: &People) -> Option<(String, u64)> {
    let new_of = |old: &str| {
        let sign = if old.contains('@') { "@" } else { "%40" };
        match keeps_length {
            true => people.key.email_of_length(old, sign),
            false => people.email(&old.replace(sign, "@")).replace('@', sign),
        }
    };
    let found = emails(text, which, people).into_iter();
    let mut edits: Vec<_> = found.map(|(start, end)| (start, end, new_of(&text[start..end]))).collect();
    if !keeps_length {
        edits.extend(links(text, people));
    }
    if edits.is_empty() {
        return None;
    }
    edits.sort();
    let count = edits.len() as u64;
    let (mut new, mut at) = (String::with_capacity(text.len()), 0);
    for (start, end, with) in edits {
        if start >= at {
            new += &text[at..start];
            new += &with;
            at = end;
        }
    }
    Some((new + &text[at..], count))
}

/// Whether a text as a whole is an e-mail address.
pub(super) fn is_email(text: &str) -> bool {
    let text = text.trim();
    at(text, text.find('@').unwrap_or(0), 1).is_some_and(|(start, end)| (start, end) == (0, text.len()))
}

/// Where the e-mail addresses are.
fn emails(text: &str, which: Which, people: &People) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for sign in SIGNS {
        for place in memmem::find_iter(text.as_bytes(), sign) {
            let Some((start, end)) = at(text, place, sign.len()) else { continue };
            let (local, host) = (&text[start..place], &text[place + sign.len()..end]);
            let is_wanted = match which {
                Which::All => local != "git" && !is_file(host) && !is_of_address(&text[..start]),
                Which::Known => people.has_email(&format!("{local}@{host}")),
            };
            if is_wanted {
                found.push((start, end));
            }
        }
    }
    found
}

/// Where an e-mail address is whose sign is at a place.
fn at(text: &str, place: usize, sign: usize) -> Option<(usize, usize)> {
    let is_of_local = |letter: char| letter.is_alphanumeric() || "._+-'".contains(letter);
    let before = text[..place].char_indices().rev().take_while(|(_, letter)| is_of_local(*letter)).last();
    let mut start = before?.0;
    // What is escaped before it is no part of it: `%3D`, `\n`, `\u00e9`.
    start += match text.as_bytes()[..start].last() {
        Some(b'%') if text[start..place].len() > 2 && is_hex(&text[start..], 2) => 2,
        Some(b'\\') if text[start..].starts_with('u') && is_hex(&text[start + 1..], 4) => 5,
        Some(b'\\') if text[start..].starts_with(['n', 'r', 't', 'b', 'f']) => 1,
        _ => 0,
    };
    start = place - text[start..place].trim_start_matches(['.', '\'', '-']).len();
    let is_of_host = |letter: char| letter.is_alphanumeric() || letter == '-' || letter == '.';
    let host = &text[place + sign..];
    let host = &host[..host.find(|letter| !is_of_host(letter)).unwrap_or(host.len())];
    let host = host.trim_end_matches(['.', '-']);
    let last = host.rsplit_once('.').filter(|(before, _)| !before.is_empty() && !before.starts_with('.'))?.1;
    let is_last = last.chars().count() > 1 && last.chars().all(|letter| letter.is_alphabetic() || letter == '-')
        || last.starts_with("xn--");
    (is_last && start < place).then_some((start, place + sign + host.len()))
}

fn is_hex(text: &str, length: usize) -> bool {
    text.as_bytes().get(..length).is_some_and(|start| start.iter().all(u8::is_ascii_hexdigit))
}

fn is_file(host: &str) -> bool {
    host.rsplit_once('.').is_some_and(|(_, last)| SUFFIXES.contains(&last.to_ascii_lowercase().as_str()))
}

/// Whether what is before an e-mail address makes it the account in another one, as in `https://key@host.example`.
fn is_of_address(before: &str) -> bool {
    let is_of_account = |letter: char| letter.is_alphanumeric() || "._~%+-:".contains(letter);
    before.trim_end_matches(is_of_account).ends_with("://")
}

/// Whether a text may have an e-mail address or a link to a person in it.
pub(super) fn may_be_in(text: &[u8]) -> bool {
    memchr::memchr(b'@', text).is_some() || memmem::find(text, b"%40").is_some() || may_have_links(text)
}

fn may_have_links(text: &[u8]) -> bool {
    [&b"author"[..], b"members", b"cap-"].iter().any(|part| memmem::find(text, part).is_some())
}

/// Links to what a user wrote, and to a member.
fn links(text: &str, people: &People) -> Vec<(usize, usize, String)> {
    let mut found = Vec::new();
    if !may_have_links(text.as_bytes()) {
        return found;
    }
    for link in LINKS {
        for place in memmem::find_iter(text.as_bytes(), link) {
            let start = place + link.len();
            let is_of_name = |letter: char| letter.is_alphanumeric() || "_-.%".contains(letter);
            let length = text[start..].find(|letter| !is_of_name(letter)).unwrap_or(text.len() - start);
            if let Some(new) = people.known_login(&text[start..start + length]) {
                found.push((start, start + length, new));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::people::User;
    use super::super::person::Key;
    use super::*;

    fn people() -> People {
        let mut people = People::new(Key::of(b"emails"));
        let (login, email) = ("akeller".to_owned(), "anna@shop.example".to_owned());
        people.add_user(&User { number: 1, nicename: login.clone(), login, email, ..User::default() });
        people
    }

    #[test]
    fn mailboxes_are_found_in_whatever_stands_around_them() {
        let people = people();
        let new = people.email("anna@shop.example");
        for around in ["_", "<_>", "mailto:_?x", "\"_\"", "(_).", "'_'", "to:_,x", "“_”", "x=_&y", r"\n_\n", "_."] {
            let text = around.replace('_', "anna@shop.example");
            for which in [Which::All, Which::Known] {
                let replaced = replace(&text, which, false, &people);
                assert_eq!(replaced, Some((around.replace('_', &new), 1)), "{around}");
            }
        }
        let replaced = replace("?email%3Danna%40shop.example&a", Which::Known, false, &people);
        assert_eq!(replaced, Some((format!("?email%3D{}&a", new.replace('@', "%40")), 1)));
    }

    #[test]
    fn what_is_no_mailbox_stays() {
        for text in [
            "logo@2x.png",
            "@media screen",
            "a @ b.de",
            "https://key@sentry.example/1",
            "git@code.example:a/b",
            "user@host",
            "@akeller",
            "p@1.2",
        ] {
            assert_eq!(replace(text, Which::All, false, &people()), None, "{text}");
        }
        assert_eq!(replace("other@shop.example", Which::Known, false, &people()), None);
    }

    #[test]
    fn links_to_authors_lead_to_who_they_became() {
        let people = people();
        let new = people.known_login("akeller").unwrap();
        let replaced = replace("<a href='/author/akeller/'> /author/other/", Which::Known, false, &people);
        assert_eq!(replaced, Some((format!("<a href='/author/{new}/'> /author/other/"), 1)));
    }

    #[test]
    fn lengths_stay_where_they_have_to() {
        let text = "x anna@shop.example y é a%40b.de";
        let (new, count) = replace(text, Which::All, true, &people()).unwrap();
        assert!(new.len() == text.len() && count == 2 && !new.contains("anna"), "{new}");
    }

    #[test]
    fn a_whole_mailbox_is_told_from_a_text_with_one() {
        for (text, is) in
            [("a@b.de", true), (" a@b.de ", true), ("A <a@b.de>", false), ("a@b.de, c@d.de", false), ("", false)]
        {
            assert_eq!(is_email(text), is, "{text}");
        }
    }
}
