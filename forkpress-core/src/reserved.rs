//! Names that nothing in a branch may have: folders that Git, and ForkPress itself, trust. Pure.

/// Whether a name is that of Git's own folder, or becomes it on some file system.
#[must_use]
pub fn is_git(name: &[u8]) -> bool {
    is(name, b".git", b"git~")
}

/// Whether a name is that of the folder of a site, `.forkpress`, or becomes it on some file system.
#[must_use]
pub fn is_forkpress(name: &[u8]) -> bool {
    is(name, b".forkpress", b"forkpr~")
}

/// Compares as the file systems do that tell names apart the least: HFS+ ignores some characters and case, NTFS what follows a
/// colon, and spaces and dots at the end. FAT and NTFS make up a short name for a long one, which ends in a number.
fn is(name: &[u8], plain: &[u8], short: &[u8]) -> bool {
    // Most are of ASCII alone, and a push may have half a million of them.
    let folded = if name.is_ascii() { None } else { Some(folded(name)) };
    let name = folded.as_ref().map_or(name, String::as_bytes);
    let end = name.iter().position(|byte| *byte == b':').unwrap_or(name.len());
    let end = name[..end].iter().rposition(|byte| !matches!(byte, b'.' | b' ')).map_or(0, |last| last + 1);
    let name = &name[..end];
    let is_short = |(begin, number): (&[u8], &[u8])| {
        begin.eq_ignore_ascii_case(short) && !number.is_empty() && number.iter().all(u8::is_ascii_digit)
    };
    name.eq_ignore_ascii_case(plain) || name.split_at_checked(short.len()).is_some_and(is_short)
}

/// Without the characters that HFS+ ignores, and without case.
fn folded(name: &[u8]) -> String {
    let is_ignored = |letter: &char| matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let name: String = String::from_utf8_lossy(name).chars().filter(|letter| !is_ignored(letter)).collect();
    // There and back: some letters, such as a long s, are of no other one's lower case but have its upper case.
    name.to_uppercase().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_name_is_known_in_each_of_its_spellings() {
        for (plain, short) in [(".git", "git~1"), (".forkpress", "forkpr~1")] {
            let is = |name: &str| if plain == ".git" { is_git(name.as_bytes()) } else { is_forkpress(name.as_bytes()) };
            for name in [
                plain.to_owned(),
                plain.to_uppercase(),
                format!("{plain}."),
                format!("{plain} . "),
                format!("{plain}::$INDEX_ALLOCATION"),
                format!("\u{feff}{plain}"),
                plain.replace('i', "i\u{200c}").replace('k', "k\u{200d}"),
                short.to_owned(),
                short.to_uppercase(),
                short.replace('1', "2"),
            ] {
                assert!(is(&name), "{name:?}");
            }
            for name in [format!("{plain}x"), format!("x{plain}"), plain[1..].to_owned(), short.replace('1', "")] {
                assert!(!is(&name), "{name:?}");
            }
        }
        // A Kelvin sign and a long s.
        assert!(is_forkpress(".for\u{212a}pres\u{17f}".as_bytes()));
        assert!(!is_forkpress(b".forkpress-notes") && !is_git(b".github") && !is_git(b".gitignore"));
        assert!(!is_forkpress(b"\xff.forkpress"));
    }
}
