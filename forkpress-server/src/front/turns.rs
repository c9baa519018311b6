//! Whose turn it is on a connection that has many requests at once.
//!
//! It is the server's while it makes any answer, and else the client's: to ask for something, or to take what is ready. Where it
//! is the client's for too long, it wants nothing more.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, sleep_until};

use crate::answer::AnswerBody;

/// The turns of a connection.
#[derive(Clone, Debug)]
pub(super) struct Turns(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// How many answers the server is making.
    ours: usize,
    /// Since when nothing has changed.
    since: Instant,
}

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State { ours: 0, since: Instant::now() })))
    }
}

impl Turns {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins an answer.
    pub(super) fn ours(&self) -> Turn {
        let mut turn = Turn { turns: self.clone(), is_ours: false };
        turn.set(true);
        turn
    }

    /// Waits until it has been the client's turn for so long.
    pub(super) async fn overdue(&self, pause: Duration) {
        loop {
            let now = Instant::now();
            let due = match *self.state() {
                State { ours: 0, since } => since + pause,
                _ => now + pause,
            };
            if due <= now {
                return;
            }
            sleep_until(due).await;
        }
    }

    /// Counts from now on.
    pub(super) fn begin_anew(&self) {
        self.state().since = Instant::now();
    }
}

/// One answer of a connection. Dropped, it is done.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    is_ours: bool,
}

impl Turn {
    fn set(&mut self, is_ours: bool) {
        let mut state = self.turns.state();
        state.since = Instant::now();
        match (self.is_ours, is_ours) {
            (false, true) => state.ours += 1,
            (true, false) => state.ours -= 1,
            _ => {}
        }
        self.is_ours = is_ours;
    }

    /// Goes on as the body of the answer.
    pub(super) fn until_taken(self, body: AnswerBody) -> TurnBody {
        TurnBody { turn: self, body }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.set(false);
    }
}

/// The body of an answer. It is the client's turn from when a piece of it is there until the next one is asked for: that is when
/// the client takes it.
#[derive(Debug)]
pub(super) struct TurnBody {
    turn: Turn,
    body: AnswerBody,
}

impl Body for TurnBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.turn.set(polled.is_pending());
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::time::timeout;

    const PAUSE: Duration = Duration::from_millis(20);

    async fn is_overdue(turns: &Turns) -> bool {
        timeout(PAUSE * 4, turns.overdue(PAUSE)).await.is_ok()
    }

    #[tokio::test]
    async fn a_client_is_not_overdue_while_the_server_makes_an_answer_and_is_when_it_does_not_take_it() {
        let turns = Turns::default();
        let one = turns.ours();
        assert!(!is_overdue(&turns).await);
        let other = turns.ours();
        let mut body = one.until_taken(AnswerBody::Whole("ab".into()));
        assert!(!is_overdue(&turns).await, "the other answer is not there");
        drop(other);
        assert!(!is_overdue(&turns).await, "nobody has asked for the body");
        let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        assert!(frame.is_some());
        assert!(is_overdue(&turns).await, "a piece waits for the client");
        turns.begin_anew();
        let (_, reader) = crate::spool::spool(crate::spool::Room { memory_bytes: 9, folder: std::env::temp_dir() });
        let mut body = turns.ours().until_taken(AnswerBody::Spooled(reader));
        let _ = timeout(PAUSE, poll_fn(|context| Pin::new(&mut body).poll_frame(context))).await;
        drop(body);
        assert!(is_overdue(&turns).await, "all is done");
    }
}
