//! Decides how a whole file is sent: as it is, compressed by the server, or as what is stored beside it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::coding::{self, Coding};
use super::conditional::Conditions;
use super::version::FileVersion;
use super::{media, policy};

/// A file that holds another one compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its real path.
    pub file: PathBuf,
    /// Its version.
    pub version: FileVersion,
}

/// How a file is sent that is not sent as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The coding.
    pub coding: Coding,
    /// What holds the file so already. It is of no use where addresses in the file are replaced.
    pub stored: Option<Stored>,
}

impl Encoded {
    /// Another tag than the file's own: other bytes are sent.
    pub(super) fn etag(&self, version: &FileVersion) -> String {
        let coding = self.coding.name();
        match &self.stored {
            Some(stored) => format!("\"{version}-{}-{coding}\"", stored.version),
            None => format!("\"{version}-{coding}\""),
        }
    }
}

/// How a file at a real path is sent, whose names in its branch are these; none: as it is.
///
/// What is stored beside it counts where it is a file that is no older, and that could be sent if it was asked for itself.
pub(super) fn choose(
    path: &Path,
    names: &[&[u8]],
    version: &FileVersion,
    conditions: &Conditions<'_>,
) -> Option<Encoded> {
    let (name, folders) = names.split_last()?;
    let codings = conditions.codings_of_whole().filter(|_| coding::is_compressible(media::media_type(name)))?;
    let stored = |coding: Coding| {
        let name = [name, b".".as_slice(), coding.ending().as_bytes()].concat();
        let file = path.with_file_name(OsStr::from_bytes(&name));
        let metadata = fs::symlink_metadata(&file).ok().filter(fs::Metadata::is_file)?;
        let stored = Stored { version: FileVersion::of(&metadata), file };
        let is_of_it = stored.version.modified_at() >= version.modified_at();
        let may_be_sent = !policy::is_private(&[folders, &[&name]].concat())
            && rustix::fs::access(&stored.file, Access::READ_OK).is_ok();
        (is_of_it && may_be_sent).then_some(Encoded { coding, stored: Some(stored) })
    };
    let on_the_fly = || codings.on_the_fly(version).map(|coding| Encoded { coding, stored: None });
    codings.best().iter().copied().find_map(stored).or_else(on_the_fly)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::{Duration, SystemTime};

    use super::Coding::{Brotli, Gzip, Zstd};
    use super::*;
    use crate::route::AcceptedCodings;

    /// A folder with a `style.css` of two kilobytes, and files beside it that are so many seconds younger than it.
    fn folder(beside: &[(&str, i64)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, age) in [("style.css", 0), ("mode.php.js", 0)].iter().chain(beside) {
            fs::write(dir.path().join(name), vec![b'x'; 2000]).unwrap();
            let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_u64.saturating_add_signed(*age));
            File::options().append(true).open(dir.path().join(name)).unwrap().set_modified(modified).unwrap();
        }
        dir
    }

    /// The coding, and whether it is stored so.
    fn chosen(dir: &Path, name: &str, accepted: &str, conditions: &Conditions<'_>) -> Option<(Coding, bool)> {
        let path = dir.join(name);
        let version = FileVersion::of(&fs::metadata(&path).unwrap());
        let codings = AcceptedCodings::parse(accepted.as_bytes());
        let conditions = Conditions { codings: Some(&codings), ..*conditions };
        choose(&path, &[name.as_bytes()], &version, &conditions)
            .map(|encoded| (encoded.coding, encoded.stored.is_some()))
    }

    fn get() -> Conditions<'static> {
        Conditions { method: b"GET", ..Conditions::default() }
    }

    #[test]
    fn what_is_stored_beside_a_file_is_sent_if_it_is_no_older_and_liked_as_well() {
        let dir = folder(&[("style.css.br", 0), ("style.css.gz", 1), ("style.css.zst", -1)]);
        let chosen = |accepted| chosen(dir.path(), "style.css", accepted, &get());
        assert_eq!(chosen("gzip, br, zstd"), Some((Brotli, true)), "the one of zstd is older");
        assert_eq!(chosen("gzip, zstd"), Some((Gzip, true)));
        assert_eq!(chosen("gzip;q=0.9, zstd"), Some((Zstd, false)), "it is liked less");
        assert_eq!(chosen("identity"), None);
        assert_eq!(chosen(""), None);
    }

    #[test]
    fn what_could_not_be_sent_itself_is_not_sent_in_place_of_another() {
        let dir = folder(&[("mode.php.js.br", 0), ("other.br", 0)]);
        assert_eq!(
            chosen(dir.path(), "mode.php.js", "br", &get()),
            Some((Brotli, false)),
            "it looks like PHP's source"
        );
        symlink("other.br", dir.path().join("style.css.br")).unwrap();
        assert_eq!(chosen(dir.path(), "style.css", "br", &get()), Some((Brotli, false)), "it is a link");
        fs::remove_file(dir.path().join("style.css.br")).unwrap();
        fs::create_dir(dir.path().join("style.css.br")).unwrap();
        assert_eq!(chosen(dir.path(), "style.css", "br", &get()), Some((Brotli, false)), "it is a folder");
        fs::write(dir.path().join("style.css.gz"), "").unwrap();
        fs::set_permissions(dir.path().join("style.css.gz"), fs::Permissions::from_mode(0o000)).unwrap();
        if fs::read(dir.path().join("style.css.gz")).is_err() {
            assert_eq!(chosen(dir.path(), "style.css", "gzip", &get()), Some((Gzip, false)), "nobody can read it");
        }
    }

    #[test]
    fn a_part_and_what_does_not_compress_are_sent_as_they_are() {
        let dir = folder(&[("style.css.gz", 0), ("a.png", 0), ("a.png.gz", 0)]);
        let ranged = Conditions { range: Some(b"bytes=0-1"), ..get() };
        assert_eq!(chosen(dir.path(), "style.css", "gzip", &ranged), None);
        let head = Conditions { method: b"HEAD", ..ranged };
        assert_eq!(chosen(dir.path(), "style.css", "gzip", &head), Some((Gzip, true)), "of HEAD no part is asked");
        assert_eq!(chosen(dir.path(), "a.png", "gzip", &get()), None);
        assert_eq!(choose(&dir.path().join("style.css"), &[b"style.css"], &version(dir.path()), &get()), None);
    }

    #[test]
    fn each_way_to_send_a_file_has_a_tag_of_its_own() {
        let dir = folder(&[("style.css.gz", 0)]);
        let version = version(dir.path());
        let mut tags: Vec<_> = Coding::ALL.map(|coding| Encoded { coding, stored: None }.etag(&version)).to_vec();
        for size in [1, 2] {
            let stored = Stored { file: PathBuf::new(), version: FileVersion { size, ..version } };
            tags.push(Encoded { coding: Gzip, stored: Some(stored) }.etag(&version));
        }
        tags.push(version.etag());
        let number = tags.len();
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), number, "{tags:?}");
        assert!(tags.iter().all(|tag| !tag.contains(',')), "{tags:?}");
    }

    fn version(dir: &Path) -> FileVersion {
        FileVersion::of(&fs::metadata(dir.join("style.css")).unwrap())
    }
}
