//! Reads definitions of tables: `CREATE TABLE`, and `ALTER TABLE` as far as dumps have it.

use super::column::column;
use super::constraint::element;
use super::cursor::{Cursor, Wrong};
use super::table::{Key, KeyKind, Table};

/// Reads `CREATE TABLE`, from after the name on.
pub(super) fn create(name: String, mut rest: Cursor<'_>) -> Result<Table, Wrong> {
    let mut table = Table { name, ..Table::default() };
    if !rest.peek().is_some_and(|token| token.is_sign(b'(')) {
        return Err(format!("the table {} is defined by another one or by a query, which no dump does", table.name));
    }
    for mut item in rest.within()?.items() {
        if !element(&mut table, &mut item)? {
            let column = column(&mut table, &mut item)?;
            table.columns.push(column);
        }
    }
    if table.columns.is_empty() {
        return Err(format!("the table {} has no column", table.name));
    }
    options(&mut table, &mut rest)?;
    Ok(table)
}

/// Does what `ALTER TABLE` says, from after the name on.
pub(super) fn alter(table: &mut Table, rest: &Cursor<'_>) -> Result<(), Wrong> {
    for mut item in rest.items() {
        change(table, &mut item)?;
    }
    Ok(())
}

fn change(table: &mut Table, item: &mut Cursor<'_>) -> Result<(), Wrong> {
    if item.take(&["add"]) {
        if element(table, item)? {
            return Ok(());
        }
        item.take(&["column"]);
        item.take(&["if", "not", "exists"]);
        let added = column(table, item)?;
        let at = place(table, item)?.unwrap_or(table.columns.len());
        table.columns.insert(at, added);
    } else if item.take(&["modify"]) || item.is("change") {
        let is_change = item.take(&["change"]);
        item.take(&["column"]);
        let old = if is_change { item.name()? } else { item.clone().name()? };
        let new = column(table, item)?;
        let at = position(table, &old)?;
        table.columns[at] = new;
        if let Some(to) = place(table, item)? {
            let moved = table.columns.remove(at);
            table.columns.insert(if to > at { to - 1 } else { to }, moved);
        }
    } else if item.take(&["drop"]) {
        drop_from(table, item)?;
    } else if item.take(&["convert", "to"]) {
        (table.charset, table.collation) = (None, None);
        options(table, item)?;
        for column in table.columns.iter_mut().filter(|column| column.is_text()) {
            (column.charset, column.collation) = (None, None);
        }
    } else if !item.is_any(&["disable", "enable", "order", "force", "partition", "algorithm", "lock"]) {
        if item.is_any(&["rename", "alter", "discard", "import", "exchange", "truncate"]) {
            return Err(format!("a dump does not alter a table so: {}", item.sql()));
        }
        options(table, item)?;
    }
    Ok(())
}

fn drop_from(table: &mut Table, item: &mut Cursor<'_>) -> Result<(), Wrong> {
    let is_key = |key: &Key, name: &str| key.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name));
    if item.take(&["primary", "key"]) {
        table.keys.retain(|key| key.kind != KeyKind::Primary);
    } else if item.take(&["foreign", "key"]) || item.take(&["constraint"]) || item.take(&["check"]) {
        item.take(&["if", "exists"]);
        let name = Some(item.name()?);
        table.foreign_keys.retain(|key| key.name != name);
        table.checks.retain(|check| check.name != name);
    } else if item.take(&["key"]) || item.take(&["index"]) {
        item.take(&["if", "exists"]);
        let name = item.name()?;
        table.keys.retain(|key| !is_key(key, &name));
    } else {
        item.take(&["column"]);
        item.take(&["if", "exists"]);
        let at = position(table, &item.name()?)?;
        table.columns.remove(at);
    }
    Ok(())
}

fn position(table: &Table, column: &str) -> Result<usize, Wrong> {
    let at = table.columns.iter().position(|own| own.name.eq_ignore_ascii_case(column));
    at.ok_or_else(|| format!("{} has no column {column}", table.name))
}

/// Where a column is to be put, if that is said.
fn place(table: &Table, item: &mut Cursor<'_>) -> Result<Option<usize>, Wrong> {
    if item.take(&["first"]) {
        return Ok(Some(0));
    }
    if item.take(&["after"]) { position(table, &item.name()?).map(|at| Some(at + 1)) } else { Ok(None) }
}

/// Reads options of a table, of which few matter.
fn options(table: &mut Table, rest: &mut Cursor<'_>) -> Result<(), Wrong> {
    while let Some(token) = rest.peek() {
        if rest.is("partition") {
            table.left_out.push("its partitions".to_owned());
            return Ok(());
        }
        if rest.is_any(&["select", "like", "as", "ignore", "replace"]) {
            return Err(format!("the table {} is filled by a query, which no dump does", table.name));
        }
        let is_charset = rest.take(&["character", "set"]);
        if !is_charset {
            rest.next();
        }
        let has_sign = rest.take_sign(b'=');
        let name = if is_charset { "charset".to_owned() } else { token.text.to_ascii_lowercase() };
        match name.as_str() {
            "engine" | "type" => {
                table.engine =
                    Some(rest.name()?).filter(|name| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
            }
            "charset" => table.charset = Some(rest.name()?.to_ascii_lowercase()),
            "collate" => table.collation = Some(rest.name()?.to_ascii_lowercase()),
            "comment" => table.comment = rest.text()?,
            "auto_increment" => table.auto_increment = rest.next().and_then(|number| number.text.parse().ok()),
            _ if has_sign && rest.peek().is_some_and(|next| next.is_sign(b'(')) => {
                rest.within()?;
            }
            _ if has_sign => {
                rest.next();
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::dump::cursor::Token;
    use crate::dump::input::Input;
    use crate::dump::lexer::{Kind, Lexer};
    use crate::progress::Silent;

    fn tokens(sql: &str) -> Vec<Token> {
        let mut bytes = sql.as_bytes();
        let mut lexer = Lexer::new(Input::new(&mut bytes, &Silent));
        let mut tokens = Vec::new();
        loop {
            let mut text = Vec::new();
            match lexer.next(&mut text).unwrap() {
                Kind::Over => return tokens,
                kind => tokens.push(Token { kind, text: String::from_utf8(text).unwrap() }),
            }
        }
    }

    fn table(sql: &str) -> Table {
        create("t".to_owned(), Cursor::new(&tokens(sql))).unwrap()
    }

    /// What the driver is told, without what is always the same.
    fn told(table: &Table) -> String {
        table.sql(&HashSet::new()).replace("CREATE TABLE `t` (\n", "").replace('\n', " ")
    }

    #[test]
    fn a_column_is_told_as_the_driver_knows_it() {
        let cases = [
            (
                "a int(11) unsigned zerofill NOT NULL DEFAULT -1 COMMENT 'it''s'",
                "int(11) unsigned zerofill NOT NULL DEFAULT -1 COMMENT 'it''s'",
            ),
            ("a double precision(5,2) null default null", "double(5,2)"),
            ("a national character varying(5)", "varchar(5)"),
            ("a long varbinary", "mediumblob"),
            ("a uuid DEFAULT uuid()", "char(36) DEFAULT (uuid())"),
            ("a inet6 NOT NULL", "varchar(39) NOT NULL"),
            (
                "a timestamp(6) DEFAULT current_timestamp(6) ON UPDATE current_timestamp(6)",
                "timestamp(6) NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP",
            ),
            ("a datetime DEFAULT (now())", "datetime DEFAULT CURRENT_TIMESTAMP"),
            ("a int GENERATED ALWAYS AS (b + 1) STORED NOT NULL", "int"),
            ("a int AS ((1)) PERSISTENT INVISIBLE", "int"),
            ("a varchar(9) CHARACTER SET latin1", "varchar(9) CHARACTER SET latin1 COLLATE latin1_swedish_ci"),
            (
                "a text COLLATE utf8mb4_bin DEFAULT _utf8mb4'x\\\\'",
                "text CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT 'x\\\\'",
            ),
            ("a int DEFAULT (1 - -1 * length(_utf8mb4'a b'))", "int DEFAULT (1 - -1 * length('a b'))"),
            ("a point NOT NULL /*!80003 SRID 0 */", "point NOT NULL"),
        ];
        for (dump, driver) in cases {
            let told = told(&table(&format!("({dump})")));
            assert_eq!(told, format!("`a` {driver} )"), "{dump}");
        }
    }

    #[test]
    fn a_column_has_the_character_set_of_its_table_unless_it_says_another() {
        let defined = table(
            "(a text, b text CHARACTER SET ascii, c int) ENGINE=Aria CHARSET=utf8mb3 PAGE_CHECKSUM=1 COMMENT='c' ROW_FORMAT=DYNAMIC",
        );
        assert_eq!(
            told(&defined),
            "`a` text CHARACTER SET utf8mb3 COLLATE utf8mb3_general_ci, `b` text CHARACTER SET ascii COLLATE ascii_general_ci, \
             `c` int ) ENGINE=Aria DEFAULT CHARSET=utf8mb3 COLLATE=utf8mb3_general_ci COMMENT='c'"
        );
    }

    #[test]
    fn keys_and_constraints_are_told_without_what_the_driver_does_not_know() {
        let defined = table(
            "(a int, b text, PRIMARY KEY (a) USING BTREE, UNIQUE KEY u (b(9) DESC, a) COMMENT 'k' KEY_BLOCK_SIZE=8, \
             FULLTEXT f (b) WITH PARSER ngram, KEY e ((a + 1)), KEY i USING HASH (a) IGNORED, \
             CONSTRAINT c CHECK (json_valid(`b`)), CHECK (a <> 1 and b <=> 'x'), \
             CONSTRAINT fk FOREIGN KEY (a) REFERENCES x.y (z) ON DELETE SET NULL ON UPDATE NO ACTION)",
        );
        let taken = ["c".to_owned()].into();
        let told = defined.sql(&taken).replace('\n', " ");
        assert_eq!(
            told,
            "CREATE TABLE `t` ( `a` int, `b` text, PRIMARY KEY (`a`), UNIQUE KEY `u` (`b`(9) DESC, `a`) COMMENT 'k', \
             FULLTEXT KEY `f` (`b`), KEY `i` (`a`), CONSTRAINT `fk` FOREIGN KEY (`a`) REFERENCES `y` (`z`) ON DELETE SET NULL \
             ON UPDATE NO ACTION, CHECK (`b` is null or json_valid(`b`)), CHECK (a <> 1 and b <=> 'x') )"
        );
        assert_eq!(defined.left_out, ["the key e on an expression"]);
    }

    #[test]
    fn a_table_is_altered_as_dumps_do() {
        let mut defined = table("(a int NOT NULL, b varchar(9), c int) CHARSET=latin1");
        for change in [
            "ADD PRIMARY KEY (a), ADD UNIQUE KEY b (b), ADD KEY c (c)",
            "MODIFY a int NOT NULL AUTO_INCREMENT, AUTO_INCREMENT=5",
            "ADD CONSTRAINT f FOREIGN KEY (c) REFERENCES t (a)",
            "DROP KEY c, DISABLE KEYS, ADD COLUMN d int AFTER a, CHANGE c e int FIRST, CONVERT TO CHARACTER SET utf8mb4",
        ] {
            alter(&mut defined, &Cursor::new(&tokens(change))).unwrap();
        }
        assert_eq!(
            told(&defined),
            "`e` int, `a` int NOT NULL AUTO_INCREMENT, `d` int, \
             `b` varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci, PRIMARY KEY (`a`), UNIQUE KEY `b` (`b`), \
             CONSTRAINT `f` FOREIGN KEY (`c`) REFERENCES `t` (`a`) ) AUTO_INCREMENT=5 DEFAULT CHARSET=utf8mb4 \
             COLLATE=utf8mb4_general_ci"
        );
        assert!(alter(&mut defined, &Cursor::new(&tokens("RENAME TO x"))).is_err());
    }
}
