//! Mails that a branch sent, which are kept instead.
//!
//! PHP hands a mail to the program that `sendmail_path` names: `forkpress __sendmail`, by [`environment`]. A mail is a file of
//! the branch's [`Mailbox`], as it was sent: `N.eml`. It is written beside, and gets its name once it is on the disk.

pub mod message;
mod sender;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use forkpress_core::layout::SiteLayout;
use forkpress_core::name::BranchName;
use forkpress_core::own;

pub use sender::sender;

/// A branch's newest mails are kept: so many, and of so many bytes altogether.
const MOST_MAILS: usize = 1000;
const MOST_BYTES: u64 = 256 << 20;

/// A larger mail is refused.
pub const MOST_MAIL_BYTES: u64 = 64 << 20;

/// What a delivery that was killed has written is removed when it is that old.
const STALE: Duration = Duration::from_secs(3600);

/// What PHP has in its environment so that its mails are kept: the command of `sendmail_path`, and a folder with that setting
/// for a PHP that does not have the site's. None where this program does not know its own path.
///
/// `branch`: whose the mails are; none: that of the request which sends one.
pub fn environment(layout: &SiteLayout, branch: Option<&BranchName>) -> Vec<(&'static str, OsString)> {
    let Ok(own) = std::env::current_exe() else { return Vec::new() };
    let mut command = quoted(own.into_os_string());
    command.push(" __sendmail ");
    command.push(quoted(layout.work_dir().as_os_str().to_owned()));
    if let Some(branch) = branch {
        command.push(format!(" --branch {branch}"));
    }
    // Whatever follows, a program adds for a sendmail.
    command.push(" -- ");
    // Where a name is empty, PHP takes the folder that it was built with.
    let mut folders = std::env::var_os(SCAN_DIR).unwrap_or_default();
    folders.push(":");
    folders.push(layout.runtime_dir().join("mail"));
    vec![("FORKPRESS_SENDMAIL", command), (SCAN_DIR, folders)]
}

const SCAN_DIR: &str = "PHP_INI_SCAN_DIR";

/// A word of a shell's.
fn quoted(word: OsString) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let mut quoted = vec![b'\''];
    for byte in word.as_bytes() {
        match byte {
            b'\'' => quoted.extend(br"'\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    OsString::from_vec(quoted)
}

/// The mails of a branch.
pub struct Mailbox {
    folder: PathBuf,
}

/// A mail that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptMail {
    /// Its number in its box.
    pub id: u64,
    /// When it was sent.
    pub at: SystemTime,
    /// Its length.
    pub bytes: u64,
}

impl Mailbox {
    /// Those of this branch, whether or not there are any.
    pub fn of(layout: &SiteLayout, branch: &BranchName) -> Self {
        Self { folder: layout.mailbox(branch) }
    }

    /// The names of all branches that sent something, also of those that are gone.
    pub fn names(layout: &SiteLayout) -> io::Result<Vec<BranchName>> {
        let mut names = Vec::new();
        for entry in folder(&layout.mail_dir())? {
            names.extend(entry?.file_name().to_str().and_then(|name| BranchName::parse(name).ok()));
        }
        names.sort();
        Ok(names)
    }

    /// Keeps a mail, and gives its number. It is on the disk then. The oldest make room for it.
    ///
    /// # Errors
    /// `FileTooLarge` beyond [`MOST_MAIL_BYTES`]; what the system says where it can't be written.
    pub fn deliver(&self, mail: &mut impl Read) -> io::Result<u64> {
        let parent = self.folder.parent().expect("it lies in the folder of all mails");
        for folder in [parent, &self.folder] {
            match fs::create_dir(folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ if !fs::symlink_metadata(folder)?.is_dir() => return Err(io::ErrorKind::NotADirectory.into()),
                _ => {}
            }
        }
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        if io::copy(&mut mail.take(MOST_MAIL_BYTES + 1), &mut file)? > MOST_MAIL_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        file.as_file().sync_all()?;
        let mut id = self.list()?.last().map_or(1, |last| last.id + 1);
        // Of several that deliver at once, each gets a number.
        loop {
            match file.persist_noclobber(self.path(id)) {
                Ok(_) => break,
                Err(refused) if refused.error.kind() == io::ErrorKind::AlreadyExists => file = refused.file,
                Err(refused) => return Err(refused.error),
            }
            id += 1;
        }
        File::open(&self.folder)?.sync_all()?;
        self.make_room()?;
        Ok(id)
    }

    /// All, in their order.
    pub fn list(&self) -> io::Result<Vec<KeptMail>> {
        let mut all = Vec::new();
        for entry in folder(&self.folder)? {
            let entry = entry?;
            let number = |name: &str| name.strip_suffix(".eml")?.parse().ok();
            // One may have been removed meanwhile.
            if let (Some(id), Ok(found)) = (entry.file_name().to_str().and_then(number), entry.metadata()) {
                all.push(KeptMail { id, at: found.modified()?, bytes: found.len() });
            }
        }
        all.sort_by_key(|kept| kept.id);
        Ok(all)
    }

    /// One of them.
    ///
    /// # Errors
    /// `NotFound` where there is none with this number.
    pub fn open(&self, id: u64) -> io::Result<File> {
        own::open(&self.path(id))
    }

    /// Removes all, and says how many that was.
    pub fn clear(&self) -> io::Result<usize> {
        let all = self.list()?;
        all.iter().try_for_each(|kept| removed(&self.path(kept.id)))?;
        Ok(all.len())
    }

    /// Removes the box of a branch that is gone, if it is older than that.
    fn expire(&self, age: Duration) -> io::Result<()> {
        let newest = self.list()?.into_iter().map(|kept| kept.at).max();
        if newest.is_none_or(|at| at.elapsed().is_ok_and(|old| old > age)) {
            fs::remove_dir_all(&self.folder)?;
        }
        Ok(())
    }

    fn make_room(&self) -> io::Result<()> {
        for kept in surplus(&self.list()?) {
            removed(&self.path(kept.id))?;
        }
        for entry in folder(&self.folder)? {
            let entry = entry?;
            let age = entry.metadata().and_then(|found| found.modified()).ok().and_then(|at| at.elapsed().ok());
            if !entry.file_name().to_string_lossy().ends_with(".eml") && age.is_some_and(|age| age > STALE) {
                removed(&entry.path())?;
            }
        }
        Ok(())
    }

    fn path(&self, id: u64) -> PathBuf {
        self.folder.join(format!("{id}.eml"))
    }
}

/// The oldest, as many as are too many.
fn surplus(all: &[KeptMail]) -> &[KeptMail] {
    let mut bytes = 0;
    let fit = all.iter().rev().take(MOST_MAILS).take_while(|kept| {
        bytes += kept.bytes;
        bytes <= MOST_BYTES
    });
    // The newest stays, whatever it takes.
    &all[..all.len() - fit.count().max(all.len().min(1))]
}

/// Removes the boxes of branches that are gone, and can't be had back.
pub fn expire(layout: &SiteLayout, age: Duration) -> io::Result<()> {
    for name in Mailbox::names(layout)? {
        if !layout.cow().record(&name).exists() {
            Mailbox::of(layout, &name).expire(age)?;
        }
    }
    Ok(())
}

/// What is in a folder; nothing where there is none.
fn folder(path: &std::path::Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        found => Ok(Some(found?).into_iter().flatten()),
    }
}

fn removed(path: &std::path::Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn layout() -> (tempfile::TempDir, SiteLayout) {
        let dir = tempfile::tempdir().unwrap();
        let layout = SiteLayout::at(dir.path());
        fs::create_dir_all(layout.cow().records_dir()).unwrap();
        (dir, layout)
    }

    #[test]
    fn mails_that_come_at_once_are_all_kept_in_the_box_of_their_branch() {
        let (_dir, layout) = layout();
        let names: [BranchName; 2] = ["x", "y"].map(|name| name.parse().unwrap());
        let deliver = |name| Mailbox::of(&layout, name).deliver(&mut format!("to {name}").as_bytes()).unwrap();
        thread::scope(|scope| {
            for name in names.iter().cycle().take(8) {
                scope.spawn(move || deliver(name));
            }
        });
        for name in ["x", "y"] {
            let mailbox = Mailbox::of(&layout, &name.parse().unwrap());
            assert_eq!(mailbox.list().unwrap().iter().map(|kept| kept.id).collect::<Vec<_>>(), [1, 2, 3, 4]);
            assert_eq!(io::read_to_string(mailbox.open(4).unwrap()).unwrap(), format!("to {name}"));
            assert_eq!(mailbox.open(5).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
        assert_eq!(Mailbox::of(&layout, &"x".parse().unwrap()).clear().unwrap(), 4);
        assert_eq!(Mailbox::of(&layout, &"y".parse().unwrap()).list().unwrap().len(), 4);
    }

    #[test]
    fn the_oldest_make_room_and_the_newest_stays_whatever_it_takes() {
        let kept = |id, bytes| KeptMail { id, at: SystemTime::UNIX_EPOCH, bytes };
        let ids = |all: &[KeptMail]| surplus(all).iter().map(|kept| kept.id).collect::<Vec<_>>();
        assert_eq!(ids(&[]), [0; 0]);
        assert_eq!(ids(&[kept(1, MOST_BYTES), kept(2, 1)]), [1]);
        assert_eq!(ids(&[kept(1, 1), kept(2, MOST_BYTES + 1)]), [1]);
        assert_eq!(ids(&(1..=1002).map(|id| kept(id, 1)).collect::<Vec<_>>()), [1, 2]);
    }

    #[test]
    fn a_mail_that_is_too_large_is_refused_and_leaves_nothing() {
        let (_dir, layout) = layout();
        let mailbox = Mailbox::of(&layout, &BranchName::main());
        let error = mailbox.deliver(&mut io::repeat(b'x').take(MOST_MAIL_BYTES + 1)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(fs::read_dir(&mailbox.folder).unwrap().count(), 0);
    }

    #[test]
    fn no_link_leads_a_mail_out_of_its_box() {
        let (_dir, layout) = layout();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::create_dir(layout.mail_dir()).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), layout.mailbox(&BranchName::main())).unwrap();
        Mailbox::of(&layout, &BranchName::main()).deliver(&mut &b"x"[..]).unwrap_err();
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_box_of_a_branch_goes_after_the_branch_has() {
        let (_dir, layout) = layout();
        let (here, gone): (BranchName, BranchName) = ("here".parse().unwrap(), "gone".parse().unwrap());
        fs::write(layout.cow().record(&here), "").unwrap();
        for name in [&here, &gone] {
            Mailbox::of(&layout, name).deliver(&mut &b"x"[..]).unwrap();
        }
        expire(&layout, Duration::from_secs(60)).unwrap();
        assert_eq!(Mailbox::names(&layout).unwrap(), [gone, here.clone()], "it may come back");
        expire(&layout, Duration::ZERO).unwrap();
        assert_eq!(Mailbox::names(&layout).unwrap(), [here]);
    }

    #[test]
    fn a_path_is_one_word_of_the_command() {
        assert_eq!(quoted("/a b/it's".into()), OsString::from(r"'/a b/it'\''s'"));
    }
}
