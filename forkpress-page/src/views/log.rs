//! Operations: what was done to branches, and how to take it back.

use maud::{Markup, html};

use super::text::{moment, said};
use crate::backstage::{Done, Undo};

/// A table of them.
pub fn table(operations: &[Done], caption: &str) -> Markup {
    html! {
        @if operations.is_empty() {
            p.quiet { "There is no operation yet." }
        } @else {
            table.rows {
                caption.hidden { (caption) }
                thead { tr { th scope="col" { "Operation" } th scope="col" { "When" } th scope="col" { "Who" } th scope="col" { "Undo" } } }
                tbody {
                    @for done in operations {
                        tr {
                            th scope="row" { (done.id) ": " (said(&done.text)) }
                            td data-name="When" { (moment(&done.at)) }
                            td data-name="Who" { (said(&done.user)) }
                            td data-name="Undo" { (undo(done)) }
                        }
                    }
                }
            }
        }
    }
}

fn undo(done: &Done) -> Markup {
    match done.undo {
        Undo::Can => {
            html! { a href={ "/do/undo?id=" (done.id) } aria-label={ "Undo operation " (done.id) } { "Undo…" } }
        }
        Undo::WasBy(by) => html! { "undone by " (by) },
        Undo::Lost => html! { span.quiet { "not kept any more" } },
    }
}
