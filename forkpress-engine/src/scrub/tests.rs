use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::types::Value;

use super::*;
use crate::progress::{Silent, Until};

/// Of these no byte may be left.
const SECRETS: [&str; 22] = [
    "zwiebelfisch",
    "grigorij",
    "gz@",
    "quastenflosser",
    "wladimira",
    "wq@",
    "203.0.113.7",
    "0301234567",
    "ponyhof",
    "irrweg",
    "wolkenkuckucksheim",
    "$P$Bsecret",
    "sessionverifier",
    "actkey",
    "hushhush",
    "ch_3Nverysecret",
    "OldBrowser",
    "kaufmich",
    "logmessage",
    "biographisch",
    "ordernote",
    "98765",
];

const SITE: &str = "
CREATE TABLE wp_options (option_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, option_name TEXT, option_value TEXT);
CREATE TABLE wp_posts (ID INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, post_author INTEGER, post_title TEXT,
    post_content TEXT, post_name TEXT, post_type TEXT, post_excerpt TEXT, post_password TEXT, guid TEXT);
CREATE TABLE wp_postmeta (meta_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, post_id INTEGER, meta_key TEXT, meta_value TEXT);
CREATE TABLE wp_users (ID INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, user_login TEXT COLLATE NOCASE, user_pass TEXT,
    user_nicename TEXT, user_email TEXT, user_url TEXT, user_activation_key TEXT, display_name TEXT);
CREATE TABLE wp_usermeta (umeta_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, user_id INTEGER, meta_key TEXT, meta_value TEXT);
CREATE TABLE wp_comments (comment_ID INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, comment_author TEXT, comment_author_email TEXT,
    comment_author_url TEXT, comment_author_IP TEXT, comment_agent TEXT, comment_content TEXT, comment_type TEXT, user_id INTEGER);
CREATE TABLE wp_commentmeta (meta_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, comment_id INTEGER, meta_key TEXT, meta_value TEXT);
CREATE TABLE wp_sitemeta (meta_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, site_id INTEGER, meta_key TEXT, meta_value TEXT);
CREATE TABLE wp_2_options (option_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, option_name TEXT, option_value TEXT);
CREATE TABLE wp_2_posts (ID INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, post_title TEXT, post_content TEXT, post_type TEXT);
CREATE TABLE wp_2_comments (comment_ID INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, comment_author TEXT, comment_author_email TEXT);
CREATE TABLE wp_wc_orders (id INT NOT NULL PRIMARY KEY, billing_email TEXT, ip_address TEXT, user_agent TEXT,
    customer_note TEXT, transaction_id TEXT, total_amount REAL);
CREATE TABLE wp_wc_order_addresses (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, order_id INTEGER, address_type TEXT,
    first_name TEXT, last_name TEXT, address_1 TEXT, city TEXT, postcode TEXT, country TEXT, email TEXT, phone TEXT);
CREATE TABLE wp_wfhits (id INTEGER NOT NULL PRIMARY KEY, IP BLOB, URL TEXT);
CREATE TABLE wp_foreign_guests (id INTEGER NOT NULL PRIMARY KEY, mail TEXT COLLATE NOCASE UNIQUE, name TEXT, ip INTEGER, extra TEXT, room TEXT) STRICT;
CREATE TABLE wp_foreign_rooms (id INTEGER NOT NULL PRIMARY KEY, name TEXT, city TEXT);
CREATE TABLE _wp_sqlite_mysql_information_schema_tables (TABLE_NAME TEXT);

INSERT INTO wp_users VALUES
    (1, 'zwiebelfisch', '$P$Bsecret1', 'zwiebelfisch', 'GZ@mail.example', 'http://zwiebelfisch.example', 'actkey', 'Grigorij Zwiebelfisch'),
    (2, 'wladimira', '$P$Bsecret2', 'wladimira', 'wq@mail.example', '', '', 'Wladimira Quastenflosser'),
    (3, 'quastenflosser', '', 'quastenflosser', 'wq@mail.example', '', '', '');
INSERT INTO wp_usermeta (user_id, meta_key, meta_value) VALUES
    (1, 'first_name', 'Grigorij'), (1, 'last_name', 'Zwiebelfisch'), (1, 'description', 'biographisch'),
    (1, 'wp_capabilities', 'a:1:{s:13:\"administrator\";b:1;}'), (1, 'session_tokens', 'a:1:{s:15:\"sessionverifier\";i:1;}'),
    (1, 'billing_city', 'Wolkenkuckucksheim'), (1, 'billing_email', 'gz@shop.example'), (1, 'billing_country', 'DE'),
    (2, 'first_name', 'Wladimira');
INSERT INTO wp_comments VALUES
    (1, 'Grigorij Z.', 'gz@mail.example', 'http://x.example', '203.0.113.7', 'OldBrowser', 'Hello, gz@mail.example', 'comment', 0),
    (2, 'WooCommerce', 'woo@shop.example', '', '', '', 'ordernote', 'order_note', 0);
INSERT INTO wp_commentmeta (comment_id, meta_key, meta_value) VALUES (1, 'akismet_as_submitted', 'a:1:{s:7:\"user_ip\";s:11:\"203.0.113.7\";}');
INSERT INTO wp_options (option_name, option_value) VALUES ('admin_email', 'gz@mail.example'), ('blogname', 'Tea shop'),
    ('_transient_x', 'gz@mail.example'), ('conf', 'a:1:{s:2:\"to\";s:15:\"gz@mail.example\";}'), ('css', '@media x{a:url(b@2x.png)}');
INSERT INTO wp_posts VALUES
    (1, 1, 'Contact', 'Write to gz@mail.example or unknown@else.example, see /author/zwiebelfisch/', 'contact', 'page', '', '', 'http://a/?p=1'),
    (2, 1, 'gz@mail.example', '{\"name\":\"Grigorij\"}', 'gz-mail', 'user_request', '', '98765', ''),
    (3, 1, 'Order', '', 'order-1', 'shop_order', 'kaufmich', 'wc_order_key', '');
INSERT INTO wp_postmeta (post_id, meta_key, meta_value) VALUES (3, '_billing_first_name', 'Grigorij'), (3, '_billing_email', 'gz@mail.example'),
    (3, '_billing_address_index', 'Grigorij Zwiebelfisch Irrweg 3 gz@mail.example'), (3, '_customer_ip_address', '203.0.113.7'),
    (3, '_transaction_id', 'ch_3Nverysecret'), (1, '_sku', 'A-1');
INSERT INTO wp_sitemeta (site_id, meta_key, meta_value) VALUES (1, 'site_admins', 'a:1:{i:0;s:12:\"zwiebelfisch\";}'), (1, 'site_name', 'Net');
INSERT INTO wp_2_options (option_name, option_value) VALUES ('admin_email', 'wq@mail.example');
INSERT INTO wp_2_comments VALUES (1, 'W. Quastenflosser', 'wq@mail.example');
INSERT INTO wp_wc_orders VALUES (3, 'GZ@mail.example', '203.0.113.7', 'OldBrowser', 'kaufmich', 'ch_3Nverysecret', 12.5);
INSERT INTO wp_wc_order_addresses VALUES
    (1, 3, 'billing', 'Grigorij', 'Zwiebelfisch', 'Irrweg 3', 'Ponyhof', '98765', 'DE', 'gz@mail.example', '0301234567'),
    (2, 3, 'shipping', 'Grigorij', 'Zwiebelfisch', 'Irrweg 3', 'Ponyhof', '98765', 'DE', NULL, NULL);
INSERT INTO wp_wfhits VALUES (1, x'CB007107', 'logmessage');
INSERT INTO wp_foreign_guests VALUES (1, 'gz@mail.example', 'Herr Zwiebelfisch', 3405803783, '{\"phone\":\"0301234567\",\"pw\":\"x\"}', '7'),
    (2, 'b@mail.example', '', NULL, 'Wladimira Quastenflosser', '8');
INSERT INTO wp_foreign_rooms VALUES (1, 'Blue room', 'Bonn');
";

struct Site {
    dir: tempfile::TempDir,
    done: Scrubbed,
}

impl Site {
    fn scrubbed(extra: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("PRAGMA journal_mode = WAL").unwrap();
        connection.execute_batch(SITE).unwrap();
        connection.execute_batch(extra).unwrap();
        connection
            .execute_batch("CREATE TABLE wp_gone (a TEXT); INSERT INTO wp_gone VALUES ('hushhush'); DROP TABLE wp_gone")
            .unwrap();
        drop(connection);
        let done = scrub(&path, "wp_", &Silent).unwrap();
        Self { dir, done }
    }

    fn open(&self) -> Connection {
        Connection::open(self.dir.path().join("db")).unwrap()
    }

    fn text(&self, query: &str) -> String {
        match self.open().query_row(query, [], |row| row.get(0)).unwrap() {
            Value::Text(text) => text,
            other => format!("{other:?}"),
        }
    }

    fn all(&self, query: &str) -> Vec<String> {
        let connection = self.open();
        let mut select = connection.prepare(query).unwrap();
        let rows = select.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }
}

#[test]
fn nothing_that_was_is_in_any_byte_of_the_file_nor_beside_it() {
    let site = Site::scrubbed("");
    let files: Vec<_> = std::fs::read_dir(site.dir.path()).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let bytes = std::fs::read(&files[0]).unwrap().to_ascii_lowercase();
    for secret in SECRETS {
        let place = memchr::memmem::find(&bytes, secret.to_ascii_lowercase().as_bytes());
        let around = place.map(|at| String::from_utf8_lossy(&bytes[at.saturating_sub(60)..at + 60]).into_owned());
        assert_eq!(around, None, "{secret}");
    }
}

#[test]
fn one_person_is_the_same_one_everywhere() {
    let site = Site::scrubbed("");
    let name = site.text("SELECT display_name FROM wp_users WHERE ID = 1");
    let email = site.text("SELECT user_email FROM wp_users WHERE ID = 1");
    let login = site.text("SELECT user_login FROM wp_users WHERE ID = 1");
    let (first, last) = name.split_once(' ').unwrap();
    for (query, is) in [
        ("SELECT comment_author FROM wp_comments WHERE comment_ID = 1", name.as_str()),
        ("SELECT comment_author_email FROM wp_comments WHERE comment_ID = 1", &email),
        ("SELECT meta_value FROM wp_usermeta WHERE meta_key = 'first_name' AND user_id = 1", first),
        ("SELECT meta_value FROM wp_usermeta WHERE meta_key = 'last_name'", last),
        ("SELECT meta_value FROM wp_postmeta WHERE meta_key = '_billing_first_name'", first),
        ("SELECT billing_email FROM wp_wc_orders", &email),
        ("SELECT last_name FROM wp_wc_order_addresses WHERE address_type = 'shipping'", last),
        ("SELECT option_value FROM wp_options WHERE option_name = 'admin_email'", &email),
        ("SELECT mail FROM wp_foreign_guests WHERE id = 1", &email),
        ("SELECT name FROM wp_foreign_guests WHERE id = 1", &name),
        ("SELECT post_title FROM wp_posts WHERE ID = 2", &email),
    ] {
        assert_eq!(site.text(query), is, "{query}");
    }
    let other = site.text("SELECT display_name FROM wp_users WHERE ID = 2");
    assert_eq!(site.text("SELECT extra FROM wp_foreign_guests WHERE id = 2"), other);
    assert_eq!(site.text("SELECT comment_author FROM wp_2_comments"), other);
    assert_eq!(
        site.text("SELECT meta_value FROM wp_sitemeta WHERE meta_key = 'site_admins'"),
        format!("a:1:{{i:0;s:{}:\"{login}\";}}", login.len())
    );
    assert_eq!(
        site.text("SELECT option_value FROM wp_options WHERE option_name = 'conf'"),
        format!("a:1:{{s:2:\"to\";s:{}:\"{email}\";}}", email.len())
    );
    assert_eq!(
        site.text("SELECT post_content FROM wp_posts WHERE ID = 1"),
        format!("Write to {email} or unknown@else.example, see /author/{login}/")
    );
}

#[test]
fn what_is_of_nobody_stays() {
    let site = Site::scrubbed("");
    for (query, is) in [
        ("SELECT option_value FROM wp_options WHERE option_name = 'blogname'", "Tea shop"),
        ("SELECT option_value FROM wp_options WHERE option_name = 'css'", "@media x{a:url(b@2x.png)}"),
        ("SELECT meta_value FROM wp_usermeta WHERE meta_key = 'wp_capabilities'", "a:1:{s:13:\"administrator\";b:1;}"),
        ("SELECT meta_value FROM wp_usermeta WHERE meta_key = 'billing_country'", "DE"),
        ("SELECT country FROM wp_wc_order_addresses", "DE"),
        ("SELECT name || city FROM wp_foreign_rooms", "Blue roomBonn"),
        ("SELECT room FROM wp_foreign_guests", "7"),
        ("SELECT name FROM wp_foreign_guests WHERE id = 2", ""),
        ("SELECT comment_author FROM wp_comments WHERE comment_ID = 2", "WooCommerce"),
        ("SELECT meta_value FROM wp_postmeta WHERE meta_key = '_sku'", "A-1"),
        ("SELECT post_title FROM wp_posts WHERE ID = 3", "Order"),
        ("SELECT user_pass FROM wp_users WHERE ID = 1", kind::NO_PASSWORD),
        ("SELECT user_pass FROM wp_users WHERE ID = 3", ""),
    ] {
        assert_eq!(site.text(query), is, "{query}");
    }
    assert_eq!(site.all("SELECT DISTINCT user_login FROM wp_users").len(), 3, "logins are unique");
    let ids = "SELECT ID || '' FROM wp_users UNION ALL SELECT comment_ID || '' FROM wp_comments";
    assert_eq!(site.all(ids), ["1", "2", "3", "1", "2"]);
    assert_eq!(site.text("PRAGMA integrity_check"), "ok");
}

#[test]
fn what_was_done_is_told_without_saying_who() {
    let site = Site::scrubbed("");
    assert_eq!(site.done.emptied, ["wp_wfhits"]);
    assert_eq!(site.done.by_names_only, ["wp_foreign_guests", "wp_foreign_rooms"]);
    assert!(site.done.replaced["names"] > 10 && site.done.replaced["passwords"] == 2 && site.done.has_key);
    assert_eq!(site.done.removed_rows, 3);
    let told = serde_json::to_string(&site.done).unwrap().to_lowercase();
    assert!(SECRETS.iter().all(|secret| !told.contains(&secret.to_lowercase())), "{told}");
}

#[test]
fn the_same_database_gives_the_same_result_and_another_password_another_one() {
    let all = |site: &Site| site.all("SELECT user_login || user_email || display_name FROM wp_users");
    let (once, twice) = (Site::scrubbed(""), Site::scrubbed(""));
    assert_eq!(all(&once), all(&twice));
    assert_eq!(once.done, twice.done);
    let other = Site::scrubbed("UPDATE wp_users SET user_pass = '$P$Bother' WHERE ID = 1");
    assert_ne!(all(&once), all(&other));
}

#[test]
fn unique_values_stay_unique_and_none_stays_where_nothing_else_fits() {
    let site = Site::scrubbed(
        "CREATE TABLE wp_x_codes (id INTEGER NOT NULL PRIMARY KEY, user_phone TEXT UNIQUE, birthday TEXT UNIQUE CHECK (birthday = '0815-x'));
         INSERT INTO wp_x_codes SELECT value, printf('%05d', value), NULL FROM generate_series(1, 2000);
         INSERT INTO wp_x_codes VALUES (9999, NULL, '0815-x')"
            .replace("generate_series(1, 2000)", "(WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 40) SELECT value FROM n)")
            .as_str(),
    );
    assert_eq!(site.text("SELECT COUNT(DISTINCT user_phone) || '' FROM wp_x_codes"), "40");
    assert_eq!(site.text("SELECT COUNT(*) || '' FROM wp_x_codes WHERE birthday IS NOT NULL"), "0");
}

#[test]
fn it_ends_where_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    Connection::open(&path).unwrap().execute_batch(SITE).unwrap();
    let calls = AtomicUsize::new(0);
    let go_on = || if calls.fetch_add(1, Ordering::Relaxed) < 3 { Ok(()) } else { Err(io::Error::other("enough")) };
    let progress = Until { progress: &Silent, go_on: &go_on };
    assert!(matches!(scrub(&path, "wp_", &progress), Err(ScrubError::Ended(_))));
    let user = "SELECT user_login FROM wp_users";
    let login: String = Connection::open(&path).unwrap().query_row(user, [], |row| row.get(0)).unwrap();
    assert_eq!(login, "zwiebelfisch", "nothing has changed");
}
