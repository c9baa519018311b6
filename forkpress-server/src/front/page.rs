//! ForkPress's own pages about branches: at a host of their own, where nothing of a branch is served.
//!
//! An origin of its own keeps the scripts of every branch, `main`'s as well, from acting there.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use forkpress_core::client;
use forkpress_core::name::BranchName;
use hyper::header::{CACHE_CONTROL, HOST, HeaderValue, LOCATION};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};

use super::owner;
use crate::answer::{AnswerBody, refusal};
use crate::cgi::Connection;
use crate::scheme::Scheme;
use crate::spool::SpoolReader;

/// The label below the root host. No branch can have it.
pub const LABEL: &str = "admin";

/// What leads from a branch's host to the page.
pub const PREFIX: &str = "/_forkpress";

/// An answer that comes.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Response<AnswerBody>> + Send + 'a>>;

/// Whether there is an answer, which comes.
pub type Perhaps<'a> = Pin<Box<dyn Future<Output = Option<Response<AnswerBody>>> + Send + 'a>>;

/// Whoever sends a request.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The head of the request.
    pub head: Arc<Parts>,
    /// Whose it is.
    pub connection: Connection,
    /// Whether the person who runs the server is known without a password.
    pub knows_owner: bool,
}

/// A request to the page's host.
#[derive(Debug)]
pub struct Asked {
    /// Who sends it.
    pub asker: Asker,
    /// Its body, and how long that is; none where it has none.
    pub body: Option<(SpoolReader, u64)>,
}

/// A page of a branch that failed.
#[derive(Debug)]
pub struct Broken {
    /// Who asked for it.
    pub asker: Asker,
    /// The branch.
    pub branch: BranchName,
    /// The status that it answers with.
    pub status: StatusCode,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// The person who runs the server.
    Owner,
    /// Somebody else, and why it is not that person.
    Stranger(String),
    /// A program that the server itself has started, such as a branch's PHP.
    OfTheSite,
}

impl Asker {
    /// Finds out who asks. It waits for the system.
    #[must_use]
    pub fn who(&self, root_host: &str) -> Who {
        let Connection { client, server, .. } = self.connection;
        if client::is_of_descendant(client, server) {
            return Who::OfTheSite;
        }
        // That the host is the page's was decided before.
        match owner::stranger(self.knows_owner, &self.connection, &self.head, root_host.as_bytes(), root_host) {
            None => Who::Owner,
            Some(why) => Who::Stranger(why),
        }
    }

    /// From where somebody asks, as far as a stolen cookie would come from elsewhere: the account on this machine, or the address
    /// of another one. It waits for the system.
    #[must_use]
    pub fn origin(&self) -> String {
        let Connection { client, server, inode, .. } = self.connection;
        let inode = inode.to_string();
        match client::account(client, server.port(), inode.as_bytes()) {
            Some(user) => format!("account {user}"),
            None => client.ip().to_canonical().to_string(),
        }
    }
}

/// What answers at the page's host.
pub trait Page: fmt::Debug + Send + Sync {
    /// Answers a request. What can't be answered is refused, so there is no error.
    fn answer(&self, asked: Asked) -> Answering<'_>;

    /// Learns that a branch has answered a request for a path, and not with an error of its own. `began`: when that came.
    fn worked(&self, branch: &BranchName, path: &str, began: SystemTime);

    /// What the person who runs the server sees in place of a page that failed; none: what the branch says.
    fn broken(&self, broken: Broken) -> Perhaps<'_>;
}

/// Whether a host, with its port or without, is the page's.
pub(super) fn is_its_host(host: &[u8], root_host: &str) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name.strip_suffix(root_host).and_then(|rest| rest.strip_suffix('.')) == Some(LABEL)
}

/// Leads from `/_forkpress/...` of a branch to the same place of the page; none where that is not asked for.
pub(super) fn led_on(head: &Parts, root_host: &str) -> Option<Response<AnswerBody>> {
    let asked = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let rest = asked.strip_prefix(PREFIX)?;
    let place = match rest.as_bytes().first() {
        None => "/",
        Some(b'/') => rest,
        Some(_) => return None,
    };
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return Some(refusal(StatusCode::METHOD_NOT_ALLOWED, "The branch page has an address of its own"));
    }
    let host = head.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    // An IPv6 address has colons, too; its port comes after a bracket.
    let port = host.rsplit_once(':').map(|(_, port)| port).filter(|port| port.bytes().all(|b| b.is_ascii_digit()));
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    let location = format!("{}://{LABEL}.{root_host}{port}{place}", Scheme::of(head).as_str());
    let mut answer = refusal(StatusCode::FOUND, "The branch page has an address of its own");
    // It depends on nothing that changes, but a browser that remembers it would not find a site with another root host.
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer.headers_mut().insert(LOCATION, HeaderValue::try_from(location).ok()?);
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    #[test]
    fn the_page_has_a_host_of_its_own() {
        for host in ["admin.wp.localhost", "ADMIN.wp.localhost:18080", "admin.wp.localhost.:80"] {
            assert!(is_its_host(host.as_bytes(), "wp.localhost"), "{host}");
        }
        for host in
            ["wp.localhost", "x.admin.wp.localhost", "adminwp.localhost", "admin.localhost", "", "admin.", "\u{e9}"]
        {
            assert!(!is_its_host(host.as_bytes(), "wp.localhost"), "{host}");
        }
    }

    fn led(method: &str, host: &str, path: &str) -> Option<String> {
        let request = Request::builder().method(method).uri(path).header(HOST, host).body(()).unwrap();
        let answer = led_on(&request.into_parts().0, "wp.localhost")?;
        Some(
            answer
                .headers()
                .get(LOCATION)
                .map_or_else(|| answer.status().to_string(), |to| to.to_str().unwrap().to_owned()),
        )
    }

    #[test]
    fn a_branch_leads_to_the_page_and_nowhere_else() {
        let page = |place: &str| Some(format!("http://admin.wp.localhost:18080{place}"));
        assert_eq!(led("GET", "x.wp.localhost:18080", "/_forkpress/"), page("/"));
        assert_eq!(led("GET", "wp.localhost:18080", "/_forkpress"), page("/"));
        assert_eq!(led("HEAD", "127.0.0.1:18080", "/_forkpress/branch/x?a=b"), page("/branch/x?a=b"));
        assert_eq!(led("GET", "[::1]:18080", "/_forkpress//evil.example/"), page("//evil.example/"));
        assert_eq!(led("GET", "wp.localhost", "/_forkpress/"), Some("http://admin.wp.localhost/".to_owned()));
        assert_eq!(led("GET", "wp.localhost", "/_forkpress@evil.example/"), None);
        assert_eq!(led("GET", "wp.localhost", "/x/_forkpress/"), None);
        assert_eq!(led("POST", "wp.localhost", "/_forkpress/do/create"), Some("405 Method Not Allowed".to_owned()));
    }
}
