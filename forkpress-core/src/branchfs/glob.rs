//! Finds names that match a pattern, by the rules of the C library's `glob`, in any tree that can be listed.

use rustix::io::Errno;

use super::FsError;

/// The flags of PHP's `glob()`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GlobFlags {
    /// Folders end with a slash.
    pub mark: bool,
    /// In the order in which the folders have them.
    pub no_sort: bool,
    /// The pattern itself where nothing matches.
    pub no_check: bool,
    /// A backslash is a character like any other.
    pub no_escape: bool,
    /// `{a,b}` matches `a` and `b`.
    pub brace: bool,
    /// Folders only.
    pub only_folders: bool,
    /// A folder that can't be read is a failure, not empty.
    pub stop_at_errors: bool,
}

/// What is searched. Paths are those of the pattern.
pub trait GlobTree {
    /// The names in a folder; `None` where there is none.
    ///
    /// # Errors
    /// [`FsError`] when a folder is there but can't be read.
    fn names(&self, folder: &[u8]) -> Result<Option<Vec<Vec<u8>>>, FsError>;
    /// Whether there is anything at a path, be it a broken symlink.
    fn exists(&self, path: &[u8]) -> bool;
    /// Whether there is a folder at a path, or a symlink to one.
    fn is_folder(&self, path: &[u8]) -> bool;
}

/// Every path that matches; with braces, those of each alternative, one after the other.
///
/// `prefix` is what comes before the first name of each path, taken as it is.
///
/// # Errors
/// [`FsError`] of the first folder that can't be read, only with [`GlobFlags::stop_at_errors`].
pub fn glob(tree: &impl GlobTree, prefix: &[u8], pattern: &[u8], flags: GlobFlags) -> Result<Vec<Vec<u8>>, FsError> {
    let alternatives = if flags.brace { alternatives(pattern, flags) } else { vec![pattern.to_vec()] };
    let mut found = Vec::new();
    for alternative in &alternatives {
        let mut paths = search(tree, prefix, alternative, flags)?;
        if flags.mark {
            for path in &mut paths {
                if !path.ends_with(b"/") && tree.is_folder(path) {
                    path.push(b'/');
                }
            }
        }
        if !flags.no_sort {
            paths.sort();
        }
        found.extend(paths);
    }
    if found.is_empty() && flags.no_check {
        found.push([prefix, pattern].concat());
    }
    if flags.only_folders {
        found.retain(|path| tree.is_folder(path));
    }
    Ok(found)
}

/// The paths that match a pattern without braces, part by part.
fn search(tree: &impl GlobTree, prefix: &[u8], pattern: &[u8], flags: GlobFlags) -> Result<Vec<Vec<u8>>, FsError> {
    let mut paths = vec![prefix.to_vec()];
    let mut parts = pattern.split(|&b| b == b'/').skip_while(|part| part.is_empty()).peekable();
    let mut only_literals = true;
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        if part.is_empty() {
            if is_last {
                paths.retain(|path| tree.is_folder(path));
            } else {
                paths.iter_mut().for_each(|path| path.push(b'/'));
            }
            continue;
        }
        only_literals &= !has_magic(part, flags);
        let mut next = Vec::new();
        for path in &paths {
            next.extend(step(tree, path, part, flags)?);
        }
        if next.is_empty() && only_literals && !is_last && flags.stop_at_errors {
            return Err(Errno::NOENT.into());
        }
        if !is_last {
            next.iter_mut().for_each(|path| path.push(b'/'));
        }
        paths = next;
    }
    paths.retain(|path| path != prefix);
    Ok(paths)
}

/// The paths that match one part of the pattern, below a folder whose path ends with a slash.
fn step(tree: &impl GlobTree, folder: &[u8], part: &[u8], flags: GlobFlags) -> Result<Vec<Vec<u8>>, FsError> {
    let joined = |name: &[u8]| [folder, name].concat();
    if !has_magic(part, flags) {
        let path = joined(&unescaped(part, flags));
        return Ok(if tree.exists(&path) { vec![path] } else { Vec::new() });
    }
    let names = match tree.names(folder) {
        Err(error) if flags.stop_at_errors => return Err(error),
        names => names.ok().flatten().unwrap_or_default(),
    };
    let visible = |name: &Vec<u8>| !name.starts_with(b".") || part.starts_with(b".") || part.starts_with(b"\\.");
    Ok(names.iter().filter(|name| visible(name) && matches(name, part, flags)).map(|name| joined(name)).collect())
}

fn has_magic(part: &[u8], flags: GlobFlags) -> bool {
    let mut bytes = part.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'*' | b'?' | b'[' => return true,
            b'\\' if !flags.no_escape => drop(bytes.next()),
            _ => {}
        }
    }
    false
}

fn unescaped(part: &[u8], flags: GlobFlags) -> Vec<u8> {
    let mut bytes = part.iter();
    let mut plain = Vec::with_capacity(part.len());
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' if !flags.no_escape => plain.push(*bytes.next().unwrap_or(&byte)),
            _ => plain.push(byte),
        }
    }
    plain
}

/// Whether a name matches a pattern, character by character.
fn matches(name: &[u8], pattern: &[u8], flags: GlobFlags) -> bool {
    matches_characters(&characters(name), &characters(pattern), flags)
}

/// The characters of UTF-8; a byte that is none of it counts as one of its own, beyond all others.
fn characters(bytes: &[u8]) -> Vec<u32> {
    let chunks = bytes.utf8_chunks();
    chunks
        .flat_map(|chunk| {
            chunk.valid().chars().map(u32::from).chain(chunk.invalid().iter().map(|&byte| 0x11_0000 + u32::from(byte)))
        })
        .collect()
}

const STAR: u32 = '*' as u32;
const ANY: u32 = '?' as u32;
const OPEN: u32 = '[' as u32;
const CLOSE: u32 = ']' as u32;
const ESCAPE: u32 = '\\' as u32;
const NOT: [u32; 2] = ['!' as u32, '^' as u32];
const TO: u32 = '-' as u32;
const COLON: u32 = ':' as u32;

/// Where a star fails, it is tried again one character further on; only the last star needs to be.
fn matches_characters(name: &[u32], pattern: &[u32], flags: GlobFlags) -> bool {
    let (mut n, mut p) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        if p < pattern.len() && pattern[p] == STAR {
            p += 1;
            star = Some((n, p));
            continue;
        }
        if n == name.len() {
            return p == pattern.len();
        }
        if let Some(length) = one(name[n], &pattern[p..], flags) {
            n += 1;
            p += length;
            continue;
        }
        let Some((tried, after)) = star else { return false };
        star = Some((tried + 1, after));
        (n, p) = (tried + 1, after);
    }
}

/// How much of the pattern matches a character; `None` where it does not.
fn one(character: u32, pattern: &[u32], flags: GlobFlags) -> Option<usize> {
    match *pattern.first()? {
        ANY => Some(1),
        OPEN => match class(character, pattern, flags) {
            Some((true, length)) => Some(length),
            Some((false, _)) => None,
            // A bracket that is never closed is itself.
            None => (character == OPEN).then_some(1),
        },
        ESCAPE if !flags.no_escape => (character == *pattern.get(1)?).then_some(2),
        literal => (character == literal).then_some(1),
    }
}

/// Whether a character is in `[...]`, and how long that is; `None` where it is never closed.
fn class(character: u32, pattern: &[u32], flags: GlobFlags) -> Option<(bool, usize)> {
    let negated = NOT.contains(pattern.get(1)?);
    let begin = if negated { 2 } else { 1 };
    let (mut at, mut found) = (begin, false);
    while *pattern.get(at)? != CLOSE || at == begin {
        if pattern[at..].starts_with(&[OPEN, COLON])
            && let Some(length) = pattern[at + 2..].windows(2).position(|end| end == [COLON, CLOSE])
        {
            found |= in_named_class(character, &pattern[at + 2..at + 2 + length]);
            at += length + 4;
            continue;
        }
        let literal = |at: usize| match *pattern.get(at)? {
            ESCAPE if !flags.no_escape => Some((*pattern.get(at + 1)?, at + 2)),
            character => Some((character, at + 1)),
        };
        let (from, mut next) = literal(at)?;
        let mut to = from;
        if *pattern.get(next)? == TO && *pattern.get(next + 1)? != CLOSE {
            (to, next) = literal(next + 1)?;
        }
        found |= (from..=to).contains(&character);
        at = next;
    }
    Some((found != negated, at + 1))
}

fn in_named_class(character: u32, name: &[u32]) -> bool {
    let Some(character) = char::from_u32(character) else { return false };
    let name: String = name.iter().filter_map(|&unit| char::from_u32(unit)).collect();
    match name.as_str() {
        "alnum" => character.is_alphanumeric(),
        "alpha" => character.is_alphabetic(),
        "blank" => character == ' ' || character == '\t',
        "cntrl" => character.is_control(),
        "digit" => character.is_ascii_digit(),
        "graph" => !character.is_control() && !character.is_whitespace(),
        "lower" => character.is_lowercase(),
        "print" => !character.is_control(),
        "punct" => !character.is_control() && !character.is_whitespace() && !character.is_alphanumeric(),
        "space" => character.is_whitespace(),
        "upper" => character.is_uppercase(),
        "xdigit" => character.is_ascii_hexdigit(),
        _ => false,
    }
}

/// The most alternatives of one pattern: nested braces multiply.
const MOST_ALTERNATIVES: usize = 10_000;

/// The patterns that `{a,b}` stands for, from the left. A brace that is never closed is itself.
fn alternatives(pattern: &[u8], flags: GlobFlags) -> Vec<Vec<u8>> {
    let mut whole = Vec::new();
    let mut open = vec![pattern.to_vec()];
    while let Some(pattern) = open.pop() {
        let Some((begin, commas, end)) = first_brace(&pattern, flags) else {
            whole.push(pattern);
            continue;
        };
        if whole.len() + open.len() > MOST_ALTERNATIVES {
            break;
        }
        let cuts: Vec<usize> = std::iter::once(begin).chain(commas).chain(std::iter::once(end)).collect();
        let parts =
            cuts.windows(2).map(|cut| [&pattern[..begin], &pattern[cut[0] + 1..cut[1]], &pattern[end + 1..]].concat());
        open.extend(parts.collect::<Vec<_>>().into_iter().rev());
    }
    whole
}

/// The first brace that is closed: where it opens, its own commas, where it closes.
fn first_brace(pattern: &[u8], flags: GlobFlags) -> Option<(usize, Vec<usize>, usize)> {
    let escaped =
        |at: usize| !flags.no_escape && pattern[..at].iter().rev().take_while(|&&b| b == b'\\').count() % 2 == 1;
    let candidates = (0..pattern.len()).filter(|&at| pattern[at] == b'{' && !escaped(at));
    for begin in candidates {
        let (mut depth, mut commas) = (0_usize, Vec::new());
        for at in (begin + 1..pattern.len()).filter(|&at| !escaped(at)) {
            match pattern[at] {
                b'{' => depth += 1,
                b'}' if depth == 0 => return Some((begin, commas, at)),
                b'}' => depth -= 1,
                b',' if depth == 0 => commas.push(at),
                _ => {}
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_names_as_the_c_library_has_it() {
        let escaping = GlobFlags::default();
        for (pattern, name, expected) in [
            ("*", "", true),
            ("*.php", "a.php", true),
            ("*.php", "a.phps", false),
            ("*a*b*c", "xxaxxbxxabc", true),
            ("*a*b*c", "xxaxxcxxab", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a?c", "aüc", true),
            ("[[:alpha:]]", "ü", true),
            ("[à-ü]", "é", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[^a-c]x", "dx", true),
            ("[]]", "]", true),
            ("[a-]", "-", true),
            ("[", "[", true),
            ("[a", "[a", true),
            ("[[:digit:]_]", "7", true),
            ("[[:digit:]_]", "_", true),
            ("[[:digit:]_]", "a", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("[\\]]", "]", true),
        ] {
            assert_eq!(matches(name.as_bytes(), pattern.as_bytes(), escaping), expected, "{pattern} {name}");
        }
        let plain = GlobFlags { no_escape: true, ..GlobFlags::default() };
        assert!(matches(b"\\a", b"\\*", plain));
    }

    #[test]
    fn braces_are_alternatives() {
        let all = |pattern: &str| {
            alternatives(pattern.as_bytes(), GlobFlags::default())
                .into_iter()
                .map(|bytes| String::from_utf8(bytes).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(all("a"), ["a"]);
        assert_eq!(all("{a,b}c"), ["ac", "bc"]);
        assert_eq!(all("x{a,{b,c}d}{1,2}"), ["xa1", "xa2", "xbd1", "xbd2", "xcd1", "xcd2"]);
        assert_eq!(all("{a"), ["{a"]);
        assert_eq!(all("a{}"), ["a"]);
        assert_eq!(all("\\{a,b}"), ["\\{a,b}"]);
        assert!(all(&"{a,b}".repeat(40)).len() <= MOST_ALTERNATIVES + 1);
    }
}
