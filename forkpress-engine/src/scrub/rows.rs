//! Reads the rows of tables, and writes what becomes of them.

use std::borrow::Cow;
use std::collections::HashMap;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ErrorCode, Row, params_from_iter};

use super::emails;
use super::kind::{self, Kind};
use super::naming;
use super::people::{People, User};
use super::person::Person;
use super::rules::{self, About};
use super::tables::Table;
use super::text::{self, Counts, ValueContext};
use crate::tables::quoted;

/// How often another key is tried where what a row would get is taken.
const ATTEMPTS: u32 = 8;

/// By the prefix and the name of a table, and the number of a row: the e-mail address of whom that row is about.
pub(super) type Owners = HashMap<(String, String), HashMap<i64, String>>;

/// What happened to a row.
pub(super) enum Outcome {
    Same,
    Changed,
    Removed,
}

fn text_at<'r>(row: &'r Row<'_>, column: usize) -> Cow<'r, str> {
    match row.get_ref(column) {
        Ok(ValueRef::Text(text) | ValueRef::Blob(text)) => String::from_utf8_lossy(text),
        _ => Cow::Borrowed(""),
    }
}

fn number_at(row: &Row<'_>, column: usize) -> Option<i64> {
    match row.get_ref(column) {
        Ok(ValueRef::Integer(number)) => Some(number),
        Ok(ValueRef::Text(text)) => std::str::from_utf8(text).ok()?.parse().ok(),
        _ => None,
    }
}

fn select(table: &Table) -> String {
    let columns = table.columns.iter().map(|column| quoted(&column.name));
    let list: Vec<_> = columns.chain(table.key.iter().cloned()).collect();
    // Rows stay where they are while they are written: nothing that orders them changes.
    let order = if table.key.len() == 1 { format!(" ORDER BY {}", table.key[0]) } else { String::new() };
    format!("SELECT {} FROM {}{order}", list.join(", "), quoted(&table.name))
}

/// Gets to know the users of a table.
pub(super) fn learn_users(connection: &Connection, table: &Table, people: &mut People) -> rusqlite::Result<()> {
    let mut select = connection.prepare(&select(table))?;
    let mut rows = select.query([])?;
    let column = |name| table.column(name);
    while let Some(row) = rows.next()? {
        let text = |name| column(name).map_or_else(String::new, |at| text_at(row, at).into_owned());
        people.add_user(&User {
            number: column("ID").and_then(|at| number_at(row, at)).unwrap_or_default(),
            login: text("user_login"),
            nicename: text("user_nicename"),
            email: text("user_email"),
            name: text("display_name"),
        });
    }
    Ok(())
}

/// Gets to know the other people of a table, and whom its rows are about.
pub(super) fn learn(
    connection: &Connection,
    table: &Table,
    people: &mut People,
    owners: &mut Owners,
) -> rusqlite::Result<()> {
    let emails: Vec<_> = table.columns_of(Kind::Email).collect();
    if table.about != About::People || table.base == "users" || emails.is_empty() && table.meta.is_none() {
        return Ok(());
    }
    let names: Vec<_> = table.columns_of(Kind::FullName).collect();
    let mut select = connection.prepare(&select(table))?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let mut is_first = true;
        for column in &emails {
            let email = text_at(row, *column);
            if !emails::is_email(&email) {
                continue;
            }
            people.add_email(&email);
            if let Some(id) = table.id.filter(|_| is_first).and_then(|id| number_at(row, id)) {
                let owners = owners.entry((table.scope.clone(), table.base.clone())).or_default();
                owners.insert(id, email.clone().into_owned());
            }
            if let [name] = names[..]
                && is_first
            {
                people.add_name(&text_at(row, name), &email.trim().to_lowercase());
            }
            is_first = false;
        }
        if let Some((value, key)) = table.meta {
            learn_meta(table, row, (value, key), people, owners);
        }
    }
    Ok(())
}

fn learn_meta(table: &Table, row: &Row<'_>, (value, key): (usize, usize), people: &mut People, owners: &mut Owners) {
    let email = text_at(row, value);
    if !emails::is_email(&email) {
        return;
    }
    let key = text_at(row, key);
    let is_answer = table.columns[value].named.is_some_and(|named| named.kind == Kind::Answer);
    if !is_answer && naming::named(&key).is_none_or(|named| named.kind != Kind::Email) {
        return;
    }
    let Some((owner, of)) = table.parent.as_ref().and_then(|(at, of)| Some((number_at(row, *at)?, of))) else {
        return people.add_email(&email);
    };
    if of == "users" {
        return people.add_email_of(owner, &email);
    }
    people.add_email(&email);
    let owners = owners.entry((table.scope.clone(), of.clone())).or_default();
    let known = owners.entry(owner).or_insert_with(|| email.clone().into_owned());
    if key.ends_with("billing_email") {
        *known = email.into_owned();
    }
}

/// Replaces what a table has of people.
pub(super) struct Scrubber<'s> {
    pub(super) people: &'s People,
    pub(super) owners: &'s Owners,
    pub(super) counts: &'s mut Counts,
}

impl Scrubber<'_> {
    /// Goes through the rows of a table. `each` is told what happened to each, and ends it by failing.
    pub(super) fn table<E: From<rusqlite::Error>>(
        &mut self,
        connection: &Connection,
        table: &Table,
        mut each: impl FnMut(&Outcome) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut select = connection.prepare(&select(table))?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            each(&self.row(connection, table, row)?)?;
        }
        Ok(())
    }

    fn row(&mut self, connection: &Connection, table: &Table, row: &Row<'_>) -> rusqlite::Result<Outcome> {
        if table.meta.is_some_and(|(_, key)| rules::is_dropped(&table.base, &text_at(row, key))) {
            return remove(connection, table, row);
        }
        for attempt in 0..ATTEMPTS {
            let another = (attempt > 0).then(|| self.people.another(attempt));
            let mut counts = Counts::new();
            let changed = self.changed(table, row, another.as_ref().unwrap_or(self.people), &mut counts);
            if changed.is_empty() {
                return Ok(Outcome::Same);
            }
            match update(connection, table, row, &changed) {
                Ok(()) => {
                    for (what, count) in counts {
                        *self.counts.entry(what).or_default() += count;
                    }
                    return Ok(Outcome::Changed);
                }
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {}
                Err(error) => return Err(error),
            }
        }
        // No other value fits: that of a person does not stay.
        remove(connection, table, row)
    }

    /// What becomes of the columns of a row.
    fn changed(&self, table: &Table, row: &Row<'_>, people: &People, counts: &mut Counts) -> Vec<(usize, Value)> {
        let who = self.who(table, row, people);
        let mut changed = Vec::new();
        for at in 0..table.columns.len() {
            let kind = kind_of(table, row, at, who.is_some());
            let place = ValueContext { kind, about: table.about, who: who.as_ref() };
            let new = match row.get_ref(at) {
                Ok(ValueRef::Text(old)) => text::replace(old, place, people, counts)
                    .map(|new| Value::Text(String::from_utf8_lossy(&new).into_owned())),
                Ok(ValueRef::Blob(old)) => blob(old, place, people, counts).map(Value::Blob),
                Ok(ValueRef::Integer(old)) => kind.and_then(|kind| kind.replace_number(old, &people.key)).map(|new| {
                    *counts.entry(kind.map_or("", Kind::counted_as)).or_default() += 1;
                    Value::Integer(new)
                }),
                _ => None,
            };
            changed.extend(new.map(|new| (at, new)));
        }
        changed
    }

    /// Whom a row is about.
    fn who(&self, table: &Table, row: &Row<'_>, people: &People) -> Option<Person> {
        if table.about == About::Settings {
            return None;
        }
        let id = |at: usize| number_at(row, at);
        let owner = |of: &str, id: i64| self.owners.get(&(table.scope.clone(), of.to_owned()))?.get(&id);
        let is_users = |name: &str| matches!(name, "users" | "usermeta");
        if is_users(&table.base) {
            let column = table.column("ID").or(table.user);
            return column.and_then(id).and_then(|id| people.user(id));
        }
        let by_email = || {
            let whole =
                table.columns_of(Kind::Email).map(|at| text_at(row, at)).find(|email| emails::is_email(email))?;
            Some(people.with_email(&whole))
        };
        let by_parent = || {
            let (at, of) = table.parent.as_ref()?;
            Some(people.with_email(owner(of, id(*at)?)?))
        };
        let by_user = || people.user(table.user.and_then(id)?);
        by_email().or_else(by_parent).or_else(by_user)
    }
}

/// What a column of a row has.
fn kind_of(table: &Table, row: &Row<'_>, at: usize, is_known: bool) -> Option<Kind> {
    let column = &table.columns[at];
    let has = |name: &str| table.column(name).map_or(Cow::Borrowed(""), |at| text_at(row, at));
    match table.base.as_str() {
        "posts" => return rules::post(&has("post_type"), &column.name),
        "comments" if column.name == "comment_content" && rules::is_note(&has("comment_type")) => {
            return Some(Kind::Text);
        }
        // Co-Authors Plus has a term for each user.
        "terms" if column.name == "name" && has("slug").starts_with("cap-") => return Some(Kind::Login),
        _ => {}
    }
    if let Some((value, key)) = table.meta.filter(|(value, _)| *value == at) {
        let by_rule = column.named.filter(|named| named.is_sure).map(|named| named.kind);
        let key = text_at(row, key);
        return rules::key(&table.base, &key).or(by_rule).or_else(|| {
            debug_assert_eq!(value, at);
            let named = naming::named(&key).filter(|_| table.about == About::People)?;
            (named.is_sure || is_known).then_some(named.kind)
        });
    }
    if table.meta.is_some_and(|(_, key)| key == at) {
        return None;
    }
    column.named.filter(|named| named.is_sure || table.is_of_people).map(|named| named.kind)
}

fn blob(old: &[u8], place: ValueContext<'_>, people: &People, counts: &mut Counts) -> Option<Vec<u8>> {
    if place.kind == Some(Kind::Ip)
        && let Some(new) = kind::ip_bytes(old, &people.key)
    {
        *counts.entry(Kind::Ip.counted_as()).or_default() += 1;
        return Some(new);
    }
    text::replace(old, place, people, counts)
}

fn is_row(table: &Table) -> String {
    table.key.iter().map(|name| format!("{name} IS ?")).collect::<Vec<_>>().join(" AND ")
}

fn key_of<'r>(table: &Table, row: &'r Row<'_>) -> impl Iterator<Item = rusqlite::Result<Value>> + use<'r> {
    let from = table.columns.len();
    (from..from + table.key.len()).map(|at| row.get(at))
}

fn remove(connection: &Connection, table: &Table, row: &Row<'_>) -> rusqlite::Result<Outcome> {
    let sql = format!("DELETE FROM {} WHERE {}", quoted(&table.name), is_row(table));
    let key: Vec<_> = key_of(table, row).collect::<rusqlite::Result<_>>()?;
    connection.prepare_cached(&sql)?.execute(params_from_iter(key))?;
    Ok(Outcome::Removed)
}

fn update(connection: &Connection, table: &Table, row: &Row<'_>, changed: &[(usize, Value)]) -> rusqlite::Result<()> {
    let set: Vec<_> = changed.iter().map(|(at, _)| format!("{} = ?", quoted(&table.columns[*at].name))).collect();
    let sql = format!("UPDATE {} SET {} WHERE {}", quoted(&table.name), set.join(", "), is_row(table));
    let values = changed.iter().map(|(_, value)| Ok(ToSqlOutput::from(value)));
    let values: Vec<_> =
        values.chain(key_of(table, row).map(|key| key.map(ToSqlOutput::Owned))).collect::<rusqlite::Result<_>>()?;
    connection.prepare_cached(&sql)?.execute(params_from_iter(values))?;
    Ok(())
}
