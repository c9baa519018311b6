//! A model of the lock protocol, in which every order of steps is tried: nobody is in a branch that is being published,
//! no request that took its lock after a writer said that it waits is in before that writer, and from every state that
//! can be reached all can come to their end.
//!
//! A step takes a lock, fails to, reads or writes, as `src/lock/` does it. Nobody's patience ends in the model, unless it is said
//! to: that everybody gets in does not rest on the time for which a gate is closed. Changed protocols show that the model finds
//! what is wrong.

mod orders;

const SITE: usize = 0;
const A: usize = 1;
const B: usize = 2;
const SCOPES: usize = 3;

/// Gate and lock of the site and of two branches: who shares them, as bits, and who has them alone.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Flock {
    shared: u8,
    exclusive: u8,
}

impl Flock {
    fn share(&mut self, who: usize) -> bool {
        let is_free = self.exclusive == 0;
        self.shared |= u8::from(is_free) << who;
        is_free
    }

    fn own(&mut self, who: usize) -> bool {
        let is_free = self.exclusive == 0 && self.shared == 0;
        self.exclusive |= u8::from(is_free) << who;
        is_free
    }

    fn unlock(&mut self, who: usize) {
        self.shared &= !(1 << who);
        self.exclusive &= !(1 << who);
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    visit: Flock,
    gates: [Flock; SCOPES],
    locks: [Flock; SCOPES],
    /// Whether `operations.lock` says that a writer waits.
    mark: bool,
    /// The requests that took a lock after the writer that needs it alone said that it waits, as bits.
    late: u8,
    /// How far each process is.
    at: Vec<u8>,
}

/// What a process does.
#[derive(Clone, Copy)]
enum Process {
    /// A request of a branch. It may use another branch as well, or ask its own site for something and wait for the answer.
    Request { own: usize, also: Option<usize>, calls: Option<usize>, passes: bool },
    /// A command in a branch: it goes through the gates whatever `operations.lock` says.
    Command { own: usize },
    /// A mutation that publishes to branches: one of A and B, or both.
    Writer { owns: &'static [usize], ends: Ends },
    /// A plain `flock` on `operations.lock`.
    Stranger { is_exclusive: bool },
}

/// How a writer ends that has not published.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    Never,
    /// It may give up wherever it waits, and clean up.
    GivesUp,
    /// It may be killed anywhere. The kernel lets its locks go; what it wrote stays.
    Dies,
    /// It may let its gates go wherever it waits, rest, and begin anew.
    Rests,
}

/// What the protocol could be instead.
#[derive(Clone, Copy, Default)]
struct Variant {
    /// A writer keeps the lock of one branch while it waits for the next.
    hoards: bool,
    /// A request goes through the gate of another branch, as it did through its own.
    asks_gates: bool,
    /// A request looks whether a writer waits before it takes its locks, and not after.
    looks_first: bool,
    /// A request that finds a writer waiting keeps its locks while it goes through the gates.
    keeps_locks: bool,
    /// A writer says that it waits, and leaves its gates open.
    leaves_gates: bool,
}

const END: u8 = u8::MAX;

/// A request looks at the mark first, if it does so at all.
const LOOKS: u8 = 0;
/// It takes its locks past the gates: the site's, then the branch's. Then it looks at the mark.
const TRIES: u8 = 1;
/// It goes through the gates: of the site, then of the branch.
const ASKS: u8 = 10;
const IN: u8 = 20;

/// A writer waits for its turn and closes the gate of the site.
const BEGINS: u8 = 0;
const TRIES_WIDELY: u8 = 2;
const WAITS_WIDELY: u8 = 4;
/// It goes narrowly: it shares the site's lock, through the gate.
const NARROW: u8 = 10;
/// It closes the gates of its branches, one after the other.
const CLOSES: u8 = 20;
/// It says so, and then tries to take their locks.
const WAITS: u8 = 30;
/// It tries to take them with the gates open, as a request of them runs long.
const TRIES_OPEN: u8 = 40;
const PUBLISHES: u8 = 50;
const PUBLISHES_WIDELY: u8 = 51;

fn start(process: Process) -> u8 {
    match process {
        Process::Command { .. } => ASKS,
        _ => 0,
    }
}

fn step(variant: Variant, processes: &[Process], state: &State, who: usize) -> Vec<State> {
    match processes[who] {
        Process::Request { own, also, calls, passes } => {
            request_step(variant, processes, state, who, (own, also, calls, passes))
        }
        Process::Command { own } => request_step(variant, processes, state, who, (own, None, None, false)),
        Process::Writer { owns, ends } => {
            let mut next = writer_step(variant, state, who, owns);
            match ends {
                Ends::Never => {}
                Ends::GivesUp if [WAITS_WIDELY, WAITS].contains(&state.at[who]) => {
                    let mut given_up = leave(state.clone(), who);
                    (given_up.mark, given_up.late) = (false, 0);
                    next.push(at(given_up, who, END));
                }
                Ends::Rests if state.at[who] == WAITS_WIDELY || is_waiting_narrowly(state.at[who]) => {
                    let mut rests = leave(state.clone(), who);
                    (rests.mark, rests.late) = (false, 0);
                    next.push(at(rests, who, BEGINS));
                }
                Ends::GivesUp | Ends::Rests => {}
                Ends::Dies => {
                    let mut dead = leave(state.clone(), who);
                    dead.late = 0;
                    next.push(at(dead, who, END));
                }
            }
            next
        }
        Process::Stranger { is_exclusive } => {
            let mut next = state.clone();
            if state.at[who] != 0 {
                return vec![at(leave(next, who), who, END)];
            }
            let lock = &mut next.locks[SITE];
            let taken = if is_exclusive { lock.own(who) } else { lock.share(who) };
            if taken { vec![at(next, who, 1)] } else { vec![] }
        }
    }
}

type Work = (usize, Option<usize>, Option<usize>, bool);

fn request_step(
    variant: Variant,
    processes: &[Process],
    state: &State,
    who: usize,
    (own, also, calls, passes): Work,
) -> Vec<State> {
    let mut next = state.clone();
    // Takes a lock, and notes whether a writer that needs it alone said before that it waits.
    let share = |state: &mut State, scope: usize| {
        let taken = state.locks[scope].share(who);
        let is_late = processes.iter().zip(&state.at).any(|(writer, writer_at)| match writer {
            Process::Writer { owns, .. } => {
                (*writer_at == WAITS_WIDELY && scope == SITE)
                    || (is_waiting_narrowly(*writer_at) && owns.contains(&scope))
            }
            _ => false,
        });
        state.late |= u8::from(taken && is_late && !passes) << who;
        taken
    };
    match state.at[who] {
        LOOKS => {
            let asks = variant.looks_first && state.mark && !passes;
            vec![at(next, who, if asks { ASKS } else { TRIES })]
        }
        TRIES => {
            let taken = share(&mut next, SITE);
            vec![at(next, who, if taken { 2 } else { ASKS })]
        }
        2 if share(&mut next, own) => vec![at(next, who, 3)],
        2 => vec![at(leave(next, who), who, ASKS)],
        3 if passes || variant.looks_first || !state.mark => vec![at(next, who, IN)],
        3 if variant.keeps_locks => vec![at(next, who, ASKS)],
        3 => vec![at(leave(next, who), who, ASKS)],
        ASKS | 12 => {
            let (step, scope) = if state.at[who] == ASKS { (ASKS, SITE) } else { (12, own) };
            if passes || next.gates[scope].share(who) { vec![at(next, who, step + 1)] } else { vec![] }
        }
        11 | 13 => {
            let (step, scope) = if state.at[who] == 11 { (11, SITE) } else { (13, own) };
            let taken = share(&mut next, scope);
            next.gates[scope].unlock(who);
            let then = if scope == SITE { 12 } else { IN };
            vec![at(next, who, if taken { then } else { step - 1 })]
        }
        IN => match (also, calls) {
            (_, Some(called)) if state.at[called] != END => vec![],
            (Some(other), _) if variant.asks_gates && !next.gates[other].share(who) => vec![],
            (Some(_), _) => vec![at(next, who, IN + 1)],
            (None, _) => vec![at(next, who, IN + 2)],
        },
        21 => {
            let other = also.unwrap();
            let taken = next.locks[other].share(who);
            next.gates[other].unlock(who);
            vec![at(next, who, if taken { IN + 2 } else { IN })]
        }
        _ => vec![at(leave(next, who), who, END)],
    }
}

fn writer_step(variant: Variant, state: &State, who: usize, owns: &[usize]) -> Vec<State> {
    let mut next = state.clone();
    let publish = |mut state: State, how: u8| {
        (state.mark, state.late) = (false, 0);
        vec![at(state, who, how)]
    };
    match state.at[who] {
        BEGINS if next.visit.own(who) => vec![at(next, who, 1)],
        BEGINS => vec![],
        1 if variant.leaves_gates || next.gates[SITE].own(who) => vec![at(next, who, TRIES_WIDELY)],
        1 => vec![],
        TRIES_WIDELY if next.locks[SITE].own(who) => publish(next, PUBLISHES_WIDELY),
        // It may find that only requests have it, or it waits for a stranger.
        TRIES_WIDELY => vec![narrowly(next.clone(), who), at(next, who, 3)],
        3 => {
            next.mark = true;
            vec![at(next, who, WAITS_WIDELY)]
        }
        WAITS_WIDELY if next.locks[SITE].own(who) => publish(next, PUBLISHES_WIDELY),
        // The stranger has gone.
        WAITS_WIDELY => {
            (next.mark, next.late) = (false, 0);
            vec![narrowly(next, who)]
        }
        NARROW if next.gates[SITE].share(who) => vec![at(next, who, 11)],
        NARROW => vec![],
        11 => {
            let taken = next.locks[SITE].share(who);
            next.gates[SITE].unlock(who);
            vec![at(next, who, if taken { 12 } else { NARROW })]
        }
        12 => vec![at(next.clone(), who, CLOSES), at(next, who, TRIES_OPEN)],
        step @ CLOSES..WAITS => match owns.get(usize::from(step - CLOSES)) {
            Some(&branch) if variant.leaves_gates || next.gates[branch].own(who) => vec![at(next, who, step + 1)],
            Some(_) => vec![],
            None => {
                next.mark = true;
                vec![at(next, who, WAITS)]
            }
        },
        step @ (WAITS..TRIES_OPEN | TRIES_OPEN..PUBLISHES) => {
            let first = if step < TRIES_OPEN { WAITS } else { TRIES_OPEN };
            match owns.get(usize::from(step - first)) {
                Some(&branch) if next.locks[branch].own(who) => vec![at(next, who, step + 1)],
                Some(_) if variant.hoards => vec![],
                // It lets all go, and begins anew.
                Some(_) if first == TRIES_OPEN => vec![at(leave(next, who), who, BEGINS)],
                Some(_) => {
                    owns.iter().for_each(|&branch| next.locks[branch].unlock(who));
                    vec![at(next, who, WAITS)]
                }
                None => publish(next, PUBLISHES),
            }
        }
        _ => vec![at(leave(next, who), who, END)],
    }
}

fn is_waiting_narrowly(at: u8) -> bool {
    (WAITS..TRIES_OPEN).contains(&at)
}

fn narrowly(mut state: State, who: usize) -> State {
    state.gates[SITE].unlock(who);
    at(state, who, NARROW)
}

fn at(mut state: State, who: usize, step: u8) -> State {
    state.at[who] = step;
    state
}

fn leave(mut state: State, who: usize) -> State {
    state.gates.iter_mut().chain(&mut state.locks).for_each(|lock| lock.unlock(who));
    state.visit.unlock(who);
    state.late &= !(1 << who);
    state
}

/// The branches in which a process is at work, and whether it is publishing to them.
fn works_in(process: Process, at: u8) -> (Vec<usize>, bool) {
    match process {
        Process::Request { own, also, .. } if (IN..END).contains(&at) => {
            (std::iter::once(own).chain(also.filter(|_| at == IN + 2)).collect(), false)
        }
        Process::Command { own } if (IN..END).contains(&at) => (vec![own], false),
        Process::Writer { owns, .. } if at == PUBLISHES => (owns.to_vec(), true),
        Process::Writer { .. } if at == PUBLISHES_WIDELY => (vec![A, B], true),
        // To it, the site is one.
        Process::Stranger { is_exclusive } if at == 1 => (if is_exclusive { vec![A, B] } else { vec![] }, is_exclusive),
        _ => (vec![], false),
    }
}

impl orders::State for State {
    fn at(&self) -> &[u8] {
        &self.at
    }
}

/// What must not be in a state.
fn wrong(processes: &[Process], state: &State) -> Option<String> {
    let work: Vec<_> = processes.iter().zip(&state.at).map(|(process, at)| works_in(*process, *at)).collect();
    for (number, (branches, is_alone)) in work.iter().enumerate() {
        for (other, (others, _)) in work.iter().enumerate() {
            if *is_alone && number != other && branches.iter().any(|branch| others.contains(branch)) {
                return Some(format!("{other} is in a branch that {number} publishes: {:?}", state.at));
            }
        }
        if !is_alone && !branches.is_empty() && state.late & 1 << number != 0 {
            return Some(format!("{number} has overtaken a writer: {:?}", state.at));
        }
    }
    None
}

/// Tries every order, also with the mark of a writer that died before. Says how many states there are, or what is wrong.
fn explore(variant: Variant, processes: &[Process]) -> Result<usize, String> {
    let start_with = |mark| State {
        visit: Flock::default(),
        gates: Default::default(),
        locks: Default::default(),
        mark,
        late: 0,
        at: processes.iter().map(|process| start(*process)).collect(),
    };
    let starts = [start_with(false), start_with(true)];
    orders::try_all(starts, END, |state| wrong(processes, state), |state, who| step(variant, processes, state, who))
}

const fn request(own: usize) -> Process {
    Process::Request { own, also: None, calls: None, passes: false }
}

const fn request_of_both(own: usize, also: usize) -> Process {
    Process::Request { own, also: Some(also), calls: None, passes: false }
}

const fn writer(owns: &'static [usize]) -> Process {
    Process::Writer { owns, ends: Ends::Never }
}

#[test]
fn nobody_meets_a_publish_or_overtakes_a_writer_and_all_come_to_their_end_in_every_order() {
    let calls = Process::Request { own: A, also: None, calls: Some(1), passes: false };
    let called = Process::Request { own: A, also: None, calls: None, passes: true };
    let called_with_both = Process::Request { own: B, also: Some(A), calls: None, passes: true };
    let [one, both] = [writer(&[B]), writer(&[A, B])];
    let [gives_up, dies, rests] =
        [Ends::GivesUp, Ends::Dies, Ends::Rests].map(|ends| Process::Writer { owns: &[A, B], ends });
    let [shares, excludes] = [false, true].map(|is_exclusive| Process::Stranger { is_exclusive });
    for processes in [
        &[request(A), request(A), request(B), one][..],
        &[request(A), request(B), request(B), both],
        &[request(A), request(B), Process::Command { own: B }, both],
        &[request_of_both(A, B), request_of_both(B, A), one],
        &[request_of_both(A, B), request_of_both(B, A), both],
        &[calls, called, request(B), both],
        &[calls, called_with_both, request_of_both(B, A), both],
        &[request(A), request_of_both(B, A), shares, both],
        &[request(A), request_of_both(B, A), excludes, both],
        &[request(A), request(B), one, both],
        &[request(A), request_of_both(B, A), gives_up, one],
        &[request(A), request_of_both(B, A), dies, one],
        &[request(A), request(B), shares, dies],
        &[request(A), request_of_both(B, A), rests, one],
        &[request(A), Process::Command { own: B }, shares, rests],
    ] {
        let states = explore(Variant::default(), processes).unwrap();
        assert!(states > 100, "{states} states are too few to tell anything");
    }
}

#[test]
fn a_writer_that_hoards_and_a_request_that_keeps_locks_or_asks_every_gate_wait_in_a_circle() {
    let processes = [request_of_both(A, B), request_of_both(B, A), writer(&[A, B])];
    for variant in [
        Variant { hoards: true, ..Variant::default() },
        Variant { asks_gates: true, ..Variant::default() },
        Variant { keeps_locks: true, ..Variant::default() },
    ] {
        let wrong = explore(variant, &processes).unwrap_err();
        assert!(wrong.starts_with("nobody gets on"), "{wrong}");
    }
}

/// What a site that calls itself with no secret rests on: the gates do not stay closed.
#[test]
fn a_request_that_waits_for_another_one_at_the_gate_gets_on_once_the_writer_rests() {
    let calls = Process::Request { own: A, also: None, calls: Some(1), passes: false };
    let processes = |ends| [calls, request(A), Process::Writer { owns: &[A], ends }];
    let wrong = explore(Variant::default(), &processes(Ends::Never)).unwrap_err();
    assert!(wrong.starts_with("nobody gets on"), "{wrong}");
    explore(Variant::default(), &processes(Ends::Rests)).unwrap();
}

#[test]
fn a_request_that_looks_too_early_and_one_that_finds_the_gates_open_overtake_a_writer() {
    let processes = [request(A), request(B), writer(&[A, B])];
    for variant in
        [Variant { looks_first: true, ..Variant::default() }, Variant { leaves_gates: true, ..Variant::default() }]
    {
        let wrong = explore(variant, &processes).unwrap_err();
        assert!(wrong.contains("has overtaken a writer"), "{wrong}");
    }
}
