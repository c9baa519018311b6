//! What PHP's processes have in common, whatever serves the site: their environment, and OPcache's memory.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};

use forkpress_engine::config::LEAST_OPCACHE_BYTES;
use forkpress_engine::site::Site;

use crate::deaths;
use crate::mail;

/// A call of the site to itself may call the site again.
pub(super) const LOOPBACK_WORKERS: u16 = 3;

/// What any PHP that serves a site has in its environment, and what it must not have (none).
pub(super) fn environment(
    site: &Site,
    root_host: &str,
    public: IpAddr,
    loopback: SocketAddr,
) -> Vec<(&'static str, Option<OsString>)> {
    let layout = &site.layout;
    let mut environment = vec![
        ("FORKPRESS_BRANCHES_DIR", Some(layout.public_root().into())),
        ("FORKPRESS_COW_DIR", Some(layout.cow().dir().into())),
        ("FORKPRESS_ROOT_HOST", Some(root_host.into())),
        ("FORKPRESS_BIN", std::env::current_exe().ok().map(Into::into)),
        // Where others reach the site, everybody who pushes gives the token.
        ("FORKPRESS_GIT_PUSH", (!public.is_loopback()).then(|| "token".into())),
        ("FORKPRESS_DEBUG_LOG", Some(deaths::debug_log(layout).into())),
        ("FORKPRESS_PHP_ERRORS_LOG", Some(layout.php_errors_log().into())),
        ("FORKPRESS_LOOPBACK", Some(loopback.to_string().into())),
        // The branch page is this server's: another that runs the router has none to link to.
        ("FORKPRESS_PAGE", Some("1".into())),
        ("FORKPRESS_SLOW_MS", Some(site.config.slow_ms.to_string().into())),
    ];
    environment.extend(mail::environment(layout, None).into_iter().map(|(name, value)| (name, Some(value))));
    environment
}

/// OPcache's memory: what the settings say, or a quarter of the machine's within bounds, shared out among so many of them. What
/// is not used of it takes none; a branch takes about 25 MB.
pub(super) fn opcache_megabytes(asked_bytes: Option<u64>, physical_bytes: u64, caches: u64) -> u64 {
    let each = |bytes: u64| bytes / caches.max(1) / (1 << 20);
    match asked_bytes {
        Some(bytes) => each(bytes).max(LEAST_OPCACHE_BYTES >> 20),
        None => each(physical_bytes / 4).clamp(256, 4096),
    }
}

#[cfg(target_os = "linux")]
pub(super) fn physical_memory() -> u64 {
    let info = rustix::system::sysinfo();
    #[allow(clippy::useless_conversion, reason = "the types differ between platforms")]
    let (total, unit) = (u64::from(info.totalram), u64::from(info.mem_unit));
    total.saturating_mul(unit)
}

/// Not asked for: the smallest that is good.
#[cfg(not(target_os = "linux"))]
pub(super) fn physical_memory() -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opcache_gets_a_quarter_of_the_memory_within_bounds() {
        assert_eq!(
            [0, 1 << 30, 8 << 30, 64 << 30].map(|bytes| opcache_megabytes(None, bytes, 1)),
            [256, 256, 2048, 4096]
        );
        assert_eq!([8 << 30, 64 << 30].map(|bytes| opcache_megabytes(None, bytes, 7)), [292, 2340]);
        assert_eq!([64 << 20, 700 << 20, 8 << 30].map(|asked| opcache_megabytes(Some(asked), 0, 7)), [64, 100, 1170]);
    }
}
