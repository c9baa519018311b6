//! The command, as the branch page knows it: each question is answered by what answers it in the terminal.

mod digests;
mod errors;
mod facts;
mod merge;
mod moment;
mod suspects;

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use forkpress_core::layout::SiteLayout;
use forkpress_core::lock::note::Note;
use forkpress_core::name::BranchName;
use forkpress_core::record::rfc3339;
use forkpress_engine::activity::Sample;
use forkpress_engine::branch::{self, BranchError};
use forkpress_engine::jobs::{self, Job, JobError, JobId, NewJob};
use forkpress_engine::merge::diff::{Diff, Since, Window};
use forkpress_engine::site::Site;
use forkpress_page::action::Order;
use forkpress_page::backstage::{Backstage, Detail, Failed, Mail, MailHead, Running, Suspect, Told};
use forkpress_page::facts::{Happened, Overview};
use forkpress_page::hub::Bell;
use forkpress_page::merge_form::Trial;
use forkpress_page::watch::Watched;
use forkpress_server::traffic::Traffic;

use crate::failure::{During, Failure};
use crate::mail::{KeptMail, Mailbox, message};
use crate::site::Address;
use digests::Digests;

/// So many mails and operations of a branch are shown.
const MOST_ROWS: usize = 50;

/// The command, for one site.
#[derive(Debug)]
pub(super) struct Command {
    work_dir: PathBuf,
    /// This program, by a path that holds.
    program: PathBuf,
    /// Where it is served.
    address: Address,
    traffic: Arc<Traffic>,
    digests: Digests,
}

impl Command {
    pub(super) fn new(site: &Site, address: Address, traffic: Arc<Traffic>) -> Result<Self, Failure> {
        let program = std::env::current_exe().during(|| "cannot find the forkpress program".to_owned())?;
        let work_dir = site.layout.work_dir().to_owned();
        Ok(Self { work_dir, program, address, traffic, digests: Digests::default() })
    }

    fn site(&self) -> Result<Site, Failed> {
        Site::open(&self.work_dir).map_err(failed)
    }

    fn layout(&self) -> Result<SiteLayout, Failed> {
        Ok(self.site()?.layout)
    }
}

/// What failed, as the terminal would have it.
fn failed(error: impl Into<Failure>) -> Failed {
    let Failure { error, causes, hint, .. } = error.into();
    Failed { error, causes, hint, is_missing: false }
}

fn missing() -> Failed {
    Failed { is_missing: true, ..Failed::default() }
}

fn of_branch(error: BranchError) -> Failed {
    match error {
        BranchError::Missing { .. } => missing(),
        error => failed(error),
    }
}

fn of_job(error: JobError) -> Failed {
    match error {
        JobError::Missing { .. } => missing(),
        error => failed(error),
    }
}

impl Backstage for Command {
    fn names(&self) -> Result<Vec<BranchName>, Failed> {
        let shown = branch::list_each(&self.site()?).map_err(of_branch)?;
        Ok(shown.into_iter().map(|(name, _)| name).collect())
    }

    fn detail(&self, name: &BranchName) -> Result<Detail, Failed> {
        let site = self.site()?;
        let shown = branch::show(&site, name).map_err(of_branch)?;
        Ok(Detail {
            from: shown.record.from,
            created: shown.record.created_at,
            operations: facts::operations_on(&site, name, MOST_ROWS).map_err(failed)?,
            mails: mails(&site, name)?,
            errors: errors::last_lines(&site.layout, name),
            requests: requests(&site, name),
            name: name.clone(),
        })
    }

    fn suspects(&self, name: &BranchName, since: Option<SystemTime>) -> Vec<Suspect> {
        self.site().map(|site| suspects::suspects(&site, name, since)).unwrap_or_default()
    }

    fn mail(&self, name: &BranchName, id: u64) -> Result<Mail, Failed> {
        let mailbox = Mailbox::of(&self.layout()?, name);
        let kept = mailbox.list().map_err(failed)?.into_iter().find(|kept| kept.id == id).ok_or_else(missing)?;
        let mut bytes = Vec::new();
        mailbox.open(id).and_then(|mut mail| mail.read_to_end(&mut bytes)).map_err(failed)?;
        let message = message::message(&bytes);
        let attachments = message.attachments.into_iter();
        let attachments = attachments.map(|file| (file.name.unwrap_or(file.kind), file.bytes as u64));
        Ok(Mail {
            from: message.head.from.clone(),
            text: message.text,
            attachments: attachments.collect(),
            head: head(&kept, message.head),
        })
    }

    fn jobs(&self) -> Result<Vec<Job>, Failed> {
        jobs::list(&self.layout()?).map(|listing| listing.jobs).map_err(of_job)
    }

    fn job(&self, id: JobId) -> Result<Told, Failed> {
        let layout = self.layout()?;
        let job = jobs::get(&layout, id).map_err(of_job)?;
        let (mut lines, mut from) = (Vec::new(), 0);
        loop {
            let (more, next) = jobs::lines(&layout, id, from).map_err(of_job)?;
            if next == from {
                break;
            }
            lines.extend(more);
            from = next;
        }
        let answer = if job.is_running() { None } else { jobs::answer(&layout, id).map_err(of_job)? };
        let output = jobs::open_output(&layout, id).ok().and_then(|file| Some(file.metadata().ok()?.len()));
        Ok(Told { job, lines, answer, output })
    }

    fn made(&self, id: JobId) -> Result<File, Failed> {
        jobs::open_output(&self.layout()?, id).map_err(of_job)
    }

    fn changes(
        &self,
        name: &BranchName,
        against: Option<&BranchName>,
        window: Window,
    ) -> Result<Option<(Diff, Since)>, Failed> {
        merge::changes(&self.site()?, name, against, window)
    }

    fn try_merge(&self, source: &BranchName, into: &BranchName, answers: Option<&str>) -> Result<Trial, Failed> {
        merge::try_merge(&self.site()?, source, into, answers)
    }

    fn start(&self, order: Order) -> Result<JobId, Failed> {
        let arguments: Vec<OsString> = order.words.iter().map(OsString::from).collect();
        let new = NewJob { arguments: &arguments, title: &order.title, by: "page", stdin: order.stdin };
        jobs::start(&self.layout()?, &self.program, new).map_err(of_job)
    }

    fn cancel(&self, id: JobId) -> Result<(), Failed> {
        jobs::cancel(&self.layout()?, id).map_err(of_job)
    }

    fn overview(&self) -> Result<Overview, Failed> {
        facts::overview(&self.site()?, &self.digests).map_err(failed)
    }

    fn find_out(&self, names: Vec<BranchName>) {
        if let Ok(site) = self.site() {
            self.digests.want(site, names);
        }
    }

    fn operations(&self) -> Result<Vec<Happened>, Failed> {
        facts::operations(&self.site()?).map_err(failed)
    }

    fn sample(&self) -> Result<Sample, Failed> {
        facts::sample(&self.site()?, &self.address, &self.traffic).map_err(failed)
    }

    fn watched(&self) -> Vec<Watched> {
        self.layout().map(|layout| facts::watched(&layout)).unwrap_or_default()
    }

    fn tell(&self, bell: Bell) {
        self.digests.tell(bell);
    }
}

fn mails(site: &Site, name: &BranchName) -> Result<Vec<MailHead>, Failed> {
    let mailbox = Mailbox::of(&site.layout, name);
    let mut kept = mailbox.list().map_err(failed)?;
    kept.sort_by_key(|kept| std::cmp::Reverse(kept.at));
    // One that can't be opened has made room for another meanwhile.
    let open = kept.iter().take(MOST_ROWS).filter_map(|kept| Some((kept, mailbox.open(kept.id).ok()?)));
    open.map(|(kept, mut mail)| Ok(head(kept, message::head(&mut mail).map_err(failed)?))).collect()
}

fn head(kept: &KeptMail, head: message::Head) -> MailHead {
    MailHead { id: kept.id, at: rfc3339(kept.at), to: head.to, subject: head.subject }
}

fn requests(site: &Site, name: &BranchName) -> Vec<Running> {
    let notes = Note::all(site.layout.cow()).into_iter();
    let of_branch = notes.filter_map(|note| {
        let (method, branch, path) = note.request()?;
        (branch == name.as_str()).then(|| Running {
            method: method.to_owned(),
            path: path.to_owned(),
            state: note.state.word().to_owned(),
            age: note.age(),
        })
    });
    of_branch.collect()
}
