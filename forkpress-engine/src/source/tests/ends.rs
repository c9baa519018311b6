//! What reads or writes much ends as soon as it is told to, in the midst of a file, too.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::*;
use crate::progress::Until;

const LARGE_BYTES: u64 = 40 << 20;

/// Counts what is done, and lets so many questions pass whether to go on.
#[derive(Default)]
struct Count {
    done: AtomicU64,
    questions: AtomicU64,
}

impl Progress for Count {
    fn begin(&self, _step: &str, _total: Option<u64>) {}
    fn advance(&self, by: u64) {
        self.done.fetch_add(by, Relaxed);
    }
    fn end(&self) {}
}

/// How much of it is done by what is to end at the third question.
fn done_until_third(work: impl FnOnce(&dyn Progress) -> Result<(), SourceError>) -> u64 {
    let count = Count::default();
    let go_on = || match count.questions.fetch_add(1, Relaxed) {
        0..3 => Ok(()),
        _ => Err(io::Error::other("enough")),
    };
    work(&Until { progress: &count, go_on: &go_on }).expect_err("it went on");
    count.done.into_inner()
}

/// The same large file in a folder and in an archive of each kind.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let site = folder.join("site");
    content(&site);
    let large = site.join("wp-content/uploads/film.mp4");
    // What can't be packed.
    let mut state: u64 = 1;
    let bytes: Vec<_> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_le_bytes()
    })
    .take(LARGE_BYTES as usize / 8)
    .flatten()
    .collect();
    fs::write(&large, bytes).unwrap();
    write(&site, &[("dump.sql", DUMP)]);
    let run = |program: &str, arguments: &[&str]| {
        assert!(Command::new(program).args(arguments).current_dir(&site).status().unwrap().success(), "{program}");
    };
    run("tar", &["-cf", "../site.tar", "."]);
    run("tar", &["-czf", "../site.tar.gz", "."]);
    run("zip", &["-qr0", "../site.zip", "."]);
    ["site", "site.tar", "site.tar.gz", "site.zip"].iter().map(|name| folder.join(name)).collect()
}

#[test]
fn to_look_and_to_unpack_end_in_the_midst_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    for source in sources(folder.path()) {
        let name = source.display();
        let is_stream = source.extension().is_some_and(|ending| ending != "zip");
        let seen = done_until_third(|progress| look(&source, &Options::default(), progress).map(drop));
        assert!(seen < LARGE_BYTES / 2, "{name}: looked at {seen} bytes");
        let found = found(&source);
        let tree = folder.path().join("tree");
        let written = done_until_third(|progress| found.unpack(&tree, &|_| true, progress).map(drop));
        assert!(written < LARGE_BYTES / 2, "{name}: wrote {written} bytes");
        assert_eq!(files(&tree), [""; 0], "{name}");
        let whole = Count::default();
        found.unpack(&tree, &|_| true, &whole).unwrap();
        assert!(whole.done.into_inner() >= LARGE_BYTES, "{name}");
        let whole = Count::default();
        look(&source, &Options::default(), &whole).unwrap();
        assert!(!is_stream || whole.done.into_inner() >= LARGE_BYTES, "{name}: the progress is what is read");
        fs::remove_dir_all(&tree).unwrap();
    }
}
