//! Where somebody signs in who is not known to be the person who runs the server.

use maud::{Markup, html};

use super::frame;
use super::text::said;
use crate::action::sentence;

/// The form. `why` the visitor is not known; `problem`: what was wrong with the last try.
pub fn page(why: &str, problem: Option<&str>) -> Markup {
    frame::page(
        "Sign in",
        "",
        None,
        html! {
            p { "The branch page is for the person who runs this server. You have to sign in: " (said(why)) "." }
            @if let Some(problem) = problem {
                p.problem role="alert" { (problem) }
            }
            form.card method="post" action="/sign-in" {
                label for="token" { "The site's token" }
                input #token type="password" name="secret" autocomplete="off" required aria-describedby="token-help";
                p.help #token-help { "On the machine of the server, type " code { "forkpress page --token" } "." }
                button.primary { "Sign in" }
            }
        },
    )
}

/// Why a visitor has to sign in, as a sentence for those who send something else than a browser does.
pub fn in_words(why: &str) -> String {
    format!("{} Sign in at /sign-in", sentence(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_somebody_has_to_sign_in_is_no_markup() {
        let html = page("it has <b>", Some("no <i>")).into_string();
        assert!(html.contains("<bdi>it has &lt;b&gt;</bdi>") && html.contains("no &lt;i&gt;"), "{html}");
        assert!(!html.contains("<b>") && !html.contains("<i>"), "{html}");
    }
}
