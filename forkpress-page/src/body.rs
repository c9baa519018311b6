//! The body of a request: the fields of a form.

use forkpress_server::front::page::Asked;
use hyper::header::CONTENT_TYPE;

use crate::form::Fields;

/// A form without a file is shorter.
const MOST_BYTES: u64 = 4 << 20;

const TOO_LONG: &str = "This form is too long";

/// A form that was sent.
#[derive(Debug, Default)]
pub struct Form {
    /// Its fields.
    pub fields: Fields,
}

/// Takes all of a body. One of another kind than forms have says nothing.
///
/// # Errors
/// Why it can't be taken, as a sentence without its full stop.
pub async fn take(asked: &mut Asked) -> Result<Form, &'static str> {
    let kind = asked.head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let Some((reader, length)) = &mut asked.body else { return Ok(Form::default()) };
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return Ok(Form::default());
    }
    if *length > MOST_BYTES {
        return Err(TOO_LONG);
    }
    let mut text = Vec::new();
    while let Some(bytes) = reader.next().await.map_err(|_| "This form did not come whole")? {
        text.extend_from_slice(&bytes);
    }
    Ok(Form { fields: Fields::parse(&text) })
}
