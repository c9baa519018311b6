//! News of files, as the system tells them. Nothing is looked at again and again, but where it tells nothing.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::sleep;

/// How often everything counts as news where the system tells none.
const UNTOLD: Duration = Duration::from_secs(2);

/// A folder that has news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The folder. It need not be there.
    pub folder: PathBuf,
    /// The files in it that are news as soon as something is written to them. None: what comes and goes in the folder is, which is
    /// how whole files change.
    pub written: Option<Vec<String>>,
}

/// What listens to the system.
#[derive(Debug)]
pub struct Watch(Option<system::Instance>);

impl Watch {
    /// Begins to listen, to nothing yet. Called in a runtime of Tokio's.
    #[must_use]
    pub fn begin() -> Self {
        Self(system::Instance::new())
    }

    /// Listens to these folders. Those that were listened to before and went are of no harm.
    pub fn only(&mut self, all: Vec<Watched>) {
        if let Some(instance) = &mut self.0 {
            instance.watch(all);
        }
    }

    /// Waits for news. May be given up at any moment.
    pub async fn news(&mut self) {
        match &mut self.0 {
            Some(instance) => instance.news().await,
            None => sleep(UNTOLD).await,
        }
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::collections::HashMap;
    use std::mem::MaybeUninit;
    use std::os::fd::OwnedFd;

    use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
    use rustix::io::Errno;
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    use super::Watched;

    /// Room for some hundred events.
    const BUFFER_BYTES: usize = 16 << 10;

    /// An inotify instance.
    #[derive(Debug)]
    pub(super) struct Instance {
        told: AsyncFd<OwnedFd>,
        /// By the number of its watch.
        folders: HashMap<i32, Watched>,
    }

    impl Instance {
        pub(super) fn new() -> Option<Self> {
            let instance = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
            #[expect(
                deprecated,
                reason = "what takes its place is unsafe; this descriptor is owned by what is registered"
            )]
            let told = AsyncFd::with_interest(instance, Interest::READABLE).ok()?;
            Some(Self { told, folders: HashMap::new() })
        }

        pub(super) fn watch(&mut self, all: Vec<Watched>) {
            let mut folders = HashMap::new();
            for watched in all {
                let mut flags = WatchFlags::ONLYDIR | WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVE;
                if watched.written.is_some() {
                    flags |= WatchFlags::MODIFY;
                }
                // The same folder has the same number. What is not there is watched when it is.
                if let Ok(number) = inotify::add_watch(self.told.get_ref(), &watched.folder, flags) {
                    folders.insert(number, watched);
                }
            }
            for gone in self.folders.keys().filter(|number| !folders.contains_key(number)) {
                let _ = inotify::remove_watch(self.told.get_ref(), *gone);
            }
            self.folders = folders;
        }

        pub(super) async fn news(&mut self) {
            loop {
                let Ok(mut ready) = self.told.readable_mut().await else { return std::future::pending().await };
                if hears(ready.get_inner(), &self.folders) {
                    return;
                }
                ready.clear_ready();
            }
        }
    }

    #[cfg(test)]
    impl Instance {
        pub(super) fn hears(&mut self) -> bool {
            hears(self.told.get_ref(), &self.folders)
        }
    }

    /// Reads all that is there to be told, and says whether any of it was news.
    fn hears(told: &OwnedFd, folders: &HashMap<i32, Watched>) -> bool {
        let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
        let mut reader = Reader::new(told, &mut buffer);
        let mut has_news = false;
        loop {
            let event = match reader.next() {
                Err(Errno::INTR) => continue,
                Err(_) => return has_news,
                Ok(event) => event,
            };
            has_news |= event.events().contains(ReadFlags::QUEUE_OVERFLOW);
            let Some(folder) = folders.get(&event.wd()) else { continue };
            has_news |= match (&folder.written, event.file_name()) {
                (None, _) => true,
                (Some(names), Some(name)) => names.iter().any(|known| known.as_bytes() == name.to_bytes()),
                (Some(_), None) => false,
            };
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::Watched;

    /// There is none.
    #[derive(Debug)]
    pub(super) enum Instance {}

    impl Instance {
        pub(super) fn new() -> Option<Self> {
            None
        }

        pub(super) fn watch(&mut self, _all: Vec<Watched>) {
            match *self {}
        }

        pub(super) async fn news(&mut self) {
            match *self {}
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;
    use tokio::time::timeout;

    /// Waits for news that must come, however long that takes.
    async fn come(watch: &mut Watch) -> bool {
        timeout(Duration::from_secs(60), watch.news()).await.is_ok()
    }

    #[tokio::test]
    async fn what_comes_into_a_folder_and_what_is_written_to_a_named_file_is_news() {
        let dir = tempfile::tempdir().unwrap();
        let (log, other) = (dir.path().join("log"), dir.path().join("other"));
        for folder in [&log, &other] {
            fs::create_dir(folder).unwrap();
        }
        let mut watch = Watch::begin();
        assert!(watch.0.is_some());
        let written = Some(vec!["php.log".to_owned()]);
        let gone = Watched { folder: dir.path().join("none"), written: None };
        watch.only(vec![
            Watched { folder: log.clone(), written: None },
            Watched { folder: other.clone(), written },
            gone,
        ]);
        // What was done is told before the call returns that did it.
        let has_news = |watch: &mut Watch| watch.0.as_mut().unwrap().hears();
        assert!(!has_news(&mut watch));

        fs::write(log.join("1.toml"), "x").unwrap();
        assert!(come(&mut watch).await, "what comes is told");
        assert!(!has_news(&mut watch));
        fs::write(log.join("1.toml"), "y").unwrap();
        fs::write(other.join("access.log"), "y").unwrap();
        fs::read(log.join("1.toml")).unwrap();
        assert!(!has_news(&mut watch), "reading and other files are none");
        let mut file = fs::File::create(other.join("php.log")).unwrap();
        assert!(come(&mut watch).await, "a named file comes");
        file.write_all(b"x").unwrap();
        assert!(come(&mut watch).await, "something is written to it");
        watch.only(vec![]);
        fs::write(log.join("2.toml"), "x").unwrap();
        assert!(!has_news(&mut watch), "nobody listens to that any more");
    }
}
