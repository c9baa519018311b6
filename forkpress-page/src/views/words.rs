//! Two versions of a text as a page shows them: what came, what went, and the markup in a quiet way.

use maud::{Markup, html};

use super::text::{clean, many};
use crate::word_diff::{Fate, Piece, pieces, shortened};

/// A longer text is not compared word by word.
const LONGEST: usize = 256 << 10;

/// More of a text is not shown unless all of it is asked for, in bytes.
const MOST_SHOWN: usize = 6000;

/// More of a text that is shown beside others is nowhere on a page.
const MOST_BESIDE: usize = 32 << 10;

/// What is shown of a text that is long.
#[derive(Clone, Copy, Debug)]
pub enum Shown<'a> {
    /// All of it.
    All,
    /// What is near a change, and a link to where all of it is.
    Near(&'a str),
    /// What is near a change, and all of it for whoever unfolds it.
    Folded,
}

/// What became of a text.
pub fn changed(before: &str, after: &str, how: Shown<'_>) -> Markup {
    if before.len().max(after.len()) > LONGEST {
        return html! {
            p.quiet { "This text is too long to be compared here: " (before.len()) " bytes before, " (after.len()) " after." }
        };
    }
    let pieces = pieces(before, after);
    if let Shown::All = how {
        return shown(&pieces);
    }
    let mut short = shortened(pieces.clone());
    let is_cut = cut(&mut short, MOST_SHOWN);
    let has_gaps = is_cut || short.iter().any(|piece| piece.fate == Fate::Gap);
    html! {
        (shown(&short))
        @match how {
            Shown::Near(all) if has_gaps => p.all { a href=(all) { "Show all of this text" } },
            Shown::Folded if has_gaps => details.all { summary { "All of this text" } (beside(pieces)) },
            _ => {},
        }
    }
}

/// A text with its markup in a quiet way.
pub fn plain(text: &str) -> Markup {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut pieces = pieces("", &text[..end]);
    pieces.iter_mut().for_each(|piece| piece.fate = Fate::Same);
    beside(pieces)
}

fn beside(mut pieces: Vec<Piece<'_>>) -> Markup {
    let is_cut = cut(&mut pieces, MOST_BESIDE);
    html! {
        (shown(&pieces))
        @if is_cut { p.quiet { "It goes on. It is too long to be shown here." } }
    }
}

/// Keeps so many bytes, and says whether that was not all. Texts end where a letter does.
fn cut(pieces: &mut Vec<Piece<'_>>, most: usize) -> bool {
    let mut room = most;
    for number in 0..pieces.len() {
        let piece = &mut pieces[number];
        if piece.fate == Fate::Gap {
            continue;
        }
        if piece.text.len() > room {
            let end = (0..=room).rev().find(|end| piece.text.is_char_boundary(*end)).unwrap_or_default();
            piece.text = &piece.text[..end];
            pieces.truncate(number + 1);
            return true;
        }
        room -= piece.text.len();
    }
    false
}

fn shown(pieces: &[Piece<'_>]) -> Markup {
    let gap = |text: &str| many(text.split_whitespace().count() as u64, "word");
    let gaps = pieces.chunk_by(|one, next| (one.fate == Fate::Gap) == (next.fate == Fate::Gap));
    html! {
        div.words dir="auto" tabindex="0" role="group" aria-label="Text" {
            @for run in gaps {
                @if run[0].fate == Fate::Gap {
                    @let left_out: String = run.iter().map(|piece| piece.text).collect();
                    span.gap { " … " (gap(&left_out)) " … " }
                } @else {
                    @for piece in run { (one(piece)) }
                }
            }
        }
    }
}

fn one(piece: &Piece<'_>) -> Markup {
    let text = html! {
        @if piece.is_markup { span.markup { (clean(piece.text)) } } @else { (clean(piece.text)) }
    };
    match piece.fate {
        Fate::Same | Fate::Gap => text,
        // Screen readers say nothing of the elements.
        Fate::Added => html! { ins { span.hidden { "added: " } (text) } },
        Fate::Removed => html! { del { span.hidden { "removed: " } (text) } },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_a_site_becomes_no_markup() {
        let shown =
            changed("<script>alert(1)</script> old", "<script>alert(1)</script> \u{202e}new", Shown::All).into_string();
        assert!(!shown.contains("<script") && !shown.contains('\u{202e}'), "{shown}");
        assert!(shown.contains("<span class=\"markup\">&lt;script&gt;</span>alert(1)"), "{shown}");
        assert!(shown.contains("</span>old</del>") && shown.contains("<ins><span"), "{shown}");
        let hostile = "</div><iframe src=x><img onerror=x> <!-- \" ' & -->";
        for shown in [changed("", hostile, Shown::All), changed(hostile, "", Shown::Near("?whole=o1")), plain(hostile)]
        {
            let shown = shown.into_string();
            assert!(!shown.contains("<iframe") && !shown.contains("<img") && !shown.contains("<!--"), "{shown}");
            assert_eq!(shown.matches("</div>").count(), 1, "{shown}");
        }
    }

    #[test]
    fn a_long_text_is_cut_and_leads_to_all_of_it() {
        let long = "word ".repeat(4000);
        let short = changed("", &long, Shown::Near("?whole=o1#o1")).into_string();
        assert!(short.len() < MOST_SHOWN + 500 && short.contains("href=\"?whole=o1#o1\""), "{}", short.len());
        assert!(changed("", &long, Shown::All).into_string().len() > long.len());
        let (before, after) = (format!("{long}a"), format!("{long}b"));
        let short = changed(&before, &after, Shown::Near("?x")).into_string();
        assert!(short.contains("words … ") && short.contains("Show all"), "{short}");
        let folded = changed(&before, &after, Shown::Folded).into_string();
        assert!(folded.contains("All of this text") && folded.len() > long.len(), "{folded}");
        assert!(!changed("a b", "a c", Shown::Near("?x")).into_string().contains("Show all"));
        let huge = "x".repeat(LONGEST + 1);
        assert!(
            changed(&huge, "", Shown::All).into_string().len() < 300
                && plain(&huge).into_string().len() < MOST_BESIDE + 300
        );
        changed("", &"ü".repeat(MOST_SHOWN), Shown::Near("?x"));
        plain(&"ü".repeat(LONGEST));
    }
}
