//! Statements that define, alter and remove what a database has.

use super::batch::{Alteration, Event, LeftOut};
use super::cursor::{Cursor, Token};
use super::define;
use super::error::{DumpError, DumpLine};
use super::lexer::Kind;
use super::reader::{Reader, wrong_at};

/// Names of tables that are not a dump's begin so.
const RESERVED: [&str; 3] = ["sqlite_", "_wp_sqlite_", "_forkpress_"];

impl Reader<'_, '_> {
    /// Reads `CREATE`.
    pub(super) fn create(&mut self) -> Result<(), DumpError> {
        const KINDS: [&str; 14] = [
            "view",
            "trigger",
            "procedure",
            "function",
            "event",
            "sequence",
            "user",
            "role",
            "server",
            "package",
            "tablespace",
            "logfile",
            "spatial",
            "aggregate",
        ];
        let place = self.place();
        let mut is_unique = None;
        for _ in 0..32 {
            let kind = self.next()?;
            if kind == Kind::Over {
                return Err(self.cut_off("after CREATE"));
            }
            let word = if kind == Kind::Word { self.lower() } else { String::new() };
            match word.as_str() {
                "table" => return self.create_table(place),
                "temporary" => return Err(self.wrong("a temporary table, which no dump has")),
                "database" | "schema" => return self.skip_to_end(),
                "unique" | "fulltext" | "spatial" => is_unique = Some(word),
                "index" => return self.create_index(is_unique.as_deref().unwrap_or_default(), place),
                kind if KINDS.contains(&kind) => {
                    let (tokens, _) = self.rest()?;
                    let mut name = Cursor::new(&tokens);
                    name.take(&["body"]);
                    name.take(&["if", "not", "exists"]);
                    let name = name.name().unwrap_or_default();
                    if kind == "view" {
                        self.send(Event::View { name: self.own_name(name.clone()) })?;
                    }
                    return self.send(Event::LeftOut(LeftOut { kind: word, name, place }));
                }
                _ => {}
            }
        }
        Err(self.wrong("CREATE of what dumps do not create"))
    }

    fn create_table(&mut self, place: DumpLine) -> Result<(), DumpError> {
        let (tokens, place) = (self.rest()?.0, place);
        let mut cursor = Cursor::new(&tokens);
        let is_if_missing = cursor.take(&["if", "not", "exists"]);
        let name = cursor.name().map_err(|what| wrong_at(&place, what))?;
        let name = self.own_name(name);
        if !self.is_wanted(&name) {
            return Ok(());
        }
        let is_own = |prefix: &&str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
        if RESERVED.iter().any(is_own) {
            return Err(wrong_at(
                &place,
                format!("the table {name} has a name that SQLite or its driver keeps for itself"),
            ));
        }
        match &self.database_with_tables {
            Some(other) if self.database.as_ref().is_some_and(|database| database != other) => {
                let what = format!(
                    "the dump has tables of two databases, {other} and {}; dump the site's alone",
                    self.database.as_deref().unwrap_or_default()
                );
                return Err(wrong_at(&place, what));
            }
            _ => self.database_with_tables.clone_from(&self.database),
        }
        let mut table = define::create(name, cursor).map_err(|what| wrong_at(&place, what))?;
        for key in &mut table.foreign_keys {
            key.table = self.own_name(std::mem::take(&mut key.table));
        }
        self.send(Event::Create { table: Box::new(table), is_if_missing, place })
    }

    /// `CREATE INDEX a ON t (b)` is `ALTER TABLE t ADD INDEX a (b)`.
    fn create_index(&mut self, kind: &str, place: DumpLine) -> Result<(), DumpError> {
        let (tokens, _) = self.rest()?;
        let on = tokens.iter().position(|token| token.is_word("on"));
        let (name, rest) = tokens.split_at(on.ok_or_else(|| wrong_at(&place, "an index on no table".to_owned()))?);
        let mut rest = Cursor::new(&rest[1..]);
        let table = rest.name().map_err(|what| wrong_at(&place, what))?;
        let word = |text: &str| Token { kind: Kind::Word, text: text.to_owned() };
        let mut change = vec![word("add")];
        change.extend((!kind.is_empty()).then(|| word(kind)));
        change.push(word("key"));
        change.extend(name.iter().cloned());
        change.extend(rest.tokens().iter().cloned());
        self.alteration(table, change, place)
    }

    fn alteration(&mut self, table: String, change: Vec<Token>, place: DumpLine) -> Result<(), DumpError> {
        let table = self.own_name(table);
        if !self.is_wanted(&table) {
            return Ok(());
        }
        self.send(Event::Alter { table, change: Alteration(change), place })
    }

    /// Reads `ALTER`.
    pub(super) fn alter(&mut self) -> Result<(), DumpError> {
        let place = self.place();
        if self.next()? != Kind::Word || self.lower() != "table" {
            return self.skip_to_end();
        }
        let (tokens, _) = self.rest()?;
        let mut cursor = Cursor::new(&tokens);
        cursor.take(&["if", "exists"]);
        let table = cursor.name().map_err(|what| wrong_at(&place, what))?;
        self.alteration(table, cursor.tokens().to_vec(), place)
    }

    /// Reads `DROP`.
    pub(super) fn drop_object(&mut self) -> Result<(), DumpError> {
        let place = self.place();
        let (tokens, _) = self.rest()?;
        let mut cursor = Cursor::new(&tokens);
        if cursor.take(&["temporary"]) || !(cursor.take(&["table"]) || cursor.take(&["tables"])) {
            return Ok(());
        }
        cursor.take(&["if", "exists"]);
        for mut item in cursor.items() {
            let table = item.name().map_err(|what| wrong_at(&place, what))?;
            let table = self.own_name(table);
            self.send(Event::Drop { table })?;
        }
        Ok(())
    }

    /// `TRUNCATE t`, or `DELETE FROM t`.
    pub(super) fn truncate(&mut self) -> Result<(), DumpError> {
        let place = self.place();
        let (tokens, _) = self.rest()?;
        let mut cursor = Cursor::new(&tokens);
        let _ = cursor.take(&["table"]) || cursor.take(&["from"]);
        let table = cursor.name().map_err(|what| wrong_at(&place, what))?;
        if !cursor.is_over() {
            return Err(wrong_at(&place, format!("only some rows of {table} are deleted, which no dump does")));
        }
        let table = self.own_name(table);
        if self.is_wanted(&table) { self.send(Event::Truncate { table, place }) } else { Ok(()) }
    }

    /// Notes what is not taken over.
    pub(super) fn left_out(&mut self, kind: &str, name: String) -> Result<(), DumpError> {
        let place = self.place();
        self.send(Event::LeftOut(LeftOut { kind: kind.to_owned(), name, place }))
    }
}
