//! Finds addresses of the site in a text and replaces them by the branch's own, in the same spelling.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::escape::{begin_of, char_at, char_before};
use super::splice::Splice;
use super::{Addresses, FormerHome, Own, is_default, kept, serialized};
use crate::name::BranchName;

/// Hosts at which this machine reaches itself: `main` answers there, too.
const LOOPBACK: [&str; 2] = ["127.0.0.1", "localhost"];

/// How far back the begin of a block is looked for.
const LONGEST_BLOCK_BYTES: usize = 1 << 16;

/// The addresses of a site, ready to be looked for.
#[derive(Debug)]
pub struct Known {
    finder: AhoCorasick,
    hosts: Vec<Host>,
    /// Which host each spelling that the finder looks for is of.
    host_of: Vec<usize>,
    addresses: Addresses,
}

/// Which of the known addresses one in a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'k> {
    /// That of a branch, at a root host, or of this machine itself.
    Served,
    /// That of another place.
    Home(&'k FormerHome),
}

/// A text in which addresses were replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// The text.
    pub text: Vec<u8>,
    /// How many addresses.
    pub addresses: usize,
}

/// What a host name that was found can be.
#[derive(Debug)]
struct Host {
    is_root: bool,
    /// How it is written where it is meant.
    kept: String,
    is_loopback: bool,
    /// The longest path first.
    homes: Vec<FormerHome>,
}

/// An address in a text. Each field is where its part is.
struct FoundAddress<'k> {
    source: Source<'k>,
    start: usize,
    /// The colon after the scheme; none where the address has no scheme.
    colon: Option<(usize, usize)>,
    slashes: (usize, usize),
    /// The colon before the port; none where it has no port.
    port_colon: Option<(usize, usize)>,
    end: usize,
    /// Where the host name is that is written as one that is meant; none where it is not.
    kept: Option<(usize, usize)>,
}

impl Known {
    /// Makes them ready.
    #[must_use]
    pub fn new(addresses: &Addresses) -> Self {
        let mut homes_at: BTreeMap<&str, Vec<FormerHome>> = LOOPBACK.map(|name| (name, Vec::new())).into();
        homes_at.extend(addresses.roots.iter().map(|root| (root.as_str(), Vec::new())));
        for home in &addresses.homes {
            homes_at.entry(&home.host).or_default().push(home.clone());
        }
        let (mut hosts, mut host_of, mut spellings) = (Vec::new(), Vec::new(), Vec::new());
        for (name, mut homes) in homes_at {
            homes.sort_by_key(|home| std::cmp::Reverse(home.path.len()));
            for spelling in spellings_of(name) {
                host_of.push(hosts.len());
                spellings.push(spelling);
            }
            hosts.push(Host {
                is_root: addresses.roots.contains(name),
                kept: kept(name),
                is_loopback: LOOPBACK.contains(&name),
                homes,
            });
        }
        let finder = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::LeftmostLongest)
            // A few states, and a step a byte. To look for rare letters first takes four times as long: in names of
            // hosts there are none that are rare.
            .kind(Some(AhoCorasickKind::DFA))
            .prefilter(false)
            .build(&spellings)
            .expect("a few short names are no problem");
        Self { finder, hosts, host_of, addresses: addresses.clone() }
    }

    /// What was made ready.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Whether a text has the name of a host, and so perhaps an address. Costs no more than a look at each byte.
    #[must_use]
    pub fn may_be_in(&self, text: &[u8]) -> bool {
        self.finder.is_match(text)
    }

    /// Returns the text with the own address in place of every other; `None` where it stays as it is. `before` is what came
    /// before the text.
    #[must_use]
    pub fn map(&self, own: &Own, text: &[u8], before: &[u8]) -> Option<Vec<u8>> {
        self.map_each(text, before, |_| Some(own)).map(|mapped| mapped.text)
    }

    /// The same with an address of its own in place of each; an address for which there is none stays.
    pub fn map_each<'o>(
        &self,
        text: &[u8],
        before: &[u8],
        target: impl Fn(Source<'_>) -> Option<&'o Own>,
    ) -> Option<Mapped> {
        let mut edits: Vec<_> = self
            .finder
            .find_iter(text)
            .filter_map(|hit| {
                let host = &self.hosts[self.host_of[hit.pattern().as_usize()]];
                let found = self.address_around(host, text, before, hit.start(), hit.end())?;
                edit(target(found.source)?, text, &found)
            })
            .collect();
        if edits.is_empty() {
            return None;
        }
        let addresses = edits.len();
        serialized::mend(text, &mut edits);
        let longer: usize = edits.iter().map(|edit| edit.with.len()).sum();
        let mut mapped = Vec::with_capacity(text.len() + longer);
        let mut at = 0;
        for edit in &edits {
            mapped.extend_from_slice(&text[at..edit.start]);
            mapped.extend_from_slice(&edit.with);
            at = edit.end;
        }
        mapped.extend_from_slice(&text[at..]);
        Some(Mapped { text: mapped, addresses })
    }

    /// The address of the site of which the name from `start` to `name_end` is the host, or its end.
    fn address_around<'k>(
        &self,
        host: &'k Host,
        text: &[u8],
        before: &[u8],
        start: usize,
        name_end: usize,
    ) -> Option<FoundAddress<'k>> {
        let authority = begin_of_host(host, text, start)?;
        let second = begin_of(text, authority, '/')?;
        let first = begin_of(text, second, '/')?;
        if !text[first..second].eq_ignore_ascii_case(&text[second..authority]) {
            return None;
        }
        let (begin, colon) = match begin_of(text, first, ':') {
            Some(colon) => (begin_of_scheme(text, colon)?, Some((colon, first))),
            None => {
                let previous = if first > 0 { char_before(text, first) } else { char_before(before, before.len()) };
                let is_path = previous.is_some_and(|c| {
                    c.is_alphanumeric() || "/\\:.-_~@%".contains(c) || c == char::REPLACEMENT_CHARACTER
                });
                (!is_path).then_some((first, None))?
            }
        };

        let mut at = name_end;
        if text.get(at) == Some(&b'.') && char_at(text, at + 1).is_some_and(|(c, _)| "/:?#".contains(c)) {
            at += 1;
        }
        let mut port = None;
        let mut port_colon = None;
        if let Some((':', length)) = char_at(text, at) {
            let digits = text[at + length..].iter().take_while(|b| b.is_ascii_digit()).count();
            if digits > 0 {
                port = Some(std::str::from_utf8(&text[at + length..at + length + digits]).ok()?.parse::<u16>().ok()?);
                port_colon = Some((at, at + length));
                at += length + digits;
            }
        }
        let port = port.filter(|port| !is_default(*port));

        let is_own_host = (host.is_root && (port.is_none() || self.has(port)))
            || (host.is_loopback && authority == start && self.has(Some(port.unwrap_or(80))));
        let (source, end) = if is_own_host {
            (Source::Served, Some(at).filter(|&at| is_end(text, at, false))?)
        } else if authority == start {
            let slash = &text[second..authority];
            let mut homes = host.homes.iter().filter(|home| home.port == port);
            homes.find_map(|home| {
                let end = end_of_path(text, at, &home.path, slash)?;
                is_end(text, end, !home.path.is_empty()).then_some((Source::Home(home), end))
            })?
        } else {
            return None;
        };
        let kept = (host.is_root && text[start..name_end] == *host.kept.as_bytes()).then_some((start, name_end));
        Some(FoundAddress { source, start: begin, colon, slashes: (first, authority), port_colon, end, kept })
    }

    fn has(&self, port: Option<u16>) -> bool {
        port.is_some_and(|port| self.addresses.ports.contains(&port))
    }
}

/// How a host name is written: also as the attributes of blocks have it, in which `--` would end the comment that they are in.
fn spellings_of(name: &str) -> Vec<String> {
    let mut spellings = vec![name.to_owned()];
    if name.contains("--") {
        spellings.extend([r"\u002d", r"\\u002d"].map(|dash| name.replace("--", &dash.repeat(2))));
    }
    spellings
}

/// Whether a place is in the attributes of a block, which are JSON in a comment.
fn is_in_block(text: &[u8], at: usize) -> bool {
    let before = &text[at.saturating_sub(LONGEST_BLOCK_BYTES)..at];
    let comment = before.windows(3).rposition(|sign| matches!(sign, b"<!-" | b"-->"));
    comment.is_some_and(|comment| before[comment..].starts_with(b"<!-- wp:"))
}

/// Where the host begins that ends in the name at `start`.
fn begin_of_host(host: &Host, text: &[u8], start: usize) -> Option<usize> {
    if start == 0 || text[start - 1] != b'.' {
        return Some(start);
    }
    if !host.is_root {
        return None;
    }
    let dot = start - 1;
    let is_label = |b: &u8| b.is_ascii_alphanumeric() || b"-_".contains(b);
    let earliest = dot - text[..dot].iter().rev().take(80).take_while(|b| is_label(b)).count();
    // The end of a slash, as of `%2F`, looks like the beginning of a label.
    let begin = (earliest..dot).find(|&at| begin_of(text, at, '/').is_some())?;
    let label = std::str::from_utf8(&text[begin..dot]).ok()?.to_ascii_lowercase();
    BranchName::parse(&label).ok().map(|_| begin)
}

/// Where the scheme begins that ends at `end`, if it is HTTP or HTTPS.
fn begin_of_scheme(text: &[u8], end: usize) -> Option<usize> {
    ["https", "http"].into_iter().find_map(|scheme| {
        let begin = end.checked_sub(scheme.len())?;
        text[begin..end].eq_ignore_ascii_case(scheme.as_bytes()).then_some(begin)
    })
}

/// Where a path ends that begins at `at`, with its slashes spelt like this one.
fn end_of_path(text: &[u8], mut at: usize, path: &str, slash: &[u8]) -> Option<usize> {
    for wanted in path.chars() {
        let (found, length) = char_at(text, at)?;
        let is_same = found == wanted && (wanted != '/' || text[at..at + length].eq_ignore_ascii_case(slash));
        at += is_same.then_some(length)?;
    }
    Some(at)
}

/// Whether a host and port, or a folder, end here, and do not go on or turn out to be the name of a user.
fn is_end(text: &[u8], at: usize, is_path: bool) -> bool {
    let goes_on = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '@');
    match char_at(text, at) {
        None => true,
        Some(('.' | ':', length)) => !char_at(text, at + length).is_some_and(|(c, _)| goes_on(c)),
        Some(('~' | '%', _)) if is_path => false,
        Some((' ', length)) if is_path => length == 1,
        Some((c, _)) => !goes_on(c),
    }
}

/// Puts the own address in place of one that was found, unless it is that already.
fn edit(own: &Own, text: &[u8], found: &FoundAddress<'_>) -> Option<Splice> {
    let (start, end) = (found.start, found.end);
    if let Some((start, end)) = found.kept {
        return Some(Splice { start, end, with: text[start..end].to_ascii_lowercase() });
    }
    let mut with = Vec::with_capacity(64);
    if let Some((from, to)) = found.colon {
        with.extend_from_slice(own.scheme.as_bytes());
        with.extend_from_slice(&text[from..to]);
    }
    let slashes = &text[found.slashes.0..found.slashes.1];
    let slash = &slashes[..slashes.len() / 2];
    let has_dashes = own.host.contains("--") || own.path.contains("--");
    let dashed = |part: &str| {
        if has_dashes && is_in_block(text, start) { part.replace("--", r"\u002d\u002d") } else { part.to_owned() }
    };
    with.extend_from_slice(slashes);
    with.extend_from_slice(dashed(&own.host).as_bytes());
    if let Some(port) = own.port {
        match found.port_colon.or(found.colon) {
            Some((from, to)) => with.extend_from_slice(&text[from..to]),
            // The slash says how often a percent sign was escaped.
            None if slash[0] == b'%' => {
                with.extend_from_slice(&slash[..slash.len() - 2]);
                with.extend_from_slice(b"3A");
            }
            None => with.push(b':'),
        }
        with.extend_from_slice(port.to_string().as_bytes());
    }
    for folder in own.path.split('/').skip(1) {
        with.extend_from_slice(slash);
        with.extend_from_slice(dashed(folder).as_bytes());
    }
    (text[start..end] != with).then_some(Splice { start, end, with })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        let mut addresses = Addresses::default();
        addresses.add_root("wp.localhost");
        addresses.add_root("old.localhost");
        addresses.add_port(18080);
        addresses.add_port(18081);
        addresses.add_home("https://example.com/blog");
        addresses.add_home("http://www.example.com");
        addresses.add_home("http://localhost:8888");
        Known::new(&addresses)
    }

    const OWN: &str = "https://sale.wp.localhost:444";

    fn map(text: &str) -> String {
        let mapped = known().map(&Own::parse(OWN).unwrap(), text.as_bytes(), b"");
        mapped.map_or_else(|| text.to_owned(), |mapped| String::from_utf8(mapped).unwrap())
    }

    #[test]
    fn every_address_that_the_site_had_becomes_its_own() {
        for there in [
            "http://wp.localhost:18080",
            "https://wp.localhost:18080",
            "http://wp.localhost",
            "http://wp.localhost:80",
            "https://gone.wp.localhost:443",
            "http://gone.wp.localhost:18081",
            "HTTP://Marketing.WP.localhost:18080",
            "http://marketing.old.localhost:18081",
            "http://wp.localhost.:18080",
            "http://127.0.0.1:18080",
            "http://localhost:18081",
            "http://localhost:8888",
            "https://example.com/blog",
            "http://example.com:80/blog",
            "http://www.example.com",
        ] {
            for (before, after) in [
                ("", ""),
                ("", "/"),
                ("<a href=\"", "/a/?b=c#d\">"),
                ("(", ")"),
                ("see ", ". And"),
                ("a,", " 2x, "),
                ("url(", "/x.png)"),
            ] {
                assert_eq!(map(&format!("{before}{there}{after}")), format!("{before}{OWN}{after}"), "{there}");
            }
        }
    }

    #[test]
    fn each_spelling_stays_the_same_spelling() {
        let cases = [
            (r#"{"u":"http:\/\/wp.localhost:18080\/x"}"#, r#"{"u":"https:\/\/sale.wp.localhost:444\/x"}"#),
            (r#"\"http:\\\/\\\/a.wp.localhost\\\/x\""#, r#"\"https:\\\/\\\/sale.wp.localhost:444\\\/x\""#),
            (r"http:\u002f\u002fa.wp.localhost\u002fx", r"https:\u002f\u002fsale.wp.localhost:444\u002fx"),
            ("?url=http%3A%2F%2Fwp.localhost%3A18080%2Fx", "?url=https%3A%2F%2Fsale.wp.localhost%3A444%2Fx"),
            ("?url=http%3a%2f%2fa-b.wp.localhost%2fx", "?url=https%3a%2f%2fsale.wp.localhost%3a444%2fx"),
            ("?u=http%253A%252F%252Fa.wp.localhost%252F", "?u=https%253A%252F%252Fsale.wp.localhost%253A444%252F"),
            ("http&#58;&#047;&#047;a.wp.localhost&#047;", "https&#58;&#047;&#047;sale.wp.localhost&#58;444&#047;"),
            ("src='//a.wp.localhost:18080/x'", "src='//sale.wp.localhost:444/x'"),
            ("=%2F%2Fa.wp.localhost%2Fx", "=%2F%2Fsale.wp.localhost%3A444%2Fx"),
            (r#""\/\/wp.localhost:18080\/x""#, r#""\/\/sale.wp.localhost:444\/x""#),
            ("&quot;//wp.localhost&quot;", "&quot;//sale.wp.localhost:444&quot;"),
            (r"https:\/\/example.com\/blog\/a", r"https:\/\/sale.wp.localhost:444\/a"),
            ("https%3A%2F%2Fexample.com%2Fblog%2Fa", "https%3A%2F%2Fsale.wp.localhost%3A444%2Fa"),
        ];
        for (there, here) in cases {
            assert_eq!(map(there), here);
        }
    }

    #[test]
    fn neighbours_stay_as_they_are() {
        for text in [
            "http://wp.localhost:3000/",
            "http://wp.localhost.example.com/",
            "http://notwp.localhost:18080/",
            "http://a.b.wp.localhost:18080/",
            "http://www.wp.localhost/",
            "http://-a.wp.localhost/",
            "http://wp.localhost@evil.example/",
            "http://wp.localhost:18080@evil.example/",
            "http://wp.localhost:secret@evil.example/",
            "http://wp.localhost:18080:x@evil.example/",
            "http%3A%2F%2Fwp.localhost%40evil.example",
            "http://wp.localhost&#64;evil.example",
            "http://me@wp.localhost:18080/",
            "me@wp.localhost",
            "mailto:me@wp.localhost",
            "wp.localhost:18080",
            "ftp://wp.localhost:18080/",
            "ws://wp.localhost:18080/",
            "http:/wp.localhost/",
            "/x//wp.localhost/",
            "http://wp.localhost-x/",
            "http://wp.localhostx/",
            "http://wp.localhosté/",
            "http://wp.localhost:180800/",
            "http://127.0.0.1/",
            "http://127.0.0.1:3000/",
            "http://10.127.0.0.1:18080/",
            "http://a.127.0.0.1:18080/",
            "http://localhost/",
            "http://a.localhost:8888/",
            "https://example.com/",
            "https://example.com/blogs",
            "https://example.com/blog.html",
            "https://example.com/blog-2/",
            "https://example.com/other",
            "https://a.example.com/blog",
            "https://example.com:8443/blog",
            "https://example.com.evil.example/blog",
            "http://www.example.com.evil.example/",
            "https://evil.example/http/wp.localhost/",
        ] {
            assert_eq!(map(text), text);
        }
    }

    #[test]
    fn an_address_of_another_branch_that_is_meant_stays_one() {
        assert_eq!(map("href='http://wp.localhosT:18080/'"), "href='http://wp.localhost:18080/'");
        assert_eq!(map(r#""http:\/\/a.wp.localhosT:18080\/""#), r#""http:\/\/a.wp.localhost:18080\/""#);
    }

    #[test]
    fn an_address_may_come_to_be_in_a_folder() {
        let own = Own::parse("https://new.example/a/b").unwrap();
        let map = |text: &str| String::from_utf8(known().map(&own, text.as_bytes(), b"").unwrap()).unwrap();
        for (there, here) in [
            ("http://wp.localhost:18080/x", "https://new.example/a/b/x"),
            (r"http:\/\/wp.localhost:18080\/x", r"https:\/\/new.example\/a\/b\/x"),
            (r"https:\\/\\/example.com\\/blog\\/x", r"https:\\/\\/new.example\\/a\\/b\\/x"),
            ("http%3A%2F%2Fwp.localhost%3A18080%2Fx", "https%3A%2F%2Fnew.example%2Fa%2Fb%2Fx"),
            ("\"//example.com/blog\"", "\"//new.example/a/b\""),
        ] {
            assert_eq!(map(there), here);
        }
    }

    #[test]
    fn two_dashes_are_spelt_as_blocks_spell_them() {
        let mut addresses = Addresses::default();
        addresses.add_home("http://xn--a.example/b--c");
        let map = |own: &str, text: &str| {
            let mapped = Known::new(&addresses).map(&Own::parse(own).unwrap(), text.as_bytes(), b"");
            mapped.map_or_else(|| text.to_owned(), |mapped| String::from_utf8(mapped).unwrap())
        };
        let block = r#"<!-- wp:image {"u":"http://xn\u002d\u002da.example/b\u002D\u002dc/x"} --><img src="http://xn--a.example/b--c/x">"#;
        assert_eq!(
            map("https://new.example", block),
            r#"<!-- wp:image {"u":"https://new.example/x"} --><img src="https://new.example/x">"#
        );
        assert_eq!(
            map("https://xn--n.example", block),
            r#"<!-- wp:image {"u":"https://xn\u002d\u002dn.example/x"} --><img src="https://xn--n.example/x">"#
        );
    }

    #[test]
    fn each_address_may_get_another_one() {
        let mut addresses = Addresses::default();
        let homes = ["http://a.example", "http://a.example/b", "http://b.example"];
        for home in homes {
            addresses.add_home(home);
        }
        let targets =
            ["https://b.example", "https://c.example", "http://a.example"].map(|url| Own::parse(url).unwrap());
        let target = |source: Source<'_>| {
            let Source::Home(found) = source else { return None };
            homes.iter().position(|home| FormerHome::parse(home).as_ref() == Some(found)).map(|at| &targets[at])
        };
        let text = b"http://a.example/x http://a.example/b/x https://b.example/x http://localhost/x";
        let mapped = Known::new(&addresses).map_each(text, b"", target).unwrap();
        let here: &[u8] = b"https://b.example/x https://c.example/x http://a.example/x http://localhost/x";
        assert_eq!((mapped.text.as_slice(), mapped.addresses), (here, 3));
    }

    #[test]
    fn the_own_address_costs_no_copy() {
        assert_eq!(known().map(&Own::parse(OWN).unwrap(), format!("<a href='{OWN}/'>").as_bytes(), b""), None);
    }
}
