//! A model of the locks that mutations prepare and publish under, in which every order of steps is tried: no two mutations of one
//! branch are at work at once, nor any beside what is of the whole site; two never have `mutation.lock`; no mutation begins once
//! something of the whole site said that it waits; and from every state that can be reached all can come to their end.
//!
//! A step takes a lock or lets it go, as `src/lock/mutation.rs` does it. Nobody's patience ends. What comes after, the locks of
//! requests, is in `lock_model.rs`. Changed protocols show that the model finds what is wrong.

mod orders;

const GATE: usize = 0;
const PREPARE: usize = 1;
const A: usize = 2;
const B: usize = 3;
const MUTATION: usize = 4;

/// Who shares a lock, as bits, and who has it alone.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Flock {
    shared: u8,
    exclusive: u8,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    locks: [Flock; 5],
    /// Mutations that took `prepare.lock` while something of the whole site waited for it, as bits.
    late: u8,
    at: Vec<u8>,
}

impl State {
    fn take(&mut self, lock: usize, who: usize, is_exclusive: bool) -> bool {
        let Flock { shared, exclusive } = &mut self.locks[lock];
        let is_free = *exclusive == 0 && (!is_exclusive || *shared == 0);
        *if is_exclusive { exclusive } else { shared } |= u8::from(is_free) << who;
        is_free
    }

    fn let_go(&mut self, lock: usize, who: usize) {
        self.locks[lock].shared &= !(1 << who);
        self.locks[lock].exclusive &= !(1 << who);
    }
}

#[derive(Clone, Copy)]
enum Process {
    /// A mutation of these branches, in the order in which they are named. A part of it may fail, or be killed, anywhere.
    Mutation { of: &'static [usize], dies: bool },
    /// What is of the whole site.
    Whole,
}

/// What the protocol could be instead.
#[derive(Clone, Copy, Default)]
struct Variant {
    /// The mutation locks are taken in the order in which the branches are named.
    unsorted: bool,
    /// Nobody asks at `prepare.gate`, and nobody closes it.
    no_gate: bool,
    /// A mutation prepares without `prepare.lock`.
    no_prepare: bool,
    /// A mutation keeps `mutation.lock` while it takes its mutation locks.
    early: bool,
}

/// A mutation comes to the gate, then to `prepare.lock`, then to the locks of its branches, one after the other.
const COMES: u8 = 0;
const BRANCHES: u8 = 10;
/// It ends what died, under `mutation.lock`.
const RECOVERS: u8 = 20;
/// It prepares, beside others.
const PREPARES: u8 = 30;
/// It publishes, under `mutation.lock`. It may let that go, and rest, where requests keep it from that.
const PUBLISHES: u8 = 40;
/// What is of the whole site is at work, with the gate, `prepare.lock` and `mutation.lock`.
const WORKS: u8 = 50;
const END: u8 = u8::MAX;

fn step(variant: Variant, processes: &[Process], state: &State, who: usize) -> Vec<State> {
    let mut next = state.clone();
    let mut go = |to: u8| {
        next.at[who] = to;
        vec![next.clone()]
    };
    match processes[who] {
        Process::Whole => {
            let mut next = state.clone();
            let (lock, to) = match state.at[who] {
                0 if variant.no_gate => return go(1),
                0 => (GATE, 1),
                1 => (PREPARE, 2),
                2 => (MUTATION, WORKS),
                _ => {
                    [GATE, PREPARE, MUTATION].iter().for_each(|lock| next.let_go(*lock, who));
                    (next.at[who], next.late) = (END, 0);
                    return vec![next];
                }
            };
            if !next.take(lock, who, true) {
                return vec![];
            }
            next.at[who] = to;
            vec![next]
        }
        Process::Mutation { of, dies } => {
            let mut branches = of.to_vec();
            if !variant.unsorted {
                branches.sort_unstable();
            }
            let mut all = mutation_step(variant, processes, state, who, &branches);
            if dies {
                let mut dead = state.clone();
                (0..5).for_each(|lock| dead.let_go(lock, who));
                dead.late &= !(1 << who);
                dead.at[who] = END;
                all.push(dead);
            }
            all
        }
    }
}

fn mutation_step(variant: Variant, processes: &[Process], state: &State, who: usize, branches: &[usize]) -> Vec<State> {
    let mut next = state.clone();
    let at = state.at[who];
    let to = match at {
        COMES if variant.no_gate => 1,
        COMES if next.take(GATE, who, false) => 1,
        1 => {
            let waits = |(process, at): (&Process, &u8)| matches!(process, Process::Whole) && *at == 1;
            let is_late = processes.iter().zip(&state.at).any(waits);
            let taken = variant.no_prepare || next.take(PREPARE, who, false);
            next.let_go(GATE, who);
            // It asked at the gate before that was closed, or it has overtaken.
            next.late |= u8::from(taken && is_late) << who;
            if taken { if variant.early { 2 } else { BRANCHES } } else { COMES }
        }
        2 if next.take(MUTATION, who, true) => BRANCHES,
        BRANCHES..RECOVERS => match branches.get(usize::from(at - BRANCHES)) {
            Some(branch) if next.take(*branch, who, true) => at + 1,
            Some(_) => return vec![],
            None => {
                next.let_go(MUTATION, who);
                RECOVERS
            }
        },
        RECOVERS if next.take(MUTATION, who, true) => RECOVERS + 1,
        21 => {
            next.let_go(MUTATION, who);
            PREPARES
        }
        PREPARES if next.take(MUTATION, who, true) => PUBLISHES,
        PUBLISHES => {
            // It rests, and tries again; or it is done.
            let mut rests = next.clone();
            rests.let_go(MUTATION, who);
            rests.at[who] = PREPARES;
            (0..5).for_each(|lock| next.let_go(lock, who));
            next.late &= !(1 << who);
            next.at[who] = END;
            return vec![rests, next];
        }
        _ => return vec![],
    };
    next.at[who] = to;
    vec![next]
}

/// What is wrong with a state, if anything is.
fn wrong(processes: &[Process], state: &State) -> Option<String> {
    let at_work = |who: usize| match processes[who] {
        Process::Mutation { of, .. } if (RECOVERS..END).contains(&state.at[who]) => of.to_vec(),
        Process::Whole if state.at[who] == WORKS => vec![A, B],
        _ => vec![],
    };
    for who in 0..processes.len() {
        for other in 0..who {
            if at_work(who).iter().any(|branch| at_work(other).contains(branch)) {
                return Some(format!("{who} and {other} are at work in one branch: {:?}", state.at));
            }
        }
    }
    let alone = |at: &u8| matches!(*at, 21 | PUBLISHES | WORKS);
    if state.at.iter().filter(|at| alone(at)).count() > 1 {
        return Some(format!("two have mutation.lock: {:?}", state.at));
    }
    (state.late != 0).then(|| format!("a mutation has overtaken what is of the whole site: {:?}", state.at))
}

impl orders::State for State {
    fn at(&self) -> &[u8] {
        &self.at
    }
}

/// Tries every order. Says how many states there are, or what is wrong.
fn explore(variant: Variant, processes: &[Process]) -> Result<usize, String> {
    let start = State { locks: Default::default(), late: 0, at: vec![0; processes.len()] };
    orders::try_all([start], END, |state| wrong(processes, state), |state, who| step(variant, processes, state, who))
}

const fn mutation(of: &'static [usize]) -> Process {
    Process::Mutation { of, dies: false }
}

/// Two mutations of two branches, named in either order, one of one branch, and what is of the whole site.
const ALL: [Process; 4] = [mutation(&[A, B]), mutation(&[B, A]), mutation(&[B]), Process::Whole];

#[test]
fn mutations_of_one_branch_follow_each_other_and_the_whole_site_waits_for_all_and_all_come_to_their_end() {
    let dies = Process::Mutation { of: &[B, A], dies: true };
    for processes in [&ALL[..], &[mutation(&[A]), mutation(&[B]), dies, Process::Whole], &[dies, Process::Whole]] {
        let states = explore(Variant::default(), processes).unwrap();
        assert!(states > 20, "{states} states are too few to tell anything");
    }
}

#[test]
fn mutations_that_take_their_locks_as_branches_are_named_or_under_mutation_lock_wait_in_a_circle() {
    for variant in [Variant { unsorted: true, ..Variant::default() }, Variant { early: true, ..Variant::default() }] {
        let wrong = explore(variant, &ALL).unwrap_err();
        assert!(wrong.starts_with("nobody gets on"), "{wrong}");
    }
}

#[test]
fn where_nobody_asks_at_the_gate_mutations_overtake_the_whole_site() {
    let wrong = explore(Variant { no_gate: true, ..Variant::default() }, &ALL).unwrap_err();
    assert!(wrong.contains("has overtaken"), "{wrong}");
}

#[test]
fn without_prepare_lock_a_mutation_is_at_work_beside_the_whole_site() {
    let processes = [mutation(&[A]), Process::Whole];
    let wrong = explore(Variant { no_prepare: true, ..Variant::default() }, &processes).unwrap_err();
    assert!(wrong.contains("are at work in one branch") || wrong.contains("has overtaken"), "{wrong}");
}
