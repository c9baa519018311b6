//! A connection whose requests are read strictly, and which is closed so that its client hears the last answer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::framing::Framing;

/// How long a client may go on sending what nobody reads. It may look at the answer only after all of it.
const LINGER: Duration = Duration::from_secs(30);

/// How much of that is thrown away at once.
const DISCARDED_BYTES: usize = 16 << 10;

/// A connection. What is at fault does not come out of it: see [`Framing`]. What comes out instead is refused.
///
/// A connection that is closed while its client sends is reset, and the client may never see its answer. So it says that nothing
/// more comes, and waits for the client's end of the connection.
pub(super) struct Strict<S> {
    stream: S,
    framing: Framing,
    /// What is left to be read, once there was a fault.
    instead: Option<&'static [u8]>,
    lingering: Option<Pin<Box<Sleep>>>,
}

impl<S> Strict<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, framing: Framing::default(), instead: None, lingering: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Strict<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.instead.is_none() {
            let begin = into.filled().len();
            ready!(Pin::new(&mut self.stream).poll_read(context, into))?;
            let Some(fault) = self.framing.read(&into.filled()[begin..]) else { return Poll::Ready(Ok(())) };
            into.set_filled(begin + fault.at);
            self.instead = Some(fault.instead);
        }
        let instead = self.instead.take().unwrap_or_default();
        let (now, later) = instead.split_at(instead.len().min(into.remaining()));
        into.put_slice(now);
        self.instead = Some(later);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Strict<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            if self.instead.is_none() && self.framing.is_between() {
                return Poll::Ready(Ok(()));
            }
        }
        let this = &mut *self;
        let end = this.lingering.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        if end.as_mut().poll(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        loop {
            let mut discarded = [0; DISCARDED_BYTES];
            let mut into = ReadBuf::new(&mut discarded);
            match Pin::new(&mut this.stream).poll_read(context, &mut into) {
                Poll::Ready(Ok(())) if !into.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
