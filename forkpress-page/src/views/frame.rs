//! What all pages have around them.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::assets;

/// Who looks, as a page shows it.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// The token of the session's forms.
    pub token: String,
    /// Whether that is somebody who has signed in, and may sign out.
    pub is_signed_in: bool,
}

impl Visitor {
    /// The field that each form has.
    #[must_use]
    pub fn token_field(&self) -> Markup {
        html! { input type="hidden" name="token" value=(self.token); }
    }
}

/// The places in the head of each page.
const NAVIGATION: [(&str, &str); 4] = [("/", "Branches"), ("/now", "Now"), ("/log", "Log"), ("/jobs", "Jobs")];

/// A page with its title. `here` is its place among those of the head, or nothing.
pub fn page(title: &str, here: &str, visitor: Option<&Visitor>, main: Markup) -> Markup {
    page_with(None, title, here, visitor, main)
}

/// The same with something more in its head, for browsers without JavaScript.
pub fn page_with(
    without_script: Option<Markup>,
    title: &str,
    here: &str,
    visitor: Option<&Visitor>,
    main: Markup,
) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · ForkPress" }
                link rel="icon" type="image/svg+xml" href=(assets::href("icon.svg"));
                link rel="stylesheet" href=(assets::href("page.css"));
                script src=(assets::href("page.js")) defer {}
                @if let Some(more) = without_script { noscript { (more) } }
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header.bar {
                    a.brand href="/" { (PreEscaped(assets::ICON)) span { "ForkPress" } }
                    @if let Some(visitor) = visitor {
                        nav aria-label="Places" {
                            ul {
                                @for (place, name) in NAVIGATION {
                                    li { a href=(place) aria-current=[(place == here).then_some("page")] { (name) } }
                                }
                            }
                        }
                        @if visitor.is_signed_in {
                            form.sign-out method="post" action="/sign-out" {
                                (visitor.token_field())
                                button.plain { "Sign out" }
                            }
                        }
                    }
                }
                main #main tabindex="-1" {
                    h1 { (title) }
                    (main)
                }
            }
        }
    }
}

/// The command that does the same, for the terminal.
pub fn command(words: &str) -> Markup {
    html! { p.command { span { "In the terminal: " } code { "forkpress " (words) } } }
}
