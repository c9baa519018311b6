//! Whose a mail is that some process sends.

use std::iter::successors;

use forkpress_core::layout::CowLayout;
use forkpress_core::lock::note::Note;
use forkpress_core::name::BranchName;
use forkpress_core::process;

/// How far the request is that a program was started by.
const GENERATIONS: usize = 16;

/// The branch of the request, or of the program, that this process was started by: what a process says that it serves counts,
/// and no variable, which a branch's code may set to anything.
pub fn sender(cow: &CowLayout) -> Option<BranchName> {
    let ancestors = successors(process::parent(std::process::id()), |pid| process::parent(*pid));
    ancestors.take(GENERATIONS).take_while(|pid| *pid > 1).find_map(|pid| {
        let note = Note::of(cow, pid).filter(|note| !note.is_of_files())?;
        note.branch().filter(|branch| cow.record(branch).exists())
    })
}
