//! Lists the branches for code that runs in a request: from the records alone, without what only the command needs.

use std::fs;
use std::io;

use crate::layout::CowLayout;
use crate::name::BranchName;
use crate::route::Branches;

/// A branch, and what its record says of it. Without records there is nothing to be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: BranchName,
    /// When it got the tree that it has, as RFC 3339 has it.
    pub created: Option<String>,
    /// The branch that the tree came from.
    pub from: Option<String>,
    /// The publish that made it.
    pub generation: Option<u64>,
}

/// Every branch, `main` first, then by name.
///
/// # Errors
/// What the system said of the folder that lists them.
pub fn list(branches: &Branches<'_>) -> io::Result<Vec<Listed>> {
    let by_record = branches.has_records();
    let folder = if by_record { branches.cow.records_dir() } else { branches.dir.to_owned() };
    let mut listed = Vec::new();
    for entry in fs::read_dir(folder)? {
        let file = entry?.file_name();
        let name = file.to_str().and_then(|name| if by_record { name.strip_suffix(".toml") } else { Some(name) });
        let Some(name) = name.and_then(|name| BranchName::parse(name).ok()) else { continue };
        // A delete may be between its two steps.
        if branches.dir.join(name.as_str()).is_dir() {
            let record = if by_record {
                fs::read_to_string(branches.cow.record(&name)).unwrap_or_default()
            } else {
                String::new()
            };
            listed.push(Listed {
                name,
                created: value(&record, "created_at"),
                from: value(&record, "from"),
                generation: value(&record, "generation").and_then(|number| number.parse().ok()),
            });
        }
    }
    listed.sort_by(|a, b| (!a.name.is_main(), &a.name).cmp(&(!b.name.is_main(), &b.name)));
    Ok(listed)
}

/// At which address each branch of a site is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteAddress {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The host name of `main`.
    pub root_host: String,
    /// The port, where it is not the scheme's own.
    pub port: Option<String>,
}

impl SiteAddress {
    /// What `site.toml` says; `None` where it says nothing.
    #[must_use]
    pub fn from_settings(cow: &CowLayout) -> Option<Self> {
        let settings = fs::read_to_string(cow.site()?.config()).ok()?;
        let port = value(&settings, "port").filter(|port| port != "80");
        Some(Self { scheme: "http", root_host: value(&settings, "root_host")?, port })
    }

    /// The address of a branch's front page.
    #[must_use]
    pub fn url(&self, branch: &BranchName) -> String {
        let label = if branch.is_main() { String::new() } else { format!("{branch}.") };
        let port = self.port.as_ref().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{label}{}{port}/", self.scheme, self.root_host)
    }
}

/// The value of a key before the first table of a TOML file that ForkPress wrote: a number, or a string without escapes.
fn value(toml: &str, key: &str) -> Option<String> {
    let lines = toml.lines().take_while(|line| !line.starts_with('['));
    let value = lines.filter_map(|line| line.split_once('=')).find(|(name, _)| name.trim() == key)?.1;
    let value = value.trim();
    match value.strip_prefix('"') {
        Some(text) => text.split_once('"').map(|(text, _)| text.to_owned()),
        None => value.split([' ', '#']).next().map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::SiteLayout;

    #[test]
    fn branches_are_listed_with_what_their_records_say() {
        let dir = tempfile::tempdir().unwrap();
        let site = SiteLayout::at(dir.path());
        let list = || list(&Branches { dir: dir.path(), cow: site.cow() }).unwrap();
        for folder in ["main", "zoo", "alpha", "Not a branch"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let names = || list().into_iter().map(|listed| listed.name.to_string()).collect::<Vec<_>>();
        assert_eq!(names(), ["main", "alpha", "zoo"], "without a site, each folder with a valid name is a branch");

        fs::create_dir_all(site.cow().records_dir()).unwrap();
        fs::write(site.config(), "root_host = \"wp.test\"  # main\nport = 8080\n[keep]\nport = 1\n").unwrap();
        assert_eq!(names(), Vec::<String>::new());
        fs::write(
            site.cow().records_dir().join("main.toml"),
            "created_at = \"2026-11-22T17:25:46Z\"\ngeneration = 1\n",
        )
        .unwrap();
        let record = "created_at = \"2026-11-23T00:00:00Z\"\nfrom = \"main\"\ngeneration = 42\n";
        fs::write(site.cow().records_dir().join("zoo.toml"), record).unwrap();
        fs::write(site.cow().records_dir().join("gone.toml"), record).unwrap();
        assert_eq!(names(), ["main", "zoo"]);
        let zoo = list().pop().unwrap();
        assert_eq!((zoo.created.as_deref(), zoo.from.as_deref()), (Some("2026-11-23T00:00:00Z"), Some("main")));
        assert_eq!(zoo.generation, Some(42));

        let address = SiteAddress::from_settings(site.cow()).unwrap();
        assert_eq!(address.url(&BranchName::main()), "http://wp.test:8080/");
        assert_eq!(address.url(&zoo.name), "http://zoo.wp.test:8080/");
    }

    #[test]
    fn what_the_command_writes_is_read() {
        let record = crate::record::BranchRecord::now(Some(BranchName::main()), 7);
        let toml = record.to_toml();
        assert_eq!(value(&toml, "created_at"), Some(record.created_at));
        assert_eq!(value(&toml, "from").as_deref(), Some("main"));
        assert_eq!(value(&toml, "generation").as_deref(), Some("7"));
    }
}
