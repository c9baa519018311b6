//! What fuzz loops share: bytes that are changed at random, from a seed that is told, for as long as the environment says.

use std::time::{Duration, Instant};

/// How long a loop runs where FORKPRESS_FUZZ_SECONDS does not say so.
const SECONDS: u64 = 2;

/// Runs `check` again and again with other bytes, made from `seeds` and words that mean something there.
///
/// FORKPRESS_FUZZ_SEED begins where another run did; a run that fails says where it was.
pub fn fuzz(seeds: &[Vec<u8>], words: &[&[u8]], mut check: impl FnMut(&mut fastrand::Rng, &[u8])) {
    let given = |name| std::env::var(name).ok().and_then(|value: String| value.parse::<u64>().ok());
    let duration = Duration::from_secs(given("FORKPRESS_FUZZ_SECONDS").unwrap_or(SECONDS));
    let first = given("FORKPRESS_FUZZ_SEED");
    let (began, mut rounds) = (Instant::now(), 0_u64);
    while began.elapsed() < duration {
        let seed = first.map_or_else(|| fastrand::u64(..), |first| first + rounds);
        let mut random = fastrand::Rng::with_seed(seed);
        let bytes = mutated(&mut random, seeds, words);
        let told = Told(seed, &bytes);
        check(&mut random, &bytes);
        drop(told);
        rounds += 1;
    }
    println!("{rounds} rounds");
    assert!(rounds > 0);
}

/// Says which seed and bytes it was where a check panics.
struct Told<'a>(u64, &'a [u8]);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("FORKPRESS_FUZZ_SEED={} made {}", self.0, self.1.escape_ascii());
        }
    }
}

fn mutated(random: &mut fastrand::Rng, seeds: &[Vec<u8>], words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = random.choice(seeds).cloned().unwrap_or_default();
    for _ in 0..random.usize(0..6) {
        let at = random.usize(0..=bytes.len());
        let end = at + random.usize(0..=(bytes.len() - at).min(8));
        let other = random.choice(seeds).map_or(&[][..], Vec::as_slice);
        let from = random.usize(0..=other.len());
        match random.u8(0..8) {
            0 => drop(bytes.drain(at..end)),
            1 => drop(bytes.splice(at..at, random.choice(words).copied().unwrap_or_default().iter().copied())),
            2 => drop(bytes.splice(at..end, random.choice(words).copied().unwrap_or_default().iter().copied())),
            3 => bytes[at..end].iter_mut().for_each(|byte| *byte ^= 1 << random.u8(0..8)),
            4 => bytes.insert(at, random.u8(..)),
            5 => bytes.extend_from_within(at..),
            6 => drop(bytes.splice(at.., other[from..].iter().copied())),
            _ => bytes.truncate(at),
        }
        bytes.truncate(1 << 17);
    }
    bytes
}

#[test]
fn the_same_seed_makes_the_same_bytes() {
    let seeds = [b"GET / HTTP/1.1\r\n\r\n".to_vec(), Vec::new()];
    for seed in 0..2000 {
        let made = || mutated(&mut fastrand::Rng::with_seed(seed), &seeds, &[b"\r\n"]);
        assert_eq!(made(), made());
    }
}
