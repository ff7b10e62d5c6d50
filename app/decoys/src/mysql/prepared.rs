//! Prepared statements: the binary protocol of COM_STMT_PREPARE and COM_STMT_EXECUTE (dev.mysql.com/doc/dev/mysql-server, "Prepared
//! Statements").
//!
//! Long data, which come ahead of an execution in parts, are its values until the execution is over. A statement is kept as text with the places of its `?`. Values that come with an execution become literals: they stand for
//! the marks when the statement is answered, and in their places when it is reported. Start at [`Statement::bind`]. Deliberately absent: cursors, which make no difference
//! to bait.

use std::collections::BTreeMap;

use super::packet::{QUERY_ATTRIBUTES, Reader};

/// The most statements of one connection, and the bytes of all their texts and long data: a visitor's memory is bounded.
pub(super) const STATEMENTS_MAX: usize = 256;
pub(super) const TEXT_MAX: usize = 1 << 20;
/// The flag of an execution or a query that says that parameters are counted.
const PARAMETER_COUNT: u8 = 8;

/// A statement that waits for its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// As it came.
    pub text: String,
    /// Where in the text values belong, in order.
    pub places: Vec<usize>,
    /// Types of the values, as the last execution that named them did.
    types: Vec<[u8; 2]>,
    /// What came for values ahead of the next execution, by their numbers.
    long: BTreeMap<u16, Vec<u8>>,
    /// Long data came for a value that there is not: the statement is not executed until it is reset.
    faulty: bool,
}

/// Why a statement cannot be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// The packet does not fit it.
    Execution,
    /// Long data before it did not.
    LongData,
}

impl Statement {
    /// A statement with `?` at `places` of `text`.
    #[must_use]
    pub fn new(text: String, places: Vec<usize>) -> Self {
        Self {
            text,
            places,
            types: Vec::new(),
            long: BTreeMap::new(),
            faulty: false,
        }
    }

    /// Bytes that it holds of a visitor's.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.len() + self.long.values().map(Vec::len).sum::<usize>()
    }

    /// Take a part of the value `number`, of which at most `room` bytes are kept.
    pub fn extend(&mut self, number: u16, data: &[u8], room: usize) {
        if usize::from(number) >= self.places.len() {
            self.faulty = true;
            return;
        }
        let kept = data.get(..room).unwrap_or(data);
        self.long.entry(number).or_default().extend_from_slice(kept);
    }

    /// Forget what came ahead of an execution.
    pub fn reset(&mut self) {
        self.long.clear();
        self.faulty = false;
    }

    /// The values of an execution, as literals, with which its long data are gone. `packet` follows the statement's number.
    ///
    /// # Errors
    /// Where the packet or the long data do not fit the statement.
    pub fn bind(&mut self, packet: &[u8], capabilities: u32) -> Result<Vec<String>, Misfit> {
        if self.faulty {
            return Err(Misfit::LongData);
        }
        let values = self.values(packet, capabilities);
        self.long.clear();
        values.ok_or(Misfit::Execution)
    }

    fn values(&mut self, packet: &[u8], capabilities: u32) -> Option<Vec<String>> {
        let mut r = Reader(packet);
        let flags = r.u8()?;
        r.take(4)?;
        let named = capabilities & QUERY_ATTRIBUTES != 0;
        let mut count = self.places.len();
        if named && (count > 0 || flags & PARAMETER_COUNT != 0) {
            count = usize::try_from(r.lenenc()?).ok()?;
        }
        if count == 0 {
            return Some(Vec::new());
        }
        values(&mut r, count, named, &mut self.types, &self.long)
    }

    /// The text with `values` in its places, as it is reported; NULL where there are too few.
    #[must_use]
    pub fn with(&self, values: &[String]) -> String {
        let mut values = values.iter();
        let mut out = String::with_capacity(self.text.len());
        let mut from = 0;
        for place in &self.places {
            out.push_str(self.text.get(from..*place).unwrap_or_default());
            out.push_str(values.next().map_or("NULL", String::as_str));
            from = place + 1;
        }
        out.push_str(self.text.get(from..).unwrap_or_default());
        out
    }
}

/// The statement of a COM_QUERY: what MySQL 8's clients put before it, the query's attributes, is passed over.
#[must_use]
pub fn query_text(packet: &[u8], capabilities: u32) -> Option<&[u8]> {
    if capabilities & QUERY_ATTRIBUTES == 0 {
        return Some(packet);
    }
    let mut r = Reader(packet);
    let count = usize::try_from(r.lenenc()?).ok()?;
    // The number of sets of parameters, which is always one.
    r.lenenc()?;
    if count > 0 {
        values(&mut r, count, true, &mut Vec::new(), &BTreeMap::new())?;
    }
    Some(r.0)
}

/// Values as literals of SQL: a bitmap of those that are NULL, their types where they are told, and the rest, among which those are not
/// that came as `long` data.
fn values(
    r: &mut Reader<'_>,
    count: usize,
    named: bool,
    types: &mut Vec<[u8; 2]>,
    long: &BTreeMap<u16, Vec<u8>>,
) -> Option<Vec<String>> {
    let nulls = r.take(count.div_ceil(8))?;
    if r.u8()? == 1 {
        types.clear();
        for _ in 0..count {
            types.push(r.array()?);
            if named {
                r.lenenc_bytes()?;
            }
        }
    }
    let mut out = Vec::new();
    for i in 0..count {
        let null = nulls.get(i / 8)? >> (i % 8) & 1 == 1;
        let [kind, sign] = *types.get(i)?;
        let long = u16::try_from(i).ok().and_then(|i| long.get(&i));
        out.push(if let Some(long) = long {
            // Only a text or a blob comes in parts.
            matches!(kind, 15 | 16 | 245..=255).then(|| literal(long))?
        } else if null {
            "NULL".to_owned()
        } else {
            value(r, kind, sign & 0x80 != 0)?
        });
    }
    Some(out)
}

/// One value of type `kind`.
fn value(r: &mut Reader<'_>, kind: u8, unsigned: bool) -> Option<String> {
    Some(match (kind, unsigned) {
        (1, false) => i8::from_le_bytes(r.array()?).to_string(),
        (1, true) => r.u8()?.to_string(),
        (2 | 13, false) => i16::from_le_bytes(r.array()?).to_string(),
        (2 | 13, true) => u16::from_le_bytes(r.array()?).to_string(),
        (3 | 9, false) => i32::from_le_bytes(r.array()?).to_string(),
        (3 | 9, true) => u32::from_le_bytes(r.array()?).to_string(),
        (8, false) => i64::from_le_bytes(r.array()?).to_string(),
        (8, true) => u64::from_le_bytes(r.array()?).to_string(),
        (4, _) => f32::from_le_bytes(r.array()?).to_string(),
        (5, _) => f64::from_le_bytes(r.array()?).to_string(),
        (6, _) => "NULL".to_owned(),
        (7 | 10 | 12, _) => {
            let len = r.u8()?;
            let mut date = Reader(r.take(len.into())?);
            let year = date.array().map_or(0, u16::from_le_bytes);
            let mut next = || date.u8().unwrap_or(0);
            let (month, day, hour, minute, second) = (next(), next(), next(), next(), next());
            format!("'{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}'")
        }
        (11, _) => {
            let len = r.u8()?;
            let mut time = Reader(r.take(len.into())?);
            let negative = time.u8().unwrap_or(0) == 1;
            let days = time.array().map_or(0, u32::from_le_bytes);
            let mut next = || time.u8().unwrap_or(0);
            let (hour, minute, second) = (u64::from(next()), next(), next());
            let hours = u64::from(days) * 24 + hour;
            format!(
                "'{}{hours:02}:{minute:02}:{second:02}'",
                if negative { "-" } else { "" }
            )
        }
        _ => literal(r.lenenc_bytes()?),
    })
}

fn literal(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_come_as_literals_where_the_marks_stand() {
        let text = "SELECT * FROM t WHERE a = ? AND b = ? AND c = ?";
        let places = text.match_indices('?').map(|(at, _)| at).collect();
        let mut statement = Statement::new(text.to_owned(), places);
        let packet = [
            &[0, 1, 0, 0, 0, 0b100, 1, 8, 0, 253, 0, 6, 0][..],
            &(-5_i64).to_le_bytes(),
            b"\x04o'\\x",
        ]
        .concat();
        let values = statement.bind(&packet, 0).unwrap();
        assert_eq!(
            statement.with(&values),
            "SELECT * FROM t WHERE a = -5 AND b = 'o''\\\\x' AND c = NULL"
        );
        // The types are told once.
        let again = [&[0, 1, 0, 0, 0, 0b100, 0][..], &7_i64.to_le_bytes(), b"\x01y"].concat();
        assert_eq!(statement.bind(&again, 0).unwrap(), ["7", "'y'", "NULL"]);
    }

    #[test]
    fn long_data_are_the_values_of_one_execution_and_take_no_more_than_they_may() {
        let mut statement = Statement::new("SELECT ?, ?".to_owned(), vec![7, 10]);
        let blobs = [0, 1, 0, 0, 0, 0b11, 1, 252, 0, 252, 0];
        statement.extend(0, b"\x7fE", 10);
        statement.extend(0, b"LF", 10);
        statement.extend(1, b"a long one", 6);
        assert_eq!(statement.bytes(), 11 + 4 + 6);
        // Not even a NULL that is told stands against them.
        assert_eq!(statement.bind(&blobs, 0).unwrap(), ["'\x7fELF'", "'a long'"]);
        assert_eq!(statement.bind(&blobs, 0).unwrap(), ["NULL", "NULL"]);
        statement.extend(0, b"x", 10);
        let number = [0, 1, 0, 0, 0, 0b10, 1, 3, 0, 252, 0];
        assert_eq!(statement.bind(&number, 0), Err(Misfit::Execution));
        assert_eq!(statement.bind(&blobs, 0).unwrap(), ["NULL", "NULL"]);
        statement.extend(2, b"x", 10);
        assert_eq!(statement.bind(&blobs, 0), Err(Misfit::LongData));
        statement.reset();
        assert_eq!(statement.bind(&blobs, 0).unwrap(), ["NULL", "NULL"]);
    }

    #[test]
    fn attributes_ahead_of_a_query_are_passed_over() {
        assert_eq!(
            query_text(b"\x00\x01SELECT 1", QUERY_ATTRIBUTES).unwrap(),
            b"SELECT 1"
        );
        let with_one = b"\x01\x01\x00\x01\xfd\x00\x03key\x03valSELECT 1";
        assert_eq!(query_text(with_one, QUERY_ATTRIBUTES).unwrap(), b"SELECT 1");
        assert_eq!(query_text(b"SELECT 1", 0).unwrap(), b"SELECT 1");
    }

    proptest! {
        #[test]
        fn no_execution_makes_it_panic(packet in prop::collection::vec(any::<u8>(), 0..200), capabilities: u32) {
            let mut statement = Statement::new("SELECT ?, ?".to_owned(), vec![7, 10]);
            let _any = statement.bind(&packet, capabilities);
            let _any = query_text(&packet, capabilities);
        }
    }
}
