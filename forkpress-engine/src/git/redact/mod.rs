//! Which values are secrets, and what a checkout has in their place. Pure: nothing here looks at a disk.
//!
//! A secret is recognized by its name (`DB_PASSWORD`, `mailserver_pass`, `apiKey`), or by its looks (a password hash, a
//! private key, a token). `rules` has one table for both. Hiding a harmless value does no harm: no push brings the
//! database back, and `wp-config.php` gets its own values back from [`restore`].

mod encoding;
mod php;
mod rules;
mod shape;
mod table;
mod value;

pub use php::{config, restore};
pub(crate) use table::TableSecrets;
pub use value::{PLACEHOLDER, value};

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random and are the same in every run.
    struct Random(u64);

    impl Random {
        fn below(&mut self, end: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 >> 33).unwrap() % end
        }

        fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
            of[self.below(of.len())]
        }

        /// Letters, digits, and what quotes and structures are made of.
        fn text(&mut self) -> String {
            let letters: Vec<char> = r#"abcXYZ0189 _-.:;,{}[]()'"\/=<>&%$#é"#.chars().collect();
            (0..self.below(12)).map(|_| letters[self.below(letters.len())]).collect()
        }
    }

    const NAMES: [&str; 8] =
        ["password", "DB_PASSWORD", "apiKey", "auth_code", "_order_key", "login_cookie", "otp_seed", "signature"];
    const HARMLESS: [&str; 5] = ["title", "name", "0", "a b", "x-y"];

    fn quoted(text: &str) -> String {
        serde_json::to_string(text).unwrap()
    }

    fn php(text: &str) -> String {
        format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
    }

    fn serialized(text: &str) -> String {
        format!("s:{}:\"{text}\";", text.len())
    }

    /// Puts a text that has a secret into another one.
    fn wrapped(random: &mut Random, inner: &str) -> String {
        let (name, text) = (random.pick(&HARMLESS), random.text());
        match random.below(8) {
            0 => format!("a:2:{{{}{}{}{}}}", serialized("a"), serialized(&text), serialized(name), serialized(inner)),
            1 => format!("O:1:\"C\":1:{{{}{}}}", serialized(&format!("\0C\0{name}")), serialized(inner)),
            2 => format!("{{{}:{},{}:{}}}", quoted("b"), quoted(&text), quoted(name), quoted(inner)),
            3 => format!("[1,{},{}]", quoted(&text), quoted(inner)),
            4 => format!(" \u{feff}{inner}\n"),
            5 => format!("{{{}:{},}}", quoted("token"), quoted(inner)),
            6 => base64::Engine::encode(&base64::engine::general_purpose::STANDARD, inner),
            _ => format!("a:1:{{i:0;C:1:\"C\":{}:{{{inner}}}}}", inner.len()),
        }
    }

    #[test]
    fn a_secret_in_whatever_it_is_wrapped_is_not_told() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for round in 0..4000 {
            let number = 100_000_000 + random.below(800_000_000);
            let secret = format!("q{number}Q");
            let (name, around) = (random.pick(&NAMES), random.text());
            let written = format!("{secret}{around}");
            let mut text = match random.below(7) {
                0 => format!("a:1:{{{}{}}}", serialized(name), serialized(&written)),
                1 => format!("a:1:{{{}i:{number};}}", serialized(name)),
                2 => format!("{{{}:{}}}", quoted(name), quoted(&written)),
                3 => format!("{{{}:[{{\"x\":{number}}}]}}", quoted(name)),
                4 => format!("{{\"value\":{},\"name\":{}}}", quoted(&written), quoted(name)),
                5 => format!("https://u:{secret}@h/ and ghp_{secret}{secret}"),
                _ => format!("a:1:{{{}s:999:\"{written}\";}}", serialized(name)),
            };
            for _ in 0..random.below(6) {
                text = wrapped(&mut random, &text);
            }
            let told = value(false, text.as_bytes()).unwrap_or_else(|| text.clone().into_bytes());
            let decoded = String::from_utf8_lossy(&told);
            assert!(!decoded.contains(&number.to_string()), "{round}: {text}\n{decoded}");
        }
    }

    #[test]
    fn a_secret_of_the_configuration_is_not_told_however_it_is_written_and_comes_back() {
        let mut random = Random(0x2545_f491_4f6c_dd1d);
        for round in 0..2000 {
            let number = 100_000_000 + random.below(800_000_000);
            let mut text = "<?php\n".to_owned();
            for _ in 0..1 + random.below(4) {
                let (name, noise) = (random.pick(&NAMES), php(&random.text()));
                let secret = php(&format!("q{number}Q{}", random.text()));
                let value = match random.below(7) {
                    0 => secret.clone(),
                    1 => format!("base64_decode( {secret} )"),
                    2 => format!("{noise} . {secret}"),
                    3 => format!("<<<'EOT'\n{number}\nEOT"),
                    4 => number.to_string(),
                    5 => format!("getenv( 'X' ) ?: {secret}"),
                    _ => format!("array( 'x' => {secret}, f( {noise} ) )"),
                };
                text += &match random.below(8) {
                    0 => format!("define( '{name}', {value} );\n"),
                    1 => format!("define( \"{name}\", {value} ); // it's {noise}\n"),
                    2 => format!("const {name} = {value};\n"),
                    3 => format!("${name} = {value};\n"),
                    4 => format!("$x = array( 'a' => {noise}, '{name}' => {value}, 'b' => 1 );\n"),
                    5 => format!("$x->{name}['a'] = {value};\n"),
                    6 => format!("define( $name . {noise}, {value} );\n"),
                    _ => format!("// was: {name} = q{number}Q\n"),
                };
            }
            let told = String::from_utf8(config(text.as_bytes())).unwrap();
            assert!(!told.contains(&number.to_string()), "{round}: {text}\n{told}");
            assert_eq!(config(told.as_bytes()), told.as_bytes(), "{round}: twice is once");
            assert_eq!(String::from_utf8(restore(told.as_bytes(), &[text.clone().into()])).unwrap(), text, "{round}");
        }
    }

    #[test]
    fn any_bytes_are_survived_and_come_back() {
        let mut random = Random(0x1234_5678_9abc_def1);
        for _ in 0..3000 {
            let text: String = (0..random.below(12))
                .map(|_| match random.below(3) {
                    0 => random.text(),
                    1 => random.pick(&NAMES).to_owned(),
                    _ => random
                        .pick(&["<?php ", "<<<A\n", "'", "define(", "=>", "=", "a:1:{", "{\"", "?>", "/*", "//", "\n"])
                        .to_owned(),
                })
                .collect();
            let _ = value(false, text.as_bytes());
            assert_eq!(String::from_utf8(restore(&config(text.as_bytes()), &[text.clone().into()])).unwrap(), text);
        }
    }
}
