//! The character sets of MySQL, as far as a dump's texts are in one.

use std::borrow::Cow;

use encoding_rs::Encoding;

/// A character set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charset {
    /// `utf8`, `utf8mb3`, `utf8mb4`, `ascii`.
    Utf8,
    /// Bytes: what they mean, the column says that they are put into.
    Binary,
    Other(&'static Encoding),
}

impl Charset {
    /// The character set of that name, which may be a collation's; none where it is not known.
    pub(super) fn of(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let name = name.split('_').next().unwrap_or_default();
        Some(match name {
            "utf8" | "utf8mb3" | "utf8mb4" | "ascii" | "uca1400" => Self::Utf8,
            "binary" => Self::Binary,
            // MySQL's latin1 is Windows' code page.
            "latin1" | "cp1252" => Self::Other(encoding_rs::WINDOWS_1252),
            "latin2" => Self::Other(encoding_rs::ISO_8859_2),
            "latin5" => Self::Other(encoding_rs::WINDOWS_1254),
            "latin7" => Self::Other(encoding_rs::ISO_8859_13),
            "greek" => Self::Other(encoding_rs::ISO_8859_7),
            "hebrew" => Self::Other(encoding_rs::ISO_8859_8),
            "cp1250" => Self::Other(encoding_rs::WINDOWS_1250),
            "cp1251" => Self::Other(encoding_rs::WINDOWS_1251),
            "cp1256" => Self::Other(encoding_rs::WINDOWS_1256),
            "cp1257" => Self::Other(encoding_rs::WINDOWS_1257),
            "cp866" => Self::Other(encoding_rs::IBM866),
            "koi8r" => Self::Other(encoding_rs::KOI8_R),
            "koi8u" => Self::Other(encoding_rs::KOI8_U),
            "tis620" => Self::Other(encoding_rs::WINDOWS_874),
            "macroman" => Self::Other(encoding_rs::MACINTOSH),
            "sjis" | "cp932" => Self::Other(encoding_rs::SHIFT_JIS),
            "ujis" | "eucjpms" => Self::Other(encoding_rs::EUC_JP),
            "euckr" => Self::Other(encoding_rs::EUC_KR),
            "big5" => Self::Other(encoding_rs::BIG5),
            "gb2312" | "gbk" => Self::Other(encoding_rs::GBK),
            "gb18030" => Self::Other(encoding_rs::GB18030),
            "ucs2" | "utf16" => Self::Other(encoding_rs::UTF_16BE),
            "utf16le" => Self::Other(encoding_rs::UTF_16LE),
            _ => return None,
        })
    }

    /// Whether a character may hold the byte of a backslash or a quote.
    pub(super) fn hides_quotes(self) -> bool {
        let Self::Other(encoding) = self else { return false };
        [encoding_rs::SHIFT_JIS, encoding_rs::BIG5, encoding_rs::GBK, encoding_rs::GB18030].contains(&encoding)
    }

    /// A text as UTF-8, and whether it was what its character set allows. What was not, is read as Windows' code page.
    pub(super) fn decode(self, bytes: &[u8]) -> (Cow<'_, [u8]>, bool) {
        match self {
            Self::Utf8 | Self::Binary if std::str::from_utf8(bytes).is_ok() => (Cow::Borrowed(bytes), true),
            Self::Utf8 | Self::Binary => {
                let mut text = String::with_capacity(bytes.len() * 2);
                for chunk in bytes.utf8_chunks() {
                    text.push_str(chunk.valid());
                    text.push_str(&encoding_rs::WINDOWS_1252.decode_without_bom_handling(chunk.invalid()).0);
                }
                (Cow::Owned(text.into_bytes()), false)
            }
            Self::Other(encoding) => {
                let (text, is_wrong) = encoding.decode_without_bom_handling(bytes);
                let text = match text {
                    Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                    Cow::Owned(text) => Cow::Owned(text.into_bytes()),
                };
                (text, !is_wrong)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_utf_8() {
        let decode = |charset, bytes| {
            let (text, is_right) = Charset::of(charset).unwrap().decode(bytes);
            (String::from_utf8(text.into_owned()).unwrap(), is_right)
        };
        assert_eq!(decode("latin1", b"\x80 \xe9 \x81"), ("\u{20ac} \u{e9} \u{81}".to_owned(), true));
        assert_eq!(decode("utf8mb4", "\u{1f600}".as_bytes()), ("\u{1f600}".to_owned(), true));
        assert_eq!(decode("cp1251_general_ci", b"\xcf"), ("\u{41f}".to_owned(), true));
        assert_eq!(decode("utf8", b"a\xe9b\xc3\xa9"), ("a\u{e9}b\u{e9}".to_owned(), false));
        assert_eq!(Charset::of("dec8"), None);
    }
}
