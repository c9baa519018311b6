//! The body of a request: the fields of a form, and the file that came with it.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::Path;

use forkpress_server::front::page::{Asked, Asker};
use forkpress_server::spool::SpoolReader;
use futures_util::stream::{Stream, try_unfold};
use hyper::header::CONTENT_TYPE;
use multer::{Constraints, Multipart, SizeLimit};
use tokio::task::spawn_blocking;

use crate::form::Fields;

/// The fields of a form are shorter, all of them together.
const MOST_BYTES: u64 = 4 << 20;

/// Why a form can't be taken.
const TOO_LONG: &str = "This form is too long";
const BROKEN: &str = "This form did not come whole";
const NO_ROOM: &str = "This server has no room for the file";

/// A form that was sent.
#[derive(Debug, Default)]
pub struct Form {
    /// Its fields.
    pub fields: Fields,
    /// The file that came with it, at its beginning. It has no name, and goes with its last descriptor.
    pub file: Option<File>,
}

/// Whether a file may come with a request.
pub fn may_have_file(asker: &Asker) -> bool {
    boundary(asker).is_some()
}

fn boundary(asker: &Asker) -> Option<String> {
    multer::parse_boundary(kind(asker)).ok()
}

fn kind(asker: &Asker) -> &str {
    asker.head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default()
}

/// Takes all of a body. One of another kind than forms have says nothing. A file goes into `folder`; where there is none, a form
/// that may have one says nothing, either.
///
/// # Errors
/// Why it can't be taken, as a sentence without its full stop.
pub async fn take(asked: &mut Asked, folder: Option<&Path>) -> Result<Form, &'static str> {
    let Some((reader, length)) = asked.body.take() else { return Ok(Form::default()) };
    if let Some(boundary) = boundary(&asked.asker) {
        return match folder {
            Some(folder) => parts(reader, &boundary, folder).await,
            None => Ok(Form::default()),
        };
    }
    if !kind(&asked.asker).starts_with("application/x-www-form-urlencoded") {
        return Ok(Form::default());
    }
    if length > MOST_BYTES {
        return Err(TOO_LONG);
    }
    let mut reader = reader;
    let mut text = Vec::new();
    while let Some(bytes) = reader.next().await.map_err(|_| BROKEN)? {
        text.extend_from_slice(&bytes);
    }
    Ok(Form { fields: Fields::parse(&text), file: None })
}

fn stream(reader: SpoolReader) -> impl Stream<Item = io::Result<bytes::Bytes>> {
    try_unfold(reader, async |mut reader| Ok(reader.next().await?.map(|bytes| (bytes, reader))))
}

/// A form that may have a file (`multipart/form-data`, RFC 7578).
async fn parts(reader: SpoolReader, boundary: &str, folder: &Path) -> Result<Form, &'static str> {
    let limits = SizeLimit::new().per_field(u64::MAX).whole_stream(u64::MAX);
    let mut parts = Multipart::with_constraints(stream(reader), boundary, Constraints::new().size_limit(limits));
    let mut form = Form::default();
    let mut left = MOST_BYTES;
    while let Some(mut part) = parts.next_field().await.map_err(|_| BROKEN)? {
        let name = part.name().unwrap_or_default().to_owned();
        // A browser sends an empty file, without a name, where none was chosen.
        if part.file_name().is_some() {
            if let Some(file) = kept(&mut part, folder).await? {
                form.file = Some(file);
            }
            continue;
        }
        let mut value = Vec::new();
        while let Some(bytes) = part.chunk().await.map_err(|_| BROKEN)? {
            left = left.checked_sub(bytes.len() as u64).ok_or(TOO_LONG)?;
            value.extend_from_slice(&bytes);
        }
        form.fields.add(name, String::from_utf8_lossy(&value).into_owned());
    }
    Ok(form)
}

/// Writes a file; none where it is empty.
async fn kept(part: &mut multer::Field<'_>, folder: &Path) -> Result<Option<File>, &'static str> {
    let mut file = None;
    while let Some(bytes) = part.chunk().await.map_err(|_| BROKEN)? {
        if bytes.is_empty() {
            continue;
        }
        let (folder, so_far) = (folder.to_owned(), file.take());
        let written = spawn_blocking(move || {
            let mut file = match so_far {
                Some(file) => file,
                None => tempfile::tempfile_in(folder)?,
            };
            file.write_all(&bytes)?;
            io::Result::Ok(file)
        });
        file = Some(written.await.map_err(|_| NO_ROOM)?.map_err(|_| NO_ROOM)?);
    }
    if let Some(file) = &mut file {
        file.rewind().map_err(|_| NO_ROOM)?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use forkpress_server::spool::{Room, spool};
    use std::io::Read;

    async fn taken(body: &str) -> Result<Form, &'static str> {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, reader) = spool(Room { memory_bytes: 1 << 20, folder: dir.path().to_owned() });
        writer.write(&body.to_owned().into()).await.unwrap();
        let _ = writer.end();
        parts(reader, "b", dir.path()).await
    }

    #[tokio::test]
    async fn a_file_comes_with_the_fields_around_it() {
        let body = "--b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nshop\r\n\
            --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"../../x.sql\"\r\nContent-Type: text/plain\r\n\r\nSELECT 1;\r\n\
            --b\r\nContent-Disposition: form-data; name=\"path\"\r\n\r\n\r\n--b--\r\n";
        let mut form = taken(body).await.unwrap();
        assert_eq!((form.fields.get("name"), form.fields.get("path")), (Some("shop"), None));
        let mut text = String::new();
        form.file.as_mut().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "SELECT 1;");
    }

    #[tokio::test]
    async fn no_file_is_none_and_half_a_form_is_refused() {
        let empty = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\"\r\n\r\n\r\n--b--\r\n";
        assert!(taken(empty).await.unwrap().file.is_none());
        assert_eq!(taken(&empty[..70]).await.err(), Some(BROKEN));
        let long =
            format!("--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n{}\r\n--b--\r\n", "x".repeat(5 << 20));
        assert_eq!(taken(&long).await.err(), Some(TOO_LONG));
    }
}
