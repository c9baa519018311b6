//! Where the page and the branches are, for the person who looks at them.

use forkpress_core::name::BranchName;
use forkpress_server::front::page::LABEL;

/// The scheme, the root host and the port by which a request came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    scheme: &'static str,
    root_host: String,
    /// With its colon; empty where it is the scheme's own.
    port: String,
}

impl Address {
    /// Of a request, by its scheme and its `Host`.
    #[must_use]
    pub fn of(scheme: &'static str, host: &str, root_host: &str) -> Self {
        let port = host.rsplit_once(':').map(|(_, port)| port).filter(|port| port.bytes().all(|b| b.is_ascii_digit()));
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        Self { scheme, root_host: root_host.to_owned(), port }
    }

    /// The origin of the page, as a browser names it.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}://{LABEL}.{}{}", self.scheme, self.root_host, self.port)
    }

    /// Whether it is by HTTPS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.scheme == "https"
    }

    /// The address of a branch's front page.
    #[must_use]
    pub fn branch(&self, name: &BranchName) -> String {
        let label = if name.is_main() { String::new() } else { format!("{name}.") };
        format!("{}://{label}{}{}/", self.scheme, self.root_host, self.port)
    }

    /// Where the page may show branches: the sources of frames, for a policy.
    #[must_use]
    pub fn frames(&self) -> String {
        let Self { scheme, root_host, port } = self;
        format!("{scheme}://{root_host}{port} {scheme}://*.{root_host}{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_the_scheme_and_the_port_of_the_request() {
        let at = Address::of("http", "admin.wp.localhost:18080", "wp.localhost");
        assert_eq!(at.origin(), "http://admin.wp.localhost:18080");
        assert_eq!(at.branch(&"sale".parse().unwrap()), "http://sale.wp.localhost:18080/");
        assert_eq!(at.branch(&BranchName::main()), "http://wp.localhost:18080/");
        assert_eq!(at.frames(), "http://wp.localhost:18080 http://*.wp.localhost:18080");
        let at = Address::of("https", "admin.wp.localhost", "wp.localhost");
        assert_eq!(at.origin(), "https://admin.wp.localhost");
    }
}
