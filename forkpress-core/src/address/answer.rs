//! Decides which answers are looked at for addresses, and which of their headers.

/// Whether the body of an answer with these headers is text that is sent whole and as it is: neither a part of a file nor
/// compressed. Header lines are `Name: value`.
pub fn is_mapped<'a>(status: u16, headers: impl IntoIterator<Item = &'a [u8]>) -> bool {
    let mut is_text_answer = false;
    for line in headers {
        let Some((name, value)) = split(line) else { continue };
        match name.to_ascii_lowercase().as_slice() {
            b"content-type" => is_text_answer = is_text(value),
            b"content-encoding" if !value.eq_ignore_ascii_case(b"identity") => return false,
            b"content-range" => return false,
            _ => {}
        }
    }
    is_text_answer && status != 206
}

/// Whether a media type is that of a text which may name addresses.
#[must_use]
pub fn is_text(media_type: &[u8]) -> bool {
    let end = media_type.iter().position(|b| *b == b';').unwrap_or(media_type.len());
    let essence = media_type[..end].trim_ascii().to_ascii_lowercase();
    let others: [&[u8]; 5] = [b"json", b"xml", b"javascript", b"x-javascript", b"ecmascript"];
    essence.starts_with(b"text/")
        || essence.ends_with(b"+json")
        || essence.ends_with(b"+xml")
        || essence.strip_prefix(b"application/").is_some_and(|kind| others.contains(&kind))
}

/// Whether a header may name an address that is the branch's own. Cookies name none; the answer to a script of another origin
/// names that origin, as the client said it.
#[must_use]
pub fn is_header_mapped(line: &[u8]) -> bool {
    split(line).is_some_and(|(name, _)| {
        let name = name.to_ascii_lowercase();
        name != b"set-cookie" && !name.starts_with(b"access-control-")
    })
}

/// Whether a header says how long the body is, or what it is the hash of.
#[must_use]
pub fn is_of_length(line: &[u8]) -> bool {
    split(line).is_some_and(|(name, _)| {
        let names: [&[u8]; 5] = [b"content-length", b"content-md5", b"digest", b"content-digest", b"accept-ranges"];
        names.contains(&name.to_ascii_lowercase().as_slice())
    })
}

fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|b| *b == b':')?;
    Some((line[..colon].trim_ascii(), line[colon + 1..].trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_looked_at_and_nothing_else() {
        for kind in [
            "text/html; charset=UTF-8",
            "TEXT/css",
            "application/json",
            "application/rss+xml",
            "image/svg+xml",
            "application/ld+json",
        ] {
            assert!(is_text(kind.as_bytes()), "{kind}");
        }
        for kind in [
            "",
            "image/png",
            "application/octet-stream",
            "application/zip",
            "application/pdf",
            "multipart/byteranges",
            "font/woff2",
        ] {
            assert!(!is_text(kind.as_bytes()), "{kind}");
        }
    }

    #[test]
    fn parts_and_compressed_bodies_are_left_alone() {
        let html: &[u8] = b"Content-Type: text/html";
        assert!(is_mapped(200, [html, b"Content-Encoding: identity"]));
        assert!(!is_mapped(200, [html, b"content-encoding: gzip"]));
        assert!(!is_mapped(206, [html]));
        assert!(!is_mapped(200, [html, b"Content-Range: bytes 0-1/2"]));
        assert!(!is_mapped(200, [b"X-Y: text/html".as_slice()]));
    }

    #[test]
    fn cookies_and_answers_to_other_origins_are_left_alone() {
        assert!(is_header_mapped(b"Location: http://x/") && is_header_mapped(b"link: <http://x/>"));
        assert!(!is_header_mapped(b"Set-Cookie: a=b") && !is_header_mapped(b"Access-Control-Allow-Origin: http://x"));
        assert!(is_of_length(b"Content-Length: 3") && !is_of_length(b"Content-Type: x"));
    }
}
