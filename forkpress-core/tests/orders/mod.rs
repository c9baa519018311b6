//! Tries every order in which processes take their steps.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;

/// A state of all processes.
pub trait State: Clone + Eq + Hash {
    /// How far each process is.
    fn at(&self) -> &[u8];
}

/// Goes from these states on, step by step, wherever that leads. `end` is where a process takes no step any more; `wrong` says
/// what must not be; `steps` gives the states after a step of a process. Says how many states there are, or what is wrong: also
/// where a state has no way to the end of all.
pub fn try_all<S: State>(
    starts: impl IntoIterator<Item = S>,
    end: u8,
    wrong: impl Fn(&S) -> Option<String>,
    steps: impl Fn(&S, usize) -> Vec<S>,
) -> Result<usize, String> {
    let mut queue: VecDeque<S> = starts.into_iter().collect();
    let mut seen: HashSet<S> = queue.iter().cloned().collect();
    let mut before: HashMap<S, Vec<S>> = HashMap::new();
    let mut ended = Vec::new();
    while let Some(state) = queue.pop_front() {
        if let Some(wrong) = wrong(&state) {
            return Err(wrong);
        }
        if state.at().iter().all(|at| *at == end) {
            ended.push(state.clone());
        }
        for who in (0..state.at().len()).filter(|who| state.at()[*who] != end) {
            for next in steps(&state, who) {
                before.entry(next.clone()).or_default().push(state.clone());
                if seen.insert(next.clone()) {
                    queue.push_back(next);
                }
            }
        }
    }
    let mut can_end: HashSet<S> = ended.iter().cloned().collect();
    while let Some(state) = ended.pop() {
        for earlier in before.get(&state).into_iter().flatten() {
            if can_end.insert(earlier.clone()) {
                ended.push(earlier.clone());
            }
        }
    }
    match seen.iter().find(|state| !can_end.contains(state)) {
        Some(stuck) => Err(format!("nobody gets on: {:?}", stuck.at())),
        None => Ok(seen.len()),
    }
}
