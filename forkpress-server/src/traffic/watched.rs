//! The body of an answer whose request is known to run until all of it was sent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::Tracked;
use crate::answer::AnswerBody;

/// A body, and whose it is. When it is dropped, the request has ended.
#[derive(Debug)]
pub struct Watched {
    body: AnswerBody,
    request: Option<Tracked>,
}

impl Watched {
    pub(crate) fn new(body: AnswerBody, request: Option<Tracked>) -> Self {
        Self { body, request }
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let (Poll::Ready(Some(Ok(frame))), Some(request)) = (&polled, &self.request) {
            request.seen.takes(frame.data_ref().map_or(0, |bytes| bytes.len() as u64));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
