//! Lists the branches for code that runs in a request: from the records alone, without what only the command needs.

use std::fs;
use std::io;

use serde::Deserialize;

use crate::layout::CowLayout;
use crate::name::BranchName;
use crate::own;
use crate::record::BranchRecord;
use crate::route::Branches;

/// A branch, and what its record says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: BranchName,
    /// Its record; none where there are no records, or where this one can't be read.
    pub record: Option<BranchRecord>,
}

/// Every branch, `main` first, then by name.
///
/// # Errors
/// What the system said when the folder that lists them can't be read.
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
            let record = if by_record { BranchRecord::read(&branches.cow.record(&name)).ok().flatten() } else { None };
            listed.push(Listed { name, record });
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
        /// What counts here of the settings, whatever else they hold.
        #[derive(Deserialize)]
        struct Settings {
            root_host: String,
            port: Option<u16>,
        }
        let settings: Settings = toml::from_str(&own::read_to_string(&cow.site()?.config()).ok()?).ok()?;
        let port = settings.port.filter(|&port| port != 80);
        Some(Self { scheme: "http", root_host: settings.root_host, port: port.map(|port| port.to_string()) })
    }

    /// The address of a branch's front page.
    #[must_use]
    pub fn url(&self, branch: &BranchName) -> String {
        let label = if branch.is_main() { String::new() } else { format!("{branch}.") };
        let port = self.port.as_ref().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{label}{}{port}/", self.scheme, self.root_host)
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
        let list = || list(&Branches { dir: dir.path(), is_real: false, cow: site.cow() }).unwrap();
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
        let said = zoo.record.unwrap();
        assert_eq!((said.created_at.as_str(), said.from), ("2026-11-23T00:00:00Z", Some(BranchName::main())));
        assert_eq!(said.generation, 42);

        let address = SiteAddress::from_settings(site.cow()).unwrap();
        assert_eq!(address.url(&BranchName::main()), "http://wp.test:8080/");
        assert_eq!(address.url(&zoo.name), "http://zoo.wp.test:8080/");
    }

    #[test]
    fn a_record_that_can_not_be_read_says_nothing_of_its_branch() {
        let dir = tempfile::tempdir().unwrap();
        let site = SiteLayout::at(dir.path());
        fs::create_dir_all(site.cow().records_dir()).unwrap();
        fs::write(site.config(), "").unwrap();
        fs::create_dir(dir.path().join("main")).unwrap();
        fs::write(site.cow().record(&BranchName::main()), "generation = [").unwrap();
        let listed = list(&Branches { dir: dir.path(), is_real: false, cow: site.cow() }).unwrap();
        assert_eq!(listed, [Listed { name: BranchName::main(), record: None }]);
        assert_eq!(SiteAddress::from_settings(site.cow()), None);
    }

    #[test]
    fn settings_of_a_port_that_needs_no_word_have_none() {
        let dir = tempfile::tempdir().unwrap();
        let site = SiteLayout::at(dir.path());
        fs::create_dir_all(site.cow().dir()).unwrap();
        for (port, url) in
            [("port = 80", "http://wp.test/"), ("", "http://wp.test/"), ("port = 81", "http://wp.test:81/")]
        {
            fs::write(site.config(), format!("version = 1\nroot_host = 'wp.test'\n{port}\n[keep]\ndays = 1\n"))
                .unwrap();
            assert_eq!(SiteAddress::from_settings(site.cow()).unwrap().url(&BranchName::main()), url);
        }
    }
}
