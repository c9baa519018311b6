//! `forkpress __load-dump`: loads a dump into the database of a branch, for `forkpress wp BRANCH -- db import`, which holds the
//! branch's lock meanwhile.

use std::fs::File;
use std::io::{self, Read};

use forkpress_engine::dump::{self, Driver, DumpFile, Replaced};
use forkpress_engine::progress::Silent;
use serde::Serialize;

use crate::cli::LoadDumpArgs;
use crate::failure::{During, Failure};
use crate::interrupt::Interrupt;
use crate::output;

/// What came of it. What goes wrong is no outcome, but a failure.
#[derive(Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Outcome {
    /// All of it is in the database.
    Loaded { notes: Vec<String> },
    /// The dump does what only the driver can do. Nothing was changed.
    Unfit { why: String },
    /// The dump is wrong. Nothing was changed.
    Refused { why: String },
}

/// Loads it.
pub fn run(args: &LoadDumpArgs) -> Result<(), Failure> {
    let interrupt = Interrupt::on_signals()?;
    let cannot_read = || format!("cannot read {}", args.dump.display());
    let file = File::open(&args.dump).during(cannot_read)?;
    let bytes = file.metadata().during(cannot_read)?.len();
    let read = Box::new(Until { file, interrupt: &interrupt });
    let driver =
        Driver { php: vec![args.php.clone().into()], script: args.tables.clone(), folder: args.driver.clone() };
    let files = vec![DumpFile { name: String::new(), bytes: Some(bytes), read }];
    let replaced = dump::replace(files, &args.database, &args.scratch, &driver, &Silent);
    interrupt.check()?;
    let outcome = match replaced {
        Ok(Replaced::Done(loaded)) => Outcome::Loaded { notes: loaded.notes },
        Ok(Replaced::Unfit(why)) => Outcome::Unfit { why },
        Err(error) => Outcome::Refused { why: error.to_string() },
    };
    Ok(output::json(&outcome)?)
}

/// Reads until the user wants it to end.
struct Until<'a> {
    file: File,
    interrupt: &'a Interrupt,
}

impl Read for Until<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupt.check().map_err(|failure| io::Error::other(failure.to_string()))?;
        self.file.read(buffer)
    }
}
