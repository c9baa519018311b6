//! The limits in the site's settings, for the server and for PHP behind it.

use std::ffi::OsString;
use std::time::Duration;

use forkpress_engine::config::Serve;
use forkpress_server::front::Limits;

/// What the server takes of a client.
pub(super) fn of_clients(serve: &Serve) -> Limits {
    Limits {
        body_bytes: serve.body_bytes,
        head_bytes: usize::try_from(serve.head_bytes).unwrap_or(usize::MAX),
        pause: Duration::from_secs(serve.client_timeout),
    }
}

/// Settings with which PHP takes what the server does: a form that PHP finds too large is an empty one for its page.
pub(super) fn arguments(serve: &Serve) -> Vec<OsString> {
    let limits = [("post_max_size", serve.body_bytes), ("upload_max_filesize", serve.upload_bytes())];
    limits.into_iter().flat_map(|(name, bytes)| ["-d".into(), format!("{name}={bytes}").into()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn php_takes_the_bodies_that_the_server_takes() {
        let serve = Serve { body_bytes: 136 << 20, ..Serve::default() };
        assert_eq!(of_clients(&serve).body_bytes, 142_606_336);
        assert_eq!(arguments(&serve), ["-d", "post_max_size=142606336", "-d", "upload_max_filesize=134217728"]);
    }
}
