//! php-fpm's master, and a second one beside it while the server moves from the one to the other.
//!
//! OPcache's memory belongs to the processes of one master. So a fresh one is the way to have it empty, and not one that keeps
//! requests waiting: the fresh one is started and warmed while the current one answers, then requests go to it, and the former
//! one ends when those that it has have ended. If the fresh one dies before that, the current one goes on as if nothing had been.
//!
//! Only the main thread starts php-fpm, which dies with the thread that started it. Whoever moves the server is another one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use forkpress_core::deadline::Deadline;
use forkpress_engine::command::words;
use forkpress_server::fpm::{Folder, Fpm, Pool};
use forkpress_server::php::{Leaving, Php};
use forkpress_server::spool::Room;

use crate::failure::{During, Failure};
use crate::output;

use super::recipe::Recipe;
use super::signal;

/// A php-fpm that dies sooner than that is not started again.
const SHORTEST_LIFE: Duration = Duration::from_secs(2);

/// How long the main thread may take to start one.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A clone or a push has no limit of its own. With the php-fpm that it is at, it is not ended sooner than that.
const LEAST_PATIENCE: Duration = Duration::from_secs(3600);

const PAUSE: Duration = Duration::from_millis(10);

/// The pools, in the order in which they are handed about.
const POOLS: [&str; 4] = ["pages", "calls", "git", "warm"];

/// The masters. Dropped, they are killed.
pub(super) struct Masters(Arc<Mutex<State>>);

struct State {
    recipe: Recipe,
    /// The sockets of each second one; those of the others are in the recipe's own folder.
    second: Folder,
    current: Master,
    /// What nobody asks yet but for warming.
    fresh: Option<Master>,
    /// What nobody asks any more.
    former: Option<Former>,
    wants_fresh: bool,
    /// For how long the former one may have requests; none: as long as they take.
    patience: Option<Duration>,
}

struct Master {
    fpm: Fpm,
    is_second: bool,
    since: Instant,
}

struct Former {
    master: Master,
    requests: Vec<Leaving>,
    since: Instant,
    is_ending: bool,
}

/// What is to be done with the former one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    /// Nothing: it has requests.
    Wait,
    /// It is asked to end. What goes on in it after an answer may end first.
    Ask,
    Kill,
}

fn leave(requests_are_over: bool, age: Duration, patience: Option<Duration>) -> Leave {
    match patience {
        Some(patience) if age >= patience => Leave::Kill,
        _ if requests_are_over => Leave::Ask,
        _ => Leave::Wait,
    }
}

/// For how long a former one may have requests: none where no request is ended.
fn patience(pools: &[Pool]) -> Option<Duration> {
    pools.iter().filter_map(|pool| pool.longest).max().map(|longest| longest.max(LEAST_PATIENCE))
}

impl State {
    fn folder(&self, is_second: bool) -> &Folder {
        if is_second { &self.second } else { &self.recipe.folder }
    }

    fn start(&self, is_second: bool) -> Result<Master, Failure> {
        start(&self.recipe, self.folder(is_second), is_second)
    }

    /// Whether there is a fresh one, and it lives.
    fn has_fresh(&mut self) -> bool {
        self.fresh.as_mut().is_some_and(|fresh| matches!(fresh.fpm.try_wait(), Ok(None)))
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Master> {
        let former = self.former.as_mut().map(|former| &mut former.master);
        [Some(&mut self.current), self.fresh.as_mut(), former].into_iter().flatten()
    }
}

fn start(recipe: &Recipe, folder: &Folder, is_second: bool) -> Result<Master, Failure> {
    let mut command = recipe.command()?;
    let fpm = Fpm::start(&mut command, folder, &recipe.pools).during(|| "cannot start php-fpm".to_owned())?;
    tracing::debug!(command = words(&command), pid = fpm.id(), "php-fpm begins");
    Ok(Master { fpm, is_second, since: Instant::now() })
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Masters {
    /// Starts one. Only the main thread may.
    pub(super) fn start(recipe: Recipe) -> Result<Self, Failure> {
        let second = recipe.folder.path().join("second");
        let second = Folder::make(&second).during(|| format!("cannot use the folder {}", second.display()))?;
        let current = start(&recipe, &recipe.folder, false)?;
        let patience = patience(&recipe.pools);
        let state = State { recipe, second, current, fresh: None, former: None, wants_fresh: false, patience };
        Ok(Self(Arc::new(Mutex::new(state))))
    }

    /// The processes of a pool, for who asks them.
    pub(super) fn pool(&self, name: &str, room: &Room) -> Php {
        let state = lock(&self.0);
        let recipe = &state.recipe;
        let pool = recipe.pools.iter().find(|pool| pool.name == name).expect("there is each pool");
        let socket = state.folder(state.current.is_second).socket(name);
        Php::new(socket, usize::from(pool.workers), recipe.script.clone(), room.clone()).ended_after(pool.longest)
    }

    /// What moves these pools, in the order of [`POOLS`], to another one.
    pub(super) fn change_over(&self, pools: [Arc<Php>; 4]) -> ChangeOver {
        ChangeOver { state: Arc::clone(&self.0), pools }
    }

    /// The ids of all that there are.
    pub(super) fn leaders(&self) -> Vec<u32> {
        lock(&self.0).all().map(|master| master.fpm.id()).collect()
    }

    /// Starts the current one again if it has ended, and a fresh one if it is wanted; puts away what has ended besides. Says what
    /// there is to say if starting again is no use. Only the main thread may.
    pub(super) fn ended(&self) -> Result<Option<Failure>, Failure> {
        let mut state = lock(&self.0);
        if state.former.as_mut().is_some_and(|former| former.master.fpm.has_ended()) {
            state.former = None;
        }
        if let Some(fresh) = &mut state.fresh
            && let Some(status) = fresh.fpm.try_wait()?
        {
            output::note(format_args!("forkpress: warning: a fresh php-fpm ended: {status}"));
            state.fresh = None;
        }
        if std::mem::take(&mut state.wants_fresh) && state.fresh.is_none() && state.former.is_none() {
            let fresh = state.start(!state.current.is_second);
            state.fresh = fresh.inspect_err(|failure| output::note(failure)).ok();
        }
        let Some(status) = state.current.fpm.try_wait()? else { return Ok(None) };
        // Its processes end with it. What they had begun is over before others begin.
        state.current.fpm.kill();
        let said = format!("php-fpm ended: {status}");
        tracing::warn!("{said}");
        if state.current.since.elapsed() < SHORTEST_LIFE {
            return Ok(Some(Failure::new(said)));
        }
        state.current = state.start(state.current.is_second)?;
        Ok(None)
    }

    /// Asks all to end once the requests that run have ended.
    pub(super) fn interrupt(&self) {
        lock(&self.0).all().for_each(|master| master.fpm.interrupt());
    }

    /// Whether all have ended.
    pub(super) fn have_ended(&self) -> bool {
        lock(&self.0).all().all(|master| master.fpm.has_ended())
    }
}

impl Drop for Masters {
    fn drop(&mut self) {
        // Whoever moves the server has this, too.
        lock(&self.0).all().for_each(|master| master.fpm.kill());
    }
}

/// Moves the server to a fresh php-fpm. [`Self::begin`] comes first, and then [`Self::finish`] or [`Self::give_up`].
pub(super) struct ChangeOver {
    state: Arc<Mutex<State>>,
    pools: [Arc<Php>; 4],
}

impl ChangeOver {
    /// Has a fresh one started, and asks it from now on for what warming asks; gives what warming has asked of the current one.
    pub(super) fn begin(&self) -> Result<Leaving, Failure> {
        let deadline = Deadline::after(START_TIMEOUT);
        {
            let mut state = lock(&self.state);
            if state.former.is_some() {
                return Err(Failure::new("the php-fpm before the current one still has a request"));
            }
            state.wants_fresh = true;
        }
        signal::wake_main_thread();
        loop {
            let mut state = lock(&self.state);
            if let Some(fresh) = &state.fresh {
                return Ok(self.warming().move_to(state.folder(fresh.is_second).socket("warm")));
            }
            if !state.wants_fresh || deadline.has_passed() {
                state.wants_fresh = false;
                return Err(Failure::new("a fresh php-fpm does not start"));
            }
            drop(state);
            thread::sleep(PAUSE);
        }
    }

    /// Whether the fresh one lives. Where it has died nobody answers what warming asks, until [`Self::give_up`].
    pub(super) fn goes_on(&self) -> bool {
        lock(&self.state).has_fresh()
    }

    /// Makes the fresh one the current one. False where it has died: all is as before then.
    pub(super) fn finish(&self, warming: Leaving) -> bool {
        let mut state = lock(&self.state);
        let lives = state.has_fresh();
        let Some(fresh) = state.fresh.take_if(|_| lives) else {
            drop(state);
            self.give_up();
            return false;
        };
        let folder = state.folder(fresh.is_second);
        let moved = POOLS[..3].iter().zip(&self.pools).map(|(name, pool)| pool.move_to(folder.socket(name)));
        let requests = moved.chain([warming]).collect();
        let master = std::mem::replace(&mut state.current, fresh);
        tracing::info!(former = master.fpm.id(), current = state.current.fpm.id(), "php-fpm was changed over");
        state.former = Some(Former { master, requests, since: Instant::now(), is_ending: false });
        true
    }

    /// Ends the fresh one; the current one stays.
    pub(super) fn give_up(&self) {
        let mut state = lock(&self.state);
        let _ = self.warming().move_to(state.folder(state.current.is_second).socket("warm"));
        state.fresh = None;
    }

    /// Has the former one end once no request is at it, or one has been for too long.
    pub(super) fn look(&self) {
        let mut state = lock(&self.state);
        let patience = state.patience;
        let Some(former) = &mut state.former else { return };
        let (age, is_over) = (former.since.elapsed(), former.requests.iter().all(Leaving::is_over));
        match leave(is_over, age, patience) {
            Leave::Ask if !former.is_ending => {
                former.master.fpm.interrupt();
                former.is_ending = true;
            }
            Leave::Wait | Leave::Ask => {}
            Leave::Kill => {
                output::note(format_args!(
                    "forkpress: warning: php-fpm {} was ended, with requests that it still had {} s after the server moved to another one",
                    former.master.fpm.id(),
                    age.as_secs()
                ));
                state.former = None;
            }
        }
    }

    fn warming(&self) -> &Php {
        &self.pools[3]
    }
}

#[cfg(test)]
mod tests;
