//! Backups of UpdraftPlus and Duplicator.

use super::*;

const SET: &str = "backup_2026-11-27-1200_Client_0123456789ab";

/// A set as UpdraftPlus leaves it: a ZIP file for each part of `wp-content`, and a packed dump.
fn updraft(folder: &Path, set: &str) {
    let source = tempfile::tempdir().unwrap();
    content(source.path());
    write(
        source.path(),
        &[
            ("wp-content/uploads/b.jpg", "second"),
            ("wp-content/index.php", "<?php"),
            ("wp-content/languages/de.mo", "x"),
        ],
    );
    fs::create_dir_all(folder).unwrap();
    let zip = |name: &str, paths: &[&str]| {
        let file = folder.join(format!("{set}-{name}.zip"));
        run(&source.path().join("wp-content"), "zip", &[&["-qr", file.to_str().unwrap()], paths].concat());
    };
    zip("plugins", &["plugins"]);
    zip("themes", &["themes"]);
    zip("uploads", &["uploads/2026"]);
    zip("uploads2", &["uploads/b.jpg"]);
    zip("mu-plugins", &["mu-plugins"]);
    zip("others", &["index.php", "languages", "advanced-cache.php"]);
    let head = "# WordPress MySQL database backup\n# Home URL: https://client.test\n# Table prefix: x1_\n# Site info: multisite=0\n";
    write(folder, &[("db.sql", &format!("{head}{DUMP}"))]);
    run(folder, "sh", &["-c", &format!("gzip db.sql && mv db.sql.gz {set}-db.gz")]);
}

#[test]
fn a_set_of_updraftplus_is_one_source_whichever_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    updraft(dir.path(), SET);
    write(dir.path(), &[(&format!("{SET}-db1.gz"), "x"), ("log.0123456789ab.txt", "x")]);
    let mut expected = taken_content();
    expected
        .extend(["wp-content/index.php", "wp-content/languages/de.mo", "wp-content/uploads/b.jpg"].map(str::to_owned));
    expected.sort();
    for path in ["", &format!("{SET}-db.gz"), &format!("{SET}-uploads2.zip")] {
        let found = found(&dir.path().join(path));
        assert_eq!((found.kind, unpacked(&found)), (Kind::Updraft, expected.clone()));
        assert_eq!(dumps(&found), [format!("{SET}-db.gz")]);
        assert!(sql(&found).ends_with(DUMP));
        assert_eq!(
            (found.facts.prefix.as_deref(), found.facts.home.as_deref()),
            (Some("x1_"), Some("https://client.test"))
        );
    }
}

#[test]
fn of_several_sets_one_is_named() {
    let dir = tempfile::tempdir().unwrap();
    updraft(dir.path(), SET);
    updraft(dir.path(), &SET.replace("0123456789ab", "ba9876543210"));
    let choices = several(dir.path());
    assert_eq!(choices.len(), 2);
    assert_eq!(dumps(&found_with(dir.path(), &inside(&[&choices[0]]))), [format!("{SET}-db.gz")]);
    assert_eq!(found(&dir.path().join(format!("{SET}-db.gz"))).kind, Kind::Updraft);
}

#[test]
fn a_set_that_is_not_whole_or_encrypted_is_refused_with_words() {
    let dir = tempfile::tempdir().unwrap();
    updraft(dir.path(), SET);
    fs::remove_file(dir.path().join(format!("{SET}-uploads.zip"))).unwrap();
    let error = refused(dir.path());
    assert!(error.to_string().contains("'uploads' is missing"), "{error}");
    updraft(dir.path(), SET);
    fs::rename(dir.path().join(format!("{SET}-db.gz")), dir.path().join(format!("{SET}-db.gz.crypt"))).unwrap();
    let error = refused(&dir.path().join(format!("{SET}-plugins.zip")));
    assert!(matches!(&error, SourceError::Refused { hint, .. } if hint.contains("Decrypt")), "{error}");
}

/// What Duplicator adds to a WordPress.
fn duplicator(folder: &Path) {
    wordpress(folder);
    fs::remove_file(folder.join("wp-config.php")).unwrap();
    write(
        folder,
        &[
            (
                "dup-installer/dup-archive__abc-123.txt",
                r#"{"version_wp":"6.4.3","version_php":"8.1","wp_tableprefix":"x1_","mu_mode":0}"#,
            ),
            ("dup-installer/dup-database__abc-123.sql", DUMP),
            ("dup-installer/dup-wp-config-arc__abc-123.txt", CONFIG),
            ("dup-installer/main.installer.php", "<?php"),
            ("20261127_client_abc_installer-backup.php", "<?php"),
            ("wp-snapshots/index.php", "<?php"),
        ],
    );
}

fn is_of_duplicator(found: &Found) {
    assert_eq!((found.kind, sql(found).as_str()), (Kind::Duplicator, DUMP));
    assert_eq!(unpacked(found), TAKEN);
    assert_eq!((found.facts.prefix.as_deref(), found.facts.php.as_deref()), (Some("x1_"), Some("8.1")));
    assert_eq!(found.config(), Some(CONFIG.as_bytes()));
    assert!(aside(found).contains(&("dup-installer".into(), Why::Backup)));
}

#[test]
fn an_archive_of_duplicator_is_known_without_its_installer() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("in");
    duplicator(&source);
    run(&source, "zip", &["-qr", "../20261127_client_abc_archive.zip", "."]);
    is_of_duplicator(&found(&dir.path().join("20261127_client_abc_archive.zip")));
    let folder = dir.path().join("download");
    write(&folder, &[("20261127_client_abc_installer.php", "<?php")]);
    fs::copy(dir.path().join("20261127_client_abc_archive.zip"), folder.join("a.zip")).unwrap();
    is_of_duplicator(&found(&folder));
}

#[test]
fn an_old_archive_of_duplicator_has_its_dump_at_the_top() {
    let dir = tempfile::tempdir().unwrap();
    wordpress(dir.path());
    write(dir.path(), &[("database.sql", DUMP), ("installer-backup.php", "<?php")]);
    let found = found(dir.path());
    assert_eq!(
        (found.kind, dumps(&found), unpacked(&found).len()),
        (Kind::Duplicator, vec!["database.sql".to_owned()], TAKEN.len())
    );
}

/// Writes a DAF archive of a folder, by hand.
fn daf(folder: &Path, to: &Path, is_packed: bool) {
    use std::io::Write;
    use std::os::unix::ffi::OsStrExt;
    const PIECE: usize = 64;
    let mut out = format!("<A><V>4.5</V><C>{is_packed}</C></A>").into_bytes();
    for entry in walkdir::WalkDir::new(folder).min_depth(1).sort_by_file_name() {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(folder).unwrap().as_os_str().as_bytes();
        let named = [
            format!("<MT>1000000000</MT><P>0644</P><HA>00000000</HA><RPL>{}</RPL><RP>", path.len()).as_bytes(),
            path,
            b"</RP>",
        ]
        .concat();
        if entry.file_type().is_dir() {
            out.extend([b"<D>", named.as_slice(), b"</D>"].concat());
            continue;
        }
        let bytes = fs::read(entry.path()).unwrap();
        out.extend([format!("<F><FS>{}</FS>", bytes.len()).as_bytes(), &named, b"</F>"].concat());
        for piece in bytes.chunks(PIECE) {
            let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
            deflate.write_all(piece).unwrap();
            let stored = if is_packed { deflate.finish().unwrap() } else { piece.to_vec() };
            let hash = crc32fast::hash(piece);
            out.extend(
                format!("<G><OS>{}</OS><SS>{}</SS><HA>{hash:08x}</HA></G>", piece.len(), stored.len()).into_bytes(),
            );
            out.extend(stored);
        }
    }
    fs::write(to, out).unwrap();
}

#[test]
fn duplicators_own_archive_is_read_packed_and_plain() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("in");
    duplicator(&source);
    for is_packed in [true, false] {
        let path = dir.path().join("a");
        daf(&source, &path, is_packed);
        is_of_duplicator(&found(&path));
        let bytes = fs::read(&path).unwrap();
        for length in [bytes.len() - 1, bytes.len() / 2, 30] {
            fs::write(&path, &bytes[..length]).unwrap();
            assert!(matches!(refused(&path), SourceError::Broken { .. }), "{length}");
        }
        let entry = find(&bytes, b"11/a.jpg</RP>");
        let at = entry + find(&bytes[entry..], b"</G>") + 5;
        let mut spoilt = bytes.clone();
        spoilt[at] ^= 1;
        fs::write(&path, &spoilt).unwrap();
        let out = tempfile::tempdir().unwrap();
        let spoilt =
            look(&path, &Options::default(), &Silent).and_then(|found| found.unpack(out.path(), &|_| true, &Silent));
        assert!(spoilt.is_err());
        assert_eq!(files(out.path()), Vec::<String>::new());
    }
}

fn find(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).position(|part| part == what).unwrap()
}
