//! What a value of a dump is in SQLite, by the type that the driver gave its column.

use std::borrow::Cow;

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

use super::batch::CellKind;
use super::charset::Charset;

/// What a column takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnKind {
    Integer,
    Bit,
    Real,
    /// A number of decimal digits, which SQLite keeps as a float.
    Decimal,
    Text(Charset),
    /// Bytes that the driver keeps as text.
    Geometry,
    Blob,
}

/// A value for SQLite.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(Cow<'a, [u8]>),
    Blob(Cow<'a, [u8]>),
}

/// Whether a value is in SQLite what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fidelity {
    Exact,
    /// The text was not what its character set allows.
    WrongText,
    /// The number has more digits than SQLite keeps.
    Rounded,
}

/// A value, and whether it is what it was.
pub(super) type Converted<'a> = Result<(Value<'a>, Fidelity), &'static str>;

impl ColumnKind {
    /// What a column of this `DATA_TYPE` takes.
    pub(super) fn of(data_type: &str, charset: Charset) -> Self {
        match data_type {
            "bit" => Self::Bit,
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => Self::Integer,
            "float" | "double" => Self::Real,
            "decimal" => Self::Decimal,
            "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Self::Blob,
            "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring" | "multipolygon"
            | "geomcollection" | "geometrycollection" => Self::Geometry,
            _ => Self::Text(charset),
        }
    }

    /// What MySQL has where a row says nothing and the column has no default.
    pub(super) fn implicit(self, data_type: &str) -> &'static str {
        match (self, data_type) {
            (Self::Integer | Self::Bit | Self::Real | Self::Decimal, _) => "0",
            (Self::Blob, _) => "x''",
            (_, "date") => "'0000-00-00'",
            (_, "datetime" | "timestamp") => "'0000-00-00 00:00:00'",
            (_, "time") => "'00:00:00'",
            (_, "year") => "'0000'",
            _ => "''",
        }
    }

    /// What the column has for a value of a dump.
    pub(super) fn convert(self, kind: CellKind, bytes: &[u8]) -> Converted<'_> {
        let right = |value| Ok((value, Fidelity::Exact));
        match (self, kind) {
            (_, CellKind::Null | CellKind::Default) => right(Value::Null),
            (Self::Bit, CellKind::Bits | CellKind::Text(_)) => {
                bits_of_bytes(bytes).and_then(|bits| right(Value::Integer(bits.cast_signed())))
            }
            (Self::Bit, _) => bits(bytes).and_then(|bits| right(Value::Integer(bits))),
            (Self::Integer, CellKind::Bits) => integer_of_bytes(bytes).and_then(|number| right(Value::Integer(number))),
            (Self::Integer, _) => integer(bytes).and_then(|number| right(Value::Integer(number))),
            (Self::Real | Self::Decimal, CellKind::Bits) => {
                integer_of_bytes(bytes).and_then(|number| right(Value::Real(number as f64)))
            }
            (Self::Real, _) => real(bytes).and_then(|number| right(Value::Real(number))),
            (Self::Decimal, _) => {
                let fidelity =
                    if significant_digits(bytes) > f64::DIGITS { Fidelity::Rounded } else { Fidelity::Exact };
                real(bytes).map(|number| (Value::Real(number), fidelity))
            }
            (Self::Blob, _) => right(Value::Blob(Cow::Borrowed(bytes))),
            (Self::Geometry, _) => right(Value::Text(Cow::Borrowed(bytes))),
            (Self::Text(_), CellKind::Number) => right(Value::Text(Cow::Borrowed(bytes))),
            (Self::Text(own), CellKind::Bits | CellKind::Text(Charset::Binary)) => text(own, bytes),
            (Self::Text(_), CellKind::Text(charset)) => text(charset, bytes),
        }
    }
}

fn text(charset: Charset, bytes: &[u8]) -> Converted<'_> {
    let (text, is_right) = charset.decode(bytes);
    Ok((Value::Text(text), if is_right { Fidelity::Exact } else { Fidelity::WrongText }))
}

fn significant_digits(number: &[u8]) -> u32 {
    let (mut digits, mut zeros) = (0, 0);
    for byte in number.iter().filter(|byte| byte.is_ascii_digit()) {
        match byte {
            b'0' if digits == 0 => {}
            b'0' => zeros += 1,
            _ => (digits, zeros) = (digits + zeros + 1, 0),
        }
    }
    digits
}

/// Numbers of the server's are at most this long.
const LONGEST_NUMBER: usize = 400;

fn digits(bytes: &[u8]) -> Result<&str, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "no number")?.trim();
    if text.len() > LONGEST_NUMBER { Err("no number") } else { Ok(text) }
}

const TOO_LARGE: &str = "larger than 9223372036854775807, the largest number that SQLite can keep";

fn integer(bytes: &[u8]) -> Result<i64, &'static str> {
    let text = digits(bytes)?;
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let whole = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !whole.is_empty() && whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(TOO_LARGE);
    }
    let number = real(bytes)?.round();
    // The bounds that a float can have.
    if number.abs() < 9.2e18 { Ok(number as i64) } else { Err(TOO_LARGE) }
}

fn real(bytes: &[u8]) -> Result<f64, &'static str> {
    let number: f64 = digits(bytes)?.parse().map_err(|_| "no number")?;
    if number.is_finite() { Ok(number) } else { Err("no number") }
}

fn integer_of_bytes(bytes: &[u8]) -> Result<i64, &'static str> {
    i64::try_from(bits_of_bytes(bytes)?).map_err(|_| TOO_LARGE)
}

/// Of 64 bits, SQLite keeps the first as a sign.
fn bits(bytes: &[u8]) -> Result<i64, &'static str> {
    digits(bytes)?.parse().map_or_else(|_| integer(bytes), |bits: u64| Ok(bits.cast_signed()))
}

fn bits_of_bytes(bytes: &[u8]) -> Result<u64, &'static str> {
    let significant = bytes.iter().position(|byte| *byte != 0).map_or(&[][..], |at| &bytes[at..]);
    let bits = significant.iter().try_fold(0_u64, |bits, byte| Some(bits.checked_mul(256)? + u64::from(*byte)));
    bits.ok_or("more than 64 bits")
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UTF8: CellKind = CellKind::Text(Charset::Utf8);

    fn converted<'a>(data_type: &str, kind: CellKind, bytes: &'a [u8]) -> Result<Value<'a>, &'static str> {
        let (value, fidelity) = ColumnKind::of(data_type, Charset::of("latin1").unwrap()).convert(kind, bytes)?;
        assert_eq!(fidelity, Fidelity::Exact);
        Ok(value)
    }

    fn text(text: &str) -> Result<Value<'_>, &'static str> {
        Ok(Value::Text(Cow::Borrowed(text.as_bytes())))
    }

    #[test]
    fn a_value_becomes_what_its_column_takes() {
        let integer = |number| Ok(Value::Integer(number));
        assert_eq!(converted("bigint", CellKind::Number, b"-9223372036854775808"), integer(i64::MIN));
        assert_eq!(converted("int", UTF8, b"12"), integer(12));
        assert_eq!(converted("int", CellKind::Number, b"1.5e1"), integer(15));
        assert_eq!(converted("int", CellKind::Bits, b"\x01\x00"), integer(256));
        assert_eq!(converted("bit", UTF8, b"\0\x05"), integer(5));
        assert_eq!(converted("bit", CellKind::Number, b"5"), integer(5));
        assert_eq!(converted("bit", CellKind::Number, b"18446744073709551615"), integer(-1));
        assert_eq!(converted("bit", UTF8, &[0x80, 0, 0, 0, 0, 0, 0, 0]), integer(i64::MIN));
        assert_eq!(converted("decimal", CellKind::Number, b"1.50"), Ok(Value::Real(1.5)));
        assert_eq!(converted("year", CellKind::Number, b"0000"), text("0000"));
        assert_eq!(converted("datetime", UTF8, b"0000-00-00 00:00:00.000"), text("0000-00-00 00:00:00.000"));
        assert_eq!(converted("time", UTF8, b"-838:59:59"), text("-838:59:59"));
        assert_eq!(converted("text", CellKind::Bits, b"\xe9"), text("\u{e9}"));
        assert_eq!(converted("text", CellKind::Text(Charset::Binary), b"\xe9"), text("\u{e9}"));
        assert_eq!(converted("text", CellKind::Text(Charset::of("cp1251").unwrap()), b"\xe9"), text("\u{439}"));
        assert_eq!(converted("blob", UTF8, b"\xff\0"), Ok(Value::Blob(Cow::Borrowed(b"\xff\0"))));
        assert_eq!(converted("point", UTF8, b"\xff\0"), Ok(Value::Text(Cow::Borrowed(b"\xff\0"))));
        assert_eq!(converted("int", CellKind::Null, b""), Ok(Value::Null));
    }

    #[test]
    fn what_is_not_what_it_was_is_told() {
        let fidelity = |kind: ColumnKind, cell, bytes| kind.convert(cell, bytes).unwrap().1;
        let utf8 = ColumnKind::Text(Charset::Utf8);
        assert_eq!(fidelity(utf8, UTF8, b"\xe9"), Fidelity::WrongText);
        assert_eq!(fidelity(ColumnKind::Decimal, CellKind::Number, b"-0.0123456789012345600"), Fidelity::Rounded);
        assert_eq!(fidelity(ColumnKind::Decimal, CellKind::Number, b"100012345678901.000"), Fidelity::Exact);
        assert_eq!(fidelity(ColumnKind::Real, CellKind::Number, b"0.30000000000000004"), Fidelity::Exact);
    }

    #[test]
    fn a_number_that_sqlite_can_not_keep_is_refused() {
        assert!(converted("bigint", CellKind::Number, b"9223372036854775808").is_err());
        assert!(converted("bigint", CellKind::Number, b"1e30").is_err());
        assert!(converted("bigint", CellKind::Bits, &[0x80, 0, 0, 0, 0, 0, 0, 0]).is_err());
        assert!(converted("bit", CellKind::Bits, &[1, 0, 0, 0, 0, 0, 0, 0, 0]).is_err());
        assert!(converted("int", UTF8, b"").is_err());
        assert!(converted("double", UTF8, b"nan").is_err());
    }
}
