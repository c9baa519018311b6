//! What a person decided in the form of a merge, and the list of answers that it becomes. Pure.
//!
//! A form has a field `take.ID` for each conflict, which is `ours`, `theirs` or `value`, and for the last `value.ID` with the text.
//! An id is a hash of all that a conflict is about. So an answer never fits a conflict of which anything has changed since.

use std::collections::BTreeMap;

use forkpress_engine::merge::Side;
use forkpress_engine::merge::branches::Summary;
use forkpress_engine::merge::conflict::{OpenConflict, Whole};
use serde_json::{Value, json};

use crate::form::Fields;

/// A longer text is not written in a form.
const LONGEST: usize = 64 << 10;

/// What a merge would do, or what is to be decided first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trial {
    /// The source has nothing that the target has not.
    Nothing,
    /// This is to be decided.
    Conflicts(Vec<OpenConflict>),
    /// This would be done.
    Merges(Summary),
}

/// What a conflict gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Take {
    /// What one of the branches has.
    Of(Side),
    /// This text.
    Value(String),
}

/// What was decided, by the ids of conflicts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decisions {
    taken: BTreeMap<String, String>,
    values: BTreeMap<String, String>,
}

impl Decisions {
    /// Reads the fields of a form.
    #[must_use]
    pub fn read(fields: &Fields) -> Self {
        let owned = |(id, value): (&str, &str)| (id.to_owned(), value.to_owned());
        Self {
            taken: fields.beginning("take.").map(owned).collect(),
            values: fields.beginning("value.").map(owned).collect(),
        }
    }

    /// What a conflict gets; none where that is not decided.
    #[must_use]
    pub fn of(&self, conflict: &OpenConflict) -> Option<Take> {
        match self.taken.get(&conflict.id)?.as_str() {
            "ours" => Some(Take::Of(Side::Ours)),
            "theirs" => Some(Take::Of(Side::Theirs)),
            "value" => {
                let whole = conflict.whole.as_ref()?;
                Some(Take::Value(with_line_ends(self.values.get(&conflict.id)?, whole)))
            }
            _ => None,
        }
    }

    /// The text that was written for a conflict, also where it is not taken.
    #[must_use]
    pub fn text(&self, conflict: &OpenConflict) -> Option<&str> {
        self.values.get(&conflict.id).map(String::as_str)
    }

    /// Gives each conflict that is not decided what one branch has.
    pub fn fill(&mut self, conflicts: &[OpenConflict], side: Side) {
        let word = match side {
            Side::Ours => "ours",
            Side::Theirs => "theirs",
        };
        for conflict in conflicts.iter().filter(|conflict| self.of(conflict).is_none()).collect::<Vec<_>>() {
            self.taken.insert(conflict.id.clone(), word.to_owned());
        }
    }

    /// How many decisions are of conflicts that are not there.
    #[must_use]
    pub fn stale(&self, known: &[OpenConflict]) -> usize {
        self.taken.keys().filter(|id| !known.iter().any(|conflict| conflict.id == **id)).count()
    }

    /// The list that `forkpress branch merge --resolve` reads.
    #[must_use]
    pub fn answers(&self, conflicts: &[OpenConflict]) -> String {
        let entry = |conflict: &OpenConflict| match self.of(conflict)? {
            Take::Of(Side::Ours) => Some(json!({ "id": conflict.id, "take": "ours" })),
            Take::Of(Side::Theirs) => Some(json!({ "id": conflict.id, "take": "theirs" })),
            Take::Value(text) => Some(json!({ "id": conflict.id, "value": text })),
        };
        Value::Array(conflicts.iter().filter_map(entry).collect()).to_string()
    }
}

/// What is to be done with a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is nothing to merge any more.
    Nothing,
    /// A person has to decide, or to look once more.
    Ask {
        /// All that there is to decide, also what is decided already.
        conflicts: Vec<OpenConflict>,
        /// How many decisions fit nothing any more.
        stale: usize,
    },
    /// All is decided: this list has it, where there was anything to decide.
    Merge(Option<String>),
}

/// Finds out whether all is decided. `trial` says what a merge with such a list of answers would do.
///
/// A decision may bring up further conflicts, so the trial is repeated until nothing is left, or something is not decided.
///
/// # Errors
/// What the trial says.
pub fn step<E>(decisions: &Decisions, mut trial: impl FnMut(Option<&str>) -> Result<Trial, E>) -> Result<Step, E> {
    let mut known: Vec<OpenConflict> = Vec::new();
    loop {
        let answers = (!known.is_empty()).then(|| decisions.answers(&known));
        match trial(answers.as_deref())? {
            Trial::Nothing => return Ok(Step::Nothing),
            Trial::Merges(_) => {
                return Ok(match decisions.stale(&known) {
                    0 => Step::Merge(answers),
                    stale => Step::Ask { conflicts: known, stale },
                });
            }
            Trial::Conflicts(open) => {
                let is_decided = open.iter().all(|conflict| decisions.of(conflict).is_some());
                let before = known.len();
                let (again, new): (Vec<_>, Vec<_>) =
                    open.into_iter().partition(|conflict| known.iter().any(|other| other.id == conflict.id));
                known.extend(new);
                // One that is open though it was answered, no answer settles.
                if !is_decided || !again.is_empty() || known.len() == before {
                    let stale = decisions.stale(&known);
                    return Ok(Step::Ask { conflicts: known, stale });
                }
            }
        }
    }
}

/// The text that a form begins with where another one may be written; none where a browser would not send it back as it is, or
/// where it is too long.
#[must_use]
pub fn written(conflict: &OpenConflict) -> Option<&str> {
    let whole = conflict.whole.as_ref()?;
    let text = whole.ours.as_deref().or(whole.theirs.as_deref()).or(whole.base.as_deref()).unwrap_or_default();
    let is_plain =
        text.replace("\r\n", "\n").chars().all(|letter| !letter.is_control() || matches!(letter, '\n' | '\t'));
    (is_plain && text.len() <= LONGEST).then_some(text)
}

/// A text of a form with the line ends that it had. A browser sends all of them as `\r\n`, whatever they were.
fn with_line_ends(text: &str, whole: &Whole) -> String {
    let plain = |text: &str| text.replace("\r\n", "\n").replace('\r', "\n");
    let text = plain(text);
    let mut sides = [&whole.ours, &whole.theirs, &whole.base].into_iter().flatten();
    if let Some(same) = sides.clone().find(|side| plain(side) == text) {
        return same.clone();
    }
    let of_windows = |side: &String| {
        let count = side.matches("\r\n").count();
        2 * count > side.matches('\n').count()
    };
    // A side of one line does not tell.
    let has_lines = sides.find(|side| side.contains('\n'));
    if has_lines.is_some_and(of_windows) { text.replace('\n', "\r\n") } else { text }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use forkpress_engine::merge::answers::Answers;
    use forkpress_engine::merge::conflict::ConflictPlace;

    use super::*;

    /// A conflict whose id ends in a number.
    fn conflict(number: u32, whole: Option<[&str; 3]>) -> OpenConflict {
        OpenConflict {
            id: format!("{number:032x}"),
            kind: "cell",
            what: "post 1 \"Hello\": title".to_owned(),
            place: ConflictPlace::File { path: "x".to_owned() },
            base: None,
            ours: None,
            theirs: None,
            whole: whole.map(|texts| {
                let [base, ours, theirs] = texts.map(|text| Some(text.to_owned()));
                Whole { base, ours, theirs }
            }),
            seen: None,
        }
    }

    fn decisions(fields: &[(u32, &str, Option<&str>)]) -> Decisions {
        let id = |number: &u32| format!("{number:032x}");
        Decisions {
            taken: fields.iter().map(|(number, take, _)| (id(number), (*take).to_owned())).collect(),
            values: fields.iter().filter_map(|(number, _, text)| Some((id(number), (*text)?.to_owned()))).collect(),
        }
    }

    #[test]
    fn the_fields_of_a_form_become_answers_that_the_command_reads() {
        let [first, second, third] = [1, 2, 3].map(|number| conflict(number, Some(["b", "o", "t"])));
        let body = format!(
            "token=x&take.{}=ours&take.{}=theirs&take.{}=value&value.{}=%22a%22%0D%0Ab&value.{}=not+taken",
            first.id, second.id, third.id, third.id, first.id
        );
        let decisions = Decisions::read(&Fields::parse(body.as_bytes()));
        let answers = decisions.answers(&[first.clone(), second.clone(), third.clone()]);
        let parsed: Value = serde_json::from_str(&answers).unwrap();
        assert_eq!(
            parsed,
            json!([
                { "id": first.id, "take": "ours" },
                { "id": second.id, "take": "theirs" },
                { "id": third.id, "value": "\"a\"\nb" },
            ])
        );
        Answers::default().read(&answers).unwrap();
        assert_eq!(decisions.text(&first), Some("not taken"));
    }

    #[test]
    fn only_what_can_be_taken_is_a_decision() {
        let (plain, writable) = (conflict(1, None), conflict(2, Some(["b", "o", "t"])));
        for (take, text) in [("", None), ("mine", None), ("base", None), ("value", Some("x")), ("value", None)] {
            assert_eq!(decisions(&[(1, take, text)]).of(&plain), None, "{take}");
        }
        assert_eq!(decisions(&[(2, "value", None)]).of(&writable), None, "a value that was not sent");
        assert_eq!(decisions(&[(2, "value", Some(""))]).of(&writable), Some(Take::Value(String::new())));
        assert_eq!(decisions(&[(2, "ours", Some("x"))]).of(&writable), Some(Take::Of(Side::Ours)));
        assert_eq!(Decisions::default().answers(&[plain, writable]), "[]");
    }

    #[test]
    fn what_is_left_gets_one_side_and_what_is_decided_stays() {
        let all = [1, 2, 3].map(|number| conflict(number, None));
        let mut decided = decisions(&[(2, "ours", None), (3, "value", Some("can't be"))]);
        decided.fill(&all, Side::Theirs);
        let taken = all.each_ref().map(|conflict| decided.of(conflict).unwrap());
        assert_eq!(taken, [Side::Theirs, Side::Ours, Side::Theirs].map(Take::Of));
    }

    #[test]
    fn line_ends_are_those_that_the_branches_have() {
        let value = |text: &str, whole: [&str; 3]| {
            let conflict = conflict(1, Some(whole));
            match decisions(&[(1, "value", Some(text))]).of(&conflict) {
                Some(Take::Value(text)) => text,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(value("a\r\nb\r\n", ["", "x\ny", "x"]), "a\nb\n", "of Unix");
        assert_eq!(value("a\r\nb\r\n", ["", "x\r\ny\r\nz", "x"]), "a\r\nb\r\n", "of Windows");
        assert_eq!(value("a\r\nb", ["", "one line", "x\r\ny"]), "a\r\nb", "as the side that has lines");
        assert_eq!(value("a\r\nb", ["", "x", "y"]), "a\nb", "of nobody");
        assert_eq!(value("a\r\nb", ["", "x\r\ny\nz\n", "x"]), "a\nb", "of Unix, most of them");
        let mixed = "x\r\ny\nz\r\n";
        assert_eq!(value("x\r\ny\r\nz\r\n", ["", mixed, ""]), mixed, "what was not edited is as it was");
        assert_eq!(value("x\r\ny\r\nz\r\n", ["", "", mixed]), mixed, "nor what was made the other's again");
        assert_eq!(value("a\rb", ["", "x", "y"]), "a\nb");
    }

    #[test]
    fn a_text_that_a_browser_would_change_is_not_written_in_a_form() {
        let written = |text: &str| written(&conflict(1, Some(["b", text, "t"]))).map(str::to_owned);
        for text in ["", "\nfirst line", "a\r\nb\tc", "\u{202e}turned"] {
            assert_eq!(written(text).as_deref(), Some(text));
        }
        for text in ["a\rb", "\u{1}", "a\u{85}b", &"x".repeat(LONGEST + 1)] {
            assert_eq!(written(text), None, "{text:.10?}");
        }
        assert_eq!(super::written(&conflict(1, None)), None);
    }

    /// What a step makes of decisions where trials say this one after the other, and which answers they got.
    fn stepped(decisions: &Decisions, trials: &[Trial]) -> (Step, Vec<Option<String>>) {
        let (mut trials, mut asked) = (trials.iter(), Vec::new());
        let step = step(decisions, |answers| {
            asked.push(answers.map(str::to_owned));
            Ok::<_, Infallible>(trials.next().expect("no more trials").clone())
        });
        let Ok(step) = step;
        (step, asked)
    }

    #[test]
    fn a_merge_begins_once_all_is_decided() {
        let [first, second] = [1, 2].map(|number| conflict(number, None));
        let open = |conflicts: &[&OpenConflict]| Trial::Conflicts(conflicts.iter().map(|one| (*one).clone()).collect());
        let merges = Trial::Merges(Summary::default());
        let (step, asked) = stepped(&Decisions::default(), std::slice::from_ref(&merges));
        assert_eq!((step, asked), (Step::Merge(None), vec![None]));
        assert_eq!(stepped(&Decisions::default(), &[Trial::Nothing]).0, Step::Nothing);

        let both = decisions(&[(1, "ours", None), (2, "theirs", None)]);
        let (step, asked) = stepped(&both, &[open(&[&first, &second]), merges.clone()]);
        let answers = both.answers(&[first.clone(), second.clone()]);
        assert_eq!((step, asked), (Step::Merge(Some(answers.clone())), vec![None, Some(answers)]));

        let one = decisions(&[(1, "ours", None)]);
        let (step, _) = stepped(&one, &[open(&[&first, &second])]);
        assert_eq!(step, Step::Ask { conflicts: vec![first.clone(), second.clone()], stale: 0 });

        // The first decision brings up the second conflict.
        let (step, _) = stepped(&one, &[open(&[&first]), open(&[&second])]);
        assert_eq!(step, Step::Ask { conflicts: vec![first.clone(), second.clone()], stale: 0 });
        let (step, asked) = stepped(&both, &[open(&[&first]), open(&[&second]), merges.clone()]);
        assert!(matches!(step, Step::Merge(Some(_))) && asked.len() == 3);

        // An answer does not settle it.
        let (step, _) = stepped(&one, &[open(&[&first]), open(&[&first])]);
        assert_eq!(step, Step::Ask { conflicts: vec![first.clone()], stale: 0 });
        let (step, _) = stepped(&both, &[open(&[&first]), open(&[&first, &second]), merges]);
        assert_eq!(step, Step::Ask { conflicts: vec![first, second], stale: 0 }, "also where it brings up another");
    }

    #[test]
    fn a_decision_about_what_has_changed_since_is_not_used() {
        let now = conflict(9, None);
        let old = decisions(&[(1, "ours", None)]);
        let (step, _) = stepped(&old, &[Trial::Conflicts(vec![now.clone()])]);
        assert_eq!(step, Step::Ask { conflicts: vec![now.clone()], stale: 1 });
        // Also where nothing is left to decide: what was seen is not what would be merged.
        let (step, _) = stepped(&old, &[Trial::Merges(Summary::default())]);
        assert_eq!(step, Step::Ask { conflicts: vec![], stale: 1 });
    }
}
