use super::*;
use std::fs::File;
use std::io::Write;

use folder::{Begun, End};
use forkpress_core::flock::{self, Mode};
use forkpress_core::process::ProcessIdentity;

fn layout() -> (tempfile::TempDir, SiteLayout) {
    let dir = tempfile::tempdir().unwrap();
    let layout = SiteLayout::at(dir.path());
    (dir, layout)
}

/// The folder of a job that this process runs, as long as the file is there.
fn running(layout: &SiteLayout, id: u64) -> (Folder, File) {
    let folder = JobId(id).folder(layout);
    fs::create_dir_all(folder.path()).unwrap();
    let lock = Folder::create(&folder.lock()).unwrap();
    assert!(flock::try_lock(&lock, Mode::Exclusive).unwrap());
    folder
        .write_begun(&Begun { command: vec!["log".into()], title: "t".into(), by: "b".into(), began_ms: 1000 })
        .unwrap();
    for path in [folder.output(), folder.progress()] {
        Folder::create(&path).unwrap();
    }
    (folder, lock)
}

fn end(exit: i32) -> End {
    End { exit, ended_ms: 3500, operation: None }
}

#[test]
fn a_number_is_written_in_one_way() {
    assert_eq!("120".parse::<JobId>().unwrap().to_string(), "120");
    for text in ["", "0", "01", "+1", "-1", "1 ", "x", "../1", "1/..", "9999999999999999"] {
        assert!(text.parse::<JobId>().is_err(), "{text}");
    }
    assert_eq!(serde_json::to_string(&JobId(7)).unwrap(), "\"7\"");
    assert!(serde_json::from_str::<JobId>("\"../7\"").is_err());
}

#[test]
fn a_job_is_seen_when_its_runner_is_named_and_its_state_is_that_of_lock_and_end() {
    let (_dir, layout) = layout();
    let (folder, lock) = running(&layout, 3);
    assert!(matches!(get(&layout, JobId(3)), Err(JobError::Missing { .. })), "nobody runs it yet");
    assert_eq!(list(&layout).unwrap(), Listing::default());
    folder.name_runner(&lock, &ProcessIdentity::current()).unwrap();
    let job = get(&layout, JobId(3)).unwrap();
    assert_eq!(job.state, JobState::Running { pid: std::process::id() });
    drop(lock);
    assert_eq!(get(&layout, JobId(3)).unwrap().state, JobState::Died);
    folder.write_end(&end(4)).unwrap();
    let state = JobState::Ended { exit: 4, took: Duration::from_millis(2500) };
    assert_eq!(get(&layout, JobId(3)).unwrap(), Job { state, ..job });
}

#[test]
fn no_signal_is_sent_to_a_process_that_has_the_number_of_the_runner() {
    let (_dir, layout) = layout();
    let (folder, lock) = running(&layout, 1);
    // A signal would end this test.
    folder.name_runner(&lock, &ProcessIdentity { started: "0".into(), ..ProcessIdentity::current() }).unwrap();
    assert!(matches!(cancel(&layout, JobId(1)), Err(JobError::NotRunning { .. })));
    folder.name_runner(&lock, &ProcessIdentity::current()).unwrap();
    drop(lock);
    assert!(matches!(cancel(&layout, JobId(1)), Err(JobError::NotRunning { .. })));
}

#[test]
fn lines_are_whole_until_nobody_ends_them_any_more() {
    let (_dir, layout) = layout();
    let (folder, lock) = running(&layout, 1);
    folder.name_runner(&lock, &ProcessIdentity::current()).unwrap();
    let mut progress = File::options().append(true).open(folder.progress()).unwrap();
    let lines = |from| lines(&layout, JobId(1), from).unwrap();
    assert_eq!(lines(0), (Vec::new(), 0));
    progress.write_all(b"one\ntw").unwrap();
    assert_eq!(lines(0), (vec!["one".to_owned()], 4));
    assert_eq!(lines(4), (Vec::new(), 4));
    progress.write_all(b"o\nthree").unwrap();
    assert_eq!(lines(4), (vec!["two".to_owned()], 8));
    drop(lock);
    assert_eq!(lines(8), (vec!["three".to_owned()], 13));
    assert_eq!(lines(13), (Vec::new(), 13));
    assert_eq!(lines(1000), (Vec::new(), 1000), "there is no such place");
}

#[test]
fn much_progress_comes_in_pieces_and_a_line_without_an_end_too() {
    let (_dir, layout) = layout();
    let (folder, lock) = running(&layout, 1);
    folder.name_runner(&lock, &ProcessIdentity::current()).unwrap();
    let most = usize::try_from(MOST_LINES_BYTES).unwrap();
    let text = [b"a\n".as_slice(), &vec![b'b'; most + most / 2]].concat();
    fs::write(folder.progress(), &text).unwrap();
    for lock in [Some(lock), None] {
        let is_running = lock.is_some();
        let mut from = 0;
        let mut read = 0;
        loop {
            let (told, next) = lines(&layout, JobId(1), from).unwrap();
            if next == from {
                break;
            }
            read += told.iter().map(String::len).sum::<usize>();
            from = next;
        }
        assert_eq!(read, if is_running { 1 + most } else { 1 + most + most / 2 });
    }
}

#[test]
fn what_is_swept_is_gone_and_so_is_what_a_killed_sweep_left() {
    let (_dir, layout) = layout();
    for id in [1, 2] {
        running(&layout, id).0.write_end(&end(0)).unwrap();
    }
    let left = layout.jobs_dir().join(".gone-7");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("output"), "").unwrap();
    let new = layout.jobs_dir().join(".new-x");
    fs::create_dir(&new).unwrap();
    fs::write(layout.jobs_dir().join("rubbish"), "").unwrap();
    // Both began in 1970.
    sweep(&layout).unwrap();
    let mut names: Vec<_> = entries(&layout).unwrap().into_iter().map(|(name, _)| name).collect();
    names.sort();
    assert_eq!(names, [".new-x", "2", "rubbish"]);
}

#[test]
fn the_file_of_an_old_export_goes_and_the_job_stays() {
    let (_dir, layout) = layout();
    let folder = running(&layout, 1).0;
    let export = Begun { command: vec!["export".to_owned()], ..folder.begun().unwrap().unwrap() };
    folder.write_begun(&export).unwrap();
    folder.write_end(&end(0)).unwrap();
    fs::write(folder.output(), "what was exported in 1970").unwrap();
    sweep(&layout).unwrap();
    assert!(open_output(&layout, JobId(1)).is_err());
    assert_eq!(get(&layout, JobId(1)).unwrap().command, ["export"]);
}
