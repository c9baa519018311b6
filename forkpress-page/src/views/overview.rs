//! All branches.

use forkpress_core::name::BranchName;
use maud::{Markup, html};

use super::frame::{self, Visitor};
use crate::address::Address;

/// The list.
pub fn page(names: &[BranchName], at: &Address, visitor: &Visitor) -> Markup {
    frame::page(
        "Branches",
        "/",
        Some(visitor),
        html! {
            p.actions { a.button href="/do/create" { "New branch" } }
            ul.branches {
                @for name in names {
                    li { a href={ "/branch/" (name) } { (name) } " " a href=(at.branch(name)) { "Open" } }
                }
            }
        },
    )
}
