//! What each command does, one file a command.

mod agents;
mod branch;
mod changed;
mod checkout;
mod diff;
mod doctor;
mod exec;
mod export;
mod git;
mod git_hook;
mod git_http;
mod history;
mod import;
mod job;
mod jobs;
mod load_dump;
mod logs;
mod mail;
mod merge;
mod page;
mod serve;
mod stop;
mod storage;
mod top;
mod trust;
mod update;
pub mod wp;

use std::process::ExitCode;

use clap_complete::generate;

use crate::cli::{self, Cli, Command, DoctorCommand, GitHook, ServerCommand, StartArgs, Typed, UpdateCommand};
use crate::failure::Failure;
use crate::{child, clean, init, output, trace};

/// Does what was typed, says what failed, and gives the exit status.
pub fn run(typed: &Typed) -> ExitCode {
    match typed {
        Typed::Ours(cli) => {
            let begun = if cli.command.speaks_elsewhere() { Ok(()) } else { trace::begin(cli.verbose) };
            begun.and_then(|()| dispatch(cli)).unwrap_or_else(|failure| output::fail(&failure, cli.json))
        }
        Typed::Git(arguments) => output::fail(&git::of_user(arguments), false),
        Typed::Versions => match versions() {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => output::fail(&failure, true),
        },
    }
}

fn dispatch(cli: &Cli) -> Result<ExitCode, Failure> {
    let work_dir = cli.work_dir.as_deref();
    match &cli.command {
        Command::Init(args) => init::run(work_dir, args, cli.json)?,
        Command::Start(args) if args.detached => return Ok(serve::detached(work_dir, &args.serve)),
        Command::Start(StartArgs { serve: args, .. }) if !args.background => {
            serve::foreground(work_dir, args, cli.json)?;
        }
        Command::Serve(args) | Command::Server(ServerCommand::Start(args)) if args.foreground => {
            serve::foreground(work_dir, args, cli.json)?;
        }
        Command::Serve(args)
        | Command::Server(ServerCommand::Start(args))
        | Command::Start(StartArgs { serve: args, .. }) => serve::background(work_dir, args, cli.json)?,
        Command::Trust(args) => return trust::run(work_dir, args, cli.json),
        Command::Stop(args) | Command::Server(ServerCommand::Stop(args)) => stop::run(work_dir, args, cli.json)?,
        Command::Server(ServerCommand::List) => stop::list(cli.json)?,
        Command::Branch(command) => branch::run(work_dir, command, cli.json)?,
        Command::Log(args) => history::log(work_dir, args, cli.json)?,
        Command::Undo(args) => history::undo(work_dir, args, cli.json)?,
        Command::Gc(args) => history::gc(work_dir, args, cli.json)?,
        Command::Storage(command) => storage::run(work_dir, command, cli.json)?,
        Command::Doctor(DoctorCommand::Storage { fix }) => return doctor::storage::run(work_dir, *fix, cli.json),
        Command::Exec(args) => return exec::run(work_dir, args),
        Command::Import(args) => import::run(work_dir, args, cli.json)?,
        Command::Export(args) => export::run(work_dir, args, cli.json)?,
        Command::Wp(args) => return wp::run(work_dir, args),
        Command::Doctor(DoctorCommand::Branches) => return doctor::branches::run(work_dir, cli.json),
        Command::Doctor(DoctorCommand::Driver) => return doctor::driver::run(work_dir, cli.json),
        Command::Update(UpdateCommand::Driver(args)) => update::driver(work_dir, args, cli.json)?,
        Command::Doctor(DoctorCommand::Php) => doctor::php(work_dir, cli.json)?,
        Command::Top => top::run(work_dir, cli.json)?,
        Command::Clone(args) => checkout::clone(work_dir, args, cli.json)?,
        Command::Commit(args) => checkout::commit(args, cli.json)?,
        Command::Pull(args) => checkout::pull(args, cli.json)?,
        Command::Agents(args) => agents::run(work_dir, args, cli.json)?,
        Command::Jobs(args) => return jobs::run(work_dir, args, cli.json),
        Command::Job(args) => return job::run(args),
        Command::Page(args) => page::run(work_dir, args, cli.json)?,
        Command::Mail(args) => mail::run(work_dir, args, cli.json)?,
        Command::Sendmail(args) => return mail::keep(args),
        Command::Logs(args) => logs::run(work_dir, args, cli.json)?,
        Command::Completion { shell } => completion(*shell)?,
        Command::Git(command) => git::run(work_dir, command, cli.json)?,
        Command::GitHttp => return Ok(git_http::run(work_dir)),
        Command::GitHook { hook: GitHook::PreReceive } => return git_hook::check(work_dir),
        Command::GitHook { hook: GitHook::ProcReceive } => git_hook::run(work_dir)?,
        Command::Clean { work_dir } => clean::run(work_dir)?,
        Command::Read { work_dir } => clean::read(work_dir)?,
        Command::Spares { work_dir } => crate::server::keep_spares(work_dir)?,
        Command::LoadDump(args) => load_dump::run(args)?,
        Command::Child { parent, program } => return Err(child::become_program(*parent, program)),
    }
    Ok(ExitCode::SUCCESS)
}

fn versions() -> Result<(), Failure> {
    output::json(&cli::versions().map_err(Failure::of)?).map_err(Failure::from)
}

fn completion(shell: clap_complete::Shell) -> Result<(), Failure> {
    // Into memory first: the generator panics where it can't write.
    let mut script = Vec::new();
    generate(shell, &mut cli::command(), "forkpress", &mut script);
    output::text(String::from_utf8_lossy(&script).trim_end())?;
    Ok(())
}
