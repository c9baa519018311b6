//! A database to load dumps into, and the driver to ask about it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use forkpress_engine::dump::{self, Driver, DumpError, DumpFile, Loaded, Options};
use forkpress_engine::progress::Silent;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};

pub struct World {
    pub folder: tempfile::TempDir,
}

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

pub fn driver() -> Driver {
    let folder = root().join("target/wordpress/wp-content/mu-plugins/sqlite-database-integration");
    assert!(folder.is_dir(), "{} is missing: scripts/fetch-wordpress.sh fetches it", folder.display());
    Driver { php: vec!["php".into()], script: root().join("runtime/tables.php"), folder }
}

impl World {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn database(&self) -> PathBuf {
        self.folder.path().join(".ht.sqlite")
    }

    pub fn load_files(&self, files: &[(&str, &[u8])], options: &Options) -> Result<Loaded, DumpError> {
        let file = |(name, bytes): &(&str, &[u8])| DumpFile {
            name: (*name).to_owned(),
            bytes: Some(bytes.len() as u64),
            read: Box::new(std::io::Cursor::new(bytes.to_vec())),
        };
        dump::load(files.iter().map(file).collect(), &self.database(), &driver(), options, &Silent)
    }

    pub fn load(&self, bytes: impl AsRef<[u8]>) -> Result<Loaded, DumpError> {
        self.load_files(&[("dump.sql", bytes.as_ref())], &Options::default())
    }

    /// The error of a dump that is refused. Nothing may be left of it.
    pub fn refused(&self, bytes: impl AsRef<[u8]>) -> String {
        let error = self.load(bytes).expect_err("the dump was taken");
        let left: Vec<_> = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.is_empty(), "{left:?} is left of a dump that was refused");
        error.to_string()
    }

    pub fn open(&self) -> Connection {
        Connection::open_with_flags(self.database(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
    }

    /// What a query of SQLite's gives.
    pub fn rows(&self, sql: &str) -> Vec<Vec<Value>> {
        rows_of(&self.open(), sql)
    }

    /// The same as a text: cells with `|` between, rows with `;`.
    pub fn said(&self, sql: &str) -> String {
        let rows = self.rows(sql);
        let rows = rows.iter().map(|row| row.iter().map(shown).collect::<Vec<_>>().join("|"));
        rows.collect::<Vec<_>>().join(";")
    }

    pub fn show_create(&self, table: &str) -> String {
        let mut results =
            ask(&self.database(), &[format!("SHOW CREATE TABLE `{}`", table.replace('`', "``")).into_bytes()]);
        let rows = results.remove(0).unwrap();
        String::from_utf8(rows[0][1].clone().unwrap()).unwrap()
    }
}

pub fn rows_of(connection: &Connection, sql: &str) -> Vec<Vec<Value>> {
    let mut statement = connection.prepare(sql).unwrap();
    let count = statement.column_count();
    // Texts may have any bytes.
    let value = |row: &rusqlite::Row<'_>, at| match row.get_ref(at).unwrap() {
        rusqlite::types::ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        other => other.into(),
    };
    statement
        .query_map([], |row| Ok((0..count).map(|at| value(row, at)).collect()))
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

pub fn shown(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => format!("{number:?}"),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => format!("x{}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    }
}

type Rows = Vec<Vec<Option<Vec<u8>>>>;

/// Runs statements of MySQL through the driver.
pub fn ask(database: &Path, statements: &[Vec<u8>]) -> Vec<Result<Rows, String>> {
    let statements: Vec<_> = statements.iter().map(|statement| STANDARD.encode(statement)).collect();
    let mut child = Command::new("php")
        .args(["-d", "memory_limit=2G"])
        .arg(root().join("forkpress-engine/tests/dump/driver.php"))
        .arg(driver().folder)
        .arg(database)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = serde_json::to_vec(&statements).unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let results: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stdout)));
    results.into_iter().map(result).collect()
}

fn result(result: serde_json::Value) -> Result<Rows, String> {
    if let Some(error) = result.as_str() {
        return Err(error.to_owned());
    }
    let cell = |cell: &serde_json::Value| cell.as_str().map(|text| STANDARD.decode(text).unwrap());
    let row = |row: &serde_json::Value| row.as_array().unwrap().iter().map(cell).collect();
    Ok(result.as_array().unwrap().iter().map(row).collect())
}
