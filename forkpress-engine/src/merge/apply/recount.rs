//! Counts that WordPress keeps beside what it counts, made anew as WordPress makes them.
//!
//! - `comment_count`: the approved comments of a post, without the notes that WordPress 6.9 has among them. In the trash its
//!   comments are none that are approved, and WordPress leaves the number as it was.
//! - `count` of a term: the published posts in it, of any type, and the attachments that are published by their parent.
//!   WordPress looks only at types of posts that are registered for the taxonomy, and counts attachments only where they
//!   are; the database does not say which these are. A post of another type has no such term.
//! - `count` of a link category: all its relationships. What else is no post (users in a taxonomy of a plugin's) looks
//!   like posts here; WordPress counts it again when it next changes something there.
//! - The option `user_count`, where there is one: all users. On a network, WordPress has it elsewhere and counts it twice a
//!   day.

use rusqlite::{Connection, params};

use super::super::plan::Recounts;
use super::super::schema::quoted;

/// Counts what the plan says in the tables whose names begin with `prefix`.
pub(super) fn recount(target: &Connection, prefix: &str, recounts: &Recounts) -> rusqlite::Result<()> {
    let table = |name: &str| quoted(&format!("{prefix}{name}"));
    let (posts, relationships) = (table("posts"), table("term_relationships"));
    if !recounts.comments_of.is_empty() {
        let mut statement = target.prepare(&format!(
            "UPDATE {posts} SET comment_count = \
             (SELECT count(*) FROM {} WHERE comment_post_ID = ?1 AND comment_approved = '1' AND comment_type <> 'note') \
             WHERE ID = ?1 AND post_status <> 'trash'",
            table("comments")
        ))?;
        for post in &recounts.comments_of {
            statement.execute([post])?;
        }
    }
    if !recounts.terms.is_empty() {
        let mut statement = target.prepare(&format!(
            "UPDATE {} AS t SET count = \
             (SELECT count(*) FROM {relationships} AS r LEFT JOIN {posts} AS p ON p.ID = r.object_id \
             LEFT JOIN {posts} AS parent ON parent.ID = p.post_parent AND p.post_parent > 0 \
             WHERE r.term_taxonomy_id = ?1 AND (t.taxonomy = 'link_category' OR p.post_status = 'publish' \
             OR (p.post_type = 'attachment' AND p.post_status = 'inherit' AND parent.post_status = 'publish'))) \
             WHERE term_taxonomy_id = ?1",
            table("term_taxonomy")
        ))?;
        for term in &recounts.terms {
            statement.execute([term])?;
        }
    }
    if recounts.users {
        target.execute(
            &format!(
                "UPDATE {} SET option_value = CAST((SELECT count(*) FROM {}) AS TEXT) WHERE option_name = ?1",
                table("options"),
                table("users")
            ),
            params!["user_count"],
        )?;
    }
    Ok(())
}
