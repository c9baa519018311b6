//! Who looks at which place of the page, and what they are told.
//!
//! One task serves all who look. It waits for news, has the regions of each place rendered once, however many look at it, and
//! sends on what became other. There is no task while nobody looks.
//!
//! A page that does not take what it is told is let go: its browser comes again by itself, and is told all.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::address::Address;
use crate::form::Fields;
use crate::live::Fragment;
use crate::route::Place;
use crate::watch::{Watch, Watched};

/// What waits for a page until it is let go. The regions of a place are two or three.
const ROOM: usize = 16;

/// News that come so soon after each other are told together.
const GATHER: Duration = Duration::from_millis(100);

/// The least time between two things that are told.
const REST: Duration = Duration::from_millis(400);

/// How often what goes on is looked at, where somebody looks at it.
const SAMPLE: Duration = Duration::from_secs(1);

/// How often those who look hear that the server is there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How long a browser waits until it comes again.
const HELLO: &str = "retry: 2000\n\n";

/// Where somebody looks: what is rendered once for all who look there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The place.
    pub place: Place,
    /// What it was asked for with.
    pub query: Fields,
    /// By which address.
    pub at: Address,
}

impl Seat {
    /// Whether nothing tells what changes there, so that it is looked at again and again.
    fn is_sampled(&self) -> bool {
        self.place == Place::Now
    }
}

/// The place that a page is at which asks for news: `at` has its path and query. None where there is no such place.
#[must_use]
pub(crate) fn seat(asked: &Fields, at: &Address) -> Option<Seat> {
    let path = asked.get("at")?;
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let place = Place::of(path)?;
    Some(Seat { place, query: Fields::parse(query.as_bytes()), at: at.clone() })
}

/// What renders.
pub trait Render: Send + Sync {
    /// The regions of a place; none where it has none, or can't be read just now.
    fn fragments(&self, seat: &Seat) -> Vec<Fragment>;

    /// Where the files are whose changes are news.
    fn watched(&self) -> Vec<Watched>;
}

/// What is rung when there are news. It may be rung often.
#[derive(Clone, Default)]
pub struct Bell(Arc<Rung>);

#[derive(Default)]
struct Rung {
    has_news: AtomicBool,
    wake: Notify,
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bell")
    }
}

impl Bell {
    /// Says that there are news.
    pub fn ring(&self) {
        self.0.has_news.store(true, Ordering::Release);
        self.0.wake.notify_one();
    }

    fn take(&self) -> bool {
        self.0.has_news.swap(false, Ordering::AcqRel)
    }
}

/// Those who look.
#[derive(Debug, Default)]
pub struct Hub {
    bell: Bell,
    shared: Mutex<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    has_ended: bool,
    /// Whether there is a task that serves them.
    is_served: bool,
    looking: Vec<Looking>,
}

/// Somebody who looks.
#[derive(Debug)]
struct Looking {
    seat: Seat,
    to: Sender<Bytes>,
    /// Whether nothing was told yet.
    is_new: bool,
}

impl Hub {
    /// What tells it that there are news.
    #[must_use]
    pub fn bell(&self) -> Bell {
        self.bell.clone()
    }

    /// Begins to tell what becomes of a place. Called in a runtime of Tokio's.
    pub fn look(self: &Arc<Self>, seat: Seat, render: Weak<dyn Render>) -> Receiver<Bytes> {
        let (to, from) = mpsc::channel(ROOM);
        let mut shared = self.shared();
        if shared.has_ended {
            return from;
        }
        // There is room for it, and whoever asked is there.
        let _ = to.try_send(Bytes::from_static(HELLO.as_bytes()));
        shared.looking.push(Looking { seat, to, is_new: true });
        if !std::mem::replace(&mut shared.is_served, true) {
            Handle::current().spawn(serve(Arc::clone(self), render));
        }
        drop(shared);
        self.bell.0.wake.notify_one();
        from
    }

    /// Lets all go, and takes nobody any more.
    pub fn end(&self) {
        let mut shared = self.shared();
        shared.has_ended = true;
        shared.looking.clear();
        drop(shared);
        self.bell.0.wake.notify_one();
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The places that somebody looks at, and whether one of them has been told nothing yet. None: nobody looks, and whoever asks
    /// is not needed any more.
    fn seats(&self) -> Option<Vec<(Seat, bool)>> {
        let mut shared = self.shared();
        shared.looking.retain(|looking| !looking.to.is_closed());
        if shared.looking.is_empty() {
            shared.is_served = false;
            return None;
        }
        let mut seats: Vec<(Seat, bool)> = Vec::new();
        for Looking { seat, is_new, .. } in &shared.looking {
            match seats.iter_mut().find(|(known, _)| known == seat) {
                Some((_, has_new)) => *has_new |= is_new,
                None => seats.push((seat.clone(), *is_new)),
            }
        }
        Some(seats)
    }

    /// Tells those who look at a place what became other there, and those who have just come all of it.
    fn tell(&self, seat: &Seat, all: &[Bytes], other: &[Bytes]) {
        self.shared().looking.retain_mut(|looking| {
            if looking.seat != *seat {
                return true;
            }
            let told = if std::mem::take(&mut looking.is_new) { all } else { other };
            told.iter().all(|event| looking.to.try_send(event.clone()).is_ok())
        });
    }

    fn keep_alive(&self) {
        // A comment, which is no event.
        let comment = Bytes::from_static(b":\n\n");
        self.shared().looking.retain(|looking| looking.to.try_send(comment.clone()).is_ok());
    }
}

/// What was told of a place last.
struct Told {
    seat: Seat,
    fragments: Vec<Fragment>,
}

async fn serve(hub: Arc<Hub>, render: Weak<dyn Render>) {
    let mut told: Vec<Told> = Vec::new();
    let mut watch = Watch::begin();
    let mut keep_alive = Instant::now() + KEEP_ALIVE;
    // Whoever came before the watch began may have missed something.
    let mut has_news = true;
    loop {
        has_news |= hub.bell.take();
        let Some(seats) = hub.seats() else { return };
        if has_news {
            // Before anything is read, so that nothing is missed.
            watched(&render, &mut watch).await;
        }
        told.retain(|told| seats.iter().any(|(seat, _)| *seat == told.seat));
        let is_sampled = seats.iter().any(|(seat, _)| seat.is_sampled());
        for (seat, has_new) in seats {
            if !(has_news || has_new || seat.is_sampled()) {
                continue;
            }
            let Some(render) = render.upgrade() else { return hub.end() };
            let asked = seat.clone();
            // It reads files.
            let Ok(fragments) = spawn_blocking(move || render.fragments(&asked)).await else { continue };
            let known = told.iter().position(|told| told.seat == seat).map(|known| told.swap_remove(known));
            let known = known.map(|known| known.fragments).unwrap_or_default();
            let other: Vec<_> =
                fragments.iter().filter(|fragment| !known.contains(fragment)).map(Fragment::event).collect();
            let all: Vec<_> = fragments.iter().map(Fragment::event).collect();
            hub.tell(&seat, &all, &other);
            told.push(Told { seat, fragments });
        }
        sleep(REST).await;
        let sample = is_sampled.then(|| Instant::now() + SAMPLE.saturating_sub(REST));
        has_news = wait(&hub, &mut watch, sample, &mut keep_alive).await;
    }
}

/// Waits until there is something to do, and says whether there are news.
async fn wait(hub: &Hub, watch: &mut Watch, sample: Option<Instant>, keep_alive: &mut Instant) -> bool {
    loop {
        let until = sample.unwrap_or(*keep_alive).min(*keep_alive);
        let woken = tokio::select! {
            () = hub.bell.0.wake.notified() => Woken::Bell,
            () = watch.news() => Woken::Watch,
            () = sleep_until(until) => Woken::Time,
        };
        match woken {
            // Somebody came, or went, or there are news: the bell says.
            Woken::Bell => return false,
            Woken::Watch => {
                gather(watch).await;
                return true;
            }
            Woken::Time if sample.is_some_and(|sample| sample <= Instant::now()) => return false,
            Woken::Time => {
                hub.keep_alive();
                *keep_alive = Instant::now() + KEEP_ALIVE;
                // Those who have gone need not be served.
                if hub.shared().looking.is_empty() {
                    return false;
                }
            }
        }
    }
}

enum Woken {
    Bell,
    Watch,
    Time,
}

/// Takes what else comes in a moment: a command writes several files.
async fn gather(watch: &mut Watch) {
    let until = Instant::now() + GATHER;
    while timeout_at(until, watch.news()).await.is_ok() {}
}

/// Watches what there is to watch by now.
async fn watched(render: &Weak<dyn Render>, watch: &mut Watch) {
    let Some(render) = render.upgrade() else { return };
    if let Ok(all) = spawn_blocking(move || render.watched()).await {
        watch.only(all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use maud::html;
    use std::sync::atomic::AtomicUsize;

    /// Renders a number that each test sets.
    #[derive(Default)]
    struct Counter {
        shows: AtomicUsize,
        renders: AtomicUsize,
    }

    impl Render for Counter {
        fn fragments(&self, seat: &Seat) -> Vec<Fragment> {
            self.renders.fetch_add(1, Ordering::SeqCst);
            let shows = self.shows.load(Ordering::SeqCst);
            let of_place = format!("{:?}", seat.place);
            vec![Fragment::new("same", html! { (of_place) }), Fragment::new("number", html! { (shows) })]
        }

        fn watched(&self) -> Vec<Watched> {
            Vec::new()
        }
    }

    struct Looked {
        hub: Arc<Hub>,
        counter: Arc<Counter>,
        render: Weak<dyn Render>,
    }

    impl Looked {
        fn new() -> Self {
            let counter = Arc::new(Counter::default());
            let render: Arc<dyn Render> = Arc::clone(&counter) as _;
            Self { hub: Arc::default(), counter, render: Arc::downgrade(&render) }
        }

        fn look(&self, place: Place) -> Receiver<Bytes> {
            let at = Address::of("http", "admin.wp.localhost", "wp.localhost");
            self.hub.look(Seat { place, query: Fields::default(), at }, Weak::clone(&self.render))
        }

        fn set(&self, shows: usize) {
            self.counter.shows.store(shows, Ordering::SeqCst);
            self.hub.bell().ring();
        }

        fn renders(&self) -> usize {
            self.counter.renders.load(Ordering::SeqCst)
        }
    }

    /// No test waits longer. It costs nothing: time goes on by itself while all wait.
    const PATIENCE: Duration = Duration::from_secs(3600);

    async fn next(told: &mut Receiver<Bytes>) -> Option<String> {
        let event = timeout_at(Instant::now() + PATIENCE, told.recv()).await.expect("something is told");
        event.map(|event| String::from_utf8(event.to_vec()).unwrap())
    }

    /// The number that is told next; none where the stream ends.
    async fn number(told: &mut Receiver<Bytes>) -> Option<usize> {
        let until = Instant::now() + PATIENCE;
        loop {
            let event = timeout_at(until, next(told)).await.expect("a number is told")?;
            let Some(data) = event.split('\n').find_map(|line| line.strip_prefix("data: ")) else { continue };
            let data: serde_json::Value = serde_json::from_str(data).unwrap();
            if data["region"] == "number" {
                return data["html"].as_str().unwrap().parse().ok();
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_became_other_is_rendered_once_for_all_who_look_at_the_same_place() {
        let looked = Looked::new();
        let mut all: Vec<_> = (0..100).map(|_| looked.look(Place::Overview)).collect();
        for told in &mut all {
            assert_eq!(next(told).await.as_deref(), Some(HELLO));
            assert!(next(told).await.unwrap().contains("Overview"), "all of it comes first");
            assert_eq!(number(told).await, Some(0));
        }
        assert_eq!(looked.renders(), 1);
        looked.set(1);
        for told in &mut all {
            let event = next(told).await.unwrap();
            assert!(event.contains("\"number\"") && !event.contains("\"same\""), "{event}");
        }
        assert_eq!(looked.renders(), 2);
        // Whoever comes later is told all of it, the others nothing once more.
        let mut late = looked.look(Place::Overview);
        assert_eq!(next(&mut late).await.as_deref(), Some(HELLO));
        assert!(next(&mut late).await.unwrap().contains("Overview"));
        assert_eq!((number(&mut late).await, all[0].try_recv().is_err()), (Some(1), true));
    }

    #[tokio::test(start_paused = true)]
    async fn news_that_come_fast_are_told_together_and_the_last_is_never_lost() {
        let looked = Looked::new();
        let mut told = looked.look(Place::Overview);
        assert_eq!(number(&mut told).await, Some(0));
        let (began, before) = (Instant::now(), looked.renders());
        for shows in 1..=1000 {
            looked.set(shows);
            tokio::task::yield_now().await;
        }
        while number(&mut told).await != Some(1000) {}
        for shows in 1001..=1020 {
            looked.set(shows);
            assert_eq!(number(&mut told).await, Some(shows));
        }
        let at_most = began.elapsed().as_millis() / REST.as_millis() + 2;
        assert!(
            (looked.renders() - before) as u128 <= at_most,
            "{} in {:?}",
            looked.renders() - before,
            began.elapsed()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_let_go_and_the_others_hear_on() {
        let looked = Looked::new();
        let (mut slow, mut told) = (looked.look(Place::Overview), looked.look(Place::Overview));
        for shows in 1..=2 * ROOM {
            looked.set(shows);
            while number(&mut told).await != Some(shows) {}
        }
        let mut waiting = 0;
        while next(&mut slow).await.is_some() {
            waiting += 1;
            assert!(waiting <= ROOM, "{waiting}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_ends_all_at_once_and_nobody_looks_any_more() {
        let looked = Looked::new();
        let mut told = looked.look(Place::Overview);
        assert_eq!(number(&mut told).await, Some(0));
        looked.hub.end();
        assert_eq!(number(&mut told).await, None);
        assert_eq!(next(&mut looked.look(Place::Overview)).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_rendered_while_nobody_looks_or_nothing_happens() {
        let looked = Looked::new();
        let mut told = looked.look(Place::Overview);
        assert_eq!(number(&mut told).await, Some(0));
        // Time goes on by itself while all wait.
        assert_eq!(next(&mut told).await.as_deref(), Some(":\n\n"), "that it is there");
        assert_eq!(looked.renders(), 1);
        let mut other = looked.look(Place::Log);
        assert_eq!(number(&mut other).await, Some(0));
        assert_eq!(looked.renders(), 2, "only what is new to somebody");
        drop((told, other));
        looked.set(1);
        sleep(KEEP_ALIVE * 2).await;
        assert_eq!((looked.renders(), looked.hub.shared().is_served), (2, false));
        assert_eq!(number(&mut looked.look(Place::Overview)).await, Some(1), "and then somebody looks again");
    }

    #[tokio::test(start_paused = true)]
    async fn what_goes_on_is_looked_at_once_in_a_second_while_somebody_looks() {
        let looked = Looked::new();
        let mut told = looked.look(Place::Now);
        assert_eq!(number(&mut told).await, Some(0));
        let (began, before) = (Instant::now(), looked.renders());
        looked.counter.shows.store(1, Ordering::SeqCst);
        assert_eq!(number(&mut told).await, Some(1));
        looked.counter.shows.store(2, Ordering::SeqCst);
        assert_eq!(number(&mut told).await, Some(2));
        assert_eq!(looked.renders() - before, 2);
        assert!(began.elapsed() >= SAMPLE && began.elapsed() <= SAMPLE * 3, "{:?}", began.elapsed());
    }

    #[test]
    fn a_page_says_where_it_is() {
        let at = Address::of("http", "admin.wp.localhost", "wp.localhost");
        let seat = |path: &str| seat(&[("at", path)].into(), &at);
        let found = seat("/?q=a%20b&page=2").unwrap();
        assert_eq!(
            (found.place, found.query.get("q"), found.query.get("page")),
            (Place::Overview, Some("a b"), Some("2"))
        );
        assert_eq!(seat("/now").map(|seat| seat.place), Some(Place::Now));
        assert!(seat("//evil.example").is_none() && seat("").is_none() && super::seat(&[].into(), &at).is_none());
    }
}
