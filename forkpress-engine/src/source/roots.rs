//! Where in a source a WordPress is, or what of one there is. Pure.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::by_path::CONTENT;
use super::listing::Listing;

/// Where the files are.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Root {
    /// The folder in the source; empty for the source itself.
    pub folder: PathBuf,
    /// What that folder is in a WordPress: empty, or `wp-content`.
    pub is: PathBuf,
    /// Whether WordPress itself is in it, or parts of it.
    pub has_core: bool,
    /// Where in the source its `wp-content` is, if it is elsewhere or has another name.
    pub content: Option<PathBuf>,
}

impl Root {
    /// One whose folder is that of a WordPress.
    pub(super) fn new(folder: PathBuf, has_core: bool) -> Self {
        Self { folder, is: PathBuf::new(), has_core, content: None }
    }

    /// Where in a WordPress a path of the source is; none where it is not of it.
    pub(super) fn place(&self, path: &Path) -> Option<PathBuf> {
        if let Some(content) = &self.content {
            if let Ok(inside) = path.strip_prefix(content) {
                return Some(Path::new(CONTENT).join(inside));
            }
            if path.starts_with(self.folder.join(CONTENT)) {
                return None;
            }
        }
        let place = self.is.join(path.strip_prefix(&self.folder).ok()?);
        (self.has_core || place.starts_with(CONTENT)).then_some(place)
    }

    /// Where in the source a path of a WordPress is.
    pub(super) fn at(&self, path: &str) -> PathBuf {
        let path = Path::new(path);
        match (&self.content, path.strip_prefix(CONTENT)) {
            (Some(content), Ok(inside)) => content.join(inside),
            _ => self.folder.join(path.strip_prefix(&self.is).unwrap_or(path)),
        }
    }
}

/// Folders whose contents are no site's own: parts of a WordPress, and what others bring along.
const NOT_A_SITE: [&str; 10] = [
    "wp-content",
    "wp-includes",
    "wp-admin",
    "vendor",
    "node_modules",
    ".git",
    "__MACOSX",
    "dup-installer",
    "wp-snapshots",
    ".trash",
];

/// Folders of a `wp-content`.
const OF_CONTENT: [&str; 6] = ["plugins", "themes", "uploads", "mu-plugins", "languages", "database"];

/// Files that tell the folder of WordPress itself.
const OF_CORE: [&str; 3] = ["wp-load.php", "wp-settings.php", "wp-blog-header.php"];

/// Every folder that may be the root of a WordPress.
pub(super) fn find(listing: &Listing) -> Vec<Root> {
    let mut folders = BTreeSet::new();
    for item in &listing.items {
        let path = &item.path;
        let parent = path.parent().unwrap_or(Path::new(""));
        if path.file_name().is_some_and(|name| OF_CORE.iter().any(|core| name == *core))
            || path.ends_with("wp-includes/version.php")
        {
            let is_version = path.ends_with("wp-includes/version.php");
            folders.insert(if is_version { parent.parent().unwrap_or(parent) } else { parent }.to_owned());
        }
        if let Some(content) = path.ancestors().filter(|folder| folder.ends_with(CONTENT)).last() {
            folders.insert(content.parent().unwrap_or(Path::new("")).to_owned());
        }
    }
    let roots: Vec<_> = folders
        .into_iter()
        .filter(|folder| !folder.iter().any(|name| NOT_A_SITE.iter().any(|not| name == *not)))
        .map(|folder| {
            let has_core = has_core(listing, &folder);
            Root::new(folder, has_core)
        })
        .filter(|root| root.has_core || has_content(listing, &root.folder.join(CONTENT)))
        .collect();
    if roots.is_empty() {
        let bare = bare_contents(listing).into_iter();
        return bare.map(|folder| Root { is: CONTENT.into(), ..Root::new(folder, false) }).collect();
    }
    let elsewhere = if roots.iter().any(|root| root.has_core) { bare_contents(listing) } else { Vec::new() };
    roots.into_iter().map(|root| Root { content: content_of(listing, &root, &elsewhere), ..root }).collect()
}

/// The content folder of a WordPress that has it beside itself or by another name, as Bedrock does.
fn content_of(listing: &Listing, root: &Root, elsewhere: &[PathBuf]) -> Option<PathBuf> {
    let above = root.folder.parent();
    let is_near = |content: &&PathBuf| {
        let parent = content.parent();
        !content.ends_with(CONTENT) && parent.is_some() && (parent == Some(root.folder.as_path()) || parent == above)
    };
    let is_bedrock =
        || above.and_then(Path::parent).is_some_and(|top| listing.has_file(&top.join("config/application.php")));
    let mut near = elsewhere.iter().filter(is_near);
    let (content, others) = (near.next()?, near.next());
    let is_own_in_use = listing.has_folder(&root.folder.join(CONTENT).join("themes")) && !is_bedrock();
    (root.has_core && others.is_none() && !is_own_in_use).then(|| content.clone())
}

fn has_core(listing: &Listing, folder: &Path) -> bool {
    OF_CORE.iter().any(|name| listing.has_file(&folder.join(name))) || listing.has_folder(&folder.join("wp-includes"))
}

fn has_content(listing: &Listing, content: &Path) -> bool {
    OF_CONTENT.iter().any(|name| listing.has_folder(&content.join(name)))
}

/// Folders that are a `wp-content` by another name: they have plugins and themes, or one of them and uploads.
fn bare_contents(listing: &Listing) -> Vec<PathBuf> {
    let is_of_content = |name: &std::ffi::OsStr| OF_CONTENT[..3].iter().any(|content| name == *content);
    let mut folders = BTreeSet::new();
    for item in &listing.items {
        let content = item.path.ancestors().filter(|folder| folder.file_name().is_some_and(is_of_content)).last();
        folders.extend(content.and_then(Path::parent).map(Path::to_owned));
    }
    let has_two =
        |folder: &PathBuf| OF_CONTENT[..3].iter().filter(|name| listing.has_folder(&folder.join(name))).count() >= 2;
    folders.into_iter().filter(has_two).collect()
}

/// The `wp-config.php` of a WordPress: beside it, or in the folder above, where WordPress looks next.
pub(super) fn config(listing: &Listing, root: &Root) -> Option<PathBuf> {
    const CONFIG: &str = "wp-config.php";
    let above = root.folder.parent().map(|above| above.join(CONFIG));
    let beside = if root.is.as_os_str().is_empty() { root.folder.join(CONFIG) } else { above.clone()? };
    if listing.has_file(&beside) {
        return Some(beside);
    }
    let above = above?;
    let is_of_another = listing.has_file(&above.with_file_name("wp-settings.php"));
    (listing.has_file(&above) && !is_of_another).then_some(above)
}

#[cfg(test)]
mod tests {
    use super::super::testing::listing;
    use super::*;

    fn found(paths: &[&str]) -> Vec<(String, bool)> {
        let roots = find(&listing(paths));
        roots
            .into_iter()
            .map(|root| (format!("{}={}", root.folder.display(), root.is.display()), root.has_core))
            .collect()
    }

    #[test]
    fn a_root_is_found_at_any_depth_and_not_in_a_copy_inside_of_it() {
        assert_eq!(found(&["x/site/wp-load.php", "x/site/wp-content/index.php"]), [("x/site=".into(), true)]);
        assert_eq!(found(&["site/wp-content/themes/a/style.css", "site/dump.sql"]), [("site=".into(), false)]);
        assert_eq!(
            found(&["wp-load.php", "wp-content/backup/wp-load.php", "wp-content/plugins/x/wp-content/plugins/y.php"]),
            [("=".into(), true)]
        );
        assert_eq!(found(&["vendor/wp/wp-load.php", "a/wp-content/readme.txt"]), []);
        assert_eq!(found(&["a/wp-load.php", "b/wp-includes/version.php"]), [("a=".into(), true), ("b=".into(), true)]);
    }

    #[test]
    fn a_content_folder_by_another_name_is_one() {
        assert_eq!(found(&["x/themes/a/style.css", "x/plugins/b/b.php"]), [("x=wp-content".into(), false)]);
        assert_eq!(found(&["themes/a/style.css", "uploads/2026/a.jpg"]), [("=wp-content".into(), false)]);
        assert_eq!(found(&["themes/a/style.css"]), []);
    }

    #[test]
    fn of_a_content_folder_alone_nothing_beside_it_is_taken() {
        let root = Root::new("x".into(), false);
        assert_eq!(root.place(Path::new("x/wp-content/a")), Some("wp-content/a".into()));
        assert_eq!(root.place(Path::new("x/secret.txt")), None);
        let root = Root { is: "wp-content".into(), ..Root::new("x/app".into(), false) };
        assert_eq!(root.place(Path::new("x/app/plugins/a")), Some("wp-content/plugins/a".into()));
        assert_eq!(root.at("wp-content/plugins"), Path::new("x/app/plugins"));
    }

    #[test]
    fn the_content_may_be_beside_wordpress_or_have_another_name() {
        let content = |paths: &[&str]| {
            let roots = find(&listing(paths));
            assert_eq!(roots.len(), 1, "{roots:?}");
            roots[0].clone()
        };
        let bedrock = [
            "config/application.php",
            "web/wp/wp-load.php",
            "web/wp/wp-content/themes/x/a.css",
            "web/app/themes/a/a.css",
            "web/app/plugins/b/b.php",
        ];
        let root = content(&bedrock);
        assert_eq!(root.content, Some("web/app".into()));
        assert_eq!(root.place(Path::new("web/app/plugins/b/b.php")), Some("wp-content/plugins/b/b.php".into()));
        assert_eq!(root.place(Path::new("web/wp/wp-load.php")), Some("wp-load.php".into()));
        assert_eq!(root.place(Path::new("web/wp/wp-content/themes/x/a.css")), None);
        assert_eq!(root.at("wp-content/database"), Path::new("web/app/database"));
        let renamed = ["wp-load.php", "inhalt/themes/a/a.css", "inhalt/uploads/b"];
        assert_eq!(content(&renamed).content, Some("inhalt".into()));
        let usual = ["wp-load.php", "wp-content/themes/x/a.css", "old/themes/a/a.css", "old/uploads/b"];
        assert_eq!(content(&usual).content, None);
    }

    #[test]
    fn the_configuration_may_be_in_the_folder_above() {
        let list = listing(&["site/wp-config.php", "site/public/wp-load.php"]);
        let roots = find(&list);
        assert_eq!(config(&list, &roots[0]), Some("site/wp-config.php".into()));
        let list = listing(&["site/wp-config.php", "site/wp-settings.php", "site/blog/wp-load.php"]);
        let blog = find(&list).into_iter().find(|root| root.folder.ends_with("blog")).unwrap();
        assert_eq!(config(&list, &blog), None);
    }
}
