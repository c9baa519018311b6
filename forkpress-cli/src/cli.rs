//! The command line. Parsing checks what was typed and names it; nothing here acts.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use forkpress_core::name::BranchName;
use forkpress_engine::config::FileView;
use forkpress_engine::jobs::JobId;

use crate::bundle::Bundle;
use crate::git::Remote;
use crate::{harmless, output};

/// Branches a whole WordPress site, files and database, and serves every branch at its own host name.
#[derive(Debug, Parser)]
#[command(
    name = "forkpress",
    disable_help_subcommand = true,
    arg_required_else_help = true,
    after_help = "Examples:
  forkpress init                        make a site in the current folder
  forkpress serve                       serve it in the background: http://wp.localhost:18080/
  forkpress branch create marketing     http://marketing.wp.localhost:18080/
  forkpress stop

Exit status: 0 done, 1 refused or failed, 2 wrong usage, 75 the lock stayed busy.
With --json a failure is an object with 'error', 'causes', 'hint' and 'exit' on standard output."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,

    /// The .forkpress folder of the site [default: found from the current folder upwards]
    #[arg(long, global = true, value_name = "DIR")]
    pub work_dir: Option<PathBuf>,

    /// Print JSON instead of text
    #[arg(long, global = true)]
    pub json: bool,

    /// Say on standard error what is done, step by step, as FORKPRESS_LOG=debug does
    #[arg(long, short, global = true)]
    pub verbose: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a site: a WordPress that is installed and ready to be branched
    #[command(after_help = "Examples:
  forkpress init
  forkpress init --site-title 'Shop' --admin-password 'correct horse'
  forkpress init --wordpress ~/sites/shop        take the files of a WordPress that uses SQLite
  forkpress init --wordpress wordpress.zip --file-view file-copy
  forkpress init --blueprint shop.json
  forkpress init --work-dir ~/sites/new/.forkpress     missing folders are made
  pass show shop | forkpress init --admin-password-stdin

Others on this machine can see the arguments of a command while it runs.
So give a password on standard input, or in the variable FORKPRESS_ADMIN_PASSWORD.
If init fails or is interrupted, it removes what it made.")]
    Init(InitArgs),
    /// Serve the site in the background
    #[command(after_help = "Examples:
  forkpress serve
  forkpress serve --port 8080 --workers 8
  forkpress serve --https
  forkpress serve --php /usr/bin/php8.3
  FORKPRESS_AUTO_LOGIN=0 forkpress serve         ask everybody for the password and the token

The command ends when the front page answers.
'forkpress stop' ends the server. 'forkpress logs' shows what it did.
If the site is served already, the command prints its address and changes nothing.")]
    Serve(ServeArgs),
    /// Serve the site in the foreground, until Ctrl-C
    #[command(after_help = "Examples:
  forkpress start
  forkpress start --host 0.0.0.0 --root-host wp.example.test

Ctrl-C waits for running requests to end. A second Ctrl-C does not wait.")]
    Start(StartArgs),
    /// Have the system and the browsers accept the certificates of 'serve --https'
    #[command(after_help = "Examples:
  forkpress trust
  forkpress trust --remove
  forkpress trust --json | jq -r '.[].certificate'

'serve --https' has an authority of your own, which signs for hosts below localhost only.
A site with another root host has one for that host.
The command tells the system's store and those of Chromium and Firefox.
Where it may not, it prints what to type.")]
    Trust(TrustArgs),
    /// Stop the server of this site
    #[command(after_help = "Examples:
  forkpress stop
  forkpress stop --all
  forkpress stop --timeout 60      give running requests a minute
  forkpress stop --force           give them no time")]
    Stop(StopArgs),
    /// List the servers of this user
    #[command(subcommand, arg_required_else_help = true)]
    Server(ServerCommand),
    /// List, show, create, reset and delete branches
    #[command(subcommand, arg_required_else_help = true, alias = "branchctl")]
    Branch(BranchCommand),
    /// List the operations on branches: what, when, by whom, for how long
    #[command(after_help = "Examples:
  forkpress log
  forkpress log -n 5
  forkpress log --json | jq '.[] | select(.kept)'")]
    Log(LogArgs),
    /// Undo the newest create, reset, delete or push, or the operation with a number
    #[command(after_help = "Examples:
  forkpress undo          undo the newest operation; type it again to go further back
  forkpress undo 7        undo operation 7 of 'forkpress log'
  forkpress undo 8        if 8 is an undo: redo what it undid

What the branch has now is kept in turn, so an undo can be undone.
[keep] in site.toml says what is kept, and for how long.")]
    Undo(UndoArgs),
    /// Remove what is kept for 'undo' beyond the bounds in site.toml
    #[command(after_help = "Examples:
  forkpress gc --dry-run
  forkpress gc

Every command that changes a branch does the same in the background.")]
    Gc(GcArgs),
    /// Show, mount, detach, compact, grow and convert the storage of the branches
    #[command(subcommand, arg_required_else_help = true)]
    Storage(StorageCommand),
    /// Find problems, and fix them
    #[command(subcommand, arg_required_else_help = true)]
    Doctor(DoctorCommand),
    /// Give branches newer parts that come with forkpress; 'forkpress undo' undoes it
    #[command(subcommand, arg_required_else_help = true)]
    Update(UpdateCommand),
    /// Run a program in a branch's folder, while no forkpress command changes it
    #[command(after_help = "Examples:
  forkpress exec main -- wp plugin list
  forkpress exec marketing -- php -r 'echo getcwd(), PHP_EOL;'
  forkpress exec main -- sh -c 'grep -r TODO wp-content | head'
  forkpress exec --no-lock marketing -- bash

The program counts as a request of the branch.
It finds HTTP_HOST and FORKPRESS_BRANCH in its environment.
It must not run a forkpress command that changes or clones its own branch: that would wait for it.
The exit status is the program's, or 128 plus the number of the signal that ended it.")]
    Exec(ExecArgs),
    /// Take a branch out for any host: its files, and its database for MySQL and MariaDB
    #[command(after_help = "Examples:
  forkpress export main --url https://example.com       main.zip: the files, and database.sql
  forkpress export main --to ~/out                      the same in a folder
  forkpress export main --to - | ssh host 'cat >site.zip'
  forkpress export main --format sql --to main.sql      only the database
  forkpress export main --format wxr                    main.xml, for WordPress's importer

With --url all addresses that the branch is or was served at become that one; the lengths in
serialized values stay true. Post GUIDs, e-mail addresses and base64 stay as they are.
Left out: the SQLite driver and its database, links out of the branch, keys and salts. Fill in the
database's name, user and password in wordpress/wp-config.php.
An export that fails or is interrupted leaves nothing. Docs: docs/import-export.md")]
    Export(ExportArgs),
    /// Bring in a site: files, database, or both
    #[command(after_help = "Examples:
  forkpress import ~/backups/shop.wpress            in an empty folder: makes a site of it
  forkpress import ~/backups/shop.zip --branch shop    in a site: makes a branch of it
  forkpress import ~/dump.sql.gz --branch data      the files of 'main', with another database
  forkpress import ~/www/shop --exclude '*.mp4' --exclude wp-content/uploads/2019
  forkpress import ~/backups/shop.zip --dry-run     what is in it
  forkpress import ssh://me@example.com/srv/www --without-uploads
  forkpress import ~/posts.xml --branch news        contents (WXR), added to those of 'main'

What it takes: a folder, .zip, .tar, .tar.gz, .tar.zst with a WordPress, or only its wp-content, and an SQL
dump in it; a dump alone (.sql, .gz, .zst); exports of Local, Studio and Playground; backups of
All-in-One WP Migration, UpdraftPlus, Duplicator, Jetpack, BackWPup and cPanel; a ForkPress site and its
exports; exports of contents (WXR), whose media are fetched from where they are. It looks into the source: names of files do not matter.
An encrypted backup needs its password in FORKPRESS_IMPORT_PASSWORD.
A failed import leaves nothing. More: docs/import-export.md")]
    Import(ImportArgs),
    /// Run WP-CLI on a branch
    #[command(after_help = "Examples:
  forkpress wp main -- plugin list
  forkpress wp marketing -- option update blogname 'Summer sale'
  forkpress wp marketing -- plugin install ~/shop.zip --activate
  forkpress wp -- post list --format=json          on the branch of the current folder
  forkpress wp main -- db query 'SELECT COUNT(*) FROM wp_posts'
  forkpress wp --no-lock main -- shell
  forkpress wp -- --info                           also where there is no site

It runs in the branch's folder, with the site's PHP settings, and with the branch's address as --url.
It counts as a request of the branch, as 'forkpress exec' does. The exit status is WP-CLI's.
WP-CLI reads wp-cli.yml of the branch's folder and .forkpress/wp-cli.yml, none of your own.
What works how with SQLite: docs/wp-cli.md")]
    Wp(WpArgs),
    /// Show requests, locks and operations
    #[command(after_help = "Examples:
  forkpress top
  forkpress top --json | jq '.requests[] | select(.age_seconds > 1)'

On a terminal it refreshes each second, until q or Ctrl-C.
Elsewhere, and with --json, it prints once.")]
    Top,
    /// Check out a site with git: its files, and its database as text
    #[command(after_help = "Examples:
  forkpress clone                                              this site, into ./site
  forkpress clone http://wp.localhost:18080/site.git shop
  forkpress clone --work-dir ~/shop/.forkpress ~/checkout

The site must be served.
The checkout is ordinary Git: 'git clone' with that address does the same.")]
    Clone(CloneArgs),
    /// Commit and push all changes of a checkout: the branch on the site shows them at once
    #[command(
        alias = "push",
        after_help = "Examples:
  forkpress commit -m 'Larger headline'
  forkpress commit -m 'Larger headline' ~/checkout

If the site does not have the branch yet, it is created there, from the one its commits come from.
Only what is in wordpress/ reaches the site; database.sql is there to be read.
New files are added, except those that .gitignore and .git/info/exclude name.
The hooks of the checkout are run."
    )]
    Commit(CommitArgs),
    /// Update a checkout from its branch on the site; commits that are not pushed stay on top
    #[command(after_help = "Examples:
  forkpress pull
  forkpress pull ~/checkout")]
    Pull(PullArgs),
    /// Make branches of the site with a worktree each, for agents; or remove them
    #[command(after_help = "Examples:
  forkpress agents --count 3                     agent-1 to agent-3, worktrees in ./agents
  forkpress agents --count 5                     the same three, and two more
  forkpress agents ~/checkout --count 3 --prefix shop --from marketing
  forkpress agents --json | jq -r '.[].worktree'
  forkpress agents --remove

DIR is a checkout. It is made if there is none.
Existing agents are used again, as they are.
Only those missing up to --count are made, and numbers continue.
If anything fails or is interrupted, what was made is removed again.
--remove keeps agents that hold work, and names them. Work is: files that are not committed,
commits that are not pushed, and changes of a branch on the site that main does not have.
'forkpress undo' brings back a removed branch.")]
    Agents(AgentsArgs),
    /// Create branches from a checkout; print the token of the site's Git repository
    #[command(
        subcommand,
        arg_required_else_help = true,
        after_help = "All else goes to your own git, in the current folder: 'forkpress git status' is 'git status'."
    )]
    Git(GitCommand),
    /// List and show the mails that branches sent: they are kept instead
    #[command(after_help = "Examples:
  forkpress mail                      those of all branches, the newest last
  forkpress mail marketing
  forkpress mail marketing 3          one of them: its headers, its text, what is attached
  forkpress mail marketing 3 --raw >reset.eml
  forkpress mail marketing --clear
  forkpress mail --json | jq '.[].subject'

Kept is what PHP sends by mail(), as WordPress does. A plugin that speaks SMTP itself does send.
Docs: docs/serving.md")]
    Mail(MailArgs),
    /// Show the logs of the site
    #[command(after_help = "Examples:
  forkpress logs
  forkpress logs --file wp -n 20
  forkpress logs --file php --follow
  forkpress logs --file access -f     the requests
  forkpress logs --file slow shop     those to the branch 'shop' that took more than a second
  forkpress logs --file gc            what was removed that 'undo' could have brought back, and why
  forkpress logs --paths              where each log is, and what it is

Control characters are made visible, such as \\u{1b}, also where the output goes to a file.
With --json each line is an object with 'file' and 'line'.")]
    Logs(LogsArgs),
    /// List and follow jobs: long actions that were started in the browser
    #[command(after_help = "Examples:
  forkpress jobs
  forkpress jobs 7                    what job 7 is, and what came of it
  forkpress jobs --follow 7           its progress as it comes; then its answer and its exit status
  forkpress jobs --cancel 7           end it, as Ctrl-C does
  forkpress jobs --json | jq '.[] | select(.state == \"running\")'

A job goes on when the page is closed, and when the server stops.
The newest 100 are kept, for 30 days. With --json and --follow each line is an object.
Docs: docs/branch-page.md")]
    Jobs(JobsArgs),
    /// Print the address of the branch page: the branches in the browser
    #[command(after_help = "Examples:
  forkpress page
  forkpress page --token          what others sign in with
  forkpress page --json | jq -r .url

The site must be served. You need no token on the machine of the server, unless FORKPRESS_AUTO_LOGIN=0.
Whoever has the token may do all that the page can do: create, reset and delete branches.
Docs: docs/branch-page.md")]
    Page(PageArgs),
    /// Print a completion script for a shell
    #[command(after_help = "Install:
  bash:  forkpress completion bash > ~/.local/share/bash-completion/completions/forkpress
  zsh:   forkpress completion zsh > \"${fpath[1]}/_forkpress\"
  fish:  forkpress completion fish > ~/.config/fish/completions/forkpress.fish")]
    Completion {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Answers a CGI request to the site's Git repository
    #[command(name = "__git-http", hide = true)]
    GitHttp,
    /// Runs as a hook of the site's Git repository
    #[command(name = "__git-hook", hide = true)]
    GitHook {
        #[arg(value_enum)]
        hook: GitHook,
    },
    /// Removes what a command left to be removed
    #[command(name = "__clean", hide = true)]
    Clean { work_dir: PathBuf },
    /// Has Git read what is new to it, in the background
    #[command(name = "__read", hide = true)]
    Read { work_dir: PathBuf },
    /// Makes spares for a server
    #[command(name = "__spares", hide = true)]
    Spares { work_dir: PathBuf },
    /// Loads a dump into the database of a branch, for WP-CLI, and says in JSON what came of it
    #[command(name = "__load-dump", hide = true)]
    LoadDump(LoadDumpArgs),
    /// Keeps a mail, in place of sendmail
    #[command(name = "__sendmail", hide = true)]
    Sendmail(SendmailArgs),
    /// Runs a job to its end
    #[command(name = "__job", hide = true)]
    Job(JobArgs),
    /// Becomes a program that ends with its parent
    #[command(name = "__child", hide = true)]
    Child {
        parent: u32,
        #[arg(last = true, required = true)]
        program: Vec<OsString>,
    },
}

#[derive(Debug, Args)]
pub struct PageArgs {
    /// Print the token with which somebody signs in who is not known
    #[arg(long)]
    pub token: bool,
}

#[derive(Debug, Args)]
pub struct JobsArgs {
    /// The number of a job [default: all]
    pub id: Option<JobId>,

    /// Show its progress until it ends, then its answer. The exit status is the job's
    #[arg(long, short = 'f', requires = "id")]
    pub follow: bool,

    /// End it, as Ctrl-C does
    #[arg(long, requires = "id", conflicts_with = "follow")]
    pub cancel: bool,
}

#[derive(Debug, Args)]
pub struct JobArgs {
    /// The .forkpress folder of the site
    pub work_dir: PathBuf,

    /// The number of the job
    pub id: JobId,

    /// What a person would type
    #[arg(last = true, required = true)]
    pub arguments: Vec<OsString>,
}

#[derive(Debug, Args)]
pub struct MailArgs {
    /// The branch [default: all]
    pub branch: Option<BranchName>,

    /// Show the mail with this number
    #[arg(requires = "branch")]
    pub id: Option<u64>,

    /// Print it as it was sent
    #[arg(long, requires = "id")]
    pub raw: bool,

    /// Remove those that are kept
    #[arg(long, conflicts_with = "id")]
    pub clear: bool,
}

#[derive(Debug, Args)]
pub struct SendmailArgs {
    /// The .forkpress folder of the site
    pub work_dir: PathBuf,

    /// The branch; that of the request that sends the mail, if this is not said
    #[arg(long)]
    pub branch: Option<BranchName>,

    /// What a program says to sendmail
    #[arg(last = true)]
    pub ignored: Vec<OsString>,
}

#[derive(Debug, Args)]
pub struct LoadDumpArgs {
    /// PHP's program
    #[arg(long)]
    pub php: PathBuf,

    /// ForkPress's tables.php
    #[arg(long)]
    pub tables: PathBuf,

    /// The folder of the branch's driver
    #[arg(long)]
    pub driver: PathBuf,

    /// A folder that is not the branch's, with room for the dump
    #[arg(long)]
    pub scratch: PathBuf,

    /// The branch's database
    #[arg(long)]
    pub database: PathBuf,

    /// The dump
    pub dump: PathBuf,
}

/// A hook of the repository of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GitHook {
    /// Decides whether a push is accepted
    PreReceive,
    /// Does the updates of a push
    ProcReceive,
}

impl Command {
    /// Whether what this says on standard error is shown to nobody, or to somebody elsewhere.
    pub fn speaks_elsewhere(&self) -> bool {
        matches!(
            self,
            Self::GitHttp
                | Self::GitHook { .. }
                | Self::Clean { .. }
                | Self::Read { .. }
                | Self::Sendmail(_)
                | Self::Job(_)
        )
    }
}

#[derive(Debug, Args)]
pub struct BesideArgs {
    /// Do not wait for running requests of the branch to clone
    ///
    /// A file that such a request writes just then may be cloned half written, or without a row that comes later. The
    /// database is whole all the same. 'forkpress log' says that it was so. Requests of the branch that is reset wait
    /// for longer than without it: until all files of the other one were looked at.
    #[arg(long)]
    pub beside: bool,
}

#[derive(Debug, Args)]
pub struct BlueprintArgs {
    /// Run a WordPress Playground blueprint on the new branch. A blueprint is code: run only one that you trust
    #[arg(long, value_name = "FILE", conflicts_with = "count", value_hint = clap::ValueHint::FilePath)]
    pub blueprint: Option<PathBuf>,

    #[command(flatten)]
    pub php: PhpArgs,
}

#[derive(Debug, Args)]
pub struct InitArgs {
    /// Password of the user 'admin' [default: FORKPRESS_ADMIN_PASSWORD, else a random one, printed once]
    #[arg(long, value_name = "PASSWORD", value_parser = parse_password)]
    pub admin_password: Option<String>,

    /// Read that password from the first line of standard input
    #[arg(long, conflicts_with = "admin_password")]
    pub admin_password_stdin: bool,

    /// Title of the site [default: ForkPress]
    #[arg(long, value_name = "TITLE")]
    pub site_title: Option<String>,

    /// How branches share bytes: btrfs-snapshot, reflink, file-copy, or in an image: linux-xfs-loop,
    /// macos-apfs-sparsebundle [default: the best that works here]
    #[arg(long, value_name = "VIEW")]
    pub file_view: Option<FileView>,

    /// A WordPress with the SQLite driver, as a folder or a ZIP file [default: the one in this program]
    #[arg(long, value_name = "DIR|ZIP")]
    pub wordpress: Option<PathBuf>,

    /// A site to bring in, as 'forkpress import' does: a folder, an archive, a backup, a dump, or ssh://HOST/PATH
    #[arg(long, value_name = "SOURCE", value_hint = clap::ValueHint::AnyPath,
        conflicts_with_all = ["wordpress", "site_title", "admin_password", "admin_password_stdin"])]
    pub from: Option<PathBuf>,

    #[command(flatten)]
    pub source: SourceArgs,

    /// Run a WordPress Playground blueprint on the new WordPress. A blueprint is code: run only one that you trust
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub blueprint: Option<PathBuf>,

    /// How branches are kept
    #[arg(long, value_enum, default_value_t = StrategyArg::Cow)]
    pub strategy: StrategyArg,

    /// Host name of 'main'; a branch's is one label below it
    #[arg(long, value_name = "HOST", default_value = "wp.localhost", value_parser = parse_root_host)]
    pub root_host: String,

    /// Port to serve the site on
    #[arg(long, default_value_t = 18080, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,

    #[command(flatten)]
    pub php: PhpArgs,
}

/// What of a source is brought in.
#[derive(Clone, Debug, Default, Args)]
pub struct SourceArgs {
    /// Which one, where a source has several: the folder of a WordPress, or a dump. It may be given more than once
    #[arg(long, value_name = "PATH")]
    pub inside: Vec<PathBuf>,

    /// The branch, where the source is a ForkPress site [default: main]
    #[arg(long, value_name = "BRANCH")]
    pub from_branch: Option<BranchName>,

    /// Leave out files: a name such as '*.mp4', or a path in WordPress such as 'wp-content/uploads/2019'
    #[arg(long, value_name = "PATTERN")]
    pub exclude: Vec<String>,

    /// Leave the media library out, and send requests for what is in it to the site's former address. Of an export of
    /// contents (WXR): do not fetch the media that it names
    #[arg(long)]
    pub without_uploads: bool,

    /// Replace the site's former addresses in the database for good. Without this they stay, and each branch serves its own
    #[arg(long)]
    pub rewrite_urls: bool,

    /// Replace people's data in the database, such as users, commenters and customers, by that of people who do not exist.
    /// Files stay as they are
    #[arg(long)]
    pub scrub: bool,
}

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// A folder, an archive, a backup, a dump, or ssh://USER@HOST/PATH
    #[arg(value_hint = clap::ValueHint::AnyPath)]
    pub source: PathBuf,

    /// The branch that is made of it. Without this, a site is made in the current folder, which has none
    #[arg(long, value_name = "NAME")]
    pub branch: Option<BranchName>,

    /// Tell what was found, and change nothing
    #[arg(long)]
    pub dry_run: bool,

    #[command(flatten)]
    pub what: SourceArgs,

    /// How branches share bytes, where a site is made: see 'forkpress init --help'
    #[arg(long, value_name = "VIEW", conflicts_with = "branch")]
    pub file_view: Option<FileView>,

    /// Host name of 'main', where a site is made
    #[arg(long, value_name = "HOST", default_value = "wp.localhost", value_parser = parse_root_host)]
    pub root_host: String,

    /// Port to serve the site on, where one is made
    #[arg(long, default_value_t = 18080, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,

    #[command(flatten)]
    pub php: PhpArgs,

    #[command(flatten)]
    pub wait: WaitArgs,
}

/// How branches are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StrategyArg {
    /// Copy on write: each branch is a full tree of its own
    Cow,
}

#[derive(Clone, Debug, Args)]
pub struct PhpArgs {
    /// The PHP program: a path, or a name such as php8.3 [default: php in PATH]
    ///
    /// The php-fpm of its version serves the site; where there is none, its php-cgi; else PHP's built-in server.
    /// FORKPRESS_PHP_FPM and FORKPRESS_PHP_CGI name another one, or say `none`.
    #[arg(long, value_name = "PATH", env = "FORKPRESS_PHP", alias = "php-bin")]
    pub php: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    pub host: std::net::IpAddr,

    /// Port to listen on; 0: a free one [default: the site's, from init]
    #[arg(long)]
    pub port: Option<u16>,

    /// Host name of 'main' [default: the site's, from init]
    #[arg(long, value_name = "HOST", value_parser = parse_root_host)]
    pub root_host: Option<String>,

    /// Serve HTTPS on the same port, too; 'forkpress trust' makes browsers accept it
    #[arg(long)]
    pub https: bool,

    /// Requests served at once
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub workers: u16,

    /// Debug with Xdebug: a request with XDEBUG_TRIGGER connects to the editor at port 9003
    ///
    /// The trigger is a cookie, or a part of the query: /?XDEBUG_TRIGGER=1. What the editor needs is printed. A page
    /// that stands at a breakpoint keeps the lock of its branch, and no time limit ends it.
    #[arg(long)]
    pub xdebug: bool,

    /// Serve in the foreground, as 'start' does
    #[arg(long, hide = true, conflicts_with = "background")]
    pub foreground: bool,

    /// Serve in the background, as 'serve' does
    #[arg(long, hide = true)]
    pub background: bool,

    #[command(flatten)]
    pub php: PhpArgs,
}

#[derive(Debug, Args)]
pub struct StartArgs {
    #[command(flatten)]
    pub serve: ServeArgs,

    /// Leave the terminal, and say on standard output how the start went
    #[arg(long, hide = true)]
    pub detached: bool,
}

#[derive(Debug, Args)]
pub struct TrustArgs {
    /// Have none of them accept it any more
    #[arg(long)]
    pub remove: bool,
}

#[derive(Debug, Args)]
pub struct StopArgs {
    /// Stop the servers of all sites of this user
    #[arg(long)]
    pub all: bool,

    /// Stop the server with this process id, as 'server list' shows it
    #[arg(long, hide = true, conflicts_with = "all")]
    pub pid: Option<u32>,

    /// How long to wait for running requests before they are killed
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = parse_seconds)]
    pub timeout: Duration,

    /// Kill at once
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Subcommand)]
pub enum ServerCommand {
    /// List the running servers
    #[command(after_help = "Examples:
  forkpress server list
  forkpress server list --json | jq -r '.[].url'")]
    List,
    /// Serve the site in the background
    #[command(hide = true)]
    Start(ServeArgs),
    /// Stop the server of this site
    #[command(hide = true)]
    Stop(StopArgs),
}

#[derive(Debug, Subcommand)]
pub enum BranchCommand {
    /// List the branches
    #[command(after_help = "Examples:
  forkpress branch list
  forkpress branch list --bytes
  forkpress branch list --json | jq -r '.[].name'

The list says how many bytes each branch holds. Every file is looked at for that.
So with more than 20 branches it does so only with --bytes.
'forkpress branch show' says it of one branch.")]
    List {
        /// Say how many bytes each branch holds, however many branches there are
        #[arg(long)]
        bytes: bool,
    },
    /// Show a branch
    #[command(after_help = "Examples:
  forkpress branch show main
  forkpress branch show marketing --json
  forkpress branch show                  the branch of the current folder, or of its checkout")]
    Show {
        /// The branch [default: the one that the current folder belongs to]
        name: Option<BranchName>,
    },
    /// Show a branch [default: that of the current folder, else all]
    #[command(hide = true)]
    Status {
        /// The branch
        name: Option<BranchName>,
    },
    /// Show what a branch changed since it parted from another one: files, content, tables
    #[command(after_help = "Examples:
  forkpress branch diff marketing                       since it parted from the branch it came from
  forkpress branch diff marketing staging               since the two had something in common last
  forkpress branch diff marketing --stat                only how much
  forkpress branch diff marketing --patch -- posts      the texts of posts, line by line
  forkpress branch diff marketing -- wp-content/themes wp_options
  forkpress branch diff marketing --base main           compared with main as it is now
  forkpress branch diff marketing --json | jq -r '.objects[].text'

'+' is new, '~' is changed, '-' is gone. Files have Git's letters: A, M, D, R.
Page views write, too: sessions, caches, locks, empty drafts. Such rows are counted, not shown.
Secrets are shown as [redacted]. Nobody has to wait meanwhile.
The exit status is 0 whether anything changed or not.")]
    Diff(DiffArgs),
    /// Bring what a branch changed into another one: files, content, tables; 'forkpress undo' undoes it
    #[command(after_help = "Examples:
  forkpress branch merge marketing --into main
  forkpress branch merge marketing --into main --dry-run     only say what would be done
  forkpress branch merge marketing --into main --theirs      of conflicts, take marketing's side
  forkpress branch conflicts marketing --into main --json >answers.json
  forkpress branch merge marketing --into main --resolve answers.json

'ours' is the branch that is merged into, 'theirs' the one that comes.
All of it is merged, or nothing: where both changed the same thing, the merge says so and changes
nothing. What only page views write stays as it is. What merges how: docs/merging.md.
The exit status is 0 where it was merged or there was nothing to merge, 1 where something is to be
decided first, 75 where a lock stayed busy.")]
    Merge(MergeArgs),
    /// List what is to be decided before a branch can be merged into another one
    #[command(after_help = "Examples:
  forkpress branch conflicts marketing --into main
  forkpress branch conflicts marketing --into main --json >answers.json

The list of --json is a file for 'forkpress branch merge --resolve', once each \"take\" is ours,
theirs or base, or has made room for a \"value\". Changes nothing.")]
    Conflicts(ConflictsArgs),
    /// Create branches, with the files and the database of another one
    #[command(after_help = "Examples:
  forkpress branch create marketing
  forkpress branch create headline-2 headline-3 --from marketing
  forkpress branch create marketing --wait               and wait until its first page is ready
  forkpress branch create --count 10 --prefix agent      agent-1 to agent-10; later ones go on
  forkpress branch create marketing --beside             also while a page of main runs for long
  forkpress branch create shop --blueprint shop.json     with what a Playground blueprint makes

Several branches are created all or not at all. 'forkpress undo' undoes them all.
A blueprint runs before anybody sees the branch. If it fails, there is no branch.")]
    Create {
        /// The new branches: lower-case letters, digits, '-' and '_'
        #[arg(required_unless_present = "count", value_name = "NAME")]
        names: Vec<BranchName>,
        /// Create this many branches, named with a prefix and a number
        #[arg(long, requires = "prefix", conflicts_with = "names", value_parser = clap::value_parser!(u16).range(1..))]
        count: Option<u16>,
        /// The prefix of their names
        #[arg(long, requires = "count")]
        prefix: Option<String>,
        /// The branch to clone
        #[arg(long, value_name = "BRANCH", default_value = BranchName::MAIN)]
        from: BranchName,
        #[command(flatten)]
        blueprint: BlueprintArgs,
        #[command(flatten)]
        beside: BesideArgs,
        #[command(flatten)]
        ready: ReadyArgs,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Give a branch the files and the database of another one; 'forkpress undo' undoes it
    #[command(
        visible_alias = "rollback",
        after_help = "Examples:
  forkpress branch reset marketing --from main
  forkpress branch reset main --from marketing --force"
    )]
    Reset {
        /// The branch to reset
        name: BranchName,
        /// The branch to clone
        #[arg(long, value_name = "BRANCH")]
        from: BranchName,
        #[command(flatten)]
        beside: BesideArgs,
        /// Allow a reset of main
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        ready: ReadyArgs,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Delete a branch, its files and its database; 'forkpress undo' brings it back
    #[command(
        visible_alias = "rm",
        after_help = "Examples:
  forkpress branch delete marketing
  forkpress branch rm marketing --timeout 5
  forkpress branch delete marketing --purge     keep nothing: it can't be undone"
    )]
    Delete {
        /// The branch
        name: BranchName,
        /// Keep nothing: the delete can't be undone
        #[arg(long)]
        purge: bool,
        #[command(flatten)]
        wait: WaitArgs,
    },
}

#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The branch
    pub name: BranchName,

    /// The branch that it parted from [default: the one that it came from]
    pub target: Option<BranchName>,

    /// Compare with this branch as it is now instead
    #[arg(long, value_name = "BRANCH", conflicts_with = "target")]
    pub base: Option<BranchName>,

    /// Show only how much changed
    #[arg(long, conflicts_with = "patch")]
    pub stat: bool,

    /// Show the changes of files, and of texts in the database, line by line
    #[arg(long, short)]
    pub patch: bool,

    /// Show the rows that page views write as well
    #[arg(long)]
    pub all: bool,

    /// Only these files, folders and tables; a table with or without the prefix 'wp_'
    #[arg(last = true, value_name = "PATH|TABLE")]
    pub only: Vec<String>,
}

#[derive(Debug, Args)]
pub struct MergeArgs {
    #[command(flatten)]
    pub pair: PairArgs,

    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,

    /// In each conflict, take what the branch has that is merged into
    #[arg(long, conflicts_with = "theirs")]
    pub ours: bool,

    /// In each conflict, take what the branch has that comes home
    #[arg(long)]
    pub theirs: bool,

    /// What each conflict gets: a list of 'forkpress branch conflicts --json', filled in; '-' is standard input
    #[arg(long, value_name = "FILE")]
    pub resolve: Option<PathBuf>,

    #[command(flatten)]
    pub ready: ReadyArgs,

    #[command(flatten)]
    pub wait: WaitArgs,
}

#[derive(Debug, Args)]
pub struct ConflictsArgs {
    #[command(flatten)]
    pub pair: PairArgs,

    #[command(flatten)]
    pub wait: WaitArgs,
}

#[derive(Debug, Args)]
pub struct PairArgs {
    /// The branch that comes home
    pub name: BranchName,

    /// The branch that it comes home to
    #[arg(long, value_name = "BRANCH")]
    pub into: BranchName,

    /// Take this branch, as it is now, for what both had in common: what it has otherwise counts as changed
    #[arg(long, value_name = "BRANCH")]
    pub base: Option<BranchName>,

    /// Leave this table as it is; with or without the prefix 'wp_'
    #[arg(long, value_name = "TABLE")]
    pub exclude: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub enum StorageCommand {
    /// Show where the branches are, who holds the locks, and how full an image is
    #[command(after_help = "Examples:
  forkpress storage status
  forkpress storage status --json | jq .image.reclaimable_bytes")]
    Status,
    /// Mount the image; 'forkpress serve' does so by itself
    #[command(after_help = "Examples:
  forkpress storage mount
  forkpress storage mount --json | jq -r .mount")]
    Mount {
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Unmount the image; 'forkpress stop' does so by itself
    #[command(after_help = "Examples:
  forkpress storage detach
  forkpress storage detach --force      even if programs have files in it open

The image stays detached until 'forkpress serve' or 'forkpress storage mount'.")]
    Detach {
        /// Detach it even if programs, or a server, have files in it open
        #[arg(long)]
        force: bool,
        /// Keep the server running: it answers 503 until 'storage mount'
        #[arg(long, hide = true)]
        keep_server: bool,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Give the space of deleted files in the image back to the disk
    #[command(after_help = "Examples:
  forkpress storage compact
  forkpress storage compact --keep-server     the server answers 503 until 'forkpress storage mount'

The command stops the server, and leaves the image detached until 'forkpress serve' or
'forkpress storage mount'.
If the site has no image, there is nothing to do, and that is no failure.")]
    Compact {
        /// Keep the server running
        #[arg(long)]
        keep_server: bool,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Make a Linux image larger while it is in use
    #[command(after_help = "Examples:
  forkpress storage grow 200G")]
    Grow {
        /// The new size: a number with K, M, G or T
        #[arg(value_name = "SIZE", value_parser = parse_bytes)]
        size_bytes: u64,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Move all branches, and what is kept for 'undo', to another file view while the site is served
    #[command(after_help = "Examples:
  forkpress storage convert --to linux-xfs-loop
  forkpress storage convert --to file-copy

The old storage is removed when the new one is in use and has been checked.
If the command is interrupted before the branches have moved, the site stays as it was.
If it is interrupted later, the server or the next command finishes it.")]
    Convert {
        /// The new file view
        #[arg(long, value_name = "VIEW")]
        to: FileView,
        #[command(flatten)]
        wait: WaitArgs,
    },
}

#[derive(Debug, Subcommand)]
pub enum DoctorCommand {
    /// Check the storage: what the volume can do, and what is wrong
    #[command(after_help = "Examples:
  forkpress doctor storage
  forkpress doctor storage --fix

The exit status is 1 if a problem stays.")]
    Storage {
        /// Fix what is safe to fix
        #[arg(long)]
        fix: bool,
    },
    /// Check whether the code of the branches in use fits into PHP's OPcache
    #[command(after_help = "Examples:
  forkpress doctor php
  forkpress doctor php --json | jq -r .verdict")]
    Php,
    /// Find absolute paths in branches that lead to another branch, or to where the site was before
    #[command(after_help = "Examples:
  forkpress doctor branches
  forkpress doctor branches --json | jq -r '.[].place'

It looks at the options and the wp-config.php of each branch.
The exit status is 1 if a path is not mapped to the branch's own.")]
    Branches,
    /// Say which SQLite driver each branch has, and whether a newer one is there
    #[command(after_help = "Examples:
  forkpress doctor driver
  forkpress doctor driver --json | jq -r '.branches[] | select(.older) | .branch'

The newest one is the one that comes with forkpress. 'forkpress update driver' takes it.
The exit status is 1 if a branch has an older one, or none.")]
    Driver,
}

#[derive(Debug, Subcommand)]
pub enum UpdateCommand {
    /// Give branches the SQLite driver that comes with forkpress, where theirs is older
    #[command(after_help = "Examples:
  forkpress update driver                     every branch that has an older one
  forkpress update driver --branch staging
  forkpress doctor driver                     only say which versions there are

A branch keeps its driver until then. Each branch is an operation of its own: 'forkpress undo' takes
the files back. The driver brings its tables up to date when the branch is next visited.")]
    Driver(UpdateDriverArgs),
}

#[derive(Debug, Args)]
pub struct UpdateDriverArgs {
    /// Only this branch [default: all]
    #[arg(long, value_name = "NAME")]
    pub branch: Option<BranchName>,

    #[command(flatten)]
    pub wait: WaitArgs,
}

#[derive(Clone, Debug, Args)]
pub struct ReadyArgs {
    /// Wait until the server has compiled the branch's code: then its first page is as fast as any
    #[arg(long)]
    pub wait: bool,
}

#[derive(Debug, Subcommand)]
pub enum GitCommand {
    /// Create branches of the site from a checkout
    #[command(subcommand, arg_required_else_help = true)]
    Branch(GitBranchCommand),
    /// Print the token that others need to push
    #[command(after_help = "Examples:
  forkpress git token
  git clone http://any:$(forkpress git token)@wp.example.test:18080/site.git

A push from your own account on this machine needs no token.
It needs one if the site is served with --host for others, or with FORKPRESS_AUTO_LOGIN=0.")]
    Token,
}

#[derive(Clone, Debug, Args)]
pub struct WaitArgs {
    /// How long to wait for running requests and other commands; 0 tries once
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = parse_seconds)]
    pub timeout: Duration,
}

#[derive(Debug, Args)]
pub struct LogArgs {
    /// How many operations to list, the newest first
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub lines: usize,
}

#[derive(Debug, Args)]
pub struct UndoArgs {
    /// The number of the operation, from 'forkpress log'
    pub id: Option<u64>,

    #[command(flatten)]
    pub ready: ReadyArgs,

    #[command(flatten)]
    pub wait: WaitArgs,
}

#[derive(Debug, Args)]
pub struct GcArgs {
    /// Only say what would be freed
    #[arg(long)]
    pub dry_run: bool,

    #[command(flatten)]
    pub wait: WaitArgs,
}

#[derive(Debug, Args)]
pub struct ExecArgs {
    /// The branch
    pub branch: BranchName,

    #[command(flatten)]
    pub locking: LockingArgs,

    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub program: Vec<OsString>,
}

#[derive(Debug, Args)]
pub struct LockingArgs {
    /// Take no lock: for a shell that stays open. Other commands may change the branch while the program runs
    #[arg(long)]
    pub no_lock: bool,

    #[command(flatten)]
    pub wait: WaitArgs,
}

#[derive(Debug, Args)]
pub struct WpArgs {
    /// The branch [default: the one that the current folder belongs to]
    pub branch: Option<BranchName>,

    #[command(flatten)]
    pub locking: LockingArgs,

    #[command(flatten)]
    pub php: PhpArgs,

    /// The command of WP-CLI and its arguments
    #[arg(last = true, value_name = "ARGS")]
    pub arguments: Vec<OsString>,
}

#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The branch
    pub branch: BranchName,

    /// Where to: a file, a folder, or '-' for standard output. A name that ends in .zip is a file
    /// [default: BRANCH.zip, BRANCH.sql or BRANCH.xml]
    #[arg(long, value_name = "FILE|DIR|-", value_hint = clap::ValueHint::AnyPath)]
    pub to: Option<PathBuf>,

    /// What goes out
    #[arg(long, value_enum, default_value_t = ExportFormat::Site)]
    pub format: ExportFormat,

    /// The address that the site is to have: a scheme, a host, and perhaps a port and a folder
    #[arg(long, value_name = "URL", value_hint = clap::ValueHint::Url)]
    pub url: Option<String>,

    /// Replace a file, or an earlier export in a folder
    #[arg(long)]
    pub force: bool,

    #[command(flatten)]
    pub php: PhpArgs,

    #[command(flatten)]
    pub wait: WaitArgs,
}

/// What of a branch goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Files and database
    Site,
    /// The database, as SQL for MySQL and MariaDB
    Sql,
    /// Posts, pages, comments and terms, as WordPress's own export has them
    Wxr,
}

#[derive(Clone, Debug, Args)]
pub struct RemoteNameArgs {
    /// What the checkout calls the site [default: origin]
    #[arg(long, value_name = "NAME", value_parser = parse_remote_name)]
    pub remote_name: Option<String>,
}

impl RemoteNameArgs {
    /// What a new checkout calls the site.
    pub fn name(&self) -> &str {
        self.remote_name.as_deref().unwrap_or("origin")
    }
}

#[derive(Debug, Args)]
pub struct CloneArgs {
    /// The address of the site's repository [default: that of the site around the current folder]
    pub remote: Option<String>,

    /// The folder to make [default: site]
    #[arg(value_hint = clap::ValueHint::DirPath)]
    pub dir: Option<PathBuf>,

    #[command(flatten)]
    pub remote_name: RemoteNameArgs,
}

#[derive(Debug, Args)]
pub struct CommitArgs {
    /// The checkout [default: the one around the current folder]
    #[arg(value_hint = clap::ValueHint::DirPath)]
    pub repo: Option<PathBuf>,

    /// The commit message
    #[arg(short, long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub message: String,

    #[command(flatten)]
    pub remote_name: RemoteNameArgs,
}

#[derive(Debug, Args)]
pub struct PullArgs {
    /// The checkout [default: the one around the current folder]
    #[arg(value_hint = clap::ValueHint::DirPath)]
    pub repo: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct AgentsArgs {
    /// The checkout [default: the one around the current folder, else ./agents]
    #[arg(value_hint = clap::ValueHint::DirPath)]
    pub dir: Option<PathBuf>,

    /// How many agents there should be [default: as many as exist, else 10]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub count: Option<u16>,

    /// The prefix of their branches' names, before a number
    #[arg(long, default_value = "agent", value_parser = parse_prefix)]
    pub prefix: String,

    /// The branch to clone
    #[arg(long, value_name = "BRANCH", default_value = BranchName::MAIN)]
    pub from: BranchName,

    /// The address of the site's repository [default: that of the checkout, or of the site]
    #[arg(long, value_name = "URL", value_parser = parse_remote)]
    pub remote: Option<Remote>,

    #[command(flatten)]
    pub remote_name: RemoteNameArgs,

    /// Remove the agents with this prefix: branches and worktrees
    #[arg(long, conflicts_with_all = ["count", "from"])]
    pub remove: bool,

    #[command(flatten)]
    pub wait: WaitArgs,
}

#[derive(Debug, Subcommand)]
pub enum GitBranchCommand {
    /// Create a branch of the site and switch the checkout to it
    #[command(after_help = "Examples:
  forkpress git branch create headline
  forkpress git branch create headline-2 --from headline ~/checkout")]
    Create {
        /// The new branch: lower-case letters, digits, '-' and '_'
        name: BranchName,
        /// The branch to clone
        #[arg(long, value_name = "BRANCH", default_value = BranchName::MAIN)]
        from: BranchName,
        /// The checkout [default: the one around the current folder]
        #[arg(value_hint = clap::ValueHint::DirPath)]
        repo: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Which log: WordPress's debug log, PHP's errors, PHP's web server, the requests, those that took long, the forkpress
    /// server, what was removed and can't be undone any more, or all
    #[arg(long, value_enum, default_value_t = LogFile::All)]
    pub file: LogFile,

    /// Show only the requests of this branch, of the logs 'access' and 'slow'
    pub branch: Option<BranchName>,

    /// How many lines of each log to show, from the end
    #[arg(short = 'n', long, value_name = "N", default_value_t = 80)]
    pub lines: usize,

    /// Keep showing new lines, until Ctrl-C
    #[arg(long, short = 'f')]
    pub follow: bool,

    /// Print where each log is instead
    #[arg(long, conflicts_with = "follow")]
    pub paths: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFile {
    Wp,
    #[value(alias = "php-errors")]
    Php,
    Server,
    Access,
    Slow,
    Forkpress,
    Gc,
    All,
}

/// What was typed.
#[derive(Debug)]
pub enum Typed {
    /// A command of ours.
    Ours(Box<Cli>),
    /// Arguments for the user's own git.
    Git(Vec<OsString>),
    /// The versions of this program and of what it carries, as JSON.
    Versions,
}

/// Reads the command line. Ends the process for `--help` and `--version`, and with 2 where it makes no sense.
pub fn parse() -> Typed {
    let mut words: Vec<OsString> = std::env::args_os().collect();
    if let Some(arguments) = for_git(&words) {
        return Typed::Git(arguments);
    }
    if words[1..] == ["-v"] {
        words[1] = "-V".into();
    }
    if asks_for_versions(&words) {
        return Typed::Versions;
    }
    Typed::Ours(Box::new(read(words)))
}

/// What stands after `forkpress git` where that is no command of ours.
fn for_git(words: &[OsString]) -> Option<Vec<OsString>> {
    let (first, arguments) = words.get(1..)?.split_first()?;
    let word = |at: usize| arguments.get(at).and_then(|word| word.to_str()).unwrap_or_default();
    let is_general = |word: &str| {
        matches!(word, "" | "-h" | "--help" | "--json" | "-v" | "--verbose") || word.starts_with("--work-dir")
    };
    let is_ours = match word(0) {
        "token" => true,
        "branch" => is_general(word(1)) || word(1) == "create",
        other => is_general(other),
    };
    // An argument that is no text is none of ours.
    (first == "git" && !arguments.is_empty() && !(is_ours && arguments[0].to_str().is_some()))
        .then(|| arguments.to_vec())
}

/// Whether nothing but `--version` and `--json` was typed, in either order.
fn asks_for_versions(words: &[OsString]) -> bool {
    let version = |word: &OsString| word == "--version" || word == "-V";
    matches!(&words[1..], [one, other] if version(one) && other == "--json" || one == "--json" && version(other))
}

fn read(words: Vec<OsString>) -> Cli {
    let parsed = command().try_get_matches_from(words).and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.unwrap_or_else(|error| refuse(&error))
}

/// Ends the process as clap does. What it quotes may come from elsewhere, and is not shown as it is then.
fn refuse(error: &clap::Error) -> ! {
    let text = error.render().to_string();
    let clean = harmless::lines(&text);
    if clean == text {
        error.exit()
    }
    output::note(clean.trim_end());
    std::process::exit(error.exit_code())
}

/// The command line, with the version of what is in the program.
pub fn command() -> clap::Command {
    static LONG_VERSION: LazyLock<String> = LazyLock::new(long_version);
    Cli::command().version(env!("CARGO_PKG_VERSION")).long_version(LONG_VERSION.as_str())
}

/// The version of this program and of what it carries, for programs.
pub fn versions() -> anyhow::Result<serde_json::Value> {
    let manifest = Bundle::embedded().map(Bundle::manifest).transpose()?;
    Ok(serde_json::json!({ "forkpress": env!("CARGO_PKG_VERSION"), "bundle": manifest }))
}

/// The version of this program and of what it carries.
fn long_version() -> String {
    let own = env!("CARGO_PKG_VERSION");
    match Bundle::embedded().map(Bundle::manifest) {
        None => format!("{own}\nwithout WordPress"),
        Some(Err(error)) => format!("{own}\n{error:#}"),
        Some(Ok(manifest)) => format!(
            "{own}\nWordPress {}\nSQLite driver {}\nWP-CLI {}\nblueprints {}\nimporter {}\nPHP {}\nbranchfs {} for PHP API {} ({})",
            manifest.wordpress,
            manifest.sqlite_driver,
            manifest.wp_cli,
            manifest.blueprints,
            manifest.importer,
            manifest.php,
            manifest.branchfs.version,
            manifest.branchfs.php_api,
            manifest.branchfs.platform
        ),
    }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// A number of bytes, with K, M, G or T for powers of 1024.
fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err("not a size such as 200G".to_owned()),
    };
    let number: u64 = digits.parse().map_err(|_| "not a size such as 200G".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "too large".to_owned())
}

/// A password that can be typed: WordPress cuts blanks off what is typed into its login form.
pub fn parse_password(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("a password can't be empty".to_owned());
    }
    if text.trim() != text {
        return Err("a password can't begin or end with a blank".to_owned());
    }
    Ok(text.to_owned())
}

/// What, with a number, makes a branch name.
fn parse_prefix(text: &str) -> Result<String, String> {
    format!("{text}-1").parse::<BranchName>().map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn parse_remote(text: &str) -> Result<Remote, String> {
    Remote::parse(text)
        .ok_or_else(|| "a site's repository has an address such as http://wp.localhost:18080/site.git".to_owned())
}

/// What may stand in the name of a ref, and is no option.
fn parse_remote_name(text: &str) -> Result<String, String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_odd = text.is_empty() || text.starts_with(['-', '.']) || text.contains("..") || text.ends_with(['.']);
    if text.chars().all(is_name) && !is_odd && !text.ends_with(".lock") {
        Ok(text.to_owned())
    } else {
        Err("not a name of letters, digits, '-', '_' and '.', such as origin".to_owned())
    }
}

/// A host name, in lower case and without a port, that leaves room for a branch's label.
fn parse_root_host(text: &str) -> Result<String, String> {
    const MOST_BYTES: usize = 253 - 64;
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let numeric = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if text.len() <= MOST_BYTES && !numeric && text.split('.').all(label) {
        Ok(text.to_owned())
    } else {
        Err("not a host name in lower case, such as wp.localhost".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        fn check(command: &clap::Command) {
            for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(command.has_subcommands() || help.contains("forkpress "), "{} has none", command.get_name());
                check(command);
            }
        }
        check(&command());
    }

    #[test]
    fn the_work_folder_goes_before_or_after_a_subcommand() {
        for line in ["forkpress --work-dir x branch list", "forkpress branch list --work-dir x"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(cli.work_dir, Some(PathBuf::from("x")));
        }
    }

    #[test]
    fn a_diff_is_of_a_branch_and_perhaps_of_some_files_and_tables() {
        let parse = |line: &str| match Cli::try_parse_from(line.split(' ')).unwrap().command {
            Command::Branch(BranchCommand::Diff(args)) => args,
            other => panic!("{other:?}"),
        };
        let args = parse("forkpress branch diff marketing -- wp-content/themes posts");
        assert_eq!((args.name.as_str(), args.target), ("marketing", None));
        assert_eq!(args.only, ["wp-content/themes", "posts"]);
        let args = parse("forkpress branch diff marketing staging --patch --all");
        assert_eq!(args.target.unwrap().as_str(), "staging");
        assert!(args.patch && args.all && !args.stat && args.only.is_empty());
        assert_eq!(parse("forkpress branch diff a --base b").base.unwrap().as_str(), "b");
    }

    #[test]
    fn a_merge_is_of_a_branch_into_another() {
        let parse = |line: &str| match Cli::try_parse_from(line.split(' ')).map(|cli| cli.command) {
            Ok(Command::Branch(BranchCommand::Merge(args))) => Some(args),
            _ => None,
        };
        let args = parse("forkpress branch merge a --into main --theirs --exclude orders --exclude wp_log").unwrap();
        assert_eq!((args.pair.name.as_str(), args.pair.into.as_str()), ("a", "main"));
        assert!(args.theirs && !args.ours && !args.dry_run);
        assert_eq!(args.pair.exclude, ["orders", "wp_log"]);
        for line in ["forkpress branch merge a", "forkpress branch merge a --into b --ours --theirs"] {
            assert!(parse(line).is_none(), "{line}");
        }
    }

    #[test]
    fn old_names_of_commands_mean_the_same() {
        let parse = |line: &str| format!("{:?}", Cli::try_parse_from(line.split(' ')).unwrap());
        assert_eq!(parse("forkpress branch rm x"), parse("forkpress branch delete x"));
        assert_eq!(parse("forkpress branch rollback x --from y"), parse("forkpress branch reset x --from y"));
    }

    #[test]
    fn names_of_other_versions_mean_the_same() {
        let parse = |line: &str| format!("{:?}", Cli::try_parse_from(line.split(' ')).unwrap());
        assert_eq!(parse("forkpress branchctl rm x"), parse("forkpress branch delete x"));
        assert_eq!(parse("forkpress push -m x"), parse("forkpress commit -m x"));
        assert_eq!(parse("forkpress serve --php-bin /p"), parse("forkpress serve --php /p"));
        assert_eq!(parse("forkpress logs --file php-errors"), parse("forkpress logs --file php"));
    }

    #[test]
    fn what_is_no_command_of_ours_is_for_git() {
        let given = |line: &str| for_git(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        let words = |line: &str| Some(line.split(' ').map(OsString::from).collect());
        assert_eq!(given("forkpress git status --short"), words("status --short"));
        assert_eq!(given("forkpress git -C x log"), words("-C x log"));
        assert_eq!(given("forkpress git branch --list"), words("branch --list"));
        for ours in [
            "git",
            "git token",
            "git branch",
            "git branch create x",
            "git branch --help",
            "git --json token",
            "branch list",
        ] {
            assert_eq!(given(&format!("forkpress {ours}")), None, "{ours}");
        }
        assert_eq!(given("forkpress"), None);
    }

    #[test]
    fn wp_is_for_a_branch_or_for_the_one_of_the_current_folder() {
        let parse = |line: &str| match Cli::try_parse_from(line.split(' ')).unwrap().command {
            Command::Wp(args) => args,
            other => panic!("{other:?}"),
        };
        let args = parse("forkpress wp marketing -- plugin list --json -v");
        assert_eq!(args.branch.unwrap().as_str(), "marketing");
        assert_eq!(args.arguments, ["plugin", "list", "--json", "-v"]);
        assert!(parse("forkpress wp -- --info").branch.is_none());
        assert!(parse("forkpress wp --no-lock main").locking.no_lock);
    }

    #[test]
    fn versions_are_asked_for_by_two_words_in_any_order() {
        let asks = |line: &str| asks_for_versions(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert!(asks("forkpress --version --json") && asks("forkpress --json -V"));
        assert!(!asks("forkpress --version") && !asks("forkpress --json log") && !asks("forkpress"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "forkpress branch create Main",
            "forkpress branch create www",
            "forkpress branch reset x",
            "forkpress branch diff",
            "forkpress branch diff x y z",
            "forkpress branch diff x y --base z",
            "forkpress branch diff x --stat --patch",
            "forkpress branch delete x --timeout -1",
            "forkpress branch delete x --timeout soon",
            "forkpress exec main",
            "forkpress export",
            "forkpress export main --format tar",
            "forkpress wp option get home",
            "forkpress init --root-host Example.org:80",
            "forkpress init --root-host 127.0.0.1",
            "forkpress init --file-view carrier-pigeon",
            "forkpress serve --port 65536",
            "forkpress serve --workers 0",
            "forkpress commit",
            "forkpress git branch create www",
            "forkpress agents --count 0",
            "forkpress clone --remote-name -x",
            "forkpress clone --remote-name a/b",
            "forkpress serve --foreground --background",
            "forkpress stop --all --pid 1",
            "forkpress agents --prefix Agent",
            "forkpress agents --prefix -",
            "forkpress agents --remote /srv/site.git",
            "forkpress agents --remove --count 2",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
