//! What visitors see in branches, side by side, each in a frame of its own branch's host. Nothing in a frame runs, and nothing of it
//! reaches the page.
//!
//! A frame is empty until somebody asks for it: by opening what it stands in, which the page's script sees, or by its link.

use forkpress_core::name::BranchName;
use forkpress_engine::merge::seen::SeenObject;
use maud::{Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::text::clean;
use crate::address::Address;

/// What stands as it is in a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Something in two branches, each of which may have it. `place` tells it from all else of a page; `title` is what it is.
pub fn sides(place: &str, title: &str, what: &SeenObject, has: [(&BranchName, bool); 2], at: &Address) -> Markup {
    let branches: Vec<_> = has.into_iter().filter_map(|(branch, has_it)| has_it.then_some(branch)).collect();
    html! {
        @if !branches.is_empty() {
            details.both data-frames {
                summary {
                    "See it in "
                    @for (number, branch) in branches.iter().enumerate() { @if number > 0 { " and in " } (branch) }
                }
                div.sides {
                    @for branch in &branches { (side(&format!("{place}-{branch}"), title, &address(what, branch, at), branch)) }
                }
            }
        }
    }
}

fn side(frame: &str, title: &str, url: &str, branch: &BranchName) -> Markup {
    html! {
        figure {
            figcaption {
                a href=(url) target=(frame) { "In " (branch) } ", as it is now. "
                a href=(url) target="_blank" rel="noopener noreferrer" { "Open it in a tab" span.hidden { ": in " (branch) } }
            }
            iframe name=(frame) sandbox data-src=(url) title={ (clean(title)) " in " (branch) } referrerpolicy="no-referrer" {}
        }
    }
}

fn address(what: &SeenObject, branch: &BranchName, at: &Address) -> String {
    let root = at.branch(branch);
    match what {
        SeenObject::Post(id) => format!("{root}?p={id}"),
        SeenObject::Picture(path) => format!("{root}{}", utf8_percent_encode(path, PATH)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_empty_until_it_is_asked_for_and_may_nothing() {
        let at = Address::of("http", "admin.wp.localhost:1", "wp.localhost");
        let (main, sale) = (BranchName::main(), "sale".parse().unwrap());
        let picture = SeenObject::Picture("wp-content/uploads/a b?#\"é.png".to_owned());
        let shown = sides("o7", "<i>\u{202e}", &picture, [(&main, true), (&sale, true)], &at).into_string();
        assert!(shown.contains("See it in main and in sale"), "{shown}");
        let address = "http://sale.wp.localhost:1/wp-content/uploads/a%20b%3F%23%22%C3%A9.png";
        assert!(shown.contains(&format!("<a href=\"{address}\" target=\"o7-sale\">")), "{shown}");
        assert!(shown.contains(&format!("<iframe name=\"o7-sale\" sandbox data-src=\"{address}\"")), "{shown}");
        assert!(!shown.contains(" src=") && !shown.contains("<i>") && !shown.contains('\u{202e}'), "{shown}");
        assert!(sides("o7", "x", &SeenObject::Post(7), [(&main, false), (&sale, false)], &at).into_string().is_empty());
        let post = sides("o7", "x", &SeenObject::Post(7), [(&main, true), (&sale, false)], &at).into_string();
        assert!(post.contains("http://wp.localhost:1/?p=7") && !post.contains(" and in "), "{post}");
    }
}
