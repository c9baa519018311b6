//! Exports of tools that people develop with, and of hosts.

use super::*;

/// An SQLite database with something in its log that is not in the file, and a client that keeps it open.
fn sqlite(path: &Path) -> rusqlite::Connection {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let connection = rusqlite::Connection::open(path).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; CREATE TABLE wp_options (a TEXT); INSERT INTO wp_options VALUES ('first');",
        )
        .unwrap();
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO wp_options VALUES ('second');").unwrap();
    connection
}

fn rows(database: &Path) -> Vec<String> {
    let connection = rusqlite::Connection::open(database).unwrap();
    let mut rows = connection.prepare("SELECT a FROM wp_options ORDER BY rowid").unwrap();
    rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn copied(found: &Found) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join(".ht.sqlite");
    found.copy_database(&to, &Silent).unwrap_or_else(|error| panic!("{error} {error:?}"));
    assert_eq!(files(dir.path()), [".ht.sqlite"]);
    rows(&to)
}

const DRIVER: [(&str, &str); 3] = [
    ("wp-content/db.php", "<?php // sqlite-database-integration"),
    ("wp-content/mu-plugins/sqlite-database-integration/load.php", "<?php"),
    (
        "wp-content/mu-plugins/sqlite-database-integration/wp-includes/database/version.php",
        "<?php\n/** SQLITE_DRIVER_VERSION, '1' */\ndefine( 'SQLITE_DRIVER_VERSION', '2.2.3' );\n",
    ),
];

#[test]
fn an_export_of_local_is_known_with_its_site_and_dump() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("in");
    wordpress(&source.join("client/app/public"));
    let about = r#"{"name":"client","domain":"client.local","services":{"php":{"version":"8.2.10"}}}"#;
    write(
        &source,
        &[
            ("client/app/sql/local.sql", DUMP),
            ("client/conf/php/php.ini.hbs", "x"),
            ("client/logs/php/error.log", "x"),
            ("client/local-site.json", about),
            ("client/app/public/local-xdebuginfo.php", "<?php"),
        ],
    );
    run(&source, "zip", &["-qr", "../client.zip", "client"]);
    for path in [dir.path().join("client.zip"), source.clone()] {
        let found = found(&path);
        assert_eq!((found.kind, dumps(&found)), (Kind::Local, vec!["client/app/sql/local.sql".to_owned()]));
        assert_eq!(unpacked(&found), TAKEN);
        assert_eq!(
            (found.facts.php.as_deref(), found.facts.siteurl.as_deref()),
            (Some("8.2.10"), Some("http://client.local"))
        );
    }
    fs::remove_file(source.join("client/local-site.json")).unwrap();
    assert_eq!(found(&source).kind, Kind::Local);
}

#[test]
fn an_export_of_studio_is_known_and_its_split_dump_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("in");
    content(&source);
    let table = |name: &str| {
        format!("DROP TABLE IF EXISTS `{name}`;\nCREATE TABLE `{name}` (a int);\nINSERT INTO `{name}` VALUES (1)")
    };
    for name in ["x1_options", "x1_posts", "x1_comments"] {
        write(&source, &[(&format!("sql/{name}.sql"), &table(name))]);
    }
    write(
        &source,
        &[
            ("wp-config.php", CONFIG),
            (
                "meta.json",
                r#"{"phpVersion":"8.3","wordpressVersion":"6.7","plugins":[],"siteUrl":"http://localhost:8881"}"#,
            ),
        ],
    );
    run(&source, "tar", &["-czf", "../studio.tar.gz", "."]);
    run(&source, "zip", &["-qr", "../studio.zip", "."]);
    for name in ["studio.tar.gz", "studio.zip"] {
        let found = found(&dir.path().join(name));
        assert_eq!(found.kind, Kind::StudioExport);
        let mut parts = dumps(&found);
        let text = sql(&found);
        let places: Vec<_> = parts
            .iter()
            .map(|part| text.find(&format!("CREATE TABLE `{}`", part[4..].trim_end_matches(".sql"))).unwrap())
            .collect();
        assert!(places.is_sorted(), "the dump comes in the order that is told");
        parts.sort();
        assert_eq!(parts, ["sql/x1_comments.sql", "sql/x1_options.sql", "sql/x1_posts.sql"]);
        assert!(text.contains("VALUES (1)DROP"), "{text}");
        assert_eq!(
            found.notes[1..],
            ["the dump has no table of users".to_owned(), "the dump has no table of usermeta".to_owned()]
        );
        assert_eq!(unpacked(&found), taken_content());
        assert_eq!(
            (found.facts.php.as_deref(), found.facts.siteurl.as_deref()),
            (Some("8.3"), Some("http://localhost:8881"))
        );
    }
    fs::rename(source.join("meta.json"), source.join("studio.json")).unwrap();
    assert_eq!(found(&source).kind, Kind::StudioExport);
}

#[test]
fn a_backup_of_jetpack_is_told_from_one_of_studio() {
    let dir = tempfile::tempdir().unwrap();
    content(dir.path());
    let users = "CREATE TABLE `wp_users` (a int);";
    write(
        dir.path(),
        &[
            ("sql/wp_options.sql", "CREATE TABLE `wp_options` (a int);"),
            ("sql/wp_users.sql", users),
            ("meta.json", r#"{"title":"x"}"#),
            ("wp-config.php", CONFIG),
        ],
    );
    let found = found(dir.path());
    assert_eq!((found.kind, found.dumps.len()), (Kind::Jetpack, 2));
    assert_eq!(found.facts.prefix.as_deref(), Some("wp_"), "the tables of the dump count");
}

#[test]
fn a_site_of_studio_comes_with_its_database_its_log_and_its_driver() {
    let dir = tempfile::tempdir().unwrap();
    wordpress(dir.path());
    write(dir.path(), &DRIVER);
    write(dir.path(), &[("wp-content/mu-plugins/0-permalinks.php", "<?php"), ("wp-content/uploads/notes.sql", "x")]);
    let open = sqlite(&dir.path().join("wp-content/database/.ht.sqlite"));
    let found = found(dir.path());
    assert_eq!((found.kind, found.dumps.len()), (Kind::StudioSite, 0));
    assert_eq!(found.facts.driver.as_deref(), Some("2.2.3"));
    assert_eq!(copied(&found), ["first", "second"]);
    let files = unpacked(&found);
    assert!(
        files.contains(&"wp-content/db.php".to_owned())
            && !files.iter().any(|file| file.contains("wp-content/database/")),
        "{files:?}"
    );
    assert!(!files.contains(&"wp-content/mu-plugins/0-permalinks.php".to_owned()));
    drop(open);
}

#[test]
fn an_export_of_playground_has_its_database_in_the_archive() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("in");
    content(&source);
    let open = sqlite(&source.join("wp-content/database/.ht.sqlite"));
    run(&source, "zip", &["-qr", "../p.zip", "."]);
    let plain = found(&dir.path().join("p.zip"));
    assert_eq!((plain.kind, copied(&plain)), (Kind::Playground, vec!["first".to_owned(), "second".to_owned()]));
    write(&source, &[("playground-export.json", r#"{"siteUrl":"https://playground.wordpress.net/scope:1"}"#)]);
    run(&source, "zip", &["-qr", "../q.zip", "."]);
    let named = found(&dir.path().join("q.zip"));
    assert_eq!(named.kind, Kind::Playground);
    assert_eq!(named.facts.siteurl.as_deref(), Some("https://playground.wordpress.net/scope:1"));
    drop(open);
    let broken = source.join("wp-content/database/.ht.sqlite");
    let bytes = fs::read(&broken).unwrap();
    fs::write(&broken, [&bytes[..100], &vec![7; bytes.len() - 100]].concat()).unwrap();
    run(&source, "zip", &["-qr", "../r.zip", "."]);
    let out = dir.path().join("out");
    fs::create_dir(&out).unwrap();
    let error = found(&dir.path().join("r.zip")).copy_database(&out.join("x"), &Silent).unwrap_err();
    assert!(matches!(error, SourceError::Database(_)), "{error}");
    assert_eq!(files(&out), Vec::<String>::new());
}

#[test]
fn a_newer_drivers_database_is_where_its_file_says() {
    let dir = tempfile::tempdir().unwrap();
    wordpress(dir.path());
    write(dir.path(), &DRIVER);
    let id = "0123456789abcdef0123456789abcdef";
    let open = sqlite(&dir.path().join(format!("wp-content/database/.ht.{id}/.ht.sqlite")));
    let place = PathBuf::from(format!("wp-content/database/.ht.{id}/.ht.sqlite"));
    assert_eq!(found(dir.path()).database, Some(place.clone()));
    let old = sqlite(&dir.path().join("wp-content/database/.ht.sqlite"));
    assert_eq!(found(dir.path()).database, Some(PathBuf::from("wp-content/database/.ht.sqlite")));
    write(
        dir.path(),
        &[("wp-content/database/db-path.php", &format!("<?php return __DIR__ . '/.ht.{id}/.ht.sqlite';"))],
    );
    assert_eq!(found(dir.path()).database, Some(place));
    drop((open, old));
}

#[test]
fn a_bare_sqlite_database_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let open = sqlite(&dir.path().join("site.db"));
    let found = found(&dir.path().join("site.db"));
    assert_eq!((found.kind, copied(&found)), (Kind::Sqlite, vec!["first".to_owned(), "second".to_owned()]));
    let other = dir.path().join("other");
    fs::write(&other, "mine").unwrap();
    assert!(found.copy_database(&other, &Silent).is_err());
    assert_eq!(text(&other), "mine", "what is there stays");
    drop(open);
}

#[test]
fn a_backup_of_backwpup_is_known_by_its_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("in");
    wordpress(&source);
    let manifest = r#"{"archive":{"extension":".tar.gz"},"blog_info":{"url":"https://a.test","wpurl":"https://a.test/wp","prefix":"x1_","version":"6.1"}}"#;
    write(&source, &[("manifest.json", manifest), ("client.sql", DUMP), ("backwpup_readme.txt", "x")]);
    run(&source, "gzip", &["client.sql"]);
    run(&source, "tar", &["-czf", "../b.tar.gz", "."]);
    let found = found(&dir.path().join("b.tar.gz"));
    assert_eq!(
        (found.kind, dumps(&found), sql(&found).as_str()),
        (Kind::BackWpup, vec!["client.sql.gz".to_owned()], DUMP)
    );
    assert_eq!(
        (found.facts.home.as_deref(), found.facts.siteurl.as_deref()),
        (Some("https://a.test"), Some("https://a.test/wp"))
    );
    assert!(!unpacked(&found).contains(&"client.sql.gz".to_owned()));
}

#[test]
fn a_backup_of_cpanel_asks_which_site_and_takes_that_ones_database() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("backup-1.1.2026_me");
    wordpress(&source.join("homedir/public_html"));
    write(
        &source,
        &[
            ("mysql/client.sql", DUMP),
            ("mysql/me_shop.sql", "CREATE TABLE `wp_posts` (a int);"),
            ("mysql/me_shop.create", "CREATE DATABASE `me_shop`;\n"),
            ("mysql.sql", "GRANT USAGE ON *.* TO 'me'@'localhost';\n"),
            ("cp/me", "x"),
        ],
    );
    std::os::unix::fs::symlink("public_html", source.join("homedir/www")).unwrap();
    run(dir.path(), "tar", &["-czf", "me.tar.gz", "backup-1.1.2026_me"]);
    let one = found(&dir.path().join("me.tar.gz"));
    assert_eq!((one.kind, dumps(&one)), (Kind::Cpanel, vec!["backup-1.1.2026_me/mysql/client.sql".to_owned()]));
    assert_eq!(unpacked(&one), TAKEN);
    let shop = CONFIG.replace("client", "me_shop");
    write(&source, &[("homedir/shop.test/wp-load.php", "<?php"), ("homedir/shop.test/wp-config.php", &shop)]);
    let choices = several(&source);
    assert_eq!(choices, ["homedir/public_html", "homedir/shop.test"]);
    assert_eq!(dumps(&found_with(&source, &inside(&[&choices[1]]))), ["mysql/me_shop.sql"]);
}

#[test]
fn what_has_the_site_in_further_archives_says_what_to_unpack() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        &[("plesk/backup_info_2611.xml", "<migration-dump/>"), ("plesk/domains/a/backup_user-data_2611.tgz", "x")],
    );
    write(dir.path(), &[("cp/mysql/a.sql", DUMP), ("cp/homedir.tar", "x")]);
    for (name, word) in [("plesk", "backup_user-data"), ("cp", "homedir.tar")] {
        let error = refused(&dir.path().join(name));
        assert!(matches!(&error, SourceError::Refused { hint, .. } if hint.contains(word)), "{error}");
    }
}

#[test]
fn an_export_of_wp_migrate_has_its_files_below_files() {
    let dir = tempfile::tempdir().unwrap();
    content(&dir.path().join("files"));
    let dump = "# WordPress MySQL database migration\n#\n# Hostname: localhost\n# Database: `client`\n# URL: //a.test\n# Path: /srv/a\n\nSET NAMES utf8mb4;\n";
    let about = r#"{"name":"a","domain":"a.test","path":"/srv/a","wpVersion":"6.5","services":{"php":{"name":"php","version":"8.1"}},"wpMigrate":{"version":"2.6"}}"#;
    write(dir.path(), &[("database.sql", dump), ("wpmigrate-export.json", about)]);
    let found = found(dir.path());
    assert_eq!((found.kind, dumps(&found)), (Kind::WpMigrate, vec!["database.sql".to_owned()]));
    assert_eq!(unpacked(&found), taken_content());
    assert_eq!((found.facts.wordpress.as_deref(), found.facts.php.as_deref()), (Some("6.5"), Some("8.1")));
}

#[test]
fn a_branch_of_a_forkpress_site_is_taken_with_its_database() {
    let dir = tempfile::tempdir().unwrap();
    let site = crate::site::testing::site(dir.path());
    site.config.write(&site.layout.config()).unwrap();
    for name in ["main", "sale"] {
        let branch = crate::site::testing::branch(&site, name, None);
        let tree = site.layout.branch(&branch);
        wordpress(&tree);
        write(&tree, &DRIVER);
        write(&tree, &[(&format!("wp-content/uploads/{name}.txt"), "x")]);
        drop(sqlite(&tree.join("wp-content/database/.ht.sqlite")));
    }
    let main = found(dir.path());
    assert_eq!((main.kind, copied(&main)), (Kind::ForkPressSite, vec!["first".to_owned(), "second".to_owned()]));
    assert!(unpacked(&main).contains(&"wp-content/uploads/main.txt".to_owned()));
    let sale = Options { branch: Some("sale".parse().unwrap()), ..Options::default() };
    assert!(unpacked(&found_with(dir.path(), &sale)).contains(&"wp-content/uploads/sale.txt".to_owned()));
    let none = Options { branch: Some("none".parse().unwrap()), ..Options::default() };
    assert!(matches!(look(dir.path(), &none, &Silent), Err(SourceError::Refused { .. })));
    assert_eq!(found(&dir.path().join("sale")).kind, Kind::WordPressSqlite);
}

#[test]
fn an_export_of_forkpress_is_known_by_its_dump() {
    let dir = tempfile::tempdir().unwrap();
    wordpress(dir.path());
    write(dir.path(), &[("database.sql", &format!("-- Made by ForkPress 0.1.0\n{DUMP}"))]);
    let found = found(dir.path());
    assert_eq!((found.kind, dumps(&found)), (Kind::ForkPressExport, vec!["database.sql".to_owned()]));
    assert_eq!(unpacked(&found), TAKEN);
    write(dir.path(), &[("database.sql", &DUMP.replace("Database: client", "Database: forkpress"))]);
    assert_eq!(look(dir.path(), &Options::default(), &Silent).unwrap().kind, Kind::WordPress);
}

#[test]
fn a_network_is_told_with_its_domain() {
    let dir = tempfile::tempdir().unwrap();
    wordpress(dir.path());
    let network = "define( 'MULTISITE', true ); define( 'SUBDOMAIN_INSTALL', true ); define( 'DOMAIN_CURRENT_SITE', 'a.test' ); define( 'PATH_CURRENT_SITE', '/' );";
    write(dir.path(), &[("wp-config.php", &CONFIG.replace("define( 'MINE', 1 );", network))]);
    let network = Network { has_subdomains: Some(true), domain: Some("a.test".into()), path: Some("/".into()) };
    assert_eq!(found(dir.path()).facts.network, Some(network));
}
