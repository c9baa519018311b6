//! A client of FastCGI applications, such as php-fpm: one request for each connection.
//!
//! The crates that there are take the end of a connection for the end of an answer, so a page that a dying process cut short
//! would be a whole one. They also write all of a request before they read of its answer, so both ends may wait for each other.

mod record;

use std::io;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinHandle;

use crate::spool::SpoolReader;

use record::Record;

/// How much is read at once.
pub(crate) const READ_BYTES: usize = 64 << 10;

/// Why an application gave no answer, or none to its end.
#[derive(Debug, Error)]
pub enum FastCgiError {
    /// It can't be reached, or the connection broke.
    #[error("the connection to PHP broke")]
    Connection(#[from] io::Error),
    /// It ended in the middle of an answer.
    #[error("PHP ended before its answer did")]
    CutShort,
    /// It speaks another version, or another protocol.
    #[error("PHP answers with version {0} of FastCGI")]
    Version(u8),
    /// It answers a request that nobody made.
    #[error("PHP answers request {0}, which was not made")]
    Id(u16),
    /// It sent something that only a web server may send, or nobody.
    #[error("PHP sent a record of kind {0}")]
    Kind(u8),
    /// A record with a length that it can't have.
    #[error("PHP sent a record of {0} bytes, which that one can not have")]
    Length(usize),
    /// A page says that it comes in chunks, and does not.
    #[error("the page says that it comes in chunks (Transfer-Encoding), and does not")]
    Chunks,
    /// It refuses the request: it is overloaded, or knows no such role.
    #[error("PHP refused the request (protocol status {0})")]
    Refused(u8),
}

#[cfg(test)]
impl PartialEq for FastCgiError {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

/// A part of what an application says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Of the answer: headers as CGI has them, an empty line, and the body.
    Answer(Bytes),
    /// Of what it complains about.
    Complaint(Bytes),
}

/// A request that an application answers. Dropped before its end, it is broken off, as when a client hangs up.
#[derive(Debug)]
pub struct Exchange {
    answer: OwnedReadHalf,
    read: BytesMut,
    _feeding: Feeding,
}

/// Writes the body, beside the reading: an application may answer before it has read all of it.
#[derive(Debug)]
struct Feeding(Option<JoinHandle<()>>);

impl Drop for Feeding {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

impl Exchange {
    /// Makes a request, with these variables and this body, of the application that listens at `socket`. The body is taken
    /// once somebody listens.
    ///
    /// # Errors
    /// [`FastCgiError::Connection`] where nobody listens there, or the connection breaks before all of a request
    /// without a body is written.
    pub async fn begin(
        socket: &Path,
        variables: &[(Bytes, Bytes)],
        body: &mut Option<SpoolReader>,
    ) -> Result<Self, FastCgiError> {
        let (answer, mut input) = UnixStream::connect(socket).await?.into_split();
        let mut begun = record::begin(variables);
        let feeding = match body.take() {
            None => {
                record::put_body(&mut begun, b"");
                input.write_all(&begun).await?;
                // Closed for writing, the connection would look broken off.
                input.forget();
                None
            }
            Some(body) => Some(tokio::spawn(async move {
                // An application that does not want all of the body says so by its answer, or by having none.
                let _ = feed(input, begun, body).await;
            })),
        };
        Ok(Self { answer, read: BytesMut::with_capacity(READ_BYTES), _feeding: Feeding(feeding) })
    }

    /// The next part of what the application says; none where it has said all.
    ///
    /// # Errors
    /// [`FastCgiError`]; nothing more comes then.
    pub async fn next(&mut self) -> Result<Option<Output>, FastCgiError> {
        loop {
            match record::decode(&mut self.read)? {
                Some(Record::Stdout(bytes) | Record::Stderr(bytes)) if bytes.is_empty() => continue,
                Some(Record::Stdout(bytes)) => return Ok(Some(Output::Answer(bytes))),
                Some(Record::Stderr(bytes)) => return Ok(Some(Output::Complaint(bytes))),
                Some(Record::End) => return Ok(None),
                None => {}
            }
            self.read.reserve(READ_BYTES);
            if self.answer.read_buf(&mut self.read).await? == 0 {
                return Err(FastCgiError::CutShort);
            }
        }
    }
}

async fn feed(mut input: OwnedWriteHalf, begun: BytesMut, mut body: SpoolReader) -> io::Result<()> {
    input.write_all(&begun).await?;
    let mut out = BytesMut::new();
    while let Some(bytes) = body.next().await? {
        record::put_body(&mut out, &bytes);
        input.write_all(&out).await?;
        out.clear();
    }
    record::put_body(&mut out, b"");
    input.write_all(&out).await?;
    input.forget();
    Ok(())
}
