//! Looks a target up on disk: which branch folder, which file in it, and what happens with that file.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::conditional::Conditions;
use super::file::Response;
use super::path::joined;
use super::refusal::RouteRefusal;
use super::target::RequestTarget;
use super::version::FileVersion;
use super::{encoded, host, links, policy, rewrite};
use crate::layout::{CowLayout, ImageKind, ImageLayout};
use crate::name::BranchName;
use crate::network::Network;
use crate::record::BranchRecord;
use crate::uploads::Uploads;

/// Where the branches of a server are.
#[derive(Clone, Copy, Debug)]
pub struct Branches<'a> {
    /// The folder with one folder for each branch.
    pub dir: &'a Path,
    /// Whether that is its real path, so that nothing has to be resolved for a branch that is a folder in it.
    pub is_real: bool,
    /// The `cow` folder. Where `site.toml` stands beside it, only a folder with a record there is a branch; elsewhere
    /// each folder with a valid name is one.
    pub cow: &'a CowLayout,
}

/// Whoever changed the branch died: recovery brings it back.
const HALF_CHANGED: &str =
    "A command died while it changed this branch. The next one, such as 'forkpress gc', brings it back";

impl Branches<'_> {
    /// Whether only a folder with a record is a branch.
    pub(crate) fn has_records(&self) -> bool {
        self.site().is_some()
    }

    /// The `.forkpress` folder, where there is a site around the branches.
    fn site(&self) -> Option<&Path> {
        self.cow.dir().parent().filter(|work_dir| work_dir.join("site.toml").exists())
    }

    /// Whether a real path outside of the branch may be served: it is in a linked folder, and in no branch. Only a symlink that
    /// leads out asks, so nothing else reads the settings.
    fn is_linked(&self, real: &Path) -> bool {
        let Some(work_dir) = self.site() else { return false };
        let is_of_site =
            [self.dir, work_dir].iter().any(|dir| dir.canonicalize().is_ok_and(|dir| real.starts_with(dir)));
        !is_of_site
            && links::linked_folder(&work_dir.join("site.toml"), real)
                .and_then(|folder| real.strip_prefix(folder).ok().map(names_of))
                .is_some_and(|inside| !policy::is_hidden(&inside))
    }

    /// The real folder of a branch. In a site it may be in an image, and then a link leads there, and nowhere else.
    ///
    /// # Errors
    /// [`RouteRefusal`], with which a request for it is answered, when there is no such branch (404), it is half
    /// changed, or its storage is detached (503).
    pub fn root(&self, name: &BranchName) -> Result<PathBuf, RouteRefusal> {
        let not_found = || host::branch_not_found(name.as_str());
        let site = self.site();
        if site.is_some() && !self.cow.record(name).is_file() {
            let is_half_changed = self.cow.record_aside(name).is_file();
            return Err(if is_half_changed { RouteRefusal::new(503, HALF_CHANGED) } else { not_found() });
        }
        let public = self.dir.join(name.as_str());
        if self.is_real && fs::symlink_metadata(&public).is_ok_and(|found| found.is_dir()) {
            return Ok(public);
        }
        if let Some(work_dir) = site
            && let Ok(target) = fs::read_link(&public)
        {
            let target = self.dir.join(target);
            let images = ImageKind::ALL.map(|kind| ImageLayout::new(work_dir, kind).branches_dir().join(name.as_str()));
            if !images.contains(&target) {
                return Err(not_found());
            }
            if !target.exists() {
                return Err(RouteRefusal::new(503, "The storage of this site is detached"));
            }
        }
        public.canonicalize().ok().filter(|root| root.is_dir()).ok_or_else(not_found)
    }
}

/// A PHP file that answers a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The branch's real folder.
    pub root: PathBuf,
    /// The real path of the file.
    pub file: PathBuf,
    /// Its path in the URL space of the branch, `SCRIPT_NAME` in CGI's words.
    pub name: Vec<u8>,
    /// What of the request's path follows the script's; empty, or starts with a slash.
    pub path_info: Vec<u8>,
}

/// What is to be done to answer a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Run PHP.
    Run(Script),
    /// Send a file, or say why none of it is sent.
    Send {
        /// The real path of the file.
        file: PathBuf,
        /// What to send.
        response: Response,
    },
    /// Redirect for good to this request target on the same host.
    Redirect(String),
    /// Redirect for now to this address elsewhere.
    Elsewhere(String),
    /// Send a refusal.
    Refuse(RouteRefusal),
}

/// Decides what answers a request for `target`. Reads the disk and changes nothing.
///
/// A file that was found can be gone or another one by the time it is opened: [`super::Body::version`] is what was seen.
#[must_use]
pub fn resolve(target: &RequestTarget, branches: &Branches<'_>, conditions: &Conditions<'_>) -> Decision {
    match branches.root(&target.branch) {
        Ok(root) => resolve_in(root, target, branches, conditions),
        Err(refusal) => Decision::Refuse(refusal),
    }
}

/// The same, in the real folder of the target's branch, as [`Branches::root`] has it.
#[must_use]
pub fn resolve_in(
    root: PathBuf,
    target: &RequestTarget,
    branches: &Branches<'_>,
    conditions: &Conditions<'_>,
) -> Decision {
    let whole = &target.path.segments;
    if policy::is_hidden(whole) || policy::is_hidden(&target.path.parts()) {
        return not_found();
    }
    // No file has such a name, and none is meant: a page of WordPress may be, such as a search.
    if target.path.has_encoded_separator() {
        return front_controller(root, branches);
    }
    let in_site = || {
        let segments = rewrite::in_site(whole).filter(|_| Network::of(&root) == Some(Network::Subfolders))?;
        find(&root, branches, target, segments, conditions)
    };
    find(&root, branches, target, whole, conditions)
        .or_else(in_site)
        .or_else(|| in_origin(branches, target, conditions).map(Decision::Elsewhere))
        .unwrap_or_else(|| front_controller(root, branches))
}

/// Where a file of the media library is that the branch came without.
fn in_origin(branches: &Branches<'_>, target: &RequestTarget, conditions: &Conditions<'_>) -> Option<String> {
    let path = &target.path;
    let is_of_file = path.segments.last().is_some_and(|name| name.contains(&b'.') && !policy::is_script(name));
    if !is_of_file
        || path.trailing_slash
        || policy::is_private(&path.segments)
        || !matches!(conditions.method, b"GET" | b"HEAD")
    {
        return None;
    }
    let record = BranchRecord::read(&branches.cow.record(&target.branch)).ok()??;
    let uploads =
        record.uploads.filter(|uploads| Uploads::is_address(&uploads.url) && !uploads.is_at(&target.root_host))?;
    let below = |segments: &[Vec<u8>]| path.below(segments, &uploads.folder);
    let file = below(&path.segments).or_else(|| rewrite::in_site(&path.segments).and_then(below))?;
    Some(format!("{}{file}", uploads.url.trim_end_matches('/')))
}

/// What answers for the path of these segments, which are the target's or the end of them; `None` where there is nothing.
fn find(
    root: &Path,
    branches: &Branches<'_>,
    target: &RequestTarget,
    segments: &[Vec<u8>],
    conditions: &Conditions<'_>,
) -> Option<Decision> {
    if policy::is_hidden(segments) {
        return Some(not_found());
    }
    match locate(root, branches, segments) {
        FoundPath::Folder if !target.path.trailing_slash && !segments.is_empty() => {
            Some(Decision::Redirect(target.path.with_slash()))
        }
        FoundPath::Folder => ["index.php", "index.html"].iter().find_map(|index| {
            let mut segments = segments.to_owned();
            segments.push(index.as_bytes().to_vec());
            serve(root, target, &segments, locate(root, branches, &segments), conditions)
        }),
        FoundPath::Nothing if rewrite::is_admin_page(segments) => {
            let page = [b"wp-admin".to_vec(), segments[0].clone()];
            matches!(locate(root, branches, &page), FoundPath::File { .. })
                .then(|| Decision::Redirect(target.path.in_folder("wp-admin")))
        }
        found => serve(root, target, segments, found, conditions),
    }
}

/// What serves a file that was found; `None` where there is nothing to serve.
fn serve(
    root: &Path,
    target: &RequestTarget,
    segments: &[Vec<u8>],
    found: FoundPath,
    conditions: &Conditions<'_>,
) -> Option<Decision> {
    let FoundPath::File { path, version, depth } = found else {
        return matches!(found, FoundPath::Outside).then(not_found);
    };
    let name = path.file_name()?.as_bytes();
    let asked_for_folder = target.path.trailing_slash && target.path.segments.ends_with(segments);
    if policy::is_script(name) && policy::is_script(&segments[depth - 1]) {
        let mut path_info = if depth < segments.len() { joined(&segments[depth..]) } else { Vec::new() };
        if asked_for_folder {
            path_info.push(b'/');
        }
        let name = joined(&segments[..depth]);
        return Some(Decision::Run(Script { root: root.to_owned(), file: path, name, path_info }));
    }
    if depth < segments.len() || asked_for_folder {
        return None;
    }
    let real = path.strip_prefix(root).map_or_else(|_| vec![name], names_of);
    if policy::is_private(&real) || policy::is_private(segments) {
        return Some(not_found());
    }
    let encoded = encoded::choose(&path, &real, &version, conditions);
    let response = Response::of_file(&target.path, name, version, encoded, conditions);
    Some(Decision::Send { file: path, response })
}

/// WordPress answers for every path that is no file, as its rewrite rules for other servers have it.
fn front_controller(root: PathBuf, branches: &Branches<'_>) -> Decision {
    match locate(&root, branches, &[b"index.php".to_vec()]) {
        FoundPath::File { path, .. } if path.file_name().is_some_and(|name| policy::is_script(name.as_bytes())) => {
            Decision::Run(Script { root, file: path, name: b"/index.php".to_vec(), path_info: Vec::new() })
        }
        _ => not_found(),
    }
}

fn not_found() -> Decision {
    Decision::Refuse(RouteRefusal::new(404, "Not found"))
}

enum FoundPath {
    /// A regular file, by its real path, and how many segments lead to it.
    File {
        path: PathBuf,
        version: FileVersion,
        depth: usize,
    },
    Folder,
    /// Something that is not to be served: outside of the branch, hidden, or neither file nor folder.
    Outside,
    Nothing,
}

/// Follows segments from a branch's real folder, one by one. A symlink may lead about within it, and to a linked folder, not
/// anywhere else or to what is hidden.
fn locate(root: &Path, branches: &Branches<'_>, segments: &[Vec<u8>]) -> FoundPath {
    let mut path = root.to_owned();
    for (at, segment) in segments.iter().enumerate() {
        path.push(std::ffi::OsStr::from_bytes(segment));
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_symlink() => {
                let Ok(real) = path.canonicalize() else { return FoundPath::Nothing };
                let may_be_served = match real.strip_prefix(root) {
                    Ok(inside) => !policy::is_hidden(&names_of(inside)),
                    Err(_) => branches.is_linked(&real),
                };
                if !may_be_served {
                    return FoundPath::Outside;
                }
                path = real;
                fs::metadata(&path)
            }
            metadata => metadata,
        };
        match metadata {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(metadata) if metadata.is_file() => {
                return FoundPath::File { path, version: FileVersion::of(&metadata), depth: at + 1 };
            }
            Ok(_) => return FoundPath::Outside,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return FoundPath::Outside,
            Err(_) => return FoundPath::Nothing,
        }
    }
    FoundPath::Folder
}

fn names_of(path: &Path) -> Vec<&[u8]> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.as_bytes()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::SiteLayout;
    use std::os::unix::fs::symlink;

    struct TestSite {
        _dir: tempfile::TempDir,
        root: PathBuf,
        cow: CowLayout,
    }

    /// A branch `main` with these files, each of which holds its own path.
    fn site(files: &[&str]) -> TestSite {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let site = TestSite { cow: SiteLayout::at(&root).cow().clone(), root, _dir: dir };
        fs::create_dir(site.path("")).unwrap();
        files.iter().for_each(|file| site.write(file));
        site
    }

    impl TestSite {
        fn path(&self, file: &str) -> PathBuf {
            if file.is_empty() { self.root.join("main") } else { self.root.join("main").join(file) }
        }

        fn write(&self, file: &str) {
            fs::create_dir_all(self.path(file).parent().unwrap()).unwrap();
            fs::write(self.path(file), file).unwrap();
        }

        fn get(&self, uri: &str) -> Decision {
            self.get_from("wp.localhost", uri)
        }

        fn ask(&self, method: &'static [u8], uri: &str) -> Decision {
            let target = super::super::parse(b"wp.localhost", uri.as_bytes(), "wp.localhost").unwrap();
            let conditions = Conditions { method, ..Conditions::default() };
            resolve(&target, &Branches { dir: &self.root, is_real: true, cow: &self.cow }, &conditions)
        }

        fn get_from(&self, host: &str, uri: &str) -> Decision {
            let conditions = Conditions { method: b"GET", ..Conditions::default() };
            match super::super::parse(host.as_bytes(), uri.as_bytes(), "wp.localhost") {
                Ok(target) => {
                    resolve(&target, &Branches { dir: &self.root, is_real: false, cow: &self.cow }, &conditions)
                }
                Err(refusal) => Decision::Refuse(refusal),
            }
        }

        /// What is run or sent, as `run FILE NAME PATH_INFO` or `send FILE`, a redirect's target, or a status.
        fn answer(&self, uri: &str) -> String {
            let file = |path: &Path| path.strip_prefix(self.path("")).unwrap().display().to_string();
            match self.get(uri) {
                Decision::Run(script) => {
                    assert_eq!(script.root, self.path(""));
                    let text = |bytes| String::from_utf8(bytes).unwrap();
                    let line = format!("run {} {} {}", file(&script.file), text(script.name), text(script.path_info));
                    line.trim_end().to_owned()
                }
                Decision::Send { file: path, .. } => format!("send {}", file(&path)),
                Decision::Redirect(target) => format!("redirect {target}"),
                Decision::Elsewhere(url) => format!("elsewhere {url}"),
                Decision::Refuse(refusal) => refusal.status.to_string(),
            }
        }
    }

    #[test]
    fn a_file_of_the_media_library_that_the_branch_came_without_is_elsewhere() {
        let site = site(&["index.php", "wp-content/uploads/here.jpg", "wp-content/uploads/2026/x"]);
        let write = |url: &str| {
            let record = BranchRecord {
                uploads: Some(Uploads { folder: "wp-content/uploads".to_owned(), url: url.to_owned() }),
                ..BranchRecord::now(None, 1)
            };
            let path = site.cow.record(&BranchName::main());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, record.to_toml()).unwrap();
        };
        let page = "run index.php /index.php";
        assert_eq!(site.answer("/wp-content/uploads/2026/a.jpg"), page, "a branch that is whole");
        write("https://shop.example.com/files/");
        let elsewhere = "elsewhere https://shop.example.com/files";
        for (uri, answer) in [
            ("/wp-content/uploads/here.jpg", "send wp-content/uploads/here.jpg".to_owned()),
            ("/wp-content/uploads/2026/a%20b.jpg?x=1", format!("{elsewhere}/2026/a%20b.jpg?x=1")),
            ("/wp-content//uploads/caf%c3%a9.mp4", format!("{elsewhere}/caf%C3%A9.mp4")),
            ("/two/wp-content/uploads/sites/2/a.jpg", format!("{elsewhere}/sites/2/a.jpg")),
            ("/wp-content/uploads/%0d%0aX:y.jpg", format!("{elsewhere}/%0D%0AX%3Ay.jpg")),
            ("/wp-content/uploads/", page.to_owned()),
            ("/wp-content/uploads/2026/a.jpg/", page.to_owned()),
            ("/wp-content/uploads/a%2fb.jpg", page.to_owned()),
            ("/wp-content/uploads/shell.php", page.to_owned()),
            ("/wp-content/uploads/dump.sql", page.to_owned()),
            ("/wp-content/uploads/page", page.to_owned()),
            ("/wp-content/uploads/.env.txt", "404".to_owned()),
            ("/wp-content/plugins/a.jpg", page.to_owned()),
            ("/a.jpg", page.to_owned()),
        ] {
            assert_eq!(site.answer(uri), answer, "{uri}");
        }
        let is_elsewhere = |method| matches!(site.ask(method, "/wp-content/uploads/a.jpg"), Decision::Elsewhere(_));
        assert!(is_elsewhere(b"HEAD") && !is_elsewhere(b"POST"));
        for own in ["http://wp.localhost:1/u", "http://b.wp.localhost/u", "javascript:x", "https://a/\nX: y"] {
            write(own);
            assert_eq!(site.answer("/wp-content/uploads/a.jpg"), page, "{own}");
        }
    }

    #[test]
    fn a_path_becomes_a_script_a_file_or_a_redirect() {
        let site = site(&[
            "index.php",
            "wp-login.php",
            "wp-admin/index.php",
            "static/index.html",
            "empty/a.txt",
            "a b.txt",
            "%2e.txt",
            ".well-known/token",
        ]);
        for (uri, answer) in [
            ("/", "run index.php /index.php"),
            ("/?p=1", "run index.php /index.php"),
            ("/index.php", "run index.php /index.php"),
            ("/index.php/", "run index.php /index.php /"),
            ("/index.php/a/b/", "run index.php /index.php /a/b/"),
            ("/wp-login.php?a", "run wp-login.php /wp-login.php"),
            ("//wp-login.php", "run wp-login.php /wp-login.php"),
            ("/wp-admin/", "run wp-admin/index.php /wp-admin/index.php"),
            ("/wp-admin?a=b", "redirect /wp-admin/?a=b"),
            ("//wp-admin", "redirect /wp-admin/"),
            ("/empty", "redirect /empty/"),
            ("/empty/", "run index.php /index.php"),
            ("/static/", "send static/index.html"),
            ("/empty/a.txt?x", "send empty/a.txt"),
            ("/a%20b.txt", "send a b.txt"),
            ("/%252e.txt", "send %2e.txt"),
            ("/.well-known/token", "send .well-known/token"),
            ("/hello-world/", "run index.php /index.php"),
            ("/2026/11/missing.png", "run index.php /index.php"),
            ("/missing.php", "run index.php /index.php"),
            ("/wp-json/wp/v2/posts?a=/../", "run index.php /index.php"),
            ("/empty/a.txt/", "run index.php /index.php"),
            ("/empty/a.txt/b.php", "run index.php /index.php"),
            ("/%c3%28", "run index.php /index.php"),
        ] {
            assert_eq!(site.answer(uri), answer, "{uri}");
        }
        assert_eq!(site.answer(&format!("/{}", "x".repeat(5000))), "run index.php /index.php");
    }

    #[test]
    fn without_a_front_controller_a_missing_file_is_not_found() {
        let site = site(&["a.txt"]);
        for uri in ["/", "/missing", "/a.txt/", "/missing.php"] {
            assert_eq!(site.answer(uri), "404", "{uri}");
        }
    }

    #[test]
    fn no_encoding_of_a_traversal_leaves_the_branch() {
        let site = site(&["index.php", "a/b.txt"]);
        fs::write(site.root.join("secret.txt"), "secret").unwrap();
        for uri in [
            "/../secret.txt",
            "/a/../../secret.txt",
            "/%2e%2e/secret.txt",
            "/.%2E/secret.txt",
            "/a/%2e%2e/%2e%2e/secret.txt",
            "/..%2fsecret.txt",
            "/a%2f..%2f..%2fsecret.txt",
            "/a%2fb.txt%2f..",
            "/a%5c..%2fsecret.txt",
            "/..%5csecret.txt",
            "/..\\secret.txt",
            "/a/b.txt%00.php",
            "http://wp.localhost/../secret.txt",
        ] {
            assert_eq!(site.answer(uri), "400", "{uri}");
        }
        for uri in ["/%252e%252e/secret.txt", "/%25%32%65%25%32%65/secret.txt", "/%c0%ae%c0%ae/secret.txt"] {
            assert_eq!(site.answer(uri), "run index.php /index.php", "{uri}");
        }
    }

    #[test]
    fn an_encoded_slash_or_backslash_leads_to_no_file_and_is_wordpresss_to_answer() {
        let site = site(&["index.php", "a/b.txt", "a/c.php", "search/index.html", "wp-content/database/.ht.sqlite"]);
        fs::write(site.path("a\\b"), "a file of that very name").unwrap();
        for uri in [
            "/search/and%2For/",
            "/search/a%5Cb/",
            "/a%2Fb.txt",
            "/a%2fc.php",
            "/%2Fa/b.txt",
            "/a/b.txt%2F",
            "/a%5cb",
            "/%2F",
            "/%2F%2Fevil.example/",
        ] {
            assert_eq!(site.answer(uri), "run index.php /index.php", "{uri}");
        }
        for uri in
            ["/a%2F.git/config", "/.git%2Fconfig", "/wp-content%2Fdatabase%2F.ht.sqlite", "/wp-content%2Fdatabase%5Cx"]
        {
            assert_eq!(site.answer(uri), "404", "{uri}");
        }
    }

    #[test]
    fn a_link_leads_out_of_the_branch_where_the_settings_of_the_site_name_the_folder() {
        let site = site(&["index.php", "a.txt"]);
        let outside = tempfile::tempdir().unwrap();
        let outside = outside.path().canonicalize().unwrap();
        for file in [
            "themes/t/style.css",
            "themes/t/ajax.php",
            "themes/t/.env",
            "themes/t/dump.sql",
            "other/a.css",
            "themes-2/a.css",
        ] {
            fs::create_dir_all(outside.join(file).parent().unwrap()).unwrap();
            fs::write(outside.join(file), file).unwrap();
        }
        symlink("../other", outside.join("themes/further")).unwrap();
        fs::create_dir(site.root.join("marketing")).unwrap();
        fs::write(site.root.join("marketing/a.css"), "").unwrap();
        for (name, to) in [
            ("t", outside.join("themes/t")),
            ("all", outside.join("themes")),
            ("other", outside.join("other")),
            ("two", outside.join("themes-2")),
            ("branch", site.root.join("marketing")),
            ("up", outside.clone()),
        ] {
            symlink(to, site.path(name)).unwrap();
        }
        fs::create_dir_all(site.cow.records_dir()).unwrap();
        fs::write(site.cow.record(&BranchName::main()), "").unwrap();
        let settings = SiteLayout::at(&site.root).config();
        let ask = |uri: &str| match site.get(uri) {
            Decision::Send { file, .. } => format!("send {}", file.strip_prefix(&outside).unwrap().display()),
            Decision::Run(script) => format!("run {}", script.file.display()),
            Decision::Redirect(target) => format!("redirect {target}"),
            Decision::Elsewhere(url) => format!("elsewhere {url}"),
            Decision::Refuse(refusal) => refusal.status.to_string(),
        };
        fs::write(&settings, "version = 1\n").unwrap();
        assert_eq!(ask("/t/style.css"), "404");
        fs::write(
            &settings,
            format!("links = ['{0}/themes', 'x', '{1}', '{0}/gone']\n", outside.display(), site.root.display()),
        )
        .unwrap();
        assert_eq!(ask("/t/style.css"), "send themes/t/style.css");
        assert_eq!(ask("/all/t/style.css"), "send themes/t/style.css");
        assert_eq!(ask("/t"), "redirect /t/");
        assert_eq!(ask("/t/ajax.php"), format!("run {}/themes/t/ajax.php", outside.display()));
        for uri in [
            "/t/.env",
            "/t/dump.sql",
            "/other/a.css",
            "/all/further/a.css",
            "/two/a.css",
            "/branch/a.css",
            "/up/other/a.css",
        ] {
            assert_eq!(ask(uri), "404", "{uri}");
        }
        for settings_that_say_nothing in ["links = ['/']", "links = '/'", "links = [1]", "links = ["] {
            fs::write(&settings, settings_that_say_nothing).unwrap();
            assert_eq!(ask("/t/style.css"), "404");
        }
    }

    #[test]
    fn a_symlink_leads_about_within_the_branch_and_not_out_of_it() {
        let site = site(&["index.php", "a/b.txt", "wp-content/database/.ht.sqlite", "wp-content/database/copy.txt"]);
        fs::create_dir(site.root.join("marketing")).unwrap();
        fs::write(site.root.join("marketing/b.php"), "").unwrap();
        fs::write(site.root.join("mainly.txt"), "").unwrap();
        let links = [
            ("inside", site.path("a")),
            ("inside.txt", "a/b.txt".into()),
            ("to-root", "/".into()),
            ("to-passwd.txt", "/etc/passwd".into()),
            ("to-branch", "../marketing".into()),
            ("to-sibling.txt", site.root.join("mainly.txt")),
            ("to-database", "wp-content/database".into()),
            ("to-database.txt", "wp-content/database/.ht.sqlite".into()),
            ("dangling", "nowhere".into()),
            ("loop", "loop".into()),
            ("script.txt", "index.php".into()),
            ("text.php", "a/b.txt".into()),
        ];
        for (name, to) in links {
            symlink(to, site.path(name)).unwrap();
        }
        assert_eq!(site.answer("/inside/b.txt"), "send a/b.txt");
        assert_eq!(site.answer("/inside.txt"), "send a/b.txt");
        for uri in [
            "/to-root/etc/passwd",
            "/to-root",
            "/to-passwd.txt",
            "/to-branch/b.php",
            "/to-sibling.txt",
            "/to-database/",
            "/to-database/copy.txt",
            "/to-database.txt",
            "/script.txt",
            "/text.php",
        ] {
            assert_eq!(site.answer(uri), "404", "{uri}");
        }
        for uri in ["/dangling", "/loop"] {
            assert_eq!(site.answer(uri), "run index.php /index.php", "{uri}");
        }
    }

    #[test]
    fn what_is_hidden_or_private_is_never_sent() {
        let files = [
            "index.php",
            ".git/config",
            ".env",
            "a/.htaccess",
            "wp-content/database/.ht.sqlite",
            "wp-content/database/index.php",
            "wp-config.php.bak",
            "plugin.phtml",
            "plugin.PHP",
            "plugin.inc",
            "wp-content/debug.log",
            "dump.sql",
        ];
        let site = site(&files);
        for file in &files[1..] {
            assert_eq!(site.answer(&format!("/{file}")), "404", "{file}");
        }
        assert_eq!(site.answer("/WP-content/DATABASE/x"), "404");
    }

    #[test]
    fn a_site_of_a_network_has_what_the_first_one_has() {
        let files =
            ["index.php", "wp-login.php", "wp-admin/index.php", "wp-admin/a.css", "wp-content/database/copy.txt"];
        let site = site(&files);
        let cases = [
            ("/two/wp-admin", "redirect /two/wp-admin/"),
            ("/two/wp-admin/", "run wp-admin/index.php /wp-admin/index.php"),
            ("/two/wp-admin/a.css", "send wp-admin/a.css"),
            ("/two/wp-login.php?x", "run wp-login.php /wp-login.php"),
            ("/two/wp-content/database/copy.txt", "404"),
            ("/two/WP-content/database/copy.txt", "run index.php /index.php"),
            ("/two/hello/", "run index.php /index.php"),
        ];
        fs::write(site.path("wp-config.php"), "<?php\ndefine( 'MULTISITE', true );").unwrap();
        for (uri, answer) in cases {
            assert_eq!(site.answer(uri), answer, "{uri}");
        }
        for config in ["<?php", "<?php\ndefine( 'MULTISITE', true );\ndefine( 'SUBDOMAIN_INSTALL', true );"] {
            fs::write(site.path("wp-config.php"), config).unwrap();
            assert_eq!(site.answer("/two/wp-admin/"), "run index.php /index.php", "{config}");
        }
    }

    #[test]
    fn a_page_of_the_dashboard_that_is_asked_for_at_the_root_is_where_the_dashboard_is() {
        let site =
            site(&["index.php", "plugins.php", "wp-admin/plugins.php", "wp-admin/update.php", "wp-admin/menu.php"]);
        assert_eq!(site.answer("/update.php?action=x&a=%20"), "redirect /wp-admin/update.php?action=x&a=%20");
        assert_eq!(site.answer("/plugins.php"), "run plugins.php /plugins.php");
        for uri in ["/menu.php", "/themes.php", "/a/update.php"] {
            assert_eq!(site.answer(uri), "run index.php /index.php", "{uri}");
        }
        fs::write(site.path("wp-config.php"), "<?php\ndefine( 'MULTISITE', true );").unwrap();
        assert_eq!(site.answer("/two/update.php"), "redirect /two/wp-admin/update.php");
    }

    #[test]
    fn what_is_neither_file_nor_folder_is_not_opened() {
        let site = site(&["index.php"]);
        let _listener = std::os::unix::net::UnixListener::bind(site.path("socket.txt")).unwrap();
        assert_eq!(site.answer("/socket.txt"), "404");
    }

    #[test]
    fn a_branch_folder_may_be_a_symlink_into_a_mount() {
        let site = site(&["a.txt"]);
        let mount = tempfile::tempdir().unwrap();
        fs::create_dir(mount.path().join("marketing")).unwrap();
        fs::write(mount.path().join("marketing/a.txt"), "").unwrap();
        symlink(mount.path().join("marketing"), site.root.join("marketing")).unwrap();
        let Decision::Send { file, .. } = site.get_from("marketing.wp.localhost", "/a.txt") else { panic!() };
        assert_eq!(file, mount.path().canonicalize().unwrap().join("marketing/a.txt"));
    }

    #[test]
    fn in_a_site_only_a_folder_with_a_record_is_a_branch() {
        let site = site(&["a.txt"]);
        let not_found = |name: &str| Decision::Refuse(RouteRefusal::new(404, format!("Branch not found: {name}")));
        assert!(matches!(site.get("/a.txt"), Decision::Send { .. }), "where there is no site, a folder is enough");
        assert_eq!(site.get_from("none.wp.localhost", "/a.txt"), not_found("none"));
        fs::write(site.root.join("file"), "").unwrap();
        assert_eq!(site.get_from("file.wp.localhost", "/"), not_found("file"), "a file is no branch");

        fs::create_dir_all(site.cow.records_dir()).unwrap();
        fs::write(SiteLayout::at(&site.root).config(), "").unwrap();
        assert_eq!(site.get("/a.txt"), not_found("main"));
        fs::write(site.cow.record(&BranchName::main()), "").unwrap();
        assert!(matches!(site.get("/a.txt"), Decision::Send { .. }));
        fs::rename(site.cow.record(&BranchName::main()), site.cow.record_aside(&BranchName::main())).unwrap();
        assert_eq!(site.get("/a.txt"), Decision::Refuse(RouteRefusal::new(503, HALF_CHANGED)));
        fs::remove_dir_all(site.cow.records_dir()).unwrap();
        assert_eq!(site.get("/a.txt"), not_found("main"), "a site without records has no branch");
    }

    #[test]
    fn in_a_site_a_link_leads_to_the_branch_in_the_image_and_nowhere_else() {
        let site = site(&["a.txt"]);
        fs::create_dir_all(site.cow.records_dir()).unwrap();
        let layout = SiteLayout::at(&site.root).with_image(Some(ImageKind::XfsLoop));
        fs::write(layout.config(), "").unwrap();
        let sale: BranchName = "sale".parse().unwrap();
        fs::write(site.cow.record(&sale), "").unwrap();
        let ask = || site.get_from("sale.wp.localhost", "/a.txt");

        for elsewhere in ["main", "/", ".forkpress/linux-cow/mount/branches/main"] {
            symlink(elsewhere, layout.public_branch(&sale)).unwrap();
            assert!(matches!(ask(), Decision::Refuse(refusal) if refusal.status == 404), "{elsewhere}");
            fs::remove_file(layout.public_branch(&sale)).unwrap();
        }
        symlink(layout.link_target(&sale).unwrap(), layout.public_branch(&sale)).unwrap();
        assert!(matches!(ask(), Decision::Refuse(refusal) if refusal.status == 503), "the image is not mounted");
        fs::create_dir_all(layout.branch(&sale)).unwrap();
        fs::write(layout.branch(&sale).join("a.txt"), "").unwrap();
        let Decision::Send { file, .. } = ask() else { panic!() };
        assert_eq!(file, layout.branch(&sale).join("a.txt"));
    }
}
