//! The PHP behind this process: php-fpm, or where there is none, processes that are a server of their own each.

use std::io;
use std::process::Stdio;
use std::sync::Arc;

use forkpress_server::fpm;
use forkpress_server::php::Php as PhpPool;
use forkpress_server::spool::Room;
use forkpress_server::workers::{self, Workers};

use crate::failure::{During, Failure};
use crate::php::Kind;

use super::masters::{ChangeOver, Masters};
use super::recipe::Recipe;

/// Clones and pushes at once, where each takes a process that is there all the time.
const GIT_WORKERS: u16 = 4;

/// The PHP that answers. Dropped, it is killed.
pub(super) enum Behind {
    Fpm(Masters),
    Workers(Vec<(&'static str, Workers)>),
}

impl Behind {
    /// Starts it. Only the main thread may: php-fpm dies with the thread that started it.
    pub(super) fn start(kind: Kind, recipe: Recipe) -> Result<Self, Failure> {
        let kind = match kind {
            Kind::Fpm => return Ok(Self::Fpm(Masters::start(recipe)?)),
            Kind::Cgi => workers::Kind::Cgi,
            Kind::Builtin => workers::Kind::Builtin,
        };
        let recipe = Arc::new(recipe);
        let begun = recipe.pools.iter().map(|pool| {
            let (environment, shared) = (pool.environment.clone(), Arc::clone(&recipe));
            let command = move || {
                let mut command = shared.command().map_err(|failure| io::Error::other(failure.to_string()))?;
                command.envs(environment.clone()).stdin(Stdio::null());
                if kind == workers::Kind::Cgi {
                    fpm::hide(&mut command);
                }
                Ok(command)
            };
            let workers = Workers::start(workers::Recipe {
                kind,
                name: pool.name,
                workers: if pool.on_demand { pool.workers.min(GIT_WORKERS) } else { pool.workers },
                longest: pool.longest,
                folder: recipe.folder.path().to_owned(),
                script: recipe.script.clone(),
                command: Box::new(command),
            });
            workers.map(|workers| (pool.name, workers))
        });
        begun.collect::<io::Result<_>>().map(Self::Workers).during(|| "cannot start PHP".to_owned())
    }

    /// The processes of a pool, for who asks them.
    pub(super) fn pool(&self, name: &str, room: &Room) -> PhpPool {
        match self {
            Self::Fpm(masters) => masters.pool(name, room),
            Self::Workers(pools) => {
                let (_, workers) = pools.iter().find(|(known, _)| *known == name).expect("each pool was started");
                PhpPool::of(workers.handle(), workers.script().to_owned(), room.clone()).ended_after(workers.longest())
            }
        }
    }

    /// What moves these pools to another php-fpm.
    pub(super) fn change_over(&self, pools: [Arc<PhpPool>; 4]) -> Option<ChangeOver> {
        match self {
            Self::Fpm(masters) => Some(masters.change_over(pools)),
            Self::Workers(_) => None,
        }
    }

    /// Its processes that lead a group.
    pub(super) fn leaders(&self) -> Vec<u32> {
        match self {
            Self::Fpm(masters) => masters.leaders(),
            Self::Workers(pools) => pools.iter().flat_map(|(_, workers)| workers.ids()).collect(),
        }
    }

    /// Starts php-fpm again if it has ended; workers see to that themselves. Says what there is to say if that is no use.
    pub(super) fn ended(&mut self) -> Result<Option<Failure>, Failure> {
        match self {
            Self::Fpm(masters) => masters.ended(),
            Self::Workers(pools) => Ok(pools
                .iter()
                .find_map(|(_, workers)| workers.problem())
                .map(|status| Failure::new(format!("PHP ended before it served: {status}")))),
        }
    }

    /// Asks it to end once the requests that run have ended. Workers have none but those that this process makes.
    pub(super) fn interrupt(&self) {
        if let Self::Fpm(masters) = self {
            masters.interrupt();
        }
    }

    /// Whether all that was asked of it has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        match self {
            Self::Fpm(masters) => masters.have_ended(),
            Self::Workers(pools) => pools.iter().all(|(_, workers)| workers.are_idle()),
        }
    }
}
