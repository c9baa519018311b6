//! What a person can have done: which fields a form has, what it says beforehand, and the command that it becomes. Pure.

use std::fs::File;

use forkpress_core::name::BranchName;

use crate::form::Fields;

/// Standard input, for a command that takes a path.
const STDIN: &str = "/dev/stdin";

/// How many branches one form makes at most.
const MOST_BRANCHES: u16 = 100;

/// An action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A branch, from another one.
    Create,
    /// Branches with a prefix and numbers.
    CreateMany,
    /// A branch gets the state of another one.
    Reset,
    /// A branch goes.
    Delete,
    /// An operation is undone.
    Undo,
    /// A file becomes a branch.
    Import,
    /// A branch becomes a file.
    Export,
    /// What is kept beyond bounds goes.
    Gc,
}

/// A command that is to run as a job.
#[derive(Debug)]
pub struct Order {
    /// What a person would type after `forkpress`.
    pub words: Vec<String>,
    /// What it is about, in a few words.
    pub title: String,
    /// What it reads from standard input.
    pub stdin: Option<File>,
}

/// Why a field can't be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The field.
    pub field: &'static str,
    /// What is wrong, as a sentence.
    pub what: String,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Create, Self::CreateMany, Self::Reset, Self::Delete, Self::Undo, Self::Import, Self::Export, Self::Gc];

    /// The one of a word in a path.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.word() == word)
    }

    /// Its word in a path.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::CreateMany => "create-many",
            Self::Reset => "reset",
            Self::Delete => "delete",
            Self::Undo => "undo",
            Self::Import => "import",
            Self::Export => "export",
            Self::Gc => "gc",
        }
    }

    /// Its name on a page.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Create => "New branch",
            Self::CreateMany => "New branches",
            Self::Reset => "Reset a branch",
            Self::Delete => "Delete a branch",
            Self::Undo => "Undo",
            Self::Import => "Import",
            Self::Export => "Export a branch",
            Self::Gc => "Free disk space",
        }
    }

    /// What its button says.
    #[must_use]
    pub fn button(self) -> &'static str {
        match self {
            Self::Create => "Create the branch",
            Self::CreateMany => "Create the branches",
            Self::Reset => "Reset the branch",
            Self::Delete => "Delete the branch",
            Self::Undo => "Undo",
            Self::Import => "Import",
            Self::Export => "Export",
            Self::Gc => "Free it",
        }
    }

    /// What a job of it is about, in a few words.
    fn done_to(self, fields: &Fields) -> String {
        let value = |field: &str| fields.get(field).unwrap_or_default();
        match self {
            Self::Create => format!("create {} from {}", value("name"), value("from")),
            Self::CreateMany => format!("create {} branches {}-…", value("count"), value("prefix")),
            Self::Reset => format!("reset {} from {}", value("name"), value("from")),
            Self::Delete => format!("delete {}", value("name")),
            Self::Undo => format!("undo {}", fields.get("id").unwrap_or("the newest operation")),
            Self::Import => format!("import {}", value("name")),
            Self::Export => format!("export {}", value("name")),
            Self::Gc => "free disk space".to_owned(),
        }
    }

    /// Whether something is lost to whoever looks at a branch.
    #[must_use]
    pub fn takes_away(self) -> bool {
        matches!(self, Self::Reset | Self::Delete | Self::Undo | Self::Gc)
    }

    /// What it will do, to whom, and how to take it back.
    #[must_use]
    pub fn promise(self) -> &'static [&'static str] {
        match self {
            Self::Create => &[
                "The new branch gets all files and the whole database of the branch that it is made from, as they are at one moment.",
                "Nobody else notices. Pages of the other branch that run at this moment end first.",
                "To take it back, undo the operation or delete the branch.",
            ],
            Self::CreateMany => &[
                "Each of them gets all files and the whole database of the branch that it is made from.",
                "All are made, or none. One undo takes all of them back.",
            ],
            Self::Reset => &[
                "The branch gets the files and the database of the other one. What it had is kept for an undo.",
                "Whoever looks at the branch sees the other state from their next page on.",
            ],
            Self::Delete => &[
                "Its address answers 404 from then on. Its files and its database are kept for an undo.",
                "No other branch changes.",
            ],
            Self::Undo => &[
                "The branch becomes what it was before the operation.",
                "What was done in it since is kept. Undo the undo, and it is back.",
            ],
            Self::Import => &[
                "A new branch is made from the file: a site, a backup, or a database dump.",
                "No other branch changes. A failed import leaves nothing.",
            ],
            Self::Export => &[
                "A file is made that any host of WordPress takes: the files and the database.",
                "The branch does not change.",
            ],
            Self::Gc => &[
                "What is kept for undo beyond the bounds in site.toml is removed. Those operations can't be undone afterwards.",
                "No branch changes.",
            ],
        }
    }

    /// The command that a form becomes. A file that was sent with it is what the command reads from standard input.
    ///
    /// # Errors
    /// What is wrong with which field.
    pub fn order(self, fields: &Fields, file: Option<File>) -> Result<Order, Vec<Problem>> {
        let mut form = Form { fields, problems: Vec::new() };
        let words = match self {
            Self::Create => {
                let (name, from) = (form.branch("name"), form.branch("from"));
                words(["branch", "create", &name, "--from", &from])
            }
            Self::CreateMany => {
                let (prefix, count, from) = (form.prefix(), form.count(), form.branch("from"));
                words(["branch", "create", "--count", &count, &format!("--prefix={prefix}"), "--from", &from])
            }
            Self::Reset => {
                let (name, from) = (form.branch("name"), form.branch("from"));
                let mut reset = words(["branch", "reset", &name, "--from", &from]);
                if name == BranchName::MAIN {
                    form.sure("This is the branch main, which everybody sees. Tick the box if you mean it.");
                    reset.push("--force".to_owned());
                }
                reset
            }
            Self::Delete => words(["branch", "delete", &form.branch("name")]),
            Self::Undo => match fields.get("id") {
                Some(_) => words(["undo", &form.number("id", "an operation")]),
                None => words(["undo"]),
            },
            Self::Import => {
                let name = form.branch("name");
                let mut import = words(["import", "--branch", &name]);
                match (fields.get("path"), &file) {
                    (Some(_), Some(_)) => form.problem("path", "Give one of them: a file, or a path on the server."),
                    (None, None) => form.problem("path", "Choose a file, or give a path on the server."),
                    (Some(path), None) => import.extend(["--".to_owned(), path.to_owned()]),
                    (None, Some(_)) => import.extend(["--".to_owned(), STDIN.to_owned()]),
                }
                import
            }
            Self::Export => {
                let (name, format) = (form.branch("name"), form.one_of("format", &["site", "sql", "wxr"]));
                let mut export = words(["export", &name, "--format", &format, "--to", "-"]);
                export.extend(fields.get("url").map(|url| format!("--url={url}")));
                export
            }
            Self::Gc => words(["gc"]),
        };
        match form.problems.is_empty() {
            true => Ok(Order { title: self.done_to(fields), words, stdin: file }),
            false => Err(form.problems),
        }
    }
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).into()
}

/// Fields that are being read, and what was wrong with them.
struct Form<'a> {
    fields: &'a Fields,
    problems: Vec<Problem>,
}

impl Form<'_> {
    fn problem(&mut self, field: &'static str, what: impl Into<String>) {
        self.problems.push(Problem { field, what: what.into() });
    }

    fn branch(&mut self, field: &'static str) -> String {
        match self.fields.get(field).map(str::parse::<BranchName>) {
            Some(Ok(name)) => return name.as_str().to_owned(),
            Some(Err(error)) => self.problem(field, sentence(&error.to_string())),
            None => self.problem(field, "Name a branch."),
        }
        String::new()
    }

    /// What numbers follow to.
    fn prefix(&mut self) -> String {
        let Some(prefix) = self.fields.get("prefix") else {
            self.problem("prefix", "Give what their names begin with.");
            return String::new();
        };
        if let Err(error) = format!("{prefix}-1").parse::<BranchName>() {
            self.problem("prefix", sentence(&error.to_string()));
        }
        prefix.to_owned()
    }

    fn count(&mut self) -> String {
        match self.fields.get("count").and_then(|count| count.parse::<u16>().ok()) {
            Some(count) if (1..=MOST_BRANCHES).contains(&count) => return count.to_string(),
            _ => self.problem("count", format!("Give a number from 1 to {MOST_BRANCHES}.")),
        }
        String::new()
    }

    fn number(&mut self, field: &'static str, of: &str) -> String {
        match self.fields.get(field).and_then(|number| number.parse::<u64>().ok()) {
            Some(number) => return number.to_string(),
            None => self.problem(field, format!("Give the number of {of}.")),
        }
        String::new()
    }

    fn one_of(&mut self, field: &'static str, all: &[&str]) -> String {
        match self.fields.get(field).filter(|value| all.contains(value)) {
            Some(value) => return value.to_owned(),
            None => self.problem(field, "Choose one of them."),
        }
        String::new()
    }

    fn sure(&mut self, what: &str) {
        if !self.fields.is_ticked("sure") {
            self.problem("sure", what);
        }
    }
}

/// A fragment as a sentence.
pub fn sentence(fragment: &str) -> String {
    let mut letters = fragment.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().collect::<String>()).unwrap_or_default();
    let stop = if fragment.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed<const N: usize>(action: Action, fields: [(&str, &str); N]) -> Result<String, Vec<&'static str>> {
        match action.order(&fields.into(), None) {
            Ok(order) => Ok(order.words.join(" ")),
            Err(problems) => Err(problems.into_iter().map(|problem| problem.field).collect()),
        }
    }

    #[test]
    fn a_form_becomes_what_a_person_would_type() {
        use Action::*;
        let is = |typed: Result<String, _>, expected: &str| assert_eq!(typed.as_deref(), Ok(expected));
        is(typed(Create, [("name", "sale"), ("from", "main")]), "branch create sale --from main");
        is(
            typed(CreateMany, [("prefix", "agent"), ("count", "3"), ("from", "main")]),
            "branch create --count 3 --prefix=agent --from main",
        );
        is(typed(Reset, [("name", "sale"), ("from", "main")]), "branch reset sale --from main");
        is(typed(Reset, [("name", "main"), ("from", "sale"), ("sure", "1")]), "branch reset main --from sale --force");
        is(typed(Delete, [("name", "sale")]), "branch delete sale");
        is(typed(Undo, [("id", "7")]), "undo 7");
        is(typed(Undo, []), "undo");
        is(typed(Import, [("name", "shop"), ("path", "/x/shop.zip")]), "import --branch shop -- /x/shop.zip");
        is(
            typed(Export, [("name", "sale"), ("format", "site"), ("url", "https://example.com")]),
            "export sale --format site --to - --url=https://example.com",
        );
        is(typed(Gc, []), "gc");
    }

    #[test]
    fn no_field_becomes_an_option_or_another_command() {
        use Action::*;
        for (action, fields) in [
            (Create, [("name", "--help"), ("from", "main")]),
            (Create, [("name", "a b"), ("from", "main")]),
            (Create, [("name", "sale"), ("from", "-f")]),
            (Create, [("name", "../x"), ("from", "main")]),
            (Delete, [("name", "-"), ("x", "")]),
            (Undo, [("id", "-1"), ("x", "")]),
            (Undo, [("id", "7; rm"), ("x", "")]),
            (Export, [("name", "sale"), ("format", "--to=/etc/passwd")]),
            (Reset, [("name", "main"), ("from", "sale")]),
            (CreateMany, [("prefix", "-x"), ("count", "1000")]),
        ] {
            assert!(typed(action, fields).is_err(), "{action:?} {fields:?}");
        }
        // What may be anything stands after its own sign, or after the end of options.
        let path = Import.order(&[("name", "shop"), ("path", "--dry-run")].into(), None).unwrap();
        assert_eq!(path.words[3..], ["--", "--dry-run"]);
        let url = Export.order(&[("name", "x"), ("format", "sql"), ("url", "--to=/x")].into(), None).unwrap();
        assert_eq!(url.words.last().unwrap(), "--url=--to=/x");
    }

    #[test]
    fn what_is_wrong_is_said_of_each_field() {
        assert_eq!(typed(Action::Create, []), Err(vec!["name", "from"]));
        assert_eq!(typed(Action::Import, [("name", "x")]), Err(vec!["path"]));
        let problems = Action::Create.order(&[("name", "www"), ("from", "main")].into(), None).unwrap_err();
        assert_eq!(problems[0].what, "Invalid branch name 'www': this name is reserved.");
    }
}
