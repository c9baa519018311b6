//! The one table of what is a secret: words of names, names that go in pairs, and what secrets look like.
//!
//! When in doubt, a name counts as a secret's: hiding a harmless value does no harm.

/// A word that makes a name the name of a secret, wherever it stands.
const WORDS: &[&str] = &[
    "pass",
    "pw",
    "passphrase",
    "passcode",
    "passwords",
    "secrets",
    "tokens",
    "salt",
    "salts",
    "credential",
    "credentials",
    "creds",
    "license",
    "licence",
    "jwt",
    "bearer",
    "authorization",
    "authentication",
    "otp",
    "totp",
    "hotp",
    "mfa",
    "hmac",
    "psk",
    "dsn",
    "mnemonic",
    "cvv",
    "cvc",
    "sessid",
    "phpsessid",
];

/// An ending that makes a word one of those: `accesstoken`, `clientsecret`, `CURLOPT_USERPWD`.
const ENDINGS: &[&str] = &[
    "password",
    "passwd",
    "pwd",
    "secret",
    "token",
    "apikey",
    "licensekey",
    "privatekey",
    "secretkey",
    "accesskey",
    "authkey",
    "signingkey",
    "encryptionkey",
    "ipaddress",
    "ipaddr",
];

/// A word that makes a name one of those where it is the last one: `auth_cookie`, `otp_seed`, `comment_author_IP`.
const LAST_WORDS: &[&str] =
    &["auth", "cookie", "cookies", "ip", "ips", "passkey", "seed", "seeds", "signature", "signatures", "webhook"];

/// Two words that make a name one of those where they follow each other: `auth_code`, `session_id`, `webhook_url`.
const PAIRS: &[(&[&str], &[&str])] = &[
    (
        &[
            "2fa",
            "access",
            "activation",
            "auth",
            "backup",
            "confirmation",
            "invite",
            "login",
            "oauth",
            "pin",
            "recovery",
            "reset",
            "security",
            "sms",
            "verification",
            "verify",
        ],
        &["code", "codes"],
    ),
    (&["access", "card", "login", "security", "user"], &["pin", "pins"]),
    (&["session"], &["id", "ids"]),
    (&["webhook"], &["url", "urls"]),
    (&["connection"], &["string", "strings"]),
    (&["client", "ip", "remote"], &["addr", "address", "addresses"]),
    (&["card"], &["number", "numbers"]),
    (&["seed"], &["phrase", "words"]),
    (&["magic", "login"], &["link", "links"]),
    (&["proxy", "basic"], &["userpwd", "auth"]),
];

/// What is known to be a key that opens something, wherever in a name it stands, and in the plural. Other keys in the plural
/// are mostly lists of words.
const SECRET_KEYS: &[&str] = &[
    "access",
    "account",
    "api",
    "app",
    "auth",
    "client",
    "consumer",
    "encryption",
    "master",
    "private",
    "recovery",
    "secret",
    "service",
    "session",
    "signing",
    "storage",
    "subscription",
];

/// The key of anything else is a secret as well where it is the last word of a name, unless it is one of these: `meta_key`,
/// `public_key`.
const HARMLESS_KEYS: &[&str] = &[
    "meta",
    "sort",
    "cache",
    "group",
    "primary",
    "foreign",
    "public",
    "publishable",
    "menu",
    "field",
    "form",
    "row",
    "array",
    "option",
    "object",
    "taxonomy",
    "term",
    "layout",
    "orderby",
    "unique",
    "index",
    "parent",
    "post",
    "comment",
    "block",
    "widget",
    "section",
    "setting",
    "column",
    "data",
];

/// Values that give nothing away, whatever their name is.
const FLAGS: &[&[u8]] = &[
    b"", b"0", b"1", b"yes", b"no", b"true", b"false", b"on", b"off", b"null", b"none", b"basic", b"bearer", b"digest",
];

/// The last words of columns, and of keys, that hold the name of what stands beside them: `option_name` and `option_value`,
/// `setting_name` and `setting_value`, `name` and `data`.
const NAMING: &[&str] = &[
    "attribute",
    "code",
    "config",
    "field",
    "handle",
    "id",
    "key",
    "label",
    "name",
    "option",
    "param",
    "parameter",
    "path",
    "property",
    "setting",
    "slug",
    "title",
    "type",
    "variable",
];

/// The last words of what stands beside those.
const NAMED: &[&str] = &["config", "contents", "data", "payload", "val", "value", "values"];

/// Numbers of this name count or date something, though it has the word of a secret: `token_id`, `pass_expires`.
const COUNTED: &[&str] = &[
    "at", "attempts", "count", "created", "date", "enabled", "expires", "expiry", "id", "ids", "length", "limit",
    "order", "size", "status", "time", "ttl", "type", "updated", "version",
];

/// What PHP source may look up: the name of what is elsewhere is no secret.
pub(super) const LOOKUPS: &[(&[u8], u8)] = &[(b"getenv", b'('), (b"_ENV", b'['), (b"_SERVER", b'[')];

/// Functions and classes of PHP whose arguments are secrets, though their names do not say so.
pub(super) const CALLS: &[&str] = &[
    "ftp_login",
    "hash_equals",
    "hash_hmac",
    "mysql_connect",
    "mysqli",
    "mysqli_connect",
    "openssl_decrypt",
    "openssl_encrypt",
    "pdo",
    "pg_connect",
    "wpdb",
];

/// What a secret looks like.
pub(super) struct Shape {
    /// What stands for its name.
    pub(super) label: &'static str,
    /// What it has in it, one of them, in any case: only then the pattern is tried. None: it is always tried.
    pub(super) has: &'static [&'static str],
    /// Matches it; where there is a group `secret`, that alone.
    pub(super) pattern: &'static str,
    /// What else must be true of it.
    pub(super) check: fn(&[u8]) -> bool,
}

const fn shape(label: &'static str, has: &'static [&'static str], pattern: &'static str) -> Shape {
    Shape { label, has, pattern, check: |_| true }
}

/// What is a secret wherever it stands.
pub(super) const SHAPES: &[Shape] = &[
    shape(
        "private key",
        &["private key"],
        r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(?s:.*?)(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\z)",
    ),
    // phpass, bcrypt, argon2, crypt, and what WordPress makes of them.
    shape("hash", &["$"], r#"\$(?:P|H|wp|generic|2[abxy]|argon2(?:id|i|d)|[156y]|scrypt)\$[^\s"'<>&;]{16,}"#),
    // Stripe, GitHub, GitLab, npm, PyPI, Docker, DigitalOcean.
    shape("token", &["k_live_", "k_test_", "whsec_"], r"\b(?:[rs]k_(?:live|test)|whsec)_[0-9A-Za-z+/=]{8,}"),
    shape(
        "token",
        &["gho_", "ghp_", "ghr_", "ghs_", "ghu_", "github_pat_"],
        r"\b(?:gh[oprsu]_[0-9A-Za-z]{16,}|github_pat_[0-9A-Za-z_]{16,})",
    ),
    shape(
        "token",
        &["glpat-", "gldt-", "glrt-", "glsoat-", "glptt-", "glft-", "glimt-", "glagent-", "gloas-", "glcbt-"],
        r"\bgl(?:pat|dt|rt|soat|ptt|ft|imt|agent|oas|cbt)-[0-9A-Za-z_-]{12,}",
    ),
    shape(
        "token",
        &["npm_", "pypi-", "dckr_pat_", "_v1_"],
        r"\b(?:npm_[0-9A-Za-z]{20,}|pypi-[0-9A-Za-z_-]{16,}|dckr_pat_[0-9A-Za-z_-]{16,}|do[opr]_v1_[0-9a-f]{32,})",
    ),
    // Hugging Face, Linear, Notion, Postman, Shopify, Square, Vault.
    shape(
        "token",
        &["hf_", "lin_api_", "ntn_", "secret_", "pmak-"],
        r"\b(?:hf_[0-9A-Za-z]{24,}|lin_api_[0-9A-Za-z]{20,}|ntn_[0-9A-Za-z]{24,}|secret_[0-9A-Za-z]{32,}|PMAK-[0-9a-f-]{24,})",
    ),
    shape(
        "token",
        &["shpat_", "shpca_", "shppa_", "shpss_", "sq0", "hvb.", "hvs."],
        r"\b(?:shp(?:at|ca|pa|ss)_[0-9A-Fa-f]{24,}|sq0(?:atp|csp)-[0-9A-Za-z_-]{20,}|hv[bs]\.[0-9A-Za-z_-]{20,})",
    ),
    // Slack, Discord, Teams, Telegram.
    shape("token", &["xox", "xapp-"], r"\bx(?:ox[a-z](?:\.xox[a-z])?|app)-[0-9A-Za-z-]{8,}"),
    shape(
        "webhook",
        &["hooks.slack.com"],
        r"hooks\.slack\.com\\?/(?:services|workflows|triggers)\\?/(?P<secret>[0-9A-Za-z_/\\-]{8,})",
    ),
    shape("webhook", &["webhooks"], r"discord(?:app)?\.com\\?/api\\?/webhooks\\?/(?P<secret>[0-9A-Za-z_/\\-]{8,})"),
    shape("webhook", &["webhook.office.com"], r"webhook\.office\.com\\?/(?P<secret>[0-9A-Za-z_/@\\-]{8,})"),
    shape("token", &[":aa"], r"\b[0-9]{8,10}:AA[0-9A-Za-z_-]{32,}"),
    // AWS, Google, OpenAI, Anthropic.
    shape("key", &["akia", "asia", "abia", "acca"], r"\b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b"),
    shape(
        "key",
        &["aiza", "ya29.", "gocspx-", "1//0"],
        r"\b(?:AIza[0-9A-Za-z_-]{30,}|ya29\.[0-9A-Za-z_-]{10,}|GOCSPX-[0-9A-Za-z_-]{16,}|1//0[0-9A-Za-z_-]{24,})",
    ),
    shape("key", &["sk-"], r"\bsk-(?:[0-9A-Za-z]{32,}|(?:admin|ant|or|proj|svcacct)-[0-9A-Za-z_-]{20,})"),
    // SendGrid, Mailgun, Mailchimp, Brevo, Twilio.
    shape("key", &["sg."], r"\bSG\.[0-9A-Za-z_-]{12,}\.[0-9A-Za-z_-]{12,}"),
    shape(
        "key",
        &["key-", "-us", "keysib-", "smtpsib-"],
        r"\b(?:key-[0-9a-f]{32}|[0-9a-f]{32}-us[0-9]{1,2}|xkeysib-[0-9a-f]{32,}[0-9A-Za-z-]*|xsmtpsib-[0-9a-f]{32,}[0-9A-Za-z-]*)\b",
    ),
    shape("key", &[], r"\b(?:SK|AC)[0-9a-f]{32}\b"),
    shape("jwt", &["eyj"], r"\beyJ[0-9A-Za-z_-]{8,}\.eyJ[0-9A-Za-z_-]{8,}(?:\.[0-9A-Za-z_-]*)?"),
    Shape {
        label: "authorization",
        has: &["authorization"],
        pattern: r#"(?i)\bauthorization(?:\\*["']|&quot;)?\s*(?:=>|[:=])\s*(?:\\*["']|&quot;)?(?:[a-z]+\s+)?(?P<secret>[0-9A-Za-z._~+/=:-]{6,})"#,
        check: is_no_word,
    },
    Shape {
        label: "authorization",
        has: &["bearer"],
        pattern: r"(?i)\bbearer\s+(?P<secret>[0-9A-Za-z._~+/-]{12,}=*)",
        check: has_digit_and_letter,
    },
    Shape {
        label: "authorization",
        has: &["basic"],
        pattern: r"(?i)\bbasic\s+(?P<secret>[0-9A-Za-z+/]{6,}={0,2})",
        check: is_user_and_password,
    },
    shape("url", &["@"], r#"\b[A-Za-z][0-9A-Za-z+.-]*:(?:\\?/){2}[^\s/\\?\#"'<>:@]*:(?P<secret>[^\s/\\"'<>]+)@"#),
    // An application password of WordPress.
    Shape {
        label: "password",
        has: &[],
        pattern: r"\b[0-9A-Za-z]{4}(?: [0-9A-Za-z]{4}){5,}\b",
        check: is_application_password,
    },
];

/// What each name of a secret has in it, one of them: whether the name is one, [`is_secret_name`] says.
pub(super) fn stems() -> impl Iterator<Item = &'static str> {
    let pairs = PAIRS.iter().flat_map(|(_, second)| second.iter());
    [WORDS, ENDINGS, LAST_WORDS].into_iter().flatten().chain(pairs).copied().chain(["key"])
}

fn is_no_word(text: &[u8]) -> bool {
    text.iter().skip(1).any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}

fn has_digit_and_letter(text: &[u8]) -> bool {
    text.iter().any(u8::is_ascii_digit) && text.iter().any(u8::is_ascii_alphabetic)
}

/// Whether it is `user:password` in base64.
fn is_user_and_password(text: &[u8]) -> bool {
    super::encoding::from_base64(text)
        .is_some_and(|text| text.contains(&b':') && text.iter().all(|byte| (b' '..0x7f).contains(byte)))
}

/// Whether groups of four letters are random, and no words or years.
fn is_application_password(text: &[u8]) -> bool {
    let is_random = |group: &&[u8]| {
        let digits = group.iter().filter(|byte| byte.is_ascii_digit()).count();
        let capitals = group.iter().skip(1).filter(|byte| byte.is_ascii_uppercase()).count();
        (1..4).contains(&digits) || (1..3).contains(&capitals)
    };
    text.split(|byte| *byte == b' ').filter(is_random).count() >= 3
}

/// Whether a value of this name (an option, a field, a column, a constant) is a secret.
#[must_use]
pub fn is_secret_name(name: &[u8]) -> bool {
    let words = words(name);
    let is = |list: &[&str], at: usize| words.get(at).is_some_and(|word| list.contains(&word.as_str()));
    let is_secret_word =
        |word: &String| WORDS.contains(&word.as_str()) || ENDINGS.iter().any(|end| word.ends_with(end));
    let is_pair = |at| PAIRS.iter().any(|(first, second)| is(first, at) && is(second, at + 1));
    let is_key = |at: usize| match words.get(at + 1).map(String::as_str) {
        Some("key") if at + 2 == words.len() => !is(HARMLESS_KEYS, at),
        Some("key" | "keys") => is(SECRET_KEYS, at),
        _ => false,
    };
    words.iter().any(is_secret_word)
        || (0..words.len()).any(|at| is_pair(at) || is_key(at))
        || words.last().is_some_and(|word| LAST_WORDS.contains(&word.as_str()))
}

/// Whether a number of this name counts or dates something, though the name is a secret's.
#[must_use]
pub fn is_counted(name: &[u8]) -> bool {
    words(name).last().is_some_and(|word| COUNTED.contains(&word.as_str()))
}

/// Whether what has this name, a column or a key, holds the name of what stands beside it.
#[must_use]
pub fn is_naming(name: &[u8]) -> bool {
    words(name).last().is_some_and(|word| NAMING.contains(&word.as_str()))
}

/// Whether what has this name, a column or a key, holds the value that another one names.
#[must_use]
pub fn is_named(name: &[u8]) -> bool {
    words(name).last().is_some_and(|word| NAMED.contains(&word.as_str()))
}

/// Whether this is the name of a secret and a name at all, as programs give them, and no sentence.
#[must_use]
pub fn is_secret_identifier(text: &[u8]) -> bool {
    const LONGEST: usize = 191;
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.:/[]".contains(byte);
    text.len() <= LONGEST && text.iter().all(is_of_name) && is_secret_name(text)
}

/// Whether a value gives nothing away.
pub(super) fn is_flag(value: &[u8]) -> bool {
    FLAGS.iter().any(|flag| flag.eq_ignore_ascii_case(value))
}

/// The words of `a_name`, `a-name` and `aName`, in lower case, without what numbers them: `password2`, `api_key_v2`.
fn words(name: &[u8]) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = b'_';
    for &byte in name {
        if !byte.is_ascii_alphanumeric() || byte.is_ascii_uppercase() && before.is_ascii_lowercase() {
            words.push(String::new());
        }
        if byte.is_ascii_alphanumeric() {
            words.last_mut().expect("there is a word").push(byte.to_ascii_lowercase().into());
        }
        before = byte;
    }
    for word in &mut words {
        word.truncate(word.trim_end_matches(|letter: char| letter.is_ascii_digit()).len());
    }
    words.retain(|word| !word.is_empty() && word != "v");
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_told_by_its_name() {
        for name in [
            "user_pass",
            "mailserver_pass",
            "user_activation_key",
            "post_password",
            "DB_PASSWORD",
            "AUTH_KEY",
            "NONCE_SALT",
            "LOGGED_IN_KEY",
            "session_tokens",
            "_application_passwords",
            "recovery_keys",
            "apiKey",
            "api-key",
            "clientSecret",
            "access_token",
            "acf_pro_license",
            "smtpPassword",
            "stripe_secret_key",
            "woocommerce_consumer_secret",
            "accesstoken",
            "_order_key",
            "auth_code",
            "authorization",
            "Authorization",
            "HTTP_AUTHORIZATION",
            "login_cookie",
            "wordpressCookies",
            "otp_seed",
            "signature",
            "webhookSignature",
            "comment_author_IP",
            "user_ip",
            "ip_address",
            "IPAddress",
            "remote_addr",
            "password2",
            "db_pw",
            "CURLOPT_USERPWD",
            "api_key_v2",
            "api_key_live",
            "session_id",
            "backup_codes",
            "slack_webhook_url",
            "sentry_dsn",
            "smtp_auth",
        ] {
            assert!(is_secret_name(name.as_bytes()), "{name}");
            assert!(stems().any(|stem| name.to_ascii_lowercase().contains(stem)), "{name}");
        }
        for name in [
            "",
            "blogname",
            "meta_key",
            "key",
            "keys",
            "moderation_keys",
            "disallowed_keys",
            "public_key",
            "COLUMN_KEY",
            "compass",
            "author",
            "post_author",
            "post_title",
            "passenger_count",
            "monkey",
            "secretary",
            "tokenizer",
            "_edit_lock",
            "cookie_notice_text",
            "COOKIE_DOMAIN",
            "postal_code",
            "zip",
            "ship_to",
            "default_ping_status",
            "code",
            "seedling",
            "post_excerpt",
        ] {
            assert!(!is_secret_name(name.as_bytes()), "{name}");
        }
    }
}
