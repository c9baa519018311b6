//! `forkpress mail`: lists and shows the mails that branches sent. `forkpress __sendmail`: keeps one.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use forkpress_core::name::BranchName;
use forkpress_core::record::rfc3339;
use forkpress_engine::branch;
use forkpress_engine::site::Site;
use serde_json::{Value, json};

use crate::cli::{MailArgs, SendmailArgs};
use crate::failure::{During, Failure};
use crate::mail::message::{self, Message};
use crate::mail::{self, KeptMail, Mailbox};
use crate::{output, site};

/// What a program tells that could not send a mail (`EX_TEMPFAIL` and `EX_NOUSER` of sysexits.h).
const FAILED: u8 = 75;
const NOBODY: u8 = 67;

/// Lists or shows mails, or removes them.
pub fn run(work_dir: Option<&Path>, args: &MailArgs, as_json: bool) -> Result<(), Failure> {
    let site = site::open(work_dir)?;
    match (&args.branch, args.id) {
        (Some(branch), Some(id)) if args.raw => raw(&site, branch, id),
        (Some(branch), Some(id)) => show(&site, branch, id, as_json),
        (branch, _) if args.clear => clear(&site, names(&site, branch.as_ref())?, as_json),
        (branch, _) => list(&site, names(&site, branch.as_ref())?, as_json),
    }
}

/// The branches that were asked for: one, or all that sent something.
fn names(site: &Site, asked: Option<&BranchName>) -> Result<Vec<BranchName>, Failure> {
    let all = Mailbox::names(&site.layout).during(|| "cannot read the mails".to_owned())?;
    let Some(asked) = asked else { return Ok(all) };
    if !all.contains(asked) {
        // A branch that sent nothing is one all the same.
        branch::show(site, asked)?;
    }
    Ok(vec![asked.clone()])
}

fn list(site: &Site, names: Vec<BranchName>, as_json: bool) -> Result<(), Failure> {
    let mut all = Vec::new();
    for name in names {
        let mailbox = Mailbox::of(&site.layout, &name);
        for kept in mailbox.list().during(|| "cannot read the mails".to_owned())? {
            // It may have made room for another one meanwhile.
            if let Ok(mut mail) = mailbox.open(kept.id) {
                all.push((name.clone(), kept, message::head(&mut mail)?));
            }
        }
    }
    all.sort_by_key(|(_, kept, _)| kept.at);
    if as_json {
        let rows: Result<Vec<Value>, Failure> = all.iter().map(|(name, kept, head)| row(name, kept, head)).collect();
        return output::json(&rows?).map_err(Failure::from);
    }
    if all.is_empty() {
        output::line("forkpress: no mail yet")?;
    }
    for (name, kept, head) in &all {
        let (at, to) = (rfc3339(kept.at), head.to.join(", "));
        output::line(format_args!("{name:16}  {:>4}  {at}  {to}  {}", kept.id, head.subject))?;
    }
    Ok(())
}

/// A mail as scripts read it.
fn row(branch: &BranchName, kept: &KeptMail, said: impl serde::Serialize) -> Result<Value, Failure> {
    let mut row = json!({ "branch": branch, "id": kept.id, "at": rfc3339(kept.at), "bytes": kept.bytes });
    if let (Value::Object(row), Value::Object(said)) = (&mut row, serde_json::to_value(said).map_err(io::Error::from)?)
    {
        row.extend(said);
    }
    Ok(row)
}

fn opened(site: &Site, branch: &BranchName, id: u64) -> Result<(KeptMail, Vec<u8>), Failure> {
    let mailbox = Mailbox::of(&site.layout, branch);
    let missing = || {
        Failure::new(format!("'{branch}' has no mail {id}"))
            .hint(format!("forkpress mail {branch} lists those that it has"))
    };
    let kept = mailbox.list()?.into_iter().find(|kept| kept.id == id).ok_or_else(missing)?;
    let mut bytes = Vec::new();
    let mut mail = mailbox.open(id).during(|| format!("cannot read mail {id} of '{branch}'"))?;
    mail.read_to_end(&mut bytes)?;
    Ok((kept, bytes))
}

fn show(site: &Site, branch: &BranchName, id: u64, as_json: bool) -> Result<(), Failure> {
    let (kept, bytes) = opened(site, branch, id)?;
    let message = message::message(&bytes);
    if as_json {
        return output::json(&row(branch, &kept, &message)?).map_err(Failure::from);
    }
    output::line(format_args!("Sent: {}", rfc3339(kept.at)))?;
    let Message { head, cc, bcc, reply_to, text, attachments, .. } = &message;
    for (name, addresses) in [("From", &head.from), ("To", &head.to), ("Cc", cc), ("Bcc", bcc), ("Reply-To", reply_to)]
    {
        if !addresses.is_empty() {
            output::line(format_args!("{name}: {}", addresses.join(", ")))?;
        }
    }
    output::line(format_args!("Subject: {}", head.subject))?;
    for attachment in attachments {
        let name = attachment.name.as_deref().unwrap_or("without a name");
        output::line(format_args!("Attached: {name} ({}, {} bytes)", attachment.kind, attachment.bytes))?;
    }
    output::text(format_args!("\n{}", text.trim_end()))?;
    Ok(())
}

/// Prints a mail as it was sent, byte for byte, unless a person would look at it.
fn raw(site: &Site, branch: &BranchName, id: u64) -> Result<(), Failure> {
    let (_, bytes) = opened(site, branch, id)?;
    if console::Term::stdout().is_term() {
        return output::text(String::from_utf8_lossy(&bytes).trim_end()).map_err(Failure::from);
    }
    let mut out = io::stdout().lock();
    out.write_all(&bytes)?;
    Ok(out.flush()?)
}

fn clear(site: &Site, names: Vec<BranchName>, as_json: bool) -> Result<(), Failure> {
    let mut removed = 0;
    for name in names {
        removed +=
            Mailbox::of(&site.layout, &name).clear().during(|| format!("cannot remove the mails of '{name}'"))?;
    }
    if as_json {
        return output::json(&json!({ "removed": removed })).map_err(Failure::from);
    }
    Ok(output::line(format_args!("forkpress: {removed} removed"))?)
}

/// Keeps the mail on standard input, and says by the exit status whether it did.
pub fn keep(args: &SendmailArgs) -> Result<ExitCode, Failure> {
    let site = Site::open(&args.work_dir)?;
    let branch = match &args.branch {
        Some(branch) => Some(branch.clone()),
        None => mail::sender(site.layout.cow()),
    };
    let Some(branch) = branch else {
        output::note("forkpress: this mail is of no branch: no request sends it");
        return Ok(ExitCode::from(NOBODY));
    };
    match Mailbox::of(&site.layout, &branch).deliver(&mut io::stdin().lock()) {
        Ok(_) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            output::note(format_args!("forkpress: a mail of '{branch}' can not be kept: {error}"));
            Ok(ExitCode::from(FAILED))
        }
    }
}
