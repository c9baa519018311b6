//! Archives that are made to do harm, or are damaged.

use std::io::Write;

use super::*;

/// A tar archive with these entries: type, name, what a link says or a file has.
fn tar(path: &Path, entries: &[(u8, &[u8], &[u8])]) {
    let mut bytes = Vec::new();
    for (kind, name, content) in entries {
        let mut header = [0u8; 512];
        header[..name.len()].copy_from_slice(name);
        header[100..107].copy_from_slice(b"0000644");
        let is_file = *kind == b'0';
        let size = if is_file { content.len() } else { 0 };
        header[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
        header[136..147].copy_from_slice(b"00000000000");
        header[148..156].copy_from_slice(b"        ");
        header[156] = *kind;
        header[257..263].copy_from_slice(b"ustar\0");
        header[263..265].copy_from_slice(b"00");
        if !is_file {
            header[157..157 + content.len()].copy_from_slice(content);
        }
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        bytes.extend(header);
        if is_file {
            bytes.extend_from_slice(content);
            bytes.resize(bytes.len().next_multiple_of(512), 0);
        }
    }
    bytes.resize(bytes.len() + 1024, 0);
    fs::write(path, bytes).unwrap();
}

/// A ZIP file with these entries, of any names, made by Python: mode, name, content.
fn zip(path: &Path, entries: &[(u32, &str, &str)]) {
    let code = "import json, sys, zipfile\n\
        with zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED) as z:\n\
        \x20for mode, name, content in json.loads(sys.argv[2]):\n\
        \x20\x20i = zipfile.ZipInfo('x'); i.filename = name; i.external_attr = mode << 16; i.create_system = 3; z.writestr(i, content)\n";
    let entries = serde_json::to_string(entries).unwrap();
    run(Path::new("/"), "python3", &["-W", "ignore", "-c", code, path.to_str().unwrap(), &entries]);
}

/// Looks at a source and unpacks it, both or one of which is refused: then nothing is written, here or around.
fn harmless(path: &Path) -> SourceError {
    let dir = tempfile::tempdir().unwrap();
    let into = dir.path().join("a/b/tree");
    let error = look(path, &Options::default(), &Silent)
        .and_then(|found| found.unpack(&into, &|_| true, &Silent))
        .expect_err("it is hostile");
    assert_eq!(files(dir.path()), Vec::<String>::new(), "{error}");
    error
}

const START: (u8, &[u8], &[u8]) = (b'0', b"wp-load.php", b"<?php");

#[test]
fn names_that_lead_out_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    for name in ["../evil.php", "/etc/evil", "wp-content/../../evil", "wp-content/uploads/.."] {
        tar(&path, &[START, (b'0', name.as_bytes(), b"x")]);
        assert!(matches!(harmless(&path), SourceError::Name { .. }), "{name}");
        zip(&path, &[(0o100_644, "wp-load.php", "<?php"), (0o100_644, name, "x")]);
        assert!(matches!(harmless(&path), SourceError::Name { .. }), "{name}");
    }
    for name in ["..\\evil.php", "C:\\evil.php", "wp-content\\..\\..\\evil.php"] {
        zip(&path, &[(0o100_644, "wp-load.php", "<?php"), (0o100_644, name, "x")]);
        assert!(matches!(harmless(&path), SourceError::Name { .. }), "{name}");
    }
}

#[test]
fn names_that_lead_out_are_refused_in_the_archives_of_plugins() {
    let dir = tempfile::tempdir().unwrap();
    let field = |text: &str, width: usize| [text.as_bytes(), &vec![0; width - text.len()]].concat();
    for (name, folder) in [("../../evil", "."), ("evil", "uploads/../../.."), ("evil", "/etc"), ("..\\..\\evil", ".")] {
        let wpress =
            [field(name, 255), field("1", 14), field("1", 12), field(folder, 4096), b"x".to_vec(), vec![0; 4377]];
        testing::write(dir.path(), &[("a", &wpress.concat())]);
        assert!(matches!(harmless(&dir.path().join("a")), SourceError::Name { .. }), "{name} {folder}");
    }
    let daf = "<A><V>1</V><C>false</C></A><F><FS>0</FS><RPL>7</RPL><RP>../evil</RP></F>";
    write(dir.path(), &[("b", daf)]);
    assert!(matches!(harmless(&dir.path().join("b")), SourceError::Name { .. }));
    for endless in [
        "<A><V>1</V><C>true</C></A><F><FS>99999999999</FS><RPL>1</RPL><RP>a</RP></F><G><OS>4294967296</OS><SS>1</SS></G>x",
        "<A><V>1</V><C>",
        "<A><V>1</V><C>true</C></A><F><FS>1</FS><RPL>99999999</RPL><RP>",
    ] {
        write(dir.path(), &[("b", endless)]);
        assert!(
            matches!(harmless(&dir.path().join("b")), SourceError::Broken { .. } | SourceError::TooMuch { .. }),
            "{endless}"
        );
    }
}

#[test]
fn links_of_archives_are_refused_by_name_and_can_be_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    for (kind, target) in [(b'2', "/etc"), (b'2', "plugins"), (b'1', "wp-load.php"), (b'1', "/etc/passwd")] {
        tar(&path, &[START, (kind, b"wp-content/up", target.as_bytes()), (b'0', b"wp-content/up/evil.php", b"x")]);
        let error = harmless(&path);
        assert!(matches!(&error, SourceError::Entry { entry, .. } if entry == Path::new("wp-content/up")), "{error}");
        let hint = forkpress_core::advice::Advice::hint(&error).unwrap();
        let pattern = hint.split('\'').nth(1).unwrap();
        let excluded = Excluded::parse(&[pattern]).unwrap();
        assert!(excluded.has(Path::new("wp-content/up")) && !excluded.has(Path::new("wp-content/u")), "{hint}");
    }
    zip(&path, &[(0o100_644, "wp-load.php", "<?php"), (0o120_777, "wp-content/up", "/etc")]);
    assert!(matches!(harmless(&path), SourceError::Entry { .. }));
    let out = tempfile::tempdir().unwrap();
    let excluded = Excluded::parse(&["wp-content/up"]).unwrap();
    found(&path).unpack(out.path(), &|path| !excluded.has(path), &Silent).unwrap();
    assert_eq!(files(out.path()), ["wp-load.php"]);
}

#[test]
fn devices_are_set_aside_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    tar(&path, &[START, (b'3', b"wp-content/sda", b""), (b'6', b"wp-content/pipe", b"")]);
    let found = found(&path);
    assert_eq!(aside(&found), [("wp-content/pipe".into(), Why::Special), ("wp-content/sda".into(), Why::Special)]);
    assert_eq!(unpacked(&found), ["wp-load.php"]);
}

#[test]
fn a_file_that_is_a_folder_too_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    tar(&path, &[START, (b'0', b"wp-content/a", b"x"), (b'0', b"wp-content/a/b", b"x")]);
    assert!(matches!(harmless(&path), SourceError::Twice { .. }));
}

#[test]
fn of_an_entry_that_comes_twice_the_last_counts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    tar(&path, &[START, (b'0', b"wp-content/a", b"old"), (b'0', b"./wp-content//a", b"new")]);
    let out = tempfile::tempdir().unwrap();
    found(&path).unpack(out.path(), &|_| true, &Silent).unwrap();
    assert_eq!(text(&out.path().join("wp-content/a")), "new");
    tar(&path, &[START, (b'2', b"wp-content/a", b"/etc/x"), (b'0', b"wp-content/a", b"new")]);
    assert_eq!(unpacked(&found(&path)), ["wp-content/a", "wp-load.php"], "the link is no more");
    tar(&path, &[START, (b'0', b"wp-content/a", b"new"), (b'2', b"wp-content/a", b"/etc/x")]);
    assert!(matches!(harmless(&path), SourceError::Entry { .. }));
}

#[test]
fn names_of_windows_and_names_that_are_no_text_are_files() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    zip(
        &path,
        &[(0o100_644, "site\\wp-load.php", "<?php"), (0o100_644, "site\\wp-content\\plugins\\a\\a.php", "<?php")],
    );
    assert_eq!(unpacked(&found(&path)), ["wp-content/plugins/a/a.php", "wp-load.php"]);
    tar(&path, &[START, (b'0', b"wp-content/uploads/caf\xe9.jpg", b"x")]);
    let out = tempfile::tempdir().unwrap();
    found(&path).unpack(out.path(), &|_| true, &Silent).unwrap();
    let name = fs::read_dir(out.path().join("wp-content/uploads")).unwrap().next().unwrap().unwrap().file_name();
    assert_eq!(name.as_bytes(), b"caf\xe9.jpg");
}

#[test]
fn names_of_git_and_of_forkpress_are_never_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let names = [
        ".git/hooks/pre-commit",
        ".forkpress/site.toml",
        "wp-content/.Forkpress/x",
        "wp-content/plugins/a/.GIT/config",
        "FORKPR~1/x",
    ];
    let entries: Vec<_> = names.iter().map(|name| (b'0', name.as_bytes(), &b"x"[..])).collect();
    tar(&path, &[&[START][..], &entries].concat());
    let found = found(&path);
    assert_eq!(unpacked(&found), ["wp-load.php"]);
    assert!(
        found.aside.iter().all(|aside| aside.why == Why::Reserved) && found.aside.len() == names.len(),
        "{:?}",
        found.aside
    );
}

#[test]
fn what_becomes_gigabytes_is_refused_before_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut builder =
        ::tar::Builder::new(zstd::Encoder::new(fs::File::create(dir.path().join("a")).unwrap(), 1).unwrap());
    let mut header = ::tar::Header::new_ustar();
    header.set_size(400 << 20);
    header.set_mode(0o644);
    builder.append_data(&mut header, "wp-content/uploads/a", io::repeat(0).take(400 << 20)).unwrap();
    builder.into_inner().unwrap().finish().unwrap();
    assert!(matches!(harmless(&dir.path().join("a")), SourceError::TooMuch { .. }));
    run(
        dir.path(),
        "sh",
        &[
            "-c",
            "mkdir -p z/wp-content/uploads && truncate -s 400M z/wp-content/uploads/a && cd z && zip -q ../b -r . && mv ../b.zip ../b",
        ],
    );
    assert!(matches!(harmless(&dir.path().join("b")), SourceError::TooMuch { .. }));
    let mut encoder = zstd::Encoder::new(fs::File::create(dir.path().join("c")).unwrap(), 1).unwrap();
    encoder.write_all(DUMP.as_bytes()).unwrap();
    io::copy(&mut io::repeat(b' ').take(400 << 20), &mut encoder).unwrap();
    encoder.finish().unwrap();
    let error = unreadable(&found(&dir.path().join("c")));
    assert!(matches!(source_error(&error), SourceError::TooMuch { .. }));
}

#[test]
fn an_archive_that_is_cut_off_anywhere_is_refused_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("in");
    wordpress(&source);
    write(&source, &[("db.sql", DUMP)]);
    run(
        &source,
        "sh",
        &[
            "-c",
            "tar -cf ../a.tar . && zip -qr ../b.zip . && tar -czf ../c.tgz . && tar --zstd -cf ../d.tzst . && tar -cjf ../e.tbz .",
        ],
    );
    for name in ["a.tar", "b.zip", "c.tgz", "d.tzst", "e.tbz"] {
        let path = dir.path().join(name);
        let bytes = fs::read(&path).unwrap();
        let whole = if name == "a.tar" { bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1 } else { bytes.len() };
        for tenth in 0..20 {
            let length = whole * tenth / 20;
            fs::write(&path, &bytes[..length]).unwrap();
            harmless(&path);
        }
        fs::write(&path, &bytes[..whole - 1]).unwrap();
        harmless(&path);
    }
}

#[test]
fn a_dump_that_is_cut_off_says_so_at_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let rows: String = (0..20_000u32)
        .map(|n| format!("INSERT INTO `x1_posts` VALUES ({});\n", n.wrapping_mul(2_654_435_761)))
        .collect();
    write(dir.path(), &[("a.sql", &format!("{DUMP}{rows}"))]);
    for tool in ["gzip", "bzip2 -1", "zstd"] {
        run(dir.path(), "sh", &["-c", &format!("{tool} -c a.sql > b && truncate -s -2000 b")]);
        let error = unreadable(&found(&dir.path().join("b")));
        assert!(matches!(source_error(&error), SourceError::Broken { .. }), "{tool} {error:?}");
    }
}

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
}

#[test]
fn whatever_is_in_an_archive_is_written_into_its_folder_or_nowhere() {
    const PARTS: [&str; 18] = [
        "..",
        ".",
        "",
        "wp-content",
        "WP-CONTENT",
        "uploads",
        "a",
        "A",
        "b",
        "c",
        "\u{e9}",
        "e\u{301}",
        ".forkpress",
        ".git",
        "wp-load.php",
        "x\\..",
        "link",
        "database",
    ];
    const TARGETS: [&str; 8] = ["/etc", "..", "../..", "a", "../a", "b/../..", ".", "wp-content/uploads"];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut written, mut refused) = (0, 0);
    for round in 0..400 {
        let dir = tempfile::tempdir().unwrap();
        let around = dir.path().join("around");
        let into = around.join("x/tree");
        fs::create_dir_all(into.parent().unwrap()).unwrap();
        let path = dir.path().join("archive");
        let mut entries = vec![(b'0', "wp-load.php".to_owned(), "<?php".to_owned())];
        let harm = random.below(3);
        for _ in 0..1 + random.below(8) {
            let length = 1 + random.below(4);
            let start = if harm == 0 { 2 } else { 0 };
            let parts: Vec<_> = (0..length).map(|_| PARTS[start + random.below(PARTS.len() - start)]).collect();
            let name = parts.join("/");
            let kind =
                if harm == 0 { *[b'0', b'5'].get(random.below(2)).unwrap() } else { b"0012563"[random.below(7)] };
            let content = if kind == b'0' { format!("round {round}") } else { random.pick(&TARGETS).to_owned() };
            entries.push((kind, name, content));
        }
        let of_tar: Vec<_> = entries
            .iter()
            .filter(|(_, name, _)| !name.is_empty())
            .map(|(kind, name, content)| (*kind, name.as_bytes(), content.as_bytes()))
            .collect();
        tar(&path, &of_tar);
        let outcome =
            look(&path, &Options::default(), &Silent).and_then(|found| found.unpack(&into, &|_| true, &Silent));
        let inside: Vec<_> = files(&around).into_iter().filter(|file| file.starts_with("x/tree/")).collect();
        assert_eq!(files(&around), inside, "{entries:?}");
        assert!(
            inside
                .iter()
                .all(|file| !file.to_lowercase().contains(".forkpress") && !file.to_lowercase().contains(".git/")),
            "{inside:?}"
        );
        let links = walkdir::WalkDir::new(&around)
            .into_iter()
            .filter(|entry| entry.as_ref().unwrap().file_type().is_symlink())
            .count();
        assert_eq!(links, 0, "{entries:?}");
        if outcome.is_ok() {
            written += 1;
        } else {
            refused += 1;
            assert_eq!(inside, Vec::<String>::new(), "{entries:?}");
        }
    }
    assert!(written > 20 && refused > 100, "{written} {refused}");
}
