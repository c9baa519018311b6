//! A drawing as SVG. Its colours are classes, so that they follow light and dark.

use maud::{Markup, html};

use super::{Drawing, Lane, Link, LinkKind, Mark, WIDTH};
use crate::facts::Operation;
use crate::views::text::{at_second, clean};

/// The drawing. Who can't see it has all of it in the list below.
#[must_use]
pub fn draw(drawing: &Drawing) -> Markup {
    let Drawing { height, lanes, links, marks, times } = drawing;
    html! {
        svg.tree viewBox={ "0 0 " (WIDTH) " " (height) } width=(WIDTH) height=(height) role="img" aria-label="The branches as a tree over time. The list below says the same in words." direction="ltr" {
            @for (x, at) in times {
                line.time x1=(x) x2=(x) y1="18" y2=(height) {}
                text.time x=(x) y="12" { (short(*at)) }
            }
            @for lane in lanes { (line(lane)) }
            @for link in links { (arrow(link, lanes)) }
            @for mark in marks { (shape(mark, lanes)) }
            @for lane in lanes {
                text.gone[!lane.is_there] x=(lane.label_x) y=(lane.y - 8) { (lane.name) }
            }
        }
    }
}

fn line(lane: &Lane) -> Markup {
    let Lane { y, from_x, to_x, is_there, .. } = lane;
    html! {
        line.lane.gone[!is_there].main[lane.name.is_main()] x1=(from_x) x2=(to_x) y1=(y) y2=(y) {}
        @if *is_there { circle.end cx=(to_x) cy=(y) r="4" {} }
    }
}

fn arrow(link: &Link, lanes: &[Lane]) -> Markup {
    let (from, to, x) = (lanes[link.from].y, lanes[link.to].y, link.x);
    // It ends beside the mark, and its point shows where it goes.
    let (before, tip) = if to > from { (to - 13, to - 6) } else { (to + 13, to + 6) };
    let class = match link.kind {
        LinkKind::Parting => "parting",
        LinkKind::Merge => "merge",
        LinkKind::Reset => "reset",
    };
    html! {
        @if link.kind == LinkKind::Parting {
            line.link.parting x1=(x) x2=(x) y1=(from) y2=(to) {}
        } @else {
            path.link.(class).undone[link.is_undone] d={ "M" (x) " " (from) "V" (tip) "M" (x.saturating_sub(4)) " " (before) "L" (x) " " (tip) "L" (x + 4) " " (before) } {}
        }
    }
}

fn shape(mark: &Mark, lanes: &[Lane]) -> Markup {
    let (x, y) = (mark.x, lanes[mark.lane].y);
    let title = html! { title { (clean(&mark.words)) } };
    let undone = mark.is_undone;
    match mark.operation {
        Operation::Merge => {
            html! { path.mark.undone[undone] d={ "M" (x) " " (y - 6) "l6 6l-6 6l-6-6z" } { (title) } }
        }
        Operation::Reset => {
            html! { rect.mark.undone[undone] x=(x.saturating_sub(5)) y=(y - 5) width="10" height="10" { (title) } }
        }
        Operation::Undo => html! { circle.mark.ring.undone[undone] cx=(x) cy=(y) r="5" { (title) } },
        Operation::Delete => {
            html! { path.mark.cross.undone[undone] d={ "M" (x.saturating_sub(5)) " " (y - 5) "l10 10m0-10l-10 10" } { (title) } }
        }
        Operation::Create | Operation::Apply => {
            html! { circle.mark.undone[undone] cx=(x) cy=(y) r=(if mark.operation == Operation::Create { "5" } else { "3" }) { (title) } }
        }
    }
}

/// A moment as `11-28 15:04`.
fn short(at: u64) -> String {
    let text = at_second(at);
    text.get(5..16).unwrap_or(&text).replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::samples::{branch, happened, name};
    use crate::tree::lay_out;

    #[test]
    fn a_drawing_has_no_style_and_no_markup_of_others() {
        let branches = [branch("main", None, 1), branch("a", Some("main"), 2)];
        let mut merge = happened(1, Operation::Merge, "main", Some("a"));
        merge.words = "apply to main with </title><script>".to_owned();
        let reset = happened(2, Operation::Reset, "a", Some("main"));
        let undo = happened(3, Operation::Undo, "a", None);
        let svg = draw(&lay_out(&branches, &[&name("main"), &name("a")], &[undo, reset, merge])).into_string();
        assert!(svg.contains("&lt;/title&gt;&lt;script&gt;") && !svg.contains("<script"), "{svg}");
        assert!(!svg.contains("style="), "{svg}");
        for part in ["class=\"link merge\"", "class=\"link reset\"", "class=\"mark ring\"", "role=\"img\"", ">a</text>"]
        {
            assert!(svg.contains(part), "{part} in {svg}");
        }
    }
}
