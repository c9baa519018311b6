//! How a site on another machine reaches its database: what its `wp-config.php` says. Pure.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::source::config::Config;

/// What a site calls its database, and what it signs in with.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) name: String,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) host: Host,
    /// The prefix of the tables, where it is said.
    pub(super) prefix: Option<String>,
}

/// Nobody reads the password in a log.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("name", &self.name).field("host", &self.host).finish_non_exhaustive()
    }
}

/// Where a database server is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) port: Option<u16>,
    pub(super) socket: Option<String>,
}

impl Settings {
    /// What a `wp-config.php` says without being run; none where it does not say all in plain texts.
    pub(super) fn of_text(text: &[u8]) -> Option<Self> {
        let config = Config::read(text);
        Some(Self {
            name: config.text_of("DB_NAME").filter(|name| !name.is_empty())?,
            user: config.text_of("DB_USER")?,
            password: config.text_of("DB_PASSWORD")?,
            host: Host::parse(&config.text_of("DB_HOST")?),
            prefix: config.table_prefix(),
        })
    }

    /// What `config.php` printed: a name and a value in base64 in each line. None where something lacks.
    pub(super) fn of_answer(answer: &[u8]) -> Option<Self> {
        let answer = String::from_utf8_lossy(answer);
        let value = |name: &str| {
            let encoded = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
            String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()
        };
        Some(Self {
            name: value("DB_NAME").filter(|name| !name.is_empty())?,
            user: value("DB_USER")?,
            password: value("DB_PASSWORD")?,
            host: Host::parse(&value("DB_HOST").unwrap_or_default()),
            prefix: value("prefix").filter(|prefix| !prefix.is_empty()),
        })
    }

    /// A file of options for MySQL's programs. It has the password, so that no list of processes has it.
    pub(super) fn option_file(&self) -> Vec<u8> {
        let mut text = String::from("[client]\n");
        let mut add = |name: &str, value: &str| text.push_str(&format!("{name}={}\n", quoted(value)));
        add("user", &self.user);
        add("password", &self.password);
        match &self.host.socket {
            Some(socket) => add("socket", socket),
            None => add("host", &self.host.name),
        }
        if let Some(port) = self.host.port {
            add("port", &port.to_string());
        }
        text.into_bytes()
    }

    /// The same as PHP, for `dump.php`.
    pub(super) fn php(&self) -> Vec<u8> {
        let port = self.host.port.map_or(String::new(), |port| port.to_string());
        let values = [
            ("host", &self.host.name),
            ("port", &port),
            ("socket", self.host.socket.as_ref().unwrap_or(&String::new())),
            ("user", &self.user),
            ("password", &self.password),
            ("name", &self.name),
        ]
        .map(|(name, value)| format!("\t'{name}' => {},\n", php_text(value.as_bytes())));
        format!("$forkpress_settings = array(\n{});\n", values.concat()).into_bytes()
    }
}

impl Host {
    /// Reads a `DB_HOST` as WordPress does: a host, `host:port`, `host:/socket`, `[ipv6]:port`.
    pub(super) fn parse(text: &str) -> Self {
        let (text, socket) = match text.find(":/") {
            Some(at) => (&text[..at], Some(text[at + 1..].to_owned())),
            None => (text, None),
        };
        let (name, port) = if text.matches(':').count() > 1 {
            let bare = text.trim_start_matches('[');
            bare.split_once("]:").map_or((bare.trim_end_matches(']'), None), |(name, port)| (name, Some(port)))
        } else {
            text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)))
        };
        let name = if name.is_empty() { "localhost" } else { name };
        Self { name: name.to_owned(), port: port.and_then(|port| port.parse().ok()), socket }
    }
}

/// A value of an option file, whatever is in it.
fn quoted(value: &str) -> String {
    let mut quoted = String::from("\"");
    for character in value.chars() {
        match character {
            '\\' => quoted.push_str("\\\\"),
            '"' => quoted.push_str("\\\""),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// A text of PHP's, whatever is in it.
pub(super) fn php_text(text: &[u8]) -> String {
    format!("base64_decode( '{}' )", STANDARD.encode(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_read_as_wordpress_reads_it() {
        for (text, name, port, socket) in [
            ("localhost", "localhost", None, None),
            ("", "localhost", None, None),
            ("db.example:3307", "db.example", Some(3307), None),
            ("localhost:/run/my sql.sock", "localhost", None, Some("/run/my sql.sock")),
            (":/run/mysql.sock", "localhost", None, Some("/run/mysql.sock")),
            ("127.0.0.1:3306:/run/x", "127.0.0.1", Some(3306), Some("/run/x")),
            ("::1", "::1", None, None),
            ("[::1]", "::1", None, None),
            ("[fe80::2]:3307", "fe80::2", Some(3307), None),
        ] {
            let host = Host { name: name.to_owned(), port, socket: socket.map(str::to_owned) };
            assert_eq!(Host::parse(text), host, "{text}");
        }
    }

    #[test]
    fn a_configuration_is_read_where_it_says_all_and_not_run() {
        let text = b"<?php define('DB_NAME','a'); define('DB_USER','b'); define('DB_PASSWORD','c\\'d'); define('DB_HOST','e:1');
            $table_prefix = 'x_';";
        let settings = Settings::of_text(text).unwrap();
        assert_eq!((settings.password.as_str(), settings.prefix.as_deref()), ("c'd", Some("x_")));
        assert_eq!(settings.host, Host { name: "e".to_owned(), port: Some(1), socket: None });
        assert!(!format!("{settings:?}").contains("c'd"));
        let code = b"<?php define('DB_NAME','a'); define('DB_USER','b'); define('DB_PASSWORD', getenv('P')); define('DB_HOST','e');";
        assert_eq!(Settings::of_text(code), None);
    }

    #[test]
    fn an_answer_is_read_whatever_is_in_its_values() {
        let line = |name: &str, value: &str| format!("{name} {}\n", STANDARD.encode(value));
        let answer = [
            "Notice: odd\n".to_owned(),
            line("DB_NAME", "a"),
            line("DB_USER", "b"),
            line("DB_PASSWORD", "c\nd ü"),
            line("DB_HOST", ""),
        ];
        let settings = Settings::of_answer(answer.concat().as_bytes()).unwrap();
        assert_eq!((settings.password.as_str(), settings.host.name.as_str()), ("c\nd ü", "localhost"));
        assert_eq!(Settings::of_answer(b"DB_NAME YQ==\n"), None);
    }

    #[test]
    fn a_password_is_quoted_for_an_option_file() {
        assert_eq!(quoted("a\"b\\c#d\n'"), "\"a\\\"b\\\\c#d\\n'\"");
    }
}
