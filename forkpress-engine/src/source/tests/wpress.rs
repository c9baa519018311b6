//! Archives of All-in-One WP Migration, written as the plugin does it: by PHP.

use super::*;

/// Writes a `.wpress` of a folder: version, packing (`""`, `gzip`, `bzip2`), password.
const WRITER: &str = r#"<?php
list( , $folder, $to, $version, $packing, $password ) = $argv;
$key = substr( sha1( $password, true ), 0, 16 );
function sealed( $piece ) {
    global $packing, $password, $key;
    $is_packed = 'gzip' === $packing;
    if ( $is_packed ) {
        $piece = gzcompress( $piece, 9 );
    }
    if ( '' !== $password ) {
        $vector = openssl_random_pseudo_bytes( 16 );
        $piece  = $vector . openssl_encrypt( $piece, 'AES-256-CBC', $key, OPENSSL_RAW_DATA, $vector );
    }
    return $is_packed ? pack( 'N', strlen( $piece ) ) . $piece : $piece;
}
function header_of( $path, $plain, $bytes ) {
    global $version;
    $folder = dirname( $path );
    $fields = '2' === $version ? array( 4088, hash( 'crc32b', $plain ) ) : array( 4096, '' );
    return pack( 'a255a14a12a' . $fields[0], basename( $path ), (string) $bytes, '1000000000', $folder ) . $fields[1];
}
$out   = '';
$files = explode( "\n", trim( file_get_contents( $folder . '.list' ) ) );
foreach ( $files as $path ) {
    $plain = file_get_contents( "$folder/$path" );
    $bytes = 'package.json' === $path ? $plain : implode( '', array_map( 'sealed', '' === $plain ? array() : str_split( $plain, 512000 ) ) );
    $out  .= header_of( $path, $plain, strlen( $bytes ) ) . $bytes;
}
$out .= '2' === $version ? str_pad( pack( 'x255a14', (string) strlen( $out ) ), 4369, "\0" ) . hash( 'crc32b', $out ) : str_repeat( "\0", 4377 );
file_put_contents( $to, $out );
if ( '' !== $password ) {
    $vector = openssl_random_pseudo_bytes( 16 );
    echo base64_encode( $vector . openssl_encrypt( 'a text to be signed', 'AES-256-CBC', $key, OPENSSL_RAW_DATA, $vector ) );
}
"#;

/// The files of an archive: what is below `wp-content`, and the plugin's own.
fn source(dir: &Path) -> PathBuf {
    let site = dir.join("site");
    content(&site);
    let folder = dir.join("in");
    fs::rename(site.join("wp-content"), &folder).unwrap();
    let dump = DUMP.replace("x1_", "SERVMASK_PREFIX_");
    write(
        &folder,
        &[
            ("database.sql", &dump),
            ("uploads/large.txt", &"0123456789".repeat(123_456)),
            ("uploads/empty", ""),
            ("index.php", "<?php"),
        ],
    );
    folder
}

fn package(more: &str) -> String {
    format!(
        r#"{{"SiteURL":"https:\/\/client.test\/wp","HomeURL":"https:\/\/client.test","Plugins":["shop\/shop.php"],"Template":"base","Stylesheet":"client",
        "Database":{{"Version":"8.0","Charset":"utf8mb4","Prefix":"x1_"}},"WordPress":{{"Version":"6.4.3","Content":"\/srv\/wp-content"}},
        "PHP":{{"Version":"8.1.2"}}{more}}}"#
    )
}

/// Writes the archive and gives what the password signs.
fn written(dir: &Path, folder: &Path, [version, packing, password]: [&str; 3], package: &str) -> String {
    write(folder, &[("package.json", package)]);
    let mut list = files(folder);
    list.sort_by_key(|path| (path != "package.json", path.clone()));
    write(dir, &[("in.list", &list.join("\n")), ("writer.php", WRITER)]);
    let arguments = ["writer.php", "in", "a.wpress", version, packing, password];
    let output = Command::new("php").args(arguments).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).unwrap()
}

fn is_whole(found: &Found) {
    assert_eq!((found.kind, dumps(found)), (Kind::AllInOne, vec!["database.sql".to_owned()]));
    assert_eq!(sql(found), DUMP.replace("x1_", "SERVMASK_PREFIX_"));
    let out = tempfile::tempdir().unwrap();
    found.unpack(out.path(), &|_| true, &Silent).unwrap();
    let mut expected = taken_content();
    expected.extend(
        ["wp-content/index.php", "wp-content/uploads/empty", "wp-content/uploads/large.txt"].map(str::to_owned),
    );
    expected.sort();
    assert_eq!(files(out.path()), expected);
    assert_eq!(text(&out.path().join("wp-content/uploads/large.txt")), "0123456789".repeat(123_456));
    let facts = &found.facts;
    assert_eq!((facts.prefix.as_deref(), facts.prefix_placeholder.as_deref()), (Some("x1_"), Some("SERVMASK_PREFIX_")));
    assert_eq!(
        (facts.siteurl.as_deref(), facts.home.as_deref()),
        (Some("https://client.test/wp"), Some("https://client.test"))
    );
    assert_eq!((facts.template.as_deref(), facts.stylesheet.as_deref()), (Some("base"), Some("client")));
    assert_eq!(facts.active_plugins, Some(vec!["shop/shop.php".to_owned()]));
    assert_eq!(
        (facts.wordpress.as_deref(), facts.php.as_deref(), facts.charset.as_deref()),
        (Some("6.4.3"), Some("8.1.2"), Some("utf8mb4"))
    );
}

#[test]
fn both_versions_are_read_plain_and_packed() {
    let dir = tempfile::tempdir().unwrap();
    let folder = source(dir.path());
    for version in ["1", "2"] {
        written(dir.path(), &folder, [version, "", ""], &package(""));
        is_whole(&found(&dir.path().join("a.wpress")));
        written(
            dir.path(),
            &folder,
            [version, "gzip", ""],
            &package(r#","Compression":{"Enabled":true,"Type":"gzip"}"#),
        );
        is_whole(&found(&dir.path().join("a.wpress")));
    }
}

#[test]
fn an_encrypted_one_asks_for_its_password() {
    let dir = tempfile::tempdir().unwrap();
    let folder = source(dir.path());
    let path = dir.path().join("a.wpress");
    let with = |password: &str| Options { password: Some(password.to_owned()), ..Options::default() };
    for (packing, more) in [("", ""), ("gzip", r#","Compression":{"Enabled":true,"Type":"gzip"}"#)] {
        let signature = written(dir.path(), &folder, ["2", packing, "open sesame"], &package(""));
        let more = format!(r#"{more},"Encrypted":true,"EncryptedSignature":"{signature}""#);
        written(dir.path(), &folder, ["2", packing, "open sesame"], &package(&more));
        is_whole(&found_with(&path, &with("open sesame")));
        let error = refused(&path);
        assert!(matches!(error, SourceError::Password { is_wrong: false, .. }), "{error}");
        assert!(forkpress_core::advice::Advice::hint(&error).unwrap().contains("FORKPRESS_IMPORT_PASSWORD="));
        let wrong = look(&path, &with("open says me"), &Silent);
        assert!(matches!(wrong, Err(SourceError::Password { is_wrong: true, .. })), "{wrong:?}");
    }
}

#[test]
fn a_network_is_told_by_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let folder = source(dir.path());
    write(&folder, &[("multisite.json", r#"{"Network":true}"#)]);
    written(dir.path(), &folder, ["1", "", ""], &package(""));
    let found = found(&dir.path().join("a.wpress"));
    assert!(found.facts.network.is_some());
    assert!(!unpacked(&found).iter().any(|file| file.contains("multisite")));
}

#[test]
fn one_that_is_cut_off_or_spoilt_is_refused_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let folder = source(dir.path());
    written(dir.path(), &folder, ["2", "", ""], &package(""));
    let path = dir.path().join("a.wpress");
    let bytes = fs::read(&path).unwrap();
    for length in [bytes.len() - 4377, bytes.len() - 4376, bytes.len() - 10_000, 5000] {
        fs::write(&path, &bytes[..length]).unwrap();
        assert!(matches!(refused(&path), SourceError::Broken { .. }), "{length}");
    }
    let mut spoilt = bytes.clone();
    let at = spoilt.windows(20).position(|part| part == b"01234567890123456789").unwrap();
    spoilt[at] = b'x';
    fs::write(&path, &spoilt).unwrap();
    let out = tempfile::tempdir().unwrap();
    let error = found(&path).unpack(out.path(), &|_| true, &Silent).unwrap_err();
    assert!(
        matches!(&error, SourceError::Broken { entry: Some(entry), .. } if entry.ends_with("large.txt")),
        "{error}"
    );
    assert_eq!(files(out.path()), Vec::<String>::new());
}

#[test]
fn pieces_packed_by_bzip2_are_read() {
    use std::io::Write;
    let dir = tempfile::tempdir().unwrap();
    let field = |text: &str, width: usize| [text.as_bytes(), &vec![0; width - text.len()]].concat();
    let file = |name: &str, bytes: &[u8]| {
        [field(name, 255), field(&bytes.len().to_string(), 14), field("1", 12), field(".", 4096), bytes.to_vec()]
            .concat()
    };
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(DUMP.as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    let piece = [&u32::try_from(packed.len()).unwrap().to_be_bytes()[..], &packed].concat();
    let about = r#"{"Compression":{"Enabled":true,"Type":"bzip2"}}"#;
    let archive = [file("package.json", about.as_bytes()), file("database.sql", &piece), vec![0; 4377]].concat();
    testing::write(dir.path(), &[("a", &archive)]);
    assert_eq!(sql(&found(&dir.path().join("a"))), DUMP);
}
