//! PHP source with secrets, which is `wp-config.php`: each is a placeholder in a checkout, and itself again after a
//! push.

use std::ops::Range;

use super::rules::{CALLS, LOOKUPS, is_flag, is_secret_name};
use super::shape::{self, shapes};
use crate::php::{PhpToken, TokenKind, tokens};

/// How what stands for a secret begins. Its name follows.
const PLACEHOLDER: &str = "[redacted by ForkPress: ";

/// `wp-config.php` as a checkout has it: each secret is a placeholder that says whose place it takes.
#[must_use]
pub fn config(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut copied = 0;
    for secret in secrets(text) {
        out.extend_from_slice(&text[copied..secret.range.start]);
        out.extend_from_slice(&secret.written());
        copied = secret.range.end;
    }
    out.extend_from_slice(&text[copied..]);
    out
}

/// What a `wp-config.php` from Git is to be in a branch: each placeholder becomes what the first of `owners` that has the secret
/// has there now. It becomes an empty string, for which WordPress makes keys of its own, where none has it, and where the
/// secret would be told to whoever fetches next: a placeholder stays under the name of a secret.
#[must_use]
pub fn restore(pushed: &[u8], owners: &[Vec<u8>]) -> Vec<u8> {
    let own: Vec<_> = owners.iter().flat_map(|text| secrets(text).into_iter().map(move |own| (own, text))).collect();
    let mut restored = Vec::with_capacity(pushed.len());
    let mut back = Vec::new();
    let mut rest = pushed;
    while let Some((before, placeholder, after)) = next_placeholder(rest) {
        restored.extend_from_slice(before);
        rest = after;
        let Some((own, text)) = own.iter().find(|(own, _)| own.placeholder().as_bytes() == placeholder) else {
            continue;
        };
        if own.is_bare && matches!((before.last(), rest.first()), (Some(b'\''), Some(b'\'')) | (Some(b'"'), Some(b'"')))
        {
            restored.pop();
            rest = &rest[1..];
        }
        let start = restored.len();
        restored.extend_from_slice(&text[own.range.clone()]);
        back.push((start..restored.len(), own.is_bare));
    }
    restored.extend_from_slice(rest);
    let hidden = secrets(&restored);
    for (range, is_bare) in back.into_iter().rev() {
        if !hidden.iter().any(|secret| secret.range.start <= range.start && range.end <= secret.range.end) {
            let empty: &[u8] = if is_bare { b"''" } else { b"" };
            restored.splice(range, empty.iter().copied());
        }
    }
    restored
}

/// What is before a placeholder, the placeholder, and what is after it.
fn next_placeholder(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let start = text.windows(PLACEHOLDER.len()).position(|part| part == PLACEHOLDER.as_bytes())?;
    let length = text[start..].iter().position(|byte| *byte == b']')? + 1;
    Some((&text[..start], &text[start..start + length], &text[start + length..]))
}

/// A secret in PHP source.
#[derive(Debug, PartialEq, Eq)]
struct Secret {
    name: String,
    /// How many with this name stand before it.
    number: usize,
    /// Where it is; of what is between quotes, that.
    range: Range<usize>,
    /// Whether it has no quotes: then its placeholder gets some.
    is_bare: bool,
}

impl Secret {
    fn placeholder(&self) -> String {
        match self.number {
            0 => format!("{PLACEHOLDER}{}]", self.name),
            number => format!("{PLACEHOLDER}{} {}]", self.name, number + 1),
        }
    }

    fn written(&self) -> Vec<u8> {
        let placeholder = self.placeholder();
        if self.is_bare { format!("'{placeholder}'") } else { placeholder }.into_bytes()
    }
}

/// The secrets in PHP source, in order: what is written literally in the value that goes with the name of a secret, in a
/// comment as well, as what is commented out was a secret once; and what looks like one.
fn secrets(text: &[u8]) -> Vec<Secret> {
    let mut finder = Finder { text, tokens: tokens(text), found: Vec::new() };
    for number in 0..finder.tokens.len() {
        finder.look_at(number);
    }
    for shape in shapes(text) {
        finder.add(shape.label, shape.range, false);
    }
    let mut found = finder.found;
    found.sort_by_key(|secret| (secret.range.start, usize::MAX - secret.range.end));
    let mut secrets: Vec<Secret> = Vec::with_capacity(found.len());
    for mut next in found {
        if let Some(last) = secrets.last_mut().filter(|last| next.range.start < last.range.end) {
            last.range.end = last.range.end.max(next.range.end);
            continue;
        }
        next.number = secrets.iter().filter(|secret| secret.name == next.name).count();
        secrets.push(next);
    }
    secrets
}

struct Finder<'a> {
    text: &'a [u8],
    tokens: Vec<PhpToken>,
    found: Vec<Secret>,
}

impl Finder<'_> {
    /// Finds what goes with the name that a token is, or has in it.
    fn look_at(&mut self, number: usize) {
        let PhpToken { kind, range } = self.tokens[number].clone();
        match kind {
            TokenKind::Comment | TokenKind::Outside | TokenKind::Document => self.prose(range),
            TokenKind::Number | TokenKind::Mark => {}
            TokenKind::Quoted => {
                let inner = inner(self.text, &range);
                self.prose(inner.clone());
                // `'NAME='` and `'Authorization: Bearer '` may be the beginning of one.
                let mut parts = self.text[inner].splitn(2, |byte| matches!(byte, b'=' | b':'));
                let name = parts.next().unwrap_or_default();
                let is_begun = parts.next().is_none_or(|rest| rest.trim_ascii().iter().all(u8::is_ascii_alphabetic));
                if is_begun && is_of_names(name) && is_secret_name(name) {
                    self.named(number, &label(name), true);
                }
            }
            TokenKind::Word => {
                let word = &self.text[range];
                let name = label(word);
                let is_called = self.is(number + 1, b"(");
                if is_called && (is_secret_name(word) || CALLS.contains(&name.to_ascii_lowercase().as_str())) {
                    self.value(number + 2, &name, false);
                } else if is_called && word.eq_ignore_ascii_case(b"define") {
                    self.define(number + 2);
                } else if is_secret_name(word) {
                    self.named(number, &name, false);
                }
            }
        }
    }

    /// What is defined under a name that is no plain text may be a secret.
    fn define(&mut self, number: usize) {
        let is_plain = self.kind(number) == Some(TokenKind::Quoted) && self.is(number + 1, b",");
        if !is_plain && let Some(comma) = self.end_of_value(number).filter(|end| self.is(*end, b",")) {
            self.value(comma + 1, "define", true);
        }
    }

    /// Finds what goes with the name that a token is.
    fn named(&mut self, number: usize, name: &str, is_quoted: bool) {
        // `$c['name']['x'] =`, `$name->x =`, `trim( $name ) ===`
        let mut at = number + 1;
        loop {
            at = match self.mark(at) {
                b"]" | b")" => at + 1,
                b"->" | b"?->" | b"::" if self.kind(at + 1) == Some(TokenKind::Word) => at + 2,
                b"[" => match self.end_of_value(at + 1).filter(|end| self.is(*end, b"]")) {
                    Some(end) => end + 1,
                    None => break,
                },
                _ => break,
            }
        }
        let mark = self.mark(at);
        let goes_on = match mark {
            b"=>" | b"=" | b"==" | b"===" | b"!=" | b"!==" | b"<>" | b"<=>" | b"??" | b"?:" | b"." | b":" => true,
            // `array( 'NAME', 'value' )`, `in_array( $name, ... )`, `[ $user, $name ] = ...`
            b"," => is_quoted || at > number + 1 || self.is_in_call(number),
            _ => mark.len() > 1 && mark.ends_with(b"="),
        };
        if goes_on {
            self.value(at + 1, name, true);
        }
        self.unpacked(number, name);
        self.compared(number, name);
    }

    /// `[ $user, $name ] = array( 'u', 'p' )`, `list( $user, $name ) = ...`: which of them it is, nobody counts.
    fn unpacked(&mut self, number: usize, name: &str) {
        let mut at = number + 1;
        while self.kind(at) == Some(TokenKind::Word) || self.is(at, b",") {
            at += 1;
        }
        if matches!(self.mark(at), b"]" | b")") && self.is(at + 1, b"=") {
            self.value(at + 2, name, true);
        }
    }

    /// `'value' === $name`, which is how WordPress compares.
    fn compared(&mut self, number: usize, name: &str) {
        let mut at = number;
        while at > 0
            && (self.kind(at - 1) == Some(TokenKind::Word) || matches!(self.mark(at - 1), b"[" | b"(" | b"->" | b"::"))
        {
            at -= 1;
        }
        if at > 1 && matches!(self.mark(at - 1), b"==" | b"===" | b"!=" | b"!==" | b"<>") {
            self.literal(at - 2, name);
        }
    }

    /// Whether a token is an argument of a call, and no parameter or element.
    fn is_in_call(&self, number: usize) -> bool {
        number > 1 && self.is(number - 1, b"(") && self.kind(number - 2) == Some(TokenKind::Word)
    }

    /// Finds all that is written literally in the expression that begins with a token: up to a comma, if `is_one`, else all of
    /// those in the same brackets.
    fn value(&mut self, from: usize, name: &str, is_one: bool) {
        let mut at = from;
        while let Some(end) = self.end_of_value(at) {
            for number in at..end {
                self.literal(number, name);
            }
            if is_one || !self.is(end, b",") {
                return;
            }
            at = end + 1;
        }
    }

    /// Where the expression ends that begins with a token: at a comma, a semicolon, a bracket that it did not open.
    fn end_of_value(&self, from: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for number in from..self.tokens.len() {
            match self.mark(number) {
                b"(" | b"[" | b"{" => depth += 1,
                b")" | b"]" | b"}" if depth == 0 => return Some(number),
                b")" | b"]" | b"}" => depth -= 1,
                b";" => return Some(number),
                b"," if depth == 0 => return Some(number),
                _ if self.kind(number) == Some(TokenKind::Outside) => return Some(number),
                _ => {}
            }
        }
        (from < self.tokens.len()).then_some(self.tokens.len())
    }

    /// Adds a token that is written literally, but for the name of what is looked up elsewhere.
    fn literal(&mut self, number: usize, name: &str) {
        let PhpToken { kind, range } = self.tokens[number].clone();
        let is_looked_up = number > 1
            && LOOKUPS.iter().any(|(what, bracket)| {
                self.is(number - 1, &[*bracket])
                    && self.text[self.tokens[number - 2].range.clone()].eq_ignore_ascii_case(what)
            })
            && is_identifier(&self.text[inner(self.text, &range)]);
        match kind {
            TokenKind::Quoted if is_looked_up => {}
            TokenKind::Quoted => self.add(name.to_owned(), inner(self.text, &range), false),
            TokenKind::Comment => self.add(name.to_owned(), inside_comment(self.text, &range), false),
            TokenKind::Document => self.add(name.to_owned(), range, true),
            TokenKind::Number if !is_flag(&self.text[range.clone()]) => self.add(name.to_owned(), range, true),
            TokenKind::Number | TokenKind::Word | TokenKind::Mark | TokenKind::Outside => {}
        }
    }

    /// Finds what follows the name of a secret in a comment, or in another text: `// password: hunter2`, `# define(
    /// 'X_KEY', 'v' )`.
    fn prose(&mut self, range: Range<usize>) {
        for found in shape::prose(&self.text[range.clone()]) {
            let at = range.start;
            self.add(label(found.label.as_bytes()), at + found.range.start..at + found.range.end, false);
        }
    }

    fn add(&mut self, name: String, range: Range<usize>, is_bare: bool) {
        if !range.is_empty() {
            self.found.push(Secret { name, number: 0, range, is_bare });
        }
    }

    fn kind(&self, number: usize) -> Option<TokenKind> {
        self.tokens.get(number).map(|token| token.kind)
    }

    fn mark(&self, number: usize) -> &[u8] {
        match self.tokens.get(number) {
            Some(PhpToken { kind: TokenKind::Mark, range }) => &self.text[range.clone()],
            _ => b"",
        }
    }

    fn is(&self, number: usize, mark: &[u8]) -> bool {
        self.mark(number) == mark
    }
}

/// What is between the quotes; the closing one may be missing.
fn inner(text: &[u8], range: &Range<usize>) -> Range<usize> {
    let is_closed = range.len() > 1 && text[range.start] == text[range.end - 1];
    range.start + 1..range.end - usize::from(is_closed)
}

fn inside_comment(text: &[u8], range: &Range<usize>) -> Range<usize> {
    let opened = if text[range.start] == b'#' { 1 } else { 2 };
    let closed = if text[range.clone()].ends_with(b"*/") { 2 } else { 0 };
    let start = range.start + opened;
    start..(range.end - closed).max(start)
}

fn is_of_names(text: &[u8]) -> bool {
    const LONGEST: usize = 80;
    text.len() <= LONGEST && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-. ".contains(byte))
}

fn is_identifier(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// A name as a placeholder has it.
fn label(name: &[u8]) -> String {
    let is_of_it = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
    name.iter().copied().filter(is_of_it).map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"<?php
// It's a comment, and don't mind the quotes.
define( 'DB_NAME', 'wordpress' );
define( 'DB_PASSWORD', 'hunter\'2' ); # define('DB_PASSWORD', "old");
defined( 'AUTH_KEY' ) || define( "AUTH_KEY",
    'one' . "two" );
define( 'NONCE_SALT', getenv( 'NONCE_SALT' ) ?: 'fallback' );
const SECRET_KEY = 'k'; $smtp_pass = 'p'; $c['api_key'] = 'q';
$mail = array( 'user' => 'u', 'password' => 'v', 'host' => 'h' );
putenv( 'API_TOKEN=w' );
define( 'EMPTY_SALT', '' );
$table_prefix = 'wp_';
"#;

    #[test]
    fn secrets_of_the_configuration_become_placeholders() {
        let text = String::from_utf8(config(CONFIG.as_bytes())).unwrap();
        for line in [
            "define( 'DB_NAME', 'wordpress' );",
            "'[redacted by ForkPress: DB_PASSWORD]' ); # define('DB_PASSWORD', \"[redacted by ForkPress: DB_PASSWORD 2]\");",
            "    '[redacted by ForkPress: AUTH_KEY]' . \"[redacted by ForkPress: AUTH_KEY 2]\" );",
            "getenv( 'NONCE_SALT' ) ?: '[redacted by ForkPress: NONCE_SALT]' );",
            "const SECRET_KEY = '[redacted by ForkPress: SECRET_KEY]'; $smtp_pass = '[redacted by ForkPress: smtp_pass]'; \
             $c['api_key'] = '[redacted by ForkPress: api_key]';",
            "array( 'user' => 'u', 'password' => '[redacted by ForkPress: password]', 'host' => 'h' );",
            "putenv( 'API_TOKEN=[redacted by ForkPress: API_TOKEN]' );",
            "define( 'EMPTY_SALT', '' );",
            "$table_prefix = 'wp_';",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert_eq!(config(text.as_bytes()), text.as_bytes(), "twice is once");
    }

    #[test]
    fn placeholders_become_the_branchs_own_secrets_again() {
        let current = CONFIG.as_bytes();
        assert_eq!(restore(&config(current), &[current.into()]), current);
        let edited = String::from_utf8(config(current)).unwrap();
        let edited =
            edited.replace("'wordpress'", "'other'").replace("[redacted by ForkPress: smtp_pass]", "new") + "// end\n";
        let expected = CONFIG.replace("'wordpress'", "'other'").replace("'p'", "'new'") + "// end\n";
        assert_eq!(String::from_utf8(restore(edited.as_bytes(), &[current.into()])).unwrap(), expected);
        let emptied = restore(&config(current), &[b"<?php\n".into()]);
        assert!(!String::from_utf8(emptied).unwrap().contains("redacted"), "a salt that everybody knows is none");
    }

    /// Source in which `hunter2` is a secret in each line or statement, and nothing else that is written literally is.
    const LEAKS: &str = r#"<?php
define('DB_PASSWORD', base64_decode('hunter2'));
define( "DB_PASSWORD", <<<EOT
hunter2
EOT
);
define( 'DB_PASSWORD', <<<'EOT'
  hunter2
  EOT );
define( 'PIN_SECRET', 77001 ); const API_TOKEN = 0x77001; $otp = 77_001;
define( 'A_KEY', strrev( 'hunter2' ) . chr( 77001 ) . trim( "hunter2" ) );
define( 'B_KEY', get( array( 'hunter2', [ 'x' => 'hunter2' ] ) ) );
define( $name, 'hunter2' ); define( 'DB_' . 'PASSWORD', 'hunter2' );
define( 'C_KEY', `hunter2` );
class C { private const string SECRET = 'hunter2'; public $password = 'hunter2'; }
$password .= 'hunter2'; $password ??= "hunter2"; $c->smtp->pass = 'hunter2'; $c['pass']['x'] = 'hunter2';
[ $user, $password ] = array( 'hunter2', 'hunter2' ); list( $user, $pass ) = [ 'hunter2', 'hunter2' ];
$mailer->setPassword( 'hunter2' ); login( user: 'u', password: 'hunter2' );
if ( 'hunter2' === $_GET['token'] || $token == 'hunter2' || hash_equals( 'hunter2', $x ) ) {}
$x = getenv( 'DB_PASSWORD' ) ?: 'hunter2'; $y = $_ENV['API_KEY'] ?? 'hunter2';
foreach ( array( array( 'DB_PASSWORD', 'hunter2' ) ) as $pair ) {}
putenv( 'API_TOKEN=' . 'hunter2' ); $h = 'Authorization: Bearer ' . 'hunter2'; putenv( "API_TOKEN=hunter2" );
$headers = array( 'X-Api-Key: hunter2', 'Authorization' => 'hunter2' ); $json = '{"api_key":"hunter2"}';
new PDO( 'hunter2', 'hunter2', 'hunter2' );
$url = 'mysql://root:hunter2@db/wp'; $t = 'ghp_hunter2hunter2hunter2';
define( 'D_KEY', /* hunter2 */ 'hunter2' );
// old: define('DB_PASSWORD','hunter2');
// define( 'DB_PASSWORD',
//     'hunter2' );
# the password is hunter2
/* password: hunter2
 * DB_PASSWORD=hunter2 */
/* define( 'X_KEY', base64_decode( 'hunter2' ) . <<<E
hunter2
E ); */
?>
<p>password: hunter2</p>
<?php $password = 'hunter2"#;

    #[test]
    fn a_secret_is_found_however_it_is_written() {
        let text = String::from_utf8(config(LEAKS.as_bytes())).unwrap();
        for secret in ["hunter2", "77001", "77_001"] {
            let lines: Vec<_> = text.lines().filter(|line| line.contains(secret)).collect();
            assert_eq!(lines, Vec::<&str>::new());
        }
        assert_eq!(String::from_utf8(config(text.as_bytes())).unwrap(), text, "twice is once");
        assert_eq!(String::from_utf8(restore(text.as_bytes(), &[LEAKS.into()])).unwrap(), LEAKS);
    }

    #[test]
    fn what_is_looked_up_elsewhere_and_what_is_no_secret_stays() {
        let text = r#"<?php
/** Authentication unique keys and salts. {@link https://api.wordpress.org/secret-key/1.1/salt/ secret-key service} */
define( 'DB_PASSWORD', getenv( 'DB_PASSWORD' ) ); define( 'AUTH_KEY', $_ENV['AUTH_KEY'] ?? $_SERVER["AUTH_KEY"] );
define( 'WP_DEBUG', false ); define( 'WP_MEMORY_LIMIT', '256M' ); define( 'AUTOSAVE_INTERVAL', 60 );
$table_prefix = 'wp_'; define( 'WP_HOME', 'https://example.test:8080/?a=b' );
defined( 'AUTH_KEY' ) || exit( 1 );
"#;
        assert_eq!(String::from_utf8(config(text.as_bytes())).unwrap(), text);
        let sample = include_str!("../../../../runtime/wp-config.php");
        let shown = String::from_utf8(config(sample.as_bytes())).unwrap();
        let differing = sample.lines().zip(shown.lines()).filter(|(before, after)| before != after);
        assert!(differing.map(|(before, _)| before).all(|line| line.contains("'@SALT@'")));
        assert_eq!(sample.lines().count(), shown.lines().count());
    }

    #[test]
    fn a_placeholder_that_would_tell_its_secret_becomes_nothing() {
        let current = b"<?php define( 'A_KEY', 'hunter2' ); define( 'PIN_SECRET', 77001 );";
        let pushed = String::from_utf8(config(current)).unwrap();
        let moved = pushed.replace("'A_KEY'", "'A'").replace("'PIN_SECRET'", "'PIN'");
        let restored = restore(moved.as_bytes(), &[current.into()]);
        assert_eq!(String::from_utf8(restored).unwrap(), "<?php define( 'A', '' ); define( 'PIN', '' );");
        let renamed = pushed.replace("'PIN_SECRET', '", "'OTP', \"").replace("PIN_SECRET]'", "PIN_SECRET]\"");
        let restored = restore(renamed.as_bytes(), &[current.into()]);
        assert_eq!(String::from_utf8(restored).unwrap(), "<?php define( 'A_KEY', 'hunter2' ); define( 'OTP', 77001 );");
    }

    #[test]
    fn a_secret_that_the_first_owner_has_not_is_the_next_ones() {
        let (first, next) =
            ("<?php define( 'A_KEY', 'one' );", "<?php define( 'A_KEY', 'two' ); define( 'B_KEY', 'b' );");
        let restored = restore(&config(next.as_bytes()), &[first.into(), next.into()]);
        assert_eq!(String::from_utf8(restored).unwrap(), "<?php define( 'A_KEY', 'one' ); define( 'B_KEY', 'b' );");
    }
}
