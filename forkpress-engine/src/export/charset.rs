//! Which charset and collation a column gets: what was declared, where MySQL 8 and MariaDB 10.11 both know it and it holds
//! what is stored; else `utf8mb4`.

/// A collation of a charset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Collation {
    pub(super) charset: Charset,
    /// The whole name, such as `utf8mb4_unicode_520_ci`.
    pub(super) name: String,
}

/// Charsets that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charset {
    Utf8mb4,
    Utf8,
    Latin1,
    Ascii,
}

/// The collations of Unicode that both know, but for those of MySQL 8 and of MariaDB 10.10 on.
const UNICODE: [&str; 25] = [
    "bin",
    "croatian_ci",
    "czech_ci",
    "danish_ci",
    "esperanto_ci",
    "estonian_ci",
    "general_ci",
    "german2_ci",
    "hungarian_ci",
    "icelandic_ci",
    "latvian_ci",
    "lithuanian_ci",
    "persian_ci",
    "polish_ci",
    "roman_ci",
    "romanian_ci",
    "sinhala_ci",
    "slovak_ci",
    "slovenian_ci",
    "spanish2_ci",
    "spanish_ci",
    "swedish_ci",
    "turkish_ci",
    "unicode_ci",
    "vietnamese_ci",
];

const LATIN1: [&str; 8] =
    ["bin", "danish_ci", "general_ci", "general_cs", "german1_ci", "german2_ci", "spanish_ci", "swedish_ci"];

/// What is above ASCII and below U+00A0 in what MySQL calls latin1.
const OF_WINDOWS: &str = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ";

impl Charset {
    fn name(self) -> &'static str {
        match self {
            Self::Utf8mb4 => "utf8mb4",
            Self::Utf8 => "utf8",
            Self::Latin1 => "latin1",
            Self::Ascii => "ascii",
        }
    }

    /// How many bytes a character takes at most.
    pub(super) fn widest_bytes(self) -> u64 {
        match self {
            Self::Utf8mb4 => 4,
            Self::Utf8 => 3,
            Self::Latin1 | Self::Ascii => 1,
        }
    }

    /// Whether it has all characters of a text.
    pub(super) fn holds(self, text: &[u8]) -> bool {
        let all = |is_in: fn(char) -> bool| std::str::from_utf8(text).is_ok_and(|text| text.chars().all(is_in));
        match self {
            Self::Utf8mb4 => true,
            _ if text.is_ascii() => true,
            Self::Utf8 => all(|c| c.len_utf8() < 4),
            Self::Latin1 => all(|c| c.is_ascii() || ('\u{a0}'..='\u{ff}').contains(&c) || OF_WINDOWS.contains(c)),
            Self::Ascii => false,
        }
    }

    /// What a collation that not both know becomes.
    fn general(self) -> Collation {
        Collation::new(
            self,
            match self {
                Self::Utf8mb4 | Self::Utf8 => "unicode_520_ci",
                Self::Latin1 => "swedish_ci",
                Self::Ascii => "general_ci",
            },
        )
    }
}

impl Collation {
    fn new(charset: Charset, rest: &str) -> Self {
        Self { charset, name: format!("{}_{rest}", charset.name()) }
    }

    /// What a text gets for which nothing else is known.
    pub(super) fn general() -> Self {
        Charset::Utf8mb4.general()
    }

    /// What a declared collation becomes.
    pub(super) fn of(declared: &str) -> Self {
        let declared = declared.to_ascii_lowercase();
        let (charset, rest) = declared.split_once('_').unwrap_or((&declared, ""));
        let (charset, known): (_, &[&str]) = match charset {
            "utf8mb4" => (Charset::Utf8mb4, &UNICODE),
            "utf8" | "utf8mb3" => (Charset::Utf8, &UNICODE),
            "latin1" => (Charset::Latin1, &LATIN1),
            "ascii" => (Charset::Ascii, &["bin", "general_ci"]),
            _ => return Self::general(),
        };
        if known.contains(&rest) || rest == "unicode_520_ci" && charset.widest_bytes() > 1 {
            Self::new(charset, rest)
        } else if rest.ends_with("bin") || rest.ends_with("_cs") {
            // What differs in case only stays different: a key may rely on it.
            Self::new(charset, "bin")
        } else {
            charset.general()
        }
    }

    /// The nearest of the charset that holds everything.
    pub(super) fn widened(&self) -> Self {
        if self.name.ends_with("_bin") || self.name.ends_with("_cs") {
            Self::new(Charset::Utf8mb4, "bin")
        } else {
            Self::general()
        }
    }

    /// As a table or a column names it.
    pub(super) fn charset_name(&self) -> &'static str {
        self.charset.name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collation_that_both_know_stays_and_others_become_one_that_both_know() {
        for (declared, known) in [
            ("utf8mb4_unicode_520_ci", "utf8mb4_unicode_520_ci"),
            ("utf8mb4_unicode_ci", "utf8mb4_unicode_ci"),
            ("utf8mb4_bin", "utf8mb4_bin"),
            ("utf8mb4_0900_ai_ci", "utf8mb4_unicode_520_ci"),
            ("utf8mb4_de_pb_0900_ai_ci", "utf8mb4_unicode_520_ci"),
            ("utf8mb4_0900_as_cs", "utf8mb4_bin"),
            ("utf8mb4_0900_bin", "utf8mb4_bin"),
            ("utf8mb4_uca1400_ai_ci", "utf8mb4_unicode_520_ci"),
            ("utf8mb4_general_nopad_ci", "utf8mb4_unicode_520_ci"),
            ("utf8mb4", "utf8mb4_unicode_520_ci"),
            ("utf8mb3_general_ci", "utf8_general_ci"),
            ("utf8_uca1400_ai_ci", "utf8_unicode_520_ci"),
            ("latin1_swedish_ci", "latin1_swedish_ci"),
            ("LATIN1_unknown_ci", "latin1_swedish_ci"),
            ("ascii_bin", "ascii_bin"),
            ("koi8r_general_ci", "utf8mb4_unicode_520_ci"),
            ("", "utf8mb4_unicode_520_ci"),
            ("utf8mb4_x'; DROP TABLE wp_posts; --", "utf8mb4_unicode_520_ci"),
        ] {
            assert_eq!(Collation::of(declared).name, known, "{declared}");
        }
    }

    #[test]
    fn a_charset_holds_what_it_has_characters_for() {
        for (charset, holds, does_not) in
            [(Charset::Utf8, "é€漢", "🎉"), (Charset::Latin1, "é€ÿ", "漢"), (Charset::Ascii, "e", "é")]
        {
            assert!(charset.holds(holds.as_bytes()) && !charset.holds(does_not.as_bytes()), "{charset:?}");
        }
        assert!(Charset::Utf8mb4.holds("🎉".as_bytes()) && !Charset::Utf8.holds(b"\xff"));
        assert_eq!(Collation::of("latin1_bin").widened().name, "utf8mb4_bin");
        assert_eq!(Collation::of("latin1_swedish_ci").widened().name, "utf8mb4_unicode_520_ci");
    }
}
