use base64::engine::general_purpose::STANDARD;
use rusqlite::Connection;

use super::*;
use crate::progress::Silent;
use crate::testing::php;

fn rewriter() -> Rewriter {
    Rewriter::new([
        ("http://old.example", "https://new.example.org/sub"),
        ("http://old.example/blog", "https://blog.example.org"),
        ("old.example:8080", "http://127.0.0.1:81"),
    ])
    .unwrap()
}

fn rewritten(text: &str) -> (String, Counts) {
    let mut counts = Counts::default();
    let text = String::from_utf8(rewriter().rewrite(text.as_bytes(), &mut counts).into_owned()).unwrap();
    (text, counts)
}

fn serialized(text: &str) -> String {
    format!("s:{}:\"{text}\";", text.len())
}

#[test]
fn each_address_becomes_its_own_target_in_its_own_spelling() {
    for (there, here) in [
        ("http://old.example/x", "https://new.example.org/sub/x"),
        ("https://OLD.example", "https://new.example.org/sub"),
        ("see //old.example/x", "see //new.example.org/sub/x"),
        ("https://old.example/blog/a", "https://blog.example.org/a"),
        ("https://old.example/blogs/a", "https://new.example.org/sub/blogs/a"),
        ("http://old.example:8080/a", "http://127.0.0.1:81/a"),
        (r#"{"a":"http:\/\/old.example\/blog\/a"}"#, r#"{"a":"https:\/\/blog.example.org\/a"}"#),
        (r#"\"http:\\\/\\\/old.example\\\/a\""#, r#"\"https:\\\/\\\/new.example.org\\\/sub\\\/a\""#),
        ("u=http%3A%2F%2Fold.example%2Fa", "u=https%3A%2F%2Fnew.example.org%2Fsub%2Fa"),
    ] {
        let (text, counts) = rewritten(there);
        assert_eq!(text, here);
        assert_eq!(counts, Counts { addresses: 1, values: 1, ..Counts::default() }, "{there}");
    }
}

#[test]
fn mailboxes_other_hosts_and_bare_names_stay() {
    for text in [
        "me@old.example",
        "old.example",
        "http://old.example.org/",
        "http://notold.example/",
        "http://old.example-x/",
        "http://old.example@evil.example/",
        "http://www.old.example/",
        "http://old.example:81/",
        "http://localhost/",
    ] {
        assert_eq!(rewritten(text), (text.to_owned(), Counts::default()));
    }
}

#[test]
fn what_is_no_address_is_refused() {
    for pair in
        [("", "https://a.example"), ("https://a.example", "a.example"), ("ftp://a.example", "https://a.example")]
    {
        assert!(Rewriter::new([pair]).is_err(), "{pair:?}");
    }
    assert!(Rewriter::of_site(&Addresses::default(), "https://a.example/?b").is_err());
}

#[test]
fn lengths_of_serialized_values_are_right_from_the_inside_out() {
    let value = |url: &str| {
        let inner = format!("a:1:{{{}{}}}", serialized("u"), serialized(&serialized(url)));
        let own = serialized("\0*\0p") + &serialized(url) + &serialized("\0Un\\Known\0q") + &serialized(&inner);
        let opaque = format!("x:i:0;{};m:a:0:{{}}", serialized(url));
        format!(
            " a:3:{{i:0;O:8:\"Un\\Known\":2:{{{own}}}{}i:7;i:1;C:11:\"ArrayObject\":{}:{{{opaque}}}}}\n",
            serialized(url),
            opaque.len()
        )
    };
    let (text, counts) = rewritten(&value("http://old.example/é"));
    assert_eq!(text, value("https://new.example.org/sub/é"));
    assert_eq!(counts, Counts { addresses: 4, values: 1, ..Counts::default() });
}

#[test]
fn values_far_inside_of_others_are_rewritten() {
    let value = |url: &str| "a:1:{i:0;".repeat(200) + &serialized(url) + &"}".repeat(200);
    assert_eq!(rewritten(&value("http://old.example")).0, value("https://new.example.org/sub"));
    let texts = |url: &str| (0..50).fold(url.to_owned(), |text, _| serialized(&text));
    assert_eq!(rewritten(&texts("http://old.example")).0, texts("https://new.example.org/sub"));
    let too_deep = "a:1:{i:0;".repeat(100_000) + &serialized("http://old.example") + &"}".repeat(100_000);
    assert_eq!(rewritten(&too_deep).1, Counts { broken: 1, ..Counts::default() });
}

#[test]
fn a_host_name_may_have_letters_of_all_languages() {
    let rewriter = Rewriter::new([("https://bücher.example", "https://new.example")]).unwrap();
    let text = rewriter.rewrite("http://bücher.example/é".as_bytes(), &mut Counts::default());
    assert_eq!(text, "https://new.example/é".as_bytes());
}

#[test]
fn a_key_that_would_be_the_same_as_another_stays() {
    let keys = ["http://old.example/a", "https://old.example/a", "http://old.example/b"].map(serialized);
    let (text, _) = rewritten(&format!("a:3:{{{}i:1;{}i:2;{}i:3;}}", keys[0], keys[1], keys[2]));
    let new = ["https://new.example.org/sub/a", "https://new.example.org/sub/b"].map(serialized);
    assert_eq!(text, format!("a:3:{{{}i:1;{}i:2;{}i:3;}}", new[0], keys[1], new[1]));
}

#[test]
fn a_broken_value_stays_and_is_counted_also_inside_of_a_sound_one() {
    for broken in [
        "s:5:\"http://old.example\";",
        "a:1:{s:1:\"u\";s:18:\"http://old.example\";",
        "O:8:\"Un\\Known\":1:{s:1:\"u\";s:19:\"http://old.example\";}",
        "C:3:\"Own\":5:{http://old.example}",
        "s:18:\"http://old.example\";x",
        "a:99999999999999999999:{s:18:\"http://old.example\";}",
    ] {
        let one = Counts { broken: 1, ..Counts::default() };
        assert_eq!(rewritten(broken), (broken.to_owned(), one));
        let sound = |url| format!("a:2:{{i:0;{}i:1;{}}}", serialized(broken), serialized(url));
        let (text, counts) = rewritten(&sound("http://old.example"));
        assert_eq!(text, sound("https://new.example.org/sub"));
        assert_eq!(counts, Counts { addresses: 1, values: 1, ..one });
    }
    assert_eq!(rewritten("s:5:\"old.example\";").1, Counts::default(), "without an address it is nobody's business");
}

#[test]
fn what_is_encoded_as_base64_stays_and_is_counted() {
    for before in ["", "x", "xy"] {
        let text = STANDARD.encode(format!("{before}http://old.example/a"));
        assert_eq!(rewritten(&text), (text, Counts { encoded: 1, ..Counts::default() }));
    }
    assert_eq!(rewritten(&STANDARD.encode("http://other.example/a")).1, Counts::default());
}

#[test]
fn a_site_of_a_network_gets_its_host_and_its_path() {
    let domain = |rewriter: &Rewriter, domain: &str, path: &str| {
        let rewritten = rewriter.rewrite_domain(domain.as_bytes(), path.as_bytes());
        rewritten.map(|(domain, path)| [domain, path].map(|text| String::from_utf8(text).unwrap()))
    };
    let found = domain(&rewriter(), "old.example", "/two/").unwrap();
    assert_eq!(found, ["new.example.org", "/sub/two/"]);
    assert_eq!(domain(&rewriter(), "old.example", "/blog/").unwrap(), ["blog.example.org", "/"]);
    assert_eq!(domain(&rewriter(), "old.example:8080", "/").unwrap(), ["127.0.0.1:81", "/"]);
    assert_eq!(domain(&rewriter(), "other.example", "/"), None);
}

#[test]
fn all_that_a_site_was_served_at_becomes_one_address() {
    let addresses = Addresses::parse("root wp.localhost\nport 18080\nhome old.example/blog\n");
    let rewriter = Rewriter::of_site(&addresses, "https://new.example.org").unwrap();
    let text =
        b"http://wp.localhost:18080/a http://sale.wp.localhost:18080/b //old.example/blog/c http://127.0.0.1:18080/d";
    let here: &[u8] =
        b"https://new.example.org/a https://new.example.org/b //new.example.org/c https://new.example.org/d";
    assert_eq!(rewriter.rewrite(text, &mut Counts::default()), here);
}

#[test]
fn a_database_is_rewritten_but_for_guids_and_the_drivers_tables() {
    let connection = Connection::open_in_memory().unwrap();
    connection
        .execute_batch(
            "CREATE TABLE wp_posts (ID INTEGER PRIMARY KEY, guid TEXT, post_content TEXT, modified TEXT) STRICT;
             CREATE TRIGGER t AFTER UPDATE ON wp_posts BEGIN UPDATE wp_posts SET modified = 'now' WHERE ID = NEW.ID; END;
             INSERT INTO wp_posts VALUES (1, 'http://old.example/?p=1', '<a href=\"http://old.example/a\">', 'then'), (2, 'x', 'y', 'then');
             CREATE TABLE wp_options (option_id INTEGER PRIMARY KEY, option_name TEXT UNIQUE, option_value TEXT) STRICT;
             INSERT INTO wp_options VALUES (1, 'siteurl', 'http://old.example'), (2, 'widget', 's:1:\"http://old.example\";'),
                (3, 'http://old.example', ''), (4, 'https://new.example.org/sub', '');
             CREATE TABLE wp_blogs (blog_id INTEGER PRIMARY KEY, domain TEXT, path TEXT) STRICT;
             INSERT INTO wp_blogs VALUES (1, 'old.example', '/'), (2, 'old.example', '/two/'), (3, 'other.example', '/');
             CREATE TABLE wp_log (url TEXT, rowid TEXT, n INTEGER, PRIMARY KEY (url, n)) STRICT, WITHOUT ROWID;
             INSERT INTO wp_log VALUES ('http://old.example/l', 'r', 1);
             CREATE TABLE wp_bytes (bytes BLOB) STRICT;
             INSERT INTO wp_bytes VALUES (CAST('http://old.example' AS BLOB));
             CREATE TABLE _wp_sqlite_x (value TEXT); INSERT INTO _wp_sqlite_x VALUES ('http://old.example');",
        )
        .unwrap();
    let report = rewrite(&connection, &rewriter(), &Silent).unwrap();
    let all = |sql: &str| {
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.map(Result::unwrap).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        all("SELECT guid || post_content || modified FROM wp_posts"),
        "http://old.example/?p=1<a href=\"https://new.example.org/sub/a\">then xythen"
    );
    assert_eq!(
        all("SELECT option_name || '=' || option_value FROM wp_options ORDER BY option_id"),
        "siteurl=https://new.example.org/sub widget=s:1:\"http://old.example\"; http://old.example= https://new.example.org/sub="
    );
    assert_eq!(
        all("SELECT domain || path FROM wp_blogs"),
        "new.example.org/sub/ new.example.org/sub/two/ other.example/"
    );
    assert_eq!(all("SELECT url FROM wp_log"), "https://new.example.org/sub/l");
    assert_eq!(all("SELECT CAST(bytes AS TEXT) FROM wp_bytes"), "http://old.example");
    assert_eq!(all("SELECT value FROM _wp_sqlite_x"), "http://old.example");
    assert_eq!((report.rows, report.rows_left), (5, 1));
    assert_eq!((report.counts.addresses, report.counts.broken), (5, 1));
    let broken = BrokenValue { table: "wp_options".into(), column: "option_value".into(), row: "2 (widget)".into() };
    assert_eq!(report.broken_values, [broken]);
}

/// Values of many kinds, each with what it is to be: rewritten as a value, and serialized again.
const RANDOM_VALUES: &str = r##"
    class Own { public $a; protected $b; private $c; public ?Own $next = null;
        function __construct($a, $b, $c) { $this->a = $a; $this->b = $b; $this->c = $c; }
        function each(callable $do) { foreach (['a', 'b', 'c'] as $name) { $this->$name = $do($this->$name); } if ($this->next) { $this->next->each($do); } } }
    enum Suit: string { case Up = 'http://old.example'; }
    error_reporting(E_ALL & ~E_DEPRECATED);
    eval('class Opaque implements Serializable { public $text = "";
        function serialize() { return $this->text; } function unserialize($text) { $this->text = $text; } }');
    mt_srand(11);
    function text() {
        $pieces = ['http://old.example/a', 'https://old.example', '//old.example/x', 'http:\/\/old.example\/j', 'http%3A%2F%2Fold.example%2F',
            'me@old.example', 'http://old.example.org', '"', "'", "\\", "\0", "\xff", 'é', '🎉', ' ', "\n", '{', '}', ';', '(', '<p>', 'x'];
        $text = '';
        for ($n = mt_rand(0, 6); $n > 0; $n--) { $text .= $pieces[mt_rand(0, count($pieces) - 1)] . [' ', '"', ''][mt_rand(0, 2)]; }
        return $text;
    }
    function value(int $depth) {
        switch (mt_rand(0, $depth ? 14 : 5)) {
            case 0: return [null, true, 7, -0.5, Suit::Up][mt_rand(0, 4)];
            case 1: case 2: case 3: case 4: case 5: return text();
            case 6: return new Own(value($depth - 1), text(), value($depth - 1));
            case 7: $own = new Own(text(), 1, 2); $own->next = new Own(text(), text(), [text()]); return $own;
            case 8: $opaque = new Opaque(); $opaque->text = text(); return $opaque;
            case 9: return serialize(value($depth - 1));
            case 10: return (object) ['x' => value($depth - 1), 'y' => text()];
            case 11: $same = new Own(text(), 0, 0); return [$same, 'again' => $same, 'r' => text()];
            case 12: return substr(serialize([text(), text()]), 0, -1);
            default:
                $array = [];
                for ($n = mt_rand(0, 4); $n > 0; $n--) {
                    if (mt_rand(0, 1)) { $array[] = value($depth - 1); } else { $array['k' . mt_rand(0, 5)] = value($depth - 1); }
                }
                return $array;
        }
    }
    function plain(string $text): string {
        $end = '(?![a-z0-9@_-]|\xc3\xa9|[.:][a-z0-9])';
        $begin = '(?<![a-z0-9:\/\\\\.@%_~-]|[^\x00-\x7f])';
        $text = preg_replace("#https?://old\.example$end#i", 'https://new.example.org', $text);
        $text = preg_replace("#$begin//old\.example$end#i", '//new.example.org', $text);
        $text = preg_replace("#https?:\\\\/\\\\/old\.example$end#i", 'https:\/\/new.example.org', $text);
        return preg_replace("#https?%3A%2F%2Fold\.example$end#i", 'https%3A%2F%2Fnew.example.org', $text);
    }
    function rewritten($value, array &$seen) {
        if (is_string($value)) {
            if (!preg_match('#^(a:\d+:\{|[sOC]:\d+:")#', trim($value))) { return plain($value); }
            $inner = @unserialize(trim($value));
            if ($inner === false || serialize($inner) !== trim($value)) { return $value; }
            $before = strlen($value) - strlen(ltrim($value));
            return substr($value, 0, $before) . serialize(again($inner)) . substr($value, $before + strlen(trim($value)));
        }
        if (is_array($value)) {
            foreach ($value as $key => $member) { $value[$key] = rewritten($member, $seen); }
            return $value;
        }
        if (is_object($value) && !($value instanceof UnitEnum) && !in_array($value, $seen, true)) {
            $seen[] = $value;
            if ($value instanceof Own) { $value->each(function ($member) use (&$seen) { return rewritten($member, $seen); }); }
            elseif ($value instanceof Opaque) { $value->text = rewritten($value->text, $seen); }
            else { foreach (get_object_vars($value) as $name => $member) { $value->$name = rewritten($member, $seen); } }
        }
        return $value;
    }
    function again($value) { $seen = []; return rewritten($value, $seen); }
    for ($n = 0; $n < 4000; $n++) {
        $value = value(5);
        $written = serialize($value);
        echo base64_encode($written), ' ', base64_encode(serialize(again(unserialize($written)))), "\n";
    }
"##;

#[test]
fn random_values_of_php_are_what_php_makes_of_them() {
    let Some(lines) = php(RANDOM_VALUES, b"") else { return };
    let rewriter = Rewriter::new([("old.example", "https://new.example.org")]).unwrap();
    let mut counts = Counts::default();
    let mut number = 0;
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let mut values = line.split(|byte| *byte == b' ').map(|value| STANDARD.decode(value).unwrap());
        let (there, here) = (values.next().unwrap(), values.next().unwrap());
        let found = rewriter.rewrite(&there, &mut counts);
        let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
        assert_eq!(shown(&found), shown(&here), "of {}", shown(&there));
        number += 1;
    }
    assert_eq!(number, 4000);
    assert!(counts.addresses > 2000 && counts.broken > 100 && counts.values > 1000, "{counts:?}");
}
