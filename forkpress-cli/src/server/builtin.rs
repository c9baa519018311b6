//! PHP's built-in web server, for a machine that has no php-fpm.
//!
//! There are two pools: the public one, and a small one for the calls that the site makes to itself. Each pool is a process group
//! of its own, led by PHP's master. One process of the public pool is the one that warms.

use std::net::SocketAddr;

use forkpress_engine::site::Site;

use crate::failure::Failure;
use crate::php::Php;

use super::pool::{self, Pool, PoolSettings};
use super::{Wanted, port};

/// The two pools. Dropped, they are killed.
pub(super) struct BuiltinServer {
    pools: [Pool; 2],
    warm: SocketAddr,
    is_ending: bool,
}

impl BuiltinServer {
    pub(super) fn start(site: &Site, wanted: &Wanted, php: &Php) -> Result<Self, Failure> {
        // Both at once, so that they are two.
        let (own, spare) = (port::listen_on_loopback()?, port::listen_on_loopback()?);
        let (loopback, warm) = (own.1, spare.1);
        drop((own, spare));
        let settings = |listen, workers, warm| PoolSettings {
            site,
            php,
            listen,
            public: wanted.host,
            workers,
            root_host: &wanted.address.root_host,
            loopback,
            warm,
        };
        let listen = SocketAddr::new(wanted.host, wanted.address.port);
        let public = Pool::start(&settings(listen, wanted.workers, Some(warm)))?;
        let own = Pool::start(&settings(loopback, pool::LOOPBACK_WORKERS, None))?;
        Ok(Self { pools: [public, own], warm, is_ending: false })
    }

    /// Where the process for warming listens.
    pub(super) fn warm(&self) -> SocketAddr {
        self.warm
    }

    /// The masters.
    pub(super) fn leaders(&self) -> [u32; 2] {
        [self.pools[0].id(), self.pools[1].id()]
    }

    /// What to say once a pool's master has ended. What is left of the pool ends then, too.
    pub(super) fn ended(&mut self) -> Result<Option<Failure>, Failure> {
        for pool in &mut self.pools {
            if let Some(status) = pool.try_wait()? {
                pool.kill();
                tracing::warn!("PHP's web server ended: {status}");
                return Ok(Some(Failure::new(format!("PHP's web server ended: {status}"))));
            }
        }
        Ok(None)
    }

    /// Has it end once the requests that run have ended, and says whether it has.
    pub(super) fn end(&mut self) -> bool {
        if !std::mem::replace(&mut self.is_ending, true) {
            self.pools.iter().for_each(Pool::interrupt);
        }
        self.pools.iter_mut().all(Pool::has_ended)
    }

    pub(super) fn kill(&mut self) {
        self.pools.iter_mut().for_each(Pool::kill);
    }
}

impl Drop for BuiltinServer {
    fn drop(&mut self) {
        self.kill();
    }
}
