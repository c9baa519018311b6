//! The files that pages load. Their addresses have a part that changes with what is in them, so that a browser keeps them.

use std::sync::LazyLock;

use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, HeaderValue};
use sha2::{Digest, Sha256};

use crate::address::Address;
use crate::reply::{self, Reply};

/// The mark of ForkPress, as it stands in a page.
pub const ICON: &str = include_str!("../assets/icon.svg");

const FILES: [(&str, &str, &str); 3] = [
    ("page.css", "text/css; charset=utf-8", include_str!("../assets/page.css")),
    ("page.js", "text/javascript; charset=utf-8", include_str!("../assets/page.js")),
    ("icon.svg", "image/svg+xml", ICON),
];

static MARK: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    FILES.iter().for_each(|(_, _, text)| digest.update(text));
    digest.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
});

/// Where a file is.
#[must_use]
pub fn href(name: &str) -> String {
    format!("/assets/{}.{name}", *MARK)
}

/// A file; none where there is no such one. Nothing of it is secret, so everybody gets it.
pub fn reply(name: &str, at: &Address) -> Option<Reply> {
    let name = name.strip_prefix(MARK.as_str())?.strip_prefix('.')?;
    let (_, kind, text) = FILES.iter().find(|(known, _, _)| *known == name)?;
    let mut reply = reply::whole(StatusCode::OK, kind, bytes::Bytes::from_static(text.as_bytes()), at);
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    Some(reply)
}
