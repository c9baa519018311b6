//! Folders, archives and dumps that no tool in particular made.

use super::*;

/// Packs what is in a folder in each way that is known, under names that say nothing.
fn packed(folder: &Path) -> Vec<PathBuf> {
    let out = folder.parent().unwrap();
    run(folder, "zip", &["-qr", "../a.bin", "."]);
    run(folder, "tar", &["-cf", "../b.bin", "."]);
    run(folder, "tar", &["-czf", "../c.zip", "."]);
    run(folder, "tar", &["--zstd", "-cf", "../d.sql", "."]);
    run(folder, "tar", &["-cjf", "../e", "."]);
    ["a.bin", "b.bin", "c.zip", "d.sql", "e"].map(|name| out.join(name)).into()
}

#[test]
fn a_wordpress_with_a_dump_is_found_at_any_depth_in_whatever_it_is_packed() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    wordpress(&source.join("backup of 2026/public_html"));
    write(&source, &[("backup of 2026/db/the database.backup", DUMP), ("backup of 2026/notes.txt", "hello\n")]);
    for path in [vec![source.clone()], packed(&source)].concat() {
        let found = found(&path);
        assert_eq!(found.kind, Kind::WordPress, "{}", path.display());
        assert_eq!(dumps(&found), ["backup of 2026/db/the database.backup"]);
        assert_eq!(sql(&found), DUMP);
        assert_eq!(unpacked(&found), TAKEN);
        let facts = &found.facts;
        assert_eq!(
            (facts.prefix.as_deref(), facts.wordpress.as_deref(), facts.charset.as_deref()),
            (Some("x1_"), Some("6.4.3"), Some("utf8mb4"))
        );
        assert_eq!(found.config(), Some(CONFIG.as_bytes()));
        assert_eq!(
            aside(&found),
            [
                ("wp-config.php".into(), Why::Configuration),
                ("wp-content/advanced-cache.php".into(), Why::Host),
                ("wp-content/cache".into(), Why::Cache),
                ("wp-content/mu-plugins/kinsta-mu-plugins.php".into(), Why::Host),
                ("wp-content/object-cache.php".into(), Why::Host),
            ]
        );
    }
}

#[test]
fn only_a_wp_content_is_one_and_nothing_beside_it_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    content(&dir.path().join("site"));
    write(dir.path(), &[("site/secret.txt", "x"), ("site/db.sql", DUMP)]);
    let found = found(dir.path());
    assert_eq!(unpacked(&found), taken_content());
    assert!(!found.root.as_ref().unwrap().has_core);
    let facts = &found.facts;
    assert_eq!((facts.prefix.as_deref(), &facts.wordpress), (Some("x1_"), &None), "the dump tells what there is");
}

#[test]
fn a_bare_dump_is_one_however_it_is_packed_and_called() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[("dump.sql", DUMP)]);
    run(
        dir.path(),
        "sh",
        &[
            "-c",
            "gzip -k dump.sql; mv dump.sql.gz a; zstd -qk dump.sql -o b; bzip2 -k dump.sql; mv dump.sql.bz2 c; zip -q d dump.sql; mv d.zip d; cp dump.sql e",
        ],
    );
    for name in ["a", "b", "c", "d", "e", "dump.sql"] {
        let found = found(&dir.path().join(name));
        assert_eq!((found.kind, &found.root), (Kind::Dump, &None), "{name}");
        assert_eq!(sql(&found), DUMP, "{name}");
        assert_eq!(unpacked(&found), Vec::<String>::new());
    }
}

#[test]
fn a_packed_dump_in_an_archive_is_unpacked_as_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    content(&dir.path().join("in"));
    write(dir.path(), &[("in/x/db.sql", DUMP)]);
    for tool in ["gzip", "bzip2", "zstd -q --rm"] {
        run(
            &dir.path().join("in/x"),
            "sh",
            &["-c", &format!("{tool} db.sql && mv db.sql.* db.save && cd ../.. && rm -f a.zip && zip -qr a in")],
        );
        let found = found(&dir.path().join("a.zip"));
        assert_eq!(sql(&found), DUMP, "{tool}");
        fs::remove_file(dir.path().join("in/x/db.save")).unwrap();
        write(dir.path(), &[("in/x/db.sql", DUMP)]);
    }
}

#[test]
fn of_several_dumps_or_sites_none_is_guessed() {
    let dir = tempfile::tempdir().unwrap();
    for site in ["one", "two"] {
        content(&dir.path().join(site));
        let other = DUMP.replace("Database: client", &format!("Database: {site}"));
        write(dir.path(), &[(&format!("{site}/{site}.sql"), &other)]);
    }
    assert_eq!(several(dir.path()), ["one", "two"]);
    let hint = forkpress_core::advice::Advice::hint(&refused(dir.path())).unwrap();
    assert!(hint.contains("--inside 'one'"), "{hint}");
    let error = look(dir.path(), &inside(&["./two/"]), &Silent).map(|found| dumps(&found)).unwrap();
    assert_eq!(error, ["two/two.sql"]);
    let found = found_with(dir.path(), &inside(&["two", "one/one.sql"]));
    assert_eq!(
        (found.root.as_ref().unwrap().folder.as_path(), dumps(&found)),
        (Path::new("two"), vec!["one/one.sql".to_owned()])
    );
    let missing = look(dir.path(), &inside(&["three"]), &Silent);
    assert!(matches!(missing, Err(SourceError::Several { .. } | SourceError::NotInside { .. })));
    let alone = tempfile::tempdir().unwrap();
    wordpress(alone.path());
    for useless in ["three", "wp-includes"] {
        assert!(matches!(look(alone.path(), &inside(&[useless]), &Silent), Err(SourceError::NotInside { .. })));
    }
}

#[test]
fn a_dump_is_chosen_by_the_name_of_its_database() {
    let dir = tempfile::tempdir().unwrap();
    wordpress(&dir.path().join("public"));
    write(dir.path(), &[("client.sql", "CREATE TABLE `x1_posts` (a);"), ("other.sql", "CREATE TABLE `y_posts` (a);")]);
    assert_eq!(dumps(&found(dir.path())), ["client.sql"]);
    fs::rename(dir.path().join("client.sql"), dir.path().join("z.sql")).unwrap();
    assert_eq!(several(dir.path()), ["other.sql", "z.sql"]);
    write(dir.path(), &[("z.sql", DUMP)]);
    assert_eq!(dumps(&found(dir.path())), ["z.sql"]);
}

#[test]
fn dumps_in_a_site_are_set_aside_and_a_backups_one_is_the_last_resort() {
    let dir = tempfile::tempdir().unwrap();
    wordpress(dir.path());
    write(dir.path(), &[("wp-content/mysql.sql", DUMP), ("wp-content/updraft/old.sql", DUMP)]);
    let both = found(dir.path());
    assert_eq!(dumps(&both), ["wp-content/mysql.sql"]);
    assert_eq!(unpacked(&both), TAKEN);
    fs::remove_file(dir.path().join("wp-content/mysql.sql")).unwrap();
    assert_eq!(dumps(&found(dir.path())), ["wp-content/updraft/old.sql"]);
}

#[test]
fn a_wordpress_in_a_wordpress_is_asked_about_and_one_in_its_content_is_not() {
    let dir = tempfile::tempdir().unwrap();
    wordpress(dir.path());
    wordpress(&dir.path().join("wp-content/uploads/copy"));
    assert_eq!(found(dir.path()).root.unwrap().folder, Path::new(""));
    wordpress(&dir.path().join("old"));
    assert_eq!(several(dir.path()), ["", "old"]);
    assert_eq!(found_with(dir.path(), &inside(&["."])).root.unwrap().folder, Path::new(""));
    assert_eq!(found_with(dir.path(), &inside(&["old"])).root.unwrap().folder, Path::new("old"));
}

#[test]
fn a_folder_with_one_archive_in_it_is_that_archive() {
    let dir = tempfile::tempdir().unwrap();
    content(&dir.path().join("in"));
    run(&dir.path().join("in"), "zip", &["-qr", "../site.zip", "."]);
    fs::remove_dir_all(dir.path().join("in")).unwrap();
    write(dir.path(), &[("db.sql", DUMP), ("read me.txt", "x")]);
    let one = found(dir.path());
    assert_eq!((unpacked(&one), dumps(&one)), (taken_content(), vec!["db.sql".to_owned()]));
    fs::copy(dir.path().join("site.zip"), dir.path().join("site2.zip")).unwrap();
    assert_eq!(several(dir.path()), ["site.zip", "site2.zip"]);
    assert_eq!(unpacked(&found_with(dir.path(), &inside(&["site2.zip"]))), taken_content());
}

#[test]
fn exports_of_contents_are_recognised() {
    let dir = tempfile::tempdir().unwrap();
    let wxr = "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<rss version=\"2.0\">\n<channel><wp:wxr_version>1.2</wp:wxr_version></channel></rss>";
    write(dir.path(), &[("export.txt", wxr), ("in/site.wordpress.001.xml", wxr)]);
    assert_eq!(found(&dir.path().join("export.txt")).kind, Kind::Wxr);
    run(&dir.path().join("in"), "zip", &["-q", "../e.zip", "site.wordpress.001.xml"]);
    let zip = found(&dir.path().join("e.zip"));
    assert_eq!((zip.kind, zip.contents), (Kind::Wxr, vec![PathBuf::from("site.wordpress.001.xml")]));
}

#[test]
fn what_is_not_known_is_named_with_what_was_looked_for() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        &[
            ("empty", ""),
            ("text", "hello\nworld\n"),
            ("folder/a.txt", "x"),
            ("folder/b.txt", "x"),
            ("x/utf16.sql", "\u{1}"),
        ],
    );
    testing::write(dir.path(), &[("x/utf16.sql", b"\xff\xfe-\0-\0"), ("bin", b"\x7fELF\0\0\0")]);
    for (name, seen) in
        [("empty", "it is empty"), ("text", "no SQL dump"), ("folder", "none of its 2 files"), ("bin", "neither")]
    {
        let error = refused(&dir.path().join(name));
        assert!(matches!(error, SourceError::Unknown { .. }) && error.to_string().contains(seen), "{error}");
        assert!(forkpress_core::advice::Advice::hint(&error).unwrap().contains("looked for: a WordPress"));
    }
    for path in ["x", "x/utf16.sql"] {
        let error = refused(&dir.path().join(path));
        assert!(matches!(&error, SourceError::Refused { hint, .. } if hint.contains("--result-file")), "{error}");
    }
    assert!(matches!(refused(&dir.path().join("nothing")), SourceError::Read { .. }));
}

#[test]
fn links_of_a_folder_are_kept_inside_and_refused_beyond() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    wordpress(dir.path());
    let uploads = dir.path().join("wp-content/uploads");
    symlink("2026/11/a.jpg", uploads.join("b.jpg")).unwrap();
    symlink("../themes/client", uploads.join("theme")).unwrap();
    assert!(unpacked(&found(dir.path())).contains(&"wp-content/uploads/theme".to_owned()));
    for target in ["/etc/passwd", "../../../x", "theme/../../x"] {
        symlink(target, uploads.join("evil")).unwrap();
        let out = tempfile::tempdir().unwrap();
        let error = found(dir.path()).unpack(out.path(), &|_| true, &Silent).unwrap_err();
        assert!(
            matches!(&error, SourceError::Entry { entry, .. } if entry == Path::new("wp-content/uploads/evil")),
            "{error}"
        );
        assert_eq!(files(out.path()), Vec::<String>::new());
        let excluded = Excluded::parse(&["uploads/evil", "evil"]).unwrap();
        found(dir.path()).unpack(out.path(), &|path| !excluded.has(path), &Silent).unwrap();
        fs::remove_file(uploads.join("evil")).unwrap();
    }
}

#[test]
fn a_folder_is_not_copied_into_itself() {
    let dir = tempfile::tempdir().unwrap();
    wordpress(dir.path());
    let error = found(dir.path()).unpack(&dir.path().join("new/tree"), &|_| true, &Silent).unwrap_err();
    assert!(matches!(error, SourceError::Around { .. }), "{error}");
}

#[test]
fn times_and_permissions_come_along_without_those_of_another_user() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    wordpress(&source);
    let script = source.join("wp-content/uploads/run.sh");
    fs::write(&script, "x").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o6755)).unwrap();
    fs::set_permissions(source.join("wp-content/uploads"), fs::Permissions::from_mode(0o2555)).unwrap();
    fs::File::open(&script)
        .unwrap()
        .set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000))
        .unwrap();
    run(&source, "tar", &["-cf", "../a.tar", "."]);
    for path in [source.clone(), dir.path().join("a.tar")] {
        let into = dir.path().join("tree");
        found(&path).unpack(&into, &|_| true, &Silent).unwrap();
        let metadata = fs::metadata(into.join("wp-content/uploads/run.sh")).unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.mtime()), (0o755, 1_000_000_000), "{}", path.display());
        assert_eq!(fs::metadata(into.join("wp-content/uploads")).unwrap().mode() & 0o7777, 0o755);
        fs::remove_dir_all(into).unwrap();
    }
}

#[test]
fn the_files_of_a_dump_are_read_one_after_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let rows = "INSERT INTO `b` VALUES (1);\n".repeat(100_000);
    for table in ["a", "b", "c"] {
        write(dir.path(), &[(&format!("sql/{table}.sql"), &format!("CREATE TABLE `{table}` (x int);\n{rows}"))]);
    }
    run(dir.path(), "tar", &["-cf", "a.tar", "--sort=name", "sql"]);
    let found = found(&dir.path().join("a.tar"));
    let mut parts = found.dump();
    let names: Vec<_> = parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names, ["sql/a.sql", "sql/b.sql", "sql/c.sql"]);
    let mut text = String::new();
    parts[1].read.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("CREATE TABLE `b`") && text.len() == parts[1].bytes.unwrap() as usize);
    drop(parts);
}

#[test]
fn a_wp_content_itself_is_a_source_and_its_samples_are_no_dump() {
    let dir = tempfile::tempdir().unwrap();
    content(dir.path());
    let content = found(&dir.path().join("wp-content"));
    assert_eq!((content.dumps.len(), unpacked(&content)), (0, taken_content()));
    assert!(content.notes[0].contains("no database was found"), "{:?}", content.notes);
}

#[test]
fn a_text_of_sql_that_somebody_uploaded_stays_a_file() {
    let dir = tempfile::tempdir().unwrap();
    wordpress(dir.path());
    write(dir.path(), &[("db.sql", DUMP), ("wp-content/uploads/answer.txt", "DROP TABLE a;\n")]);
    let found = found(dir.path());
    assert!(unpacked(&found).contains(&"wp-content/uploads/answer.txt".to_owned()));
    assert!(aside(&found).contains(&("db.sql".into(), Why::Database)));
}

#[test]
fn what_can_be_read_only_once_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), "mkfifo", &["pipe"]);
    assert!(matches!(refused(&dir.path().join("pipe")), SourceError::Refused { .. }));
    wordpress(&dir.path().join("site"));
    run(&dir.path().join("site/wp-content"), "mkfifo", &["pipe"]);
    assert_eq!(unpacked(&found(&dir.path().join("site"))), TAKEN);
}

#[test]
fn a_bedrock_comes_in_as_a_wordpress() {
    let dir = tempfile::tempdir().unwrap();
    content(&dir.path().join("web"));
    fs::rename(dir.path().join("web/wp-content"), dir.path().join("web/app")).unwrap();
    write(
        dir.path(),
        &[
            ("web/wp/wp-load.php", "<?php"),
            ("config/application.php", "<?php"),
            (".env", "DB_PASSWORD=x"),
            ("db.sql", DUMP),
        ],
    );
    let found = found(dir.path());
    let mut expected = taken_content();
    expected.push("wp-load.php".to_owned());
    assert_eq!(unpacked(&found), expected);
    assert!(found.notes[0].contains("web/app"), "{:?}", found.notes);
}

#[test]
fn the_configuration_above_a_folder_is_its() {
    let dir = tempfile::tempdir().unwrap();
    wordpress(&dir.path().join("public"));
    fs::rename(dir.path().join("public/wp-config.php"), dir.path().join("wp-config.php")).unwrap();
    assert_eq!(found(&dir.path().join("public")).config(), Some(CONFIG.as_bytes()));
    fs::remove_file(dir.path().join("public/wp-settings.php")).unwrap();
    write(dir.path(), &[("wp-settings.php", "<?php")]);
    assert_eq!(found(&dir.path().join("public")).config(), None);
}

#[test]
fn every_file_of_a_large_zip_is_unpacked_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let site = dir.path().join("site");
    wordpress(&site);
    for number in 0..700 {
        let text = format!("file {number}\n").repeat(number % 50 + 1);
        write(&site, &[(&format!("wp-content/uploads/{}/{number}.txt", number % 7), &text)]);
    }
    run(&site, "zip", &["-qr", "../a.zip", "."]);
    let into = dir.path().join("tree");
    let zip = found(&dir.path().join("a.zip"));
    let written = zip.unpack(&into, &|path| !path.ends_with("3.txt"), &Silent).unwrap();
    let expected = TAKEN.len() as u64 + 699;
    assert_eq!(written.files, expected);
    let uploads = files(&into.join("wp-content/uploads"));
    assert_eq!(uploads.len(), 700);
    for path in &uploads {
        let of = |tree: &Path| fs::read(tree.join("wp-content/uploads").join(path)).unwrap();
        assert_eq!(of(&into), of(&site), "{path}");
    }
    let bytes: u64 = files(&into).iter().map(|path| fs::metadata(into.join(path)).unwrap().len()).sum();
    assert_eq!(written.bytes, bytes);
}
