//! What people have decided of a merge: what each conflict gets, and what all others do.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use thiserror::Error;

use super::conflict_id::ConflictId;
use crate::git::merge::{self as files, FileConflict};

/// One of the two branches of a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The target.
    Ours,
    /// The source.
    Theirs,
}

/// What a conflict gets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Take {
    /// What the target has.
    Ours,
    /// What the source has.
    Theirs,
    /// What both had.
    Base,
    /// Something else: of a single cell, or of a file.
    Value(serde_json::Value),
}

impl From<Side> for Take {
    fn from(side: Side) -> Self {
        match side {
            Side::Ours => Self::Ours,
            Side::Theirs => Self::Theirs,
        }
    }
}

/// What people have decided.
#[derive(Debug, Default)]
pub struct Answers {
    /// What each conflict gets.
    pub(crate) resolved: HashMap<ConflictId, Take>,
    /// What all other conflicts get.
    pub(crate) otherwise: Option<Side>,
    /// Tables that are left as they are in the target, named with the site's prefix or without.
    pub(crate) without_tables: Vec<String>,
}

/// Why a file of answers can't be used.
#[derive(Debug, Error)]
pub enum AnswersError {
    /// It is no list of answers.
    #[error("it is no list of answers: {0}")]
    Syntax(#[from] serde_json::Error),
    /// No conflict has such an id.
    #[error("'{0}' is no id of a conflict")]
    NoId(String),
    /// An answer can be one of a few.
    #[error("\"take\" of {id} is '{take}': it can be ours, theirs or base, or there is a \"value\" instead")]
    NoSide {
        /// The conflict.
        id: String,
        /// What was to be taken.
        take: String,
    },
}

/// An entry of a list, which may say what the conflict is about as well.
#[derive(Debug, Deserialize)]
struct AnswerEntry {
    id: String,
    #[serde(default)]
    take: Option<String>,
    #[serde(default)]
    value: Option<serde_json::Value>,
}

impl Answers {
    /// No conflict is decided for itself yet. `otherwise`: what each of them gets. `without_tables`: tables that are left as
    /// they are, named with the site's prefix or without.
    #[must_use]
    pub fn new(otherwise: Option<Side>, without_tables: Vec<String>) -> Self {
        Self { resolved: HashMap::new(), otherwise, without_tables }
    }

    /// Reads what each conflict gets: a list as `branch conflicts --json` prints it, with `take` or `value` filled in. An entry
    /// with neither is no answer.
    ///
    /// # Errors
    /// [`AnswersError`].
    pub fn read(&mut self, text: &str) -> Result<(), AnswersError> {
        for AnswerEntry { id, take, value } in serde_json::from_str::<Vec<AnswerEntry>>(text)? {
            let take = match (take.as_deref(), value) {
                (None | Some(""), None) => continue,
                (None | Some(""), Some(value)) => Take::Value(value),
                (Some("ours"), None) => Take::Ours,
                (Some("theirs"), None) => Take::Theirs,
                (Some("base"), None) => Take::Base,
                (Some(take), _) => return Err(AnswersError::NoSide { id, take: take.to_owned() }),
            };
            let parsed = id.parse().map_err(|()| AnswersError::NoId(id))?;
            self.resolved.insert(parsed, take);
        }
        Ok(())
    }

    /// What was answered to conflicts of files, and which were asked about.
    pub(crate) fn of_files(&self) -> FileAnswers<'_> {
        FileAnswers { answers: self, asked: RefCell::default() }
    }
}

/// Answers to conflicts of files.
pub(crate) struct FileAnswers<'a> {
    answers: &'a Answers,
    asked: RefCell<HashSet<ConflictId>>,
}

impl FileAnswers<'_> {
    /// What a file gets.
    pub(crate) fn get(&self, conflict: &FileConflict) -> Option<files::Take> {
        self.asked.borrow_mut().insert(conflict.id);
        let take = self.answers.resolved.get(&conflict.id).cloned();
        Some(match take.or(self.answers.otherwise.map(Take::from))? {
            Take::Ours => files::Take::Ours,
            Take::Theirs => files::Take::Theirs,
            Take::Base => files::Take::Base,
            Take::Value(serde_json::Value::String(text)) => files::Take::Bytes(text.into_bytes()),
            // A file is a text.
            Take::Value(_) => return None,
        })
    }

    /// What is left for the conflicts of rows.
    pub(crate) fn rest(&self) -> Answers {
        let asked = self.asked.borrow();
        let resolved = self.answers.resolved.iter().filter(|(id, _)| !asked.contains(*id));
        Answers {
            resolved: resolved.map(|(id, take)| (*id, take.clone())).collect(),
            otherwise: self.answers.otherwise,
            without_tables: self.answers.without_tables.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "6cd07a383038ef9ecc71bd641f135420";

    fn read(text: &str) -> Result<Vec<(String, Take)>, String> {
        let mut answers = Answers::default();
        answers.read(text).map_err(|error| error.to_string())?;
        Ok(answers.resolved.into_iter().map(|(id, take)| (id.to_string(), take)).collect())
    }

    #[test]
    fn a_list_of_conflicts_with_what_they_get_is_read() {
        for (entry, take) in [
            (r#""take": "ours""#, Take::Ours),
            (r#""take": "theirs", "what": "post 1", "ours": "x""#, Take::Theirs),
            (r#""take": "base""#, Take::Base),
            (r#""value": "text""#, Take::Value("text".into())),
            (r#""take": "", "value": 7"#, Take::Value(7.into())),
        ] {
            assert_eq!(read(&format!(r#"[{{"id": "{ID}", {entry}}}]"#)), Ok(vec![(ID.to_owned(), take)]), "{entry}");
        }
        assert_eq!(read(&format!(r#"[{{"id": "{ID}", "take": ""}}, {{"id": "{ID}"}}]"#)), Ok(vec![]), "no answers");
    }

    #[test]
    fn what_is_no_answer_is_said() {
        for (text, said) in [
            ("{}", "no list of answers"),
            (r#"[{"id": "x", "take": "ours"}]"#, "'x' is no id"),
            (&format!(r#"[{{"id": "{ID}", "take": "mine"}}]"#), "is 'mine'"),
            (&format!(r#"[{{"id": "{ID}", "take": "ours", "value": 1}}]"#), "is 'ours'"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
