//! Paths that name no file, and that WordPress, or its rules for other web servers, has elsewhere.

/// Pages of the dashboard that people ask for at the root.
const ADMIN_PAGES: &str = "about admin authorize-application comment contribute credits customize edit edit-comments edit-tags \
    erase-personal-data export export-personal-data freedoms import link-add link-manager media media-new my-sites nav-menus \
    network options options-discussion options-general options-media options-permalink options-privacy options-reading \
    options-writing plugin-editor plugin-install plugins post post-new press-this privacy privacy-policy-guide profile \
    revision site-editor site-health term theme-editor theme-install themes tools update update-core upload user-edit \
    user-new users widgets";

/// What a path asks for below the first folder, if that folder may be the name of a site in a network.
///
/// The same as `^([_0-9a-zA-Z-]+/)(wp-(content|admin|includes).*|.*\.php)$` in the rules for Apache.
pub(super) fn in_site(segments: &[Vec<u8>]) -> Option<&[Vec<u8>]> {
    let (site, rest) = segments.split_first()?;
    let is_name = site.iter().all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    let core = ["wp-content", "wp-admin", "wp-includes"];
    let is_core = core.iter().any(|folder| rest.first().is_some_and(|first| first.starts_with(folder.as_bytes())));
    let is_script = rest.last().is_some_and(|last| last.ends_with(b".php"));
    (is_name && (is_core || is_script)).then_some(rest)
}

/// Whether a path is that of one of the dashboard's pages, but for the folder `wp-admin`.
pub(super) fn is_admin_page(segments: &[Vec<u8>]) -> bool {
    let [name] = segments else { return false };
    let name = name.strip_suffix(b".php").unwrap_or_default();
    !name.is_empty() && ADMIN_PAGES.split_whitespace().any(|page| page.as_bytes() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(path: &str) -> Vec<Vec<u8>> {
        path.split('/').map(|segment| segment.as_bytes().to_vec()).collect()
    }

    #[test]
    fn the_name_of_a_site_is_taken_off_what_wordpress_has_once() {
        for (path, rest) in [
            ("site2/wp-admin", Some("wp-admin")),
            ("site2/wp-admin/network/index.php", Some("wp-admin/network/index.php")),
            ("my_site-2/wp-content/uploads/a.png", Some("wp-content/uploads/a.png")),
            ("site2/wp-login.php", Some("wp-login.php")),
            ("site2/hello", None),
            ("site2/a/b.txt", None),
            ("wp-login.php", None),
            ("a.b/wp-admin", None),
        ] {
            assert_eq!(in_site(&segments(path)).map(<[Vec<u8>]>::to_vec), rest.map(segments), "{path}");
        }
    }

    #[test]
    fn pages_of_the_dashboard_are_known_and_parts_of_them_are_none() {
        for page in ["plugin-install.php", "update.php", "plugins.php", "options-general.php"] {
            assert!(is_admin_page(&segments(page)), "{page}");
        }
        for path in ["index.php", "admin-header.php", "menu.php", "install.php", "plugins", ".php", "a/plugins.php"] {
            assert!(!is_admin_page(&segments(path)), "{path}");
        }
    }
}
