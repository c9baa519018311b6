//! What there is to measure of a site beside its requests.

use std::sync::Arc;

use forkpress_core::layout::CowLayout;
use forkpress_core::lock::note::{Note, State};
use forkpress_engine::mutation::history::History;
use forkpress_server::php::Php;
use forkpress_server::traffic::line;

/// Writes how busy PHP is, who waits for locks, and what the log of operations says.
pub(super) fn of<const N: usize>(
    cow: &CowLayout,
    pools: [(&'static str, &Arc<Php>); N],
) -> impl Fn(&mut String) + Send + Sync + use<N> {
    let (cow, pools) = (cow.clone(), pools.map(|(name, php)| (format!("pool=\"{name}\""), Arc::clone(php))));
    move |text| {
        let of_pools = |number: fn(&Php) -> usize| -> Vec<(&str, f64)> {
            pools.iter().map(|(label, php)| (label.as_str(), number(php) as f64)).collect()
        };
        line(
            text,
            "forkpress_php_processes",
            "gauge",
            "Processes of PHP's that there may be.",
            &of_pools(Php::workers),
        );
        line(text, "forkpress_php_busy", "gauge", "Those that are at work.", &of_pools(Php::busy));
        of_locks(text, &cow);
        of_operations(text, &cow);
    }
}

fn of_locks(text: &mut String, cow: &CowLayout) {
    let notes = Note::all(cow);
    let waiting = notes.iter().filter(|note| note.state == State::Waiting);
    let (requests, commands): (Vec<_>, Vec<_>) = waiting.partition(|note| note.request().is_some());
    let number = [("by=\"request\"", requests.len() as f64), ("by=\"command\"", commands.len() as f64)];
    line(
        text,
        "forkpress_lock_waits",
        "gauge",
        "Requests that PHP has, and commands, that wait for a lock now.",
        &number,
    );
}

fn of_operations(text: &mut String, cow: &CowLayout) {
    // A log that can't be read has no numbers.
    let Ok(history) = History::read(cow) else { return };
    let held = history.entries.iter().filter_map(|entry| entry.held_us).map(|held| held as f64 / 1e6);
    let newest = held.clone().next_back().unwrap_or_default();
    let longest = held.fold(0.0, f64::max);
    let total = history.entries.last().map_or(0, |entry| entry.id);
    line(text, "forkpress_operations_total", "counter", "Operations on branches.", &[("", total as f64)]);
    let held = [("of=\"newest\"", newest), ("of=\"longest\"", longest)];
    line(
        text,
        "forkpress_operation_hold_seconds",
        "gauge",
        "For how long operations in the log kept requests out.",
        &held,
    );
}
