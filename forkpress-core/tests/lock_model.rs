//! A model of the lock protocol, in which every order of steps is tried: nobody is in a branch that is being published, and from
//! every state that can be reached all can come to their end.
//!
//! A step takes a lock or fails to, as `src/lock/` does it. Nobody's patience ends in the model: that everybody gets in does not
//! rest on the time for which a gate is closed. Two changed protocols show that the model finds a circle of waiting.

use std::collections::{HashMap, HashSet, VecDeque};

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
    gates: [Flock; SCOPES],
    locks: [Flock; SCOPES],
    /// How far each process is.
    at: Vec<u8>,
}

/// What a process does.
#[derive(Clone, Copy)]
enum Process {
    /// A request of a branch. It may use another branch as well, or ask its own site for something and wait for the answer.
    Request { own: usize, also: Option<usize>, calls: Option<usize>, passes: bool },
    /// A mutation that publishes to branches: one of A and B, or both.
    Writer { owns: &'static [usize] },
    /// A plain `flock` on `operations.lock`.
    Stranger { is_exclusive: bool },
}

/// What the protocol could be instead.
#[derive(Clone, Copy, Default)]
struct Variant {
    /// A writer keeps the lock of one branch while it waits for the next.
    hoards: bool,
    /// A request goes through the gate of another branch, as it did through its own.
    asks_gates: bool,
}

const END: u8 = u8::MAX;
const IN: u8 = 5;
const PUBLISHES: u8 = 40;
const PUBLISHES_WIDELY: u8 = 41;

fn step(variant: Variant, processes: &[Process], state: &State, who: usize) -> Vec<State> {
    let mut next = state.clone();
    let at = state.at[who];
    let go = |mut state: State, at: u8| {
        state.at[who] = at;
        state
    };
    match processes[who] {
        Process::Request { own, also, calls, passes } => match at {
            0 if passes => vec![go(next, 1)],
            0 => {
                if next.gates[SITE].share(who) {
                    vec![go(next, 1)]
                } else {
                    vec![]
                }
            }
            1 => {
                let taken = next.locks[SITE].share(who);
                next.gates[SITE].unlock(who);
                vec![go(next, if taken { 2 } else { 0 })]
            }
            2 if passes => vec![go(next, 3)],
            2 => {
                if next.gates[own].share(who) {
                    vec![go(next, 3)]
                } else {
                    vec![]
                }
            }
            3 => {
                let taken = next.locks[own].share(who);
                next.gates[own].unlock(who);
                vec![go(next, if taken { IN } else { 2 })]
            }
            IN => match (also, calls) {
                (_, Some(called)) if state.at[called] != END => vec![],
                (Some(other), _) if variant.asks_gates && !next.gates[other].share(who) => vec![],
                (Some(_), _) => vec![go(next, IN + 1)],
                (None, _) => vec![go(next, IN + 2)],
            },
            6 => {
                let other = also.unwrap();
                let taken = next.locks[other].share(who);
                next.gates[other].unlock(who);
                if taken { vec![go(next, IN + 2)] } else { vec![go(next, IN)] }
            }
            _ => vec![leave(go(next, END), who)],
        },
        Process::Writer { owns } => match at {
            0 => {
                if next.gates[SITE].own(who) {
                    vec![go(next, 1)]
                } else {
                    vec![]
                }
            }
            // It may be had widely; if not, the writer may find that only requests have it, or wait for a stranger.
            1 if next.locks[SITE].own(who) => vec![go(next, PUBLISHES_WIDELY)],
            1 => {
                next.gates[SITE].unlock(who);
                vec![go(next, 2)]
            }
            2 => {
                if next.gates[SITE].share(who) {
                    vec![go(next, 3)]
                } else {
                    vec![]
                }
            }
            3 => {
                let taken = next.locks[SITE].share(who);
                next.gates[SITE].unlock(who);
                vec![go(next, if taken { 10 } else { 2 })]
            }
            // Its gates, one after the other; then its locks.
            10..20 => match owns.get(usize::from(at - 10)) {
                Some(&branch) => {
                    if next.gates[branch].own(who) {
                        vec![go(next, at + 1)]
                    } else {
                        vec![]
                    }
                }
                None => vec![go(next, 20)],
            },
            20..30 => match owns.get(usize::from(at - 20)) {
                Some(&branch) if next.locks[branch].own(who) => vec![go(next, at + 1)],
                Some(_) if variant.hoards => vec![],
                Some(_) => {
                    owns.iter().for_each(|&branch| next.locks[branch].unlock(who));
                    vec![go(next, 20)]
                }
                None => vec![go(next, PUBLISHES)],
            },
            _ => vec![leave(go(next, END), who)],
        },
        Process::Stranger { is_exclusive } => match at {
            0 => {
                let lock = &mut next.locks[SITE];
                let taken = if is_exclusive { lock.own(who) } else { lock.share(who) };
                if taken { vec![go(next, 1)] } else { vec![] }
            }
            _ => vec![leave(go(next, END), who)],
        },
    }
}

fn leave(mut state: State, who: usize) -> State {
    state.gates.iter_mut().chain(&mut state.locks).for_each(|lock| lock.unlock(who));
    state
}

/// The branches in which a process is at work, and whether it is publishing to them.
fn works_in(process: Process, at: u8) -> (Vec<usize>, bool) {
    match process {
        Process::Request { own, also, .. } if (IN..END).contains(&at) => {
            (std::iter::once(own).chain(also.filter(|_| at == IN + 2)).collect(), false)
        }
        Process::Writer { owns } if at == PUBLISHES => (owns.to_vec(), true),
        Process::Writer { .. } if at == PUBLISHES_WIDELY => (vec![A, B], true),
        // To it, the site is one.
        Process::Stranger { is_exclusive } if at == 1 => (if is_exclusive { vec![A, B] } else { vec![] }, is_exclusive),
        _ => (vec![], false),
    }
}

/// Tries every order. Says how many states there are, or what is wrong.
fn explore(variant: Variant, processes: &[Process]) -> Result<usize, String> {
    let start = State { gates: Default::default(), locks: Default::default(), at: vec![0; processes.len()] };
    let (mut seen, mut queue) = (HashSet::from([start.clone()]), VecDeque::from([start]));
    let mut before: HashMap<State, Vec<State>> = HashMap::new();
    let mut ended = Vec::new();
    while let Some(state) = queue.pop_front() {
        let work: Vec<_> = processes.iter().zip(&state.at).map(|(process, at)| works_in(*process, *at)).collect();
        for (number, (branches, is_alone)) in work.iter().enumerate() {
            for (other, (others, _)) in work.iter().enumerate() {
                if *is_alone && number != other && branches.iter().any(|branch| others.contains(branch)) {
                    return Err(format!("{other} is in a branch that {number} publishes: {:?}", state.at));
                }
            }
        }
        if state.at.iter().all(|at| *at == END) {
            ended.push(state.clone());
        }
        for who in (0..processes.len()).filter(|who| state.at[*who] != END) {
            for next in step(variant, processes, &state, who) {
                before.entry(next.clone()).or_default().push(state.clone());
                if seen.insert(next.clone()) {
                    queue.push_back(next);
                }
            }
        }
    }
    let mut can_end: HashSet<State> = ended.iter().cloned().collect();
    while let Some(state) = ended.pop() {
        for earlier in before.get(&state).into_iter().flatten() {
            if can_end.insert(earlier.clone()) {
                ended.push(earlier.clone());
            }
        }
    }
    match seen.iter().find(|state| !can_end.contains(state)) {
        Some(stuck) => Err(format!("nobody gets on: {:?}", stuck.at)),
        None => Ok(seen.len()),
    }
}

const fn request(own: usize) -> Process {
    Process::Request { own, also: None, calls: None, passes: false }
}

const fn request_of_both(own: usize, also: usize) -> Process {
    Process::Request { own, also: Some(also), calls: None, passes: false }
}

#[test]
fn nobody_meets_a_publish_and_all_come_to_their_end_in_every_order() {
    let calls = Process::Request { own: A, also: None, calls: Some(1), passes: false };
    let called = Process::Request { own: A, also: None, calls: None, passes: true };
    let called_with_both = Process::Request { own: B, also: Some(A), calls: None, passes: true };
    let [one, both] = [Process::Writer { owns: &[B] }, Process::Writer { owns: &[A, B] }];
    let [shares, excludes] = [false, true].map(|is_exclusive| Process::Stranger { is_exclusive });
    for processes in [
        &[request(A), request(A), request(B), one][..],
        &[request(A), request(B), request(B), both],
        &[request_of_both(A, B), request_of_both(B, A), one],
        &[request_of_both(A, B), request_of_both(B, A), both],
        &[calls, called, request(B), both],
        &[calls, called_with_both, request_of_both(B, A), both],
        &[request(A), request_of_both(B, A), shares, both],
        &[request(A), request_of_both(B, A), excludes, both],
    ] {
        let states = explore(Variant::default(), processes).unwrap();
        assert!(states > 100, "{states} states are too few to tell anything");
    }
}

#[test]
fn a_writer_that_hoards_and_a_request_that_asks_every_gate_wait_in_a_circle() {
    let both = Process::Writer { owns: &[A, B] };
    let processes = [request_of_both(A, B), request_of_both(B, A), both];
    for variant in [Variant { hoards: true, ..Variant::default() }, Variant { asks_gates: true, ..Variant::default() }]
    {
        assert!(explore(variant, &processes).unwrap_err().starts_with("nobody gets on"));
    }
}
