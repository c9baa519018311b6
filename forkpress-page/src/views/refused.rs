//! What did not work.

use maud::{Markup, html};

use super::frame::{self, Visitor};
use super::text::said;
use crate::action::sentence;
use crate::backstage::Failed;

/// A place that is not there.
pub fn nothing_here(visitor: &Visitor) -> Markup {
    frame::page(
        "Nothing here",
        "",
        Some(visitor),
        html! {
            p { "There is no such page. The branch may be gone." }
            p { a href="/" { "All branches" } }
        },
    )
}

/// Something failed.
pub fn failed(failed: &Failed, visitor: &Visitor) -> Markup {
    frame::page("That did not work", "", Some(visitor), reasons(failed))
}

/// What failed, why, and what to do next.
pub fn reasons(failed: &Failed) -> Markup {
    html! {
        div.problem role="alert" {
            p { strong { (said(&sentence(&failed.error))) } }
            @if !failed.causes.is_empty() {
                ul { @for cause in &failed.causes { li { (said(cause)) } } }
            }
            @if let Some(hint) = &failed.hint {
                p.hint { "What to do: " (said(hint)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_said_with_its_reasons_and_what_to_do_and_is_no_markup() {
        let text = |word: &str| format!("{word} <b>");
        let failed = Failed { error: text("a"), causes: vec![text("b")], hint: Some(text("c")), is_missing: false };
        let html = reasons(&failed).into_string();
        for part in ["<bdi>A &lt;b&gt;.</bdi>", "<li><bdi>b &lt;b&gt;</bdi></li>", "What to do: <bdi>c &lt;b&gt;</bdi>"]
        {
            assert!(html.contains(part), "{part} in {html}");
        }
        assert!(!html.contains("<b>") && html.contains("role=\"alert\""), "{html}");
    }
}
