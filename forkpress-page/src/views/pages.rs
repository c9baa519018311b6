//! Lists that are longer than a page.

use std::ops::Range;

use form_urlencoded::Serializer;
use maud::{Markup, html};

use crate::form::Fields;

/// Which part of a list is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pages {
    rows: usize,
    all: usize,
    /// From 0 on.
    page: usize,
}

impl Pages {
    /// The part that `page` of a query asks for, or the last one.
    pub fn of(all: usize, rows: usize, query: &Fields) -> Self {
        let asked: usize = query.get("page").and_then(|page| page.parse().ok()).unwrap_or(1);
        let last = all.div_ceil(rows).max(1) - 1;
        Self { rows, all, page: asked.saturating_sub(1).min(last) }
    }

    /// The rows of it.
    pub fn range(&self) -> Range<usize> {
        let from = self.page * self.rows;
        from..self.all.min(from + self.rows)
    }

    /// Links to the parts before and after it; nothing where there is one part.
    pub fn links(&self, path: &str, query: &Fields) -> Markup {
        let Range { start, end } = self.range();
        let link = |page: usize| {
            let mut asked = Serializer::new(String::new());
            for (name, value) in query.beginning("").filter(|(name, value)| *name != "page" && !value.is_empty()) {
                asked.append_pair(name, value);
            }
            if page > 0 {
                asked.append_pair("page", &(page + 1).to_string());
            }
            match asked.finish() {
                query if query.is_empty() => path.to_owned(),
                query => format!("{path}?{query}"),
            }
        };
        html! {
            @if self.all > self.rows {
                nav.pages aria-label="Pages" {
                    @if self.page > 0 { a href=(link(self.page - 1)) rel="prev" { "Previous" } }
                    span { (start + 1) "–" (end) " of " (self.all) }
                    @if end < self.all { a href=(link(self.page + 1)) rel="next" { "Next" } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_lead_to_each_other_and_keep_what_was_asked_for() {
        let query: Fields = [("q", "a&b"), ("page", "2"), ("sort", "")].into();
        let pages = Pages::of(101, 50, &query);
        assert_eq!(pages.range(), 50..100);
        let links = pages.links("/", &query).into_string();
        assert!(links.contains("href=\"/?q=a%26b\"") && links.contains("href=\"/?q=a%26b&amp;page=3\""), "{links}");
        assert!(links.contains("51–100 of 101"), "{links}");
        for (all, asked, range) in
            [(0, "1", 0..0), (50, "2", 0..50), (51, "0", 0..50), (51, "x", 0..50), (51, "9", 50..51)]
        {
            assert_eq!(Pages::of(all, 50, &[("page", asked)].into()).range(), range);
        }
        assert_eq!(Pages::of(50, 50, &query).links("/", &query).into_string(), "");
    }
}
