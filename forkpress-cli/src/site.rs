//! Which site a command works on, and at which addresses it is served.

use std::path::Path;

use forkpress_core::name::BranchName;
use forkpress_engine::registry::{Listing, Registry, Server};
use forkpress_engine::site::Site;
use forkpress_server::tls::Authority;

use crate::failure::{During, Failure};
use crate::output;

/// The site whose work folder was named, else the one that the current folder lies in.
pub fn open(work_dir: Option<&Path>) -> Result<Site, Failure> {
    let site = match work_dir {
        Some(work_dir) => Site::open(work_dir)?,
        None => Site::find(&current_dir()?)?,
    };
    tracing::debug!(work_dir = ?site.layout.work_dir(), file_view = site.config.file_view.as_str(), "the site");
    Ok(site)
}

/// The current folder.
pub fn current_dir() -> Result<std::path::PathBuf, Failure> {
    std::env::current_dir().during(|| "cannot find the current folder".to_owned())
}

/// The registry of this user's servers.
pub fn registry() -> Result<Registry, Failure> {
    Ok(Registry::from_environment(|name| std::env::var_os(name))?)
}

/// The servers of a listing, after a word about a registry that had to be put aside.
pub fn servers(listing: Listing) -> Vec<Server> {
    if let Some(path) = &listing.moved_aside {
        output::note(format_args!(
            "forkpress: warning: the server registry was not readable and is now {}; servers that it listed run on, \
             but are not known any more",
            path.display()
        ));
    }
    listing.servers
}

/// This user's servers that run.
pub fn running() -> Result<Vec<Server>, Failure> {
    Ok(servers(registry()?.list()?))
}

/// The server that serves a site now.
pub fn server_of(site: &Site) -> Result<Option<Server>, Failure> {
    Ok(running()?.into_iter().find(|server| server.work_dir == site.layout.work_dir()))
}

/// What signs for this user's servers of a root host. It is made where there is none.
pub fn authority(root_host: &str) -> Result<Authority, Failure> {
    Ok(Authority::open_or_make(&registry()?.authorities(), root_host)?)
}

/// Where a site is served: by the server that runs, else as its settings have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The host name of `main`.
    pub root_host: String,
    /// The TCP port.
    pub port: u16,
    /// Whether it is served by HTTPS, too.
    pub https: bool,
}

impl Address {
    /// Where the site is served now, or would be. A registry that can't be read does not keep a command from its work.
    pub fn of(site: &Site) -> Self {
        match server_of(site) {
            Ok(Some(server)) => Self::from(&server),
            _ => Self { root_host: site.config.root_host.clone(), port: site.config.port, https: false },
        }
    }

    /// The same by plain HTTP, which the server speaks always. Programs that know nothing of the authority get through.
    pub fn plain(&self) -> Self {
        Self { https: false, ..self.clone() }
    }

    /// The host and port of a branch, as a `Host` header has them: without the port where it is the scheme's own.
    pub fn host(&self, branch: &BranchName) -> String {
        let host = if branch.is_main() { self.root_host.clone() } else { format!("{branch}.{}", self.root_host) };
        let own = if self.https { 443 } else { 80 };
        if self.port == own { host } else { format!("{host}:{}", self.port) }
    }

    /// The address of the branch page.
    pub fn page(&self) -> String {
        let main = self.url(&BranchName::main());
        main.replacen("://", &format!("://{}.", forkpress_server::front::page::LABEL), 1)
    }

    /// The address of a branch's front page.
    pub fn url(&self, branch: &BranchName) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}/", self.host(branch))
    }
}

impl From<&Server> for Address {
    fn from(server: &Server) -> Self {
        Self { root_host: server.root_host.clone(), port: server.port, https: server.https }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_is_one_label_below_the_root_host() {
        let address = Address { root_host: "wp.localhost".to_owned(), port: 18080, https: false };
        assert_eq!(address.url(&BranchName::main()), "http://wp.localhost:18080/");
        assert_eq!(address.url(&"sale".parse().unwrap()), "http://sale.wp.localhost:18080/");
        assert_eq!(address.page(), "http://admin.wp.localhost:18080/");
        let url = |port, https| Address { port, https, ..address.clone() }.url(&"sale".parse().unwrap());
        assert_eq!(url(80, false), "http://sale.wp.localhost/");
        assert_eq!(url(443, true), "https://sale.wp.localhost/");
        assert_eq!(url(80, true), "https://sale.wp.localhost:80/");
        let address = Address { port: 443, https: true, ..address };
        assert_eq!(address.plain().url(&BranchName::main()), "http://wp.localhost:443/");
    }
}
