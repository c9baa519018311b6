//! The body of an answer, as the connection takes it.

use std::fs::File;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use hyper::http::HeaderValue;
use hyper::{Method, Response, StatusCode};
use tokio::sync::mpsc::Receiver;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::spool::{SpoolReader, read_at};

/// How much of a file is read at once.
const READ_BYTES: u64 = 256 << 10;

/// What is sent after an answer's headers.
#[derive(Debug)]
pub enum AnswerBody {
    /// Nothing.
    Empty,
    /// What is there already.
    Whole(Bytes),
    /// What comes.
    Spooled(SpoolReader),
    /// A part of a file.
    File(FilePart),
    /// What is told as it happens, until nobody tells more.
    Told(Receiver<Bytes>),
}

impl AnswerBody {
    /// These bytes.
    #[must_use]
    pub fn whole(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::Empty } else { Self::Whole(bytes) }
    }
}

/// A part of an open file that is left to be sent.
#[derive(Debug)]
pub struct FilePart {
    file: Arc<File>,
    at: u64,
    left: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl FilePart {
    /// The part from `at` on that is so long. A file that is shorter by then breaks the answer off.
    #[must_use]
    pub fn new(file: File, at: u64, length: u64) -> Self {
        Self { file: Arc::new(file), at, left: length, reading: None }
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        if self.left == 0 {
            return Poll::Ready(Ok(None));
        }
        let (at, length) = (self.at, self.left.min(READ_BYTES));
        let reading = self.reading.get_or_insert_with(|| {
            let file = Arc::clone(&self.file);
            spawn_blocking(move || read_at(&file, at, length))
        });
        let bytes = ready!(Pin::new(reading).poll(context)).map_err(io::Error::other).flatten();
        self.reading = None;
        self.at += length;
        self.left -= length;
        Poll::Ready(bytes.map(Some))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let next = match &mut *self {
            Self::Empty => return Poll::Ready(None),
            Self::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            Self::Spooled(reader) => ready!(reader.poll_next(context)),
            Self::File(part) => ready!(part.poll_next(context)),
            Self::Told(told) => Ok(ready!(told.poll_recv(context))),
        };
        Poll::Ready(next.transpose().map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Empty)
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Spooled(_) | Self::Told(_) => SizeHint::default(),
            Self::File(part) => SizeHint::with_exact(part.left),
        }
    }
}

/// Takes away a length that a script told, where it is none or the true one is known. An answer that is longer or shorter than it
/// says would be the beginning of the next one on its connection.
pub(crate) fn measured(mut answer: Response<AnswerBody>, method: &Method) -> Response<AnswerBody> {
    let has_none = *method == Method::HEAD || answer.status() == StatusCode::NOT_MODIFIED;
    let told: Vec<_> = answer.headers().get_all(CONTENT_LENGTH).iter().collect();
    let is_number = |value: &HeaderValue| {
        let digits = value.as_bytes();
        digits.iter().all(u8::is_ascii_digit) && value.to_str().is_ok_and(|digits| digits.parse::<u64>().is_ok())
    };
    let counts = match answer.body() {
        AnswerBody::Spooled(_) => true,
        AnswerBody::Empty => has_none,
        AnswerBody::Whole(_) | AnswerBody::File(_) | AnswerBody::Told(_) => false,
    };
    if !(counts && told.len() == 1 && is_number(told[0])) {
        answer.headers_mut().remove(CONTENT_LENGTH);
    }
    answer
}

/// An answer of a status and a line of text, as the router's own are.
#[must_use]
pub fn refusal(status: StatusCode, message: &str) -> Response<AnswerBody> {
    let mut answer = Response::new(AnswerBody::Whole(format!("{message}\n").into()));
    *answer.status_mut() = status;
    for (name, value) in
        [(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-store"), (X_CONTENT_TYPE_OPTIONS, "nosniff")]
    {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::{Room, spool};

    #[test]
    fn a_length_that_a_script_tells_counts_only_where_nobody_knows_better() {
        let spooled = || AnswerBody::Spooled(spool(Room { memory_bytes: 1, folder: "/nowhere".into() }).1);
        let whole = || AnswerBody::whole("abc".into());
        for (what, method, status, told, body, left) in [
            ("a page that is there", Method::GET, 200, vec!["9"], whole(), None),
            ("the right one", Method::GET, 200, vec!["3"], whole(), None),
            ("a page that is empty", Method::GET, 200, vec!["9"], AnswerBody::Empty, None),
            ("a page that comes", Method::GET, 200, vec!["9"], spooled(), Some("9")),
            ("no number", Method::GET, 200, vec!["+9"], spooled(), None),
            ("an absurd number", Method::GET, 200, vec!["99999999999999999999"], spooled(), None),
            ("two numbers", Method::GET, 200, vec!["9", "9"], spooled(), None),
            ("what a page would be", Method::HEAD, 200, vec!["9"], AnswerBody::Empty, Some("9")),
            ("what did not change", Method::GET, 304, vec!["9"], AnswerBody::Empty, Some("9")),
            ("no content", Method::GET, 204, vec!["9"], AnswerBody::Empty, None),
        ] {
            let mut answer = Response::new(body);
            *answer.status_mut() = StatusCode::from_u16(status).unwrap();
            for told in told {
                answer.headers_mut().append(CONTENT_LENGTH, HeaderValue::from_static(told));
            }
            let answer = measured(answer, &method);
            let length = answer.headers().get(CONTENT_LENGTH).map(|value| value.to_str().unwrap());
            assert_eq!(length, left, "{what}");
        }
    }
}
