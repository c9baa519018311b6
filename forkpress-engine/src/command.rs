//! Programs that are run, as they are told of.

use std::io;
use std::process::{Command, Output};

/// A longer word, such as the text of a program, is not told in full.
const MOST_CHARACTERS: usize = 200;

/// A command as it would be typed, without what may be secret: whatever stands before the host in an address.
#[must_use]
pub fn words(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| shortened(without_secret(&word.to_string_lossy()))).collect::<Vec<_>>().join(" ")
}

/// Words as they would be typed into a shell, each that needs it in quotes.
#[must_use]
pub fn typed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=@,+%".contains(c);
    let word = |word: &str| match word {
        "" => "''".to_owned(),
        word if word.chars().all(is_plain) => word.to_owned(),
        word => format!("'{}'", word.replace('\'', r"'\''")),
    };
    words.into_iter().map(word).collect::<Vec<_>>().join(" ")
}

fn shortened(word: String) -> String {
    match word.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => format!("{}...", &word[..end]),
        None => word,
    }
}

/// How a program ended, or why it was not started.
#[must_use]
pub fn ending(output: &io::Result<Output>) -> String {
    match output {
        Ok(output) => output.status.to_string(),
        Err(error) => error.to_string(),
    }
}

fn without_secret(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
    let (authority, path) = rest.find(['/', '?', '#']).map_or((rest, ""), |end| rest.split_at(end));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_told_without_the_secret_of_an_address() {
        let mut command = Command::new("git");
        command.args(["push", "https://ann:s3cret@host:1/a@b", "a@b", "remote=http://t@h"]).env("TOKEN", "s3cret");
        assert_eq!(words(&command), "git push https://host:1/a@b a@b remote=http://h");
        assert_eq!(words(Command::new("php").arg("\u{e4}".repeat(300))), format!("php {}...", "\u{e4}".repeat(200)));
    }

    #[test]
    fn what_is_typed_means_the_same_words_to_a_shell() {
        let words = ["wp", "main", "--", "it's", "", "a b", "$x", "--url=https://x:1/"];
        assert_eq!(typed(words), r"wp main -- 'it'\''s' '' 'a b' '$x' --url=https://x:1/");
    }
}
