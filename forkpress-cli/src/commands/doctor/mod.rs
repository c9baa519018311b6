//! `forkpress doctor`: finds problems.

pub mod branches;
pub mod driver;
pub mod storage;

use std::path::Path;

use indicatif::{HumanBytes, HumanCount};
use serde_json::json;

use crate::failure::Failure;
use crate::server::{self, OpcacheStatus, Warmed};
use crate::{output, site};

/// Whether compiled code still fits into OPcache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// PHP has no OPcache, or it is off.
    Off,
    /// Each process of PHP's has one of its own, and nobody knows how full.
    Apart,
    /// All is well.
    Fits,
    /// New branches are not compiled ahead any more.
    NearlyFull,
    /// It was full, and each page compiles, or compiled, what it runs.
    Overflowed,
}

impl Verdict {
    fn of(status: &OpcacheStatus) -> Self {
        let memory = status.memory_bytes();
        let scarce = |free: u64, all: u64, parts: u64| free < all / parts;
        let free_scripts = status.most_scripts.saturating_sub(status.scripts);
        if !status.enabled {
            Self::Off
        } else if !status.shared {
            Self::Apart
        } else if status.restarts > 0
            || scarce(status.free_bytes, memory, 50)
            || scarce(free_scripts, status.most_scripts, 50)
        {
            Self::Overflowed
        } else if status.is_full() {
            Self::NearlyFull
        } else {
            Self::Fits
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Apart => "apart",
            Self::Fits => "fits",
            Self::NearlyFull => "nearly-full",
            Self::Overflowed => "overflowed",
        }
    }

    fn advice(self) -> &'static str {
        match self {
            Self::Off => "each page compiles its code again: install PHP's opcache",
            Self::Apart => {
                "each process of PHP has an OPcache of its own and compiles each branch itself; install php-fpm, which has one \
                 for all: the figures are of the process that visits new branches"
            }
            Self::Fits => "the code of the branches in use fits",
            Self::NearlyFull => {
                "new branches are not made ready until the server has moved to a fresh php-fpm, which it does every five minutes \
                 at most"
            }
            Self::Overflowed => {
                "the branches in use have more code than fits, so pages compile it again and again: use fewer branches at \
                 once, or give it more memory (opcache_bytes in site.toml)"
            }
        }
    }
}

/// Tells whether the code of the branches in use fits into PHP's OPcache.
pub fn php(work_dir: Option<&Path>, as_json: bool) -> Result<(), Failure> {
    let site = site::open(work_dir)?;
    let Some(status) = server::opcache(&site)? else {
        return Err(Failure::new("no server runs, and only a server has an OPcache").hint("forkpress serve"));
    };
    let verdict = Verdict::of(&status);
    let change_overs = Warmed::read(&site).map_or(0, |warmed| warmed.change_overs);
    if as_json {
        let row = json!({
            "opcache": status,
            "fullness": status.fullness(),
            "change_overs": change_overs,
            "verdict": verdict.word(),
        });
        return output::json(&row).map_err(Failure::from);
    }
    output::line("ForkPress PHP report")?;
    output::line(format_args!(
        "opcache:   {} of {} used ({:.0} %), {} of it by code that is gone",
        HumanBytes(status.used_bytes + status.wasted_bytes),
        HumanBytes(status.memory_bytes()),
        status.fullness() * 100.0,
        HumanBytes(status.wasted_bytes)
    ))?;
    output::line(format_args!("scripts:   {} of {}", HumanCount(status.scripts), HumanCount(status.most_scripts)))?;
    output::line(format_args!("restarts:  {}", status.restarts))?;
    output::line(format_args!("renewed:   {change_overs} times, in a fresh php-fpm"))?;
    output::line(format_args!(
        "apcu:      {}",
        if status.apcu { "off in requests of a branch, as all branches would share it" } else { "not loaded" }
    ))?;
    output::line(format_args!("verdict:   {}: {}", verdict.word(), verdict.advice())).map_err(Failure::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opcache_is_judged_by_what_is_left() {
        let status = |free_bytes, scripts, restarts| OpcacheStatus {
            enabled: true,
            used_bytes: 1000 - free_bytes,
            free_bytes,
            wasted_bytes: 0,
            scripts,
            most_scripts: 1000,
            restarts,
            shared: true,
            apcu: false,
        };
        let verdict = |free, scripts, restarts| Verdict::of(&status(free, scripts, restarts));
        assert_eq!(verdict(500, 500, 0), Verdict::Fits);
        assert_eq!(verdict(201, 500, 0), Verdict::Fits);
        assert_eq!(verdict(200, 500, 0), Verdict::NearlyFull);
        assert_eq!(verdict(500, 800, 0), Verdict::NearlyFull);
        assert_eq!(verdict(10, 500, 0), Verdict::Overflowed);
        assert_eq!(verdict(500, 990, 0), Verdict::Overflowed);
        assert_eq!(verdict(900, 10, 1), Verdict::Overflowed);
        assert_eq!(Verdict::of(&OpcacheStatus { shared: false, ..status(10, 500, 0) }), Verdict::Apart);
        assert_eq!(Verdict::of(&OpcacheStatus { enabled: false, ..status(500, 500, 0) }), Verdict::Off);
    }
}
